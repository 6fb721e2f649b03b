/*
 * The frame boundaries of a WebSocket tunnel (RFC 6455 section 5), so that a close can be put
 * between frames when the proxy has to leave. Payloads are not touched or kept, whatever extensions
 * client and backend have agreed on; per direction a few bytes of state.
 *
 *   ws_tunnel_leave -> at the next boundary of each direction: Close 1001 to the client, Close 1001
 * (masked) to the backend; what comes after is dropped -> ws_tunnel_has_left once the client has
 * answered with its Close
 *
 * A direction whose bytes are no frames is not tracked further, and gets no close: it is cut in the
 * end.
 */
#ifndef PROXY_HTTP_WS_TUNNEL_H
#define PROXY_HTTP_WS_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/bytes.h"
#include "proxy/base/pipe.h"
#include "proxy/http/ws_frame.h"

struct ws_direction {
	struct ws_frame_parser parser;
	bool is_lost;	 /* not frames */
	bool has_closed; /* a close frame of the peer has passed */
	bool is_told;	 /* our close stands in it: what follows is dropped */
};

struct ws_tunnel {
	struct ws_direction to_client;
	struct ws_direction to_backend;
	bool is_leaving;
};

void ws_tunnel_init(struct ws_tunnel *self);
/* Moves up to n bytes; returns how many were taken from the source. */
size_t ws_tunnel_to_client(struct ws_tunnel *self, struct pipe *from, struct bytes *out, size_t n);
size_t ws_tunnel_to_backend(struct ws_tunnel *self, struct bytes *in, struct pipe *to);

/* From now on a close goes out at each next boundary; call both movers once to have it done. */
void ws_tunnel_leave(struct ws_tunnel *self);
/* The client has had our close and answered it, so that its connection can be closed. */
bool ws_tunnel_has_left(const struct ws_tunnel *self);

#endif
