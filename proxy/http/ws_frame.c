#include "proxy/http/ws_frame.h"

#include <string.h>

#include "proxy/base/utf8.h"

enum {
	FIN = 0x80,
	RSV_SHIFT = 4,
	RSV_BITS = 7,
	OPCODE_BITS = 0x0f,
	CONTROL = 0x08,
	MASKED = 0x80,
	LENGTH_BITS = 0x7f,
	LENGTH_16 = 126,
	LENGTH_64 = 127,
	MASK_SIZE = 4,
};

_Static_assert(sizeof(struct ws_frame_parser) <= 32, "an idle tunnel keeps two of these");

void ws_frame_parser_init(struct ws_frame_parser *self, bool expect_masked, uint8_t allowed_rsv)
{
	*self = (struct ws_frame_parser){
		.expect_masked = expect_masked, .allowed_rsv = allowed_rsv, .error = WS_FRAME_OK};
}

/* Bytes of extended length that follow the second byte. */
static inline size_t length_size(uint8_t second)
{
	unsigned len7 = second & LENGTH_BITS;

	return len7 < LENGTH_16 ? 0 : len7 == LENGTH_16 ? sizeof(uint16_t) : sizeof(uint64_t);
}

static inline size_t head_size(uint8_t second)
{
	return 2 + length_size(second) + ((second & MASKED) != 0 ? MASK_SIZE : 0);
}

static inline uint64_t read_length(const uint8_t *head)
{
	size_t size = length_size(head[1]);
	uint64_t length = 0;

	if (size == 0)
		return head[1] & LENGTH_BITS;
	for (size_t i = 0; i < size; i++)
		length = length << 8 | head[2 + i];
	return length;
}

static enum ws_frame_error check_first(const struct ws_frame_parser *self, uint8_t first)
{
	if ((first >> RSV_SHIFT & RSV_BITS & ~self->allowed_rsv) != 0)
		return WS_FRAME_RSV_SET;
	switch ((enum ws_opcode)(first & OPCODE_BITS)) {
	case WS_OP_CONTINUATION:
	case WS_OP_TEXT:
	case WS_OP_BINARY:
		return WS_FRAME_OK;
	case WS_OP_CLOSE:
	case WS_OP_PING:
	case WS_OP_PONG:
		return (first & FIN) != 0 ? WS_FRAME_OK : WS_FRAME_FRAGMENTED_CONTROL;
	}
	return WS_FRAME_RESERVED_OPCODE;
}

static enum ws_frame_error check_second(
	const struct ws_frame_parser *self, uint8_t first, uint8_t second)
{
	if (((second & MASKED) != 0) != self->expect_masked)
		return self->expect_masked ? WS_FRAME_UNMASKED : WS_FRAME_MASKED;
	if ((first & CONTROL) != 0 && (second & LENGTH_BITS) > WS_CONTROL_MAX)
		return WS_FRAME_LONG_CONTROL;
	return WS_FRAME_OK;
}

/* Only for an extended length of which all bytes are here. */
static enum ws_frame_error check_minimal(const uint8_t *head)
{
	uint64_t least = length_size(head[1]) == sizeof(uint16_t) ? LENGTH_16 : UINT16_MAX + 1;

	return read_length(head) >= least ? WS_FRAME_OK : WS_FRAME_LENGTH_NOT_MINIMAL;
}

/*
 * The first thing wrong with the first n bytes of a head, in the order of the bytes, so that no
 * split changes the answer.
 */
static enum ws_frame_error check_head(
	const struct ws_frame_parser *self, const uint8_t *head, size_t n)
{
	enum ws_frame_error error = check_first(self, head[0]);

	if (error != WS_FRAME_OK || n < 2)
		return error;
	error = check_second(self, head[0], head[1]);
	if (error != WS_FRAME_OK)
		return error;

	size_t extra = length_size(head[1]);

	if (extra == 0)
		return WS_FRAME_OK;
	if (n > 2 && extra == sizeof(uint64_t) && (head[2] & 0x80) != 0)
		return WS_FRAME_LENGTH_TOP_BIT;
	return n < 2 + extra ? WS_FRAME_OK : check_minimal(head);
}

static inline enum ws_frame_status take_head(
	struct ws_frame_parser *self, const uint8_t *head, struct ws_frame *frame)
{
	frame->length = read_length(head);
	frame->opcode = (enum ws_opcode)(head[0] & OPCODE_BITS);
	frame->fin = (head[0] & FIN) != 0;
	frame->rsv = head[0] >> RSV_SHIFT & RSV_BITS;
	frame->masked = (head[1] & MASKED) != 0;
	if (frame->masked)
		memcpy(frame->mask, head + 2 + length_size(head[1]), MASK_SIZE);
	self->have = 0;
	self->left = frame->length;
	return WS_FRAME_HEAD;
}

static enum ws_frame_status fail(struct ws_frame_parser *self, enum ws_frame_error error)
{
	self->error = (uint8_t)error;
	return WS_FRAME_ERROR;
}

/* The usual case: a whole head stands in the input, which is read in place. */
static inline bool has_whole_head(const struct ws_frame_parser *self, const uint8_t *p, size_t n)
{
	return self->have == 0 && n >= 2 && n >= head_size(p[1]);
}

enum ws_frame_status ws_frame_parse(
	struct ws_frame_parser *self, const uint8_t **p, size_t *n, struct ws_frame *frame)
{
	ASSERT(self->left == 0);
	if (self->error != WS_FRAME_OK)
		return WS_FRAME_ERROR;
	if (LIKELY(has_whole_head(self, *p, *n))) {
		const uint8_t *head = *p;
		size_t size = head_size(head[1]);
		enum ws_frame_error error = check_head(self, head, size);

		if (error != WS_FRAME_OK)
			return fail(self, error);
		*p += size;
		*n -= size;
		return take_head(self, head, frame);
	}
	while (*n > 0) {
		self->head[self->have++] = *(*p)++;
		--*n;

		enum ws_frame_error error = check_head(self, self->head, self->have);

		if (error != WS_FRAME_OK)
			return fail(self, error);
		if (self->have >= 2 && self->have == head_size(self->head[1]))
			return take_head(self, self->head, frame);
	}
	return WS_FRAME_MORE;
}

size_t ws_frame_take(struct ws_frame_parser *self, size_t n)
{
	size_t taken = n < self->left ? n : (size_t)self->left;

	self->left -= taken;
	return taken;
}

bool ws_frame_is_boundary(const struct ws_frame_parser *self)
{
	return self->have == 0 && self->left == 0 && self->error == WS_FRAME_OK;
}

static inline void mask_word(uint8_t *dst, const uint8_t *src, uint64_t key)
{
	uint64_t word;

	memcpy(&word, src, sizeof(word));
	word ^= key;
	memcpy(dst, &word, sizeof(word));
}

void ws_frame_mask(
	uint8_t *dst, const uint8_t *src, size_t n, const uint8_t mask[4], uint64_t offset)
{
	uint8_t turned[sizeof(uint64_t)];
	uint64_t key;
	size_t at = 0;

	for (size_t i = 0; i < sizeof(turned); i++)
		turned[i] = mask[(offset + i) % MASK_SIZE];
	memcpy(&key, turned, sizeof(key));
	for (; n - at >= 4 * sizeof(key); at += 4 * sizeof(key)) {
		mask_word(dst + at, src + at, key);
		mask_word(dst + at + sizeof(key), src + at + sizeof(key), key);
		mask_word(dst + at + 2 * sizeof(key), src + at + 2 * sizeof(key), key);
		mask_word(dst + at + 3 * sizeof(key), src + at + 3 * sizeof(key), key);
	}
	for (; n - at >= sizeof(key); at += sizeof(key))
		mask_word(dst + at, src + at, key);
	for (; at < n; at++)
		dst[at] = src[at] ^ turned[at % MASK_SIZE];
}

size_t ws_frame_write_head(uint8_t out[WS_FRAME_HEAD_MAX], bool fin, enum ws_opcode opcode,
	uint64_t length, const uint8_t *mask)
{
	uint8_t len7 = LENGTH_64;
	size_t extra;

	ASSERT(length <= INT64_MAX);
	ASSERT(!ws_opcode_is_control(opcode) || (fin && length <= WS_CONTROL_MAX));
	if (length < LENGTH_16)
		len7 = (uint8_t)length;
	else if (length <= UINT16_MAX)
		len7 = LENGTH_16;
	extra = length_size(len7);
	out[0] = (uint8_t)((fin ? FIN : 0) | (unsigned)opcode);
	out[1] = (uint8_t)((mask != NULL ? MASKED : 0) | len7);
	for (size_t i = 0; i < extra; i++)
		out[2 + i] = (uint8_t)(length >> 8 * (extra - 1 - i));
	if (mask == NULL)
		return 2 + extra;
	memcpy(out + 2 + extra, mask, MASK_SIZE);
	return 2 + extra + MASK_SIZE;
}

size_t ws_close_write(uint8_t out[WS_CONTROL_MAX], uint16_t code, struct slice reason)
{
	if (code == WS_CODE_NO_STATUS)
		return 0;

	size_t n = utf8_prefix_size(reason.p, reason.n, WS_CONTROL_MAX - sizeof(code));

	ASSERT(ws_close_code_is_valid(code));
	out[0] = (uint8_t)(code >> 8);
	out[1] = (uint8_t)code;
	if (n > 0)
		memcpy(out + 2, reason.p, n);
	return 2 + n;
}

bool ws_close_code_is_valid(unsigned code)
{
	return (code >= WS_CODE_NORMAL && code <= WS_CODE_UNSUPPORTED_DATA) ||
		(code >= WS_CODE_INVALID_DATA && code <= WS_CODE_BAD_GATEWAY) ||
		(code >= 3000 && code <= 4999);
}

bool ws_opcode_is_control(enum ws_opcode opcode)
{
	return ((unsigned)opcode & CONTROL) != 0;
}

const char *ws_opcode_name(enum ws_opcode opcode)
{
	switch (opcode) {
	case WS_OP_CONTINUATION:
		return "continuation";
	case WS_OP_TEXT:
		return "text";
	case WS_OP_BINARY:
		return "binary";
	case WS_OP_CLOSE:
		return "close";
	case WS_OP_PING:
		return "ping";
	case WS_OP_PONG:
		return "pong";
	}
	return "reserved opcode";
}

const char *ws_close_code_name(uint16_t code)
{
	switch ((enum ws_close_code)code) {
	case WS_CODE_NORMAL:
		return "normal";
	case WS_CODE_GOING_AWAY:
		return "going away";
	case WS_CODE_PROTOCOL_ERROR:
		return "protocol error";
	case WS_CODE_UNSUPPORTED_DATA:
		return "unsupported data";
	case WS_CODE_NO_STATUS:
		return "no status";
	case WS_CODE_ABNORMAL:
		return "abnormal";
	case WS_CODE_INVALID_DATA:
		return "invalid data";
	case WS_CODE_POLICY_VIOLATION:
		return "policy violation";
	case WS_CODE_TOO_BIG:
		return "too big";
	case WS_CODE_EXTENSION_NEEDED:
		return "extension needed";
	case WS_CODE_INTERNAL_ERROR:
		return "internal error";
	case WS_CODE_SERVICE_RESTART:
		return "service restart";
	case WS_CODE_TRY_AGAIN_LATER:
		return "try again later";
	case WS_CODE_BAD_GATEWAY:
		return "bad gateway";
	case WS_CODE_TLS_FAILED:
		return "tls failed";
	}
	return code >= 3000 && code <= 4999 ? "application" : "reserved code";
}

const char *ws_frame_error_name(enum ws_frame_error error)
{
	switch (error) {
	case WS_FRAME_OK:
		return "ok";
	case WS_FRAME_RSV_SET:
		return "reserved bit set";
	case WS_FRAME_RESERVED_OPCODE:
		return "reserved opcode";
	case WS_FRAME_FRAGMENTED_CONTROL:
		return "fragmented control frame";
	case WS_FRAME_LONG_CONTROL:
		return "control frame above 125 bytes";
	case WS_FRAME_UNMASKED:
		return "frame is not masked";
	case WS_FRAME_MASKED:
		return "frame is masked";
	case WS_FRAME_LENGTH_TOP_BIT:
		return "length has its top bit set";
	case WS_FRAME_LENGTH_NOT_MINIMAL:
		return "length is not in its shortest form";
	}
	return "?";
}

const char *ws_frame_status_name(enum ws_frame_status status)
{
	switch (status) {
	case WS_FRAME_MORE:
		return "more";
	case WS_FRAME_HEAD:
		return "head";
	case WS_FRAME_ERROR:
		return "error";
	}
	return "?";
}
