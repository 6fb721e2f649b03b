#include "bridge/client/engineio_poll.h"

#include "proxy/http/ws_frame.h"

/* How long the first packet waits for more. */
#define COMPANY_MS 5
/* While the client moves to its WebSocket: how long a poll without packets waits. */
#define HURRY_MS 100

enum poll_state {
	POLL_WAITING, /* for a packet */
	POLL_FILLING, /* there is one; more may come */
	POLL_ANSWERED,
};

struct engineio_poll {
	struct transport base;
	struct engineio_exchange *ex;
	struct engineio_session *session; /* NULL: answered */
	uint64_t after;
	struct timer timer;
	enum poll_state state;
	bool is_last;	  /* what was answered ends the session */
	bool has_packets; /* of the session's, in what was answered */
};

/* Answers. */

/* The session's no longer: it may be gone before the answer has left. */
static struct engineio_session *let_go(struct engineio_poll *self)
{
	struct engineio_session *session = self->session;

	self->state = POLL_ANSWERED;
	timer_cancel(&self->timer);
	session_detach(&self->base);
	session->poll = NULL;
	self->session = NULL;
	return session;
}

static void answer_packet(struct engineio_poll *self, const char *packet)
{
	struct engineio_session *session = let_go(self);

	engineio_answer_packet(self->ex, session, packet);
}

static bool has_room(const struct session *session, uint64_t n, uint64_t size)
{
	return n < (uint64_t)session->route->batch_messages && size <= session->route->batch_size;
}

/* How many items go in one answer; *is_full: more would not. */
static uint64_t count_batch(
	const struct session *session, const struct message *first, bool *is_full)
{
	const struct message *item;
	uint64_t n = 0, size = 0;

	for (item = first; item != NULL; item = session_item_next(item)) {
		size += item->size;
		if (n > 0 && (engineio_is_close(item) || !has_room(session, n, size)))
			break;
		n++;
		if (engineio_is_close(item))
			break;
	}
	*is_full = item != NULL;
	return n;
}

/* There is an item at least. */
static void answer(struct engineio_poll *self)
{
	struct session *session = self->session->session;
	struct message *item = session_item_after(session, self->after);
	bool is_full;
	uint64_t n = count_batch(session, item, &is_full);
	struct bytes payload;

	self->has_packets = true;
	if (engineio_is_close(item)) {
		self->is_last = true;
		session_set_sent(session, item, 0);
		answer_packet(self, "1");
		return;
	}
	bytes_init(&payload);
	for (uint64_t i = 0; i < n; i++, item = session_item_next(item)) {
		engineio_payload_add(&payload, item, i == 0);
		session_set_sent(session, item, 0);
	}
	engineio_answer_payload(self->ex, let_go(self), &payload);
}

/* Looks at what there is. */
static void look(struct engineio_poll *self)
{
	struct message *first = session_item_after(self->session->session, self->after);
	bool is_full;

	if (first == NULL)
		return;
	(void)count_batch(self->session->session, first, &is_full);
	if (is_full) {
		answer(self);
	} else if (self->state == POLL_WAITING) {
		self->state = POLL_FILLING;
		timer_set_in(self->ex->x->loop, &self->timer, COMPANY_MS);
	}
}

static void on_wake(struct transport *base)
{
	struct engineio_poll *self = CONTAINER_OF(base, struct engineio_poll, base);

	if (self->state != POLL_ANSWERED)
		look(self);
}

static void on_timer(void *arg)
{
	struct engineio_poll *self = arg;

	if (self->state == POLL_FILLING)
		answer(self);
	else
		answer_packet(self, "6");
}

static void on_end_by_session(struct transport *base, enum transport_end why)
{
	struct engineio_poll *self = CONTAINER_OF(base, struct engineio_poll, base);

	if (self->state == POLL_ANSWERED)
		return;
	answer_packet(self, why == TRANSPORT_SUPERSEDED || self->session->is_leaving ? "6" : "1");
}

void engineio_poll_hurry(struct engineio_poll *self)
{
	if (self->state == POLL_WAITING)
		answer_packet(self, "6");
}

/* Start and end. */

static void on_end(struct exchange *x, void *arg)
{
	struct engineio_poll *self = arg;
	bool is_lost = x->reason != REASON_NONE || self->state != POLL_ANSWERED;
	struct engineio_session *session;

	if (self->state != POLL_ANSWERED)
		(void)let_go(self);
	timer_close(x->loop, &self->timer);
	if (!is_lost && !self->is_last)
		return;
	session = engineio_exchange_session(self->ex);
	/* A client that has moved may drop its last poll, unless there is something in it. */
	if (session != NULL && session->is_upgraded && !self->has_packets)
		return;
	if (session != NULL)
		engineio_session_end(session, is_lost ? WS_CODE_GOING_AWAY : WS_CODE_NORMAL);
}

void engineio_poll_start(struct engineio_exchange *ex, struct engineio_session *session)
{
	static const struct transport_ops ops = {.wake = on_wake, .end = on_end_by_session};
	static const struct handler handler = {.on_end = on_end};
	struct engineio_poll *self;
	struct engineio_mark mark;

	if (session->session->transport != NULL) {
		engineio_answer_error(ex, session, 400, ENGINEIO_BAD_REQUEST);
		engineio_session_end(session, WS_CODE_PROTOCOL_ERROR);
		return;
	}
	self = arena_alloc_zeroed(&ex->x->arena, sizeof(*self));
	self->base.ops = &ops;
	self->ex = ex;
	self->session = session;
	engineio_mark_make(&mark, ex->request.t, SLICE(""));
	self->after = engineio_mark_equals(&mark, &session->polled)
		? session_floor(session->session)
		: session->session->sent;
	session->polled = mark;
	timer_init(&self->timer, on_timer, self);
	exchange_set_handler(ex->x, &handler, self);
	session->poll = self;
	session_attach(session->session, &self->base, self->after);
	look(self);
	if (self->state == POLL_WAITING && session->is_probed)
		timer_set_in(ex->x->loop, &self->timer, HURRY_MS);
}
