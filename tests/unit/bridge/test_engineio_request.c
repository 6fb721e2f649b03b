#include "bridge/client/engineio_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;

/* A head as the codecs make it; "WS" is a valid WebSocket handshake, "ws" one that is not. */
static struct request_head head_of(const char *method, const char *target)
{
	struct request_head head = {.target = slice_from_string(target)};
	size_t mark = slice_find(head.target, '?');
	bool is_handshake = strcasecmp(method, "WS") == 0;

	head.method_name = slice_from_string(is_handshake ? "GET" : method);
	head.method = method_find(head.method_name);
	head.wants_websocket = is_handshake;
	head.is_websocket = strcmp(method, "WS") == 0;
	head.path = slice_first(head.target, mark);
	head.has_query = mark < head.target.n;
	head.query = slice_from(head.target, mark + 1);
	return head;
}

static void actions(void **state)
{
	static const struct {
		const char *method, *target;
		enum engineio_action action;
		const char *sid;
	} rows[] = {
		{"GET", "/s/?EIO=4&transport=polling", ENGINEIO_OPEN, ""},
		{"GET", "/s/?transport=polling&a=b&EIO=4&t=x&b64=1", ENGINEIO_OPEN, ""},
		{"GET", "/s/?&&EIO=4&transport=polling&", ENGINEIO_OPEN, ""},
		{"GET", "/s/?EIO=4&transport=polling&sid=", ENGINEIO_OPEN, ""},
		{"GET", "/s/?EIO=4&transport=polling&sid=w1.ab", ENGINEIO_POLL, "w1.ab"},
		{"GET", "/s/?%45IO=4&transport=polling&%73i%64=w1.ab", ENGINEIO_POLL, "w1.ab"},
		{"POST", "/s/?EIO=4&transport=polling&sid=w1.ab", ENGINEIO_POST, "w1.ab"},
		{"WS", "/s/?EIO=4&transport=websocket", ENGINEIO_TUNNEL, ""},
		{"WS", "/s/?EIO=4&transport=websocket&j=1", ENGINEIO_TUNNEL, ""},
		{"WS", "/s/?EIO=4&transport=websocket&sid=a-_.9", ENGINEIO_UPGRADE, "a-_.9"},
		{"OPTIONS", "/s/?EIO=4&transport=polling", ENGINEIO_FORWARD, ""},
		{"OPTIONS", "/s/?EIO=3", ENGINEIO_FORWARD, ""},
		{"ws", "/s/?EIO=4&transport=websocket", ENGINEIO_FORWARD, ""},
		{"ws", "/s/?EIO=4&transport=websocket&sid=w1.ab", ENGINEIO_FORWARD, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = head_of(rows[i].method, rows[i].target);
		struct engineio_request request;

		engineio_request_parse(&request, &head, true);
		if (request.action != rows[i].action)
			fail_msg("%s %s: %s", rows[i].method, rows[i].target,
				engineio_action_name(request.action));
		assert_true(slice_equals(request.sid, slice_from_string(rows[i].sid)));
	}
}

static void errors(void **state)
{
	static const struct {
		const char *method, *target;
		unsigned status;
		enum engineio_code code;
	} rows[] = {
		{"GET", "/s/?transport=polling", 400, ENGINEIO_BAD_VERSION},
		{"GET", "/s/?EIO&transport=polling", 400, ENGINEIO_BAD_VERSION},
		{"GET", "/s/?EIO=&transport=polling", 400, ENGINEIO_BAD_VERSION},
		{"GET", "/s/?EIO=3&transport=polling", 400, ENGINEIO_BAD_VERSION},
		{"GET", "/s/?EIO=44&transport=polling", 400, ENGINEIO_BAD_VERSION},
		{"GET", "/s/?EIO=4&EIO=4&transport=polling", 400, ENGINEIO_BAD_VERSION},
		{"GET", "/s/?EIO=4&E%49O=3&transport=polling", 400, ENGINEIO_BAD_VERSION},
		{"WS", "/s/?EIO=3&transport=websocket", 400, ENGINEIO_BAD_VERSION},
		{"WS", "/s/?EIO=4&EIO=3&transport=websocket", 400, ENGINEIO_BAD_VERSION},
		{"GET", "/s/?EIO=4", 400, ENGINEIO_UNKNOWN_TRANSPORT},
		{"GET", "/s/?EIO=4&transport=", 400, ENGINEIO_UNKNOWN_TRANSPORT},
		{"GET", "/s/?EIO=4&transport=tachyon", 400, ENGINEIO_UNKNOWN_TRANSPORT},
		{"GET", "/s/?EIO=4&transport=Polling", 400, ENGINEIO_UNKNOWN_TRANSPORT},
		{"GET", "/s/?EIO=4&transport=webtransport", 400, ENGINEIO_UNKNOWN_TRANSPORT},
		{"GET", "/s/?EIO=4&transport=polling&transport=polling", 400,
			ENGINEIO_UNKNOWN_TRANSPORT},
		{"WS", "/s/?EIO=4", 400, ENGINEIO_UNKNOWN_TRANSPORT},
		{"GET", "/s/?EIO=4&transport=polling&sid=&sid=", 400, ENGINEIO_UNKNOWN_SID},
		{"GET", "/s/?EIO=4&transport=polling&sid=a/b", 400, ENGINEIO_UNKNOWN_SID},
		{"GET", "/s/?EIO=4&transport=polling&sid=a&sid=a", 400, ENGINEIO_UNKNOWN_SID},
		{"GET", "/s/?EIO=4&transport=polling&sid=a&%73id=b", 400, ENGINEIO_UNKNOWN_SID},
		{"POST", "/s/?EIO=4&transport=polling", 400, ENGINEIO_BAD_METHOD},
		{"PUT", "/s/?EIO=4&transport=polling", 400, ENGINEIO_BAD_METHOD},
		{"HEAD", "/s/?EIO=4&transport=polling", 400, ENGINEIO_BAD_METHOD},
		{"GET", "/s/?EIO=4&transport=websocket", 400, ENGINEIO_BAD_REQUEST},
		{"GET", "/s/?EIO=4&transport=websocket&sid=a", 400, ENGINEIO_BAD_REQUEST},
		{"POST", "/s/?EIO=4&transport=websocket&sid=a", 400, ENGINEIO_BAD_REQUEST},
		{"WS", "/s/?EIO=4&transport=polling", 400, ENGINEIO_BAD_REQUEST},
		{"WS", "/s/?EIO=4&transport=polling&sid=a", 400, ENGINEIO_BAD_REQUEST},
		{"GET", "/s/?EIO=4&transport=polling&j=0", 400, ENGINEIO_BAD_REQUEST},
		{"PUT", "/s/?EIO=4&transport=polling&sid=a", 500, ENGINEIO_BAD_REQUEST},
		{"DELETE", "/s/?EIO=4&transport=polling&sid=a", 500, ENGINEIO_BAD_REQUEST},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = head_of(rows[i].method, rows[i].target);
		struct engineio_request request;

		engineio_request_parse(&request, &head, true);
		if (request.action != ENGINEIO_ERROR || request.status != rows[i].status ||
			request.code != rows[i].code)
			fail_msg("%s %s: %s %u %d", rows[i].method, rows[i].target,
				engineio_action_name(request.action), request.status,
				(int)request.code);
		assert_int_equal(request.is_websocket, strcmp(rows[i].method, "WS") == 0);
	}
}

/* A handshake is an ordinary GET then, and there is no polling by it. */
static void a_route_without_websockets(void **state)
{
	static const char *const methods[] = {"WS", "ws"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct request_head head = head_of(methods[i], "/s/?EIO=4&transport=websocket");
		struct engineio_request request;

		engineio_request_parse(&request, &head, false);
		assert_int_equal(request.action, ENGINEIO_ERROR);
		assert_int_equal(request.code, ENGINEIO_BAD_REQUEST);
		assert_false(request.is_websocket);
	}
}

static void whose_request_it_is(void **state)
{
	static const struct {
		const char *target;
		bool is_ours, is_ours_alone;
	} rows[] = {
		{"/s/?EIO=4&transport=polling", true, true},
		{"/s/?%45%49%4F=4", true, true},
		{"/s/?EIO", true, true},
		{"/s/?eio=4", false, false},
		{"/s/?xEIO=4", false, false},
		{"/s/?EIOx=4", false, false},
		{"/s/?a=EIO=4", false, false},
		{"/s/?transport=polling", false, true},
		{"/s/?sid=w1.ab", false, false},
		{"/s/", false, false},
		{"/s/?", false, false},
		{"/s/EIO=4", false, false},
		{"/s/?EI", false, false},
		{"/s/?%45I%4", false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = head_of("GET", rows[i].target);

		assert_int_equal(engineio_request_is_ours(&head, false), rows[i].is_ours);
		assert_int_equal(engineio_request_is_ours(&head, true), rows[i].is_ours_alone);
	}
}

static void the_query_for_the_backend(void **state)
{
	static const struct {
		const char *target, *query;
	} rows[] = {
		{"/s/?EIO=4&transport=polling", "EIO=4&transport=websocket"},
		{"/s/?a=1&EIO=4&transport=polling&t=x&b=2&j=0&b64=1",
			"a=1&EIO=4&b=2&transport=websocket"},
		{"/s/?EIO=4&%74=x&tr%61nsport=polling&a=%26&a",
			"EIO=4&a=%26&a&transport=websocket"},
		{"/s/?&EIO=4&&transport=polling&", "EIO=4&transport=websocket"},
		{"/s/?tt=1&jj=2&T=3&EIO=4&transport=polling",
			"tt=1&jj=2&T=3&EIO=4&transport=websocket"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = head_of("GET", rows[i].target);
		struct slice query = engineio_request_query(&head, &arena);

		assert_string_equal(arena_string(&arena, query), rows[i].query);
	}
}

static void ids_are_masked(void **state)
{
	static const struct {
		const char *target, *masked;
	} rows[] = {
		{"/s/?EIO=4", "/s/?EIO=4"},
		{"/s/", "/s/"},
		{"/s/?sid=w1.abcdefgh&t=x", "/s/?sid=w1.abcd...&t=x"},
		{"/s/?t=x&sid=w1.abcdefgh", "/s/?t=x&sid=w1.abcd..."},
		{"/s/?%73id=w1.abcdefgh&sid=abcdefgh&x=sid",
			"/s/?%73id=w1.abcd...&sid=abcd...&x=sid"},
		{"/s/?sid=ab&sid=&sid", "/s/?sid=...&sid=&sid"},
		{"/s/w1.abcdefgh?x=y", "/s/w1.abcdefgh?x=y"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_head head = head_of("GET", rows[i].target);
		struct slice masked = engineio_request_mask(&head, &arena);

		assert_string_equal(arena_string(&arena, masked), rows[i].masked);
	}
}

static void texts_of_errors(void **state)
{
	enum engineio_code code;

	(void)state;
	for (int i = 0; i <= 5; i++) {
		assert_true(engineio_code_find(engineio_code_text((enum engineio_code)i), &code));
		assert_int_equal(code, i);
	}
	assert_false(engineio_code_find(SLICE(""), &code));
	assert_false(engineio_code_find(SLICE("bad request"), &code));
	assert_false(engineio_code_find(SLICE("Bad request\n"), &code));
}

static int clear(void **state)
{
	(void)state;
	arena_clear(&arena);
	arena_release_cache();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(actions),
		cmocka_unit_test(errors),
		cmocka_unit_test(a_route_without_websockets),
		cmocka_unit_test(whose_request_it_is),
		cmocka_unit_test(the_query_for_the_backend),
		cmocka_unit_test(ids_are_masked),
		cmocka_unit_test(texts_of_errors),
	};

	arena_init(&arena);
	return cmocka_run_group_tests(tests, NULL, clear);
}
