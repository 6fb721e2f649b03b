/* Reads a complete response head (RFC 9112 sections 4 to 6). */
#include "proxy/http/h1_fields.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/h1_syntax.h"

/*
 * "HTTP/1." DIGIT SP 3DIGIT SP reason CRLF; the space before an empty reason is often forgotten.
 * Returns what follows the line, or NULL.
 */
static const char *read_status_line(struct slice bytes, struct response_head *head)
{
	const char *p = bytes.p, *end = p + bytes.n, *start;

	if (bytes.n < 14 || memcmp(p, "HTTP/1.", 7) != 0 || !h1_is_digit(p[7]) || p[8] != ' ')
		return NULL;
	if (p[9] == '0' || !h1_is_digit(p[9]) || !h1_is_digit(p[10]) || !h1_is_digit(p[11]))
		return NULL;
	head->version_minor = p[7] != '0';
	head->status = (uint16_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
	p += 12;
	if (*p == ' ') {
		start = p + 1;
		p = h1_span_value(start, end);
		head->reason = slice_trim(slice_of(start, (size_t)(p - start)));
	}
	return end - p >= 2 && p[0] == '\r' && p[1] == '\n' ? p + 2 : NULL;
}

/* Never a body, whatever the fields and the method say (RFC 9112 section 6.3). */
static bool is_bodyless(const struct response_head *head)
{
	return head->status < 200 || head->status == 204 || head->is_upgrade;
}

/* A few words about what is wrong, or NULL. */
static const char *read_framing(struct response_head *head, enum method method)
{
	struct h1_framing framing = {0};

	if (h1_framing_read(&framing, &head->fields, head->version_minor) != REASON_NONE)
		return framing.why;
	if (head->status == 101 && head->version_minor == 0)
		return "upgrade in HTTP/1.0";
	head->is_upgrade =
		head->status == 101 || (method == METHOD_CONNECT && head->status / 100 == 2);
	head->wants_close = h1_framing_wants_close(&framing, head->version_minor);
	if (method == METHOD_HEAD || head->status == 304) {
		head->has_content_length = framing.has_length;
		head->content_length = framing.length;
	} else if (is_bodyless(head)) {
		/* The backend may mean to send a body all the same. */
		if (framing.is_chunked || framing.length > 0)
			head->wants_close = true;
	} else if (framing.is_chunked) {
		head->body = BODY_CHUNKED;
	} else if (framing.has_length) {
		head->body = BODY_LENGTH;
		head->has_content_length = true;
		head->content_length = framing.length;
	} else {
		head->body = BODY_CLOSE;
		head->wants_close = true;
	}
	return NULL;
}

enum reason h1_parse_response(struct slice head_bytes, const struct h1_limits *limits,
	enum method method, struct arena *arena, struct response_head *head, const char **why)
{
	const char *lines, *trouble;

	*head = (struct response_head){0};
	lines = read_status_line(head_bytes, head);
	if (lines == NULL) {
		trouble = "invalid status line";
	} else {
		struct slice rest = slice_from(head_bytes, (size_t)(lines - head_bytes.p));
		enum reason reason = h1_parse_field_lines(rest, limits, arena, &head->fields);

		if (reason == REASON_HEADER_TOO_LARGE)
			trouble = "too many fields";
		else if (reason != REASON_NONE)
			trouble = "invalid field line";
		else
			trouble = read_framing(head, method);
	}
	if (why != NULL)
		*why = trouble;
	return trouble == NULL ? REASON_NONE : REASON_BACKEND_PROTOCOL;
}
