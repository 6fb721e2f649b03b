/* Which server of a backend gets a request. Pure but for the servers' health. */
#ifndef PROXY_ROUTE_BALANCE_H
#define PROXY_ROUTE_BALANCE_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/route/server.h"

enum balance_result {
	BALANCE_FOUND,
	BALANCE_FULL, /* each server that is up has all the connections it may have */
	BALANCE_NONE, /* each server is down or was tried */
};

const char *balance_result_name(enum balance_result result);

/* More servers than this may be tried twice for one request. */
#define BALANCE_MAX_TRIED 64

/*
 * Chooses among the servers that are up and not in `tried` (bits by index). *turn is the backend's;
 * with CONF_BALANCE_LEAST_CONN it decides between servers with equally many connections in use.
 */
enum balance_result balance_choose(struct server *servers, size_t n, enum conf_balance rule,
	size_t *turn, uint64_t tried, struct server **chosen);

#endif
