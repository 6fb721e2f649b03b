/* base64 (RFC 4648 section 4) read back. Pure. */
#ifndef BRIDGE_CLIENT_BASE64_H
#define BRIDGE_CLIENT_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

/* Room for what n characters stand for. */
#define BASE64_DECODED_MAX(n) ((n) / 4 * 3)

/*
 * Whole groups of four with their padding, without white space, the unused bits zero: false if it
 * is anything else. `out` has BASE64_DECODED_MAX(text.n) bytes, and may be the place of the text
 * itself or one before it; `*n` are written.
 */
MUST_USE bool base64_decode(struct slice text, void *out, size_t *n);

#endif
