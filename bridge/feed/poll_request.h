/*
 * The request of a poll. It speaks for nobody in particular: no cookie, no field of a client.
 */
#ifndef BRIDGE_FEED_POLL_REQUEST_H
#define BRIDGE_FEED_POLL_REQUEST_H

#include "conf/conf.h"
#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/http/message.h"

/* Of the value that is known; empty: none. */
struct poll_validators {
	struct slice tag;
	struct slice modified;
};

/*
 * GET with Host by the backend's rule, where "preserve" means the first host of the route that is
 * no pattern, or the server's; Accept, User-Agent, Via; If-None-Match with the tag, else
 * If-Modified-Since. In the arena.
 */
struct request_head *poll_request_make(const struct conf_route *route,
	const struct poll_validators *validators, struct arena *arena);

#endif
