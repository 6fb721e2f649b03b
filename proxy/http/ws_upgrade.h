/*
 * One WebSocket handshake, two protocols: the Upgrade of HTTP/1.1 (RFC 6455) and the extended
 * CONNECT of HTTP/2 (RFC 8441). Between the codecs it always has HTTP/1.1's shape: a GET with
 * is_websocket, answered by a 101 with is_upgrade; what either side's protocol needs beyond that is
 * added here. The tunnel that follows is the same bytes in both.
 */
#ifndef PROXY_HTTP_WS_UPGRADE_H
#define PROXY_HTTP_WS_UPGRADE_H

#include "proxy/base/arena.h"
#include "proxy/http/message.h"

/* The version, and a key made at random. */
void ws_upgrade_add_key(struct fields *fields, struct arena *arena);
/* The request with what HTTP/1.1 demands, if it lacks it: itself or a copy in the arena. */
const struct request_head *ws_upgrade_request(
	const struct request_head *request, struct arena *arena);
/* Adds the accept value that an HTTP/1.1 client waits for, if the answer has none. */
void ws_upgrade_answer(
	struct response_head *answer, const struct request_head *request, struct arena *arena);

#endif
