/*
 * Writes HTTP/1.1 heads, chunks and trailers (RFC 9112) to a byte queue. Framing comes from the
 * arguments, never from the field list: Content-Length, Transfer-Encoding, Connection, Keep-Alive,
 * Proxy-Connection and Upgrade in the list are skipped, so that nothing received can frame what we
 * send or switch its protocol; Trailer is the caller's. One exception: the Upgrade of a 426 is
 * kept, and Connection names it. Names, values, targets and reason phrases are asserted free of
 * control bytes: parsers refuse them earlier.
 */
#ifndef PROXY_HTTP_H1_WRITE_H
#define PROXY_HTTP_H1_WRITE_H

#include "proxy/base/bytes.h"
#include "proxy/http/message.h"

/* What goes into the Connection field. */
enum h1_connection {
	H1_CONNECTION_KEEP,    /* nothing (HTTP/1.1 default) */
	H1_CONNECTION_KEEP_10, /* "keep-alive", for an HTTP/1.0 client */
	H1_CONNECTION_CLOSE,   /* "close" */
	H1_CONNECTION_UPGRADE, /* "upgrade" + Upgrade: websocket */
};

/*
 * Host comes from head->authority, first of the fields; any in the list is skipped.
 * Body framing: BODY_LENGTH writes Content-Length, BODY_CHUNKED Transfer-Encoding, BODY_NONE and
 * BODY_CLOSE nothing.
 */
void h1_write_request_head(struct bytes *out, const struct request_head *head, enum body_kind body,
	uint64_t content_length, enum h1_connection connection);
/*
 * `has_content_length` writes Content-Length for a bodyless answer too (HEAD, 304). The status line
 * is HTTP/1.1 always (RFC 9110 section 6.2).
 */
void h1_write_response_head(struct bytes *out, const struct response_head *head,
	enum body_kind body, bool has_content_length, uint64_t content_length,
	enum h1_connection connection);

/* One chunk around the first n bytes of data, which are moved. n > 0. */
void h1_write_chunk(struct bytes *out, struct bytes *data, size_t n);
/* The last chunk and trailers (may be NULL or empty). */
void h1_write_last_chunk(struct bytes *out, const struct fields *trailers);

#endif
