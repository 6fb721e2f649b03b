/*
 * A transport that is a response without end: writes each item of the session as it comes, as
 * fast as the client takes them, and a heartbeat when there was nothing for the route's
 * heartbeat_ms. Ends after the session's close, when superseded and at a drain. How items look is
 * the dialect's matter.
 *
 * Items that it wrote are kept by the session until the client's TCP has acknowledged them. A
 * client whose TCP acknowledges nothing for send_timeout_ms counts as gone.
 */
#ifndef BRIDGE_CLIENT_TRANSPORT_STREAM_H
#define BRIDGE_CLIENT_TRANSPORT_STREAM_H

#include <stdint.h>

#include "bridge/session.h"
#include "bridge/transport.h"
#include "proxy/base/bytes.h"
#include "proxy/http/exchange.h"

struct stream_form {
	void (*encode)(
		const struct session *session, struct bytes *out, const struct message *item);
	void (*encode_heartbeat)(struct bytes *out);
};

/*
 * Attaches, which acknowledges `after`. The exchange has been responded to with a head; `prelude`
 * (taken) is the beginning of the body. The exchange's handler becomes the transport; what the
 * handler before has in the exchange's arena is gone soon.
 */
void transport_stream_start(struct exchange *x, struct session *session, uint64_t after,
	struct bytes *prelude, const struct stream_form *form);

#endif
