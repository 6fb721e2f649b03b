/*
 * Who may talk to the bridge from a browser, and the CORS fields (Fetch standard section 3.2)
 * that go with it. Pure.
 *
 * Neither Origin nor Sec-Fetch-Site: no browser, allowed. An Origin on the route's list is
 * allowed and overrides Sec-Fetch-Site. Otherwise Origin, if there, must be the request's own
 * origin, and Sec-Fetch-Site, if there, must be "same-origin" or "none". "null" is an origin like
 * any other: allowed only if listed. "*" on the list stands for every origin, and for pages that
 * send none. More than one Origin or Sec-Fetch-Site field is refused.
 */
#ifndef BRIDGE_CLIENT_ORIGIN_H
#define BRIDGE_CLIENT_ORIGIN_H

#include <stdbool.h>

#include "conf/conf.h"
#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/http/fields.h"

enum origin_verdict {
	ORIGIN_NONE,	/* no browser, or the browser says same-origin without an Origin */
	ORIGIN_SAME,	/* Origin is the request's own */
	ORIGIN_LISTED,	/* Origin is on the list: gets CORS fields, with credentials */
	ORIGIN_REFUSED, /* 403 */
};

/*
 * scheme ("http" or "https") and host (with a port or not) are as the client sees them. Same
 * origin: scheme, host (case ignored) and port are equal, a missing port being the scheme's
 * default (80, 443). The list is canonical (conf.h): an Origin is on it if it is equal to an
 * entry ignoring case.
 */
enum origin_verdict origin_check(const struct fields *request, struct slice scheme,
	struct slice host, const struct conf_strings *allowed);

/* Whether "*" is on the list. */
bool origin_is_any_allowed(const struct conf_strings *allowed);

/*
 * Fields of every answer: Vary: Origin if the list is not empty; and for ORIGIN_LISTED
 * Access-Control-Allow-Origin (the Origin as sent), Access-Control-Allow-Credentials: true and
 * Access-Control-Expose-Headers: Pollux-Session, Pollux-Cursor, Pollux-Seq, Location, Link,
 * Retry-After, Sec-WebSocket-Protocol.
 */
void origin_add_fields(struct fields *answer, struct arena *arena, enum origin_verdict verdict,
	struct slice origin, const struct conf_strings *allowed);
/*
 * Further fields of an answer to OPTIONS: Allow (the methods), and for ORIGIN_LISTED
 * Access-Control-Allow-Methods: the methods; Access-Control-Allow-Headers: Pollux-Seq, Pollux-Ack,
 * Pollux-Protocol, Idempotency-Key, Content-Type, Last-Event-ID, Prefer; Access-Control-Max-Age:
 * 600.
 */
void origin_add_preflight_fields(struct fields *answer, struct arena *arena,
	enum origin_verdict verdict, struct slice methods);

const char *origin_verdict_name(enum origin_verdict verdict);

#endif
