/*
 * Invariant: while it is attached and not ended, what it wrote is really on its way to the client,
 * so that items count as sent only then. Reading rests while there is no room for answers, or while
 * the owner wants it to.
 */
#include "bridge/client/transport_ws.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

struct transport_ws {
	struct transport base;
	struct ws_endpoint *end;
	const struct socket_form *form;
	void *arg;
	uint64_t cursor; /* the last item written, or what it began after */
	bool is_ended;	 /* nothing more is written */
	bool is_held;	 /* the owner does not want to read */
};

static const struct transport_ops ops;
static const struct ws_endpoint_owner end_owner;

struct transport_ws *transport_ws_new(struct exchange *x, struct slice protocol,
	const struct fields *fields, uint64_t max_size, const struct socket_form *form, void *arg)
{
	const struct conf_route *route = x->route;
	struct transport_ws *self = memory_alloc_zeroed(sizeof(*self));
	struct ws_endpoint_options options = {
		.protocol = protocol,
		.fields = fields,
		.max_message_size = max_size,
		.ping_ms = (uint64_t)route->heartbeat_ms,
		.pong_ms = (uint64_t)route->send_timeout_ms,
		.stall_ms = (uint64_t)route->send_timeout_ms,
	};

	self->base.ops = &ops;
	self->base.is_lasting = true;
	self->form = form;
	self->arg = arg;
	self->end = ws_endpoint_accept(x, &options, &end_owner, self);
	return self;
}

struct session *transport_ws_session(const struct transport_ws *self)
{
	return self->base.session;
}

static void end(struct transport_ws *self)
{
	if (self->is_ended)
		return;
	self->is_ended = true;
	self->form->on_gone(self->arg);
}

/* Writing. */

static void say(struct transport_ws *self, struct bytes *text)
{
	ws_endpoint_send(self->end, MESSAGE_TEXT, bytes_linearize(text, bytes_size(text)));
	bytes_clear(text);
}

static void trim(struct transport_ws *self)
{
	struct session *session = self->base.session;

	/* Asking the kernel costs a system call. */
	if (session->sent_cost > session->route->replay_size)
		session_trim(session, self->cursor, ws_endpoint_n_acknowledged(self->end));
}

static bool is_bare(const struct transport_ws *self)
{
	return self->form->encode == NULL;
}

static void write_item(struct transport_ws *self, const struct message *item)
{
	struct bytes text;

	if (is_bare(self)) {
		if (item->kind != MESSAGE_CLOSE)
			ws_endpoint_send(self->end, item->kind, message_payload(item));
		return;
	}
	bytes_init(&text);
	self->form->encode(self->arg, &text, item);
	say(self, &text);
}

/* The session's close has been written. */
static void end_with(struct transport_ws *self, const struct message *close)
{
	end(self);
	if (is_bare(self))
		ws_endpoint_close(self->end, close->code, message_payload(close));
	else
		ws_endpoint_close(self->end, WS_CODE_NORMAL, SLICE(""));
}

static void write_items(struct transport_ws *self)
{
	struct session *session = self->base.session;
	struct message *item = session_item_after(session, self->cursor);

	for (; item != NULL && ws_endpoint_room(self->end) > 0; item = session_item_next(item)) {
		write_item(self, item);
		self->cursor = item->seq;
		session_set_sent(session, item, ws_endpoint_n_sent(self->end));
		if (item->kind == MESSAGE_CLOSE) {
			end_with(self, item);
			break;
		}
	}
	if (is_bare(self))
		session_acknowledge(session, self->cursor);
	else
		trim(self);
}

static void set_reading(struct transport_ws *self)
{
	/* Each message may be answered. */
	ws_endpoint_set_reading(self->end, !self->is_held && ws_endpoint_room(self->end) > 0);
}

void transport_ws_set_reading(struct transport_ws *self, bool is_on)
{
	self->is_held = !is_on;
	if (!self->is_ended)
		set_reading(self);
}

void transport_ws_say(struct transport_ws *self, struct slice text)
{
	if (self->is_ended)
		return;
	ws_endpoint_send(self->end, MESSAGE_TEXT, text);
	set_reading(self);
}

void transport_ws_attach(struct transport_ws *self, struct session *session, uint64_t after)
{
	self->cursor = after;
	session_attach(session, &self->base, after);
	write_items(self);
}

/* What the session says. */

static void on_wake(struct transport *base)
{
	struct transport_ws *self = CONTAINER_OF(base, struct transport_ws, base);

	if (!self->is_ended)
		write_items(self);
}

static void on_end_by_session(struct transport *base, enum transport_end why)
{
	struct transport_ws *self = CONTAINER_OF(base, struct transport_ws, base);

	end(self);
	switch (why) {
	case TRANSPORT_SUPERSEDED:
		ws_endpoint_close(self->end, TRANSPORT_WS_SUPERSEDED, SLICE("superseded"));
		break;
	case TRANSPORT_DRAINED:
		if (is_bare(self)) /* as a tunnel is told */
			ws_endpoint_close(self->end, WS_CODE_GOING_AWAY, SLICE("going away"));
		else
			ws_endpoint_close(self->end, WS_CODE_SERVICE_RESTART, SLICE("leaving"));
		break;
	}
}

static const struct transport_ops ops = {.wake = on_wake, .end = on_end_by_session};

/* What the client's end says. */

static void leave(struct transport_ws *self)
{
	end(self);
	session_detach(&self->base);
}

void transport_ws_close(struct transport_ws *self, uint16_t code, struct slice reason)
{
	leave(self);
	ws_endpoint_close(self->end, code, reason);
}

static void on_message(void *arg, enum message_kind kind, struct slice payload)
{
	struct transport_ws *self = arg;

	if (!self->is_ended)
		self->form->on_message(self->arg, kind, payload);
}

static void on_room(void *arg)
{
	struct transport_ws *self = arg;

	if (self->is_ended || self->base.session == NULL)
		return;
	write_items(self);
	if (!self->is_ended)
		set_reading(self);
}

static void on_closed(void *arg, uint16_t code, struct slice reason)
{
	(void)code;
	(void)reason;
	leave(arg);
}

static void on_over(void *arg)
{
	struct transport_ws *self = arg;

	leave(self);
	self->form->on_over(self->arg);
	free(self);
}

static const struct ws_endpoint_owner end_owner = {
	.on_message = on_message,
	.on_room = on_room,
	.on_closed = on_closed,
	.on_over = on_over,
};
