/*
 * Polls: the transport that answers one GET with what has come from the backend.
 *
 * A poll waits without a limit of its own: the backend's ping ends it. What comes first is given
 * some milliseconds of company, so that what the backend said at once goes in one answer. A packet
 * that ends the session goes alone.
 *
 * A client that asks again has got the answer before, unless it asks with the same mark `t`: then
 * the same is answered again (browsers repeat a GET whose connection broke). An answer that could
 * not be written ends the session, since nobody knows what the client has.
 */
#ifndef BRIDGE_CLIENT_ENGINEIO_POLL_H
#define BRIDGE_CLIENT_ENGINEIO_POLL_H

#include "bridge/client/engineio_answer.h"

/* ENGINEIO_POLL, of a session that is not upgraded. */
void engineio_poll_start(struct engineio_exchange *self, struct engineio_session *session);

/* The client wants to leave for its WebSocket: a poll without packets is answered with a noop. */
void engineio_poll_hurry(struct engineio_poll *self);

#endif
