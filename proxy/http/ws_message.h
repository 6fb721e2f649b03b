/*
 * WebSocket messages out of bytes (RFC 6455 sections 5.4 to 5.6, 7 and 8.1): joins fragments, hands
 * out control frames that stand between them, checks UTF-8 and close payloads, and refuses a
 * message that is announced above the limit before a byte of it is kept. Pure, and pulled:
 *
 *	while ((event = ws_message_feed(&messages, &p, &n)) != WS_MORE) {
 *		... messages.payload, until the next call; stop after WS_CLOSE and WS_ERROR ...
 *	}
 *
 * Memory: an unmasked message that is one frame and lies wholly in the input is handed out where it
 * lies. Anything else is gathered in a buffer that grows with what has come, never with what was
 * announced. Once WS_MORE was given and no message is partly here, there is no buffer.
 */
#ifndef PROXY_HTTP_WS_MESSAGE_H
#define PROXY_HTTP_WS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"
#include "proxy/base/utf8.h"
#include "proxy/http/ws_frame.h"

enum ws_event {
	WS_MORE,   /* all bytes are taken */
	WS_TEXT,   /* a whole message, valid UTF-8 */
	WS_BINARY, /* a whole message */
	WS_PING,   /* to be answered with the same payload */
	WS_PONG,
	WS_CLOSE, /* close_code, or WS_CODE_NO_STATUS; the payload is the reason, UTF-8 */
	WS_ERROR, /* the peer broke the rules: close_code to send, error says why */
};

enum ws_message_state {
	WS_MESSAGE_HEAD,    /* between frames or in a head */
	WS_MESSAGE_PAYLOAD, /* within a frame */
	WS_MESSAGE_CLOSED,  /* a close frame has come: nothing counts any more */
	WS_MESSAGE_FAILED,
};

struct ws_message {
	/* for the caller, after an event */
	struct slice payload;
	uint16_t close_code;
	const char *error; /* static text, fit for a log and for the reason of a close frame */

	/* its own */
	enum ws_message_state state;
	struct ws_frame_parser parser;
	struct ws_frame frame; /* the current one */
	size_t max_size;       /* bytes of a message */
	uint8_t *buf;	       /* the message so far, unmasked */
	size_t size;
	size_t capacity;
	enum ws_event kind; /* of the message that is partly here, else WS_MORE */
	bool is_lent;	    /* the payload given out is buf: it may go at the next call */
	struct utf8 utf8;
	uint8_t control[WS_CONTROL_MAX]; /* a control frame that came in pieces or masked */
};

/* expect_masked: as ws_frame_parser_init(). max_size: a message above it is an error (1009). */
void ws_message_init(struct ws_message *self, bool expect_masked, size_t max_size);
/* Frees the buffer. The object may be initialised again. */
void ws_message_clear(struct ws_message *self);

/*
 * Takes bytes from *p, *n and moves both past them, up to and including those of the event it
 * gives. After WS_CLOSE all further bytes are taken and dropped; after WS_ERROR every call gives
 * WS_ERROR again.
 */
MUST_USE enum ws_event ws_message_feed(struct ws_message *self, const uint8_t **p, size_t *n);

/* Part of a message or of a frame is here: the peer must not end now. */
bool ws_message_is_partial(const struct ws_message *self);

const char *ws_event_name(enum ws_event event);
const char *ws_message_state_name(enum ws_message_state state);

#endif
