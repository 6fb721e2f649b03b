#include "bridge/client/plain_answer.h"

#include "bridge/client/plain_encode.h"
#include "proxy/http/date.h"

static struct slice methods(const struct plain_exchange *self)
{
	return self->request.id.n > 0 ? SLICE("GET, POST, DELETE, OPTIONS")
				      : SLICE("GET, POST, OPTIONS");
}

static void set_label(struct plain_exchange *self, const struct session *session)
{
	self->x->session_label = session_id_mask(session_id(session), &self->x->arena);
}

void plain_answer_set_session(struct plain_exchange *self, const struct session *session)
{
	self->id = arena_copy(&self->x->arena, session_id(session));
	set_label(self, session);
}

struct slice plain_answer_reference(struct plain_exchange *self)
{
	struct slice path = self->request.path;

	/* "//chat" would name a host (RFC 3986 section 4.2). */
	if (path.n < 2 || path.p[1] != '/')
		return path;
	return arena_printf(&self->x->arena, "/.%.*s", SLICE_ARG(path));
}

void plain_answer_add(struct plain_exchange *self, struct response_head *head, const char *name,
	struct slice value)
{
	fields_add(&head->fields, &self->x->arena, slice_from_string(name), value);
}

static void add_number(
	struct plain_exchange *self, struct response_head *head, const char *name, uint64_t number)
{
	plain_answer_add(self, head, name,
		arena_printf(&self->x->arena, "%llu", (unsigned long long)number));
}

struct response_head *plain_answer_head(struct plain_exchange *self, unsigned status,
	const struct session *session, uint64_t cursor)
{
	struct arena *arena = &self->x->arena;
	struct response_head *head = arena_alloc_zeroed(arena, sizeof(*head));

	head->status = (uint16_t)status;
	head->version_minor = 1;
	plain_answer_add(self, head, "Date", arena_copy(arena, http_date()));
	plain_answer_add(self, head, "Cache-Control", SLICE("no-store"));
	plain_answer_add(self, head, "Referrer-Policy", SLICE("no-referrer"));
	origin_add_fields(&head->fields, arena, self->verdict,
		fields_value(&self->x->req->fields, FIELD_ORIGIN),
		&self->bridge->route->allowed_origins);
	if (self->x->req->method == METHOD_POST &&
		(session != NULL || self->request.action == PLAIN_OPEN))
		add_number(self, head, "Pollux-Seq", session != NULL ? session->n_used : 0);
	if (session == NULL)
		return head;
	set_label(self, session);
	plain_answer_add(self, head, "Pollux-Session", arena_copy(arena, session_id(session)));
	add_number(self, head, "Pollux-Cursor", cursor);
	return head;
}

static void add_type(struct plain_exchange *self, struct response_head *head, struct slice type)
{
	if (type.n > 0)
		fields_add_known(&head->fields, &self->x->arena, FIELD_CONTENT_TYPE,
			SLICE("Content-Type"), type);
}

void plain_answer_send(struct plain_exchange *self, struct response_head *head, struct slice type,
	struct bytes *body)
{
	struct exchange *x = self->x;

	if (head->status != 204 && head->status != 304) {
		head->body = BODY_LENGTH;
		head->has_content_length = true;
		head->content_length = body != NULL ? bytes_size(body) : 0;
	}
	if (body != NULL)
		add_type(self, head, type);
	if (x->req->method == METHOD_HEAD) {
		/* RFC 9110 section 9.3.2: the fields of a body, and none. */
		head->body = BODY_NONE;
		if (body != NULL)
			bytes_clear(body);
	} else if (body != NULL) {
		pipe_put(&x->res_body, body, bytes_size(body));
	}
	pipe_put_end(&x->res_body);
	exchange_respond(x, head);
}

void plain_answer_start(struct plain_exchange *self, struct response_head *head, struct slice type)
{
	head->body = BODY_CHUNKED;
	add_type(self, head, type);
	plain_answer_add(self, head, "X-Accel-Buffering", SLICE("no"));
	exchange_respond(self->x, head);
}

void plain_answer_done(struct plain_exchange *self, const struct session *session)
{
	plain_answer_send(self, plain_answer_head(self, 204, session, session_floor(session)),
		SLICE(""), NULL);
}

void plain_answer_error(struct plain_exchange *self, unsigned status, const struct session *session,
	const char *error, const char *name, uint64_t number)
{
	struct response_head *head = plain_answer_head(
		self, status, session, session != NULL ? session_floor(session) : 0);
	struct bytes body;

	if (status == 405)
		plain_answer_add(self, head, "Allow",
			self->request.action == PLAIN_SEND ? SLICE("GET, DELETE, OPTIONS")
							   : methods(self));
	if (status == 503)
		plain_answer_add(self, head, "Retry-After", SLICE("1"));
	bytes_init(&body);
	plain_encode_error(&body, error, name, number);
	plain_answer_send(self, head, SLICE("application/json"), &body);
}

void plain_answer_cursor(struct plain_exchange *self, const struct session *session)
{
	plain_answer_error(self, 409, session, "cursor", "cursor", session_floor(session));
}

void plain_answer_gone(struct plain_exchange *self, const struct session *session)
{
	const struct plain_request *request = &self->request;
	bool is_get = request->action == PLAIN_ATTACH || request->action == PLAIN_OPEN;
	struct response_head *head;
	struct message *close = session->close;
	struct bytes body;

	if (is_get && request->form == PLAIN_EVENTS) {
		plain_answer_done(self, session);
		return;
	}
	head = plain_answer_head(self, 410, session, session_floor(session));
	bytes_init(&body);
	if (close != NULL) {
		plain_encode_gone(&body, close);
	} else {
		/* The end that the client asked for is still on its way. */
		close = message_new_close(1000, SLICE(""), 0);
		plain_encode_gone(&body, close);
		message_free(close);
	}
	plain_answer_send(self, head, SLICE("application/json"), &body);
}

void plain_answer_unknown(struct plain_exchange *self)
{
	plain_answer_error(self, 404, NULL, "unknown session", NULL, 0);
}

void plain_answer_preflight(struct plain_exchange *self)
{
	struct response_head *head = plain_answer_head(self, 204, NULL, 0);

	origin_add_preflight_fields(&head->fields, &self->x->arena, self->verdict, methods(self));
	plain_answer_send(self, head, SLICE(""), NULL);
}
