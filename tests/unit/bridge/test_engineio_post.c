/* What clients that poll send: packets become frames, in order, or the client hears of it. */
#include "tests/unit/bridge/stage_engineio.h"

static struct peer *peer;

static void packets_become_frames(void **state)
{
	(void)state;
	peer = engineio_open("");
	engineio_has_ok(engineio_post("4a\x1e"
				      "4b\x1e"
				      "bTk8="));
	assert_string_equal(peer_received(peer), "text 4a\ntext 4b\nbinary NO\n");
	engineio_has_ok(engineio_post("3"));
	engineio_has_ok(engineio_post("2"));
	assert_string_equal(peer_received(peer), "text 3\ntext 2\n");
	/* Nothing that a backend would want. */
	engineio_has_ok(engineio_post("6"));
	assert_string_equal(peer_received(peer), "");
}

static void the_clients_close(void **state)
{
	struct client *poll;

	(void)state;
	peer = engineio_open("");
	poll = engineio_poll();
	engineio_has_ok(engineio_post("41\x1e"
				      "1"));
	engineio_has(poll, "6");
	assert_string_equal(peer_received(peer), "text 41\nclose 1000\n");
	engineio_is_unknown();
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void what_is_malformed_ends_the_session(void **state)
{
	static const char *const bodies[] = {"abc",
		("4a\x1e"
		 "x"),
		"", "4\xff", "bA"};

	(void)state;
	engineio_stage("");
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct client *client = engineio_ask(""), *poll;

		peer = peer_open();
		engineio_greet(peer);
		engineio_take_id(client);
		poll = engineio_poll();
		engineio_has_error(engineio_post(bodies[i]), 400, 3, "Bad request");
		engineio_has(poll, "1");
		assert_string_equal(peer_received(peer), "close 1002\n");
		engineio_is_unknown();
	}
}

static void a_binary_body_ends_the_session(void **state)
{
	(void)state;
	peer = engineio_open("");
	engineio_has_error(client_request("POST", engineio_target(""),
				   "Content-Type: application/octet-stream\r\n", "4a"),
		400, 3, "Bad request");
	assert_string_equal(peer_received(peer), "close 1002\n");
	engineio_is_unknown();
}

/* On both sides of the limit, with a length and without. */
static void the_limit_of_a_payload(void **state)
{
	static char body[ENGINEIO_MAX_PAYLOAD + 2];
	struct client *client;

	(void)state;
	peer = engineio_open("");
	memset(body, '4', ENGINEIO_MAX_PAYLOAD + 1);
	client = engineio_post(body);
	assert_int_equal(client_status(client), 413);
	assert_string_equal(client_field(client, "Content-Length"), "0");
	client =
		client_request("POST", engineio_target(""), "Transfer-Encoding: chunked\r\n", NULL);
	client_send(client, stage_text("%x\r\n%s\r\n0\r\n\r\n", ENGINEIO_MAX_PAYLOAD + 1, body));
	assert_int_equal(client_status(client), 413);
	assert_string_equal(peer_received(peer), "");
	/* The session goes on. */
	body[ENGINEIO_MAX_PAYLOAD] = '\0';
	engineio_has_ok(engineio_post(body));
	assert_string_equal(peer_received(peer), stage_text("text %s\n", body));
}

static void too_many_packets_are_too_large(void **state)
{
	size_t n = 65537;
	char *body = malloc(2 * n);
	struct client *client;

	(void)state;
	engineio_stage("");
	client = engineio_ask("");
	peer = peer_open();
	peer_text(peer, "0{\"sid\":\"A\",\"pingInterval\":25000,\"pingTimeout\":20000}");
	engineio_take_id(client);
	for (size_t i = 0; i < n; i++) {
		body[2 * i] = '6';
		body[2 * i + 1] = '\x1e';
	}
	body[2 * n - 1] = '\0';
	assert_int_equal(client_status(engineio_post(body)), 413);
	body[2 * n - 3] = '\0';
	engineio_has_ok(engineio_post(body));
	free(body);
}

/* A POST whose body has not come yet. */
static struct client *slow_post(void)
{
	return client_request("POST", engineio_target(""), "Content-Length: 2\r\n", NULL);
}

static void a_second_post_ends_the_session(void **state)
{
	struct client *first;

	(void)state;
	peer = engineio_open("");
	first = slow_post();
	engineio_has_error(engineio_post("4b"), 400, 3, "Bad request");
	assert_string_equal(peer_received(peer), "close 1002\n");
	client_send(first, "4a");
	engineio_has_error(first, 400, 1, "Session ID unknown");
	assert_string_equal(peer_received(peer), "");
	engineio_is_unknown();
}

static void posts_one_after_the_other_are_none_too_many(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open("");
	client = slow_post();
	client_send(client, "4a");
	engineio_has_ok(client);
	engineio_has_ok(engineio_post("4b"));
	assert_int_equal(client_status(engineio_post(stage_text("%02000d", 4))), 413);
	engineio_has_ok(engineio_post("4c"));
	assert_string_equal(peer_received(peer), "text 4a\ntext 4b\ntext 4c\n");
}

static void mark(const char *t, const char *body)
{
	engineio_has_ok(client_request("POST", engineio_target(t), "", body));
}

/* Browsers send a post again whose answer did not arrive. */
static void a_repeated_post_is_taken_once(void **state)
{
	(void)state;
	peer = engineio_open("");
	mark("&t=A", "41");
	mark("&t=A", "41");
	mark("&t=B", "41");
	mark("&t=A", "41");
	assert_string_equal(peer_received(peer), "text 41\ntext 41\ntext 41\n");
	/* The same mark on something else, no mark, a clock's, one that is too long. */
	mark("&t=A", "42");
	mark("", "43");
	mark("", "43");
	mark("&t=", "43");
	mark("&t=1764170000123", "44");
	mark("&t=1764170000123", "44");
	mark("&t=AAAAAAAAAAAAAAAA", "45");
	mark("&t=AAAAAAAAAAAAAAAA", "45");
	assert_string_equal(peer_received(peer),
		"text 42\ntext 43\ntext 43\ntext 43\ntext 44\ntext 44\ntext 45\ntext 45\n");
	/* What was not taken is not repeated. */
	assert_int_equal(client_status(client_request(
				 "POST", engineio_target("&t=C"), "", stage_text("%02000d", 4))),
		413);
	mark("&t=C", "4c");
	assert_string_equal(peer_received(peer), "text 4c\n");
}

static void a_post_that_is_broken_off_ends_the_session(void **state)
{
	struct client *client, *poll;

	(void)state;
	peer = engineio_open("");
	poll = engineio_poll();
	client = slow_post();
	client_send(client, "4");
	client_leave(client);
	engineio_has(poll, "1");
	assert_string_equal(peer_received(peer), "close 1001\n");
	engineio_is_unknown();
}

#define ROOM "queue = 1k\nmax_message_size = 1k\nsend_timeout = \"2s\"\n"

/* Fills the way to the backend: a post waits. */
static struct client *blocked(void)
{
	static char body[ENGINEIO_MAX_PAYLOAD + 1];
	struct client *client;

	memset(body, '4', ENGINEIO_MAX_PAYLOAD);
	peer_set_room(peer, 0);
	for (int i = 0; i < 100; i++) {
		client = engineio_post(body);
		if (client_status(client) == 0)
			return client;
		engineio_has_ok(client);
	}
	fail_msg("the queue has no end");
	return NULL;
}

static void a_full_queue_makes_a_post_wait(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open(ROOM);
	client = blocked();
	stage_pass_ms(1999);
	engineio_waits(client);
	peer_set_room(peer, 1 << 20);
	engineio_has_ok(client);
}

static void a_queue_that_stays_full_ends_the_session(void **state)
{
	struct client *client, *poll;

	(void)state;
	peer = engineio_open(ROOM);
	poll = engineio_poll();
	client = blocked();
	stage_pass_ms(2000);
	assert_int_equal(client_status(client), 504);
	assert_string_equal(
		client_body(client), "{\"message\":\"The server stopped taking the request.\"}");
	engineio_has(poll, "1");
	engineio_is_unknown();
}

static void a_close_waits_behind_the_packets_before_it(void **state)
{
	struct client *client, *poll;

	(void)state;
	peer = engineio_open(ROOM);
	client = blocked();
	client_leave(client);
	engineio_is_unknown();
	/* Of a session whose queue has room again. */
	client = engineio_ask("");
	peer = peer_open();
	engineio_greet(peer);
	engineio_take_id(client);
	poll = engineio_poll();
	peer_set_room(peer, 0);
	engineio_has_ok(engineio_post("4a\x1e"
				      "1"));
	engineio_has(poll, "6");
	peer_set_room(peer, 1 << 20);
	assert_string_equal(peer_received(peer), "text 4a\nclose 1000\n");
}

static void a_post_that_waits_when_the_backend_closes(void **state)
{
	struct client *client;

	(void)state;
	peer = engineio_open(ROOM);
	client = blocked();
	peer_close(peer, 1000, "");
	engineio_has_ok(client);
	engineio_has(engineio_poll(), "1");
	engineio_is_unknown();
}

#define TEST(name) cmocka_unit_test_teardown(name, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packets_become_frames),
		TEST(the_clients_close),
		TEST(what_is_malformed_ends_the_session),
		TEST(a_binary_body_ends_the_session),
		TEST(the_limit_of_a_payload),
		TEST(too_many_packets_are_too_large),
		TEST(a_second_post_ends_the_session),
		TEST(posts_one_after_the_other_are_none_too_many),
		TEST(a_repeated_post_is_taken_once),
		TEST(a_post_that_is_broken_off_ends_the_session),
		TEST(a_full_queue_makes_a_post_wait),
		TEST(a_queue_that_stays_full_ends_the_session),
		TEST(a_close_waits_behind_the_packets_before_it),
		TEST(a_post_that_waits_when_the_backend_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
