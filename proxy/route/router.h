/*
 * From host and path to a route: the most specific host first, then exact paths, then the longest
 * prefix of whole segments. A host whose routes do not have the path leaves it to the less
 * specific ones. Pure.
 */
#ifndef PROXY_ROUTE_ROUTER_H
#define PROXY_ROUTE_ROUTER_H

#include "conf/conf.h"
#include "proxy/base/slice.h"

struct router;

/* Borrows the configuration, which must outlive the router. */
struct router *router_new(const struct conf *conf);
void router_free(struct router *self);
/*
 * `authority` may have a port and any case; `path` is undecoded ("*" is matched by "/" alone).
 * NULL: no route.
 */
const struct conf_route *router_find(
	const struct router *self, struct slice authority, struct slice path);

#endif
