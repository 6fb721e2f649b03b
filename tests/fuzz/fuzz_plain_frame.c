/*
 * What clients of pollux.v1 send. A text that is taken is written down in one canonical form, which
 * must be taken too and say the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/client/plain_encode.h"
#include "bridge/client/plain_frame.h"
#include "proxy/base/bytes.h"
#include "proxy/base/memory.h"
#include "proxy/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_frame(struct bytes *out, const struct plain_frame *frame)
{
	unsigned long long number = frame->number;

	switch (frame->kind) {
	case PLAIN_FRAME_TEXT:
		bytes_printf(out, "{\"n\":%llu,\"text\":", number);
		plain_encode_string(out, frame->payload);
		break;
	case PLAIN_FRAME_BINARY:
		bytes_printf(out, "{\"n\":%llu,\"binary\":\"", number);
		plain_encode_base64(out, frame->payload);
		bytes_append_string(out, "\"");
		break;
	case PLAIN_FRAME_ACK:
		bytes_printf(out, "{\"ack\":%llu", number);
		break;
	case PLAIN_FRAME_CLOSE:
		bytes_printf(out, "{\"close\":{\"code\":%u,\"reason\":", frame->code);
		plain_encode_string(out, frame->payload);
		bytes_append_string(out, "}");
		break;
	}
	bytes_append_string(out, "}");
}

static void check(const struct plain_frame *frame, size_t size)
{
	ASSERT(frame->payload.n <= size);
	if (frame->kind != PLAIN_FRAME_BINARY)
		ASSERT(utf8_is_valid(frame->payload.p, frame->payload.n));
	if (frame->kind == PLAIN_FRAME_TEXT || frame->kind == PLAIN_FRAME_BINARY)
		ASSERT(frame->number > 0);
	if (frame->kind == PLAIN_FRAME_CLOSE)
		ASSERT(frame->payload.n <= 123 &&
			(frame->code == 1000 || (frame->code >= 3000 && frame->code <= 4999)));
}

static void check_again(const struct plain_frame *frame)
{
	struct plain_frame again;
	struct bytes text;
	char *scratch;
	size_t n;

	bytes_init(&text);
	write_frame(&text, frame);
	n = bytes_size(&text);
	scratch = memory_alloc(n);
	ASSERT(plain_frame_parse(&again, bytes_linearize(&text, n), scratch));
	ASSERT(again.kind == frame->kind && again.number == frame->number &&
		again.code == frame->code && slice_equals(again.payload, frame->payload));
	free(scratch);
	bytes_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plain_frame frame;
	/* Exactly as large as promised, so that a byte beyond it is seen. */
	char *text = memory_alloc(size), *scratch = memory_alloc(size);

	if (size > 0)
		memcpy(text, data, size);
	/* WebSocket texts are valid before anybody looks at them. */
	if (utf8_is_valid(text, size) && plain_frame_parse(&frame, slice_of(text, size), scratch)) {
		check(&frame, size);
		check_again(&frame);
	}
	free(text);
	free(scratch);
	bytes_release_cache();
	return 0;
}
