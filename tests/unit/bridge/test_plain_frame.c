#include "bridge/client/plain_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bridge/client/plain_encode.h"
#include "proxy/base/bytes.h"

/* Parsed in allocations of their own sizes, so that a sanitizer sees a byte beyond them. */
static bool parse(struct slice text, struct plain_frame *frame, char **scratch)
{
	char *exact = malloc(text.n);
	bool is_good;

	memcpy(exact, text.p, text.n);
	*scratch = malloc(text.n);
	is_good = plain_frame_parse(frame, slice_of(exact, text.n), *scratch);
	free(exact);
	return is_good;
}

static void is_frame(struct slice text, enum plain_frame_kind kind, uint64_t number, uint16_t code,
	struct slice payload)
{
	struct plain_frame frame;
	char *scratch;

	if (!parse(text, &frame, &scratch))
		fail_msg("%.*s is malformed", SLICE_ARG(text));
	assert_string_equal(plain_frame_kind_name(frame.kind), plain_frame_kind_name(kind));
	assert_true(frame.number == number);
	if (kind == PLAIN_FRAME_CLOSE)
		assert_int_equal(frame.code, code);
	assert_true(slice_equals(frame.payload, payload));
	free(scratch);
}

static void is_text(struct slice text, struct slice payload)
{
	is_frame(text, PLAIN_FRAME_TEXT, 1, 0, payload);
}

static void is_binary(struct slice text, struct slice payload)
{
	is_frame(text, PLAIN_FRAME_BINARY, 1, 0, payload);
}

static void messages_have_a_number_and_a_payload(void **state)
{
	(void)state;
	is_text(SLICE("{\"n\":1,\"text\":\"hi\"}"), SLICE("hi"));
	is_text(SLICE("{\"text\":\"hi\",\"n\":1}"), SLICE("hi"));
	is_text(SLICE("{\"n\":1,\"text\":\"\"}"), SLICE(""));
	is_text(SLICE(" {\t\"n\" :\r\n1 , \"text\": \"hi\" } \n"), SLICE("hi"));
	is_text(SLICE("{\"\\u006e\":1,\"te\\u0078t\":\"hi\"}"), SLICE("hi"));
	is_frame(SLICE("{\"n\":18446744073709551615,\"text\":\"x\"}"), PLAIN_FRAME_TEXT, UINT64_MAX,
		0, SLICE("x"));
	is_frame(SLICE("{\"ack\":0}"), PLAIN_FRAME_ACK, 0, 0, SLICE(""));
	is_frame(
		SLICE("{\"ack\":18446744073709551615}"), PLAIN_FRAME_ACK, UINT64_MAX, 0, SLICE(""));
}

static void strings_are_decoded(void **state)
{
	(void)state;
	is_text(SLICE("{\"n\":1,\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}"),
		SLICE("\"\\/\b\f\n\r\t"));
	is_text(SLICE("{\"n\":1,\"text\":\"a\\u0000b\"}"), SLICE("a\0b"));
	is_text(SLICE("{\"n\":1,\"text\":\"\\u007f\\u0080\\u07ff\\u0800\\uFFFF\"}"),
		SLICE("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"));
	is_text(SLICE("{\"n\":1,\"text\":\"\\ud800\\udc00\\uDBFF\\uDFFF\"}"),
		SLICE("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
	is_text(SLICE("{\"n\":1,\"text\":\"\xe2\x82\xac\x7f/\"}"), SLICE("\xe2\x82\xac\x7f/"));
}

static void bytes_are_base64(void **state)
{
	(void)state;
	is_binary(SLICE("{\"n\":1,\"binary\":\"\"}"), SLICE(""));
	is_binary(SLICE("{\"n\":1,\"binary\":\"AAEC\"}"), SLICE("\0\1\2"));
	is_binary(SLICE("{\"binary\":\"AAE=\",\"n\":1}"), SLICE("\0\1"));
	is_binary(SLICE("{\"n\":1,\"binary\":\"/w==\"}"), SLICE("\xff"));
	is_binary(SLICE("{\"n\":1,\"binary\":\"+\\/+\\/\"}"), SLICE("\xfb\xff\xbf"));
}

static void every_byte_survives_base64(void **state)
{
	char all[256];
	struct bytes text;

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	for (size_t n = 250; n <= 256; n++) {
		bytes_init(&text);
		bytes_append_string(&text, "{\"n\":1,\"binary\":\"");
		plain_encode_base64(&text, slice_of(all, n));
		bytes_append_string(&text, "\"}");
		is_binary(bytes_linearize(&text, bytes_size(&text)), slice_of(all, n));
		bytes_clear(&text);
	}
	bytes_release_cache();
}

static void a_close_has_a_code_and_a_reason(void **state)
{
	char text[200] = "{\"close\":{\"reason\":\"";
	char reason[123];

	(void)state;
	is_frame(SLICE("{\"close\":{}}"), PLAIN_FRAME_CLOSE, 0, 1000, SLICE(""));
	is_frame(SLICE("{\"close\":{\"code\":1000}}"), PLAIN_FRAME_CLOSE, 0, 1000, SLICE(""));
	is_frame(SLICE("{\"close\":{\"code\":3000,\"reason\":\"bye\"}}"), PLAIN_FRAME_CLOSE, 0,
		3000, SLICE("bye"));
	is_frame(SLICE("{\"close\":{\"reason\":\"\\u20ac\",\"code\":4999}}"), PLAIN_FRAME_CLOSE, 0,
		4999, SLICE("\xe2\x82\xac"));
	memset(reason, 'r', sizeof(reason));
	memcpy(text + strlen(text), reason, sizeof(reason));
	strcat(text, "\"}}");
	is_frame(slice_from_string(text), PLAIN_FRAME_CLOSE, 0, 1000,
		slice_of(reason, sizeof(reason)));
}

static const struct slice malformed[] = {
	SLICE("x"),
	SLICE("null"),
	SLICE("[]"),
	SLICE("{}"),
	SLICE("\"n\""),
	SLICE("{\"n\":1}"),
	SLICE("{\"text\":\"x\"}"),
	SLICE("{\"n\":1,\"text\":\"x\"} x"),
	SLICE("{\"n\":1,\"text\":\"x\"}{}"),
	SLICE("{\"n\":1,\"text\":\"x\""),
	SLICE("{\"n\":1,\"text\":\"x"),
	SLICE("{\"n\":1,\"text\":\"x\\"),
	SLICE("{"),
	SLICE("{\"n\""),
	SLICE("{\"n\":1,}"),
	SLICE("{,\"ack\":1}"),
	SLICE("{\"ack\" 1}"),
	SLICE("{\"ack\":}"),
	SLICE("{n:1}"),
	SLICE("{'ack':1}"),
	SLICE("{\"ack\":\"1\"}"),
	SLICE("{\"ack\":null}"),
	/* numbers */
	SLICE("{\"ack\":-1}"),
	SLICE("{\"ack\":+1}"),
	SLICE("{\"ack\":01}"),
	SLICE("{\"ack\":00}"),
	SLICE("{\"ack\":1.0}"),
	SLICE("{\"ack\":1e3}"),
	SLICE("{\"ack\":18446744073709551616}"),
	SLICE("{\"n\":0,\"text\":\"x\"}"),
	/* members */
	SLICE("{\"n\":1,\"text\":\"x\",\"binary\":\"\"}"),
	SLICE("{\"n\":1,\"text\":\"x\",\"ack\":1}"),
	SLICE("{\"n\":1,\"n\":1,\"text\":\"x\"}"),
	SLICE("{\"n\":1,\"text\":\"x\",\"text\":\"x\"}"),
	SLICE("{\"n\":1,\"text\":\"x\",\"more\":1}"),
	SLICE("{\"N\":1,\"text\":\"x\"}"),
	SLICE("{\"n\":1,\"text\":1}"),
	SLICE("{\"n\":1,\"text\":null}"),
	SLICE("{\"n\":1,\"text\":[]}"),
	SLICE("{\"code\":1000}"),
	SLICE("{\"reason\":\"\"}"),
	SLICE("{\"ack\":1,\"code\":1000}"),
	/* strings */
	SLICE("{\"n\":1,\"text\":\"\n\"}"),
	SLICE("{\"n\":1,\"text\":\"\0\"}"),
	SLICE("{\"n\":1,\"text\":\"\\x\"}"),
	SLICE("{\"n\":1,\"text\":\"\\0\"}"),
	SLICE("{\"n\":1,\"text\":\"\\u12\"}"),
	SLICE("{\"n\":1,\"text\":\"\\u12g4\"}"),
	SLICE("{\"n\":1,\"text\":\"\\ud800\"}"),
	SLICE("{\"n\":1,\"text\":\"\\udc00\"}"),
	SLICE("{\"n\":1,\"text\":\"\\ud800\\u0041\"}"),
	SLICE("{\"n\":1,\"text\":\"\\ud800x\"}"),
	SLICE("{\"n\":1,\"text\":\"\\ud800\\ud800\"}"),
	SLICE("{\"n\":1,\"text\":\"\\u"),
	/* base64 */
	SLICE("{\"n\":1,\"binary\":\"A\"}"),
	SLICE("{\"n\":1,\"binary\":\"AA\"}"),
	SLICE("{\"n\":1,\"binary\":\"AAE\"}"),
	SLICE("{\"n\":1,\"binary\":\"A===\"}"),
	SLICE("{\"n\":1,\"binary\":\"====\"}"),
	SLICE("{\"n\":1,\"binary\":\"AB==\"}"),
	SLICE("{\"n\":1,\"binary\":\"AAF=\"}"),
	SLICE("{\"n\":1,\"binary\":\"AA==AAAA\"}"),
	SLICE("{\"n\":1,\"binary\":\"AA-_\"}"),
	SLICE("{\"n\":1,\"binary\":\"AA A\"}"),
	/* closes */
	SLICE("{\"close\":1000}"),
	SLICE("{\"close\":null}"),
	SLICE("{\"close\":{\"code\":999}}"),
	SLICE("{\"close\":{\"code\":1001}}"),
	SLICE("{\"close\":{\"code\":1005}}"),
	SLICE("{\"close\":{\"code\":2999}}"),
	SLICE("{\"close\":{\"code\":5000}}"),
	SLICE("{\"close\":{\"code\":68536}}"),
	SLICE("{\"close\":{\"code\":1000,\"code\":1000}}"),
	SLICE("{\"close\":{\"reason\":1}}"),
	SLICE("{\"close\":{\"n\":1}}"),
	SLICE("{\"close\":{\"close\":{}}}"),
	SLICE("{\"close\":{}"),
	SLICE("{\"close\":{},\"close\":{}}"),
	SLICE("{\"close\":{\"reason\":"
	      "\"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
	      "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\"}}"),
};

static void anything_else_is_malformed(void **state)
{
	struct plain_frame frame;
	char *scratch;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
		if (parse(malformed[i], &frame, &scratch))
			fail_msg("%.*s was taken", SLICE_ARG(malformed[i]));
		free(scratch);
	}
	assert_false(plain_frame_parse(&frame, SLICE(""), NULL));
}

/* Whatever is left out of a good frame, it is no other good frame. */
static void a_frame_that_is_cut_is_malformed(void **state)
{
	static const struct slice whole[] = {
		SLICE("{\"n\":12,\"text\":\"a\\u20ac\"}"),
		SLICE("{\"n\":1,\"binary\":\"AAE=\"}"),
		SLICE("{\"close\":{\"code\":4000,\"reason\":\"x\"}}"),
	};
	struct plain_frame frame;
	char *scratch;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		for (size_t n = 1; n < whole[i].n; n++) {
			assert_false(parse(slice_first(whole[i], n), &frame, &scratch));
			free(scratch);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_a_number_and_a_payload),
		cmocka_unit_test(strings_are_decoded),
		cmocka_unit_test(bytes_are_base64),
		cmocka_unit_test(every_byte_survives_base64),
		cmocka_unit_test(a_close_has_a_code_and_a_reason),
		cmocka_unit_test(anything_else_is_malformed),
		cmocka_unit_test(a_frame_that_is_cut_is_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
