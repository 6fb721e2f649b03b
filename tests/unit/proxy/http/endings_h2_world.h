/* The world of endings with HTTP/2 on both sides: the same handler, and a peer at either end. */
#ifndef TESTS_UNIT_PROXY_HTTP_ENDINGS_H2_WORLD_H
#define TESTS_UNIT_PROXY_HTTP_ENDINGS_H2_WORLD_H

#include "tests/unit/proxy/http/endings_world.h"

#include "proxy/base/log.h"
#include "proxy/http/h2_client.h"
#include "proxy/http/h2_head.h"
#include "proxy/http/h2_server.h"
#include "tests/unit/proxy/http/h2_peer.h"

struct h2_world {
	struct world base; /* the handler's */
	struct h2_peer *client;
	struct h2_peer *backend;
};

/* Until nothing moves at either end. */
static inline void settle(struct h2_world *world)
{
	bool has_moved;

	do {
		loop_advance(world->base.loop, 0);
		has_moved = h2_peer_step(world->client);
		has_moved |= h2_peer_step(world->backend);
	} while (has_moved);
}

static inline void pass(struct h2_world *world, uint64_t ms)
{
	while (ms > 0) {
		uint64_t step = MIN(ms, (uint64_t)500);

		loop_advance(world->base.loop, step);
		settle(world);
		ms -= step;
	}
}

static inline int set_up_h2(void **state)
{
	static const struct fetcher_pool pool = {
		.on_room = on_room, .on_closed = on_fetcher_closed};
	static const struct server_codec_owner owner = {.on_busy = on_server_state,
		.on_waiting = on_server_state,
		.on_closed = on_server_closed};
	static const struct h2_client_options options = {
		.idle_ms = 4000, .max_streams = 100, .window = 262144};
	static const struct h2_peer_options offer = {.has_connect = true};
	struct h2_world *world = memory_alloc_zeroed(sizeof(*world));
	struct world *base = &world->base;

	log_set_level(LOG_LEVEL_ERROR);
	base->loop = loop_new_fake(1000000);
	base->tunnel_timeout_ms = 60000;
	base->client = conn_fake_new(base->loop);
	base->backend = conn_fake_new(base->loop);
	base->listen = (struct conf_listen){.header_timeout_ms = 15000,
		.idle_timeout_ms = 75000,
		.body_timeout_ms = 30000,
		.write_timeout_ms = 30000,
		.max_header_size = 32768,
		.max_header_fields = 100,
		.max_uri_size = 8192,
		.http2_max_streams = 100,
		.http2_window = 65536,
		.http2_queue = 1024 * 1024,
		.http2_websocket = true};
	base->service =
		(struct exchange_service){.on_request = on_request, .on_log = on_log, .arg = base};
	world->client = h2_peer_new(base->loop, base->client, false, NULL);
	world->backend = h2_peer_new(base->loop, base->backend, true, &offer);
	base->fetcher =
		h2_client_new(base->loop, conn_fake_conn(base->backend), &options, &pool, base);
	base->server = h2_server_new(base->loop, conn_fake_conn(base->client), &base->listen,
		&base->service, &owner, base);
	settle(world);
	*state = world;
	return 0;
}

static inline int tear_down_h2(void **state)
{
	struct h2_world *world = *state;
	struct world *base = &world->base;
	size_t n_live;

	if (base->server != NULL)
		server_codec_close(base->server, REASON_DRAIN);
	if (base->fetcher != NULL)
		fetcher_close(base->fetcher);
	conn_close_lingering(base->loop);
	h2_peer_free(world->client);
	h2_peer_free(world->backend);
	conn_fake_free(base->client);
	conn_fake_free(base->backend);
	turn(base);
	loop_free(base->loop);
	n_live = exchange_n_live() + fetcher_n_live() + conn_n_live() + bytes_live_segments();
	free(world);
	bytes_release_cache();
	arena_release_cache();
	h2_head_release_buffer();
	return n_live != 0;
}

/* Steps. */

static inline int32_t client_asks(struct h2_world *world, const char *lines, bool is_ended)
{
	int32_t id = h2_peer_request(world->client, lines, is_ended);

	settle(world);
	return id;
}

static inline void client_puts(struct h2_world *world, int32_t id, const char *text)
{
	h2_peer_put_text(world->client, id, text);
	settle(world);
}

static inline void client_ends(struct h2_world *world, int32_t id)
{
	h2_peer_put_end(world->client, id, NULL);
	settle(world);
}

static inline void client_resets(struct h2_world *world, int32_t id, uint32_t error)
{
	h2_peer_reset(world->client, id, error);
	settle(world);
}

static inline void backend_answers(
	struct h2_world *world, int32_t id, const char *lines, bool is_ended)
{
	h2_peer_respond(world->backend, id, lines, is_ended);
	settle(world);
}

static inline void backend_puts(struct h2_world *world, int32_t id, const char *text)
{
	h2_peer_put_text(world->backend, id, text);
	settle(world);
}

static inline void backend_ends(struct h2_world *world, int32_t id)
{
	h2_peer_put_end(world->backend, id, NULL);
	settle(world);
}

static inline void backend_resets(struct h2_world *world, int32_t id, uint32_t error)
{
	h2_peer_reset(world->backend, id, error);
	settle(world);
}

/* Frames since the last look. */
static inline void they_see(struct h2_world *world, const char *client, const char *backend)
{
	assert_string_equal(h2_peer_frames(world->client), client);
	assert_string_equal(h2_peer_frames(world->backend), backend);
}

/* A request that does not end behind its response is waited for a while. */
static inline void client_is_stopped(struct h2_world *world)
{
	pass(world, 999);
	they_see(world, "", "");
	pass(world, 1);
	they_see(world, "RST_STREAM(1,NO_ERROR)", "");
}

/* Both connections go on: another exchange passes. */
static inline void both_live(struct h2_world *world)
{
	int32_t id, there;

	assert_non_null(world->base.server);
	assert_non_null(world->base.fetcher);
	assert_false(world->base.is_fetching);
	id = client_asks(world, ":method=GET\n:scheme=https\n:authority=h\n:path=/next\n", true);
	assert_true(world->base.is_fetching);
	there = world->backend->streams[world->backend->n_streams - 1]->id;
	backend_answers(world, there, ":status=200\n", false);
	backend_puts(world, there, "next");
	backend_ends(world, there);
	assert_string_equal(h2_peer_body(world->client, id), "next");
	assert_true(h2_peer_stream(world->client, id)->has_end);
}

static inline void open_tunnel_h2(struct h2_world *world)
{
	(void)client_asks(world,
		":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=h\n:path=/ws\n",
		false);
	backend_answers(world, 1, ":status=200\n", false);
	assert_int_equal(world->base.x->state, EXCHANGE_TUNNEL);
	they_see(world, "HEADERS(1)", "HEADERS(1)");
}

#define GET_H2 ":method=GET\n:scheme=https\n:authority=h\n:path=/a\n"
#define POST_H2 ":method=POST\n:scheme=https\n:authority=h\n:path=/a\n"
#define TEST_H2(name) cmocka_unit_test_setup_teardown(name, set_up_h2, tear_down_h2)

#endif
