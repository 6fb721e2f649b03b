/*
 * BASE/SERVER/SESSION/websocket: a WebSocket of the client's with SockJS's frames in it. Each is a
 * session of its own, whatever its URL says, and ends with it.
 */
#ifndef BRIDGE_CLIENT_SOCKJS_SOCKET_H
#define BRIDGE_CLIENT_SOCKJS_SOCKET_H

#include "bridge/client/sockjs_answer.h"

/* SOCKJS_WEBSOCKET. The handshake is answered once the backend has taken the session. */
void sockjs_socket_start(struct sockjs_exchange *self);

#endif
