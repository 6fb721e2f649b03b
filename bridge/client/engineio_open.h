/*
 * Openings: the backend is asked for a WebSocket, and its first frame, the open packet, becomes the
 * answer, with our id in place of its own.
 */
#ifndef BRIDGE_CLIENT_ENGINEIO_OPEN_H
#define BRIDGE_CLIENT_ENGINEIO_OPEN_H

#include "bridge/client/engineio_answer.h"

/* ENGINEIO_OPEN. */
void engineio_open_start(struct engineio_exchange *self);

#endif
