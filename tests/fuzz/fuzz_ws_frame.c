/*
 * Walks frames. The first byte says which side sends and which reserved bits are allowed, the rest
 * is its stream. Read in one piece and byte by byte it must come to the same; and a head that was
 * taken has one spelling, so writing it gives the same bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proxy/base/macros.h"
#include "proxy/http/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_spelling(const struct ws_frame *frame, const uint8_t *bytes, size_t n)
{
	uint8_t head[WS_FRAME_HEAD_MAX];
	size_t n_head = ws_frame_write_head(
		head, frame->fin, frame->opcode, frame->length, frame->masked ? frame->mask : NULL);

	head[0] |= (uint8_t)(frame->rsv << 4);
	ASSERT(n_head == n);
	ASSERT(memcmp(head, bytes, n) == 0);
}

/* The same head byte by byte. */
static void check_split(struct ws_frame_parser *split, const uint8_t *p, size_t n,
	enum ws_frame_status whole_status, const struct ws_frame_parser *whole)
{
	enum ws_frame_status status = WS_FRAME_MORE;
	struct ws_frame frame;

	for (size_t i = 0; i < n && status == WS_FRAME_MORE; i++) {
		const uint8_t *q = p + i;
		size_t one = 1;

		status = ws_frame_parse(split, &q, &one, &frame);
		ASSERT(status != WS_FRAME_HEAD || whole_status != WS_FRAME_HEAD || i == n - 1);
	}
	ASSERT(status == whole_status);
	ASSERT(split->error == whole->error);
	ASSERT(split->left == whole->left);
	ASSERT(ws_frame_is_boundary(split) == ws_frame_is_boundary(whole));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ws_frame_parser whole, split;
	enum ws_frame_status status = WS_FRAME_HEAD;

	if (size == 0)
		return 0;
	ws_frame_parser_init(&whole, data[0] & 1, data[0] >> 1 & 7);
	ws_frame_parser_init(&split, data[0] & 1, data[0] >> 1 & 7);
	data++;
	size--;
	while (size > 0 && status == WS_FRAME_HEAD) {
		const uint8_t *start = data;
		size_t n_start = size, taken;
		struct ws_frame frame;

		status = ws_frame_parse(&whole, &data, &size, &frame);
		if (status == WS_FRAME_HEAD)
			check_spelling(&frame, start, (size_t)(data - start));
		check_split(&split, start, status == WS_FRAME_HEAD ? n_start - size : n_start,
			status, &whole);
		taken = ws_frame_take(&whole, size);
		ASSERT(ws_frame_take(&split, size) == taken);
		data += taken;
		size -= taken;
	}
	return 0;
}
