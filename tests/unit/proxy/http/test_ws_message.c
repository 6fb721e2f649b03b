#include "proxy/http/ws_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "proxy/base/memory.h"

/*
 * Most tests give the bytes of one side and the story they must tell, such as "text(hi) ping()
 * 1002: frame is masked", and it must be the same story however the bytes are cut. Each piece is
 * its own allocation, freed as soon as it is taken in, so that a sanitizer sees a read beyond it or
 * after it.
 */

#define BYTES(literal) (const uint8_t *)("" literal), sizeof(literal) - 1

enum { CLIENT = true, SERVER = false, LIMIT = 1000 };

struct story {
	char text[4096];
	size_t n;
};

static void tell(struct story *story, const struct ws_message *messages, enum ws_event event)
{
	char *at = story->text + story->n;
	size_t room = sizeof(story->text) - story->n;
	const char *gap = story->n > 0 ? " " : "";
	int n;

	if (event == WS_ERROR)
		n = snprintf(at, room, "%s%u: %s", gap, messages->close_code, messages->error);
	else if (event == WS_CLOSE)
		n = snprintf(at, room, "%sclose(%u, %.*s)", gap, messages->close_code,
			SLICE_ARG(messages->payload));
	else
		n = snprintf(at, room, "%s%s(%.*s)", gap, ws_event_name(event),
			SLICE_ARG(messages->payload));
	assert_true(n > 0 && (size_t)n < room);
	story->n += (size_t)n;
}

/* Feeds one piece; false after an error. */
static bool feed_piece(
	struct ws_message *messages, struct story *story, const uint8_t *bytes, size_t n)
{
	uint8_t *piece = memory_alloc(n);
	const uint8_t *p = piece;
	size_t left = n;
	enum ws_event event;

	if (n > 0)
		memcpy(piece, bytes, n);
	while ((event = ws_message_feed(messages, &p, &left)) != WS_MORE) {
		tell(story, messages, event);
		if (event == WS_ERROR)
			break;
	}
	if (event == WS_MORE) {
		assert_int_equal(left, 0);
		assert_ptr_equal(p, piece + n);
	}
	free(piece);
	return event == WS_MORE;
}

/* In three pieces, cut at a and b. */
static void tell_in_pieces(
	struct story *story, bool from_client, const uint8_t *bytes, size_t n, size_t a, size_t b)
{
	struct ws_message messages;

	*story = (struct story){.n = 0};
	ws_message_init(&messages, from_client, LIMIT);
	if (feed_piece(&messages, story, bytes, a) &&
		feed_piece(&messages, story, bytes + a, b - a))
		(void)feed_piece(&messages, story, bytes + b, n - b);
	ws_message_clear(&messages);
}

/* Byte by byte; gives the number of bytes after which the story was complete. */
static size_t tell_in_bytes(struct story *story, bool from_client, const uint8_t *bytes, size_t n)
{
	struct ws_message messages;
	size_t last = 0, at = 0;

	*story = (struct story){.n = 0};
	ws_message_init(&messages, from_client, LIMIT);
	for (bool more = true; more && at < n; at++) {
		size_t had = story->n;

		more = feed_piece(&messages, story, bytes + at, 1);
		if (story->n > had)
			last = at + 1;
	}
	ws_message_clear(&messages);
	return last;
}

static void expect(bool from_client, const uint8_t *bytes, size_t n, const char *expected)
{
	struct story story;
	size_t step = n > 100 ? 37 : 1;

	tell_in_pieces(&story, from_client, bytes, n, n, n);
	assert_string_equal(story.text, expected);
	(void)tell_in_bytes(&story, from_client, bytes, n);
	assert_string_equal(story.text, expected);
	for (size_t a = 0; a <= n; a += step) {
		for (size_t b = a; b <= n; b += step) {
			tell_in_pieces(&story, from_client, bytes, n, a, b);
			assert_string_equal(story.text, expected);
		}
	}
}

/* The same, and the story must end with the byte that `n_needed` counts. */
static void expect_early(
	bool from_client, const uint8_t *bytes, size_t n, size_t n_needed, const char *expected)
{
	struct story story;

	expect(from_client, bytes, n, expected);
	assert_int_equal(tell_in_bytes(&story, from_client, bytes, n), n_needed);
}

static void the_examples_of_the_rfc(void **state)
{
	(void)state;
	expect(SERVER, BYTES("\x81\x05Hello"), "text(Hello)");
	expect(CLIENT, BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "text(Hello)");
	expect(SERVER, BYTES("\x01\x03Hel\x80\x02lo"), "text(Hello)");
	expect(SERVER, BYTES("\x89\x05Hello\x8a\x05Hello"), "ping(Hello) pong(Hello)");
	expect(CLIENT, BYTES("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "pong(Hello)");
}

static void messages_and_fragments(void **state)
{
	(void)state;
	expect(SERVER, BYTES("\x81\x00\x82\x00\x81\x01x\x82\x01y"),
		"text() binary() text(x) binary(y)");
	expect(SERVER, BYTES("\x01\x00\x00\x00\x80\x00"), "text()");
	expect(SERVER,
		BYTES("\x02\x01"
		      "a\x00\x01"
		      "b\x00\x00\x80\x01"
		      "c\x81\x01z"),
		"binary(abc) text(z)");
	expect(CLIENT,
		BYTES("\x01\x81\0\0\0\0a\x00\x80"
		      "abcd\x80\x81\0\0\0\0b"),
		"text(ab)");
	expect(SERVER, BYTES("\x89\x00\x8a\x00"), "ping() pong()");
}

static void control_frames_between_fragments(void **state)
{
	(void)state;
	expect(SERVER, BYTES("\x01\x02he\x89\x01p\x80\x03llo"), "ping(p) text(hello)");
	expect(SERVER, BYTES("\x01\x02he\x8a\x01p\x00\x00\x89\x00\x80\x03llo\x81\x01!"),
		"pong(p) ping() text(hello) text(!)");
	expect(CLIENT,
		BYTES("\x01\x82\0\0\0\0he\x89\x81\0\0\0\0p\x80\x83\0\0\0\0llo\x89\x80\0\0\0\0"),
		"ping(p) text(hello) ping()");
	expect(SERVER, BYTES("\x01\x02he\x88\x02\x03\xe8\x80\x03llo"), "close(1000, )");
}

static void a_frame_masked_by_the_wrong_side_is_1002(void **state)
{
	(void)state;
	expect_early(CLIENT, BYTES("\x81\x05Hello"), 2, "1002: frame is not masked");
	expect_early(CLIENT, BYTES("\x89\x00"), 2, "1002: frame is not masked");
	expect_early(CLIENT,
		BYTES("\x81\x81\0\0\0\0a\x81\x01"
		      "b"),
		9, "text(a) 1002: frame is not masked");
	expect_early(SERVER, BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), 2,
		"1002: frame is masked");
	expect_early(SERVER, BYTES("\x88\x80\0\0\0\0"), 2, "1002: frame is masked");
}

static void reserved_bits_and_opcodes_are_1002(void **state)
{
	static const char opcodes[] = "\x83\x84\x85\x86\x87\x8b\x8c\x8d\x8e\x8f";

	(void)state;
	expect_early(SERVER, BYTES("\xc1\x00"), 1, "1002: reserved bit set");
	expect_early(SERVER, BYTES("\xa1\x00"), 1, "1002: reserved bit set");
	expect_early(SERVER, BYTES("\x91\x00"), 1, "1002: reserved bit set");
	expect_early(CLIENT, BYTES("\xc9\x80\0\0\0\0"), 1, "1002: reserved bit set");
	for (size_t i = 0; i < sizeof(opcodes) - 1; i++) {
		uint8_t frame[] = {(uint8_t)opcodes[i], 0};

		expect_early(SERVER, frame, sizeof(frame), 1, "1002: reserved opcode");
	}
}

static void long_and_fragmented_control_frames_are_1002(void **state)
{
	uint8_t ping[2 + 125] = "\x89\x7d";
	char expected[200] = "ping(";

	(void)state;
	expect_early(SERVER, BYTES("\x89\x7e\x00\x7e"), 2, "1002: control frame above 125 bytes");
	expect_early(CLIENT, BYTES("\x8a\xfe\x00\x7e\0\0\0\0"), 2,
		"1002: control frame above 125 bytes");
	expect_early(SERVER, BYTES("\x88\x7f"), 2, "1002: control frame above 125 bytes");
	expect_early(SERVER, BYTES("\x09\x00\x80\x00"), 1, "1002: fragmented control frame");
	expect_early(SERVER, BYTES("\x08\x00"), 1, "1002: fragmented control frame");
	memset(ping + 2, 'x', 125);
	memset(expected + 5, 'x', 125);
	expected[130] = ')';
	expect(SERVER, ping, sizeof(ping), expected);
}

static void lengths_out_of_form_are_1002(void **state)
{
	(void)state;
	expect_early(
		SERVER, BYTES("\x82\x7f\x80\0\0\0\0\0\0\0"), 3, "1002: length has its top bit set");
	expect_early(CLIENT, BYTES("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 3,
		"1002: length has its top bit set");
	expect_early(SERVER, BYTES("\x82\x7e\x00\x05hello"), 4,
		"1002: length is not in its shortest form");
	expect_early(SERVER, BYTES("\x82\x7f\0\0\0\0\0\0\0\x05hello"), 10,
		"1002: length is not in its shortest form");
}

static void fragments_out_of_sequence_are_1002(void **state)
{
	(void)state;
	expect_early(SERVER, BYTES("\x80\x01x"), 2, "1002: continuation of no message");
	expect_early(SERVER, BYTES("\x00\x00"), 2, "1002: continuation of no message");
	expect_early(
		SERVER, BYTES("\x81\x01x\x80\x01y"), 5, "text(x) 1002: continuation of no message");
	expect_early(SERVER, BYTES("\x01\x01x\x81\x01y"), 5, "1002: new message within a message");
	expect_early(SERVER, BYTES("\x02\x00\x89\x00\x01\x00"), 6,
		"ping() 1002: new message within a message");
}

static void bad_utf8_is_1007_at_its_first_byte(void **state)
{
	(void)state;
	expect_early(SERVER,
		BYTES("\x81\x0a"
		      "ab\xff-------"),
		5, "1007: text is not utf-8");
	expect_early(SERVER, BYTES("\x81\x06\xed\xa0\x80---"), 4, "1007: text is not utf-8");
	expect_early(SERVER, BYTES("\x81\x06\xc0\x80----"), 3, "1007: text is not utf-8");
	expect_early(SERVER, BYTES("\x81\x06\xf4\x90\x80\x80--"), 4, "1007: text is not utf-8");
	expect_early(CLIENT, BYTES("\x81\x83\x01\x02\x03\x04\xfe\x02\x03"), 7,
		"1007: text is not utf-8");
	/* cut at the end of the message */
	expect_early(SERVER, BYTES("\x81\x02\xe2\x82"), 4, "1007: text is not utf-8");
	expect_early(SERVER, BYTES("\x01\x02\xe2\x82\x80\x00"), 6, "1007: text is not utf-8");
	/* spoilt by the next fragment */
	expect_early(SERVER,
		BYTES("\x01\x02\xe2\x82\x80\x02"
		      "ab"),
		7, "1007: text is not utf-8");
}

static void good_utf8_may_be_cut_anywhere(void **state)
{
	(void)state;
	expect(SERVER, BYTES("\x81\x04\xf0\x9f\x98\x80"), "text(\xf0\x9f\x98\x80)");
	expect(SERVER,
		BYTES("\x01\x01\xf0\x00\x01\x9f\x89\x01\xff\x00\x01\x98\x80\x01\x80\x81\x01x"),
		"ping(\xff) text(\xf0\x9f\x98\x80) text(x)");
	expect(SERVER, BYTES("\x82\x03\xff\xfe\x80"), "binary(\xff\xfe\x80)");
	/* a bad end of one text leaves nothing behind in the next */
	expect(SERVER, BYTES("\x82\x01\xe2\x81\x03\xe2\x82\xac"),
		"binary(\xe2) text(\xe2\x82\xac)");
}

static void a_message_above_the_limit_is_1009_at_its_head(void **state)
{
	uint8_t bytes[4 + LIMIT + 8] = "\x82\x7e\x03\xe8";
	char expected[LIMIT + 100] = "binary(";

	(void)state;
	memset(bytes + 4, 'x', LIMIT);
	memset(expected + 7, 'x', LIMIT);
	expected[7 + LIMIT] = ')';
	expect(SERVER, bytes, 4 + LIMIT, expected);
	expect_early(SERVER, BYTES("\x82\x7e\x03\xe9xxx"), 4, "1009: message is too big");
	expect_early(SERVER, BYTES("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), 10,
		"1009: message is too big");
	/* the sum of the fragments counts */
	expect_early(SERVER,
		BYTES("\x02\x03"
		      "abc\x80\x7e\x03\xe6"),
		9, "1009: message is too big");
	bytes[0] = 0x02;
	memcpy(bytes + 4 + LIMIT, "\x89\x00\x00\x00\x80\x01x", 7);
	expect_early(
		SERVER, bytes, 4 + LIMIT + 7, 4 + LIMIT + 6, "ping() 1009: message is too big");
}

static void close_frames(void **state)
{
	(void)state;
	expect(SERVER, BYTES("\x88\x00"), "close(1005, )");
	expect(SERVER, BYTES("\x88\x02\x03\xe8"), "close(1000, )");
	expect(SERVER,
		BYTES("\x88\x05\x0f\xa1"
		      "bye"),
		"close(4001, bye)");
	expect(CLIENT, BYTES("\x88\x85\x01\x02\x03\x04\x02\xeb\x61\x7d\x64"), "close(1001, bye)");
	expect(SERVER, BYTES("\x88\x05\x0b\xb8\xe2\x82\xac"), "close(3000, \xe2\x82\xac)");
	expect(SERVER, BYTES("\x88\x02\x03\xe8\x81\x01x\xff\xff\xff"), "close(1000, )");
	expect_early(SERVER, BYTES("\x88\x01\x03"), 2, "1002: close payload of one byte");
	expect_early(SERVER, BYTES("\x88\x03\x03\xe8\xff"), 5, "1007: close reason is not utf-8");
	expect_early(
		SERVER, BYTES("\x88\x04\x03\xe8\xe2\x82"), 6, "1007: close reason is not utf-8");
}

static void close_codes_that_may_not_be_sent_are_1002(void **state)
{
	static const unsigned bad[] = {
		0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
	static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012,
		1013, 1014, 3000, 3999, 4000, 4999};
	char expected[40];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t frame[] = {0x88, 2, (uint8_t)(bad[i] >> 8), (uint8_t)bad[i]};

		expect(SERVER, frame, sizeof(frame), "1002: close code is not valid");
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		uint8_t frame[] = {0x88, 2, (uint8_t)(good[i] >> 8), (uint8_t)good[i]};

		snprintf(expected, sizeof(expected), "close(%u, )", good[i]);
		expect(SERVER, frame, sizeof(frame), expected);
	}
}

static void an_error_is_final(void **state)
{
	struct ws_message messages;
	const uint8_t *p = (const uint8_t *)"\x83\x00\x81\x01x";
	size_t n = 5;

	(void)state;
	ws_message_init(&messages, SERVER, LIMIT);
	assert_int_equal(ws_message_feed(&messages, &p, &n), WS_ERROR);
	n = 3;
	p = (const uint8_t *)"\x81\x01x";
	assert_int_equal(ws_message_feed(&messages, &p, &n), WS_ERROR);
	assert_int_equal(messages.close_code, 1002);
	assert_string_equal(messages.error, "reserved opcode");
	assert_null(messages.buf);
}

static void a_whole_unmasked_message_is_not_copied(void **state)
{
	const uint8_t bytes[] = "\x81\x05hello\x82\x03"
				"abc\x89\x01p\x81\x02";
	const uint8_t *p = bytes;
	size_t n = sizeof(bytes) - 1;
	struct ws_message messages;

	(void)state;
	ws_message_init(&messages, SERVER, LIMIT);
	assert_int_equal(ws_message_feed(&messages, &p, &n), WS_TEXT);
	assert_ptr_equal(messages.payload.p, bytes + 2);
	assert_int_equal(ws_message_feed(&messages, &p, &n), WS_BINARY);
	assert_ptr_equal(messages.payload.p, bytes + 9);
	assert_int_equal(ws_message_feed(&messages, &p, &n), WS_PING);
	assert_ptr_equal(messages.payload.p, bytes + 14);
	assert_int_equal(ws_message_feed(&messages, &p, &n), WS_MORE);
	assert_null(messages.buf);
	assert_true(ws_message_is_partial(&messages));
}

static void feed_all(struct ws_message *messages, const uint8_t *p, size_t n)
{
	while (ws_message_feed(messages, &p, &n) != WS_MORE)
		continue;
}

static void there_is_no_buffer_between_messages(void **state)
{
	struct ws_message messages;

	(void)state;
	ws_message_init(&messages, CLIENT, LIMIT);
	assert_false(ws_message_is_partial(&messages));
	feed_all(&messages,
		BYTES("\x01\x83\0\0\0\0"
		      "abc"));
	assert_non_null(messages.buf);
	assert_true(ws_message_is_partial(&messages));
	feed_all(&messages,
		BYTES("\x80\x82\0\0\0\0"
		      "d"));
	assert_true(ws_message_is_partial(&messages));
	feed_all(&messages, BYTES("e\x82\x81\0\0\0\0x"));
	assert_null(messages.buf);
	assert_false(ws_message_is_partial(&messages));
	/* part of a head is no part of a message */
	feed_all(&messages, BYTES("\x82\x81\0\0\0\0x\x82"));
	assert_null(messages.buf);
	assert_true(ws_message_is_partial(&messages));
	feed_all(&messages, BYTES("\x85\0\0"));
	feed_all(&messages,
		BYTES("\0\0"
		      "ab"));
	assert_non_null(messages.buf);
	feed_all(&messages, BYTES("cde\x88\x80\0\0\0\0"));
	assert_null(messages.buf);
	assert_false(ws_message_is_partial(&messages));
}

static void a_refused_or_closed_message_leaves_no_buffer(void **state)
{
	struct ws_message messages;
	const uint8_t *p = (const uint8_t *)"\x01\x03"
					    "abc\x81\x00";
	size_t n = 7;

	(void)state;
	ws_message_init(&messages, SERVER, LIMIT);
	assert_int_equal(ws_message_feed(&messages, &p, &n), WS_ERROR);
	assert_null(messages.buf);
	p = (const uint8_t *)"\x01\x03"
			     "abc\x88\x00";
	n = 7;
	ws_message_init(&messages, SERVER, LIMIT);
	assert_int_equal(ws_message_feed(&messages, &p, &n), WS_CLOSE);
	assert_null(messages.buf);
}

/* Memory follows what has come, not what was announced, and the size at last is exact. */
static void the_buffer_grows_with_what_has_come(void **state)
{
	enum { SIZE = 1 << 20, PIECE = 1000 };
	static uint8_t payload[SIZE];
	struct ws_message messages;
	size_t n_moves = 0, last = 0;

	(void)state;
	ws_message_init(&messages, SERVER, SIZE);
	feed_all(&messages, BYTES("\x82\x7f\0\0\0\0\0\x10\0\0"));
	assert_null(messages.buf);
	for (size_t at = 0; at + PIECE < SIZE; at += PIECE) {
		feed_all(&messages, payload, PIECE);
		assert_true(messages.capacity <= 2 * (at + PIECE) + 1024);
		assert_true(messages.capacity <= SIZE);
		n_moves += messages.capacity != last;
		last = messages.capacity;
	}
	assert_int_equal(messages.capacity, SIZE);
	assert_true(n_moves <= 12);
	ws_message_clear(&messages);
}

/* A buffer made large by one message does not wait, mostly empty, for the rest of the next. */
static void a_large_buffer_does_not_serve_a_small_message(void **state)
{
	enum { SIZE = 100000 };
	static uint8_t bytes[SIZE + 100] = "\x82\xff\0\0\0\0\0\x01\x86\xa0\0\0\0\0";
	struct ws_message messages;

	(void)state;
	memcpy(bytes + 14 + SIZE,
		"\x82\x85\0\0\0\0"
		"ab",
		8);
	ws_message_init(&messages, CLIENT, SIZE);
	feed_all(&messages, bytes, 14 + SIZE + 8);
	assert_int_equal(messages.size, 2);
	assert_true(messages.capacity <= 1024);
	ws_message_clear(&messages);
}

/* Random conversations */

struct item {
	enum ws_event event;
	size_t n;
	uint8_t *bytes;
};

struct wire {
	uint8_t bytes[1 << 18];
	size_t n;
	bool is_masked;
};

static size_t below(size_t n)
{
	return (size_t)random() % n;
}

static void put_frame(
	struct wire *wire, bool fin, enum ws_opcode opcode, const uint8_t *payload, size_t n)
{
	uint8_t mask[4] = {(uint8_t)random(), (uint8_t)random(), (uint8_t)random(), 0};
	uint8_t *out = wire->bytes + wire->n;
	size_t head = ws_frame_write_head(out, fin, opcode, n, wire->is_masked ? mask : NULL);

	for (size_t i = 0; i < n; i++)
		out[head + i] = wire->is_masked ? payload[i] ^ mask[i % 4] : payload[i];
	wire->n += head + n;
	assert_true(wire->n <= sizeof(wire->bytes));
}

static struct item make_item(enum ws_event event, size_t most)
{
	struct item item = {.event = event, .n = below(most + 1)};

	item.bytes = memory_alloc(item.n);
	for (size_t i = 0; i < item.n; i++)
		item.bytes[i] = event == WS_TEXT ? (uint8_t)(' ' + below(95)) : (uint8_t)random();
	if (event == WS_TEXT)
		for (size_t i = 0; i + 4 <= item.n; i += 4 + below(20))
			memcpy(item.bytes + i, random() % 2 ? "\xe2\x82\xacx" : "\xf0\x9f\x98\x80",
				4);
	return item;
}

/* Puts a ping or pong on the wire and in the list, sometimes. */
static size_t maybe_put_control(struct wire *wire, struct item *items)
{
	size_t n = 0;

	while (random() % 4 == 0) {
		enum ws_event event = random() % 2 ? WS_PING : WS_PONG;
		struct item item = make_item(event, WS_CONTROL_MAX);

		put_frame(
			wire, true, event == WS_PING ? WS_OP_PING : WS_OP_PONG, item.bytes, item.n);
		items[n++] = item;
		if (n == 3)
			break;
	}
	return n;
}

/* A message in random fragments, with control frames between them: those come first in the list. */
static size_t put_message(struct wire *wire, struct item *items)
{
	enum ws_event event = random() % 2 ? WS_TEXT : WS_BINARY;
	struct item item = make_item(event, random() % 20 == 0 ? 70000 : random() % 3 ? 200 : 3000);
	enum ws_opcode opcode = event == WS_TEXT ? WS_OP_TEXT : WS_OP_BINARY;
	size_t at = 0, n = 0;

	for (int i = 0; i < 5 && random() % 2 == 0; i++) {
		size_t piece = below(item.n - at + 1);

		put_frame(wire, false, opcode, item.bytes + at, piece);
		opcode = WS_OP_CONTINUATION;
		at += piece;
		n += maybe_put_control(wire, items + n);
	}
	put_frame(wire, true, opcode, item.bytes + at, item.n - at);
	items[n++] = item;
	return n;
}

static void feed_and_compare(const struct wire *wire, const struct item *items, size_t n_items)
{
	struct ws_message messages;
	size_t n_seen = 0, most = 1 + below(random() % 2 ? 30 : 20000);

	ws_message_init(&messages, wire->is_masked, 70000);
	for (size_t at = 0; at < wire->n;) {
		size_t n = 1 + below(most);
		uint8_t *piece;
		const uint8_t *p;
		enum ws_event event;

		n = MIN(n, wire->n - at);
		p = piece = memory_alloc(n);
		memcpy(piece, wire->bytes + at, n);
		at += n;
		while ((event = ws_message_feed(&messages, &p, &n)) != WS_MORE) {
			assert_int_not_equal(event, WS_ERROR);
			assert_true(n_seen < n_items);
			assert_int_equal(event, items[n_seen].event);
			assert_int_equal(messages.payload.n, items[n_seen].n);
			assert_memory_equal(
				messages.payload.p, items[n_seen].bytes, items[n_seen].n);
			n_seen++;
		}
		free(piece);
	}
	assert_int_equal(n_seen, n_items);
	assert_false(ws_message_is_partial(&messages));
	assert_null(messages.buf);
}

static void random_conversations_come_out_as_they_went_in(void **state)
{
	const char *given = getenv("TEST_SEED");
	unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
	static struct wire wire;

	(void)state;
	print_message("TEST_SEED=%u\n", seed);
	srandom(seed);
	for (int round = 0; round < 300; round++) {
		struct item items[200];
		size_t n_items = 0;

		wire.n = 0;
		wire.is_masked = random() % 2;
		while (n_items < 100 && wire.n < sizeof(wire.bytes) / 2) {
			n_items += maybe_put_control(&wire, items + n_items);
			n_items += put_message(&wire, items + n_items);
		}
		for (int i = 0; i < 3; i++)
			feed_and_compare(&wire, items, n_items);
		for (size_t i = 0; i < n_items; i++)
			free(items[i].bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_rfc),
		cmocka_unit_test(messages_and_fragments),
		cmocka_unit_test(control_frames_between_fragments),
		cmocka_unit_test(a_frame_masked_by_the_wrong_side_is_1002),
		cmocka_unit_test(reserved_bits_and_opcodes_are_1002),
		cmocka_unit_test(long_and_fragmented_control_frames_are_1002),
		cmocka_unit_test(lengths_out_of_form_are_1002),
		cmocka_unit_test(fragments_out_of_sequence_are_1002),
		cmocka_unit_test(bad_utf8_is_1007_at_its_first_byte),
		cmocka_unit_test(good_utf8_may_be_cut_anywhere),
		cmocka_unit_test(a_message_above_the_limit_is_1009_at_its_head),
		cmocka_unit_test(close_frames),
		cmocka_unit_test(close_codes_that_may_not_be_sent_are_1002),
		cmocka_unit_test(an_error_is_final),
		cmocka_unit_test(a_whole_unmasked_message_is_not_copied),
		cmocka_unit_test(there_is_no_buffer_between_messages),
		cmocka_unit_test(a_refused_or_closed_message_leaves_no_buffer),
		cmocka_unit_test(the_buffer_grows_with_what_has_come),
		cmocka_unit_test(a_large_buffer_does_not_serve_a_small_message),
		cmocka_unit_test(random_conversations_come_out_as_they_went_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
