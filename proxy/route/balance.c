#include "proxy/route/balance.h"

const char *balance_result_name(enum balance_result result)
{
	switch (result) {
	case BALANCE_FOUND:
		return "found";
	case BALANCE_FULL:
		return "full";
	case BALANCE_NONE:
		return "none";
	}
	return "?";
}

static bool was_tried(uint64_t tried, size_t index)
{
	return index < BALANCE_MAX_TRIED && (tried >> index & 1) != 0;
}

enum balance_result balance_choose(struct server *servers, size_t n, enum conf_balance rule,
	size_t *turn, uint64_t tried, struct server **chosen)
{
	enum balance_result result = BALANCE_NONE;
	struct server *best = NULL;
	size_t start = *turn < n ? *turn : 0;

	for (size_t i = 0; i < n; i++) {
		size_t index = start + i < n ? start + i : start + i - n;
		struct server *server = &servers[index];

		if (was_tried(tried, index) || !server_is_up(server))
			continue;
		if (server_is_full(server)) {
			if (best == NULL)
				result = BALANCE_FULL;
			continue;
		}
		if (best == NULL || server_n_in_use(server) < server_n_in_use(best))
			best = server;
		result = BALANCE_FOUND;
		if (rule == CONF_BALANCE_ROUND_ROBIN)
			break;
	}
	if (best != NULL) {
		*turn = (size_t)(best - servers) + 1;
		server_on_chosen(best);
	}
	*chosen = best;
	return result;
}
