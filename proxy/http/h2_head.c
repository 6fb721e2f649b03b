#include "proxy/http/h2_head.h"

#include <stdio.h>

#include "proxy/http/h1_fields.h"
#include "proxy/http/h1_syntax.h"

/* Reading. */

void h2_head_start(struct h2_head *self, struct arena *arena)
{
	*self = (struct h2_head){.arena = arena};
}

static bool is_lower_case(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] >= 'A' && name.p[i] <= 'Z')
			return false;
	return true;
}

/* RFC 9113 section 8.2.1: as HTTP/1.1 has it, and without white space at the ends. */
static bool is_value(struct slice value)
{
	return h1_is_field_value(value) && slice_trim(value).n == value.n;
}

/* Which member a pseudo-header field belongs to. */
static struct slice *find_pseudo(struct h2_head *self, struct slice name)
{
	if (slice_equals(name, SLICE(":method")))
		return &self->method;
	if (slice_equals(name, SLICE(":path")))
		return &self->path;
	if (slice_equals(name, SLICE(":scheme")))
		return &self->scheme;
	if (slice_equals(name, SLICE(":authority")))
		return &self->authority;
	if (slice_equals(name, SLICE(":status")))
		return &self->status;
	if (slice_equals(name, SLICE(":protocol")))
		return &self->protocol;
	return NULL;
}

/* After the other fields, twice, or of an unknown name they are malformed (section 8.3). */
static void add_pseudo(struct h2_head *self, struct slice name, struct slice value)
{
	struct slice *member = find_pseudo(self, name);

	if (member == NULL || member->p != NULL || self->fields.n > 0 || !is_value(value)) {
		self->reason = REASON_BAD_REQUEST;
		return;
	}
	*member = arena_copy(self->arena, value);
	self->has_authority |= member == &self->authority;
	self->has_protocol |= member == &self->protocol;
}

static void add_field(struct h2_head *self, struct slice name, struct slice value)
{
	enum field_id id = field_id_find(name);

	if (!h1_is_token(name) || !is_lower_case(name) || !is_value(value)) {
		self->reason = REASON_BAD_REQUEST;
		return;
	}
	fields_add_known(&self->fields, self->arena, id,
		id != FIELD_OTHER ? field_id_name(id) : arena_copy(self->arena, name),
		arena_copy(self->arena, value));
}

void h2_head_add(
	struct h2_head *self, const struct h1_limits *limits, struct slice name, struct slice value)
{
	if (self->reason != REASON_NONE)
		return;
	if (name.n + value.n + H2_HEAD_LINE_SIZE > limits->max_head_size - self->size ||
		self->fields.n >= limits->max_fields) {
		self->reason = REASON_HEADER_TOO_LARGE;
		return;
	}
	self->size += (uint32_t)(name.n + value.n + H2_HEAD_LINE_SIZE);
	if (name.n > 0 && name.p[0] == ':')
		add_pseudo(self, name, value);
	else
		add_field(self, name, value);
}

/* Section 8.2.2. */
static bool has_fields_of_connection(const struct fields *fields)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		enum field_id id = fields->items[i].id;

		if (id == FIELD_CONNECTION || id == FIELD_TRANSFER_ENCODING ||
			id == FIELD_KEEP_ALIVE || id == FIELD_PROXY_CONNECTION ||
			id == FIELD_UPGRADE)
			return true;
	}
	return false;
}

/* False: more than one, or no number. */
static bool read_length(const struct fields *fields, bool *has_length, uint64_t *length)
{
	const struct field *field = fields_find(fields, FIELD_CONTENT_LENGTH);

	*has_length = field != NULL;
	*length = 0;
	return field == NULL ||
		(fields_count(fields, FIELD_CONTENT_LENGTH) == 1 &&
			slice_to_u64(field->value, length) && *length <= INT64_MAX);
}

/* Requests. */

/* Without a port that the scheme implies. */
static struct slice without_default_port(struct slice authority, struct slice scheme)
{
	struct slice port =
		slice_equals_ignoring_case(scheme, SLICE("https")) ? SLICE(":443") : SLICE(":80");

	if (authority.n > port.n && slice_equals(slice_from(authority, authority.n - port.n), port))
		authority.n -= port.n;
	return authority;
}

/* A name that :authority and Host agree on; HTTP/1.1 gets one of them. */
static enum reason read_authority(struct h2_head *self, struct request_head *head)
{
	const struct field *host = fields_find(&self->fields, FIELD_HOST);

	if (fields_count(&self->fields, FIELD_HOST) > 1)
		return REASON_BAD_HOST;
	if (!self->has_authority && host == NULL)
		return REASON_BAD_HOST;
	head->authority = self->has_authority ? self->authority : host->value;
	if (!h1_is_authority(head->authority))
		return REASON_BAD_HOST;
	if (host != NULL &&
		!slice_equals_ignoring_case(without_default_port(host->value, self->scheme),
			without_default_port(head->authority, self->scheme)))
		return REASON_BAD_HOST;
	return REASON_NONE;
}

static enum reason read_path(
	struct h2_head *self, const struct h1_limits *limits, struct request_head *head)
{
	struct slice path = self->path;
	size_t mark = slice_find(path, '?');

	if (path.n == 0 || h1_span(path.p, path.p + path.n, H1_TARGET) != path.p + path.n)
		return REASON_BAD_REQUEST;
	if (path.p[0] != '/' && !(head->method == METHOD_OPTIONS && slice_equals(path, SLICE("*"))))
		return REASON_BAD_REQUEST;
	if (path.n > limits->max_target_size)
		return REASON_URI_TOO_LONG;
	head->target = path;
	head->path = slice_first(path, mark);
	head->has_query = mark < path.n;
	head->query = slice_from(path, mark + 1);
	return REASON_NONE;
}

/* RFC 8441 section 4. What is not a WebSocket is a method that is not known. */
static enum reason read_connect(struct h2_head *self, struct request_head *head)
{
	if (!self->has_protocol)
		return self->path.p == NULL && self->scheme.p == NULL ? REASON_METHOD
								      : REASON_BAD_REQUEST;
	if (!slice_equals_ignoring_case(self->protocol, SLICE("websocket")))
		return REASON_METHOD;
	head->method = METHOD_GET;
	head->method_name = SLICE("GET");
	head->wants_websocket = true;
	return REASON_NONE;
}

static enum reason read_method(struct h2_head *self, struct request_head *head)
{
	if (!h1_is_token(self->method) || self->method.n > H1_MAX_METHOD_SIZE)
		return REASON_BAD_REQUEST;
	head->method_name = self->method;
	head->method = method_find(self->method);
	if (head->method == METHOD_CONNECT)
		return read_connect(self, head);
	return self->has_protocol ? REASON_BAD_REQUEST : REASON_NONE;
}

static bool is_http(struct slice scheme)
{
	return slice_equals_ignoring_case(scheme, SLICE("https")) ||
		slice_equals_ignoring_case(scheme, SLICE("http"));
}

static enum reason read_body(struct h2_head *self, bool is_ended, struct request_head *head)
{
	bool has_length;

	if (!read_length(&self->fields, &has_length, &head->content_length))
		return REASON_BAD_REQUEST;
	if (is_ended && head->content_length > 0)
		return REASON_BAD_REQUEST;
	if (has_length)
		head->body = BODY_LENGTH;
	else if (!is_ended)
		head->body = BODY_CHUNKED;
	else if (head->method == METHOD_POST || head->method == METHOD_PUT ||
		head->method == METHOD_PATCH)
		head->body = BODY_LENGTH; /* of 0: some servers want to hear so */
	return REASON_NONE;
}

/* A version that is not given is 13, as some browsers have it. What is not valid is no failure of
 * the request: see request_head.websocket_reason. */
static void check_websocket(const struct h2_head *self, bool is_ended, struct request_head *head)
{
	size_t n = fields_count(&self->fields, FIELD_SEC_WEBSOCKET_VERSION);
	struct slice version = fields_value(&self->fields, FIELD_SEC_WEBSOCKET_VERSION);

	if (n > 1 || (n == 1 && !slice_equals(version, SLICE("13"))))
		head->websocket_reason = REASON_WEBSOCKET_VERSION;
	else if (is_ended || head->body == BODY_LENGTH)
		head->websocket_reason = REASON_BAD_WEBSOCKET;
	head->is_websocket = head->websocket_reason == REASON_NONE;
	if (!head->is_websocket)
		return;
	head->body = BODY_NONE;
	if (n == 0)
		fields_add_id(&head->fields, self->arena, FIELD_SEC_WEBSOCKET_VERSION, SLICE("13"));
}

static void join_cookies(struct fields *fields, struct arena *arena)
{
	size_t size = 0, n = 0;
	struct field *first = NULL;
	char *text, *to;

	for (uint32_t i = 0; i < fields->n; i++) {
		if (fields->items[i].id != FIELD_COOKIE)
			continue;
		if (n++ == 0)
			first = &fields->items[i];
		size += fields->items[i].value.n + 2;
	}
	if (n < 2)
		return;
	to = text = arena_alloc_text(arena, size);
	for (uint32_t i = 0; i < fields->n; i++) {
		struct slice value = fields->items[i].value;

		/* Behind an empty one the value would end with white space. */
		if (fields->items[i].id != FIELD_COOKIE || value.n == 0)
			continue;
		if (to != text)
			to = mempcpy(to, "; ", 2);
		to = mempcpy(to, value.p, value.n);
	}
	n = 0;
	for (uint32_t i = 0; i < fields->n; i++)
		if (fields->items[i].id != FIELD_COOKIE || &fields->items[i] == first)
			fields->items[n++] = fields->items[i];
	fields->n = (uint32_t)n;
	first->value = slice_of(text, (size_t)(to - text));
}

enum reason h2_head_to_request(struct h2_head *self, const struct h1_limits *limits, bool is_ended,
	struct request_head *head)
{
	enum reason reason = self->reason;

	*head = (struct request_head){.is_http2 = true, .version_minor = 1};
	if (reason == REASON_NONE || reason == REASON_HEADER_TOO_LARGE) {
		/* Even of a head that is too large the log shows what there is. */
		enum reason method_reason = read_method(self, head);

		reason = reason == REASON_NONE ? method_reason : reason;
	}
	if (reason == REASON_NONE && self->status.p != NULL)
		reason = REASON_BAD_REQUEST;
	if (reason == REASON_NONE)
		reason = read_path(self, limits, head);
	if (reason == REASON_NONE && !is_http(self->scheme))
		reason = REASON_BAD_REQUEST;
	if (reason == REASON_NONE)
		reason = read_authority(self, head);
	if (reason == REASON_NONE && has_fields_of_connection(&self->fields))
		reason = REASON_BAD_REQUEST;
	if (reason == REASON_NONE)
		reason = read_body(self, is_ended, head);
	if (reason != REASON_NONE)
		return reason;
	join_cookies(&self->fields, self->arena);
	head->fields = self->fields;
	head->takes_trailers = fields_has_token(&head->fields, FIELD_TE, SLICE("trailers"));
	if (head->wants_websocket)
		check_websocket(self, is_ended, head);
	return request_head_read_expect(head);
}

/* Responses. */

static bool has_no_body(enum method method, unsigned status)
{
	return method == METHOD_HEAD || status < 200 || status == 204 || status == 304;
}

const char *h2_head_to_response(
	struct h2_head *self, enum method method, bool is_ended, struct response_head *head)
{
	uint64_t status;

	*head = (struct response_head){.is_http2 = true, .version_minor = 1};
	if (self->reason == REASON_HEADER_TOO_LARGE)
		return "response head is too large";
	if (self->reason != REASON_NONE || self->method.p != NULL || self->path.p != NULL ||
		self->scheme.p != NULL || self->has_authority || self->has_protocol)
		return "response head is malformed";
	if (self->status.n != 3 || !slice_to_u64(self->status, &status) || status < 100)
		return "invalid status";
	if (status == 101)
		return "101 in HTTP/2";
	if (has_fields_of_connection(&self->fields))
		return "response has a field of HTTP/1.1 connections";
	if (!read_length(&self->fields, &head->has_content_length, &head->content_length))
		return "invalid Content-Length";
	head->status = (uint16_t)status;
	head->fields = self->fields;
	/* RFC 9110 section 8.6. */
	if (head->status < 200 || head->status == 204) {
		head->has_content_length = false;
		head->content_length = 0;
	}
	if (has_no_body(method, head->status))
		head->body = BODY_NONE;
	else if (is_ended && head->content_length > 0)
		return "response ends before its Content-Length";
	else if (head->has_content_length || is_ended)
		head->body = BODY_LENGTH;
	else
		head->body = BODY_CHUNKED;
	return NULL;
}

struct fields *h2_head_to_trailers(struct h2_head *self)
{
	struct fields *trailers;

	h1_keep_trailers(&self->fields);
	if (self->reason != REASON_NONE || self->fields.n == 0)
		return NULL;
	trailers = arena_alloc(self->arena, sizeof(*trailers));
	*trailers = self->fields;
	return trailers;
}
