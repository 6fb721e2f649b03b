#include "bridge/client/sockjs_socket.h"

#include <stdlib.h>

#include "bridge/client/sockjs_encode.h"
#include "bridge/client/sockjs_session.h"
#include "bridge/client/transport_ws.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

/* Once the handshake is answered. */
struct sockjs_socket {
	struct transport_ws *transport;
	const struct conf_route *route;
	struct session_send *send; /* in the session's line; nothing is read meanwhile */
};

/* A handshake that waits for the backend. */
struct sockjs_handshake {
	struct sockjs_exchange *sx;
	struct session *session;
	struct session_waiter waiter;
};

/* Down. */

/* What was written before is not needed any more: nobody can come back for it. */
static void encode(void *arg, struct bytes *out, const struct message *item)
{
	struct sockjs_socket *self = arg;
	struct session *session = transport_ws_session(self->transport);

	session_acknowledge(session, session->sent);
	if (item->kind == MESSAGE_CLOSE)
		sockjs_encode_close(out, item->code, message_payload(item));
	else
		sockjs_encode_messages(out, item, item);
}

/* Up. */

static void free_send(struct session_send *send)
{
	message_list_clear(&send->frames);
	free(send);
}

static void take_outcome(struct sockjs_socket *self, enum send_outcome outcome)
{
	switch (outcome) {
	case SEND_WAITING:
		transport_ws_set_reading(self->transport, false);
		break;
	case SEND_QUEUED:
	case SEND_CLOSED: /* its close is on its way to the client */
		break;
	case SEND_FULL:
		transport_ws_close(self->transport, WS_CODE_TRY_AGAIN_LATER,
			SLICE("The queue to the backend is full"));
		break;
	case SEND_REPEATED:
	case SEND_GAP:
		ASSERT(!"a send without a number");
	}
}

static void on_sent(struct session_send *send, enum send_outcome outcome)
{
	struct sockjs_socket *self = send->arg;

	self->send = NULL;
	free_send(send);
	transport_ws_set_reading(self->transport, true);
	take_outcome(self, outcome);
}

static void submit(struct sockjs_socket *self, struct session_send *send)
{
	enum send_outcome outcome;

	send->on_done = on_sent;
	send->arg = self;
	outcome = session_submit(transport_ws_session(self->transport), send);
	if (outcome == SEND_WAITING)
		self->send = send;
	else
		free_send(send);
	take_outcome(self, outcome);
}

static void take_text(struct sockjs_socket *self, struct slice text)
{
	struct sockjs_decode_limits limits = sockjs_session_limits(self->route);
	struct session_send *send = memory_alloc_zeroed(sizeof(*send));

	TAILQ_INIT(&send->frames);
	switch (sockjs_decode_frame(text, &limits, &send->frames, &send->cost)) {
	case SOCKJS_DECODED:
		submit(self, send);
		return;
	case SOCKJS_DECODE_NO_PAYLOAD:
	case SOCKJS_DECODE_BROKEN:
		transport_ws_close(self->transport, 3000, SLICE("Broken framing."));
		break;
	case SOCKJS_DECODE_TOO_BIG:
		transport_ws_close(self->transport, WS_CODE_TOO_BIG, SLICE("Message is too big"));
		break;
	}
	free_send(send);
}

static void on_message(void *arg, enum message_kind kind, struct slice payload)
{
	struct sockjs_socket *self = arg;

	if (kind == MESSAGE_TEXT)
		take_text(self, payload);
	else
		transport_ws_close(
			self->transport, WS_CODE_UNSUPPORTED_DATA, SLICE("Binary message"));
}

/* The end. */

/* The session has no linger: it goes with the transport, and what waits in its line with it. */
static void on_gone(void *arg)
{
	struct sockjs_socket *self = arg;

	if (self->send != NULL) {
		session_withdraw(self->send->session, self->send);
		free_send(self->send);
	}
	self->send = NULL;
}

static void on_over(void *arg)
{
	free(arg);
}

/* Start. */

static void accept_handshake(struct sockjs_exchange *sx, struct session *session,
	const struct feed_acceptance *acceptance)
{
	static const struct socket_form form = {
		.encode = encode, .on_message = on_message, .on_gone = on_gone, .on_over = on_over};
	struct sockjs_socket *self = memory_alloc_zeroed(sizeof(*self));
	const struct conf_route *route = sx->bridge->route;
	struct sockjs_decode_limits limits = sockjs_session_limits(route);
	struct fields fields = {0};

	self->route = route;
	sockjs_answer_add_cookie(sx, &fields);
	for (uint32_t i = 0; i < acceptance->fields->n; i++)
		if (acceptance->fields->items[i].id == FIELD_SET_COOKIE)
			fields_add_known(&fields, &sx->x->arena, FIELD_SET_COOKIE,
				SLICE("Set-Cookie"),
				arena_copy(&sx->x->arena, acceptance->fields->items[i].value));
	self->transport = transport_ws_new(
		sx->x, SLICE(""), &fields, sockjs_decode_body_limit(&limits), &form, self);
	transport_ws_say(self->transport, SLICE("o"));
	transport_ws_attach(self->transport, session, session->sent);
}

static void on_opened(void *arg, const struct feed_acceptance *acceptance)
{
	struct sockjs_handshake *self = arg;
	struct session *session = self->session;

	self->session = NULL;
	self->sx->x->server_name = acceptance->server_name;
	accept_handshake(self->sx, session, acceptance);
}

static void on_refused(void *arg, const struct feed_refusal *refusal)
{
	struct sockjs_handshake *self = arg;

	self->session = NULL;
	sockjs_answer_refusal(self->sx, refusal);
}

static void on_end(struct exchange *x, void *arg)
{
	struct sockjs_handshake *self = arg;

	(void)x;
	if (self->session != NULL)
		session_remove_waiter(self->session, &self->waiter);
	self->session = NULL;
}

void sockjs_socket_start(struct sockjs_exchange *sx)
{
	static const struct handler handler = {.on_end = on_end};
	struct bridge *bridge = sx->bridge;
	struct sockjs_handshake *self;

	if (!sockjs_session_has_room(sx)) {
		sockjs_answer_no_room(sx);
		return;
	}
	self = arena_alloc_zeroed(&sx->x->arena, sizeof(*self));
	self->sx = sx;
	exchange_set_handler(sx->x, &handler, self);
	self->session = session_table_add(
		&bridge->table, sx->x, sockjs_base(slice_from_string(bridge->route->path)));
	sockjs_session_start(sx, self->session);
	self->session->linger_ms = 0;
	self->waiter = (struct session_waiter){
		.on_opened = on_opened, .on_refused = on_refused, .arg = self};
	session_add_waiter(self->session, &self->waiter);
}
