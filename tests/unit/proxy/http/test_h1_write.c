/* What is written, byte for byte. */
#include "proxy/http/h1_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/memory.h"

static struct arena arena;
static struct bytes out;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	bytes_init(&out);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	bytes_clear(&out);
	arena_clear(&arena);
	assert_int_equal(bytes_live_segments(), 0);
	bytes_release_cache();
	arena_release_cache();
	return 0;
}

static void assert_out(const char *text)
{
	size_t n = bytes_size(&out);
	struct slice written = slice_first(bytes_linearize(&out, n), n);

	if (!slice_equals(written, slice_from_string(text)))
		fail_msg("written: %.*s", SLICE_ARG(written));
	bytes_clear(&out);
}

static struct request_head request(void)
{
	return (struct request_head){.method = METHOD_POST,
		.method_name = SLICE("POST"),
		.target = SLICE("/a?b"),
		.authority = SLICE("h:81"),
		.version_minor = 1};
}

static void a_request_begins_with_host(void **state)
{
	struct request_head head = request();

	(void)state;
	fields_add(&head.fields, &arena, SLICE("X-A"), SLICE("one two"));
	fields_add(&head.fields, &arena, SLICE("X-Empty"), SLICE(""));
	h1_write_request_head(&out, &head, BODY_NONE, 0, H1_CONNECTION_KEEP);
	assert_out("POST /a?b HTTP/1.1\r\nHost: h:81\r\nX-A: one two\r\nX-Empty: \r\n\r\n");
	head.version_minor = 0;
	head.authority = (struct slice){0};
	h1_write_request_head(&out, &head, BODY_LENGTH, 0, H1_CONNECTION_CLOSE);
	assert_out("POST /a?b HTTP/1.1\r\nHost: \r\nX-A: one two\r\nX-Empty: \r\n"
		   "Content-Length: 0\r\nConnection: close\r\n\r\n");
}

static void received_framing_is_never_repeated(void **state)
{
	static const char *const names[] = {"Host", "Content-Length", "transfer-encoding",
		"Connection", "Keep-Alive", "Proxy-Connection", "Upgrade"};
	struct request_head head = request();
	struct response_head response = {.status = 200};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		fields_add(&head.fields, &arena, slice_from_string(names[i]), SLICE("7"));
	h1_write_request_head(&out, &head, BODY_CHUNKED, 0, H1_CONNECTION_KEEP);
	assert_out("POST /a?b HTTP/1.1\r\nHost: h:81\r\nTransfer-Encoding: chunked\r\n\r\n");
	fields_remove(&head.fields, FIELD_HOST);
	response.fields = head.fields;
	h1_write_response_head(&out, &response, BODY_CLOSE, false, 0, H1_CONNECTION_CLOSE);
	assert_out("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	h1_write_last_chunk(&out, &head.fields);
	assert_out("0\r\n\r\n");
}

static void upgrades_name_the_websocket(void **state)
{
	struct request_head head = request();
	struct response_head response = {.status = 101};

	(void)state;
	h1_write_request_head(&out, &head, BODY_NONE, 0, H1_CONNECTION_UPGRADE);
	assert_out("POST /a?b HTTP/1.1\r\nHost: h:81\r\n"
		   "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
	h1_write_response_head(&out, &response, BODY_NONE, false, 0, H1_CONNECTION_UPGRADE);
	assert_out("HTTP/1.1 101 Switching Protocols\r\n"
		   "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

static void a_426_says_what_to_upgrade_to(void **state)
{
	struct response_head head = {.status = 426};

	(void)state;
	fields_add_id(&head.fields, &arena, FIELD_UPGRADE, SLICE("websocket"));
	h1_write_response_head(&out, &head, BODY_LENGTH, true, 0, H1_CONNECTION_KEEP);
	assert_out("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n"
		   "Connection: upgrade\r\nupgrade: websocket\r\n\r\n");
	h1_write_response_head(&out, &head, BODY_LENGTH, true, 0, H1_CONNECTION_CLOSE);
	assert_out("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n"
		   "Connection: close, upgrade\r\nupgrade: websocket\r\n\r\n");
	h1_write_response_head(&out, &head, BODY_LENGTH, true, 0, H1_CONNECTION_KEEP_10);
	assert_out("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n"
		   "Connection: keep-alive\r\n\r\n");
}

static void status_lines(void **state)
{
	struct response_head head = {
		.status = 404, .reason = SLICE("Nothing \xe9"), .version_minor = 0};

	(void)state;
	h1_write_response_head(&out, &head, BODY_CHUNKED, false, 0, H1_CONNECTION_KEEP);
	assert_out("HTTP/1.1 404 Nothing \xe9\r\nTransfer-Encoding: chunked\r\n\r\n");
	head = (struct response_head){.status = 299};
	h1_write_response_head(&out, &head, BODY_NONE, false, 0, H1_CONNECTION_KEEP_10);
	assert_out("HTTP/1.1 299 \r\nConnection: keep-alive\r\n\r\n");
}

static void a_length_may_stand_without_a_body(void **state)
{
	struct response_head head = {.status = 304};

	(void)state;
	h1_write_response_head(&out, &head, BODY_NONE, true, UINT64_MAX, H1_CONNECTION_KEEP);
	assert_out("HTTP/1.1 304 Not Modified\r\nContent-Length: 18446744073709551615\r\n\r\n");
	h1_write_response_head(&out, &head, BODY_NONE, false, 5, H1_CONNECTION_KEEP);
	assert_out("HTTP/1.1 304 Not Modified\r\n\r\n");
	head.status = 200;
	h1_write_response_head(&out, &head, BODY_LENGTH, true, 10, H1_CONNECTION_KEEP);
	assert_out("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
}

static void a_head_may_be_larger_than_a_segment(void **state)
{
	struct response_head head = {.status = 200};
	const size_t n = 3 * BYTES_CHUNK_SIZE;
	char *value = memory_alloc(n), *expected = memory_alloc(n + 64), *end;

	(void)state;
	memset(value, 'v', n);
	fields_add(&head.fields, &arena, SLICE("X"), slice_of(value, n));
	end = mempcpy(expected, "HTTP/1.1 200 OK\r\nX: ", 20);
	end = mempcpy(end, value, n);
	memcpy(end, "\r\n\r\n", 5);
	h1_write_response_head(&out, &head, BODY_NONE, false, 0, H1_CONNECTION_KEEP);
	assert_out(expected);
	free(value);
	free(expected);
}

static void chunks(void **state)
{
	struct bytes data;
	struct fields trailers = {0};
	char *block = memory_alloc(0x12ab);

	(void)state;
	bytes_init(&data);
	bytes_append_string(&data, "abcdefghijk");
	h1_write_chunk(&out, &data, 1);
	h1_write_chunk(&out, &data, 10);
	h1_write_last_chunk(&out, NULL);
	assert_out("1\r\na\r\na\r\nbcdefghijk\r\n0\r\n\r\n");
	assert_int_equal(bytes_size(&data), 0);
	memset(block, '-', 0x12ab);
	bytes_append(&data, block, 0x12ab);
	h1_write_chunk(&out, &data, 0x12ab);
	assert_int_equal(bytes_size(&out), 6 + 0x12ab + 2);
	assert_memory_equal(bytes_linearize(&out, 7).p, "12ab\r\n-", 7);
	bytes_clear(&out);
	free(block);
	h1_write_last_chunk(&out, &trailers);
	assert_out("0\r\n\r\n");
	fields_add(&trailers, &arena, SLICE("X-Sum"), SLICE("1"));
	fields_add(&trailers, &arena, SLICE("Content-Length"), SLICE("1"));
	h1_write_last_chunk(&out, &trailers);
	assert_out("0\r\nX-Sum: 1\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_begins_with_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			received_framing_is_never_repeated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(upgrades_name_the_websocket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_426_says_what_to_upgrade_to, set_up, tear_down),
		cmocka_unit_test_setup_teardown(status_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_length_may_stand_without_a_body, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_head_may_be_larger_than_a_segment, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chunks, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
