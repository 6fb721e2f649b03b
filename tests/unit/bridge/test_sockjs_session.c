/* SockJS sessions in time: openings, heartbeats, absence, ends, and what is told of them. */
#include "tests/unit/bridge/stage.h"
#include "tests/unit/bridge/stage_web_socket.h"

#define INTERRUPTED "c[1002,\"Connection interrupted\"]\n"
#define BUSY "c[2010,\"Another connection still open\"]\n"

static void open_stage(const char *route)
{
	stage_open_dialect("sockjs", route);
}

static struct client *receive(const char *id, const char *transport)
{
	return client_request("POST", stage_text("/chat/0/%s/%s", id, transport), "", NULL);
}

static struct client *poll(const char *id)
{
	return receive(id, "xhr");
}

static unsigned send_text(const char *id, const char *body)
{
	return client_status(client_request("POST", stage_text("/chat/0/%s/xhr_send", id),
		"Content-Type: text/plain\r\n", body));
}

static void has_frame(struct client *client, const char *frame)
{
	assert_int_equal(client_status(client), 200);
	assert_string_equal(client_take(client), frame);
	assert_true(client_is_done(client));
}

static struct peer *open_session(const char *id)
{
	struct client *client = poll(id);
	struct peer *peer = peer_open();

	has_frame(client, "o\n");
	return peer;
}

/* A stream whose prelude has been read. */
static struct client *stream(const char *id)
{
	struct client *client = receive(id, "xhr_streaming");

	assert_int_equal(strlen(client_take(client)), 2049);
	return client;
}

static void it_opens_when_the_backend_has_accepted(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	client = poll("a");
	assert_int_equal(client_status(client), 0);
	assert_int_equal(send_text("a", "[\"x\"]"), 404);
	has_frame(poll("a"), BUSY);
	peer = peer_next();
	assert_non_null(strstr(peer_request(peer), "GET /chat HTTP/1.1\r\n"));
	assert_int_equal(client_status(client), 0);
	peer_accept(peer, "Set-Cookie: s=1\r\n");
	has_frame(client, "o\n");
	assert_string_equal(client_field(client, "Set-Cookie"), "s=1");
	assert_int_equal(send_text("a", "[\"x\",\"y\"]"), 204);
	assert_string_equal(peer_received(peer), "text x\ntext y\n");
}

static void the_response_begins_after_half_a_second(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	client = receive("a", "xhr_streaming");
	peer = peer_next();
	stage_pass_ms(499);
	assert_int_equal(client_status(client), 0);
	stage_pass_ms(1);
	assert_int_equal(client_status(client), 200);
	assert_int_equal(strlen(client_take(client)), 2049);
	stage_pass_ms(3000);
	assert_string_equal(client_take(client), "");
	peer_accept(peer, "");
	assert_string_equal(client_take(client), "o\n");
	peer_text(peer, "m");
	assert_string_equal(client_take(client), "a[\"m\"]\n");
}

static void a_refusal_has_its_status_or_is_told_in_the_response(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	client = poll("a");
	peer = peer_next();
	stage_pass_ms(499);
	peer_send(peer, "HTTP/1.1 401 No\r\nWWW-Authenticate: x\r\nContent-Length: 2\r\n\r\nno");
	assert_int_equal(client_status(client), 401);
	assert_string_equal(client_body(client), "no");
	assert_string_equal(client_field(client, "WWW-Authenticate"), "x");
	client = receive("a", "xhr_streaming");
	peer = peer_next();
	stage_pass_ms(500);
	assert_int_equal(strlen(client_take(client)), 2049);
	peer_send(peer, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
	has_frame(client, "c[1011,\"No connection to the backend\"]\n");
	/* A poll waits for it. */
	client = poll("a");
	peer = peer_next();
	stage_pass_ms(3000);
	peer_send(peer, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
	assert_int_equal(client_status(client), 401);
	client = poll("a");
	peer_refuse_next();
	assert_int_equal(client_status(client), 502);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	/* None of these was a session: the id is free. */
	(void)open_session("a");
}

static void who_leaves_before_that_was_never_there(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	client = poll("a");
	peer = peer_next();
	client_leave(client);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	assert_true(peer_is_closed(peer));
	client = receive("a", "xhr_streaming");
	peer = peer_next();
	stage_pass_ms(600);
	client_leave(client);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	assert_true(peer_is_closed(peer));
	(void)open_session("a");
}

static void heartbeats_count_from_the_last_frame(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	client = poll("a");
	stage_pass_ms(24999);
	assert_int_equal(client_body_size(client), 0);
	stage_pass_ms(1);
	has_frame(client, "h\n");
	client = stream("a");
	stage_pass_ms(20000);
	peer_text(peer, "m");
	assert_string_equal(client_take(client), "a[\"m\"]\n");
	stage_pass_ms(24999);
	assert_string_equal(client_take(client), "");
	stage_pass_ms(1);
	assert_string_equal(client_take(client), "h\n");
	stage_pass_ms(25000);
	assert_string_equal(client_take(client), "h\n");
}

static void absence_ends_it_and_the_name_is_remembered(void **state)
{
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	stage_pass_ms(4999);
	assert_string_equal(peer_received(peer), "");
	assert_int_equal(send_text("a", "[]"), 204);
	stage_pass_ms(1);
	assert_string_equal(peer_received(peer), "close 1001\n");
	assert_int_equal(send_text("a", "[\"x\"]"), 404);
	stage_pass_ms(59000);
	has_frame(poll("a"), INTERRUPTED);
	assert_int_equal(stage_n_dials(), 1);
	stage_pass_ms(1000);
	(void)open_session("a");
}

static void a_stream_counts_as_present(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("backend_ping = 0\n");
	peer = open_session("a");
	stage_pass_ms(4000);
	client = stream("a");
	stage_pass_ms(60000);
	assert_string_equal(client_take(client), "h\nh\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	client_leave(client);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	stage_pass_ms(1);
	assert_non_null(strstr(peer_received(peer), "close 1001\n"));
}

static void the_oldest_name_is_forgotten_first(void **state)
{
	(void)state;
	open_stage("max_sessions = 2\n");
	for (int i = 0; i < 3; i++) {
		(void)open_session(stage_text("n%d", i));
		stage_pass_ms(5000);
	}
	has_frame(poll("n1"), INTERRUPTED);
	has_frame(poll("n2"), INTERRUPTED);
	(void)open_session("n0");
}

static void the_close_is_told_until_the_delay_after_the_last(void **state)
{
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	peer_text(peer, "m");
	peer_close(peer, 3000, "Go away!");
	has_frame(poll("a"), "a[\"m\"]\n");
	assert_int_equal(send_text("a", "[\"x\"]"), 404);
	for (int i = 0; i < 5; i++) {
		has_frame(poll("a"), "c[3000,\"Go away!\"]\n");
		stage_pass_ms(4999);
	}
	stage_pass_ms(1);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	has_frame(poll("a"), INTERRUPTED);
}

static void what_nobody_fetched_goes_with_the_delay(void **state)
{
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	peer_text(peer, "m");
	peer_close(peer, 3000, "Go away!");
	stage_pass_ms(4999);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	stage_pass_ms(1);
	has_frame(poll("a"), INTERRUPTED);
	assert_int_equal(bridge_ledger(stage_bridge()).n_forgotten, 2);
}

static void a_poll_that_is_cut_ends_it(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	client = poll("a");
	has_frame(poll("a"), BUSY);
	client_leave(client);
	assert_string_equal(peer_received(peer), "close 1001\n");
	has_frame(poll("a"), INTERRUPTED);
}

/* The frame was taken out of the session, but the client's TCP never took all of it. */
static void an_answer_that_is_cut_ends_it(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	client = poll("a");
	client_set_room(client, 3);
	peer_text(peer, "lost");
	peer_text(peer, "kept");
	client_leave(client);
	assert_string_equal(peer_received(peer), "close 1001\n");
	has_frame(poll("a"), INTERRUPTED);
}

static void a_stream_that_is_cut_behind_the_close_is_told(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	client = stream("a");
	client_set_room(client, 3);
	peer_text(peer, "lost");
	peer_close(peer, 3000, "Go away!");
	client_leave(client);
	has_frame(poll("a"), INTERRUPTED);
}

static void a_second_receiver_does_no_harm(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	client = stream("a");
	has_frame(poll("a"), BUSY);
	stage_pass_ms(6000);
	has_frame(poll("a"), BUSY);
	peer_text(peer, "m");
	assert_string_equal(client_take(client), "a[\"m\"]\n");
}

static void the_limit_ends_a_response_and_not_the_session(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	/* Frames of 6 bytes. */
	open_stage("sockjs_response_limit = 18\n");
	peer = open_session("a");
	client = stream("a");
	peer_text(peer, "1");
	peer_text(peer, "2");
	assert_false(client_is_done(client));
	peer_text(peer, "3");
	has_frame(client, "a[\"1\"]\na[\"2\"]\na[\"3\"]\n");
	/* A limit is no reason to cut what waits. */
	peer_text(peer, "4");
	peer_text(peer, "a larger one than the limit");
	client = receive("a", "xhr_streaming");
	assert_string_equal(
		client_take(client) + 2049, "a[\"4\",\"a larger one than the limit\"]\n");
	assert_true(client_is_done(client));
	client = stream("a");
	peer_text(peer, "5");
	assert_string_equal(client_take(client), "a[\"5\"]\n");
	assert_false(client_is_done(client));
}

static void bytes_end_it(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	client = stream("a");
	peer_text(peer, "m");
	peer_frame(peer, true, WS_OP_BINARY, "x", 1);
	peer_text(peer, "too late");
	has_frame(client, "a[\"m\"]\nc[1003,\"Binary message\"]\n");
	assert_string_equal(peer_received(peer), "close 1003\n");
	has_frame(poll("a"), "c[1003,\"Binary message\"]\n");
}

static void a_slow_client_holds_the_backend_back(void **state)
{
	char text[1000];
	struct client *client;
	struct peer *peer;
	size_t n = 0, size;

	(void)state;
	memset(text, 'x', sizeof(text));
	open_stage("queue = 4k\nmax_message_size = 4k\nbatch_size = 2k\n"
		   "sockjs_response_limit = 1G\n");
	peer = open_session("a");
	client = stream("a");
	client_set_room(client, 0);
	while (peer_n_unread(peer) == 0) {
		assert_true(n++ < 1000);
		peer_frame(peer, true, WS_OP_TEXT, text, sizeof(text));
	}
	client_set_room(client, SIZE_MAX);
	size = client_body_size(client);
	assert_true(size >= n * sizeof(text));
	assert_int_equal(peer_n_unread(peer), 0);
	assert_int_equal(bridge_ledger(stage_bridge()).n_taken, n);
}

static void a_client_that_takes_nothing_is_given_up(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	open_stage("send_timeout = 8s\n");
	peer = open_session("a");
	client = stream("a");
	client_set_room(client, 3);
	peer_text(peer, "much too long");
	stage_pass_ms(5000);
	/* It takes some: the time begins anew. */
	client_set_room(client, 3);
	stage_pass_ms(7999);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	stage_pass_ms(1001);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	assert_true(client_is_closed(client));
	assert_string_equal(peer_received(peer), "close 1001\n");
	has_frame(poll("a"), INTERRUPTED);
}

static void leaving_is_told(void **state)
{
	struct client *client, *waiting;
	struct peer *peer;

	(void)state;
	open_stage("");
	peer = open_session("a");
	client = stream("a");
	waiting = poll("b");
	bridge_drain(stage_bridge(), NULL);
	stage_pass_ms(0);
	has_frame(client, "c[1001,\"Going away\"]\n");
	assert_string_equal(peer_received(peer), "close 1001\n");
	assert_int_equal(client_status(waiting), 503);
	assert_int_equal(client_status(poll("c")), 503);
}

static void names_are_not_ids(void **state)
{
	(void)state;
	stage_open_dialect("sockjs\", \"plain", "");
	(void)open_session("a");
	assert_int_equal(client_status(client_request("GET", "/chat/~a?wait=0", "", NULL)), 404);
	assert_int_equal(client_status(client_request("DELETE", "/chat/~a", "", NULL)), 404);
	assert_int_equal(client_status(client_request("GET", "/chat", "", NULL)), 200);
	assert_int_equal(client_status(client_request("PUT", "/chat", "", NULL)), 299);
}

static void a_web_socket_ends_with_its_session(void **state)
{
	struct web_socket *socket;
	struct peer *peer;

	(void)state;
	open_stage("");
	socket = web_socket_request("/chat/0/a/websocket", "");
	peer = peer_next();
	assert_int_equal(client_status(web_socket_client(socket)), 0);
	peer_accept(peer, "");
	assert_int_equal(client_status(web_socket_client(socket)), 101);
	assert_string_equal(web_socket_received(socket), "text o\n");
	stage_pass_ms(10000);
	peer_text(peer, "m");
	assert_string_equal(web_socket_received(socket), "text a[\"m\"]\n");
	web_socket_text(socket, "[\"x\",\"y\"]");
	web_socket_text(socket, "\"z\"");
	assert_string_equal(peer_received(peer), "text x\ntext y\ntext z\n");
	web_socket_close(socket, 1000, "");
	stage_pass_ms(0);
	assert_string_equal(peer_received(peer), "close 1001\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	web_socket_free(socket);
	/* Its id was never a name. */
	(void)open_session("a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, stage_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_opens_when_the_backend_has_accepted),
		TEST(the_response_begins_after_half_a_second),
		TEST(a_refusal_has_its_status_or_is_told_in_the_response),
		TEST(who_leaves_before_that_was_never_there),
		TEST(heartbeats_count_from_the_last_frame),
		TEST(absence_ends_it_and_the_name_is_remembered),
		TEST(a_stream_counts_as_present),
		TEST(the_oldest_name_is_forgotten_first),
		TEST(the_close_is_told_until_the_delay_after_the_last),
		TEST(what_nobody_fetched_goes_with_the_delay),
		TEST(a_poll_that_is_cut_ends_it),
		TEST(an_answer_that_is_cut_ends_it),
		TEST(a_stream_that_is_cut_behind_the_close_is_told),
		TEST(a_second_receiver_does_no_harm),
		TEST(the_limit_ends_a_response_and_not_the_session),
		TEST(bytes_end_it),
		TEST(a_slow_client_holds_the_backend_back),
		TEST(a_client_that_takes_nothing_is_given_up),
		TEST(leaving_is_told),
		TEST(names_are_not_ids),
		TEST(a_web_socket_ends_with_its_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
