/*
 * The frame boundaries of a WebSocket tunnel (RFC 6455 section 5), so that a close or a ping can be
 * put between frames. Payloads are not touched or kept, whatever extensions client and backend have
 * agreed on; per direction a few bytes of state.
 *
 *   ws_tunnel_leave -> at the next boundary of each direction: Close 1001 to the client, Close 1001
 * (masked) to the backend; what comes after is dropped -> ws_tunnel_has_left once the client has
 * answered with its Close
 *
 * A direction whose bytes are no frames is not tracked further, and gets no close: it is cut in the
 * end.
 *
 * With rules (ws_tunnel_watch) each frame is judged when its head has come whole, and no byte of it
 * passes before. A fault ends the tunnel as leaving does, with the codes of the fault, and for a
 * few seconds at most.
 */
#ifndef PROXY_HTTP_WS_TUNNEL_H
#define PROXY_HTTP_WS_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "proxy/base/bytes.h"
#include "proxy/base/pipe.h"
#include "proxy/http/reason.h"
#include "proxy/http/ws_frame.h"
#include "proxy/http/ws_guard.h"

/* How long the answer to a close is waited for after a fault. */
#define WS_TUNNEL_FAULT_WAIT_MS 5000

struct ws_direction {
	struct ws_frame_parser parser;
	bool is_lost;	 /* not frames */
	bool has_closed; /* a close frame of the peer has passed */
	bool is_told;	 /* our close stands in it: what follows is dropped */
	bool has_ended;	 /* the peer will say nothing more */
};

struct ws_watch; /* ws_tunnel.c */

struct ws_tunnel {
	struct ws_direction to_client;
	struct ws_direction to_backend;
	struct ws_watch *watch; /* NULL: no rules */
	uint64_t leave_ms;	/* when to leave by itself; TIMER_NEVER */
	bool is_leaving;
};

struct ws_tunnel *ws_tunnel_new(void);
/* NULL is allowed. */
void ws_tunnel_free(struct ws_tunnel *self);
/* Before the first byte. The rules must outlive it. */
void ws_tunnel_watch(struct ws_tunnel *self, const struct conf_tunnel *rules, uint64_t now_ms);

/* Moves up to n bytes; returns how many were taken from the source. */
size_t ws_tunnel_to_client(
	struct ws_tunnel *self, struct pipe *from, struct bytes *out, size_t n, uint64_t now_ms);
size_t ws_tunnel_to_backend(
	struct ws_tunnel *self, struct bytes *in, struct pipe *to, uint64_t now_ms);

/* The client has ended its side. That of the backend shows in its pipe. */
void ws_tunnel_end_client(struct ws_tunnel *self);

/* From now on a close goes out at each next boundary; call both movers once to have it done. */
void ws_tunnel_leave(struct ws_tunnel *self);
/* The client has had our close and answered it, or cannot, so that its connection can be closed. */
bool ws_tunnel_has_left(const struct ws_tunnel *self);
/* Why the rules end it; REASON_NONE. May change with each call of a mover or of ws_tunnel_tick. */
enum reason ws_tunnel_fault(const struct ws_tunnel *self);

/* When it has something to do though nothing comes; TIMER_NEVER: nothing. */
uint64_t ws_tunnel_deadline(const struct ws_tunnel *self);
/* Does it: call both movers then. False: the time after a fault is up, and it is to be cut. */
MUST_USE bool ws_tunnel_tick(
	struct ws_tunnel *self, const struct ws_guard_links *links, uint64_t now_ms);

#endif
