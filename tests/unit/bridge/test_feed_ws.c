/* The WebSocket to the backend: frames both ways, breaches of the rules, pings, ends. */
#include "bridge/feed/frame_marks.h"
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

/* What the session has got so far, behind "messages". */
static const char *items(void)
{
	struct client *client = client_request("GET", stage_text("/chat/~%s?wait=0", id), "", NULL);

	assert_int_equal(client_status(client), 200);
	return strstr(client_body(client), "\"messages\":") + strlen("\"messages\":");
}

static void got(const char *text)
{
	assert_string_equal(peer_received(peer), text);
}

static void closed_with(unsigned code, const char *reason)
{
	assert_string_equal(items(),
		stage_text("[],\"closed\":{\"code\":%u,\"reason\":\"%s\",\"undelivered\":0}}\n",
			code, reason));
}

static void fragments_are_joined_with_controls_between(void **state)
{
	(void)state;
	open_session("");
	peer_frame(peer, false, WS_OP_TEXT, "a\xc3", 2);
	peer_frame(peer, true, WS_OP_PING, "p", 1);
	peer_frame(peer, false, WS_OP_CONTINUATION, "\xbc", 1);
	peer_frame(peer, true, WS_OP_PONG, "", 0);
	got("pong p\n");
	peer_frame(peer, true, WS_OP_CONTINUATION, "z", 1);
	peer_frame(peer, false, WS_OP_BINARY, "", 0);
	peer_frame(peer, true, WS_OP_CONTINUATION, "", 0);
	assert_string_equal(
		items(), "[{\"seq\":1,\"text\":\"a\xc3\xbcz\"},{\"seq\":2,\"binary\":\"\"}]}\n");
}

static void bytes_may_come_one_by_one(void **state)
{
	static const char frames[] = "\x81\x03one\x89\x02hi\x01\x01t\x80\x02wo\x88\x05\x0f\xa1"
				     "bye";

	(void)state;
	open_session("");
	for (size_t i = 0; i + 1 < sizeof(frames); i++)
		peer_send(peer, (char[]){frames[i], '\0'});
	got("pong hi\nclose 4001\n");
	assert_string_equal(items(),
		"[{\"seq\":1,\"text\":\"one\"},{\"seq\":2,\"text\":\"two\"}],"
		"\"closed\":{\"code\":4001,\"reason\":\"bye\",\"undelivered\":0}}\n");
}

static void breaches_close_with_their_code(void **state)
{
	static const struct {
		const char *bytes;
		unsigned code;
	} breaches[] = {
		{"\x81\x81\x01\x01\x01\x01x", 1002}, /* masked */
		{"\xc1\x01x", 1002},		     /* RSV1 */
		{"\x83\x01x", 1002},		     /* reserved opcode */
		{"\x80\x01x", 1002},		     /* continuation of nothing */
		{"\x01\x01x\x81\x01y", 1002},	     /* message within a message */
		{"\x09\x01x", 1002},		     /* fragmented ping */
		{"\x88\x01x", 1002},		     /* close of one byte */
		{"\x88\x02\x03\xed", 1002},	     /* 1005 on the wire */
		{"\x81\x01\xff", 1007},
		{"\x81\x02\xed\xa0", 1007},
		{"\x88\x03\x03\xe8\xff", 1007},
		{"\x81\x09", 1009},
		{"\x01\x05"
		 "12345\x80\x04",
			1009},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(breaches); i++) {
		open_session("max_message_size = 8\n");
		peer_send(peer, breaches[i].bytes);
		got(stage_text("close %u\n", breaches[i].code));
		assert_non_null(strstr(items(), stage_text("\"code\":%u", breaches[i].code)));
		/* The rest is not looked at; the connection ends with the backend's end. */
		peer_send(peer, "\x81\x01x");
		peer_end(peer);
		got("");
		assert_true(peer_is_closed(peer));
		stage_close();
	}
}

static void a_message_of_the_limit_passes(void **state)
{
	(void)state;
	open_session("max_message_size = 8\n");
	peer_text(peer, "12345678");
	assert_string_equal(items(), "[{\"seq\":1,\"text\":\"12345678\"}]}\n");
}

static void a_close_without_a_code_is_1005(void **state)
{
	(void)state;
	open_session("");
	peer_frame(peer, true, WS_OP_CLOSE, "", 0);
	got("close 1005\n");
	closed_with(1005, "");
}

static void a_close_is_answered_and_ends_the_connection(void **state)
{
	(void)state;
	open_session("");
	peer_close(peer, 3000, "x");
	got("close 3000\n");
	closed_with(3000, "x");
	assert_false(peer_is_closed(peer));
	peer_end(peer);
	assert_true(peer_is_closed(peer));
}

static void a_backend_that_never_ends_is_cut(void **state)
{
	(void)state;
	open_session("");
	peer_close(peer, 1000, "");
	stage_pass_ms(4999);
	assert_false(peer_is_closed(peer));
	stage_pass_ms(1);
	assert_true(peer_is_closed(peer));
	assert_true(bridge_is_idle(stage_bridge()));
}

static void a_cut_is_1006(void **state)
{
	(void)state;
	open_session("");
	peer_text(peer, "a");
	peer_lose(peer);
	assert_string_equal(items(),
		"[{\"seq\":1,\"text\":\"a\"}],"
		"\"closed\":{\"code\":1006,\"reason\":\"\",\"undelivered\":0}}\n");
	stage_close();
	open_session("");
	peer_send(peer, "\x81\x05ha");
	peer_end(peer);
	closed_with(1006, "");
}

static void pings_go_where_the_backend_is_silent(void **state)
{
	(void)state;
	open_session("backend_ping = \"5s\"\nlinger = \"1h\"\n");
	stage_pass_ms(4999);
	got("");
	stage_pass_ms(1);
	got("ping\n");
	peer_frame(peer, true, WS_OP_PONG, "", 0);
	stage_pass_ms(5000);
	got("");
	stage_pass_ms(5000);
	got("ping\n");
	stage_pass_ms(4999);
	assert_string_equal(items(), "[]}\n");
	stage_pass_ms(1);
	closed_with(1006, "");
	assert_true(peer_is_closed(peer));
}

static void a_backend_that_is_held_back_is_not_silent(void **state)
{
	static char text[8000];

	(void)state;
	open_session("backend_ping = \"5s\"\nlinger = \"1h\"\nmax_message_size = 9000\n"
		     "queue = 10000\n");
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 20; i++)
		peer_frame(peer, true, WS_OP_TEXT, text, sizeof(text));
	stage_pass_ms(60000);
	assert_false(peer_is_closed(peer));
	assert_non_null(strstr(items(), "{\"seq\":2,"));
}

static void a_flood_of_pings_is_not_answered_faster_than_it_is_taken(void **state)
{
	size_t n = 0;

	(void)state;
	open_session("");
	peer_set_room(peer, 0);
	for (int i = 0; i < 100000; i++)
		peer_frame(peer, true, WS_OP_PING, "0123456789", 10);
	peer_set_room(peer, SIZE_MAX);
	for (const char *p = peer_received(peer); *p != '\0'; p = strchr(p, '\n') + 1)
		n++;
	assert_in_range(n, 1000, 12000);
	peer_frame(peer, true, WS_OP_PING, "last", 4);
	got("pong last\n");
}

static void an_absent_clients_close_is_sent_behind_its_posts(void **state)
{
	struct client *client;

	(void)state;
	open_session("linger = \"5s\"\n");
	peer_set_room(peer, 0);
	client = client_request("POST", stage_text("/chat/~%s", id), "", "last");
	assert_int_equal(client_status(client), 204);
	stage_pass_ms(5000);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	peer_set_room(peer, SIZE_MAX);
	got("text last\nclose 1001\n");
	peer_close(peer, 1001, "");
	peer_end(peer);
	assert_true(bridge_is_idle(stage_bridge()));
}

static void marks_count_frames_that_have_not_left_whole(void **state)
{
	struct frame_marks marks;

	(void)state;
	frame_marks_init(&marks);
	for (uint64_t i = 1; i <= 100; i++)
		frame_marks_add(&marks, 10 * i);
	frame_marks_pass(&marks, 9);
	assert_int_equal(frame_marks_count(&marks), 100);
	frame_marks_pass(&marks, 10);
	assert_int_equal(frame_marks_count(&marks), 99);
	frame_marks_pass(&marks, 509);
	assert_int_equal(frame_marks_count(&marks), 50);
	for (uint64_t i = 101; i <= 300; i++)
		frame_marks_add(&marks, 10 * i);
	frame_marks_pass(&marks, 2999);
	assert_int_equal(frame_marks_count(&marks), 1);
	frame_marks_pass(&marks, 3000);
	assert_int_equal(frame_marks_count(&marks), 0);
	assert_null(marks.ends);
	frame_marks_clear(&marks);
}

#define TEST(name) cmocka_unit_test_teardown(name, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fragments_are_joined_with_controls_between),
		TEST(bytes_may_come_one_by_one),
		TEST(breaches_close_with_their_code),
		TEST(a_message_of_the_limit_passes),
		TEST(a_close_without_a_code_is_1005),
		TEST(a_close_is_answered_and_ends_the_connection),
		TEST(a_backend_that_never_ends_is_cut),
		TEST(a_cut_is_1006),
		TEST(pings_go_where_the_backend_is_silent),
		TEST(a_backend_that_is_held_back_is_not_silent),
		TEST(a_flood_of_pings_is_not_answered_faster_than_it_is_taken),
		TEST(an_absent_clients_close_is_sent_behind_its_posts),
		TEST(marks_count_frames_that_have_not_left_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
