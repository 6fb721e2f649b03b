#include "proxy/run/peers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/option_value.h"
#include "conf/options.h"
#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/net/listener.h"
#include "proxy/run/clients.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))
#define MAX_STREAMS 10000
/* A head gets longer by the hop field. */
#define MAX_HEAD (2 << 20)

struct peers {
	struct loop *loop;
	size_t n;
	struct conf_listen listen; /* of our own socket */
	struct listener *listener;
	struct clients *clients;
	struct conf_backend *confs; /* by slot */
	struct conf_server *servers;
	struct backend **backends;
};

static bool is_ours(const struct conn *conn)
{
	struct ucred credentials;
	socklen_t length = sizeof(credentials);

	return getsockopt(conn_fd(conn), SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 &&
		credentials.uid == geteuid();
}

static void on_accept(void *arg, struct conn *conn)
{
	struct peers *self = arg;

	if (is_ours(conn)) {
		clients_accept(self->clients, conn, &self->listen, NULL);
		return;
	}
	log_warn("a stranger at the socket between workers");
	conn_close(conn);
}

/* Waits and sizes are limited at the worker that has the client. */
static void make_listen(struct conf_listen *listen, const struct conf *conf)
{
	*listen = (struct conf_listen){0};
	conf_options_set_defaults(CONF_SECTION_LISTEN, listen);
	listen->conf = conf;
	listen->name = memory_copy_string("workers");
	listen->h2c = listen->http2_websocket = listen->is_between_workers = true;
	listen->http2_max_streams = MAX_STREAMS;
	/* What is held up of some clients is in nobody's way. */
	listen->http2_queue = listen->http2_window * MAX_STREAMS;
	listen->max_header_size = MAX_HEAD;
	listen->max_header_fields = 20000;
	listen->max_uri_size = MAX_HEAD;
	listen->header_timeout_ms = listen->idle_timeout_ms = listen->body_timeout_ms = DAY_MS;
}

static void make_conf(struct conf_backend *backend, struct conf_server *server,
	const struct conf *conf, const struct conf_address *address)
{
	*backend = (struct conf_backend){0};
	conf_options_set_defaults(CONF_SECTION_BACKEND, backend);
	*server = (struct conf_server){.address = *address};
	backend->conf = conf;
	backend->name = memory_copy_string("workers");
	backend->servers = server;
	backend->n_servers = 1;
	backend->protocol = CONF_PROTOCOL_H2;
	backend->http2_max_streams = MAX_STREAMS;
	/* Little is to be between two workers: what a session has sent counts as sent. */
	backend->http2_window = 64 << 10;
	backend->http2_ping_ms = 10000;
	backend->idle_timeout_ms = 60000;
}

struct peers *peers_new(struct loop *loop, const struct conf *conf, struct doors *doors,
	size_t slot, struct resolver *resolver, const struct exchange_service *service)
{
	struct peers *self = memory_alloc_zeroed(sizeof(*self));
	struct clients_limits limits = {.max = SIZE_MAX};

	self->loop = loop;
	self->n = doors->n_slots;
	make_listen(&self->listen, conf);
	self->clients = clients_new(loop, &limits, service);
	self->listener = listener_new(loop, doors_take(&doors->peer_fds[slot]), on_accept, self);
	listener_resume(self->listener);
	self->confs = memory_alloc_zeroed(self->n * sizeof(*self->confs));
	self->servers = memory_alloc_zeroed(self->n * sizeof(*self->servers));
	self->backends = memory_alloc_zeroed(self->n * sizeof(struct backend *));
	for (size_t i = 0; i < self->n; i++) {
		make_conf(&self->confs[i], &self->servers[i], conf, &doors->peer_addresses[i]);
		self->backends[i] = backend_new(loop, &self->confs[i], resolver, NULL);
	}
	return self;
}

struct backend *peers_backend(struct peers *self, size_t slot)
{
	ASSERT(slot < self->n);
	return self->backends[slot];
}

size_t peers_n_connections(const struct peers *self)
{
	return clients_count(self->clients);
}

void peers_drain(struct peers *self)
{
	clients_drain(self->clients, NULL);
}

void peers_close(struct peers *self)
{
	listener_close(self->listener);
	clients_close_all(self->clients, REASON_DRAIN);
	for (size_t i = 0; i < self->n; i++)
		backend_close(self->backends[i]);
}

void peers_free(struct peers *self)
{
	clients_free(self->clients);
	for (size_t i = 0; i < self->n; i++) {
		free(self->confs[i].name);
		conf_options_clear(CONF_SECTION_BACKEND, &self->confs[i]);
	}
	free(self->listen.name);
	conf_options_clear(CONF_SECTION_LISTEN, &self->listen);
	free(self->confs);
	free(self->servers);
	free(self->backends);
	free(self);
}
