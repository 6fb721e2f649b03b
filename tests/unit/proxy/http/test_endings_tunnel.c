/* How tunnels end by their rules, by a drain, and by both: HTTP/1.1 on either side. */
#include "tests/unit/proxy/http/endings_world.h"

#include "proxy/base/spread.h"
#include "proxy/http/ws_tunnel.h"

#define CLOSE_OF_CLIENT "\x88\x82\0\0\0\0\x03\xe9"
#define MASK "\0\0\0\0"

/* Bytes with zeros among them. */
#define CLIENT_SENDS(world, literal) feed((world)->client, world, literal, sizeof(literal) - 1)
#define BACKEND_SENDS(world, literal) feed((world)->backend, world, literal, sizeof(literal) - 1)
#define CLIENT_SEES(world, literal) saw((world)->client, literal, sizeof(literal) - 1)
#define BACKEND_SEES(world, literal) saw((world)->backend, literal, sizeof(literal) - 1)

static void feed(struct conn_fake *fake, struct world *world, const char *p, size_t n)
{
	conn_fake_feed(fake, p, n);
	turn(world);
}

static void saw(struct conn_fake *fake, const char *p, size_t n)
{
	struct bytes *sent = conn_fake_sent(fake);
	char got[4096];

	assert_int_equal(bytes_size(sent), n);
	bytes_peek(sent, got, n);
	assert_memory_equal(got, p, n);
	bytes_drain(sent, n);
}

static void open_with(struct world *world, const struct conf_tunnel *rules)
{
	world->rules = *rules;
	world->rules.is_set = true;
	open_tunnel(world);
}

static const struct conf_tunnel small = {.max_message_size = 4};
static const struct conf_tunnel pinging = {
	.ping_client_ms = 3000, .ping_backend_ms = 3000, .pong_timeout_ms = 1000};
static const struct conf_tunnel pinging_client = {.ping_client_ms = 3000, .pong_timeout_ms = 1000};
static const struct conf_tunnel pinging_backend = {
	.ping_backend_ms = 3000, .pong_timeout_ms = 1000};

/* Faults. */

static void test_a_fault_of_the_client(void **state)
{
	struct world *world = *state;

	open_with(world, &small);
	CLIENT_SENDS(world, "\x81\x84" MASK "four\x81\x85" MASK "f");
	BACKEND_SEES(world,
		"\x81\x84" MASK "four"
		"\x88\x9b" MASK "\x03\xe9the other side was closed");
	CLIENT_SEES(world, "\x88\x13\x03\xf1message too large");
	CLIENT_SENDS(world, "ive!" CLOSE_OF_CLIENT);
	assert_null(world->server);
	assert_true(conn_fake_has_ended(world->client));
	logged(world, 101, REASON_MESSAGE_TOO_LARGE);
}

/* All of it in one segment. */
static void test_a_client_that_closes_behind_its_fault(void **state)
{
	struct world *world = *state;

	open_with(world, &small);
	(void)take_text(world->backend);
	CLIENT_SENDS(world, "\x81\x84" MASK "four\x81\x85" MASK "five!" CLOSE_OF_CLIENT);
	BACKEND_SEES(world,
		"\x81\x84" MASK "four"
		"\x88\x9b" MASK "\x03\xe9the other side was closed");
	CLIENT_SEES(world, "\x88\x13\x03\xf1message too large");
	assert_null(world->server);
	logged(world, 101, REASON_MESSAGE_TOO_LARGE);
}

static void test_a_client_that_closes_behind_its_frame(void **state)
{
	struct world *world = *state;

	open_tunnel(world);
	(void)take_text(world->backend);
	CLIENT_SENDS(world, "\x81\x82" MASK "h");
	server_codec_drain(world->server, NULL);
	turn(world);
	CLIENT_SENDS(world, "i" CLOSE_OF_CLIENT);
	BACKEND_SEES(world, "\x81\x82" MASK "hi\x88\x8c" MASK "\x03\xe9going away");
	assert_null(world->server);
	logged(world, 101, REASON_NONE);
}

static void test_a_fault_of_the_backend(void **state)
{
	struct world *world = *state;

	open_with(world, &small);
	BACKEND_SENDS(world,
		"\x81\x04"
		"four\x81\x05"
		"fiv");
	CLIENT_SEES(world,
		"\x81\x04"
		"four\x88\x1b\x03\xe9the other side was closed");
	BACKEND_SEES(world, "\x88\x93" MASK "\x03\xf1message too large");
	/* It has no more to say: nothing is waited for. */
	conn_fake_feed_end(world->backend);
	turn(world);
	assert_null(world->server);
	assert_true(conn_fake_has_ended(world->client));
	logged(world, 101, REASON_MESSAGE_TOO_LARGE);
}

static void test_a_client_that_never_answers_the_close_of_a_fault(void **state)
{
	struct world *world = *state;

	world->tunnel_timeout_ms = 0;
	open_with(world, &small);
	CLIENT_SENDS(world, "\x81\x85" MASK);
	loop_advance(world->loop, WS_TUNNEL_FAULT_WAIT_MS - 1);
	assert_non_null(world->server);
	loop_advance(world->loop, 1);
	assert_null(world->server);
	logged(world, 101, REASON_MESSAGE_TOO_LARGE);
}

/* What was told to the client is not lost by what becomes of the backend. */
static void test_a_backend_that_resets_after_a_fault(void **state)
{
	struct world *world = *state;

	open_with(world, &small);
	conn_fake_set_room(world->client, 0);
	BACKEND_SENDS(world,
		"\x81\x05"
		"five!");
	conn_fake_lose(world->backend, CONN_LOSS_RESET);
	turn(world);
	conn_fake_set_room(world->client, 1000);
	turn(world);
	(void)conn_fake_sent(world->client);
	assert_true(bytes_size(conn_fake_sent(world->client)) > 27);
	assert_true(conn_fake_has_ended(world->client));
	logged(world, 101, REASON_MESSAGE_TOO_LARGE);
}

static void test_a_backend_that_resets_after_the_close_of_a_drain(void **state)
{
	struct world *world = *state;

	open_tunnel(world);
	server_codec_drain(world->server, NULL);
	turn(world);
	CLIENT_SEES(world, "\x88\x0c\x03\xe9going away");
	conn_fake_lose(world->backend, CONN_LOSS_RESET);
	turn(world);
	/* A reset could overtake the close. */
	assert_true(conn_fake_has_ended(world->client));
	logged(world, 101, REASON_TUNNEL_CUT);
}

/* Signs of life. */

/* Who has ended its side cannot answer, and is not expected to. */
static void test_half_closed_sides_are_not_pinged(void **state)
{
	struct world *world = *state;

	open_with(world, &pinging);
	conn_fake_feed_end(world->client);
	turn(world);
	loop_advance(world->loop, 30000);
	assert_non_null(world->server);
	BACKEND_SENDS(world,
		"\x81\x04"
		"last");
	CLIENT_SEES(world,
		"\x81\x04"
		"last");
	conn_fake_feed_end(world->backend);
	turn(world);
	assert_null(world->server);
	logged(world, 101, REASON_NONE);
}

static void test_a_half_closed_backend_is_not_pinged(void **state)
{
	struct world *world = *state;

	open_with(world, &pinging_backend);
	(void)take_text(world->backend);
	/* The ping is on its way when it ends. */
	loop_advance(world->loop, 3500);
	BACKEND_SEES(world, "\x89\x88" MASK "pollux\0\1");
	conn_fake_feed_end(world->backend);
	turn(world);
	loop_advance(world->loop, 30000);
	assert_non_null(world->server);
	CLIENT_SENDS(world, "\x81\x84" MASK "last");
	BACKEND_SEES(world, "\x81\x84" MASK "last");
	conn_fake_feed_end(world->client);
	turn(world);
	logged(world, 101, REASON_NONE);
}

/* What it has sent is not read while the other side does not take it. */
static void test_a_client_that_is_held_back_is_not_silent(void **state)
{
	static char frame[14 + 0x30000] = "\x82\xff\0\0\0\0\0\x03\0\0";
	struct world *world = *state;

	open_with(world, &pinging_client);
	conn_fake_set_room(world->backend, 0);
	conn_fake_feed(world->client, frame, sizeof(frame));
	turn(world);
	assert_true(conn_fake_n_unread(world->client) > 0);
	loop_advance(world->loop, 4500);
	assert_non_null(world->server);
	assert_int_equal(world->n_logged, 0);
	conn_fake_set_room(world->backend, SIZE_MAX);
	turn(world);
	assert_int_equal(conn_fake_n_unread(world->client), 0);
	/* Now its silence counts. */
	loop_advance(world->loop, 2999);
	assert_non_null(world->x);
	assert_int_equal(world->x->reason, REASON_NONE);
	loop_advance(world->loop, 1001);
	assert_int_equal(world->x->reason, REASON_PONG_TIMEOUT);
}

static void test_a_backend_that_is_held_back_is_not_silent(void **state)
{
	static char frame[10 + 0x64000] = "\x82\x7f\0\0\0\0\0\x06\x40\0";
	struct world *world = *state;

	open_with(world, &pinging_backend);
	conn_fake_set_room(world->client, 0);
	conn_fake_feed(world->backend, frame, sizeof(frame));
	turn(world);
	assert_true(conn_fake_n_unread(world->backend) > 0);
	loop_advance(world->loop, 20000);
	assert_non_null(world->x);
	assert_int_equal(world->x->reason, REASON_NONE);
	conn_fake_set_room(world->client, SIZE_MAX);
	turn(world);
	assert_int_equal(conn_fake_n_unread(world->backend), 0);
	loop_advance(world->loop, 4000);
	assert_int_equal(world->x->reason, REASON_PONG_TIMEOUT);
}

/* It takes nothing of what stands before its ping. */
static void test_a_backend_that_hangs(void **state)
{
	static char frame[14 + 0x30000] = "\x82\xff\0\0\0\0\0\x03\0\0";
	struct world *world = *state;

	open_with(world, &pinging_backend);
	conn_fake_set_room(world->backend, 0);
	conn_fake_feed(world->client, frame, sizeof(frame));
	turn(world);
	loop_advance(world->loop, 3000);
	loop_advance(world->loop, 999);
	assert_int_equal(world->x->reason, REASON_NONE);
	loop_advance(world->loop, 1);
	assert_int_equal(world->x->reason, REASON_PONG_TIMEOUT);
}

static void test_no_timeout_but_pings(void **state)
{
	struct world *world = *state;

	world->tunnel_timeout_ms = 0;
	open_with(world, &pinging_client);
	for (int i = 1; i < 10; i++) {
		loop_advance(world->loop, 3000);
		assert_int_equal(bytes_size(conn_fake_sent(world->client)), 10);
		bytes_drain(conn_fake_sent(world->client), 10);
		client_sends(world,
			"\x8a\x80"
			"abcd");
	}
	loop_advance(world->loop, 4000);
	CLIENT_SEES(world, "\x89\x08pollux\0\x0a\x88\x15\x03\xe9no answer to a ping");
	loop_advance(world->loop, WS_TUNNEL_FAULT_WAIT_MS);
	assert_null(world->server);
	logged(world, 101, REASON_PONG_TIMEOUT);
}

/* An answer brings the next time nearer than that of the answer was. */
static void test_pings_that_are_closer_than_their_timeout(void **state)
{
	struct world *world = *state;
	uint8_t pong[] = "\x8a\x08pollux\0";

	open_with(world,
		&(struct conf_tunnel){
			.ping_client_ms = 1000, .ping_backend_ms = 1000, .pong_timeout_ms = 9000});
	(void)take_text(world->backend);
	for (uint8_t i = 1; i < 9; i++) {
		loop_advance(world->loop, 1000);
		assert_int_equal(bytes_size(conn_fake_sent(world->client)), 10);
		assert_int_equal(bytes_size(conn_fake_sent(world->backend)), 14);
		bytes_clear(conn_fake_sent(world->backend));
		client_sends(world,
			"\x8a\x81"
			"abcdx");
		backend_sees(world,
			"\x8a\x81"
			"abcdx");
		pong[9] = i;
		conn_fake_feed(world->backend, pong, 10);
		turn(world);
		bytes_clear(conn_fake_sent(world->client));
	}
}

/* write_timeout holds for tunnels, whatever else has a time. */
static void test_a_client_that_takes_nothing_is_cut(void **state)
{
	struct world *world = *state;

	world->tunnel_timeout_ms = 0;
	open_tunnel(world);
	conn_fake_set_room(world->client, 0);
	BACKEND_SENDS(world,
		"\x81\x04"
		"last");
	loop_advance(world->loop, 29999);
	assert_non_null(world->server);
	loop_advance(world->loop, 1);
	assert_null(world->server);
	logged(world, 101, REASON_CLIENT_STALL);
}

static void test_a_backend_that_takes_nothing_is_given_up(void **state)
{
	static char frame[14 + 0x30000] = "\x82\xff\0\0\0\0\0\x03\0\0";
	struct world *world = *state;

	world->tunnel_timeout_ms = 0;
	open_tunnel(world);
	(void)take_text(world->backend);
	CLIENT_SENDS(world, "\x81\x80" MASK);
	loop_advance(world->loop, 60000);
	assert_non_null(world->server);
	conn_fake_set_room(world->backend, 0);
	conn_fake_feed(world->client, frame, sizeof(frame));
	turn(world);
	loop_advance(world->loop, 4999);
	assert_non_null(world->server);
	loop_advance(world->loop, 1);
	assert_null(world->server);
	assert_null(world->fetcher);
	logged(world, 101, REASON_BACKEND_STALL);
}

/* The drain. */

static void test_a_close_in_its_turn(void **state)
{
	struct world *world = *state;
	struct spread closes = {.start_ms = loop_now_ms(world->loop), .window_ms = 40000, .n = 1};

	world->tunnel_timeout_ms = 0;
	open_tunnel(world);
	(void)take_text(world->backend);
	server_codec_drain(world->server, &closes);
	loop_advance(world->loop, 20000);
	CLIENT_SENDS(world, "\x81\x82" MASK "hi");
	BACKEND_SEES(world, "\x81\x82" MASK "hi");
	BACKEND_SENDS(world, "\x81\x02ho");
	CLIENT_SEES(world, "\x81\x02ho");
	loop_advance(world->loop, 20000);
	CLIENT_SEES(world, "\x88\x0c\x03\xe9going away");
	CLIENT_SENDS(world, CLOSE_OF_CLIENT);
	assert_null(world->server);
	logged(world, 101, REASON_NONE);
}

/* It cannot answer. */
static void test_a_half_closed_client_leaves_with_its_close(void **state)
{
	struct world *world = *state;

	open_tunnel(world);
	conn_fake_feed_end(world->client);
	turn(world);
	server_codec_drain(world->server, NULL);
	turn(world);
	CLIENT_SEES(world, "\x88\x0c\x03\xe9going away");
	assert_null(world->server);
	logged(world, 101, REASON_NONE);
}

/* Its client cannot be told any more; the backend is, behind the frame under way. */
static void test_a_half_closed_backend_is_left_with_a_close(void **state)
{
	struct world *world = *state;

	open_tunnel(world);
	(void)take_text(world->backend);
	CLIENT_SENDS(world, "\x81\x82" MASK "h");
	conn_fake_feed_end(world->backend);
	turn(world);
	assert_true(conn_fake_has_ended(world->client));
	server_codec_drain(world->server, NULL);
	turn(world);
	assert_non_null(world->server);
	CLIENT_SENDS(world, "i");
	BACKEND_SEES(world, "\x81\x82" MASK "hi\x88\x8c" MASK "\x03\xe9going away");
	assert_null(world->server);
	logged(world, 101, REASON_NONE);
}

static void test_a_fault_while_a_close_is_due(void **state)
{
	struct world *world = *state;
	struct spread closes = {.start_ms = loop_now_ms(world->loop), .window_ms = 10000, .n = 1};

	open_with(world, &small);
	(void)take_text(world->backend);
	server_codec_drain(world->server, &closes);
	CLIENT_SENDS(world, "\x81\x85" MASK);
	CLIENT_SEES(world, "\x88\x13\x03\xf1message too large");
	loop_advance(world->loop, WS_TUNNEL_FAULT_WAIT_MS);
	assert_null(world->server);
	logged(world, 101, REASON_MESSAGE_TOO_LARGE);
}

/* Our close waits for the end of a frame, behind which there is no other frame. */
static void test_a_fault_after_a_drain_began(void **state)
{
	struct world *world = *state;

	open_with(world, &small);
	(void)take_text(world->backend);
	CLIENT_SENDS(world, "\x81\x82" MASK "h");
	BACKEND_SENDS(world, "\x81\x02h");
	server_codec_drain(world->server, NULL);
	turn(world);
	CLIENT_SENDS(world, "i\x81\x85" MASK "five!" CLOSE_OF_CLIENT);
	BACKEND_SENDS(world,
		"o\x81\x05"
		"five!");
	BACKEND_SEES(world, "\x81\x82" MASK "hi\x88\x8c" MASK "\x03\xe9going away");
	CLIENT_SEES(world, "\x81\x02ho\x88\x0c\x03\xe9going away");
	assert_null(world->server);
	logged(world, 101, REASON_NONE);
}

static void test_a_drain_after_a_fault(void **state)
{
	struct world *world = *state;

	open_with(world, &small);
	(void)take_text(world->backend);
	CLIENT_SENDS(world, "\x81\x85" MASK);
	loop_advance(world->loop, 3000);
	server_codec_drain(world->server, NULL);
	turn(world);
	CLIENT_SEES(world, "\x88\x13\x03\xf1message too large");
	loop_advance(world->loop, 2000);
	assert_null(world->server);
	logged(world, 101, REASON_MESSAGE_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_fault_of_the_client),
		TEST(test_a_client_that_closes_behind_its_fault),
		TEST(test_a_client_that_closes_behind_its_frame),
		TEST(test_a_fault_of_the_backend),
		TEST(test_a_client_that_never_answers_the_close_of_a_fault),
		TEST(test_a_backend_that_resets_after_a_fault),
		TEST(test_a_backend_that_resets_after_the_close_of_a_drain),
		TEST(test_half_closed_sides_are_not_pinged),
		TEST(test_a_half_closed_backend_is_not_pinged),
		TEST(test_a_client_that_is_held_back_is_not_silent),
		TEST(test_a_backend_that_is_held_back_is_not_silent),
		TEST(test_a_backend_that_hangs),
		TEST(test_no_timeout_but_pings),
		TEST(test_pings_that_are_closer_than_their_timeout),
		TEST(test_a_client_that_takes_nothing_is_cut),
		TEST(test_a_backend_that_takes_nothing_is_given_up),
		TEST(test_a_close_in_its_turn),
		TEST(test_a_half_closed_client_leaves_with_its_close),
		TEST(test_a_half_closed_backend_is_left_with_a_close),
		TEST(test_a_fault_while_a_close_is_due),
		TEST(test_a_fault_after_a_drain_began),
		TEST(test_a_drain_after_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
