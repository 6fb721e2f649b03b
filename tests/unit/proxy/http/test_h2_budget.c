/* What a client may do without need, by a clock moved by hand. */
#include "proxy/http/h2_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct h2_budget budget;

static int set_up(void **state)
{
	(void)state;
	h2_budget_start(&budget, 5000);
	return 0;
}

/* How many of them it pays for at this time. */
static uint32_t n_paid(uint64_t now_ms, uint32_t cost)
{
	uint32_t n = 0;

	while (h2_budget_spend(&budget, now_ms, cost))
		n++;
	return n;
}

static void it_is_full_at_first(void **state)
{
	(void)state;
	assert_int_equal(n_paid(5000, H2_COST_RESET), 1000);
	assert_false(h2_budget_spend(&budget, 5000, 1));
}

static void a_mixture_is_paid_from_one_budget(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++) {
		assert_true(h2_budget_spend(&budget, 5000, H2_COST_RESET));
		assert_true(h2_budget_spend(&budget, 5000, H2_COST_PING));
		assert_true(h2_budget_spend(&budget, 5000, H2_COST_EMPTY_FRAME));
		assert_true(h2_budget_spend(&budget, 5000, H2_COST_PRIORITY));
		assert_true(h2_budget_spend(&budget, 5000, H2_COST_WINDOW_UPDATE));
		assert_true(h2_budget_spend(&budget, 5000, H2_COST_OTHER_FRAME));
	}
	assert_int_equal(budget.left, 0);
	assert_false(h2_budget_spend(&budget, 5000, H2_COST_PRIORITY));
}

static void it_refills_with_time(void **state)
{
	(void)state;
	(void)n_paid(5000, 1);
	assert_false(h2_budget_spend(&budget, 5002, 1));
	assert_int_equal(n_paid(6000, H2_COST_RESET), 33);
	/* What was not enough for one is not lost. */
	assert_in_range(n_paid(7000, 1), 330, 340);
}

static void time_is_not_lost_in_small_steps(void **state)
{
	uint32_t n = 0;

	(void)state;
	(void)n_paid(5000, 1);
	for (uint64_t now = 5001; now <= 15000; now++)
		n += n_paid(now, 1);
	assert_in_range(n, 3300, 3400);
}

static void it_never_holds_more_than_full(void **state)
{
	(void)state;
	assert_true(h2_budget_spend(&budget, 5000, 10000));
	assert_int_equal(n_paid(5000 + 24 * 3600 * 1000, 1), 10000);
	h2_budget_start(&budget, 0);
	h2_budget_earn(&budget, 100);
	assert_int_equal(n_paid(0, 1), 10000);
}

static void what_is_earned_can_be_spent(void **state)
{
	(void)state;
	(void)n_paid(5000, 1);
	h2_budget_earn(&budget, 2);
	assert_int_equal(n_paid(5000, 1), 2);
	for (int i = 0; i < 10000; i++)
		h2_budget_earn(&budget, 2);
	assert_int_equal(n_paid(5000, 1), 10000);
}

/* A refusal costs nothing, so that time alone decides when it goes on. */
static void what_is_refused_is_not_charged(void **state)
{
	(void)state;
	(void)n_paid(5000, 1);
	h2_budget_earn(&budget, 9);
	for (int i = 0; i < 100; i++)
		assert_false(h2_budget_spend(&budget, 5000, H2_COST_RESET));
	assert_int_equal(budget.left, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_is_full_at_first, set_up),
		cmocka_unit_test_setup(a_mixture_is_paid_from_one_budget, set_up),
		cmocka_unit_test_setup(it_refills_with_time, set_up),
		cmocka_unit_test_setup(time_is_not_lost_in_small_steps, set_up),
		cmocka_unit_test_setup(it_never_holds_more_than_full, set_up),
		cmocka_unit_test_setup(what_is_earned_can_be_spent, set_up),
		cmocka_unit_test_setup(what_is_refused_is_not_charged, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
