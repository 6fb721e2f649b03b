/* What the body of a post means: which frames it becomes for the backend. Pure. */
#ifndef BRIDGE_CLIENT_POST_BODY_H
#define BRIDGE_CLIENT_POST_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

enum post_kind {
	POST_TEXT,	  /* one text frame */
	POST_BINARY,	  /* one binary frame */
	POST_LINES,	  /* a text frame a line */
	POST_UNSUPPORTED, /* 415 */
};

/*
 * From the Content-Type (empty: none given). text/anything, application/json,
 * application/anything+json and application/x-www-form-urlencoded, or none: POST_TEXT.
 * application/octet-stream: POST_BINARY (a charset means nothing there). application/x-ndjson:
 * POST_LINES. Types ignore case. For texts and lines a charset parameter (quoted or not, case
 * ignored) must be utf-8, utf8 or us-ascii; one that is anything else, stands twice with
 * different values, or a value that is not a media type: POST_UNSUPPORTED. Other parameters mean
 * nothing.
 */
enum post_kind post_kind_find(struct slice content_type);

enum post_verdict {
	POST_OK,
	POST_BAD_UTF8, /* 400 */
	POST_TOO_BIG,  /* 413: a frame over max_message, or lines over max_lines together */
};

struct post_limits {
	uint64_t max_message; /* bytes of one frame */
	uint64_t max_lines;   /* bytes of a whole POST_LINES body */
};

/* How many bytes of a body of this kind are worth reading: one more than that is POST_TOO_BIG. */
uint64_t post_body_limit(enum post_kind kind, const struct post_limits *limits);
/* Checks a complete body. */
MUST_USE enum post_verdict post_body_check(
	enum post_kind kind, struct slice body, const struct post_limits *limits);
/*
 * Walks the lines of a POST_LINES body: takes the next one that is not empty from *rest, without
 * its LF and one CR before it. A last line needs no LF. False at the end.
 */
MUST_USE bool post_lines_next(struct slice *rest, struct slice *line);

const char *post_kind_name(enum post_kind kind);
const char *post_verdict_name(enum post_verdict verdict);

#endif
