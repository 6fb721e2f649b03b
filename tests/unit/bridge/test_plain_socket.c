/* pollux.v1: sessions over WebSockets that end in the bridge. */
#include "tests/unit/bridge/stage_web_socket.h"

#define OURS "Sec-WebSocket-Protocol: pollux.v1\r\n"
#define HEARTBEAT_MS 20000
#define SEND_TIMEOUT_MS 10000
#define LINGER_MS 30000

static struct peer *peer;
static const char *id;
static struct web_socket *sockets[16];
static size_t n_sockets;

static struct web_socket *keep(struct web_socket *socket)
{
	sockets[n_sockets++] = socket;
	return socket;
}

static int tear_down(void **state)
{
	while (n_sockets > 0)
		web_socket_free(sockets[--n_sockets]);
	return stage_tear_down(state);
}

static void got(struct web_socket *socket, const char *lines)
{
	assert_string_equal(web_socket_received(socket), lines);
}

static void heard(const char *lines)
{
	assert_string_equal(peer_received(peer), lines);
}

static const char *hello(int cursor)
{
	return stage_text("text {\"session\":\"%s\",\"cursor\":%d}\n", id, cursor);
}

static struct web_socket *open_with(const char *route)
{
	struct web_socket *socket;

	stage_open(route);
	socket = keep(web_socket_request("/chat", OURS));
	assert_int_equal(client_status(web_socket_client(socket)), 0);
	peer = peer_open();
	assert_int_equal(client_status(web_socket_client(socket)), 101);
	id = stage_session(web_socket_client(socket));
	got(socket, hello(0));
	return socket;
}

static struct web_socket *resume(const char *query)
{
	return keep(web_socket_open(stage_text("/chat/~%s%s", id, query), OURS));
}

/* The handshake's answer is not 101. */
static struct client *refused(const char *target, const char *fields)
{
	return web_socket_client(keep(web_socket_request(target, fields)));
}

static void closes(struct web_socket *socket, const char *line)
{
	got(socket, line);
	web_socket_close(socket, 1000, "");
	client_end(web_socket_client(socket));
	assert_true(client_is_closed(web_socket_client(socket)));
}

static void an_opening_is_a_session(void **state)
{
	struct client *client;

	(void)state;
	client = web_socket_client(open_with(""));
	assert_string_equal(client_field(client, "Sec-WebSocket-Protocol"), "pollux.v1");
	assert_string_equal(client_field(client, "Cache-Control"), "no-store");
	assert_string_equal(client_field(client, "Referrer-Policy"), "no-referrer");
	assert_string_equal(client_field(client, "Pollux-Cursor"), "0");
	/* The backend is not told of it. */
	assert_null(strstr(peer_request(peer), "pollux.v1"));
	assert_null(strstr(peer_request(peer), "Sec-WebSocket-Protocol"));
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
}

static void other_subprotocols_are_the_backends(void **state)
{
	struct web_socket *socket;

	(void)state;
	stage_open("");
	socket = keep(web_socket_request(
		"/chat?room=7", "Sec-WebSocket-Protocol: chat.v1, pollux.v1, chat.v2\r\n"));
	peer = peer_next();
	assert_non_null(strstr(peer_request(peer), "GET /chat?room=7 HTTP/1.1\r\n"));
	assert_non_null(strstr(peer_request(peer), "Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n"));
	peer_accept(peer, "Sec-WebSocket-Protocol: chat.v2\r\nSet-Cookie: a=b\r\n");
	id = stage_session(web_socket_client(socket));
	assert_string_equal(
		client_field(web_socket_client(socket), "Sec-WebSocket-Protocol"), "pollux.v1");
	assert_string_equal(client_field(web_socket_client(socket), "Set-Cookie"), "a=b");
	got(socket,
		stage_text(
			"text {\"session\":\"%s\",\"cursor\":0,\"protocol\":\"chat.v2\"}\n", id));
}

static void a_refusal_is_the_backends(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = refused("/chat", OURS);
	peer_send(peer_next(),
		"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: "
		"4\r\n\r\nwho?");
	assert_int_equal(client_status(client), 401);
	assert_string_equal(client_field(client, "WWW-Authenticate"), "Basic");
	assert_string_equal(client_body(client), "who?");
}

static void items_come_as_json_lines(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("");
	peer_text(peer, "a\n");
	peer_frame(peer, true, WS_OP_BINARY, "\0\1\2", 3);
	got(socket, "text {\"seq\":1,\"text\":\"a\\n\"}\ntext {\"seq\":2,\"binary\":\"AAEC\"}\n");
	peer_close(peer, 4000, "why");
	closes(socket,
		"text {\"seq\":3,\"closed\":{\"code\":4000,\"reason\":\"why\",\"undelivered\":0}}\n"
		"close 1000\n");
}

static void messages_are_numbered_and_answered(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("");
	web_socket_text(socket, "{\"n\":1,\"text\":\"one\"}");
	web_socket_text(socket, "{\"n\":2,\"binary\":\"AAEC\"}");
	got(socket, "text {\"sent\":1}\ntext {\"sent\":2}\n");
	assert_memory_equal(peer_received(peer), "text one\nbinary \0\1\2\n", 20);
	/* A repeat is not sent again, a hole is refused. */
	web_socket_text(socket, "{\"n\":1,\"text\":\"one\"}");
	web_socket_text(socket, "{\"n\":4,\"text\":\"four\"}");
	web_socket_text(socket, "{\"n\":3,\"text\":\"three\"}");
	got(socket,
		"text {\"sent\":1}\ntext {\"error\":\"gap\",\"expected\":3}\ntext {\"sent\":3}\n");
	heard("text three\n");
}

static void numbers_go_on_across_transports(void **state)
{
	struct web_socket *socket;
	struct client *post;

	(void)state;
	socket = open_with("");
	web_socket_text(socket, "{\"n\":1,\"text\":\"one\"}");
	post = client_request("POST", stage_text("/chat/~%s", id), "Pollux-Seq: 2\r\n", "two");
	assert_int_equal(client_status(post), 204);
	web_socket_text(socket, "{\"n\":2,\"text\":\"two\"}");
	web_socket_text(socket, "{\"n\":3,\"text\":\"three\"}");
	got(socket, "text {\"sent\":1}\ntext {\"sent\":2}\ntext {\"sent\":3}\n");
	heard("text one\ntext two\ntext three\n");
}

static void a_resume_repeats_what_was_not_acknowledged(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("");
	peer_text(peer, "a");
	peer_text(peer, "b");
	client_leave(web_socket_client(socket));
	peer_text(peer, "c");
	socket = resume("?after=1");
	got(socket,
		stage_text("%stext {\"seq\":2,\"text\":\"b\"}\ntext {\"seq\":3,\"text\":\"c\"}\n",
			hello(1)));
	client_leave(web_socket_client(socket));
	/* Without a number: after what was acknowledged, which is 1. */
	socket = resume("");
	got(socket,
		stage_text("%stext {\"seq\":2,\"text\":\"b\"}\ntext {\"seq\":3,\"text\":\"c\"}\n",
			hello(1)));
	web_socket_text(socket, "{\"ack\":3}");
	socket = resume("");
	got(socket, hello(3));
}

static void a_bad_cursor_is_refused(void **state)
{
	struct client *client;

	(void)state;
	(void)open_with("");
	peer_text(peer, "a");
	client = refused(stage_text("/chat/~%s?after=2", id), OURS);
	assert_int_equal(client_status(client), 409);
	assert_string_equal(client_body(client), "{\"error\":\"cursor\",\"cursor\":0}\n");
	client = refused(stage_text("/chat/~%s?after=x", id), OURS);
	assert_int_equal(client_status(client), 409);
	client = refused("/chat/~w1.AAAAAAAAAAAAAAAAAAAAAA?after=0", OURS);
	assert_int_equal(client_status(client), 404);
	client = refused(stage_text("/chat/~%s?after=0", id), "");
	assert_int_equal(client_status(client), 400);
	assert_string_equal(
		client_body(client), "{\"error\":\"websocket is not supported here\"}\n");
}

static void an_ack_frees_and_one_too_high_is_an_error(void **state)
{
	struct web_socket *socket;
	struct client *client;

	(void)state;
	socket = open_with("");
	peer_text(peer, "a");
	peer_text(peer, "b");
	(void)web_socket_received(socket);
	web_socket_text(socket, "{\"ack\":1}");
	web_socket_text(socket, "{\"ack\":0}");
	got(socket, "");
	web_socket_text(socket, "{\"ack\":3}");
	got(socket, "text {\"error\":\"cursor\",\"cursor\":1}\n");
	client = refused(stage_text("/chat/~%s?after=0", id), OURS);
	assert_int_equal(client_status(client), 409);
}

static void the_newest_transport_wins(void **state)
{
	struct web_socket *first, *second;
	struct client *poll;

	(void)state;
	first = open_with("");
	second = resume("?after=0");
	closes(first, "close 4000 superseded\n");
	peer_text(peer, "a");
	got(second, stage_text("%stext {\"seq\":1,\"text\":\"a\"}\n", hello(0)));
	poll = client_request("GET", stage_text("/chat/~%s?after=1", id), "", NULL);
	closes(second, "close 4000 superseded\n");
	assert_int_equal(client_status(poll), 0);
	first = resume("?after=1");
	assert_non_null(strstr(client_body(poll), "\"superseded\":true"));
	got(first, hello(1));
}

static void a_frame_that_is_malformed_closes_with_1008(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("");
	web_socket_text(socket, "{\"n\":1,\"text\":\"one\"}");
	got(socket, "text {\"sent\":1}\n");
	web_socket_text(socket, "hello");
	closes(socket, "close 1008 malformed frame\n");
	socket = resume("?after=0");
	got(socket, hello(0));
	/* Bytes are no JSON. */
	web_socket_frame(socket, true, WS_OP_BINARY, "{\"ack\":0}", 9);
	closes(socket, "close 1008 malformed frame\n");
	heard("text one\n");
}

static void a_message_over_the_limit_ends_nothing(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("max_message_size = 4");
	web_socket_text(socket, "{\"n\":1,\"text\":\"12345\"}");
	web_socket_text(socket, "{\"n\":1,\"text\":\"\\u0001\\u0001\\u0001\\u0001\"}");
	got(socket, "text {\"error\":\"too big\",\"expected\":1}\ntext {\"sent\":1}\n");
	heard("text \1\1\1\1\n");
}

static void a_plain_close_only_detaches(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("");
	web_socket_close(socket, 1000, "");
	got(socket, "close 1000\n");
	client_end(web_socket_client(socket));
	heard("");
	stage_pass_ms(LINGER_MS - 1);
	peer_text(peer, "a");
	socket = resume("?after=0");
	got(socket, stage_text("%stext {\"seq\":1,\"text\":\"a\"}\n", hello(0)));
	client_leave(web_socket_client(socket));
	stage_pass_ms(LINGER_MS);
	heard("close 1001\n");
	assert_int_equal(client_status(refused(stage_text("/chat/~%s?after=0", id), OURS)), 404);
}

static void what_comes_behind_a_plain_close_is_not_lost(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("replay = 0");
	web_socket_close(socket, 1000, "");
	peer_text(peer, "a");
	peer_text(peer, "b");
	got(socket, "close 1000\n");
	socket = resume("?after=0");
	got(socket,
		stage_text("%stext {\"seq\":1,\"text\":\"a\"}\ntext {\"seq\":2,\"text\":\"b\"}\n",
			hello(0)));
}

static void a_close_frame_ends_the_session(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("");
	web_socket_text(socket, "{\"n\":1,\"text\":\"last\"}");
	web_socket_text(socket, "{\"close\":{\"code\":4001,\"reason\":\"bye\"}}");
	web_socket_text(socket, "{\"n\":2,\"text\":\"too late\"}");
	heard("text last\nclose 4001 bye\n");
	peer_close(peer, 4001, "");
	peer_end(peer);
	closes(socket,
		"text {\"sent\":1}\ntext {\"error\":\"closed\"}\n"
		"text {\"seq\":1,\"closed\":{\"code\":4001,\"reason\":\"bye\",\"undelivered\":0}}\n"
		"close 1000\n");
	/* It may be heard again until it is acknowledged. */
	socket = resume("?after=0");
	closes(socket,
		stage_text("%stext {\"seq\":1,\"closed\":{\"code\":4001,\"reason\":\"bye\","
			   "\"undelivered\":0}}\nclose 1000\n",
			hello(0)));
	assert_int_equal(client_status(refused(stage_text("/chat/~%s?after=1", id), OURS)), 410);
}

static void a_drain_is_1012(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("");
	peer_text(peer, "a");
	bridge_drain(stage_bridge(), NULL);
	stage_pass_ms(0);
	closes(socket, "text {\"seq\":1,\"text\":\"a\"}\nclose 1012 leaving\n");
	heard("close 1001\n");
	assert_int_equal(client_status(refused("/chat", OURS)), 503);
}

static void the_heartbeat_is_a_ping(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with("backend_ping = 0s");
	stage_pass_ms(HEARTBEAT_MS);
	got(socket, "ping\n");
	web_socket_frame(socket, true, WS_OP_PONG, "", 0);
	stage_pass_ms(HEARTBEAT_MS);
	got(socket, "ping\n");
	/* No answer: the client is absent from now on. */
	stage_pass_ms(SEND_TIMEOUT_MS);
	assert_true(client_is_closed(web_socket_client(socket)));
	heard("");
	stage_pass_ms(LINGER_MS);
	heard("close 1001\n");
}

static void a_backend_that_does_not_read_holds_the_client_back(void **state)
{
	static char text[1000], frame[1100];
	struct web_socket *socket;
	int n = 0;

	(void)state;
	socket =
		open_with("max_message_size = 2k queue = 10k send_timeout = 20s backend_ping = 0s");
	peer_set_room(peer, 0);
	memset(text, 'x', sizeof(text) - 1);
	while (client_n_unread(web_socket_client(socket)) == 0) {
		(void)snprintf(frame, sizeof(frame), "{\"n\":%d,\"text\":\"%s\"}", ++n, text);
		web_socket_text(socket, frame);
		assert_true(n < 500);
	}
	assert_null(strstr(web_socket_received(socket), "error"));
	peer_set_room(peer, SIZE_MAX);
	assert_int_equal(client_n_unread(web_socket_client(socket)), 0);
	assert_non_null(strstr(web_socket_received(socket), stage_text("text {\"sent\":%d}\n", n)));
}

static void a_queue_that_stays_full_is_an_error(void **state)
{
	static char text[1000], frame[1100];
	struct web_socket *socket;
	const char *answers;
	int n = 0;

	(void)state;
	socket =
		open_with("max_message_size = 2k queue = 10k send_timeout = 20s backend_ping = 0s");
	peer_set_room(peer, 0);
	memset(text, 'x', sizeof(text) - 1);
	while (client_n_unread(web_socket_client(socket)) == 0) {
		(void)snprintf(frame, sizeof(frame), "{\"n\":%d,\"text\":\"%s\"}", ++n, text);
		web_socket_text(socket, frame);
	}
	stage_pass_ms(20000);
	answers = web_socket_received(socket);
	assert_non_null(strstr(answers, "text {\"error\":\"queue is full\",\"expected\":"));
	assert_non_null(strstr(answers, "text {\"error\":\"gap\",\"expected\":"));
}

static void a_client_that_does_not_read_holds_the_backend_back(void **state)
{
	static char text[20000];
	struct web_socket *socket;
	const char *all;
	int n = 0;

	(void)state;
	socket = open_with("max_message_size = 64k queue = 64k send_timeout = 50s");
	client_set_room(web_socket_client(socket), 0);
	memset(text, 'x', sizeof(text) - 1);
	while (peer_n_unread(peer) == 0) {
		peer_text(peer, text);
		assert_true(++n < 100);
	}
	client_set_room(web_socket_client(socket), SIZE_MAX);
	assert_int_equal(peer_n_unread(peer), 0);
	all = web_socket_received(socket);
	for (int i = 1; i <= n; i++)
		assert_non_null(strstr(all, stage_text("{\"seq\":%d,", i)));
}

static void a_route_without_websockets_has_no_sessions_over_them(void **state)
{
	struct client *client;

	(void)state;
	stage_open("websocket = no");
	client = refused("/chat", OURS);
	assert_int_equal(client_status(client), 299);
	client = refused("/chat/~w1.AAAAAAAAAAAAAAAAAAAAAA", OURS);
	assert_int_equal(client_status(client), 400);
}

static void a_foreign_page_gets_none(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = refused("/chat", OURS "Origin: http://evil.example\r\n");
	assert_int_equal(client_status(client), 403);
	assert_int_equal(stage_n_dials(), 0);
}

static void a_socket_of_a_client_that_goes_during_the_opening_is_forgotten(void **state)
{
	struct web_socket *socket;

	(void)state;
	stage_open("");
	socket = keep(web_socket_request("/chat", OURS));
	assert_int_equal(stage_n_dials(), 1);
	client_leave(web_socket_client(socket));
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_opening_is_a_session),
		TEST(other_subprotocols_are_the_backends),
		TEST(a_refusal_is_the_backends),
		TEST(items_come_as_json_lines),
		TEST(messages_are_numbered_and_answered),
		TEST(numbers_go_on_across_transports),
		TEST(a_resume_repeats_what_was_not_acknowledged),
		TEST(a_bad_cursor_is_refused),
		TEST(an_ack_frees_and_one_too_high_is_an_error),
		TEST(the_newest_transport_wins),
		TEST(a_frame_that_is_malformed_closes_with_1008),
		TEST(a_message_over_the_limit_ends_nothing),
		TEST(a_plain_close_only_detaches),
		TEST(what_comes_behind_a_plain_close_is_not_lost),
		TEST(a_close_frame_ends_the_session),
		TEST(a_drain_is_1012),
		TEST(the_heartbeat_is_a_ping),
		TEST(a_backend_that_does_not_read_holds_the_client_back),
		TEST(a_queue_that_stays_full_is_an_error),
		TEST(a_client_that_does_not_read_holds_the_backend_back),
		TEST(a_route_without_websockets_has_no_sessions_over_them),
		TEST(a_foreign_page_gets_none),
		TEST(a_socket_of_a_client_that_goes_during_the_opening_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
