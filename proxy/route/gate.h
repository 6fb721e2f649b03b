/*
 * What is refused before a route's backend hears of it: methods that are not forwarded, announced
 * bodies that are too large, WebSocket handshakes that are not valid or of a wrong origin, and
 * hosts that a connection with client certificates was not made for.
 */
#ifndef PROXY_ROUTE_GATE_H
#define PROXY_ROUTE_GATE_H

#include <stdbool.h>

#include "proxy/http/exchange.h"

/*
 * True: the exchange has been answered. Its route is set. Origins are checked here on routes
 * without a bridge only, where an allow-list is given: a bridge has rules of its own.
 */
bool gate_refuses(struct exchange *x);

/* The last of these alone; for handlers that have rules of their own for the others. */
bool gate_refuses_host(struct exchange *x);

/* Whether a handshake with these fields may come from a page, or comes from none (no Origin). */
bool gate_allows_origin(const struct conf_strings *allowed, const struct fields *fields);
/* Whether the host of an authority is the name, case ignored. */
bool gate_is_host(struct slice authority, struct slice name);

#endif
