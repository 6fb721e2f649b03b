#include "bridge/client/engineio_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/memory.h"

/* What a payload becomes, a line each: "text 4a", "binary 2 bytes"; then what else it says. */
static const char *read_all(const char *body)
{
	static char lines[512];
	struct engineio_payload payload;
	enum engineio_verdict verdict = engineio_payload_read(&payload, slice_from_string(body));
	const struct message *frame;
	size_t n = 0, cost = 0;

	if (verdict != ENGINEIO_PAYLOAD_OK) {
		assert_true(TAILQ_EMPTY(&payload.frames));
		return engineio_verdict_name(verdict);
	}
	lines[0] = '\0';
	TAILQ_FOREACH (frame, &payload.frames, link) {
		n += (size_t)snprintf(lines + n, sizeof(lines) - n, "%s %.*s|",
			message_kind_name(frame->kind), (int)frame->size, frame->payload);
		cost += message_cost(frame);
	}
	assert_int_equal(payload.cost, cost);
	(void)snprintf(lines + n, sizeof(lines) - n, "%s%s", payload.has_pong ? "pong" : "",
		payload.has_close ? "close" : "");
	engineio_payload_clear(&payload);
	return lines;
}

static void payloads(void **state)
{
	(void)state;
	assert_string_equal(read_all("4hello"), "text 4hello|");
	assert_string_equal(read_all("4"), "text 4|");
	assert_string_equal(read_all("4a\x1e"
				     "42[\"b\"]\x1e"
				     "bTk8="),
		"text 4a|text 42[\"b\"]|binary NO|");
	assert_string_equal(read_all("b"), "binary |");
	/* As other clients write it. */
	assert_string_equal(read_all("bTk9P\r\nTw\n"), "binary NOOO|");
	assert_string_equal(read_all("bYj8_Yj4-"), "binary b??b>>|");
	assert_string_equal(read_all("3"), "text 3|pong");
	assert_string_equal(read_all("2\x1e"
				     "3x"),
		"text 2|text 3x|pong");
	assert_string_equal(read_all("4\xc3\xa9"), "text 4\xc3\xa9|");
	/* What no backend wants. */
	assert_string_equal(read_all("0{}\x1e"
				     "4a\x1e"
				     "5\x1e"
				     "6"),
		"text 4a|");
	/* Behind the end there is nothing. */
	assert_string_equal(read_all("1"), "close");
	assert_string_equal(read_all("4a\x1e"
				     "1\x1e"
				     "4b\x1e"
				     "x"),
		"text 4a|close");
}

static void what_is_malformed_is_refused_whole(void **state)
{
	static const char *const bodies[] = {
		"",
		"abc",
		"7",
		"4a\x1e",
		("\x1e"
		 "4a"),
		("4a\x1e\x1e"
		 "4b"),
		("4a\x1e"
		 "x"),
		" 4a",
		"b=",
		"bA",
		"b=AAA",
		"bAA==AA==",
		"b4a\n",
		("4a\nx\x1e"
		 "8"),
		"4\xff",
		"4\xc3\x1e\xa9",
		("4a\x1e"
		 "bA\xc3\xa9="),
		"c",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		assert_string_equal(read_all(bodies[i]), "malformed");
}

/* n times "4", with their separators. */
static char *many(size_t n)
{
	char *body = memory_alloc(2 * n);

	for (size_t i = 0; i < n; i++) {
		body[2 * i] = '4';
		body[2 * i + 1] = '\x1e';
	}
	body[2 * n - 1] = '\0';
	return body;
}

static void packets_are_counted(void **state)
{
	char *body = many(ENGINEIO_MAX_PACKETS);
	struct engineio_payload payload;

	(void)state;
	assert_int_equal(
		engineio_payload_read(&payload, slice_from_string(body)), ENGINEIO_PAYLOAD_OK);
	engineio_payload_clear(&payload);
	free(body);
	body = many(ENGINEIO_MAX_PACKETS + 1);
	assert_string_equal(read_all(body), "too many packets");
	free(body);
}

static const char *take_text(struct bytes *from)
{
	static char text[1024];
	size_t n = bytes_size(from);

	assert_true(n < sizeof(text));
	bytes_peek(from, text, n);
	text[n] = '\0';
	bytes_clear(from);
	return text;
}

static void packets_for_the_client(void **state)
{
	struct message *text = message_new(MESSAGE_TEXT, SLICE("4a"));
	struct message *binary = message_new(MESSAGE_BINARY, slice_of("\x00\xff", 2));
	struct message *empty = message_new(MESSAGE_BINARY, SLICE(""));
	struct bytes out;

	(void)state;
	bytes_init(&out);
	engineio_payload_add(&out, text, true);
	engineio_payload_add(&out, binary, false);
	engineio_payload_add(&out, empty, false);
	engineio_payload_add(&out, text, false);
	assert_string_equal(take_text(&out),
		"4a\x1e"
		"bAP8=\x1e"
		"b\x1e"
		"4a");
	message_free(text);
	message_free(binary);
	message_free(empty);
}

static void what_ends_a_session(void **state)
{
	struct message *message = message_new_close(1000, SLICE(""), 0);

	(void)state;
	assert_true(engineio_is_close(message));
	message_free(message);
	message = message_new(MESSAGE_TEXT, SLICE("1"));
	assert_true(engineio_is_close(message));
	message_free(message);
	message = message_new(MESSAGE_TEXT, SLICE("41"));
	assert_false(engineio_is_close(message));
	message_free(message);
	message = message_new(MESSAGE_BINARY, SLICE("1"));
	assert_false(engineio_is_close(message));
	message_free(message);
	assert_true(engineio_is_pong(SLICE("3")));
	assert_false(engineio_is_pong(SLICE("")));
	assert_false(engineio_is_pong(SLICE("23")));
}

#define LIMIT 1000000

static bool rewrite(
	const char *packet, bool can_upgrade, struct engineio_open *open, struct bytes *out)
{
	return engineio_open_rewrite(
		slice_from_string(packet), SLICE("w1.id"), can_upgrade, LIMIT, open, out);
}

static void the_open_packet_is_rewritten(void **state)
{
	struct engineio_open open;
	struct bytes out;

	(void)state;
	bytes_init(&out);
	assert_true(rewrite("0{\"sid\":\"AAA\",\"upgrades\":[],\"pingInterval\":25000,"
			    "\"pingTimeout\":20000,\"maxPayload\":1000000}",
		true, &open, &out));
	assert_string_equal(take_text(&out),
		"0{\"sid\":\"w1.id\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
		"\"pingTimeout\":20000,\"maxPayload\":1000000}");
	assert_int_equal(open.ping_interval_ms, 25000);
	assert_int_equal(open.ping_timeout_ms, 20000);
	assert_int_equal(open.max_payload, 1000000);
	/* What we do not know stays; what we cannot take is lowered. */
	assert_true(rewrite("0{\"maxPayload\":1000001,\"x\":{\"y\":[1,\"\xc3\xa9\"]},\"sid\":\"A\","
			    "\"pingInterval\":1,\"pingTimeout\":2}",
		false, &open, &out));
	assert_string_equal(take_text(&out),
		"0{\"maxPayload\":1000000,\"x\":{\"y\":[1,\"\xc3\xa9\"]},\"sid\":\"w1.id\","
		"\"pingInterval\":1,\"pingTimeout\":2,\"upgrades\":[]}");
	assert_int_equal(open.max_payload, 1000000);
	/* Older servers do not say it. */
	assert_true(rewrite("0{\"sid\":\"A\",\"upgrades\":[],\"pingInterval\":1,\"pingTimeout\":2}",
		false, &open, &out));
	assert_string_equal(take_text(&out),
		"0{\"sid\":\"w1.id\",\"upgrades\":[],\"pingInterval\":1,\"pingTimeout\":2}");
	assert_int_equal(open.max_payload, LIMIT);
	/* Others have none. */
	assert_true(rewrite("0{\"maxPayload\":null,\"sid\":\"A\",\"upgrades\":[],"
			    "\"pingInterval\":1,\"pingTimeout\":2}",
		false, &open, &out));
	assert_string_equal(take_text(&out),
		"0{\"maxPayload\":1000000,\"sid\":\"w1.id\",\"upgrades\":[],"
		"\"pingInterval\":1,\"pingTimeout\":2}");
	assert_int_equal(open.max_payload, LIMIT);
}

static void what_is_no_open_packet_is_refused(void **state)
{
	static const char *const packets[] = {
		"",
		"0",
		"4",
		"{\"sid\":\"A\"}",
		"0[]",
		"0null",
		"0{",
		"0{}",
		"0{\"sid\":1,\"pingInterval\":1,\"pingTimeout\":2}",
		"0{\"sid\":\"A\",\"pingInterval\":1}",
		"0{\"sid\":\"A\",\"pingInterval\":0,\"pingTimeout\":2}",
		"0{\"sid\":\"A\",\"pingInterval\":-5,\"pingTimeout\":2}",
		"0{\"sid\":\"A\",\"pingInterval\":1.5,\"pingTimeout\":2}",
		"0{\"sid\":\"A\",\"pingInterval\":\"1\",\"pingTimeout\":2}",
		"0{\"sid\":\"A\",\"pingInterval\":86400001,\"pingTimeout\":2}",
		"0{\"sid\":\"A\",\"pingInterval\":1,\"pingTimeout\":2,\"maxPayload\":true}",
		"0{\"sid\":\"A\",\"pingInterval\":1,\"pingTimeout\":2,\"maxPayload\":\"9\"}",
		"0{\"sid\":\"A\",\"sid\":\"B\",\"pingInterval\":1,\"pingTimeout\":2}",
		"0{\"sid\":\"A\",\"pingInterval\":1,\"pingTimeout\":2}x",
		"4{\"sid\":\"A\",\"pingInterval\":1,\"pingTimeout\":2}",
	};
	struct engineio_open open;
	struct bytes out;

	(void)state;
	bytes_init(&out);
	for (size_t i = 0; i < ARRAY_LEN(packets); i++) {
		if (rewrite(packets[i], true, &open, &out))
			fail_msg("taken: %s", packets[i]);
		assert_int_equal(bytes_size(&out), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payloads),
		cmocka_unit_test(what_is_malformed_is_refused_whole),
		cmocka_unit_test(packets_are_counted),
		cmocka_unit_test(packets_for_the_client),
		cmocka_unit_test(what_ends_a_session),
		cmocka_unit_test(the_open_packet_is_rewritten),
		cmocka_unit_test(what_is_no_open_packet_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
