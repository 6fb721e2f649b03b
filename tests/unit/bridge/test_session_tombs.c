#include "bridge/session_tombs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static void names_are_remembered_for_their_time(void **state)
{
	struct session_tombs tombs;

	(void)state;
	session_tombs_init(&tombs, 10);
	session_tombs_add(&tombs, SLICE("a"), 1000);
	session_tombs_add(&tombs, SLICE("b"), 2000);
	assert_true(session_tombs_has(&tombs, SLICE("a"), 1000 + SESSION_TOMB_MS - 1));
	assert_false(session_tombs_has(&tombs, SLICE("ab"), 1000));
	assert_false(session_tombs_has(&tombs, SLICE("a"), 1000 + SESSION_TOMB_MS));
	assert_int_equal(tombs.n, 1);
	assert_true(session_tombs_has(&tombs, SLICE("b"), 1000 + SESSION_TOMB_MS));
	assert_false(session_tombs_has(&tombs, SLICE("b"), 2000 + SESSION_TOMB_MS));
	assert_int_equal(tombs.n, 0);
	session_tombs_clear(&tombs);
}

static void again_is_as_if_new(void **state)
{
	struct session_tombs tombs;

	(void)state;
	session_tombs_init(&tombs, 2);
	session_tombs_add(&tombs, SLICE("a"), 0);
	session_tombs_add(&tombs, SLICE("b"), 1);
	session_tombs_add(&tombs, SLICE("a"), 2);
	assert_int_equal(tombs.n, 2);
	assert_true(session_tombs_has(&tombs, SLICE("a"), SESSION_TOMB_MS + 1));
	assert_false(session_tombs_has(&tombs, SLICE("b"), SESSION_TOMB_MS + 1));
	session_tombs_clear(&tombs);
	assert_int_equal(tombs.n, 0);
}

static void the_oldest_makes_room(void **state)
{
	struct session_tombs tombs;

	(void)state;
	session_tombs_init(&tombs, 2);
	session_tombs_add(&tombs, SLICE("a"), 0);
	session_tombs_add(&tombs, SLICE("b"), 0);
	session_tombs_add(&tombs, SLICE("c"), 0);
	assert_false(session_tombs_has(&tombs, SLICE("a"), 0));
	assert_true(session_tombs_has(&tombs, SLICE("b"), 0));
	assert_true(session_tombs_has(&tombs, SLICE("c"), 0));
	session_tombs_clear(&tombs);
}

static struct slice name_of(char text[16], unsigned n)
{
	return slice_of(text, (size_t)snprintf(text, 16, "s%u", n));
}

/* A sliding window over many, some of which come again. */
static void of_many_the_last_are_known(void **state)
{
	struct session_tombs tombs;
	char text[16];

	(void)state;
	session_tombs_init(&tombs, 1000);
	for (unsigned i = 0; i < 20000; i++) {
		session_tombs_add(&tombs, name_of(text, i), i);
		/* It is the youngest, whatever it was. */
		session_tombs_add(&tombs, name_of(text, i - i % 10), i);
	}
	assert_int_equal(tombs.n, 1000);
	for (unsigned i = 20000 - 1000; i < 20000; i++)
		assert_true(session_tombs_has(&tombs, name_of(text, i), 20000));
	assert_false(session_tombs_has(&tombs, name_of(text, 20000 - 1001), 20000));
	assert_false(session_tombs_has(&tombs, name_of(text, 20000), 20000));
	/* They need no more room than what is remembered. */
	assert_true(tombs.size <= 4096);
	for (unsigned i = 20000 - 990; i < 20000; i++)
		assert_true(
			session_tombs_has(&tombs, name_of(text, 19999), i + SESSION_TOMB_MS - 1));
	assert_false(session_tombs_has(&tombs, name_of(text, 19999), 19999 + SESSION_TOMB_MS));
	assert_int_equal(tombs.n, 0);
	assert_null(tombs.ring);
	session_tombs_clear(&tombs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_remembered_for_their_time),
		cmocka_unit_test(again_is_as_if_new),
		cmocka_unit_test(the_oldest_makes_room),
		cmocka_unit_test(of_many_the_last_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
