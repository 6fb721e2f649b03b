/*
 * What a request asks of the SockJS dialect: URLs and methods of SockJS 0.3. Pure: a head and the
 * route's path in, a struct out.
 *
 *	BASE				GET: a greeting
 *	BASE/info			GET: what the server can; OPTIONS
 *	BASE/iframe….html		GET: the page in which a script of another site runs the
 *client BASE/websocket			a WebSocket handshake: the tunnel to the backend
 *	BASE/SERVER/SESSION/TRANSPORT	a session, which SESSION alone names
 *
 * BASE is the route's path without a "/" at its end. One "/" at the end of a path is allowed.
 * SERVER and SESSION are not empty and have no dot; they are compared as they stand, undecoded.
 */
#ifndef BRIDGE_CLIENT_SOCKJS_REQUEST_H
#define BRIDGE_CLIENT_SOCKJS_REQUEST_H

#include <stdbool.h>

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/http/message.h"

enum sockjs_action {
	SOCKJS_NONE, /* no URL of SockJS */
	SOCKJS_GREETING,
	SOCKJS_INFO,
	SOCKJS_IFRAME,
	SOCKJS_RECEIVE, /* a receiver of a session, by `transport` */
	SOCKJS_SEND,
	SOCKJS_WEBSOCKET,    /* a valid handshake: a session of its own */
	SOCKJS_RAW,	     /* a valid handshake on BASE/websocket */
	SOCKJS_NO_WEBSOCKET, /* GET where a handshake should be */
	SOCKJS_PREFLIGHT,    /* OPTIONS */
	SOCKJS_METHOD,	     /* 405 with `methods` */
};

enum sockjs_transport {
	SOCKJS_XHR,
	SOCKJS_XHR_STREAMING,
	SOCKJS_EVENTSOURCE,
	SOCKJS_HTMLFILE,
	SOCKJS_JSONP,
	SOCKJS_XHR_SEND,
	SOCKJS_JSONP_SEND,
	SOCKJS_TRANSPORT_WEBSOCKET,
	SOCKJS_NO_TRANSPORT, /* not a session's URL */
};

/* The name of the page's function that SOCKJS_HTMLFILE and SOCKJS_JSONP call. */
enum sockjs_callback {
	SOCKJS_CALLBACK_GOOD,
	SOCKJS_CALLBACK_MISSING, /* or empty */
	SOCKJS_CALLBACK_BAD,	 /* other characters than a-z A-Z 0-9 _ . -, or longer than 32 */
};

struct sockjs_request {
	enum sockjs_action action;
	enum sockjs_transport transport;
	enum sockjs_callback callback_state;
	bool is_base;	      /* BASE itself */
	const char *methods;  /* of the URL, for Allow; NULL: SOCKJS_NONE */
	struct slice session; /* SESSION; at most SESSION_NAME_MAX bytes */
	struct slice callback;
	/*
	 * The query for the backend: without c, callback and t, which are SockJS's own; for
	 * SOCKJS_RAW as it came. has_query is false when nothing is left.
	 */
	struct slice query;
	bool has_query;
};

/* What a route's URLs are: those that it does not have are SOCKJS_NONE. */
struct sockjs_urls {
	struct slice base;
	bool has_websocket;
	bool has_iframe;
};

void sockjs_request_parse(struct sockjs_request *self, const struct request_head *head,
	const struct sockjs_urls *urls, struct arena *arena);

/* BASE of a route's path. */
struct slice sockjs_base(struct slice path);

/* The target with all but the first letters of SESSION masked, in the arena, for the access log. */
struct slice sockjs_mask_target(
	const struct sockjs_request *self, struct slice target, struct arena *arena);
/* SESSION likewise. */
struct slice sockjs_mask_session(struct slice session, struct arena *arena);

/*
 * Decodes %XX, and "+" as a space (application/x-www-form-urlencoded). What is no %XX is left as it
 * is. In the arena.
 */
struct slice sockjs_decode_parameter(struct slice text, struct arena *arena);

const char *sockjs_action_name(enum sockjs_action action);
const char *sockjs_transport_name(enum sockjs_transport transport);

#endif
