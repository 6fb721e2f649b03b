/*
 * What an HTTP/2 client may do that costs us work and brings it nothing: resets (its own and those
 * that it provokes), empty frames, pings, settings, priorities, window updates without need. One
 * budget per connection for all of them (RFC 9113 section 10.5), so that no mixture gets by. It
 * refills slowly; whoever overdraws it is told to calm down and loses the connection. Pure.
 */
#ifndef PROXY_HTTP_H2_BUDGET_H
#define PROXY_HTTP_H2_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/macros.h"

/* What each costs. The full budget pays for a thousand resets at once, and for 33 a second. */
enum h2_cost {
	H2_COST_RESET = 10,
	H2_COST_SETTINGS = 10,
	H2_COST_CONTINUATION = 5,
	H2_COST_EMPTY_FRAME = 5,
	H2_COST_PING = 2,
	H2_COST_PRIORITY = 1,
	H2_COST_WINDOW_UPDATE = 1,
	H2_COST_OTHER_FRAME = 1,
};

#define H2_BUDGET_SIZE 10000
#define H2_BUDGET_MS_PER_UNIT 3

struct h2_budget {
	uint32_t left;
	uint64_t filled_ms;
};

void h2_budget_start(struct h2_budget *self, uint64_t now_ms);
/* False: overdrawn. */
MUST_USE bool h2_budget_spend(struct h2_budget *self, uint64_t now_ms, uint32_t cost);
/* Each DATA frame that we send justifies window updates: of its stream and of the connection. */
void h2_budget_earn(struct h2_budget *self, uint32_t n);

#endif
