#include "bridge/client/plain_attach.h"

#include "bridge/client/plain_bare.h"
#include "bridge/client/plain_socket.h"
#include "bridge/client/transport_poll.h"
#include "bridge/client/transport_stream.h"

/* A stream's reconnection time, before the browser's own (HTML standard, section 9.2.6). */
#define RETRY_MS 1000

static void add_extra(struct plain_exchange *self, struct response_head *head)
{
	for (uint32_t i = 0; i < self->extra.n; i++) {
		const struct field *field = &self->extra.items[i];

		fields_add_known(
			&head->fields, &self->x->arena, field->id, field->name, field->value);
	}
}

/* Polls. */

void plain_attach_encode_empty(
	struct plain_exchange *self, struct bytes *out, uint64_t cursor, bool is_superseded)
{
	plain_encode_poll_start(out, plain_answer_reference(self), self->id, cursor);
	plain_encode_poll_end(out, NULL, is_superseded);
}

static void encode_batch(struct plain_exchange *self, struct bytes *out,
	const struct message *first, uint64_t cursor)
{
	const struct message *item;

	plain_encode_poll_start(out, plain_answer_reference(self), self->id, cursor);
	for (item = first; item->seq <= cursor && item->kind != MESSAGE_CLOSE;
		item = session_item_next(item)) {
		plain_encode_poll_message(out, item, item == first);
		if (item->seq == cursor)
			break;
	}
	plain_encode_poll_end(out, item->kind == MESSAGE_CLOSE ? item : NULL, false);
}

static void answer_poll(void *arg, const struct message *first, uint64_t cursor, bool is_superseded)
{
	struct plain_exchange *self = arg;
	struct arena *arena = &self->x->arena;
	struct response_head *head = plain_answer_head(self, 200, NULL, 0);
	struct slice reference = plain_answer_reference(self);
	unsigned long long number = cursor;
	struct bytes body;

	bytes_init(&body);
	if (first == NULL)
		plain_attach_encode_empty(self, &body, cursor, is_superseded);
	else
		encode_batch(self, &body, first, cursor);
	plain_answer_add(self, head, "Pollux-Session", self->id);
	plain_answer_add(self, head, "Pollux-Cursor", arena_printf(arena, "%llu", number));
	plain_answer_add(self, head, "Link",
		arena_printf(arena, "<%.*s/~%.*s?after=%llu>; rel=\"next\"", SLICE_ARG(reference),
			SLICE_ARG(self->id), number));
	if (self->request.is_wait_preferred)
		plain_answer_add(self, head, "Preference-Applied",
			arena_printf(arena, "wait=%llu",
				(unsigned long long)self->request.wait_ms / 1000));
	add_extra(self, head);
	plain_answer_send(self, head, SLICE("application/json"), &body);
}

/* Streams. */

static void encode_event(
	const struct session *session, struct bytes *out, const struct message *item)
{
	plain_encode_event_message(out, session_id(session), item, false);
}

static void encode_json_event(
	const struct session *session, struct bytes *out, const struct message *item)
{
	plain_encode_event_message(out, session_id(session), item, true);
}

static void encode_line(
	const struct session *session, struct bytes *out, const struct message *item)
{
	(void)session;
	plain_encode_line_message(out, item);
}

static const struct stream_form events = {
	.encode = encode_event,
	.encode_heartbeat = plain_encode_event_heartbeat,
};

static const struct stream_form json_events = {
	.encode = encode_json_event,
	.encode_heartbeat = plain_encode_event_heartbeat,
};

static const struct stream_form lines = {
	.encode = encode_line,
	.encode_heartbeat = plain_encode_line_heartbeat,
};

static const struct stream_form *stream_form_of(const struct plain_request *request)
{
	if (request->form != PLAIN_EVENTS)
		return &lines;
	return request->as_json ? &json_events : &events;
}

static void encode_prelude(struct plain_exchange *self, struct bytes *out, uint64_t after,
	const struct plain_reset_note *note)
{
	bool is_events = self->request.form == PLAIN_EVENTS;

	if (is_events)
		plain_encode_event_retry(out, RETRY_MS);
	if (note != NULL && is_events)
		plain_encode_event_reset(out, note->reset, note->lost_from, note->lost_to);
	else if (note != NULL)
		plain_encode_line_reset(out, note->reset, note->lost_from, note->lost_to);
	if (is_events)
		plain_encode_event_session(out, self->id, after);
	else
		plain_encode_line_session(out, self->id, after);
}

static void start_stream(struct plain_exchange *self, struct session *session, uint64_t after,
	const struct plain_reset_note *note)
{
	bool is_events = self->request.form == PLAIN_EVENTS;
	const struct stream_form *form = stream_form_of(&self->request);
	struct response_head *head = plain_answer_head(self, 200, session, after);
	struct bytes prelude;

	bytes_init(&prelude);
	encode_prelude(self, &prelude, after, note);
	add_extra(self, head);
	plain_answer_start(
		self, head, is_events ? SLICE("text/event-stream") : SLICE("application/x-ndjson"));
	if (session_is_at_end(session, after)) {
		form->encode(session, &prelude, session->close);
		pipe_put(&self->x->res_body, &prelude, bytes_size(&prelude));
		pipe_put_end(&self->x->res_body);
		return;
	}
	transport_stream_start(self->x, session, after, &prelude, form);
}

void plain_attach(struct plain_exchange *self, struct session *session, uint64_t after,
	const struct plain_reset_note *note)
{
	static const struct poll_form poll = {.answer = answer_poll};

	plain_answer_set_session(self, session);
	if (session_is_at_end(session, after) && note == NULL) {
		session_acknowledge(session, after);
		plain_answer_gone(self, session);
	} else if (self->request.form == PLAIN_SOCKET) {
		plain_socket_start(self, session, after, note);
	} else if (self->request.form == PLAIN_BARE) {
		plain_bare_start(self, session, after);
	} else if (self->request.form == PLAIN_POLL) {
		transport_poll_start(self->x, session, after, self->request.wait_ms, &poll, self);
	} else {
		start_stream(self, session, after, note);
	}
}
