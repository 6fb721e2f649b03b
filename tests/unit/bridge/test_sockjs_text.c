/* Frames to SockJS clients, their escapes and wrappings; what clients send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bridge/client/sockjs_decode.h"
#include "bridge/client/sockjs_encode.h"

static struct bytes out;

static int tear_down(void **state)
{
	(void)state;
	bytes_clear(&out);
	assert_int_equal(bytes_live_segments(), 0);
	bytes_release_cache();
	return 0;
}

static void is_out(const char *text)
{
	struct slice got = bytes_linearize(&out, bytes_size(&out));

	if (!slice_equals(got, slice_from_string(text)))
		fail_msg("%.*s, not %s", SLICE_ARG(got), text);
	bytes_clear(&out);
}

/* Frames. */

static void encode_one(struct slice text)
{
	struct message *message = message_new(MESSAGE_TEXT, text);
	struct message_list list = TAILQ_HEAD_INITIALIZER(list);

	TAILQ_INSERT_TAIL(&list, message, link);
	sockjs_encode_messages(&out, message, message);
	message_free(message);
}

static void frames(void **state)
{
	struct message_list list = TAILQ_HEAD_INITIALIZER(list);
	struct message *last = NULL;

	(void)state;
	sockjs_encode_open(&out);
	is_out("o");
	sockjs_encode_heartbeat(&out);
	is_out("h");
	for (int i = 0; i < 3; i++) {
		last = message_new(MESSAGE_TEXT, i == 1 ? SLICE("") : SLICE("x"));
		TAILQ_INSERT_TAIL(&list, last, link);
	}
	sockjs_encode_messages(&out, TAILQ_FIRST(&list), last);
	is_out("a[\"x\",\"\",\"x\"]");
	sockjs_encode_messages(&out, TAILQ_FIRST(&list), TAILQ_FIRST(&list));
	is_out("a[\"x\"]");
	message_list_clear(&list);
	sockjs_encode_close(&out, 3000, SLICE("Go \"away\"!"));
	is_out("c[3000,\"Go \\\"away\\\"!\"]");
	sockjs_encode_close(&out, 1005, SLICE(""));
	is_out("c[1000,\"Normal closure\"]");
	sockjs_encode_close(&out, 1006, SLICE(""));
	is_out("c[1006,\"Connection lost\"]");
	sockjs_encode_close(&out, 1006, SLICE("why"));
	is_out("c[1006,\"why\"]");
}

static size_t write_utf8(char *p, uint32_t c)
{
	if (c < 0x80) {
		p[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (char)(0xc0 | c >> 6);
		p[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (char)(0xe0 | c >> 12);
		p[1] = (char)(0x80 | (c >> 6 & 0x3f));
		p[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	p[0] = (char)(0xf0 | c >> 18);
	p[1] = (char)(0x80 | (c >> 12 & 0x3f));
	p[2] = (char)(0x80 | (c >> 6 & 0x3f));
	p[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Every character, by the rule as it is written. */
static void every_character(void **state)
{
	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		char text[4], wanted[32] = "", body[5] = "";
		size_t n;

		if (c == 0xd800)
			c = 0xe000;
		n = write_utf8(text, c);
		memcpy(body, text, n);
		if (c == '"' || c == '\\')
			(void)snprintf(wanted, sizeof(wanted), "a[\"\\%c\"]", (int)c);
		else if (c == 8 || c == 9 || c == 10 || c == 12 || c == 13)
			(void)snprintf(wanted, sizeof(wanted), "a[\"\\%c\"]", "btn?fr"[c - 8]);
		else if (c > 0xffff)
			(void)snprintf(wanted, sizeof(wanted), "a[\"\\u%04x\\u%04x\"]",
				(unsigned)(0xd7c0 + (c >> 10)), (unsigned)(0xdc00 | (c & 0x3ff)));
		else if (c < 0x20 || (c >= 0x200c && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
			(c >= 0x2060 && c <= 0x206f) || c >= 0xfff0)
			(void)snprintf(wanted, sizeof(wanted), "a[\"\\u%04x\"]", (unsigned)c);
		else
			(void)snprintf(wanted, sizeof(wanted), "a[\"%s\"]", body);
		encode_one(slice_of(text, n));
		is_out(wanted);
	}
}

static void wrap(enum sockjs_transport transport, const char *frame)
{
	struct bytes taken;

	bytes_init(&taken);
	bytes_append_string(&taken, frame);
	sockjs_encode_wrap(&out, transport, SLICE("f.g"), &taken);
	assert_int_equal(bytes_size(&taken), 0);
}

static void wrappings(void **state)
{
	(void)state;
	wrap(SOCKJS_XHR, "o");
	is_out("o\n");
	wrap(SOCKJS_XHR_STREAMING, "a[\"\\n%\"]");
	is_out("a[\"\\n%\"]\n");
	wrap(SOCKJS_EVENTSOURCE, "a[\"%41 \\n%\"]");
	is_out("data: a[\"%2541 \\n%25\"]\r\n\r\n");
	wrap(SOCKJS_EVENTSOURCE, "\r\n%");
	is_out("data: %0D%0A%25\r\n\r\n");
	wrap(SOCKJS_HTMLFILE, "a[\"</script>\\\\\"]");
	is_out("<script>\np(\"a[\\\"\\u003c/script>\\\\\\\\\\\"]\");\n</script>\r\n");
	wrap(SOCKJS_JSONP, "o");
	is_out("/**/f.g(\"o\");\r\n");
	wrap(SOCKJS_TRANSPORT_WEBSOCKET, "o");
	is_out("o");
}

static void preludes(void **state)
{
	(void)state;
	sockjs_encode_prelude(&out, SOCKJS_XHR, SLICE("f"));
	sockjs_encode_prelude(&out, SOCKJS_JSONP, SLICE("f"));
	is_out("");
	sockjs_encode_prelude(&out, SOCKJS_EVENTSOURCE, SLICE("f"));
	is_out("\r\n");
	sockjs_encode_prelude(&out, SOCKJS_XHR_STREAMING, SLICE("f"));
	assert_int_equal(bytes_size(&out), 2049);
	for (size_t i = 0; i < 2048; i++)
		assert_int_equal(bytes_linearize(&out, 2049).p[i], 'h');
	bytes_clear(&out);
	sockjs_encode_prelude(&out, SOCKJS_HTMLFILE, SLICE("f.g"));
	assert_true(bytes_size(&out) > 1024);
	assert_non_null(memmem(
		bytes_linearize(&out, bytes_size(&out)).p, bytes_size(&out), "parent.f.g;", 11));
	bytes_clear(&out);
	sockjs_encode_info(&out, true, false, UINT32_MAX);
	is_out("{\"websocket\":true,\"origins\":[\"*:*\"],\"cookie_needed\":false,"
	       "\"entropy\":4294967295}");
}

/* What comes. */

static const struct sockjs_decode_limits limits = {.max_message = 8, .max_cost = 1000};

/* "VERDICT" or the messages, a "|" behind each. */
static const char *decode(struct slice body, bool is_frame)
{
	static char text[256];
	struct message_list list = TAILQ_HEAD_INITIALIZER(list);
	struct message *message;
	size_t cost = 0, sum = 0;
	enum sockjs_decode verdict = is_frame ? sockjs_decode_frame(body, &limits, &list, &cost)
					      : sockjs_decode_array(body, &limits, &list, &cost);

	text[0] = '\0';
	if (verdict != SOCKJS_DECODED) {
		assert_true(TAILQ_EMPTY(&list));
		(void)snprintf(text, sizeof(text), "%s", sockjs_decode_name(verdict));
	}
	TAILQ_FOREACH (message, &list, link) {
		assert_int_equal(message->kind, MESSAGE_TEXT);
		sum += message_cost(message);
		(void)strncat(text, message->payload, message->size);
		(void)strcat(text, "|");
	}
	assert_int_equal(cost, sum);
	message_list_clear(&list);
	return text;
}

static void arrays(void **state)
{
	static const struct {
		const char *body;
		const char *result;
	} rows[] = {
		{"[]", ""},
		{" [ ] ", ""},
		{"[\"a\",\"\",\"c\"]", "a||c|"},
		{"[\"\\u00e9\\/\\\"\"]", "\xc3\xa9/\"|"},
		{"[\"\\ud83d\\ude00\"]", "\xf0\x9f\x98\x80|"},
		{"[\"\\ud83d\"]", "\xef\xbf\xbd|"},
		{"[\"\\udE00\"]", "\xef\xbf\xbd|"},
		{"[\"\\udE00\\uD83D\"]", "\xef\xbf\xbd\xef\xbf\xbd|"},
		{"[\"\\uD83D\\n\"]", "\xef\xbf\xbd\n|"},
		{"[\"\\\\ud83d\"]", "\\ud83d|"},
		{"[\"\\\\\\ud83d\"]", "\\\xef\xbf\xbd|"},
		{"", "no payload"},
		{" \r\n", "no payload"},
		{"\"a\"", "no payload"},
		{"{\"a\":\"b\"}", "no payload"},
		{"null", "no payload"},
		{"[1]", "no payload"},
		{"[\"a\",[]]", "no payload"},
		{"[", "broken"},
		{"[\"a\"", "broken"},
		{"[\"a", "broken"},
		{"[\"a\\", "broken"},
		{"[\"\\ud8", "broken"},
		{"[\"\\ud83d\\u", "broken"},
		{"[\"a\",]", "broken"},
		{"[\"a\"] x", "broken"},
		{"[\"\xff\"]", "broken"},
		{"[\"\xed\xa0\x80\"]", "broken"},
		{"[\"\n\"]", "broken"},
		{"\\", "broken"},
		{"[\"12345678\"]", "12345678|"},
		{"[\"123456789\"]", "too big"},
		{"[\"a\",\"123456789\"]", "too big"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = decode(slice_from_string(rows[i].body), false);

		if (strcmp(got, rows[i].result) != 0)
			fail_msg("%s: %s, not %s", rows[i].body, got, rows[i].result);
	}
}

static void a_nul_is_a_character(void **state)
{
	struct message_list list = TAILQ_HEAD_INITIALIZER(list);
	size_t cost = 0;

	(void)state;
	assert_int_equal(sockjs_decode_array(SLICE("[\"a\\u0000b\"]"), &limits, &list, &cost),
		SOCKJS_DECODED);
	assert_int_equal(TAILQ_FIRST(&list)->size, 3);
	assert_memory_equal(TAILQ_FIRST(&list)->payload, "a\0b", 3);
	message_list_clear(&list);
}

static void all_together_are_bounded(void **state)
{
	char body[8192] = "[\"\"";
	size_t n = 1000 / sizeof(struct message);

	(void)state;
	for (size_t i = 1; i < n; i++)
		(void)strcat(body, ",\"\"");
	(void)strcat(body, "]");
	assert_int_equal(strlen(decode(slice_from_string(body), false)), n);
	body[strlen(body) - 1] = '\0';
	(void)strcat(body, ",\"\"]");
	assert_string_equal(decode(slice_from_string(body), false), "too big");
	memset(body, ' ', sizeof(body));
	assert_string_equal(
		decode(slice_of(body, sockjs_decode_body_limit(&limits)), false), "no payload");
	assert_string_equal(
		decode(slice_of(body, sockjs_decode_body_limit(&limits) + 1), false), "too big");
}

static void web_socket_frames(void **state)
{
	(void)state;
	assert_string_equal(decode(SLICE(""), true), "");
	assert_string_equal(decode(SLICE("\"a\""), true), "a|");
	assert_string_equal(decode(SLICE("[\"a\",\"b\"]"), true), "a|b|");
	assert_string_equal(decode(SLICE("\"123456789\""), true), "too big");
	assert_string_equal(decode(SLICE("1"), true), "no payload");
	assert_string_equal(decode(SLICE("\"a"), true), "broken");
}

static void forms(void **state)
{
	static const struct {
		const char *body;
		const char *d;
	} rows[] = {
		{"d=a", "a"},
		{"d=%5B%22a+b%22%5d", "[\"a b\"]"},
		{"x=1&d=b&d=c", "b"},
		{"dd=1&d=%&", "%"},
		{"", ""},
		{"d", ""},
		{"d=", ""},
		{"D=1", ""},
	};
	struct arena arena;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(
			slice_equals(sockjs_decode_form(slice_from_string(rows[i].body), &arena),
				slice_from_string(rows[i].d)));
	arena_clear(&arena);
	arena_release_cache();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(frames, tear_down),
		cmocka_unit_test_teardown(every_character, tear_down),
		cmocka_unit_test_teardown(wrappings, tear_down),
		cmocka_unit_test_teardown(preludes, tear_down),
		cmocka_unit_test_teardown(arrays, tear_down),
		cmocka_unit_test_teardown(a_nul_is_a_character, tear_down),
		cmocka_unit_test_teardown(all_together_are_bounded, tear_down),
		cmocka_unit_test_teardown(web_socket_frames, tear_down),
		cmocka_unit_test_teardown(forms, tear_down),
	};

	bytes_init(&out);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
