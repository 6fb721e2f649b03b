/*
 * The subprotocol pollux.v1 of the plain dialect: a session over a WebSocket, which ends here and
 * not at the backend. Down go the texts of JSON lines, up what plain_frame.h says; a message is
 * answered with {"sent":N} or an error:
 *
 *	{"error":"gap","expected":N}		its number is not the next
 *	{"error":"queue is full","expected":N}	the backend did not read for send_timeout
 *	{"error":"too big","expected":N}	over max_message_size
 *	{"error":"closed"}			the session takes no more
 *	{"error":"cursor","cursor":N}		an ack above what was sent
 *
 * A frame that is no such thing closes the WebSocket with 1008. While the backend does not read,
 *the WebSocket is not read.
 */
#ifndef BRIDGE_CLIENT_PLAIN_SOCKET_H
#define BRIDGE_CLIENT_PLAIN_SOCKET_H

#include <stdint.h>

#include "bridge/client/plain_answer.h"
#include "bridge/client/plain_attach.h"
#include "bridge/session.h"

/*
 * Accepts the handshake and attaches after a good cursor; px->extra are fields of the answer, of
 * which the backend's subprotocol goes into the first text. The note as in plain_attach. The
 * exchange's arena ends with the turn.
 */
void plain_socket_start(struct plain_exchange *self, struct session *session, uint64_t after,
	const struct plain_reset_note *note);

#endif
