/*
 * Memory of clients that have gone is given back to the system: the blocks that are kept for the
 * next, and what malloc has free between those that are in use. Looked at now and then, while there
 * is anybody, and done when at least as many have gone since the last time as are still there.
 */
#ifndef PROXY_RUN_TRIM_H
#define PROXY_RUN_TRIM_H

#include <stddef.h>

#include "proxy/base/loop.h"

#define TRIM_EVERY_MS 2000
/* Fewer are not worth the work, unless they were the last. */
#define TRIM_MIN_GONE 64

struct trim {
	struct loop *loop;
	size_t (*n_live)(void *arg); /* clients, and whatever else costs about as much */
	void *arg;
	size_t n_expected; /* those that were there at the last trim, and those that came since */
	size_t n_done;	   /* trims */
	struct timer timer;
};

void trim_init(struct trim *self, struct loop *loop, size_t (*n_live)(void *arg), void *arg);
void trim_close(struct trim *self);

/* Another one has come. */
static inline void trim_count(struct trim *self)
{
	self->n_expected++;
	if (UNLIKELY(!timer_is_set(&self->timer)))
		timer_set_in(self->loop, &self->timer, TRIM_EVERY_MS);
}

#endif
