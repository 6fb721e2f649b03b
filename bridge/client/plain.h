/*
 * The plain dialect: sessions as HTTP resources, for any HTTP client without a library.
 *
 *	P		GET as a stream or a poll, POST: a new session; other methods go to the
 *backend P/~ID		GET: its messages; POST: sends; DELETE or POST ?close: ends it
 *
 * Who may: every request that the bridge answers, and WebSocket handshakes on P, pass the origin
 * check before anything else.
 */
#ifndef BRIDGE_CLIENT_PLAIN_H
#define BRIDGE_CLIENT_PLAIN_H

#include "bridge/dialect.h"

extern const struct dialect plain_dialect;

#endif
