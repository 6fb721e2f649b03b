/* Tunnels over HTTP/2 that are watched, and how a drain closes several of them on one connection.
 */
#include "tests/unit/proxy/http/h2_server_world.h"

#include "proxy/http/ws_tunnel.h"

#define MASK "\0\0\0\0"
#define CLIENT_CLOSE "\x88\x82" MASK "\x03\xe9"
#define TOO_LARGE "\x03\xf1message too large"
#define OTHER_SIDE "\x03\xe9the other side was closed"
#define GOING_AWAY "\x03\xe9going away"

static void puts_bytes(struct world *world, int32_t id, const char *p, size_t n)
{
	h2_peer_put(world->peer, id, p, n);
	turn(world);
}

static void gives_bytes(struct world *world, size_t i, const char *p, size_t n)
{
	pipe_put_copy(&world->seen[i].x->res_body, p, n);
	turn(world);
}

static void assert_bytes(struct bytes *bytes, const char *p, size_t n)
{
	char got[4096];

	assert_int_equal(bytes_size(bytes), n);
	bytes_peek(bytes, got, n);
	assert_memory_equal(got, p, n);
	bytes_drain(bytes, n);
}

#define CLIENT_PUTS(world, id, literal) puts_bytes(world, id, literal, sizeof(literal) - 1)
#define BACKEND_GIVES(world, i, literal) gives_bytes(world, i, literal, sizeof(literal) - 1)
#define HANDLER_GOT(world, i, literal) \
	assert_bytes(&(world)->seen[i].body, literal, sizeof(literal) - 1)
#define CLIENT_GOT(world, id, literal) \
	assert_bytes(&h2_peer_stream((world)->peer, id)->body, literal, sizeof(literal) - 1)

static const struct conf_tunnel small = {.is_set = true, .max_message_size = 4};

static struct exchange *accept_tunnel(struct world *world, size_t i)
{
	struct exchange *x = world->seen[i].x;
	struct response_head *head = new_head(x, 101);

	head->is_upgrade = true;
	head->body = BODY_NONE;
	exchange_respond(x, head);
	turn(world);
	return x;
}

/* What comes before the answer, and in one turn with the request. */
static void early_bytes_are_judged(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->rules = small;
	id = h2_peer_request(world->peer, CONNECT, false);
	CLIENT_PUTS(world, id, "\x81\x84" MASK "four\x81\x85" MASK "five!\x81\x80" MASK);
	(void)accept_tunnel(world, 0);
	HANDLER_GOT(world, 0, "\x81\x84" MASK "four\x88\x9b" MASK OTHER_SIDE);
	CLIENT_GOT(world, id, "\x88\x13" TOO_LARGE);
	CLIENT_PUTS(world, id, CLIENT_CLOSE);
	logged(world, "200 message-too-large");
}

/* A head in two parts, of which the first is early. */
static void early_bytes_are_the_first_of_a_frame(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->rules = small;
	id = h2_peer_request(world->peer, CONNECT, false);
	CLIENT_PUTS(world, id, "\x81\x84" MASK "fo");
	(void)accept_tunnel(world, 0);
	CLIENT_PUTS(world, id, "ur\x81\x85" MASK "five!");
	HANDLER_GOT(world, 0, "\x81\x84" MASK "four\x88\x9b" MASK OTHER_SIDE);
	CLIENT_GOT(world, id, "\x88\x13" TOO_LARGE);
	CLIENT_PUTS(world, id, CLIENT_CLOSE);
	logged(world, "200 message-too-large");
}

static void early_bytes_with_an_end(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->rules = small;
	id = h2_peer_request(world->peer, CONNECT, false);
	h2_peer_put(world->peer, id, "\x81\x84" MASK "four\x81\x85" MASK "five!", 21);
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	(void)accept_tunnel(world, 0);
	HANDLER_GOT(world, 0, "\x81\x84" MASK "four\x88\x9b" MASK OTHER_SIDE);
	assert_true(world->seen[0].x == NULL || world->seen[0].has_end);
	CLIENT_GOT(world, id, "\x88\x13" TOO_LARGE);
	advance(world, WS_TUNNEL_FAULT_WAIT_MS);
	logged(world, "200 message-too-large");
}

static void faults_of_either_side(void **state)
{
	struct world *world = *state;
	int32_t first, second;

	world->rules = small;
	first = open_tunnel(world);
	CLIENT_PUTS(world, first, "\x81\x85" MASK "five!");
	CLIENT_GOT(world, first, "\x88\x13" TOO_LARGE);
	HANDLER_GOT(world, 0, "\x88\x9b" MASK OTHER_SIDE);
	CLIENT_PUTS(world, first, CLIENT_CLOSE);
	logged(world, "200 message-too-large");
	second = open_tunnel(world);
	BACKEND_GIVES(world, 1,
		"\x81\x05"
		"fi");
	CLIENT_GOT(world, second, "\x88\x1b" OTHER_SIDE);
	HANDLER_GOT(world, 1, "\x88\x93" MASK TOO_LARGE);
	CLIENT_PUTS(world, second, CLIENT_CLOSE);
	logged(world, "200 message-too-large");
}

/* Behind its close nothing is put to the client: the fault is known all the same. */
static void a_fault_of_the_backend_behind_its_close(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->rules = small;
	id = open_tunnel(world);
	BACKEND_GIVES(world, 0, "\x88\x02\x03\xe8");
	CLIENT_GOT(world, id, "\x88\x02\x03\xe8");
	BACKEND_GIVES(world, 0, "\xff\xff");
	HANDLER_GOT(world, 0,
		"\x88\x97" MASK "\x03\xea"
		"not a WebSocket frame");
	advance(world, WS_TUNNEL_FAULT_WAIT_MS);
	logged(world, "200 bad-frame");
}

static void a_client_that_never_answers_is_reset(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->rules = small;
	id = open_tunnel(world);
	CLIENT_PUTS(world, id, "\x81\x85" MASK);
	advance(world, WS_TUNNEL_FAULT_WAIT_MS - 1);
	assert_false(h2_peer_stream(world->peer, id)->is_reset);
	advance(world, 1);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_CANCEL);
	logged(world, "200 message-too-large");
	assert_non_null(world->server);
}

/* The stream has ended on our side when the client's close comes; it needs not end its own. */
static void a_close_that_comes_after_our_end(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	server_codec_drain(world->server, NULL);
	turn(world);
	give_end(world, 0);
	assert_true(h2_peer_stream(world->peer, id)->has_end);
	logged(world, "");
	CLIENT_PUTS(world, id, CLIENT_CLOSE);
	logged(world, "200 none");
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_NO_ERROR);
}

/* Signs of life. */

static void a_silent_client_is_given_up(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->rules = (struct conf_tunnel){
		.is_set = true, .ping_client_ms = 3000, .pong_timeout_ms = 1000};
	id = open_tunnel(world);
	world->seen[0].x->tunnel_timeout_ms = 0;
	advance(world, 3000);
	CLIENT_GOT(world, id, "\x89\x08pollux\0\1");
	advance(world, 999);
	CLIENT_GOT(world, id, "");
	advance(world, 1);
	CLIENT_GOT(world, id, "\x88\x15\x03\xe9no answer to a ping");
	HANDLER_GOT(world, 0, "\x88\x9b" MASK OTHER_SIDE);
	advance(world, WS_TUNNEL_FAULT_WAIT_MS);
	logged(world, "200 pong-timeout");
}

static void an_answer_is_kept(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->rules = (struct conf_tunnel){
		.is_set = true, .ping_client_ms = 3000, .pong_timeout_ms = 1000};
	id = open_tunnel(world);
	for (char i = 1; i < 9; i++) {
		char pong[] = "\x8a\x88" MASK "pollux\0";

		advance(world, 3000);
		bytes_clear(&h2_peer_stream(world->peer, id)->body);
		h2_peer_put(world->peer, id, pong, 13);
		puts_bytes(world, id, &i, 1);
	}
	HANDLER_GOT(world, 0, "");
	logged(world, "");
}

/* An answer brings the next time nearer than that of the answer was. */
static void pings_may_be_closer_than_their_timeout(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->rules = (struct conf_tunnel){
		.is_set = true, .ping_client_ms = 1000, .pong_timeout_ms = 9000};
	id = open_tunnel(world);
	world->seen[0].x->tunnel_timeout_ms = 0;
	for (int i = 1; i < 9; i++) {
		advance(world, 1000);
		assert_int_equal(bytes_size(&h2_peer_stream(world->peer, id)->body), 10);
		bytes_clear(&h2_peer_stream(world->peer, id)->body);
		CLIENT_PUTS(world, id, "\x8a\x81" MASK "x");
	}
}

static void who_has_ended_is_not_asked(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->rules = (struct conf_tunnel){.is_set = true,
		.ping_client_ms = 3000,
		.ping_backend_ms = 50000,
		.pong_timeout_ms = 1000};
	id = open_tunnel(world);
	h2_peer_put_end(world->peer, id, NULL);
	advance(world, 30000);
	logged(world, "");
	BACKEND_GIVES(world, 0, "\x81\x02ho");
	CLIENT_GOT(world, id, "\x81\x02ho");
	give_end(world, 0);
	logged(world, "200 none");
}

/* A client that is held back by the backend, and a backend that is by the client. */
static void who_is_held_back_is_not_silent(void **state)
{
	static char frame[10 + 0x20000] = "\x82\x7f\0\0\0\0\0\x02\0\0";
	static const struct h2_peer_options slow = {.is_slow = true};
	struct world *world = *state;
	int32_t id;

	world->listen.write_timeout_ms = 100000;
	world->rules = (struct conf_tunnel){
		.is_set = true, .ping_backend_ms = 3000, .pong_timeout_ms = 1000};
	start(world, &slow);
	id = open_tunnel(world);
	gives_bytes(world, 0, frame, sizeof(frame));
	assert_true(pipe_size(&world->seen[0].x->res_body) > 0);
	advance(world, 20000);
	assert_int_equal(world->seen[0].x->reason, REASON_NONE);
	h2_peer_credit(world->peer, 0, 0x20000);
	h2_peer_credit(world->peer, id, 0x20000);
	turn(world);
	assert_int_equal(pipe_size(&world->seen[0].x->res_body), 0);
	advance(world, 4000);
	assert_int_equal(world->seen[0].x->reason, REASON_PONG_TIMEOUT);
}

/* The drain. */

static void tunnels_close_in_their_turn(void **state)
{
	struct world *world = *state;
	struct spread closes = {.start_ms = loop_now_ms(world->loop), .window_ms = 40000};
	int32_t first = open_tunnel(world), second = open_tunnel(world), third;

	third = open_tunnel(world);
	server_codec_drain(world->server, &closes);
	turn(world);
	/* 0, 0.618 and 0.236 of the window. */
	CLIENT_GOT(world, first, "\x88\x0c" GOING_AWAY);
	CLIENT_PUTS(world, first, CLIENT_CLOSE);
	advance(world, 9440);
	CLIENT_GOT(world, second, "");
	CLIENT_GOT(world, third, "");
	advance(world, 10);
	CLIENT_GOT(world, third, "\x88\x0c" GOING_AWAY);
	CLIENT_PUTS(world, third, CLIENT_CLOSE);
	/* The others go on, and requests are answered. */
	BACKEND_GIVES(world, 1, "\x81\x02ho");
	CLIENT_GOT(world, second, "\x81\x02ho");
	(void)get(world);
	answer(world, 3, "still here");
	advance(world, 15000);
	assert_null(strstr(world->peer->frames, "GOAWAY"));
	advance(world, 500);
	CLIENT_GOT(world, second, "\x88\x0c" GOING_AWAY);
	CLIENT_PUTS(world, second, CLIENT_CLOSE);
	advance(world, 500);
	assert_non_null(strstr(world->peer->frames, "GOAWAY"));
	assert_null(world->server);
}

static void half_closed_tunnels_leave_with_their_close(void **state)
{
	struct world *world = *state;
	int32_t first = open_tunnel(world), second = open_tunnel(world), third = open_tunnel(world);

	h2_peer_put_end(world->peer, first, NULL);
	give_end(world, 1);
	CLIENT_PUTS(world, third, "\x81\x82" MASK "h");
	give_end(world, 2);
	logged(world, "");
	server_codec_drain(world->server, NULL);
	turn(world);
	CLIENT_GOT(world, first, "\x88\x0c" GOING_AWAY);
	HANDLER_GOT(world, 1, "\x88\x8c" MASK GOING_AWAY);
	assert_int_equal(h2_peer_stream(world->peer, second)->error, NGHTTP2_NO_ERROR);
	logged(world, "200 none, 200 none");
	CLIENT_PUTS(world, third, "i");
	HANDLER_GOT(world, 2, "\x81\x82" MASK "hi\x88\x8c" MASK GOING_AWAY);
	logged(world, "200 none");
	advance(world, 500);
	assert_null(world->server);
}

/* Those of the bridge have their times from it, in the same window. */
static void a_goaway_waits_for_tunnels_of_the_bridge(void **state)
{
	struct world *world = *state;
	struct spread closes = {.start_ms = loop_now_ms(world->loop), .window_ms = 40000};

	(void)open_tunnel(world);
	world->seen[0].x->says_farewell = true;
	server_codec_drain(world->server, &closes);
	advance(world, 40000);
	assert_null(strstr(world->peer->frames, "GOAWAY"));
	advance(world, 1000);
	assert_non_null(strstr(world->peer->frames, "GOAWAY"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(early_bytes_are_judged),
		TEST(early_bytes_are_the_first_of_a_frame),
		TEST(early_bytes_with_an_end),
		TEST(faults_of_either_side),
		TEST(a_fault_of_the_backend_behind_its_close),
		TEST(a_client_that_never_answers_is_reset),
		TEST(a_close_that_comes_after_our_end),
		TEST(a_silent_client_is_given_up),
		TEST(an_answer_is_kept),
		TEST(pings_may_be_closer_than_their_timeout),
		TEST(who_has_ended_is_not_asked),
		TEST_UNSTARTED(who_is_held_back_is_not_silent),
		TEST(tunnels_close_in_their_turn),
		TEST(half_closed_tunnels_leave_with_their_close),
		TEST(a_goaway_waits_for_tunnels_of_the_bridge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
