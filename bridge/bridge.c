#include "bridge/bridge.h"

#include <stdlib.h>

#include "bridge/client/client_script.h"
#include "bridge/client/engineio.h"
#include "bridge/client/engineio_request.h"
#include "bridge/client/plain.h"
#include "bridge/client/sockjs.h"
#include "bridge/dialect.h"
#include "bridge/feed/feed_poll.h"
#include "bridge/feed/feed_ws.h"
#include "bridge/feed/poll_source.h"
#include "proxy/base/memory.h"
#include "proxy/net/conn.h"
#include "proxy/http/ws_frame.h"

struct bridge *bridge_new(struct loop *loop, const struct conf_route *route,
	struct backend *backend, struct slice tag)
{
	struct bridge *self = memory_alloc_zeroed(sizeof(*self));

	self->loop = loop;
	self->route = route;
	self->backend = backend;
	(void)conf_ref(route->conf);
	session_table_init(&self->table, loop, route, tag);
	TAILQ_INIT(&self->feeds);
	if (route->poll.is_set)
		self->source = poll_source_new(loop, route, backend);
	return self;
}

void bridge_share(struct bridge *self, const struct session_counts *counts)
{
	session_table_share(&self->table, counts);
}

void bridge_set_max_conns(struct bridge *self, size_t n)
{
	self->max_conns = n;
}

bool bridge_has_conns(const struct bridge *self)
{
	return self->max_conns == 0 || conn_n_live() < self->max_conns;
}

/* A request of Engine.IO is none of another dialect, even if it is to be forwarded. */
static bool is_engineio(const struct bridge *self, const struct exchange *x)
{
	return (self->route->dialects & CONF_DIALECT_ENGINEIO) != 0 &&
		engineio_request_is_ours(
			x->req, self->route->dialects == (unsigned)CONF_DIALECT_ENGINEIO);
}

bool bridge_start(struct bridge *self, struct exchange *x)
{
	if (client_script_start(x))
		return true;
	if (is_engineio(self, x))
		return engineio_dialect.start(self, x);
	if ((self->route->dialects & CONF_DIALECT_SOCKJS) != 0 && sockjs_dialect.start(self, x))
		return true;
	if ((self->route->dialects & CONF_DIALECT_PLAIN) != 0)
		return plain_dialect.start(self, x);
	return false;
}

int bridge_owner(struct bridge *self, struct exchange *x, size_t n_slots)
{
	int owner = -1;

	/* One of them polls, for all clients. */
	if (self->source != NULL)
		return dialect_owner_of_key(slice_from_string(self->route->path), n_slots);
	if (is_engineio(self, x))
		return engineio_dialect.owner(self, x, n_slots);
	if ((self->route->dialects & CONF_DIALECT_SOCKJS) != 0)
		owner = sockjs_dialect.owner(self, x, n_slots);
	if (owner < 0 && (self->route->dialects & CONF_DIALECT_PLAIN) != 0)
		owner = plain_dialect.owner(self, x, n_slots);
	return owner;
}

struct feed *bridge_new_feed(struct bridge *self, const struct feed_target *target,
	struct exchange *x, const struct feed_owner *owner, void *arg)
{
	struct feed_ws_place place = {
		.loop = self->loop,
		.route = self->route,
		.backend = self->backend,
		.feeds = &self->feeds,
	};

	if (self->source != NULL)
		return feed_poll_new(self->loop, self->source, &self->feeds, owner, arg);
	return feed_ws_new(&place, target, x, owner, arg);
}

bool bridge_has_tunnels(const struct bridge *self)
{
	return self->source == NULL;
}

bool bridge_takes_messages(const struct bridge *self)
{
	return self->source == NULL;
}

static void forget_sessions(struct bridge *self)
{
	struct session *session, *next;

	for (session = self->table.sessions; session != NULL; session = next) {
		next = session->hh.next;
		session_forget(session, WS_CODE_GOING_AWAY);
	}
}

static bool is_lasting(const struct session *session)
{
	return session->state != SESSION_OPENING && session->transport != NULL &&
		session->transport->is_lasting;
}

void bridge_drain(struct bridge *self, struct spread *closes)
{
	struct session *session, *next;

	self->is_draining = true;
	for (session = self->table.sessions; session != NULL; session = next) {
		next = session->hh.next;
		if (closes != NULL && is_lasting(session))
			session_leave_at(session, spread_next_ms(closes));
		else
			session_forget(session, WS_CODE_GOING_AWAY);
	}
}

bool bridge_is_idle(const struct bridge *self)
{
	return TAILQ_EMPTY(&self->feeds);
}

static void bridge_free(void *arg)
{
	struct bridge *self = arg;

	session_table_clear(&self->table);
	conf_unref(self->route->conf);
	free(self);
}

void bridge_close(struct bridge *self)
{
	struct feed *feed, *next;

	if (self->is_closed)
		return;
	self->is_closed = self->is_draining = true;
	forget_sessions(self);
	for (feed = TAILQ_FIRST(&self->feeds); feed != NULL; feed = next) {
		next = TAILQ_NEXT(feed, link);
		feed_close(feed);
	}
	if (self->source != NULL)
		poll_source_close(self->source);
	loop_bury(self->loop, &self->grave, bridge_free, self);
}

size_t bridge_n_sessions(const struct bridge *self)
{
	return self->table.n_sessions;
}

struct ledger bridge_ledger(const struct bridge *self)
{
	struct ledger sum = self->table.ledger;
	const struct session *session;

	for (session = self->table.sessions; session != NULL; session = session->hh.next)
		ledger_add(&sum, &session->ledger);
	return sum;
}
