/*
 * HTTP/1.1 heads (RFC 9112): strict, pure. Nothing here reads sockets.
 *
 * A head is handled in two steps. h1_head_scan looks for its end and may be called again as bytes
 * arrive; it resumes where it stopped. h1_parse_request / h1_parse_response then read the complete
 * head, whose bytes must outlive the result: slices point into it (the caller copies the head into
 * the exchange's arena first).
 *
 * Refused, by the reasons of reason.h: bare CR or LF, NUL and control bytes, folded lines, white
 * space before the colon, names that are not tokens, methods over H1_MAX_METHOD_SIZE, targets with
 * anything but visible ASCII, missing or repeated Host, Content-Length that is repeated, a list,
 * not digits alone or over 2^63 - 1, Content-Length with Transfer-Encoding, any coding but a single
 * "chunked", Transfer-Encoding in HTTP/1.0, versions other than HTTP/1.x (a minor version above 1
 * counts as 1).
 */
#ifndef PROXY_HTTP_H1_HEAD_H
#define PROXY_HTTP_H1_HEAD_H

#include "proxy/base/bytes.h"
#include "proxy/base/macros.h"
#include "proxy/http/message.h"
#include "proxy/http/reason.h"

/* A longer method is not HTTP. */
#define H1_MAX_METHOD_SIZE 32

struct h1_limits {
	uint32_t max_head_size; /* start line, fields and the empty line */
	uint32_t max_fields;
	uint32_t max_target_size; /* requests */
};

enum h1_scan {
	H1_SCAN_MORE,	/* no end yet */
	H1_SCAN_HEAD,	/* the head is the first scan->size bytes */
	H1_SCAN_REFUSED /* scan->reason */
};

struct h1_head_scan {
	uint32_t line_start; /* of the line under examination */
	uint32_t at;	     /* looked at up to here */
	uint32_t size;	     /* H1_SCAN_HEAD: of the head with its final CRLF CRLF */
	enum reason reason;
};

/*
 * `input` is everything received from the start of the head (at most one empty line before a
 * request line is skipped by the caller with h1_skip_empty_line). A zeroed struct starts. Over the
 * limits: REASON_URI_TOO_LONG when the first line is the long one (requests), else
 * REASON_HEADER_TOO_LARGE.
 */
enum h1_scan h1_head_scan_continue(struct h1_head_scan *self, struct slice input,
	const struct h1_limits *limits, bool is_request);
/*
 * The same on a queue. Of what stands in several segments only as much is joined as the head needs:
 * on H1_SCAN_HEAD the head is contiguous at the front.
 */
enum h1_scan h1_head_scan_queue(struct h1_head_scan *self, struct bytes *input,
	const struct h1_limits *limits, bool is_request);
/*
 * RFC 9112 section 2.2: a server ignores at least one CRLF before the request line. Returns 2, 0,
 * or 0 with *more set on a lone CR.
 */
size_t h1_skip_empty_line(struct slice input, bool *more);

/*
 * REASON_NONE on success. On failure the connection's framing is in doubt: answer and close. The
 * method may be set in *head already. CONNECT is REASON_METHOD. A handshake that is not valid is no
 * failure: see websocket_reason. An empty Host is taken only in HTTP/1.0 or with an absolute-form
 * target, which decides the authority.
 */
MUST_USE enum reason h1_parse_request(struct slice head_bytes, const struct h1_limits *limits,
	struct arena *arena, struct request_head *head);
/*
 * `method` is the request's, for HEAD and CONNECT. Any failure is REASON_BACKEND_PROTOCOL; *why
 * (may be NULL) is set to a few words for the log, else to NULL. wants_close is set too for a 1xx
 * or 204 that announces a body. Status is 100 to 999.
 */
MUST_USE enum reason h1_parse_response(struct slice head_bytes, const struct h1_limits *limits,
	enum method method, struct arena *arena, struct response_head *head, const char **why);
/*
 * Trailer section: same syntax as fields, ends with an empty line. Fields for framing, routing,
 * authentication, content format and the like are dropped (RFC 9110 section 6.5.1): all that have a
 * number but ETag, and some more.
 */
MUST_USE enum reason h1_parse_trailers(struct slice bytes, const struct h1_limits *limits,
	struct arena *arena, struct fields *trailers);

/* RFC 9110 section 5.6.2. */
bool h1_is_token(struct slice s);
/* RFC 9110 section 5.5: no CTL but HTAB; obs-text allowed. */
bool h1_is_field_value(struct slice s);
/*
 * uri-host [":" port] without user info (RFC 9110 section 7.2), not empty. Of names only letters,
 * digits and "-._~" are taken: no sub-delims, no percent-encoding, which no real name has and which
 * others read differently. The port may be empty, as in "a:", and is at most 65535.
 */
bool h1_is_authority(struct slice s);

#endif
