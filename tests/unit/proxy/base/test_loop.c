#include "proxy/base/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/memory.h"

struct counter {
	struct loop *loop;
	struct notice notice;
	struct notice *other;
	struct timer timer;
	struct grave grave;
	uint64_t ran_at_ms;
	int n;
	int n_repeats;
};

static void count(void *arg)
{
	struct counter *self = arg;

	self->n++;
	self->ran_at_ms = loop_now_ms(self->loop);
	if (self->n_repeats > 0) {
		self->n_repeats--;
		notice_post(self->loop, &self->notice);
	}
	if (self->other != NULL)
		notice_cancel(self->loop, self->other);
}

static struct counter counter_of(struct loop *loop)
{
	return (struct counter){.loop = loop};
}

static void test_a_notice_runs_once_at_the_end_of_the_turn(void **state)
{
	struct loop *loop = loop_new_fake(0);
	struct counter a = counter_of(loop);

	(void)state;
	notice_init(&a.notice, count, &a);
	notice_post(loop, &a.notice);
	notice_post(loop, &a.notice);
	assert_int_equal(a.n, 0);
	loop_turn(loop, false);
	assert_int_equal(a.n, 1);
	loop_turn(loop, false);
	assert_int_equal(a.n, 1);
	loop_free(loop);
}

static void test_a_notice_can_be_cancelled_by_an_earlier_one(void **state)
{
	struct loop *loop = loop_new_fake(0);
	struct counter a = counter_of(loop), b = counter_of(loop);

	(void)state;
	notice_init(&a.notice, count, &a);
	notice_init(&b.notice, count, &b);
	a.other = &b.notice;
	notice_post(loop, &a.notice);
	notice_post(loop, &b.notice);
	loop_turn(loop, false);
	assert_int_equal(a.n, 1);
	assert_int_equal(b.n, 0);
	loop_free(loop);
}

/* A notice that posts itself for ever does not keep the loop from its sockets. */
static void test_generations_are_bounded(void **state)
{
	struct loop *loop = loop_new_fake(0);
	struct counter a = counter_of(loop);

	(void)state;
	a.n_repeats = 1000;
	notice_init(&a.notice, count, &a);
	notice_post(loop, &a.notice);
	loop_turn(loop, true);
	assert_in_range(a.n, 2, 100);
	notice_cancel(loop, &a.notice);
	loop_free(loop);
}

static void test_the_dead_are_freed_after_the_notices(void **state)
{
	struct loop *loop = loop_new_fake(0);
	struct counter dead = counter_of(loop), b = counter_of(loop);

	(void)state;
	notice_init(&b.notice, count, &b);
	notice_post(loop, &b.notice);
	loop_bury(loop, &dead.grave, count, &dead);
	assert_int_equal(dead.n, 0);
	loop_turn(loop, false);
	assert_int_equal(b.n, 1);
	assert_int_equal(dead.n, 1);
	loop_free(loop);
}

static void test_a_timer_runs_at_its_deadline(void **state)
{
	struct loop *loop = loop_new_fake(1000);
	struct counter a = counter_of(loop);

	(void)state;
	timer_init(&a.timer, count, &a);
	timer_set_in(loop, &a.timer, 50);
	loop_advance(loop, 49);
	assert_int_equal(a.n, 0);
	loop_advance(loop, 1);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.ran_at_ms, 1050);
	assert_false(timer_is_set(&a.timer));
	loop_free(loop);
}

static void test_a_deadline_can_move_both_ways(void **state)
{
	struct loop *loop = loop_new_fake(0);
	struct counter a = counter_of(loop);

	(void)state;
	timer_init(&a.timer, count, &a);
	timer_set_at(loop, &a.timer, 100);
	timer_set_at(loop, &a.timer, 300);
	loop_advance(loop, 200);
	assert_int_equal(a.n, 0);
	timer_set_at(loop, &a.timer, 250);
	loop_advance(loop, 100);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.ran_at_ms, 250);
	loop_free(loop);
}

static void test_a_cancelled_timer_does_not_run(void **state)
{
	struct loop *loop = loop_new_fake(0);
	struct counter a = counter_of(loop);

	(void)state;
	timer_init(&a.timer, count, &a);
	timer_set_at(loop, &a.timer, 10);
	timer_cancel(&a.timer);
	loop_advance(loop, 20);
	assert_int_equal(a.n, 0);
	timer_set_at(loop, &a.timer, 30);
	timer_close(loop, &a.timer);
	loop_advance(loop, 20);
	assert_int_equal(a.n, 0);
	loop_free(loop);
}

#define N_TIMERS 200

static void test_many_timers_run_at_their_own_time(void **state)
{
	unsigned seed =
		getenv("SEED") != NULL ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
	struct loop *loop = loop_new_fake(0);
	struct counter *timers = memory_alloc_zeroed(sizeof(*timers) * N_TIMERS);
	uint64_t due[N_TIMERS];

	(void)state;
	print_message("SEED=%u\n", seed);
	srand(seed);
	for (int i = 0; i < N_TIMERS; i++) {
		timers[i] = counter_of(loop);
		timer_init(&timers[i].timer, count, &timers[i]);
		for (int k = rand() % 4; k >= 0; k--) {
			due[i] = (uint64_t)rand() % 5000;
			timer_set_at(loop, &timers[i].timer, due[i]);
		}
		if (rand() % 10 == 0) {
			timer_close(loop, &timers[i].timer);
			due[i] = TIMER_NEVER;
		}
	}
	loop_advance(loop, 6000);
	for (int i = 0; i < N_TIMERS; i++) {
		assert_int_equal(timers[i].n, due[i] == TIMER_NEVER ? 0 : 1);
		if (due[i] != TIMER_NEVER)
			assert_int_equal(timers[i].ran_at_ms, due[i]);
	}
	free(timers);
	loop_free(loop);
}

static void stop(void *arg)
{
	struct counter *self = arg;

	self->n++;
	loop_stop(self->loop);
}

static void test_a_real_loop_waits_for_its_timers(void **state)
{
	struct loop *loop = loop_new();
	struct counter a = counter_of(loop);
	uint64_t start = loop_now_ms(loop);

	(void)state;
	timer_init(&a.timer, stop, &a);
	timer_set_in(loop, &a.timer, 20);
	loop_run(loop);
	assert_int_equal(a.n, 1);
	assert_true(loop_now_ms(loop) >= start + 20);
	loop_free(loop);
}

/* What was heard, in order: 's' for the signal, 'p' for the pipe. */
struct hearing {
	struct loop *loop;
	char heard[8];
	size_t n;
};

static void hear(struct hearing *self, char what)
{
	assert_true(self->n < sizeof(self->heard) - 1);
	self->heard[self->n++] = what;
	if (self->n == 2)
		loop_stop(self->loop);
}

static void hear_signal(int number, short what, void *arg)
{
	(void)what;
	assert_int_equal(number, SIGUSR1);
	hear(arg, 's');
}

static void hear_pipe(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hear(arg, 'p');
}

static void test_a_signal_is_heard_before_sockets_that_were_ready_before(void **state)
{
	struct loop *loop = loop_new();
	struct hearing hearing = {.loop = loop};
	struct event *signal = loop_watch_signal(loop, SIGUSR1, hear_signal, &hearing);
	struct event pipe_event;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(
		event_assign(&pipe_event, loop_base(loop), fds[0], EV_READ, hear_pipe, &hearing),
		0);
	assert_int_equal(event_add(&pipe_event, NULL), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(raise(SIGUSR1), 0);
	loop_run(loop);
	assert_string_equal(hearing.heard, "sp");
	(void)event_del(&pipe_event);
	event_free(signal);
	(void)close(fds[0]);
	(void)close(fds[1]);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_notice_runs_once_at_the_end_of_the_turn),
		cmocka_unit_test(test_a_notice_can_be_cancelled_by_an_earlier_one),
		cmocka_unit_test(test_generations_are_bounded),
		cmocka_unit_test(test_the_dead_are_freed_after_the_notices),
		cmocka_unit_test(test_a_timer_runs_at_its_deadline),
		cmocka_unit_test(test_a_deadline_can_move_both_ways),
		cmocka_unit_test(test_a_cancelled_timer_does_not_run),
		cmocka_unit_test(test_many_timers_run_at_their_own_time),
		cmocka_unit_test(test_a_real_loop_waits_for_its_timers),
		cmocka_unit_test(test_a_signal_is_heard_before_sockets_that_were_ready_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
