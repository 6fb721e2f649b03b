/*
 * Strict UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. A text may
 * come in pieces cut at any byte; a bad one is refused at the first byte that no continuation can
 * make good.
 */
#ifndef PROXY_BASE_UTF8_H
#define PROXY_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/macros.h"

struct utf8 {
	uint8_t state;
};

/* At the start of a text. */
void utf8_init(struct utf8 *self);
/*
 * Takes the next n bytes; false once the text is invalid, and for ever after. p may be NULL when n
 * is 0.
 */
MUST_USE bool utf8_feed(struct utf8 *self, const void *p, size_t n);
/* Whether the text may end here: valid, and not within a character. */
bool utf8_is_complete(const struct utf8 *self);

/* Whether the n bytes are a whole valid text. */
bool utf8_is_valid(const void *p, size_t n);
/*
 * The size of the longest prefix of a valid text that has at most `max` bytes and cuts no
 * character.
 */
size_t utf8_prefix_size(const void *p, size_t n, size_t max);

#endif
