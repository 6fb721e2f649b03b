#include "bridge/client/transport_poll.h"

struct transport_poll {
	struct transport base;
	struct exchange *x;
	const struct poll_form *form;
	void *arg;
	uint64_t after;
	struct timer wait;
	bool is_answered;
};

static void answer(
	struct transport_poll *self, const struct message *first, uint64_t cursor, bool superseded)
{
	self->is_answered = true;
	timer_cancel(&self->wait);
	self->form->answer(self->arg, first, cursor, superseded);
}

static bool has_room(const struct session *session, uint64_t n, uint64_t size)
{
	return n < (uint64_t)session->route->batch_messages && size <= session->route->batch_size;
}

/* False: nothing waits. */
static bool answer_with_batch(struct transport_poll *self)
{
	struct session *session = self->base.session;
	struct message *first = session_item_after(session, self->after);
	struct message *item, *last = first;
	uint64_t n = 0, size = 0;

	if (first == NULL)
		return false;
	for (item = first; item != NULL; item = session_item_next(item)) {
		size += item->size;
		if (n > 0 && item->kind != MESSAGE_CLOSE && !has_room(session, n, size))
			break;
		n++;
		last = item;
		session_set_sent(session, item, 0);
	}
	answer(self, first, last->seq, false);
	return true;
}

static void on_wake(struct transport *base)
{
	struct transport_poll *self = CONTAINER_OF(base, struct transport_poll, base);

	if (!self->is_answered)
		(void)answer_with_batch(self);
}

static void on_end_by_session(struct transport *base, enum transport_end why)
{
	struct transport_poll *self = CONTAINER_OF(base, struct transport_poll, base);

	if (!self->is_answered)
		answer(self, NULL, self->after, why == TRANSPORT_SUPERSEDED);
}

static void on_wait(void *arg)
{
	struct transport_poll *self = arg;

	answer(self, NULL, self->after, false);
}

static void on_end(struct exchange *x, void *arg)
{
	struct transport_poll *self = arg;

	timer_close(x->loop, &self->wait);
	self->is_answered = true;
	session_detach(&self->base);
}

void transport_poll_start(struct exchange *x, struct session *session, uint64_t after,
	uint64_t wait_ms, const struct poll_form *form, void *arg)
{
	static const struct transport_ops ops = {.wake = on_wake, .end = on_end_by_session};
	static const struct handler handler = {.on_end = on_end};
	struct transport_poll *self = arena_alloc_zeroed(&x->arena, sizeof(*self));

	self->base.ops = &ops;
	self->x = x;
	self->form = form;
	self->arg = arg;
	self->after = after;
	timer_init(&self->wait, on_wait, self);
	exchange_set_handler(x, &handler, self);
	session_attach(session, &self->base, after);
	if (answer_with_batch(self))
		return;
	if (wait_ms == 0)
		answer(self, NULL, after, false);
	else
		timer_set_in(x->loop, &self->wait, wait_ms);
}
