/* Event streams and JSON lines: how they begin, resume, reset, end, and what they keep. */
#include "tests/unit/bridge/stage.h"

#define EVENTS "Accept: text/event-stream\r\n"
#define LINES "Accept: application/x-ndjson\r\n"

static struct peer *peer;
static const char *id;

static struct client *get(const char *target, const char *fields)
{
	return client_request("GET", target, fields, NULL);
}

static struct client *open_stream(const char *route, const char *fields)
{
	struct client *client;

	stage_open(route);
	client = get("/chat", fields);
	peer = peer_open();
	assert_int_equal(client_status(client), 200);
	id = stage_session(client);
	return client;
}

/* A reconnect on P with this Last-Event-ID cursor. */
static struct client *come_back(const char *accept, const char *cursor)
{
	return get("/chat", stage_text("%sLast-Event-ID: %s.%s\r\n", accept, id, cursor));
}

static struct client *resume(const char *accept, const char *query)
{
	return get(stage_text("/chat/~%s%s", id, query), accept);
}

static const char *hello(const char *cursor)
{
	return stage_text("event: session\nid: %s.%s\ndata: {\"session\":\"%s\",\"cursor\":%s}\n\n",
		id, cursor, id, cursor);
}

static const char *event(int seq, const char *data)
{
	return stage_text("id: %s.%d\ndata: %s\n\n", id, seq, data);
}

static void took(struct client *client, const char *text)
{
	assert_string_equal(client_take(client), text);
}

static void an_event_stream_begins_with_its_session(void **state)
{
	struct client *client;

	(void)state;
	client = open_stream("", EVENTS);
	took(client, stage_text("retry: 1000\n\n%s", hello("0")));
	assert_string_equal(client_field(client, "Content-Type"), "text/event-stream");
	assert_string_equal(client_field(client, "X-Accel-Buffering"), "no");
	assert_string_equal(client_field(client, "Cache-Control"), "no-store");
	assert_string_equal(client_field(client, "Pollux-Cursor"), "0");
	peer_text(peer, "a\nb");
	took(client, stage_text("id: %s.1\ndata: a\ndata: b\n\n", id));
	peer_frame(peer, true, WS_OP_BINARY, "\0\1\2", 3);
	took(client, stage_text("event: binary\nid: %s.2\ndata: AAEC\n\n", id));
	assert_false(client_is_done(client));
}

static void json_lines_begin_with_their_session(void **state)
{
	struct client *client;

	(void)state;
	client = open_stream("", LINES);
	assert_string_equal(client_field(client, "Content-Type"), "application/x-ndjson");
	took(client, stage_text("{\"session\":\"%s\",\"cursor\":0}\n", id));
	peer_text(peer, "a");
	peer_frame(peer, true, WS_OP_BINARY, "\0\1\2", 3);
	took(client, "{\"seq\":1,\"text\":\"a\"}\n{\"seq\":2,\"binary\":\"AAEC\"}\n");
	peer_close(peer, 1000, "x");
	took(client, "{\"seq\":3,\"closed\":{\"code\":1000,\"reason\":\"x\",\"undelivered\":0}}\n");
	assert_true(client_is_done(client));
}

static void events_may_be_json(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = get("/chat?as=json", EVENTS);
	peer = peer_open();
	id = stage_session(client);
	(void)client_take(client);
	peer_text(peer, "a\r\n");
	took(client, event(1, "{\"seq\":1,\"text\":\"a\\r\\n\"}"));
	peer_frame(peer, true, WS_OP_BINARY, "\0\1\2", 3);
	took(client, event(2, "{\"seq\":2,\"binary\":\"AAEC\"}"));
	client = resume(EVENTS, "?after=1&as=json");
	took(client,
		stage_text("retry: 1000\n\n%s%s", hello("1"),
			event(2, "{\"seq\":2,\"binary\":\"AAEC\"}")));
}

static void the_close_ends_an_event_stream_for_good(void **state)
{
	struct client *client;
	const char *close;

	(void)state;
	client = open_stream("", EVENTS);
	peer_text(peer, "a");
	(void)client_take(client);
	peer_close(peer, 4000, "why");
	close = stage_text(
		"event: close\nid: %s.2\ndata: {\"code\":4000,\"reason\":\"why\"}\n\n", id);
	took(client, close);
	assert_true(client_is_done(client));
	/* From before it, it is told again; at it, the browser is stopped. */
	client = come_back(EVENTS, "1");
	took(client, stage_text("retry: 1000\n\n%s%s", hello("1"), close));
	assert_true(client_is_done(client));
	client = come_back(EVENTS, "2");
	assert_int_equal(client_status(client), 204);
	assert_int_equal(client_status(resume(EVENTS, "?after=2")), 204);
	assert_int_equal(client_status(resume(LINES, "?after=2")), 410);
	assert_int_equal(client_status(come_back(LINES, "2")), 410);
	assert_int_equal(stage_n_dials(), 1);
}

static void a_stream_that_was_cut_goes_on(void **state)
{
	struct client *client;

	(void)state;
	client = open_stream("", EVENTS);
	peer_text(peer, "a");
	client_leave(client);
	peer_text(peer, "b");
	client = come_back(EVENTS, "1");
	assert_string_equal(client_field(client, "Pollux-Cursor"), "1");
	took(client, stage_text("retry: 1000\n\n%s%s", hello("1"), event(2, "b")));
	peer_text(peer, "c");
	took(client, event(3, "c"));
	assert_int_equal(stage_n_dials(), 1);
	/* Events that a browser has not seen are told again. */
	client_leave(client);
	client = resume(EVENTS, "?after=1");
	took(client, stage_text("retry: 1000\n\n%s%s%s", hello("1"), event(2, "b"), event(3, "c")));
}

static void last_event_id_wins_over_after(void **state)
{
	struct client *client;

	(void)state;
	client = open_stream("", EVENTS);
	peer_text(peer, "a");
	peer_text(peer, "b");
	client_leave(client);
	client = resume(stage_text(EVENTS "Last-Event-ID: %s.2\r\n", id), "?after=0");
	took(client, stage_text("retry: 1000\n\n%s", hello("2")));
	assert_int_equal(client_status(resume(EVENTS "Last-Event-ID: w1.x.2\r\n", "")), 409);
	assert_int_equal(client_status(resume(EVENTS "Last-Event-ID: 2\r\n", "")), 409);
	assert_int_equal(
		client_status(resume(stage_text(EVENTS "Last-Event-ID: %s.x\r\n", id), "")), 409);
	assert_int_equal(
		client_status(resume(stage_text(EVENTS "Last-Event-ID: %s.3\r\n", id), "")), 409);
	peer_text(peer, "c");
	took(client, event(3, "c"));
}

static void a_newer_transport_ends_a_stream(void **state)
{
	struct client *client, *newer;

	(void)state;
	client = open_stream("", EVENTS);
	(void)client_take(client);
	newer = resume(LINES, "?after=0");
	took(client, "");
	assert_true(client_is_done(client));
	peer_text(peer, "a");
	assert_non_null(strstr(client_body(newer), "{\"seq\":1,\"text\":\"a\"}\n"));
	client = resume("", "?after=1");
	assert_true(client_is_done(newer));
	peer_text(peer, "b");
	assert_non_null(strstr(client_body(client), "[{\"seq\":2,\"text\":\"b\"}]"));
}

/* What a stream that comes back with a bad cursor is told. */

static void an_unknown_session_is_reset_to_a_new_one(void **state)
{
	static const char *const event_ids[] = {"w1.unknown.3", "nonsense", "w1.a b.3", ".", "5"};
	const char *old;
	struct client *client;

	(void)state;
	stage_open("");
	for (size_t i = 0; i < ARRAY_LEN(event_ids); i++) {
		client = get("/chat", stage_text(EVENTS "Last-Event-ID: %s\r\n", event_ids[i]));
		peer = peer_open();
		id = stage_session(client);
		took(client,
			stage_text("retry: 1000\n\nevent: reset\n"
				   "data: {\"reason\":\"unknown session\"}\n\n%s",
				hello("0")));
	}
	old = id;
	client = get("/chat/b", stage_text(EVENTS "Last-Event-ID: %s.0\r\n", old));
	(void)peer_open();
	assert_non_null(strstr(client_body(client), "unknown session"));
	client = get("/chat", LINES "Last-Event-ID: w1.unknown.3\r\n");
	peer = peer_open();
	id = stage_session(client);
	took(client,
		stage_text("{\"reset\":{\"reason\":\"unknown session\"}}\n"
			   "{\"session\":\"%s\",\"cursor\":0}\n",
			id));
}

static void a_bad_cursor_is_reset_to_the_oldest_kept(void **state)
{
	static const char *const cursors[] = {"3", "x", "", "99999999999999999999", "-1"};
	struct client *client;

	(void)state;
	client = open_stream("", EVENTS);
	peer_text(peer, "a");
	peer_text(peer, "b");
	assert_int_equal(client_status(resume("Pollux-Ack: 1\r\n", "?after=1&wait=0")), 200);
	for (size_t i = 0; i < ARRAY_LEN(cursors); i++) {
		client = come_back(EVENTS, cursors[i]);
		assert_string_equal(client_field(client, "Pollux-Session"), id);
		took(client,
			stage_text("retry: 1000\n\nevent: reset\n"
				   "data: {\"reason\":\"cursor\"}\n\n%s%s",
				hello("1"), event(2, "b")));
	}
	client = come_back(LINES, "7");
	took(client,
		stage_text("{\"reset\":{\"reason\":\"cursor\"}}\n"
			   "{\"session\":\"%s\",\"cursor\":1}\n{\"seq\":2,\"text\":\"b\"}\n",
			id));
	assert_int_equal(stage_n_dials(), 1);
}

static void a_gap_is_told(void **state)
{
	static char text[4000];
	struct client *client;

	(void)state;
	client = open_stream("replay = 10000\n", EVENTS);
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 5; i++)
		peer_text(peer, text);
	client_leave(client);
	client = come_back(EVENTS, "1");
	took(client,
		stage_text("retry: 1000\n\nevent: reset\n"
			   "data: {\"reason\":\"gap\",\"lost\":[2,3]}\n\n%s%s%s",
			hello("3"), event(4, text), event(5, text)));
	client_leave(client);
	client = come_back(LINES, "0");
	assert_non_null(strstr(client_body(client),
		stage_text("{\"reset\":{\"reason\":\"gap\",\"lost\":[1,3]}}\n"
			   "{\"session\":\"%s\",\"cursor\":3}\n{\"seq\":4,",
			id)));
	client_leave(client);
	client = resume(EVENTS, "?after=1");
	assert_int_equal(client_status(client), 409);
	took(client, "{\"error\":\"cursor\",\"cursor\":3}\n");
	client = resume(EVENTS, "?after=3");
	assert_int_equal(client_status(client), 200);
}

static void what_the_clients_tcp_has_not_acknowledged_is_kept(void **state)
{
	static char text[4000];
	struct client *client;

	(void)state;
	client = open_stream("replay = 1000\n", EVENTS);
	memset(text, 'x', sizeof(text) - 1);
	client_set_room(client, 0);
	for (int i = 0; i < 5; i++)
		peer_text(peer, text);
	client_leave(client);
	client = come_back(EVENTS, "0");
	took(client,
		stage_text("retry: 1000\n\n%s%s%s%s%s%s", hello("0"), event(1, text),
			event(2, text), event(3, text), event(4, text), event(5, text)));
}

static void a_reset_at_the_end_tells_the_close_again(void **state)
{
	struct client *client;
	const char *close;

	(void)state;
	client = open_stream("", EVENTS);
	peer_close(peer, 1000, "");
	assert_true(client_is_done(client));
	close = stage_text("event: close\nid: %s.1\ndata: {\"code\":1000,\"reason\":\"\"}\n\n", id);
	assert_int_equal(client_status(resume(EVENTS, "?after=1")), 204);
	client = come_back(EVENTS, "7");
	took(client,
		stage_text("retry: 1000\n\nevent: reset\ndata: {\"reason\":\"cursor\"}\n\n%s%s",
			hello("1"), close));
	assert_true(client_is_done(client));
	client = come_back(EVENTS, "0");
	took(client,
		stage_text("retry: 1000\n\nevent: reset\n"
			   "data: {\"reason\":\"gap\",\"lost\":[1,1]}\n\n%s%s",
			hello("1"), close));
}

static void heartbeats_come_when_nothing_does(void **state)
{
	struct client *client;

	(void)state;
	client = open_stream("heartbeat = \"5s\"\n", EVENTS);
	(void)client_take(client);
	stage_pass_ms(4999);
	took(client, "");
	stage_pass_ms(1);
	took(client, ":\n\n");
	stage_pass_ms(3000);
	peer_text(peer, "a");
	(void)client_take(client);
	stage_pass_ms(4999);
	took(client, "");
	stage_pass_ms(1);
	took(client, ":\n\n");
	client = resume(LINES, "?after=1");
	(void)client_take(client);
	stage_pass_ms(10000);
	took(client, "\n\n");
}

static void a_client_that_acknowledges_nothing_counts_as_gone(void **state)
{
	struct client *client;

	(void)state;
	client = open_stream(
		"send_timeout = \"4s\"\nlinger = \"10s\"\nheartbeat = \"5s\"\n", EVENTS);
	client_set_room(client, 0);
	peer_text(peer, "a");
	stage_pass_ms(3900);
	assert_false(client_is_closed(client));
	stage_pass_ms(1200);
	assert_true(client_is_closed(client));
	stage_pass_ms(9000);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	stage_pass_ms(1000);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	assert_string_equal(peer_received(peer), "close 1001\n");
}

static void a_slow_client_that_goes_on_is_not_gone(void **state)
{
	struct client *client;
	static char text[3000];

	(void)state;
	client = open_stream("send_timeout = \"4s\"\n", EVENTS);
	memset(text, 'x', sizeof(text) - 1);
	client_set_room(client, 0);
	peer_text(peer, text);
	for (int i = 0; i < 20; i++) {
		stage_pass_ms(2000);
		client_set_room(client, 100);
	}
	assert_false(client_is_closed(client));
}

static void a_stalled_stream_holds_the_feed_back(void **state)
{
	static char text[8192];
	struct client *client;
	size_t n_last;

	(void)state;
	client = open_stream("max_message_size = 9000\nqueue = 20000\n", EVENTS);
	memset(text, 'x', sizeof(text));
	client_set_room(client, 0);
	for (int i = 0; i < 100; i++)
		peer_frame(peer, true, WS_OP_TEXT, text, sizeof(text));
	assert_true(peer_n_unread(peer) > 50 * sizeof(text));
	client_set_room(client, SIZE_MAX);
	assert_int_equal(peer_n_unread(peer), 0);
	n_last = client_body_size(client);
	assert_true(n_last > 100 * sizeof(text));
	assert_non_null(strstr(client_body(client), stage_text("id: %s.100\n", id)));
}

static void a_drain_ends_streams_without_a_close(void **state)
{
	struct client *client;

	(void)state;
	client = open_stream("", EVENTS);
	peer_text(peer, "a");
	(void)client_take(client);
	bridge_drain(stage_bridge(), NULL);
	stage_pass_ms(0);
	took(client, "");
	assert_true(client_is_done(client));
	assert_string_equal(peer_received(peer), "close 1001\n");
}

static void a_poll_goes_on_as_a_stream_and_back(void **state)
{
	struct client *client;

	(void)state;
	client = open_stream("", LINES);
	peer_text(peer, "a");
	client = resume("", "?after=0");
	assert_non_null(strstr(client_body(client), "\"messages\":[{\"seq\":1,\"text\":\"a\"}]"));
	peer_text(peer, "b");
	client = resume(EVENTS, "?after=1");
	took(client, stage_text("retry: 1000\n\n%s%s", hello("1"), event(2, "b")));
}

static void ids_are_masked_in_logs(void **state)
{
	struct slice target = slice_from_string("/chat/~w1.abcdefghijklmnopqrstuv?after=1");
	struct arena arena;
	char *masked;

	(void)state;
	arena_init(&arena);
	masked = arena_string(&arena, session_id_mask_target(target, &arena));
	assert_string_equal(masked, "/chat/~w1.abcd...?after=1");
	arena_clear(&arena);
}

#define TEST(name) cmocka_unit_test_teardown(name, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_event_stream_begins_with_its_session),
		TEST(json_lines_begin_with_their_session),
		TEST(events_may_be_json),
		TEST(the_close_ends_an_event_stream_for_good),
		TEST(a_stream_that_was_cut_goes_on),
		TEST(last_event_id_wins_over_after),
		TEST(a_newer_transport_ends_a_stream),
		TEST(an_unknown_session_is_reset_to_a_new_one),
		TEST(a_bad_cursor_is_reset_to_the_oldest_kept),
		TEST(a_gap_is_told),
		TEST(what_the_clients_tcp_has_not_acknowledged_is_kept),
		TEST(a_reset_at_the_end_tells_the_close_again),
		TEST(heartbeats_come_when_nothing_does),
		TEST(a_client_that_acknowledges_nothing_counts_as_gone),
		TEST(a_slow_client_that_goes_on_is_not_gone),
		TEST(a_stalled_stream_holds_the_feed_back),
		TEST(a_drain_ends_streams_without_a_close),
		TEST(a_poll_goes_on_as_a_stream_and_back),
		TEST(ids_are_masked_in_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
