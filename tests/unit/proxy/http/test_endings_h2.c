/*
 * The table of endings with HTTP/2 on both sides: what each side sees of a stream when the other
 * ends, breaks off or stalls, while the connections go on.
 */
#include "tests/unit/proxy/http/endings_h2_world.h"

/* Normal ends. */

static void test_a_response_ends_its_streams_and_no_connection(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	backend_answers(world, 1, ":status=200\ncontent-length=2\n", false);
	backend_puts(world, 1, "ok");
	backend_ends(world, 1);
	they_see(world, "HEADERS(1) DATA(1)+END", "HEADERS(1)+END");
	assert_string_equal(h2_peer_body(world->client, 1), "ok");
	logged(&world->base, 200, REASON_NONE);
	both_live(world);
}

static void test_a_body_without_a_length_ends_with_its_stream(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, POST_H2, false);
	client_puts(world, 1, "abc");
	client_ends(world, 1);
	backend_answers(world, 1, ":status=200\n", false);
	backend_puts(world, 1, "de");
	backend_ends(world, 1);
	they_see(world, "HEADERS(1) DATA(1) DATA(1)+END", "HEADERS(1) DATA(1) DATA(1)+END");
	assert_string_equal(h2_peer_body(world->backend, 1), "abc");
	assert_string_equal(h2_peer_body(world->client, 1), "de");
	both_live(world);
}

static void test_trailers_pass_both_ways(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, POST_H2, false);
	client_puts(world, 1, "abc");
	h2_peer_put_end(world->client, 1, "x-sum=5\n");
	settle(world);
	assert_string_equal(h2_peer_stream(world->backend, 1)->trailers, "x-sum=5\n");
	backend_answers(world, 1, ":status=200\n", false);
	backend_puts(world, 1, "de");
	h2_peer_put_end(world->backend, 1, "grpc-status=0\n");
	settle(world);
	assert_string_equal(h2_peer_stream(world->client, 1)->trailers, "grpc-status=0\n");
	assert_true(h2_peer_stream(world->client, 1)->has_end);
	logged(&world->base, 200, REASON_NONE);
}

static void test_100_continue_is_relayed(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, POST_H2 "expect=100-continue\n", false);
	h2_peer_interim(world->backend, 1, ":status=100\n");
	settle(world);
	assert_string_equal(h2_peer_stream(world->client, 1)->interim, ":status=100\n");
	client_puts(world, 1, "hi");
	client_ends(world, 1);
	backend_answers(world, 1, ":status=204\n", true);
	they_see(world, "HEADERS(1) HEADERS(1)+END", "HEADERS(1) DATA(1) DATA(1)+END");
	logged(&world->base, 204, REASON_NONE);
}

/* The client. */

static void test_client_gone_before_the_response_cancels_at_the_backend(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	client_resets(world, 1, NGHTTP2_CANCEL);
	they_see(world, "", "HEADERS(1)+END RST_STREAM(1,CANCEL)");
	logged(&world->base, 0, REASON_CLIENT_GONE);
	both_live(world);
}

static void test_client_gone_in_its_body_cancels_at_the_backend(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, POST_H2, false);
	client_puts(world, 1, "abc");
	client_resets(world, 1, NGHTTP2_CANCEL);
	they_see(world, "", "HEADERS(1) DATA(1) RST_STREAM(1,CANCEL)");
	logged(&world->base, 0, REASON_CLIENT_GONE);
	both_live(world);
}

static void test_client_gone_in_the_response_cancels_at_the_backend(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	backend_answers(world, 1, ":status=200\n", false);
	backend_puts(world, 1, "half");
	client_resets(world, 1, NGHTTP2_CANCEL);
	they_see(world, "HEADERS(1) DATA(1)", "HEADERS(1)+END RST_STREAM(1,CANCEL)");
	logged(&world->base, 200, REASON_CLIENT_GONE);
	both_live(world);
}

static void test_a_lost_client_cancels_at_the_backend(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, POST_H2, false);
	conn_fake_lose(world->base.client, CONN_LOSS_RESET);
	settle(world);
	they_see(world, "", "HEADERS(1) RST_STREAM(1,CANCEL)");
	logged(&world->base, 0, REASON_CLIENT_GONE);
	assert_non_null(world->base.fetcher);
}

static void test_a_client_that_ends_its_side_is_gone(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	conn_fake_feed_end(world->base.client);
	settle(world);
	they_see(world, "", "HEADERS(1)+END RST_STREAM(1,CANCEL)");
	logged(&world->base, 0, REASON_CLIENT_GONE);
}

static void test_a_body_that_stalls_gets_408(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, POST_H2, false);
	client_puts(world, 1, "abc");
	pass(world, 30000);
	assert_int_equal(h2_peer_stream(world->client, 1)->status, 408);
	they_see(world, "HEADERS(1) DATA(1)+END", "HEADERS(1) DATA(1) RST_STREAM(1,CANCEL)");
	client_is_stopped(world);
	logged(&world->base, 408, REASON_BODY_TIMEOUT);
}

static void test_a_body_over_its_limit_gets_413(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, POST_H2, false);
	client_puts(world, 1, "01234567890123456789");
	client_puts(world, 1, "x");
	assert_int_equal(h2_peer_stream(world->client, 1)->status, 413);
	they_see(world, "HEADERS(1) DATA(1)+END", "HEADERS(1) DATA(1) RST_STREAM(1,CANCEL)");
	client_is_stopped(world);
	logged(&world->base, 413, REASON_BODY_TOO_LARGE);
	both_live(world);
}

static void test_a_body_that_is_not_as_long_as_it_says_is_malformed(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, POST_H2 "content-length=5\n", false);
	client_puts(world, 1, "abc");
	client_ends(world, 1);
	they_see(world, "RST_STREAM(1,PROTOCOL_ERROR)", "HEADERS(1) DATA(1) RST_STREAM(1,CANCEL)");
	logged(&world->base, 0, REASON_BAD_REQUEST);
	both_live(world);
}

static void test_a_client_that_takes_nothing_is_reset(void **state)
{
	struct h2_world *world = *state;
	static char zeros[400000];

	(void)client_asks(world, GET_H2, true);
	conn_fake_set_room(world->base.client, 0);
	backend_answers(world, 1, ":status=200\n", false);
	h2_peer_put(world->backend, 1, zeros, sizeof(zeros));
	settle(world);
	loop_advance(world->base.loop, 30001);
	settle(world);
	assert_null(world->base.server);
	assert_int_equal(h2_peer_stream(world->backend, 1)->error, NGHTTP2_CANCEL);
	logged(&world->base, 200, REASON_CLIENT_STALL);
}

/* The backend. */

static void test_backend_gone_before_a_head_is_502(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	backend_resets(world, 1, NGHTTP2_INTERNAL_ERROR);
	assert_int_equal(h2_peer_stream(world->client, 1)->status, 502);
	assert_true(h2_peer_stream(world->client, 1)->has_end);
	logged(&world->base, 502, REASON_BACKEND_GONE);
	both_live(world);
}

static void test_a_lost_backend_before_a_head_is_502(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	conn_fake_feed_end(world->base.backend);
	settle(world);
	assert_int_equal(h2_peer_stream(world->client, 1)->status, 502);
	assert_non_null(world->base.server);
	logged(&world->base, 502, REASON_BACKEND_GONE);
}

static void test_a_backend_cut_in_a_body_resets_the_client(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	backend_answers(world, 1, ":status=200\n", false);
	backend_puts(world, 1, "half");
	backend_resets(world, 1, NGHTTP2_INTERNAL_ERROR);
	they_see(world, "HEADERS(1) DATA(1) RST_STREAM(1,INTERNAL_ERROR)", "HEADERS(1)+END");
	assert_string_equal(h2_peer_body(world->client, 1), "half");
	logged(&world->base, 200, REASON_BACKEND_CUT);
	both_live(world);
}

static void test_a_backend_lost_in_a_body_resets_the_client(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	backend_answers(world, 1, ":status=200\ncontent-length=10\n", false);
	backend_puts(world, 1, "half");
	conn_fake_lose(world->base.backend, CONN_LOSS_RESET);
	settle(world);
	they_see(world, "HEADERS(1) DATA(1) RST_STREAM(1,INTERNAL_ERROR)", "HEADERS(1)+END");
	logged(&world->base, 200, REASON_BACKEND_CUT);
	assert_non_null(world->base.server);
}

/* The bytes and the cut in one turn: both are seen. */
static void test_a_head_and_a_cut_in_one_turn_are_both_seen(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	h2_peer_raw_headers(world->backend, NGHTTP2_FLAG_END_HEADERS, 1, ":status=200\n");
	h2_peer_raw_frame(world->backend, NGHTTP2_DATA, 0, 1, "half", 4);
	h2_peer_raw_u32(world->backend, NGHTTP2_RST_STREAM, 0, 1, NGHTTP2_INTERNAL_ERROR);
	settle(world);
	they_see(world, "HEADERS(1) DATA(1) RST_STREAM(1,INTERNAL_ERROR)", "HEADERS(1)+END");
	logged(&world->base, 200, REASON_BACKEND_CUT);
}

static void test_a_backend_that_does_not_answer_is_504(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	pass(world, 9999);
	they_see(world, "", "HEADERS(1)+END");
	pass(world, 1);
	assert_int_equal(h2_peer_stream(world->client, 1)->status, 504);
	they_see(world, "HEADERS(1) DATA(1)+END", "RST_STREAM(1,CANCEL)");
	logged(&world->base, 504, REASON_RESPONSE_TIMEOUT);
	both_live(world);
}

static void test_a_response_body_that_stalls_is_reset(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	backend_answers(world, 1, ":status=200\n", false);
	backend_puts(world, 1, "half");
	pass(world, 5000);
	they_see(world, "HEADERS(1) DATA(1) RST_STREAM(1,INTERNAL_ERROR)",
		"HEADERS(1)+END RST_STREAM(1,CANCEL)");
	logged(&world->base, 200, REASON_READ_TIMEOUT);
	both_live(world);
}

static void test_a_malformed_response_is_502(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	h2_peer_raw_headers(world->backend, NGHTTP2_FLAG_END_HEADERS, 1,
		":status=200\ntransfer-encoding=chunked\n");
	settle(world);
	assert_int_equal(h2_peer_stream(world->client, 1)->status, 502);
	assert_int_equal(h2_peer_stream(world->backend, 1)->error, NGHTTP2_PROTOCOL_ERROR);
	logged(&world->base, 502, REASON_BACKEND_PROTOCOL);
	assert_non_null(world->base.fetcher);
}

static void test_an_early_response_ends_the_request(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, POST_H2, false);
	client_puts(world, 1, "abc");
	backend_answers(world, 1, ":status=413\n", false);
	backend_puts(world, 1, "no");
	backend_ends(world, 1);
	they_see(
		world, "HEADERS(1) DATA(1) DATA(1)+END", "HEADERS(1) DATA(1) RST_STREAM(1,CANCEL)");
	client_is_stopped(world);
	logged(&world->base, 413, REASON_NONE);
	both_live(world);
}

static void test_a_goaway_lets_what_it_counts_end(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	h2_peer_goaway(world->backend, 1, NGHTTP2_NO_ERROR);
	settle(world);
	backend_answers(world, 1, ":status=200\n", false);
	backend_puts(world, 1, "ok");
	backend_ends(world, 1);
	assert_string_equal(h2_peer_body(world->client, 1), "ok");
	logged(&world->base, 200, REASON_NONE);
	assert_null(world->base.fetcher);
}

/* Tunnels. */

static void test_a_tunnel_carries_bytes_and_ends_by_halves(void **state)
{
	struct h2_world *world = *state;

	open_tunnel_h2(world);
	client_puts(world, 1, "up");
	backend_puts(world, 1, "down");
	client_ends(world, 1);
	they_see(world, "DATA(1)", "DATA(1) DATA(1)+END");
	backend_puts(world, 1, "last");
	backend_ends(world, 1);
	they_see(world, "DATA(1) DATA(1)+END", "");
	assert_string_equal(h2_peer_body(world->backend, 1), "up");
	assert_string_equal(h2_peer_body(world->client, 1), "downlast");
	logged(&world->base, 200, REASON_NONE);
	both_live(world);
}

static void test_the_backend_may_end_a_tunnel_first(void **state)
{
	struct h2_world *world = *state;

	open_tunnel_h2(world);
	backend_ends(world, 1);
	they_see(world, "DATA(1)+END", "");
	client_puts(world, 1, "last");
	client_ends(world, 1);
	they_see(world, "", "DATA(1) DATA(1)+END");
	logged(&world->base, 200, REASON_NONE);
	both_live(world);
}

static void test_a_client_that_resets_a_tunnel_resets_the_backend(void **state)
{
	struct h2_world *world = *state;

	open_tunnel_h2(world);
	client_resets(world, 1, NGHTTP2_CANCEL);
	they_see(world, "", "RST_STREAM(1,CANCEL)");
	logged(&world->base, 200, REASON_TUNNEL_CUT);
	both_live(world);
}

static void test_a_backend_that_resets_a_tunnel_resets_the_client(void **state)
{
	struct h2_world *world = *state;

	open_tunnel_h2(world);
	backend_resets(world, 1, NGHTTP2_CANCEL);
	they_see(world, "RST_STREAM(1,CANCEL)", "");
	logged(&world->base, 200, REASON_TUNNEL_CUT);
	both_live(world);
}

static void test_a_backend_lost_in_a_tunnel_resets_the_client(void **state)
{
	struct h2_world *world = *state;

	open_tunnel_h2(world);
	conn_fake_lose(world->base.backend, CONN_LOSS_RESET);
	settle(world);
	they_see(world, "RST_STREAM(1,CANCEL)", "");
	logged(&world->base, 200, REASON_TUNNEL_CUT);
	assert_non_null(world->base.server);
}

static void test_a_client_lost_in_a_tunnel_resets_the_backend(void **state)
{
	struct h2_world *world = *state;

	open_tunnel_h2(world);
	conn_fake_lose(world->base.client, CONN_LOSS_RESET);
	settle(world);
	they_see(world, "", "RST_STREAM(1,CANCEL)");
	logged(&world->base, 200, REASON_TUNNEL_CUT);
	assert_non_null(world->base.fetcher);
}

static void test_an_idle_tunnel_ends_by_its_timeout(void **state)
{
	struct h2_world *world = *state;

	open_tunnel_h2(world);
	pass(world, 60000);
	they_see(world, "RST_STREAM(1,CANCEL)", "RST_STREAM(1,CANCEL)");
	logged(&world->base, 200, REASON_TUNNEL_TIMEOUT);
	both_live(world);
}

static void test_a_refused_handshake_is_an_ordinary_response(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world,
		":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=h\n:path=/ws\n",
		false);
	backend_answers(world, 1, ":status=403\n", false);
	backend_puts(world, 1, "no");
	backend_ends(world, 1);
	assert_int_equal(h2_peer_stream(world->client, 1)->status, 403);
	they_see(world, "HEADERS(1) DATA(1) DATA(1)+END", "HEADERS(1) RST_STREAM(1,CANCEL)");
	client_is_stopped(world);
	logged(&world->base, 403, REASON_NONE);
	both_live(world);
}

static void test_a_drained_tunnel_gets_its_closes_and_ends(void **state)
{
	struct h2_world *world = *state;

	open_tunnel_h2(world);
	server_codec_drain(world->base.server, NULL);
	settle(world);
	assert_string_equal(h2_peer_body(world->client, 1), "\x88\x0c\x03\xe9going away");
	assert_int_equal(bytes_size(&h2_peer_stream(world->backend, 1)->body), 6 + 12);
	h2_peer_put(world->client, 1, "\x88\x82\0\0\0\0\x03\xe9", 8);
	h2_peer_put_end(world->client, 1, NULL);
	settle(world);
	assert_true(h2_peer_stream(world->client, 1)->has_end);
	logged(&world->base, 200, REASON_NONE);
	pass(world, 1000);
	assert_null(world->base.server);
}

/* Leaving. */

static void test_a_drain_closes_after_the_exchange(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	server_codec_drain(world->base.server, NULL);
	settle(world);
	they_see(world, "GOAWAY(2147483647,NO_ERROR) GOAWAY(1,NO_ERROR)", "HEADERS(1)+END");
	backend_answers(world, 1, ":status=200\n", false);
	backend_puts(world, 1, "ok");
	backend_ends(world, 1);
	assert_string_equal(h2_peer_body(world->client, 1), "ok");
	logged(&world->base, 200, REASON_NONE);
	assert_null(world->base.server);
	assert_true(conn_fake_has_ended(world->base.client));
}

static void test_the_end_of_the_drain_cuts(void **state)
{
	struct h2_world *world = *state;

	(void)client_asks(world, GET_H2, true);
	server_codec_close(world->base.server, REASON_DRAIN);
	settle(world);
	they_see(world, "", "HEADERS(1)+END RST_STREAM(1,CANCEL)");
	logged(&world->base, 0, REASON_DRAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_H2(test_a_response_ends_its_streams_and_no_connection),
		TEST_H2(test_a_body_without_a_length_ends_with_its_stream),
		TEST_H2(test_trailers_pass_both_ways),
		TEST_H2(test_100_continue_is_relayed),
		TEST_H2(test_client_gone_before_the_response_cancels_at_the_backend),
		TEST_H2(test_client_gone_in_its_body_cancels_at_the_backend),
		TEST_H2(test_client_gone_in_the_response_cancels_at_the_backend),
		TEST_H2(test_a_lost_client_cancels_at_the_backend),
		TEST_H2(test_a_client_that_ends_its_side_is_gone),
		TEST_H2(test_a_body_that_stalls_gets_408),
		TEST_H2(test_a_body_over_its_limit_gets_413),
		TEST_H2(test_a_body_that_is_not_as_long_as_it_says_is_malformed),
		TEST_H2(test_a_client_that_takes_nothing_is_reset),
		TEST_H2(test_backend_gone_before_a_head_is_502),
		TEST_H2(test_a_lost_backend_before_a_head_is_502),
		TEST_H2(test_a_backend_cut_in_a_body_resets_the_client),
		TEST_H2(test_a_backend_lost_in_a_body_resets_the_client),
		TEST_H2(test_a_head_and_a_cut_in_one_turn_are_both_seen),
		TEST_H2(test_a_backend_that_does_not_answer_is_504),
		TEST_H2(test_a_response_body_that_stalls_is_reset),
		TEST_H2(test_a_malformed_response_is_502),
		TEST_H2(test_an_early_response_ends_the_request),
		TEST_H2(test_a_goaway_lets_what_it_counts_end),
		TEST_H2(test_a_tunnel_carries_bytes_and_ends_by_halves),
		TEST_H2(test_the_backend_may_end_a_tunnel_first),
		TEST_H2(test_a_client_that_resets_a_tunnel_resets_the_backend),
		TEST_H2(test_a_backend_that_resets_a_tunnel_resets_the_client),
		TEST_H2(test_a_backend_lost_in_a_tunnel_resets_the_client),
		TEST_H2(test_a_client_lost_in_a_tunnel_resets_the_backend),
		TEST_H2(test_an_idle_tunnel_ends_by_its_timeout),
		TEST_H2(test_a_refused_handshake_is_an_ordinary_response),
		TEST_H2(test_a_drained_tunnel_gets_its_closes_and_ends),
		TEST_H2(test_a_drain_closes_after_the_exchange),
		TEST_H2(test_the_end_of_the_drain_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
