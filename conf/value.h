/*
 * Single values: switches, numbers, sizes ("16k"), durations ("30s"), file modes ("0660"), and
 * the nearest known word to a misspelt one. Pure.
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/macros.h"

/* Room for any formatted value and its NUL. */
enum { CONF_VALUE_TEXT_SIZE = 32 };

/* yes, on, true; no, off, false. */
MUST_USE bool conf_value_parse_bool(bool *value, const char *text);

/* Decimal digits only; no sign, since no option is negative. */
MUST_USE bool conf_value_parse_int(int64_t *value, const char *text);

/* Digits and at most one of k, m, g, t in either case: powers of 1024. Without: bytes. */
MUST_USE bool conf_value_parse_size(int64_t *bytes, const char *text);

/* Digits and one of ms, s, m, h, d. "0" needs no unit. */
MUST_USE bool conf_value_parse_duration(int64_t *ms, const char *text);

/* Octal permission bits, 0 to 0777. */
MUST_USE bool conf_value_parse_mode(int64_t *mode, const char *text);

/* With the largest unit that loses nothing, so that parsing gives the same number again. */
void conf_value_format_size(char text[CONF_VALUE_TEXT_SIZE], int64_t bytes);
void conf_value_format_duration(char text[CONF_VALUE_TEXT_SIZE], int64_t ms);

/*
 * The word with the fewest insertions, deletions, replacements and swaps of neighbours between it
 * and text, if they are few for its length; else NULL. Entries of words may be NULL and are
 * skipped.
 */
const char *conf_value_nearest(const char *text, const char *const *words, size_t n_words);

#endif
