#include "proxy/base/spread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proxy/base/macros.h"

enum { MOST = 1000, START = 5000, WINDOW = 1000000 };

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* However many there are, no part of the window is left out, and none is crowded. */
static void test_even(void **state)
{
	uint64_t times[MOST + 1];

	(void)state;
	for (size_t n = 1; n <= MOST; n++) {
		struct spread spread = {.start_ms = START, .window_ms = WINDOW};

		for (size_t i = 0; i < n; i++)
			times[i] = spread_next_ms(&spread);
		assert_int_equal(times[0], START);
		qsort(times, n, sizeof(times[0]), compare);
		times[n] = START + WINDOW;
		for (size_t i = 0; i < n; i++) {
			assert_true(times[i] < START + WINDOW);
			assert_true((times[i + 1] - times[i]) * n < 3 * (uint64_t)WINDOW);
			assert_true(i + 1 == n || (times[i + 1] - times[i]) * n > WINDOW / 4);
		}
	}
}

static void test_no_window(void **state)
{
	struct spread spread = {.start_ms = START};

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(spread_next_ms(&spread), START);
}

/* A drain of a day, and more than there are. */
static void test_long_windows(void **state)
{
	struct spread spread = {.window_ms = UINT64_MAX / 2};

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(spread_next_ms(&spread) < UINT64_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_even),
		cmocka_unit_test(test_no_window),
		cmocka_unit_test(test_long_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
