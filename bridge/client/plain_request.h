/*
 * What a request asks of the plain dialect. Pure: head and route in, a struct out; whether the
 * session exists and whether the numbers fit it is the caller's to see.
 *
 * P is the path without "/~ID". A last segment "~ID" whose ID has the form of a session id
 * (session_id_has_form) names a session of the path before it, joined by exactly one "/":
 *
 *	/chat			P = /chat
 *	/chat/~w1.ab		P = /chat, id = w1.ab
 *	/chat//~w1.ab		P = /chat/, id = w1.ab	(no session has such a P: 404)
 *	/~w1.ab			P = "", id = w1.ab	(the same)
 *	/chat/~a%20b		P = /chat/~a%20b	(not the form of an id)
 *
 * Names of query parameters and the id are compared as they stand, undecoded.
 */
#ifndef BRIDGE_CLIENT_PLAIN_REQUEST_H
#define BRIDGE_CLIENT_PLAIN_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/http/message.h"

enum plain_action {
	PLAIN_FORWARD,	 /* on P: ordinary HTTP for the backend */
	PLAIN_TUNNEL,	 /* on P: a valid WebSocket handshake */
	PLAIN_OPEN,	 /* on P: a new session (or, by Last-Event-ID, an old one) in `form` */
	PLAIN_ATTACH,	 /* on P/~ID: GET: the session goes on in `form` */
	PLAIN_SEND,	 /* on P/~ID: POST */
	PLAIN_CLOSE,	 /* on P/~ID: DELETE, or POST with the parameter `close` */
	PLAIN_PREFLIGHT, /* OPTIONS, on both */
	PLAIN_ERROR,	 /* to be answered with `status` and `error` */
};

/* How the answer looks. */
enum plain_form {
	PLAIN_CREATED, /* POST P: 201 */
	PLAIN_POLL,    /* one JSON object */
	PLAIN_EVENTS,  /* text/event-stream */
	PLAIN_LINES,   /* application/x-ndjson */
	PLAIN_SOCKET,  /* a WebSocket with the subprotocol below */
	PLAIN_BARE,    /* another WebSocket, where the feed is none; never parsed: see plain.c */
};

/* Compared as it stands (RFC 6455 section 4.1); never offered to the backend. */
#define PLAIN_SOCKET_PROTOCOL "pollux.v1"

/* A number that a client may give: decimal digits only, at most 2^64 - 1. */
enum plain_number_state {
	PLAIN_ABSENT,
	PLAIN_GIVEN,
	PLAIN_MALFORMED, /* anything else; also a field or parameter that stands twice */
};

struct plain_number {
	enum plain_number_state state;
	uint64_t value; /* PLAIN_GIVEN */
};

/* Last-Event-ID: "ID.CURSOR", split at the last dot. */
struct plain_event_id {
	enum plain_number_state
		state; /* PLAIN_MALFORMED: no dot, or ID has not the form of an id */
	struct slice id;
	/*
	 * PLAIN_GIVEN, or PLAIN_MALFORMED where the ID is well formed but its number is not: in a
	 * live session that is a bad cursor, not an unknown session.
	 */
	struct plain_number cursor;
};

struct plain_request {
	enum plain_action action;
	enum plain_form form; /* PLAIN_OPEN, PLAIN_ATTACH */
	unsigned status;      /* PLAIN_ERROR: 400, 404, 405 */
	const char *error;    /* PLAIN_ERROR: for {"error":…} */

	struct slice path; /* P */
	struct slice id;   /* empty on P */
	/*
	 * The query without `wait`, `after` and `as`, other parameters as they came and in their
	 * order. has_query is false when nothing is left of a query that had only ours.
	 */
	struct slice query;
	bool has_query;

	uint64_t wait_ms;	/* a poll's, capped by the route's limit */
	bool is_wait_preferred; /* it came from Prefer: say Preference-Applied: wait=N */
	bool as_json;		/* ?as=json; other values mean nothing */
	/*
	 * What to offer to the backend as Sec-WebSocket-Protocol: the client's without
	 * PLAIN_SOCKET_PROTOCOL, and those in Pollux-Protocol, which pages can send with fetch.
	 */
	struct slice protocols;
	bool wants_text; /* Accept names text/plain (PLAIN_CREATED) */
	struct plain_number after;
	struct plain_number seq; /* Pollux-Seq; 0 is malformed */
	struct plain_number ack; /* Pollux-Ack */
	struct plain_event_id last_event_id;
	bool has_key;
	struct slice key; /* Idempotency-Key, trimmed, as it stands; 1 to 255 bytes, else
			   * PLAIN_ERROR 400 on an opening */
};

/*
 * wait_limit_ms is the route's poll_wait_ms. Slices of the result lie in the head or the arena.
 *
 * The rules, in order:
 *  - A valid WebSocket handshake (head->is_websocket) that offers PLAIN_SOCKET_PROTOCOL: on P
 *    PLAIN_OPEN, on P/~ID PLAIN_ATTACH, with PLAIN_SOCKET. One that does not: on P PLAIN_TUNNEL, on
 *    P/~ID PLAIN_ERROR 400 "websocket is not supported here". A handshake that is not valid is no
 *    handshake.
 *  - OPTIONS: PLAIN_PREFLIGHT.
 *  - On P/~ID: GET is PLAIN_ATTACH; POST is PLAIN_SEND, or PLAIN_CLOSE if the query has a
 *    parameter `close` (with or without a value); DELETE is PLAIN_CLOSE; anything else
 *    PLAIN_ERROR 405 "method".
 *  - On P: GET is PLAIN_OPEN if Accept names a stream type, else if the query has `wait`, else if
 *    Prefer has a well-formed wait. POST is PLAIN_OPEN with PLAIN_CREATED. Anything else is
 *    PLAIN_FORWARD. A P that ends in "/" opens no session: where PLAIN_OPEN would result it is
 *    PLAIN_ERROR 404 "unknown session".
 *  - Form of a GET: Accept (RFC 9110 section 12.5.1) names "text/event-stream" or
 *    "application/x-ndjson" explicitly (never by a wildcard; type compared ignoring case,
 *    parameters ignored except that q=0 names nothing); if both, the one with the higher q, then
 *    the first. Otherwise PLAIN_POLL.
 *  - wait, for PLAIN_POLL only: whole seconds, digits only, of any length, capped. In the query
 *    it wins; there an empty, repeated or malformed one is PLAIN_ERROR 400 "wait". In Prefer (RFC
 *    7240: any number of fields, comma-separated, the value may be a quoted string, parameters
 *    after ";" do not count, names ignore case, the first wait counts) a malformed one is as if
 *    not there. None: the limit.
 */
void plain_request_parse(struct plain_request *self, const struct request_head *head,
	uint64_t wait_limit_ms, struct arena *arena);

const char *plain_action_name(enum plain_action action);
const char *plain_form_name(enum plain_form form);

#endif
