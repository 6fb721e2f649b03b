/*
 * The little of WebSocket (RFC 6455) that an origin and a load generator speak: one frame header
 * each way, the mask, the accept value. It shares nothing with the proxy's framing on purpose: the
 * bench is the other end of the proxy, so a fault in one of them must not be mirrored in the other.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/slice.h"

enum wire_opcode {
	WIRE_CONTINUATION = 0,
	WIRE_TEXT = 1,
	WIRE_BINARY = 2,
	WIRE_CLOSE = 8,
	WIRE_PING = 9,
	WIRE_PONG = 10,
};

enum { WIRE_HEADER_MAX = 14, WIRE_ACCEPT_SIZE = 29 };

struct wire_frame {
	bool fin;
	uint8_t reserved; /* the three RSV bits */
	uint8_t opcode;
	bool masked;
	uint8_t mask[4];
	size_t header;	 /* bytes */
	uint64_t length; /* of the payload */
};

/* False while the header is not complete. */
bool wire_parse_frame(const char *data, size_t n, struct wire_frame *out);
/* Writes the header of a frame, masked when `mask` is not NULL; returns its size. */
size_t wire_write_header(char *out, bool fin, uint8_t opcode, size_t length, const uint8_t *mask);
/* Masks or unmasks in place, from the payload's first byte. */
void wire_mask(char *data, size_t n, const uint8_t mask[4]);
/* Sec-WebSocket-Accept for a key, with a NUL. */
void wire_accept(struct slice key, char out[WIRE_ACCEPT_SIZE]);

#endif
