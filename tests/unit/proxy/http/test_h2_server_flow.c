/* Flow control of the HTTP/2 server: windows are the pipes', and no stream stops another. */
#include "tests/unit/proxy/http/h2_server_world.h"

static const struct h2_peer_options slow = {.is_slow = true, .window = 65535};

/* Starts with handlers that read nothing. */
static void start_unread(struct world *world)
{
	world->is_reading = false;
	start(world, NULL);
}

static int32_t post_zeros(struct world *world, size_t n)
{
	static const char zeros[4 * 1024 * 1024];
	int32_t id = h2_peer_request(world->peer, POST, false);

	h2_peer_put(world->peer, id, zeros, n);
	turn(world);
	return id;
}

/* Bytes that wait between the client and its handlers. */
static size_t n_waiting(const struct world *world)
{
	size_t n = 0;

	for (size_t i = 0; i < world->n_seen; i++)
		if (world->seen[i].x != NULL)
			n += pipe_size(&world->seen[i].x->req_body);
	return n;
}

static void a_body_that_nobody_reads_stops_at_its_window(void **state)
{
	struct world *world = *state;

	start_unread(world);
	(void)post_zeros(world, 200000);
	assert_int_equal(pipe_size(&world->seen[0].x->req_body), 65536);
	assert_int_equal(conn_fake_n_unread(world->fake), 0);
}

static void a_stream_that_nobody_reads_stops_no_other(void **state)
{
	struct world *world = *state;
	int32_t id;

	start_unread(world);
	(void)post_zeros(world, 200000);
	world->is_reading = true;
	id = post(world, "hello");
	assert_string_equal(body_of(world, 1), "hello");
	answer(world, 1, "ok");
	assert_string_equal(h2_peer_body(world->peer, id), "ok");
	(void)post_zeros(world, 1000000);
	assert_int_equal(bytes_size(&world->seen[2].body), 1000000);
}

/* Though they hold more than half of what the connection may. */
static void stuck_uploads_leave_room_for_others(void **state)
{
	struct world *world = *state;

	world->listen.http2_queue = 100000;
	start_unread(world);
	(void)post_zeros(world, 65536);
	(void)post_zeros(world, 20000);
	assert_int_equal(n_waiting(world), 85536);
	world->is_reading = true;
	(void)post_zeros(world, 300000);
	assert_int_equal(bytes_size(&world->seen[2].body), 300000);
}

static void a_reader_that_takes_lets_the_client_go_on(void **state)
{
	struct world *world = *state;
	size_t taken = 0;

	start_unread(world);
	(void)post_zeros(world, 300000);
	while (taken < 300000) {
		size_t before = taken;

		take(world, 0, 10000);
		taken = bytes_size(&world->seen[0].body);
		if (taken == before)
			fail_msg("it stops at %zu", taken);
		assert_true(pipe_size(&world->seen[0].x->req_body) <= 65536);
	}
}

/* Whatever the size of the window is, within the range of the option. */
static void a_window_opens_again(struct world *world, uint64_t size)
{
	world->listen.http2_window = size;
	start(world, NULL);
	for (int i = 0; i < 2; i++)
		(void)post_zeros(world, 1000001);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(bytes_size(&world->seen[i].body), 1000001);
}

static void a_small_window_opens_again(void **state)
{
	a_window_opens_again(*state, 16 * 1024);
}

static void a_large_window_opens_again(void **state)
{
	a_window_opens_again(*state, 16 * 1024 * 1024);
}

/* The connection's window bounds what waits for all handlers together. */
static void what_waits_on_one_connection_is_bounded(void **state)
{
	struct world *world = *state;

	world->listen.http2_queue = 200000;
	start_unread(world);
	for (int i = 0; i < 10; i++)
		(void)post_zeros(world, 65536);
	assert_int_equal(n_waiting(world), 200000);
	for (int round = 0; round < 10; round++) {
		for (size_t i = 0; i < 10; i++)
			take(world, i, 65536);
		assert_true(n_waiting(world) <= 200000);
	}
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(bytes_size(&world->seen[i].body), 65536);
}

/* Bytes of streams that are no more are credited to the connection all the same. */
static void what_was_reset_is_credited_to_the_connection(void **state)
{
	struct world *world = *state;

	world->listen.http2_queue = 100000;
	start_unread(world);
	for (int i = 0; i < 20; i++) {
		int32_t id = post_zeros(world, 65536);

		h2_peer_reset(world->peer, id, NGHTTP2_CANCEL);
		turn(world);
	}
	world->is_reading = true;
	(void)post_zeros(world, 300000);
	assert_int_equal(bytes_size(&world->seen[20].body), 300000);
}

static void what_nobody_wants_is_credited_to_the_connection(void **state)
{
	struct world *world = *state;

	world->listen.http2_queue = 100000;
	start_unread(world);
	for (int i = 0; i < 20; i++) {
		int32_t id = post_zeros(world, 65536);

		/* Answered before its end, so that what still comes is dropped. */
		answer(world, (size_t)i, "enough");
		assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_NO_ERROR);
	}
	world->is_reading = true;
	(void)post_zeros(world, 300000);
	assert_int_equal(bytes_size(&world->seen[20].body), 300000);
}

/* A handler that has closed its end of the pipe takes everything, and no memory. */
static void a_closed_pipe_takes_all(void **state)
{
	struct world *world = *state;

	start_unread(world);
	(void)post_zeros(world, 1000);
	pipe_close_reader(&world->seen[0].x->req_body);
	turn(world);
	h2_peer_put(world->peer, 1, (char[1]){0}, 1);
	for (int i = 0; i < 20; i++) {
		static const char zeros[65536];

		h2_peer_put(world->peer, 1, zeros, sizeof(zeros));
		turn(world);
	}
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, 1)->out), 0);
	assert_int_equal(pipe_size(&world->seen[0].x->req_body), 0);
}

static void padding_is_credited_too(void **state)
{
	struct world *world = *state;
	static uint8_t padded[1 + 255];

	world->listen.http2_queue = 65535;
	start(world, NULL);
	h2_peer_raw_headers(world->peer, OPEN, 1, POST);
	turn(world);
	padded[0] = 255;
	/* Four times the window. */
	for (int i = 0; i < 1024; i++) {
		h2_peer_raw_frame(
			world->peer, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, padded, sizeof(padded));
		turn(world);
	}
	assert_non_null(world->server);
	assert_true(world->peer->credit >= 3 * 65535);
}

/* The same for a client that does not heed its window. */
static void a_client_that_sends_beyond_its_window_is_cut(void **state)
{
	struct world *world = *state;
	static const char zeros[16384];

	world->listen.http2_window = 20000;
	start_unread(world);
	h2_peer_raw_headers(world->peer, OPEN, 1, POST);
	for (int i = 0; i < 3; i++)
		h2_peer_raw_frame(world->peer, NGHTTP2_DATA, 0, 1, zeros, sizeof(zeros));
	turn(world);
	assert_true(world->server == NULL ||
		h2_peer_stream(world->peer, 1)->error == NGHTTP2_FLOW_CONTROL_ERROR);
	assert_true(n_waiting(world) <= 20000);
}

/* Responses. */

static void a_response_waits_for_its_window(void **state)
{
	struct world *world = *state;
	int32_t id;

	start(world, &slow);
	id = get(world);
	respond(world, 0, 200);
	give_zeros(world, 0, 100000);
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, id)->body), 65535);
	assert_int_equal(pipe_size(&world->seen[0].x->res_body), 100000 - 65535);
	h2_peer_credit(world->peer, 0, 10000);
	turn(world);
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, id)->body), 65535);
	h2_peer_credit(world->peer, id, 10000);
	turn(world);
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, id)->body), 75535);
}

static void a_response_that_nobody_takes_stops_no_other(void **state)
{
	struct world *world = *state;
	int32_t id;

	start(world, &slow);
	h2_peer_credit(world->peer, 0, 1000000);
	(void)get(world);
	respond(world, 0, 200);
	give_zeros(world, 0, 200000);
	id = get(world);
	answer(world, 1, "ok");
	assert_string_equal(h2_peer_body(world->peer, id), "ok");
}

/* What the socket does not take stays in the pipes, and the codec's own queue is small. */
static void a_slow_socket_fills_pipes_and_not_memory(void **state)
{
	struct world *world = *state;

	start(world, NULL);
	h2_peer_credit(world->peer, 0, 10000000);
	h2_peer_set(world->peer, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10000000);
	turn(world);
	(void)get(world);
	respond(world, 0, 200);
	conn_fake_set_room(world->fake, 0);
	give_zeros(world, 0, 1000000);
	assert_true(bytes_size(conn_output(conn_fake_conn(world->fake))) <=
		CONN_OUTPUT_LIMIT + 16384 + 9);
	assert_true(pipe_size(&world->seen[0].x->res_body) >= 1000000 - CONN_OUTPUT_LIMIT - 16393);
	for (int i = 0; i < 40; i++) {
		conn_fake_set_room(world->fake, 30000);
		turn(world);
	}
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, 1)->body), 1000000);
}

/* RFC 9218 section 8: the backend knows best which of its responses is urgent. */
static void an_urgent_response_goes_first(void **state)
{
	struct world *world = *state;
	struct response_head *head;

	start(world, NULL);
	(void)get(world);
	(void)get(world);
	conn_fake_set_room(world->fake, 0);
	respond(world, 0, 200);
	head = new_head(world->seen[1].x, 200);
	fields_add(&head->fields, &world->seen[1].x->arena, SLICE("Priority"), SLICE("u=0"));
	exchange_respond(world->seen[1].x, head);
	turn(world);
	give_zeros(world, 0, 200000);
	give_zeros(world, 1, 50000);
	conn_fake_set_room(world->fake, 150000);
	turn(world);
	/* The queue of the conn held some of the first one already. */
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, 3)->body), 50000);
	assert_true(bytes_size(&h2_peer_stream(world->peer, 1)->body) < 150000);
}

/* A client that says so in its request (section 4), and later (section 7.1). */
static void an_urgent_request_is_answered_first(void **state)
{
	struct world *world = *state;

	start(world, NULL);
	(void)h2_peer_request(world->peer, GET "priority=u=5\n", true);
	(void)h2_peer_request(world->peer, GET "priority=u=1\n", true);
	turn(world);
	conn_fake_set_room(world->fake, 0);
	respond(world, 0, 200);
	respond(world, 1, 200);
	give_zeros(world, 0, 200000);
	give_zeros(world, 1, 50000);
	conn_fake_set_room(world->fake, 150000);
	turn(world);
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, 3)->body), 50000);
	h2_peer_raw_frame(world->peer, NGHTTP2_PRIORITY_UPDATE, 0, 0, "\0\0\0\x01u=0", 7);
	turn(world);
	assert_non_null(world->server);
}

/* Of what is put in pieces, in all the shapes that queues have, the bytes are the same. */
static void bytes_keep_their_order(void **state)
{
	struct world *world = *state;
	size_t n = 0;
	int32_t id;

	start(world, NULL);
	id = get(world);
	respond(world, 0, 200);
	for (size_t part = 1; part < 20000; part = part * 3 + 1) {
		struct bytes piece;

		bytes_init(&piece);
		for (size_t i = 0; i < part; i++)
			bytes_append(&piece, (char[1]){(char)((n + i) % 251)}, 1);
		n += part;
		pipe_put(&world->seen[0].x->res_body, &piece, part);
		if (part % 2 == 0)
			turn(world);
	}
	/* Segments that make frames of their own, one behind the other. */
	for (int i = 0; i < 6; i++) {
		struct bytes piece;

		bytes_init(&piece);
		for (size_t j = 0; j < 5000; j++)
			bytes_append(&piece, (char[1]){(char)((n + j) % 251)}, 1);
		n += 5000;
		pipe_put(&world->seen[0].x->res_body, &piece, 5000);
	}
	give_end(world, 0);
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, id)->body), n);
	for (size_t i = 0; i < n; i++) {
		struct slice front = bytes_front(&h2_peer_stream(world->peer, id)->body);

		if ((unsigned char)front.p[0] != i % 251)
			fail_msg("byte %zu", i);
		bytes_drain(&h2_peer_stream(world->peer, id)->body, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_UNSTARTED(a_body_that_nobody_reads_stops_at_its_window),
		TEST_UNSTARTED(a_stream_that_nobody_reads_stops_no_other),
		TEST_UNSTARTED(stuck_uploads_leave_room_for_others),
		TEST_UNSTARTED(a_reader_that_takes_lets_the_client_go_on),
		TEST_UNSTARTED(a_small_window_opens_again),
		TEST_UNSTARTED(a_large_window_opens_again),
		TEST_UNSTARTED(what_waits_on_one_connection_is_bounded),
		TEST_UNSTARTED(what_was_reset_is_credited_to_the_connection),
		TEST_UNSTARTED(what_nobody_wants_is_credited_to_the_connection),
		TEST_UNSTARTED(a_closed_pipe_takes_all),
		TEST_UNSTARTED(padding_is_credited_too),
		TEST_UNSTARTED(a_client_that_sends_beyond_its_window_is_cut),
		TEST_UNSTARTED(a_response_waits_for_its_window),
		TEST_UNSTARTED(a_response_that_nobody_takes_stops_no_other),
		TEST_UNSTARTED(a_slow_socket_fills_pipes_and_not_memory),
		TEST_UNSTARTED(an_urgent_response_goes_first),
		TEST_UNSTARTED(an_urgent_request_is_answered_first),
		TEST_UNSTARTED(bytes_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
