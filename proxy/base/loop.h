/*
 * The event loop and the deferred call.
 *
 * No callback is ever called from inside a call that its receiver made. What has to be told is
 * posted as a notice and runs at the end of the loop turn; what is closed is buried and freed after
 * that, so a pointer stays valid for the turn it died in. One turn:
 *
 *   wait for events and timers -> their callbacks -> notices, a few generations -> free the dead
 *
 * If notices remain after the last generation the next turn does not block, so that sockets are not
 * starved.
 *
 * The clock is read once a turn. A fake loop has no event base; its clock is moved by hand
 * (loop_advance), for tests of timers.
 */
#ifndef PROXY_BASE_LOOP_H
#define PROXY_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/base/macros.h"

struct event;
struct event_base;
struct loop;

/* Embedded in its owner. While posted, the owner must not be freed: cancel first. */
struct notice {
	TAILQ_ENTRY(notice) link;
	void (*run)(void *arg);
	void *arg;
	bool is_posted;
};

/* Embedded as any member of what dies. */
struct grave {
	struct grave *next;
	void (*free)(void *arg);
	void *arg;
};

struct loop *loop_new(void);
struct loop *loop_new_fake(uint64_t now_ms);
/* Frees what is still buried. Timers must have been closed. */
void loop_free(struct loop *self);

/* NULL in a fake loop. */
struct event_base *loop_base(struct loop *self);
/* Monotonic, of this turn. */
uint64_t loop_now_us(struct loop *self);
uint64_t loop_now_ms(struct loop *self);

/* Runs until loop_stop. */
void loop_run(struct loop *self);
void loop_stop(struct loop *self);
/* One turn; waits for events only when `block` and nothing is pending. For tests and for loop_run.
 */
void loop_turn(struct loop *self, bool block);
/* Fake loops: moves the clock in steps to each due timer, and runs turns until nothing is pending.
 */
void loop_advance(struct loop *self, uint64_t ms);

/*
 * Watches a signal, from now on until event_free. It is heard before sockets that are ready in the
 * same turn: what a process is told holds for all that it reads after that. Not in a fake loop.
 */
struct event *loop_watch_signal(
	struct loop *self, int number, void (*run)(int number, short what, void *arg), void *arg);

void notice_init(struct notice *self, void (*run)(void *arg), void *arg);
/* Posting a posted notice does nothing. */
void notice_post(struct loop *loop, struct notice *self);
void notice_cancel(struct loop *loop, struct notice *self);

/* `free` runs after the notices of this turn. */
void loop_bury(struct loop *self, struct grave *grave, void (*free)(void *arg), void *arg);

/*
 * A timer whose deadline may be moved at no cost: moving it later only stores the number, and the
 * loop re-arms when the earlier one comes due. Embedded in its owner; close before freeing.
 */
struct timer {
	uint64_t deadline_ms; /* TIMER_NEVER when not set */
	uint64_t armed_ms;    /* place in the heap: at or before the deadline */
	void (*run)(void *arg);
	void *arg;
	uint32_t heap_index; /* from 1; 0: not in the heap */
};

#define TIMER_NEVER UINT64_MAX

void timer_init(struct timer *self, void (*run)(void *arg), void *arg);
void timer_set_at(struct loop *loop, struct timer *self, uint64_t deadline_ms);
void timer_set_in(struct loop *loop, struct timer *self, uint64_t ms);
/* Does not run until set again. */
void timer_cancel(struct timer *self);
bool timer_is_set(const struct timer *self);
/* Leaves the loop's heap; required before its memory goes. */
void timer_close(struct loop *loop, struct timer *self);

#endif
