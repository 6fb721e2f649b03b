/*
 * The SockJS dialect: sessions for sockjs-client and its kind, over every transport that SockJS 0.3
 * has. Each session is one plain WebSocket of the backend's at the route's path.
 *
 * Nothing that a client got is ever acknowledged, so nothing can be sent again: where something may
 * have been lost, the session ends and says so.
 */
#ifndef BRIDGE_CLIENT_SOCKJS_H
#define BRIDGE_CLIENT_SOCKJS_H

#include "bridge/dialect.h"

/*
 * On BASE itself it leaves to the plain dialect, where the route has it, what that one answers; and
 * to it, and to the backend, every URL that is not one of SockJS's. On a route with SockJS alone
 * those are 404, but for WebSocket handshakes on BASE itself, which are forwarded.
 */
extern const struct dialect sockjs_dialect;

#endif
