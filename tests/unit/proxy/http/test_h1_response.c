/* Response heads: bytes in, the parsed head or a refusal out. */
#include "proxy/http/h1_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const struct h1_limits limits = {.max_head_size = 1024, .max_fields = 8};
static struct arena arena;
static struct response_head head;
static const char *why;

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

static bool parse(struct slice text, enum method method)
{
	struct h1_head_scan scan = {0};

	if (h1_head_scan_continue(&scan, text, &limits, false) != H1_SCAN_HEAD)
		return false;
	assert_int_equal(scan.size, text.n);

	enum reason reason = h1_parse_response(text, &limits, method, &arena, &head, &why);

	/* The words are there when they are needed, and nobody must want them. */
	assert_int_equal(why == NULL, reason == REASON_NONE);
	assert_int_equal(h1_parse_response(text, &limits, method, &arena, &head, NULL), reason);
	if (reason != REASON_NONE)
		assert_int_equal(reason, REASON_BACKEND_PROTOCOL);
	return reason == REASON_NONE;
}

#define PARSE_FOR(method, literal) parse(SLICE(literal), method)
#define PARSE(literal) PARSE_FOR(METHOD_GET, literal)
#define PARSE_LINES(lines) PARSE("HTTP/1.1 200 OK\r\n" lines "\r\n")

static void assert_text(struct slice s, const char *text)
{
	assert_int_equal(s.n, strlen(text));
	if (s.n > 0)
		assert_memory_equal(s.p, text, s.n);
}

static void a_plain_response_is_taken_apart(void **state)
{
	(void)state;
	assert_true(PARSE("HTTP/1.1 404 Not here, \xe9!\r\nContent-Length: 7\r\nX: y\r\n\r\n"));
	assert_int_equal(head.status, 404);
	assert_text(head.reason, "Not here, \xe9!");
	assert_int_equal(head.version_minor, 1);
	assert_int_equal(head.body, BODY_LENGTH);
	assert_true(head.has_content_length);
	assert_int_equal(head.content_length, 7);
	assert_false(head.wants_close);
	assert_false(head.is_upgrade);
	assert_int_equal(head.fields.n, 2);
}

static void status_lines(void **state)
{
	(void)state;
	assert_true(PARSE("HTTP/1.1 200 \r\n\r\n"));
	assert_text(head.reason, "");
	assert_true(PARSE("HTTP/1.1 200\r\n\r\n"));
	assert_text(head.reason, "");
	assert_true(PARSE("HTTP/1.0 200 OK\r\n\r\n"));
	assert_int_equal(head.version_minor, 0);
	assert_true(PARSE("HTTP/1.3 200 OK\r\n\r\n"));
	assert_int_equal(head.version_minor, 1);
	assert_true(PARSE("HTTP/1.1 999 Odd\r\n\r\n"));
	assert_int_equal(head.status, 999);
	assert_false(PARSE("\r\n"));
	assert_false(PARSE("HTTP/1.1 099 OK\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1 20 OK\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1 2000 OK\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1 200OK\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1 2x0 OK\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1  200 OK\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1\t200 OK\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1 \r\n\r\n"));
	assert_false(PARSE("HTTP/2.0 200 OK\r\n\r\n"));
	assert_false(PARSE("HTTP/2 200\r\n\r\n"));
	assert_false(PARSE("http/1.1 200 OK\r\n\r\n"));
	assert_false(PARSE("ICY 200 OK\r\n\r\n"));
	assert_false(PARSE(" HTTP/1.1 200 OK\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1 200 O\x01K\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1 200 O\0K\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1 200 O\rK\r\n\r\n"));
	assert_false(PARSE("HTTP/1.1 200 OK\n\r\n"));
	assert_false(PARSE("<html>hello there</html>\r\n\r\n"));
}

static void field_lines_are_strict(void **state)
{
	(void)state;
	assert_false(PARSE_LINES("X : a\r\n"));
	assert_string_equal(why, "invalid field line");
	assert_false(PARSE_LINES("X: a\r\n b\r\n"));
	assert_false(PARSE_LINES("X: a\rb\r\n"));
	assert_false(PARSE_LINES("X: a\0b\r\n"));
	assert_false(PARSE_LINES("X: a\r\r\n"));
	assert_false(PARSE_LINES("no colon\r\n"));
	assert_false(PARSE_LINES(": a\r\n"));
	assert_false(PARSE_LINES("X: a\nY: b\r\n"));
	assert_true(PARSE_LINES("A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n"));
	assert_false(PARSE_LINES("A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n"));
	assert_string_equal(why, "too many fields");
}

static void framing_in_doubt_is_refused(void **state)
{
	(void)state;
	assert_false(PARSE_LINES("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"));
	assert_string_equal(why, "both Transfer-Encoding and Content-Length");
	assert_false(PARSE_LINES("Content-Length: 5\r\nContent-Length: 5\r\n"));
	assert_false(PARSE_LINES("Content-Length: 5, 5\r\n"));
	assert_false(PARSE_LINES("Content-Length: +5\r\n"));
	assert_false(PARSE_LINES("Content-Length:\r\n"));
	assert_false(PARSE_LINES("Content-Length: 9223372036854775808\r\n"));
	assert_false(PARSE_LINES("Transfer-Encoding: gzip, chunked\r\n"));
	assert_string_equal(why, "unknown transfer coding");
	assert_false(PARSE_LINES("Transfer-Encoding: identity\r\n"));
	assert_false(PARSE_LINES("Transfer-Encoding: chunked, gzip\r\n"));
	assert_false(PARSE_LINES("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"));
	assert_false(PARSE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
	/* Also where there is no body: the backend is not to be believed. */
	assert_false(PARSE("HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n"));
	assert_false(PARSE_FOR(METHOD_HEAD,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

static void bodies(void **state)
{
	(void)state;
	assert_true(PARSE_LINES("Transfer-Encoding: Chunked\r\n"));
	assert_int_equal(head.body, BODY_CHUNKED);
	assert_false(head.has_content_length);
	assert_false(head.wants_close);
	assert_true(PARSE_LINES("Content-Length: 0\r\n"));
	assert_int_equal(head.body, BODY_LENGTH);
	assert_int_equal(head.content_length, 0);
	assert_true(PARSE_LINES("X: y\r\n"));
	assert_int_equal(head.body, BODY_CLOSE);
	assert_true(head.wants_close);
}

static void answers_without_a_body(void **state)
{
	(void)state;
	assert_true(PARSE_FOR(METHOD_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
	assert_true(head.has_content_length);
	assert_int_equal(head.content_length, 9);
	assert_false(head.wants_close);
	assert_true(
		PARSE_FOR(METHOD_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
	assert_false(head.has_content_length);
	assert_false(head.wants_close);
	assert_true(PARSE_FOR(METHOD_HEAD, "HTTP/1.1 200 OK\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
	assert_false(head.wants_close);
	assert_true(PARSE("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
	assert_true(head.has_content_length);
	assert_false(head.wants_close);
	assert_true(PARSE("HTTP/1.1 204 No Content\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
	assert_false(head.wants_close);
	assert_true(PARSE("HTTP/1.1 100 Continue\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
	assert_false(head.is_upgrade);
	assert_true(PARSE("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
}

/* Fields of a body where none can be: ignored, and the connection is not trusted any further. */
static void a_body_that_cannot_be_ends_the_connection(void **state)
{
	(void)state;
	assert_true(PARSE("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"));
	assert_false(head.wants_close);
	assert_false(head.has_content_length);
	assert_true(PARSE("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
	assert_false(head.has_content_length);
	assert_true(head.wants_close);
	assert_true(PARSE("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
	assert_true(head.wants_close);
}

static void upgrades(void **state)
{
	(void)state;
	assert_true(PARSE("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
			  "Upgrade: websocket\r\n\r\n"));
	assert_true(head.is_upgrade);
	assert_int_equal(head.body, BODY_NONE);
	assert_true(PARSE("HTTP/1.1 101 Switching Protocols\r\nContent-Length: 5\r\n\r\n"));
	assert_true(head.is_upgrade);
	assert_int_equal(head.body, BODY_NONE);
	assert_false(PARSE("HTTP/1.0 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n"));
	assert_true(PARSE_FOR(METHOD_CONNECT, "HTTP/1.1 200 OK\r\n\r\n"));
	assert_true(head.is_upgrade);
	assert_int_equal(head.body, BODY_NONE);
	assert_true(PARSE_FOR(METHOD_CONNECT, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n"));
	assert_false(head.is_upgrade);
	assert_int_equal(head.body, BODY_LENGTH);
}

static void who_closes(void **state)
{
	(void)state;
	assert_true(PARSE_LINES("Content-Length: 0\r\nConnection: Close\r\n"));
	assert_true(head.wants_close);
	assert_true(PARSE("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
	assert_true(head.wants_close);
	assert_true(
		PARSE("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"));
	assert_false(head.wants_close);
}

static enum reason parse_trailers(struct slice text, struct fields *trailers)
{
	*trailers = (struct fields){0};
	return h1_parse_trailers(text, &limits, &arena, trailers);
}

static void trailers_that_frame_or_route_are_dropped(void **state)
{
	static const char *const dropped[] = {"Content-Length", "transfer-encoding", "HOST",
		"Connection", "Upgrade", "Trailer", "TE", "Authorization", "Proxy-Authorization",
		"Cookie", "Set-Cookie", "Content-Type", "Content-Range", "Cache-Control", "Expect",
		"If-Match", "Range", "Age", "Expires", "Location", "Vary", "X-Forwarded-For",
		"X-Forwarded-Server", "Forwarded", "Via", "Origin", "Sec-WebSocket-Key",
		"Sec-Fetch-Mode", "Access-Control-Allow-Origin", "Pollux-Seq", "Pollux-Other",
		"Keep-Alive", "Proxy-Connection", "X-HTTP-Method-Override", "WWW-Authenticate"};
	static const char *const kept[] = {
		"ETag", "X-Checksum", "Server-Timing", "grpc-status", "Digest", "If", "Agent"};
	struct fields trailers;
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dropped); i++) {
		strcat(strcat(strcpy(text, "X: y\r\n"), dropped[i]), ": 5\r\n\r\n");
		assert_int_equal(parse_trailers(slice_from_string(text), &trailers), REASON_NONE);
		if (trailers.n != 1)
			fail_msg("kept: %s", dropped[i]);
		assert_text(trailers.items[0].name, "X");
	}
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		strcat(strcpy(text, kept[i]), ": 5\r\n\r\n");
		assert_int_equal(parse_trailers(slice_from_string(text), &trailers), REASON_NONE);
		if (trailers.n != 1)
			fail_msg("dropped: %s", kept[i]);
	}
}

static void trailer_lines_are_strict(void **state)
{
	struct fields trailers;

	(void)state;
	assert_int_equal(parse_trailers(SLICE("\r\n"), &trailers), REASON_NONE);
	assert_int_equal(trailers.n, 0);
	assert_int_not_equal(parse_trailers(SLICE("X : a\r\n\r\n"), &trailers), REASON_NONE);
	assert_int_not_equal(parse_trailers(SLICE("X\r\n\r\n"), &trailers), REASON_NONE);
	assert_int_not_equal(parse_trailers(SLICE("X: a\r\n b\r\n\r\n"), &trailers), REASON_NONE);
	assert_int_not_equal(parse_trailers(SLICE("X: a\r\n"), &trailers), REASON_NONE);
	assert_int_not_equal(parse_trailers(SLICE(""), &trailers), REASON_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_response_is_taken_apart),
		cmocka_unit_test(status_lines),
		cmocka_unit_test(field_lines_are_strict),
		cmocka_unit_test(framing_in_doubt_is_refused),
		cmocka_unit_test(bodies),
		cmocka_unit_test(answers_without_a_body),
		cmocka_unit_test(a_body_that_cannot_be_ends_the_connection),
		cmocka_unit_test(upgrades),
		cmocka_unit_test(who_closes),
		cmocka_unit_test(trailers_that_frame_or_route_are_dropped),
		cmocka_unit_test(trailer_lines_are_strict),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
