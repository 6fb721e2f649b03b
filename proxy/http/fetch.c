#include "proxy/http/fetch.h"

static size_t n_live;

size_t fetcher_n_live(void)
{
	return n_live;
}

void fetcher_count(int change)
{
	n_live += (size_t)change;
}

void fetch_init(struct fetch *self, struct loop *loop, struct arena *arena,
	const struct request_head *req, const struct fetch_owner *owner, void *arg)
{
	*self = (struct fetch){
		.loop = loop,
		.owner = owner,
		.arg = arg,
		.arena = arena,
		.req = req,
	};
}

void fetch_cancel(struct fetch *self)
{
	void (*cancel)(struct fetch *) = self->cancel;

	self->is_over = true;
	self->cancel = NULL;
	if (cancel != NULL)
		cancel(self);
	self->fetcher = NULL;
	self->carrier = NULL;
}

static void leave_carrier(struct fetch *self)
{
	self->is_over = true;
	self->cancel = NULL;
	self->fetcher = NULL;
	self->carrier = NULL;
}

void fetch_finish(struct fetch *self)
{
	ASSERT(!self->is_over);
	leave_carrier(self);
	self->owner->on_end(self->arg);
}

void fetch_fail(struct fetch *self, enum reason reason, const char *why)
{
	ASSERT(!self->is_over);
	leave_carrier(self);
	if (self->has_head)
		pipe_abort(self->res_body);
	self->owner->on_failed(self->arg, reason, why);
}
