/* The server's end of a client's WebSocket: RFC 6455's rules, back-pressure, and every way to end.
 */
#include "tests/unit/bridge/stage_web_socket.h"

#include "bridge/client/ws_endpoint.h"
#include "proxy/base/memory.h"
#include "proxy/http/reason.h"

#define MAX_MESSAGE 1000
#define PING_MS 20000
#define PONG_MS 7000
#define STALL_MS 10000
#define CLOSE_MS 5000

/* What a test lets the owner do when a message comes. */
enum reaction { LISTEN, ECHO, CLOSE, ABORT, PAUSE };

static struct {
	struct exchange *x; /* while it is not over */
	struct ws_endpoint *end;
	struct web_socket *socket;
	enum reaction reaction;
	struct slice protocol;
	uint64_t ping_ms;
	char log[4096];
	size_t n_log;
} here;

static void note(const char *what, struct slice payload)
{
	here.n_log += (size_t)snprintf(here.log + here.n_log, sizeof(here.log) - here.n_log,
		"%s%s%.*s\n", what, payload.n > 0 ? " " : "", (int)MIN(payload.n, 100u), payload.p);
	assert_true(here.n_log < sizeof(here.log));
}

/* What the owner was told since the last look. */
static void told(const char *lines)
{
	assert_string_equal(here.log, lines);
	here.log[0] = '\0';
	here.n_log = 0;
}

static void on_message(void *arg, enum message_kind kind, struct slice payload)
{
	(void)arg;
	note(message_kind_name(kind), payload);
	switch (here.reaction) {
	case LISTEN:
		break;
	case ECHO:
		ws_endpoint_send(here.end, kind, payload);
		break;
	case CLOSE:
		ws_endpoint_close(here.end, 4001, SLICE("enough"));
		break;
	case ABORT:
		ws_endpoint_abort(here.end, REASON_OVERLOAD);
		break;
	case PAUSE:
		ws_endpoint_set_reading(here.end, false);
		break;
	}
}

static void on_room(void *arg)
{
	(void)arg;
	note("room", SLICE(""));
}

static void on_closed(void *arg, uint16_t code, struct slice reason)
{
	char text[32];

	(void)arg;
	(void)snprintf(text, sizeof(text), "closed %u", code);
	note(text, reason);
}

static void on_over(void *arg)
{
	(void)arg;
	note("over", SLICE(""));
	note(reason_name(here.x->reason), SLICE(""));
	here.x = NULL;
	here.end = NULL;
}

static bool start(struct exchange *x)
{
	static const struct ws_endpoint_owner owner = {.on_message = on_message,
		.on_room = on_room,
		.on_closed = on_closed,
		.on_over = on_over};
	struct fields fields = {0};
	struct ws_endpoint_options options = {.protocol = here.protocol,
		.fields = &fields,
		.max_message_size = MAX_MESSAGE,
		.ping_ms = here.ping_ms,
		.pong_ms = PONG_MS,
		.stall_ms = STALL_MS};

	fields_add(&fields, &x->arena, SLICE("X-Extra"), SLICE("1"));
	here.x = x;
	here.end = ws_endpoint_accept(x, &options, &owner, NULL);
	return true;
}

static void open_with(const char *fields, enum reaction reaction)
{
	stage_open("");
	stage_set_handler(start);
	here.reaction = reaction;
	here.socket = web_socket_open("/chat", fields);
}

static int set_up(void **state)
{
	(void)state;
	memset(&here, 0, sizeof(here));
	here.ping_ms = PING_MS;
	return 0;
}

static int tear_down(void **state)
{
	if (here.socket != NULL)
		web_socket_free(here.socket);
	return stage_tear_down(state);
}

static struct client *client(void)
{
	return web_socket_client(here.socket);
}

static void received(const char *lines)
{
	assert_string_equal(web_socket_received(here.socket), lines);
}

static void settle(void)
{
	stage_pass_ms(0);
}

/* Both closes have been; the client ends its side too. */
static void ends_well(void)
{
	assert_true(client_is_ended(client()));
	client_end(client());
	assert_true(client_is_closed(client()));
	assert_null(here.end);
}

static void the_answer_is_a_handshake(void **state)
{
	(void)state;
	here.protocol = SLICE("b");
	open_with("Sec-WebSocket-Protocol: a, b\r\n", LISTEN);
	assert_string_equal(client_field(client(), "Upgrade"), "websocket");
	assert_string_equal(client_field(client(), "Sec-WebSocket-Protocol"), "b");
	assert_string_equal(client_field(client(), "X-Extra"), "1");
	assert_non_null(client_field(client(), "Date"));
	assert_null(client_field(client(), "Sec-WebSocket-Extensions"));
}

static void without_a_subprotocol_none_is_named(void **state)
{
	(void)state;
	open_with("Sec-WebSocket-Extensions: permessage-deflate\r\n", LISTEN);
	assert_null(client_field(client(), "Sec-WebSocket-Protocol"));
	assert_null(client_field(client(), "Sec-WebSocket-Extensions"));
}

static void an_offer_is_compared_as_it_stands(void **state)
{
	struct arena arena;
	struct request_head head = {0};

	(void)state;
	arena_init(&arena);
	fields_add(&head.fields, &arena, SLICE("Sec-WebSocket-Protocol"), SLICE("a, pollux.v1"));
	fields_add(&head.fields, &arena, SLICE("Sec-WebSocket-Protocol"), SLICE("c"));
	fields_add(&head.fields, &arena, SLICE("X-Protocol"), SLICE("d"));
	assert_true(ws_endpoint_is_offered(&head, SLICE("a")));
	assert_true(ws_endpoint_is_offered(&head, SLICE("pollux.v1")));
	assert_true(ws_endpoint_is_offered(&head, SLICE("c")));
	assert_false(ws_endpoint_is_offered(&head, SLICE("Pollux.v1")));
	assert_false(ws_endpoint_is_offered(&head, SLICE("pollux")));
	assert_false(ws_endpoint_is_offered(&head, SLICE("d")));
	arena_clear(&arena);
	arena_release_cache();
}

static void messages_go_both_ways(void **state)
{
	(void)state;
	open_with("", ECHO);
	web_socket_text(here.socket, "hello");
	web_socket_frame(here.socket, true, WS_OP_BINARY, "\1\2", 2);
	web_socket_text(here.socket, "");
	told("text hello\nbinary \1\2\ntext\n");
	received("text hello\nbinary \1\2\ntext\n");
}

static void fragments_are_joined_and_pings_answered_between_them(void **state)
{
	(void)state;
	open_with("", LISTEN);
	web_socket_frame(here.socket, false, WS_OP_TEXT, "he", 2);
	web_socket_frame(here.socket, true, WS_OP_PING, "p", 1);
	received("pong p\n");
	web_socket_frame(here.socket, true, WS_OP_CONTINUATION, "llo", 3);
	told("text hello\n");
	web_socket_frame(here.socket, true, WS_OP_PONG, "unasked", 7);
	told("");
	received("");
}

static void frames_come_byte_by_byte(void **state)
{
	static const uint8_t frame[] = {
		0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};

	(void)state;
	open_with("", LISTEN);
	for (size_t i = 0; i < sizeof(frame); i++) {
		told("");
		client_send_bytes(client(), frame + i, 1);
	}
	told("text Hello\n");
}

/* Each: what the client sends, and what becomes of it. */
static const struct breach {
	const char *name;
	struct slice bytes;
	uint16_t code;
} breaches[] = {
	{"unmasked", SLICE("\x81\x01x"), 1002},
	{"reserved bit", SLICE("\xc1\x80\0\0\0\0"), 1002},
	{"reserved opcode", SLICE("\x83\x80\0\0\0\0"), 1002},
	{"reserved control opcode", SLICE("\x8b\x80\0\0\0\0"), 1002},
	{"fragmented ping", SLICE("\x09\x80\0\0\0\0"), 1002},
	{"long ping", SLICE("\x89\xfe\0\x7e\0\0\0\0"), 1002},
	{"continuation of nothing", SLICE("\x80\x80\0\0\0\0"), 1002},
	{"message in a message", SLICE("\x01\x80\0\0\0\0\x81\x80\0\0\0\0"), 1002},
	{"close of one byte", SLICE("\x88\x81\0\0\0\0x"), 1002},
	{"close with 1005", SLICE("\x88\x82\0\0\0\0\x03\xed"), 1002},
	{"length not minimal", SLICE("\x81\xfe\0\x01\0\0\0\0x"), 1002},
	{"text that is not utf-8", SLICE("\x81\x82\0\0\0\0\xc0\x80"), 1007},
	{"close reason that is not utf-8", SLICE("\x88\x83\0\0\0\0\x03\xe8\xff"), 1007},
	{"message over the limit", SLICE("\x82\xfe\x03\xe9\0\0\0\0"), 1009},
};

static void a_breach_is_answered_with_its_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(breaches); i++) {
		const struct breach *breach = &breaches[i];
		const char *answer, *start_of_answer;

		open_with("", LISTEN);
		start_of_answer = stage_text("close %u ", breach->code);
		client_send_bytes(client(), breach->bytes.p, breach->bytes.n);
		answer = web_socket_received(here.socket);
		if (strncmp(answer, start_of_answer, strlen(start_of_answer)) != 0)
			fail_msg("%s: %s", breach->name, answer);
		assert_non_null(strstr(here.log, stage_text("closed %u ", breach->code)));
		here.n_log = 0;
		/* What follows is not looked at. */
		client_send(client(), "anything");
		ends_well();
		told("over\nbad-websocket\n");
		web_socket_free(here.socket);
		here.socket = NULL;
		stage_close();
	}
}

static void a_message_of_the_limit_is_taken(void **state)
{
	char text[MAX_MESSAGE + 1];

	(void)state;
	open_with("", ECHO);
	memset(text, 'a', MAX_MESSAGE);
	text[MAX_MESSAGE] = '\0';
	web_socket_text(here.socket, text);
	received(stage_text("text %s\n", text));
}

static void a_close_is_answered_with_its_code(void **state)
{
	static const uint16_t codes[] = {1000, 1001, 3000, 4999, WS_CODE_NO_STATUS};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		const char *reason = codes[i] == WS_CODE_NO_STATUS ? "" : " why";

		open_with("", LISTEN);
		web_socket_close(here.socket, codes[i], reason + (reason[0] == ' '));
		received(stage_text("close %u\n", codes[i]));
		told(stage_text("closed %u%s\n", codes[i], reason));
		ends_well();
		told("over\nnone\n");
		web_socket_free(here.socket);
		here.socket = NULL;
		stage_close();
	}
}

static void a_client_that_does_not_end_after_its_close_is_cut(void **state)
{
	(void)state;
	open_with("", LISTEN);
	web_socket_close(here.socket, 1000, "");
	stage_pass_ms(CLOSE_MS - 1);
	assert_false(client_is_closed(client()));
	stage_pass_ms(1);
	assert_true(client_is_closed(client()));
	told("closed 1000\nover\ntunnel-timeout\n");
}

static void our_close_waits_for_the_answer(void **state)
{
	(void)state;
	open_with("", LISTEN);
	ws_endpoint_send(here.end, MESSAGE_TEXT, SLICE("last"));
	ws_endpoint_close(here.end, 1012, SLICE("come back"));
	ws_endpoint_close(here.end, 1000, SLICE("twice"));
	ws_endpoint_send(here.end, MESSAGE_TEXT, SLICE("too late"));
	settle();
	received("text last\nclose 1012 come back\n");
	assert_false(client_is_ended(client()));
	/* What the client had sent before it heard of it is dropped. */
	web_socket_text(here.socket, "crossing");
	web_socket_frame(here.socket, true, WS_OP_PING, "x", 1);
	web_socket_close(here.socket, 1012, "");
	received("");
	ends_well();
	told("over\nnone\n");
}

static void our_close_is_not_waited_for_for_ever(void **state)
{
	(void)state;
	open_with("", LISTEN);
	ws_endpoint_close(here.end, 1000, SLICE(""));
	stage_pass_ms(CLOSE_MS - 1);
	told("");
	stage_pass_ms(1);
	assert_true(client_is_closed(client()));
	told("over\ntunnel-timeout\n");
}

static void a_code_that_may_not_be_sent_is_sent_as_none(void **state)
{
	(void)state;
	open_with("", LISTEN);
	ws_endpoint_close(here.end, WS_CODE_ABNORMAL, SLICE("broken"));
	settle();
	received("close 1005\n");
	client_end(client());
	assert_true(client_is_closed(client()));
	told("over\ntunnel-cut\n");
}

static void the_owner_may_close_from_a_message(void **state)
{
	(void)state;
	open_with("", CLOSE);
	/* The second is here in the same moment. */
	client_send_bytes(client(), "\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b", 14);
	told("text a\n");
	received("close 4001 enough\n");
	web_socket_close(here.socket, 4001, "");
	ends_well();
	told("over\nnone\n");
}

static void the_owner_may_abort_from_a_message(void **state)
{
	(void)state;
	open_with("", ABORT);
	client_send_bytes(client(), "\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b", 14);
	assert_true(client_is_closed(client()));
	told("text a\nover\noverload\n");
}

static void an_end_without_a_close_is_1006(void **state)
{
	(void)state;
	open_with("", LISTEN);
	web_socket_text(here.socket, "a");
	client_end(client());
	assert_true(client_is_closed(client()));
	told("text a\nclosed 1006\nover\ntunnel-cut\n");
}

static void a_reset_is_1006(void **state)
{
	(void)state;
	open_with("", LISTEN);
	client_leave(client());
	told("closed 1006\nover\ntunnel-cut\n");
}

static void silence_is_answered_with_a_ping(void **state)
{
	(void)state;
	open_with("", LISTEN);
	stage_pass_ms(PING_MS - 1);
	received("");
	stage_pass_ms(1);
	received("ping\n");
	stage_pass_ms(PONG_MS - 1);
	web_socket_frame(here.socket, true, WS_OP_PONG, "", 0);
	stage_pass_ms(PING_MS - 1);
	received("");
	/* Any frame is a sign of life. */
	web_socket_text(here.socket, "a");
	stage_pass_ms(PING_MS - 1);
	received("");
	stage_pass_ms(1);
	received("ping\n");
	told("text a\n");
	stage_pass_ms(PONG_MS - 1);
	told("");
	stage_pass_ms(1);
	assert_true(client_is_closed(client()));
	told("closed 1006\nover\ntunnel-timeout\n");
}

static void without_a_ping_time_silence_is_endless(void **state)
{
	(void)state;
	here.ping_ms = 0;
	open_with("", LISTEN);
	stage_pass_ms(10000000);
	received("");
	told("");
	web_socket_text(here.socket, "a");
	told("text a\n");
}

static void a_client_that_takes_nothing_is_cut(void **state)
{
	(void)state;
	open_with("", LISTEN);
	client_set_room(client(), 0);
	ws_endpoint_send(here.end, MESSAGE_TEXT, SLICE("a"));
	stage_pass_ms(STALL_MS - 1);
	told("");
	client_set_room(client(), 1);
	stage_pass_ms(STALL_MS - 1);
	told("");
	stage_pass_ms(STALL_MS / 4 + 1);
	told("closed 1006\nover\nclient-stall\n");
	assert_true(client_is_closed(client()));
}

static void room_ends_and_comes_back(void **state)
{
	static char text[40000];
	uint64_t n_sent;

	(void)state;
	open_with("", LISTEN);
	client_set_room(client(), 0);
	while (ws_endpoint_room(here.end) > 0) {
		ws_endpoint_send(here.end, MESSAGE_BINARY, slice_of(text, sizeof(text)));
		settle();
	}
	n_sent = ws_endpoint_n_sent(here.end);
	assert_true(n_sent >= sizeof(text));
	assert_true(ws_endpoint_n_acknowledged(here.end) == 0);
	told("");
	client_set_room(client(), SIZE_MAX);
	told("room\n");
	assert_true(ws_endpoint_n_sent(here.end) == n_sent);
	assert_true(ws_endpoint_n_acknowledged(here.end) == n_sent);
	assert_true(ws_endpoint_room(here.end) > 0);
}

/* RFC 6455 section 5.5.3. */
static void of_many_pings_the_last_is_answered(void **state)
{
	static char text[40000];
	const char *all;

	(void)state;
	memset(text, 'a', sizeof(text));
	open_with("", LISTEN);
	client_set_room(client(), 0);
	while (ws_endpoint_room(here.end) > 0) {
		ws_endpoint_send(here.end, MESSAGE_BINARY, slice_of(text, sizeof(text)));
		settle();
	}
	for (int i = 0; i < 100; i++)
		web_socket_frame(here.socket, true, WS_OP_PING, stage_text("%02d", i), 2);
	client_set_room(client(), SIZE_MAX);
	all = web_socket_received(here.socket);
	assert_null(strstr(all, "pong 00"));
	assert_null(strstr(all, "pong 98"));
	assert_non_null(strstr(all, "pong 99"));
}

static void who_does_not_read_holds_the_client_back(void **state)
{
	static char text[MAX_MESSAGE];
	int n = 0;

	(void)state;
	open_with("", PAUSE);
	web_socket_text(here.socket, "first");
	told("text first\n");
	for (; client_n_unread(client()) == 0; n++) {
		web_socket_frame(here.socket, true, WS_OP_BINARY, text, sizeof(text));
		assert_true(n < 1000);
	}
	told("");
	/* Its silence is not its fault. */
	stage_pass_ms(10 * (PING_MS + PONG_MS));
	told("");
	here.reaction = ECHO;
	ws_endpoint_set_reading(here.end, true);
	settle();
	assert_int_equal(client_n_unread(client()), 0);
	assert_non_null(strstr(web_socket_received(here.socket), "binary"));
}

static void a_pause_holds_the_end_back_too(void **state)
{
	(void)state;
	open_with("", PAUSE);
	web_socket_text(here.socket, "a");
	web_socket_text(here.socket, "b");
	web_socket_close(here.socket, 1000, "");
	client_end(client());
	told("text a\n");
	here.reaction = LISTEN;
	ws_endpoint_set_reading(here.end, true);
	settle();
	told("text b\nclosed 1000\nover\nnone\n");
	assert_true(client_is_closed(client()));
}

static void a_slow_reader_may_take_its_time_to_the_close(void **state)
{
	static char text[40000];

	(void)state;
	open_with("", LISTEN);
	client_set_room(client(), 0);
	ws_endpoint_send(here.end, MESSAGE_BINARY, slice_of(text, sizeof(text)));
	ws_endpoint_close(here.end, 1000, SLICE(""));
	for (int i = 0; i < 5; i++) {
		stage_pass_ms(CLOSE_MS - 1);
		client_set_room(client(), 100);
	}
	told("");
	stage_pass_ms(2 * CLOSE_MS);
	told("over\ntunnel-timeout\n");
	assert_true(client_is_closed(client()));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_answer_is_a_handshake),
		TEST(without_a_subprotocol_none_is_named),
		TEST(messages_go_both_ways),
		TEST(fragments_are_joined_and_pings_answered_between_them),
		TEST(frames_come_byte_by_byte),
		TEST(a_breach_is_answered_with_its_code),
		TEST(a_message_of_the_limit_is_taken),
		TEST(a_close_is_answered_with_its_code),
		TEST(a_client_that_does_not_end_after_its_close_is_cut),
		TEST(our_close_waits_for_the_answer),
		TEST(our_close_is_not_waited_for_for_ever),
		TEST(a_code_that_may_not_be_sent_is_sent_as_none),
		TEST(the_owner_may_close_from_a_message),
		TEST(the_owner_may_abort_from_a_message),
		TEST(an_end_without_a_close_is_1006),
		TEST(a_reset_is_1006),
		TEST(silence_is_answered_with_a_ping),
		TEST(without_a_ping_time_silence_is_endless),
		TEST(a_client_that_takes_nothing_is_cut),
		TEST(room_ends_and_comes_back),
		TEST(of_many_pings_the_last_is_answered),
		TEST(who_does_not_read_holds_the_client_back),
		TEST(a_pause_holds_the_end_back_too),
		TEST(a_slow_reader_may_take_its_time_to_the_close),
		cmocka_unit_test(an_offer_is_compared_as_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
