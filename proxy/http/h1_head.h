/*
 * HTTP/1.1 heads (RFC 9112): strict, pure. Nothing here reads sockets.
 *
 * A head is handled in two steps. h1_head_scan looks for its end and may be called again as bytes arrive; it resumes where it
 * stopped. h1_parse_request / h1_parse_response then read the complete head, whose bytes must outlive the result: slices point into
 * it (the caller copies the head into the exchange's arena first).
 *
 * Refused, by the reasons of reason.h: bare CR or LF, NUL and control bytes, obs-fold, white space before the colon, empty or
 * invalid names, missing or repeated Host, invalid or repeated different Content-Length, Content-Length with Transfer-Encoding, any
 * coding but a single final "chunked", Transfer-Encoding in HTTP/1.0, versions other than HTTP/1.x, authority with user info.
 */
#ifndef PROXY_HTTP_H1_HEAD_H
#define PROXY_HTTP_H1_HEAD_H

#include "proxy/base/macros.h"
#include "proxy/http/message.h"
#include "proxy/http/reason.h"

/* A longer method is not HTTP. */
#define H1_MAX_METHOD_SIZE 32

struct h1_limits {
	uint32_t max_head_size;	 /* start line, fields and the empty line */
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
 * `input` is everything received from the start of the head (at most one empty line before a request line is skipped by the
 * caller with h1_skip_empty_line). A zeroed struct starts. Over the limits: REASON_URI_TOO_LONG when the first line is the
 * long one (requests), else REASON_HEADER_TOO_LARGE.
 */
enum h1_scan h1_head_scan_continue(struct h1_head_scan *self, struct slice input, const struct h1_limits *limits, bool is_request);
/* RFC 9112 section 2.2: a server ignores at least one CRLF before the request line. Returns 2, 0, or 0 with *more set on a lone CR. */
size_t h1_skip_empty_line(struct slice input, bool *more);

/* REASON_NONE on success. On failure the connection's framing is in doubt: answer and close. method may be set in *head already. */
MUST_USE enum reason h1_parse_request(struct slice head_bytes, const struct h1_limits *limits, struct arena *arena, struct request_head *head);
/*
 * `method` is the request's, for HEAD and CONNECT. Any failure is REASON_BACKEND_PROTOCOL; *why (may be NULL) is set to a few words
 * for the log.
 */
MUST_USE enum reason h1_parse_response(struct slice head_bytes, const struct h1_limits *limits, enum method method, struct arena *arena,
	struct response_head *head, const char **why);
/* Trailer section: same syntax as fields, ends with an empty line; framing and routing fields are dropped. */
MUST_USE enum reason h1_parse_trailers(struct slice bytes, const struct h1_limits *limits, struct arena *arena, struct fields *trailers);

/* RFC 9110 section 5.6.2. */
bool h1_is_token(struct slice s);
/* RFC 9110 section 5.5: no CTL but HTAB; obs-text allowed. */
bool h1_is_field_value(struct slice s);
/* uri-host [":" port] without user info (RFC 9110 section 7.2). */
bool h1_is_authority(struct slice s);

#endif
