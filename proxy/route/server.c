#include "proxy/route/server.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/http/h1_client.h"

/* Backends wait longer than this before they close an idle connection. */
#define JUST_USED_MS 1000

static void on_ready(void *arg, struct fetcher *fetcher);
static void on_closed(void *arg, struct fetcher *fetcher);

static const struct fetcher_pool pool = {.on_ready = on_ready, .on_closed = on_closed};

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
	const struct conf_server *conf, server_on_change *on_change, void *arg)
{
	*self = (struct server){
		.loop = loop,
		.backend = backend,
		.conf = conf,
		.on_change = on_change,
		.arg = arg,
		.authority = make_authority(backend, conf),
	};
	TAILQ_INIT(&self->fetchers);
}

void server_clear(struct server *self)
{
	server_trim(self, 0);
	ASSERT(TAILQ_EMPTY(&self->fetchers) && self->n_connections == 0);
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

bool server_is_full(const struct server *self)
{
	int max = self->backend->max_connections;

	return max > 0 && self->n_connections >= max && self->n_idle == 0;
}

struct fetcher *server_take_idle(struct server *self, bool just_used)
{
	struct fetcher *fetcher = TAILQ_FIRST(&self->fetchers);

	if (self->n_idle == 0)
		return NULL;
	if (just_used && fetcher->idle_since_ms + JUST_USED_MS < loop_now_ms(self->loop))
		return NULL;
	TAILQ_REMOVE(&self->fetchers, fetcher, link);
	TAILQ_INSERT_TAIL(&self->fetchers, fetcher, link);
	fetcher->idle_since_ms = 0;
	self->n_idle--;
	return fetcher;
}

void server_add_dial(struct server *self)
{
	int max = self->backend->max_connections;

	if (max > 0 && self->n_connections >= max)
		server_trim(self, MAX(self->n_idle - 1, 0));
	self->n_connections++;
}

void server_end_dial(struct server *self)
{
	self->n_connections--;
	self->on_change(self->arg);
}

struct fetcher *server_add_conn(struct server *self, struct conn *conn)
{
	struct h1_client_options options = {
		.idle_ms = self->backend->keepalive ? (uint64_t)self->backend->idle_timeout_ms : 0,
	};
	struct fetcher *fetcher = h1_client_new(self->loop, conn, &options, &pool, self);

	TAILQ_INSERT_TAIL(&self->fetchers, fetcher, link);
	fetcher->idle_since_ms = 0;
	return fetcher;
}

static void forget(struct server *self, struct fetcher *fetcher)
{
	TAILQ_REMOVE(&self->fetchers, fetcher, link);
	if (fetcher->idle_since_ms != 0)
		self->n_idle--;
	self->n_connections--;
}

void server_trim(struct server *self, int n_left)
{
	struct fetcher *fetcher = TAILQ_FIRST(&self->fetchers);
	int n_idle = self->n_idle;

	for (int i = 0; i < n_idle; i++) {
		struct fetcher *next = TAILQ_NEXT(fetcher, link);

		if (i >= n_left) {
			forget(self, fetcher);
			fetcher_close(fetcher);
		}
		fetcher = next;
	}
}

static void on_ready(void *arg, struct fetcher *fetcher)
{
	struct server *self = arg;

	TAILQ_REMOVE(&self->fetchers, fetcher, link);
	TAILQ_INSERT_HEAD(&self->fetchers, fetcher, link);
	fetcher->idle_since_ms = loop_now_ms(self->loop);
	self->n_idle++;
	self->on_change(self->arg);
}

static void on_closed(void *arg, struct fetcher *fetcher)
{
	struct server *self = arg;

	forget(self, fetcher);
	self->on_change(self->arg);
}
