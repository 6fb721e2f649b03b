#include "proxy/route/server.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/http/h1_client.h"
#include "proxy/http/h2_client.h"

/* Backends wait longer than this before they close an idle connection. */
#define JUST_USED_MS 1000

static void on_room(void *arg, struct fetcher *fetcher);
static void on_closed(void *arg, struct fetcher *fetcher);

static const struct fetcher_pool pool = {.on_room = on_room, .on_closed = on_closed};

/* Host and port as in a URL: without the scheme's own port. */
static struct slice make_authority(
	const struct conf_backend *backend, const struct conf_server *conf)
{
	const struct conf_address *address = &conf->address;
	struct slice text = slice_from_string(address->text);

	if (address->kind == CONF_ADDRESS_UNIX)
		return SLICE("localhost");
	if (address->port == (backend->tls ? 443 : 80))
		text.n = (size_t)(strrchr(address->text, ':') - address->text);
	return text;
}

void server_init(struct server *self, struct loop *loop, const struct conf_backend *backend,
	const struct conf_server *conf, const size_t *n_waiting, server_on_change *on_change,
	void *arg)
{
	*self = (struct server){
		.loop = loop,
		.backend = backend,
		.conf = conf,
		.on_change = on_change,
		.arg = arg,
		.authority = make_authority(backend, conf),
		.n_waiting = n_waiting,
		/* Over TLS the first handshake will tell. */
		.is_multiplexed = backend->protocol == CONF_PROTOCOL_H2 ||
			(backend->protocol == CONF_PROTOCOL_AUTO && backend->tls),
	};
	for (size_t i = 0; i < N_SERVER_PLACES; i++)
		TAILQ_INIT(&self->fetchers[i]);
}

void server_clear(struct server *self)
{
	server_trim(self, 0);
	ASSERT(self->n_connections == 0);
}

static bool is_marked_down(const struct server *self)
{
	return self->backend->n_servers > 1 && self->backend->max_fails > 0 &&
		self->n_fails >= self->backend->max_fails;
}

bool server_is_up(const struct server *self)
{
	return !is_marked_down(self) || loop_now_ms(self->loop) >= self->down_until_ms;
}

void server_on_chosen(struct server *self)
{
	if (UNLIKELY(is_marked_down(self)))
		self->down_until_ms =
			loop_now_ms(self->loop) + (uint64_t)self->backend->fail_timeout_ms;
}

void server_on_success(struct server *self)
{
	if (UNLIKELY(is_marked_down(self)))
		log_info("backend \"%s\": %s is up again", self->backend->name,
			self->conf->address.text);
	self->n_fails = 0;
}

void server_on_failure(struct server *self)
{
	bool was_down = is_marked_down(self);

	if (self->n_fails < INT32_MAX)
		self->n_fails++;
	if (!is_marked_down(self))
		return;
	self->down_until_ms = loop_now_ms(self->loop) + (uint64_t)self->backend->fail_timeout_ms;
	if (!was_down)
		log_warn("backend \"%s\": %s is down after %d failures", self->backend->name,
			self->conf->address.text, self->n_fails);
}

/* Places. */

static void place(struct server *self, struct fetcher *fetcher)
{
	enum server_place where = SERVER_BUSY;

	if (fetcher->n_room > 0)
		where = fetcher->n_active > 0 ? SERVER_OPEN : SERVER_IDLE;
	fetcher->place = (uint8_t)where;
	/* The latest used is the first to be used again: the others get old and close. */
	TAILQ_INSERT_HEAD(&self->fetchers[where], fetcher, link);
	if (where != SERVER_IDLE)
		return;
	fetcher->idle_since_ms = loop_now_ms(self->loop);
	self->n_idle++;
}

static void unplace(struct server *self, struct fetcher *fetcher)
{
	TAILQ_REMOVE(&self->fetchers[fetcher->place], fetcher, link);
	if (fetcher->place == SERVER_IDLE)
		self->n_idle--;
}

static bool has_open(const struct server *self)
{
	return !TAILQ_EMPTY(&self->fetchers[SERVER_OPEN]);
}

/* Those that wait will fit on the connections that are being made. */
static bool is_dialing_for_all(const struct server *self)
{
	return self->is_multiplexed && self->n_dials > 0 &&
		*self->n_waiting < (size_t)self->n_dials * (size_t)self->backend->http2_max_streams;
}

bool server_is_full(const struct server *self)
{
	int max = self->backend->max_connections;

	if (self->n_idle > 0 || has_open(self))
		return false;
	return (max > 0 && self->n_connections >= max) || is_dialing_for_all(self);
}

bool server_may_dial(const struct server *self)
{
	int max = self->backend->max_connections;

	return max == 0 || self->n_connections < max || self->n_idle > 0;
}

int server_n_in_use(const struct server *self)
{
	int n = self->n_connections - self->n_idle;
	const struct fetcher *fetcher;

	/* What a connection carries beyond one. */
	TAILQ_FOREACH (fetcher, &self->fetchers[SERVER_OPEN], link)
		n += (int)fetcher->n_active - 1;
	for (fetcher = TAILQ_FIRST(&self->fetchers[SERVER_BUSY]);
		self->is_multiplexed && fetcher != NULL; fetcher = TAILQ_NEXT(fetcher, link))
		n += (int)fetcher->n_active - 1;
	return n;
}

static bool fits(
	const struct server *self, const struct fetcher *fetcher, bool just_used, bool http1_only)
{
	if (fetcher->is_multiplexed)
		return !http1_only;
	return !just_used || fetcher->idle_since_ms + JUST_USED_MS >= loop_now_ms(self->loop);
}

struct fetcher *server_find(struct server *self, bool just_used, bool http1_only)
{
	struct fetcher *fetcher = TAILQ_FIRST(&self->fetchers[SERVER_OPEN]);

	if (fetcher != NULL && !http1_only)
		return fetcher;
	TAILQ_FOREACH (fetcher, &self->fetchers[SERVER_IDLE], link)
		if (fits(self, fetcher, just_used, http1_only))
			return fetcher;
	return NULL;
}

void server_start(struct server *self, struct fetcher *fetcher, struct fetch *fetch)
{
	unplace(self, fetcher);
	fetcher_start(fetcher, fetch);
	place(self, fetcher);
}

void server_add_dial(struct server *self, bool http1_only)
{
	int max = self->backend->max_connections;

	if (max > 0 && self->n_connections >= max)
		server_trim(self, MAX(self->n_idle - 1, 0));
	self->n_connections++;
	self->n_dials += !http1_only;
}

void server_end_dial(struct server *self, bool http1_only)
{
	self->n_connections--;
	self->n_dials -= !http1_only;
	self->on_change(self->arg);
}

/* The fetches that wait for this connection know now what it takes. */
static void uncount_dial(struct server *self, struct fetcher *fetcher)
{
	if (!fetcher->is_counted || fetcher->is_unsettled)
		return;
	fetcher->is_counted = false;
	self->n_dials--;
}

static struct fetcher *new_fetcher(struct server *self, struct conn *conn, bool is_http2)
{
	const struct conf_backend *backend = self->backend;
	uint64_t idle_ms = backend->keepalive ? (uint64_t)backend->idle_timeout_ms : 0;
	struct h1_client_options h1 = {.idle_ms = idle_ms};
	struct h2_client_options h2 = {
		.idle_ms = idle_ms,
		.ping_ms = (uint64_t)backend->http2_ping_ms,
		.max_streams = (uint32_t)backend->http2_max_streams,
		.window = (uint32_t)backend->http2_window,
	};

	return is_http2 ? h2_client_new(self->loop, conn, &h2, &pool, self)
			: h1_client_new(self->loop, conn, &h1, &pool, self);
}

struct fetcher *server_add_conn(struct server *self, struct conn *conn, bool http1_only)
{
	bool must_be_http2 = self->backend->protocol == CONF_PROTOCOL_H2;
	bool is_http2 =
		conn_is_tls(conn) ? slice_equals(conn_tls_alpn(conn), SLICE("h2")) : must_be_http2;
	bool was_multiplexed = self->is_multiplexed;
	struct fetcher *fetcher;

	if (must_be_http2 && !is_http2) {
		conn_close(conn);
		return NULL;
	}
	if (!http1_only)
		self->is_multiplexed = is_http2;
	fetcher = new_fetcher(self, conn, is_http2);
	fetcher->is_counted = !http1_only;
	uncount_dial(self, fetcher);
	place(self, fetcher);
	/* Others may wait for the room that it has beyond the one fetch, or need not any more. */
	if (was_multiplexed)
		self->on_change(self->arg);
	return fetcher;
}

static void forget(struct server *self, struct fetcher *fetcher)
{
	unplace(self, fetcher);
	self->n_connections--;
	self->n_dials -= fetcher->is_counted;
}

void server_trim(struct server *self, int n_left)
{
	struct fetcher *fetcher = TAILQ_FIRST(&self->fetchers[SERVER_IDLE]), *next;

	for (int i = 0; fetcher != NULL; i++, fetcher = next) {
		next = TAILQ_NEXT(fetcher, link);
		if (i < n_left)
			continue;
		forget(self, fetcher);
		fetcher_close(fetcher);
	}
}

static void on_room(void *arg, struct fetcher *fetcher)
{
	struct server *self = arg;

	unplace(self, fetcher);
	place(self, fetcher);
	uncount_dial(self, fetcher);
	self->on_change(self->arg);
}

static void on_closed(void *arg, struct fetcher *fetcher)
{
	struct server *self = arg;

	forget(self, fetcher);
	self->on_change(self->arg);
}
