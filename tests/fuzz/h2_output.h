/*
 * For the fuzz targets of HTTP/2: follows the frames that a codec writes. Whatever came in, what
 * goes out is framed, no larger than the peer has to take, and in the order that streams have (RFC
 * 9113 section 5.1): nothing behind a reset, nothing but a reset or a window update behind the end.
 */
#ifndef TESTS_FUZZ_H2_OUTPUT_H
#define TESTS_FUZZ_H2_OUTPUT_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proxy/base/bytes.h"

#define H2_OUTPUT_MAX_FRAME 16384
/* More are not followed. */
#define H2_OUTPUT_STREAMS 64

struct h2_output {
	struct bytes pending; /* of which no whole frame has come */
	struct {
		int32_t id;
		bool has_headers;
		bool has_end;
		bool is_reset;
	} streams[H2_OUTPUT_STREAMS];
	size_t n_streams;
	int32_t in_headers; /* the stream of a header block under way, or 0 */
	bool has_settings;  /* which come first */
	uint64_t n_frames;
};

static inline void h2_output_check_stream(
	struct h2_output *self, int32_t id, uint8_t type, uint8_t flags)
{
	size_t i = 0;

	while (i < self->n_streams && self->streams[i].id != id)
		i++;
	if (i == H2_OUTPUT_STREAMS)
		return;
	if (i == self->n_streams) {
		self->streams[i].id = id;
		self->n_streams++;
	}
	if (type == NGHTTP2_RST_STREAM) {
		self->streams[i].is_reset = true;
		return;
	}
	if (type != NGHTTP2_DATA && type != NGHTTP2_HEADERS)
		return;
	ASSERT(!self->streams[i].is_reset);
	ASSERT(!self->streams[i].has_end);
	ASSERT(type == NGHTTP2_HEADERS || self->streams[i].has_headers);
	self->streams[i].has_headers = true;
	self->streams[i].has_end = (flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

static inline void h2_output_check_frame(struct h2_output *self, const uint8_t *head)
{
	size_t n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
	uint8_t type = head[3], flags = head[4];
	int32_t id = (int32_t)((uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 |
		(uint32_t)head[7] << 8 | head[8]);

	ASSERT(n <= H2_OUTPUT_MAX_FRAME);
	ASSERT(type <= NGHTTP2_CONTINUATION && type != NGHTTP2_PUSH_PROMISE);
	ASSERT(self->has_settings || type == NGHTTP2_SETTINGS || type == NGHTTP2_GOAWAY);
	self->has_settings = true;
	self->n_frames++;
	/* A header block is in one piece. */
	ASSERT((self->in_headers != 0) == (type == NGHTTP2_CONTINUATION));
	ASSERT(self->in_headers == 0 || self->in_headers == id);
	if (type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION)
		self->in_headers = (flags & NGHTTP2_FLAG_END_HEADERS) != 0 ? 0 : id;
	if (type == NGHTTP2_SETTINGS || type == NGHTTP2_PING || type == NGHTTP2_GOAWAY)
		ASSERT(id == 0);
	else
		ASSERT(id > 0 || type == NGHTTP2_WINDOW_UPDATE);
	if (id > 0)
		h2_output_check_stream(self, id, type, flags);
}

/* Takes all that is there. */
static inline void h2_output_take(struct h2_output *self, struct bytes *sent, size_t skip)
{
	uint8_t head[9];

	bytes_drain(sent, MIN(skip, bytes_size(sent)));
	bytes_move_all(&self->pending, sent);
	while (bytes_size(&self->pending) >= sizeof(head)) {
		size_t n;

		bytes_peek(&self->pending, head, sizeof(head));
		n = sizeof(head) + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);
		if (bytes_size(&self->pending) < n)
			return;
		h2_output_check_frame(self, head);
		bytes_drain(&self->pending, n);
	}
}

#endif
