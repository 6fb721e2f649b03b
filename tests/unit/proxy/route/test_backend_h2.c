/*
 * Backends that speak HTTP/2: which connection a fetch gets, who waits for a dial, what is tried
 * again. Conns in memory have no TLS: what one has agreed on in ALPN is said by the linker's
 * --wrap.
 */
#include "tests/unit/proxy/route/backend_world.h"

#include "proxy/http/h2_head.h"
#include "proxy/net/tls_context.h"
#include "tests/unit/proxy/http/h2_peer.h"

/* NULL: no conn is TLS. */
static const char *alpn;

bool __wrap_conn_is_tls(const struct conn *self);
struct slice __wrap_conn_tls_alpn(const struct conn *self);

bool __wrap_conn_is_tls(const struct conn *self)
{
	(void)self;
	return alpn != NULL;
}

struct slice __wrap_conn_tls_alpn(const struct conn *self)
{
	(void)self;
	return slice_from_string(alpn);
}

/* Servers at the other end, by dial. */
static struct h2_peer *peers[MAX_DIALS];

static int set_up_h2(void **state)
{
	alpn = NULL;
	return set_up(state);
}

static int tear_down_h2(void **state)
{
	for (size_t i = 0; i < MAX_DIALS; i++) {
		if (peers[i] != NULL)
			h2_peer_free(peers[i]);
		peers[i] = NULL;
	}
	h2_head_release_buffer();
	return tear_down(state);
}

static void settle_all(void)
{
	bool has_moved;

	do {
		has_moved = false;
		settle();
		for (size_t i = 0; i < n_dials; i++)
			has_moved |= peers[i] != NULL && h2_peer_step(peers[i]);
	} while (has_moved);
}

/* The server takes the dial; without options it says nothing yet. */
static struct h2_peer *accept_h2(size_t i, const struct h2_peer_options *options)
{
	static const struct h2_peer_options silent = {.is_silent = true};
	struct conn_fake *conn = take(i);

	peers[i] = h2_peer_new(loop, conn, true, options != NULL ? options : &silent);
	settle_all();
	return peers[i];
}

static const struct h2_peer_options ordinary = {.max_streams = 100};

static void respond(struct h2_peer *peer, int32_t id)
{
	h2_peer_respond(peer, id, ":status=200\n", true);
	settle_all();
}

/* How many requests this server has seen. */
static size_t n_seen(size_t i)
{
	return peers[i]->n_streams;
}

static struct job *websocket(void)
{
	struct job *job = job_new(METHOD_GET, "GET");

	job->fetch.is_websocket = job->head.is_websocket = true;
	job->fetch.req_body = &job->req_body;
	fields_add(&job->head.fields, &job->arena, SLICE("Sec-WebSocket-Version"), SLICE("13"));
	fields_add(&job->head.fields, &job->arena, SLICE("Sec-WebSocket-Key"),
		SLICE("dGhlIHNhbXBsZSBub25jZQ=="));
	backend_fetch(backend, &job->fetch);
	settle_all();
	return job;
}

#define H2 "protocol = h2\n"

/* One dial for many. */

static void fetches_wait_for_a_dial_under_way(void **state)
{
	struct job *jobs[5];

	(void)state;
	open_backend(ONE H2);
	for (size_t i = 0; i < 5; i++)
		jobs[i] = get();
	assert_int_equal(n_dials, 1);
	assert_int_equal(backend_n_waiting(backend), 4);
	(void)accept_h2(0, &ordinary);
	assert_int_equal(n_dials, 1);
	assert_int_equal(backend_n_waiting(backend), 0);
	assert_int_equal(n_seen(0), 5);
	for (size_t i = 0; i < 5; i++) {
		respond(peers[0], 1 + 2 * (int32_t)i);
		assert_string_equal(jobs[i]->fetch.server_name, "127.0.0.1:1");
		done(jobs[i], "200 end");
	}
	assert_int_equal(backend_n_connections(backend), 1);
	assert_int_equal(backend_n_idle(backend), 1);
}

/* Until the server has said how many it takes, one is certain. */
static void how_much_it_takes_is_waited_for(void **state)
{
	struct job *first, *second;

	(void)state;
	open_backend(ONE H2);
	first = get();
	second = get();
	(void)accept_h2(0, NULL);
	assert_int_equal(n_seen(0), 1);
	assert_int_equal(n_dials, 1);
	assert_int_equal(backend_n_waiting(backend), 1);
	h2_peer_raw_frame(peers[0], NGHTTP2_SETTINGS, 0, 0, NULL, 0);
	settle_all();
	assert_int_equal(n_seen(0), 2);
	assert_int_equal(n_dials, 1);
	done(first, "");
	done(second, "");
}

static void more_than_one_connection_takes_are_two_dials(void **state)
{
	struct job *jobs[6];

	(void)state;
	open_backend(ONE H2 "http2_max_streams = 3\n");
	for (size_t i = 0; i < 3; i++)
		jobs[i] = get();
	assert_int_equal(n_dials, 1);
	for (size_t i = 3; i < 6; i++)
		jobs[i] = get();
	assert_int_equal(n_dials, 2);
	(void)accept_h2(0, &ordinary);
	(void)accept_h2(1, &ordinary);
	assert_int_equal(n_seen(0), 3);
	assert_int_equal(n_seen(1), 3);
	assert_int_equal(n_dials, 2);
	for (size_t i = 0; i < 6; i++)
		done(jobs[i], "");
}

/* A server that takes fewer than we would send gets as many connections as it needs. */
static void a_server_of_few_streams_gets_more_connections(void **state)
{
	static const struct h2_peer_options one = {.max_streams = 1};
	struct job *jobs[3];

	(void)state;
	open_backend(ONE H2);
	for (size_t i = 0; i < 3; i++)
		jobs[i] = get();
	(void)accept_h2(0, &one);
	assert_int_equal(n_seen(0), 1);
	assert_int_equal(n_dials, 2);
	(void)accept_h2(1, &one);
	assert_int_equal(n_dials, 3);
	(void)accept_h2(2, &one);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(n_seen(i), 1);
		respond(peers[i], 1);
		done(jobs[i], "200 end");
	}
}

static void with_a_cap_they_wait_for_room(void **state)
{
	static const struct h2_peer_options one = {.max_streams = 1};
	struct job *jobs[3];

	(void)state;
	open_backend(ONE H2 "max_connections = 1\n");
	for (size_t i = 0; i < 3; i++)
		jobs[i] = get();
	(void)accept_h2(0, &one);
	assert_int_equal(n_dials, 1);
	assert_int_equal(backend_n_waiting(backend), 2);
	respond(peers[0], 1);
	done(jobs[0], "200 end");
	assert_int_equal(n_seen(0), 2);
	/* Room that the server gives is told. */
	h2_peer_set(peers[0], NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 10);
	settle_all();
	assert_int_equal(n_seen(0), 3);
	assert_int_equal(backend_n_waiting(backend), 0);
	respond(peers[0], 3);
	respond(peers[0], 5);
	done(jobs[1], "200 end");
	done(jobs[2], "200 end");
}

static void a_failed_dial_is_taken_up_by_the_next(void **state)
{
	struct job *first, *second;

	(void)state;
	open_backend(ONE H2 "retries = 0\n");
	first = get();
	second = get();
	refuse(0);
	done(first, "connect");
	assert_int_equal(n_dials, 2);
	(void)accept_h2(1, &ordinary);
	respond(peers[1], 1);
	done(second, "200 end");
}

static void a_cancelled_dial_is_taken_up_by_the_next(void **state)
{
	struct job *first, *second;

	(void)state;
	open_backend(ONE H2);
	first = get();
	second = get();
	done(first, "");
	assert_false(dials[0].is_open);
	assert_int_equal(n_dials, 2);
	(void)accept_h2(1, &ordinary);
	respond(peers[1], 1);
	done(second, "200 end");
}

static void nobody_waits_for_a_dial_for_ever(void **state)
{
	struct job *first, *second;

	(void)state;
	open_backend(ONE H2 "connect_timeout = 3s\nretries = 0\n");
	first = get();
	loop_advance(loop, 1000);
	second = get();
	loop_advance(loop, 2000);
	done(first, "connect-timeout");
	/* It is its turn to dial. */
	assert_string_equal(second->told, "");
	assert_int_equal(n_dials, 2);
	loop_advance(loop, 3000);
	done(second, "connect-timeout");
	assert_int_equal(backend_n_waiting(backend), 0);
	assert_int_equal(backend_n_connections(backend), 0);
}

/* Places. */

static void a_busy_connection_with_room_is_used(void **state)
{
	struct job *first, *second, *third;

	(void)state;
	open_backend(ONE H2 "http2_max_streams = 2\n");
	first = get();
	(void)accept_h2(0, &ordinary);
	assert_int_equal(backend_n_idle(backend), 0);
	second = get();
	settle_all();
	assert_int_equal(n_dials, 1);
	assert_int_equal(n_seen(0), 2);
	/* Now it is full. */
	third = get();
	assert_int_equal(n_dials, 2);
	respond(peers[0], 1);
	done(first, "200 end");
	assert_int_equal(backend_n_idle(backend), 0);
	respond(peers[0], 3);
	assert_int_equal(backend_n_idle(backend), 1);
	done(second, "200 end");
	done(third, "");
}

static void least_conn_counts_streams(void **state)
{
	struct job *jobs[8];

	(void)state;
	open_backend(TWO H2 "balance = least_conn\n");
	jobs[0] = get();
	jobs[1] = get();
	assert_int_equal(n_dials, 2);
	for (size_t i = 0; i < 2; i++)
		(void)accept_h2(i, &ordinary);
	for (size_t i = 2; i < 6; i++) {
		jobs[i] = get();
		settle_all();
	}
	assert_int_equal(n_seen(0), 3);
	assert_int_equal(n_seen(1), 3);
	/* Two of the second server end: each has one connection in use, and the next ones are its.
	 */
	respond(peers[1], 1);
	respond(peers[1], 3);
	jobs[6] = get();
	jobs[7] = get();
	settle_all();
	assert_int_equal(n_seen(0), 3);
	assert_int_equal(n_seen(1), 5);
	for (size_t i = 0; i < 8; i++)
		done(jobs[i], jobs[i]->told);
}

static void idle_connections_are_trimmed(void **state)
{
	static const struct h2_peer_options one = {.max_streams = 1};
	struct job *jobs[3];

	(void)state;
	open_backend(ONE H2 "max_idle_connections = 1\n");
	for (size_t i = 0; i < 3; i++) {
		jobs[i] = get();
		(void)accept_h2(i, &one);
	}
	for (size_t i = 0; i < 3; i++)
		respond(peers[i], 1);
	for (size_t i = 0; i < 3; i++)
		done(jobs[i], "200 end");
	settle_all();
	assert_int_equal(backend_n_connections(backend), 1);
	assert_int_equal(backend_n_idle(backend), 1);
	/* They left with a word. */
	assert_non_null(strstr(h2_peer_frames(peers[0]), "GOAWAY"));
}

static void a_closed_backend_lets_streams_end(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE H2);
	job = get();
	(void)accept_h2(0, &ordinary);
	backend_close(backend);
	settle_all();
	assert_string_equal(job->told, "");
	respond(peers[0], 1);
	done(job, "200 end");
	settle_all();
	assert_int_equal(conf->n_references, 1);
	backend = backend_new(loop, &conf->backends[0], NULL, NULL);
}

/* What is tried again. */

/* REFUSED_STREAM: whatever the method is, and with its body. */
static void a_refused_request_is_sent_again(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO H2);
	job = post("hello");
	(void)accept_h2(0, &ordinary);
	assert_string_equal(h2_peer_body(peers[0], 1), "hello");
	h2_peer_reset(peers[0], 1, NGHTTP2_REFUSED_STREAM);
	settle_all();
	assert_string_equal(job->told, "");
	if (n_dials > 1)
		(void)accept_h2(1, &ordinary);
	assert_string_equal(h2_peer_body(peers[n_dials - 1], n_dials > 1 ? 1 : 3), "hello");
	respond(peers[n_dials - 1], n_dials > 1 ? 1 : 3);
	done(job, "200 end");
}

static void refusals_do_not_go_on_for_ever(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE H2 "retries = 2\n");
	job = get();
	(void)accept_h2(0, &ordinary);
	for (int32_t id = 1; id <= 5; id += 2) {
		assert_string_equal(job->told, "");
		h2_peer_reset(peers[0], id, NGHTTP2_REFUSED_STREAM);
		settle_all();
	}
	done(job, "backend-gone");
	/* Its server is not the worse for it. */
	job = get();
	settle_all();
	assert_int_equal(n_dials, 1);
	respond(peers[0], 7);
	done(job, "200 end");
}

/* Above the last stream of a GOAWAY: over a new connection, and no retry is spent. */
static void a_connection_that_goes_away_costs_no_retry(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE H2 "retries = 0\n");
	job = post("hello");
	for (size_t i = 0; i < 3; i++) {
		(void)accept_h2(i, &ordinary);
		assert_string_equal(h2_peer_body(peers[i], 1), "hello");
		h2_peer_goaway(peers[i], 0, NGHTTP2_NO_ERROR);
		settle_all();
		assert_int_equal(n_dials, i + 2);
	}
	(void)accept_h2(3, &ordinary);
	respond(peers[3], 1);
	done(job, "200 end");
}

static void a_failure_that_may_have_had_an_effect_is_not_repeated(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE H2);
	job = post("hello");
	(void)accept_h2(0, &ordinary);
	conn_fake_lose(conns[0], CONN_LOSS_RESET);
	settle_all();
	done(job, "backend-gone");
	assert_int_equal(n_dials, 1);
}

static void a_safe_request_of_a_lost_connection_goes_to_another_server(void **state)
{
	struct job *job;

	(void)state;
	open_backend(TWO H2);
	job = get();
	(void)accept_h2(0, &ordinary);
	conn_fake_lose(conns[0], CONN_LOSS_RESET);
	settle_all();
	assert_string_equal(job->told, "");
	assert_int_equal(n_dials, 2);
	assert_int_not_equal(dialed(0), dialed(1));
	(void)accept_h2(1, &ordinary);
	respond(peers[1], 1);
	done(job, "200 end");
}

/* A connection that was used before may have gone stale: the server is not to blame. */
static void a_stale_connection_is_replaced(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE H2);
	job = get();
	(void)accept_h2(0, &ordinary);
	respond(peers[0], 1);
	done(job, "200 end");
	job = get();
	assert_int_equal(n_dials, 1);
	conn_fake_lose(conns[0], CONN_LOSS_RESET);
	settle_all();
	assert_int_equal(n_dials, 2);
	(void)accept_h2(1, &ordinary);
	respond(peers[1], 1);
	done(job, "200 end");
}

/* WebSockets. */

static void a_websocket_goes_over_h2_where_it_may(void **state)
{
	static const struct h2_peer_options offer = {.has_connect = true};
	struct job *job;

	(void)state;
	open_backend(ONE H2);
	job = websocket();
	(void)accept_h2(0, &offer);
	assert_non_null(strstr(h2_peer_stream(peers[0], 1)->head, ":protocol=websocket\n"));
	h2_peer_respond(peers[0], 1, ":status=200\n", false);
	settle_all();
	done(job, "101");
}

/* No other way is left. */
static void without_rfc_8441_there_are_no_websockets_over_h2(void **state)
{
	struct job *job;

	(void)state;
	open_backend(ONE H2);
	job = websocket();
	(void)accept_h2(0, &ordinary);
	done(job, "no-websocket");
	assert_int_equal(n_dials, 1);
	/* The server is well. */
	job = get();
	settle_all();
	respond(peers[0], 1);
	done(job, "200 end");
}

/* Over TLS: what ALPN says. */

static void open_tls_backend(const char *options)
{
	struct conf_errors errors = {0};
	struct tls_context *tls;
	char text[1024], why[256];

	(void)snprintf(text, sizeof(text),
		"listen \"127.0.0.1:8080\" {}\nbackend \"b\" { tls = yes\n tls_verify = no\n %s}\n"
		"route \"/\" { backend = \"b\" }\n",
		options);
	conf = conf_parse(text, "test", &errors);
	conf_errors_print(&errors, stderr);
	conf_errors_clear(&errors);
	assert_non_null(conf);
	tls = tls_context_new_client(&conf->backends[0], why, sizeof(why));
	assert_non_null(tls);
	backend = backend_new(loop, &conf->backends[0], NULL, tls);
	tls_context_unref(tls);
}

static void alpn_chooses_h2(void **state)
{
	struct job *first, *second;

	(void)state;
	open_tls_backend(ONE);
	alpn = "h2";
	first = get();
	second = get();
	assert_int_equal(n_dials, 1);
	assert_false(dials[0].target.http1_only);
	(void)accept_h2(0, &ordinary);
	assert_int_equal(n_seen(0), 2);
	assert_non_null(strstr(h2_peer_stream(peers[0], 1)->head, ":scheme=https\n"));
	respond(peers[0], 1);
	respond(peers[0], 3);
	done(first, "200 end");
	done(second, "200 end");
}

/* Those that waited for it dial for themselves. */
static void alpn_chooses_http1(void **state)
{
	struct job *jobs[3];

	(void)state;
	open_tls_backend(ONE);
	alpn = "http/1.1";
	for (size_t i = 0; i < 3; i++)
		jobs[i] = get();
	assert_int_equal(n_dials, 1);
	(void)take(0);
	settle();
	assert_int_equal(n_dials, 3);
	for (size_t i = 0; i < 3; i++) {
		if (i > 0)
			(void)take(i);
		assert_non_null(strstr(sent(conns[i]), "GET / HTTP/1.1\r\n"));
		answer(conns[i], ok);
		done(jobs[i], "200 end");
	}
	/* From now on it is known. */
	assert_int_equal(backend_n_idle(backend), 3);
}

static void a_server_that_has_to_speak_h2_and_does_not_fails(void **state)
{
	struct job *job;

	(void)state;
	open_tls_backend(ONE H2 "retries = 0\n");
	alpn = "";
	job = get();
	(void)take(0);
	done(job, "backend-tls");
	assert_true(conn_fake_is_closed(conns[0]));
	assert_int_equal(backend_n_connections(backend), 0);
	alpn = "h2";
	job = get();
	(void)accept_h2(1, &ordinary);
	respond(peers[1], 1);
	done(job, "200 end");
}

static void a_websocket_falls_back_to_http1(void **state)
{
	struct job *job, *other;

	(void)state;
	open_tls_backend(ONE);
	alpn = "h2";
	job = websocket();
	(void)accept_h2(0, &ordinary);
	assert_string_equal(job->told, "");
	assert_int_equal(n_dials, 2);
	assert_true(dials[1].target.http1_only);
	/* Others stay with HTTP/2 meanwhile. */
	other = get();
	settle_all();
	assert_int_equal(n_dials, 2);
	respond(peers[0], 1);
	done(other, "200 end");
	alpn = "http/1.1";
	(void)take(1);
	assert_non_null(strstr(sent(conns[1]), "\r\nUpgrade: websocket\r\n"));
	answer(conns[1],
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\n"
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
	done(job, "101");
	alpn = "h2";
	other = get();
	settle_all();
	respond(peers[0], 3);
	done(other, "200 end");
}

/* HTTP_1_1_REQUIRED. */
static void a_request_falls_back_to_http1(void **state)
{
	struct job *job;

	(void)state;
	open_tls_backend(ONE);
	alpn = "h2";
	job = post("hello");
	(void)accept_h2(0, &ordinary);
	h2_peer_reset(peers[0], 1, NGHTTP2_HTTP_1_1_REQUIRED);
	settle_all();
	assert_int_equal(n_dials, 2);
	assert_true(dials[1].target.http1_only);
	alpn = "http/1.1";
	(void)take(1);
	assert_non_null(strstr(sent(conns[1]), "\r\n\r\nhello"));
	answer(conns[1], ok);
	done(job, "200 end");
	assert_int_equal(backend_n_idle(backend), 2);
}

static void a_fallback_is_made_once(void **state)
{
	struct job *job;

	(void)state;
	open_tls_backend(ONE "retries = 0\n");
	alpn = "h2";
	job = websocket();
	(void)accept_h2(0, &ordinary);
	alpn = "http/1.1";
	(void)take(1);
	conn_fake_feed_end(conns[1]);
	settle();
	done(job, "backend-gone");
	assert_int_equal(n_dials, 2);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_h2, tear_down_h2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fetches_wait_for_a_dial_under_way),
		TEST(how_much_it_takes_is_waited_for),
		TEST(more_than_one_connection_takes_are_two_dials),
		TEST(a_server_of_few_streams_gets_more_connections),
		TEST(with_a_cap_they_wait_for_room),
		TEST(a_failed_dial_is_taken_up_by_the_next),
		TEST(a_cancelled_dial_is_taken_up_by_the_next),
		TEST(nobody_waits_for_a_dial_for_ever),
		TEST(a_busy_connection_with_room_is_used),
		TEST(least_conn_counts_streams),
		TEST(idle_connections_are_trimmed),
		TEST(a_closed_backend_lets_streams_end),
		TEST(a_refused_request_is_sent_again),
		TEST(refusals_do_not_go_on_for_ever),
		TEST(a_connection_that_goes_away_costs_no_retry),
		TEST(a_failure_that_may_have_had_an_effect_is_not_repeated),
		TEST(a_safe_request_of_a_lost_connection_goes_to_another_server),
		TEST(a_stale_connection_is_replaced),
		TEST(a_websocket_goes_over_h2_where_it_may),
		TEST(without_rfc_8441_there_are_no_websockets_over_h2),
		TEST(alpn_chooses_h2),
		TEST(alpn_chooses_http1),
		TEST(a_server_that_has_to_speak_h2_and_does_not_fails),
		TEST(a_websocket_falls_back_to_http1),
		TEST(a_request_falls_back_to_http1),
		TEST(a_fallback_is_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
