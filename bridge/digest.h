/* Several strings as one digest (SHA-256): each with its length, so that no two run into each
 * other. */
#ifndef BRIDGE_DIGEST_H
#define BRIDGE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/base/slice.h"

#define DIGEST_SIZE 32

void digest_make(uint8_t digest[DIGEST_SIZE], const struct slice *parts, size_t n_parts);

#endif
