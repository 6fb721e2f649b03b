/*
 * Openings of the plain dialect: a POST's body is collected, the idempotency key looked up, the
 * feed dialled; then the answer is given in the form that was asked for, or the backend's refusal
 * passed on.
 */
#ifndef BRIDGE_CLIENT_PLAIN_OPEN_H
#define BRIDGE_CLIENT_PLAIN_OPEN_H

#include "bridge/client/plain_answer.h"
#include "bridge/client/plain_attach.h"

/* PLAIN_OPEN. `note` (NULL: none) is for the new session's stream. */
void plain_open_start(struct plain_exchange *self, const struct plain_reset_note *note);

#endif
