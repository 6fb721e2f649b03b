#include "bridge/client/engineio_post.h"

#include <stdlib.h>

#include "bridge/client/media_type.h"
#include "bridge/client/post.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

struct engineio_post {
	struct engineio_exchange *ex;
	struct post post;
	struct session_send *send; /* in the session's line; NULL: none */
	struct engineio_mark mark;
	bool has_pong;
	bool has_close;
};

/* Answers. */

/* An error that leaves the session in doubt. */
static void refuse(struct engineio_exchange *ex, struct engineio_session *session)
{
	engineio_answer_error(ex, session, 400, ENGINEIO_BAD_REQUEST);
	engineio_session_end(session, WS_CODE_PROTOCOL_ERROR);
}

/* The packets have been taken. */
static void take(struct engineio_post *self, struct engineio_session *session)
{
	session->is_posting = false;
	session->posted = self->mark;
	engineio_answer_ok(self->ex, session);
	if (self->has_pong)
		engineio_session_hear(session);
	if (!self->has_close)
		return;
	session->is_leaving = true;
	engineio_session_end(session, WS_CODE_NORMAL);
}

static void finish(struct engineio_post *self, enum send_outcome outcome)
{
	struct engineio_session *session = engineio_exchange_session(self->ex);

	if (session == NULL) {
		engineio_answer_error(self->ex, NULL, 400, ENGINEIO_UNKNOWN_SID);
		return;
	}
	switch (outcome) {
	case SEND_WAITING:
		break;
	case SEND_QUEUED:
	/*
	 * The backend has closed, and the client does not know yet: it is in time, as it would be
	 * on a WebSocket. The next poll tells it.
	 */
	case SEND_CLOSED:
		take(self, session);
		break;
	case SEND_FULL:
	case SEND_GAP:
	case SEND_REPEATED:
		engineio_answer_failure(self->ex, session, REASON_BACKEND_STALL);
		engineio_session_end(session, WS_CODE_GOING_AWAY);
		break;
	}
}

static void free_send(struct session_send *send)
{
	message_list_clear(&send->frames);
	free(send);
}

static void on_sent(struct session_send *send, enum send_outcome outcome)
{
	struct engineio_post *self = send->arg;

	self->send = NULL;
	free_send(send);
	finish(self, outcome);
}

static void submit(struct engineio_post *self, struct engineio_session *session,
	struct engineio_payload *payload)
{
	struct session_send *send = memory_alloc_zeroed(sizeof(*send));
	enum send_outcome outcome;

	TAILQ_INIT(&send->frames);
	TAILQ_CONCAT(&send->frames, &payload->frames, link);
	send->cost = payload->cost;
	send->on_done = on_sent;
	send->arg = self;
	outcome = session_submit(session->session, send);
	if (outcome == SEND_WAITING) {
		self->send = send;
		return;
	}
	free_send(send);
	finish(self, outcome);
}

static void read_payload(struct engineio_post *self, struct engineio_session *session)
{
	struct engineio_payload payload;

	engineio_mark_make(&self->mark, self->ex->request.t, post_body(&self->post));
	if (engineio_mark_equals(&self->mark, &session->posted)) {
		/* It has been taken; its answer did not arrive. */
		take(self, session);
		post_clear(&self->post);
		return;
	}
	switch (engineio_payload_read(&payload, post_body(&self->post))) {
	case ENGINEIO_PAYLOAD_OK:
		self->has_pong = payload.has_pong;
		self->has_close = payload.has_close;
		post_clear(&self->post);
		submit(self, session, &payload);
		return;
	case ENGINEIO_PAYLOAD_MALFORMED:
		refuse(self->ex, session);
		break;
	case ENGINEIO_PAYLOAD_TOO_MANY:
		session->is_posting = false;
		engineio_answer_too_big(self->ex, session);
		break;
	}
	post_clear(&self->post);
}

static void on_body(void *arg, bool is_complete)
{
	struct engineio_post *self = arg;
	struct engineio_session *session = engineio_exchange_session(self->ex);

	if (session != NULL && !session->is_upgraded && is_complete) {
		read_payload(self, session);
		return;
	}
	post_clear(&self->post);
	if (session != NULL && session->is_upgraded) {
		/* The client has not waited for it; where it would stand is unknown. */
		session->is_posting = false;
		engineio_answer_error(self->ex, session, 400, ENGINEIO_BAD_REQUEST);
	} else if (session == NULL) {
		engineio_answer_error(self->ex, NULL, 400, ENGINEIO_UNKNOWN_SID);
	} else {
		session->is_posting = false;
		engineio_answer_too_big(self->ex, session);
	}
}

/* Start and end. */

static bool is_binary(const struct request_head *head)
{
	struct slice rest = fields_value(&head->fields, FIELD_CONTENT_TYPE), part;

	return media_part_next(&rest, &part) &&
		slice_equals_ignoring_case(part, SLICE("application/octet-stream"));
}

/* Without an answer the client does not know whether its packets were taken. */
static void on_end(struct exchange *x, void *arg)
{
	struct engineio_post *self = arg;
	struct session_send *send = self->send;
	struct engineio_session *session;

	post_clear(&self->post);
	self->send = NULL;
	if (send != NULL) {
		session_withdraw(send->session, send);
		free_send(send);
	}
	if (x->reason == REASON_NONE)
		return;
	session = engineio_exchange_session(self->ex);
	if (session != NULL)
		engineio_session_end(session, WS_CODE_GOING_AWAY);
}

void engineio_post_start(struct engineio_exchange *ex, struct engineio_session *session)
{
	static const struct handler handler = {.on_end = on_end};
	struct engineio_post *self = arena_alloc_zeroed(&ex->x->arena, sizeof(*self));

	if (session->is_posting || is_binary(ex->x->req)) {
		refuse(ex, session);
		return;
	}
	self->ex = ex;
	session->is_posting = true;
	exchange_set_handler(ex->x, &handler, self);
	post_start(&self->post, ex->x, session->max_payload, on_body, self);
}
