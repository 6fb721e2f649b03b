/* The load generator's end of a WebSocket: masked frames out, unmasked ones in. What carries them,
 * a connection of HTTP/1.1 or a stream of HTTP/2, is the mode's business. */
#ifndef BENCH_LOAD_WEBSOCKET_H
#define BENCH_LOAD_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/wire.h"

/* Room for a frame that websocket_write_frame() writes. */
size_t websocket_frame_room(void);
/* Writes a masked frame; returns its size. `n` is at most the message size, or 125. */
size_t websocket_write_frame(char *out, enum wire_opcode opcode, const char *data, size_t n);

/* Looks for a whole frame at the front: 0 while it is incomplete, else its size. `wrong` is set to
 * what makes it one that no server may send here, a Close frame included, else to NULL. */
size_t websocket_take_frame(
	const char *data, size_t n, struct wire_frame *frame, const char **wrong);

/* The payload of the echo with that number; every number's differs. */
const char *websocket_payload(uint64_t serial);
/* Whether the frame is the echo with that number. */
bool websocket_is_echo(const struct wire_frame *frame, const char *data, uint64_t serial);

#endif
