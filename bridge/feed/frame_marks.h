/*
 * Where the frames end that were put into a queue of bytes, so that one can tell how many of them
 * have left it whole. Holds no memory while there are none.
 */
#ifndef BRIDGE_FEED_FRAME_MARKS_H
#define BRIDGE_FEED_FRAME_MARKS_H

#include <stddef.h>
#include <stdint.h>

struct frame_marks {
	uint64_t *ends; /* a ring */
	uint32_t first;
	uint32_t n;
	uint32_t size; /* a power of two, or 0 */
};

void frame_marks_init(struct frame_marks *self);
void frame_marks_clear(struct frame_marks *self);
/* Offsets are counted from the first byte ever put and grow. */
void frame_marks_add(struct frame_marks *self, uint64_t end);
/* Forgets the frames that end at or before the offset. */
void frame_marks_pass(struct frame_marks *self, uint64_t offset);
static inline uint32_t frame_marks_count(const struct frame_marks *self)
{
	return self->n;
}

#endif
