/*
 * A session's way from polls to a WebSocket of the client's. The backend does not notice.
 *
 *	2probe -> (3probe) PROBED -> 5 -> BOUND: the session's transport, for good
 *
 * Until then it is a candidate: what fails there does no harm to the session, which is still on its
 * polls. A second candidate, and one that comes when the session has moved, is closed at once.
 */
#ifndef BRIDGE_CLIENT_ENGINEIO_UPGRADE_H
#define BRIDGE_CLIENT_ENGINEIO_UPGRADE_H

#include "bridge/client/engineio_answer.h"

/* ENGINEIO_UPGRADE. */
void engineio_upgrade_start(struct engineio_exchange *self, struct engineio_session *session);

/* The session of this candidate is over. */
void engineio_upgrade_leave(struct engineio_upgrade *self);

#endif
