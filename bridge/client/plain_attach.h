/* The plain dialect's transports: a poll's JSON, event streams, JSON lines. */
#ifndef BRIDGE_CLIENT_PLAIN_ATTACH_H
#define BRIDGE_CLIENT_PLAIN_ATTACH_H

#include <stdint.h>

#include "bridge/client/plain_answer.h"
#include "bridge/client/plain_encode.h"
#include "bridge/session.h"

/* What a stream says before it begins elsewhere than the client asked. */
struct plain_reset_note {
	enum plain_reset reset;
	uint64_t lost_from; /* PLAIN_RESET_GAP */
	uint64_t lost_to;
};

/*
 * Continues the session after a good cursor in the form that was asked for: PLAIN_POLL, or a
 * stream that begins with the note (NULL: none). At the end of a closed session the answer is
 * plain_answer_gone, except behind a note, where the close is told again.
 */
void plain_attach(struct plain_exchange *self, struct session *session, uint64_t after,
	const struct plain_reset_note *note);

/* The body of a poll's answer without messages. */
void plain_attach_encode_empty(
	struct plain_exchange *self, struct bytes *out, uint64_t cursor, bool is_superseded);

#endif
