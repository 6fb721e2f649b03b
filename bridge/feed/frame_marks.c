#include "bridge/feed/frame_marks.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"

#define FIRST_SIZE 16

void frame_marks_init(struct frame_marks *self)
{
	*self = (struct frame_marks){0};
}

void frame_marks_clear(struct frame_marks *self)
{
	free(self->ends);
	frame_marks_init(self);
}

static void grow(struct frame_marks *self)
{
	uint32_t size = self->size == 0 ? FIRST_SIZE : 2 * self->size;
	uint64_t *ends = memory_alloc(size * sizeof(*ends));

	for (uint32_t i = 0; i < self->n; i++)
		ends[i] = self->ends[(self->first + i) & (self->size - 1)];
	free(self->ends);
	self->ends = ends;
	self->first = 0;
	self->size = size;
}

void frame_marks_add(struct frame_marks *self, uint64_t end)
{
	if (self->n == self->size)
		grow(self);
	self->ends[(self->first + self->n++) & (self->size - 1)] = end;
}

void frame_marks_pass(struct frame_marks *self, uint64_t offset)
{
	while (self->n > 0 && self->ends[self->first] <= offset) {
		self->first = (self->first + 1) & (self->size - 1);
		self->n--;
	}
	if (self->n == 0 && self->size > 0)
		frame_marks_clear(self);
}
