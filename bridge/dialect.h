/*
 * What requests and packets look like to one family of clients: plain, later sockjs and engineio.
 */
#ifndef BRIDGE_DIALECT_H
#define BRIDGE_DIALECT_H

#include <stdbool.h>

struct bridge;
struct exchange;

struct dialect {
	const char *name;
	/*
	 * Takes the exchange over and answers it; false: not a request of this dialect,
	 * untouched.
	 */
	bool (*start)(struct bridge *bridge, struct exchange *x);
};

#endif
