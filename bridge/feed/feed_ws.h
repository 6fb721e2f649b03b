/*
 * A feed that is a WebSocket of the backend's (RFC 6455), opened by an ordinary fetch.
 *
 * The handshake carries the client's Cookie, Authorization, Origin, User-Agent, Accept-Language,
 * Sec-WebSocket-Protocol and X-* fields, and what the route says about the client (hop.h); no
 * extensions are offered. Every message is sent as one masked frame. Pings are answered, and one is
 * sent where nothing came for backend_ping_ms: a backend that is silent as long again is gone.
 * What went wrong is told as a close: 1006 no close frame, 1005 no code in it, 1009 a message over
 * max_message_size, 1007 bad UTF-8, 1002 any other breach.
 */
#ifndef BRIDGE_FEED_FEED_WS_H
#define BRIDGE_FEED_FEED_WS_H

#include <stdbool.h>

#include "bridge/feed.h"
#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/base/slice.h"
#include "proxy/http/exchange.h"
#include "proxy/route/backend.h"

/* Where it dials. */
struct feed_ws_place {
	struct loop *loop;
	const struct conf_route *route;
	struct backend *backend;
	struct feed_list *feeds; /* it stands there while it lives */
};

/* Dials. What is needed of the exchange and the target is copied. */
struct feed *feed_ws_new(const struct feed_ws_place *place, const struct feed_target *target,
	struct exchange *x, const struct feed_owner *owner, void *arg);

#endif
