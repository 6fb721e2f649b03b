#include "bench/load_websocket.h"

#include <string.h>

#include "bench/load.h"
#include "proxy/base/memory.h"

enum { SERIAL_DIGITS = 16, CONTROL_MAX = 125 };

size_t websocket_frame_room(void)
{
	return WIRE_HEADER_MAX + MAX(load.message_size, (size_t)CONTROL_MAX);
}

static uint32_t websocket_next_mask(void)
{
	static uint32_t state = 2463534242u;
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

size_t websocket_write_frame(char *out, enum wire_opcode opcode, const char *data, size_t n)
{
	uint8_t mask[4];
	uint32_t word = websocket_next_mask();
	memcpy(mask, &word, sizeof(mask));
	size_t header = wire_write_header(out, true, opcode, n, mask);
	memcpy(out + header, data, n);
	wire_mask(out + header, n, mask);
	return header + n;
}

size_t websocket_take_frame(
	const char *data, size_t n, struct wire_frame *frame, const char **wrong)
{
	*wrong = NULL;
	if (!wire_parse_frame(data, n, frame) || n - frame->header < frame->length)
		return 0;
	if (frame->opcode == WIRE_CLOSE)
		*wrong = "Close frame";
	else if (frame->masked || !frame->fin || frame->reserved)
		*wrong = "odd frame";
	return frame->header + (size_t)frame->length;
}

const char *websocket_payload(uint64_t serial)
{
	static char *payload;
	if (!payload) {
		payload = memory_alloc(load.message_size + 1);
		for (size_t i = 0; i < load.message_size; i++)
			payload[i] = (char)('a' + i % 26);
	}
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < MIN((size_t)SERIAL_DIGITS, load.message_size); i++)
		payload[i] = digits[serial >> 4 * i & 15];
	return payload;
}

bool websocket_is_echo(const struct wire_frame *frame, const char *data, uint64_t serial)
{
	return frame->opcode == WIRE_TEXT && frame->length == load.message_size &&
		memcmp(data + frame->header, websocket_payload(serial), load.message_size) == 0;
}
