/*
 * The bridge of one route: lets HTTP clients hold sessions that the backend sees as WebSockets.
 *
 *	exchange -> bridge -> dialect -> transport -> session -> feed -> backend
 *
 * One per route that has dialects, in each worker. Dialects (client/), transports (client/) and
 * feeds (feed/) are three independent axes; session.h is what they meet in.
 */
#ifndef BRIDGE_BRIDGE_H
#define BRIDGE_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "bridge/feed.h"
#include "bridge/ledger.h"
#include "bridge/session_table.h"
#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/base/slice.h"
#include "proxy/base/spread.h"
#include "proxy/http/exchange.h"
#include "proxy/route/backend.h"

struct poll_source;

struct bridge {
	struct loop *loop;
	const struct conf_route *route;
	struct backend *backend;
	struct session_table table;
	struct feed_list feeds;	    /* all, also those whose session is gone */
	struct poll_source *source; /* of its feeds; NULL: they are WebSockets */
	size_t max_conns;	    /* 0: no limit */
	bool is_draining;
	bool is_closed;
	struct grave grave;
};

/*
 * `tag` begins the ids of its sessions ("w1."): at most SESSION_ID_TAG_MAX of A-Z a-z 0-9 _ - and a
 * dot at the end. Keeps a reference to the route's configuration; the backend is borrowed and must
 * outlive it.
 */
struct bridge *bridge_new(struct loop *loop, const struct conf_route *route,
	struct backend *backend, struct slice tag);

/* Of several workers: what is counted together. */
void bridge_share(struct bridge *self, const struct session_counts *counts);

/* While there are this many conns in the process, no new session is opened (503). */
void bridge_set_max_conns(struct bridge *self, size_t n);
/* Whether a new session may be opened, as far as conns go. */
bool bridge_has_conns(const struct bridge *self);

/*
 * A request of the route. True: the bridge answers it (and has set its handler). False: it is
 * ordinary HTTP or a WebSocket handshake that may pass, untouched, to be forwarded.
 */
bool bridge_start(struct bridge *self, struct exchange *x);

/*
 * Which of n workers, by slot, has the session that a request of the route is about; -1: each may
 * answer it.
 */
int bridge_owner(struct bridge *self, struct exchange *x, size_t n_slots);

/*
 * The feed that the route says, opened for a session. What is needed of the target and the exchange
 * is copied. Dialects know no kind of feed.
 */
struct feed *bridge_new_feed(struct bridge *self, const struct feed_target *target,
	struct exchange *x, const struct feed_owner *owner, void *arg);

/* Whether what feeds sessions is a WebSocket of the backend, so that a client's may pass to it. */
bool bridge_has_tunnels(const struct bridge *self);
/*
 * Whether clients may send. If not, a feed that is given a message closes; a dialect that can say
 * so before does.
 */
bool bridge_takes_messages(const struct bridge *self);

/*
 * Pollux is leaving: polls are answered with what they have, streams and WebSockets end at times of
 * `closes` (NULL: at once), backends get 1001 with them, new sessions are refused with 503.
 * bridge_is_idle says when no feed is left.
 */
void bridge_drain(struct bridge *self, struct spread *closes);
bool bridge_is_idle(const struct bridge *self);
/*
 * The same, and feeds are cut. Its exchanges must be over when the turn ends, and it dies.
 * Idempotent.
 */
void bridge_close(struct bridge *self);

/* Sessions known, closed ones included. */
size_t bridge_n_sessions(const struct bridge *self);
/* Of all its sessions, living and forgotten. */
struct ledger bridge_ledger(const struct bridge *self);

#endif
