/*
 * The server's end of a WebSocket (RFC 6455) on an exchange, for dialects whose clients' WebSockets
 * end in the bridge. Over HTTP/1.1 and HTTP/2 alike: an exchange is neutral. No extensions.
 *
 *	accept -> on_message* -> on_closed (the client's close, breach, silence or end) -> on_over
 *	                    \-> close or abort (the owner's) ----------------------------> on_over
 *
 * Callbacks come from the loop only, never from inside a ws_endpoint_* call, and may call any of
 * them. After close, abort or on_closed only on_over comes; then the endpoint dies. Pings are
 * answered here; a peer that says nothing is pinged, and given up when it says nothing to that
 * either. Messages of the client above the limit, not UTF-8, or against the rules end the WebSocket
 * with 1009, 1007 or 1002.
 *
 * Memory: what is sent waits in the exchange's response pipe. It is never refused; the owner asks
 * for room first. Of a client that floods with pings, the last is answered once there is room.
 */
#ifndef BRIDGE_CLIENT_WS_ENDPOINT_H
#define BRIDGE_CLIENT_WS_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge/message.h"
#include "proxy/base/slice.h"
#include "proxy/http/exchange.h"
#include "proxy/http/fields.h"
#include "proxy/http/message.h"

struct ws_endpoint;

struct ws_endpoint_owner {
	/* MESSAGE_TEXT (valid UTF-8) or MESSAGE_BINARY; the payload lives for the call. */
	void (*on_message)(void *arg, enum message_kind kind, struct slice payload);
	/* There is room again, after ws_endpoint_room said 0. NULL: nobody asks. */
	void (*on_room)(void *arg);
	/*
	 * The client's close: its code or 1005; 1006 where the connection ended, or was given up,
	 * without one; 1002, 1007, 1009 for what the client did wrong. It is being answered.
	 */
	void (*on_closed)(void *arg, uint16_t code, struct slice reason);
	/* The exchange is over: the last callback. NULL: not of interest. */
	void (*on_over)(void *arg);
};

struct ws_endpoint_options {
	struct slice protocol;	     /* the subprotocol chosen, one of those offered; "": none */
	const struct fields *fields; /* further ones of the answer; NULL: none */
	uint64_t max_message_size;
	uint64_t ping_ms;  /* nothing came for so long: a ping; 0: none is sent */
	uint64_t pong_ms;  /* nothing came for so long after the ping: given up */
	uint64_t stall_ms; /* the client's TCP acknowledges nothing for so long: given up */
};

/* Whether the handshake offers this subprotocol; they are compared as they stand. */
bool ws_endpoint_is_offered(const struct request_head *request, struct slice protocol);
/* The subprotocol that the client likes best; "": it offers none. */
struct slice ws_endpoint_first_offered(const struct request_head *request);

/*
 * Accepts a valid handshake (req->is_websocket) that has no answer yet and becomes the exchange's
 * handler. Heads and arena of the exchange are gone with the end of the turn.
 */
struct ws_endpoint *ws_endpoint_accept(struct exchange *x,
	const struct ws_endpoint_options *options, const struct ws_endpoint_owner *owner,
	void *arg);

/* One unfragmented message. Nothing is sent after close, abort or on_closed. */
void ws_endpoint_send(struct ws_endpoint *self, enum message_kind kind, struct slice payload);
/* How much may be sent; 0: on_room comes. */
size_t ws_endpoint_room(struct ws_endpoint *self);
/*
 * Off: no on_message and no on_closed by what the client sends; it is held back by TCP. On at
 * first. While it is off the client's silence is not counted.
 */
void ws_endpoint_set_reading(struct ws_endpoint *self, bool is_on);

/*
 * Bytes sent so far, framing included, and how many of them the client's TCP has acknowledged
 * (never too many). The second costs a system call.
 */
uint64_t ws_endpoint_n_sent(const struct ws_endpoint *self);
uint64_t ws_endpoint_n_acknowledged(struct ws_endpoint *self);

/*
 * The closing handshake, behind what was sent: the client's close is waited for as long as it still
 * takes bytes, and some seconds. A code that may not stand on the wire is sent as none. Idempotent.
 */
void ws_endpoint_close(struct ws_endpoint *self, uint16_t code, struct slice reason);
/* Cuts: what is queued is dropped. Idempotent. */
void ws_endpoint_abort(struct ws_endpoint *self, enum reason reason);

#endif
