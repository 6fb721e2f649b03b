/* Dates of HTTP (RFC 9110 section 5.6.7). */
#ifndef PROXY_HTTP_DATE_H
#define PROXY_HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

/* The Date field's value, formatted once a second. Lives until the next call. */
struct slice http_date(void);

/*
 * Seconds since 1970 of a date in any of the three forms: "Sun, 06 Nov 1994 08:49:37 GMT",
 * "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994". `now` (in the same seconds) tells
 * the century of the second form. The day of the week is not looked at beyond its form; a second
 * may be 60. False: not a date.
 */
MUST_USE bool http_date_parse(struct slice text, int64_t now, int64_t *seconds);

#endif
