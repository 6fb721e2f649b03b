/* Request heads: bytes in, the reason and the parsed head out. */
#include "proxy/http/h1_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const struct h1_limits limits = {
	.max_head_size = 1024, .max_fields = 16, .max_target_size = 200};
static struct arena arena;
static struct request_head head;

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

/* As a server would: the scan first, then the parser. */
static enum reason parse(struct slice text)
{
	struct h1_head_scan scan = {0};

	switch (h1_head_scan_continue(&scan, text, &limits, true)) {
	case H1_SCAN_MORE:
		fail_msg("the head has no end");
		return REASON_NONE;
	case H1_SCAN_REFUSED:
		return scan.reason;
	case H1_SCAN_HEAD:
		break;
	}
	assert_int_equal(scan.size, text.n);
	return h1_parse_request(text, &limits, &arena, &head);
}

#define PARSE(literal) parse(SLICE(literal))
/* A request that is right but for the lines given. */
#define PARSE_LINES(lines) PARSE("POST / HTTP/1.1\r\nHost: a\r\n" lines "\r\n")
#define PARSE_TARGET(target) PARSE("GET " target " HTTP/1.1\r\nHost: a\r\n\r\n")
#define PARSE_HOST(host) PARSE("GET / HTTP/1.1\r\nHost: " host "\r\n\r\n")

static void assert_text(struct slice s, const char *text)
{
	assert_int_equal(s.n, strlen(text));
	if (s.n > 0)
		assert_memory_equal(s.p, text, s.n);
}

#define assert_reason(expr, expected) assert_string_equal(reason_name(expr), reason_name(expected))
#define assert_accepted(expr) assert_reason(expr, REASON_NONE)

static void a_plain_request_is_taken_apart(void **state)
{
	(void)state;
	assert_accepted(
		PARSE("GET /a/b?c=d?e HTTP/1.1\r\nHost: example.com:8080\r\n"
		      "X-One: 1\r\nx-two:\t two words \t\r\nX-Empty:\r\nX-Blank: \t \r\n\r\n"));
	assert_int_equal(head.method, METHOD_GET);
	assert_text(head.method_name, "GET");
	assert_text(head.target, "/a/b?c=d?e");
	assert_text(head.path, "/a/b");
	assert_true(head.has_query);
	assert_text(head.query, "c=d?e");
	assert_text(head.authority, "example.com:8080");
	assert_int_equal(head.version_minor, 1);
	assert_false(head.is_http2);
	assert_false(head.wants_close);
	assert_false(head.expects_100);
	assert_false(head.wants_websocket);
	assert_int_equal(head.body, BODY_NONE);
	assert_int_equal(head.fields.n, 5);
	assert_text(head.fields.items[1].name, "X-One");
	assert_text(head.fields.items[1].value, "1");
	assert_text(head.fields.items[2].name, "x-two");
	assert_text(head.fields.items[2].value, "two words");
	assert_text(head.fields.items[3].value, "");
	assert_text(head.fields.items[4].value, "");
}

static void the_end_is_found_however_the_bytes_come(void **state)
{
	struct slice text = SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next");
	const size_t size = text.n - 9;
	struct h1_head_scan scan = {0};

	(void)state;
	for (size_t n = 0; n < size; n++) {
		assert_int_equal(h1_head_scan_continue(&scan, slice_first(text, n), &limits, true),
			H1_SCAN_MORE);
	}
	assert_int_equal(
		h1_head_scan_continue(&scan, slice_first(text, size), &limits, true), H1_SCAN_HEAD);
	assert_int_equal(scan.size, size);
	scan = (struct h1_head_scan){0};
	assert_int_equal(h1_head_scan_continue(&scan, text, &limits, true), H1_SCAN_HEAD);
	assert_int_equal(scan.size, size);
}

static void one_empty_line_may_come_first(void **state)
{
	bool more;

	(void)state;
	assert_int_equal(h1_skip_empty_line(SLICE("\r\nGET"), &more), 2);
	assert_false(more);
	assert_int_equal(h1_skip_empty_line(SLICE("\r"), &more), 0);
	assert_true(more);
	assert_int_equal(h1_skip_empty_line(SLICE(""), &more), 0);
	assert_false(more);
	assert_int_equal(h1_skip_empty_line(SLICE("GET"), &more), 0);
	assert_false(more);
	assert_int_equal(h1_skip_empty_line(SLICE("\rG"), &more), 0);
	assert_false(more);
	assert_int_equal(h1_skip_empty_line(SLICE("\nG"), &more), 0);
	assert_reason(PARSE("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
}

static void bare_line_feeds_are_refused(void **state)
{
	(void)state;
	assert_reason(PARSE("GET / HTTP/1.1\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.1\r\nHost: a\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.1\r\nHost: a\r\n\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.1\r\nHost: a\n\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
}

/* As soon as they are seen, and by the parser too. */
static void bare_line_feeds_are_refused_early(void **state)
{
	struct h1_head_scan scan = {0};

	(void)state;
	assert_int_equal(
		h1_head_scan_continue(&scan, SLICE("GET / HTTP/1.1\r\nHost: a\n"), &limits, true),
		H1_SCAN_REFUSED);
	assert_int_equal(scan.reason, REASON_BAD_REQUEST);
	scan = (struct h1_head_scan){0};
	assert_int_equal(h1_head_scan_continue(&scan, SLICE("HTTP/1.1 200 OK\n"), &limits, false),
		H1_SCAN_REFUSED);
	assert_reason(h1_parse_request(
			      SLICE("GET / HTTP/1.1\n\nHost: a\r\n\r\n"), &limits, &arena, &head),
		REASON_BAD_REQUEST);
	assert_reason(
		h1_parse_request(SLICE("GET / HTTP/1.1 \nHost: a\r\n\r\n"), &limits, &arena, &head),
		REASON_BAD_REQUEST);
}

static void bare_carriage_returns_are_refused(void **state)
{
	(void)state;
	assert_reason(PARSE("GET / HTTP/1.1\rX: y\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X: a\rb\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X: a\rTransfer-Encoding: chunked\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X: a\r\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X: \r\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("\rX: a\r\n"), REASON_BAD_REQUEST);
}

static void something_else_than_http_is_refused_at_its_first_byte(void **state)
{
	struct h1_head_scan scan = {0};

	(void)state;
	assert_int_equal(
		h1_head_scan_continue(&scan, SLICE("\x16"), &limits, true), H1_SCAN_REFUSED);
	assert_int_equal(scan.reason, REASON_BAD_REQUEST);
}

/* Each byte that may not stand in a value is refused at each place of it. */
static void control_bytes_in_values_are_refused(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool is_refused = (c < 0x20 && c != '\t') || c == 0x7f;

		for (size_t place = 0; place < 20; place++) {
			char text[] =
				"GET / HTTP/1.1\r\nHost: a\r\nX: 0abcdefghijklmnopqrst9\r\n\r\n";

			if (c == '\n')
				continue; /* the scan's matter */
			strchr(text, '0')[place + 1] = (char)c;
			assert_reason(h1_parse_request(slice_of(text, sizeof(text) - 1), &limits,
					      &arena, &head),
				is_refused ? REASON_BAD_REQUEST : REASON_NONE);
		}
	}
}

/* Each byte in a name: token characters only, and a colon ends it. */
static void names_are_tokens(void **state)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX@Y: z\r\n\r\n";
		bool is_token = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			(c >= 'a' && c <= 'z') || (c != 0 && strchr(others, (int)c) != NULL);
		char one = (char)c;

		*strchr(text, '@') = one;
		assert_int_equal(h1_is_token(slice_of(&one, 1)), is_token);
		assert_reason(
			h1_parse_request(slice_of(text, sizeof(text) - 1), &limits, &arena, &head),
			is_token || c == ':' ? REASON_NONE : REASON_BAD_REQUEST);
	}
	assert_false(h1_is_token(SLICE("")));
	assert_true(h1_is_field_value(SLICE("")));
	assert_true(h1_is_field_value(SLICE("a \t\x80\xff")));
	assert_false(h1_is_field_value(SLICE("a\x7f")));
	assert_false(h1_is_field_value(SLICE("01234567\r")));
}

static void field_lines_are_strict(void **state)
{
	(void)state;
	assert_reason(PARSE_LINES("X : a\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X\t: a\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES(": a\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X a\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES(" X: a\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X: a\r\n folded\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X: a\r\n\tfolded\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("X: a\r\n \r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
}

/* The parser itself does not rely on the scan. */
static void cut_and_overlong_heads_are_refused_by_the_parser_too(void **state)
{
	struct slice text = SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\nX");

	(void)state;
	for (size_t n = 1; n <= text.n; n++)
		assert_int_equal(h1_parse_request(slice_first(text, n), &limits, &arena, &head) ==
				REASON_NONE,
			n == text.n - 1);
}

static void the_request_line_is_strict(void **state)
{
	(void)state;
	assert_reason(PARSE("GET\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET /\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / /b HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("G{T / HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET@ / HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_accepted(PARSE("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_int_equal(head.method, METHOD_OTHER);
	assert_text(head.method_name, "M-SEARCH");
	assert_accepted(PARSE("get / HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_int_equal(head.method, METHOD_OTHER);
	assert_accepted(PARSE("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_reason(PARSE("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / HTTP/1.1\r\nHost: a\r\n\r\n"),
		REASON_BAD_REQUEST);
}

static void versions(void **state)
{
	(void)state;
	assert_accepted(PARSE("GET / HTTP/1.0\r\n\r\n"));
	assert_int_equal(head.version_minor, 0);
	assert_accepted(PARSE("GET / HTTP/1.2\r\nHost: a\r\n\r\n"));
	assert_int_equal(head.version_minor, 1);
	assert_reason(PARSE("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), REASON_VERSION);
	assert_reason(PARSE("GET / HTTP/2\r\nHost: a\r\n\r\n"), REASON_VERSION);
	assert_reason(PARSE("GET / HTTP/3\r\nHost: a\r\n\r\n"), REASON_VERSION);
	assert_reason(PARSE("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), REASON_VERSION);
	assert_reason(PARSE("PRI * HTTP/2.0\r\n\r\n"), REASON_VERSION);
	assert_reason(PARSE("GET / http/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/11.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1,1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/+1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTPS/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE("GET / HTTP/1.1a\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
}

static void target_bytes_are_visible_ascii_but_the_fragment_sign(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		char text[] = "GET /a@b HTTP/1.1\r\nHost: a\r\n\r\n";
		bool is_allowed = c > 0x20 && c < 0x7f && c != '#';

		*strchr(text, '@') = (char)c;
		assert_reason(
			h1_parse_request(slice_of(text, sizeof(text) - 1), &limits, &arena, &head),
			is_allowed ? REASON_NONE : REASON_BAD_REQUEST);
	}
}

static void target_forms(void **state)
{
	(void)state;
	assert_accepted(PARSE_TARGET("/?"));
	assert_true(head.has_query);
	assert_text(head.query, "");
	assert_accepted(PARSE_TARGET("//a/../b"));
	assert_text(head.path, "//a/../b");
	assert_false(head.has_query);
	assert_accepted(PARSE("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_text(head.target, "*");
	assert_text(head.path, "*");
	assert_reason(PARSE_TARGET("*"), REASON_BAD_REQUEST);
	assert_reason(PARSE("OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_TARGET("a"), REASON_BAD_REQUEST);
	assert_reason(PARSE_TARGET("a:80"), REASON_BAD_REQUEST);
	assert_reason(PARSE_TARGET("?a"), REASON_BAD_REQUEST);
	assert_reason(PARSE_TARGET("ftp://a/"), REASON_BAD_REQUEST);
	assert_reason(PARSE_TARGET("http:/a"), REASON_BAD_REQUEST);
	assert_reason(PARSE("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), REASON_METHOD);
	assert_int_equal(head.method, METHOD_CONNECT);
	assert_reason(PARSE("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"), REASON_METHOD);
}

static void an_absolute_target_replaces_host(void **state)
{
	(void)state;
	assert_accepted(PARSE_TARGET("http://b.example:81/p?q"));
	assert_text(head.authority, "b.example:81");
	assert_text(head.target, "/p?q");
	assert_text(head.path, "/p");
	assert_text(head.query, "q");
	assert_accepted(PARSE_TARGET("HTTPS://b"));
	assert_text(head.authority, "b");
	assert_text(head.target, "/");
	assert_accepted(PARSE_TARGET("http://b?q"));
	assert_text(head.target, "/?q");
	assert_text(head.path, "/");
	assert_text(head.query, "q");
	assert_accepted(PARSE("OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n"));
	assert_text(head.target, "*");
	assert_accepted(PARSE("OPTIONS http://b/ HTTP/1.1\r\nHost: b\r\n\r\n"));
	assert_text(head.target, "/");
	assert_accepted(PARSE("OPTIONS http://b?q HTTP/1.1\r\nHost: b\r\n\r\n"));
	assert_text(head.target, "/?q");
	assert_accepted(PARSE("GET http://b/ HTTP/1.1\r\nHost:\r\n\r\n"));
	assert_text(head.authority, "b");
	assert_accepted(PARSE("GET http://b/ HTTP/1.0\r\n\r\n"));
	assert_text(head.authority, "b");
	assert_reason(PARSE_TARGET("http://"), REASON_BAD_HOST);
	assert_reason(PARSE_TARGET("http:///p"), REASON_BAD_HOST);
	assert_reason(PARSE_TARGET("http://?q"), REASON_BAD_HOST);
	assert_reason(PARSE_TARGET("http://u@b/"), REASON_BAD_HOST);
	assert_reason(PARSE_TARGET("http://u:p@b/"), REASON_BAD_HOST);
	assert_reason(PARSE_TARGET("http://b,c/"), REASON_BAD_HOST);
	assert_reason(PARSE_TARGET("http://b\\c/"), REASON_BAD_HOST);
	assert_reason(PARSE("GET http://b/ HTTP/1.1\r\n\r\n"), REASON_BAD_HOST);
	assert_reason(PARSE("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n"), REASON_BAD_HOST);
	assert_reason(
		PARSE("GET http://b/ HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n"), REASON_BAD_HOST);
}

static void host_is_there_once_and_valid(void **state)
{
	(void)state;
	assert_reason(PARSE("GET / HTTP/1.1\r\n\r\n"), REASON_BAD_HOST);
	assert_reason(PARSE("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), REASON_BAD_HOST);
	assert_reason(PARSE("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"), REASON_BAD_HOST);
	assert_reason(PARSE_HOST(""), REASON_BAD_HOST);
	assert_accepted(PARSE("GET / HTTP/1.0\r\n\r\n"));
	assert_text(head.authority, "");
	assert_accepted(PARSE("GET / HTTP/1.0\r\nHost:\r\n\r\n"));
	assert_text(head.authority, "");
	assert_accepted(PARSE("GET / HTTP/1.0\r\nHost: b\r\n\r\n"));
	assert_text(head.authority, "b");
	assert_reason(PARSE_HOST("u@a"), REASON_BAD_HOST);
	assert_reason(PARSE_HOST("a/b"), REASON_BAD_HOST);
	assert_reason(PARSE_HOST("a?b"), REASON_BAD_HOST);
	assert_reason(PARSE_HOST("a, b"), REASON_BAD_HOST);
	assert_reason(PARSE_HOST("a,b"), REASON_BAD_HOST);
	assert_reason(PARSE_HOST("a b"), REASON_BAD_HOST);
	assert_reason(PARSE_HOST("http://a"), REASON_BAD_HOST);
}

static void authorities(void **state)
{
	static const char *const good[] = {"a", "example.com", "example.com.", "a-b_c~d",
		"127.0.0.1", "a:80", "a:", "a:0", "a:65535", "[::1]", "[::1]:80",
		"[fe80::1]:", "[::ffff:127.0.0.1]", "xn--bcher-kva.example"};
	static const char *const bad[] = {"", ":", ":80", "a:65536", "a:100000", "a:-1", "a:+1",
		"a:8x", "a:80:80", "a::", "::1", "[::1", "[]", "[::1]80", "[::1]]", "[:::1]",
		"[127.0.0.1]", "[::1%25eth0]", "[v1.a]", "a%41", "a@b", "a;b", "a=b", "a/", "a?",
		"a#", "a\\b", "a b", "a\tb", "*", "a\x80", "a:80 ",
		"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!h1_is_authority(slice_from_string(good[i])))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (h1_is_authority(slice_from_string(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	assert_false(h1_is_authority(SLICE("[::1\0]")));
}

static void content_length_is_strict(void **state)
{
	(void)state;
	assert_accepted(PARSE_LINES("Content-Length: 5\r\n"));
	assert_int_equal(head.body, BODY_LENGTH);
	assert_int_equal(head.content_length, 5);
	assert_accepted(PARSE_LINES("content-length:0\r\n"));
	assert_int_equal(head.body, BODY_LENGTH);
	assert_int_equal(head.content_length, 0);
	assert_accepted(PARSE_LINES("Content-Length: 9223372036854775807\r\n"));
	assert_true(head.content_length == INT64_MAX);
	assert_reason(PARSE_LINES("Content-Length: 9223372036854775808\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: 18446744073709551621\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length:\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: +1\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: -1\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: 0x5\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: 1_0\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: 1 0\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: 5.0\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: \"5\"\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: 5, 5\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: 5,\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length: 5, 6\r\n"), REASON_BAD_FRAMING);
	assert_reason(
		PARSE_LINES("Content-Length: 5\r\nContent-Length: 5\r\n"), REASON_BAD_FRAMING);
	assert_reason(
		PARSE_LINES("Content-Length: 5\r\ncontent-length: 6\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Content-Length : 5\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("Content-Length\0: 5\r\n"), REASON_BAD_REQUEST);
}

static void transfer_encoding_is_chunked_or_refused(void **state)
{
	(void)state;
	assert_accepted(PARSE_LINES("Transfer-Encoding: chunked\r\n"));
	assert_int_equal(head.body, BODY_CHUNKED);
	assert_accepted(PARSE_LINES("transfer-ENCODING:\t CHUNKED \t\r\n"));
	assert_int_equal(head.body, BODY_CHUNKED);
	assert_reason(PARSE_LINES("Transfer-Encoding: xchunked\r\n"), REASON_TRANSFER_CODING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunkedx\r\n"), REASON_TRANSFER_CODING);
	assert_reason(PARSE_LINES("Transfer-Encoding: gzip, chunked\r\n"), REASON_TRANSFER_CODING);
	assert_reason(PARSE_LINES("Transfer-Encoding: gzip\r\n"), REASON_TRANSFER_CODING);
	assert_reason(PARSE_LINES("Transfer-Encoding: identity\r\n"), REASON_TRANSFER_CODING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked, gzip\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked, identity\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked, chunked\r\n"), REASON_BAD_FRAMING);
	assert_reason(
		PARSE_LINES("Transfer-Encoding: gzip, chunked, chunked\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: ,chunked\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked,\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked;a=b\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked;\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: \"chunked\"\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chun ked\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding:\r\n"), REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: \xff"
				  "chunked\r\n"),
		REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: \x0b"
				  "chunked\r\n"),
		REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked\0\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("Transfer-Encoding : chunked\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("Transfer-Encoding:\r\n chunked\r\n"), REASON_BAD_REQUEST);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
		REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"),
		REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n"),
		REASON_BAD_FRAMING);
}

static void both_framings_are_refused(void **state)
{
	(void)state;
	assert_reason(PARSE_LINES("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
		REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
		REASON_BAD_FRAMING);
	assert_reason(PARSE_LINES("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n"),
		REASON_BAD_FRAMING);
	assert_reason(
		PARSE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), REASON_BAD_FRAMING);
}

static void framing_is_read_on_any_method(void **state)
{
	(void)state;
	assert_accepted(PARSE("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"));
	assert_int_equal(head.content_length, 3);
	assert_accepted(
		PARSE("OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
	assert_int_equal(head.body, BODY_CHUNKED);
	assert_accepted(PARSE("POST / HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_int_equal(head.body, BODY_NONE);
}

static void connection_options(void **state)
{
	(void)state;
	assert_accepted(PARSE_LINES("Connection: close\r\n"));
	assert_true(head.wants_close);
	assert_accepted(PARSE_LINES("Connection: x, ,CLOSE\r\nConnection: keep-alive\r\n"));
	assert_true(head.wants_close);
	assert_accepted(PARSE_LINES("Connection: closed, keep-alive\r\n"));
	assert_false(head.wants_close);
	assert_accepted(PARSE("GET / HTTP/1.0\r\n\r\n"));
	assert_true(head.wants_close);
	assert_accepted(PARSE("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
	assert_false(head.wants_close);
	assert_accepted(PARSE("GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n"));
	assert_true(head.wants_close);
}

/* Each field is looked for among the options: a long row of them would cost a lot of time. */
static void too_many_connection_options_are_431(void **state)
{
#define OPTIONS_64 "aaaaaaa,aaaaaaa,aaaaaaa,aaaaaaa,aaaaaaa,aaaaaaa,aaaaaaa,aaaaaaa,"
	(void)state;
	assert_reason(PARSE_LINES("Connection: " OPTIONS_64 OPTIONS_64 OPTIONS_64 OPTIONS_64
				  "\r\nConnection: close\r\n"),
		REASON_NONE);
	assert_true(head.wants_close);
	assert_reason(PARSE_LINES("Connection: " OPTIONS_64 OPTIONS_64 OPTIONS_64 OPTIONS_64
				  "\r\nConnection: " OPTIONS_64 OPTIONS_64 OPTIONS_64 OPTIONS_64
				  "\r\nConnection: close\r\n"),
		REASON_HEADER_TOO_LARGE);
}

static void expectations(void **state)
{
	(void)state;
	assert_accepted(PARSE_LINES("Content-Length: 1\r\nExpect: 100-Continue\r\n"));
	assert_true(head.expects_100);
	assert_reason(PARSE_LINES("Expect: 100-continue2\r\n"), REASON_EXPECTATION);
	assert_reason(PARSE_LINES("Expect: 100-continue, x\r\n"), REASON_EXPECTATION);
	assert_reason(PARSE_LINES("Expect: y 100-continue\r\n"), REASON_EXPECTATION);
	assert_reason(PARSE_LINES("Expect: 100-continue;a=b\r\n"), REASON_EXPECTATION);
	assert_reason(PARSE_LINES("Expect:\r\n"), REASON_EXPECTATION);
	assert_reason(PARSE_LINES("Expect: 100-continue\r\nExpect: 100-continue\r\n"),
		REASON_EXPECTATION);
	assert_accepted(PARSE("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"));
	assert_false(head.expects_100);
}

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define PARSE_WS(lines) PARSE("GET / HTTP/1.1\r\nHost: a\r\n" lines "\r\n")

static void assert_websocket(enum reason parsed, enum reason reason)
{
	assert_accepted(parsed);
	assert_true(head.wants_websocket);
	assert_reason(head.websocket_reason, reason);
	assert_int_equal(head.is_websocket, reason == REASON_NONE);
}

static void a_handshake_is_valid_as_a_whole_or_not_at_all(void **state)
{
	(void)state;
	assert_websocket(PARSE_WS(UPGRADE KEY VERSION), REASON_NONE);
	assert_websocket(
		PARSE_WS("Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n" KEY VERSION
			 "Content-Length: 0\r\n"),
		REASON_NONE);
	assert_websocket(PARSE("POST / HTTP/1.1\r\nHost: a\r\n" UPGRADE KEY VERSION "\r\n"),
		REASON_BAD_WEBSOCKET);
	assert_websocket(PARSE_WS(UPGRADE VERSION), REASON_BAD_WEBSOCKET);
	assert_websocket(PARSE_WS(UPGRADE KEY KEY VERSION), REASON_BAD_WEBSOCKET);
	assert_websocket(PARSE_WS(UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"),
		REASON_BAD_WEBSOCKET);
	assert_websocket(PARSE_WS(UPGRADE KEY), REASON_BAD_WEBSOCKET);
	assert_websocket(PARSE_WS(UPGRADE KEY VERSION VERSION), REASON_BAD_WEBSOCKET);
	assert_websocket(
		PARSE_WS(UPGRADE KEY VERSION "Content-Length: 1\r\n"), REASON_BAD_WEBSOCKET);
	assert_websocket(PARSE_WS(UPGRADE KEY VERSION "Transfer-Encoding: chunked\r\n"),
		REASON_BAD_WEBSOCKET);
	assert_websocket(PARSE_WS("Connection: upgrade\r\nUpgrade: websocket, h2c\r\n" KEY VERSION),
		REASON_BAD_WEBSOCKET);
	assert_websocket(PARSE_WS(UPGRADE "Upgrade: h2c\r\n" KEY VERSION), REASON_BAD_WEBSOCKET);
	assert_websocket(
		PARSE_WS(UPGRADE KEY "Sec-WebSocket-Version: 8\r\n"), REASON_WEBSOCKET_VERSION);
	assert_websocket(
		PARSE_WS(UPGRADE "Sec-WebSocket-Version: 777\r\n"), REASON_WEBSOCKET_VERSION);
	assert_websocket(
		PARSE_WS(UPGRADE KEY "Sec-WebSocket-Version: 13, 8\r\n"), REASON_WEBSOCKET_VERSION);
	assert_websocket(
		PARSE_WS(UPGRADE KEY "Sec-WebSocket-Version: 013\r\n"), REASON_WEBSOCKET_VERSION);
}

static void assert_no_websocket(enum reason parsed)
{
	assert_accepted(parsed);
	assert_false(head.wants_websocket);
	assert_false(head.is_websocket);
	assert_int_equal(head.websocket_reason, REASON_NONE);
}

static void other_upgrades_are_ignored(void **state)
{
	(void)state;
	assert_no_websocket(PARSE_WS("Upgrade: websocket\r\n" KEY VERSION));
	assert_no_websocket(
		PARSE_WS("Connection: keep-alive\r\nUpgrade: websocket\r\n" KEY VERSION));
	assert_no_websocket(PARSE_WS("Connection: upgrade\r\n" KEY VERSION));
	assert_no_websocket(PARSE_WS("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
				     "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"));
	assert_no_websocket(PARSE_WS("Connection: upgrade\r\nUpgrade: websockets\r\n" KEY VERSION));
	assert_no_websocket(PARSE("GET / HTTP/1.0\r\nHost: a\r\n" UPGRADE KEY VERSION "\r\n"));
}

static void a_long_first_line_is_414_and_long_fields_are_431(void **state)
{
	char letters[2048], text[2048];
	int n;

	(void)state;
	memset(letters, 'a', sizeof(letters));
	n = snprintf(text, sizeof(text), "GET /%.199s HTTP/1.1\r\nHost: a\r\n\r\n", letters);
	assert_accepted(parse(slice_of(text, (size_t)n)));
	n = snprintf(text, sizeof(text), "GET /%.200s HTTP/1.1\r\nHost: a\r\n\r\n", letters);
	assert_reason(parse(slice_of(text, (size_t)n)), REASON_URI_TOO_LONG);
	n = snprintf(text, sizeof(text), "GET /%.1500s HTTP/1.1\r\nHost: a\r\n\r\n", letters);
	assert_reason(parse(slice_of(text, (size_t)n)), REASON_URI_TOO_LONG);
	n = snprintf(text, sizeof(text), "GET /%.1500s", letters);
	assert_reason(parse(slice_of(text, (size_t)n)), REASON_URI_TOO_LONG);
	n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: %.992s\r\n\r\n", letters);
	assert_int_equal(n, 1024);
	assert_accepted(parse(slice_of(text, (size_t)n)));
	n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: %.993s\r\n\r\n", letters);
	assert_reason(parse(slice_of(text, (size_t)n)), REASON_HEADER_TOO_LARGE);
	n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: %.1500s", letters);
	assert_reason(parse(slice_of(text, (size_t)n)), REASON_HEADER_TOO_LARGE);
}

static void too_many_fields_are_431(void **state)
{
	(void)state;
#define FOUR "A: b\r\nA: b\r\nA: b\r\nA: b\r\n"
	assert_accepted(PARSE_LINES(FOUR FOUR FOUR "A: b\r\nA: b\r\nA: b\r\n"));
	assert_int_equal(head.fields.n, limits.max_fields);
	assert_reason(PARSE_LINES(FOUR FOUR FOUR FOUR), REASON_HEADER_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_request_is_taken_apart),
		cmocka_unit_test(the_end_is_found_however_the_bytes_come),
		cmocka_unit_test(one_empty_line_may_come_first),
		cmocka_unit_test(bare_line_feeds_are_refused),
		cmocka_unit_test(bare_line_feeds_are_refused_early),
		cmocka_unit_test(bare_carriage_returns_are_refused),
		cmocka_unit_test(something_else_than_http_is_refused_at_its_first_byte),
		cmocka_unit_test(control_bytes_in_values_are_refused),
		cmocka_unit_test(names_are_tokens),
		cmocka_unit_test(field_lines_are_strict),
		cmocka_unit_test(cut_and_overlong_heads_are_refused_by_the_parser_too),
		cmocka_unit_test(the_request_line_is_strict),
		cmocka_unit_test(versions),
		cmocka_unit_test(target_bytes_are_visible_ascii_but_the_fragment_sign),
		cmocka_unit_test(target_forms),
		cmocka_unit_test(an_absolute_target_replaces_host),
		cmocka_unit_test(host_is_there_once_and_valid),
		cmocka_unit_test(authorities),
		cmocka_unit_test(content_length_is_strict),
		cmocka_unit_test(transfer_encoding_is_chunked_or_refused),
		cmocka_unit_test(both_framings_are_refused),
		cmocka_unit_test(framing_is_read_on_any_method),
		cmocka_unit_test(connection_options),
		cmocka_unit_test(too_many_connection_options_are_431),
		cmocka_unit_test(expectations),
		cmocka_unit_test(a_handshake_is_valid_as_a_whole_or_not_at_all),
		cmocka_unit_test(other_upgrades_are_ignored),
		cmocka_unit_test(a_long_first_line_is_414_and_long_fields_are_431),
		cmocka_unit_test(too_many_fields_are_431),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
