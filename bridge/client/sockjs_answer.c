#include "bridge/client/sockjs_answer.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <time.h>

#include "bridge/client/sockjs_encode.h"
#include "proxy/http/cookie.h"
#include "proxy/http/date.h"

#define NO_CACHE "no-store, no-cache, no-transform, must-revalidate, max-age=0"
#define YEAR_SECONDS 31536000
#define YEAR_TEXT "31536000"
#define TEXT_TYPE "text/plain; charset=UTF-8"
#define SCRIPT_TYPE "application/javascript; charset=UTF-8"
#define HTML_TYPE "text/html; charset=UTF-8"

/* Fields. */

void sockjs_answer_add(struct sockjs_exchange *self, struct response_head *head, const char *name,
	struct slice value)
{
	fields_add(&head->fields, &self->x->arena, slice_from_string(name), value);
}

static bool is_any_allowed(const struct sockjs_exchange *self)
{
	return origin_is_any_allowed(&self->bridge->route->allowed_origins);
}

/* The origin is on the list, or is not said where everyone is. */
static bool has_cors_wish(const struct sockjs_exchange *self)
{
	return self->verdict == ORIGIN_LISTED ||
		(self->verdict == ORIGIN_NONE && is_any_allowed(self));
}

/*
 * Without an Origin there is nothing that a browser would look at, but caches and tests do: it is
 * the open list that says "*". Credentials are never for everyone at once.
 */
static void add_cors(struct sockjs_exchange *self, struct response_head *head)
{
	struct slice origin = fields_value(&self->x->req->fields, FIELD_ORIGIN);

	sockjs_answer_add(self, head, "Vary", SLICE("Origin"));
	if (!has_cors_wish(self))
		return;
	if (origin.n == 0) {
		sockjs_answer_add(self, head, "Access-Control-Allow-Origin", SLICE("*"));
		return;
	}
	sockjs_answer_add(self, head, "Access-Control-Allow-Origin", origin);
	sockjs_answer_add(self, head, "Access-Control-Allow-Credentials", SLICE("true"));
}

static struct slice find_cookie(struct slice cookies, struct slice name)
{
	struct cookie cookie;

	while (cookie_next(&cookies, &cookie))
		if (slice_equals(cookie.name, name))
			return cookie.value;
	return SLICE("");
}

void sockjs_answer_add_cookie(struct sockjs_exchange *self, struct fields *fields)
{
	struct exchange *x = self->x;
	struct slice value;

	if (!self->bridge->route->sockjs_cookie || self->request.session.n == 0)
		return;
	value = find_cookie(fields_value(&x->req->fields, FIELD_COOKIE), SLICE("JSESSIONID"));
	if (value.n == 0)
		value = SLICE("dummy");
	fields_add_known(fields, &x->arena, FIELD_SET_COOKIE, SLICE("Set-Cookie"),
		arena_printf(&x->arena, "JSESSIONID=%.*s; path=/", SLICE_ARG(value)));
}

static bool has_cors(const struct sockjs_request *request)
{
	switch (request->action) {
	case SOCKJS_GREETING:
	case SOCKJS_IFRAME:
		return false;
	case SOCKJS_NONE:
	case SOCKJS_INFO:
	case SOCKJS_RECEIVE:
	case SOCKJS_SEND:
	case SOCKJS_WEBSOCKET:
	case SOCKJS_RAW:
	case SOCKJS_NO_WEBSOCKET:
	case SOCKJS_PREFLIGHT:
	case SOCKJS_METHOD:
		break;
	}
	return request->transport != SOCKJS_JSONP && request->transport != SOCKJS_HTMLFILE;
}

static bool is_cacheable(const struct sockjs_request *request)
{
	return request->action == SOCKJS_IFRAME || request->action == SOCKJS_PREFLIGHT;
}

struct response_head *sockjs_answer_head(struct sockjs_exchange *self, unsigned status)
{
	struct arena *arena = &self->x->arena;
	struct response_head *head = arena_alloc_zeroed(arena, sizeof(*head));

	head->status = (uint16_t)status;
	head->version_minor = 1;
	sockjs_answer_add(self, head, "Date", arena_copy(arena, http_date()));
	if (!is_cacheable(&self->request))
		sockjs_answer_add(self, head, "Cache-Control", SLICE(NO_CACHE));
	if (has_cors(&self->request))
		add_cors(self, head);
	sockjs_answer_add_cookie(self, &head->fields);
	return head;
}

/* Answers. */

static void add_type(struct sockjs_exchange *self, struct response_head *head, struct slice type)
{
	if (type.n > 0)
		fields_add_known(&head->fields, &self->x->arena, FIELD_CONTENT_TYPE,
			SLICE("Content-Type"), type);
}

void sockjs_answer_send(struct sockjs_exchange *self, struct response_head *head, struct slice type,
	struct bytes *body)
{
	struct exchange *x = self->x;

	add_type(self, head, type);
	if (head->status != 204 && head->status != 304) {
		head->body = x->req->method == METHOD_HEAD ? BODY_NONE : BODY_LENGTH;
		head->has_content_length = true;
		head->content_length = bytes_size(body);
	}
	if (head->body == BODY_LENGTH)
		pipe_put(&x->res_body, body, bytes_size(body));
	bytes_clear(body);
	pipe_put_end(&x->res_body);
	exchange_respond(x, head);
}

void sockjs_answer_text(struct sockjs_exchange *self, unsigned status, struct slice text)
{
	struct bytes body;

	bytes_init(&body);
	bytes_append_slice(&body, text);
	sockjs_answer_send(self, sockjs_answer_head(self, status), SLICE(TEXT_TYPE), &body);
}

void sockjs_answer_start(struct sockjs_exchange *self, const struct fields *accepted)
{
	struct response_head *head = sockjs_answer_head(self, 200);
	struct arena *arena = &self->x->arena;

	for (uint32_t i = 0; accepted != NULL && i < accepted->n; i++)
		if (accepted->items[i].id == FIELD_SET_COOKIE)
			fields_add_known(&head->fields, arena, FIELD_SET_COOKIE,
				SLICE("Set-Cookie"), arena_copy(arena, accepted->items[i].value));
	head->body = BODY_CHUNKED;
	switch (self->request.transport) {
	case SOCKJS_EVENTSOURCE:
		add_type(self, head, SLICE("text/event-stream"));
		break;
	case SOCKJS_HTMLFILE:
		add_type(self, head, SLICE(HTML_TYPE));
		break;
	case SOCKJS_JSONP:
		sockjs_answer_add(self, head, "X-Content-Type-Options", SLICE("nosniff"));
		add_type(self, head, SLICE(SCRIPT_TYPE));
		break;
	case SOCKJS_XHR:
	case SOCKJS_XHR_STREAMING:
	case SOCKJS_XHR_SEND:
	case SOCKJS_JSONP_SEND:
	case SOCKJS_TRANSPORT_WEBSOCKET:
	case SOCKJS_NO_TRANSPORT:
		add_type(self, head, SLICE(SCRIPT_TYPE));
		break;
	}
	/* The URL is the session's secret; the answer is not to be held back on its way. */
	sockjs_answer_add(self, head, "Referrer-Policy", SLICE("no-referrer"));
	sockjs_answer_add(self, head, "X-Accel-Buffering", SLICE("no"));
	exchange_respond(self->x, head);
}

void sockjs_answer_greeting(struct sockjs_exchange *self)
{
	sockjs_answer_text(self, 200, SLICE("Welcome to SockJS!\n"));
}

void sockjs_answer_info(struct sockjs_exchange *self)
{
	const struct conf_route *route = self->bridge->route;
	struct bytes body;
	uint32_t entropy;

	ASSERT(RAND_bytes((unsigned char *)&entropy, sizeof(entropy)) == 1);
	bytes_init(&body);
	sockjs_encode_info(
		&body, route->websocket && route->sockjs_websocket, route->sockjs_cookie, entropy);
	sockjs_answer_send(self, sockjs_answer_head(self, 200),
		SLICE("application/json; charset=UTF-8"), &body);
}

static void add_year(struct sockjs_exchange *self, struct response_head *head)
{
	time_t then = time(NULL) + YEAR_SECONDS;
	char text[64];
	struct tm parts;
	size_t n;

	ASSERT(gmtime_r(&then, &parts) != NULL);
	n = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
	sockjs_answer_add(self, head, "Cache-Control", SLICE("public, max-age=" YEAR_TEXT));
	sockjs_answer_add(self, head, "Expires", arena_copy(&self->x->arena, slice_of(text, n)));
}

/* The page lets whoever frames it act in this origin's name, so only the allowed may frame it. */
static void add_frame_ancestors(struct sockjs_exchange *self, struct response_head *head)
{
	const struct conf_strings *allowed = &self->bridge->route->allowed_origins;
	struct arena *arena = &self->x->arena;
	struct slice value = SLICE("frame-ancestors 'self'");

	if (is_any_allowed(self))
		return;
	for (size_t i = 0; i < allowed->n_items; i++)
		if (!slice_equals(slice_from_string(allowed->items[i]), SLICE("null")))
			value = arena_printf(arena, "%.*s %s", SLICE_ARG(value), allowed->items[i]);
	sockjs_answer_add(self, head, "Content-Security-Policy", value);
}

static struct slice make_etag(struct sockjs_exchange *self, struct bytes *body)
{
	struct slice text = bytes_linearize(body, bytes_size(body));
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned n = 0;

	ASSERT(EVP_Digest(text.p, text.n, digest, &n, EVP_sha256(), NULL) == 1);
	for (unsigned i = 0; i < n; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return arena_printf(&self->x->arena, "\"%.32s\"", hex);
}

void sockjs_answer_iframe(struct sockjs_exchange *self)
{
	const struct field *known = fields_find_name(&self->x->req->fields, SLICE("if-none-match"));
	struct response_head *head;
	struct bytes body;
	struct slice etag;
	bool is_known;

	bytes_init(&body);
	sockjs_encode_iframe(&body, self->bridge->route->sockjs_client_url);
	etag = make_etag(self, &body);
	is_known = known != NULL && slice_equals(known->value, etag);
	head = sockjs_answer_head(self, is_known ? 304 : 200);
	add_year(self, head);
	add_frame_ancestors(self, head);
	sockjs_answer_add(self, head, "ETag", etag);
	sockjs_answer_send(self, head, is_known ? SLICE("") : SLICE(HTML_TYPE), &body);
}

void sockjs_answer_preflight(struct sockjs_exchange *self)
{
	struct response_head *head = sockjs_answer_head(self, 204);
	struct slice wanted =
		fields_value(&self->x->req->fields, FIELD_ACCESS_CONTROL_REQUEST_HEADERS);
	struct slice methods = slice_from_string(self->request.methods);
	struct bytes nothing;

	add_year(self, head);
	sockjs_answer_add(self, head, "Allow", methods);
	if (has_cors_wish(self)) {
		sockjs_answer_add(self, head, "Access-Control-Allow-Methods", methods);
		sockjs_answer_add(self, head, "Access-Control-Max-Age", SLICE(YEAR_TEXT));
		if (wanted.n > 0)
			sockjs_answer_add(self, head, "Access-Control-Allow-Headers", wanted);
	}
	bytes_init(&nothing);
	sockjs_answer_send(self, head, SLICE(""), &nothing);
}

void sockjs_answer_method(struct sockjs_exchange *self)
{
	struct response_head *head = sockjs_answer_head(self, 405);
	struct bytes nothing;

	bytes_init(&nothing);
	sockjs_answer_add(self, head, "Allow", slice_from_string(self->request.methods));
	sockjs_answer_send(self, head, SLICE(""), &nothing);
}

void sockjs_answer_not_found(struct sockjs_exchange *self)
{
	sockjs_answer_text(self, 404, SLICE("404 Error: Page not found\n"));
}

static bool is_passed_on(enum field_id id)
{
	return id == FIELD_WWW_AUTHENTICATE || id == FIELD_LOCATION || id == FIELD_RETRY_AFTER ||
		id == FIELD_SET_COOKIE;
}

void sockjs_answer_refusal(struct sockjs_exchange *self, const struct feed_refusal *refusal)
{
	struct arena *arena = &self->x->arena;
	struct response_head *head;
	struct bytes body;

	self->x->server_name = refusal->server_name;
	if (refusal->fields == NULL) {
		exchange_set_reason(self->x, refusal->reason);
		sockjs_answer_text(self, refusal->status,
			arena_printf(arena, "%s\n", reason_text(refusal->reason)));
		return;
	}
	head = sockjs_answer_head(self, refusal->status);
	for (uint32_t i = 0; i < refusal->fields->n; i++) {
		const struct field *field = &refusal->fields->items[i];

		if (is_passed_on(field->id))
			fields_add_known(&head->fields, arena, field->id,
				arena_copy(arena, field->name), arena_copy(arena, field->value));
	}
	bytes_init(&body);
	bytes_append_slice(&body, refusal->body);
	sockjs_answer_send(self, head,
		arena_copy(arena, fields_value(refusal->fields, FIELD_CONTENT_TYPE)), &body);
}

void sockjs_answer_no_room(struct sockjs_exchange *self)
{
	bool is_leaving = self->bridge->is_draining;
	struct response_head *head;
	struct bytes body;

	exchange_set_reason(self->x, is_leaving ? REASON_DRAIN : REASON_OVERLOAD);
	head = sockjs_answer_head(self, 503);
	sockjs_answer_add(self, head, "Retry-After", SLICE("1"));
	bytes_init(&body);
	bytes_append_string(&body, is_leaving ? "Pollux is leaving.\n" : "Too many sessions.\n");
	sockjs_answer_send(self, head, SLICE(TEXT_TYPE), &body);
}
