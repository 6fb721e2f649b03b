/*
 * A transport that is a response of frames: each is put into the response when the one before has
 * been taken out, so that over HTTP/1.1 each is a chunk of its own (as far as one write takes it).
 * A frame has all the items that wait, up to the route's batch_messages and batch_size; a close
 * has one of its own. The response ends after the close, and when its frames have come to `limit`
 * bytes: with a limit of 1 it is a poll. A heartbeat is a frame that comes where there was none for
 * heartbeat_ms. How frames look is the dialect's matter.
 *
 * A client whose TCP acknowledges nothing for the route's send_timeout counts as gone.
 *
 * Its clients acknowledge nothing but by coming again, so a response that breaks off ends the
 * session: what it had written may be lost, and nobody would ever tell.
 */
#ifndef BRIDGE_CLIENT_TRANSPORT_FRAMES_H
#define BRIDGE_CLIENT_TRANSPORT_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/session.h"
#include "bridge/transport.h"
#include "proxy/base/bytes.h"
#include "proxy/http/exchange.h"

struct frames_form {
	/* Responds with the head, where the first piece brings it along. */
	void (*respond)(void *arg);
	/* Items from first to last: texts, or one close. */
	void (*encode)(void *arg, struct bytes *out, const struct message *first,
		const struct message *last);
	void (*encode_heartbeat)(void *arg, struct bytes *out);
	/* The session is forgotten or Pollux is leaving. */
	void (*encode_end)(void *arg, struct bytes *out);
};

struct frames_options {
	uint64_t limit;
	uint64_t heartbeat_ms;
};

/* Writes pieces of a response one by one, before a transport is there and after. */
struct frames_lead {
	struct bytes prelude; /* does not count against the limit; may be empty */
	struct bytes frame;
	bool has_head; /* the exchange has been responded to */
};

/*
 * Attaches after all that the session has sent; it must have no transport that is waiting. Nothing
 * but a prelude was put into the exchange's body; `lead` (taken) goes before the items. The
 * exchange's handler becomes the transport. `arg` lives in the exchange's arena or longer.
 */
void transport_frames_start(struct exchange *x, struct session *session, struct frames_lead *lead,
	const struct frames_options *options, const struct frames_form *form, void *arg);

/*
 * Whether the session's transport, one of these, has something to write still or waits. If not, its
 * response has been given whole, and another one may take its place.
 */
bool transport_frames_is_waiting(const struct session *session);

#endif
