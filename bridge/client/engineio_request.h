/*
 * What a request asks of the Engine.IO dialect (protocol 4), by its method and query alone. Pure:
 * head in, a struct out; whether the session exists is the caller's to see.
 *
 *	GET  ?EIO=4&transport=polling			a new session
 *	GET  ?EIO=4&transport=polling&sid=ID		its packets
 *	POST ?EIO=4&transport=polling&sid=ID		packets of the client
 *	WebSocket ?EIO=4&transport=websocket		a tunnel
 *	WebSocket ?EIO=4&transport=websocket&sid=ID	the session moves to this WebSocket
 *
 * Names of parameters are compared decoded, since the backend decodes them, and so that none can be
 * hidden from us; values are compared as they stand. A parameter of ours that stands twice counts
 *as wrong.
 */
#ifndef BRIDGE_CLIENT_ENGINEIO_REQUEST_H
#define BRIDGE_CLIENT_ENGINEIO_REQUEST_H

#include <stdbool.h>

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/http/message.h"

/* The protocol's own errors; the numbers are on the wire. */
enum engineio_code {
	ENGINEIO_UNKNOWN_TRANSPORT = 0,
	ENGINEIO_UNKNOWN_SID = 1,
	ENGINEIO_BAD_METHOD = 2,
	ENGINEIO_BAD_REQUEST = 3,
	ENGINEIO_FORBIDDEN = 4,
	ENGINEIO_BAD_VERSION = 5,
};

enum engineio_action {
	ENGINEIO_FORWARD, /* OPTIONS, and what is no WebSocket handshake but wants to be one */
	ENGINEIO_TUNNEL,  /* a WebSocket of the backend's own */
	ENGINEIO_OPEN,
	ENGINEIO_POLL,
	ENGINEIO_POST,
	ENGINEIO_UPGRADE,
	ENGINEIO_ERROR, /* to be answered with `status` and `code` */
};

struct engineio_request {
	enum engineio_action action;
	enum engineio_code code; /* ENGINEIO_ERROR */
	unsigned status;	 /* ENGINEIO_ERROR: 400, or 500 for a method that no session has */
	struct slice sid;	 /* has the form of an id; empty: none */
	struct slice t;		 /* the client's own mark of this request; empty: none */
	bool is_websocket;	 /* errors are a WebSocket client's */
	bool is_text_only;	 /* b64: a WebSocket client that takes no binary frames */
};

/*
 * Whether the request is one of this dialect: its query has EIO or, where no other dialect may
 * want it, transport.
 */
bool engineio_request_is_ours(const struct request_head *head, bool is_only_dialect);

/* has_websocket: the route carries WebSockets; else a handshake is an ordinary GET. */
void engineio_request_parse(
	struct engineio_request *self, const struct request_head *head, bool has_websocket);

/*
 * The query for the backend's WebSocket: the client's without t, j, b64, sid and transport, and
 * with transport=websocket at the end. In the arena.
 */
struct slice engineio_request_query(const struct request_head *head, struct arena *arena);

/* The target with each sid masked, for the access log. In the arena, or as it is. */
struct slice engineio_request_mask(const struct request_head *head, struct arena *arena);

/* "Session ID unknown": as the reference says it. */
struct slice engineio_code_text(enum engineio_code code);
/* The code of such a text: false if it is none. */
MUST_USE bool engineio_code_find(struct slice text, enum engineio_code *code);

const char *engineio_action_name(enum engineio_action action);

#endif
