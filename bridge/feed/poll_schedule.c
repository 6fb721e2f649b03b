#include "bridge/feed/poll_schedule.h"

#include "proxy/base/macros.h"

void poll_schedule_init(struct poll_schedule *self, uint64_t interval_ms, uint64_t max_interval_ms)
{
	*self = (struct poll_schedule){
		.interval_ms = interval_ms,
		.max_interval_ms = MAX(interval_ms, max_interval_ms),
		.pause_ms = interval_ms,
	};
}

void poll_schedule_start(struct poll_schedule *self, uint64_t now_ms)
{
	ASSERT(!self->is_running);
	self->is_running = self->has_started = true;
	self->started_ms = now_ms;
}

void poll_schedule_succeed(struct poll_schedule *self)
{
	ASSERT(self->is_running);
	self->is_running = false;
	self->n_failures = 0;
	self->not_before_ms = 0;
	self->pause_ms = self->interval_ms;
}

/* The interval doubled for each failure. */
static uint64_t backed_off(const struct poll_schedule *self)
{
	uint64_t pause = self->interval_ms;

	for (unsigned i = 0; i < self->n_failures && pause < self->max_interval_ms; i++)
		pause *= 2;
	return MIN(pause, self->max_interval_ms);
}

void poll_schedule_fail(
	struct poll_schedule *self, uint64_t now_ms, uint64_t retry_after_ms, uint32_t random)
{
	uint64_t pause;

	ASSERT(self->is_running);
	self->is_running = false;
	self->n_failures++;
	pause = backed_off(self);
	pause = pause / 2 + (pause / 2 + 1) * random / ((uint64_t)UINT32_MAX + 1);
	self->pause_ms = MAX(pause, self->interval_ms);
	self->not_before_ms = 0;
	if (retry_after_ms > 0)
		self->not_before_ms = now_ms + MIN(retry_after_ms, POLL_RETRY_AFTER_MAX_MS);
}

uint64_t poll_schedule_due_ms(const struct poll_schedule *self)
{
	ASSERT(!self->is_running);
	if (!self->has_started)
		return 0;
	return MAX(self->started_ms + self->pause_ms, self->not_before_ms);
}

uint64_t poll_schedule_first_due_ms(const struct poll_schedule *self)
{
	uint64_t pause = self->interval_ms;

	ASSERT(!self->is_running);
	if (!self->has_started)
		return 0;
	if (self->n_failures > 0)
		pause = MIN(pause, POLL_FIRST_PAUSE_MS);
	return MAX(self->started_ms + pause, self->not_before_ms);
}
