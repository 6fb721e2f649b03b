/*
 * What changes in a head when it passes a hop: hop-by-hop fields are removed (RFC 9110 section
 * 7.6.1), Via is added (section 7.6.3), what tells the backend about the client is set by the
 * route's rule (hop_client), and Host by the backend's. Pure.
 *
 * A field that the peer names in Connection is removed as well, but not one that Pollux knows to
 * travel end to end, nor Content-*, Sec-* and X-Forwarded-*: a client must not be able to take from
 * a request what the backend decides by. The removal comes before our own fields are added.
 */
#ifndef PROXY_ROUTE_HOP_H
#define PROXY_ROUTE_HOP_H

#include "conf/conf.h"
#include "proxy/base/arena.h"
#include "proxy/http/message.h"
#include "proxy/route/hop_client.h"

/*
 * The head to send to a backend, in the arena; `received` stays as it is and must live as long.
 * Host is in its authority alone, not among its fields; the rule CONF_HOST_SERVER is left to
 * backend_fetch, which knows the server. TE is not forwarded: the next hop is asked for no trailers
 * in particular, and those it sends anyway are passed on.
 */
struct request_head *hop_request(const struct request_head *received, struct arena *arena,
	const struct conf_route *route, const struct hop_client *client);

/* Removes from a response head, in place, what must not pass, and adds Via, and Date where it is
 * missing. */
void hop_response(struct response_head *head, struct arena *arena, const struct conf *conf);

#endif
