#include "bridge/client/sockjs_send.h"

#include <stdlib.h>

#include "bridge/client/post.h"
#include "bridge/client/sockjs_session.h"
#include "proxy/base/memory.h"

/* A post on its way: collecting its body, or waiting for room in the queue to the backend. */
struct sockjs_send {
	struct sockjs_exchange *sx;
	struct post post;
	struct session_send *send; /* in the session's line */
};

/* What the type says of the body. */
enum body_type {
	BODY_TYPE_JSON,
	BODY_TYPE_FORM,
	BODY_TYPE_OTHER, /* as if there were none */
};

static enum body_type find_body_type(const struct sockjs_exchange *self)
{
	static const char *const json[] = {
		"", "text/plain", "T", "application/json", "application/xml", "text/xml"};
	struct slice value = fields_value(&self->x->req->fields, FIELD_CONTENT_TYPE);
	struct slice type = slice_trim(slice_first(value, slice_find(value, ';')));
	bool is_form = self->request.transport == SOCKJS_JSONP_SEND;
	/* Of a form's page: text/plain is all that it may choose besides. */
	size_t n_json = is_form ? 2 : ARRAY_LEN(json);

	for (size_t i = 0; i < n_json; i++)
		if (slice_equals_ignoring_case(type, slice_from_string(json[i])))
			return BODY_TYPE_JSON;
	if (is_form && slice_equals_ignoring_case(type, SLICE("application/x-www-form-urlencoded")))
		return BODY_TYPE_FORM;
	return BODY_TYPE_OTHER;
}

static void answer_done(struct sockjs_exchange *self)
{
	struct response_head *head;
	struct bytes nothing;

	if (self->request.transport == SOCKJS_JSONP_SEND) {
		sockjs_answer_text(self, 200, SLICE("ok"));
		return;
	}
	/* A type without a body: some browsers take the answer for XML otherwise, and complain. */
	head = sockjs_answer_head(self, 204);
	bytes_init(&nothing);
	sockjs_answer_send(self, head, SLICE("text/plain; charset=UTF-8"), &nothing);
}

static void answer(struct sockjs_exchange *self, enum send_outcome outcome)
{
	switch (outcome) {
	case SEND_WAITING:
		break;
	case SEND_QUEUED:
		answer_done(self);
		break;
	case SEND_FULL:
		sockjs_answer_text(self, 503, SLICE("The queue to the backend is full.\n"));
		break;
	case SEND_CLOSED:
		sockjs_answer_not_found(self);
		break;
	case SEND_REPEATED:
	case SEND_GAP:
		ASSERT(!"a send without a number");
	}
}

static void free_send(struct session_send *send)
{
	message_list_clear(&send->frames);
	free(send);
}

static void on_sent(struct session_send *send, enum send_outcome outcome)
{
	struct sockjs_send *self = send->arg;

	self->send = NULL;
	free_send(send);
	answer(self->sx, outcome);
}

static enum sockjs_decode decode(struct sockjs_send *self, struct session_send *send)
{
	struct sockjs_exchange *sx = self->sx;
	struct sockjs_decode_limits limits = sockjs_session_limits(sx->bridge->route);
	struct slice body = post_body(&self->post);

	switch (find_body_type(sx)) {
	case BODY_TYPE_JSON:
		break;
	case BODY_TYPE_FORM:
		body = sockjs_decode_form(body, &sx->x->arena);
		break;
	case BODY_TYPE_OTHER:
		return SOCKJS_DECODE_NO_PAYLOAD;
	}
	return sockjs_decode_array(body, &limits, &send->frames, &send->cost);
}

/* The body is complete: its place in the order is now. */
static void submit(struct sockjs_send *self, struct session_send *send)
{
	struct sockjs_exchange *sx = self->sx;
	struct session *session =
		session_table_find_named(&sx->bridge->table, sx->x, sx->request.session);
	enum send_outcome outcome = SEND_CLOSED;

	if (session != NULL && session->state == SESSION_OPEN) {
		sx->x->session_label = sockjs_mask_session(sx->request.session, &sx->x->arena);
		send->on_done = on_sent;
		send->arg = self;
		outcome = session_submit(session, send);
	}
	if (outcome == SEND_WAITING) {
		self->send = send;
		return;
	}
	free_send(send);
	answer(sx, outcome);
}

static void on_body(void *arg, bool is_complete)
{
	struct sockjs_send *self = arg;
	struct sockjs_exchange *sx = self->sx;
	struct session_send *send = memory_alloc_zeroed(sizeof(*send));
	enum sockjs_decode verdict = SOCKJS_DECODE_TOO_BIG;

	TAILQ_INIT(&send->frames);
	if (is_complete)
		verdict = decode(self, send);
	post_clear(&self->post);
	switch (verdict) {
	case SOCKJS_DECODED:
		submit(self, send);
		return;
	case SOCKJS_DECODE_NO_PAYLOAD:
		sockjs_answer_text(sx, 500, SLICE("Payload expected.\n"));
		break;
	case SOCKJS_DECODE_BROKEN:
		sockjs_answer_text(sx, 500, SLICE("Broken JSON encoding.\n"));
		break;
	case SOCKJS_DECODE_TOO_BIG:
		sockjs_answer_text(sx, 413, SLICE("The message is too big.\n"));
		break;
	}
	free_send(send);
}

/* The client is gone. A body that was complete keeps its place in the line if there is room. */
static void on_end(struct exchange *x, void *arg)
{
	struct sockjs_send *self = arg;

	(void)x;
	post_clear(&self->post);
	if (self->send != NULL)
		session_orphan(self->send->session, self->send);
	self->send = NULL;
}

void sockjs_send_start(struct sockjs_exchange *sx)
{
	static const struct handler handler = {.on_end = on_end};
	struct sockjs_decode_limits limits = sockjs_session_limits(sx->bridge->route);
	struct sockjs_send *self = arena_alloc_zeroed(&sx->x->arena, sizeof(*self));

	self->sx = sx;
	exchange_set_handler(sx->x, &handler, self);
	post_start(&self->post, sx->x, sockjs_decode_body_limit(&limits), on_body, self);
}
