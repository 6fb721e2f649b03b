/*
 * Hands an exchange to the worker that owns its session, as it is: the request with the hop field
 * (relay_hop.h), the response untouched. Between workers that is one more fetch, over HTTP/2 on a
 * unix socket; WebSockets go along by extended CONNECT.
 */
#ifndef PROXY_ROUTE_RELAY_H
#define PROXY_ROUTE_RELAY_H

#include "proxy/http/exchange.h"
#include "proxy/route/backend.h"

/* The exchange's route is set. The access log's line is the owner's, if it has answered. */
void relay_start(struct exchange *x, struct backend *owner);

#endif
