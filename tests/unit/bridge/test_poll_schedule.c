/* When a resource is polled. */
#include "bridge/feed/poll_schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HIGHEST UINT32_MAX

static struct poll_schedule make(uint64_t interval_ms, uint64_t max_interval_ms)
{
	struct poll_schedule schedule;

	poll_schedule_init(&schedule, interval_ms, max_interval_ms);
	return schedule;
}

/* A poll that starts when it is due, and fails at once. */
static void fail_once(struct poll_schedule *schedule, uint64_t retry_after_ms, uint32_t random)
{
	uint64_t now = poll_schedule_due_ms(schedule);

	poll_schedule_start(schedule, now);
	poll_schedule_fail(schedule, now, retry_after_ms, random);
}

static uint64_t pause_after(struct poll_schedule *schedule, uint32_t random)
{
	fail_once(schedule, 0, random);
	return poll_schedule_due_ms(schedule) - schedule->started_ms;
}

static void the_first_is_due_at_once(void **state)
{
	struct poll_schedule schedule = make(1000, 30000);

	(void)state;
	assert_int_equal(poll_schedule_due_ms(&schedule), 0);
	assert_int_equal(poll_schedule_first_due_ms(&schedule), 0);
}

static void the_interval_runs_from_start_to_start(void **state)
{
	struct poll_schedule schedule = make(1000, 30000);

	(void)state;
	poll_schedule_start(&schedule, 5000);
	poll_schedule_succeed(&schedule);
	assert_int_equal(poll_schedule_due_ms(&schedule), 6000);
	assert_int_equal(poll_schedule_first_due_ms(&schedule), 6000);
	poll_schedule_start(&schedule, 6000);
	/* However long it took. */
	poll_schedule_succeed(&schedule);
	assert_int_equal(poll_schedule_due_ms(&schedule), 7000);
}

static void failures_in_a_row_double_the_pause_up_to_the_most(void **state)
{
	static const uint64_t most[] = {2000, 4000, 8000, 16000, 30000, 30000, 30000};
	struct poll_schedule schedule = make(1000, 30000);

	(void)state;
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
		assert_int_equal(pause_after(&schedule, HIGHEST), most[i]);
	schedule = make(1000, 30000);
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
		assert_int_equal(pause_after(&schedule, 0), most[i] / 2);
}

static void pauses_vary_between_half_and_all(void **state)
{
	(void)state;
	for (uint32_t random = 0; random < HIGHEST - (1u << 24); random += 1u << 24) {
		struct poll_schedule schedule = make(1000, 30000);
		uint64_t pause;

		(void)pause_after(&schedule, random);
		pause = pause_after(&schedule, random);
		assert_in_range(pause, 2000, 4000);
	}
}

static void no_pause_is_shorter_than_the_interval(void **state)
{
	struct poll_schedule schedule = make(10000, 12000), long_one = make(60000, 30000);

	(void)state;
	assert_int_equal(pause_after(&schedule, 0), 10000);
	assert_int_equal(pause_after(&schedule, HIGHEST), 12000);
	assert_int_equal(pause_after(&long_one, 0), 60000);
	assert_int_equal(pause_after(&long_one, HIGHEST), 60000);
}

static void a_success_ends_the_backing_off(void **state)
{
	struct poll_schedule schedule = make(1000, 30000);

	(void)state;
	for (int i = 0; i < 200; i++)
		(void)pause_after(&schedule, HIGHEST);
	poll_schedule_start(&schedule, 900000);
	poll_schedule_succeed(&schedule);
	assert_int_equal(poll_schedule_due_ms(&schedule), 901000);
	assert_int_equal(pause_after(&schedule, HIGHEST), 2000);
}

static void who_waits_for_a_first_answer_waits_an_interval_or_a_second(void **state)
{
	static const uint64_t cases[][2] = {{200, 200}, {1000, 1000}, {60000, 1000}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct poll_schedule schedule = make(cases[i][0], 120000);

		poll_schedule_start(&schedule, 0);
		poll_schedule_succeed(&schedule);
		assert_int_equal(poll_schedule_first_due_ms(&schedule), cases[i][0]);
		for (int j = 0; j < 12; j++)
			(void)pause_after(&schedule, HIGHEST);
		assert_int_equal(poll_schedule_due_ms(&schedule), schedule.started_ms + 120000);
		assert_int_equal(
			poll_schedule_first_due_ms(&schedule), schedule.started_ms + cases[i][1]);
	}
}

static void retry_after_puts_the_next_off(void **state)
{
	struct poll_schedule schedule = make(1000, 30000);

	(void)state;
	poll_schedule_start(&schedule, 1000);
	poll_schedule_fail(&schedule, 1500, 90000, 0);
	assert_int_equal(poll_schedule_due_ms(&schedule), 91500);
	assert_int_equal(poll_schedule_first_due_ms(&schedule), 91500);
	/* A short one does not shorten anything. */
	poll_schedule_start(&schedule, 91500);
	poll_schedule_fail(&schedule, 91500, 1, HIGHEST);
	assert_int_equal(poll_schedule_due_ms(&schedule), 95500);
	/* It holds once. */
	poll_schedule_start(&schedule, 95500);
	poll_schedule_succeed(&schedule);
	assert_int_equal(poll_schedule_due_ms(&schedule), 96500);
}

static void a_very_long_retry_after_is_cut(void **state)
{
	struct poll_schedule schedule = make(1000, 30000);

	(void)state;
	poll_schedule_start(&schedule, 1000);
	poll_schedule_fail(&schedule, 1000, UINT64_MAX, 0);
	assert_int_equal(poll_schedule_due_ms(&schedule), 1000 + 3600 * 1000);
	poll_schedule_start(&schedule, 1000 + 3600 * 1000);
	poll_schedule_fail(&schedule, 1000 + 3600 * 1000, 3600 * 1000, 0);
	assert_int_equal(poll_schedule_due_ms(&schedule), 1000 + 2 * 3600 * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_due_at_once),
		cmocka_unit_test(the_interval_runs_from_start_to_start),
		cmocka_unit_test(failures_in_a_row_double_the_pause_up_to_the_most),
		cmocka_unit_test(pauses_vary_between_half_and_all),
		cmocka_unit_test(no_pause_is_shorter_than_the_interval),
		cmocka_unit_test(a_success_ends_the_backing_off),
		cmocka_unit_test(who_waits_for_a_first_answer_waits_an_interval_or_a_second),
		cmocka_unit_test(retry_after_puts_the_next_off),
		cmocka_unit_test(a_very_long_retry_after_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
