/* Where a message ends (RFC 9112 section 6), as strictly as the RFC allows: doubt is refused. */
#include "proxy/http/h1_fields.h"
#include "proxy/http/h1_syntax.h"

/* Of all Connection fields together: each other field is looked for among the options. */
#define MAX_CONNECTION_SIZE 512

static enum reason fail(struct h1_framing *self, enum reason reason, const char *why)
{
	self->why = why;
	return reason;
}

static enum reason read_connection(struct h1_framing *self, struct slice value)
{
	struct slice option;

	self->n_connection += (uint32_t)value.n;
	if (self->n_connection > MAX_CONNECTION_SIZE)
		return fail(self, REASON_HEADER_TOO_LARGE, "too many connection options");
	while (slice_next_element(&value, &option)) {
		if (slice_equals_ignoring_case(option, SLICE("close")))
			self->has_close = true;
		else if (slice_equals_ignoring_case(option, SLICE("keep-alive")))
			self->has_keep_alive = true;
		else if (slice_equals_ignoring_case(option, SLICE("upgrade")))
			self->has_upgrade = true;
	}
	return REASON_NONE;
}

/* A list of equal values might be folded to one (RFC 9110 section 8.6); it is refused instead. */
static enum reason read_length(struct h1_framing *self, struct slice value)
{
	if (self->has_length)
		return fail(self, REASON_BAD_FRAMING, "repeated Content-Length");
	if (!slice_to_u64(value, &self->length) || self->length > INT64_MAX)
		return fail(self, REASON_BAD_FRAMING, "invalid Content-Length");
	self->has_length = true;
	return REASON_NONE;
}

/*
 * The one coding that is understood is "chunked", alone. Another well-formed list is a coding that
 * is not implemented as long as "chunked" stands in it at most once and last; anything else is a
 * disguise. Empty list elements are among these.
 */
static enum reason read_coding(struct h1_framing *self, struct slice value)
{
	bool was_chunked = false;

	if (slice_equals_ignoring_case(value, SLICE("chunked"))) {
		self->is_chunked = true;
		return REASON_NONE;
	}
	for (;;) {
		size_t comma = slice_find(value, ',');
		struct slice coding = slice_trim(slice_first(value, comma));
		struct slice name = slice_trim(slice_first(coding, slice_find(coding, ';')));

		if (was_chunked)
			return fail(self, REASON_BAD_FRAMING, "chunked is not the last coding");
		if (!h1_is_token(name))
			return fail(self, REASON_BAD_FRAMING, "invalid Transfer-Encoding");
		was_chunked = slice_equals_ignoring_case(name, SLICE("chunked"));
		if (was_chunked && coding.n != name.n)
			return fail(self, REASON_BAD_FRAMING, "chunked with parameters");
		if (comma == value.n)
			return fail(self, REASON_TRANSFER_CODING, "unknown transfer coding");
		value = slice_from(value, comma + 1);
	}
}

enum reason h1_framing_read(
	struct h1_framing *self, const struct fields *fields, unsigned version_minor)
{
	const struct field *coding = NULL;

	for (uint32_t i = 0; i < fields->n; i++) {
		const struct field *field = &fields->items[i];
		enum reason reason = REASON_NONE;

		if (field->id == FIELD_CONNECTION) {
			reason = read_connection(self, field->value);
		} else if (field->id == FIELD_CONTENT_LENGTH) {
			reason = read_length(self, field->value);
		} else if (field->id == FIELD_TRANSFER_ENCODING) {
			if (coding != NULL)
				return fail(self, REASON_BAD_FRAMING, "repeated Transfer-Encoding");
			coding = field;
		}
		if (reason != REASON_NONE)
			return reason;
	}
	if (coding == NULL)
		return REASON_NONE;
	if (self->has_length)
		return fail(self, REASON_BAD_FRAMING, "both Transfer-Encoding and Content-Length");
	/* RFC 9112 section 6.1: framing by somebody who did not know the coding is faulty. */
	if (version_minor == 0)
		return fail(self, REASON_BAD_FRAMING, "Transfer-Encoding in HTTP/1.0");
	return read_coding(self, coding->value);
}

bool h1_framing_wants_close(const struct h1_framing *self, unsigned version_minor)
{
	return self->has_close || (version_minor == 0 && !self->has_keep_alive);
}
