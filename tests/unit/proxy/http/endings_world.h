/*
 * One HTTP/1.1 server codec and one client codec on conns in memory, on a fake loop, joined by the
 * least possible handler: what the tests of endings look at from both sides.
 */
#ifndef TESTS_UNIT_PROXY_HTTP_ENDINGS_WORLD_H
#define TESTS_UNIT_PROXY_HTTP_ENDINGS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/memory.h"
#include "proxy/http/exchange.h"
#include "proxy/http/fetch.h"
#include "proxy/http/h1_client.h"
#include "proxy/http/h1_server.h"
#include "proxy/net/conn_fake.h"

struct world {
	struct loop *loop;
	struct conn_fake *client;
	struct conn_fake *backend;
	struct conf_listen listen;
	struct exchange_service service;
	struct server_codec *server; /* NULL: closed */
	struct fetcher *fetcher;     /* NULL: closed */
	struct exchange *x;	     /* NULL: over */
	struct fetch fetch;
	struct conf_tunnel rules; /* of tunnels, if any is set */
	uint64_t tunnel_timeout_ms;
	bool is_fetching;
	bool is_reusable; /* the fetcher came back */
	enum reason failure;
	enum reason logged;
	int n_logged;
	int logged_status;
};

/* The handler: a fetch on the one backend connection. */

static inline void on_interim(void *arg, struct response_head *head)
{
	exchange_respond_interim(((struct world *)arg)->x, head);
}

static inline void on_head(void *arg, struct response_head *head)
{
	struct world *world = arg;

	world->x->tunnel_timeout_ms = world->tunnel_timeout_ms;
	exchange_respond(world->x, head);
}

static inline void on_fetch_end(void *arg)
{
	((struct world *)arg)->is_fetching = false;
}

static inline void on_failed(void *arg, enum reason reason, const char *why)
{
	struct world *world = arg;

	(void)why;
	world->is_fetching = false;
	world->failure = reason;
	exchange_abort(world->x, reason);
}

static inline void on_exchange_end(struct exchange *x, void *arg)
{
	struct world *world = arg;

	(void)x;
	fetch_cancel(&world->fetch);
	world->is_fetching = false;
	world->x = NULL;
}

static inline void on_request(void *arg, struct exchange *x)
{
	static const struct handler handler = {.on_end = on_exchange_end};
	static const struct fetch_owner owner = {.on_interim = on_interim,
		.on_head = on_head,
		.on_end = on_fetch_end,
		.on_failed = on_failed};
	struct world *world = arg;

	world->x = x;
	x->max_body_size = 20;
	if (world->rules.is_set)
		x->tunnel_rules = &world->rules;
	exchange_set_handler(x, &handler, world);
	fetch_init(&world->fetch, world->loop, &x->arena, x->req, &owner, world);
	world->fetch.body = x->req->body;
	world->fetch.is_websocket = x->req->is_websocket;
	world->fetch.req_body = &x->req_body;
	world->fetch.res_body = &x->res_body;
	world->fetch.req_trailers = (const struct fields *const *)&x->req_trailers;
	world->fetch.res_trailers = &x->res_trailers;
	world->fetch.timeouts =
		(struct fetch_timeouts){.response_ms = 10000, .read_ms = 5000, .write_ms = 5000};
	world->is_fetching = true;
	world->is_reusable = false;
	fetcher_start(world->fetcher, &world->fetch);
}

static inline void on_log(void *arg, struct exchange *x)
{
	struct world *world = arg;

	world->n_logged++;
	world->logged = x->reason;
	world->logged_status = x->status;
}

static inline void on_room(void *arg, struct fetcher *fetcher)
{
	(void)fetcher;
	((struct world *)arg)->is_reusable = true;
}

static inline void on_fetcher_closed(void *arg, struct fetcher *fetcher)
{
	(void)fetcher;
	((struct world *)arg)->fetcher = NULL;
}

static inline void on_server_state(void *arg)
{
	(void)arg;
}

static inline void on_server_closed(void *arg)
{
	((struct world *)arg)->server = NULL;
}

static inline void turn(struct world *world)
{
	loop_advance(world->loop, 0);
}

static inline int set_up(void **state)
{
	static const struct fetcher_pool pool = {
		.on_room = on_room, .on_closed = on_fetcher_closed};
	static const struct server_codec_owner owner = {.on_busy = on_server_state,
		.on_waiting = on_server_state,
		.on_closed = on_server_closed};
	static const struct h1_client_options options = {.idle_ms = 4000};
	struct world *world = memory_alloc_zeroed(sizeof(*world));

	world->loop = loop_new_fake(1000000);
	world->tunnel_timeout_ms = 60000;
	world->client = conn_fake_new(world->loop);
	world->backend = conn_fake_new(world->loop);
	world->listen = (struct conf_listen){.header_timeout_ms = 15000,
		.idle_timeout_ms = 75000,
		.body_timeout_ms = 30000,
		.write_timeout_ms = 30000,
		.max_header_size = 32768,
		.max_header_fields = 100,
		.max_uri_size = 8192};
	world->service =
		(struct exchange_service){.on_request = on_request, .on_log = on_log, .arg = world};
	world->fetcher =
		h1_client_new(world->loop, conn_fake_conn(world->backend), &options, &pool, world);
	world->server = h1_server_new(world->loop, conn_fake_conn(world->client), &world->listen,
		&world->service, &owner, world);
	turn(world);
	*state = world;
	return 0;
}

static inline int tear_down(void **state)
{
	struct world *world = *state;
	size_t n_live;

	if (world->server != NULL)
		server_codec_close(world->server, REASON_DRAIN);
	if (world->fetcher != NULL)
		fetcher_close(world->fetcher);
	conn_close_lingering(world->loop);
	conn_fake_free(world->client);
	conn_fake_free(world->backend);
	turn(world);
	loop_free(world->loop);
	n_live = exchange_n_live() + fetcher_n_live() + conn_n_live() + bytes_live_segments();
	free(world);
	bytes_release_cache();
	arena_release_cache();
	return n_live != 0;
}

/* Steps. */

static inline void client_sends(struct world *world, const char *s)
{
	conn_fake_feed_string(world->client, s);
	turn(world);
}

static inline void backend_sends(struct world *world, const char *s)
{
	conn_fake_feed_string(world->backend, s);
	turn(world);
}

static inline char *take_text(struct conn_fake *fake)
{
	static char text[8192];
	struct bytes *sent = conn_fake_sent(fake);
	size_t n = bytes_size(sent);

	assert_true(n < sizeof(text));
	bytes_peek(sent, text, n);
	bytes_drain(sent, n);
	text[n] = '\0';
	return text;
}

static inline void client_sees(struct world *world, const char *expected)
{
	assert_string_equal(take_text(world->client), expected);
}

static inline void client_sees_status(struct world *world, const char *status)
{
	const char *text = take_text(world->client);

	assert_memory_equal(text, "HTTP/1.1 ", 9);
	assert_memory_equal(text + 9, status, 3);
}

static inline void backend_sees(struct world *world, const char *expected)
{
	assert_string_equal(take_text(world->backend), expected);
}

static inline void logged(struct world *world, int status, enum reason reason)
{
	assert_int_equal(world->n_logged, 1);
	assert_int_equal(world->logged_status, status);
	assert_string_equal(reason_name(world->logged), reason_name(reason));
}

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST_10 "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"
#define HANDSHAKE \
	"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define SWITCH \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

static inline void open_tunnel(struct world *world)
{
	client_sends(world, HANDSHAKE);
	(void)take_text(world->backend);
	backend_sends(world, SWITCH);
	client_sees_status(world, "101");
	assert_int_equal(world->x->state, EXCHANGE_TUNNEL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
