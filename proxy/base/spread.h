/*
 * Times spread over a window, so that many who are sent away do not all come back at once. The
 * first is the start of the window, and however many are asked for lie nearly evenly in it: their
 * number need not be known.
 */
#ifndef PROXY_BASE_SPREAD_H
#define PROXY_BASE_SPREAD_H

#include <stdint.h>

struct spread {
	uint64_t start_ms;
	uint64_t window_ms;
	uint32_t n;	  /* given out so far */
	uint64_t last_ms; /* the latest of them; 0: none */
};

uint64_t spread_next_ms(struct spread *self);

#endif
