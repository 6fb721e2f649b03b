/*
 * HTTP/1.1 body framing (RFC 9112 sections 6 and 7): finds the data in received bytes. Pure. The
 * bytes are re-framed by the writing side, never copied through with their framing.
 */
#ifndef PROXY_HTTP_H1_BODY_H
#define PROXY_HTTP_H1_BODY_H

#include "proxy/base/bytes.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/message.h"

enum h1_body_state {
	H1_BODY_DATA,	    /* `remaining` bytes of data come next (BODY_CLOSE: unknown many) */
	H1_BODY_CHUNK_SIZE, /* a chunk-size line */
	H1_BODY_CHUNK_END,  /* the CRLF after a chunk's data */
	H1_BODY_TRAILERS,
	H1_BODY_DONE,
	H1_BODY_BROKEN,
};

const char *h1_body_state_name(enum h1_body_state state);

struct h1_body {
	enum h1_body_state state;
	enum body_kind kind;
	uint64_t remaining;   /* of the body, or of the current chunk */
	uint64_t total;	      /* data bytes so far */
	uint32_t n_extension; /* bytes of chunk extensions, capped over the whole body */
	struct h1_head_scan trailer_scan;
};

/* For BODY_NONE and BODY_LENGTH 0 the state is H1_BODY_DONE at once. */
void h1_body_start(struct h1_body *self, enum body_kind kind, uint64_t content_length);

/*
 * Moves data from `input` to `out`, at most `room` bytes, and consumes framing, which needs no
 * room. Stops when room is used up, input runs out, or the body is done or broken (REASON_BAD_BODY,
 * or for a backend REASON_BACKEND_PROTOCOL). Broken are: chunk sizes of more than 16 digits or
 * above 2^63 - 1, anything but a ";" after them, chunk-size lines over 256 bytes, extensions over
 * 4096 bytes in all, control bytes in extensions, bare LF, a missing CRLF, trailers over the limits
 * of a head. Trailers are parsed into `trailers` (arena). Returns the number of data bytes moved.
 */
size_t h1_body_decode(struct h1_body *self, struct bytes *input, struct bytes *out, size_t room,
	const struct h1_limits *limits, struct arena *arena, struct fields *trailers);

/* The peer ended its side: done for BODY_CLOSE, broken otherwise (unless done). */
void h1_body_end_of_input(struct h1_body *self);

static inline bool h1_body_is_done(const struct h1_body *self)
{
	return self->state == H1_BODY_DONE;
}

static inline bool h1_body_is_broken(const struct h1_body *self)
{
	return self->state == H1_BODY_BROKEN;
}

#endif
