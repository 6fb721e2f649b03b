/*
 * Media types and their parameters (RFC 9110 sections 5.6.6 and 8.3.1), as Content-Type, Accept and
 * (without a media type) Prefer have them. Pure: slices of the text given.
 */
#ifndef BRIDGE_CLIENT_MEDIA_TYPE_H
#define BRIDGE_CLIENT_MEDIA_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

/*
 * Walks what ";" separates, outside quoted strings: takes the next part from *rest, trimmed; it may
 * be empty. False at the end.
 */
MUST_USE bool media_part_next(struct slice *rest, struct slice *part);

/*
 * NAME=VALUE, the value a token or a quoted string, which is left in its quotes. With an empty name
 * or value, or anything else: false.
 */
MUST_USE bool media_parameter_split(struct slice part, struct slice *name, struct slice *value);

/* Copies a token or quoted string without its quotes and backslashes; false if it is longer than
 * `size`. */
MUST_USE bool media_value_unquote(struct slice value, char *out, size_t size, struct slice *text);

/* TYPE/SUBTYPE, both tokens: false if it is anything else. */
MUST_USE bool media_type_split(struct slice part, struct slice *type, struct slice *subtype);

#endif
