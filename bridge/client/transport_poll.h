/*
 * A transport that is one answer: waits until the session has something, then answers with a
 * batch (at most the route's batch_messages and batch_size, but at least one message), or with
 * nothing when the time is over. How the answer looks is the dialect's matter.
 */
#ifndef BRIDGE_CLIENT_TRANSPORT_POLL_H
#define BRIDGE_CLIENT_TRANSPORT_POLL_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/session.h"
#include "bridge/transport.h"
#include "proxy/http/exchange.h"

/*
 * Answers the exchange with the items from `first` (NULL: none) up to the number `cursor`; a
 * MESSAGE_CLOSE may be the last. Called once, unless the client goes before.
 */
struct poll_form {
	void (*answer)(void *arg, const struct message *first, uint64_t cursor, bool is_superseded);
};

/*
 * Attaches, which acknowledges `after`. The exchange has no answer yet; its handler becomes the
 * transport. `arg` lives in the exchange's arena or longer.
 */
void transport_poll_start(struct exchange *x, struct session *session, uint64_t after,
	uint64_t wait_ms, const struct poll_form *form, void *arg);

#endif
