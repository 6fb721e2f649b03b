#include "proxy/http/ws_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "proxy/base/utf8.h"

/* A string literal as bytes and their number. */
#define BYTES(literal) (const uint8_t *)("" literal), sizeof(literal) - 1

enum { CLIENT = true, SERVER = false }; /* who sends, which is: expect_masked */

static void seed_random(void)
{
	const char *given = getenv("TEST_SEED");
	unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	print_message("TEST_SEED=%u\n", seed);
	srandom(seed);
}

static size_t below(size_t n)
{
	return (size_t)random() % n;
}

struct good_head {
	const uint8_t *bytes;
	size_t n;
	bool from_client;
	uint8_t allowed_rsv;
	struct ws_frame frame;
};

static const struct good_head good_heads[] = {
	{BYTES("\x81\x00"), SERVER, 0, {.fin = true, .opcode = WS_OP_TEXT}},
	{BYTES("\x81\x05"), SERVER, 0, {.fin = true, .opcode = WS_OP_TEXT, .length = 5}},
	{BYTES("\x01\x7d"), SERVER, 0, {.opcode = WS_OP_TEXT, .length = 125}},
	{BYTES("\x02\x01"), SERVER, 0, {.opcode = WS_OP_BINARY, .length = 1}},
	{BYTES("\x00\x01"), SERVER, 0, {.opcode = WS_OP_CONTINUATION, .length = 1}},
	{BYTES("\x80\x01"), SERVER, 0, {.fin = true, .opcode = WS_OP_CONTINUATION, .length = 1}},
	{BYTES("\x88\x02"), SERVER, 0, {.fin = true, .opcode = WS_OP_CLOSE, .length = 2}},
	{BYTES("\x89\x7d"), SERVER, 0, {.fin = true, .opcode = WS_OP_PING, .length = 125}},
	{BYTES("\x8a\x00"), SERVER, 0, {.fin = true, .opcode = WS_OP_PONG}},
	{BYTES("\x82\x7e\x00\x7e"), SERVER, 0,
		{.fin = true, .opcode = WS_OP_BINARY, .length = 126}},
	{BYTES("\x82\x7e\xff\xff"), SERVER, 0,
		{.fin = true, .opcode = WS_OP_BINARY, .length = 65535}},
	{BYTES("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"), SERVER, 0,
		{.fin = true, .opcode = WS_OP_BINARY, .length = 65536}},
	{BYTES("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), SERVER, 0,
		{.fin = true, .opcode = WS_OP_BINARY, .length = INT64_MAX}},
	{BYTES("\x81\x85\x37\xfa\x21\x3d"), CLIENT, 0,
		{.fin = true,
			.opcode = WS_OP_TEXT,
			.length = 5,
			.masked = true,
			.mask = {0x37, 0xfa, 0x21, 0x3d}}},
	{BYTES("\x82\xfe\x01\x00\x01\x02\x03\x04"), CLIENT, 0,
		{.fin = true,
			.opcode = WS_OP_BINARY,
			.length = 256,
			.masked = true,
			.mask = {1, 2, 3, 4}}},
	{BYTES("\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), CLIENT, 0,
		{.fin = true, .opcode = WS_OP_BINARY, .length = UINT64_C(1) << 32, .masked = true}},
	{BYTES("\xc1\x01"), SERVER, 4, {.fin = true, .rsv = 4, .opcode = WS_OP_TEXT, .length = 1}},
	{BYTES("\xf1\x01"), SERVER, 7, {.fin = true, .rsv = 7, .opcode = WS_OP_TEXT, .length = 1}},
};

static void assert_same_frame(const struct ws_frame *a, const struct ws_frame *b)
{
	assert_int_equal(a->fin, b->fin);
	assert_int_equal(a->rsv, b->rsv);
	assert_int_equal(a->opcode, b->opcode);
	assert_int_equal(a->length, b->length);
	assert_int_equal(a->masked, b->masked);
	if (b->masked)
		assert_memory_equal(a->mask, b->mask, 4);
}

static void good_heads_are_read_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good_heads); i++) {
		const struct good_head *good = &good_heads[i];

		for (size_t cut = 0; cut < good->n; cut++) {
			struct ws_frame_parser parser;
			struct ws_frame frame;
			const uint8_t *p = good->bytes;
			size_t n = cut;

			ws_frame_parser_init(&parser, good->from_client, good->allowed_rsv);
			assert_int_equal(ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_MORE);
			assert_int_equal(n, 0);
			assert_int_equal(ws_frame_is_boundary(&parser), cut == 0);
			n = good->n - cut;
			assert_int_equal(ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_HEAD);
			assert_int_equal(n, 0);
			assert_ptr_equal(p, good->bytes + good->n);
			assert_same_frame(&frame, &good->frame);
		}
	}
}

static void the_payload_is_left_to_the_caller(void **state)
{
	const uint8_t bytes[] = "\x82\x05hello\x89\x00\x81\x01x";
	const uint8_t *p = bytes;
	size_t n = sizeof(bytes) - 1;
	struct ws_frame_parser parser;
	struct ws_frame frame;

	(void)state;
	ws_frame_parser_init(&parser, SERVER, 0);
	assert_int_equal(ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_HEAD);
	assert_ptr_equal(p, bytes + 2);
	assert_int_equal(ws_frame_take(&parser, 2), 2);
	assert_false(ws_frame_is_boundary(&parser));
	assert_int_equal(ws_frame_take(&parser, 100), 3);
	assert_true(ws_frame_is_boundary(&parser));
	assert_int_equal(ws_frame_take(&parser, 100), 0);
	p += 5;
	n -= 5;
	assert_int_equal(ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_HEAD);
	assert_int_equal(frame.opcode, WS_OP_PING);
	assert_true(ws_frame_is_boundary(&parser));
	assert_int_equal(ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_HEAD);
	assert_int_equal(frame.opcode, WS_OP_TEXT);
	assert_int_equal(frame.length, 1);
}

struct bad_head {
	const uint8_t *bytes;
	size_t n; /* the last byte is the first wrong one */
	bool from_client;
	uint8_t allowed_rsv;
	enum ws_frame_error error;
};

static const struct bad_head bad_heads[] = {
	{BYTES("\xc1"), SERVER, 0, WS_FRAME_RSV_SET},
	{BYTES("\xa1"), SERVER, 0, WS_FRAME_RSV_SET},
	{BYTES("\x91"), SERVER, 0, WS_FRAME_RSV_SET},
	{BYTES("\xc1"), CLIENT, 3, WS_FRAME_RSV_SET},
	{BYTES("\xb1"), CLIENT, 4, WS_FRAME_RSV_SET},
	{BYTES("\xff"), CLIENT, 0, WS_FRAME_RSV_SET},
	{BYTES("\x83"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x84"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x85"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x86"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x87"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x8b"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x8c"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x8d"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x8e"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x8f"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x0f"), SERVER, 0, WS_FRAME_RESERVED_OPCODE},
	{BYTES("\x08"), SERVER, 0, WS_FRAME_FRAGMENTED_CONTROL},
	{BYTES("\x09"), SERVER, 0, WS_FRAME_FRAGMENTED_CONTROL},
	{BYTES("\x0a"), SERVER, 0, WS_FRAME_FRAGMENTED_CONTROL},
	{BYTES("\x88\x7e"), SERVER, 0, WS_FRAME_LONG_CONTROL},
	{BYTES("\x89\x7e"), SERVER, 0, WS_FRAME_LONG_CONTROL},
	{BYTES("\x8a\x7f"), SERVER, 0, WS_FRAME_LONG_CONTROL},
	{BYTES("\x89\xfe"), CLIENT, 0, WS_FRAME_LONG_CONTROL},
	{BYTES("\x81\x00"), CLIENT, 0, WS_FRAME_UNMASKED},
	{BYTES("\x81\x7e"), CLIENT, 0, WS_FRAME_UNMASKED},
	{BYTES("\x89\x00"), CLIENT, 0, WS_FRAME_UNMASKED},
	{BYTES("\x81\x80"), SERVER, 0, WS_FRAME_MASKED},
	{BYTES("\x81\xff"), SERVER, 0, WS_FRAME_MASKED},
	{BYTES("\x88\x80"), SERVER, 0, WS_FRAME_MASKED},
	{BYTES("\x82\x7f\x80"), SERVER, 0, WS_FRAME_LENGTH_TOP_BIT},
	{BYTES("\x82\xff\xff"), CLIENT, 0, WS_FRAME_LENGTH_TOP_BIT},
	{BYTES("\x82\x7e\x00\x00"), SERVER, 0, WS_FRAME_LENGTH_NOT_MINIMAL},
	{BYTES("\x82\x7e\x00\x7d"), SERVER, 0, WS_FRAME_LENGTH_NOT_MINIMAL},
	{BYTES("\x82\xfe\x00\x7d"), CLIENT, 0, WS_FRAME_LENGTH_NOT_MINIMAL},
	{BYTES("\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x05"), SERVER, 0, WS_FRAME_LENGTH_NOT_MINIMAL},
	{BYTES("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), SERVER, 0, WS_FRAME_LENGTH_NOT_MINIMAL},
	{BYTES("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff"), CLIENT, 0, WS_FRAME_LENGTH_NOT_MINIMAL},
};

static void bad_heads_are_refused_at_the_first_wrong_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_heads); i++) {
		const struct bad_head *bad = &bad_heads[i];
		struct ws_frame_parser parser;
		struct ws_frame frame;
		const uint8_t *p = bad->bytes;
		size_t n = bad->n - 1;

		ws_frame_parser_init(&parser, bad->from_client, bad->allowed_rsv);
		assert_int_equal(ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_MORE);
		n = 1;
		assert_int_equal(ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_ERROR);
		assert_int_equal(parser.error, bad->error);
		n = 1;
		assert_int_equal(ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_ERROR);
		assert_int_equal(parser.error, bad->error);
		assert_false(ws_frame_is_boundary(&parser));
	}
}

static void bad_heads_are_refused_in_one_piece_with_bytes_behind(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_heads); i++) {
		const struct bad_head *bad = &bad_heads[i];
		uint8_t bytes[64] = {0};
		struct ws_frame_parser parser;
		struct ws_frame frame;
		const uint8_t *p = bytes;
		size_t n = sizeof(bytes);

		memcpy(bytes, bad->bytes, bad->n);
		ws_frame_parser_init(&parser, bad->from_client, bad->allowed_rsv);
		assert_int_equal(ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_ERROR);
		assert_int_equal(parser.error, bad->error);
	}
}

/* All first two bytes, for both sides: either way of reading says the same. */
static void whole_and_split_heads_agree(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 0x20000; i++) {
		uint8_t bytes[16] = {(uint8_t)(i >> 8), (uint8_t)i, 0, 0, 0, 0, 0, 1};
		struct ws_frame_parser whole, split;
		struct ws_frame a, b;
		const uint8_t *p = bytes, *q = bytes;
		size_t n = sizeof(bytes);
		enum ws_frame_status x, y = WS_FRAME_MORE;

		ws_frame_parser_init(&whole, i >> 16, 0);
		ws_frame_parser_init(&split, i >> 16, 0);
		x = ws_frame_parse(&whole, &p, &n, &a);
		while (y == WS_FRAME_MORE) {
			n = 1;
			y = ws_frame_parse(&split, &q, &n, &b);
		}
		assert_int_equal(x, y);
		assert_int_equal(whole.error, split.error);
		if (x == WS_FRAME_HEAD) {
			assert_ptr_equal(p, q);
			assert_same_frame(&a, &b);
		}
	}
}

/* A tunnel's use: only the boundaries matter, and they are found in any pieces. */
static void boundaries_are_found_in_random_pieces(void **state)
{
	static uint8_t stream[200000];
	static bool is_boundary[sizeof(stream) + 1];
	static const size_t lengths[] = {0, 1, 125, 126, 200, 65535, 65536};
	size_t size = 0;
	struct ws_frame_parser parser;
	struct ws_frame frame;

	(void)state;
	seed_random();
	is_boundary[0] = true;
	for (;;) {
		size_t length = random() % 50 == 0 ? lengths[below(ARRAY_LEN(lengths))] : below(40);

		if (size + WS_FRAME_HEAD_MAX + length > sizeof(stream))
			break;
		size += ws_frame_write_head(
			stream + size, true, WS_OP_BINARY, length, (const uint8_t *)"abcd");
		for (size_t i = 0; i < length; i++)
			stream[size++] = (uint8_t)random();
		is_boundary[size] = true;
	}
	ws_frame_parser_init(&parser, CLIENT, 0);
	for (size_t at = 0; at < size;) {
		const uint8_t *p = stream + at;
		size_t n = 1 + below(random() % 10 == 0 ? 5000 : 20);

		n = MIN(n, size - at);
		at += n;
		while (n > 0) {
			size_t taken = ws_frame_take(&parser, n);

			p += taken;
			n -= taken;
			if (n > 0)
				assert_int_not_equal(
					ws_frame_parse(&parser, &p, &n, &frame), WS_FRAME_ERROR);
		}
		assert_int_equal(ws_frame_is_boundary(&parser), is_boundary[at]);
	}
	assert_true(ws_frame_is_boundary(&parser));
}

static void masking_agrees_with_the_definition(void **state)
{
	const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	uint8_t src[100], dst[100];

	(void)state;
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i * 7);
	for (uint64_t offset = 0; offset < 9; offset++) {
		for (size_t start = 0; start < 9; start++) {
			for (size_t n = 0; start + n <= sizeof(src); n++) {
				memset(dst, 0, sizeof(dst));
				ws_frame_mask(dst + start, src + start, n, mask, offset);
				for (size_t i = 0; i < n; i++)
					assert_int_equal(dst[start + i],
						src[start + i] ^ mask[(offset + i) % 4]);
				assert_true(start + n == sizeof(dst) || dst[start + n] == 0);
				ws_frame_mask(dst + start, dst + start, n, mask, offset);
				assert_memory_equal(dst + start, src + start, n);
			}
		}
	}
}

static void the_masked_hello_of_the_rfc_is_unmasked(void **state)
{
	uint8_t hello[] = {0x7f, 0x9f, 0x4d, 0x51, 0x58};

	(void)state;
	ws_frame_mask(hello, hello, 2, (const uint8_t *)"\x37\xfa\x21\x3d", 0);
	ws_frame_mask(hello + 2, hello + 2, 3, (const uint8_t *)"\x37\xfa\x21\x3d", 2);
	assert_memory_equal(hello, "Hello", 5);
}

static void heads_are_written_in_their_shortest_form(void **state)
{
	uint8_t out[WS_FRAME_HEAD_MAX];
	size_t n_written = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good_heads); i++) {
		const struct good_head *good = &good_heads[i];
		const struct ws_frame *frame = &good->frame;

		if (frame->rsv != 0)
			continue;
		memset(out, 0xee, sizeof(out));
		assert_int_equal(ws_frame_write_head(out, frame->fin, frame->opcode, frame->length,
					 frame->masked ? frame->mask : NULL),
			good->n);
		assert_memory_equal(out, good->bytes, good->n);
		n_written++;
	}
	assert_true(n_written >= 16);
}

static void a_close_payload_is_written(void **state)
{
	uint8_t out[WS_CONTROL_MAX];

	(void)state;
	assert_int_equal(ws_close_write(out, WS_CODE_NORMAL, SLICE("")), 2);
	assert_memory_equal(out, "\x03\xe8", 2);
	assert_int_equal(ws_close_write(out, WS_CODE_GOING_AWAY, slice_of(NULL, 0)), 2);
	assert_memory_equal(out, "\x03\xe9", 2);
	assert_int_equal(ws_close_write(out, 4321, SLICE("bye")), 5);
	assert_memory_equal(out,
		"\x10\xe1"
		"bye",
		5);
	assert_int_equal(ws_close_write(out, WS_CODE_NO_STATUS, SLICE("unsaid")), 0);
}

static void a_long_close_reason_is_cut_between_characters(void **state)
{
	uint8_t out[WS_CONTROL_MAX + 8];
	char reason[130];

	(void)state;
	memset(reason, 'a', sizeof(reason));
	assert_int_equal(ws_close_write(out, 1000, slice_of(reason, 123)), 125);
	assert_int_equal(ws_close_write(out, 1000, slice_of(reason, 124)), 125);
	memcpy(reason + 121, "\xe2\x82\xac", 3);
	assert_int_equal(ws_close_write(out, 1000, slice_of(reason, 130)), 123);
	assert_true(utf8_is_valid(out + 2, 121));
	memset(reason, 'a', sizeof(reason));
	memcpy(reason + 120, "\xe2\x82\xac", 3);
	assert_int_equal(ws_close_write(out, 1000, slice_of(reason, 130)), 125);
	assert_true(utf8_is_valid(out + 2, 123));
}

static void only_codes_that_may_be_sent_are_valid(void **state)
{
	(void)state;
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		bool valid = (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
				     code != 1006) ||
			(code >= 3000 && code < 5000);

		if (ws_close_code_is_valid(code) != valid)
			fail_msg("%u", code);
	}
}

static void everything_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(ws_opcode_name(WS_OP_PING), "ping");
	assert_string_equal(ws_opcode_name((enum ws_opcode)3), "reserved opcode");
	assert_string_equal(ws_close_code_name(1001), "going away");
	assert_string_equal(ws_close_code_name(3000), "application");
	assert_string_equal(ws_close_code_name(2000), "reserved code");
	assert_string_equal(ws_frame_error_name(WS_FRAME_UNMASKED), "frame is not masked");
	assert_string_equal(ws_frame_status_name(WS_FRAME_HEAD), "head");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_heads_are_read_at_every_split),
		cmocka_unit_test(the_payload_is_left_to_the_caller),
		cmocka_unit_test(bad_heads_are_refused_at_the_first_wrong_byte),
		cmocka_unit_test(bad_heads_are_refused_in_one_piece_with_bytes_behind),
		cmocka_unit_test(whole_and_split_heads_agree),
		cmocka_unit_test(boundaries_are_found_in_random_pieces),
		cmocka_unit_test(masking_agrees_with_the_definition),
		cmocka_unit_test(the_masked_hello_of_the_rfc_is_unmasked),
		cmocka_unit_test(heads_are_written_in_their_shortest_form),
		cmocka_unit_test(a_close_payload_is_written),
		cmocka_unit_test(a_long_close_reason_is_cut_between_characters),
		cmocka_unit_test(only_codes_that_may_be_sent_are_valid),
		cmocka_unit_test(everything_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
