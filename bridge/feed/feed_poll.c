#include "bridge/feed/feed_poll.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

enum feed_poll_state {
	FEED_POLL_OPENING,
	FEED_POLL_OPEN,
	FEED_POLL_FINISHING, /* the notice will tell the end */
	FEED_POLL_CLOSED,
};

struct feed_poll {
	struct feed base;
	struct loop *loop;
	struct feed_list *feeds;
	struct poll_source *source;
	struct poll_listener listener;
	uint64_t version; /* told last; 0: none */
	uint64_t n_refused;
	struct notice notice; /* OPENING: look; FINISHING: tell */
	enum feed_poll_state state;
	uint16_t finish_code;
	const char *finish_reason;
	bool is_reading;
	struct grave grave;
};

#define TOO_SLOW "too slow"
#define TAKES_NONE "this feed takes no messages"

static const struct feed_ops feed_poll_ops;
static void on_notice(void *arg);
static void on_news(struct poll_listener *listener);

/* Life. */

struct feed *feed_poll_new(struct loop *loop, struct poll_source *source, struct feed_list *feeds,
	const struct feed_owner *owner, void *arg)
{
	struct feed_poll *self = memory_alloc_zeroed(sizeof(*self));

	self->base = (struct feed){.ops = &feed_poll_ops, .owner = owner, .arg = arg};
	feed_count(1);
	self->loop = loop;
	self->feeds = feeds;
	self->source = source;
	self->listener.on_news = on_news;
	self->is_reading = true;
	notice_init(&self->notice, on_notice, self);
	TAILQ_INSERT_TAIL(feeds, &self->base, link);
	poll_source_join(source, &self->listener);
	if (poll_source_knowledge(source) != POLL_UNKNOWN)
		notice_post(loop, &self->notice);
	return &self->base;
}

static void feed_poll_free(void *arg)
{
	feed_count(-1);
	free(arg);
}

static void feed_poll_die(struct feed_poll *self)
{
	if (self->state == FEED_POLL_CLOSED)
		return;
	if (self->state != FEED_POLL_FINISHING)
		poll_source_leave(self->source, &self->listener);
	self->state = FEED_POLL_CLOSED;
	self->base.owner = NULL;
	notice_cancel(self->loop, &self->notice);
	TAILQ_REMOVE(self->feeds, &self->base, link);
	loop_bury(self->loop, &self->grave, feed_poll_free, self);
}

/* Opening. */

static void refuse(struct feed_poll *self)
{
	const struct feed_owner *owner = self->base.owner;
	struct feed_refusal refusal = poll_source_refusal(self->source);

	self->base.owner = NULL;
	owner->on_refused(self->base.arg, &refusal);
	feed_poll_die(self);
}

static void tell_open(struct feed_poll *self)
{
	static const struct fields none;
	struct feed_acceptance acceptance = {
		.protocol = SLICE(""),
		.fields = &none,
		.server_name = poll_source_server_name(self->source),
	};

	self->state = FEED_POLL_OPEN;
	self->base.owner->on_open(self->base.arg, &acceptance);
}

/* Ending. */

/* Nothing is heard of the source any more; the end is told by notice. */
static void start_finishing(struct feed_poll *self, uint16_t code, const char *reason)
{
	poll_source_leave(self->source, &self->listener);
	self->state = FEED_POLL_FINISHING;
	self->finish_code = code;
	self->finish_reason = reason;
	notice_post(self->loop, &self->notice);
}

static void tell_closed(struct feed_poll *self)
{
	const struct feed_owner *owner = self->base.owner;

	self->base.owner = NULL;
	owner->on_closed(self->base.arg, self->finish_code, slice_from_string(self->finish_reason));
	feed_poll_die(self);
}

static void feed_poll_finish(struct feed *base, uint16_t code, struct slice reason)
{
	struct feed_poll *self = (struct feed_poll *)base;

	/* There is nobody at the other end to be told. */
	(void)reason;
	if (base->owner == NULL)
		feed_poll_die(self);
	else if (self->state == FEED_POLL_OPEN)
		start_finishing(self, code, "");
}

static void feed_poll_close(struct feed *base)
{
	feed_poll_die((struct feed_poll *)base);
}

/* News. */

static void look(struct feed_poll *self)
{
	uint64_t version = poll_source_version(self->source);

	if (poll_source_knowledge(self->source) != POLL_HAS_VALUE || version == self->version)
		return;
	if (!self->is_reading) {
		start_finishing(self, WS_CODE_TRY_AGAIN_LATER, TOO_SLOW);
		return;
	}
	self->version = version;
	self->base.owner->on_message(self->base.arg,
		message_new_shared(
			poll_source_kind(self->source), poll_source_value(self->source)));
}

static void on_news(struct poll_listener *listener)
{
	struct feed_poll *self = CONTAINER_OF(listener, struct feed_poll, listener);

	if (self->state == FEED_POLL_OPENING) {
		switch (poll_source_knowledge(self->source)) {
		case POLL_UNKNOWN:
			return;
		case POLL_REFUSED:
			refuse(self);
			return;
		case POLL_HAS_VALUE:
		case POLL_HAS_NOTHING:
			tell_open(self);
			break;
		}
	}
	/* The owner may have left when it was told of the opening. */
	if (self->state == FEED_POLL_OPEN)
		look(self);
}

static void on_notice(void *arg)
{
	struct feed_poll *self = arg;

	if (self->state == FEED_POLL_FINISHING)
		tell_closed(self);
	else
		on_news(&self->listener);
}

static void feed_poll_set_reading(struct feed *base, bool is_on)
{
	((struct feed_poll *)base)->is_reading = is_on;
}

/* Sending. */

static void feed_poll_send(struct feed *base, struct message *message)
{
	struct feed_poll *self = (struct feed_poll *)base;

	message_free(message);
	self->n_refused++;
	if (self->state == FEED_POLL_OPEN)
		start_finishing(self, WS_CODE_UNSUPPORTED_DATA, TAKES_NONE);
}

static bool feed_poll_can_take(struct feed *base, size_t cost)
{
	(void)base;
	(void)cost;
	return true;
}

static uint64_t feed_poll_n_unsent(struct feed *base)
{
	return ((struct feed_poll *)base)->n_refused;
}

static const struct feed_ops feed_poll_ops = {
	.send = feed_poll_send,
	.can_take = feed_poll_can_take,
	.n_unsent = feed_poll_n_unsent,
	.set_reading = feed_poll_set_reading,
	.finish = feed_poll_finish,
	.close = feed_poll_close,
};
