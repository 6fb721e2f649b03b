/* What the answer to a poll says, and what is asked for. */
#include "bridge/feed/poll_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "bridge/feed/poll_request.h"

#define NOW INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */

static struct arena arena;

static int clear_arena(void **state)
{
	(void)state;
	arena_clear(&arena);
	return 0;
}

static struct response_head *head_of(unsigned status, const char *name, const char *value)
{
	struct response_head *head = arena_alloc_zeroed(&arena, sizeof(*head));

	head->status = (uint16_t)status;
	if (name != NULL)
		fields_add(
			&head->fields, &arena, slice_from_string(name), slice_from_string(value));
	return head;
}

static void statuses(void **state)
{
	static const struct {
		unsigned status;
		bool was_conditional;
		enum poll_result result;
	} cases[] = {
		{200, false, POLL_VALUE},
		{203, false, POLL_VALUE},
		{204, false, POLL_NOTHING},
		{304, true, POLL_SAME},
		{304, false, POLL_FAILURE},
		{201, false, POLL_FAILURE},
		{202, false, POLL_FAILURE},
		{206, false, POLL_FAILURE},
		{301, true, POLL_FAILURE},
		{404, true, POLL_FAILURE},
		{410, true, POLL_FAILURE},
		{429, true, POLL_FAILURE},
		{500, true, POLL_FAILURE},
		{503, true, POLL_FAILURE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(poll_answer_result(head_of(cases[i].status, NULL, NULL),
					 cases[i].was_conditional),
			cases[i].result);
}

static void codings_that_were_not_asked_for(void **state)
{
	(void)state;
	assert_int_equal(
		poll_answer_result(head_of(200, "Content-Encoding", "gzip"), false), POLL_ENCODED);
	assert_int_equal(
		poll_answer_result(head_of(200, "Content-Encoding", "identity, br"), false),
		POLL_ENCODED);
	assert_int_equal(poll_answer_result(head_of(200, "Content-Encoding", "Identity"), false),
		POLL_VALUE);
	assert_int_equal(
		poll_answer_result(head_of(404, "Content-Encoding", "gzip"), false), POLL_FAILURE);
}

static void text_or_bytes(void **state)
{
	static const char *const texts[] = {"text/plain", "TEXT/html; charset=utf-8",
		"application/json", "application/json;charset=UTF-8", "Application/XML", "text/xml",
		"application/problem+json", "image/svg+xml", "text/x"};
	static const char *const binaries[] = {"", "application/octet-stream", "image/png", "text",
		"text/", "/plain", "application/jsonp", "application/+json", "x/json", "+json",
		"application/x-ndjson", "text plain"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct slice type = slice_from_string(texts[i]);

		if (poll_answer_kind(type, SLICE("gr\xc3\xbc\xc3\x9f")) != MESSAGE_TEXT)
			fail_msg("%s", texts[i]);
		assert_int_equal(poll_answer_kind(type, SLICE("")), MESSAGE_TEXT);
		assert_int_equal(poll_answer_kind(type, SLICE("gr\xfc\xdf")), MESSAGE_BINARY);
		assert_int_equal(poll_answer_kind(type, SLICE("cut \xc3")), MESSAGE_BINARY);
	}
	for (size_t i = 0; i < ARRAY_LEN(binaries); i++)
		if (poll_answer_kind(slice_from_string(binaries[i]), SLICE("x")) != MESSAGE_BINARY)
			fail_msg("%s", binaries[i]);
}

static void entity_tags(void **state)
{
	static const char *const good[] = {
		"\"\"", "\"a\"", "W/\"a\"", "\"a,b\"", "\"!#~\xff\"", "\"W/\""};
	static const char *const bad[] = {"", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/a", "\"a\"b\"",
		"\"a b\"", "\"a\"\"", "W/"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct slice tag = poll_answer_tag(&head_of(200, "ETag", good[i])->fields);

		assert_true(slice_equals(tag, slice_from_string(good[i])));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (poll_answer_tag(&head_of(200, "ETag", bad[i])->fields).n > 0)
			fail_msg("%s", bad[i]);
}

static void two_entity_tags_are_none(void **state)
{
	struct response_head *head = head_of(200, "ETag", "\"a\"");

	(void)state;
	fields_add(&head->fields, &arena, SLICE("etag"), SLICE("\"b\""));
	assert_int_equal(poll_answer_tag(&head->fields).n, 0);
}

static struct slice modified(const char *last_modified, const char *date)
{
	struct response_head *head = head_of(200, "Last-Modified", last_modified);

	if (date != NULL)
		fields_add(&head->fields, &arena, SLICE("Date"), slice_from_string(date));
	return poll_answer_modified(&head->fields, NOW);
}

static void a_date_of_the_last_change_counts_once_it_is_over(void **state)
{
	static const char at[] = "Sun, 06 Nov 1994 08:49:37 GMT";

	(void)state;
	assert_int_equal(modified(at, "Sun, 06 Nov 1994 08:49:38 GMT").n, strlen(at));
	assert_int_equal(modified(at, at).n, 0);
	assert_int_equal(modified(at, "Sun, 06 Nov 1994 08:49:36 GMT").n, 0);
	assert_int_equal(modified(at, NULL).n, 0);
	assert_int_equal(modified(at, "now").n, 0);
	assert_int_equal(modified("yesterday", "Sun, 06 Nov 1994 08:49:38 GMT").n, 0);
}

static uint64_t retry_after(const char *value)
{
	return poll_answer_retry_after_ms(&head_of(503, "Retry-After", value)->fields, NOW);
}

static void retry_after_in_seconds_or_as_a_date(void **state)
{
	(void)state;
	assert_int_equal(retry_after("0"), 0);
	assert_int_equal(retry_after("120"), 120000);
	assert_true(retry_after("18446744073709551615") >= UINT64_MAX / 1000 * 1000);
	assert_int_equal(retry_after("-1"), 0);
	assert_int_equal(retry_after("1.5"), 0);
	assert_int_equal(retry_after(""), 0);
	assert_int_equal(retry_after("soon"), 0);
	assert_int_equal(retry_after("Sun, 06 Nov 1994 08:50:37 GMT"), 60000);
	assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
	assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:36 GMT"), 0);
	assert_int_equal(poll_answer_retry_after_ms(&head_of(503, NULL, NULL)->fields, NOW), 0);
}

/* The request, as "TARGET HOST; NAME: VALUE; …". */
static const char *request_text(
	const char *route_options, const char *backend_options, const struct poll_validators *v)
{
	struct conf_errors errors = {0};
	struct conf *conf;
	struct request_head *head;
	struct slice text;

	conf = conf_parse(arena_printf(&arena,
				  "via = me\nlisten \"1\" { }\n"
				  "backend \"b\" { servers = {\"10.0.0.1:2\"} %s }\n"
				  "route \"/r\" { backend = b poll { path = \"/p?q=1\" } %s }",
				  backend_options, route_options)
				  .p,
		"x", &errors);
	conf_errors_print(&errors, stderr);
	assert_non_null(conf);
	head = poll_request_make(&conf->routes[0], v, &arena);
	assert_int_equal(head->method, METHOD_GET);
	assert_true(slice_equals(head->path, SLICE("/p")));
	assert_true(head->has_query && slice_equals(head->query, SLICE("q=1")));
	text = arena_printf(
		&arena, "%.*s %.*s", SLICE_ARG(head->target), SLICE_ARG(head->authority));
	for (uint32_t i = 0; i < head->fields.n; i++)
		text = arena_printf(&arena, "%.*s; %.*s: %.*s", SLICE_ARG(text),
			SLICE_ARG(head->fields.items[i].name),
			SLICE_ARG(head->fields.items[i].value));
	conf_unref(conf);
	return text.p;
}

#define ALWAYS "; Accept: */*; Accept-Encoding: identity; User-Agent: pollux; Via: 1.1 me"

static void the_request(void **state)
{
	struct poll_validators none = {.tag = SLICE(""), .modified = SLICE("")};
	struct poll_validators date = {.tag = SLICE(""), .modified = SLICE("then")};
	struct poll_validators both = {.tag = SLICE("\"a\""), .modified = SLICE("then")};

	(void)state;
	/* Without a host the server's own is sent. */
	assert_string_equal(request_text("", "", &none), "/p?q=1 " ALWAYS);
	assert_string_equal(request_text("hosts = {\"*.a\", b, c}", "", &none), "/p?q=1 b" ALWAYS);
	assert_string_equal(
		request_text("hosts = {b}", "host_header = server", &none), "/p?q=1 " ALWAYS);
	assert_string_equal(
		request_text("hosts = {b}", "host_header = \"x:1\"", &none), "/p?q=1 x:1" ALWAYS);
	assert_string_equal(
		request_text("", "", &date), "/p?q=1 " ALWAYS "; If-Modified-Since: then");
	assert_string_equal(request_text("", "", &both), "/p?q=1 " ALWAYS "; If-None-Match: \"a\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(statuses, clear_arena),
		cmocka_unit_test_teardown(codings_that_were_not_asked_for, clear_arena),
		cmocka_unit_test_teardown(text_or_bytes, clear_arena),
		cmocka_unit_test_teardown(entity_tags, clear_arena),
		cmocka_unit_test_teardown(two_entity_tags_are_none, clear_arena),
		cmocka_unit_test_teardown(
			a_date_of_the_last_change_counts_once_it_is_over, clear_arena),
		cmocka_unit_test_teardown(retry_after_in_seconds_or_as_a_date, clear_arena),
		cmocka_unit_test_teardown(the_request, clear_arena),
	};
	int n_failed;

	arena_init(&arena);
	n_failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_release_cache();
	return n_failed;
}
