/* Openings and polls: what the backend is asked, what the client gets, and every way to end. */
#include "tests/unit/bridge/stage_engineio.h"

#define SILENCE_MS (ENGINEIO_PING_INTERVAL_MS + ENGINEIO_PING_TIMEOUT_MS)
#define COMPANY_MS 5

static struct peer *peer;

/* Openings. */

static void the_backend_is_asked_for_a_websocket(void **state)
{
	struct client *client;
	const char *request;

	(void)state;
	engineio_stage("");
	client = client_request("GET", "/chat/?EIO=4&a=b&transport=polling&t=xyz&b64=1",
		"Cookie: c=d\r\nAuthorization: Basic eA==\r\nX-Own: 1\r\nOrigin: "
		"http://o.example\r\n",
		NULL);
	engineio_waits(client);
	peer = peer_next();
	request = peer_request(peer);
	assert_int_equal(strncmp(request, "GET /chat/?EIO=4&a=b&transport=websocket HTTP/1.1\r\n",
				 strlen("GET /chat/?EIO=4&a=b&transport=websocket HTTP/1.1\r\n")),
		0);
	assert_non_null(strcasestr(request, "\r\nupgrade: websocket\r\n"));
	assert_non_null(strcasestr(request, "\r\ncookie: c=d\r\n"));
	assert_non_null(strcasestr(request, "\r\nauthorization: Basic eA==\r\n"));
	assert_non_null(strcasestr(request, "\r\nx-own: 1\r\n"));
	assert_non_null(strcasestr(request, "\r\norigin: http://o.example\r\n"));
	peer_accept(peer, "");
	engineio_waits(client);
	engineio_greet(peer);
	engineio_take_id(client);
	engineio_has(client,
		stage_text("0{\"sid\":\"%s\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
			   "\"pingTimeout\":20000,\"maxPayload\":1000}",
			engineio_id()));
	assert_int_equal(strncmp(engineio_id(), "w1.", 3), 0);
}

/* The open packet may come in the segment of the 101. */
static void the_open_packet_with_the_101(void **state)
{
	struct client *client;

	(void)state;
	engineio_stage("engineio_upgrade = no\n");
	client = engineio_ask("");
	peer = peer_next();
	peer_accept(peer, "");
	engineio_greet(peer);
	peer_text(peer, "2");
	engineio_take_id(client);
	assert_non_null(strstr(client_body(client), "\"upgrades\":[]"));
	client = engineio_poll();
	stage_pass_ms(COMPANY_MS);
	engineio_has(client, "2");
}

static void what_the_101_says_comes_with_the_answer(void **state)
{
	struct client *client;

	(void)state;
	engineio_stage("");
	client = engineio_ask("Origin: http://o.example\r\n");
	peer = peer_next();
	peer_accept(peer,
		"Set-Cookie: a=b\r\nX-App: 1\r\nAccess-Control-Allow-Origin: http://o.example\r\n"
		"Access-Control-Allow-Credentials: true\r\nVary: Origin\r\nX-Hop: 1\r\n"
		"Cache-Control: public\r\nContent-Type: text/html\r\nDate: yesterday\r\n");
	engineio_greet(peer);
	engineio_take_id(client);
	assert_string_equal(client_field(client, "Set-Cookie"), "a=b");
	assert_string_equal(client_field(client, "X-App"), "1");
	assert_string_equal(
		client_field(client, "Access-Control-Allow-Origin"), "http://o.example");
	assert_string_equal(client_field(client, "Access-Control-Allow-Credentials"), "true");
	assert_string_equal(client_field(client, "Cache-Control"), "no-store");
	assert_string_equal(client_field(client, "Content-Type"), "text/plain; charset=UTF-8");
	assert_string_not_equal(client_field(client, "Date"), "yesterday");
	assert_null(client_field(client, "Sec-WebSocket-Accept"));
	assert_null(client_field(client, "Upgrade"));
	/* Later answers repeat what pages need, and nothing else. */
	client = engineio_post("4a");
	engineio_has_ok(client);
	assert_string_equal(
		client_field(client, "Access-Control-Allow-Origin"), "http://o.example");
	assert_string_equal(client_field(client, "Access-Control-Allow-Credentials"), "true");
	assert_string_equal(client_field(client, "Vary"), "Origin");
	assert_null(client_field(client, "Set-Cookie"));
	assert_null(client_field(client, "X-App"));
	peer_text(peer, "4a");
	client = engineio_poll();
	stage_pass_ms(COMPANY_MS);
	engineio_has(client, "4a");
	assert_string_equal(
		client_field(client, "Access-Control-Allow-Origin"), "http://o.example");
	client = client_request("PUT", engineio_target(""), "Origin: http://o.example\r\n", "x");
	engineio_has_error(client, 500, 3, "Bad request");
	assert_string_equal(
		client_field(client, "Access-Control-Allow-Origin"), "http://o.example");
}

static void a_backend_that_speaks_something_else(void **state)
{
	static const char *const packets[] = {"4a", "0{}", "hello"};

	(void)state;
	engineio_stage("");
	for (size_t i = 0; i < ARRAY_LEN(packets); i++) {
		struct client *client = engineio_ask("");

		peer = peer_open();
		peer_text(peer, packets[i]);
		assert_int_equal(client_status(client), 502);
		assert_string_equal(peer_received(peer), "close 1002\n");
	}
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_backend_that_closes_without_an_open_packet(void **state)
{
	struct client *client;

	(void)state;
	engineio_stage("");
	client = engineio_ask("");
	peer = peer_open();
	peer_close(peer, 1011, "no");
	assert_int_equal(client_status(client), 502);
	client = engineio_ask("");
	peer = peer_open();
	/* As a server answers that does not speak version 4, after its 101. */
	peer_send(peer, "HTTP/1.1 400 Bad Request\r\n\r\n");
	assert_int_equal(client_status(client), 502);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_backend_without_an_open_packet_in_time(void **state)
{
	struct client *client;

	(void)state;
	engineio_stage("");
	client = engineio_ask("");
	peer = peer_open();
	stage_pass_ms(59999);
	engineio_waits(client);
	stage_pass_ms(1);
	assert_int_equal(client_status(client), 504);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static struct client *refused(const char *answer)
{
	struct client *client = engineio_ask("Origin: http://o.example\r\n");

	peer = peer_next();
	peer_send(peer, answer);
	return client;
}

static struct client *refused_with_text(const char *text)
{
	return refused(stage_text("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
				  "Content-type: text/html\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(text), text));
}

static void refusals_of_the_backend(void **state)
{
	struct client *client;

	(void)state;
	engineio_stage("");
	engineio_has_error(refused_with_text("Unsupported protocol version"), 400, 5,
		"Unsupported protocol version");
	engineio_has_error(refused_with_text("Transport unknown"), 400, 0, "Transport unknown");
	client = refused_with_text("Forbidden");
	engineio_has_error(client, 403, 4, "Forbidden");
	assert_string_equal(
		client_field(client, "Access-Control-Allow-Origin"), "http://o.example");
	/* An application's own words are not for every page. */
	client = refused_with_text("not \"you\"");
	engineio_has_error(client, 403, 4, "not \\\"you\\\"");
	assert_null(client_field(client, "Access-Control-Allow-Origin"));
	client = refused("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nX-Own: 1\r\n"
			 "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nno");
	assert_int_equal(client_status(client), 401);
	assert_string_equal(client_body(client), "no");
	assert_string_equal(client_field(client, "WWW-Authenticate"), "Basic");
	assert_null(client_field(client, "X-Own"));
	client = engineio_ask("");
	peer_refuse_next();
	assert_int_equal(client_status(client), 502);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_client_that_leaves_before_its_answer(void **state)
{
	struct client *client;

	(void)state;
	engineio_stage("");
	client = engineio_ask("");
	client_leave(client);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	client = engineio_ask("");
	peer = peer_open();
	client_leave(client);
	assert_string_equal(peer_received(peer), "close 1001\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void the_caps_of_the_route(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("max_sessions = 1\n");
	client = engineio_ask("");
	assert_int_equal(client_status(client), 503);
	assert_string_equal(client_field(client, "Retry-After"), "1");
	bridge_drain(stage_bridge(), NULL);
	client = engineio_ask("");
	assert_int_equal(client_status(client), 503);
}

static void requests_that_are_not_right(void **state)
{
	struct client *client;
	struct web_socket *socket;

	(void)state;
	engineio_stage("");
	engineio_has_error(client_request("GET", "/chat/?EIO=3&transport=polling", "", NULL), 400,
		5, "Unsupported protocol version");
	engineio_has_error(client_request("GET", "/chat/?transport=polling", "", NULL), 400, 5,
		"Unsupported protocol version");
	engineio_has_error(client_request("POST", "/chat/?EIO=4&transport=polling", "", "x"), 400,
		2, "Bad handshake method");
	client = client_request("GET", "/chat/?EIO=4&transport=polling&sid=w1.none",
		"Origin: http://o.example\r\n", NULL);
	engineio_has_error(client, 400, 1, "Session ID unknown");
	assert_string_equal(
		client_field(client, "Access-Control-Allow-Origin"), "http://o.example");
	assert_string_equal(client_field(client, "Access-Control-Allow-Credentials"), "true");
	assert_string_equal(client_field(client, "Vary"), "Origin");
	/* To a WebSocket client the message alone. */
	socket = web_socket_request("/chat/?EIO=4&transport=websocket&sid=w1.none", "");
	client = web_socket_client(socket);
	assert_int_equal(client_status(client), 400);
	assert_string_equal(client_body(client), "Session ID unknown");
	assert_string_equal(client_field(client, "Content-Type"), "text/html");
	assert_string_equal(client_field(client, "Connection"), "close");
	web_socket_free(socket);
	assert_int_equal(stage_n_dials(), 0);
	assert_int_equal(stage_n_forwarded(), 0);
}

static void what_is_forwarded(void **state)
{
	struct web_socket *socket;

	(void)state;
	engineio_stage("");
	assert_int_equal(client_status(client_request(
				 "OPTIONS", "/chat/?EIO=4&transport=polling&sid=w1.x", "", NULL)),
		299);
	assert_int_equal(client_status(client_request("GET", "/chat/socket.io.js", "", NULL)), 299);
	assert_int_equal(client_status(client_request("POST", "/chat/", "", "x")), 299);
	socket = web_socket_request("/chat/?EIO=4&transport=websocket", "");
	assert_int_equal(client_status(web_socket_client(socket)), 299);
	web_socket_free(socket);
	assert_int_equal(stage_n_forwarded(), 4);
}

static void origins_that_the_route_names(void **state)
{
	static const char listed[] = "Origin: https://a.example\r\n";
	static const char foreign[] = "Origin: https://b.example\r\n";
	struct web_socket *socket;
	struct client *client;

	(void)state;
	engineio_stage("allowed_origins = {\"https://a.example\"}\n");
	client = engineio_ask(foreign);
	engineio_has_error(client, 403, 4, "Forbidden");
	assert_null(client_field(client, "Access-Control-Allow-Origin"));
	socket = web_socket_request("/chat/?EIO=4&transport=websocket", foreign);
	assert_int_equal(client_status(web_socket_client(socket)), 403);
	web_socket_free(socket);
	socket = web_socket_request("/chat/?EIO=4&transport=websocket", listed);
	assert_int_equal(client_status(web_socket_client(socket)), 299);
	web_socket_free(socket);
	assert_int_equal(stage_n_dials(), 0);
	client = engineio_ask(listed);
	peer = peer_open();
	engineio_greet(peer);
	engineio_take_id(client);
}

/* Polls. */

static void a_poll_waits_for_packets_and_their_company(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	client = engineio_poll();
	stage_pass_ms(20000);
	engineio_waits(client);
	peer_text(peer, "4a");
	stage_pass_ms(COMPANY_MS - 1);
	engineio_waits(client);
	peer_frame(peer, true, WS_OP_BINARY, "\x00\xff\x01", 3);
	engineio_waits(client);
	stage_pass_ms(1);
	engineio_has(client,
		"4a\x1e"
		"bAP8B");
	/* The same with what came before the poll. */
	peer_text(peer, "4b");
	stage_pass_ms(100);
	client = engineio_poll();
	peer_text(peer, "2");
	stage_pass_ms(COMPANY_MS);
	engineio_has(client,
		"4b\x1e"
		"2");
}

static void a_full_answer_does_not_wait(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("batch_messages = 2\n");
	client = engineio_poll();
	peer_text(peer, "4a");
	peer_text(peer, "4b");
	engineio_waits(client);
	peer_text(peer, "4c");
	engineio_has(client,
		"4a\x1e"
		"4b");
	client = engineio_poll();
	stage_pass_ms(COMPANY_MS);
	engineio_has(client, "4c");
}

static void a_repeated_poll_repeats_its_answer(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	peer_text(peer, "4a");
	client = client_request("GET", engineio_target("&t=A"), "", NULL);
	stage_pass_ms(COMPANY_MS);
	engineio_has(client, "4a");
	client = client_request("GET", engineio_target("&t=A"), "", NULL);
	stage_pass_ms(COMPANY_MS);
	engineio_has(client, "4a");
	/* Newer ones may follow them. */
	peer_text(peer, "4b");
	client = client_request("GET", engineio_target("&t=A"), "", NULL);
	stage_pass_ms(COMPANY_MS);
	engineio_has(client,
		"4a\x1e"
		"4b");
	/* Another mark says that they have arrived. */
	client = client_request("GET", engineio_target("&t=B"), "", NULL);
	stage_pass_ms(COMPANY_MS);
	engineio_waits(client);
	peer_text(peer, "4c");
	stage_pass_ms(COMPANY_MS);
	engineio_has(client, "4c");
	/* None is no mark. */
	client = engineio_poll();
	stage_pass_ms(COMPANY_MS);
	engineio_waits(client);
}

static void a_second_poll_ends_the_session(void **state)
{
	struct client *first, *second;

	(void)state;
	peer = engineio_open("");
	first = engineio_poll();
	second = engineio_poll();
	engineio_has(first, "1");
	engineio_has_error(second, 400, 3, "Bad request");
	assert_string_equal(peer_received(peer), "close 1002\n");
	engineio_is_unknown();
}

static void a_poll_that_is_broken_off_ends_the_session(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	client = engineio_poll();
	client_leave(client);
	assert_string_equal(peer_received(peer), "close 1001\n");
	engineio_is_unknown();
}

/* What was written is not what was received: no silent hole. */
static void an_answer_that_does_not_leave_ends_the_session(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	client = engineio_poll();
	client_set_room(client, 50);
	peer_text(peer, "4a");
	stage_pass_ms(COMPANY_MS);
	client_leave(client);
	assert_string_equal(peer_received(peer), "close 1001\n");
	engineio_is_unknown();
}

/* Ends. */

static void the_backends_close_comes_alone(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	client = engineio_poll();
	peer_text(peer, "41");
	peer_close(peer, 1005, "");
	engineio_has(client, "41");
	/* It waits for the poll. */
	stage_pass_ms(29000);
	engineio_has(engineio_poll(), "1");
	engineio_is_unknown();
}

static void the_backends_close_for_a_waiting_poll(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	client = engineio_poll();
	peer_close(peer, 1001, "bye");
	engineio_has(client, "1");
	engineio_is_unknown();
}

static void a_close_that_nobody_asks_for_is_forgotten(void **state)
{
	(void)state;
	peer = engineio_open("");
	peer_close(peer, 1005, "");
	stage_pass_ms(30000);
	engineio_is_unknown();
}

static void a_backend_that_breaks_is_a_close_too(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	peer_text(peer, "4a");
	client = engineio_poll();
	peer_lose(peer);
	stage_pass_ms(COMPANY_MS);
	engineio_has(client, "4a");
	engineio_has(engineio_poll(), "1");
	engineio_is_unknown();
}

/* Some servers say the close as a packet first. */
static void a_close_packet_comes_alone_too(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	client = engineio_poll();
	peer_text(peer, "41");
	peer_text(peer, "1");
	peer_close(peer, 1000, "");
	engineio_has(client, "41");
	engineio_has(engineio_poll(), "1");
	engineio_is_unknown();
}

static void what_is_posted_into_a_close_is_in_time(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	peer_text(peer, "41");
	peer_close(peer, 1005, "");
	engineio_has_ok(engineio_post("4late"));
	client = engineio_poll();
	stage_pass_ms(COMPANY_MS);
	engineio_has(client, "41");
	engineio_has_ok(engineio_post("1"));
	engineio_is_unknown();
}

/* The backend counts the same time, and says itself what the session ended of. */
static void a_silent_client_is_no_longer_known(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("backend_ping = 0\n");
	stage_pass_ms(SILENCE_MS - 100);
	engineio_has_ok(engineio_post("3"));
	stage_pass_ms(SILENCE_MS - 100);
	client = engineio_poll();
	engineio_waits(client);
	stage_pass_ms(95);
	engineio_is_unknown();
	engineio_waits(client);
	assert_string_equal(peer_received(peer), "text 3\n");
	peer_close(peer, 1005, "");
	engineio_has(client, "1");
	engineio_is_unknown();
	stage_pass_ms(1000);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_silent_client_and_a_backend_that_does_not_mind(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("backend_ping = 0\n");
	client = engineio_poll();
	stage_pass_ms(SILENCE_MS - 5);
	engineio_is_unknown();
	engineio_waits(client);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	stage_pass_ms(1000);
	engineio_has(client, "1");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	assert_non_null(strstr(peer_received(peer), "close 1001\n"));
}

/* Not what the route says of absent clients, but what the backend says. */
static void an_absent_client_is_given_the_protocols_time(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("linger = \"100ms\"\n");
	stage_pass_ms(SILENCE_MS - 100);
	client = engineio_poll();
	peer_text(peer, "4a");
	stage_pass_ms(COMPANY_MS);
	engineio_has(client, "4a");
}

static void a_drain(void **state)
{
	struct client *client, *opening;

	(void)state;
	peer = engineio_open("");
	opening = engineio_ask("");
	(void)peer_open();
	client = engineio_poll();
	bridge_drain(stage_bridge(), NULL);
	stage_pass_ms(0);
	engineio_has(client, "1");
	assert_int_equal(client_status(opening), 503);
	assert_string_equal(peer_received(peer), "close 1001\n");
	engineio_is_unknown();
}

static void the_queue_holds_back_the_backend(void **state)
{
	static char big[4096];
	struct client *client;
	size_t n = 0;

	(void)state;
	memset(big, '4', sizeof(big) - 1);
	peer = engineio_open("queue = 64k\nmax_message_size = 8k\nbatch_size = 16k\n");
	for (int i = 0; i < 200; i++)
		peer_text(peer, big);
	assert_true(peer_n_unread(peer) > 0);
	while (n < 200) {
		client = engineio_poll();
		stage_pass_ms(COMPANY_MS);
		assert_int_equal(client_status(client), 200);
		assert_true(client_body_size(client) <= 16384);
		n += (client_body_size(client) + 1) / sizeof(big);
	}
	assert_int_equal(n, 200);
	assert_int_equal(peer_n_unread(peer), 0);
}

/* A session of one dialect is not one of another. */
static void other_dialects_do_not_find_the_session(void **state)
{
	struct client *client;
	const char *id;

	(void)state;
	stage_open_dialect("plain\", \"engineio", "");
	client = client_request("GET", "/chat?EIO=4&transport=polling", "", NULL);
	peer = peer_open();
	engineio_greet(peer);
	engineio_take_id(client);
	client = client_request("GET", stage_text("/chat/~%s", engineio_id()), "", NULL);
	assert_int_equal(client_status(client), 404);
	client = client_request("POST", "/chat", "", NULL);
	(void)peer_open();
	id = stage_session(client);
	client = client_request(
		"GET", stage_text("/chat?EIO=4&transport=polling&sid=%s", id), "", NULL);
	engineio_has_error(client, 400, 1, "Session ID unknown");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 2);
}

#define TEST(name) cmocka_unit_test_teardown(name, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_backend_is_asked_for_a_websocket),
		TEST(the_open_packet_with_the_101),
		TEST(what_the_101_says_comes_with_the_answer),
		TEST(a_backend_that_speaks_something_else),
		TEST(a_backend_that_closes_without_an_open_packet),
		TEST(a_backend_without_an_open_packet_in_time),
		TEST(refusals_of_the_backend),
		TEST(a_client_that_leaves_before_its_answer),
		TEST(the_caps_of_the_route),
		TEST(requests_that_are_not_right),
		TEST(what_is_forwarded),
		TEST(origins_that_the_route_names),
		TEST(a_poll_waits_for_packets_and_their_company),
		TEST(a_full_answer_does_not_wait),
		TEST(a_repeated_poll_repeats_its_answer),
		TEST(a_second_poll_ends_the_session),
		TEST(a_poll_that_is_broken_off_ends_the_session),
		TEST(an_answer_that_does_not_leave_ends_the_session),
		TEST(the_backends_close_comes_alone),
		TEST(the_backends_close_for_a_waiting_poll),
		TEST(a_close_that_nobody_asks_for_is_forgotten),
		TEST(a_backend_that_breaks_is_a_close_too),
		TEST(a_close_packet_comes_alone_too),
		TEST(what_is_posted_into_a_close_is_in_time),
		TEST(a_silent_client_is_no_longer_known),
		TEST(a_silent_client_and_a_backend_that_does_not_mind),
		TEST(an_absent_client_is_given_the_protocols_time),
		TEST(a_drain),
		TEST(the_queue_holds_back_the_backend),
		TEST(other_dialects_do_not_find_the_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
