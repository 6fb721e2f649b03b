#include "bridge/client/engineio_answer.h"

#include "bridge/client/plain_encode.h"
#include "proxy/base/utf8.h"
#include "proxy/http/date.h"
#include "proxy/route/hop.h"

#define TEXT SLICE("text/plain; charset=UTF-8")
#define HTML SLICE("text/html")
#define JSON SLICE("application/json")

/* A longer one is no text of an application, but a page of something in between. */
#define MAX_REFUSAL_TEXT 1024

struct engineio_session *engineio_exchange_session(const struct engineio_exchange *self)
{
	return engineio_session_find(self->bridge, self->x, self->path, self->request.sid);
}

/* Heads. */

static void add(struct engineio_exchange *self, struct response_head *head, const char *name,
	struct slice value)
{
	fields_add(&head->fields, &self->x->arena, slice_from_string(name), value);
}

static struct response_head *make_head(struct engineio_exchange *self, unsigned status)
{
	struct arena *arena = &self->x->arena;
	struct response_head *head = arena_alloc_zeroed(arena, sizeof(*head));

	head->status = (uint16_t)status;
	head->version_minor = 1;
	add(self, head, "Date", arena_copy(arena, http_date()));
	add(self, head, "Cache-Control", SLICE("no-store"));
	return head;
}

/* Fields that live elsewhere. */
static void add_copies(struct engineio_exchange *self, struct response_head *head,
	const struct field *fields, uint32_t n)
{
	struct arena *arena = &self->x->arena;

	for (uint32_t i = 0; i < n; i++)
		fields_add_known(&head->fields, arena, fields[i].id,
			arena_copy(arena, fields[i].name), arena_copy(arena, fields[i].value));
}

/* Lets the page read the answer, whichever it is, unless the route knows that it may not. */
static void add_own_origin(struct engineio_exchange *self, struct response_head *head)
{
	struct slice origin = fields_value(&self->x->req->fields, FIELD_ORIGIN);

	if (origin.n == 0)
		return;
	add(self, head, "Vary", SLICE("Origin"));
	if (self->verdict == ORIGIN_REFUSED)
		return;
	add(self, head, "Access-Control-Allow-Origin", origin);
	add(self, head, "Access-Control-Allow-Credentials", SLICE("true"));
}

static void add_origin(struct engineio_exchange *self, struct response_head *head,
	const struct engineio_session *session)
{
	if (session != NULL)
		add_copies(self, head, session->fields, session->n_fields);
	else
		add_own_origin(self, head);
}

/* Takes the body. */
static void respond(struct engineio_exchange *self, struct response_head *head, struct slice type,
	struct bytes *body)
{
	struct exchange *x = self->x;

	head->body = x->req->method == METHOD_HEAD ? BODY_NONE : BODY_LENGTH;
	head->has_content_length = true;
	head->content_length = bytes_size(body);
	if (type.n > 0)
		add(self, head, "Content-Type", type);
	if (head->body == BODY_LENGTH)
		pipe_put(&x->res_body, body, bytes_size(body));
	bytes_clear(body);
	pipe_put_end(&x->res_body);
	exchange_respond(x, head);
}

/* Answers of a session. */

/* What belongs to the handshake alone, and what this answer says for itself. */
static const bool is_left_out[N_FIELD_IDS] = {
	[FIELD_SEC_WEBSOCKET_ACCEPT] = true,
	[FIELD_SEC_WEBSOCKET_EXTENSIONS] = true,
	[FIELD_SEC_WEBSOCKET_PROTOCOL] = true,
	[FIELD_CACHE_CONTROL] = true,
	[FIELD_CONTENT_ENCODING] = true,
	[FIELD_CONTENT_LENGTH] = true,
	[FIELD_CONTENT_TYPE] = true,
	[FIELD_DATE] = true,
	[FIELD_VIA] = true,
};

static void add_accepted(struct engineio_exchange *self, struct response_head *head)
{
	struct response_head accepted = {
		.status = 101, .version_minor = 1, .fields = self->accepted};

	hop_response(&accepted, &self->x->arena, self->bridge->route->conf);
	for (uint32_t i = 0; i < accepted.fields.n; i++)
		if (!is_left_out[accepted.fields.items[i].id])
			add_copies(self, head, &accepted.fields.items[i], 1);
}

void engineio_answer_open(struct engineio_exchange *self, struct bytes *packet)
{
	struct response_head *head = make_head(self, 200);

	add_accepted(self, head);
	respond(self, head, TEXT, packet);
}

void engineio_answer_payload(struct engineio_exchange *self, const struct engineio_session *session,
	struct bytes *payload)
{
	struct response_head *head = make_head(self, 200);

	add_origin(self, head, session);
	respond(self, head, TEXT, payload);
}

void engineio_answer_packet(
	struct engineio_exchange *self, const struct engineio_session *session, const char *packet)
{
	struct bytes payload;

	bytes_init(&payload);
	bytes_append_string(&payload, packet);
	engineio_answer_payload(self, session, &payload);
}

void engineio_answer_ok(struct engineio_exchange *self, const struct engineio_session *session)
{
	struct response_head *head = make_head(self, 200);
	struct bytes body;

	bytes_init(&body);
	bytes_append_string(&body, "ok");
	add_origin(self, head, session);
	respond(self, head, HTML, &body);
}

void engineio_answer_too_big(struct engineio_exchange *self, const struct engineio_session *session)
{
	struct response_head *head = make_head(self, 413);
	struct bytes body;

	bytes_init(&body);
	add_origin(self, head, session);
	respond(self, head, SLICE(""), &body);
}

/* Errors. */

/* {"code":N,"message":TEXT}; has_code false: the message alone. */
static void put_error(struct engineio_exchange *self, struct response_head *head, bool has_code,
	enum engineio_code code, struct slice text)
{
	struct bytes body;

	bytes_init(&body);
	if (self->request.is_websocket) {
		self->x->must_close = true;
		bytes_append_slice(&body, text);
		respond(self, head, HTML, &body);
		return;
	}
	bytes_append_string(&body, "{");
	if (has_code)
		bytes_printf(&body, "\"code\":%d,", (int)code);
	bytes_append_string(&body, "\"message\":");
	plain_encode_string(&body, text);
	bytes_append_string(&body, "}");
	respond(self, head, JSON, &body);
}

void engineio_answer_error(struct engineio_exchange *self, const struct engineio_session *session,
	unsigned status, enum engineio_code code)
{
	struct response_head *head = make_head(self, status);

	add_origin(self, head, session);
	put_error(self, head, true, code, engineio_code_text(code));
}

void engineio_answer_failure(
	struct engineio_exchange *self, const struct engineio_session *session, enum reason reason)
{
	unsigned status = reason_status(reason);
	struct response_head *head = make_head(self, status != 0 ? status : 502);

	exchange_set_reason(self->x, reason);
	if (head->status == 503)
		add(self, head, "Retry-After", SLICE("1"));
	add_origin(self, head, session);
	put_error(self, head, false, ENGINEIO_BAD_REQUEST, slice_from_string(reason_text(reason)));
}

static bool is_passed_on(const struct field *field)
{
	return field->id == FIELD_WWW_AUTHENTICATE || field->id == FIELD_LOCATION ||
		field->id == FIELD_RETRY_AFTER || field->id == FIELD_SET_COOKIE ||
		engineio_session_repeats(field);
}

/* What the application says is for those pages alone that it, or the route, names. */
static void add_refusal_fields(struct engineio_exchange *self, struct response_head *head,
	const struct feed_refusal *refusal)
{
	for (uint32_t i = 0; i < refusal->fields->n; i++)
		if (is_passed_on(&refusal->fields->items[i]))
			add_copies(self, head, &refusal->fields->items[i], 1);
	if (self->verdict == ORIGIN_LISTED &&
		fields_find_name(&head->fields, SLICE("access-control-allow-origin")) == NULL)
		add_own_origin(self, head);
}

void engineio_answer_refusal(struct engineio_exchange *self, const struct feed_refusal *refusal)
{
	struct slice text = refusal->body;
	enum engineio_code code;
	struct response_head *head;
	struct bytes body;

	if (refusal->fields == NULL) {
		engineio_answer_failure(self, NULL, refusal->reason);
		return;
	}
	if (refusal->status == 400 && engineio_code_find(text, &code)) {
		engineio_answer_error(self, NULL, code == ENGINEIO_FORBIDDEN ? 403 : 400, code);
		return;
	}
	if (refusal->status == 400 && text.n > 0 && text.n <= MAX_REFUSAL_TEXT &&
		utf8_is_valid(text.p, text.n)) {
		head = make_head(self, 403);
		add_refusal_fields(self, head, refusal);
		put_error(self, head, true, ENGINEIO_FORBIDDEN, text);
		return;
	}
	head = make_head(self, refusal->status);
	add_refusal_fields(self, head, refusal);
	bytes_init(&body);
	bytes_append_slice(&body, text);
	respond(self, head,
		arena_copy(&self->x->arena, fields_value(refusal->fields, FIELD_CONTENT_TYPE)),
		&body);
}
