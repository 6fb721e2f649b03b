/*
 * A request head as the plain dialect reads it. What comes of it must fit the head it came from: P
 * and the id are the path again, what is left of the query has nothing of ours, and each action
 * goes with its methods.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/client/plain_request.h"
#include "bridge/session_id.h"
#include "proxy/base/memory.h"
#include "proxy/http/h1_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT_MS 25000

static const struct h1_limits limits = {
	.max_head_size = 2048, .max_fields = 24, .max_target_size = 512};

static void check_path(const struct plain_request *request, const struct request_head *head)
{
	if (request->id.n == 0) {
		ASSERT(slice_equals(request->path, head->path));
		return;
	}
	ASSERT(session_id_has_form(request->id));
	ASSERT(request->path.n + 2 + request->id.n == head->path.n);
	ASSERT(slice_starts_with(head->path, request->path));
	ASSERT(slice_starts_with(slice_from(head->path, request->path.n), SLICE("/~")));
	ASSERT(slice_equals(slice_from(head->path, request->path.n + 2), request->id));
}

/* Nothing of ours is left to be taken out. */
static void check_query(
	const struct plain_request *request, const struct request_head *head, struct arena *arena)
{
	struct request_head again = *head;
	struct plain_request rest;

	ASSERT(request->query.n <= head->query.n);
	ASSERT(request->has_query ? head->has_query : request->query.n == 0);
	ASSERT(request->query.n < head->query.n || slice_equals(request->query, head->query));
	again.query = request->query;
	again.has_query = request->has_query;
	plain_request_parse(&rest, &again, LIMIT_MS, arena);
	ASSERT(slice_equals(rest.query, request->query));
	ASSERT(rest.has_query == request->has_query);
	ASSERT(rest.after.state == PLAIN_ABSENT && !rest.as_json);
	ASSERT(rest.action != PLAIN_ERROR || rest.status != 400 || head->is_websocket ||
		strcmp(rest.error, "wait") != 0);
}

static void check_error(const struct plain_request *request, const struct request_head *head)
{
	switch (request->status) {
	case 400:
		ASSERT(head->is_websocket || head->method == METHOD_GET ||
			head->method == METHOD_POST);
		return;
	case 404:
		ASSERT(request->id.n == 0 && request->path.p[request->path.n - 1] == '/');
		return;
	case 405:
		ASSERT(request->id.n > 0 && head->method != METHOD_GET &&
			head->method != METHOD_POST && head->method != METHOD_DELETE &&
			head->method != METHOD_OPTIONS);
		return;
	default:
		ASSERT(false);
	}
}

static void check_action(const struct plain_request *request, const struct request_head *head)
{
	bool is_get = head->method == METHOD_GET, is_post = head->method == METHOD_POST;

	ASSERT(head->is_websocket ==
		(request->action == PLAIN_TUNNEL || request->form == PLAIN_SOCKET ||
			(request->action == PLAIN_ERROR && head->is_websocket)));
	switch (request->action) {
	case PLAIN_FORWARD:
		ASSERT(request->id.n == 0 && !is_post && head->method != METHOD_OPTIONS);
		return;
	case PLAIN_TUNNEL:
		ASSERT(request->id.n == 0);
		return;
	case PLAIN_OPEN:
		ASSERT(request->id.n == 0 && (is_get || is_post));
		ASSERT((request->form == PLAIN_CREATED) == is_post);
		ASSERT(request->path.p[request->path.n - 1] != '/');
		return;
	case PLAIN_ATTACH:
		ASSERT(request->id.n > 0 && is_get && request->form != PLAIN_CREATED);
		return;
	case PLAIN_SEND:
		ASSERT(request->id.n > 0 && is_post);
		return;
	case PLAIN_CLOSE:
		ASSERT(request->id.n > 0 && (is_post || head->method == METHOD_DELETE));
		return;
	case PLAIN_PREFLIGHT:
		ASSERT(head->method == METHOD_OPTIONS);
		return;
	case PLAIN_ERROR:
		ASSERT(request->error != NULL && request->error[0] != '\0');
		check_error(request, head);
		return;
	}
	ASSERT(false);
}

static void check_values(const struct plain_request *request)
{
	ASSERT(request->wait_ms <= LIMIT_MS);
	ASSERT(!request->is_wait_preferred ||
		(request->form == PLAIN_POLL && request->wait_ms % 1000 == 0));
	ASSERT(request->seq.state != PLAIN_GIVEN || request->seq.value > 0);
	ASSERT(request->last_event_id.state != PLAIN_GIVEN ||
		(session_id_has_form(request->last_event_id.id) &&
			request->last_event_id.cursor.state != PLAIN_ABSENT));
	ASSERT(slice_find(request->protocols, '\n') == request->protocols.n);
	ASSERT(!request->has_key || (request->key.n >= 1 && request->key.n <= 255));
}

/* Of an id no more than four characters after its tag may be seen. */
static void check_mask(
	const struct plain_request *request, const struct request_head *head, struct arena *arena)
{
	struct slice masked = session_id_mask_target(head->target, arena);
	struct slice query = slice_from(head->target, head->path.n);
	struct slice mask = session_id_mask(request->id, arena);
	size_t n = request->path.n + 2;

	if (request->id.n == 0) {
		ASSERT(slice_equals(masked, head->target));
		return;
	}
	ASSERT(slice_equals(slice_first(masked, n), slice_first(head->target, n)));
	ASSERT(slice_starts_with(slice_from(masked, n), mask));
	ASSERT(slice_equals(slice_from(masked, n + mask.n), query));
	ASSERT(mask.n >= 3 && slice_equals(slice_from(mask, mask.n - 3), SLICE("...")));
	ASSERT(mask.n == 3 || slice_starts_with(request->id, slice_first(mask, mask.n - 3)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* An allocation of its own size, so that a read past the end is seen. */
	char *copy = memory_alloc(size);
	struct request_head head;
	struct plain_request request;
	struct arena arena;

	if (size > 0)
		memcpy(copy, data, size);
	arena_init(&arena);
	if (h1_parse_request(slice_of(copy, size), &limits, &arena, &head) == REASON_NONE) {
		plain_request_parse(&request, &head, LIMIT_MS, &arena);
		check_path(&request, &head);
		check_query(&request, &head, &arena);
		check_action(&request, &head);
		check_values(&request);
		check_mask(&request, &head, &arena);
	}
	arena_clear(&arena);
	free(copy);
	return 0;
}
