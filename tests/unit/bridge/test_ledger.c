#include "bridge/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/macros.h"

static void assert_ledger(const struct ledger *ledger, const char *text)
{
	char told[256];

	snprintf(told, sizeof(told),
		"taken %llu = acknowledged %llu + queued %llu + dropped %llu + forgotten %llu; "
		"accepted %llu = handed %llu + waiting %llu + undelivered %llu",
		(unsigned long long)ledger->n_taken, (unsigned long long)ledger->n_acknowledged,
		(unsigned long long)ledger->n_queued, (unsigned long long)ledger->n_dropped,
		(unsigned long long)ledger->n_forgotten, (unsigned long long)ledger->n_accepted,
		(unsigned long long)ledger->n_handed, (unsigned long long)ledger->n_waiting,
		(unsigned long long)ledger->n_undelivered);
	assert_string_equal(told, text);
	assert_true(ledger_is_balanced(ledger));
}

static struct ledger make_ledger(void)
{
	struct ledger ledger = {0};

	ledger_take(&ledger, 9);
	ledger_acknowledge(&ledger, 4);
	ledger_drop(&ledger, 2);
	ledger_take(&ledger, 1);
	ledger_accept(&ledger, 5);
	ledger_hand(&ledger, 3);
	ledger_accept(&ledger, 1);
	return ledger;
}

static void counters_move_together(void **state)
{
	struct ledger ledger = make_ledger();

	(void)state;
	assert_ledger(&ledger,
		"taken 10 = acknowledged 4 + queued 4 + dropped 2 + forgotten 0; "
		"accepted 6 = handed 3 + waiting 3 + undelivered 0");
	ledger_acknowledge(&ledger, 4);
	ledger_give_up(&ledger);
	ledger_give_up(&ledger);
	assert_ledger(&ledger,
		"taken 10 = acknowledged 8 + queued 0 + dropped 2 + forgotten 0; "
		"accepted 6 = handed 3 + waiting 0 + undelivered 3");
	ledger_take(&ledger, 0);
	ledger_acknowledge(&ledger, 0);
	ledger_drop(&ledger, 0);
	ledger_accept(&ledger, 0);
	ledger_hand(&ledger, 0);
	assert_ledger(&ledger,
		"taken 10 = acknowledged 8 + queued 0 + dropped 2 + forgotten 0; "
		"accepted 6 = handed 3 + waiting 0 + undelivered 3");
}

static void what_is_left_of_a_session_is_forgotten(void **state)
{
	struct ledger ledger = make_ledger(), sum = {0};

	(void)state;
	ledger_add(&sum, &ledger);
	assert_ledger(&sum,
		"taken 10 = acknowledged 4 + queued 0 + dropped 2 + forgotten 4; "
		"accepted 6 = handed 3 + waiting 0 + undelivered 3");
	ledger_give_up(&ledger);
	ledger_add(&sum, &ledger);
	assert_ledger(&sum,
		"taken 20 = acknowledged 8 + queued 0 + dropped 4 + forgotten 8; "
		"accepted 12 = handed 6 + waiting 0 + undelivered 6");
	/* sums can be summed */
	ledger_add(&ledger, &sum);
	assert_ledger(&ledger,
		"taken 30 = acknowledged 12 + queued 4 + dropped 6 + forgotten 8; "
		"accepted 18 = handed 9 + waiting 0 + undelivered 9");
}

static void one_item_that_is_missing_is_seen(void **state)
{
	static const size_t counters[] = {
		offsetof(struct ledger, n_taken),
		offsetof(struct ledger, n_acknowledged),
		offsetof(struct ledger, n_queued),
		offsetof(struct ledger, n_dropped),
		offsetof(struct ledger, n_forgotten),
		offsetof(struct ledger, n_accepted),
		offsetof(struct ledger, n_handed),
		offsetof(struct ledger, n_waiting),
		offsetof(struct ledger, n_undelivered),
	};

	(void)state;
	_Static_assert(sizeof(struct ledger) == sizeof(counters), "each counter is tried");
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		struct ledger ledger = make_ledger();

		assert_true(ledger_is_balanced(&ledger));
		++*(uint64_t *)((char *)&ledger + counters[i]);
		assert_false(ledger_is_balanced(&ledger));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_move_together),
		cmocka_unit_test(what_is_left_of_a_session_is_forgotten),
		cmocka_unit_test(one_item_that_is_missing_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
