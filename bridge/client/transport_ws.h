/*
 * A transport that is a WebSocket of the client's: writes each item of the session as one text
 * message, as fast as the client takes them, and hands over what the client sends. How items and
 * messages look is the dialect's matter.
 *
 * Ends after the session's close with 1000, when superseded with 4000, at a drain with 1012. A
 * client that closes, goes, or is given up (ws_endpoint.h) is detached; the session lives on. What
 * it wrote is kept as for streams (transport_stream.h).
 *
 * Bare, without an encoding: each item is a message as it is, text or bytes, and the session's
 * close is the WebSocket's; at a drain 1001. What is written is acknowledged with it, since nobody
 * can ask for it again.
 */
#ifndef BRIDGE_CLIENT_TRANSPORT_WS_H
#define BRIDGE_CLIENT_TRANSPORT_WS_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/client/ws_endpoint.h"
#include "bridge/message.h"
#include "bridge/session.h"
#include "proxy/base/bytes.h"
#include "proxy/http/exchange.h"

struct transport_ws;

#define TRANSPORT_WS_SUPERSEDED 4000

struct socket_form {
	/* NULL: bare. */
	void (*encode)(void *arg, struct bytes *out, const struct message *item);
	/*
	 * What the client sends; the payload lives for the call. `self` is attached: its session is
	 * transport_ws_session.
	 */
	void (*on_message)(void *arg, enum message_kind kind, struct slice payload);
	/* The transport is detached, or about to be: on_message does not come any more. Once. */
	void (*on_gone)(void *arg);
	/* The transport dies: the last callback. */
	void (*on_over)(void *arg);
};

/*
 * Accepts the handshake. `arg` outlives on_over. max_size is of a message on the wire. Nothing is
 * written but by transport_ws_say, until transport_ws_attach.
 */
struct transport_ws *transport_ws_new(struct exchange *x, struct slice protocol,
	const struct fields *fields, uint64_t max_size, const struct socket_form *form, void *arg);
/* Attaches, which acknowledges `after`. */
void transport_ws_attach(struct transport_ws *self, struct session *session, uint64_t after);
/* NULL: not attached any more. */
struct session *transport_ws_session(const struct transport_ws *self);

/* A text message that is no item of the session. */
void transport_ws_say(struct transport_ws *self, struct slice text);
/* Off: the client is held back by TCP. */
void transport_ws_set_reading(struct transport_ws *self, bool is_on);
/* Detaches and closes. */
void transport_ws_close(struct transport_ws *self, uint16_t code, struct slice reason);

#endif
