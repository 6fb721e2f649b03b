/* The request that opens a WebSocket on behalf of a client's ordinary request. */
#ifndef BRIDGE_FEED_FEED_WS_REQUEST_H
#define BRIDGE_FEED_FEED_WS_REQUEST_H

#include <stdbool.h>

#include "bridge/feed/feed_ws.h"
#include "proxy/base/arena.h"
#include "proxy/http/message.h"

/* A whole handshake request with a fresh key; all of it in the arena. */
struct request_head *feed_ws_request_make(const struct conf_route *route,
	const struct feed_target *target, struct exchange *x, struct arena *arena);

/*
 * Whether the 101 is an answer to it beyond what the codec checks: no extension, and no subprotocol
 * but one that was offered (RFC 6455 section 4.1). NULL if so, else what is wrong.
 */
const char *feed_ws_request_check(
	const struct request_head *request, const struct response_head *answer);

#endif
