/* WebSockets to a backend over HTTP/2 (RFC 8441). */
#include "tests/unit/proxy/http/h2_client_world.h"

static const struct h2_peer_options silent = {.is_silent = true};
/* SETTINGS_ENABLE_CONNECT_PROTOCOL = 1. */
static const uint8_t offer[] = {0, 8, 0, 0, 0, 1};

static struct job *open_tunnel(struct world *world)
{
	struct job *job = new_websocket(world);

	job_start(job);
	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	turn(world);
	assert_string_equal(job->told, "101+up");
	return job;
}

static void a_handshake_is_an_extended_connect(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	fields_add(&job->req.fields, &job->arena, SLICE("Sec-WebSocket-Key"), SLICE("k"));
	fields_add(&job->req.fields, &job->arena, SLICE("Sec-WebSocket-Version"), SLICE("13"));
	job_start(job);
	server_sees(world, "HEADERS(1)");
	assert_string_equal(h2_peer_stream(world->peer, 1)->head,
		":method=CONNECT\n:protocol=websocket\n:scheme=http\n:authority=h\n:path=/a\n"
		"sec-websocket-version=13\n");
	done(job, "");
}

static void a_tunnel_carries_bytes_both_ways(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	pipe_put_copy(&job->req_body, "to the server", 13);
	turn(world);
	assert_string_equal(h2_peer_body(world->peer, 1), "to the server");
	h2_peer_put_text(world->peer, 1, "to the client");
	turn(world);
	assert_string_equal(body_of(job), "to the client");
	done(job, "101+up");
}

/* What a client sends early goes when there is a tunnel, and to nobody when there is none. */
static void nothing_is_sent_before_the_server_accepts(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	pipe_put_copy(&job->req_body, "early", 5);
	job_start(job);
	advance(world, 1000);
	server_sees(world, "HEADERS(1)");
	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	turn(world);
	assert_string_equal(h2_peer_body(world->peer, 1), "early");
	done(job, "101+up");
	job = new_websocket(world);
	pipe_put_copy(&job->req_body, "early", 5);
	job_start(job);
	h2_peer_respond(world->peer, 3, ":status=403\n", false);
	turn(world);
	assert_string_equal(h2_peer_body(world->peer, 3), "");
	done(job, "403");
}

static void a_refusal_is_an_ordinary_response(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	job_start(job);
	respond(world, 1, ":status=403\n", "no");
	assert_string_equal(body_of(job), "no");
	/* The request has no end of its own. */
	assert_true(h2_peer_stream(world->peer, 1)->is_reset);
	done(job, "403 end");
	assert_int_equal(world->fetcher->n_active, 0);
}

/* Whether it may be sent. */

static void a_handshake_waits_for_the_settings(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	start(world, &silent);
	job_start(job);
	server_sees(world, "");
	h2_peer_raw_frame(world->peer, NGHTTP2_SETTINGS, 0, 0, offer, sizeof(offer));
	turn(world);
	server_sees(world, "HEADERS(1)");
	h2_peer_raw_headers(world->peer, OPEN, 1, ":status=200\n");
	turn(world);
	done(job, "101+up");
}

static void a_server_without_rfc_8441_needs_http1(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	start(world, &silent);
	job_start(job);
	h2_peer_raw_frame(world->peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	turn(world);
	done(job, "no-websocket unprocessed,http1");
	server_sees(world, "");
	/* Known at once from now on, and told by notice. */
	job = new_websocket(world);
	fetcher_start(world->fetcher, &job->fetch);
	assert_string_equal(job->told, "");
	turn(world);
	done(job, "no-websocket unprocessed,http1");
	assert_int_equal(world->fetcher->n_active, 0);
	assert_non_null(world->fetcher);
}

static void a_handshake_that_waits_may_be_cancelled(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	start(world, &silent);
	job_start(job);
	done(job, "");
	assert_int_equal(world->fetcher->n_active, 0);
	h2_peer_raw_frame(world->peer, NGHTTP2_SETTINGS, 0, 0, offer, sizeof(offer));
	turn(world);
	server_sees(world, "");
}

static void a_handshake_that_waits_was_not_seen(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	start(world, &silent);
	job_start(job);
	conn_fake_lose(world->fake, CONN_LOSS_RESET);
	turn(world);
	done(job, "backend-gone unprocessed");
	assert_null(world->fetcher);
}

static void a_handshake_does_not_wait_for_ever(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	start(world, &silent);
	job_start(job);
	advance(world, 10000);
	done(job, "response-timeout");
	assert_int_equal(world->fetcher->n_active, 0);
}

static void other_protocols_of_the_server_are_not_websockets(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	job_start(job);
	h2_peer_raw_headers(world->peer, OPEN, 1, ":status=101\n");
	turn(world);
	done(job, "backend-protocol");
}

/* Ends. */

static void the_server_may_end_first(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	h2_peer_put_text(world->peer, 1, "last");
	h2_peer_put_end(world->peer, 1, NULL);
	turn(world);
	assert_string_equal(body_of(job), "last");
	assert_true(pipe_is_ended(&job->res_body));
	assert_string_equal(job->told, "101+up");
	pipe_put_copy(&job->req_body, "last too", 8);
	turn(world);
	assert_string_equal(h2_peer_body(world->peer, 1), "last too");
	pipe_put_end(&job->req_body);
	turn(world);
	assert_true(h2_peer_stream(world->peer, 1)->has_end);
	assert_false(h2_peer_stream(world->peer, 1)->is_reset);
	done(job, "101+up end");
}

static void we_may_end_first(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	pipe_put_end(&job->req_body);
	turn(world);
	assert_true(h2_peer_stream(world->peer, 1)->has_end);
	h2_peer_put_text(world->peer, 1, "last");
	turn(world);
	assert_string_equal(body_of(job), "last");
	h2_peer_put_end(world->peer, 1, NULL);
	turn(world);
	done(job, "101+up end");
}

static void a_server_that_ends_with_its_head_may_be_told_more(void **state)
{
	struct world *world = *state;
	struct job *job = new_websocket(world);

	job_start(job);
	h2_peer_raw_headers(world->peer, END, 1, ":status=200\n");
	turn(world);
	assert_true(pipe_is_ended(&job->res_body));
	pipe_put_end(&job->req_body);
	turn(world);
	done(job, "101+up end");
}

/* RFC 8441 section 5. */
static void a_cancelled_tunnel_is_reset(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	done(job, "101+up");
	assert_int_equal(h2_peer_stream(world->peer, 1)->error, NGHTTP2_CANCEL);
	assert_false(h2_peer_stream(world->peer, 1)->has_end);
}

/* Both have ended, and the owner does not wait until the last word is written. */
static void a_tunnel_that_is_over_ends_in_order(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	h2_peer_put_end(world->peer, 1, NULL);
	turn(world);
	pipe_put_end(&job->req_body);
	done(job, "101+up");
	assert_true(h2_peer_stream(world->peer, 1)->has_end);
	assert_false(h2_peer_stream(world->peer, 1)->is_reset);
	assert_int_equal(world->fetcher->n_active, 0);
}

static void a_reset_cuts_the_tunnel(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	h2_peer_put_text(world->peer, 1, "half");
	turn(world);
	h2_peer_reset(world->peer, 1, NGHTTP2_CANCEL);
	turn(world);
	assert_string_equal(body_of(job), "half");
	assert_true(job->res_body.is_aborted);
	done(job, "101+up tunnel-cut");
	assert_non_null(world->fetcher);
}

static void a_lost_connection_cuts_the_tunnel(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	conn_fake_lose(world->fake, CONN_LOSS_RESET);
	turn(world);
	assert_true(job->res_body.is_aborted);
	done(job, "101+up tunnel-cut");
}

static void a_client_that_breaks_off_resets_the_tunnel(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	pipe_abort(&job->req_body);
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, 1)->error, NGHTTP2_CANCEL);
	assert_non_null(strstr(job->told, "101+up "));
	done(job, job->told);
}

/* The arena that they would stand in is gone. */
static void trailers_in_a_tunnel_are_dropped(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	arena_release_cache();
	h2_peer_put_end(world->peer, 1, "x-sum=5\n");
	turn(world);
	assert_null(job->res_trailers);
	done(job, job->told);
}

static void tunnels_have_no_timeouts_here(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	advance(world, 120000);
	assert_string_equal(job->told, "101+up");
	assert_non_null(world->fetcher);
	done(job, "101+up");
}

/* What the socket has not taken is still ours to lose. */
static void bytes_that_have_left_are_counted(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	assert_int_equal(fetch_n_tunnel_sent(&job->fetch), 0);
	pipe_put_copy(&job->req_body, "hello", 5);
	turn(world);
	assert_int_equal(fetch_n_tunnel_sent(&job->fetch), 5);
	conn_fake_set_room(world->fake, 3);
	pipe_put_copy(&job->req_body, "world", 5);
	turn(world);
	assert_int_equal(fetch_n_tunnel_sent(&job->fetch), 5);
	conn_fake_set_room(world->fake, SIZE_MAX);
	turn(world);
	assert_int_equal(fetch_n_tunnel_sent(&job->fetch), 10);
	conn_fake_set_room(world->fake, 3);
	pipe_put_copy(&job->req_body, "again", 5);
	turn(world);
	conn_fake_lose(world->fake, CONN_LOSS_RESET);
	turn(world);
	assert_int_equal(fetch_n_tunnel_sent(&job->fetch), 10);
	done(job, "101+up tunnel-cut");
}

static void a_goaway_lets_a_tunnel_live(void **state)
{
	struct world *world = *state;
	struct job *job = open_tunnel(world);

	h2_peer_goaway(world->peer, 1, NGHTTP2_NO_ERROR);
	turn(world);
	assert_int_equal(world->fetcher->n_room, 0);
	pipe_put_copy(&job->req_body, "still", 5);
	turn(world);
	assert_string_equal(h2_peer_body(world->peer, 1), "still");
	pipe_put_end(&job->req_body);
	h2_peer_put_end(world->peer, 1, NULL);
	turn(world);
	done(job, "101+up end");
	assert_null(world->fetcher);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_handshake_is_an_extended_connect),
		TEST(a_tunnel_carries_bytes_both_ways),
		TEST(nothing_is_sent_before_the_server_accepts),
		TEST(a_refusal_is_an_ordinary_response),
		TEST_UNSTARTED(a_handshake_waits_for_the_settings),
		TEST_UNSTARTED(a_server_without_rfc_8441_needs_http1),
		TEST_UNSTARTED(a_handshake_that_waits_may_be_cancelled),
		TEST_UNSTARTED(a_handshake_that_waits_was_not_seen),
		TEST_UNSTARTED(a_handshake_does_not_wait_for_ever),
		TEST(other_protocols_of_the_server_are_not_websockets),
		TEST(the_server_may_end_first),
		TEST(we_may_end_first),
		TEST(a_server_that_ends_with_its_head_may_be_told_more),
		TEST(a_cancelled_tunnel_is_reset),
		TEST(a_tunnel_that_is_over_ends_in_order),
		TEST(a_reset_cuts_the_tunnel),
		TEST(a_lost_connection_cuts_the_tunnel),
		TEST(a_client_that_breaks_off_resets_the_tunnel),
		TEST(trailers_in_a_tunnel_are_dropped),
		TEST(tunnels_have_no_timeouts_here),
		TEST(bytes_that_have_left_are_counted),
		TEST(a_goaway_lets_a_tunnel_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
