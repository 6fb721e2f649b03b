/* Long-polls: batches, waiting, repeats, superseding, cursors, the close, absence. */
#include "tests/unit/bridge/stage.h"

static struct peer *peer;
static const char *id;

/* A session that has been opened, and a target of it. */
static void open_session(const char *route)
{
	struct client *client;

	stage_open(route);
	client = client_request("POST", "/chat", "", NULL);
	peer = peer_open();
	id = stage_session(client);
}

static struct client *poll(const char *query)
{
	return client_request("GET", stage_text("/chat/~%s%s", id, query), "", NULL);
}

/* An answer's body, after "next" and the cursor. */
static const char *batch(uint64_t cursor, const char *rest)
{
	unsigned long long n = cursor;

	return stage_text("{\"session\":\"%s\",\"next\":\"/chat/~%s?after=%llu\",\"cursor\":%llu,"
			  "\"messages\":%s}\n",
		id, id, n, n, rest);
}

static void has_batch(struct client *client, uint64_t cursor, const char *rest)
{
	assert_int_equal(client_status(client), 200);
	assert_string_equal(client_body(client), batch(cursor, rest));
	assert_string_equal(client_field(client, "Pollux-Session"), id);
	assert_string_equal(client_field(client, "Pollux-Cursor"),
		stage_text("%llu", (unsigned long long)cursor));
	assert_string_equal(client_field(client, "Link"),
		stage_text("</chat/~%s?after=%llu>; rel=\"next\"", id, (unsigned long long)cursor));
	assert_string_equal(client_field(client, "Content-Type"), "application/json");
	assert_string_equal(client_field(client, "Cache-Control"), "no-store");
}

static void has_error(struct client *client, unsigned status, const char *body)
{
	assert_int_equal(client_status(client), status);
	assert_string_equal(client_body(client), body);
}

static void an_opening_poll_answers_with_the_first_batch(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = client_request("GET", "/chat", "Prefer: wait=5\r\n", NULL);
	peer = peer_open();
	stage_pass_ms(4999);
	assert_int_equal(client_status(client), 0);
	peer_text(peer, "hi");
	id = stage_session(client);
	has_batch(client, 1, "[{\"seq\":1,\"text\":\"hi\"}]");
	assert_string_equal(client_field(client, "Preference-Applied"), "wait=5");
}

static void a_poll_waits_as_long_as_it_says(void **state)
{
	struct client *client;

	(void)state;
	open_session("poll_wait = \"10s\"\n");
	client = poll("?wait=2");
	stage_pass_ms(1999);
	assert_int_equal(client_status(client), 0);
	stage_pass_ms(1);
	has_batch(client, 0, "[]");
	assert_null(client_field(client, "Preference-Applied"));
	has_batch(poll("?wait=0"), 0, "[]");
	client = poll("");
	stage_pass_ms(9999);
	assert_int_equal(client_status(client), 0);
	stage_pass_ms(1);
	has_batch(client, 0, "[]");
	client = poll("?wait=99999999999999999999");
	stage_pass_ms(10000);
	has_batch(client, 0, "[]");
	has_error(poll("?wait=1.5"), 400, "{\"error\":\"wait\"}\n");
}

static void what_comes_in_one_turn_goes_in_one_answer(void **state)
{
	struct client *client;

	(void)state;
	open_session("");
	client = poll("");
	peer_send(peer,
		"\x81\x01"
		"a\x82\x03\x01\x02\x03\x81\x02\"\n");
	has_batch(client, 3,
		"[{\"seq\":1,\"text\":\"a\"},{\"seq\":2,\"binary\":\"AQID\"},"
		"{\"seq\":3,\"text\":\"\\\"\\n\"}]");
}

static void a_repeated_poll_repeats_its_answer(void **state)
{
	struct client *client;

	(void)state;
	open_session("");
	peer_text(peer, "a");
	has_batch(poll("?after=0"), 1, "[{\"seq\":1,\"text\":\"a\"}]");
	has_batch(poll("?after=0"), 1, "[{\"seq\":1,\"text\":\"a\"}]");
	/* Without a cursor: from what was acknowledged. Newer ones may follow. */
	peer_text(peer, "b");
	has_batch(poll(""), 2, "[{\"seq\":1,\"text\":\"a\"},{\"seq\":2,\"text\":\"b\"}]");
	client = poll("?after=2&wait=1");
	assert_int_equal(client_status(client), 0);
	has_error(poll("?after=1"), 409, "{\"error\":\"cursor\",\"cursor\":2}\n");
	peer_text(peer, "c");
	has_batch(client, 3, "[{\"seq\":3,\"text\":\"c\"}]");
}

static void an_answer_that_is_cut_is_repeated(void **state)
{
	struct client *client;

	(void)state;
	open_session("");
	client = poll("");
	client_set_room(client, 20);
	peer_text(peer, "a");
	client_leave(client);
	has_batch(poll(""), 1, "[{\"seq\":1,\"text\":\"a\"}]");
}

static void a_bad_cursor_is_refused_and_disturbs_nothing(void **state)
{
	struct client *held;
	const char *const bad[] = {"?after=3", "?after=x", "?after=", "?after=-1",
		"?after=1&after=1", "?after=99999999999999999999"};

	(void)state;
	open_session("");
	peer_text(peer, "a");
	peer_text(peer, "b");
	has_batch(poll(""), 2, "[{\"seq\":1,\"text\":\"a\"},{\"seq\":2,\"text\":\"b\"}]");
	held = poll("?after=2");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		has_error(poll(bad[i]), 409, "{\"error\":\"cursor\",\"cursor\":2}\n");
	has_error(poll("?after=1"), 409, "{\"error\":\"cursor\",\"cursor\":2}\n");
	assert_int_equal(client_status(held), 0);
	peer_text(peer, "c");
	has_batch(held, 3, "[{\"seq\":3,\"text\":\"c\"}]");
}

static void what_waits_unwritten_is_no_cursor(void **state)
{
	(void)state;
	open_session("");
	peer_text(peer, "a");
	has_error(poll("?after=1"), 409, "{\"error\":\"cursor\",\"cursor\":0}\n");
}

static void a_newer_poll_supersedes_the_held_one(void **state)
{
	struct client *first, *second;

	(void)state;
	open_session("");
	first = poll("");
	second = poll("");
	has_batch(first, 0, "[],\"superseded\":true");
	assert_int_equal(client_status(second), 0);
	peer_text(peer, "a");
	has_batch(second, 1, "[{\"seq\":1,\"text\":\"a\"}]");
}

static void a_batch_is_bounded(void **state)
{
	(void)state;
	open_session("batch_messages = 2\nbatch_size = 10\n");
	peer_text(peer, "a");
	peer_text(peer, "b");
	peer_text(peer, "123456789");
	peer_text(peer, "123456789012");
	peer_text(peer, "c");
	has_batch(poll(""), 2, "[{\"seq\":1,\"text\":\"a\"},{\"seq\":2,\"text\":\"b\"}]");
	has_batch(poll("?after=2"), 3, "[{\"seq\":3,\"text\":\"123456789\"}]");
	has_batch(poll("?after=3"), 4, "[{\"seq\":4,\"text\":\"123456789012\"}]");
	has_batch(poll("?after=4"), 5, "[{\"seq\":5,\"text\":\"c\"}]");
}

static void the_close_is_the_last_item(void **state)
{
	struct client *client;
	const char *const closed = "{\"code\":4001,\"reason\":\"b\\\"ye\",\"undelivered\":0}";
	const char *gone;

	(void)state;
	open_session("");
	gone = stage_text("{\"error\":\"closed\",\"closed\":%s}\n", closed);
	client = poll("");
	peer_text(peer, "a");
	peer_close(peer, 4001, "b\"ye");
	has_batch(client, 1, "[{\"seq\":1,\"text\":\"a\"}]");
	client = poll("?after=0");
	has_batch(client, 2, stage_text("[{\"seq\":1,\"text\":\"a\"}],\"closed\":%s", closed));
	has_batch(poll("?after=1"), 2, stage_text("[],\"closed\":%s", closed));
	has_error(poll("?after=2"), 410, gone);
	has_error(poll("?after=2"), 410, gone);
	has_error(poll("?after=1"), 409, "{\"error\":\"cursor\",\"cursor\":2}\n");
	has_error(poll("?after=3"), 409, "{\"error\":\"cursor\",\"cursor\":2}\n");
	has_error(client_request("POST", stage_text("/chat/~%s", id), "", "x"), 410, gone);
	has_error(client_request("DELETE", stage_text("/chat/~%s", id), "", NULL), 410, gone);
	assert_string_equal(peer_received(peer), "close 4001\n");
}

static void a_closed_session_is_remembered_for_linger(void **state)
{
	(void)state;
	open_session("linger = \"5s\"\n");
	peer_close(peer, 1000, "");
	assert_int_equal(client_status(poll("")), 200);
	assert_int_equal(client_status(poll("?after=1")), 410);
	stage_pass_ms(4900);
	assert_int_equal(client_status(poll("?after=1")), 410);
	assert_int_equal(
		client_status(client_request("POST", stage_text("/chat/~%s", id), "", "")), 410);
	stage_pass_ms(200);
	has_error(poll("?after=1"), 404, "{\"error\":\"unknown session\"}\n");
	has_error(client_request("POST", stage_text("/chat/~%s", id), "", "x"), 404,
		"{\"error\":\"unknown session\"}\n");
}

static void a_close_that_is_not_told_yet_waits_for_the_client(void **state)
{
	(void)state;
	open_session("linger = \"5s\"\n");
	peer_text(peer, "a");
	peer_close(peer, 1000, "");
	for (int i = 0; i < 4; i++) {
		stage_pass_ms(3000);
		assert_int_equal(client_status(poll("?after=0")), 200);
	}
	stage_pass_ms(5001);
	assert_int_equal(client_status(poll("")), 404);
}

static void a_feed_that_breaks_is_a_close(void **state)
{
	struct client *client;

	(void)state;
	open_session("");
	client = poll("");
	peer_end(peer);
	has_batch(client, 1, "[],\"closed\":{\"code\":1006,\"reason\":\"\",\"undelivered\":0}");
}

static void an_absent_client_ends_the_session(void **state)
{
	struct client *client;

	(void)state;
	open_session("linger = \"5s\"\npoll_wait = \"10s\"\n");
	client = poll("?wait=10");
	stage_pass_ms(9000);
	assert_int_equal(client_status(client), 0);
	client_leave(client);
	stage_pass_ms(4900);
	/* Every request starts the time anew. */
	assert_int_equal(
		client_status(client_request("POST", stage_text("/chat/~%s", id), "", "x")), 204);
	stage_pass_ms(4900);
	assert_int_equal(client_status(poll("?after=7")), 409);
	stage_pass_ms(4900);
	assert_int_equal(client_status(poll("?wait=0")), 200);
	stage_pass_ms(4999);
	assert_string_equal(peer_received(peer), "text x\n");
	stage_pass_ms(1);
	assert_string_equal(peer_received(peer), "close 1001\n");
	assert_int_equal(client_status(poll("")), 404);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void the_time_runs_from_the_last_byte_of_an_answer(void **state)
{
	struct client *client;

	(void)state;
	open_session("linger = \"5s\"\n");
	client = poll("");
	client_set_room(client, 10);
	peer_text(peer, "a");
	stage_pass_ms(8000);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	client_set_room(client, SIZE_MAX);
	has_batch(client, 1, "[{\"seq\":1,\"text\":\"a\"}]");
	stage_pass_ms(4999);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	stage_pass_ms(1);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void pollux_ack_acknowledges(void **state)
{
	const char *target;

	(void)state;
	open_session("");
	target = stage_text("/chat/~%s", id);
	peer_text(peer, "a");
	peer_text(peer, "b");
	assert_int_equal(client_status(poll("")), 200);
	has_error(client_request("POST", target, "Pollux-Ack: 3\r\n", "x"), 409,
		"{\"error\":\"cursor\",\"cursor\":0}\n");
	has_error(client_request("POST", target, "Pollux-Ack: x\r\n", "x"), 409,
		"{\"error\":\"cursor\",\"cursor\":0}\n");
	has_error(client_request("DELETE", target, "Pollux-Ack: 3\r\n", NULL), 409,
		"{\"error\":\"cursor\",\"cursor\":0}\n");
	assert_string_equal(peer_received(peer), "");
	assert_int_equal(
		client_status(client_request("POST", target, "Pollux-Ack: 1\r\n", "x")), 204);
	has_error(poll("?after=0"), 409, "{\"error\":\"cursor\",\"cursor\":1}\n");
	has_batch(poll("?after=1"), 2, "[{\"seq\":2,\"text\":\"b\"}]");
	has_batch(client_request("GET", stage_text("%s?after=1&wait=0", target),
			  "Pollux-Ack: 2\r\n", NULL),
		2, "[]");
	/* One that was overtaken does no harm. */
	assert_int_equal(
		client_status(client_request("POST", target, "Pollux-Ack: 1\r\n", "x")), 204);
}

static void a_drain_answers_polls_with_what_they_have(void **state)
{
	struct client *client;

	(void)state;
	open_session("");
	client = poll("");
	bridge_drain(stage_bridge(), NULL);
	stage_pass_ms(0);
	has_batch(client, 0, "[]");
	assert_string_equal(peer_received(peer), "close 1001\n");
}

static void a_full_queue_holds_the_feed_back(void **state)
{
	static char text[8192];
	struct client *client;
	uint64_t after = 0;
	size_t n_seen = 0;

	(void)state;
	open_session("max_message_size = 9000\nqueue = 20000\nbatch_messages = 1\n");
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 100; i++)
		peer_frame(peer, true, WS_OP_TEXT, text, sizeof(text));
	/* 3 messages in the queue, 64 KiB in the pipe, one read in the conn: the rest is not read.
	 */
	assert_true(peer_n_unread(peer) > 80 * sizeof(text));
	while (n_seen < 100) {
		client = poll(stage_text("?wait=0&after=%llu", (unsigned long long)after));
		assert_int_equal(client_status(client), 200);
		assert_true(client_body_size(client) > sizeof(text));
		after = strtoull(client_field(client, "Pollux-Cursor"), NULL, 10);
		assert_int_equal(after, ++n_seen);
	}
	assert_int_equal(peer_n_unread(peer), 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_opening_poll_answers_with_the_first_batch),
		TEST(a_poll_waits_as_long_as_it_says),
		TEST(what_comes_in_one_turn_goes_in_one_answer),
		TEST(a_repeated_poll_repeats_its_answer),
		TEST(an_answer_that_is_cut_is_repeated),
		TEST(a_bad_cursor_is_refused_and_disturbs_nothing),
		TEST(what_waits_unwritten_is_no_cursor),
		TEST(a_newer_poll_supersedes_the_held_one),
		TEST(a_batch_is_bounded),
		TEST(the_close_is_the_last_item),
		TEST(a_closed_session_is_remembered_for_linger),
		TEST(a_close_that_is_not_told_yet_waits_for_the_client),
		TEST(a_feed_that_breaks_is_a_close),
		TEST(an_absent_client_ends_the_session),
		TEST(the_time_runs_from_the_last_byte_of_an_answer),
		TEST(pollux_ack_acknowledges),
		TEST(a_drain_answers_polls_with_what_they_have),
		TEST(a_full_queue_holds_the_feed_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
