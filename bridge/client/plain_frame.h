/*
 * What a client of the subprotocol pollux.v1 says, one JSON object a text frame:
 *
 *	{"n":1,"text":"…"}	a message, numbered from 1
 *	{"n":2,"binary":"…"}	the same; base64 (RFC 4648 section 4, with padding)
 *	{"ack":7}		everything up to 7 has come
 *	{"close":{"code":4000,"reason":"…"}}	the session is to end; both members may be left out
 *
 * Members in any order, each once, and no others. Numbers are decimal digits, at most 2^64 - 1, n
 *from
 * 1. A code is 1000 or 3000 to 4999, as in the WebSocket API; a reason has at most 123 bytes. Pure.
 */
#ifndef BRIDGE_CLIENT_PLAIN_FRAME_H
#define BRIDGE_CLIENT_PLAIN_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

/* A byte of a message takes at most so many in a frame (\u0000), and the rest no more than that. */
#define PLAIN_FRAME_BYTES_PER_BYTE 6
#define PLAIN_FRAME_OVERHEAD 256

enum plain_frame_kind {
	PLAIN_FRAME_TEXT,
	PLAIN_FRAME_BINARY,
	PLAIN_FRAME_ACK,
	PLAIN_FRAME_CLOSE,
};

struct plain_frame {
	enum plain_frame_kind kind;
	uint64_t number;      /* n, or what is acknowledged */
	uint16_t code;	      /* PLAIN_FRAME_CLOSE */
	struct slice payload; /* the message, or the reason */
};

/*
 * The text is valid UTF-8. The payload is written to scratch, which has room for text.n bytes.
 * False: malformed.
 */
MUST_USE bool plain_frame_parse(struct plain_frame *self, struct slice text, char *scratch);

const char *plain_frame_kind_name(enum plain_frame_kind kind);

#endif
