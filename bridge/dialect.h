/*
 * What requests and packets look like to one family of clients: plain, sockjs, engineio.
 */
#ifndef BRIDGE_DIALECT_H
#define BRIDGE_DIALECT_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/slice.h"

struct bridge;
struct exchange;

struct dialect {
	const char *name;
	/*
	 * Takes the exchange over and answers it; false: not a request of this dialect,
	 * untouched.
	 */
	bool (*start)(struct bridge *bridge, struct exchange *x);
	/*
	 * Which of n workers, by slot, has the session that the request is about; -1: each may
	 * answer it. Looks only.
	 */
	int (*owner)(struct bridge *bridge, struct exchange *x, size_t n_slots);
};

/* For keys that clients choose: the same slot in each worker. */
int dialect_owner_of_key(struct slice key, size_t n_slots);

#endif
