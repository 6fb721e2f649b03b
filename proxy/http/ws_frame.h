/*
 * WebSocket frames (RFC 6455 section 5.2): heads read from arbitrary pieces and written, the mask,
 * the close payload. Pure: knows no connection, holds no memory, never touches a payload unless
 * asked to mask it. What frames add up to is ws_message's matter.
 *
 *   byte 0       byte 1      if l is 126, 127     if M
 *   F RRR oooo   M lllllll   2 or 8 bytes         4 bytes
 *   | |   |      | |         |                    |
 *   | rsv opcode | length    length, big-endian   mask
 *   fin          masked
 */
#ifndef PROXY_HTTP_WS_FRAME_H
#define PROXY_HTTP_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

#define WS_FRAME_HEAD_MAX 14
#define WS_CONTROL_MAX 125 /* bytes of payload in a control frame */

/* Section 11.8; the parser refuses every other number. */
enum ws_opcode {
	WS_OP_CONTINUATION = 0x0,
	WS_OP_TEXT = 0x1,
	WS_OP_BINARY = 0x2,
	WS_OP_CLOSE = 0x8,
	WS_OP_PING = 0x9,
	WS_OP_PONG = 0xa,
};

/*
 * Section 7.4.1 and IANA's registry. Applications have 3000 to 4999, so a code on the wire is a
 * uint16_t.
 */
enum ws_close_code {
	WS_CODE_NORMAL = 1000,
	WS_CODE_GOING_AWAY = 1001,
	WS_CODE_PROTOCOL_ERROR = 1002,
	WS_CODE_UNSUPPORTED_DATA = 1003,
	WS_CODE_NO_STATUS = 1005, /* never on the wire: the close frame was empty */
	WS_CODE_ABNORMAL = 1006,  /* never on the wire: there was no close frame */
	WS_CODE_INVALID_DATA = 1007,
	WS_CODE_POLICY_VIOLATION = 1008,
	WS_CODE_TOO_BIG = 1009,
	WS_CODE_EXTENSION_NEEDED = 1010,
	WS_CODE_INTERNAL_ERROR = 1011,
	WS_CODE_SERVICE_RESTART = 1012,
	WS_CODE_TRY_AGAIN_LATER = 1013,
	WS_CODE_BAD_GATEWAY = 1014,
	WS_CODE_TLS_FAILED = 1015, /* never on the wire */
};

/* What can be wrong with a head. The close code for each is 1002. */
enum ws_frame_error {
	WS_FRAME_OK,
	WS_FRAME_RSV_SET,
	WS_FRAME_RESERVED_OPCODE,
	WS_FRAME_FRAGMENTED_CONTROL,
	WS_FRAME_LONG_CONTROL,
	WS_FRAME_UNMASKED,
	WS_FRAME_MASKED,
	WS_FRAME_LENGTH_TOP_BIT,
	WS_FRAME_LENGTH_NOT_MINIMAL,
};

enum ws_frame_status {
	WS_FRAME_MORE,	/* all bytes taken, the head is not complete */
	WS_FRAME_HEAD,	/* the head is taken, the payload follows */
	WS_FRAME_ERROR, /* the head is wrong: see parser.error */
};

/* A head. */
struct ws_frame {
	uint64_t length; /* of the payload in bytes, below 2^63 */
	enum ws_opcode opcode;
	bool fin;
	bool masked;
	uint8_t rsv;	 /* RSV1 is 4, RSV2 2, RSV3 1 */
	uint8_t mask[4]; /* meaningless unless masked */
};

/*
 * Where one direction of a connection stands: within a head, within a payload, or between frames.
 * 32 bytes, because an idle tunnel keeps two of them.
 */
struct ws_frame_parser {
	uint64_t left; /* bytes of the current payload not yet taken */
	uint8_t head[WS_FRAME_HEAD_MAX];
	uint8_t have; /* bytes of the next head in `head` */
	bool expect_masked;
	uint8_t allowed_rsv;
	uint8_t error; /* enum ws_frame_error */
};

/*
 * expect_masked: the peer is the client of this WebSocket, and every frame must be masked;
 * otherwise none may be. allowed_rsv: the reserved bits (as in struct ws_frame) that a negotiated
 * extension gives a meaning to, else 0.
 */
void ws_frame_parser_init(struct ws_frame_parser *self, bool expect_masked, uint8_t allowed_rsv);

/*
 * Takes head bytes from *p, *n and moves both past them. Not to be called within a payload: after
 * WS_FRAME_HEAD the next frame->length bytes are the caller's to take with ws_frame_take(). A wrong
 * head is refused at its first wrong byte; after WS_FRAME_ERROR every call gives WS_FRAME_ERROR
 * again, and where *p stands means nothing.
 */
MUST_USE enum ws_frame_status ws_frame_parse(
	struct ws_frame_parser *self, const uint8_t **p, size_t *n, struct ws_frame *frame);

/* How many of the next n bytes are payload of the current frame; they count as taken. */
size_t ws_frame_take(struct ws_frame_parser *self, size_t n);

/* Between frames: another frame may be put here. */
bool ws_frame_is_boundary(const struct ws_frame_parser *self);

/*
 * Masks or unmasks (it is the same, section 5.3) n bytes that stand at `offset` within their
 * payload. dst and src are the same place or do not overlap.
 */
void ws_frame_mask(
	uint8_t *dst, const uint8_t *src, size_t n, const uint8_t mask[4], uint64_t offset);

/* Writes a head with RSV 0 and gives its size, 2 to 14. mask: NULL for an unmasked frame. */
size_t ws_frame_write_head(uint8_t out[WS_FRAME_HEAD_MAX], bool fin, enum ws_opcode opcode,
	uint64_t length, const uint8_t *mask);

/*
 * Writes the payload of a close frame and gives its size: nothing for WS_CODE_NO_STATUS, else the
 * code, which must be valid, and the reason, which must be UTF-8 and is cut at a character to fit.
 */
size_t ws_close_write(uint8_t out[WS_CONTROL_MAX], uint16_t code, struct slice reason);
/* Whether the code may stand in a close frame (section 7.4). */
bool ws_close_code_is_valid(unsigned code);

bool ws_opcode_is_control(enum ws_opcode opcode);

/* For logs and close reasons, never NULL: "ping", "going away", "reserved bit set". */
const char *ws_opcode_name(enum ws_opcode opcode);
const char *ws_close_code_name(uint16_t code);
const char *ws_frame_error_name(enum ws_frame_error error);
const char *ws_frame_status_name(enum ws_frame_status status);

#endif
