/*
 * The loss ledger of a session, in items. Towards the client:
 *
 *	taken in = acknowledged + queued + dropped as a gap
 *
 * and towards the backend: accepted = handed to TCP + queued + undelivered (at the close). Both are
 * asserted whenever a counter moves together with a queue. A session's ledger is added to its
 * bridge's when the session is forgotten; what was queued then is n_forgotten.
 */
#ifndef BRIDGE_LEDGER_H
#define BRIDGE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct ledger {
	/* towards the client; the close is an item too */
	uint64_t n_taken;
	uint64_t n_acknowledged;
	uint64_t n_queued;    /* sent or not, not acknowledged */
	uint64_t n_dropped;   /* beyond the replay limit: told as a gap to whoever asks for them */
	uint64_t n_forgotten; /* queued when the session was forgotten; in sums only */
	/* towards the backend */
	uint64_t n_accepted;
	uint64_t n_handed;
	uint64_t n_waiting;
	uint64_t n_undelivered;
};

/* n items from the feed entered the queue. */
void ledger_take(struct ledger *self, uint64_t n);
/* n items left the queue because the client has them. */
void ledger_acknowledge(struct ledger *self, uint64_t n);
/* n items left the queue because the replay limit was reached. */
void ledger_drop(struct ledger *self, uint64_t n);

/* n frames entered the queue to the backend; n of them were wholly handed to TCP; all that still
 * wait will never be. */
void ledger_accept(struct ledger *self, uint64_t n);
void ledger_hand(struct ledger *self, uint64_t n);
void ledger_give_up(struct ledger *self);

/* Both equations, with n_forgotten on the right side of the first. */
bool ledger_is_balanced(const struct ledger *self);
/* Adds a session's ledger that is over to a sum: what is queued counts as forgotten. */
void ledger_add(struct ledger *sum, const struct ledger *self);

#endif
