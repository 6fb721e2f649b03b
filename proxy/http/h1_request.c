/* Reads a complete request head (RFC 9112 sections 3 and 5). */
#include "proxy/http/h1_fields.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/h1_syntax.h"
#include "proxy/http/ws_handshake.h"

/* As many as most requests have. */
#define ROOM_FOR_FIELDS 32

/* What is left of the head: p moves on. */
struct cursor {
	const char *p;
	const char *end;
};

static enum reason read_method(struct cursor *at, struct request_head *head)
{
	const char *start = at->p;

	at->p = h1_span(start, at->end, H1_TOKEN);
	head->method_name = slice_of(start, (size_t)(at->p - start));
	if (at->p == start || at->p == at->end || *at->p != ' ' ||
		head->method_name.n > H1_MAX_METHOD_SIZE)
		return REASON_BAD_REQUEST;
	at->p++;
	head->method = method_find(head->method_name);
	return REASON_NONE;
}

static enum reason read_target(struct cursor *at, struct slice *target)
{
	const char *start = at->p;

	at->p = h1_span(start, at->end, H1_TARGET);
	if (at->p == start || at->p == at->end || *at->p != ' ')
		return REASON_BAD_REQUEST;
	*target = slice_of(start, (size_t)(at->p - start));
	at->p++;
	return REASON_NONE;
}

/* "HTTP/" DIGIT "." DIGIT CRLF; a major version that is not ours may stand without a minor one. */
static enum reason read_version(struct cursor *at, struct request_head *head)
{
	const char *p = at->p;
	size_t n = (size_t)(at->end - p);

	if (n < 8 || memcmp(p, "HTTP/", 5) != 0 || !h1_is_digit(p[5]))
		return REASON_BAD_REQUEST;
	if (p[5] != '1' && p[6] == '\r' && p[7] == '\n')
		return REASON_VERSION;
	if (n < 10 || p[6] != '.' || !h1_is_digit(p[7]) || p[8] != '\r' || p[9] != '\n')
		return REASON_BAD_REQUEST;
	if (p[5] != '1')
		return REASON_VERSION;
	head->version_minor = p[7] != '0';
	at->p += 10;
	return REASON_NONE;
}

static void set_target(struct request_head *head, struct slice target)
{
	size_t mark = slice_find(target, '?');

	head->target = target;
	head->path = slice_first(target, mark);
	head->has_query = mark < target.n;
	head->query = slice_from(target, mark + 1);
}

/* scheme "://" authority path-abempty ["?" query]; the scheme's text ends before `rest`. */
static enum reason split_absolute(struct request_head *head, struct slice rest, struct arena *arena)
{
	const char *p = rest.p, *end = rest.p + rest.n;
	struct slice target;

	while (p < end && *p != '/' && *p != '?')
		p++;
	head->authority = slice_of(rest.p, (size_t)(p - rest.p));
	if (!h1_is_authority(head->authority))
		return REASON_BAD_HOST;
	target = slice_of(p, (size_t)(end - p));
	if (target.n == 0) {
		target = head->method == METHOD_OPTIONS ? SLICE("*") : SLICE("/");
	} else if (target.p[0] == '?') {
		char *text = arena_alloc_text(arena, target.n + 1);

		text[0] = '/';
		memcpy(text + 1, target.p, target.n);
		target = slice_of(text, target.n + 1);
	}
	set_target(head, target);
	return REASON_NONE;
}

/* RFC 9112 section 3.2. */
static enum reason split_target(struct request_head *head, struct slice target, struct arena *arena)
{
	static const struct slice http = {"http://", 7}, https = {"https://", 8};

	if (head->method == METHOD_CONNECT)
		return REASON_METHOD;
	if (target.p[0] == '/' ||
		(target.n == 1 && target.p[0] == '*' && head->method == METHOD_OPTIONS)) {
		set_target(head, target);
		return REASON_NONE;
	}
	if (slice_equals_ignoring_case(slice_first(target, http.n), http))
		return split_absolute(head, slice_from(target, http.n), arena);
	if (slice_equals_ignoring_case(slice_first(target, https.n), https))
		return split_absolute(head, slice_from(target, https.n), arena);
	return REASON_BAD_REQUEST;
}

/*
 * An absolute-form target has set the authority already and wins; Host must then still be there and
 * valid, but may be empty. In HTTP/1.0 it may be empty or missing.
 */
static enum reason read_host(struct request_head *head)
{
	bool may_be_empty = head->authority.n > 0 || head->version_minor == 0;
	const struct field *host = NULL;

	for (uint32_t i = 0; i < head->fields.n; i++) {
		if (head->fields.items[i].id != FIELD_HOST)
			continue;
		if (host != NULL)
			return REASON_BAD_HOST;
		host = &head->fields.items[i];
	}
	if (host == NULL)
		return head->version_minor == 0 ? REASON_NONE : REASON_BAD_HOST;
	if (host->value.n == 0)
		return may_be_empty ? REASON_NONE : REASON_BAD_HOST;
	if (!h1_is_authority(host->value))
		return REASON_BAD_HOST;
	if (head->authority.n == 0)
		head->authority = host->value;
	return REASON_NONE;
}

/* RFC 6455 section 4.2.1. A Content-Length of 0 says the same as none. */
static enum reason check_websocket(const struct request_head *head)
{
	const struct fields *fields = &head->fields;
	size_t n_versions = fields_count(fields, FIELD_SEC_WEBSOCKET_VERSION);

	if (n_versions > 0 &&
		!slice_equals(fields_value(fields, FIELD_SEC_WEBSOCKET_VERSION), SLICE("13")))
		return REASON_WEBSOCKET_VERSION;
	if (n_versions != 1 || head->method != METHOD_GET || head->body == BODY_CHUNKED ||
		head->content_length > 0 || fields_count(fields, FIELD_UPGRADE) != 1 ||
		!slice_equals_ignoring_case(
			fields_value(fields, FIELD_UPGRADE), SLICE("websocket")) ||
		fields_count(fields, FIELD_SEC_WEBSOCKET_KEY) != 1 ||
		!ws_key_is_valid(fields_value(fields, FIELD_SEC_WEBSOCKET_KEY)))
		return REASON_BAD_WEBSOCKET;
	return REASON_NONE;
}

static enum reason read_fields(struct request_head *head)
{
	struct h1_framing framing = {0};
	enum reason reason = read_host(head);

	if (reason == REASON_NONE)
		reason = h1_framing_read(&framing, &head->fields, head->version_minor);
	if (reason == REASON_NONE)
		reason = request_head_read_expect(head);
	if (reason != REASON_NONE)
		return reason;
	if (framing.is_chunked)
		head->body = BODY_CHUNKED;
	else if (framing.has_length)
		head->body = BODY_LENGTH;
	head->content_length = framing.length;
	head->takes_trailers = fields_has_token(&head->fields, FIELD_TE, SLICE("trailers"));
	head->wants_close = h1_framing_wants_close(&framing, head->version_minor);
	/* RFC 9110 section 7.8: an upgrade in HTTP/1.0 is ignored; so is one to anything else. */
	head->wants_websocket = framing.has_upgrade && head->version_minor > 0 &&
		fields_has_token(&head->fields, FIELD_UPGRADE, SLICE("websocket"));
	if (head->wants_websocket) {
		head->websocket_reason = check_websocket(head);
		head->is_websocket = head->websocket_reason == REASON_NONE;
	}
	return REASON_NONE;
}

/* How many there are is known at the end: an arena that lives as long as the request waits has no
 * empty places. */
static enum reason read_field_lines(struct request_head *head, struct slice lines,
	const struct h1_limits *limits, struct arena *arena)
{
	struct field room[ROOM_FOR_FIELDS];
	enum reason reason;

	head->fields = (struct fields){.items = room, .size = ARRAY_LEN(room)};
	reason = h1_parse_field_lines(lines, limits, arena, &head->fields);
	fields_settle(&head->fields, room, arena);
	return reason;
}

enum reason h1_parse_request(struct slice head_bytes, const struct h1_limits *limits,
	struct arena *arena, struct request_head *head)
{
	struct cursor at = {head_bytes.p, head_bytes.p + head_bytes.n};
	struct slice target;
	enum reason reason;

	*head = (struct request_head){0};
	reason = read_method(&at, head);
	if (reason == REASON_NONE)
		reason = read_target(&at, &target);
	if (reason == REASON_NONE)
		reason = read_version(&at, head);
	if (reason != REASON_NONE)
		return reason;
	if (target.n > limits->max_target_size)
		return REASON_URI_TOO_LONG;
	reason = split_target(head, target, arena);
	if (reason == REASON_NONE)
		reason = read_field_lines(
			head, slice_of(at.p, (size_t)(at.end - at.p)), limits, arena);
	return reason == REASON_NONE ? read_fields(head) : reason;
}
