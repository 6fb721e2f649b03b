#include "proxy/base/utf8.h"

#include <string.h>

/*
 * A state machine that steps by one shift: a state is a bit position, and the table's entry for a
 * byte holds at that position the 6-bit number of the state that follows. The state INVALID is 0
 * and so is every position that is not written below, hence what is not allowed goes there, and
 * stays there.
 */
enum {
	INVALID = 0,
	START = 6,	 /* between characters */
	TAIL_1 = 12,	 /* one continuation byte to come */
	TAIL_2 = 18,	 /* two */
	TAIL_3 = 24,	 /* three */
	AFTER_E0 = 30,	 /* 80..9f would be overlong */
	AFTER_ED = 36,	 /* a0..bf would be a surrogate */
	AFTER_F0 = 42,	 /* 80..8f would be overlong */
	AFTER_F4 = 48,	 /* 90..bf would be above U+10FFFF */
	STATE_MASK = 63, /* the bits of one position */
};

#define GO(from, to) ((uint64_t)(to) << (from))
#define TAIL (GO(TAIL_1, START) | GO(TAIL_2, TAIL_1) | GO(TAIL_3, TAIL_2))

static const uint64_t steps[256] = {
	[0x00 ... 0x7f] = GO(START, START),
	[0x80 ... 0x8f] = TAIL | GO(AFTER_ED, TAIL_1) | GO(AFTER_F4, TAIL_2),
	[0x90 ... 0x9f] = TAIL | GO(AFTER_ED, TAIL_1) | GO(AFTER_F0, TAIL_2),
	[0xa0 ... 0xbf] = TAIL | GO(AFTER_E0, TAIL_1) | GO(AFTER_F0, TAIL_2),
	[0xc2 ... 0xdf] = GO(START, TAIL_1),
	[0xe0] = GO(START, AFTER_E0),
	[0xe1 ... 0xec] = GO(START, TAIL_2),
	[0xed] = GO(START, AFTER_ED),
	[0xee ... 0xef] = GO(START, TAIL_2),
	[0xf0] = GO(START, AFTER_F0),
	[0xf1 ... 0xf3] = GO(START, TAIL_3),
	[0xf4] = GO(START, AFTER_F4),
};

#define WORD sizeof(uint64_t)
#define HIGH_BITS UINT64_C(0x8080808080808080)

static inline uint64_t load(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, WORD);
	return word;
}

static inline unsigned step(unsigned state, uint8_t byte)
{
	return (unsigned)(steps[byte] >> state) & STATE_MASK;
}

/* How many whole words at p are ASCII, in bytes. */
static size_t skip_ascii(const uint8_t *p, size_t n)
{
	size_t at = 0;

	while (n - at >= 4 * WORD) {
		uint64_t any = load(p + at) | load(p + at + WORD) | load(p + at + 2 * WORD) |
			load(p + at + 3 * WORD);

		if ((any & HIGH_BITS) != 0)
			break;
		at += 4 * WORD;
	}
	while (n - at >= WORD && (load(p + at) & HIGH_BITS) == 0)
		at += WORD;
	return at;
}

void utf8_init(struct utf8 *self)
{
	self->state = START;
}

bool utf8_feed(struct utf8 *self, const void *data, size_t n)
{
	const uint8_t *p = data;
	unsigned state = self->state;
	size_t at = 0;

	while (n - at >= WORD && state != INVALID) {
		if (state == START && (load(p + at) & HIGH_BITS) == 0) {
			at += skip_ascii(p + at, n - at);
			continue;
		}
		for (size_t i = 0; i < WORD; i++)
			state = step(state, p[at + i]);
		at += WORD;
	}
	for (; at < n; at++)
		state = step(state, p[at]);
	self->state = (uint8_t)state;
	return state != INVALID;
}

bool utf8_is_complete(const struct utf8 *self)
{
	return self->state == START;
}

bool utf8_is_valid(const void *p, size_t n)
{
	struct utf8 text;

	utf8_init(&text);
	return utf8_feed(&text, p, n) && utf8_is_complete(&text);
}

size_t utf8_prefix_size(const void *data, size_t n, size_t max)
{
	const uint8_t *p = data;

	if (n <= max)
		return n;
	while (max > 0 && (p[max] & 0xc0) == 0x80)
		max--;
	return max;
}
