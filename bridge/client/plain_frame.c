#include "bridge/client/plain_frame.h"

#include <string.h>

#include "bridge/client/base64.h"

/* Of a reason: a close frame has 125 bytes, two are the code. */
#define REASON_MAX 123

/* The members that may stand in an object, as bits. */
enum member {
	MEMBER_N = 1 << 0,
	MEMBER_TEXT = 1 << 1,
	MEMBER_BINARY = 1 << 2,
	MEMBER_ACK = 1 << 3,
	MEMBER_CLOSE = 1 << 4,
	MEMBER_CODE = 1 << 5,
	MEMBER_REASON = 1 << 6,
};

struct reader {
	const char *p;
	const char *end;
	char *to; /* scratch: where the next string goes. Never ahead of p. */
	unsigned seen;
};

/* Tokens. */

static void skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

/* The next token is this character. */
static bool take(struct reader *r, char c)
{
	skip_space(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool take_number(struct reader *r, uint64_t *number)
{
	const char *start;

	skip_space(r);
	start = r->p;
	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	if (r->p - start > 1 && *start == '0')
		return false;
	return slice_to_u64(slice_of(start, (size_t)(r->p - start)), number);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* XXXX of \uXXXX. */
static bool take_hex(struct reader *r, uint32_t *unit)
{
	*unit = 0;
	if (r->end - r->p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		int value = hex_value(*r->p++);

		if (value < 0)
			return false;
		*unit = *unit << 4 | (uint32_t)value;
	}
	return true;
}

static char *put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

/* One code point: a surrogate comes with its other half, or has no place in UTF-8. */
static bool take_unicode(struct reader *r, char **to)
{
	uint32_t c, low;

	if (!take_hex(r, &c) || (c >= 0xdc00 && c <= 0xdfff))
		return false;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
			return false;
		r->p += 2;
		if (!take_hex(r, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*to = put_utf8(*to, c);
	return true;
}

/* What stands behind a backslash. */
static bool take_escape(struct reader *r, char **to)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	char c;

	if (r->p == r->end)
		return false;
	c = *r->p++;
	if (c == 'u')
		return take_unicode(r, to);
	found = memchr(names, c, sizeof(names) - 1);
	if (found == NULL)
		return false;
	*(*to)++ = values[found - names];
	return true;
}

/* Decoded to the scratch, where it stays only if the caller moves r->to behind it. */
static bool take_string(struct reader *r, struct slice *string)
{
	char *to = r->to;

	if (!take(r, '"'))
		return false;
	while (r->p < r->end && *r->p != '"') {
		if ((unsigned char)*r->p < 0x20)
			return false;
		if (*r->p != '\\') {
			*to++ = *r->p++;
			continue;
		}
		r->p++;
		if (!take_escape(r, &to))
			return false;
	}
	if (r->p == r->end)
		return false;
	r->p++;
	*string = slice_of(r->to, (size_t)(to - r->to));
	return true;
}

/* In place. */
static bool decode_base64(struct slice *string, char *to)
{
	size_t n;

	if (!base64_decode(*string, to, &n))
		return false;
	*string = slice_of(to, n);
	return true;
}

/* Members. */

static bool take_payload(struct plain_frame *self, struct reader *r)
{
	if (!take_string(r, &self->payload))
		return false;
	r->to += self->payload.n;
	return true;
}

static bool take_code(struct plain_frame *self, struct reader *r)
{
	uint64_t code;

	if (!take_number(r, &code) || (code != 1000 && (code < 3000 || code > 4999)))
		return false;
	self->code = (uint16_t)code;
	return true;
}

static bool take_object(struct plain_frame *self, struct reader *r, bool is_close);

static bool take_value(struct plain_frame *self, struct reader *r, enum member member)
{
	switch (member) {
	case MEMBER_N:
		return take_number(r, &self->number) && self->number > 0;
	case MEMBER_ACK:
		return take_number(r, &self->number);
	case MEMBER_TEXT:
		return take_payload(self, r);
	case MEMBER_BINARY:
		return take_payload(self, r) &&
			decode_base64(&self->payload, r->to - self->payload.n);
	case MEMBER_CLOSE:
		return take_object(self, r, true);
	case MEMBER_CODE:
		return take_code(self, r);
	case MEMBER_REASON:
		return take_payload(self, r) && self->payload.n <= REASON_MAX;
	}
	return false;
}

static bool find_member(struct slice name, bool is_close, enum member *member)
{
	static const struct {
		struct slice name;
		enum member member;
	} members[] = {
		{{"n", 1}, MEMBER_N},
		{{"text", 4}, MEMBER_TEXT},
		{{"binary", 6}, MEMBER_BINARY},
		{{"ack", 3}, MEMBER_ACK},
		{{"close", 5}, MEMBER_CLOSE},
		{{"code", 4}, MEMBER_CODE},
		{{"reason", 6}, MEMBER_REASON},
	};

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		*member = members[i].member;
		if (slice_equals(name, members[i].name))
			return is_close == (*member >= MEMBER_CODE);
	}
	return false;
}

static bool take_member(struct plain_frame *self, struct reader *r, bool is_close)
{
	enum member member;
	struct slice name;

	if (!take_string(r, &name) || !find_member(name, is_close, &member) ||
		(r->seen & member) != 0)
		return false;
	r->seen |= member;
	return take(r, ':') && take_value(self, r, member);
}

static bool take_object(struct plain_frame *self, struct reader *r, bool is_close)
{
	if (!take(r, '{'))
		return false;
	if (take(r, '}'))
		return true;
	do {
		if (!take_member(self, r, is_close))
			return false;
	} while (take(r, ','));
	return take(r, '}');
}

/* Which members make a frame. */
static bool find_kind(struct plain_frame *self, unsigned seen)
{
	switch (seen & ~(unsigned)(MEMBER_CODE | MEMBER_REASON)) {
	case MEMBER_N | MEMBER_TEXT:
		self->kind = PLAIN_FRAME_TEXT;
		return true;
	case MEMBER_N | MEMBER_BINARY:
		self->kind = PLAIN_FRAME_BINARY;
		return true;
	case MEMBER_ACK:
		self->kind = PLAIN_FRAME_ACK;
		return true;
	case MEMBER_CLOSE:
		self->kind = PLAIN_FRAME_CLOSE;
		return true;
	default:
		return false;
	}
}

bool plain_frame_parse(struct plain_frame *self, struct slice text, char *scratch)
{
	struct reader r = {.p = text.p, .end = text.p + text.n, .to = scratch};

	*self = (struct plain_frame){.code = 1000, .payload = SLICE("")};
	if (text.n == 0 || !take_object(self, &r, false))
		return false;
	skip_space(&r);
	return r.p == r.end && find_kind(self, r.seen);
}

const char *plain_frame_kind_name(enum plain_frame_kind kind)
{
	switch (kind) {
	case PLAIN_FRAME_TEXT:
		return "text";
	case PLAIN_FRAME_BINARY:
		return "binary";
	case PLAIN_FRAME_ACK:
		return "ack";
	case PLAIN_FRAME_CLOSE:
		return "close";
	}
	return "?";
}
