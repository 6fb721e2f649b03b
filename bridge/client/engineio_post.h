/*
 * Posts: a payload of the client's, each packet a frame for the backend. "ok" means that all of
 * them are in the queue to the backend, in order; while that is full the post waits. One at a time.
 *
 * What makes it doubtful which packets have been taken ends the session. A post that is sent again
 * (engineio_mark) is answered again and not taken again.
 */
#ifndef BRIDGE_CLIENT_ENGINEIO_POST_H
#define BRIDGE_CLIENT_ENGINEIO_POST_H

#include "bridge/client/engineio_answer.h"

/* ENGINEIO_POST, of a session that is not upgraded. */
void engineio_post_start(struct engineio_exchange *self, struct engineio_session *session);

#endif
