/* One handshake between the protocols: what HTTP/1.1 demands beyond HTTP/2. */
#include "proxy/http/ws_upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proxy/http/ws_handshake.h"

#define KEY SLICE("dGhlIHNhbXBsZSBub25jZQ==")
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static struct arena arena;
static struct request_head request;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	request = (struct request_head){.method = METHOD_GET,
		.method_name = SLICE("GET"),
		.target = SLICE("/c"),
		.is_websocket = true};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_clear(&arena);
	arena_release_cache();
	return 0;
}

static void add(struct fields *fields, const char *name, struct slice value)
{
	fields_add(fields, &arena, slice_from_string(name), value);
}

static void assert_has_key_and_version(const struct fields *fields)
{
	assert_int_equal(fields_count(fields, FIELD_SEC_WEBSOCKET_KEY), 1);
	assert_true(ws_key_is_valid(fields_value(fields, FIELD_SEC_WEBSOCKET_KEY)));
	assert_int_equal(fields_count(fields, FIELD_SEC_WEBSOCKET_VERSION), 1);
	assert_true(slice_equals(fields_value(fields, FIELD_SEC_WEBSOCKET_VERSION), SLICE("13")));
}

static void a_request_of_http1_stays_as_it_is(void **state)
{
	(void)state;
	add(&request.fields, "Sec-WebSocket-Key", KEY);
	add(&request.fields, "Sec-WebSocket-Version", SLICE("13"));
	assert_ptr_equal(ws_upgrade_request(&request, &arena), &request);
}

static void a_request_without_a_key_gets_one(void **state)
{
	const struct request_head *head;

	(void)state;
	add(&request.fields, "sec-websocket-protocol", SLICE("chat"));
	add(&request.fields, "sec-websocket-version", SLICE("13"));
	head = ws_upgrade_request(&request, &arena);
	assert_ptr_not_equal(head, &request);
	assert_has_key_and_version(&head->fields);
	assert_true(slice_equals(
		fields_value(&head->fields, FIELD_SEC_WEBSOCKET_PROTOCOL), SLICE("chat")));
	assert_true(slice_equals(head->target, SLICE("/c")));
	/* The client's own head is not changed: the log and another try look at it. */
	assert_int_equal(request.fields.n, 2);
	assert_null(fields_find(&request.fields, FIELD_SEC_WEBSOCKET_KEY));
}

/* Over HTTP/2 a key means nothing, and may be anything. */
static void a_key_that_is_no_key_is_replaced(void **state)
{
	static const char *const keys[] = {"", "short", "dGhlIHNhbXBsZSBub25jZR=="};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		request.fields = (struct fields){0};
		add(&request.fields, "sec-websocket-key", slice_from_string(keys[i]));
		assert_has_key_and_version(&ws_upgrade_request(&request, &arena)->fields);
	}
	request.fields = (struct fields){0};
	add(&request.fields, "sec-websocket-key", KEY);
	add(&request.fields, "sec-websocket-key", KEY);
	assert_has_key_and_version(&ws_upgrade_request(&request, &arena)->fields);
}

static void keys_are_not_the_same_twice(void **state)
{
	struct slice first, second;

	(void)state;
	first = fields_value(
		&ws_upgrade_request(&request, &arena)->fields, FIELD_SEC_WEBSOCKET_KEY);
	second = fields_value(
		&ws_upgrade_request(&request, &arena)->fields, FIELD_SEC_WEBSOCKET_KEY);
	assert_false(slice_equals(first, second));
}

static void an_answer_of_http2_gets_its_accept_value(void **state)
{
	struct response_head answer = {.status = 101, .is_upgrade = true};

	(void)state;
	add(&request.fields, "Sec-WebSocket-Key", KEY);
	ws_upgrade_answer(&answer, &request, &arena);
	assert_int_equal(fields_count(&answer.fields, FIELD_SEC_WEBSOCKET_ACCEPT), 1);
	assert_true(slice_equals(
		fields_value(&answer.fields, FIELD_SEC_WEBSOCKET_ACCEPT), SLICE(ACCEPT)));
	/* Once: an answer that has one is an answer of HTTP/1.1, checked by its codec. */
	ws_upgrade_answer(&answer, &request, &arena);
	assert_int_equal(fields_count(&answer.fields, FIELD_SEC_WEBSOCKET_ACCEPT), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_of_http1_stays_as_it_is),
		TEST(a_request_without_a_key_gets_one),
		TEST(a_key_that_is_no_key_is_replaced),
		TEST(keys_are_not_the_same_twice),
		TEST(an_answer_of_http2_gets_its_accept_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
