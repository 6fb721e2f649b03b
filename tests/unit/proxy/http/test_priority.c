/* The Priority field (RFC 9218 section 4): a dictionary of RFC 8941. */
#include "proxy/http/priority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static const struct {
	const char *value;
	unsigned urgency;
	bool is_incremental;
} rows[] = {
	/* Nothing said: the defaults. */
	{"", 3, false},
	{"foo", 3, false},
	{"foo=1, bar;u=1", 3, false},
	/* Both members, in any order, and each alone. */
	{"u=0", 0, false},
	{"u=7", 7, false},
	{"i", 3, true},
	{"i=?1", 3, true},
	{"i=?0", 3, false},
	{"u=5, i", 5, true},
	{"i, u=5", 5, true},
	{" u=2 ,\ti ", 2, true},
	{"u=1,i,future=2", 1, true},
	/* RFC 8941 section 4.2.2: of two members of one name the last one counts. */
	{"u=1, u=6", 6, false},
	{"i, i=?0", 3, false},
	/* Parameters of a member say nothing. */
	{"u=4;x=1, i;y", 4, true},
	{"i=?0;u=1", 3, false},
	/* Out of range, of another type, or of another name: as if it were not there. */
	{"u=8", 3, false},
	{"u=-1", 3, false},
	{"u=10", 3, false},
	{"u=1.0", 3, false},
	{"u=\"1\"", 3, false},
	{"u", 3, false},
	{"u=", 3, false},
	{"U=1", 3, false},
	{"I", 3, false},
	{"i=1", 3, false},
	{"i=?2", 3, false},
	{"x=\"u=1, i\"", 3, false},
	{"u=2, u=9", 2, false},
};

static void the_value_is_read_as_a_dictionary(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct priority priority = PRIORITY_DEFAULT;

		priority_read(&priority, slice_from_string(rows[i].value));
		if (priority.urgency != rows[i].urgency ||
			priority.is_incremental != rows[i].is_incremental)
			fail_msg("\"%s\": u=%u, i=%d", rows[i].value, priority.urgency,
				priority.is_incremental);
	}
}

/* RFC 9218 section 8: what one party leaves out stays as the other has said it. */
static void a_second_value_changes_what_it_says(void **state)
{
	struct priority priority = PRIORITY_DEFAULT;

	(void)state;
	priority_read(&priority, SLICE("u=5, i"));
	priority_read(&priority, SLICE("u=1"));
	assert_int_equal(priority.urgency, 1);
	assert_true(priority.is_incremental);
	priority_read(&priority, SLICE("i=?0"));
	assert_int_equal(priority.urgency, 1);
	assert_false(priority.is_incremental);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_value_is_read_as_a_dictionary),
		cmocka_unit_test(a_second_value_changes_what_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
