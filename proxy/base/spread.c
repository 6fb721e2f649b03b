#include "proxy/base/spread.h"

#include "proxy/base/macros.h"

/*
 * Multiples of the golden section modulo 1, as fractions of 2^32: each falls into one of the widest
 * gaps that those before it have left.
 */
#define GOLDEN UINT32_C(2654435769)

uint64_t spread_next_ms(struct spread *self)
{
	uint64_t fraction = (uint32_t)(self->n++ * GOLDEN);

	/* In two steps, so that no window is too long. */
	uint64_t at_ms = self->start_ms + (self->window_ms >> 32) * fraction +
		((self->window_ms & UINT32_MAX) * fraction >> 32);

	self->last_ms = MAX(self->last_ms, at_ms);
	return at_ms;
}
