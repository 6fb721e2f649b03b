/* From polls to a WebSocket, and what happens there; the backend does not notice. */
#include "tests/unit/bridge/stage_engineio.h"

#define SILENCE_MS (ENGINEIO_PING_INTERVAL_MS + ENGINEIO_PING_TIMEOUT_MS)
#define COMPANY_MS 5
#define HURRY_MS 100

static struct peer *peer;
static struct web_socket *wire;

static int tear_down(void **state)
{
	if (wire != NULL)
		web_socket_free(wire);
	wire = NULL;
	return stage_tear_down(state);
}

static void has_received(const char *lines)
{
	assert_string_equal(web_socket_received(wire), lines);
}

static void the_way_of_the_reference(void **state)
{
	struct client *poll;

	(void)state;
	peer = engineio_open("");
	poll = engineio_poll();
	wire = engineio_candidate();
	assert_null(client_field(web_socket_client(wire), "Sec-WebSocket-Extensions"));
	has_received("");
	engineio_waits(poll);
	web_socket_text(wire, "2probe");
	has_received("text 3probe\n");
	/* The waiting poll is let go. */
	engineio_has(poll, "6");
	/* Until the client says so the polls are what counts. */
	peer_text(peer, "4a");
	has_received("");
	poll = engineio_poll();
	stage_pass_ms(COMPANY_MS);
	engineio_has(poll, "4a");
	engineio_has_ok(engineio_post("4b"));
	peer_text(peer, "4c");
	web_socket_text(wire, "5");
	has_received("text 4c\n");
	peer_text(peer, "4d");
	peer_frame(peer, true, WS_OP_BINARY, "\x01\x02", 2);
	has_received("text 4d\nbinary \x01\x02\n");
	web_socket_text(wire, "4e");
	web_socket_frame(wire, true, WS_OP_BINARY, "f", 1);
	web_socket_text(wire, "3");
	assert_string_equal(peer_received(peer), "text 4b\ntext 4e\nbinary f\ntext 3\n");
	assert_int_equal(stage_n_dials(), 1);
}

/* The answer to the probe and the poll of the client may pass each other. */
static void a_poll_after_the_probe_is_let_go_soon(void **state)
{
	struct client *poll;

	(void)state;
	peer = engineio_open("");
	wire = engineio_candidate();
	web_socket_text(wire, "2probe");
	poll = engineio_poll();
	stage_pass_ms(HURRY_MS - 1);
	engineio_waits(poll);
	stage_pass_ms(1);
	engineio_has(poll, "6");
	/* With packets it is answered as ever. */
	peer_text(peer, "4a");
	poll = engineio_poll();
	stage_pass_ms(COMPANY_MS);
	engineio_has(poll, "4a");
}

static void a_poll_that_waits_at_the_move_ends(void **state)
{
	struct client *poll;

	(void)state;
	peer = engineio_open("");
	wire = engineio_candidate();
	web_socket_text(wire, "2probe");
	poll = engineio_poll();
	web_socket_text(wire, "5");
	engineio_has(poll, "6");
	peer_text(peer, "4a");
	has_received("text 3probe\ntext 4a\n");
}

/* Nothing is lost with it. */
static void a_last_poll_without_packets_may_be_dropped(void **state)
{
	struct client *poll;

	(void)state;
	peer = engineio_open("");
	wire = engineio_candidate();
	web_socket_text(wire, "2probe");
	poll = engineio_poll();
	client_set_room(poll, 0);
	web_socket_text(wire, "5");
	client_leave(poll);
	peer_text(peer, "4a");
	web_socket_text(wire, "4b");
	has_received("text 3probe\ntext 4a\n");
	assert_string_equal(peer_received(peer), "text 4b\n");
}

static void a_last_poll_with_packets_takes_the_session_with_it(void **state)
{
	struct client *poll;

	(void)state;
	peer = engineio_open("");
	wire = engineio_candidate();
	poll = engineio_poll();
	client_set_room(poll, 0);
	peer_text(peer, "4a");
	stage_pass_ms(COMPANY_MS);
	web_socket_text(wire, "2probe");
	web_socket_text(wire, "5");
	client_leave(poll);
	has_received("text 3probe\nclose 1001\n");
	assert_string_equal(peer_received(peer), "close 1001\n");
}

static void http_after_the_move_is_refused(void **state)
{
	(void)state;
	peer = engineio_open("");
	wire = engineio_upgraded();
	engineio_has_error(engineio_poll(), 400, 3, "Bad request");
	engineio_has_error(engineio_post("4a"), 400, 3, "Bad request");
	assert_string_equal(peer_received(peer), "");
	/* It does the session no harm. */
	web_socket_text(wire, "4b");
	assert_string_equal(peer_received(peer), "text 4b\n");
}

static void a_post_that_the_move_overtakes_is_refused(void **state)
{
	struct client *post;

	(void)state;
	peer = engineio_open("");
	post = client_request("POST", engineio_target(""), "Content-Length: 2\r\n", NULL);
	wire = engineio_upgraded();
	client_send(post, "4a");
	engineio_has_error(post, 400, 3, "Bad request");
	web_socket_text(wire, "4b");
	assert_string_equal(peer_received(peer), "text 4b\n");
}

static void a_candidate_that_probes_and_does_not_read_is_closed(void **state)
{
	static const size_t n_probes = 40000;
	struct client *client, *poll;
	const char *lines;

	(void)state;
	peer = engineio_open("");
	wire = engineio_candidate();
	client = web_socket_client(wire);
	client_set_room(client, 0);
	for (size_t i = 0; i < n_probes; i++)
		web_socket_text(wire, "2probe");
	client_set_room(client, SIZE_MAX);
	lines = web_socket_received(wire);
	assert_true(strlen(lines) < n_probes * strlen("text 3probe\n") / 2);
	assert_non_null(strstr(lines, "3probe\nclose 1008\n"));
	peer_text(peer, "4a");
	poll = engineio_poll();
	stage_pass_ms(COMPANY_MS);
	engineio_has(poll, "4a");
}

static void a_second_candidate_is_closed(void **state)
{
	struct web_socket *second;

	(void)state;
	peer = engineio_open("");
	wire = engineio_candidate();
	second = engineio_candidate();
	assert_string_equal(web_socket_received(second), "close 1008\n");
	web_socket_free(second);
	web_socket_text(wire, "2probe");
	has_received("text 3probe\n");
	web_socket_text(wire, "5");
	second = engineio_candidate();
	assert_string_equal(web_socket_received(second), "close 1008\n");
	web_socket_free(second);
	peer_text(peer, "4a");
	has_received("text 4a\n");
}

static void a_candidate_that_fails_does_no_harm(void **state)
{
	static const char *const texts[] = {"4a", "2", "3probe", "", "5", "2probe!"};
	struct client *poll;

	(void)state;
	peer = engineio_open("");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		wire = engineio_candidate();
		web_socket_text(wire, texts[i]);
		has_received("close 1008\n");
		web_socket_free(wire);
	}
	wire = engineio_candidate();
	web_socket_frame(wire, true, WS_OP_BINARY, "2probe", 6);
	has_received("close 1008\n");
	web_socket_free(wire);
	/* One that has proved itself and goes. */
	wire = engineio_candidate();
	web_socket_text(wire, "2probe");
	web_socket_close(wire, 1000, "");
	has_received("text 3probe\nclose 1000\n");
	web_socket_free(wire);
	wire = engineio_candidate();
	web_socket_text(wire, "2probe");
	client_leave(web_socket_client(wire));
	assert_string_equal(peer_received(peer), "");
	poll = engineio_poll();
	stage_pass_ms(HURRY_MS);
	engineio_waits(poll);
	peer_text(peer, "4a");
	stage_pass_ms(COMPANY_MS);
	engineio_has(poll, "4a");
	web_socket_free(wire);
	wire = engineio_upgraded();
}

static void a_candidate_has_ten_seconds(void **state)
{
	(void)state;
	peer = engineio_open("");
	wire = engineio_candidate();
	stage_pass_ms(9999);
	has_received("");
	stage_pass_ms(1);
	has_received("close 1008\n");
	web_socket_free(wire);
	wire = engineio_candidate();
	web_socket_text(wire, "2probe");
	stage_pass_ms(9999);
	web_socket_text(wire, "5");
	stage_pass_ms(20000);
	has_received("text 3probe\n");
	assert_string_equal(peer_received(peer), "");
}

static void the_route_may_have_no_upgrade(void **state)
{
	(void)state;
	peer = engineio_open("engineio_upgrade = no\n");
	wire = web_socket_request(
		stage_text("/chat/?EIO=4&transport=websocket&sid=%s", engineio_id()), "");
	assert_int_equal(client_status(web_socket_client(wire)), 400);
	assert_string_equal(client_body(web_socket_client(wire)), "Bad request");
}

/* Ends. */

static void the_backends_close_follows_its_packets(void **state)
{
	(void)state;
	peer = engineio_open("");
	wire = engineio_upgraded();
	peer_text(peer, "41");
	peer_close(peer, 1005, "");
	has_received("text 41\nclose 1005\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_backend_that_breaks(void **state)
{
	(void)state;
	peer = engineio_open("");
	wire = engineio_upgraded();
	peer_text(peer, "4a");
	peer_lose(peer);
	has_received("text 4a\nclose 1011\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void the_clients_close(void **state)
{
	(void)state;
	peer = engineio_open("");
	wire = engineio_upgraded();
	web_socket_text(wire, "41");
	web_socket_close(wire, 1005, "");
	assert_string_equal(peer_received(peer), "text 41\nclose 1000\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_client_that_is_cut(void **state)
{
	(void)state;
	peer = engineio_open("");
	wire = engineio_upgraded();
	client_leave(web_socket_client(wire));
	assert_string_equal(peer_received(peer), "close 1001\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void the_clients_close_packet(void **state)
{
	(void)state;
	peer = engineio_open("");
	wire = engineio_upgraded();
	web_socket_text(wire, "1");
	has_received("close 1000\n");
	assert_string_equal(peer_received(peer), "close 1000\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_silent_client_is_closed(void **state)
{
	(void)state;
	peer = engineio_open("backend_ping = 0\n");
	wire = engineio_upgraded();
	stage_pass_ms(SILENCE_MS - 100);
	web_socket_text(wire, "3");
	stage_pass_ms(SILENCE_MS - 6);
	has_received("");
	stage_pass_ms(1000);
	/* Most backends have closed by then, and said why to their application. */
	has_received("");
	assert_string_equal(peer_received(peer), "text 3\n");
	stage_pass_ms(1);
	has_received("close 1001\n");
	assert_string_equal(peer_received(peer), "close 1001\n");
}

static void a_candidate_goes_with_its_session(void **state)
{
	(void)state;
	peer = engineio_open("");
	wire = engineio_candidate();
	engineio_has_ok(engineio_post("1"));
	has_received("close 1001\n");
}

static void a_candidate_goes_with_a_silent_session(void **state)
{
	(void)state;
	peer = engineio_open("backend_ping = 0\n");
	stage_pass_ms(SILENCE_MS - 1000);
	wire = engineio_candidate();
	web_socket_text(wire, "2probe");
	stage_pass_ms(1994);
	has_received("text 3probe\n");
	engineio_is_unknown();
	stage_pass_ms(1);
	has_received("close 1001\n");
}

static void a_drain(void **state)
{
	struct web_socket *candidate;
	struct client *client;

	(void)state;
	peer = engineio_open("");
	wire = engineio_upgraded();
	client = engineio_ask("");
	engineio_greet(peer_open());
	engineio_take_id(client);
	candidate = engineio_candidate();
	bridge_drain(stage_bridge(), NULL);
	stage_pass_ms(0);
	has_received("close 1001\n");
	assert_string_equal(web_socket_received(candidate), "close 1001\n");
	assert_string_equal(peer_received(peer), "close 1001\n");
	web_socket_free(candidate);
}

/* Limits. */

static void a_message_above_the_limit(void **state)
{
	static char body[ENGINEIO_MAX_PAYLOAD + 1];

	(void)state;
	memset(body, '4', sizeof(body));
	peer = engineio_open("");
	wire = engineio_upgraded();
	web_socket_frame(wire, true, WS_OP_TEXT, body, ENGINEIO_MAX_PAYLOAD);
	assert_int_equal(strlen(peer_received(peer)), strlen("text \n") + ENGINEIO_MAX_PAYLOAD);
	web_socket_frame(wire, true, WS_OP_TEXT, body, ENGINEIO_MAX_PAYLOAD + 1);
	assert_non_null(strstr(web_socket_received(wire), "close 1009"));
	assert_string_equal(peer_received(peer), "close 1000\n");
}

static void a_slow_client_holds_back_the_backend(void **state)
{
	static char big[4096];
	const char *lines;
	size_t n = 0;

	(void)state;
	memset(big, '4', sizeof(big) - 1);
	peer = engineio_open("queue = 64k\nmax_message_size = 8k\n");
	wire = engineio_upgraded();
	client_set_room(web_socket_client(wire), 0);
	for (int i = 0; i < 400; i++)
		peer_text(peer, big);
	assert_true(peer_n_unread(peer) > 0);
	client_set_room(web_socket_client(wire), 8 << 20);
	for (lines = web_socket_received(wire); (lines = strstr(lines, "text ")) != NULL; lines++)
		n++;
	assert_int_equal(n, 400);
	assert_int_equal(peer_n_unread(peer), 0);
}

#define ROOM "queue = 1k\nmax_message_size = 1k\nsend_timeout = \"2s\"\n"

/* More than the queues of both sides hold. */
#define N_FRAMES 400

static void block(void)
{
	static char body[ENGINEIO_MAX_PAYLOAD];

	memset(body, '4', sizeof(body));
	peer_set_room(peer, 0);
	for (int i = 0; i < N_FRAMES; i++)
		web_socket_frame(wire, true, WS_OP_TEXT, body, sizeof(body));
	assert_true(client_n_unread(web_socket_client(wire)) > 0);
}

static void a_slow_backend_holds_back_the_client(void **state)
{
	const char *lines;
	size_t n = 0;

	(void)state;
	peer = engineio_open(ROOM);
	wire = engineio_upgraded();
	block();
	stage_pass_ms(1999);
	has_received("");
	peer_set_room(peer, 8 << 20);
	for (lines = peer_received(peer); (lines = strstr(lines, "text ")) != NULL; lines++)
		n++;
	assert_int_equal(n, N_FRAMES);
	assert_int_equal(client_n_unread(web_socket_client(wire)), 0);
}

static void a_backend_that_takes_nothing_ends_the_session(void **state)
{
	(void)state;
	peer = engineio_open(ROOM);
	wire = engineio_upgraded();
	block();
	stage_pass_ms(2000);
	has_received("close 1001\n");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_client_that_leaves_while_its_frame_waits(void **state)
{
	(void)state;
	peer = engineio_open(ROOM);
	wire = engineio_upgraded();
	block();
	client_leave(web_socket_client(wire));
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_way_of_the_reference),
		TEST(a_poll_after_the_probe_is_let_go_soon),
		TEST(a_poll_that_waits_at_the_move_ends),
		TEST(a_last_poll_without_packets_may_be_dropped),
		TEST(a_last_poll_with_packets_takes_the_session_with_it),
		TEST(http_after_the_move_is_refused),
		TEST(a_post_that_the_move_overtakes_is_refused),
		TEST(a_candidate_that_probes_and_does_not_read_is_closed),
		TEST(a_second_candidate_is_closed),
		TEST(a_candidate_that_fails_does_no_harm),
		TEST(a_candidate_has_ten_seconds),
		TEST(the_route_may_have_no_upgrade),
		TEST(the_backends_close_follows_its_packets),
		TEST(a_backend_that_breaks),
		TEST(the_clients_close),
		TEST(a_client_that_is_cut),
		TEST(the_clients_close_packet),
		TEST(a_silent_client_is_closed),
		TEST(a_candidate_goes_with_its_session),
		TEST(a_candidate_goes_with_a_silent_session),
		TEST(a_drain),
		TEST(a_message_above_the_limit),
		TEST(a_slow_client_holds_back_the_backend),
		TEST(a_slow_backend_holds_back_the_client),
		TEST(a_backend_that_takes_nothing_ends_the_session),
		TEST(a_client_that_leaves_while_its_frame_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
