/*
 * A client's WebSocket on a route whose feed is no WebSocket: a session that nobody is told of, and
 * that ends with it. Items go down as they are, text or bytes, the close as the WebSocket's; what
 * the client sends goes to the feed as it is.
 */
#ifndef BRIDGE_CLIENT_PLAIN_BARE_H
#define BRIDGE_CLIENT_PLAIN_BARE_H

#include "bridge/client/plain_answer.h"
#include "bridge/session.h"

/* Accepts the handshake. The session has been opened for it. */
void plain_bare_start(struct plain_exchange *px, struct session *session, uint64_t after);

#endif
