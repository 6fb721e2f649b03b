#include "bridge/client/sockjs_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bridge/session_id.h"
#include "proxy/http/h1_head.h"

/*
 * A row is a request line without version, and what must come of it:
 *
 *	ACTION [TRANSPORT SESSION] [?QUERY] [METHODS]
 *
 * with METHODS for 405 and preflights only.
 */
struct row {
	const char *request;
	const char *result;
};

#define WEBSOCKET \
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static struct arena arena;
static struct request_head head;
static struct sockjs_request request;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_clear(&arena);
	arena_release_cache();
	return 0;
}

static void parse(const char *line, const char *fields, const struct sockjs_urls *urls)
{
	static const struct h1_limits limits = {
		.max_head_size = 8192, .max_fields = 50, .max_target_size = 4096};
	struct slice text = arena_printf(&arena, "%s HTTP/1.1\r\nHost: a\r\n%s\r\n", line, fields);

	assert_int_equal(h1_parse_request(text, &limits, &arena, &head), REASON_NONE);
	sockjs_request_parse(&request, &head, urls, &arena);
}

static const char *summary(void)
{
	static char text[1024];
	int n = snprintf(text, sizeof(text), "%s", sockjs_action_name(request.action));

	if (request.transport != SOCKJS_NO_TRANSPORT)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %s %.*s",
			sockjs_transport_name(request.transport), SLICE_ARG(request.session));
	if (request.has_query)
		n += snprintf(
			text + n, sizeof(text) - (size_t)n, " ?%.*s", SLICE_ARG(request.query));
	if (request.action == SOCKJS_METHOD || request.action == SOCKJS_PREFLIGHT)
		(void)snprintf(text + n, sizeof(text) - (size_t)n, " %s", request.methods);
	return text;
}

static const struct sockjs_urls all = {
	.base = {"/b", 2}, .has_websocket = true, .has_iframe = true};

static void check(const struct row *rows, size_t n, const char *fields)
{
	for (size_t i = 0; i < n; i++) {
		parse(rows[i].request, fields, &all);
		if (strcmp(summary(), rows[i].result) != 0)
			fail_msg("%s: %s, not %s", rows[i].request, summary(), rows[i].result);
	}
}

static void urls_and_methods(void **state)
{
	static const struct row rows[] = {
		{"GET /b", "greeting"},
		{"GET /b/", "greeting"},
		{"HEAD /b/", "greeting"},
		{"POST /b", "method GET"},
		{"OPTIONS /b", "method GET"},
		{"GET /b//", "none"},
		{"GET /bb", "none"},
		{"GET /", "none"},
		{"GET /b/info", "info"},
		{"GET /b/info/", "info"},
		{"HEAD /b/info", "info"},
		{"OPTIONS /b/info", "preflight OPTIONS, GET"},
		{"POST /b/info", "method OPTIONS, GET"},
		{"GET /b/info//", "none"},
		{"GET /b/information", "none"},
		{"GET /b/iframe.html", "iframe"},
		{"GET /b/iframe-0.3_z.html?t=1", "iframe"},
		{"POST /b/iframe.html", "method GET"},
		{"GET /b/iframe.htm", "none"},
		{"GET /b/iframehtml", "none"},
		{"GET /b/iframe-A.html", "none"},
		{"GET /b/IFRAME.html", "none"},
		{"GET /b/iframe-/.html", "none"},
		{"POST /b/1/2/xhr", "receive xhr 2"},
		{"POST /b/1/2/xhr/", "receive xhr 2"},
		{"POST /b/a%20b/%2e~/xhr_streaming", "receive xhr_streaming %2e~"},
		{"GET /b/1/2/xhr", "method xhr 2 OPTIONS, POST"},
		{"OPTIONS /b/1/2/xhr", "preflight xhr 2 OPTIONS, POST"},
		{"POST /b/1/2/xhr_send", "send xhr_send 2"},
		{"GET /b/1/2/eventsource", "receive eventsource 2"},
		{"HEAD /b/1/2/eventsource", "method eventsource 2 GET"},
		{"OPTIONS /b/1/2/eventsource", "method eventsource 2 GET"},
		{"GET /b/1/2/htmlfile", "receive htmlfile 2"},
		{"GET /b/1/2/jsonp", "receive jsonp 2"},
		{"POST /b/1/2/jsonp_send", "send jsonp_send 2"},
		{"OPTIONS /b/1/2/jsonp_send", "method jsonp_send 2 POST"},
		{"GET /b/1/2/websocket", "no websocket websocket 2"},
		{"POST /b/1/2/websocket", "method websocket 2 GET"},
		{"GET /b/websocket", "no websocket"},
		{"POST /b/1/2/xhr/x", "none"},
		{"POST /b/1/2/xhrx", "none"},
		{"POST /b//2/xhr", "none"},
		{"POST /b/1//xhr", "none"},
		{"POST /b/1.2/3/xhr", "none"},
		{"POST /b/1/2.3/xhr", "none"},
		{"POST /b/1/2/", "none"},
		{"POST /b/1/2", "none"},
		{"POST /b/1", "none"},
	};

	(void)state;
	check(rows, ARRAY_LEN(rows), "");
}

static void handshakes(void **state)
{
	static const struct row rows[] = {
		{"GET /b", "none"},
		{"GET /b/websocket", "raw"},
		{"GET /b/websocket?c=1&x", "raw ?c=1&x"},
		{"GET /b/1/2/websocket", "websocket websocket 2"},
		{"GET /b/1/2/websocket?c=1&x", "websocket websocket 2 ?x"},
		{"GET /b/1/2/eventsource", "receive eventsource 2"},
	};
	static const struct sockjs_urls none = {.base = {"/b", 2}};

	(void)state;
	check(rows, ARRAY_LEN(rows), WEBSOCKET);
	for (size_t i = 1; i < 5; i++) {
		parse(rows[i].request, WEBSOCKET, &none);
		assert_int_equal(request.action, SOCKJS_NONE);
	}
	parse("GET /b", WEBSOCKET, &all);
	assert_true(request.is_base);
}

static void what_goes_to_the_backend(void **state)
{
	static const struct row rows[] = {
		{"GET /b/1/2/jsonp?c=f", "receive jsonp 2"},
		{"GET /b/1/2/jsonp?", "receive jsonp 2"},
		{"GET /b/1/2/jsonp?c=f&a=1&callback=x&b=%20&t=9&t", "receive jsonp 2 ?a=1&b=%20"},
		{"GET /b/1/2/jsonp?a&&b", "receive jsonp 2 ?a&&b"},
		{"GET /b/1/2/jsonp?a&", "receive jsonp 2 ?a&"},
		{"GET /b/1/2/jsonp?c=f&", "receive jsonp 2"},
		{"GET /b/1/2/jsonp?cc=1&C=2&tt", "receive jsonp 2 ?cc=1&C=2&tt"},
	};

	(void)state;
	check(rows, ARRAY_LEN(rows), "");
}

static void callbacks(void **state)
{
	static const struct {
		const char *query;
		const char *name;
		enum sockjs_callback state;
	} rows[] = {
		{"c=f", "f", SOCKJS_CALLBACK_GOOD},
		{"callback=%66.%5F-9Z", "f._-9Z", SOCKJS_CALLBACK_GOOD},
		{"c=&callback=g", "g", SOCKJS_CALLBACK_GOOD},
		{"c=f&callback=g", "f", SOCKJS_CALLBACK_GOOD},
		{"callback=g&c=f", "g", SOCKJS_CALLBACK_GOOD},
		{"c=abcdefghijklmnopqrstuvwxyz012345", "abcdefghijklmnopqrstuvwxyz012345",
			SOCKJS_CALLBACK_GOOD},
		{"c=abcdefghijklmnopqrstuvwxyz0123456", "abcdefghijklmnopqrstuvwxyz0123456",
			SOCKJS_CALLBACK_BAD},
		{"", "", SOCKJS_CALLBACK_MISSING},
		{"c", "", SOCKJS_CALLBACK_MISSING},
		{"d=f", "", SOCKJS_CALLBACK_MISSING},
		{"c=a+b", "a b", SOCKJS_CALLBACK_BAD},
		{"c=a%28", "a(", SOCKJS_CALLBACK_BAD},
		{"c=%", "%", SOCKJS_CALLBACK_BAD},
		{"c=%6", "%6", SOCKJS_CALLBACK_BAD},
		{"c=%6g", "%6g", SOCKJS_CALLBACK_BAD},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		parse(arena_string(
			      &arena, arena_printf(&arena, "GET /b/1/2/jsonp?%s", rows[i].query)),
			"", &all);
		assert_int_equal(request.callback_state, rows[i].state);
		assert_true(slice_equals(request.callback, slice_from_string(rows[i].name)));
	}
}

static void ids_are_bounded(void **state)
{
	char id[SESSION_NAME_MAX + 2];

	(void)state;
	memset(id, 'x', sizeof(id));
	parse(arena_string(
		      &arena, arena_printf(&arena, "POST /b/1/%.*s/xhr", SESSION_NAME_MAX, id)),
		"", &all);
	assert_int_equal(request.action, SOCKJS_RECEIVE);
	assert_int_equal(request.session.n, SESSION_NAME_MAX);
	parse(arena_string(
		      &arena, arena_printf(&arena, "POST /b/1/%.*s/xhr", SESSION_NAME_MAX + 1, id)),
		"", &all);
	assert_int_equal(request.action, SOCKJS_NONE);
}

static void a_root(void **state)
{
	static const struct sockjs_urls root = {
		.base = {"", 0}, .has_websocket = true, .has_iframe = true};

	(void)state;
	assert_int_equal(sockjs_base(SLICE("/")).n, 0);
	assert_true(slice_equals(sockjs_base(SLICE("/a/")), SLICE("/a")));
	assert_true(slice_equals(sockjs_base(SLICE("/a")), SLICE("/a")));
	parse("GET /", "", &root);
	assert_int_equal(request.action, SOCKJS_GREETING);
	parse("POST /1/2/xhr", "", &root);
	assert_int_equal(request.action, SOCKJS_RECEIVE);
	parse("OPTIONS *", "", &root);
	assert_int_equal(request.action, SOCKJS_NONE);
}

static void masks(void **state)
{
	static const struct row rows[] = {
		{"POST /b/1/abcdefgh/xhr?t=1", "/b/1/ab.../xhr?t=1"},
		{"POST /b/abcdefgh/abcdefg/xhr", "/b/abcdefgh/.../xhr"},
		{"GET /b/info", "/b/info"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		parse(rows[i].request, "", &all);
		assert_true(slice_equals(sockjs_mask_target(&request, head.target, &arena),
			slice_from_string(rows[i].result)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(urls_and_methods, set_up, tear_down),
		cmocka_unit_test_setup_teardown(handshakes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_goes_to_the_backend, set_up, tear_down),
		cmocka_unit_test_setup_teardown(callbacks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ids_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_root, set_up, tear_down),
		cmocka_unit_test_setup_teardown(masks, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
