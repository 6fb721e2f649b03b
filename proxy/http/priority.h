/* The Priority field (RFC 9218 section 4). Pure. */
#ifndef PROXY_HTTP_PRIORITY_H
#define PROXY_HTTP_PRIORITY_H

#include <stdbool.h>

#include "proxy/base/slice.h"

struct priority {
	unsigned urgency; /* 0 (first) to 7 */
	bool is_incremental;
};

#define PRIORITY_DEFAULT ((struct priority){.urgency = 3})

/* Changes what the value says; what it does not say, or not in a way that is understood, stays. */
void priority_read(struct priority *self, struct slice value);

#endif
