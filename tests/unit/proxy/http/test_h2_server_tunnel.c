/* WebSockets over HTTP/2 (RFC 8441): an extended CONNECT becomes a tunnel of bytes. */
#include "tests/unit/proxy/http/h2_server_world.h"

/* A frame of text from the client, masked with zeros, and one from the backend. */
#define CLIENT_HI "\x81\x82\0\0\0\0hi"
#define BACKEND_HO "\x81\x02ho"
/* Close 1001 of the client. */
#define CLIENT_CLOSE "\x88\x82\0\0\0\0\x03\xe9"

static void client_puts(struct world *world, int32_t id, const char *p, size_t n)
{
	h2_peer_put(world->peer, id, p, n);
	turn(world);
}

#define CLIENT_PUTS(world, id, literal) client_puts(world, id, literal, sizeof(literal) - 1)

static void assert_body(const struct bytes *bytes, const char *p, size_t n)
{
	char got[4096];

	assert_int_equal(bytes_size(bytes), n);
	bytes_peek(bytes, got, n);
	assert_memory_equal(got, p, n);
}

#define HANDLER_HAS(world, i, literal) \
	assert_body(&(world)->seen[i].body, literal, sizeof(literal) - 1)
#define CLIENT_HAS(world, id, literal) \
	assert_body(&h2_peer_stream((world)->peer, id)->body, literal, sizeof(literal) - 1)

static void a_tunnel_carries_bytes_both_ways(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	assert_string_equal(h2_peer_stream(world->peer, id)->head, ":status=200\n");
	CLIENT_PUTS(world, id, CLIENT_HI);
	HANDLER_HAS(world, 0, CLIENT_HI);
	give(world, 0, BACKEND_HO);
	CLIENT_HAS(world, id, BACKEND_HO);
	logged(world, "");
}

/* What they mean is the ends' matter. */
static void bytes_that_are_no_frames_pass_too(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	CLIENT_PUTS(world, id, "no frames\xff\xff\xff");
	HANDLER_HAS(world, 0, "no frames\xff\xff\xff");
	give(world, 0, "\x0f\x80 neither");
	CLIENT_HAS(world, id, "\x0f\x80 neither");
}

static void each_side_ends_for_itself(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	assert_true(world->seen[0].has_end);
	assert_false(h2_peer_stream(world->peer, id)->has_end);
	give(world, 0, BACKEND_HO);
	CLIENT_HAS(world, id, BACKEND_HO);
	give_end(world, 0);
	assert_true(h2_peer_stream(world->peer, id)->has_end);
	logged(world, "200 none");
}

static void the_handler_may_end_first(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	give_end(world, 0);
	assert_true(h2_peer_stream(world->peer, id)->has_end);
	assert_false(h2_peer_stream(world->peer, id)->is_reset);
	CLIENT_PUTS(world, id, CLIENT_HI);
	HANDLER_HAS(world, 0, CLIENT_HI);
	logged(world, "");
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	logged(world, "200 none");
}

/* RFC 8441 section 5: RST_STREAM CANCEL is what a TCP reset is. */
static void a_reset_is_an_abort(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	CLIENT_PUTS(world, id, CLIENT_HI);
	h2_peer_reset(world->peer, id, NGHTTP2_CANCEL);
	turn(world);
	assert_null(world->seen[0].x);
	assert_false(world->seen[0].has_end);
	logged(world, "200 tunnel-cut");
}

static void an_abort_is_a_reset(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	exchange_abort(world->seen[0].x, REASON_TUNNEL_CUT);
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_CANCEL);
	logged(world, "200 tunnel-cut");
	assert_non_null(world->server);
}

static void a_lost_connection_cuts_the_tunnel(void **state)
{
	struct world *world = *state;

	(void)open_tunnel(world);
	(void)get(world);
	conn_fake_lose(world->fake, CONN_LOSS_RESET);
	turn(world);
	logged(world, "200 tunnel-cut, 0 client-gone");
}

static void a_refused_handshake_is_an_ordinary_response(void **state)
{
	struct world *world = *state;
	int32_t id = h2_peer_request(world->peer, CONNECT, false);

	turn(world);
	respond(world, 0, 403);
	give(world, 0, "no");
	give_end(world, 0);
	client_sees(world, "HEADERS(1) DATA(1) DATA(1)+END");
	assert_string_equal(h2_peer_body(world->peer, id), "no");
	logged(world, "403 none");
	advance(world, 1000);
	client_sees(world, "RST_STREAM(1,NO_ERROR)");
}

/* A client that does not wait for the answer is served in order. */
static void early_bytes_are_the_first_of_the_tunnel(void **state)
{
	struct world *world = *state;
	int32_t id = h2_peer_request(world->peer, CONNECT, false);
	struct response_head *head;

	CLIENT_PUTS(world, id, CLIENT_HI);
	head = new_head(world->seen[0].x, 101);
	head->is_upgrade = true;
	head->body = BODY_NONE;
	exchange_respond(world->seen[0].x, head);
	CLIENT_PUTS(world, id, "\x81\x81\0\0\0\0!");
	HANDLER_HAS(world, 0, CLIENT_HI "\x81\x81\0\0\0\0!");
}

/* max_body_size is for requests; and the drain finds a pipe that it can put its close into. */
static void bytes_of_a_tunnel_are_no_body(void **state)
{
	struct world *world = *state;
	struct response_head *head;
	int32_t id;

	world->max_body_size = 10;
	id = h2_peer_request(world->peer, CONNECT, false);
	turn(world);
	head = new_head(world->seen[0].x, 101);
	head->is_upgrade = true;
	head->body = BODY_NONE;
	/* In one turn: the bytes come when the tunnel is agreed on and does not stand yet. */
	h2_peer_put(world->peer, id, CLIENT_HI CLIENT_HI, 2 * sizeof(CLIENT_HI) - 2);
	(void)h2_peer_step(world->peer);
	exchange_respond(world->seen[0].x, head);
	turn(world);
	assert_int_equal(world->seen[0].x->state, EXCHANGE_TUNNEL);
	HANDLER_HAS(world, 0, CLIENT_HI CLIENT_HI);
	server_codec_drain(world->server, NULL);
	turn(world);
	CLIENT_HAS(world, id, "\x88\x0c\x03\xe9going away");
}

/* RFC 9113 section 8.5: DATA alone. */
static void trailers_in_a_tunnel_are_an_error(void **state)
{
	struct world *world = *state;

	(void)open_tunnel(world);
	h2_peer_put_end(world->peer, 1, "x-sum=5\n");
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, 1)->error, NGHTTP2_PROTOCOL_ERROR);
	assert_false(world->seen[0].has_end);
	assert_non_null(world->server);
}

/* Trailers that began while there was an arena for them, and end when there is none. */
static void trailers_across_the_switch_are_an_error(void **state)
{
	struct world *world = *state;
	uint8_t block[512];
	struct response_head *head;
	size_t n;

	h2_peer_raw_headers(world->peer, OPEN, 1, CONNECT);
	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 1, "x-one=1\n");
	turn(world);
	head = new_head(world->seen[0].x, 101);
	head->is_upgrade = true;
	head->body = BODY_NONE;
	exchange_respond(world->seen[0].x, head);
	turn(world);
	/* Blocks that were given back go to the system, so that a use of them is seen. */
	arena_release_cache();
	n = h2_peer_encode("x-two=2\n", block, sizeof(block));
	h2_peer_raw_frame(world->peer, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, block, n);
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, 1)->error, NGHTTP2_PROTOCOL_ERROR);
	assert_null(world->seen[0].x);
	assert_non_null(world->server);
	/* The decoder has not lost its place. */
	h2_peer_raw_headers(world->peer, END, 3, GET);
	turn(world);
	assert_int_equal(world->n_seen, 2);
}

/* The pipes of a tunnel are windows too. */
static void a_tunnel_that_nobody_reads_stops_at_its_window(void **state)
{
	static const char zeros[200000];
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	world->seen[0].is_reading = false;
	client_puts(world, id, zeros, sizeof(zeros));
	assert_int_equal(pipe_size(&world->seen[0].x->req_body), 65536);
	for (int i = 0; i < 20; i++)
		take(world, 0, 20000);
	assert_int_equal(bytes_size(&world->seen[0].body), sizeof(zeros));
}

/* Leaving. */

static void a_drained_tunnel_gets_its_close_between_frames(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	give(world, 0, "\x81\x04la");
	server_codec_drain(world->server, NULL);
	turn(world);
	/* To the backend at once, to the client behind the frame. */
	HANDLER_HAS(world, 0, "\x88\x8c\0\0\0\0\x03\xe9going away");
	CLIENT_HAS(world, id, "\x81\x04la");
	give(world, 0, "st\x81\x01x");
	CLIENT_HAS(world, id, "\x81\x04last\x88\x0c\x03\xe9going away");
	/* Browsers cut WebSockets when they see a GOAWAY: not before the close. */
	assert_null(strstr(h2_peer_frames(world->peer), "GOAWAY"));
	/* The client's answer is the end, whatever the backend does. */
	CLIENT_PUTS(world, id, CLIENT_CLOSE);
	assert_true(h2_peer_stream(world->peer, id)->has_end);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_NO_ERROR);
	logged(world, "200 none");
	advance(world, 1000);
	assert_null(world->server);
	assert_non_null(strstr(h2_peer_frames(world->peer), "GOAWAY(1,NO_ERROR)"));
}

/* The GOAWAY comes as soon as there is no tunnel any more. */
static void a_goaway_waits_no_longer_than_the_tunnels(void **state)
{
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	server_codec_drain(world->server, NULL);
	turn(world);
	CLIENT_PUTS(world, id, CLIENT_CLOSE);
	logged(world, "200 none");
	advance(world, 500);
	assert_null(world->server);
	assert_non_null(strstr(h2_peer_frames(world->peer), "GOAWAY(1,NO_ERROR)"));
}

/* A client that does not answer is told after a second; the end of the drain is the owner's. */
static void a_goaway_does_not_wait_for_tunnels_for_long(void **state)
{
	struct world *world = *state;

	(void)open_tunnel(world);
	server_codec_drain(world->server, NULL);
	advance(world, 999);
	assert_null(strstr(world->peer->frames, "GOAWAY"));
	advance(world, 1);
	assert_non_null(strstr(world->peer->frames, "GOAWAY(2147483647,NO_ERROR)"));
	advance(world, 5000);
	assert_non_null(strstr(world->peer->frames, "GOAWAY(1,NO_ERROR)"));
	assert_non_null(world->server);
	server_codec_close(world->server, REASON_DRAIN);
	turn(world);
	logged(world, "200 drain");
}

static void a_handshake_under_way_gets_its_close_too(void **state)
{
	struct world *world = *state;
	int32_t id = h2_peer_request(world->peer, CONNECT, false);
	struct response_head *head;

	turn(world);
	server_codec_drain(world->server, NULL);
	turn(world);
	head = new_head(world->seen[0].x, 101);
	head->is_upgrade = true;
	head->body = BODY_NONE;
	exchange_respond(world->seen[0].x, head);
	turn(world);
	CLIENT_HAS(world, id, "\x88\x0c\x03\xe9going away");
}

/* What a client sends behind its close is of no interest, but must not be kept. */
static void nothing_is_kept_behind_a_close(void **state)
{
	static const char flood[16384];
	struct world *world = *state;
	int32_t id = open_tunnel(world);

	CLIENT_PUTS(world, id, CLIENT_CLOSE);
	server_codec_drain(world->server, NULL);
	turn(world);
	for (int i = 0; i < 64; i++) {
		client_puts(world, id, flood, sizeof(flood));
		assert_true(bytes_size(conn_input(conn_fake_conn(world->fake))) == 0);
	}
	assert_true(
		world->seen[0].x == NULL || pipe_size(&world->seen[0].x->req_body) <= 65536 + 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tunnel_carries_bytes_both_ways),
		TEST(bytes_that_are_no_frames_pass_too),
		TEST(each_side_ends_for_itself),
		TEST(the_handler_may_end_first),
		TEST(a_reset_is_an_abort),
		TEST(an_abort_is_a_reset),
		TEST(a_lost_connection_cuts_the_tunnel),
		TEST(a_refused_handshake_is_an_ordinary_response),
		TEST(early_bytes_are_the_first_of_the_tunnel),
		TEST(bytes_of_a_tunnel_are_no_body),
		TEST(trailers_in_a_tunnel_are_an_error),
		TEST(trailers_across_the_switch_are_an_error),
		TEST(a_tunnel_that_nobody_reads_stops_at_its_window),
		TEST(a_drained_tunnel_gets_its_close_between_frames),
		TEST(a_goaway_waits_no_longer_than_the_tunnels),
		TEST(a_goaway_does_not_wait_for_tunnels_for_long),
		TEST(a_handshake_under_way_gets_its_close_too),
		TEST(nothing_is_kept_behind_a_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
