#include "bridge/client/plain_bare.h"

#include <stdlib.h>

#include "bridge/client/plain_send.h"
#include "bridge/client/transport_ws.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

struct plain_bare {
	struct transport_ws *transport;
	struct session_send *send; /* in the session's line; nothing is read meanwhile */
};

/* There is no way to refuse one message. */
static void on_sent(struct session_send *send, enum send_outcome outcome)
{
	struct plain_bare *self = send->arg;

	self->send = NULL;
	plain_send_free(send);
	if (outcome == SEND_FULL)
		transport_ws_close(
			self->transport, WS_CODE_TRY_AGAIN_LATER, SLICE("queue is full"));
	else
		transport_ws_set_reading(self->transport, true);
}

static void on_message(void *arg, enum message_kind kind, struct slice payload)
{
	struct plain_bare *self = arg;
	struct session_send *send = memory_alloc_zeroed(sizeof(*send));
	struct message *message = message_new(kind, payload);

	TAILQ_INIT(&send->frames);
	TAILQ_INSERT_TAIL(&send->frames, message, link);
	send->cost = message_cost(message);
	send->on_done = on_sent;
	send->arg = self;
	if (session_submit(transport_ws_session(self->transport), send) == SEND_WAITING) {
		self->send = send;
		transport_ws_set_reading(self->transport, false);
	} else {
		plain_send_free(send);
	}
}

/* A message that was complete keeps its place in the line if there is room. */
static void on_gone(void *arg)
{
	struct plain_bare *self = arg;

	if (self->send != NULL)
		session_orphan(self->send->session, self->send);
	self->send = NULL;
}

static void on_over(void *arg)
{
	free(arg);
}

void plain_bare_start(struct plain_exchange *px, struct session *session, uint64_t after)
{
	static const struct socket_form form = {
		.on_message = on_message, .on_gone = on_gone, .on_over = on_over};
	struct response_head *head = plain_answer_head(px, 101, NULL, 0);
	struct plain_bare *self = memory_alloc_zeroed(sizeof(*self));

	self->transport = transport_ws_new(
		px->x, SLICE(""), &head->fields, px->bridge->route->max_message_size, &form, self);
	transport_ws_attach(self->transport, session, after);
}
