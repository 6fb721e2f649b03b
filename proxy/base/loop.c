#include "proxy/base/loop.h"

#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

#include "proxy/base/loop_memory.h"
#include "proxy/base/memory.h"

/* Priorities of libevent: it takes one half of their number, which is 1, where none is said. */
#define N_PRIORITIES 2
#define PRIORITY_SIGNAL 0
/* Generations of notices before sockets get their turn. */
#define MAX_GENERATIONS 8

TAILQ_HEAD(notice_list, notice);

struct loop {
	struct event_base *base; /* NULL: fake */
	struct notice_list notices;
	struct grave *graves;
	uint64_t now_us;
	bool is_now_known;
	bool is_stopping;

	/* A binary heap of timers by armed_ms, from index 1, and the one libevent timeout that
	 * stands for its top. */
	struct timer **heap;
	uint32_t n_heap;
	uint32_t heap_size;
	struct event *timeout;
	uint64_t timeout_ms; /* what it is armed for; TIMER_NEVER: not armed */
};

static void on_timeout(evutil_socket_t fd, short what, void *arg);

static struct loop *loop_alloc(void)
{
	struct loop *self = memory_alloc_zeroed(sizeof(*self));

	TAILQ_INIT(&self->notices);
	self->timeout_ms = TIMER_NEVER;
	self->heap_size = 64;
	self->heap = memory_alloc(self->heap_size * sizeof(struct timer *));
	return self;
}

struct loop *loop_new(void)
{
	struct loop *self = loop_alloc();
	struct event_config *config;

	loop_memory_use();
	config = event_config_new();
	ASSERT(config != NULL);
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	self->base = event_base_new_with_config(config);
	event_config_free(config);
	ASSERT(self->base != NULL);
	(void)event_base_priority_init(self->base, N_PRIORITIES);
	self->timeout = evtimer_new(self->base, on_timeout, self);
	ASSERT(self->timeout != NULL);
	return self;
}

struct loop *loop_new_fake(uint64_t now_ms)
{
	struct loop *self = loop_alloc();

	self->now_us = now_ms * 1000;
	self->is_now_known = true;
	return self;
}

static void bury_the_dead(struct loop *self)
{
	while (self->graves != NULL) {
		struct grave *grave = self->graves;

		self->graves = grave->next;
		grave->free(grave->arg);
	}
}

void loop_free(struct loop *self)
{
	bury_the_dead(self);
	ASSERT(self->n_heap == 0);
	if (self->timeout != NULL)
		event_free(self->timeout);
	if (self->base != NULL)
		event_base_free(self->base);
	free(self->heap);
	free(self);
}

struct event_base *loop_base(struct loop *self)
{
	return self->base;
}

uint64_t loop_now_us(struct loop *self)
{
	struct timespec now;

	if (!self->is_now_known) {
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		self->now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
		self->is_now_known = true;
	}
	return self->now_us;
}

uint64_t loop_now_ms(struct loop *self)
{
	return loop_now_us(self) / 1000;
}

/* Notices. */

void notice_init(struct notice *self, void (*run)(void *arg), void *arg)
{
	*self = (struct notice){.run = run, .arg = arg};
}

void notice_post(struct loop *loop, struct notice *self)
{
	if (self->is_posted)
		return;
	self->is_posted = true;
	TAILQ_INSERT_TAIL(&loop->notices, self, link);
}

void notice_cancel(struct loop *loop, struct notice *self)
{
	if (!self->is_posted)
		return;
	self->is_posted = false;
	TAILQ_REMOVE(&loop->notices, self, link);
}

/* A marker ends the snapshot: what is posted meanwhile stands behind it and waits for the next
 * generation. */
static void run_generation(struct loop *self)
{
	struct notice marker = {.is_posted = true};
	struct notice *notice;

	TAILQ_INSERT_TAIL(&self->notices, &marker, link);
	while ((notice = TAILQ_FIRST(&self->notices)) != &marker) {
		notice_cancel(self, notice);
		notice->run(notice->arg);
	}
	TAILQ_REMOVE(&self->notices, &marker, link);
}

void loop_bury(struct loop *self, struct grave *grave, void (*free_fn)(void *arg), void *arg)
{
	*grave = (struct grave){.next = self->graves, .free = free_fn, .arg = arg};
	self->graves = grave;
}

/* Timers. */

static void heap_place(struct loop *self, struct timer *timer, uint32_t index)
{
	self->heap[index] = timer;
	timer->heap_index = index;
}

static void heap_sift_up(struct loop *self, struct timer *timer, uint32_t index)
{
	while (index > 1 && self->heap[index / 2]->armed_ms > timer->armed_ms) {
		heap_place(self, self->heap[index / 2], index);
		index /= 2;
	}
	heap_place(self, timer, index);
}

static void heap_sift_down(struct loop *self, struct timer *timer, uint32_t index)
{
	for (;;) {
		uint32_t child = index * 2;

		if (child > self->n_heap)
			break;
		if (child < self->n_heap &&
			self->heap[child + 1]->armed_ms < self->heap[child]->armed_ms)
			child++;
		if (self->heap[child]->armed_ms >= timer->armed_ms)
			break;
		heap_place(self, self->heap[child], index);
		index = child;
	}
	heap_place(self, timer, index);
}

static void heap_insert(struct loop *self, struct timer *timer)
{
	if (self->n_heap + 2 > self->heap_size) {
		self->heap_size *= 2;
		self->heap = memory_realloc(self->heap, self->heap_size * sizeof(struct timer *));
	}
	heap_sift_up(self, timer, ++self->n_heap);
}

static void heap_remove(struct loop *self, struct timer *timer)
{
	uint32_t index = timer->heap_index;
	struct timer *last = self->heap[self->n_heap--];

	timer->heap_index = 0;
	if (last == timer)
		return;
	if (index > 1 && self->heap[index / 2]->armed_ms > last->armed_ms)
		heap_sift_up(self, last, index);
	else
		heap_sift_down(self, last, index);
}

static void arm_timeout(struct loop *self)
{
	uint64_t due = self->n_heap > 0 ? self->heap[1]->armed_ms : TIMER_NEVER;
	uint64_t wait_ms, now_ms;
	struct timeval tv;

	/* An earlier timeout than needed is harmless: it re-arms itself. */
	if (self->timeout == NULL || due >= self->timeout_ms)
		return;
	now_ms = loop_now_ms(self);
	wait_ms = due > now_ms ? due - now_ms : 0;
	tv = (struct timeval){.tv_sec = (time_t)(wait_ms / 1000),
		.tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};
	self->timeout_ms = due;
	(void)evtimer_add(self->timeout, &tv);
}

void timer_init(struct timer *self, void (*run)(void *arg), void *arg)
{
	*self = (struct timer){.deadline_ms = TIMER_NEVER, .run = run, .arg = arg};
}

void timer_set_at(struct loop *loop, struct timer *self, uint64_t deadline_ms)
{
	self->deadline_ms = deadline_ms;
	if (deadline_ms == TIMER_NEVER)
		return;
	if (self->heap_index == 0) {
		self->armed_ms = deadline_ms;
		heap_insert(loop, self);
	} else if (deadline_ms < self->armed_ms) {
		self->armed_ms = deadline_ms;
		heap_sift_up(loop, self, self->heap_index);
	}
	if (self->heap_index == 1)
		arm_timeout(loop);
}

void timer_set_in(struct loop *loop, struct timer *self, uint64_t ms)
{
	timer_set_at(loop, self, loop_now_ms(loop) + ms);
}

void timer_cancel(struct timer *self)
{
	self->deadline_ms = TIMER_NEVER;
}

bool timer_is_set(const struct timer *self)
{
	return self->deadline_ms != TIMER_NEVER;
}

void timer_close(struct loop *loop, struct timer *self)
{
	self->deadline_ms = TIMER_NEVER;
	if (self->heap_index != 0)
		heap_remove(loop, self);
}

static void run_due_timers(struct loop *self)
{
	uint64_t now_ms = loop_now_ms(self);

	while (self->n_heap > 0 && self->heap[1]->armed_ms <= now_ms) {
		struct timer *timer = self->heap[1];

		heap_remove(self, timer);
		if (timer->deadline_ms <= now_ms) {
			timer->deadline_ms = TIMER_NEVER;
			timer->run(timer->arg);
		} else if (timer->deadline_ms != TIMER_NEVER) {
			timer->armed_ms = timer->deadline_ms;
			heap_insert(self, timer);
		}
	}
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct loop *self = arg;

	(void)fd;
	(void)what;
	self->timeout_ms = TIMER_NEVER;
	run_due_timers(self);
	arm_timeout(self);
}

/* Turns. */

void loop_turn(struct loop *self, bool block)
{
	if (self->base != NULL) {
		int flags = block && TAILQ_EMPTY(&self->notices) ? EVLOOP_ONCE
								 : EVLOOP_ONCE | EVLOOP_NONBLOCK;

		self->is_now_known = false;
		(void)event_base_loop(self->base, flags);
	} else {
		run_due_timers(self);
	}
	for (int i = 0; i < MAX_GENERATIONS && !TAILQ_EMPTY(&self->notices); i++)
		run_generation(self);
	bury_the_dead(self);
}

struct event *loop_watch_signal(
	struct loop *self, int number, void (*run)(int number, short what, void *arg), void *arg)
{
	struct event *event = evsignal_new(self->base, number, run, arg);

	ASSERT(event != NULL);
	(void)event_priority_set(event, PRIORITY_SIGNAL);
	(void)event_add(event, NULL);
	return event;
}

void loop_run(struct loop *self)
{
	self->is_stopping = false;
	while (!self->is_stopping)
		loop_turn(self, true);
}

void loop_stop(struct loop *self)
{
	self->is_stopping = true;
}

void loop_advance(struct loop *self, uint64_t ms)
{
	uint64_t end_us = self->now_us + ms * 1000;

	ASSERT(self->base == NULL);
	for (;;) {
		loop_turn(self, false);
		if (!TAILQ_EMPTY(&self->notices))
			continue;
		if (self->n_heap == 0 || self->heap[1]->armed_ms * 1000 > end_us)
			break;
		self->now_us = MAX(self->now_us, self->heap[1]->armed_ms * 1000);
	}
	self->now_us = end_us;
}
