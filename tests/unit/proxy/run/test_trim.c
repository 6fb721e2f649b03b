#include "proxy/run/trim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct crowd {
	struct loop *loop;
	struct trim trim;
	size_t n_live;
};

static size_t count_live(void *arg)
{
	return ((struct crowd *)arg)->n_live;
}

static int set_up(void **state)
{
	static struct crowd crowd;

	crowd = (struct crowd){.loop = loop_new_fake(1000)};
	trim_init(&crowd.trim, crowd.loop, count_live, &crowd);
	*state = &crowd;
	return 0;
}

static int tear_down(void **state)
{
	struct crowd *self = *state;

	trim_close(&self->trim);
	loop_free(self->loop);
	return 0;
}

static void come(struct crowd *self, size_t n)
{
	self->n_live += n;
	while (n-- > 0)
		trim_count(&self->trim);
}

static void go(struct crowd *self, size_t n)
{
	self->n_live -= n;
}

static void expect_trims(struct crowd *self, size_t n)
{
	loop_advance(self->loop, TRIM_EVERY_MS);
	assert_int_equal(self->trim.n_done, n);
}

static void half_of_them_have_to_go(void **state)
{
	struct crowd *self = *state;

	come(self, 1000);
	go(self, 499);
	expect_trims(self, 0);
	go(self, 1);
	expect_trims(self, 1);
	/* Counted anew: 500 are there. */
	come(self, 1);
	go(self, 250);
	expect_trims(self, 1);
	go(self, 1);
	expect_trims(self, 2);
}

static void those_that_come_and_go_meanwhile_count(void **state)
{
	struct crowd *self = *state;

	come(self, 300);
	for (int i = 0; i < 299; i++) {
		come(self, 1);
		go(self, 1);
	}
	expect_trims(self, 0);
	come(self, 1);
	go(self, 1);
	expect_trims(self, 1);
}

static void few_are_not_worth_it(void **state)
{
	struct crowd *self = *state;

	come(self, TRIM_MIN_GONE);
	go(self, TRIM_MIN_GONE - 1);
	expect_trims(self, 0);
	come(self, 1);
	go(self, 1);
	expect_trims(self, 1);
}

static void after_the_last_it_rests(void **state)
{
	struct crowd *self = *state;

	come(self, 2);
	go(self, 1);
	expect_trims(self, 0);
	assert_true(timer_is_set(&self->trim.timer));
	go(self, 1);
	expect_trims(self, 1);
	assert_false(timer_is_set(&self->trim.timer));
	come(self, 1);
	assert_true(timer_is_set(&self->trim.timer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(half_of_them_have_to_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			those_that_come_and_go_meanwhile_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(few_are_not_worth_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(after_the_last_it_rests, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
