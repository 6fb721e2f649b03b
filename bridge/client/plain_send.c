#include "bridge/client/plain_send.h"

#include <stdlib.h>

#include "bridge/client/post.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

/* A post on its way: collecting its body, or waiting for room in the queue to the backend. */
struct plain_send {
	struct plain_exchange *px;
	struct post post;
	struct session_send *send; /* in the session's line */
	enum post_kind kind;
};

struct session_send *plain_send_make(
	const struct plain_request *request, enum post_kind kind, struct slice body)
{
	struct session_send *send = memory_alloc_zeroed(sizeof(*send));
	struct message *frame;
	struct slice line;

	TAILQ_INIT(&send->frames);
	send->is_counted = request->seq.state == PLAIN_GIVEN;
	send->seq = send->is_counted ? request->seq.value : 0;
	switch (kind) {
	case POST_TEXT:
	case POST_BINARY:
		frame = message_new(kind == POST_TEXT ? MESSAGE_TEXT : MESSAGE_BINARY, body);
		TAILQ_INSERT_TAIL(&send->frames, frame, link);
		send->cost = message_cost(frame);
		break;
	case POST_LINES:
		while (post_lines_next(&body, &line)) {
			frame = message_new(MESSAGE_TEXT, line);
			TAILQ_INSERT_TAIL(&send->frames, frame, link);
			send->cost += message_cost(frame);
		}
		break;
	case POST_UNSUPPORTED:
		break;
	}
	return send;
}

void plain_send_free(struct session_send *send)
{
	message_list_clear(&send->frames);
	free(send);
}

enum post_kind plain_send_kind(const struct request_head *head)
{
	if (fields_find(&head->fields, FIELD_CONTENT_ENCODING) != NULL ||
		fields_count(&head->fields, FIELD_CONTENT_TYPE) > 1)
		return POST_UNSUPPORTED;
	return post_kind_find(fields_value(&head->fields, FIELD_CONTENT_TYPE));
}

struct post_limits plain_send_limits(const struct conf_route *route)
{
	return (struct post_limits){
		.max_message = route->max_message_size, .max_lines = route->queue_size};
}

void plain_send_refuse(struct plain_exchange *self, const struct session *session,
	enum post_kind kind, enum post_verdict verdict)
{
	if (kind == POST_UNSUPPORTED)
		plain_answer_error(self, 415, session, "content type", NULL, 0);
	else if (verdict == POST_BAD_UTF8)
		plain_answer_error(self, 400, session, "utf-8", NULL, 0);
	else
		plain_answer_error(self, 413, session, "too big", NULL, 0);
}

static void answer(struct plain_exchange *px, struct session *session, enum send_outcome outcome)
{
	switch (outcome) {
	case SEND_WAITING:
		break;
	case SEND_QUEUED:
	case SEND_REPEATED:
		plain_answer_done(px, session);
		break;
	case SEND_GAP:
		plain_answer_error(px, 409, session, "gap", "expected", session->n_used + 1);
		break;
	case SEND_FULL:
		plain_answer_error(px, 503, session, "queue is full", NULL, 0);
		break;
	case SEND_CLOSED:
		if (session->state == SESSION_OVER)
			plain_answer_unknown(px);
		else
			plain_answer_gone(px, session);
		break;
	}
}

static void on_sent(struct session_send *send, enum send_outcome outcome)
{
	struct plain_send *self = send->arg;

	self->send = NULL;
	answer(self->px, send->session, outcome);
	plain_send_free(send);
}

/* The body is complete: its place in the order is now. */
static void submit(struct plain_send *self, struct session *session)
{
	struct session_send *send =
		plain_send_make(&self->px->request, self->kind, post_body(&self->post));
	enum send_outcome outcome;

	post_clear(&self->post);
	send->on_done = on_sent;
	send->arg = self;
	outcome = session_submit(session, send);
	if (outcome == SEND_WAITING) {
		self->send = send;
		return;
	}
	plain_send_free(send);
	answer(self->px, session, outcome);
}

static void on_body(void *arg, bool is_complete)
{
	struct plain_send *self = arg;
	struct plain_exchange *px = self->px;
	struct post_limits limits = plain_send_limits(px->bridge->route);
	struct session *session =
		session_table_find(&px->bridge->table, px->x, px->request.path, px->request.id);
	enum post_verdict verdict = POST_TOO_BIG;

	if (is_complete)
		verdict = post_body_check(self->kind, post_body(&self->post), &limits);
	if (session == NULL) {
		plain_answer_unknown(px);
	} else if (session->state != SESSION_OPEN) {
		plain_answer_gone(px, session);
	} else if (verdict != POST_OK) {
		plain_send_refuse(px, session, self->kind, verdict);
	} else {
		session_touch(session);
		submit(self, session);
		return;
	}
	post_clear(&self->post);
}

/* The client is gone. A body that was complete keeps its place in the line if there is room. */
static void on_end(struct exchange *x, void *arg)
{
	struct plain_send *self = arg;

	(void)x;
	post_clear(&self->post);
	if (self->send != NULL)
		session_orphan(self->send->session, self->send);
	self->send = NULL;
}

void plain_send_start(struct plain_exchange *px, struct session *session)
{
	static const struct handler handler = {.on_end = on_end};
	struct plain_send *self = arena_alloc_zeroed(&px->x->arena, sizeof(*self));
	struct post_limits limits = plain_send_limits(px->bridge->route);

	self->px = px;
	self->kind = plain_send_kind(px->x->req);
	exchange_set_handler(px->x, &handler, self);
	if (px->request.seq.state == PLAIN_MALFORMED) {
		plain_answer_error(px, 400, session, "Pollux-Seq", NULL, 0);
		return;
	}
	if (self->kind == POST_UNSUPPORTED) {
		plain_send_refuse(px, session, self->kind, POST_OK);
		return;
	}
	post_start(&self->post, px->x, post_body_limit(self->kind, &limits), on_body, self);
}

void plain_send_close(struct plain_exchange *self, struct session *session)
{
	session_end(session, WS_CODE_NORMAL, SLICE(""));
	plain_answer_done(self, session);
}
