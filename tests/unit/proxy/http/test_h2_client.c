/* HTTP/2 to a backend: fetches as streams of one connection. */
#include "proxy/http/h2_stream.h"
#include "tests/unit/proxy/http/h2_client_world.h"

static const struct h2_peer_options slow = {.is_slow = true, .window = 65535};

/* Life. */

static void the_client_says_what_it_takes(void **state)
{
	struct world *world = *state;
	const uint32_t *settings = world->peer->settings;

	assert_int_equal(world->peer->n_settings, 1);
	assert_int_equal(settings[NGHTTP2_SETTINGS_ENABLE_PUSH], 0);
	assert_int_equal(settings[NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE], 262144);
	assert_int_equal(settings[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE], 65536);
	/* Room for a window of each stream, so that none stops another. */
	assert_int_equal(65535 + world->peer->credit, 100 * 262144);
	assert_int_equal(world->peer->n_settings_acks, 1);
}

static void a_fetch_is_a_stream(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	server_sees(world, "HEADERS(1)+END");
	assert_string_equal(h2_peer_stream(world->peer, 1)->head,
		":method=GET\n:scheme=http\n:authority=h\n:path=/a\n");
	assert_int_equal(job->fetch.connected_us, 1000000000);
	assert_int_equal(world->fetcher->n_active, 1);
	respond_ok(world, 1);
	assert_string_equal(body_of(job), "ok");
	assert_true(pipe_is_ended(&job->res_body));
	assert_int_equal(world->fetcher->n_active, 0);
	assert_int_equal(world->fetcher->n_fetches, 1);
	done(job, "200 end");
	server_sees(world, "");
}

static void fetches_are_answered_in_any_order(void **state)
{
	struct world *world = *state;
	struct job *first = get(world), *second = get(world), *third = get(world);

	assert_int_equal(world->fetcher->n_active, 3);
	respond(world, 3, ":status=200\n", "two");
	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	h2_peer_respond(world->peer, 5, ":status=201\n", false);
	h2_peer_put_text(world->peer, 5, "thr");
	turn(world);
	h2_peer_put_text(world->peer, 1, "one");
	h2_peer_put_text(world->peer, 5, "ee");
	h2_peer_put_end(world->peer, 1, NULL);
	h2_peer_put_end(world->peer, 5, NULL);
	turn(world);
	assert_string_equal(body_of(first), "one");
	assert_string_equal(body_of(second), "two");
	assert_string_equal(body_of(third), "three");
	done(first, "200 end");
	done(second, "200 end");
	done(third, "201 end");
}

static void the_next_may_start_when_one_ends(void **state)
{
	struct world *world = *state;
	struct job *first, *second;

	world->options.max_streams = 1;
	start(world, NULL);
	first = get(world);
	second = job_new(world, METHOD_GET, "GET");
	first->next = second;
	assert_int_equal(world->fetcher->n_room, 0);
	respond_ok(world, 1);
	respond_ok(world, 3);
	done(first, "200 end");
	done(second, "200 end");
}

/* Requests. */

static void a_body_with_a_length_ends_with_it(void **state)
{
	struct world *world = *state;
	struct job *job = new_post(world, "he");

	job->fetch.body = job->req.body = BODY_LENGTH;
	job->req.content_length = 5;
	job_start(job);
	assert_non_null(strstr(h2_peer_stream(world->peer, 1)->head, "content-length=5\n"));
	server_sees(world, "HEADERS(1) DATA(1)");
	pipe_put_copy(&job->req_body, "llo", 3);
	turn(world);
	server_sees(world, "DATA(1)+END");
	assert_string_equal(h2_peer_body(world->peer, 1), "hello");
	assert_int_equal(job->fetch.n_body_taken, 0);
	respond_ok(world, 1);
	assert_int_equal(job->fetch.n_body_taken, 5);
	done(job, "200 end");
}

static void a_length_of_0_ends_with_the_head(void **state)
{
	struct world *world = *state;
	struct job *job = new_post(world, "");

	job->fetch.body = job->req.body = BODY_LENGTH;
	job_start(job);
	server_sees(world, "HEADERS(1)+END");
	assert_non_null(strstr(h2_peer_stream(world->peer, 1)->head, "content-length=0\n"));
	respond_ok(world, 1);
	done(job, "200 end");
}

static void a_body_without_a_length_ends_with_its_pipe(void **state)
{
	struct world *world = *state;
	struct job *job = post(world, "one ");

	pipe_put_copy(&job->req_body, "two", 3);
	turn(world);
	server_sees(world, "HEADERS(1) DATA(1) DATA(1)");
	pipe_put_end(&job->req_body);
	turn(world);
	server_sees(world, "DATA(1)+END");
	assert_string_equal(h2_peer_body(world->peer, 1), "one two");
	respond_ok(world, 1);
	done(job, "200 end");
}

static void trailers_pass_both_ways(void **state)
{
	struct world *world = *state;
	struct job *job = new_post(world, "body");
	struct fields trailers = {0};

	fields_add(&trailers, &job->arena, SLICE("X-Sum"), SLICE("5"));
	job_start(job);
	job->req_trailers = &trailers;
	pipe_put_end(&job->req_body);
	turn(world);
	assert_string_equal(h2_peer_stream(world->peer, 1)->trailers, "x-sum=5\n");
	assert_true(h2_peer_stream(world->peer, 1)->has_end);
	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	h2_peer_put_text(world->peer, 1, "ok");
	h2_peer_put_end(world->peer, 1, "x-count=2\ncontent-type=no/trailer\n");
	turn(world);
	assert_int_equal(job->res_trailers->n, 1);
	assert_true(slice_equals(job->res_trailers->items[0].value, SLICE("2")));
	done(job, "200 end");
}

/* A body that is not whole must not look whole. */
static void a_body_that_breaks_off_is_reset(void **state)
{
	struct world *world = *state;
	struct job *job = post(world, "half");

	pipe_abort(&job->req_body);
	turn(world);
	server_sees(world, "HEADERS(1) DATA(1) RST_STREAM(1,CANCEL)");
	done(job, "client-gone");
	assert_non_null(world->fetcher);
}

static void a_body_shorter_than_its_length_is_reset(void **state)
{
	struct world *world = *state;
	struct job *job = new_post(world, "hel");

	job->fetch.body = job->req.body = BODY_LENGTH;
	job->req.content_length = 5;
	job_start(job);
	pipe_put_end(&job->req_body);
	turn(world);
	assert_false(h2_peer_stream(world->peer, 1)->has_end);
	assert_true(h2_peer_stream(world->peer, 1)->is_reset);
	assert_non_null(strstr(job->told, "backend-gone"));
	done(job, job->told);
}

/* Responses. */

static void interim_heads_come_first(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_interim(world->peer, 1, ":status=103\nlink=</a>\n");
	turn(world);
	assert_string_equal(job->told, "interim:103");
	h2_peer_interim(world->peer, 1, ":status=100\n");
	h2_peer_interim(world->peer, 1, ":status=103\n");
	respond_ok(world, 1);
	done(job, "interim:103 interim:100 interim:103 200 end");
}

static void a_response_without_a_body_ends_with_its_head(void **state)
{
	static const struct {
		enum method method;
		const char *name, *lines, *told;
	} rows[] = {
		{METHOD_GET, "GET", ":status=200\n", "200 end"},
		{METHOD_GET, "GET", ":status=204\n", "204 end"},
		{METHOD_GET, "GET", ":status=304\ncontent-length=5\n", "304 end"},
		{METHOD_HEAD, "HEAD", ":status=200\ncontent-length=5\n", "200 end"},
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct job *job = job_new(world, rows[i].method, rows[i].name);

		job_start(job);
		h2_peer_respond(world->peer, 1 + 2 * (int32_t)i, rows[i].lines, true);
		turn(world);
		assert_true(pipe_is_ended(&job->res_body));
		done(job, rows[i].told);
	}
}

/* RFC 9113 section 8.1: the server needs no more of the request. */
static void a_response_before_the_end_of_the_request_is_whole(void **state)
{
	struct world *world = *state;
	struct job *job = post(world, "half");

	respond_ok(world, 1);
	assert_true(job->req_body.is_reader_gone);
	assert_true(h2_peer_stream(world->peer, 1)->is_reset);
	done(job, "200 end");
	assert_non_null(world->fetcher);
}

static void a_reset_behind_a_whole_response_is_no_failure(void **state)
{
	struct world *world = *state;
	struct job *job = post(world, "half");

	h2_peer_raw_headers(world->peer, OPEN, 1, ":status=200\n");
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "ok", 2);
	h2_peer_raw_u32(world->peer, NGHTTP2_RST_STREAM, 0, 1, NGHTTP2_NO_ERROR);
	turn(world);
	assert_string_equal(body_of(job), "ok");
	done(job, "200 end");
}

static void a_length_that_does_not_hold_is_a_cut(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	respond(world, 1, ":status=200\ncontent-length=5\n", "hel");
	assert_true(job->res_body.is_aborted);
	done(job, "200 backend-cut");
	job = get(world);
	respond(world, 3, ":status=200\ncontent-length=5\n", "hello, more");
	assert_true(job->res_body.is_aborted);
	done(job, "200 backend-cut");
	assert_non_null(world->fetcher);
}

static void malformed_responses_are_refused(void **state)
{
	static const char *const rows[] = {
		"x=y\n",
		":status=20\n",
		":status=2000\n",
		":status=0\n",
		":status=101\n",
		":status=200\n:status=200\n",
		":status=200\n:path=/\n",
		"x=y\n:status=200\n",
		":status=200\nX-Upper=1\n",
		":status=200\nx=a\x01\n",
		":status=200\nx= a\n",
		":status=200\nconnection=close\n",
		":status=200\ntransfer-encoding=chunked\n",
		":status=200\nupgrade=h2c\n",
		":status=200\ncontent-length=1\ncontent-length=2\n",
		":status=200\ncontent-length=x\n",
		":status=200\ncontent-length=5\n",
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct job *job = get(world);
		int32_t id = 1 + 2 * (int32_t)i;

		h2_peer_raw_headers(world->peer, END, id, rows[i]);
		turn(world);
		if (strcmp(job->told, "backend-protocol") != 0)
			fail_msg("row %zu: %s", i, job->told);
		assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_PROTOCOL_ERROR);
		done(job, "backend-protocol");
	}
	assert_non_null(world->fetcher);
}

/* An interim head is not the last word. */
static void a_response_that_ends_with_an_interim_head_is_refused(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_raw_headers(world->peer, END, 1, ":status=103\n");
	turn(world);
	done(job, "backend-protocol");
}

static void a_head_of_more_than_64k_is_refused(void **state)
{
	struct world *world = *state;
	static char lines[9000];
	struct job *job = get(world);

	/* Eight times as long as this in the end. */
	(void)snprintf(lines, sizeof(lines), ":status=200\n");
	h2_peer_raw_headers(world->peer, 0, 1, lines);
	for (int i = 0; i < 70; i++) {
		uint8_t block[1200];
		size_t n;

		(void)snprintf(lines, sizeof(lines), "x-%d=%01000d\n", i, 7);
		n = h2_peer_encode(lines, block, sizeof(block));
		h2_peer_raw_frame(world->peer, NGHTTP2_CONTINUATION,
			i == 69 ? NGHTTP2_FLAG_END_HEADERS : 0, 1, block, n);
	}
	turn(world);
	assert_non_null(strstr(job->told, "backend-protocol"));
	done(job, job->told);
}

/* All interim heads together are no larger than one head. */
static void a_flood_of_interim_heads_is_refused(void **state)
{
	struct world *world = *state;
	struct job *job = job_new(world, METHOD_GET, "GET");
	int i = 0;

	job_start(job);
	for (; i < 3000 && strstr(job->told, "backend-protocol") == NULL; i++) {
		h2_peer_raw_headers(world->peer, OPEN, 1, ":status=103\nlink=</a>\n");
		job->told[0] = '\0';
		turn(world);
	}
	assert_in_range(i, 100, 2000);
	done(job, "backend-protocol");
	assert_int_equal(h2_peer_stream(world->peer, 1)->error, NGHTTP2_PROTOCOL_ERROR);
}

/* Flow control. */

static void a_response_that_nobody_takes_stops_at_its_window(void **state)
{
	static const char zeros[1000000];
	struct world *world = *state;
	struct job *job = get(world), *other;

	job->is_unread = true;
	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	h2_peer_put(world->peer, 1, zeros, sizeof(zeros));
	h2_peer_put_end(world->peer, 1, NULL);
	turn(world);
	assert_int_equal(pipe_size(&job->res_body), 262144);
	assert_int_equal(conn_fake_n_unread(world->fake), 0);
	other = get(world);
	respond_ok(world, 3);
	done(other, "200 end");
	while (bytes_size(&job->body) < sizeof(zeros)) {
		assert_true(pipe_size(&job->res_body) > 0);
		(void)pipe_take(&job->res_body, &job->body, 50000);
		turn(world);
	}
	done(job, "200 end");
}

static void a_request_that_nobody_takes_stops_no_other(void **state)
{
	static const char zeros[100000];
	struct world *world = *state;
	struct job *job, *other;

	start(world, &slow);
	h2_peer_credit(world->peer, 0, 1000000);
	turn(world);
	job = post(world, "");
	pipe_put_copy(&job->req_body, zeros, sizeof(zeros));
	turn(world);
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, 1)->body), 65535);
	assert_int_equal(pipe_size(&job->req_body), sizeof(zeros) - 65535);
	other = post(world, "hello");
	assert_string_equal(h2_peer_body(world->peer, 3), "hello");
	respond_ok(world, 3);
	done(other, "200 end");
	h2_peer_credit(world->peer, 1, 100000);
	turn(world);
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, 1)->body), sizeof(zeros));
	done(job, "");
}

/* Cancelling. */

static void a_cancelled_fetch_is_reset(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	fetch_cancel(&job->fetch);
	assert_true(job->fetch.was_sent);
	done(job, "");
	server_sees(world, "HEADERS(1)+END RST_STREAM(1,CANCEL)");
	assert_int_equal(world->fetcher->n_active, 0);
	job = get(world);
	respond_ok(world, 3);
	done(job, "200 end");
}

static void a_cancelled_fetch_may_say_why(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);
	bool is_refused;

	job->fetch.end_reason = REASON_BAD_BODY;
	job->fetch.is_refused = true;
	done(job, "");
	assert_int_equal(h2_reset_reason(h2_peer_stream(world->peer, 1)->error, &is_refused),
		REASON_BAD_BODY);
	assert_true(is_refused);
}

static void a_fetch_that_is_cancelled_at_once_is_not_sent(void **state)
{
	struct world *world = *state;
	struct job *job = job_new(world, METHOD_GET, "GET");

	fetcher_start(world->fetcher, &job->fetch);
	fetch_cancel(&job->fetch);
	assert_false(job->fetch.was_sent);
	done(job, "");
	server_sees(world, "");
	assert_int_equal(world->fetcher->n_active, 0);
}

/* The end of the stream may come in a frame of its own, when the one who reads by length is done.
 */
static void a_response_that_is_whole_is_not_reset(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_respond(world->peer, 1, ":status=200\ncontent-length=2\n", false);
	h2_peer_put_text(world->peer, 1, "ok");
	turn(world);
	assert_string_equal(body_of(job), "ok");
	done(job, "200");
	h2_peer_put_end(world->peer, 1, NULL);
	turn(world);
	server_sees(world, "HEADERS(1)+END");
	assert_int_equal(world->fetcher->n_active, 0);
	job = get(world);
	respond_ok(world, 3);
	done(job, "200 end");
}

static void a_response_that_is_not_whole_is_reset(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_respond(world->peer, 1, ":status=200\ncontent-length=3\n", false);
	h2_peer_put_text(world->peer, 1, "ok");
	turn(world);
	done(job, "200");
	server_sees(world, "HEADERS(1)+END RST_STREAM(1,CANCEL)");
}

static void a_fetch_may_be_cancelled_on_its_head(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	job->cancels_itself = true;
	respond_ok(world, 1);
	done(job, "200");
	assert_int_equal(world->fetcher->n_active, 0);
}

static void a_fetch_may_be_cancelled_when_another_ends(void **state)
{
	struct world *world = *state;
	struct job *first = get(world), *second = get(world);

	/* Both have ended when the first one is told. */
	first->victim = second;
	h2_peer_respond(world->peer, 1, ":status=200\n", true);
	h2_peer_respond(world->peer, 3, ":status=200\n", true);
	turn(world);
	done(first, "200 end");
	done(second, "");
	assert_int_equal(world->fetcher->n_active, 0);
}

static void a_response_without_a_reader_is_reset(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	turn(world);
	pipe_close_reader(&job->res_body);
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, 1)->error, NGHTTP2_CANCEL);
	done(job, "200 client-gone");
}

/* What still comes of a stream that was given up is credited to the connection. */
static void what_nobody_wants_is_credited_to_the_connection(void **state)
{
	static const char zeros[200000];
	struct world *world = *state;
	struct job *job;

	world->options.max_streams = 1;
	world->options.window = 65536;
	start(world, NULL);
	for (int i = 0; i < 20; i++) {
		int32_t id = 1 + 2 * i;

		job = get(world);
		job->is_unread = true;
		h2_peer_respond(world->peer, id, ":status=200\n", false);
		h2_peer_put(world->peer, id, zeros, sizeof(zeros));
		turn(world);
		assert_int_equal(pipe_size(&job->res_body), 65536);
		done(job, "200");
	}
	job = get(world);
	respond_ok(world, 41);
	done(job, "200 end");
}

/* Room. */

static void room_is_what_the_server_says(void **state)
{
	struct world *world = *state;
	struct job *jobs[3];

	world->options.max_streams = 5;
	start(world, &(struct h2_peer_options){.max_streams = 3});
	assert_int_equal(world->fetcher->n_room, 3);
	for (size_t i = 0; i < 3; i++) {
		jobs[i] = get(world);
		assert_int_equal(world->fetcher->n_room, 2 - i);
	}
	world->n_room = 0;
	respond_ok(world, 1);
	assert_true(world->n_room > 0);
	assert_int_equal(world->fetcher->n_room, 1);
	/* More than we want. */
	h2_peer_set(world->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100);
	turn(world);
	assert_int_equal(world->fetcher->n_room, 3);
	/* Fewer than there are. */
	h2_peer_set(world->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
	turn(world);
	assert_int_equal(world->fetcher->n_room, 0);
	respond_ok(world, 3);
	assert_int_equal(world->fetcher->n_room, 0);
	respond_ok(world, 5);
	assert_int_equal(world->fetcher->n_room, 1);
	for (size_t i = 0; i < 3; i++)
		done(jobs[i], "200 end");
}

/* Until its SETTINGS have come one stream is as many as is certain. */
static void room_is_one_before_the_server_speaks(void **state)
{
	struct world *world = *state;
	struct job *job;

	start(world, &(struct h2_peer_options){.is_silent = true});
	assert_true(world->fetcher->is_multiplexed);
	assert_true(world->fetcher->is_unsettled);
	assert_int_equal(world->fetcher->n_room, 1);
	job = get(world);
	assert_int_equal(world->fetcher->n_room, 0);
	h2_peer_raw_frame(world->peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	turn(world);
	assert_false(world->fetcher->is_unsettled);
	assert_int_equal(world->fetcher->n_room, 99);
	done(job, "");
}

static void a_server_may_take_none(void **state)
{
	struct world *world = *state;

	start(world, NULL);
	h2_peer_set(world->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
	turn(world);
	assert_int_equal(world->fetcher->n_room, 0);
	h2_peer_set(world->peer, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2);
	turn(world);
	assert_int_equal(world->fetcher->n_room, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_client_says_what_it_takes),
		TEST(a_fetch_is_a_stream),
		TEST(fetches_are_answered_in_any_order),
		TEST_UNSTARTED(the_next_may_start_when_one_ends),
		TEST(a_body_with_a_length_ends_with_it),
		TEST(a_length_of_0_ends_with_the_head),
		TEST(a_body_without_a_length_ends_with_its_pipe),
		TEST(trailers_pass_both_ways),
		TEST(a_body_that_breaks_off_is_reset),
		TEST(a_body_shorter_than_its_length_is_reset),
		TEST(interim_heads_come_first),
		TEST(a_response_without_a_body_ends_with_its_head),
		TEST(a_response_before_the_end_of_the_request_is_whole),
		TEST(a_reset_behind_a_whole_response_is_no_failure),
		TEST(a_length_that_does_not_hold_is_a_cut),
		TEST(malformed_responses_are_refused),
		TEST(a_response_that_ends_with_an_interim_head_is_refused),
		TEST(a_head_of_more_than_64k_is_refused),
		TEST(a_flood_of_interim_heads_is_refused),
		TEST(a_response_that_nobody_takes_stops_at_its_window),
		TEST_UNSTARTED(a_request_that_nobody_takes_stops_no_other),
		TEST(a_cancelled_fetch_is_reset),
		TEST(a_cancelled_fetch_may_say_why),
		TEST(a_fetch_that_is_cancelled_at_once_is_not_sent),
		TEST(a_response_that_is_whole_is_not_reset),
		TEST(a_response_that_is_not_whole_is_reset),
		TEST(a_fetch_may_be_cancelled_on_its_head),
		TEST(a_fetch_may_be_cancelled_when_another_ends),
		TEST(a_response_without_a_reader_is_reset),
		TEST_UNSTARTED(what_nobody_wants_is_credited_to_the_connection),
		TEST_UNSTARTED(room_is_what_the_server_says),
		TEST_UNSTARTED(room_is_one_before_the_server_speaks),
		TEST_UNSTARTED(a_server_may_take_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
