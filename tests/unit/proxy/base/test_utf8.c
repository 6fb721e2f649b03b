#include "proxy/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* Decodes by arithmetic, unlike the module: the size of the character at p, 0 if there is none. */
static size_t decode(const uint8_t *p, size_t n, uint32_t *point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t size = p[0] < 0x80 ? 1
		: p[0] >> 5 == 6  ? 2
		: p[0] >> 4 == 14 ? 3
		: p[0] >> 3 == 30 ? 4
				  : 0;

	if (size == 0 || size > n)
		return 0;
	*point = size == 1 ? p[0] : p[0] & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		*point = *point << 6 | (p[i] & 0x3f);
	}
	if (*point < least[size] || *point > 0x10ffff || (*point >= 0xd800 && *point <= 0xdfff))
		return 0;
	return size;
}

static bool is_valid_by_arithmetic(const uint8_t *p, size_t n)
{
	uint32_t point;

	while (n > 0) {
		size_t size = decode(p, n, &point);

		if (size == 0)
			return false;
		p += size;
		n -= size;
	}
	return true;
}

static size_t encode(uint8_t *out, uint32_t point)
{
	if (point < 0x80) {
		out[0] = (uint8_t)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (uint8_t)(0xc0 | point >> 6);
		out[1] = (uint8_t)(0x80 | (point & 0x3f));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (uint8_t)(0xe0 | point >> 12);
		out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (point & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | point >> 18);
	out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (point & 0x3f));
	return 4;
}

static void every_code_point_is_taken_and_every_surrogate_refused(void **state)
{
	uint8_t text[4];

	(void)state;
	for (uint32_t point = 0; point <= 0x110fff; point++) {
		size_t n = encode(text, point);
		bool ok = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);

		if (utf8_is_valid(text, n) != ok)
			fail_msg("U+%04X", point);
	}
}

static void all_pairs_agree_with_arithmetic(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 0x10000; i++) {
		uint8_t text[2] = {(uint8_t)(i >> 8), (uint8_t)i};

		if (utf8_is_valid(text, 2) != is_valid_by_arithmetic(text, 2))
			fail_msg("%02x %02x", text[0], text[1]);
	}
}

/* Every byte at which a rule begins or ends, in every combination of four, behind any alignment. */
static void combinations_of_edge_bytes_agree_with_arithmetic(void **state)
{
	static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
		0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7,
		0xf8, 0xff};
	const size_t n = ARRAY_LEN(edges);

	(void)state;
	for (size_t i = 0; i < n * n * n * n; i++) {
		uint8_t text[12] = "abcdefgh";
		size_t before = i % 9;

		text[before] = edges[i % n];
		text[before + 1 < 12 ? before + 1 : 11] = edges[i / n % n];
		text[before + 2 < 12 ? before + 2 : 11] = edges[i / n / n % n];
		text[before + 3 < 12 ? before + 3 : 11] = edges[i / n / n / n];
		if (utf8_is_valid(text, before + 4) != is_valid_by_arithmetic(text, before + 4))
			fail_msg("combination %zu", i);
	}
}

/* Fed byte by byte: the index of the byte at which the text is refused, or n. */
static size_t refused_at(const char *text, size_t n)
{
	struct utf8 utf8;

	utf8_init(&utf8);
	for (size_t i = 0; i < n; i++)
		if (!utf8_feed(&utf8, text + i, 1))
			return i;
	return n;
}

static void a_bad_text_is_refused_at_its_first_bad_byte(void **state)
{
	(void)state;
	assert_int_equal(refused_at("\x80", 1), 0);
	assert_int_equal(refused_at("\xc0\x80", 2), 0);
	assert_int_equal(refused_at("\xc1\xbf", 2), 0);
	assert_int_equal(refused_at("\xe0\x9f\xbf", 3), 1);
	assert_int_equal(refused_at("\xed\xa0\x80", 3), 1);
	assert_int_equal(refused_at("\xf0\x8f\xbf\xbf", 4), 1);
	assert_int_equal(refused_at("\xf4\x90\x80\x80", 4), 1);
	assert_int_equal(refused_at("\xf5\x80\x80\x80", 4), 0);
	assert_int_equal(refused_at("ab\xe2\x82\x41", 5), 4);
	assert_int_equal(refused_at("ab\xe2\x82\xac", 5), 5);
}

/* A word of ASCII is not skipped within a character. */
static void a_character_is_not_continued_behind_ascii(void **state)
{
	struct utf8 utf8;

	(void)state;
	assert_false(utf8_is_valid("abcdefg\xe2hijklmno\x82\xac", 18));
	utf8_init(&utf8);
	assert_true(utf8_feed(&utf8, "\xe2", 1));
	assert_false(utf8_feed(&utf8, "hijklmno\x82\xac", 10));
}

static void what_was_refused_stays_refused(void **state)
{
	struct utf8 utf8;

	(void)state;
	utf8_init(&utf8);
	assert_false(utf8_feed(&utf8, "\xff", 1));
	assert_false(utf8_feed(&utf8, "plain ascii, more than a word", 29));
	assert_false(utf8_feed(&utf8, NULL, 0));
	assert_false(utf8_is_complete(&utf8));
}

static void a_text_is_not_complete_within_a_character(void **state)
{
	struct utf8 utf8;

	(void)state;
	utf8_init(&utf8);
	assert_true(utf8_is_complete(&utf8));
	assert_true(utf8_feed(&utf8, "\xf0\x9f\x98", 3));
	assert_false(utf8_is_complete(&utf8));
	assert_true(utf8_feed(&utf8, NULL, 0));
	assert_false(utf8_is_complete(&utf8));
	assert_true(utf8_feed(&utf8, "\x80", 1));
	assert_true(utf8_is_complete(&utf8));
	assert_false(utf8_is_valid("\xf0\x9f\x98", 3));
	assert_true(utf8_is_valid(NULL, 0));
}

/* Random texts, some with one byte spoilt, whole and in random pieces. */
static void pieces_agree_with_the_whole(void **state)
{
	static const uint32_t limits[] = {0x80, 0x80, 0x800, 0x10000, 0x110000};
	const char *given = getenv("TEST_SEED");
	unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
	uint8_t text[300];

	(void)state;
	print_message("TEST_SEED=%u\n", seed);
	srandom(seed);
	for (int round = 0; round < 20000; round++) {
		size_t n = 0, most = (size_t)random() % 290;
		bool whole, pieces = true;
		struct utf8 utf8;

		while (n < most) {
			uint32_t limit = limits[(size_t)random() % ARRAY_LEN(limits)];
			uint32_t point = (uint32_t)random() % limit;

			if (point < 0xd800 || point > 0xdfff)
				n += encode(text + n, point);
		}
		if (n > 0 && random() % 2 == 0)
			text[(size_t)random() % n] = (uint8_t)random();
		whole = utf8_is_valid(text, n);
		if (whole != is_valid_by_arithmetic(text, n))
			fail_msg("round %d", round);
		utf8_init(&utf8);
		for (size_t at = 0; at < n && pieces;) {
			size_t piece = (size_t)random() % 40;

			piece = MIN(piece, n - at);
			pieces = utf8_feed(&utf8, text + at, piece);
			at += piece;
		}
		if ((pieces && utf8_is_complete(&utf8)) != whole)
			fail_msg("round %d in pieces", round);
	}
}

static void a_prefix_cuts_no_character(void **state)
{
	const char *text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"; /* 1 + 2 + 3 + 4 bytes */
	static const size_t sizes[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

	(void)state;
	for (size_t max = 0; max < ARRAY_LEN(sizes); max++)
		assert_int_equal(utf8_prefix_size(text, 10, max), sizes[max]);
	assert_int_equal(utf8_prefix_size(NULL, 0, 5), 0);
	assert_int_equal(utf8_prefix_size("abc", 3, 3), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_is_taken_and_every_surrogate_refused),
		cmocka_unit_test(all_pairs_agree_with_arithmetic),
		cmocka_unit_test(combinations_of_edge_bytes_agree_with_arithmetic),
		cmocka_unit_test(a_bad_text_is_refused_at_its_first_bad_byte),
		cmocka_unit_test(a_character_is_not_continued_behind_ascii),
		cmocka_unit_test(what_was_refused_stays_refused),
		cmocka_unit_test(a_text_is_not_complete_within_a_character),
		cmocka_unit_test(pieces_agree_with_the_whole),
		cmocka_unit_test(a_prefix_cuts_no_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
