/*
 * The field that goes with a request from the worker that a client is connected to, to the worker
 * that owns the client's session: what the owner would see if the connection were its own. Only
 * what comes over a socket between workers may carry it; from everybody else it is removed. Pure.
 *
 * The owner's answer may say that the client's connection is to be closed after it: "close".
 *
 *	pollux-hop: LISTENER VERSION TLS PEER [SERVER-NAME]
 *	pollux-hop: 0 11 TLSv1.3 192.0.2.1:40112 www.example.org
 *	pollux-hop: 1 20 - unix
 *	pollux-hop: 0 10- - 192.0.2.1:40112	a request of HTTP/1.0 without a host
 */
#ifndef PROXY_ROUTE_RELAY_HOP_H
#define PROXY_ROUTE_RELAY_HOP_H

#include <stdbool.h>

#include "proxy/base/macros.h"
#include "proxy/http/exchange.h"

/* Whether the request's head fits through HTTP/2, whose strings have at most 64 KiB here. */
MUST_USE bool relay_hop_can_carry(const struct exchange *x);
/* Of trailers it is known before they have come: not where heads may be larger. */
MUST_USE bool relay_hop_can_carry_trailers(const struct exchange *x);
/* In the exchange's arena. */
struct slice relay_hop_write(struct exchange *x);
/*
 * Takes the field off the request and makes the exchange what it was at the other worker: its
 * listener, its client, its version. False: there is none, or it is not valid.
 */
MUST_USE bool relay_hop_read(struct exchange *x, const struct conf *conf);
/* At the outer edge: it is nobody's to send. */
void relay_hop_strip(struct exchange *x);

#endif
