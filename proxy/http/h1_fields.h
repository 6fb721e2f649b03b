/* Field lines of HTTP/1.1 heads and trailers (RFC 9112 section 5), and what they say about framing.
 */
#ifndef PROXY_HTTP_H1_FIELDS_H
#define PROXY_HTTP_H1_FIELDS_H

#include "proxy/base/macros.h"
#include "proxy/http/h1_head.h"

/*
 * Reads lines up to and including the empty one, which must be the end of the bytes. REASON_NONE,
 * REASON_BAD_REQUEST or REASON_HEADER_TOO_LARGE (too many fields).
 */
MUST_USE enum reason h1_parse_field_lines(struct slice lines, const struct h1_limits *limits,
	struct arena *arena, struct fields *fields);

/* Drops what h1_parse_trailers drops; the rule is that of HTTP/2 as well. */
void h1_keep_trailers(struct fields *trailers);

/* What Connection, Content-Length and Transfer-Encoding of a head say. Start with a zeroed one. */
struct h1_framing {
	bool has_close;
	bool has_keep_alive;
	bool has_upgrade; /* Connection: upgrade */
	bool has_length;
	bool is_chunked;
	uint32_t n_connection; /* bytes of Connection fields */
	uint64_t length;
	const char *why; /* of the first trouble, a few words */
};

/*
 * REASON_NONE; REASON_BAD_FRAMING: doubt about the end of the message; REASON_TRANSFER_CODING: a
 * coding that we do not know stands before a final "chunked" or alone; REASON_HEADER_TOO_LARGE:
 * more than 512 bytes of connection options.
 */
MUST_USE enum reason h1_framing_read(
	struct h1_framing *self, const struct fields *fields, unsigned version_minor);

/* Whether the sender will close after this message (RFC 9112 section 9.3). */
bool h1_framing_wants_close(const struct h1_framing *self, unsigned version_minor);

#endif
