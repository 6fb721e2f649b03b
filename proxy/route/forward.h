/* The handler that forwards an exchange to a backend and its response back; also WebSocket handshakes and tunnels. */
#ifndef PROXY_ROUTE_FORWARD_H
#define PROXY_ROUTE_FORWARD_H

#include "proxy/http/exchange.h"
#include "proxy/route/backend.h"

/* The exchange's route is set. Takes over the exchange. */
void forward_start(struct exchange *x, struct backend *backend);

#endif
