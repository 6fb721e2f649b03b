/* How the HTTP/2 server leaves: GOAWAY in two steps, and what is cut. */
#include "tests/unit/proxy/http/h2_server_world.h"

static const struct h2_peer_options silent = {.is_silent = true};

static void an_idle_connection_leaves_when_the_client_knows(void **state)
{
	struct world *world = *state;

	(void)get(world);
	answer(world, 0, "");
	(void)h2_peer_frames(world->peer);
	server_codec_drain(world->server, NULL);
	turn(world);
	client_sees(world, "GOAWAY(2147483647,NO_ERROR) GOAWAY(1,NO_ERROR)");
	assert_int_equal(world->peer->n_pings, 1);
	assert_null(world->server);
	assert_true(conn_fake_has_ended(world->fake));
}

static void a_client_that_does_not_answer_is_left_after_a_second(void **state)
{
	struct world *world = *state;

	start(world, &silent);
	h2_peer_raw_preface(world->peer);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	turn(world);
	answer(world, 0, "");
	(void)h2_peer_frames(world->peer);
	server_codec_drain(world->server, NULL);
	advance(world, 999);
	client_sees(world, "GOAWAY(2147483647,NO_ERROR)");
	assert_non_null(world->server);
	advance(world, 1);
	client_sees(world, "GOAWAY(1,NO_ERROR)");
	assert_null(world->server);
}

static void who_has_only_just_come_has_a_second_for_a_request(void **state)
{
	struct world *world = *state;

	server_codec_drain(world->server, NULL);
	advance(world, 999);
	client_sees(world, "");
	(void)get(world);
	advance(world, 1);
	client_sees(world, "GOAWAY(2147483647,NO_ERROR) GOAWAY(1,NO_ERROR)");
	answer(world, 0, "late");
	assert_string_equal(h2_peer_body(world->peer, 1), "late");
	assert_null(world->server);
}

static void who_then_asks_for_nothing_is_left(void **state)
{
	struct world *world = *state;

	start(world, &silent);
	h2_peer_raw_preface(world->peer);
	turn(world);
	server_codec_drain(world->server, NULL);
	advance(world, 999);
	client_sees(world, "");
	advance(world, 1);
	client_sees(world, "GOAWAY(2147483647,NO_ERROR)");
	advance(world, 1000);
	client_sees(world, "GOAWAY(0,NO_ERROR)");
	assert_null(world->server);
}

/* RFC 9113 section 6.8: what was sent before the client knew is served. */
static void requests_between_the_two_steps_are_served(void **state)
{
	struct world *world = *state;

	start(world, &silent);
	h2_peer_raw_preface(world->peer);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	turn(world);
	server_codec_drain(world->server, NULL);
	turn(world);
	h2_peer_raw_headers(world->peer, END, 3, GET);
	turn(world);
	assert_int_equal(world->n_seen, 2);
	h2_peer_raw_frame(world->peer, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "\0\0\0\0\0\0\0", 8);
	turn(world);
	client_sees(world, "GOAWAY(2147483647,NO_ERROR) GOAWAY(3,NO_ERROR)");
	answer(world, 0, "one");
	assert_non_null(world->server);
	answer(world, 1, "two");
	assert_string_equal(h2_peer_body(world->peer, 1), "one");
	assert_string_equal(h2_peer_body(world->peer, 3), "two");
	logged(world, "200 none, 200 none");
	assert_null(world->server);
	assert_true(conn_fake_has_ended(world->fake));
}

/* The client may try them elsewhere: nobody here has seen them. */
static void requests_after_the_second_step_reach_nobody(void **state)
{
	struct world *world = *state;

	start(world, &silent);
	h2_peer_raw_preface(world->peer);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	turn(world);
	server_codec_drain(world->server, NULL);
	advance(world, 1000);
	assert_non_null(strstr(h2_peer_frames(world->peer), "GOAWAY(1,NO_ERROR)"));
	h2_peer_raw_headers(world->peer, END, 3, GET);
	turn(world);
	assert_int_equal(world->n_seen, 1);
	answer(world, 0, "last");
	assert_string_equal(h2_peer_body(world->peer, 1), "last");
	logged(world, "200 none");
	assert_null(world->server);
}

static void a_second_drain_changes_nothing(void **state)
{
	struct world *world = *state;

	(void)get(world);
	server_codec_drain(world->server, NULL);
	server_codec_drain(world->server, NULL);
	turn(world);
	server_codec_drain(world->server, NULL);
	turn(world);
	client_sees(world, "GOAWAY(2147483647,NO_ERROR) GOAWAY(1,NO_ERROR)");
	answer(world, 0, "");
}

/* keepalive_requests. */
static void a_connection_serves_so_many_requests(void **state)
{
	struct world *world = *state;

	world->listen.keepalive_requests = 3;
	start(world, NULL);
	(void)get(world);
	(void)get(world);
	assert_null(strstr(h2_peer_frames(world->peer), "GOAWAY"));
	(void)get(world);
	assert_non_null(strstr(h2_peer_frames(world->peer), "GOAWAY(5,NO_ERROR)"));
	answer(world, 0, "");
	answer(world, 1, "");
	assert_non_null(world->server);
	answer(world, 2, "");
	assert_null(world->server);
	logged(world, "200 none, 200 none, 200 none");
}

/* A client that leaves gets what it asked for. */
static void a_client_that_says_goodbye_is_served(void **state)
{
	struct world *world = *state;

	start(world, &silent);
	h2_peer_raw_preface(world->peer);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	h2_peer_raw_frame(world->peer, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0", 8);
	turn(world);
	answer(world, 0, "bye");
	assert_string_equal(h2_peer_body(world->peer, 1), "bye");
	logged(world, "200 none");
}

static void a_drain_lets_a_long_response_end(void **state)
{
	struct world *world = *state;

	(void)get(world);
	respond(world, 0, 200);
	server_codec_drain(world->server, NULL);
	for (int i = 0; i < 10; i++) {
		advance(world, 10000);
		give(world, 0, "more");
	}
	give_end(world, 0);
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, 1)->body), 40);
	logged(world, "200 none");
	assert_null(world->server);
}

static void a_drain_lets_a_request_come_to_its_end(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "first ");

	server_codec_drain(world->server, NULL);
	advance(world, 5000);
	h2_peer_put_text(world->peer, id, "last");
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	assert_string_equal(body_of(world, 0), "first last");
	answer(world, 0, "ok");
	logged(world, "200 none");
}

/* Cuts. */

static void a_close_ends_all_for_its_reason(void **state)
{
	struct world *world = *state;

	(void)get(world);
	(void)post(world, "half");
	(void)open_tunnel(world);
	respond(world, 0, 200);
	server_codec_close(world->server, REASON_DRAIN);
	assert_null(world->server);
	turn(world);
	logged(world, "200 drain, 0 drain, 200 drain");
	assert_true(conn_fake_is_closed(world->fake));
}

static void an_evicted_connection_is_gone_at_once(void **state)
{
	struct world *world = *state;

	(void)get(world);
	answer(world, 0, "");
	logged(world, "200 none");
	server_codec_evict(world->server);
	assert_null(world->server);
	assert_true(conn_fake_is_closed(world->fake));
	logged(world, "");
}

static void a_head_under_way_is_evicted_with_its_connection(void **state)
{
	struct world *world = *state;

	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 1, GET);
	turn(world);
	server_codec_evict(world->server);
	assert_null(world->server);
	logged(world, "0 overload");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_idle_connection_leaves_when_the_client_knows),
		TEST_UNSTARTED(a_client_that_does_not_answer_is_left_after_a_second),
		TEST(who_has_only_just_come_has_a_second_for_a_request),
		TEST_UNSTARTED(who_then_asks_for_nothing_is_left),
		TEST_UNSTARTED(requests_between_the_two_steps_are_served),
		TEST_UNSTARTED(requests_after_the_second_step_reach_nobody),
		TEST(a_second_drain_changes_nothing),
		TEST_UNSTARTED(a_connection_serves_so_many_requests),
		TEST_UNSTARTED(a_client_that_says_goodbye_is_served),
		TEST(a_drain_lets_a_long_response_end),
		TEST(a_drain_lets_a_request_come_to_its_end),
		TEST(a_close_ends_all_for_its_reason),
		TEST(an_evicted_connection_is_gone_at_once),
		TEST(a_head_under_way_is_evicted_with_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
