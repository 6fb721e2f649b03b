#include "proxy/http/ws_tunnel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/memory.h"

/*
 * What each side says goes in as frames, cut into pieces of every size; what the other side gets
 * is told as a line, such as "text(hi) ping(pollux01) close(1001 going away)".
 */

enum { ALL = 1 << 20, PIECES = 20 };

struct world {
	struct loop *loop;
	struct conf_tunnel rules;
	struct ws_tunnel *ws;
	struct pipe from_backend;
	struct pipe to_backend;
	struct bytes to_client;
	size_t piece; /* how what goes in is cut */
	uint64_t now_ms;
};

static void open_world(struct world *world, const struct conf_tunnel *rules)
{
	*world = (struct world){.loop = loop_new_fake(0), .piece = ALL, .now_ms = 5000};
	pipe_init(&world->from_backend, world->loop, PIPE_LIMIT_DEFAULT);
	pipe_init(&world->to_backend, world->loop, PIPE_LIMIT_DEFAULT);
	bytes_init(&world->to_client);
	world->ws = ws_tunnel_new();
	if (rules == NULL)
		return;
	world->rules = *rules;
	if (world->rules.pong_timeout_ms == 0)
		world->rules.pong_timeout_ms = 1000;
	ws_tunnel_watch(world->ws, &world->rules, world->now_ms);
}

static void close_world(struct world *world)
{
	ws_tunnel_free(world->ws);
	bytes_clear(&world->to_client);
	pipe_close(&world->from_backend);
	pipe_close(&world->to_backend);
	loop_free(world->loop);
}

/* In. */

static void client_bytes(struct world *world, const void *p, size_t n)
{
	struct bytes in;

	bytes_init(&in);
	for (size_t at = 0; at < n; at += world->piece) {
		size_t part = MIN(world->piece, n - at);

		bytes_append(&in, (const uint8_t *)p + at, part);
		assert_int_equal(
			ws_tunnel_to_backend(world->ws, &in, &world->to_backend, world->now_ms),
			part);
		assert_int_equal(bytes_size(&in), 0);
	}
}

static void backend_bytes(struct world *world, const void *p, size_t n)
{
	for (size_t at = 0; at < n; at += world->piece) {
		pipe_put_copy(
			&world->from_backend, (const uint8_t *)p + at, MIN(world->piece, n - at));
		(void)ws_tunnel_to_client(
			world->ws, &world->from_backend, &world->to_client, ALL, world->now_ms);
		assert_int_equal(pipe_size(&world->from_backend), 0);
	}
}

static size_t write_frame(uint8_t *out, bool from_client, bool fin, enum ws_opcode opcode,
	const void *payload, size_t size)
{
	static const uint8_t mask[4] = {1, 2, 3, 4};
	size_t n = ws_frame_write_head(out, fin, opcode, size, from_client ? mask : NULL);

	memcpy(out + n, payload, size);
	if (from_client)
		ws_frame_mask(out + n, out + n, size, mask, 0);
	return n + size;
}

static void client_frame(struct world *world, bool fin, enum ws_opcode opcode, const char *text)
{
	uint8_t frame[2000];

	client_bytes(world, frame, write_frame(frame, true, fin, opcode, text, strlen(text)));
}

static void client_says(struct world *world, const char *text)
{
	client_frame(world, true, WS_OP_TEXT, text);
}

static void client_pong(struct world *world, uint8_t number)
{
	uint8_t payload[] = {'p', 'o', 'l', 'l', 'u', 'x', 0, number}, frame[20];

	client_bytes(
		world, frame, write_frame(frame, true, true, WS_OP_PONG, payload, sizeof(payload)));
}

static void backend_frame(struct world *world, bool fin, enum ws_opcode opcode, const char *text)
{
	uint8_t frame[2000];

	backend_bytes(world, frame, write_frame(frame, false, fin, opcode, text, strlen(text)));
}

/* Both movers, with nothing to move. */
static void flush(struct world *world)
{
	struct bytes nothing;

	bytes_init(&nothing);
	(void)ws_tunnel_to_backend(world->ws, &nothing, &world->to_backend, world->now_ms);
	(void)ws_tunnel_to_client(
		world->ws, &world->from_backend, &world->to_client, ALL, world->now_ms);
}

/* Ticks when it is time to, up to the end of `ms`. False: it is to be cut. */
static bool wait_with(struct world *world, uint64_t ms, const struct ws_guard_links *links)
{
	uint64_t end = world->now_ms + ms;

	while (ws_tunnel_deadline(world->ws) <= end) {
		world->now_ms = MAX(world->now_ms, ws_tunnel_deadline(world->ws));
		if (!ws_tunnel_tick(world->ws, links, world->now_ms))
			return false;
		flush(world);
	}
	world->now_ms = end;
	return true;
}

static bool wait(struct world *world, uint64_t ms)
{
	static const struct ws_guard_links links;

	return wait_with(world, ms, &links);
}

/* Out. */

static size_t tell_frame(char *text, size_t room, const struct ws_frame *frame, uint8_t *payload)
{
	size_t size = (size_t)frame->length;

	if (frame->masked)
		ws_frame_mask(payload, payload, size, frame->mask, 0);
	if (frame->opcode == WS_OP_CLOSE)
		return (size_t)snprintf(text, room, "close(%u %.*s) ", payload[0] << 8 | payload[1],
			(int)size - 2, payload + 2);
	if (size == WS_GUARD_PING_SIZE && memcmp(payload, "pollux", 6) == 0)
		return (size_t)snprintf(text, room, "%s(our %u) ", ws_opcode_name(frame->opcode),
			payload[6] << 8 | payload[7]);
	return (size_t)snprintf(text, room, "%s%s(%.*s) ", frame->fin ? "" : "+",
		ws_opcode_name(frame->opcode), (int)size, payload);
}

/* Takes all that has come out. */
static void told(struct bytes *bytes, bool to_backend, const char *expected)
{
	struct ws_frame_parser parser;
	struct slice all = bytes_linearize(bytes, bytes_size(bytes));
	const uint8_t *p = (const uint8_t *)all.p;
	size_t left = all.n, n = 0;
	char text[4000] = "";

	ws_frame_parser_init(&parser, to_backend, 7);
	while (left > 0) {
		struct ws_frame frame;
		uint8_t payload[2000];

		assert_int_equal(ws_frame_parse(&parser, &p, &left, &frame), WS_FRAME_HEAD);
		assert_true(frame.length <= left && frame.length <= sizeof(payload));
		assert_int_equal(ws_frame_take(&parser, left), frame.length);
		memcpy(payload, p, (size_t)frame.length);
		p += frame.length;
		left -= (size_t)frame.length;
		n += tell_frame(text + n, sizeof(text) - n, &frame, payload);
	}
	if (n > 0)
		text[n - 1] = '\0';
	assert_string_equal(text, expected);
	bytes_clear(bytes);
}

static void backend_got(struct world *world, const char *expected)
{
	told(&world->to_backend.bytes, true, expected);
}

static void client_got(struct world *world, const char *expected)
{
	told(&world->to_client, false, expected);
}

/* Tests. */

static void test_without_rules_bytes_are_bytes(void **state)
{
	struct world world;
	char all[256];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)(i * 7);
	for (size_t piece = 1; piece < PIECES; piece++) {
		open_world(&world, NULL);
		world.piece = piece;
		client_bytes(&world, all, sizeof(all));
		assert_int_equal(pipe_size(&world.to_backend), sizeof(all));
		assert_memory_equal(
			bytes_linearize(&world.to_backend.bytes, sizeof(all)).p, all, sizeof(all));
		backend_bytes(&world, all, sizeof(all));
		assert_memory_equal(
			bytes_linearize(&world.to_client, sizeof(all)).p, all, sizeof(all));
		assert_int_equal(ws_tunnel_deadline(world.ws), TIMER_NEVER);
		close_world(&world);
	}
}

static void test_frames_within_the_rules_pass(void **state)
{
	static const struct conf_tunnel rules = {.max_message_size = 400,
		.messages_per_second = 100,
		.bytes_per_second = 10000,
		.ping_client_ms = 100};
	char long_text[301];
	struct world world;

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	for (size_t piece = 1; piece < PIECES; piece++) {
		char expected[1000];

		open_world(&world, &rules);
		world.piece = piece;
		client_says(&world, "hi");
		client_says(&world, "");
		client_frame(&world, false, WS_OP_TEXT, "a");
		client_frame(&world, true, WS_OP_PING, "p");
		client_frame(&world, true, WS_OP_CONTINUATION, "b");
		client_says(&world, long_text);
		client_frame(&world, true, WS_OP_CLOSE, "\003\350bye");
		(void)snprintf(expected, sizeof(expected),
			"text(hi) text() +text(a) ping(p) continuation(b) text(%s) close(1000 bye)",
			long_text);
		backend_got(&world, expected);
		backend_frame(&world, true, WS_OP_BINARY, long_text);
		backend_frame(&world, true, WS_OP_PONG, "p");
		(void)snprintf(expected, sizeof(expected), "binary(%s) pong(p)", long_text);
		client_got(&world, expected);
		assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
		close_world(&world);
	}
}

/* Nothing of what is too much passes; the side that sent it is told so, the other that it is over.
 */
static void ended_by_client(struct world *world, enum reason reason, const char *close)
{
	assert_int_equal(ws_tunnel_fault(world->ws), reason);
	flush(world);
	client_got(world, close);
	/* Its answer is the end. */
	assert_false(ws_tunnel_has_left(world->ws));
	client_says(world, "dropped");
	client_frame(world, true, WS_OP_CLOSE, "\003\361");
	assert_true(ws_tunnel_has_left(world->ws));
	backend_got(world, "");
}

static void test_a_message_of_the_client_too_large(void **state)
{
	static const struct conf_tunnel rules = {.max_message_size = 5};
	struct world world;

	(void)state;
	for (size_t piece = 1; piece < PIECES; piece++) {
		open_world(&world, &rules);
		world.piece = piece;
		client_says(&world, "12345");
		client_says(&world, "54321");
		client_frame(&world, true, WS_OP_PING, "longer than that");
		client_says(&world, "123456");
		backend_got(&world,
			"text(12345) text(54321) ping(longer than that) "
			"close(1001 the other side was closed)");
		ended_by_client(&world, REASON_MESSAGE_TOO_LARGE, "close(1009 message too large)");
		close_world(&world);
	}
}

static void test_fragments_count_together(void **state)
{
	static const struct conf_tunnel rules = {.max_message_size = 5};
	struct world world;

	(void)state;
	for (size_t piece = 1; piece < PIECES; piece++) {
		open_world(&world, &rules);
		world.piece = piece;
		client_frame(&world, false, WS_OP_TEXT, "123");
		client_frame(&world, true, WS_OP_CONTINUATION, "45");
		client_frame(&world, false, WS_OP_BINARY, "123");
		client_frame(&world, false, WS_OP_CONTINUATION, "45");
		client_frame(&world, false, WS_OP_CONTINUATION, "");
		client_frame(&world, true, WS_OP_CONTINUATION, "6");
		backend_got(&world,
			"+text(123) continuation(45) +binary(123) +continuation(45) "
			"+continuation() close(1001 the other side was closed)");
		ended_by_client(&world, REASON_MESSAGE_TOO_LARGE, "close(1009 message too large)");
		close_world(&world);
	}
}

static void test_a_message_of_the_backend_too_large(void **state)
{
	static const struct conf_tunnel rules = {.max_message_size = 5};
	struct world world;

	(void)state;
	for (size_t piece = 1; piece < PIECES; piece++) {
		open_world(&world, &rules);
		world.piece = piece;
		backend_frame(&world, true, WS_OP_TEXT, "12345");
		backend_frame(&world, true, WS_OP_TEXT, "123456");
		client_got(&world, "text(12345) close(1001 the other side was closed)");
		assert_int_equal(ws_tunnel_fault(world.ws), REASON_MESSAGE_TOO_LARGE);
		flush(&world);
		backend_got(&world, "close(1009 message too large)");
		backend_frame(&world, true, WS_OP_TEXT, "dropped");
		client_got(&world, "");
		close_world(&world);
	}
}

static void test_messages_per_second(void **state)
{
	static const struct conf_tunnel rules = {.messages_per_second = 4};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	for (int i = 0; i < 4; i++)
		client_says(&world, "m");
	assert_true(wait(&world, 250));
	client_frame(&world, false, WS_OP_TEXT, "f");
	client_frame(&world, true, WS_OP_CONTINUATION, "f");
	/* An hour of silence allows no more at once than a second. */
	assert_true(wait(&world, 3600000));
	for (int i = 0; i < 3; i++)
		client_says(&world, "m");
	client_frame(&world, true, WS_OP_PING, "");
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	pipe_drain(&world.to_backend, pipe_size(&world.to_backend));
	assert_true(wait(&world, 249));
	client_frame(&world, true, WS_OP_PING, "");
	backend_got(&world, "close(1001 the other side was closed)");
	ended_by_client(&world, REASON_MESSAGE_RATE, "close(1008 too many messages)");
	close_world(&world);
}

static void test_a_close_is_never_too_many(void **state)
{
	static const struct conf_tunnel rules = {.messages_per_second = 1, .bytes_per_second = 1};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	client_says(&world, "m");
	client_frame(&world, true, WS_OP_CLOSE, "\003\350");
	backend_got(&world, "text(m) close(1000 )");
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	close_world(&world);
}

/* A frame of n bytes has six more of a head and a mask. */
static void test_bytes_per_second(void **state)
{
	static const struct conf_tunnel rules = {.bytes_per_second = 20};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	client_says(&world, "1234");
	client_says(&world, "1234");
	assert_true(wait(&world, 50));
	/* One byte is allowed: the rest of the frame is made up for later. */
	client_says(&world, "1234567890123456789012345");
	assert_true(wait(&world, 1550));
	client_says(&world, "");
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	backend_got(&world, "text(1234) text(1234) text(1234567890123456789012345) text()");
	assert_true(wait(&world, 100));
	client_says(&world, "");
	backend_got(&world, "close(1001 the other side was closed)");
	ended_by_client(&world, REASON_MESSAGE_RATE, "close(1008 too many bytes)");
	close_world(&world);
}

static void test_lengths_beyond_all_bounds(void **state)
{
	static const struct conf_tunnel rules = {.bytes_per_second = UINT64_C(1) << 40};
	static const uint8_t head[] = {
		0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	client_bytes(&world, head, sizeof(head));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	assert_int_equal(pipe_size(&world.to_backend), sizeof(head));
	close_world(&world);

	open_world(&world, &(struct conf_tunnel){.max_message_size = UINT64_C(1) << 50});
	client_bytes(&world, head, sizeof(head));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_MESSAGE_TOO_LARGE);
	close_world(&world);
}

static void test_no_frames(void **state)
{
	static const struct conf_tunnel rules = {.max_message_size = 5};
	struct world world;

	(void)state;
	for (size_t piece = 1; piece < PIECES; piece++) {
		open_world(&world, &rules);
		world.piece = piece;
		client_says(&world, "hi");
		/* Not masked. */
		client_bytes(&world, "\x81\x02hi", 4);
		backend_got(&world, "text(hi) close(1001 the other side was closed)");
		assert_int_equal(ws_tunnel_fault(world.ws), REASON_BAD_FRAME);
		flush(&world);
		client_got(&world, "close(1002 not a WebSocket frame)");
		assert_true(wait(&world, WS_TUNNEL_FAULT_WAIT_MS - 1));
		assert_false(wait(&world, 1));
		close_world(&world);
	}
}

static void test_a_silent_client_is_pinged(void **state)
{
	static const struct conf_tunnel rules = {.ping_client_ms = 3000};
	struct world world;

	(void)state;
	for (size_t piece = 1; piece < PIECES; piece++) {
		open_world(&world, &rules);
		world.piece = piece;
		assert_true(wait(&world, 2999));
		client_says(&world, "not silent");
		assert_true(wait(&world, 2999));
		client_got(&world, "");
		assert_true(wait(&world, 1));
		client_got(&world, "ping(our 1)");
		client_pong(&world, 1);
		backend_got(&world, "text(not silent)");
		close_world(&world);
	}
}

static void test_answers_to_our_pings_are_ours(void **state)
{
	static const struct conf_tunnel rules = {.ping_client_ms = 3000, .messages_per_second = 1};
	struct world world;

	(void)state;
	for (size_t piece = 1; piece < PIECES; piece++) {
		open_world(&world, &rules);
		world.piece = piece;
		/* Nobody has asked. */
		client_pong(&world, 1);
		backend_got(&world, "pong(our 1)");
		assert_true(wait(&world, 3000));
		client_got(&world, "ping(our 1)");
		/* Of the length, but another's. */
		client_frame(&world, true, WS_OP_PONG, "12345678");
		backend_got(&world, "pong(12345678)");
		assert_true(wait(&world, 3000));
		client_got(&world, "ping(our 2)");
		/* The first was not answered; with the second it need not be. */
		client_pong(&world, 2);
		backend_got(&world, "");
		/* It did not count. */
		client_says(&world, "m");
		backend_got(&world, "text(m)");
		assert_true(wait(&world, 1000));
		client_pong(&world, 2);
		backend_got(&world, "pong(our 2)");
		assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
		close_world(&world);
	}
}

static void test_a_client_that_does_not_answer(void **state)
{
	static const struct conf_tunnel rules = {.ping_client_ms = 3000, .pong_timeout_ms = 700};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	assert_true(wait(&world, 3699));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	/* What the backend says is no answer. */
	backend_frame(&world, true, WS_OP_TEXT, "hello?");
	assert_true(wait(&world, 1));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_PONG_TIMEOUT);
	client_got(&world, "ping(our 1) text(hello?) close(1001 no answer to a ping)");
	backend_got(&world, "close(1001 the other side was closed)");
	assert_true(wait(&world, WS_TUNNEL_FAULT_WAIT_MS - 1));
	assert_false(wait(&world, 1));
	close_world(&world);
}

/* What stands before the ping takes its time: as long as it moves, the client is there. */
static void test_a_client_that_is_slow_to_take(void **state)
{
	static const struct conf_tunnel rules = {.ping_client_ms = 3000, .pong_timeout_ms = 700};
	struct ws_guard_links links = {.n_unacknowledged = 100000, .progress = 5};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	assert_true(wait_with(&world, 3000, &links));
	for (int i = 0; i < 10; i++) {
		links.progress += 10;
		assert_true(wait_with(&world, 700, &links));
		assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	}
	assert_true(wait_with(&world, 700, &links));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_PONG_TIMEOUT);
	close_world(&world);

	/* All was taken, the ping too, and yet there is no answer. */
	open_world(&world, &rules);
	links = (struct ws_guard_links){.n_unacknowledged = 100000, .progress = 5};
	assert_true(wait_with(&world, 3000, &links));
	links = (struct ws_guard_links){.n_unacknowledged = 0, .progress = 100000};
	assert_true(wait_with(&world, 700, &links));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_PONG_TIMEOUT);
	close_world(&world);
}

static void test_a_silent_backend_is_pinged(void **state)
{
	static const struct conf_tunnel rules = {.ping_backend_ms = 3000, .pong_timeout_ms = 700};
	struct ws_guard_links busy = {.n_for_backend = 7000};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	assert_true(wait(&world, 3000));
	backend_got(&world, "ping(our 1)");
	backend_bytes(&world, "\x8a\x08pollux\0\001", 10);
	client_got(&world, "");
	assert_true(wait(&world, 3000));
	backend_got(&world, "ping(our 2)");
	/* It has not come to our ping yet, but takes what stands before it. */
	for (int i = 0; i < 10; i++) {
		busy.n_for_backend -= 10;
		assert_true(wait_with(&world, 700, &busy));
		assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	}
	assert_true(wait_with(&world, 700, &busy));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_PONG_TIMEOUT);
	client_got(&world, "close(1001 the other side was closed)");
	backend_got(&world, "close(1001 no answer to a ping)");
	close_world(&world);
}

static void test_a_ping_waits_for_the_end_of_a_frame(void **state)
{
	static const struct conf_tunnel rules = {.ping_client_ms = 3000};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	backend_bytes(&world,
		"\x81\x04"
		"ab",
		4);
	assert_true(wait(&world, 60000));
	assert_int_equal(bytes_size(&world.to_client), 4);
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	backend_bytes(&world, "cd\x81", 3);
	client_got(&world, "text(abcd) ping(our 1)");
	assert_true(wait(&world, 999));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	assert_true(wait(&world, 1));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_PONG_TIMEOUT);
	close_world(&world);
}

static void test_no_ping_after_a_close(void **state)
{
	static const struct conf_tunnel rules = {.ping_client_ms = 3000};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	backend_frame(&world, true, WS_OP_CLOSE, "\003\350");
	assert_true(wait(&world, 60000));
	client_got(&world, "close(1000 )");
	close_world(&world);
}

/* Who has said its last word, or has ended, is not asked any more; the other one is. */
static void test_no_ping_to_who_cannot_answer(void **state)
{
	static const struct conf_tunnel rules = {.ping_client_ms = 3000, .ping_backend_ms = 5000};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	assert_true(wait(&world, 3000));
	client_frame(&world, true, WS_OP_CLOSE, "\003\350");
	assert_true(wait(&world, 60000));
	client_got(&world, "ping(our 1)");
	backend_got(&world, "close(1000 )");
	close_world(&world);

	open_world(&world, &rules);
	assert_true(wait(&world, 3000));
	ws_tunnel_end_client(world.ws);
	assert_true(wait(&world, 2999));
	client_got(&world, "ping(our 1)");
	backend_got(&world, "ping(our 1)");
	assert_true(wait(&world, 1));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_PONG_TIMEOUT);
	client_got(&world, "close(1001 the other side was closed)");
	close_world(&world);

	open_world(&world, &rules);
	pipe_put_end(&world.from_backend);
	flush(&world);
	assert_true(wait(&world, 3999));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
	assert_true(wait(&world, 1));
	assert_int_equal(ws_tunnel_fault(world.ws), REASON_PONG_TIMEOUT);
	backend_got(&world, "close(1001 the other side was closed)");
	close_world(&world);
}

static void test_who_is_held_back_is_heard(void **state)
{
	static const struct conf_tunnel rules = {
		.ping_client_ms = 3000, .ping_backend_ms = 3000, .pong_timeout_ms = 700};
	static const struct ws_guard_links client = {.is_client_busy = true};
	static const struct ws_guard_links backend = {.n_for_backend = 1};
	struct world world;

	(void)state;
	open_world(&world, &rules);
	assert_true(wait_with(&world, 3000, &backend));
	backend_got(&world, "ping(our 1)");
	client_got(&world, "");
	close_world(&world);

	open_world(&world, &rules);
	assert_true(wait_with(&world, 3000, &client));
	backend_got(&world, "");
	client_got(&world, "ping(our 1)");
	close_world(&world);
}

static void test_leaving_at_a_time(void **state)
{
	static const struct conf_tunnel rules = {.ping_client_ms = 100000};
	const struct conf_tunnel *all[] = {NULL, &rules};
	struct world world;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		open_world(&world, all[i]);
		world.ws->leave_ms = world.now_ms + 1000;
		assert_true(wait(&world, 999));
		client_says(&world, "still here");
		backend_got(&world, "text(still here)");
		assert_true(wait(&world, 1));
		client_got(&world, "close(1001 going away)");
		backend_got(&world, "close(1001 going away)");
		assert_int_equal(ws_tunnel_fault(world.ws), REASON_NONE);
		/* The end is the drain's. */
		assert_true(wait(&world, 1000000));
		client_frame(&world, true, WS_OP_CLOSE, "\003\351");
		assert_true(ws_tunnel_has_left(world.ws));
		close_world(&world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_rules_bytes_are_bytes),
		cmocka_unit_test(test_frames_within_the_rules_pass),
		cmocka_unit_test(test_a_message_of_the_client_too_large),
		cmocka_unit_test(test_fragments_count_together),
		cmocka_unit_test(test_a_message_of_the_backend_too_large),
		cmocka_unit_test(test_messages_per_second),
		cmocka_unit_test(test_a_close_is_never_too_many),
		cmocka_unit_test(test_bytes_per_second),
		cmocka_unit_test(test_lengths_beyond_all_bounds),
		cmocka_unit_test(test_no_frames),
		cmocka_unit_test(test_a_silent_client_is_pinged),
		cmocka_unit_test(test_answers_to_our_pings_are_ours),
		cmocka_unit_test(test_a_client_that_does_not_answer),
		cmocka_unit_test(test_a_client_that_is_slow_to_take),
		cmocka_unit_test(test_a_silent_backend_is_pinged),
		cmocka_unit_test(test_a_ping_waits_for_the_end_of_a_frame),
		cmocka_unit_test(test_no_ping_after_a_close),
		cmocka_unit_test(test_no_ping_to_who_cannot_answer),
		cmocka_unit_test(test_who_is_held_back_is_heard),
		cmocka_unit_test(test_leaving_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
