#include "bridge/client/plain_socket.h"

#include <stdlib.h>

#include "bridge/client/plain_encode.h"
#include "bridge/client/plain_frame.h"
#include "bridge/client/transport_ws.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

struct plain_socket {
	struct transport_ws *transport;
	const struct conf_route *route;
	struct session_send *send; /* in the session's line; nothing is read meanwhile */
};

/* Down. */

static void say(struct plain_socket *self, struct bytes *text)
{
	transport_ws_say(self->transport, bytes_linearize(text, bytes_size(text)));
	bytes_clear(text);
}

/* A line loses its end. */
static void say_line(struct plain_socket *self, struct bytes *line)
{
	size_t n = bytes_size(line);

	transport_ws_say(self->transport, slice_first(bytes_linearize(line, n), n - 1));
	bytes_clear(line);
}

static void say_sent(struct plain_socket *self, uint64_t number)
{
	struct bytes text;

	bytes_init(&text);
	bytes_printf(&text, "{\"sent\":%llu}", (unsigned long long)number);
	say(self, &text);
}

static void say_error(
	struct plain_socket *self, const char *error, const char *name, uint64_t number)
{
	struct bytes line;

	bytes_init(&line);
	plain_encode_error(&line, error, name, number);
	say_line(self, &line);
}

static void say_session(
	struct plain_socket *self, struct slice id, uint64_t cursor, struct slice protocol)
{
	struct bytes text;

	bytes_init(&text);
	bytes_append_string(&text, "{\"session\":");
	plain_encode_string(&text, id);
	bytes_printf(&text, ",\"cursor\":%llu", (unsigned long long)cursor);
	if (protocol.n > 0) {
		bytes_append_string(&text, ",\"protocol\":");
		plain_encode_string(&text, protocol);
	}
	bytes_append_string(&text, "}");
	say(self, &text);
}

static void say_reset(struct plain_socket *self, const struct plain_reset_note *note)
{
	struct bytes line;

	bytes_init(&line);
	plain_encode_line_reset(&line, note->reset, note->lost_from, note->lost_to);
	say_line(self, &line);
}

static void encode(void *arg, struct bytes *out, const struct message *item)
{
	(void)arg;
	plain_encode_object(out, item);
}

/* Up. */

static void free_send(struct session_send *send)
{
	message_list_clear(&send->frames);
	free(send);
}

/* Of the send with this number. */
static void say_outcome(struct plain_socket *self, const struct session *session, uint64_t number,
	enum send_outcome outcome)
{
	switch (outcome) {
	case SEND_WAITING:
		break;
	case SEND_QUEUED:
	case SEND_REPEATED:
		say_sent(self, number);
		break;
	case SEND_GAP:
		say_error(self, "gap", "expected", session->n_used + 1);
		break;
	case SEND_FULL:
		say_error(self, "queue is full", "expected", session->n_used + 1);
		break;
	case SEND_CLOSED:
		say_error(self, "closed", NULL, 0);
		break;
	}
}

static void on_sent(struct session_send *send, enum send_outcome outcome)
{
	struct plain_socket *self = send->arg;

	self->send = NULL;
	say_outcome(self, send->session, send->seq, outcome);
	free_send(send);
	transport_ws_set_reading(self->transport, true);
}

static struct session_send *make_send(struct plain_socket *self, const struct plain_frame *frame)
{
	struct session_send *send = memory_alloc_zeroed(sizeof(*send));
	struct message *message = message_new(
		frame->kind == PLAIN_FRAME_TEXT ? MESSAGE_TEXT : MESSAGE_BINARY, frame->payload);

	TAILQ_INIT(&send->frames);
	TAILQ_INSERT_TAIL(&send->frames, message, link);
	send->cost = message_cost(message);
	send->is_counted = true;
	send->seq = frame->number;
	send->on_done = on_sent;
	send->arg = self;
	return send;
}

static void take_send(
	struct plain_socket *self, struct session *session, const struct plain_frame *frame)
{
	struct session_send *send;
	enum send_outcome outcome;

	if (frame->payload.n > self->route->max_message_size) {
		say_error(self, "too big", "expected", session->n_used + 1);
		return;
	}
	send = make_send(self, frame);
	outcome = session_submit(session, send);
	if (outcome == SEND_WAITING) {
		self->send = send;
		transport_ws_set_reading(self->transport, false);
		return;
	}
	free_send(send);
	say_outcome(self, session, frame->number, outcome);
}

static void take_ack(struct plain_socket *self, struct session *session, uint64_t cursor)
{
	if (cursor > session->sent)
		say_error(self, "cursor", "cursor", session_floor(session));
	else if (cursor > session_floor(session))
		session_acknowledge(session, cursor);
}

static void take_frame(struct plain_socket *self, const struct plain_frame *frame)
{
	struct session *session = transport_ws_session(self->transport);

	switch (frame->kind) {
	case PLAIN_FRAME_TEXT:
	case PLAIN_FRAME_BINARY:
		take_send(self, session, frame);
		break;
	case PLAIN_FRAME_ACK:
		take_ack(self, session, frame->number);
		break;
	case PLAIN_FRAME_CLOSE:
		if (session->state == SESSION_OPEN)
			session_end(session, frame->code, frame->payload);
		break;
	}
}

static void on_message(void *arg, enum message_kind kind, struct slice payload)
{
	struct plain_socket *self = arg;
	char *scratch = memory_alloc(payload.n + 1);
	struct plain_frame frame;

	if (kind == MESSAGE_TEXT && plain_frame_parse(&frame, payload, scratch))
		take_frame(self, &frame);
	else
		transport_ws_close(
			self->transport, WS_CODE_POLICY_VIOLATION, SLICE("malformed frame"));
	free(scratch);
}

/* The end. */

/* A message that was complete keeps its place in the line if there is room. */
static void on_gone(void *arg)
{
	struct plain_socket *self = arg;

	if (self->send != NULL)
		session_orphan(self->send->session, self->send);
	self->send = NULL;
}

static void on_over(void *arg)
{
	free(arg);
}

/* Start. */

static struct slice take_protocol(struct plain_exchange *px, struct response_head *head)
{
	struct slice protocol = fields_value(&px->extra, FIELD_SEC_WEBSOCKET_PROTOCOL);

	for (uint32_t i = 0; i < px->extra.n; i++) {
		const struct field *field = &px->extra.items[i];

		if (field->id != FIELD_SEC_WEBSOCKET_PROTOCOL)
			fields_add_known(
				&head->fields, &px->x->arena, field->id, field->name, field->value);
	}
	return protocol;
}

void plain_socket_start(struct plain_exchange *px, struct session *session, uint64_t after,
	const struct plain_reset_note *note)
{
	static const struct socket_form form = {
		.encode = encode, .on_message = on_message, .on_gone = on_gone, .on_over = on_over};
	struct response_head *head = plain_answer_head(px, 101, session, after);
	struct plain_socket *self = memory_alloc_zeroed(sizeof(*self));
	struct slice protocol = take_protocol(px, head);
	uint64_t max_size = px->bridge->route->max_message_size * PLAIN_FRAME_BYTES_PER_BYTE +
		PLAIN_FRAME_OVERHEAD;

	self->route = px->bridge->route;
	self->transport = transport_ws_new(
		px->x, SLICE(PLAIN_SOCKET_PROTOCOL), &head->fields, max_size, &form, self);
	if (note != NULL)
		say_reset(self, note);
	say_session(self, px->id, after, protocol);
	transport_ws_attach(self->transport, session, after);
}
