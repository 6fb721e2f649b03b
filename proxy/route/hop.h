/*
 * What changes in a head when it passes a hop: hop-by-hop fields are removed (RFC 9110 section 7.6.1), Via, Forwarded and
 * X-Forwarded-* are set by the route's rule, Host by the backend's. Pure.
 */
#ifndef PROXY_ROUTE_HOP_H
#define PROXY_ROUTE_HOP_H

#include "conf/conf.h"
#include "proxy/base/arena.h"
#include "proxy/http/exchange.h"
#include "proxy/http/message.h"

/* The head to send to the backend, in the exchange's arena. The Host rule CONF_HOST_SERVER is applied per server by backend_fetch. */
struct request_head *hop_request(struct exchange *x);
/* Removes what must not pass from a response head and adds Via; in place. */
void hop_response(struct exchange *x, struct response_head *head);
/* "http" or "https" and the host as the client sees them, honouring trusted proxies. */
struct slice hop_client_scheme(const struct exchange *x);
struct slice hop_client_host(struct exchange *x);
/* The client's address as text, honouring trusted proxies; for logs and caps. In the exchange's arena. */
struct slice hop_client_address(struct exchange *x);

#endif
