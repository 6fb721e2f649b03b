/* Collects the body of a request, up to a limit. A body that is cut is never told. */
#ifndef BRIDGE_CLIENT_POST_H
#define BRIDGE_CLIENT_POST_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/bytes.h"
#include "proxy/base/slice.h"
#include "proxy/http/exchange.h"

struct post {
	struct exchange *x;
	struct bytes body;
	uint64_t limit;
	/*
	 * Once: the body is complete, or (is_complete false) has passed the limit. Never from
	 * inside post_start.
	 */
	void (*on_done)(void *arg, bool is_complete);
	void *arg;
	struct notice done;
};

/* Asks the client to go on (100) where it waits for that. Nothing is read when Content-Length alone
 * says that it is too much. */
void post_start(struct post *self, struct exchange *x, uint64_t limit,
	void (*on_done)(void *arg, bool is_complete), void *arg);
/* Contiguous, until the post is cleared. */
struct slice post_body(struct post *self);
/* Drops the body; on_done does not come any more. Idempotent. */
void post_clear(struct post *self);

#endif
