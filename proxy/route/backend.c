/*
 * An errand takes one fetch to a server. It stands in the fetch's arena and lives until the fetch
 * has a head, has failed for good, or is cancelled; until then it is the fetch's owner, so that a
 * failure that allows another try stays unknown to the real one.
 */
#include "proxy/route/backend.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/net/dial.h"
#include "proxy/net/tls_context.h"
#include "proxy/route/balance.h"
#include "proxy/route/server.h"

/* So many connections may go away under a fetch before it counts as a retry. */
#define MAX_GOAWAYS 8
/* More fetches than this do not wait for a server. */
#define MAX_WAITING 16384

enum errand_state {
	ERRAND_START,
	ERRAND_WAITING, /* for a server that is not full */
	ERRAND_DIALING,
	ERRAND_CARRIED, /* by a fetcher: nothing of ours is pending */
	ERRAND_FAILING, /* the notice will tell */
	ERRAND_OVER,
};

struct errand {
	struct backend *backend;
	struct fetch *fetch;
	const struct fetch_owner *owner; /* the fetch's real one */
	void *arg;
	const struct request_head *req; /* as given, before the Host of a server is set */
	struct server *server;		/* of this try */
	struct dial *dial;
	struct timer timer;	  /* WAITING, DIALING */
	struct notice notice;	  /* FAILING */
	TAILQ_ENTRY(errand) link; /* WAITING */
	uint64_t tried;		  /* servers that failed: bits by index */
	enum errand_state state;
	enum reason reason; /* FAILING */
	int n_retries_left;
	int n_goaways;	  /* tries that ended with a connection on its way out */
	bool needs_fresh; /* an idle connection had gone stale */
	bool needs_http1; /* the server takes this one over HTTP/1.1 only */
	bool is_reused;	  /* this try has a connection that was used before */
};

TAILQ_HEAD(errand_list, errand);

struct backend {
	LIST_ENTRY(backend) link;
	struct loop *loop;
	const struct conf_backend *conf;
	struct resolver *resolver;
	struct tls_context *tls;
	struct errand_list waiting;
	size_t n_waiting;
	size_t turn;
	struct notice change;
	bool is_closed;
	bool is_buried;
	struct grave grave;
	struct server servers[];
};

/* All that are open. */
static LIST_HEAD(, backend) backends = LIST_HEAD_INITIALIZER(backends);

static void errand_go(struct errand *self);
static void on_timeout(void *arg);

/* The backend. */

static void on_server_change(void *arg)
{
	struct backend *self = arg;

	notice_post(self->loop, &self->change);
}

static void destroy(void *arg)
{
	struct backend *self = arg;

	for (size_t i = 0; i < self->conf->n_servers; i++)
		server_clear(&self->servers[i]);
	if (self->tls != NULL)
		tls_context_unref(self->tls);
	conf_unref(self->conf->conf);
	free(self);
}

static void bury_if_empty(struct backend *self)
{
	if (!self->is_closed || self->is_buried || self->n_waiting > 0 ||
		backend_n_connections(self) > 0)
		return;
	self->is_buried = true;
	notice_cancel(self->loop, &self->change);
	loop_bury(self->loop, &self->grave, destroy, self);
}

static void serve_waiting(struct backend *self)
{
	struct errand *errand;

	while ((errand = TAILQ_FIRST(&self->waiting)) != NULL) {
		errand_go(errand);
		if (errand->state == ERRAND_WAITING)
			break;
	}
}

static void on_change(void *arg)
{
	struct backend *self = arg;
	int n_idle_max = self->is_closed ? 0 : self->conf->max_idle_connections;

	serve_waiting(self);
	for (size_t i = 0; i < self->conf->n_servers; i++)
		server_trim(&self->servers[i], n_idle_max);
	bury_if_empty(self);
}

struct backend *backend_new(struct loop *loop, const struct conf_backend *conf,
	struct resolver *resolver, struct tls_context *tls)
{
	struct backend *self =
		memory_alloc_zeroed(sizeof(*self) + conf->n_servers * sizeof(struct server));

	self->loop = loop;
	self->conf = conf;
	(void)conf_ref(conf->conf);
	self->resolver = resolver;
	self->tls = tls != NULL ? tls_context_ref(tls) : NULL;
	TAILQ_INIT(&self->waiting);
	LIST_INSERT_HEAD(&backends, self, link);
	notice_init(&self->change, on_change, self);
	for (size_t i = 0; i < conf->n_servers; i++)
		server_init(&self->servers[i], loop, conf, &conf->servers[i], &self->n_waiting,
			on_server_change, self);
	return self;
}

/* Connections that nobody uses give their descriptors back. */
static bool close_all_idle(void)
{
	struct backend *backend;
	size_t n = 0;

	LIST_FOREACH (backend, &backends, link) {
		n += backend_n_idle(backend);
		for (size_t i = 0; i < backend->conf->n_servers; i++)
			server_trim(&backend->servers[i], 0);
	}
	return n > 0;
}

void backend_close(struct backend *self)
{
	LIST_REMOVE(self, link);
	self->is_closed = true;
	for (size_t i = 0; i < self->conf->n_servers; i++)
		server_trim(&self->servers[i], 0);
	bury_if_empty(self);
}

const struct conf_backend *backend_conf(const struct backend *self)
{
	return self->conf;
}

size_t backend_n_connections(const struct backend *self)
{
	size_t n = 0;

	for (size_t i = 0; i < self->conf->n_servers; i++)
		n += (size_t)self->servers[i].n_connections;
	return n;
}

size_t backend_n_idle(const struct backend *self)
{
	size_t n = 0;

	for (size_t i = 0; i < self->conf->n_servers; i++)
		n += (size_t)self->servers[i].n_idle;
	return n;
}

size_t backend_n_waiting(const struct backend *self)
{
	return self->n_waiting;
}

/* The errand. */

static void errand_set_timeout(struct errand *self)
{
	uint64_t ms = (uint64_t)self->backend->conf->connect_timeout_ms;

	if (ms > 0)
		timer_set_in(self->backend->loop, &self->timer, ms);
}

/* What this state has pending is cancelled; another state follows. */
static void errand_leave(struct errand *self)
{
	struct backend *backend = self->backend;

	switch (self->state) {
	case ERRAND_WAITING:
		TAILQ_REMOVE(&backend->waiting, self, link);
		backend->n_waiting--;
		timer_close(backend->loop, &self->timer);
		break;
	case ERRAND_DIALING:
		if (self->dial != NULL)
			dial_cancel(self->dial);
		self->dial = NULL;
		timer_close(backend->loop, &self->timer);
		break;
	case ERRAND_FAILING:
		notice_cancel(backend->loop, &self->notice);
		break;
	case ERRAND_START:
	case ERRAND_CARRIED:
	case ERRAND_OVER:
		break;
	}
}

/* Gives the fetch back to its owner. */
static void errand_end(struct errand *self)
{
	self->state = ERRAND_OVER;
	self->fetch->owner = self->owner;
	self->fetch->arg = self->arg;
}

static void on_cancel(struct fetch *fetch)
{
	struct errand *self = fetch->carrier;
	bool was_dialing = self->state == ERRAND_DIALING;

	errand_leave(self);
	errand_end(self);
	if (was_dialing)
		server_end_dial(self->server, self->needs_http1);
	else
		bury_if_empty(self->backend);
}

/* Until a fetcher takes it. */
static void errand_carry(struct errand *self)
{
	self->fetch->carrier = self;
	self->fetch->cancel = on_cancel;
}

static void errand_fail(struct errand *self, enum reason reason, const char *why)
{
	errand_end(self);
	self->fetch->is_over = false;
	fetch_fail(self->fetch, reason, why);
}

static void on_failing(void *arg)
{
	struct errand *self = arg;

	self->fetch->is_unprocessed = true;
	errand_fail(self, self->reason, reason_text(self->reason));
}

/* Without a server to blame. */
static void errand_fail_later(struct errand *self, enum reason reason)
{
	log_warn("backend \"%s\": %s", self->backend->conf->name, reason_text(reason));
	self->state = ERRAND_FAILING;
	self->reason = reason;
	notice_init(&self->notice, on_failing, self);
	notice_post(self->backend->loop, &self->notice);
	errand_carry(self);
}

static void errand_wait(struct errand *self)
{
	struct backend *backend = self->backend;

	if (backend->n_waiting >= MAX_WAITING) {
		errand_fail_later(self, REASON_OVERLOAD);
		return;
	}
	TAILQ_INSERT_TAIL(&backend->waiting, self, link);
	backend->n_waiting++;
	self->state = ERRAND_WAITING;
	errand_set_timeout(self);
	errand_carry(self);
}

/* The head that this server gets. */
static void errand_set_host(struct errand *self)
{
	struct request_head *head;

	self->fetch->req = self->req;
	if (self->backend->conf->host_header != CONF_HOST_SERVER && self->req->authority.n > 0)
		return;
	head = arena_alloc(self->fetch->arena, sizeof(*head));
	*head = *self->req;
	head->authority = self->server->authority;
	self->fetch->req = head;
}

static void errand_start_fetch(struct errand *self, struct fetcher *fetcher)
{
	self->state = ERRAND_CARRIED;
	self->is_reused = fetcher->n_fetches > 0;
	errand_set_host(self);
	server_start(self->server, fetcher, self->fetch);
}

/* A try with a server. */

/* The answer to a request that may be retried has not come, or the server has not had it at all. */
static bool may_try_again(const struct errand *self, enum reason reason)
{
	const struct fetch *fetch = self->fetch;

	if (self->n_retries_left == 0 || self->backend->is_closed || fetch->n_body_taken > 0)
		return false;
	return fetch->is_unprocessed || (fetch->may_retry && reason == REASON_BACKEND_GONE);
}

/* Of a server that speaks HTTP/2 by its own choice, one request may still need HTTP/1.1. */
static bool may_go_down(const struct errand *self)
{
	return self->fetch->needs_http1 && !self->needs_http1 && self->backend->tls != NULL &&
		self->backend->conf->protocol == CONF_PROTOCOL_AUTO && !self->backend->is_closed &&
		self->fetch->n_body_taken == 0;
}

static void errand_log_failure(const struct errand *self, enum reason reason, const char *why)
{
	log_warn("backend \"%s\": %s: %s: %s", self->backend->conf->name,
		self->server->conf->address.text, reason_name(reason), why);
}

static void errand_blame_server(struct errand *self, enum reason reason, const char *why)
{
	size_t index = (size_t)(self->server - self->backend->servers);

	errand_log_failure(self, reason, why);
	server_on_failure(self->server);
	if (index < BALANCE_MAX_TRIED)
		self->tried |= UINT64_C(1) << index;
}

static enum balance_result errand_choose(struct errand *self, struct server **server)
{
	struct backend *backend = self->backend;

	return balance_choose(backend->servers, backend->conf->n_servers, backend->conf->balance,
		&backend->turn, self->tried, server);
}

static void errand_dial(struct errand *self);

static void errand_use(struct errand *self, struct server *server)
{
	struct fetcher *fetcher = NULL;

	errand_leave(self);
	self->server = server;
	self->fetch->server_name = server->conf->address.text;
	if (!self->needs_fresh)
		fetcher = server_find(server, !self->fetch->may_retry, self->needs_http1);
	if (fetcher != NULL)
		errand_start_fetch(self, fetcher);
	else
		errand_dial(self);
}

/* From START, or again from WAITING. */
static void errand_go(struct errand *self)
{
	struct server *server;

	switch (errand_choose(self, &server)) {
	case BALANCE_FOUND:
		errand_use(self, server);
		break;
	case BALANCE_FULL:
		if (self->state != ERRAND_WAITING)
			errand_wait(self);
		break;
	case BALANCE_NONE:
		errand_leave(self);
		errand_fail_later(self, REASON_NO_SERVER);
		break;
	}
}

/* It has no turn to wait for: others may use the connections that keep it out for as long as they
 * like. */
static void on_go_down(void *arg)
{
	struct errand *self = arg;

	if (server_find(self->server, true, true) != NULL || server_may_dial(self->server))
		errand_use(self, self->server);
	else
		errand_fail_later(self, REASON_NO_SERVER);
}

/* On the same server, which is not to blame; later, for the connection that has turned it away may
 * be of no more use and make room. */
static void errand_go_down(struct errand *self)
{
	self->needs_http1 = true;
	self->fetch->is_over = false;
	self->fetch->is_unprocessed = self->fetch->needs_http1 = false;
	self->state = ERRAND_FAILING;
	notice_init(&self->notice, on_go_down, self);
	notice_post(self->backend->loop, &self->notice);
	errand_carry(self);
}

/* The try has failed: there is another one, or this is the outcome. */
static void errand_on_failure(struct errand *self, enum reason reason, const char *why)
{
	bool is_stale = self->is_reused && reason == REASON_BACKEND_GONE;
	/* HTTP/2: the server works, but takes no more on this connection, or not now. */
	bool is_turned_away = self->state == ERRAND_CARRIED && self->fetch->is_unprocessed;
	enum balance_result result;
	struct server *server;

	self->state = ERRAND_START;
	if (may_go_down(self)) {
		errand_go_down(self);
		return;
	}
	/* It works as it is; no other one, and no other try, would help. */
	if (reason == REASON_NO_WEBSOCKET) {
		errand_log_failure(self, reason, why);
		errand_fail(self, reason, why);
		return;
	}
	if (is_turned_away && self->fetch->by_goaway && self->n_goaways < MAX_GOAWAYS) {
		self->n_goaways++;
		self->n_retries_left++;
	} else if (is_turned_away) {
		errand_log_failure(self, reason, why);
	} else if (is_stale) {
		self->needs_fresh = true;
	} else if (reason != REASON_CLIENT_GONE) {
		errand_blame_server(self, reason, why);
	}
	if (!may_try_again(self, reason) ||
		(result = errand_choose(self, &server)) == BALANCE_NONE) {
		/* A stale connection is worth a line only when it had a consequence. */
		if (is_stale && !is_turned_away)
			errand_log_failure(self, reason, why);
		errand_fail(self, reason, why);
		return;
	}
	self->n_retries_left--;
	self->fetch->is_over = false;
	self->fetch->is_unprocessed = self->fetch->by_goaway = false;
	if (result == BALANCE_FOUND)
		errand_use(self, server);
	else
		errand_wait(self);
}

/* The dial. */

static void errand_on_dial_failed(struct errand *self, enum reason reason, const char *why);

static void on_conn(void *arg, struct conn *conn)
{
	struct errand *self = arg;
	struct fetcher *fetcher = server_add_conn(self->server, conn, self->needs_http1);

	self->dial = NULL;
	if (fetcher == NULL) {
		errand_on_dial_failed(
			self, REASON_BACKEND_TLS, "the server does not choose h2 in ALPN");
		return;
	}
	errand_leave(self);
	errand_start_fetch(self, fetcher);
}

static void errand_on_dial_failed(struct errand *self, enum reason reason, const char *why)
{
	errand_leave(self);
	server_end_dial(self->server, self->needs_http1);
	self->is_reused = false;
	self->fetch->is_unprocessed = true;
	errand_on_failure(self, reason, why);
}

/* Not the server's fault, and no reason to ask another one. */
static void errand_on_no_socket(struct errand *self, const char *why)
{
	errand_leave(self);
	server_end_dial(self->server, self->needs_http1);
	if (close_all_idle()) {
		errand_dial(self);
		return;
	}
	errand_log_failure(self, REASON_OVERLOAD, why);
	self->fetch->is_unprocessed = true;
	errand_fail(self, REASON_OVERLOAD, why);
}

static void on_dial_failed(void *arg, enum conn_loss loss, const char *why)
{
	struct errand *self = arg;

	self->dial = NULL;
	switch (loss) {
	case CONN_LOSS_NO_SOCKET:
		errand_on_no_socket(self, why);
		break;
	case CONN_LOSS_HANDSHAKE:
	case CONN_LOSS_CUT:
	case CONN_LOSS_TLS:
		errand_on_dial_failed(self, REASON_BACKEND_TLS, why);
		break;
	case CONN_LOSS_NONE:
	case CONN_LOSS_CONNECT:
	case CONN_LOSS_RESET:
		errand_on_dial_failed(self, REASON_CONNECT, why);
		break;
	}
}

/* Others waited for the same connection. */
static bool is_dialing(const struct backend *self)
{
	for (size_t i = 0; i < self->conf->n_servers; i++)
		if (self->servers[i].n_dials > 0)
			return true;
	return false;
}

static void on_timeout(void *arg)
{
	struct errand *self = arg;

	if (self->state == ERRAND_DIALING) {
		errand_on_dial_failed(self, REASON_CONNECT_TIMEOUT, "no connection in time");
		return;
	}
	ASSERT(self->state == ERRAND_WAITING);
	errand_leave(self);
	errand_fail_later(
		self, is_dialing(self->backend) ? REASON_CONNECT_TIMEOUT : REASON_NO_SERVER);
}

static void errand_dial(struct errand *self)
{
	static const struct dial_owner owner = {.on_conn = on_conn, .on_failed = on_dial_failed};
	struct backend *backend = self->backend;
	const char *name = backend->conf->tls_server_name;
	struct dial_target target = {
		.address = &self->server->conf->address,
		.tls = backend->tls,
		.server_name = name[0] != '\0' ? name : NULL,
		.http1_only = self->needs_http1,
	};

	self->state = ERRAND_DIALING;
	server_add_dial(self->server, self->needs_http1);
	errand_set_timeout(self);
	errand_carry(self);
	self->dial = dial_start(backend->loop, backend->resolver, &target, &owner, self);
}

/* As the fetch's owner, until the head. */

static void on_interim(void *arg, struct response_head *head)
{
	struct errand *self = arg;

	self->owner->on_interim(self->arg, head);
}

static void on_head(void *arg, struct response_head *head)
{
	struct errand *self = arg;

	server_on_success(self->server);
	errand_end(self);
	self->owner->on_head(self->arg, head);
}

static void on_end(void *arg)
{
	struct errand *self = arg;

	errand_end(self);
	self->owner->on_end(self->arg);
}

static void on_failed(void *arg, enum reason reason, const char *why)
{
	errand_on_failure(arg, reason, why);
}

void backend_fetch(struct backend *self, struct fetch *fetch)
{
	static const struct fetch_owner owner = {
		.on_interim = on_interim,
		.on_head = on_head,
		.on_end = on_end,
		.on_failed = on_failed,
	};
	struct errand *errand = arena_alloc(fetch->arena, sizeof(*errand));

	ASSERT(!self->is_closed);
	*errand = (struct errand){
		.backend = self,
		.fetch = fetch,
		.owner = fetch->owner,
		.arg = fetch->arg,
		.req = fetch->req,
		.n_retries_left = self->conf->retries,
	};
	timer_init(&errand->timer, on_timeout, errand);
	fetch->owner = &owner;
	fetch->arg = errand;
	if (UNLIKELY(self->n_waiting > 0)) {
		errand_wait(errand);
		/* So many may wait for a dial that it is time for another one. */
		serve_waiting(self);
	} else {
		errand_go(errand);
	}
}
