#include "proxy/http/h2_budget.h"

void h2_budget_start(struct h2_budget *self, uint64_t now_ms)
{
	self->left = H2_BUDGET_SIZE;
	self->filled_ms = now_ms;
}

void h2_budget_earn(struct h2_budget *self, uint32_t n)
{
	self->left = MIN(self->left + n, (uint32_t)H2_BUDGET_SIZE);
}

static void refill(struct h2_budget *self, uint64_t now_ms)
{
	uint64_t n = (now_ms - self->filled_ms) / H2_BUDGET_MS_PER_UNIT;

	self->left = (uint32_t)MIN(self->left + n, (uint64_t)H2_BUDGET_SIZE);
	self->filled_ms += n * H2_BUDGET_MS_PER_UNIT;
}

bool h2_budget_spend(struct h2_budget *self, uint64_t now_ms, uint32_t cost)
{
	if (UNLIKELY(self->left < cost))
		refill(self, now_ms);
	if (self->left < cost)
		return false;
	self->left -= cost;
	return true;
}
