#include "bridge/ledger.h"

#include "proxy/base/macros.h"

void ledger_take(struct ledger *self, uint64_t n)
{
	self->n_taken += n;
	self->n_queued += n;
	ASSERT(ledger_is_balanced(self));
}

void ledger_acknowledge(struct ledger *self, uint64_t n)
{
	ASSERT(n <= self->n_queued);
	self->n_queued -= n;
	self->n_acknowledged += n;
	ASSERT(ledger_is_balanced(self));
}

void ledger_drop(struct ledger *self, uint64_t n)
{
	ASSERT(n <= self->n_queued);
	self->n_queued -= n;
	self->n_dropped += n;
	ASSERT(ledger_is_balanced(self));
}

void ledger_accept(struct ledger *self, uint64_t n)
{
	self->n_accepted += n;
	self->n_waiting += n;
	ASSERT(ledger_is_balanced(self));
}

void ledger_hand(struct ledger *self, uint64_t n)
{
	ASSERT(n <= self->n_waiting);
	self->n_waiting -= n;
	self->n_handed += n;
	ASSERT(ledger_is_balanced(self));
}

void ledger_give_up(struct ledger *self)
{
	self->n_undelivered += self->n_waiting;
	self->n_waiting = 0;
	ASSERT(ledger_is_balanced(self));
}

bool ledger_is_balanced(const struct ledger *self)
{
	return self->n_taken ==
		self->n_acknowledged + self->n_queued + self->n_dropped + self->n_forgotten &&
		self->n_accepted == self->n_handed + self->n_waiting + self->n_undelivered;
}

void ledger_add(struct ledger *sum, const struct ledger *self)
{
	sum->n_taken += self->n_taken;
	sum->n_acknowledged += self->n_acknowledged;
	sum->n_dropped += self->n_dropped;
	sum->n_forgotten += self->n_forgotten + self->n_queued;
	sum->n_accepted += self->n_accepted;
	sum->n_handed += self->n_handed;
	/* Nobody is left to hand over what waits. */
	sum->n_undelivered += self->n_undelivered + self->n_waiting;
	ASSERT(ledger_is_balanced(sum));
}
