/* A borrowed run of bytes: not NUL-terminated, not owned. Wire strings are slices into an arena or
 * an input buffer. */
#ifndef PROXY_BASE_SLICE_H
#define PROXY_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "proxy/base/macros.h"

struct slice {
	const char *p;
	size_t n;
};

/* SLICE("literal"): a slice of a string literal, its length known at compile time. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
/* For "%.*s". */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_of(const char *p, size_t n)
{
	return (struct slice){p, n};
}

static inline struct slice slice_from_string(const char *s)
{
	return (struct slice){s, strlen(s)};
}

static inline bool slice_is_empty(struct slice s)
{
	return s.n == 0;
}

static inline bool slice_equals(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case only: field names and tokens. */
static inline bool slice_equals_ignoring_case(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline struct slice slice_from(struct slice s, size_t start)
{
	return start >= s.n ? (struct slice){s.p + s.n, 0}
			    : (struct slice){s.p + start, s.n - start};
}

static inline struct slice slice_first(struct slice s, size_t n)
{
	return (struct slice){s.p, MIN(s.n, n)};
}

/* Index of the first `c`, or s.n when there is none. */
size_t slice_find(struct slice s, char c);
/* Without optional white space (SP, HTAB; RFC 9110 section 5.6.3) at both ends. */
struct slice slice_trim(struct slice s);
/* Decimal digits only, at least one, no sign, no overflow: false otherwise. */
MUST_USE bool slice_to_u64(struct slice s, uint64_t *out);

/*
 * Walks a comma-separated list (RFC 9110 section 5.6.1): takes the next non-empty element from
 * *rest, trimmed; commas inside quoted strings do not separate. False at the end.
 */
bool slice_next_element(struct slice *rest, struct slice *element);
/* Whether the comma-separated list has the token, case ignored. */
bool slice_list_has(struct slice list, struct slice token);

#endif
