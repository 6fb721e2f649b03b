#include "bridge/feed/poll_answer.h"

#include "bridge/client/media_type.h"
#include "proxy/base/utf8.h"
#include "proxy/http/date.h"

static bool is_encoded(const struct fields *fields)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		struct slice rest = fields->items[i].value, coding;

		if (fields->items[i].id != FIELD_CONTENT_ENCODING)
			continue;
		while (slice_next_element(&rest, &coding))
			if (!slice_equals_ignoring_case(coding, SLICE("identity")))
				return true;
	}
	return false;
}

enum poll_result poll_answer_result(const struct response_head *head, bool was_conditional)
{
	switch (head->status) {
	case 200:
	case 203:
		return is_encoded(&head->fields) ? POLL_ENCODED : POLL_VALUE;
	case 204:
		return POLL_NOTHING;
	case 304:
		return was_conditional ? POLL_SAME : POLL_FAILURE;
	default:
		return POLL_FAILURE;
	}
}

static bool ends_in(struct slice s, struct slice suffix)
{
	return s.n > suffix.n && slice_equals_ignoring_case(slice_from(s, s.n - suffix.n), suffix);
}

static bool is_text_type(struct slice content_type)
{
	struct slice part, type, subtype;

	if (!media_part_next(&content_type, &part) || !media_type_split(part, &type, &subtype))
		return false;
	if (slice_equals_ignoring_case(type, SLICE("text")) || ends_in(subtype, SLICE("+json")) ||
		ends_in(subtype, SLICE("+xml")))
		return true;
	return slice_equals_ignoring_case(type, SLICE("application")) &&
		(slice_equals_ignoring_case(subtype, SLICE("json")) ||
			slice_equals_ignoring_case(subtype, SLICE("xml")));
}

enum message_kind poll_answer_kind(struct slice content_type, struct slice body)
{
	return is_text_type(content_type) && utf8_is_valid(body.p, body.n) ? MESSAGE_TEXT
									   : MESSAGE_BINARY;
}

static bool is_tag(struct slice s)
{
	if (slice_starts_with(s, SLICE("W/")))
		s = slice_from(s, 2);
	if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"')
		return false;
	for (size_t i = 1; i < s.n - 1; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= 0x20 || c == '"' || c == 0x7f)
			return false;
	}
	return true;
}

struct slice poll_answer_tag(const struct fields *fields)
{
	struct slice tag = fields_value(fields, FIELD_ETAG);

	return fields_count(fields, FIELD_ETAG) == 1 && is_tag(tag) ? tag : SLICE("");
}

struct slice poll_answer_modified(const struct fields *fields, int64_t now)
{
	const struct field *field = fields_find_name(fields, SLICE("last-modified"));
	int64_t modified, date;

	if (field == NULL || !http_date_parse(field->value, now, &modified) ||
		!http_date_parse(fields_value(fields, FIELD_DATE), now, &date) || date <= modified)
		return SLICE("");
	return field->value;
}

uint64_t poll_answer_retry_after_ms(const struct fields *fields, int64_t now)
{
	struct slice value = fields_value(fields, FIELD_RETRY_AFTER);
	uint64_t seconds;
	int64_t date;

	if (slice_to_u64(value, &seconds))
		return MIN(seconds, UINT64_MAX / 1000) * 1000;
	if (http_date_parse(value, now, &date) && date > now)
		return (uint64_t)(date - now) * 1000;
	return 0;
}

const char *poll_result_name(enum poll_result result)
{
	switch (result) {
	case POLL_VALUE:
		return "value";
	case POLL_NOTHING:
		return "nothing";
	case POLL_SAME:
		return "same";
	case POLL_FAILURE:
		return "failure";
	case POLL_ENCODED:
		return "encoded";
	}
	return "?";
}
