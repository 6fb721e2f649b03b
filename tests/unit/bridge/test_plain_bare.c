/* WebSockets of clients on a route that is polled: they end in the bridge. */
#include "tests/unit/bridge/stage_web_socket.h"

#define POLL "poll { path = \"/p\" interval = 1s }\n"

static struct web_socket *sockets[8];
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

static struct peer *answer(const char *head, const char *body)
{
	struct peer *peer = peer_next();

	peer_send(peer,
		stage_text(
			"HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body), body));
	return peer;
}

static void answer_text(const char *text)
{
	answer("200 OK\r\nContent-Type: text/plain", text);
}

static struct web_socket *open_with(const char *route)
{
	struct web_socket *socket;

	stage_open(route);
	socket = keep(web_socket_request("/chat", "Cookie: mine=1\r\n"));
	assert_int_equal(client_status(web_socket_client(socket)), 0);
	assert_null(
		strstr(peer_request(answer("200 OK\r\nContent-Type: text/plain", "one")), "mine"));
	assert_int_equal(client_status(web_socket_client(socket)), 101);
	got(socket, "text one\n");
	return socket;
}

static void leaves(struct web_socket *socket, uint16_t code)
{
	web_socket_close(socket, code, "");
	client_end(web_socket_client(socket));
	stage_pass_ms(1);
	assert_true(client_is_closed(web_socket_client(socket)));
}

static void values_are_messages(void **state)
{
	struct web_socket *socket, *other;
	struct ledger ledger;

	(void)state;
	socket = open_with(POLL);
	assert_null(client_field(web_socket_client(socket), "Pollux-Session"));
	assert_null(client_field(web_socket_client(socket), "Sec-WebSocket-Protocol"));
	stage_pass_ms(1000);
	answer("200 OK\r\nContent-Type: image/x", "two");
	got(socket, "binary two\n");
	other = keep(web_socket_open("/chat/below/?room=1", ""));
	got(other, "binary two\n");
	stage_pass_ms(1000);
	answer_text("three");
	got(socket, "text three\n");
	got(other, "text three\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 2);
	assert_int_equal(stage_n_dials(), 3);
	assert_int_equal(stage_n_forwarded(), 0);
	/* Nobody can ask for it again, so nothing is kept. */
	ledger = bridge_ledger(stage_bridge());
	assert_int_equal(ledger.n_taken, 5);
	assert_int_equal(ledger.n_acknowledged, 5);
}

static void an_empty_value_is_a_message(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with(POLL);
	stage_pass_ms(1000);
	answer_text("");
	got(socket, "text\n");
}

static void the_session_goes_with_its_client(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with(POLL);
	web_socket_close(socket, 1000, "bye");
	got(socket, "close 1000\n");
	stage_pass_ms(1);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	stage_pass_ms(60000);
	assert_int_equal(stage_n_dials(), 1);
	client_end(web_socket_client(socket));
	assert_true(client_is_closed(web_socket_client(socket)));
}

static void a_client_that_is_cut_goes_too(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with(POLL);
	client_leave(web_socket_client(socket));
	stage_pass_ms(1);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	stage_pass_ms(60000);
	assert_int_equal(stage_n_dials(), 1);
}

static void what_the_client_sends_closes_it(void **state)
{
	struct web_socket *socket;
	struct ledger ledger;

	(void)state;
	socket = open_with(POLL);
	web_socket_text(socket, "hello");
	web_socket_text(socket, "again");
	got(socket, "close 1003 this feed takes no messages\n");
	leaves(socket, 1003);
	ledger = bridge_ledger(stage_bridge());
	assert_int_equal(ledger.n_undelivered, ledger.n_accepted);
	assert_true(ledger.n_accepted > 0);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void pings_are_answered_and_sent(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with(POLL "heartbeat = 700ms\nsend_timeout = 5s\n");
	web_socket_frame(socket, true, WS_OP_PING, "p", 1);
	got(socket, "pong p\n");
	stage_pass_ms(700);
	got(socket, "ping\n");
	/* Who says nothing to that is gone. */
	stage_pass_ms(5000);
	assert_true(client_is_closed(web_socket_client(socket)));
	stage_pass_ms(1);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_refusal_is_the_backends(void **state)
{
	struct web_socket *socket;
	struct client *client;

	(void)state;
	stage_open(POLL);
	socket = keep(web_socket_request("/chat", ""));
	answer("404 Not Found\r\nContent-Type: text/x", "no");
	client = web_socket_client(socket);
	assert_int_equal(client_status(client), 404);
	assert_string_equal(client_body(client), "no");
	stage_pass_ms(1000);
	socket = keep(web_socket_request("/chat", ""));
	peer_refuse_next();
	assert_int_equal(client_status(web_socket_client(socket)), 502);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void foreign_origins_are_refused(void **state)
{
	struct web_socket *socket;

	(void)state;
	stage_open(POLL);
	socket = keep(web_socket_request("/chat", "Origin: http://b.example\r\n"));
	assert_int_equal(client_status(web_socket_client(socket)), 403);
	assert_int_equal(stage_n_dials(), 0);
}

static void without_websockets_it_is_ordinary(void **state)
{
	struct web_socket *socket;

	(void)state;
	stage_open(POLL "websocket = no\n");
	socket = keep(web_socket_request("/chat", ""));
	assert_int_equal(client_status(web_socket_client(socket)), 299);
	assert_int_equal(stage_n_forwarded(), 1);
}

static void at_a_drain_it_is_told(void **state)
{
	struct web_socket *socket;

	(void)state;
	socket = open_with(POLL);
	bridge_drain(stage_bridge(), NULL);
	stage_pass_ms(0);
	got(socket, "close 1001 going away\n");
	assert_true(bridge_is_idle(stage_bridge()));
	leaves(socket, 1001);
}

/* What is written is not kept; what cannot be written ends in a close. */
static void one_that_does_not_read_is_closed(void **state)
{
	static char value[3001];
	struct web_socket *socket;
	struct client *client;

	(void)state;
	socket = open_with(
		POLL "queue = 8k\nmax_message_size = 4k\nsend_timeout = 1h\nheartbeat = 1h\n");
	client = web_socket_client(socket);
	client_set_room(client, 0);
	for (int i = 0; i < 200; i++) {
		size_t n = stage_n_dials();

		stage_pass_ms(1000);
		if (stage_n_dials() == n)
			break;
		memset(value, 'a' + i % 26, 3000);
		answer_text(value);
		assert_true(i < 199);
	}
	client_set_room(client, SIZE_MAX);
	assert_non_null(strstr(web_socket_received(socket), "close 1013 too slow\n"));
	leaves(socket, 1013);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void with_the_subprotocol_it_is_a_session(void **state)
{
	struct web_socket *socket;
	const char *id;

	(void)state;
	stage_open(POLL);
	socket = keep(web_socket_request("/chat", "Sec-WebSocket-Protocol: pollux.v1\r\n"));
	answer_text("one");
	assert_int_equal(client_status(web_socket_client(socket)), 101);
	id = stage_session(web_socket_client(socket));
	got(socket,
		stage_text("text {\"session\":\"%s\",\"cursor\":0}\ntext "
			   "{\"seq\":1,\"text\":\"one\"}\n",
			id));
	web_socket_text(socket, "{\"n\":1,\"text\":\"hello\"}");
	got(socket,
		"text {\"sent\":1}\n"
		"text {\"seq\":2,\"closed\":{\"code\":1003,\"reason\":\"this feed takes no "
		"messages\",\"undelivered\":1}}\nclose 1000\n");
	leaves(socket, 1000);
}

static void a_session_over_a_websocket_survives_it(void **state)
{
	struct web_socket *socket;
	const char *id;

	(void)state;
	stage_open(POLL);
	socket = keep(web_socket_request("/chat", "Sec-WebSocket-Protocol: pollux.v1\r\n"));
	answer_text("one");
	id = stage_session(web_socket_client(socket));
	client_leave(web_socket_client(socket));
	stage_pass_ms(1000);
	answer_text("two");
	socket = keep(web_socket_open(
		stage_text("/chat/~%s?after=1", id), "Sec-WebSocket-Protocol: pollux.v1\r\n"));
	got(socket,
		stage_text("text {\"session\":\"%s\",\"cursor\":1}\ntext "
			   "{\"seq\":2,\"text\":\"two\"}\n",
			id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(values_are_messages, tear_down),
		cmocka_unit_test_teardown(an_empty_value_is_a_message, tear_down),
		cmocka_unit_test_teardown(the_session_goes_with_its_client, tear_down),
		cmocka_unit_test_teardown(a_client_that_is_cut_goes_too, tear_down),
		cmocka_unit_test_teardown(what_the_client_sends_closes_it, tear_down),
		cmocka_unit_test_teardown(pings_are_answered_and_sent, tear_down),
		cmocka_unit_test_teardown(a_refusal_is_the_backends, tear_down),
		cmocka_unit_test_teardown(foreign_origins_are_refused, tear_down),
		cmocka_unit_test_teardown(without_websockets_it_is_ordinary, tear_down),
		cmocka_unit_test_teardown(at_a_drain_it_is_told, tear_down),
		cmocka_unit_test_teardown(one_that_does_not_read_is_closed, tear_down),
		cmocka_unit_test_teardown(with_the_subprotocol_it_is_a_session, tear_down),
		cmocka_unit_test_teardown(a_session_over_a_websocket_survives_it, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
