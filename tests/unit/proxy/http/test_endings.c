/*
 * The table of endings: what each side sees when the other ends, breaks off or stalls. Both
 * HTTP/1.1 codecs on conns in memory, joined by the least possible handler.
 */
#include "tests/unit/proxy/http/endings_world.h"

/* Normal ends. */

static void test_a_response_with_a_length_keeps_both_connections(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sees(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_true(world->is_reusable);
	assert_non_null(world->server);
	logged(world, 200, REASON_NONE);
	client_sends(world, GET);
	backend_sees(world, GET);
}

static void test_a_response_without_a_length_is_chunked(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\n\r\nok");
	conn_fake_feed_end(world->backend);
	turn(world);
	client_sees(
		world, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
	assert_null(world->fetcher);
	assert_non_null(world->server);
	logged(world, 200, REASON_NONE);
}

static void test_chunks_are_framed_anew_and_trailers_pass(void **state)
{
	struct world *world = *state;

	client_sends(world,
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		"003;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n");
	backend_sees(world,
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nabcde\r\n0\r\nX-Sum: 5\r\n\r\n");
	backend_sends(world, "HTTP/1.1 204 No Content\r\n\r\n");
	client_sees(world, "HTTP/1.1 204 No Content\r\n\r\n");
	assert_true(world->is_reusable);
}

static void test_a_pipeline_is_answered_in_order(void **state)
{
	struct world *world = *state;

	client_sends(world, GET GET);
	backend_sees(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
	backend_sees(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
	client_sees(world,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
}

static void test_an_http_10_client_gets_the_end_by_close(void **state)
{
	struct world *world = *state;

	client_sends(world, "GET /a HTTP/1.0\r\nHost: h\r\n\r\n");
	backend_sends(
		world, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
	client_sees(world, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok");
	assert_true(conn_fake_has_ended(world->client));
	assert_true(world->is_reusable);
}

/* The client. */

static void test_client_gone_before_the_response_closes_the_backend(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	conn_fake_feed_end(world->client);
	turn(world);
	assert_true(conn_fake_is_closed(world->client));
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 0, REASON_CLIENT_GONE);
}

static void test_client_lost_in_its_body_closes_the_backend(void **state)
{
	struct world *world = *state;

	client_sends(world, POST_10 "abc");
	backend_sees(world, POST_10 "abc");
	conn_fake_lose(world->client, CONN_LOSS_RESET);
	turn(world);
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 0, REASON_CLIENT_GONE);
}

static void test_client_gone_in_its_body_ends_a_response_that_has_begun(void **state)
{
	struct world *world = *state;

	client_sends(world, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc");
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc");
	client_sees(world,
		"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\nabc");
	conn_fake_feed_end(world->client);
	turn(world);
	assert_true(conn_fake_is_closed(world->client));
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 200, REASON_CLIENT_GONE);
}

static void test_a_client_that_wants_the_last_response_may_end_its_side(void **state)
{
	struct world *world = *state;

	client_sends(world, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
	conn_fake_feed_end(world->client);
	turn(world);
	backend_sends(world, "k");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
	logged(world, 200, REASON_NONE);
}

static void test_a_client_that_leaves_a_stream_is_gone(void **state)
{
	struct world *world = *state;

	client_sends(world, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	backend_sends(world, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n");
	conn_fake_feed_end(world->client);
	turn(world);
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 200, REASON_CLIENT_GONE);
}

static void test_a_slow_head_gets_408(void **state)
{
	struct world *world = *state;

	client_sends(world, "GET /a HT");
	loop_advance(world->loop, 14999);
	assert_non_null(world->server);
	loop_advance(world->loop, 1);
	client_sees_status(world, "408");
	assert_null(world->server);
	logged(world, 408, REASON_HEADER_TIMEOUT);
}

static void test_bytes_do_not_move_the_deadline_of_a_head(void **state)
{
	struct world *world = *state;

	client_sends(world, "G");
	for (const char *c = "ET /a HTTP/1.1"; *c != '\0'; c++) {
		char one[2] = {*c, '\0'};

		loop_advance(world->loop, 1000);
		client_sends(world, one);
	}
	loop_advance(world->loop, 1000);
	client_sees_status(world, "408");
}

static void test_a_body_that_stalls_gets_408(void **state)
{
	struct world *world = *state;

	client_sends(world, POST_10 "abc");
	loop_advance(world->loop, 9000);
	conn_fake_feed_string(world->client, "d");
	loop_advance(world->loop, 9000);
	conn_fake_feed_string(world->client, "e");
	turn(world);
	assert_non_null(world->server);
	loop_advance(world->loop, 9000);
	assert_int_equal(world->n_logged, 0);
	loop_advance(world->loop, 30000);
	assert_int_equal(world->n_logged, 1);
	assert_true(conn_fake_is_closed(world->backend));
}

static void test_a_body_that_trickles_gets_408(void **state)
{
	struct world *world = *state;

	client_sends(world, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n");
	for (int i = 0; i < 9; i++) {
		loop_advance(world->loop, 3000);
		client_sends(world, "x");
	}
	assert_int_equal(world->n_logged, 0);
	loop_advance(world->loop, 3000);
	client_sees_status(world, "408");
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 408, REASON_BODY_TIMEOUT);
}

/* Both may pause in a conversation; one that waits in vain for the other ends it by itself. */
static void test_a_body_may_pause_behind_the_head_of_its_response(void **state)
{
	struct world *world = *state;

	client_sends(world, POST_10 "abc");
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n");
	for (int i = 0; i < 29; i++) {
		loop_advance(world->loop, 4000);
		backend_sends(world, "x");
	}
	assert_int_equal(world->n_logged, 0);
	client_sends(world, "defghij");
	backend_sees(world, POST_10 "abcdefghij");
	backend_sends(world, "x");
	logged(world, 200, REASON_NONE);
	assert_non_null(world->server);
}

static void test_a_pause_of_both_is_bounded_by_the_backend(void **state)
{
	struct world *world = *state;

	client_sends(world, POST_10 "abc");
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nx");
	loop_advance(world->loop, 4999);
	assert_int_equal(world->n_logged, 0);
	loop_advance(world->loop, 1);
	logged(world, 200, REASON_READ_TIMEOUT);
}

static void test_an_idle_connection_closes_without_a_word(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	(void)take_text(world->client);
	loop_advance(world->loop, 74999);
	assert_non_null(world->server);
	loop_advance(world->loop, 1);
	assert_null(world->server);
	client_sees(world, "");
	assert_int_equal(world->n_logged, 1);
}

static void test_a_client_that_takes_nothing_is_cut(void **state)
{
	struct world *world = *state;

	conn_fake_set_room(world->client, 10);
	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	loop_advance(world->loop, 29999);
	assert_non_null(world->server);
	loop_advance(world->loop, 2);
	assert_null(world->server);
	logged(world, 200, REASON_CLIENT_STALL);
}

static void test_a_broken_request_is_answered_and_the_connection_given_up(void **state)
{
	struct world *world = *state;

	client_sends(world,
		"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\n" GET);
	client_sees_status(world, "400");
	backend_sees(world, "");
	assert_null(world->server);
	logged(world, 400, REASON_BAD_FRAMING);
}

static void test_a_body_over_its_limit_gets_413(void **state)
{
	struct world *world = *state;

	client_sends(world,
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		"14\r\n01234567890123456789\r\n");
	assert_int_equal(world->n_logged, 0);
	client_sends(world, "1\r\nx\r\n");
	client_sees_status(world, "413");
	assert_true(conn_fake_is_closed(world->backend));
	assert_null(world->server);
	logged(world, 413, REASON_BODY_TOO_LARGE);
}

static void test_a_broken_chunk_gets_400(void **state)
{
	struct world *world = *state;

	client_sends(world,
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		"2\r\nab\r\n");
	client_sends(world, "-1\r\n");
	client_sees_status(world, "400");
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 400, REASON_BAD_BODY);
}

/* The backend. */

static void test_backend_gone_before_a_head_is_502(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	conn_fake_feed_end(world->backend);
	turn(world);
	client_sees_status(world, "502");
	assert_non_null(world->server);
	logged(world, 502, REASON_BACKEND_GONE);
}

static void test_backend_cut_in_a_chunked_body_gives_no_last_chunk(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo");
	conn_fake_feed_end(world->backend);
	turn(world);
	client_sees(world,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"7\r\nhellowo\r\n");
	assert_null(world->server);
	logged(world, 200, REASON_BACKEND_CUT);
}

static void test_a_head_and_a_cut_in_one_turn_are_both_seen(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(
		world, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n");
	client_sees(world, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	assert_null(world->server);
	logged(world, 200, REASON_BACKEND_CUT);
}

static void test_backend_cut_before_its_length_closes_the_client(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
	conn_fake_lose(world->backend, CONN_LOSS_RESET);
	turn(world);
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
	assert_null(world->server);
	logged(world, 200, REASON_BACKEND_CUT);
}

static void test_a_cut_that_looks_like_an_end_is_made_a_reset(void **state)
{
	struct world *world = *state;

	client_sends(world, "GET /a HTTP/1.0\r\nHost: h\r\n\r\n");
	backend_sends(world, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	(void)take_text(world->client);
	conn_fake_lose(world->backend, CONN_LOSS_RESET);
	turn(world);
	assert_true(conn_fake_is_closed(world->client));
	logged(world, 200, REASON_BACKEND_CUT);
}

static void test_a_backend_that_does_not_answer_is_504(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	loop_advance(world->loop, 9999);
	client_sees(world, "");
	loop_advance(world->loop, 1);
	client_sees_status(world, "504");
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 504, REASON_RESPONSE_TIMEOUT);
}

static void test_a_response_body_that_stalls_is_cut(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
	loop_advance(world->loop, 4999);
	assert_non_null(world->server);
	loop_advance(world->loop, 1);
	assert_null(world->server);
	logged(world, 200, REASON_READ_TIMEOUT);
}

static void test_a_malformed_response_is_502(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab");
	client_sees_status(world, "502");
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 502, REASON_BACKEND_PROTOCOL);
}

static void test_bytes_after_the_response_close_the_backend(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(
		world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_null(world->fetcher);
	assert_non_null(world->server);
}

static void test_an_unasked_101_is_502(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world, SWITCH);
	client_sees_status(world, "502");
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 502, REASON_BACKEND_PROTOCOL);
}

static void test_an_early_response_ends_the_request(void **state)
{
	struct world *world = *state;

	client_sends(world, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc");
	backend_sends(world, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
	client_sees(world,
		"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: "
		"close\r\n\r\n");
	assert_true(conn_fake_has_ended(world->client));
	assert_null(world->fetcher);
}

static void test_a_small_rest_of_a_body_is_skipped(void **state)
{
	struct world *world = *state;

	client_sends(world, POST_10 "abc");
	backend_sends(world, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
	client_sees(world, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
	/* Never reused: the backend waits for the rest. */
	assert_null(world->fetcher);
	client_sends(world, "defghijGET /b");
	assert_non_null(world->server);
	assert_false(conn_fake_has_ended(world->client));
}

static void test_100_continue_is_relayed(void **state)
{
	struct world *world = *state;

	client_sends(world,
		"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
		"2\r\n\r\n");
	backend_sees(world,
		"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
		"2\r\n\r\n");
	backend_sends(world, "HTTP/1.1 100 Continue\r\n\r\n");
	client_sees(world, "HTTP/1.1 100 Continue\r\n\r\n");
	client_sends(world, "hi");
	backend_sees(world, "hi");
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_true(world->is_reusable);
}

static void test_a_final_answer_instead_of_100_gives_both_up(void **state)
{
	struct world *world = *state;

	client_sends(world,
		"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
		"2\r\n\r\n");
	backend_sends(world, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
	client_sees(world,
		"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: "
		"close\r\n\r\n");
	assert_null(world->fetcher);
	assert_null(world->server);
}

/* Tunnels. */

static void test_a_tunnel_carries_bytes_and_half_closes(void **state)
{
	struct world *world = *state;

	open_tunnel(world);
	conn_fake_feed(world->client,
		"\x81\x82"
		"abcd"
		"hi",
		8);
	turn(world);
	backend_sees(world,
		"\x81\x82"
		"abcdhi");
	backend_sends(world, "\x81\x02ho");
	client_sees(world, "\x81\x02ho");
	conn_fake_feed_end(world->client);
	turn(world);
	assert_true(conn_fake_has_ended(world->backend));
	assert_false(conn_fake_has_ended(world->client));
	backend_sends(world, "\x81\x04last");
	client_sees(world, "\x81\x04last");
	conn_fake_feed_end(world->backend);
	turn(world);
	assert_true(conn_fake_has_ended(world->client));
	assert_null(world->server);
	assert_null(world->fetcher);
	logged(world, 101, REASON_NONE);
}

static void test_a_wrong_accept_is_502(void **state)
{
	struct world *world = *state;

	client_sends(world, HANDSHAKE);
	backend_sends(world,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
	client_sees_status(world, "502");
	assert_true(conn_fake_is_closed(world->backend));
}

static void test_a_refused_handshake_is_an_ordinary_response(void **state)
{
	struct world *world = *state;

	client_sends(world, HANDSHAKE);
	backend_sends(world, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
	client_sees(world, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
	logged(world, 401, REASON_NONE);
	assert_non_null(world->server);
}

static void test_a_cut_of_one_side_of_a_tunnel_cuts_the_other(void **state)
{
	struct world *world = *state;

	open_tunnel(world);
	conn_fake_lose(world->backend, CONN_LOSS_RESET);
	turn(world);
	assert_true(conn_fake_is_closed(world->client));
	logged(world, 101, REASON_TUNNEL_CUT);
}

static void test_an_idle_tunnel_ends_by_its_timeout(void **state)
{
	struct world *world = *state;

	open_tunnel(world);
	loop_advance(world->loop, 50000);
	backend_sends(world, "\x81\x02ho");
	loop_advance(world->loop, 59999);
	assert_non_null(world->server);
	loop_advance(world->loop, 1);
	assert_null(world->server);
	assert_true(conn_fake_is_closed(world->backend));
	logged(world, 101, REASON_TUNNEL_TIMEOUT);
}

static void test_a_drained_tunnel_gets_its_close_between_frames(void **state)
{
	struct world *world = *state;

	open_tunnel(world);
	(void)take_text(world->backend);
	/* In the middle of a frame to the client. */
	backend_sends(world, "\x81\x04la");
	client_sees(world, "\x81\x04la");
	server_codec_drain(world->server, NULL);
	turn(world);
	client_sees(world, "");
	/* Masked, with a mask of zeros, and our 1001. */
	assert_int_equal(bytes_size(conn_fake_sent(world->backend)), 6 + 12);
	backend_sends(world, "st\x81\x01x");
	client_sees(world, "st\x88\x0c\x03\xe9going away");
	conn_fake_feed(world->client,
		"\x88\x82"
		"\0\0\0\0"
		"\x03\xe9",
		8);
	turn(world);
	assert_null(world->server);
	assert_true(conn_fake_has_ended(world->client));
}

/* Leaving. */

static void test_a_drain_closes_after_the_exchange(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	server_codec_drain(world->server, NULL);
	turn(world);
	assert_non_null(world->server);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
	assert_null(world->server);
}

static void test_an_idle_connection_is_drained_at_once(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	server_codec_drain(world->server, NULL);
	loop_advance(world->loop, 1);
	assert_null(world->server);
}

/* It may be on its way while we look away. */
static void test_a_request_that_crosses_the_drain_is_answered(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	server_codec_drain(world->server, NULL);
	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
	assert_null(world->server);
}

static void test_a_client_that_was_let_in_may_ask_once(void **state)
{
	struct world *world = *state;

	server_codec_drain(world->server, NULL);
	loop_advance(world->loop, 999);
	assert_non_null(world->server);
	client_sends(world, GET);
	loop_advance(world->loop, 1);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
	assert_null(world->server);
}

static void test_a_client_that_was_let_in_and_asks_nothing(void **state)
{
	struct world *world = *state;

	server_codec_drain(world->server, NULL);
	loop_advance(world->loop, 1000);
	assert_null(world->server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_response_with_a_length_keeps_both_connections),
		TEST(test_a_response_without_a_length_is_chunked),
		TEST(test_chunks_are_framed_anew_and_trailers_pass),
		TEST(test_a_pipeline_is_answered_in_order),
		TEST(test_an_http_10_client_gets_the_end_by_close),
		TEST(test_client_gone_before_the_response_closes_the_backend),
		TEST(test_client_lost_in_its_body_closes_the_backend),
		TEST(test_client_gone_in_its_body_ends_a_response_that_has_begun),
		TEST(test_a_client_that_wants_the_last_response_may_end_its_side),
		TEST(test_a_client_that_leaves_a_stream_is_gone),
		TEST(test_a_slow_head_gets_408),
		TEST(test_bytes_do_not_move_the_deadline_of_a_head),
		TEST(test_a_body_that_stalls_gets_408),
		TEST(test_a_body_that_trickles_gets_408),
		TEST(test_a_body_may_pause_behind_the_head_of_its_response),
		TEST(test_a_pause_of_both_is_bounded_by_the_backend),
		TEST(test_an_idle_connection_closes_without_a_word),
		TEST(test_a_client_that_takes_nothing_is_cut),
		TEST(test_a_broken_request_is_answered_and_the_connection_given_up),
		TEST(test_a_body_over_its_limit_gets_413),
		TEST(test_a_broken_chunk_gets_400),
		TEST(test_backend_gone_before_a_head_is_502),
		TEST(test_backend_cut_in_a_chunked_body_gives_no_last_chunk),
		TEST(test_a_head_and_a_cut_in_one_turn_are_both_seen),
		TEST(test_backend_cut_before_its_length_closes_the_client),
		TEST(test_a_cut_that_looks_like_an_end_is_made_a_reset),
		TEST(test_a_backend_that_does_not_answer_is_504),
		TEST(test_a_response_body_that_stalls_is_cut),
		TEST(test_a_malformed_response_is_502),
		TEST(test_bytes_after_the_response_close_the_backend),
		TEST(test_an_unasked_101_is_502),
		TEST(test_an_early_response_ends_the_request),
		TEST(test_a_small_rest_of_a_body_is_skipped),
		TEST(test_100_continue_is_relayed),
		TEST(test_a_final_answer_instead_of_100_gives_both_up),
		TEST(test_a_tunnel_carries_bytes_and_half_closes),
		TEST(test_a_wrong_accept_is_502),
		TEST(test_a_refused_handshake_is_an_ordinary_response),
		TEST(test_a_cut_of_one_side_of_a_tunnel_cuts_the_other),
		TEST(test_an_idle_tunnel_ends_by_its_timeout),
		TEST(test_a_drained_tunnel_gets_its_close_between_frames),
		TEST(test_a_drain_closes_after_the_exchange),
		TEST(test_an_idle_connection_is_drained_at_once),
		TEST(test_a_request_that_crosses_the_drain_is_answered),
		TEST(test_a_client_that_was_let_in_may_ask_once),
		TEST(test_a_client_that_was_let_in_and_asks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
