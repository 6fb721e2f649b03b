/*
 * Heads and trailers of HTTP/2 (RFC 9113 section 8): from decoded field lines to the neutral heads
 * and back. Pure but for nghttp2's struct of a field line. Nothing here trusts that the library has
 * looked at a line already: what becomes HTTP/1.1 later is checked by HTTP/1.1's own rules.
 */
#ifndef PROXY_HTTP_H2_HEAD_H
#define PROXY_HTTP_H2_HEAD_H

#include <nghttp2/nghttp2.h>

#include "proxy/base/arena.h"
#include "proxy/base/macros.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/message.h"
#include "proxy/http/reason.h"

/* A header section as it comes, line by line. */
struct h2_head {
	struct arena *arena;
	struct fields fields;
	struct slice method; /* of requests */
	struct slice scheme;
	struct slice authority;
	struct slice path;
	struct slice protocol; /* RFC 8441 */
	struct slice status;   /* of responses */
	uint32_t size;	       /* decoded, as SETTINGS_MAX_HEADER_LIST_SIZE counts it */
	bool has_authority;
	bool has_protocol;
	enum reason reason; /* why no more is kept */
};

/* Each line costs this much beside its bytes (RFC 9113 section 6.5.2). */
#define H2_HEAD_LINE_SIZE 32

void h2_head_start(struct h2_head *self, struct arena *arena);
/*
 * Copies the line into the arena. Beyond the limits nothing more is kept, and `reason` is
 * REASON_HEADER_TOO_LARGE; a line that must not be is REASON_BAD_REQUEST.
 */
void h2_head_add(struct h2_head *self, const struct h1_limits *limits, struct slice name,
	struct slice value);

/*
 * The section is complete; `is_ended`: no body follows. REASON_BAD_REQUEST and REASON_BAD_HOST make
 * the request malformed (section 8.1.1), other reasons have their status. Crumbs of Cookie are
 * joined (section 8.2.3). An extended CONNECT for a WebSocket becomes the GET that it is in
 * HTTP/1.1, with is_websocket and without a key.
 */
MUST_USE enum reason h2_head_to_request(struct h2_head *self, const struct h1_limits *limits,
	bool is_ended, struct request_head *head);
/* NULL on success, else a few words for the log. */
MUST_USE const char *h2_head_to_response(
	struct h2_head *self, enum method method, bool is_ended, struct response_head *head);
/* NULL when nothing is left that may stand in trailers. */
struct fields *h2_head_to_trailers(struct h2_head *self);

/*
 * The lines of a head to send, in a buffer that the next call uses again. nghttp2 copies them, and
 * makes names lower-case. Content-Length comes from the arguments, never from the field list;
 * fields of a connection (section 8.2.2) are skipped.
 */
struct h2_lines {
	const nghttp2_nv *items;
	size_t n;
};

/* With is_websocket, the extended CONNECT. */
struct h2_lines h2_head_write_request(const struct request_head *head, enum body_kind body,
	uint64_t content_length, bool is_https, bool is_websocket);
/* 1xx too. A 101 is the 200 that accepts an extended CONNECT. */
struct h2_lines h2_head_write_response(const struct response_head *head);
struct h2_lines h2_head_write_trailers(const struct fields *trailers);
/* At exit, for leak checks. */
void h2_head_release_buffer(void);

#endif
