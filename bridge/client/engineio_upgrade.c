#include "bridge/client/engineio_upgrade.h"

#include <stdlib.h>

#include "bridge/client/engineio_packet.h"
#include "bridge/client/engineio_poll.h"
#include "bridge/client/ws_endpoint.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

/* How long a candidate may take, as in the reference. */
#define UPGRADE_TIMEOUT_MS 10000

enum upgrade_state {
	UPGRADE_NEW,	/* "2probe" is awaited */
	UPGRADE_PROBED, /* "5" is awaited */
	UPGRADE_BOUND,
	UPGRADE_OVER, /* no session any more; the WebSocket is ending */
};

struct engineio_upgrade {
	struct transport base;
	struct loop *loop;
	struct ws_endpoint *ws;
	struct engineio_session *session; /* NULL: OVER */
	struct session_send *send;	  /* a frame that waits for room; nothing is read then */
	struct timer timer;
	enum upgrade_state state;
	bool is_text_only; /* bytes go as base64 */
	struct grave grave;
};

/* Ending. */

/* From now on nothing but the end of the WebSocket is of interest. */
static struct engineio_session *let_go(struct engineio_upgrade *self)
{
	struct engineio_session *session = self->session;

	self->state = UPGRADE_OVER;
	self->session = NULL;
	timer_cancel(&self->timer);
	if (session != NULL) {
		session->upgrade = NULL;
		session->is_probed = false;
	}
	session_detach(&self->base);
	return session;
}

void engineio_upgrade_leave(struct engineio_upgrade *self)
{
	(void)let_go(self);
	ws_endpoint_close(self->ws, WS_CODE_GOING_AWAY, SLICE(""));
}

static void on_end_by_session(struct transport *base, enum transport_end why)
{
	struct engineio_upgrade *self = CONTAINER_OF(base, struct engineio_upgrade, base);
	struct engineio_session *session = let_go(self);

	(void)why;
	ws_endpoint_close(self->ws,
		session != NULL && session->is_leaving ? WS_CODE_NORMAL : WS_CODE_GOING_AWAY,
		SLICE(""));
}

/* A candidate that is none: the session stays where it is. */
static void reject(struct engineio_upgrade *self)
{
	(void)let_go(self);
	ws_endpoint_close(self->ws, WS_CODE_POLICY_VIOLATION, SLICE(""));
}

static void on_timer(void *arg)
{
	reject(arg);
}

/* To the client. */

/* 1006 is not for the wire: the backend's connection broke. */
static void pass_close(struct engineio_upgrade *self, const struct message *close)
{
	uint16_t code = close->code == WS_CODE_ABNORMAL ? WS_CODE_INTERNAL_ERROR : close->code;
	struct engineio_session *session;

	ws_endpoint_close(self->ws, code, message_payload(close));
	session = let_go(self);
	engineio_session_end(session, WS_CODE_NORMAL);
}

static void write_item(struct engineio_upgrade *self, const struct message *item)
{
	struct bytes packet;

	if (item->kind == MESSAGE_TEXT || !self->is_text_only) {
		ws_endpoint_send(self->ws, item->kind, message_payload(item));
		return;
	}
	bytes_init(&packet);
	engineio_payload_add(&packet, item, true);
	ws_endpoint_send(self->ws, MESSAGE_TEXT, bytes_linearize(&packet, bytes_size(&packet)));
	bytes_clear(&packet);
}

/*
 * What is written counts as the client's: there is no way to ask for it again, and a WebSocket that
 * breaks takes the session with it.
 */
static void write_items(struct engineio_upgrade *self)
{
	struct session *session = self->session->session;
	struct message *item;

	while ((item = session_item_after(session, session->sent)) != NULL &&
		ws_endpoint_room(self->ws) > 0) {
		session_set_sent(session, item, 0);
		if (item->kind == MESSAGE_CLOSE) {
			pass_close(self, item);
			return;
		}
		write_item(self, item);
		session_acknowledge(session, session->sent);
	}
}

static void on_wake(struct transport *base)
{
	struct engineio_upgrade *self = CONTAINER_OF(base, struct engineio_upgrade, base);

	if (self->state == UPGRADE_BOUND)
		write_items(self);
}

static void on_room(void *arg)
{
	struct engineio_upgrade *self = arg;

	if (self->state == UPGRADE_BOUND)
		write_items(self);
}

/* To the backend. */

static void free_send(struct session_send *send)
{
	message_list_clear(&send->frames);
	free(send);
}

/* A frame has been taken, or never will be: the session's close tells it then. */
static void on_sent(struct session_send *send, enum send_outcome outcome)
{
	struct engineio_upgrade *self = send->arg;

	self->send = NULL;
	free_send(send);
	if (self->state != UPGRADE_BOUND)
		return;
	if (outcome == SEND_FULL)
		engineio_session_end(self->session, WS_CODE_GOING_AWAY);
	else
		ws_endpoint_set_reading(self->ws, true);
}

static void submit(struct engineio_upgrade *self, enum message_kind kind, struct slice payload)
{
	struct session_send *send = memory_alloc_zeroed(sizeof(*send));
	struct message *frame = message_new(kind, payload);

	TAILQ_INIT(&send->frames);
	TAILQ_INSERT_TAIL(&send->frames, frame, link);
	send->cost = message_cost(frame);
	send->on_done = on_sent;
	send->arg = self;
	if (session_submit(self->session->session, send) == SEND_WAITING) {
		self->send = send;
		ws_endpoint_set_reading(self->ws, false);
		return;
	}
	free_send(send);
}

static void take_frame(struct engineio_upgrade *self, enum message_kind kind, struct slice payload)
{
	if (kind == MESSAGE_TEXT && payload.n > 0 && payload.p[0] == '1') {
		self->session->is_leaving = true;
		engineio_session_end(self->session, WS_CODE_NORMAL);
		return;
	}
	if (kind == MESSAGE_TEXT && engineio_is_pong(payload))
		engineio_session_hear(self->session);
	submit(self, kind, payload);
}

/* The handshake of the candidate. */

static void move_here(struct engineio_upgrade *self)
{
	struct session *session = self->session->session;

	self->state = UPGRADE_BOUND;
	timer_cancel(&self->timer);
	self->session->is_upgraded = true;
	/* What polls were answered with the client has: it has waited for the last one. */
	session_attach(session, &self->base, session->sent);
	write_items(self);
}

/* One that goes on probing and does not read would fill the memory. */
static void take_probe(struct engineio_upgrade *self, enum message_kind kind, struct slice payload)
{
	bool is_probe = kind == MESSAGE_TEXT && slice_equals(payload, SLICE("2probe"));
	bool is_upgrade = kind == MESSAGE_TEXT && slice_equals(payload, SLICE("5"));

	if (is_upgrade && self->state == UPGRADE_PROBED) {
		move_here(self);
	} else if (is_probe && ws_endpoint_room(self->ws) > 0) {
		self->state = UPGRADE_PROBED;
		self->session->is_probed = true;
		ws_endpoint_send(self->ws, MESSAGE_TEXT, SLICE("3probe"));
		if (self->session->poll != NULL)
			engineio_poll_hurry(self->session->poll);
	} else {
		reject(self);
	}
}

/* What comes from the client. */

static void on_message(void *arg, enum message_kind kind, struct slice payload)
{
	struct engineio_upgrade *self = arg;

	switch (self->state) {
	case UPGRADE_NEW:
	case UPGRADE_PROBED:
		take_probe(self, kind, payload);
		break;
	case UPGRADE_BOUND:
		take_frame(self, kind, payload);
		break;
	case UPGRADE_OVER:
		break;
	}
}

static void on_closed(void *arg, uint16_t code, struct slice reason)
{
	struct engineio_upgrade *self = arg;
	bool was_bound = self->state == UPGRADE_BOUND;
	struct engineio_session *session = let_go(self);

	(void)reason;
	if (was_bound)
		engineio_session_end(
			session, code == WS_CODE_ABNORMAL ? WS_CODE_GOING_AWAY : WS_CODE_NORMAL);
}

static void upgrade_free(void *arg)
{
	free(arg);
}

static void on_over(void *arg)
{
	struct engineio_upgrade *self = arg;

	ASSERT(self->send == NULL);
	timer_close(self->loop, &self->timer);
	loop_bury(self->loop, &self->grave, upgrade_free, self);
}

/* Start. */

void engineio_upgrade_start(struct engineio_exchange *ex, struct engineio_session *session)
{
	static const struct transport_ops ops = {.wake = on_wake, .end = on_end_by_session};
	static const struct ws_endpoint_owner owner = {
		.on_message = on_message,
		.on_room = on_room,
		.on_closed = on_closed,
		.on_over = on_over,
	};
	const struct conf_route *route = ex->bridge->route;
	struct ws_endpoint_options options = {
		.protocol = ws_endpoint_first_offered(ex->x->req),
		.max_message_size = session->max_payload,
		.stall_ms = (uint64_t)route->send_timeout_ms,
	};
	struct engineio_upgrade *self;

	if (!route->engineio_upgrade) {
		engineio_answer_error(ex, session, 400, ENGINEIO_BAD_REQUEST);
		return;
	}
	self = memory_alloc_zeroed(sizeof(*self));
	self->base.ops = &ops;
	self->base.is_lasting = true;
	self->loop = ex->x->loop;
	self->state = UPGRADE_OVER;
	self->is_text_only = ex->request.is_text_only;
	timer_init(&self->timer, on_timer, self);
	self->ws = ws_endpoint_accept(ex->x, &options, &owner, self);
	if (session->upgrade != NULL || session->is_upgraded) {
		reject(self);
		return;
	}
	self->state = UPGRADE_NEW;
	self->session = session;
	session->upgrade = self;
	timer_set_in(self->loop, &self->timer, UPGRADE_TIMEOUT_MS);
}
