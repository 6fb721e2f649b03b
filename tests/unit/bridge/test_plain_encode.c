#include "bridge/client/plain_encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/memory.h"

static struct bytes out;

static int set_up(void **state)
{
	(void)state;
	bytes_init(&out);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	bytes_clear(&out);
	bytes_release_cache();
	return 0;
}

static void assert_out(struct slice text)
{
	struct slice is = bytes_linearize(&out, bytes_size(&out));

	if (!slice_equals(is, text))
		fail_msg("  is: %.*s\nmust: %.*s", SLICE_ARG(is), SLICE_ARG(text));
	bytes_clear(&out);
}

#define ASSERT_OUT(literal) assert_out(SLICE(literal))

static struct message *make(enum message_kind kind, uint64_t seq, struct slice payload)
{
	struct message *message = message_new(kind, payload);

	message->seq = seq;
	return message;
}

static struct message *make_close(uint64_t seq, struct slice reason)
{
	struct message *message = message_new_close(1000, reason, 3);

	message->seq = seq;
	return message;
}

static void strings(void **state)
{
	static const struct {
		struct slice text;
		struct slice json;
	} rows[] = {
#define ROW(text, json) \
	{ \
		{text, sizeof(text) - 1}, \
		{ \
			json, sizeof(json) - 1 \
		} \
	}
		ROW("", "\"\""),
		ROW("abc", "\"abc\""),
		ROW("\"\\/", "\"\\\"\\\\/\""),
		ROW("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""),
		ROW("\0\1\a\v\x1f", "\"\\u0000\\u0001\\u0007\\u000b\\u001f\""),
		ROW("\x0e\x0f\x10\x1a", "\"\\u000e\\u000f\\u0010\\u001a\""),
		ROW(" ~\x7f", "\" ~\\u007f\""),
		ROW("\xc2\x80\xc3\xa9", "\"\xc2\x80\xc3\xa9\""),
		ROW("\xe2\x80\xa8|\xe2\x80\xa9", "\"\\u2028|\\u2029\""),
		ROW("\xe2\x80\xa7\xe2\x80\xaa", "\"\xe2\x80\xa7\xe2\x80\xaa\""),
		ROW("\xe2\x81\xa8\xe2\x82\xac", "\"\xe2\x81\xa8\xe2\x82\xac\""),
		ROW("\xe2\x80\xa8\xe2\x80\xa8\"", "\"\\u2028\\u2028\\\"\""),
		ROW("\xef\xbb\xbf\xef\xbf\xbf", "\"\xef\xbb\xbf\xef\xbf\xbf\""),
		ROW("\xf0\x9f\x90\x9f", "\"\xf0\x9f\x90\x9f\""),
		ROW("<script>&'", "\"<script>&'\""),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		plain_encode_string(&out, rows[i].text);
		assert_out(rows[i].json);
	}
	plain_encode_string(&out, slice_of(NULL, 0));
	ASSERT_OUT("\"\"");
}

/* At each place of texts of each length up to three words. */
static void every_byte_is_seen_at_every_place(void **state)
{
	static const struct {
		struct slice text;
		const char *escape;
	} specials[] = {
		{{"\"", 1}, "\\\""},
		{{"\\", 1}, "\\\\"},
		{{"\0", 1}, "\\u0000"},
		{{"\x1f", 1}, "\\u001f"},
		{{"\n", 1}, "\\n"},
		{{"\x7f", 1}, "\\u007f"},
		{{"\xe2\x80\xa8", 3}, "\\u2028"},
		{{"\xe2\x80\xa9", 3}, "\\u2029"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
		for (size_t n_before = 0; n_before < 24; n_before++) {
			for (size_t n_after = 0; n_after < 24 - n_before; n_after++) {
				size_t n = n_before + specials[i].text.n + n_after;
				char *text = memory_alloc(n), must[64];

				memset(text, 'x', n);
				memcpy(text + n_before, specials[i].text.p, specials[i].text.n);
				plain_encode_string(&out, slice_of(text, n));
				snprintf(must, sizeof(must), "\"%.*s%s%.*s\"", (int)n_before,
					"xxxxxxxxxxxxxxxxxxxxxxxx", specials[i].escape,
					(int)n_after, "xxxxxxxxxxxxxxxxxxxxxxxx");
				assert_out(slice_from_string(must));
				free(text);
			}
		}
	}
}

static void base64(void **state)
{
	static const struct {
		struct slice data;
		const char *text;
	} rows[] = {
		{{"", 0}, ""},
		{{"f", 1}, "Zg=="},
		{{"fo", 2}, "Zm8="},
		{{"foo", 3}, "Zm9v"},
		{{"foob", 4}, "Zm9vYg=="},
		{{"fooba", 5}, "Zm9vYmE="},
		{{"foobar", 6}, "Zm9vYmFy"},
		{{"\0", 1}, "AA=="},
		{{"\0\1\2", 3}, "AAEC"},
		{{"\xff\xff\xff", 3}, "////"},
		{{"\xfb\xef\xbe", 3}, "++++"},
		{{"\xff\xfe", 2}, "//4="},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		plain_encode_base64(&out, rows[i].data);
		assert_out(slice_from_string(rows[i].text));
	}
}

static void objects(void **state)
{
	struct message *text = make(MESSAGE_TEXT, 6, SLICE("h\"i"));
	struct message *empty = make(MESSAGE_TEXT, UINT64_MAX, SLICE(""));
	struct message *binary = make(MESSAGE_BINARY, 7, SLICE("\0\1\2"));
	struct message *nothing = make(MESSAGE_BINARY, 10, SLICE(""));
	struct message *close = make_close(8, SLICE("b\"ye"));

	(void)state;
	plain_encode_object(&out, text);
	ASSERT_OUT("{\"seq\":6,\"text\":\"h\\\"i\"}");
	plain_encode_object(&out, empty);
	ASSERT_OUT("{\"seq\":18446744073709551615,\"text\":\"\"}");
	plain_encode_object(&out, binary);
	ASSERT_OUT("{\"seq\":7,\"binary\":\"AAEC\"}");
	plain_encode_object(&out, nothing);
	ASSERT_OUT("{\"seq\":10,\"binary\":\"\"}");
	plain_encode_object(&out, close);
	ASSERT_OUT("{\"seq\":8,\"closed\":{\"code\":1000,\"reason\":\"b\\\"ye\","
		   "\"undelivered\":3}}");
	plain_encode_closed(&out, close);
	ASSERT_OUT("{\"code\":1000,\"reason\":\"b\\\"ye\",\"undelivered\":3}");
	plain_encode_line_message(&out, binary);
	plain_encode_line_message(&out, close);
	ASSERT_OUT("{\"seq\":7,\"binary\":\"AAEC\"}\n"
		   "{\"seq\":8,\"closed\":{\"code\":1000,\"reason\":\"b\\\"ye\","
		   "\"undelivered\":3}}\n");
	message_free(text);
	message_free(empty);
	message_free(binary);
	message_free(nothing);
	message_free(close);
}

static void polls(void **state)
{
	struct message *text = make(MESSAGE_TEXT, 6, SLICE("hi"));
	struct message *binary = make(MESSAGE_BINARY, 7, SLICE("\0\1\2"));
	struct message *close = make_close(8, SLICE("bye"));

	(void)state;
	plain_encode_poll_start(&out, SLICE("/chat"), SLICE("w1.kX0"), 8);
	plain_encode_poll_message(&out, text, true);
	plain_encode_poll_message(&out, binary, false);
	plain_encode_poll_end(&out, close, false);
	ASSERT_OUT("{\"session\":\"w1.kX0\",\"next\":\"/chat/~w1.kX0?after=8\",\"cursor\":8,"
		   "\"messages\":[{\"seq\":6,\"text\":\"hi\"},{\"seq\":7,\"binary\":\"AAEC\"}],"
		   "\"closed\":{\"code\":1000,\"reason\":\"bye\",\"undelivered\":3}}\n");
	plain_encode_poll_start(&out, SLICE("/a\"b\\"), SLICE("x"), 0);
	plain_encode_poll_end(&out, NULL, false);
	ASSERT_OUT("{\"session\":\"x\",\"next\":\"/a\\\"b\\\\/~x?after=0\",\"cursor\":0,"
		   "\"messages\":[]}\n");
	plain_encode_poll_start(&out, SLICE("/a"), SLICE("x"), 4);
	plain_encode_poll_end(&out, NULL, true);
	ASSERT_OUT("{\"session\":\"x\",\"next\":\"/a/~x?after=4\",\"cursor\":4,"
		   "\"messages\":[],\"superseded\":true}\n");
	plain_encode_poll_end(&out, close, true);
	ASSERT_OUT("],\"closed\":{\"code\":1000,\"reason\":\"bye\",\"undelivered\":3},"
		   "\"superseded\":true}\n");
	message_free(text);
	message_free(binary);
	message_free(close);
}

static void events_of_a_stream(void **state)
{
	(void)state;
	plain_encode_event_retry(&out, 1000);
	plain_encode_event_session(&out, SLICE("w1.kX0"), 0);
	plain_encode_event_heartbeat(&out);
	ASSERT_OUT("retry: 1000\n\n"
		   "event: session\nid: w1.kX0.0\ndata: {\"session\":\"w1.kX0\",\"cursor\":0}\n\n"
		   ":\n\n");
	plain_encode_event_reset(&out, PLAIN_RESET_UNKNOWN, 1, 2);
	plain_encode_event_reset(&out, PLAIN_RESET_CURSOR, 1, 2);
	plain_encode_event_reset(&out, PLAIN_RESET_GAP, 1, UINT64_MAX);
	ASSERT_OUT(
		"event: reset\ndata: {\"reason\":\"unknown session\"}\n\n"
		"event: reset\ndata: {\"reason\":\"cursor\"}\n\n"
		"event: reset\ndata: {\"reason\":\"gap\",\"lost\":[1,18446744073709551615]}\n\n");
}

static void lines_of_a_stream(void **state)
{
	(void)state;
	plain_encode_line_session(&out, SLICE("w1.kX0"), 7);
	plain_encode_line_heartbeat(&out);
	ASSERT_OUT("{\"session\":\"w1.kX0\",\"cursor\":7}\n\n");
	plain_encode_line_reset(&out, PLAIN_RESET_UNKNOWN, 1, 2);
	plain_encode_line_reset(&out, PLAIN_RESET_CURSOR, 1, 2);
	plain_encode_line_reset(&out, PLAIN_RESET_GAP, 3, 5);
	ASSERT_OUT("{\"reset\":{\"reason\":\"unknown session\"}}\n"
		   "{\"reset\":{\"reason\":\"cursor\"}}\n"
		   "{\"reset\":{\"reason\":\"gap\",\"lost\":[3,5]}}\n");
}

static void messages_as_events(void **state)
{
	static const struct {
		const char *text;
		const char *lines;
	} rows[] = {
		{"", "data: \n"},
		{"hi", "data: hi\n"},
		{" hi", "data:  hi\n"},
		{":data: x", "data: :data: x\n"},
		{"a\nb", "data: a\ndata: b\n"},
		{"a\rb", "data: a\ndata: b\n"},
		{"a\r\nb", "data: a\ndata: b\n"},
		{"a\n\rb", "data: a\ndata: \ndata: b\n"},
		{"a\r\r\nb", "data: a\ndata: \ndata: b\n"},
		{"a\r\n\nb", "data: a\ndata: \ndata: b\n"},
		{"a\n", "data: a\ndata: \n"},
		{"a\r", "data: a\ndata: \n"},
		{"a\r\n", "data: a\ndata: \n"},
		{"\n", "data: \ndata: \n"},
		{"\r", "data: \ndata: \n"},
		{"\r\n", "data: \ndata: \n"},
		{"\n\r", "data: \ndata: \ndata: \n"},
		{"\r\n\r\n", "data: \ndata: \ndata: \n"},
		{"\ra\nb\rc\r\nd", "data: \ndata: a\ndata: b\ndata: c\ndata: d\n"},
		{"\xe2\x80\xa8", "data: \xe2\x80\xa8\n"},
	};
	char must[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct message *message = make(MESSAGE_TEXT, 9, slice_from_string(rows[i].text));

		plain_encode_event_message(&out, SLICE("w1.x"), message, false);
		snprintf(must, sizeof(must), "id: w1.x.9\n%s\n", rows[i].lines);
		assert_out(slice_from_string(must));
		message_free(message);
	}
}

static void other_messages_as_events(void **state)
{
	struct message *text = make(MESSAGE_TEXT, 6, SLICE("h\ni"));
	struct message *binary = make(MESSAGE_BINARY, 7, SLICE("\0\1\2"));
	struct message *nothing = make(MESSAGE_BINARY, 8, SLICE(""));
	struct message *close = make_close(9, SLICE("b\nye"));

	(void)state;
	plain_encode_event_message(&out, SLICE("x"), binary, false);
	plain_encode_event_message(&out, SLICE("x"), nothing, false);
	ASSERT_OUT("event: binary\nid: x.7\ndata: AAEC\n\nevent: binary\nid: x.8\ndata: \n\n");
	plain_encode_event_message(&out, SLICE("x"), text, true);
	plain_encode_event_message(&out, SLICE("x"), binary, true);
	ASSERT_OUT("id: x.6\ndata: {\"seq\":6,\"text\":\"h\\ni\"}\n\n"
		   "id: x.7\ndata: {\"seq\":7,\"binary\":\"AAEC\"}\n\n");
	for (unsigned as_json = 0; as_json < 2; as_json++) {
		plain_encode_event_message(&out, SLICE("x"), close, as_json);
		ASSERT_OUT(
			"event: close\nid: x.9\ndata: {\"code\":1000,\"reason\":\"b\\nye\"}\n\n");
	}
	message_free(text);
	message_free(binary);
	message_free(nothing);
	message_free(close);
}

static void errors(void **state)
{
	struct message *close = message_new_close(1006, SLICE(""), 0);

	(void)state;
	plain_encode_error(&out, "unknown session", NULL, 7);
	plain_encode_error(&out, "gap", "expected", 7);
	plain_encode_error(&out, "a\"b", "cursor", 0);
	plain_encode_gone(&out, close);
	ASSERT_OUT("{\"error\":\"unknown session\"}\n"
		   "{\"error\":\"gap\",\"expected\":7}\n"
		   "{\"error\":\"a\\\"b\",\"cursor\":0}\n"
		   "{\"error\":\"closed\",\"closed\":{\"code\":1006,\"reason\":\"\","
		   "\"undelivered\":0}}\n");
	message_free(close);
}

/* A mebibyte of one line end: searching all of it at each line would take minutes. */
static void many_lines_take_no_longer_than_few(void **state)
{
	static const char ends[] = "\r\n";
	size_t n = (size_t)1 << 20;
	char *text = memory_alloc(n);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct message *message;

		memset(text, ends[i], n);
		message = make(MESSAGE_TEXT, 1, slice_of(text, n));
		plain_encode_event_message(&out, SLICE("x"), message, false);
		assert_int_equal(bytes_size(&out), strlen("id: x.1\n\n") + (n + 1) * 7);
		bytes_clear(&out);
		message_free(message);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test(every_byte_is_seen_at_every_place),
		cmocka_unit_test(base64),
		cmocka_unit_test(objects),
		cmocka_unit_test(polls),
		cmocka_unit_test(events_of_a_stream),
		cmocka_unit_test(lines_of_a_stream),
		cmocka_unit_test(messages_as_events),
		cmocka_unit_test(other_messages_as_events),
		cmocka_unit_test(errors),
		cmocka_unit_test(many_lines_take_no_longer_than_few),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
