/*
 * A request head as the SockJS dialect reads it, on a route at /b and one at the root. What comes
 * of it must fit the head: parts lie in the path, what is left of the query has nothing of
 * SockJS's, no more than two letters of a session are shown.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/client/sockjs_request.h"
#include "bridge/session_id.h"
#include "proxy/base/memory.h"
#include "proxy/http/h1_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {
	.max_head_size = 2048, .max_fields = 24, .max_target_size = 1024};

static void check_session(
	const struct sockjs_request *request, const struct request_head *head, struct arena *arena)
{
	struct slice masked = sockjs_mask_target(request, head->target, arena);
	struct slice session = request->session;
	size_t before = (size_t)(session.p - head->target.p);

	if (request->transport == SOCKJS_NO_TRANSPORT) {
		ASSERT(session.n == 0 && slice_equals(masked, head->target));
		return;
	}
	ASSERT(session.n > 0 && session.n <= SESSION_NAME_MAX);
	ASSERT(slice_find(session, '.') == session.n && slice_find(session, '/') == session.n);
	ASSERT(before > 0 && before + session.n < head->path.n);
	ASSERT(head->target.p[before - 1] == '/' && session.p[session.n] == '/');
	ASSERT(slice_equals(slice_first(masked, before), slice_first(head->target, before)));
	ASSERT(masked.n <= head->target.n - session.n + 2 + 3);
}

static void check_action(const struct sockjs_request *request, const struct request_head *head)
{
	bool is_get = head->method == METHOD_GET;

	ASSERT((request->action == SOCKJS_NONE) == (request->methods == NULL));
	switch (request->action) {
	case SOCKJS_NONE:
	case SOCKJS_METHOD:
		return;
	case SOCKJS_GREETING:
	case SOCKJS_INFO:
	case SOCKJS_IFRAME:
		ASSERT(is_get || head->method == METHOD_HEAD);
		return;
	case SOCKJS_RECEIVE:
	case SOCKJS_SEND:
		ASSERT(is_get || head->method == METHOD_POST);
		return;
	case SOCKJS_WEBSOCKET:
	case SOCKJS_RAW:
		ASSERT(head->is_websocket);
		return;
	case SOCKJS_NO_WEBSOCKET:
		ASSERT(is_get && !head->is_websocket);
		return;
	case SOCKJS_PREFLIGHT:
		ASSERT(head->method == METHOD_OPTIONS);
		return;
	}
	ASSERT(false);
}

/* Once more, and nothing changes. */
static void check_query(const struct sockjs_request *request, const struct request_head *head,
	const struct sockjs_urls *urls, struct arena *arena)
{
	struct request_head again = *head;
	struct sockjs_request rest;

	ASSERT(request->query.n <= head->query.n && (head->has_query || !request->has_query));
	ASSERT(request->has_query || request->query.n == 0);
	if (request->action == SOCKJS_RAW)
		return;
	again.query = request->query;
	again.has_query = request->has_query;
	sockjs_request_parse(&rest, &again, urls, arena);
	ASSERT(slice_equals(rest.query, request->query) && rest.has_query == request->has_query);
	ASSERT(rest.callback_state == SOCKJS_CALLBACK_MISSING);
}

static void check_callback(const struct sockjs_request *request)
{
	if (request->callback_state != SOCKJS_CALLBACK_GOOD)
		return;
	ASSERT(request->callback.n > 0 && request->callback.n <= 32);
	for (size_t i = 0; i < request->callback.n; i++)
		ASSERT(strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
			       request->callback.p[i]) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sockjs_urls urls[] = {
		{.base = {"/b", 2}, .has_websocket = true, .has_iframe = true},
		{.base = {"", 0}, .has_websocket = true, .has_iframe = true},
		{.base = {"/b", 2}},
	};
	/* An allocation of its own size, so that a read past the end is seen. */
	char *copy = memory_alloc(size);
	struct sockjs_request request;
	struct request_head head;
	struct arena arena;

	if (size > 0)
		memcpy(copy, data, size);
	arena_init(&arena);
	if (h1_parse_request(slice_of(copy, size), &limits, &arena, &head) == REASON_NONE) {
		for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
			sockjs_request_parse(&request, &head, &urls[i], &arena);
			check_session(&request, &head, &arena);
			check_action(&request, &head);
			check_query(&request, &head, &urls[i], &arena);
			check_callback(&request);
		}
	}
	arena_clear(&arena);
	free(copy);
	return 0;
}
