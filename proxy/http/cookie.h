/*
 * The Cookie field (RFC 6265 section 4.2): "a=1; b=2". Pure.
 *
 * Pairs are what stands between semicolons, quotes or not. A pair's name ends at its first "=" and
 * is compared as it stands; the value is the rest, as it stands, quotes included. What has no "="
 * is no cookie.
 */
#ifndef PROXY_HTTP_COOKIE_H
#define PROXY_HTTP_COOKIE_H

#include <stdbool.h>

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/http/fields.h"

struct cookie {
	struct slice name;
	struct slice value;
};

/* Takes the next cookie from *rest, the value of a field. False at the end. */
bool cookie_next(struct slice *rest, struct cookie *cookie);
/*
 * The values of all cookies of this name, over all Cookie fields, in their order, each with a ";"
 * before it: which cookies stand in which field is no difference, all else is one. Empty: none.
 */
struct slice cookie_values(const struct fields *fields, struct slice name, struct arena *arena);

#endif
