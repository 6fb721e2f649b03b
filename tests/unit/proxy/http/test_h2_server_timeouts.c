/* What the HTTP/2 server waits for, and for how long, by a clock moved by hand. */
#include "proxy/http/h2_stream.h"
#include "tests/unit/proxy/http/h2_server_world.h"

static const struct h2_peer_options slow = {.is_slow = true, .window = 65535};

static void start_silent(struct world *world)
{
	static const struct h2_peer_options silent = {.is_silent = true};

	start(world, &silent);
	h2_peer_raw_preface(world->peer);
	turn(world);
}

/* The connection has ended, after a GOAWAY of this kind. */
static void gone(struct world *world, const char *goaway)
{
	assert_null(world->server);
	assert_non_null(strstr(h2_peer_frames(world->peer), goaway));
}

/* Heads. */

static void a_connection_without_a_request_ends(void **state)
{
	struct world *world = *state;

	advance(world, 14999);
	assert_non_null(world->server);
	advance(world, 1);
	gone(world, "GOAWAY(0,NO_ERROR)");
	logged(world, "");
}

static void an_idle_connection_ends_later(void **state)
{
	struct world *world = *state;

	(void)get(world);
	advance(world, 5000);
	answer(world, 0, "");
	logged(world, "200 none");
	advance(world, 74999);
	assert_non_null(world->server);
	advance(world, 1);
	gone(world, "GOAWAY(1,NO_ERROR)");
	logged(world, "");
}

/* A client that pings is there, and wants nothing. */
static void pings_do_not_make_it_busy(void **state)
{
	struct world *world = *state;

	(void)get(world);
	answer(world, 0, "");
	for (int i = 0; i < 75; i++) {
		h2_peer_ping(world->peer);
		advance(world, 1000);
	}
	assert_in_range(world->peer->n_ping_acks, 73, 75);
	assert_null(world->server);
}

static void a_handler_has_all_the_time_it_wants(void **state)
{
	struct world *world = *state;

	(void)get(world);
	for (int i = 0; i < 100; i++)
		loop_advance(world->loop, 60000);
	answer(world, 0, "at last");
	logged(world, "200 none");
}

static void a_slow_head_ends_the_connection(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	turn(world);
	respond(world, 0, 200);
	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 3, GET);
	advance(world, 14999);
	assert_non_null(world->server);
	advance(world, 1);
	gone(world, "GOAWAY(3,ENHANCE_YOUR_CALM,a head did not arrive in time)");
	logged(world, "200 header-timeout, 0 header-timeout");
}

/* Also where not even its first frame is whole. */
static void a_slow_frame_of_a_head_ends_the_connection(void **state)
{
	struct world *world = *state;
	static const uint8_t head[] = {0, 0, 100, NGHTTP2_HEADERS, END, 0, 0, 0, 3, 0x82};

	start_silent(world);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	advance(world, 100000);
	h2_peer_raw(world->peer, head, sizeof(head));
	advance(world, 14999);
	assert_non_null(world->server);
	advance(world, 1);
	gone(world, "ENHANCE_YOUR_CALM");
	assert_non_null(strstr(world->log, "0 header-timeout"));
}

static void bytes_do_not_move_the_deadline_of_a_head(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 1, GET);
	for (int i = 0; i < 5; i++) {
		uint8_t line[64];
		size_t n = h2_peer_encode("x=y\n", line, sizeof(line));

		assert_non_null(world->server);
		h2_peer_raw_frame(world->peer, NGHTTP2_CONTINUATION, 0, 1, line, n);
		advance(world, 3000);
	}
	gone(world, "ENHANCE_YOUR_CALM");
}

static void a_head_in_time_is_served(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 1, GET);
	advance(world, 14000);
	h2_peer_raw_frame(world->peer, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, NULL, 0);
	advance(world, 30000);
	assert_int_equal(world->n_seen, 1);
	answer(world, 0, "ok");
	logged(world, "200 none");
}

static void slow_trailers_end_the_connection(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, OPEN, 1, POST);
	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 1, "x=y\n");
	advance(world, 15000);
	gone(world, "ENHANCE_YOUR_CALM");
	logged(world, "0 header-timeout");
}

/* Trailers that crossed our reset belong to no stream, and nobody waits for more of them. */
static void late_trailers_start_no_clock(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, OPEN, 1, POST);
	h2_peer_raw_headers(world->peer, END, 3, GET);
	turn(world);
	answer(world, 0, "enough");
	assert_int_equal(h2_peer_stream(world->peer, 1)->error, NGHTTP2_NO_ERROR);
	h2_peer_raw_headers(world->peer, END, 1, "x-sum=5\n");
	advance(world, 60000);
	assert_non_null(world->server);
	answer(world, 1, "still here");
	assert_string_equal(h2_peer_body(world->peer, 3), "still here");
}

/* Bodies. */

static void a_body_that_pauses_is_408(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "abc");

	advance(world, 29999);
	assert_int_equal(h2_peer_stream(world->peer, id)->status, 0);
	advance(world, 1);
	assert_int_equal(h2_peer_stream(world->peer, id)->status, 408);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_NO_ERROR);
	logged(world, "408 body-timeout");
	assert_non_null(world->server);
}

/* 32 bytes a second, over body_timeout. */
static void a_body_that_trickles_is_408(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "");

	for (int i = 0; i < 29; i++) {
		advance(world, 1000);
		h2_peer_put_text(world->peer, id, "x");
		turn(world);
	}
	logged(world, "");
	advance(world, 1000);
	logged(world, "408 body-timeout");
	assert_int_equal(h2_peer_stream(world->peer, id)->status, 408);
}

static void a_slow_body_that_is_worth_it_goes_on(void **state)
{
	static const char kilobyte[1000];
	struct world *world = *state;
	int32_t id = post(world, "");

	for (int i = 0; i < 20; i++) {
		advance(world, 29000);
		h2_peer_put(world->peer, id, kilobyte, sizeof(kilobyte));
		turn(world);
	}
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	answer(world, 0, "ok");
	logged(world, "200 none");
	assert_int_equal(world->n_request_body, 20000);
}

/* The handler is waited for, and not the client. */
static void a_body_that_nobody_reads_is_not_the_clients_fault(void **state)
{
	static const char zeros[100000];
	struct world *world = *state;
	int32_t id;

	world->is_reading = false;
	start(world, NULL);
	id = post(world, "");
	h2_peer_put(world->peer, id, zeros, sizeof(zeros));
	turn(world);
	advance(world, 300000);
	logged(world, "");
	world->seen[0].is_reading = true;
	take(world, 0, SIZE_MAX);
	advance(world, 20000);
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	assert_int_equal(bytes_size(&world->seen[0].body), sizeof(zeros));
	answer(world, 0, "ok");
	logged(world, "200 none");
}

/* Both may pause in a conversation; one that waits in vain for the other ends it by itself. */
static void a_body_may_pause_behind_the_head_of_its_response(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "abc");

	respond(world, 0, 200);
	advance(world, 300000);
	assert_false(world->seen[0].is_aborted);
	h2_peer_put_text(world->peer, id, "def");
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	take(world, 0, SIZE_MAX);
	assert_int_equal(bytes_size(&world->seen[0].body), 6);
	give(world, 0, "all the same");
	give_end(world, 0);
	assert_string_equal(h2_peer_body(world->peer, id), "all the same");
	logged(world, "200 none");
}

static void one_slow_body_ends_no_other(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "abc");

	advance(world, 20000);
	(void)post(world, "def");
	advance(world, 10000);
	assert_int_equal(h2_peer_stream(world->peer, id)->status, 408);
	logged(world, "408 body-timeout");
	assert_non_null(world->seen[1].x);
	advance(world, 20000);
	logged(world, "408 body-timeout");
}

/* Clients that take nothing. */

static void a_stream_whose_window_stays_shut_is_reset(void **state)
{
	struct world *world = *state;
	int32_t id;

	start(world, &slow);
	h2_peer_credit(world->peer, 0, 1000000);
	id = get(world);
	respond(world, 0, 200);
	give_zeros(world, 0, 100000);
	(void)get(world);
	advance(world, 19999);
	logged(world, "");
	advance(world, 1);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_CANCEL);
	logged(world, "200 client-stall");
	answer(world, 1, "others live");
	logged(world, "200 none");
}

/* Its listener there may give it more time, or less. */
static void a_client_of_another_worker_is_not_ours_to_cut(void **state)
{
	struct world *world = *state;

	world->listen.is_between_workers = true;
	start(world, &slow);
	h2_peer_credit(world->peer, 0, 1000000);
	(void)get(world);
	respond(world, 0, 200);
	give_zeros(world, 0, 100000);
	advance(world, 600000);
	logged(world, "");
	h2_peer_reset(world->peer, 1, h2_reset_code(REASON_CLIENT_STALL, false));
	turn(world);
	logged(world, "200 client-stall");
}

static void another_worker_says_what_it_has_answered(void **state)
{
	struct world *world = *state;

	world->listen.is_between_workers = true;
	start(world, &slow);
	(void)get(world);
	h2_peer_reset(world->peer, 1, h2_reset_code(REASON_BODY_TIMEOUT, true));
	turn(world);
	logged(world, "408 body-timeout");
	(void)get(world);
	h2_peer_reset(world->peer, 3, h2_reset_code(REASON_DRAIN, false));
	turn(world);
	logged(world, "0 drain");
}

static void a_client_says_nothing_of_the_kind(void **state)
{
	struct world *world = *state;

	(void)get(world);
	h2_peer_reset(world->peer, 1, h2_reset_code(REASON_BODY_TIMEOUT, true));
	turn(world);
	logged(world, "0 client-gone");
}

static void a_client_that_takes_slowly_is_served(void **state)
{
	struct world *world = *state;
	int32_t id;

	start(world, &slow);
	id = get(world);
	respond(world, 0, 200);
	give_zeros(world, 0, 100000);
	give_end(world, 0);
	for (int i = 0; i < 40; i++) {
		advance(world, 19000);
		h2_peer_credit(world->peer, 0, 1000);
		h2_peer_credit(world->peer, id, 1000);
		turn(world);
	}
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, id)->body), 100000);
	logged(world, "200 none");
}

/* The handler pauses: nothing waits for the client. */
static void silence_of_the_handler_is_no_stall(void **state)
{
	struct world *world = *state;

	(void)get(world);
	respond(world, 0, 200);
	give(world, 0, "tick");
	for (int i = 0; i < 10; i++)
		loop_advance(world->loop, 60000);
	give(world, 0, "tock");
	give_end(world, 0);
	logged(world, "200 none");
}

/*
 * Responses of the same urgency go one by one (RFC 9218 section 10). The client takes all the time;
 * that the second has to wait is not its fault.
 */
static void a_response_that_waits_for_its_turn_is_no_stall(void **state)
{
	struct world *world = *state;

	start(world, NULL);
	(void)get(world);
	(void)get(world);
	conn_fake_set_room(world->fake, 0);
	respond(world, 0, 200);
	respond(world, 1, 200);
	give_zeros(world, 0, 1000000);
	give_zeros(world, 1, 1000);
	for (int i = 0; i < 60; i++) {
		if (world->seen[0].x != NULL && pipe_size(&world->seen[0].x->res_body) < 500000)
			give_zeros(world, 0, 500000);
		conn_fake_set_room(world->fake, 20000);
		advance(world, 1000);
	}
	logged(world, "");
	assert_non_null(world->seen[1].x);
	conn_fake_set_room(world->fake, SIZE_MAX);
	give_end(world, 0);
	give_end(world, 1);
	logged(world, "200 none, 200 none");
}

static void a_client_that_takes_nothing_is_cut(void **state)
{
	struct world *world = *state;

	(void)get(world);
	(void)get(world);
	conn_fake_set_room(world->fake, 10);
	answer(world, 0, "hello");
	respond(world, 1, 200);
	loop_advance(world->loop, 19999);
	assert_non_null(world->server);
	loop_advance(world->loop, 2);
	assert_null(world->server);
	logged(world, "200 client-stall, 200 client-stall");
}

/* Tunnels. */

static void an_idle_tunnel_ends_by_its_timeout(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	advance(world, 59999);
	logged(world, "");
	advance(world, 1);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_CANCEL);
	logged(world, "200 tunnel-timeout");
	assert_non_null(world->server);
}

static void either_direction_keeps_a_tunnel(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	for (int i = 0; i < 3; i++) {
		advance(world, 40000);
		h2_peer_put(world->peer, id, "\x89\x80\0\0\0\0", 6);
		advance(world, 40000);
		pipe_put_copy(&world->seen[0].x->res_body, "\x8a\0", 2);
		turn(world);
	}
	advance(world, 59000);
	logged(world, "");
	advance(world, 1000);
	logged(world, "200 tunnel-timeout");
}

static void a_tunnel_has_no_body_timeout(void **state)
{
	struct world *world = *state;

	(void)open_tunnel(world);
	world->seen[0].x->tunnel_timeout_ms = 0;
	for (int i = 0; i < 100; i++)
		loop_advance(world->loop, 60000);
	logged(world, "");
	assert_non_null(world->server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_without_a_request_ends),
		TEST(an_idle_connection_ends_later),
		TEST(pings_do_not_make_it_busy),
		TEST(a_handler_has_all_the_time_it_wants),
		TEST_UNSTARTED(a_slow_head_ends_the_connection),
		TEST_UNSTARTED(a_slow_frame_of_a_head_ends_the_connection),
		TEST_UNSTARTED(bytes_do_not_move_the_deadline_of_a_head),
		TEST_UNSTARTED(a_head_in_time_is_served),
		TEST_UNSTARTED(slow_trailers_end_the_connection),
		TEST_UNSTARTED(late_trailers_start_no_clock),
		TEST(a_body_that_pauses_is_408),
		TEST(a_body_that_trickles_is_408),
		TEST(a_slow_body_that_is_worth_it_goes_on),
		TEST_UNSTARTED(a_body_that_nobody_reads_is_not_the_clients_fault),
		TEST(a_body_may_pause_behind_the_head_of_its_response),
		TEST(one_slow_body_ends_no_other),
		TEST_UNSTARTED(a_stream_whose_window_stays_shut_is_reset),
		TEST_UNSTARTED(a_client_of_another_worker_is_not_ours_to_cut),
		TEST_UNSTARTED(another_worker_says_what_it_has_answered),
		TEST(a_client_says_nothing_of_the_kind),
		TEST_UNSTARTED(a_client_that_takes_slowly_is_served),
		TEST(silence_of_the_handler_is_no_stall),
		TEST_UNSTARTED(a_response_that_waits_for_its_turn_is_no_stall),
		TEST(a_client_that_takes_nothing_is_cut),
		TEST(an_idle_tunnel_ends_by_its_timeout),
		TEST(either_direction_keeps_a_tunnel),
		TEST(a_tunnel_has_no_body_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
