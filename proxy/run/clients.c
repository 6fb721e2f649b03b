#include "proxy/run/clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "proxy/base/hash_table.h"
#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/http/date.h"
#include "proxy/http/h1_server.h"
#include "proxy/http/h2_server.h"
#include "proxy/http/message.h"
#include "proxy/http/reason.h"
#include "proxy/net/address.h"

/* How many connections one address has. */
struct address_count {
	UT_hash_handle hh;
	char host[ADDRESS_TEXT_SIZE]; /* key */
	size_t n;
};

enum client_state {
	CLIENT_HANDSHAKING,
	CLIENT_WAITING,
	CLIENT_BUSY,
	CLIENT_CLOSED,
};

struct client {
	TAILQ_ENTRY(client) link;
	struct clients *clients;
	struct conn *conn;
	const struct conf_listen *listen;
	struct server_codec *codec; /* NULL while handshaking */
	struct address_count *address;
	struct timer timer; /* of the handshake */
	enum client_state state;
	uint64_t waiting_since_ms;
	struct grave grave;
};

TAILQ_HEAD(client_list, client);

struct clients {
	struct loop *loop;
	struct clients_limits limits;
	const struct exchange_service *service;
	struct client_list waiting; /* and handshaking; longest first */
	struct client_list busy;
	size_t n;
	struct address_count *addresses;
	bool is_draining;
	uint64_t complained_ms;
};

#define COMPLAIN_EVERY_MS 1000
/* Younger ones have not had time to say a word: closing them for the next would serve neither. */
#define EVICT_AFTER_MS 10
#define REFUSE_LINGER_MS 500

struct clients *clients_new(struct loop *loop, const struct clients_limits *limits,
	const struct exchange_service *service)
{
	struct clients *self = memory_alloc_zeroed(sizeof(*self));

	self->loop = loop;
	self->limits = *limits;
	self->service = service;
	TAILQ_INIT(&self->waiting);
	TAILQ_INIT(&self->busy);
	return self;
}

void clients_free(struct clients *self)
{
	ASSERT(self->n == 0);
	free(self);
}

size_t clients_count(const struct clients *self)
{
	return self->n;
}

/* States and lists. A handshaking client stands among the waiting ones. */

static struct client_list *list_of(struct client *client)
{
	return client->state == CLIENT_BUSY ? &client->clients->busy : &client->clients->waiting;
}

static void client_set_state(struct client *client, enum client_state state)
{
	ASSERT(client->state != CLIENT_CLOSED);
	TAILQ_REMOVE(list_of(client), client, link);
	client->state = state;
	if (state != CLIENT_CLOSED)
		TAILQ_INSERT_TAIL(list_of(client), client, link);
}

static void client_free(void *arg)
{
	free(arg);
}

static void count_address(struct clients *self, struct client *client)
{
	struct address_count *count;
	char host[ADDRESS_TEXT_SIZE] = "";

	if (self->limits.max_per_address == 0)
		return;
	(void)address_to_host(conn_peer(client->conn), host);
	HASH_FIND_STR(self->addresses, host, count);
	if (count == NULL) {
		count = memory_alloc_zeroed(sizeof(*count));
		memcpy(count->host, host, sizeof(host));
		HASH_ADD_STR(self->addresses, host, count);
	}
	count->n++;
	client->address = count;
}

static void uncount_address(struct clients *self, struct client *client)
{
	struct address_count *count = client->address;

	if (count == NULL || --count->n > 0)
		return;
	HASH_DEL(self->addresses, count);
	free(count);
}

static void client_leave(struct client *client)
{
	struct clients *self = client->clients;

	client_set_state(client, CLIENT_CLOSED);
	uncount_address(self, client);
	timer_close(self->loop, &client->timer);
	loop_bury(self->loop, &client->grave, client_free, client);
	self->n--;
}

/* The HTTP codec's life. */

static void on_busy(void *arg)
{
	client_set_state(arg, CLIENT_BUSY);
}

static void on_waiting(void *arg)
{
	struct client *client = arg;

	client->waiting_since_ms = loop_now_ms(client->clients->loop);
	client_set_state(client, CLIENT_WAITING);
}

static void on_closed(void *arg)
{
	client_leave(arg);
}

static void client_serve_http2(struct client *client)
{
	static const struct server_codec_owner owner = {
		.on_busy = on_busy, .on_waiting = on_waiting, .on_closed = on_closed};
	struct clients *self = client->clients;

	client->codec = h2_server_new(
		self->loop, client->conn, client->listen, self->service, &owner, client);
	if (self->is_draining)
		server_codec_drain(client->codec, NULL);
}

static void on_http2(void *arg)
{
	client_serve_http2(arg);
}

static void client_serve_http1(struct client *client)
{
	static const struct server_codec_owner http1_only = {
		.on_busy = on_busy, .on_waiting = on_waiting, .on_closed = on_closed};
	static const struct server_codec_owner both = {.on_busy = on_busy,
		.on_waiting = on_waiting,
		.on_closed = on_closed,
		.on_http2 = on_http2};
	struct clients *self = client->clients;
	bool takes_h2c = client->listen->h2c && !conn_is_tls(client->conn);

	client->codec = h1_server_new(self->loop, client->conn, client->listen, self->service,
		takes_h2c ? &both : &http1_only, client);
	if (self->is_draining)
		server_codec_drain(client->codec, NULL);
}

static void client_serve(struct client *client)
{
	timer_close(client->clients->loop, &client->timer);
	client->state = CLIENT_WAITING;
	if (slice_equals(conn_tls_alpn(client->conn), SLICE("h2")))
		client_serve_http2(client);
	else
		client_serve_http1(client);
}

/* The TLS handshake. */

static void log_handshake_failure(const struct client *client, const char *why)
{
	char peer[ADDRESS_TEXT_SIZE];

	log_info("client %s: TLS handshake: %s", address_to_text(conn_peer(client->conn), peer),
		why);
}

static void client_give_up(struct client *client)
{
	conn_close(client->conn);
	client_leave(client);
}

static void on_handshake_open(void *arg)
{
	client_serve(arg);
}

static void on_handshake_event(void *arg)
{
	(void)arg;
}

static void on_handshake_lost(void *arg, enum conn_loss loss)
{
	struct client *client = arg;

	(void)loss;
	log_handshake_failure(client, conn_loss_text(client->conn));
	client_give_up(client);
}

static void on_handshake_timeout(void *arg)
{
	log_handshake_failure(arg, "timeout");
	client_give_up(arg);
}

static void client_shake_hands(struct client *client, struct tls_context *tls)
{
	static const struct conn_owner owner = {.on_open = on_handshake_open,
		.on_input = on_handshake_event,
		.on_output = on_handshake_event,
		.on_lost = on_handshake_lost};

	conn_set_owner(client->conn, &owner, client);
	conn_start_tls_server(client->conn, tls);
	timer_set_in(client->clients->loop, &client->timer,
		(uint64_t)client->listen->handshake_timeout_ms);
}

/* Room. */

static void client_evict(struct client *client)
{
	if (client->state == CLIENT_HANDSHAKING)
		client_give_up(client);
	else
		server_codec_evict(client->codec);
}

static void complain(struct clients *self, const char *what)
{
	uint64_t now = loop_now_ms(self->loop);

	if (now - self->complained_ms < COMPLAIN_EVERY_MS)
		return;
	self->complained_ms = now;
	log_warn("%s (%zu connections)", what, self->n);
}

/* The page that exchanges get for this reason, but without an exchange. */
static void refuse(struct conn *conn, bool is_tls)
{
	unsigned status = reason_status(REASON_OVERLOAD);
	char page[256];

	if (is_tls) {
		conn_close(conn);
		return;
	}
	(void)snprintf(page, sizeof(page), "%u %s\n%s\n", status, status_reason(status),
		reason_text(REASON_OVERLOAD));
	bytes_printf(conn_output(conn),
		"HTTP/1.1 %u %s\r\nDate: %.*s\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Retry-After: 1\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		status, status_reason(status), (int)http_date().n, http_date().p, strlen(page),
		page);
	conn_close_gracefully(conn, REFUSE_LINGER_MS);
}

static bool has_share(struct clients *self, const struct conn *conn)
{
	struct address_count *count;
	char host[ADDRESS_TEXT_SIZE] = "";

	if (self->limits.max_per_address == 0)
		return true;
	(void)address_to_host(conn_peer(conn), host);
	HASH_FIND_STR(self->addresses, host, count);
	return count == NULL || count->n < self->limits.max_per_address;
}

/* Whether the new conn may stay. */
static bool make_room(struct clients *self, const struct conn *conn)
{
	struct client *longest = TAILQ_FIRST(&self->waiting);

	if (!has_share(self, conn)) {
		complain(self, "max_connections_per_address reached, refusing new connections");
		return false;
	}
	if (self->n < self->limits.max)
		return true;
	if (longest == NULL ||
		longest->waiting_since_ms + EVICT_AFTER_MS > loop_now_ms(self->loop)) {
		complain(self, "max_connections reached and all busy, refusing new connections");
		return false;
	}
	complain(self, "max_connections reached, closing the longest waiting ones");
	client_evict(longest);
	return true;
}

void clients_accept(struct clients *self, struct conn *conn, const struct conf_listen *listen,
	struct tls_context *tls)
{
	struct client *client;

	if (!make_room(self, conn)) {
		refuse(conn, tls != NULL);
		return;
	}
	client = memory_alloc_zeroed(sizeof(*client));
	client->clients = self;
	client->conn = conn;
	client->listen = listen;
	client->waiting_since_ms = loop_now_ms(self->loop);
	timer_init(&client->timer, on_handshake_timeout, client);
	TAILQ_INSERT_TAIL(&self->waiting, client, link);
	self->n++;
	count_address(self, client);
	if (tls != NULL)
		client_shake_hands(client, tls);
	else
		client_serve(client);
}

/* Leaving. */

static void drain_list(struct client_list *list, struct spread *closes)
{
	struct client *client, *next;

	for (client = TAILQ_FIRST(list); client != NULL; client = next) {
		next = TAILQ_NEXT(client, link);
		if (client->codec != NULL)
			server_codec_drain(client->codec, closes);
	}
}

void clients_drain(struct clients *self, struct spread *closes)
{
	self->is_draining = true;
	drain_list(&self->waiting, closes);
	drain_list(&self->busy, closes);
}

void clients_close_all(struct clients *self, enum reason reason)
{
	struct client *client;

	while ((client = TAILQ_FIRST(&self->waiting)) != NULL ||
		(client = TAILQ_FIRST(&self->busy)) != NULL) {
		if (client->codec != NULL)
			server_codec_close(client->codec, reason);
		else
			client_give_up(client);
	}
}
