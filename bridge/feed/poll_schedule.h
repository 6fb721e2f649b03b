/*
 * When a resource is polled. Pure: times and outcomes in, times out.
 *
 *	start ------ end         start ------------------ end start
 *	|<---- interval ---->|   |<---- interval ---->|       (late: at once)
 *
 * An interval runs from start to start, and one poll ends before the next starts. Failures in a row
 * double the interval up to a most, of which each pause is a random part between half and all, so
 * that those who wait for the same backend do not come together; but no pause is shorter than the
 * interval. Retry-After puts the next start off.
 */
#ifndef BRIDGE_FEED_POLL_SCHEDULE_H
#define BRIDGE_FEED_POLL_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

/* After a failure, one interval at most of this for who waits for a first answer. */
#define POLL_FIRST_PAUSE_MS UINT64_C(1000)
/* A longer Retry-After counts as this. */
#define POLL_RETRY_AFTER_MAX_MS (UINT64_C(60) * 60 * 1000)

struct poll_schedule {
	uint64_t interval_ms;
	uint64_t max_interval_ms; /* at least interval_ms */
	uint64_t started_ms;	  /* the last start */
	uint64_t pause_ms;	  /* from it to the next one */
	uint64_t not_before_ms;	  /* by Retry-After */
	unsigned n_failures;	  /* in a row */
	bool has_started;
	bool is_running;
};

void poll_schedule_init(struct poll_schedule *self, uint64_t interval_ms, uint64_t max_interval_ms);

void poll_schedule_start(struct poll_schedule *self, uint64_t now_ms);
/* The poll has ended, well or badly. retry_after_ms: 0 without one. random: any number. */
void poll_schedule_succeed(struct poll_schedule *self);
void poll_schedule_fail(
	struct poll_schedule *self, uint64_t now_ms, uint64_t retry_after_ms, uint32_t random);

/* None is running: when the next is due; 0: none has been before. */
uint64_t poll_schedule_due_ms(const struct poll_schedule *self);
/*
 * The same if somebody waits for a first answer. After a failure such a one need not wait for what
 * others have brought about, but for Retry-After, and for an interval or POLL_FIRST_PAUSE_MS,
 * whichever is shorter.
 */
uint64_t poll_schedule_first_due_ms(const struct poll_schedule *self);

#endif
