#include "bridge/client/post_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct post_limits limits = {.max_message = 5, .max_lines = 12};

static void kinds_by_content_type(void **state)
{
	static const struct {
		const char *type;
		enum post_kind kind;
	} rows[] = {
		{"", POST_TEXT},
		{"text/plain", POST_TEXT},
		{"TEXT/html", POST_TEXT},
		{"text/event-stream", POST_TEXT},
		{"application/json", POST_TEXT},
		{"Application/JSON", POST_TEXT},
		{"application/ld+json", POST_TEXT},
		{"application/vnd.a+b+JSON", POST_TEXT},
		{"application/+json", POST_UNSUPPORTED},
		{"application/json+x", POST_UNSUPPORTED},
		{"application/jsonl", POST_UNSUPPORTED},
		{"application/x-www-form-urlencoded", POST_TEXT},
		{"application/octet-stream", POST_BINARY},
		{"Application/Octet-Stream", POST_BINARY},
		{"application/x-ndjson", POST_LINES},
		{"application/X-NDJSON", POST_LINES},
		{"application/ndjson", POST_UNSUPPORTED},
		{"multipart/form-data; boundary=x", POST_UNSUPPORTED},
		{"image/png", POST_UNSUPPORTED},
		{"image/svg+json", POST_UNSUPPORTED},
		{"application/xml", POST_UNSUPPORTED},
		/* no media types */
		{"text", POST_UNSUPPORTED},
		{"text/", POST_UNSUPPORTED},
		{"/plain", POST_UNSUPPORTED},
		{"text/a/b", POST_UNSUPPORTED},
		{"text /plain", POST_UNSUPPORTED},
		{"text/plain, text/plain", POST_UNSUPPORTED},
		{";charset=utf-8", POST_UNSUPPORTED},
		{"*/*", POST_UNSUPPORTED},
		{"text/plain; charset", POST_UNSUPPORTED},
		{"text/plain; charset=", POST_UNSUPPORTED},
		{"text/plain; =utf-8", POST_UNSUPPORTED},
		{"text/plain; charset=\"utf-8", POST_UNSUPPORTED},
		{"text/plain; charset=\"utf-8\"x", POST_UNSUPPORTED},
		{"text/plain; charset=utf-8\"", POST_UNSUPPORTED},
		{"text/plain; charset=\"utf-8\\\"", POST_UNSUPPORTED},
		{"application/octet-stream; x", POST_UNSUPPORTED},
		/* other parameters */
		{"text/plain; x=y", POST_TEXT},
		{"text/plain ;\tx=\"a;charset=latin1\" ; y=\"\"", POST_TEXT},
		{"text/plain;", POST_TEXT},
		{"text/plain; x=\"a\\\";charset=latin1\"", POST_TEXT},
		{"text/plain; x=\"a\"b", POST_UNSUPPORTED},
		{"text/plain; ; x=y;", POST_TEXT},
		{"application/x-ndjson; profile=\"a,b\"", POST_LINES},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (post_kind_find(slice_from_string(rows[i].type)) != rows[i].kind)
			fail_msg("%s", rows[i].type);
}

static void charsets(void **state)
{
	static const struct {
		const char *parameters;
		bool is_good;
	} rows[] = {
		{"charset=utf-8", true},
		{"charset=UTF-8", true},
		{"Charset=utf8", true},
		{"charset=US-ASCII", true},
		{"charset=\"utf-8\"", true},
		{"charset=\"UT\\F-8\"", true},
		{"charset=utf-8; charset=\"UTF-8\"", true},
		{"charset=utf-8; charset=us-ascii", false},
		{"charset=utf-8; charset=utf8", false},
		{"charset=latin1; charset=utf-8", false},
		{"charset=utf-8; charset=latin1", false},
		{"charset=latin1; charset=latin1", false},
		{"charset=\"\"", false},
		{"charset=iso-8859-1", false},
		{"charset=utf-16", false},
		{"charset=ascii", false},
		{"charset='utf-8'", false},
		{"charset=utf-8-and-something-far-too-long", false},
		{"xcharset=latin1", true},
	};
	static const struct {
		const char *type;
		enum post_kind kind;
	} types[] = {
		{"text/plain", POST_TEXT},
		{"application/json", POST_TEXT},
		{"application/x-ndjson", POST_LINES},
		{"application/octet-stream", POST_BINARY},
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t j = 0; j < ARRAY_LEN(types); j++) {
			bool is_good = rows[i].is_good || types[j].kind == POST_BINARY;

			snprintf(text, sizeof(text), "%s; %s", types[j].type, rows[i].parameters);
			if (post_kind_find(slice_from_string(text)) !=
				(is_good ? types[j].kind : POST_UNSUPPORTED))
				fail_msg("%s", text);
		}
	}
}

static void limits_by_kind(void **state)
{
	(void)state;
	assert_int_equal(post_body_limit(POST_TEXT, &limits), 5);
	assert_int_equal(post_body_limit(POST_BINARY, &limits), 5);
	assert_int_equal(post_body_limit(POST_LINES, &limits), 12);
	assert_int_equal(post_body_limit(POST_UNSUPPORTED, &limits), 0);
}

static void bodies_are_checked(void **state)
{
	static const struct {
		enum post_kind kind;
		struct slice body;
		enum post_verdict verdict;
	} rows[] = {
#define ROW(kind, literal, verdict) {kind, {literal, sizeof(literal) - 1}, verdict}
		ROW(POST_TEXT, "", POST_OK),
		ROW(POST_TEXT, "abcde", POST_OK),
		ROW(POST_TEXT, "a\0b", POST_OK),
		ROW(POST_TEXT, "abcdef", POST_TOO_BIG),
		ROW(POST_TEXT, "\xc3\xa9", POST_OK),
		ROW(POST_TEXT, "\xff", POST_BAD_UTF8),
		ROW(POST_TEXT, "ab\xc3", POST_BAD_UTF8),
		ROW(POST_TEXT, "\xed\xa0\x80", POST_BAD_UTF8),
		ROW(POST_TEXT, "\xc0\x80", POST_BAD_UTF8),
		ROW(POST_TEXT, "\xff\xff\xff\xff\xff\xff", POST_TOO_BIG),
		ROW(POST_BINARY, "", POST_OK),
		ROW(POST_BINARY, "\xff\xfe\0\xc0\xc0", POST_OK),
		ROW(POST_BINARY, "abcdef", POST_TOO_BIG),
		ROW(POST_LINES, "", POST_OK),
		ROW(POST_LINES, "\n\r\n\n", POST_OK),
		ROW(POST_LINES, "abcde\nabcde\n", POST_OK),
		ROW(POST_LINES, "abcde\nabcde\na", POST_TOO_BIG),
		ROW(POST_LINES, "abcde\r\nabc\n", POST_OK),
		ROW(POST_LINES, "abcde\r", POST_TOO_BIG),
		ROW(POST_LINES, "a\nabcdef\nb", POST_TOO_BIG),
		ROW(POST_LINES, "a\nabcdef", POST_TOO_BIG),
		ROW(POST_LINES, "a\n\xff\n", POST_BAD_UTF8),
		ROW(POST_LINES, "a\xc3\n\xa9", POST_BAD_UTF8),
		ROW(POST_LINES, "a\n\xc3\xa9\n", POST_OK),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *exact = malloc(rows[i].body.n);
		enum post_verdict verdict;

		memcpy(exact, rows[i].body.p, rows[i].body.n);
		verdict = post_body_check(rows[i].kind, slice_of(exact, rows[i].body.n), &limits);
		if (verdict != rows[i].verdict)
			fail_msg("row %zu: %s", i, post_verdict_name(verdict));
		free(exact);
	}
}

static void an_absent_body_is_empty(void **state)
{
	struct slice none = slice_of(NULL, 0), line;

	(void)state;
	assert_int_equal(post_body_check(POST_TEXT, none, &limits), POST_OK);
	assert_int_equal(post_body_check(POST_BINARY, none, &limits), POST_OK);
	assert_int_equal(post_body_check(POST_LINES, none, &limits), POST_OK);
	assert_false(post_lines_next(&none, &line));
}

static void lines_are_walked(void **state)
{
	static const struct {
		const char *body;
		const char *lines; /* each in brackets */
	} rows[] = {
		{"", ""},
		{"\n", ""},
		{"\r\n", ""},
		{"\n\n\r\n", ""},
		{"a", "[a]"},
		{"a\n", "[a]"},
		{"a\r\n", "[a]"},
		{"a\r\r\n", "[a\r]"},
		{"a\r", "[a\r]"},
		{"\r", "[\r]"},
		{"\r\r\n", "[\r]"},
		{"a\rb\nc", "[a\rb][c]"},
		{"a\nb", "[a][b]"},
		{"\na\n\n\r\nb\r\n\n", "[a][b]"},
		{" \n", "[ ]"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice rest = slice_from_string(rows[i].body), line;
		char told[64] = "";

		while (post_lines_next(&rest, &line))
			snprintf(told + strlen(told), sizeof(told) - strlen(told), "[%.*s]",
				SLICE_ARG(line));
		assert_string_equal(told, rows[i].lines);
		assert_int_equal(rest.n, 0);
	}
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(post_kind_name(POST_TEXT), "text");
	assert_string_equal(post_kind_name(POST_BINARY), "binary");
	assert_string_equal(post_kind_name(POST_LINES), "lines");
	assert_string_equal(post_kind_name(POST_UNSUPPORTED), "unsupported");
	assert_string_equal(post_verdict_name(POST_OK), "ok");
	assert_string_equal(post_verdict_name(POST_BAD_UTF8), "bad utf-8");
	assert_string_equal(post_verdict_name(POST_TOO_BIG), "too big");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_by_content_type),
		cmocka_unit_test(charsets),
		cmocka_unit_test(limits_by_kind),
		cmocka_unit_test(bodies_are_checked),
		cmocka_unit_test(an_absent_body_is_empty),
		cmocka_unit_test(lines_are_walked),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
