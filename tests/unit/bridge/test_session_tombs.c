#include "bridge/session_tombs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_remembered_for_their_time),
		cmocka_unit_test(again_is_as_if_new),
		cmocka_unit_test(the_oldest_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
