#include "bridge/client/plain_open.h"

#include "bridge/client/plain_encode.h"
#include "bridge/client/plain_send.h"
#include "bridge/client/post.h"
#include "bridge/session_binding.h"
#include "proxy/route/hop_client.h"

struct plain_opening {
	struct plain_exchange *px;
	struct session *session; /* while it waits for its feed */
	struct session_waiter waiter;
	struct post post;
	enum post_kind kind;
	bool has_note;
	bool has_digest;
	struct plain_reset_note note;
	uint8_t digest[DIGEST_SIZE];
};

/* How long an event stream waits before it tries again to open a session. */
#define REFUSED_RETRY_MS 5000

/* Refusals. */

/* Another status than 200 would stop a browser's EventSource for good. */
static void answer_retry(struct plain_exchange *px)
{
	struct response_head *head = plain_answer_head(px, 200, NULL, 0);
	struct bytes body;

	bytes_init(&body);
	plain_encode_event_retry(&body, REFUSED_RETRY_MS);
	plain_answer_send(px, head, SLICE("text/event-stream"), &body);
}

static bool is_reconnect(const struct plain_exchange *px)
{
	return px->request.form == PLAIN_EVENTS && px->request.last_event_id.state != PLAIN_ABSENT;
}

static void refuse(struct plain_exchange *px, unsigned status, const char *error)
{
	if (is_reconnect(px) && status != 403)
		answer_retry(px);
	else
		plain_answer_error(px, status, NULL, error, NULL, 0);
}

static bool is_passed_on(enum field_id id)
{
	return id == FIELD_WWW_AUTHENTICATE || id == FIELD_LOCATION || id == FIELD_RETRY_AFTER ||
		id == FIELD_SET_COOKIE;
}

static void pass_on(struct plain_exchange *px, const struct feed_refusal *refusal)
{
	struct response_head *head = plain_answer_head(px, refusal->status, NULL, 0);
	struct arena *arena = &px->x->arena;
	struct slice type = fields_value(refusal->fields, FIELD_CONTENT_TYPE);
	struct bytes body;

	for (uint32_t i = 0; i < refusal->fields->n; i++) {
		const struct field *field = &refusal->fields->items[i];

		if (is_passed_on(field->id))
			fields_add_known(&head->fields, arena, field->id,
				arena_copy(arena, field->name), arena_copy(arena, field->value));
	}
	bytes_init(&body);
	bytes_append_slice(&body, refusal->body);
	plain_answer_send(px, head, arena_copy(arena, type), &body);
	bytes_clear(&body);
}

static void on_refused(void *arg, const struct feed_refusal *refusal)
{
	struct plain_opening *self = arg;
	struct plain_exchange *px = self->px;

	self->session = NULL;
	px->x->server_name = refusal->server_name;
	exchange_set_reason(px->x, refusal->reason);
	if (refusal->fields == NULL)
		refuse(px, refusal->status, reason_text(refusal->reason));
	else if (is_reconnect(px) && refusal->status != 403)
		answer_retry(px);
	else
		pass_on(px, refusal);
}

/* Answers. */

static void add_extra(struct plain_exchange *px, const struct fields *fields)
{
	struct arena *arena = &px->x->arena;

	for (uint32_t i = 0; fields != NULL && i < fields->n; i++) {
		const struct field *field = &fields->items[i];

		if (session_key_keeps(field->id))
			fields_add_known(&px->extra, arena, field->id,
				arena_copy(arena, field->name), arena_copy(arena, field->value));
	}
}

static struct slice session_path(struct plain_exchange *px, struct slice path)
{
	return arena_printf(&px->x->arena, "%.*s/~%.*s", SLICE_ARG(path), SLICE_ARG(px->id));
}

static void answer_created(struct plain_exchange *px, const struct session *session)
{
	uint64_t cursor = session_floor(session);
	struct response_head *head = plain_answer_head(px, 201, session, cursor);
	struct bytes body;

	bytes_init(&body);
	plain_answer_add(px, head, "Location", session_path(px, plain_answer_reference(px)));
	for (uint32_t i = 0; i < px->extra.n; i++)
		fields_add_known(&head->fields, &px->x->arena, px->extra.items[i].id,
			px->extra.items[i].name, px->extra.items[i].value);
	if (px->request.wants_text) {
		bytes_append_slice(&body, hop_client_scheme(px->x));
		bytes_append_string(&body, "://");
		bytes_append_slice(&body, hop_client_host(px->x));
		bytes_append_slice(&body, session_path(px, px->request.path));
		bytes_append_string(&body, "\n");
		plain_answer_send(px, head, SLICE("text/plain; charset=utf-8"), &body);
		return;
	}
	plain_attach_encode_empty(px, &body, cursor, false);
	plain_answer_send(px, head, SLICE("application/json"), &body);
}

static void answer_opened(struct plain_opening *self, struct session *session)
{
	struct plain_exchange *px = self->px;
	uint64_t floor = session_floor(session);
	struct plain_reset_note gap = {PLAIN_RESET_GAP, 1, floor};
	const struct plain_reset_note *note = self->has_note ? &self->note : NULL;

	/* Who repeats an opening has nothing yet; what its lost answer had may be dropped. */
	if (note == NULL && floor > 0 && !session_is_at_end(session, floor))
		note = &gap;
	plain_answer_set_session(px, session);
	if (px->request.form == PLAIN_CREATED)
		answer_created(px, session);
	else
		plain_attach(px, session, floor, note);
}

static void on_opened(void *arg, const struct feed_acceptance *acceptance)
{
	struct plain_opening *self = arg;
	struct session *session = self->session;

	self->session = NULL;
	self->px->x->server_name = acceptance->server_name;
	add_extra(self->px, acceptance->fields);
	answer_opened(self, session);
}

/* Dialling. */

static void wait_for(struct plain_opening *self, struct session *session)
{
	self->session = session;
	self->waiter = (struct session_waiter){
		.on_opened = on_opened, .on_refused = on_refused, .arg = self};
	session_add_waiter(session, &self->waiter);
}

/* A repeat of an opening that is under way, or was answered not long ago. False: there is none. */
static bool join(struct plain_opening *self)
{
	struct session *session = self->has_digest
		? session_table_find_key(&self->px->bridge->table, self->digest)
		: NULL;

	if (session == NULL)
		return false;
	if (session->state == SESSION_OPENING) {
		wait_for(self, session);
		return true;
	}
	session_touch(session);
	add_extra(self->px, session_table_key_fields(session));
	answer_opened(self, session);
	return true;
}

static void dial(struct plain_opening *self, struct session_send *send)
{
	struct plain_exchange *px = self->px;
	struct bridge *bridge = px->bridge;
	struct slice address = hop_client_address(px->x);
	struct feed_target target = {
		.path = px->request.path,
		.query = px->request.query,
		.has_query = px->request.has_query,
		.protocols = &px->request.protocols,
	};
	struct session *session;

	if (bridge->is_draining || !bridge_has_conns(bridge) ||
		!session_table_has_room(&bridge->table, address)) {
		if (send != NULL)
			plain_send_free(send);
		exchange_set_reason(px->x, bridge->is_draining ? REASON_DRAIN : REASON_OVERLOAD);
		refuse(px, 503, bridge->is_draining ? "leaving" : "too many sessions");
		return;
	}
	session = session_table_add(&bridge->table, px->x, px->request.path);
	/* Nobody else is ever told of it. */
	if (px->request.form == PLAIN_BARE)
		session->linger_ms = 0;
	if (self->has_digest)
		session_table_add_key(&bridge->table, session, self->digest);
	session_open(
		session, bridge_new_feed(bridge, &target, px->x, &session_feed_owner, session));
	wait_for(self, session);
	/* It waits for the feed, then is the first in the line. */
	if (send != NULL && session_submit(session, send) != SEND_WAITING)
		ASSERT(!"a send does not wait for an opening");
}

/* An opening POST counts even without a message. */
static struct session_send *make_send(struct plain_opening *self, struct slice body)
{
	const struct plain_request *request = &self->px->request;

	if (body.n > 0)
		return plain_send_make(request, self->kind, body);
	return request->seq.state == PLAIN_GIVEN ? plain_send_make(request, POST_UNSUPPORTED, body)
						 : NULL;
}

static void on_body(void *arg, bool is_complete)
{
	struct plain_opening *self = arg;
	struct post_limits limits = plain_send_limits(self->px->bridge->route);
	struct slice body = post_body(&self->post);
	enum post_verdict verdict = POST_TOO_BIG;

	if (is_complete)
		verdict = body.n > 0 ? post_body_check(self->kind, body, &limits) : POST_OK;
	if (verdict != POST_OK)
		plain_send_refuse(self->px, NULL, self->kind, verdict);
	else if (body.n > 0 && !bridge_takes_messages(self->px->bridge))
		plain_answer_error(self->px, 409, NULL, "read only", NULL, 0);
	else if (!join(self))
		dial(self, make_send(self, body));
	post_clear(&self->post);
}

static void collect(struct plain_opening *self)
{
	struct plain_exchange *px = self->px;
	struct post_limits limits = plain_send_limits(px->bridge->route);

	self->kind = plain_send_kind(px->x->req);
	post_start(&self->post, px->x,
		self->kind == POST_UNSUPPORTED ? 0 : post_body_limit(self->kind, &limits), on_body,
		self);
}

/* Start and end. */

static void make_digest(struct plain_opening *self)
{
	const struct plain_request *request = &self->px->request;
	struct exchange *x = self->px->x;
	uint8_t binding[DIGEST_SIZE];
	struct slice parts[] = {
		request->path,
		fields_join(&x->req->fields, FIELD_ORIGIN, &x->arena),
		fields_join(&x->req->fields, FIELD_COOKIE, &x->arena),
		fields_join(&x->req->fields, FIELD_AUTHORIZATION, &x->arena),
		request->key,
		session_binding_make(binding, self->px->bridge->route, x),
	};

	digest_make(self->digest, parts, ARRAY_LEN(parts));
	self->has_digest = true;
}

static void on_end(struct exchange *x, void *arg)
{
	struct plain_opening *self = arg;

	(void)x;
	post_clear(&self->post);
	if (self->session != NULL)
		session_remove_waiter(self->session, &self->waiter);
	self->session = NULL;
}

void plain_open_start(struct plain_exchange *px, const struct plain_reset_note *note)
{
	static const struct handler handler = {.on_end = on_end};
	struct plain_opening *self = arena_alloc_zeroed(&px->x->arena, sizeof(*self));
	const struct plain_number *seq = &px->request.seq;

	self->px = px;
	self->has_note = note != NULL;
	if (note != NULL)
		self->note = *note;
	exchange_set_handler(px->x, &handler, self);
	if (px->request.has_key)
		make_digest(self);
	if (px->request.form != PLAIN_CREATED) {
		if (!join(self))
			dial(self, NULL);
	} else if (seq->state == PLAIN_MALFORMED) {
		plain_answer_error(px, 400, NULL, "Pollux-Seq", NULL, 0);
	} else if (seq->state == PLAIN_GIVEN && seq->value != 1) {
		plain_answer_error(px, 409, NULL, "gap", "expected", 1);
	} else if (!join(self)) {
		collect(self);
	}
}
