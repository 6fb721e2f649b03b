#include "proxy/run/trim.h"

#include "proxy/base/arena.h"
#include "proxy/base/bytes.h"
#include "proxy/base/memory.h"

static bool is_worth_it(size_t n_gone, size_t n_live)
{
	if (n_live == 0)
		return n_gone > 0;
	return n_gone >= TRIM_MIN_GONE && n_gone >= n_live;
}

static void on_timer(void *arg)
{
	struct trim *self = arg;
	size_t n_live = self->n_live(self->arg);

	self->n_expected = MAX(self->n_expected, n_live);
	if (is_worth_it(self->n_expected - n_live, n_live)) {
		arena_release_cache();
		bytes_release_cache();
		memory_trim();
		self->n_expected = n_live;
		self->n_done++;
	}
	if (n_live > 0)
		timer_set_in(self->loop, &self->timer, TRIM_EVERY_MS);
}

void trim_init(struct trim *self, struct loop *loop, size_t (*n_live)(void *arg), void *arg)
{
	*self = (struct trim){.loop = loop, .n_live = n_live, .arg = arg};
	timer_init(&self->timer, on_timer, self);
}

void trim_close(struct trim *self)
{
	timer_close(self->loop, &self->timer);
}
