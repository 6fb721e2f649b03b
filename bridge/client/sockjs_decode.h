/*
 * What SockJS clients send: a JSON array of strings, each a message. Pure.
 *
 * A WebSocket's texts are UTF-8, which has no lone surrogates, but scripts' strings do: a lone
 * \ud800 to \udfff becomes U+FFFD.
 */
#ifndef BRIDGE_CLIENT_SOCKJS_DECODE_H
#define BRIDGE_CLIENT_SOCKJS_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "bridge/message.h"
#include "proxy/base/arena.h"
#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

enum sockjs_decode {
	SOCKJS_DECODED,
	SOCKJS_DECODE_NO_PAYLOAD, /* empty, or JSON that is not messages: "Payload expected." */
	SOCKJS_DECODE_BROKEN,	  /* not JSON: "Broken JSON encoding." */
	SOCKJS_DECODE_TOO_BIG,	  /* a message above max_message, or all above max_cost */
};

struct sockjs_decode_limits {
	uint64_t max_message; /* bytes of one message */
	uint64_t max_cost;    /* message_cost of all together; one message alone may cost more */
};

/* How many bytes of a body are worth reading: what is longer is SOCKJS_DECODE_TOO_BIG. */
uint64_t sockjs_decode_body_limit(const struct sockjs_decode_limits *limits);

/*
 * A body of xhr_send. MESSAGE_TEXT messages are added to the list, and what they cost to *cost,
 * only with SOCKJS_DECODED. [] has none.
 */
MUST_USE enum sockjs_decode sockjs_decode_array(struct slice body,
	const struct sockjs_decode_limits *limits, struct message_list *out, size_t *cost);
/* A message of a WebSocket: an array, or a string alone. An empty one has no messages. */
MUST_USE enum sockjs_decode sockjs_decode_frame(struct slice text,
	const struct sockjs_decode_limits *limits, struct message_list *out, size_t *cost);
/* The value of d in a form (application/x-www-form-urlencoded), decoded into the arena; empty:
 * there is none. */
struct slice sockjs_decode_form(struct slice body, struct arena *arena);

const char *sockjs_decode_name(enum sockjs_decode verdict);

#endif
