#include "proxy/http/ws_message.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"

/*
 * Invariants: `kind` is not WS_MORE from the head of a message's first frame until its last byte is
 * taken; buf[0..size) is what came of it. A lent buffer belongs to the message before.
 */

enum {
	FIRST_CAPACITY = 1024, /* of a message whose size is not known yet */
	KEPT_CAPACITY = 16384, /* a larger buffer does not wait for the next message */
};

void ws_message_init(struct ws_message *self, bool expect_masked, size_t max_size)
{
	ASSERT(max_size <= SIZE_MAX / 4);
	*self = (struct ws_message){
		.state = WS_MESSAGE_HEAD, .max_size = max_size, .kind = WS_MORE};
	ws_frame_parser_init(&self->parser, expect_masked, 0);
}

void ws_message_clear(struct ws_message *self)
{
	free(self->buf);
	self->buf = NULL;
	self->size = 0;
	self->capacity = 0;
	self->is_lent = false;
}

static void set_state(struct ws_message *self, enum ws_message_state state)
{
	switch (self->state) {
	case WS_MESSAGE_HEAD:
		ASSERT(state == WS_MESSAGE_PAYLOAD || state == WS_MESSAGE_FAILED);
		break;
	case WS_MESSAGE_PAYLOAD:
		ASSERT(state != WS_MESSAGE_PAYLOAD);
		break;
	case WS_MESSAGE_CLOSED:
	case WS_MESSAGE_FAILED:
		ASSERT(!"the end is final");
		break;
	}
	self->state = state;
}

/* No more messages: what was gathered is of no use. */
static void end(struct ws_message *self, enum ws_message_state state, uint16_t close_code)
{
	set_state(self, state);
	ws_message_clear(self);
	self->kind = WS_MORE;
	self->close_code = close_code;
}

static enum ws_event fail(struct ws_message *self, uint16_t close_code, const char *error)
{
	end(self, WS_MESSAGE_FAILED, close_code);
	self->error = error;
	self->payload = SLICE("");
	return WS_ERROR;
}

static enum ws_event fail_utf8(struct ws_message *self)
{
	return fail(self, WS_CODE_INVALID_DATA, "text is not utf-8");
}

static enum ws_event start_message(struct ws_message *self, enum ws_event kind)
{
	if (self->kind != WS_MORE)
		return fail(self, WS_CODE_PROTOCOL_ERROR, "new message within a message");
	self->kind = kind;
	utf8_init(&self->utf8);
	return WS_MORE;
}

/* A head is here. WS_ERROR if no such frame may stand at this place, else WS_MORE. */
static enum ws_event start_frame(struct ws_message *self)
{
	enum ws_event event = WS_MORE;

	switch (self->frame.opcode) {
	case WS_OP_TEXT:
		event = start_message(self, WS_TEXT);
		break;
	case WS_OP_BINARY:
		event = start_message(self, WS_BINARY);
		break;
	case WS_OP_CONTINUATION:
		if (self->kind == WS_MORE)
			event = fail(self, WS_CODE_PROTOCOL_ERROR, "continuation of no message");
		break;
	case WS_OP_CLOSE:
		if (self->frame.length == 1)
			event = fail(self, WS_CODE_PROTOCOL_ERROR, "close payload of one byte");
		break;
	case WS_OP_PING:
	case WS_OP_PONG:
		break;
	}
	if (event == WS_ERROR)
		return event;
	if (!ws_opcode_is_control(self->frame.opcode) &&
		self->frame.length > self->max_size - self->size)
		return fail(self, WS_CODE_TOO_BIG, "message is too big");
	set_state(self, WS_MESSAGE_PAYLOAD);
	return WS_MORE;
}

/* Takes the next n bytes of the payload to dst, unmasked. */
static void copy_payload(
	struct ws_message *self, uint8_t *dst, const uint8_t **p, size_t *n, size_t taken)
{
	uint64_t offset = self->frame.length - self->parser.left;

	if (taken == 0)
		return;
	if (self->frame.masked)
		ws_frame_mask(dst, *p, taken, self->frame.mask, offset);
	else
		memcpy(dst, *p, taken);
	(void)ws_frame_take(&self->parser, taken);
	*p += taken;
	*n -= taken;
}

/* Whether the payload, none of it taken yet, may be handed out where it lies. */
static bool is_in_place(const struct ws_message *self, size_t n)
{
	return !self->frame.masked && self->parser.left == self->frame.length &&
		self->frame.length <= n;
}

static struct slice take_in_place(struct ws_message *self, const uint8_t **p, size_t *n)
{
	size_t size = (size_t)self->frame.length;
	struct slice payload = size > 0 ? slice_of((const char *)*p, size) : SLICE("");

	(void)ws_frame_take(&self->parser, size);
	*p += size;
	*n -= size;
	return payload;
}

static enum ws_event finish_close(struct ws_message *self)
{
	uint16_t code = WS_CODE_NO_STATUS;

	if (self->payload.n > 0) {
		code = (uint16_t)((uint8_t)self->payload.p[0] << 8 | (uint8_t)self->payload.p[1]);
		self->payload = slice_from(self->payload, sizeof(code));
		if (!ws_close_code_is_valid(code))
			return fail(self, WS_CODE_PROTOCOL_ERROR, "close code is not valid");
		if (!utf8_is_valid(self->payload.p, self->payload.n))
			return fail(self, WS_CODE_INVALID_DATA, "close reason is not utf-8");
	}
	end(self, WS_MESSAGE_CLOSED, code);
	return WS_CLOSE;
}

static enum ws_event take_control(struct ws_message *self, const uint8_t **p, size_t *n)
{
	if (is_in_place(self, *n)) {
		self->payload = take_in_place(self, p, n);
	} else {
		size_t had = (size_t)(self->frame.length - self->parser.left);

		copy_payload(self, self->control + had, p, n, (size_t)MIN(*n, self->parser.left));
		if (self->parser.left > 0)
			return WS_MORE;
		self->payload = slice_of((const char *)self->control, (size_t)self->frame.length);
	}
	if (self->frame.opcode == WS_OP_CLOSE)
		return finish_close(self);
	set_state(self, WS_MESSAGE_HEAD);
	return self->frame.opcode == WS_OP_PING ? WS_PING : WS_PONG;
}

/*
 * Room for n more bytes. The last frame tells how large the message can become; before it only the
 * limit does.
 */
static void reserve(struct ws_message *self, size_t n)
{
	size_t need = self->size + n;
	size_t most = self->frame.fin ? self->size + (size_t)self->parser.left : self->max_size;

	if (need <= self->capacity)
		return;
	self->capacity = MIN(MAX(need, MAX(2 * self->capacity, FIRST_CAPACITY)), most);
	self->buf = memory_realloc(self->buf, self->capacity);
}

/* The message's last byte is taken, and stands in self->payload. */
static enum ws_event finish_message(struct ws_message *self)
{
	enum ws_event kind = self->kind;

	if (kind == WS_TEXT && !utf8_is_complete(&self->utf8))
		return fail_utf8(self);
	self->kind = WS_MORE;
	set_state(self, WS_MESSAGE_HEAD);
	return kind;
}

static enum ws_event gather_data(struct ws_message *self, const uint8_t **p, size_t *n)
{
	size_t taken = (size_t)MIN(*n, self->parser.left);

	if (taken > 0) {
		uint8_t *start;

		reserve(self, taken);
		start = self->buf + self->size;
		copy_payload(self, start, p, n, taken);
		self->size += taken;
		if (self->kind == WS_TEXT && !utf8_feed(&self->utf8, start, taken))
			return fail_utf8(self);
	}
	if (self->parser.left > 0)
		return WS_MORE;
	if (!self->frame.fin) {
		set_state(self, WS_MESSAGE_HEAD);
		return WS_MORE;
	}
	self->payload = self->size > 0 ? slice_of((const char *)self->buf, self->size) : SLICE("");
	self->is_lent = true;
	return finish_message(self);
}

static enum ws_event take_data(struct ws_message *self, const uint8_t **p, size_t *n)
{
	if (!self->frame.fin || self->frame.opcode == WS_OP_CONTINUATION || !is_in_place(self, *n))
		return gather_data(self, p, n);
	self->payload = take_in_place(self, p, n);
	if (self->kind == WS_TEXT && !utf8_feed(&self->utf8, self->payload.p, self->payload.n))
		return fail_utf8(self);
	return finish_message(self);
}

/* The payload given out by the last call is no longer needed. */
static void take_back(struct ws_message *self)
{
	if (!self->is_lent)
		return;
	if (self->capacity > KEPT_CAPACITY)
		ws_message_clear(self);
	self->size = 0;
	self->is_lent = false;
}

static enum ws_event step(struct ws_message *self, const uint8_t **p, size_t *n)
{
	if (self->state == WS_MESSAGE_HEAD) {
		switch (ws_frame_parse(&self->parser, p, n, &self->frame)) {
		case WS_FRAME_MORE:
			return WS_MORE;
		case WS_FRAME_ERROR:
			return fail(self, WS_CODE_PROTOCOL_ERROR,
				ws_frame_error_name((enum ws_frame_error)self->parser.error));
		case WS_FRAME_HEAD:
			if (start_frame(self) == WS_ERROR)
				return WS_ERROR;
		}
	}
	return ws_opcode_is_control(self->frame.opcode) ? take_control(self, p, n)
							: take_data(self, p, n);
}

enum ws_event ws_message_feed(struct ws_message *self, const uint8_t **p, size_t *n)
{
	enum ws_event event = WS_MORE;

	if (self->state == WS_MESSAGE_FAILED)
		return WS_ERROR;
	take_back(self);
	while (event == WS_MORE && *n > 0) {
		if (self->state == WS_MESSAGE_CLOSED) {
			*p += *n;
			*n = 0;
			break;
		}
		event = step(self, p, n);
	}
	if (event == WS_MORE && self->kind == WS_MORE)
		ws_message_clear(self);
	return event;
}

bool ws_message_is_partial(const struct ws_message *self)
{
	return self->kind != WS_MORE ||
		(self->state == WS_MESSAGE_HEAD && !ws_frame_is_boundary(&self->parser)) ||
		self->state == WS_MESSAGE_PAYLOAD;
}

const char *ws_event_name(enum ws_event event)
{
	switch (event) {
	case WS_MORE:
		return "more";
	case WS_TEXT:
		return "text";
	case WS_BINARY:
		return "binary";
	case WS_PING:
		return "ping";
	case WS_PONG:
		return "pong";
	case WS_CLOSE:
		return "close";
	case WS_ERROR:
		return "error";
	}
	return "?";
}

const char *ws_message_state_name(enum ws_message_state state)
{
	switch (state) {
	case WS_MESSAGE_HEAD:
		return "head";
	case WS_MESSAGE_PAYLOAD:
		return "payload";
	case WS_MESSAGE_CLOSED:
		return "closed";
	case WS_MESSAGE_FAILED:
		return "failed";
	}
	return "?";
}
