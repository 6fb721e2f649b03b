/* What is tried again, and what a failure means for a server. */
#include "tests/unit/proxy/route/backend_world.h"

static void a_refused_connection_means_another_server(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO);
	job = post("x");
	refuse(0);
	assert_int_equal(n_dials, 2);
	assert_int_equal(dialed(1), 2);
	assert_string_equal(job->told, "");
	answer(take(1), ok);
	assert_string_equal(job->fetch.server_name, "127.0.0.1:2");
	done(job, "200 end");
}

static void when_no_server_is_left_the_last_failure_counts(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO "retries = 5\n");
	job = get();
	refuse(0);
	refuse(1);
	assert_int_equal(n_dials, 2);
	assert_true(job->fetch.is_unprocessed);
	done(job, "connect");
	assert_int_equal(backend_n_connections(backend), 0);
}

static void retries_are_counted(void **state)
{
	struct job *job;

	(void)state;
	open_backend(THREE "retries = 1\n");
	job = get();
	refuse(0);
	refuse(1);
	assert_int_equal(n_dials, 2);
	done(job, "connect");
}

static void a_dial_has_its_time(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO "connect_timeout = 5s\n");
	job = get();
	loop_advance(loop, 4999);
	assert_int_equal(n_dials, 1);
	loop_advance(loop, 1);
	assert_int_equal(n_dials, 2);
	assert_false(dials[0].is_open);
	loop_advance(loop, 5000);
	assert_false(dials[1].is_open);
	done(job, "connect-timeout");
	assert_int_equal(backend_n_connections(backend), 0);
}

static void a_tls_failure_has_its_own_reason(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE);
	job = get();
	fail_dial(loop, 0, CONN_LOSS_HANDSHAKE, "certificate has expired");
	done(job, "backend-tls");
}

static void want_of_descriptors_is_not_the_servers_fault(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO "max_fails = 1\nretries = 5\n");
	job = get();
	fail_dial(loop, 0, CONN_LOSS_NO_SOCKET, "Too many open files");
	done(job, "overload");
	assert_int_equal(n_dials, 1);
	assert_int_equal(backend_n_connections(backend), 0);
	job = get();
	assert_int_equal(n_dials, 2);
	assert_int_equal(dialed(1), 2);
	done(job, "");
}

static void idle_connections_make_room_for_a_new_one(void **state)
{
	struct job *first, *second;

	(void)state;
	open_backend(TWO);
	first = get();
	answer(take(0), ok);
	done(first, "200 end");
	/* The turn is the other server's. */
	second = get();
	assert_int_equal(n_dials, 2);
	assert_int_equal(backend_n_idle(backend), 1);
	fail_dial(loop, 1, CONN_LOSS_NO_SOCKET, "Too many open files");
	assert_int_equal(backend_n_idle(backend), 0);
	assert_int_equal(n_dials, 3);
	answer(take(2), ok);
	done(second, "200 end");
}

static void a_stale_connection_is_made_good_by_a_fresh_one(void **state)
{
	struct job *first, *second, *job;

	(void)state;
	open_backend(ONE);
	first = get();
	second = get();
	answer(take(0), ok);
	answer(take(1), ok);
	done(first, "200 end");
	done(second, "200 end");
	(void)sent(conns[1]);
	job = get();
	assert_string_not_equal(sent(conns[1]), "");
	conn_fake_feed_end(conns[1]);
	settle();
	assert_string_equal(job->told, "");
	/* The other idle one would be as stale. */
	assert_int_equal(n_dials, 3);
	answer(take(2), ok);
	done(job, "200 end");
}

static void a_stale_connection_is_not_the_servers_fault(void **state)
{
	struct conn_fake *conn;
	struct job *job;

	(void)state;
	open_backend(TWO "max_fails = 1\nretries = 0\n");
	conn = make_idle();
	job = get();
	assert_int_equal(dialed(1), 2);
	done(job, "");
	job = get();
	conn_fake_lose(conn, CONN_LOSS_RESET);
	settle();
	done(job, "backend-gone");
	/* Both servers are still up. */
	job = get();
	done(job, "");
	job = get();
	assert_int_equal(dialed(2) + dialed(3), 3);
	done(job, "");
}

static void what_is_not_idempotent_is_not_sent_twice(void **state)
{
	struct conn_fake *conn;
	struct job *job;

	(void)state;
	open_backend(TWO "retries = 5\n");
	conn = make_idle();
	job = get();
	done(job, "");
	job = post("");
	assert_string_not_equal(sent(conn), "");
	conn_fake_feed_end(conn);
	settle();
	done(job, "backend-gone");
	assert_int_equal(n_dials, 2);
}

static void what_is_not_idempotent_gets_a_connection_just_used_or_fresh(void **state)
{
	struct conn_fake *conn;
	struct job *job;

	(void)state;
	open_backend(ONE);
	conn = make_idle();
	loop_advance(loop, 1000);
	job = post("x");
	assert_int_equal(n_dials, 1);
	answer(conn, ok);
	done(job, "200 end");
	loop_advance(loop, 1001);
	job = post("x");
	assert_int_equal(n_dials, 2);
	answer(take(1), ok);
	done(job, "200 end");
}

static void a_body_that_was_taken_is_not_sent_again(void **state)
{
	struct conn_fake *conn;
	struct job *job;

	(void)state;
	open_backend(TWO);
	job = job_new(METHOD_PUT, "PUT");
	job->fetch.body = job->head.body = BODY_CHUNKED;
	job->fetch.req_body = &job->req_body;
	pipe_put_copy(&job->req_body, "x", 1);
	backend_fetch(backend, &job->fetch);
	settle();
	conn = take(0);
	assert_int_equal(job->fetch.n_body_taken, 1);
	conn_fake_feed_end(conn);
	settle();
	done(job, "backend-gone");
	assert_int_equal(n_dials, 1);
}

static void an_untouched_body_is_sent_to_the_next_server(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO);
	job = job_new(METHOD_PUT, "PUT");
	job->fetch.body = job->head.body = BODY_CHUNKED;
	job->fetch.req_body = &job->req_body;
	backend_fetch(backend, &job->fetch);
	settle();
	conn_fake_feed_end(take(0));
	settle();
	pipe_put_copy(&job->req_body, "x", 1);
	pipe_put_end(&job->req_body);
	assert_non_null(strstr(sent(take(1)), "\r\n\r\n1\r\nx\r\n0\r\n\r\n"));
	answer(conns[1], ok);
	done(job, "200 end");
}

static void a_bad_answer_is_not_asked_for_again(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO);
	job = get();
	answer(take(0), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
	done(job, "backend-protocol");
	assert_int_equal(n_dials, 1);
}

static void after_a_head_the_failure_is_told(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO);
	job = get();
	answer(take(0), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi");
	conn_fake_lose(conns[0], CONN_LOSS_RESET);
	settle();
	assert_true(job->res_body.is_aborted);
	done(job, "200 backend-cut");
	assert_int_equal(n_dials, 1);
}

/* Fails server 1 until it is marked; each job ends well at server 2. */
static void bring_down_first(int n_fails)
{
	for (int i = 0; i < n_fails; i++) {
		size_t at = n_dials;
		struct job *job = get();

		assert_int_equal(dialed(at), 1);
		refuse(at);
		assert_int_equal(dialed(at + 1), 2);
		done(job, "");
		if (i + 1 < n_fails) {
			job = get();
			assert_int_equal(dialed(at + 2), 1);
			done(job, "");
			job = get();
			done(job, "");
		}
	}
}

static void a_server_that_fails_is_left_out_for_a_while(void **state)
{
	struct job *job, *other;
	size_t at;

	(void)state;
	open_backend(TWO "max_fails = 1\nfail_timeout = 10s\n");
	bring_down_first(1);
	for (int i = 0; i < 3; i++) {
		at = n_dials;
		job = get();
		assert_int_equal(dialed(at), 2);
		done(job, "");
	}
	loop_advance(loop, 10000);
	/* One request finds out; the others go on to the other server. */
	at = n_dials;
	job = get();
	assert_int_equal(dialed(at), 1);
	other = get();
	assert_int_equal(dialed(at + 1), 2);
	done(other, "");
	other = get();
	assert_int_equal(dialed(at + 2), 2);
	done(other, "");
	answer(take(at), ok);
	done(job, "200 end");
	/* It is up again: the idle connection is used. */
	job = get();
	done(job, "");
	job = get();
	assert_int_equal(n_dials, at + 4);
	done(job, "");
}

static void failures_count_in_a_row(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO "max_fails = 2\nretries = 0\n");
	for (int i = 0; i < 3; i++) {
		/* Server 1 fails, server 2 works, server 1 works, server 2 works. */
		for (int step = 0; step < 4; step++) {
			size_t at = n_dials;

			job = get();
			assert_int_equal(dialed(at), step % 2 + 1);
			if (step == 0)
				refuse(at);
			else
				answer(take(at),
					"HTTP/1.1 200 OK\r\nConnection: close\r\n"
					"Content-Length: 0\r\n\r\n");
			done(job, step == 0 ? "connect" : "200 end");
		}
	}
}

static void when_all_are_down_there_is_no_server(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO "max_fails = 1\n");
	job = get();
	refuse(0);
	refuse(1);
	done(job, "connect");
	job = get();
	assert_true(job->fetch.is_unprocessed);
	assert_int_equal(n_dials, 2);
	done(job, "no-server");
	/* The outcome is not told to one who has gone. */
	job = job_new(METHOD_GET, "GET");
	backend_fetch(backend, &job->fetch);
	done(job, "");
}

static void the_only_server_is_always_tried(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE "max_fails = 1\n");
	for (size_t i = 0; i < 5; i++) {
		job = get();
		refuse(i);
		done(job, "connect");
	}
}

static void a_closed_backend_tries_nothing_again(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO);
	job = get();
	(void)take(0);
	backend_close(backend);
	conn_fake_feed_end(conns[0]);
	settle();
	assert_int_equal(n_dials, 1);
	done(job, "backend-gone");
	assert_int_equal(conf->n_references, 1);
	backend = backend_new(loop, &conf->backends[0], NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_refused_connection_means_another_server),
		TEST(when_no_server_is_left_the_last_failure_counts),
		TEST(retries_are_counted),
		TEST(a_dial_has_its_time),
		TEST(a_tls_failure_has_its_own_reason),
		TEST(want_of_descriptors_is_not_the_servers_fault),
		TEST(idle_connections_make_room_for_a_new_one),
		TEST(a_stale_connection_is_made_good_by_a_fresh_one),
		TEST(a_stale_connection_is_not_the_servers_fault),
		TEST(what_is_not_idempotent_is_not_sent_twice),
		TEST(what_is_not_idempotent_gets_a_connection_just_used_or_fresh),
		TEST(a_body_that_was_taken_is_not_sent_again),
		TEST(an_untouched_body_is_sent_to_the_next_server),
		TEST(a_bad_answer_is_not_asked_for_again),
		TEST(after_a_head_the_failure_is_told),
		TEST(a_server_that_fails_is_left_out_for_a_while),
		TEST(failures_count_in_a_row),
		TEST(when_all_are_down_there_is_no_server),
		TEST(the_only_server_is_always_tried),
		TEST(a_closed_backend_tries_nothing_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
