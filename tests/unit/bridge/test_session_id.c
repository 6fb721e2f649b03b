#include "bridge/session_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_clear(&arena);
	arena_release_cache();
	return 0;
}

static void assert_text(struct slice s, const char *text)
{
	assert_int_equal(s.n, strlen(text));
	assert_memory_equal(s.p, text, s.n);
}

static void an_id_is_a_tag_and_22_characters(void **state)
{
	static const char *const tags[] = {"", "w1.", "m.b.12.", "a-b_C9.........."};
	char id[SESSION_ID_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		struct slice tag = slice_from_string(tags[i]);

		for (unsigned n = 0; n < 100; n++) {
			size_t size = session_id_make(id, tag);

			assert_int_equal(size, tag.n + SESSION_ID_RANDOM_SIZE);
			assert_int_equal(strlen(id), size);
			assert_memory_equal(id, tag.p, tag.n);
			assert_true(session_id_has_form(slice_of(id, size)));
			assert_int_equal(strspn(id + tag.n,
						 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
						 "uvwxyz0123456789-_"),
				SESSION_ID_RANDOM_SIZE);
			/* the last character holds two bits */
			assert_non_null(strchr("AQgw", id[size - 1]));
		}
	}
}

/*
 * Each of the 128 bits is sometimes one and sometimes zero: of 200 ids all the same would be one
 * chance in 2^192.
 */
static void every_bit_is_random(void **state)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned ones[SESSION_ID_RANDOM_SIZE * 6] = {0};
	char id[SESSION_ID_MAX + 1];

	(void)state;
	for (unsigned n = 0; n < 200; n++) {
		(void)session_id_make(id, SLICE(""));
		for (unsigned i = 0; i < SESSION_ID_RANDOM_SIZE * 6; i++) {
			size_t value = (size_t)(strchr(alphabet, id[i / 6]) - alphabet);

			ones[i] += (value >> (5 - i % 6)) & 1;
		}
	}
	for (unsigned i = 0; i < 128; i++)
		assert_in_range(ones[i], 1, 199);
	for (unsigned i = 128; i < SESSION_ID_RANDOM_SIZE * 6; i++)
		assert_int_equal(ones[i], 0);
}

static void the_form_is_letters_digits_and_three_marks(void **state)
{
	(void)state;
	assert_false(session_id_has_form(SLICE("")));
	assert_false(session_id_has_form(slice_of(NULL, 0)));
	for (unsigned c = 0; c < 256; c++) {
		char text[3] = {'a', (char)c, 'a'};
		bool is_good = c != 0 &&
			strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-",
				(int)c) != NULL;

		assert_int_equal(session_id_has_form(slice_of(text + 1, 1)), is_good);
		assert_int_equal(session_id_has_form(slice_of(text, 3)), is_good);
		assert_int_equal(session_id_has_form(slice_of(text, 2)), is_good);
	}
}

static void masks(void **state)
{
	static const struct {
		const char *id;
		const char *mask;
	} rows[] = {
		{"w1.kX0aBCDEFGHIJKLMNOPQRS", "w1.kX0a..."},
		{"kX0aBCDEFGHIJKLMNOPQRS", "kX0a..."},
		{"m.b.1.kX0aBC", "m.b.1.kX0a..."},
		{"w1.kX0a", "w1.kX0a..."},
		{"w1.kX0", "..."},
		{"w1.", "..."},
		{"abc", "..."},
		{".", "..."},
		{"", "..."},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_text(session_id_mask(slice_from_string(rows[i].id), &arena), rows[i].mask);
}

static void targets_are_masked(void **state)
{
	static const struct {
		const char *target;
		const char *masked; /* NULL: as it is, uncopied */
	} rows[] = {
		{"/chat/~w1.kX0aBCDEFG", "/chat/~w1.kX0a..."},
		{"/chat/~w1.kX0aBCDEFG?after=3&x=/~y", "/chat/~w1.kX0a...?after=3&x=/~y"},
		{"/chat/~w1.kX0aBCDEFG?", "/chat/~w1.kX0a...?"},
		{"/~w1.kX0aBCDEFG", "/~w1.kX0a..."},
		{"/a/~bcdefgh/~ijklmnop", "/a/~bcdefgh/~ijkl..."},
		{"/chat/~ab", "/chat/~..."},
		{"/chat", NULL},
		{"/chat?x=/~abcdefgh", NULL},
		{"/chat/~abcdefgh/", NULL},
		{"/chat/~abcdefgh/x", NULL},
		{"/chat/~", NULL},
		{"/chat/~?a", NULL},
		{"/chat/~a%20bcdef", NULL},
		{"/chat/x~abcdefgh", NULL},
		{"/", NULL},
		{"*", NULL},
		{"~abcdefgh", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].target);
		char *exact = malloc(n);
		struct slice masked;

		memcpy(exact, rows[i].target, n);
		masked = session_id_mask_target(slice_of(exact, n), &arena);
		if (rows[i].masked != NULL)
			assert_text(masked, rows[i].masked);
		else
			assert_true(masked.p == exact && masked.n == n);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_is_a_tag_and_22_characters),
		cmocka_unit_test(every_bit_is_random),
		cmocka_unit_test(the_form_is_letters_digits_and_three_marks),
		cmocka_unit_test(masks),
		cmocka_unit_test(targets_are_masked),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
