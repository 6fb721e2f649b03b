/* How fetches over HTTP/2 fail, how long they wait, and how the connection ends. */
#include "tests/unit/proxy/http/h2_client_world.h"

static const struct h2_peer_options slow = {.is_slow = true, .window = 65535};
static const struct h2_peer_options silent = {.is_silent = true};

/* The server speaks by raw frames alone. */
static void start_silent(struct world *world)
{
	start(world, &silent);
	h2_peer_raw_frame(world->peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	turn(world);
}

/* GOAWAY. */

static void what_is_above_a_goaway_was_not_seen(void **state)
{
	struct world *world = *state;
	struct job *first = get(world), *second = get(world), *third = get(world);

	h2_peer_goaway(world->peer, 3, NGHTTP2_NO_ERROR);
	turn(world);
	assert_string_equal(third->told, "backend-gone unprocessed");
	assert_true(third->fetch.by_goaway);
	assert_string_equal(first->told, "");
	assert_int_equal(world->fetcher->n_room, 0);
	respond_ok(world, 1);
	assert_non_null(world->fetcher);
	respond_ok(world, 3);
	assert_null(world->fetcher);
	done(first, "200 end");
	done(second, "200 end");
	done(third, "backend-gone unprocessed");
	assert_true(conn_fake_has_ended(world->fake));
}

/* RFC 9113 section 6.8: the first of two steps. */
static void a_notice_lets_all_end(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_goaway(world->peer, INT32_MAX, NGHTTP2_NO_ERROR);
	turn(world);
	assert_string_equal(job->told, "");
	assert_int_equal(world->fetcher->n_room, 0);
	h2_peer_goaway(world->peer, 1, NGHTTP2_NO_ERROR);
	turn(world);
	respond_ok(world, 1);
	done(job, "200 end");
	assert_null(world->fetcher);
}

static void an_idle_connection_goes_with_its_goaway(void **state)
{
	struct world *world = *state;

	h2_peer_goaway(world->peer, INT32_MAX, NGHTTP2_NO_ERROR);
	turn(world);
	assert_null(world->fetcher);
}

/* A request that was not written yet when it came. */
static void what_was_not_sent_was_not_seen(void **state)
{
	struct world *world = *state;
	struct job *job;

	start_silent(world);
	conn_fake_set_room(world->fake, 0);
	job = job_new(world, METHOD_GET, "GET");
	fetcher_start(world->fetcher, &job->fetch);
	h2_peer_raw_frame(world->peer, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0", 8);
	turn(world);
	done(job, "backend-gone unprocessed");
	assert_null(world->fetcher);
}

/* The GOAWAY is read in the turn in which the request is made. */
static void what_could_not_be_sent_was_not_seen(void **state)
{
	struct world *world = *state;
	struct job *job = post(world, "under way"), *late = new_post(world, "hello");

	h2_peer_raw_frame(world->peer, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\x01\0\0\0", 8);
	fetcher_start(world->fetcher, &late->fetch);
	turn(world);
	assert_int_equal(pipe_size(&late->req_body), 5);
	assert_true(late->fetch.by_goaway);
	done(late, "backend-gone unprocessed");
	assert_string_equal(job->told, "");
	respond_ok(world, 1);
	done(job, "200 end");
	assert_null(world->fetcher);
}

/* REFUSED_STREAM. */

static void a_refused_stream_was_not_seen(void **state)
{
	struct world *world = *state;
	struct job *job = get(world), *other = get(world);

	h2_peer_reset(world->peer, 1, NGHTTP2_REFUSED_STREAM);
	turn(world);
	assert_false(job->fetch.by_goaway);
	done(job, "backend-gone unprocessed");
	/* It takes fewer than it has said. */
	assert_int_equal(world->fetcher->n_room, 0);
	respond_ok(world, 3);
	done(other, "200 end");
	assert_int_equal(world->fetcher->n_room, 1);
}

/* A head has come: something was done. */
static void a_stream_that_is_refused_late_is_cut(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	turn(world);
	h2_peer_reset(world->peer, 1, NGHTTP2_REFUSED_STREAM);
	turn(world);
	assert_true(job->res_body.is_aborted);
	done(job, "200 backend-cut");
}

static void a_body_that_was_not_seen_is_put_back(void **state)
{
	struct world *world = *state;
	struct job *job = post(world, "one ");
	char text[8];

	pipe_put_copy(&job->req_body, "two", 3);
	pipe_put_end(&job->req_body);
	turn(world);
	assert_string_equal(h2_peer_body(world->peer, 1), "one two");
	h2_peer_reset(world->peer, 1, NGHTTP2_REFUSED_STREAM);
	turn(world);
	assert_int_equal(job->fetch.n_body_taken, 0);
	assert_int_equal(pipe_size(&job->req_body), 7);
	bytes_peek(&job->req_body.bytes, text, 7);
	assert_memory_equal(text, "one two", 7);
	assert_true(job->req_body.has_end);
	done(job, "backend-gone unprocessed");
}

/* In the order in which it came, whatever came meanwhile. */
static void a_body_is_put_back_before_what_came_later(void **state)
{
	struct world *world = *state;
	struct job *job;
	char text[8];

	start(world, &(struct h2_peer_options){.is_slow = true, .window = 3});
	job = post(world, "abcdef");
	assert_string_equal(h2_peer_body(world->peer, 1), "abc");
	h2_peer_reset(world->peer, 1, NGHTTP2_REFUSED_STREAM);
	turn(world);
	assert_int_equal(pipe_size(&job->req_body), 6);
	bytes_peek(&job->req_body.bytes, text, 6);
	assert_memory_equal(text, "abcdef", 6);
	done(job, "backend-gone unprocessed");
}

static void a_long_body_is_not_kept(void **state)
{
	static const char zeros[17 * 1024];
	struct world *world = *state;
	struct job *job = new_post(world, "");

	pipe_put_copy(&job->req_body, zeros, sizeof(zeros));
	job_start(job);
	assert_int_equal(bytes_size(&h2_peer_stream(world->peer, 1)->body), sizeof(zeros));
	h2_peer_reset(world->peer, 1, NGHTTP2_REFUSED_STREAM);
	turn(world);
	assert_int_equal(job->fetch.n_body_taken, sizeof(zeros));
	done(job, "backend-gone unprocessed");
}

static void a_body_of_16k_is_kept(void **state)
{
	static const char zeros[16 * 1024];
	struct world *world = *state;
	struct job *job = new_post(world, "");

	/* In small pieces and in many frames. */
	job_start(job);
	for (size_t i = 0; i < sizeof(zeros); i += 128) {
		pipe_put_copy(&job->req_body, zeros, 128);
		if (i % 1024 == 0)
			turn(world);
	}
	turn(world);
	h2_peer_goaway(world->peer, 0, NGHTTP2_NO_ERROR);
	turn(world);
	assert_int_equal(job->fetch.n_body_taken, 0);
	assert_int_equal(pipe_size(&job->req_body), sizeof(zeros));
	done(job, "backend-gone unprocessed");
}

/* Other resets. */

static void a_reset_before_the_head_is_a_failure(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_reset(world->peer, 1, NGHTTP2_INTERNAL_ERROR);
	turn(world);
	assert_true(job->fetch.was_sent);
	done(job, "backend-gone");
	assert_non_null(world->fetcher);
}

static void a_reset_in_a_body_is_a_cut(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	h2_peer_put_text(world->peer, 1, "half");
	turn(world);
	h2_peer_reset(world->peer, 1, NGHTTP2_INTERNAL_ERROR);
	turn(world);
	assert_string_equal(body_of(job), "half");
	assert_true(job->res_body.is_aborted);
	done(job, "200 backend-cut");
}

static void http1_may_be_required(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_reset(world->peer, 1, NGHTTP2_HTTP_1_1_REQUIRED);
	turn(world);
	done(job, "backend-gone unprocessed,http1");
}

/* The connection. */

static void a_lost_connection_fails_all(void **state)
{
	struct world *world = *state;
	struct job *first = get(world), *second = get(world);

	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	h2_peer_put_text(world->peer, 1, "half");
	turn(world);
	conn_fake_lose(world->fake, CONN_LOSS_RESET);
	turn(world);
	assert_null(world->fetcher);
	done(first, "200 backend-cut");
	done(second, "backend-gone");
}

static void a_connection_that_ends_fails_all(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	conn_fake_feed_end(world->fake);
	turn(world);
	assert_null(world->fetcher);
	done(job, "backend-gone");
}

static void what_came_before_the_loss_counts(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_raw_headers(world->peer, OPEN, 1, ":status=200\n");
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "ok", 2);
	conn_fake_feed_end(world->fake);
	turn(world);
	assert_string_equal(body_of(job), "ok");
	done(job, "200 end");
	assert_null(world->fetcher);
}

/* From inside the callbacks of the others. */
static void fetches_may_be_cancelled_while_the_connection_goes(void **state)
{
	struct world *world = *state;
	struct job *first = get(world), *second = get(world), *third = post(world, "half");

	first->victim = second;
	conn_fake_lose(world->fake, CONN_LOSS_RESET);
	turn(world);
	done(first, "backend-gone");
	done(second, "");
	done(third, "backend-gone");
}

static void bytes_that_are_no_frames_end_the_connection(void **state)
{
	struct world *world = *state;
	struct job *job;

	start(world, &silent);
	job = get(world);
	h2_peer_raw(world->peer, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	turn(world);
	done(job, "backend-protocol");
	assert_null(world->fetcher);
}

static void a_frame_that_must_not_be_ends_the_connection(void **state)
{
	struct world *world = *state;
	struct job *job;

	start_silent(world);
	job = get(world);
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, 0, 0, "x", 1);
	turn(world);
	assert_null(world->fetcher);
	assert_non_null(strstr(h2_peer_frames(world->peer), "GOAWAY(0,PROTOCOL_ERROR"));
	assert_non_null(strstr(job->told, "backend-"));
	done(job, job->told);
}

static void a_push_is_refused(void **state)
{
	struct world *world = *state;
	struct job *job;

	start_silent(world);
	h2_peer_raw_frame(world->peer, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
	job = get(world);
	h2_peer_raw_frame(world->peer, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1,
		"\0\0\0\x02\x82", 5);
	turn(world);
	assert_null(world->fetcher);
	done(job, job->told);
}

/* A server that has not read our SETTINGS may push. */
static void an_early_push_is_dropped(void **state)
{
	struct world *world = *state;
	struct job *job;

	start_silent(world);
	job = get(world);
	h2_peer_raw_frame(world->peer, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1,
		"\0\0\0\x02\x82\x87\x84\x41\x01h", 10);
	h2_peer_raw_headers(world->peer, OPEN, 2, ":status=200\n");
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 2, "push", 4);
	h2_peer_raw_headers(world->peer, END, 1, ":status=204\n");
	turn(world);
	done(job, "204 end");
	assert_non_null(world->fetcher);
}

static void an_idle_connection_closes_in_time(void **state)
{
	struct world *world = *state;
	struct job *job;

	advance(world, 30000);
	job = get(world);
	advance(world, 5000);
	respond_ok(world, 1);
	done(job, "200 end");
	(void)h2_peer_frames(world->peer);
	advance(world, 59999);
	assert_non_null(world->fetcher);
	advance(world, 1);
	assert_null(world->fetcher);
	server_sees(world, "GOAWAY(0,NO_ERROR)");
	assert_true(conn_fake_has_ended(world->fake));
}

/* keepalive = no. */
static void a_connection_may_be_for_one_fetch(void **state)
{
	struct world *world = *state;
	struct job *job;

	world->options.idle_ms = 0;
	start(world, NULL);
	assert_true(world->fetcher->n_room > 0);
	job = get(world);
	assert_int_equal(world->fetcher->n_room, 0);
	respond_ok(world, 1);
	done(job, "200 end");
	assert_null(world->fetcher);
}

static void a_close_from_outside_tells_nobody(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	fetcher_close(world->fetcher);
	world->fetcher = NULL;
	turn(world);
	assert_true(job->fetch.is_over);
	assert_non_null(strstr(h2_peer_frames(world->peer), "GOAWAY(0,NO_ERROR)"));
	done(job, "");
}

/* Timeouts. */

static void a_server_that_does_not_answer_has_timed_out(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	advance(world, 9999);
	assert_string_equal(job->told, "");
	advance(world, 1);
	done(job, "response-timeout");
	assert_int_equal(h2_peer_stream(world->peer, 1)->error, NGHTTP2_CANCEL);
	assert_non_null(world->fetcher);
}

static void each_fetch_has_its_own_time(void **state)
{
	struct world *world = *state;
	struct job *first = get(world), *second;

	advance(world, 6000);
	second = get(world);
	advance(world, 4000);
	assert_string_equal(second->told, "");
	done(first, "response-timeout");
	advance(world, 6000);
	done(second, "response-timeout");
}

/* A slow client is not the server's fault. */
static void the_time_runs_from_the_end_of_the_request(void **state)
{
	struct world *world = *state;
	struct job *job = post(world, "a");

	for (int i = 0; i < 10; i++) {
		advance(world, 9000);
		pipe_put_copy(&job->req_body, "b", 1);
		turn(world);
	}
	assert_string_equal(job->told, "");
	pipe_put_end(&job->req_body);
	turn(world);
	advance(world, 9999);
	assert_string_equal(job->told, "");
	advance(world, 1);
	done(job, "response-timeout");
}

static void an_interim_head_gives_more_time(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	for (int i = 0; i < 5; i++) {
		advance(world, 9000);
		h2_peer_interim(world->peer, 1, ":status=102\n");
		turn(world);
	}
	advance(world, 9000);
	respond_ok(world, 1);
	done(job, "interim:102 interim:102 interim:102 interim:102 interim:102 200 end");
}

static void a_response_that_stops_has_timed_out(void **state)
{
	struct world *world = *state;
	struct job *job = get(world);

	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	turn(world);
	for (int i = 0; i < 5; i++) {
		advance(world, 4000);
		h2_peer_put_text(world->peer, 1, "x");
		turn(world);
	}
	advance(world, 4999);
	assert_string_equal(job->told, "200");
	advance(world, 1);
	assert_true(job->res_body.is_aborted);
	done(job, "200 read-timeout");
	assert_non_null(world->fetcher);
}

static void a_response_that_nobody_takes_does_not_time_out(void **state)
{
	static const char zeros[300000];
	struct world *world = *state;
	struct job *job = get(world);

	job->is_unread = true;
	h2_peer_respond(world->peer, 1, ":status=200\n", false);
	h2_peer_put(world->peer, 1, zeros, sizeof(zeros));
	h2_peer_put_end(world->peer, 1, NULL);
	turn(world);
	advance(world, 60000);
	assert_string_equal(job->told, "200");
	for (int i = 0; i < 10; i++) {
		(void)pipe_take(&job->res_body, &job->body, 50000);
		turn(world);
	}
	done(job, "200 end");
}

static void a_request_that_nobody_takes_has_stalled(void **state)
{
	static const char zeros[100000];
	struct world *world = *state;
	struct job *job, *other;

	start(world, &slow);
	h2_peer_credit(world->peer, 0, 1000000);
	turn(world);
	job = new_post(world, "");
	pipe_put_copy(&job->req_body, zeros, sizeof(zeros));
	job_start(job);
	advance(world, 5999);
	assert_string_equal(job->told, "");
	advance(world, 1);
	done(job, "backend-stall");
	assert_int_equal(h2_peer_stream(world->peer, 1)->error, NGHTTP2_CANCEL);
	other = get(world);
	respond_ok(world, 3);
	done(other, "200 end");
}

static void a_connection_that_takes_nothing_is_lost(void **state)
{
	struct world *world = *state;
	struct job *first = get(world), *second;

	conn_fake_set_room(world->fake, 5);
	second = post(world, "hello");
	loop_advance(world->loop, 5999);
	assert_non_null(world->fetcher);
	loop_advance(world->loop, 2);
	assert_null(world->fetcher);
	done(first, "backend-stall");
	done(second, "backend-stall");
}

/* Uploads that share the connection. */
static void an_upload_that_waits_for_its_turn_is_no_stall(void **state)
{
	static const char zeros[500000];
	struct world *world = *state;
	struct job *first, *second;

	h2_peer_credit(world->peer, 0, 100000000);
	h2_peer_set(world->peer, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100000000);
	turn(world);
	first = post(world, "");
	second = post(world, "");
	conn_fake_set_room(world->fake, 0);
	pipe_put_copy(&second->req_body, "hello", 5);
	for (int i = 0; i < 30; i++) {
		if (pipe_size(&first->req_body) < sizeof(zeros))
			pipe_put_copy(&first->req_body, zeros, sizeof(zeros));
		conn_fake_set_room(world->fake, 20000);
		advance(world, 1000);
	}
	done(first, "");
	done(second, "");
}

/* Pings. */

static void start_pinging(struct world *world, const struct h2_peer_options *options)
{
	world->options.ping_ms = 30000;
	start(world, options);
}

/* Whose answer may take its time. */
static struct job *get_patiently(struct world *world)
{
	struct job *job = job_new(world, METHOD_GET, "GET");

	job->fetch.timeouts = (struct fetch_timeouts){.write_ms = 6000};
	job_start(job);
	return job;
}

static void a_server_that_answers_pings_is_there(void **state)
{
	struct world *world = *state;
	struct job *job;

	start_pinging(world, NULL);
	job = get_patiently(world);
	advance(world, 29999);
	assert_int_equal(world->peer->n_pings, 0);
	advance(world, 1);
	assert_int_equal(world->peer->n_pings, 1);
	advance(world, 300000);
	assert_in_range(world->peer->n_pings, 10, 11);
	respond_ok(world, 1);
	done(job, "200 end");
}

static void a_server_that_does_not_answer_a_ping_is_lost(void **state)
{
	struct world *world = *state;
	struct job *job;

	start_pinging(world, &silent);
	h2_peer_raw_frame(world->peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	turn(world);
	job = get_patiently(world);
	advance(world, 30000);
	assert_int_equal(world->peer->n_pings, 1);
	advance(world, 29999);
	assert_string_equal(job->told, "");
	advance(world, 1);
	done(job, "backend-gone");
	assert_null(world->fetcher);
}

static void any_frame_says_that_the_server_is_there(void **state)
{
	struct world *world = *state;
	struct job *job;

	start_pinging(world, &silent);
	job = get_patiently(world);
	for (int i = 0; i < 10; i++) {
		advance(world, 29000);
		h2_peer_raw_frame(world->peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
		turn(world);
	}
	assert_int_equal(world->peer->n_pings, 0);
	done(job, "");
}

static void an_idle_connection_is_not_asked(void **state)
{
	struct world *world = *state;

	start_pinging(world, NULL);
	advance(world, 59999);
	assert_int_equal(world->peer->n_pings, 0);
	assert_non_null(world->fetcher);
}

/* A connection that was idle long is not taken for dead with its next fetch. */
static void silence_counts_from_the_start_of_a_fetch(void **state)
{
	struct world *world = *state;
	struct job *job;

	start_pinging(world, NULL);
	advance(world, 45000);
	job = get_patiently(world);
	advance(world, 29000);
	assert_int_equal(world->peer->n_pings, 0);
	respond_ok(world, 1);
	done(job, "200 end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_above_a_goaway_was_not_seen),
		TEST(a_notice_lets_all_end),
		TEST(an_idle_connection_goes_with_its_goaway),
		TEST_UNSTARTED(what_was_not_sent_was_not_seen),
		TEST(what_could_not_be_sent_was_not_seen),
		TEST(a_refused_stream_was_not_seen),
		TEST(a_stream_that_is_refused_late_is_cut),
		TEST(a_body_that_was_not_seen_is_put_back),
		TEST_UNSTARTED(a_body_is_put_back_before_what_came_later),
		TEST(a_long_body_is_not_kept),
		TEST(a_body_of_16k_is_kept),
		TEST(a_reset_before_the_head_is_a_failure),
		TEST(a_reset_in_a_body_is_a_cut),
		TEST(http1_may_be_required),
		TEST(a_lost_connection_fails_all),
		TEST(a_connection_that_ends_fails_all),
		TEST(what_came_before_the_loss_counts),
		TEST(fetches_may_be_cancelled_while_the_connection_goes),
		TEST_UNSTARTED(bytes_that_are_no_frames_end_the_connection),
		TEST_UNSTARTED(a_frame_that_must_not_be_ends_the_connection),
		TEST_UNSTARTED(a_push_is_refused),
		TEST_UNSTARTED(an_early_push_is_dropped),
		TEST(an_idle_connection_closes_in_time),
		TEST_UNSTARTED(a_connection_may_be_for_one_fetch),
		TEST(a_close_from_outside_tells_nobody),
		TEST(a_server_that_does_not_answer_has_timed_out),
		TEST(each_fetch_has_its_own_time),
		TEST(the_time_runs_from_the_end_of_the_request),
		TEST(an_interim_head_gives_more_time),
		TEST(a_response_that_stops_has_timed_out),
		TEST(a_response_that_nobody_takes_does_not_time_out),
		TEST_UNSTARTED(a_request_that_nobody_takes_has_stalled),
		TEST(a_connection_that_takes_nothing_is_lost),
		TEST(an_upload_that_waits_for_its_turn_is_no_stall),
		TEST_UNSTARTED(a_server_that_answers_pings_is_there),
		TEST_UNSTARTED(a_server_that_does_not_answer_a_ping_is_lost),
		TEST_UNSTARTED(any_frame_says_that_the_server_is_there),
		TEST_UNSTARTED(an_idle_connection_is_not_asked),
		TEST_UNSTARTED(silence_counts_from_the_start_of_a_fetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
