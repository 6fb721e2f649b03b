#include "bridge/client/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;

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

static char *listed[] = {"https://a.example", "http://b.example:8080", "null"};
static const struct conf_strings list = {listed, 3};
static const struct conf_strings empty = {NULL, 0};

static enum origin_verdict check(const char *scheme, const char *host, const char *origin,
	const char *site, const struct conf_strings *allowed)
{
	struct fields fields = {0};

	fields_add(&fields, &arena, SLICE("Host"), slice_from_string(host));
	if (origin != NULL)
		fields_add(&fields, &arena, SLICE("Origin"), slice_from_string(origin));
	if (site != NULL)
		fields_add(&fields, &arena, SLICE("Sec-Fetch-Site"), slice_from_string(site));
	return origin_check(&fields, slice_from_string(scheme), slice_from_string(host), allowed);
}

static void origin_and_site_decide_together(void **state)
{
	static const struct {
		const char *origin;
		const char *site;
		enum origin_verdict without_list;
		enum origin_verdict with_list;
	} rows[] = {
		{NULL, NULL, ORIGIN_NONE, ORIGIN_NONE},
		{NULL, "same-origin", ORIGIN_NONE, ORIGIN_NONE},
		{NULL, "none", ORIGIN_NONE, ORIGIN_NONE},
		{NULL, "same-site", ORIGIN_REFUSED, ORIGIN_REFUSED},
		{NULL, "cross-site", ORIGIN_REFUSED, ORIGIN_REFUSED},
		{NULL, "Same-Origin", ORIGIN_REFUSED, ORIGIN_REFUSED},
		{NULL, "same-origin, none", ORIGIN_REFUSED, ORIGIN_REFUSED},
		{NULL, "", ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://own.example", NULL, ORIGIN_SAME, ORIGIN_SAME},
		{"https://own.example", "same-origin", ORIGIN_SAME, ORIGIN_SAME},
		{"https://own.example", "none", ORIGIN_SAME, ORIGIN_SAME},
		{"https://own.example", "same-site", ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://own.example", "cross-site", ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://evil.example", NULL, ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://evil.example", "same-origin", ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://evil.example", "none", ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://a.example", NULL, ORIGIN_REFUSED, ORIGIN_LISTED},
		{"https://a.example", "cross-site", ORIGIN_REFUSED, ORIGIN_LISTED},
		{"HTTPS://A.Example", "cross-site", ORIGIN_REFUSED, ORIGIN_LISTED},
		{"http://a.example", NULL, ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://a.example:443", NULL, ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://a.example.evil", NULL, ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://a.exampl", NULL, ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"http://b.example:8080", NULL, ORIGIN_REFUSED, ORIGIN_LISTED},
		{"http://b.example", NULL, ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"null", NULL, ORIGIN_REFUSED, ORIGIN_LISTED},
		{"null", "cross-site", ORIGIN_REFUSED, ORIGIN_LISTED},
		{"null", "same-origin", ORIGIN_REFUSED, ORIGIN_LISTED},
		{"", NULL, ORIGIN_REFUSED, ORIGIN_REFUSED},
		{"https://own.example https://own.example", NULL, ORIGIN_REFUSED, ORIGIN_REFUSED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum origin_verdict without_list =
			check("https", "own.example", rows[i].origin, rows[i].site, &empty);
		enum origin_verdict with_list =
			check("https", "own.example", rows[i].origin, rows[i].site, &list);

		if (without_list != rows[i].without_list || with_list != rows[i].with_list)
			fail_msg("%s, %s: %s, %s", rows[i].origin, rows[i].site,
				origin_verdict_name(without_list), origin_verdict_name(with_list));
	}
}

static void same_origin_is_scheme_host_and_port(void **state)
{
	static const struct {
		const char *scheme;
		const char *host;
		const char *origin;
		bool is_same;
	} rows[] = {
		{"http", "a", "http://a", true},
		{"http", "a", "https://a", false},
		{"https", "a", "http://a", false},
		{"http", "A.Example", "http://a.eXAMPLE", true},
		{"http", "a", "HTTP://a", true},
		{"http", "a:80", "http://a", true},
		{"http", "a", "http://a:80", true},
		{"https", "a:443", "https://a", true},
		{"https", "a:80", "https://a", false},
		{"http", "a:443", "https://a:443", false},
		{"http", "a:8080", "http://a:8080", true},
		{"http", "a:8080", "http://a", false},
		{"http", "a", "http://a:8080", false},
		{"http", "a:", "http://a", true},
		{"http", "[::1]", "http://[::1]", true},
		{"http", "[::1]:80", "http://[::1]", true},
		{"http", "[::1]:8080", "http://[::1]:8080", true},
		{"http", "[::1]:8080", "http://[::1]", false},
		{"http", "[::1]", "http://[::2]", false},
		{"http", "a", "http://a.b", false},
		{"http", "a.b", "http://a", false},
		{"http", "a", "http://a/", false},
		{"http", "a:80", "http://a:80/", false},
		{"http", "a", "http://x@a", false},
		{"http", "a", "http://a@b", false},
		{"http", "a", "http:a", false},
		{"http", "a", "http:xya", false},
		{"http", "a", "http:/a", false},
		{"http", "a", "http:///a", false},
		{"http", "a", "//a", false},
		{"http", "a", "a", false},
		{"http", "a", "://a", false},
		{"http", "a", "http://", false},
		{"http", "", "http://", false},
		{"http", "", "http://a", false},
		{"http", ":80", "http://:80", false},
		{"http", "a:99999", "http://a:99999", false},
		{"http", "a:8x", "http://a:8x", false},
		{"http", "a", "null", false},
		{"http", "null", "null", false},
		{"http", "a", "file://", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum origin_verdict must = rows[i].is_same ? ORIGIN_SAME : ORIGIN_REFUSED;

		if (check(rows[i].scheme, rows[i].host, rows[i].origin, NULL, &empty) != must)
			fail_msg("%s %s, %s", rows[i].scheme, rows[i].host, rows[i].origin);
	}
}

static void a_field_that_stands_twice_is_refused(void **state)
{
	static const struct {
		const char *name;
		const char *value;
	} rows[] = {
		{"Origin", "https://a.example"},
		{"Origin", "https://own.example"},
		{"Sec-Fetch-Site", "same-origin"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fields fields = {0};

		for (unsigned j = 0; j < 2; j++)
			fields_add(&fields, &arena, slice_from_string(rows[i].name),
				slice_from_string(rows[i].value));
		assert_int_equal(origin_check(&fields, SLICE("https"), SLICE("own.example"), &list),
			ORIGIN_REFUSED);
	}
}

/* "Name: value" lines. */
static void assert_fields(const struct fields *fields, const char *text)
{
	char told[1024] = "";

	for (uint32_t i = 0; i < fields->n; i++) {
		assert_int_equal(fields->items[i].id, field_id_find(fields->items[i].name));
		snprintf(told + strlen(told), sizeof(told) - strlen(told), "%.*s: %.*s\n",
			SLICE_ARG(fields->items[i].name), SLICE_ARG(fields->items[i].value));
	}
	assert_string_equal(told, text);
}

#define LISTED_FIELDS \
	"Access-Control-Allow-Origin: HTTPS://A.example\n" \
	"Access-Control-Allow-Credentials: true\n" \
	"Access-Control-Expose-Headers: Pollux-Session, Pollux-Cursor, Pollux-Seq, Location, " \
	"Link, Retry-After, Sec-WebSocket-Protocol\n"

static void fields_of_every_answer(void **state)
{
	static const struct {
		enum origin_verdict verdict;
		bool has_list;
		const char *text;
	} rows[] = {
		{ORIGIN_NONE, false, ""},
		{ORIGIN_SAME, false, ""},
		{ORIGIN_REFUSED, false, ""},
		{ORIGIN_NONE, true, "Vary: Origin\n"},
		{ORIGIN_SAME, true, "Vary: Origin\n"},
		{ORIGIN_REFUSED, true, "Vary: Origin\n"},
		{ORIGIN_LISTED, true, "Vary: Origin\n" LISTED_FIELDS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fields fields = {0};

		origin_add_fields(&fields, &arena, rows[i].verdict, SLICE("HTTPS://A.example"),
			rows[i].has_list ? &list : &empty);
		assert_fields(&fields, rows[i].text);
	}
}

static void fields_of_a_preflight(void **state)
{
	static const enum origin_verdict others[] = {ORIGIN_NONE, ORIGIN_SAME, ORIGIN_REFUSED};
	struct fields fields = {0};

	(void)state;
	origin_add_preflight_fields(&fields, &arena, ORIGIN_LISTED, SLICE("GET, POST"));
	assert_fields(&fields,
		"Allow: GET, POST\n"
		"Access-Control-Allow-Methods: GET, POST\n"
		"Access-Control-Allow-Headers: Pollux-Seq, Pollux-Ack, Pollux-Protocol, "
		"Idempotency-Key, "
		"Content-Type, Last-Event-ID, Prefer\n"
		"Access-Control-Max-Age: 600\n");
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		fields = (struct fields){0};
		origin_add_preflight_fields(&fields, &arena, others[i], SLICE("GET"));
		assert_fields(&fields, "Allow: GET\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(origin_and_site_decide_together),
		cmocka_unit_test(same_origin_is_scheme_host_and_port),
		cmocka_unit_test(a_field_that_stands_twice_is_refused),
		cmocka_unit_test(fields_of_every_answer),
		cmocka_unit_test(fields_of_a_preflight),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
