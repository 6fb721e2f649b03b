#include "bridge/client/post_body.h"

#include "bridge/client/media_type.h"
#include "proxy/base/utf8.h"

/* The charsets whose every text is UTF-8. */
static const struct slice charsets[] = {
	{"utf-8", 5},
	{"utf8", 4},
	{"us-ascii", 8},
};

static bool ends_in_json(struct slice subtype)
{
	const struct slice suffix = SLICE("+json");

	return subtype.n > suffix.n &&
		slice_equals_ignoring_case(slice_from(subtype, subtype.n - suffix.n), suffix);
}

static enum post_kind find_kind(struct slice type, struct slice subtype)
{
	if (slice_equals_ignoring_case(type, SLICE("text")))
		return POST_TEXT;
	if (!slice_equals_ignoring_case(type, SLICE("application")))
		return POST_UNSUPPORTED;
	if (slice_equals_ignoring_case(subtype, SLICE("json")) || ends_in_json(subtype) ||
		slice_equals_ignoring_case(subtype, SLICE("x-www-form-urlencoded")))
		return POST_TEXT;
	if (slice_equals_ignoring_case(subtype, SLICE("octet-stream")))
		return POST_BINARY;
	if (slice_equals_ignoring_case(subtype, SLICE("x-ndjson")))
		return POST_LINES;
	return POST_UNSUPPORTED;
}

/* Index in charsets, or its length. */
static size_t find_charset(struct slice value)
{
	char buffer[16];
	struct slice name;
	size_t i = ARRAY_LEN(charsets);

	if (!media_value_unquote(value, buffer, sizeof(buffer), &name))
		return i;
	for (i = 0; i < ARRAY_LEN(charsets); i++)
		if (slice_equals_ignoring_case(name, charsets[i]))
			break;
	return i;
}

enum post_kind post_kind_find(struct slice content_type)
{
	struct slice rest = content_type, part, type, subtype, name, value;
	size_t charset = ARRAY_LEN(charsets);
	bool has_charset = false, is_charset_good = true;
	enum post_kind kind;

	if (!media_part_next(&rest, &part))
		return POST_TEXT;
	if (!media_type_split(part, &type, &subtype))
		return POST_UNSUPPORTED;
	while (media_part_next(&rest, &part)) {
		size_t found;

		if (part.n == 0)
			continue;
		if (!media_parameter_split(part, &name, &value))
			return POST_UNSUPPORTED;
		if (!slice_equals_ignoring_case(name, SLICE("charset")))
			continue;
		found = find_charset(value);
		if (found == ARRAY_LEN(charsets) || (has_charset && found != charset))
			is_charset_good = false;
		charset = found;
		has_charset = true;
	}
	kind = find_kind(type, subtype);
	return kind == POST_BINARY || is_charset_good ? kind : POST_UNSUPPORTED;
}

uint64_t post_body_limit(enum post_kind kind, const struct post_limits *limits)
{
	switch (kind) {
	case POST_TEXT:
	case POST_BINARY:
		return limits->max_message;
	case POST_LINES:
		return limits->max_lines;
	case POST_UNSUPPORTED:
		break;
	}
	return 0;
}

static bool has_line_over(struct slice body, uint64_t max)
{
	struct slice line;

	while (post_lines_next(&body, &line))
		if (line.n > max)
			return true;
	return false;
}

enum post_verdict post_body_check(
	enum post_kind kind, struct slice body, const struct post_limits *limits)
{
	if (body.n > post_body_limit(kind, limits) ||
		(kind == POST_LINES && has_line_over(body, limits->max_message)))
		return POST_TOO_BIG;
	/* A line ends at an LF, which is no part of a longer character: lines are valid where the
	 * whole is. */
	if (kind != POST_BINARY && !utf8_is_valid(body.p, body.n))
		return POST_BAD_UTF8;
	return POST_OK;
}

bool post_lines_next(struct slice *rest, struct slice *line)
{
	while (rest->n > 0) {
		size_t n = slice_find(*rest, '\n');
		bool has_end = n < rest->n;

		*line = slice_first(*rest, n);
		*rest = slice_from(*rest, n + 1);
		if (has_end && n > 0 && line->p[n - 1] == '\r')
			line->n--;
		if (line->n > 0)
			return true;
	}
	return false;
}

const char *post_kind_name(enum post_kind kind)
{
	switch (kind) {
	case POST_TEXT:
		return "text";
	case POST_BINARY:
		return "binary";
	case POST_LINES:
		return "lines";
	case POST_UNSUPPORTED:
		return "unsupported";
	}
	return "?";
}

const char *post_verdict_name(enum post_verdict verdict)
{
	switch (verdict) {
	case POST_OK:
		return "ok";
	case POST_BAD_UTF8:
		return "bad utf-8";
	case POST_TOO_BIG:
		return "too big";
	}
	return "?";
}
