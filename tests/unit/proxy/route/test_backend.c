/* Which server and which connection a fetch gets, and how long it waits for one. */
#include "tests/unit/proxy/route/backend_world.h"

static void a_connection_is_used_again(void **state)
{
	struct conn_fake *conn;
	struct job *job;

	(void)state;
	open_backend(ONE);
	job = get();
	assert_int_equal(n_dials, 1);
	assert_int_equal(backend_n_connections(backend), 1);
	conn = take(0);
	assert_non_null(strstr(sent(conn), "GET / HTTP/1.1\r\nHost: a.example\r\n"));
	assert_int_equal(backend_n_idle(backend), 0);
	answer(conn, ok);
	assert_string_equal(job->fetch.server_name, "127.0.0.1:1");
	assert_int_equal(job->fetch.connected_us, 1000000000);
	assert_int_equal(backend_n_idle(backend), 1);
	done(job, "200 end");
	job = get();
	assert_int_equal(n_dials, 1);
	answer(conn, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
	done(job, "interim:103 204 end");
}

static void the_connection_last_used_is_taken_first(void **state)
{
	struct job *first, *second, *third;

	(void)state;
	open_backend(ONE);
	first = get();
	second = get();
	(void)take(0);
	(void)take(1);
	answer(conns[1], ok);
	answer(conns[0], ok);
	(void)sent(conns[0]);
	third = get();
	assert_string_not_equal(sent(conns[0]), "");
	answer(conns[0], ok);
	done(first, "200 end");
	done(second, "200 end");
	done(third, "200 end");
}

static void servers_take_turns(void **state)
{
	struct job *jobs[6];

	(void)state;
	open_backend(THREE);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		jobs[i] = get();
		assert_int_equal(dialed(i), i % 3 + 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		answer(take(i), ok);
		done(jobs[i], "200 end");
	}
}

static void least_conn_evens_out(void **state)
{
	struct job *jobs[5];

	(void)state;
	open_backend(TWO "balance = least_conn\n");
	for (size_t i = 0; i < 4; i++)
		jobs[i] = get();
	/* Two each; those of the second server are answered, so it has none in use. */
	for (size_t i = 0; i < 4; i++)
		(void)take(i);
	for (size_t i = 0; i < 4; i++)
		if (dialed(i) == 2)
			answer(conns[i], ok);
	jobs[4] = get();
	assert_int_equal(n_dials, 4);
	assert_string_equal(jobs[4]->fetch.server_name, "127.0.0.1:2");
	for (size_t i = 0; i < 5; i++) {
		const char *told = i < 4 && dialed(i) == 2 ? "200 end" : "";

		done(jobs[i], told);
	}
}

static void requests_wait_for_a_full_server(void **state)
{
	struct job *first, *second, *third;
	struct conn_fake *conn;

	(void)state;
	open_backend(ONE "max_connections = 1\n");
	first = get();
	second = get();
	third = get();
	assert_int_equal(n_dials, 1);
	assert_int_equal(backend_n_waiting(backend), 2);
	conn = take(0);
	answer(conn, ok);
	assert_string_equal(first->told, "200 end");
	assert_int_equal(backend_n_waiting(backend), 1);
	assert_string_equal(third->told, "");
	answer(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	assert_string_equal(second->told, "200 end");
	/* The connection is gone; the next one is dialed for whom waited. */
	assert_int_equal(n_dials, 2);
	answer(take(1), ok);
	done(first, "200 end");
	done(second, "200 end");
	done(third, "200 end");
	assert_int_equal(backend_n_waiting(backend), 0);
}

static void who_comes_late_waits_behind_who_waits(void **state)
{
	struct job *first, *second, *late;

	(void)state;
	open_backend(ONE "max_connections = 1\n");
	first = get();
	second = get();
	late = job_new(METHOD_GET, "GET");
	/* It comes in the moment in which the connection is free and nobody has been served. */
	first->next = late;
	answer(take(0), ok);
	assert_string_equal(first->told, "200 end");
	answer(conns[0], ok);
	assert_string_equal(second->told, "200 end");
	assert_string_equal(late->told, "");
	answer(conns[0], ok);
	done(first, "200 end");
	done(second, "200 end");
	done(late, "200 end");
}

static void nobody_waits_for_ever(void **state)
{
	struct job *first, *second, *third;

	(void)state;
	open_backend(ONE "max_connections = 1\nconnect_timeout = 3s\n");
	first = get();
	(void)take(0);
	second = get();
	loop_advance(loop, 1000);
	third = get();
	loop_advance(loop, 2000);
	done(second, "no-server");
	assert_string_equal(third->told, "");
	done(third, "");
	assert_int_equal(backend_n_waiting(backend), 0);
	answer(conns[0], ok);
	done(first, "200 end");
}

static void a_fresh_connection_takes_the_place_of_an_idle_one(void **state)
{
	struct conn_fake *conn;
	struct job *job;

	(void)state;
	open_backend(ONE "max_connections = 1\n");
	conn = make_idle();
	loop_advance(loop, 2000);
	assert_false(conn_fake_is_closed(conn));
	job = post("");
	assert_true(conn_fake_is_closed(conn));
	assert_int_equal(n_dials, 2);
	assert_int_equal(backend_n_connections(backend), 1);
	answer(take(1), ok);
	done(job, "200 end");
}

static void too_many_do_not_wait(void **state)
{
	enum { N = 16385 };
	static struct job *jobs[N + 1];
	struct job *job;

	(void)state;
	open_backend(ONE "max_connections = 1\n");
	for (size_t i = 0; i < N; i++)
		jobs[i] = get();
	assert_int_equal(backend_n_waiting(backend), N - 1);
	job = get();
	done(job, "overload");
	for (size_t i = N; i-- > 0;)
		done(jobs[i], "");
	assert_int_equal(backend_n_waiting(backend), 0);
	assert_int_equal(backend_n_connections(backend), 0);
}

static void a_cancelled_fetch_leaves_nothing_behind(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE);
	job = get();
	done(job, "");
	assert_false(dials[0].is_open);
	assert_int_equal(backend_n_connections(backend), 0);
	job = get();
	(void)take(1);
	done(job, "");
	assert_true(conn_fake_is_closed(conns[1]));
	assert_int_equal(backend_n_connections(backend), 0);
}

static void idle_connections_are_limited(void **state)
{
	struct job *jobs[4];

	(void)state;
	open_backend(ONE "max_idle_connections = 2\n");
	for (size_t i = 0; i < 4; i++)
		jobs[i] = get();
	for (size_t i = 0; i < 4; i++)
		(void)take(i);
	for (size_t i = 0; i < 4; i++)
		answer(conns[i], ok);
	for (size_t i = 0; i < 4; i++)
		done(jobs[i], "200 end");
	assert_int_equal(backend_n_idle(backend), 2);
	assert_int_equal(backend_n_connections(backend), 2);
	/* The longest idle have gone. */
	assert_true(conn_fake_is_closed(conns[0]));
	assert_true(conn_fake_is_closed(conns[1]));
	assert_false(conn_fake_is_closed(conns[3]));
}

static void idle_connections_end_with_their_time_and_their_server(void **state)
{
	(void)state;
	open_backend(ONE "idle_timeout = 10s\n");
	(void)make_idle();
	loop_advance(loop, 10000);
	assert_true(conn_fake_is_closed(conns[0]));
	assert_int_equal(backend_n_connections(backend), 0);
	(void)make_idle();
	conn_fake_feed_end(conns[1]);
	settle();
	assert_true(conn_fake_is_closed(conns[1]));
	assert_int_equal(backend_n_idle(backend), 0);
}

static void without_keepalive_each_fetch_has_a_connection(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE "keepalive = no\n");
	for (size_t i = 0; i < 2; i++) {
		job = get();
		assert_int_equal(n_dials, i + 1);
		assert_non_null(strstr(sent(take(i)), "\r\nConnection: close\r\n"));
		answer(conns[i], ok);
		done(job, "200 end");
		assert_true(conn_fake_is_closed(conns[i]));
	}
}

static void the_host_may_be_the_servers(void **state)
{
	struct job *job;

	(void)state;
	open_backend("servers = {\"127.0.0.1:80\", \"[::1]:8080\", \"unix:/run/app.sock\"}\n"
		     "host_header = server\n");
	job = get();
	assert_non_null(strstr(sent(take(0)), "\r\nHost: 127.0.0.1\r\n"));
	/* Another server, another host. */
	conn_fake_feed_end(conns[0]);
	settle();
	assert_non_null(strstr(sent(take(1)), "\r\nHost: [::1]:8080\r\n"));
	done(job, "");
	job = get();
	assert_non_null(strstr(sent(take(2)), "\r\nHost: localhost\r\n"));
	done(job, "");
}

static void a_request_without_a_host_gets_the_servers(void **state)
{
	struct job *job = NULL;

	(void)state;
	open_backend(ONE);
	job = job_new(METHOD_GET, "GET");
	job->head.authority = SLICE("");
	backend_fetch(backend, &job->fetch);
	settle();
	assert_non_null(strstr(sent(take(0)), "\r\nHost: 127.0.0.1:1\r\n"));
	done(job, "");
}

static void a_closed_backend_finishes_what_is_under_way(void **state)
{
	struct job *dialing, *flying;
	struct conn_fake *idle;

	(void)state;
	open_backend(ONE);
	dialing = get();
	flying = get();
	(void)take(1);
	idle = make_idle();
	backend_close(backend);
	settle();
	assert_true(conn_fake_is_closed(idle));
	assert_int_equal(backend_n_connections(backend), 2);
	answer(conns[1], ok);
	assert_true(conn_fake_is_closed(conns[1]));
	answer(take(0), ok);
	done(dialing, "200 end");
	done(flying, "200 end");
	assert_int_equal(conf->n_references, 1);
	backend = backend_new(loop, &conf->backends[0], NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_is_used_again),
		TEST(the_connection_last_used_is_taken_first),
		TEST(servers_take_turns),
		TEST(least_conn_evens_out),
		TEST(requests_wait_for_a_full_server),
		TEST(who_comes_late_waits_behind_who_waits),
		TEST(nobody_waits_for_ever),
		TEST(a_fresh_connection_takes_the_place_of_an_idle_one),
		TEST(too_many_do_not_wait),
		TEST(a_cancelled_fetch_leaves_nothing_behind),
		TEST(idle_connections_are_limited),
		TEST(idle_connections_end_with_their_time_and_their_server),
		TEST(without_keepalive_each_fetch_has_a_connection),
		TEST(the_host_may_be_the_servers),
		TEST(a_request_without_a_host_gets_the_servers),
		TEST(a_closed_backend_finishes_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
