/*
 * A request head as the Engine.IO dialect reads it. The query for the backend must have nothing of
 * ours left but EIO and the transport, the mask no id, and each action goes with its method.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/client/engineio_request.h"
#include "bridge/session_id.h"
#include "proxy/base/memory.h"
#include "proxy/http/h1_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {
	.max_head_size = 2048, .max_fields = 24, .max_target_size = 512};

static void check_action(const struct engineio_request *request, const struct request_head *head)
{
	switch (request->action) {
	case ENGINEIO_FORWARD:
		ASSERT(head->method == METHOD_OPTIONS ||
			(head->wants_websocket && !head->is_websocket));
		return;
	case ENGINEIO_TUNNEL:
		ASSERT(head->is_websocket && request->sid.n == 0);
		return;
	case ENGINEIO_UPGRADE:
		ASSERT(head->is_websocket && session_id_has_form(request->sid));
		return;
	case ENGINEIO_OPEN:
		ASSERT(head->method == METHOD_GET && request->sid.n == 0);
		return;
	case ENGINEIO_POLL:
		ASSERT(head->method == METHOD_GET && session_id_has_form(request->sid));
		return;
	case ENGINEIO_POST:
		ASSERT(head->method == METHOD_POST && session_id_has_form(request->sid));
		return;
	case ENGINEIO_ERROR:
		ASSERT(request->status == 400 || request->status == 500);
		ASSERT((unsigned)request->code <= ENGINEIO_BAD_VERSION);
		return;
	}
}

/* Read again, the backend's query opens a WebSocket if the client's was right. */
static void check_query(const struct engineio_request *request, const struct request_head *head,
	struct arena *arena)
{
	struct request_head again = *head;
	struct engineio_request rest;

	again.query = engineio_request_query(head, arena);
	again.has_query = true;
	ASSERT(again.query.n <= head->query.n + strlen("&transport=websocket"));
	engineio_request_parse(&rest, &again, true);
	ASSERT(rest.sid.n == 0 && rest.t.n == 0);
	if (request->action != ENGINEIO_OPEN)
		return;
	again.method = METHOD_GET;
	again.is_websocket = again.wants_websocket = true;
	engineio_request_parse(&rest, &again, true);
	ASSERT(rest.action == ENGINEIO_TUNNEL);
}

static void check_mask(const struct engineio_request *request, const struct request_head *head,
	struct arena *arena)
{
	struct slice masked = engineio_request_mask(head, arena);

	ASSERT(masked.n >= head->path.n && slice_starts_with(masked, head->path));
	/*
	 * What stands before a dot is shown as the owner's tag, whatever it is. Else a long id
	 * cannot stand there by chance: the path and other parameters are short.
	 */
	if (request->sid.n > 64 && slice_find(request->sid, '.') == request->sid.n &&
		head->path.n < 16 && head->query.n < 2 * request->sid.n)
		ASSERT(memmem(masked.p, masked.n, request->sid.p, request->sid.n) == NULL);
}

static void check_names(const struct engineio_request *request)
{
	enum engineio_code code;

	ASSERT(engineio_action_name(request->action)[0] != '?');
	ASSERT(engineio_code_find(engineio_code_text(request->code), &code));
	ASSERT(code == request->code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = memory_alloc(size);
	struct arena arena;
	struct request_head head = {0};

	if (size > 0)
		memcpy(copy, data, size);
	arena_init(&arena);
	if (h1_parse_request(slice_of(copy, size), &limits, &arena, &head) == REASON_NONE) {
		struct engineio_request request;

		engineio_request_parse(&request, &head, true);
		check_action(&request, &head);
		check_query(&request, &head, &arena);
		check_mask(&request, &head, &arena);
		check_names(&request);
		ASSERT(!engineio_request_is_ours(&head, false) ||
			engineio_request_is_ours(&head, true));
	}
	arena_clear(&arena);
	free(copy);
	return 0;
}
