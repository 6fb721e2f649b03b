/*
 * The Engine.IO dialect (protocol 4, what Socket.IO 3 and 4 speak): clients that poll share one
 * WebSocket per session to the backend, so that no request needs the server of the one before.
 *
 *	client polls -> session -> WebSocket to the backend	the session's only one
 *	client upgrades: its WebSocket takes the place of the polls; the backend does not notice
 *	client begins with a WebSocket: an ordinary tunnel
 *
 * Who may is the backend's matter, as it is without a proxy, unless the route names origins.
 */
#ifndef BRIDGE_CLIENT_ENGINEIO_H
#define BRIDGE_CLIENT_ENGINEIO_H

#include "bridge/dialect.h"

/* start: the request is one that engineio_request_is_ours; false: it is to be forwarded. */
extern const struct dialect engineio_dialect;

#endif
