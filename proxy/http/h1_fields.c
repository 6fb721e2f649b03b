#include "proxy/http/h1_fields.h"

#include "proxy/http/h1_syntax.h"

enum reason h1_parse_field_lines(struct slice lines, const struct h1_limits *limits,
	struct arena *arena, struct fields *fields)
{
	const char *p = lines.p, *end = lines.p + lines.n;

	while (end - p >= 2) {
		const char *name = p, *value, *value_end;
		struct slice name_slice;

		if (p[0] == '\r')
			return p[1] == '\n' && end - p == 2 ? REASON_NONE : REASON_BAD_REQUEST;
		/* A folded line begins with white space, which ends an empty name. */
		p = h1_span(p, end, H1_TOKEN);
		if (p == name || p == end || *p != ':')
			return REASON_BAD_REQUEST;
		name_slice = slice_of(name, (size_t)(p - name));
		p++;
		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		value = p;
		p = h1_span_value(p, end);
		if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
			return REASON_BAD_REQUEST;
		value_end = p;
		while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
			value_end--;
		p += 2;
		if (fields->n >= limits->max_fields)
			return REASON_HEADER_TOO_LARGE;
		fields_add(fields, arena, name_slice, slice_of(value, (size_t)(value_end - value)));
	}
	return REASON_BAD_REQUEST;
}

/* Names that mean nothing good in a trailer section and have no number. */
static const char *const dropped_names[] = {"age", "expires", "pragma", "range", "status",
	"warning", "x-http-method", "x-http-method-override", "x-method-override", "x-original-url",
	"x-real-ip", "x-rewrite-url"};
static const char *const dropped_prefixes[] = {"accept-", "access-control-", "content-", "if-",
	"pollux-", "proxy-", "sec-", "x-forwarded-"};

/*
 * RFC 9110 section 6.5.1: fields for framing, routing, request modifiers, authentication, response
 * control and content format have no place in trailers. Nearly each name that has a number is one
 * of them, so that a name which is added to the list is dropped unless it is let through here.
 */
static bool is_trailer(const struct field *field)
{
	if (field->id != FIELD_OTHER)
		return field->id == FIELD_ETAG;
	for (size_t i = 0; i < ARRAY_LEN(dropped_names); i++)
		if (slice_equals_ignoring_case(field->name, slice_from_string(dropped_names[i])))
			return false;
	for (size_t i = 0; i < ARRAY_LEN(dropped_prefixes); i++) {
		struct slice prefix = slice_from_string(dropped_prefixes[i]);

		if (slice_equals_ignoring_case(slice_first(field->name, prefix.n), prefix))
			return false;
	}
	return true;
}

void h1_keep_trailers(struct fields *trailers)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < trailers->n; i++)
		if (is_trailer(&trailers->items[i]))
			trailers->items[n++] = trailers->items[i];
	trailers->n = n;
}

enum reason h1_parse_trailers(struct slice bytes, const struct h1_limits *limits,
	struct arena *arena, struct fields *trailers)
{
	enum reason reason = h1_parse_field_lines(bytes, limits, arena, trailers);

	h1_keep_trailers(trailers);
	return reason;
}
