/* Posts: what they become, their order, their numbers, room for them; and the end by DELETE. */
#include "tests/unit/bridge/stage.h"

static struct peer *peer;
static const char *id;

static void open_session(const char *route)
{
	struct client *client;

	stage_open(route);
	client = client_request("POST", "/chat", "", NULL);
	peer = peer_open();
	id = stage_session(client);
}

static const char *target(void)
{
	return stage_text("/chat/~%s", id);
}

static struct client *post(const char *fields, const char *body)
{
	return client_request("POST", target(), fields, body);
}

static struct client *numbered(int seq, const char *body)
{
	return post(stage_text("Pollux-Seq: %d\r\n", seq), body);
}

static void has_answer(struct client *client, unsigned status, const char *body)
{
	assert_int_equal(client_status(client), status);
	assert_string_equal(client_body(client), body);
	assert_string_equal(client_field(client, "Cache-Control"), "no-store");
}

static void has_seq(struct client *client, const char *seq)
{
	assert_string_equal(client_field(client, "Pollux-Seq"), seq);
}

static void got(const char *text)
{
	assert_string_equal(peer_received(peer), text);
}

static void the_type_says_which_frame_it_is(void **state)
{
	static const char *const texts[] = {"", "Content-Type: text/plain\r\n",
		"Content-Type: TEXT/x; Charset=\"UTF-8\"\r\n", "Content-Type: application/json\r\n",
		"Content-Type: application/cloud+json\r\n",
		"Content-Type: application/x-www-form-urlencoded\r\n"};
	static const char *const others[] = {"Content-Type: image/png\r\n",
		"Content-Type: text/plain; charset=latin1\r\n",
		"Content-Type: multipart/form-data\r\n", "Content-Type: nonsense\r\n",
		"Content-Encoding: gzip\r\n"};

	(void)state;
	open_session("");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		has_answer(post(texts[i], "a&b=\xc3\xbc"), 204, "");
		got("text a&b=\xc3\xbc\n");
	}
	has_answer(post("Content-Type: application/octet-stream\r\n", "\xff\x01"), 204, "");
	got("binary \xff\x01\n");
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		has_answer(post(others[i], "x"), 415, "{\"error\":\"content type\"}\n");
	has_answer(post("", "\xff"), 400, "{\"error\":\"utf-8\"}\n");
	got("");
}

static void an_empty_body_is_an_empty_message(void **state)
{
	(void)state;
	open_session("");
	has_answer(post("", ""), 204, "");
	has_answer(post("", NULL), 204, "");
	has_answer(post("Content-Type: application/octet-stream\r\n", ""), 204, "");
	has_answer(post("Content-Type: application/x-ndjson\r\n", "\n\r\n\n"), 204, "");
	got("text\ntext\nbinary\n");
}

static void lines_are_frames(void **state)
{
	static const char type[] = "Content-Type: application/x-ndjson\r\n";

	(void)state;
	open_session("max_message_size = 8\nqueue = 20\n");
	has_answer(post(type, "{1}\r\n\n{2}\n3\r4"), 204, "");
	got("text {1}\ntext {2}\ntext 3\r4\n");
	has_answer(post(type, "12345678\n123456789\n"), 413, "{\"error\":\"too big\"}\n");
	has_answer(
		post(type, "1\n2\n3\n4\n5\n6\n7\n8\n9\n0\n1\n"), 413, "{\"error\":\"too big\"}\n");
	has_answer(post(type, "1\n\xff\n"), 400, "{\"error\":\"utf-8\"}\n");
	got("");
	has_answer(post(type, "12345678\n12345678\n"), 204, "");
	got("text 12345678\ntext 12345678\n");
}

static void a_body_over_the_limit_ends_nothing(void **state)
{
	struct client *client;

	(void)state;
	open_session("max_message_size = 8\n");
	has_answer(post("", "12345678"), 204, "");
	has_answer(post("", "123456789"), 413, "{\"error\":\"too big\"}\n");
	client = client_new();
	client_send(client,
		stage_text("POST %s HTTP/1.1\r\nHost: a\r\n"
			   "Transfer-Encoding: chunked\r\n\r\n"
			   "5\r\n12345\r\n4\r\n6789\r\n",
			target()));
	assert_int_equal(client_status(client), 413);
	has_answer(post("", "ok"), 204, "");
	got("text 12345678\ntext ok\n");
}

static void a_client_that_waits_for_100_gets_it_where_its_body_is_wanted(void **state)
{
	struct client *client;

	(void)state;
	open_session("");
	client = client_new();
	client_send(client,
		stage_text("POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
			   "Content-Length: 2\r\n\r\n",
			target()));
	assert_int_equal(client_status(client), 0);
	client_send(client, "hi");
	has_answer(client, 204, "");
	client = client_new();
	client_send(client,
		"POST /chat/~none HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
		"Content-Length: 2\r\n\r\n");
	assert_int_equal(client_status(client), 404);
	got("text hi\n");
}

static struct client *begin_post(size_t size, const char *fields, const char *part)
{
	struct client *client = client_new();

	client_send(client,
		stage_text("POST %s HTTP/1.1\r\nHost: a\r\n"
			   "Content-Length: %zu\r\n%s\r\n%s",
			target(), size, fields, part));
	return client;
}

static void order_is_that_of_complete_bodies(void **state)
{
	struct client *slow;

	(void)state;
	open_session("");
	slow = begin_post(4, "", "sl");
	has_answer(post("", "quick"), 204, "");
	client_send(slow, "ow");
	has_answer(slow, 204, "");
	got("text quick\ntext slow\n");
}

static void a_body_that_is_cut_is_no_message(void **state)
{
	struct client *client;

	(void)state;
	open_session("");
	client = begin_post(9, "Pollux-Seq: 1\r\n", "half");
	client_leave(client);
	has_answer(numbered(1, "whole"), 204, "");
	got("text whole\n");
}

static void numbered_posts_happen_once(void **state)
{
	struct client *client;

	(void)state;
	open_session("");
	client = numbered(1, "a");
	has_answer(client, 204, "");
	has_seq(client, "1");
	client = numbered(1, "a");
	has_answer(client, 204, "");
	has_seq(client, "1");
	client = numbered(3, "c");
	has_answer(client, 409, "{\"error\":\"gap\",\"expected\":2}\n");
	has_seq(client, "1");
	client = post("", "unnumbered");
	has_answer(client, 204, "");
	has_seq(client, "1");
	client = post("Pollux-Seq: 2\r\nContent-Type: application/x-ndjson\r\n", "1\n2\n");
	has_answer(client, 204, "");
	has_seq(client, "2");
	client = post("Pollux-Seq: 3\r\nContent-Type: application/x-ndjson\r\n", "\n");
	has_seq(client, "3");
	got("text a\ntext unnumbered\ntext 1\ntext 2\n");
}

static void a_malformed_number_is_refused(void **state)
{
	static const char *const fields[] = {"Pollux-Seq: 0\r\n", "Pollux-Seq: x\r\n",
		"Pollux-Seq: -1\r\n", "Pollux-Seq:\r\n", "Pollux-Seq: 1\r\nPollux-Seq: 1\r\n",
		"Pollux-Seq: 99999999999999999999\r\n"};

	(void)state;
	open_session("");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct client *client = post(fields[i], "x");

		has_answer(client, 400, "{\"error\":\"Pollux-Seq\"}\n");
		has_seq(client, "0");
	}
	got("");
}

static void a_refused_post_uses_no_number_up(void **state)
{
	struct client *client;

	(void)state;
	open_session("max_message_size = 8\n");
	client = numbered(1, "123456789");
	has_answer(client, 413, "{\"error\":\"too big\"}\n");
	has_seq(client, "0");
	client = numbered(1, "\xff");
	has_answer(client, 400, "{\"error\":\"utf-8\"}\n");
	has_seq(client, "0");
	has_answer(numbered(1, "a"), 204, "");
	got("text a\n");
}

/* Room. The pipe and the conn's output take some; the rest waits. */

static char big[4000];

/* Posts until one has to wait, and gives it. */
static struct client *fill(int *n_posted)
{
	memset(big, 'x', sizeof(big) - 1);
	peer_set_room(peer, 0);
	for (*n_posted = 0; *n_posted < 1000; (*n_posted)++) {
		struct client *client = post("", big);

		if (client_status(client) == 0)
			return client;
		assert_int_equal(client_status(client), 204);
	}
	fail();
	return NULL;
}

static void a_full_queue_makes_posts_wait(void **state)
{
	struct client *first, *second;
	int n;

	(void)state;
	open_session("max_message_size = 5000\nqueue = 10000\nsend_timeout = \"5s\"\n");
	first = fill(&n);
	assert_true(n > 2 && n < 50);
	second = post("", "small");
	stage_pass_ms(4000);
	assert_int_equal(client_status(first), 0);
	assert_int_equal(client_status(second), 0);
	peer_set_room(peer, SIZE_MAX);
	has_answer(first, 204, "");
	has_answer(second, 204, "");
	assert_non_null(strstr(peer_received(peer), "x\ntext small\n"));
}

static void a_queue_that_stays_full_is_503(void **state)
{
	struct client *first, *second;
	int n;

	(void)state;
	open_session("max_message_size = 5000\nqueue = 10000\nsend_timeout = \"5s\"\n");
	first = fill(&n);
	stage_pass_ms(1000);
	second = numbered(1, big);
	stage_pass_ms(4000);
	has_answer(first, 503, "{\"error\":\"queue is full\"}\n");
	assert_string_equal(client_field(first, "Retry-After"), "1");
	assert_int_equal(client_status(second), 0);
	stage_pass_ms(1000);
	has_answer(second, 503, "{\"error\":\"queue is full\"}\n");
	has_seq(second, "0");
	peer_set_room(peer, SIZE_MAX);
	has_answer(numbered(1, "after"), 204, "");
	assert_non_null(strstr(peer_received(peer), "x\ntext after\n"));
}

static void a_repeat_waits_for_the_outcome_of_the_first(void **state)
{
	struct client *first, *repeat, *gap, *next;
	int n;

	(void)state;
	open_session("max_message_size = 5000\nqueue = 10000\nsend_timeout = \"5s\"\n");
	(void)fill(&n);
	first = numbered(1, "one");
	repeat = numbered(1, "one");
	next = numbered(2, "two");
	gap = numbered(4, "four");
	assert_int_equal(client_status(first), 0);
	assert_int_equal(client_status(repeat), 0);
	assert_int_equal(client_status(next), 0);
	peer_set_room(peer, SIZE_MAX);
	has_answer(first, 204, "");
	has_answer(repeat, 204, "");
	has_answer(next, 204, "");
	has_answer(gap, 409, "{\"error\":\"gap\",\"expected\":3}\n");
	assert_non_null(strstr(peer_received(peer), "x\ntext one\ntext two\n"));
}

static void a_repeat_is_answered_though_the_queue_is_full(void **state)
{
	struct client *client;
	int n;

	(void)state;
	open_session("max_message_size = 5000\nqueue = 10000\nsend_timeout = \"5s\"\n");
	has_answer(numbered(1, "one"), 204, "");
	(void)fill(&n);
	client = numbered(1, "one");
	has_answer(client, 204, "");
	has_seq(client, "1");
}

static void a_post_whose_client_went_keeps_its_place(void **state)
{
	struct client *client;
	int n;

	(void)state;
	open_session("max_message_size = 5000\nqueue = 10000\nsend_timeout = \"5s\"\n");
	(void)fill(&n);
	client = numbered(1, "one");
	client_leave(client);
	peer_set_room(peer, SIZE_MAX);
	assert_non_null(strstr(peer_received(peer), "x\ntext one\n"));
	client = numbered(1, "one");
	has_answer(client, 204, "");
	has_seq(client, "1");
	got("");
}

/* Else whoever posts and goes would fill the memory while the backend is slow. */
static void posts_whose_clients_went_have_a_limit(void **state)
{
	const char *at;
	int n, n_kept = 0;

	(void)state;
	open_session("max_message_size = 5000\nqueue = 10000\nsend_timeout = \"5s\"\n");
	(void)fill(&n);
	big[0] = 'o';
	for (int i = 0; i < 20; i++)
		client_leave(post("", big));
	peer_set_room(peer, SIZE_MAX);
	for (at = peer_received(peer); (at = strstr(at, "text o")) != NULL; at++)
		n_kept++;
	assert_int_equal(n_kept, 2);
	has_answer(post("", "after"), 204, "");
	got("text after\n");
}

static void what_did_not_reach_the_backend_is_counted(void **state)
{
	struct client *waiting, *client;
	int n, n_undelivered;

	(void)state;
	open_session("max_message_size = 5000\nqueue = 10000\n");
	waiting = fill(&n);
	peer_lose(peer);
	assert_int_equal(client_status(waiting), 410);
	client = client_request("GET", target(), "", NULL);
	assert_non_null(strstr(client_body(client), "\"closed\":{\"code\":1006"));
	n_undelivered = atoi(strstr(client_body(client), "\"undelivered\":") + 14);
	/* None of them: TCP took nothing. */
	assert_int_equal(n_undelivered, n);
}

/* Ends. */

static void a_delete_closes_after_what_was_sent(void **state)
{
	struct client *poll, *client;

	(void)state;
	open_session("");
	poll = client_request("GET", target(), "", NULL);
	has_answer(post("", "last"), 204, "");
	client = client_request("DELETE", target(), "", NULL);
	has_answer(client, 204, "");
	got("text last\nclose 1000\n");
	/* TCP has taken it: seen at the next look. */
	stage_pass_ms(1);
	assert_int_equal(client_status(poll), 200);
	assert_non_null(strstr(
		client_body(poll), "\"closed\":{\"code\":1000,\"reason\":\"\",\"undelivered\":0}"));
	assert_int_equal(client_status(client_request("DELETE", target(), "", NULL)), 410);
	peer_close(peer, 1000, "");
	peer_end(peer);
	assert_true(peer_is_closed(peer));
}

static void a_post_may_close(void **state)
{
	struct client *client;

	(void)state;
	open_session("");
	client = client_request("POST", stage_text("%s?close", target()), "", "ignored");
	has_answer(client, 204, "");
	has_seq(client, "0");
	got("close 1000\n");
}

static void a_delete_waits_for_a_slow_backend(void **state)
{
	struct client *poll, *waiting;
	int n;

	(void)state;
	open_session("max_message_size = 5000\nqueue = 10000\nsend_timeout = \"5s\"\n");
	waiting = fill(&n);
	poll = client_request("GET", target(), "", NULL);
	has_answer(client_request("DELETE", target(), "", NULL), 204, "");
	assert_int_equal(client_status(waiting), 410);
	assert_int_equal(client_status(poll), 0);
	assert_int_equal(client_status(post("", "late")), 410);
	/* Messages still come. */
	peer_text(peer, "late");
	assert_non_null(strstr(client_body(poll), "late"));
	poll = client_request("GET", stage_text("%s?after=1", target()), "", NULL);
	peer_set_room(peer, SIZE_MAX);
	stage_pass_ms(100);
	assert_non_null(strstr(client_body(poll), "\"undelivered\":0}"));
	assert_non_null(strstr(peer_received(peer), "x\nclose 1000\n"));
}

static void a_delete_gives_up_on_a_stuck_backend(void **state)
{
	struct client *poll;
	int n, n_undelivered;

	(void)state;
	open_session("max_message_size = 5000\nqueue = 10000\nsend_timeout = \"5s\"\n");
	(void)fill(&n);
	poll = client_request("GET", target(), "", NULL);
	has_answer(client_request("DELETE", target(), "", NULL), 204, "");
	stage_pass_ms(5000);
	assert_int_equal(client_status(poll), 200);
	assert_non_null(strstr(client_body(poll), "\"closed\":{\"code\":1000"));
	n_undelivered = atoi(strstr(client_body(poll), "\"undelivered\":") + 14);
	assert_int_equal(n_undelivered, n);
	assert_true(peer_is_closed(peer));
}

static void a_post_to_a_session_that_ended_meanwhile_is_refused(void **state)
{
	struct client *slow;

	(void)state;
	open_session("linger = \"2s\"\n");
	slow = begin_post(4, "", "sl");
	peer_close(peer, 1000, "");
	client_send(slow, "ow");
	assert_int_equal(client_status(slow), 410);
	stage_close();
	open_session("linger = \"2s\"\n");
	slow = begin_post(4, "", "sl");
	stage_pass_ms(2001);
	client_send(slow, "ow");
	assert_int_equal(client_status(slow), 404);
}

#define TEST(name) cmocka_unit_test_teardown(name, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_type_says_which_frame_it_is),
		TEST(an_empty_body_is_an_empty_message),
		TEST(lines_are_frames),
		TEST(a_body_over_the_limit_ends_nothing),
		TEST(a_client_that_waits_for_100_gets_it_where_its_body_is_wanted),
		TEST(order_is_that_of_complete_bodies),
		TEST(a_body_that_is_cut_is_no_message),
		TEST(numbered_posts_happen_once),
		TEST(a_malformed_number_is_refused),
		TEST(a_refused_post_uses_no_number_up),
		TEST(a_full_queue_makes_posts_wait),
		TEST(a_queue_that_stays_full_is_503),
		TEST(a_repeat_waits_for_the_outcome_of_the_first),
		TEST(a_repeat_is_answered_though_the_queue_is_full),
		TEST(a_post_whose_client_went_keeps_its_place),
		TEST(posts_whose_clients_went_have_a_limit),
		TEST(what_did_not_reach_the_backend_is_counted),
		TEST(a_delete_closes_after_what_was_sent),
		TEST(a_post_may_close),
		TEST(a_delete_waits_for_a_slow_backend),
		TEST(a_delete_gives_up_on_a_stuck_backend),
		TEST(a_post_to_a_session_that_ended_meanwhile_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
