/*
 * The handler that forwards an exchange to a backend and its response back. Bodies do not pass
 * through here: the fetch is given the exchange's own pipes. A WebSocket handshake that the backend
 * accepts makes a tunnel of the same two pipes.
 */
#ifndef PROXY_ROUTE_FORWARD_H
#define PROXY_ROUTE_FORWARD_H

#include "proxy/http/exchange.h"
#include "proxy/route/backend.h"

/* The exchange's route is set. Takes over the exchange; answers itself what gate.h refuses. */
void forward_start(struct exchange *x, struct backend *backend);

#endif
