/*
 * Who may use a session, apart from knowing its id: with the route's bind_address a client at the
 * address that the session was opened from, with bind_cookie one whose cookies of that name are as
 * they were at the opening (cookie_values: none, one, or several in their order).
 *
 * To everybody else the session does not exist. session_table asks on every look-up, so no caller
 * sees a session that is not its client's; the exchange gets a reason for the log, its answer does
 * not show it.
 */
#ifndef BRIDGE_SESSION_BINDING_H
#define BRIDGE_SESSION_BINDING_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/digest.h"
#include "conf/conf.h"
#include "proxy/base/slice.h"
#include "proxy/http/exchange.h"

/* What a session that the exchange opens is bound to, as a digest in the buffer; empty: to nothing,
 * on a route that has neither option. */
struct slice session_binding_make(
	uint8_t buf[DIGEST_SIZE], const struct conf_route *route, struct exchange *x);
/* Its copy, for the session to keep; free() it. NULL: bound to nothing. */
uint8_t *session_binding_new(const struct conf_route *route, struct exchange *x);
/* Whether the exchange's client may have what is bound to this; NULL: all may. If not, the exchange
 * has got its reason. */
bool session_binding_admits(
	const uint8_t *binding, const struct conf_route *route, struct exchange *x);

#endif
