/*
 * One HTTP/2 server codec on a conn in memory and a fake loop, a client by nghttp2 or raw bytes,
 * and a handler that does what the test says, stream by stream.
 */
#ifndef TESTS_UNIT_PROXY_HTTP_H2_SERVER_WORLD_H
#define TESTS_UNIT_PROXY_HTTP_H2_SERVER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/http/exchange.h"
#include "proxy/http/h2_head.h"
#include "proxy/http/h2_server.h"
#include "tests/unit/proxy/http/h2_peer.h"

/* An exchange that the handler was given. */
struct seen {
	struct world *world;
	struct exchange *x; /* NULL: over */
	struct bytes body;  /* taken so far */
	char target[64];
	bool is_reading; /* takes all that comes */
	bool has_end;	 /* of the request body */
	bool is_aborted;
	int n_ends;
};

struct world {
	struct loop *loop;
	struct conn_fake *fake;
	struct h2_peer *peer;
	struct conf_listen listen;
	struct exchange_service service;
	struct server_codec *server; /* NULL: closed */
	struct seen seen[1200];
	size_t n_seen;
	bool is_reading; /* exchanges to come are read */
	uint64_t max_body_size;
	struct conf_tunnel rules;		  /* of tunnels, if any is set */
	char log[4096];				  /* "200 none, 0 bad-request" */
	uint64_t n_request_body, n_response_body; /* of the latest line */
	int n_busy, n_waiting;
};

static inline void turn(struct world *world)
{
	h2_peer_turn(world->peer);
}

/* In steps, so that pings and the like are answered in time. */
static inline void advance(struct world *world, uint64_t ms)
{
	while (ms > 0) {
		uint64_t step = MIN(ms, (uint64_t)500);

		loop_advance(world->loop, step);
		turn(world);
		ms -= step;
	}
}

/* The handler. */

static inline void on_readable(void *arg)
{
	struct seen *seen = arg;
	struct pipe *pipe = &seen->x->req_body;

	seen->is_aborted = pipe->is_aborted;
	if (seen->is_reading)
		(void)pipe_take(pipe, &seen->body, pipe_size(pipe));
	seen->has_end = pipe_is_ended(pipe);
}

static inline void on_exchange_end(struct exchange *x, void *arg)
{
	struct seen *seen = arg;

	pipe_set_reader(&x->req_body, NULL, NULL);
	seen->n_ends++;
	seen->x = NULL;
}

static inline void on_request(void *arg, struct exchange *x)
{
	static const struct handler handler = {.on_end = on_exchange_end};
	struct world *world = arg;
	struct seen *seen = &world->seen[world->n_seen++];

	assert_true(world->n_seen < ARRAY_LEN(world->seen));
	*seen = (struct seen){.world = world, .x = x, .is_reading = world->is_reading};
	bytes_init(&seen->body);
	(void)snprintf(seen->target, sizeof(seen->target), "%.*s", SLICE_ARG(x->req->target));
	x->max_body_size = world->max_body_size;
	if (x->req->is_websocket && world->rules.is_set)
		x->tunnel_rules = &world->rules;
	exchange_set_handler(x, &handler, seen);
	pipe_set_reader(&x->req_body, on_readable, seen);
}

static inline void on_log(void *arg, struct exchange *x)
{
	struct world *world = arg;
	size_t n = strlen(world->log);

	/* The log's facts must be there whatever happened. */
	(void)exchange_method(x);
	(void)exchange_target(x);
	assert_int_equal(exchange_version(x), 20);
	world->n_request_body = x->n_request_body;
	world->n_response_body = x->n_response_body;
	(void)snprintf(world->log + n, sizeof(world->log) - n, "%s%u %s", n > 0 ? ", " : "",
		x->status, reason_name(x->reason));
}

static inline void on_busy(void *arg)
{
	((struct world *)arg)->n_busy++;
}

static inline void on_waiting(void *arg)
{
	((struct world *)arg)->n_waiting++;
}

static inline void on_server_closed(void *arg)
{
	((struct world *)arg)->server = NULL;
}

/* Life. The options may be changed between prepare and start. */

static inline struct world *prepare(void)
{
	struct world *world = memory_alloc_zeroed(sizeof(*world));

	log_set_level(LOG_LEVEL_ERROR);
	world->loop = loop_new_fake(1000000);
	world->fake = conn_fake_new(world->loop);
	world->is_reading = true;
	world->listen = (struct conf_listen){.header_timeout_ms = 15000,
		.idle_timeout_ms = 75000,
		.body_timeout_ms = 30000,
		.write_timeout_ms = 20000,
		.max_header_size = 8192,
		.max_header_fields = 32,
		.max_uri_size = 1024,
		.http2_max_streams = 100,
		.http2_window = 65536,
		.http2_queue = 1024 * 1024,
		.http2_websocket = true};
	world->service =
		(struct exchange_service){.on_request = on_request, .on_log = on_log, .arg = world};
	return world;
}

static inline void start(struct world *world, const struct h2_peer_options *options)
{
	static const struct server_codec_owner owner = {
		.on_busy = on_busy, .on_waiting = on_waiting, .on_closed = on_server_closed};

	world->peer = h2_peer_new(world->loop, world->fake, false, options);
	world->server = h2_server_new(world->loop, conn_fake_conn(world->fake), &world->listen,
		&world->service, &owner, world);
	turn(world);
}

static inline int set_up(void **state)
{
	*state = prepare();
	return 0;
}

static inline int set_up_started(void **state)
{
	*state = prepare();
	start(*state, NULL);
	return 0;
}

static inline int tear_down(void **state)
{
	struct world *world = *state;
	size_t n_live;

	if (world->server != NULL)
		server_codec_close(world->server, REASON_DRAIN);
	assert_null(world->server);
	conn_close_lingering(world->loop);
	for (size_t i = 0; i < world->n_seen; i++) {
		/* Each handler has heard of the end once. */
		assert_int_equal(world->seen[i].n_ends, 1);
		bytes_clear(&world->seen[i].body);
	}
	h2_peer_free(world->peer);
	conn_fake_free(world->fake);
	loop_advance(world->loop, 0);
	loop_free(world->loop);
	n_live = exchange_n_live() + conn_n_live() + bytes_live_segments();
	free(world);
	bytes_release_cache();
	arena_release_cache();
	h2_head_release_buffer();
	return n_live != 0;
}

/* Steps. */

/* Flags of raw HEADERS. */
#define END (NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM)
#define OPEN NGHTTP2_FLAG_END_HEADERS

#define GET ":method=GET\n:scheme=https\n:authority=a\n:path=/a\n"
#define POST ":method=POST\n:scheme=https\n:authority=a\n:path=/p\n"
#define CONNECT ":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a\n:path=/ws\n"

static inline int32_t get(struct world *world)
{
	int32_t id = h2_peer_request(world->peer, GET, true);

	turn(world);
	return id;
}

static inline int32_t post(struct world *world, const char *body)
{
	int32_t id = h2_peer_request(world->peer, POST, false);

	h2_peer_put_text(world->peer, id, body);
	turn(world);
	return id;
}

static inline struct response_head *new_head(struct exchange *x, unsigned status)
{
	struct response_head *head = arena_alloc_zeroed(&x->arena, sizeof(*head));

	head->status = (uint16_t)status;
	head->version_minor = 1;
	head->body = BODY_CHUNKED;
	return head;
}

/* The i-th exchange is answered; its body follows by give. */
static inline void respond(struct world *world, size_t i, unsigned status)
{
	struct exchange *x = world->seen[i].x;

	assert_non_null(x);
	exchange_respond(x, new_head(x, status));
	turn(world);
}

static inline void respond_with_length(struct world *world, size_t i, uint64_t length)
{
	struct exchange *x = world->seen[i].x;
	struct response_head *head = new_head(x, 200);

	head->body = BODY_LENGTH;
	head->has_content_length = true;
	head->content_length = length;
	exchange_respond(x, head);
	turn(world);
}

static inline void give(struct world *world, size_t i, const char *text)
{
	pipe_put_copy(&world->seen[i].x->res_body, text, strlen(text));
	turn(world);
}

static inline void give_zeros(struct world *world, size_t i, size_t n)
{
	static const char zeros[65536];

	for (size_t part; n > 0; n -= part) {
		part = MIN(n, sizeof(zeros));
		pipe_put_copy(&world->seen[i].x->res_body, zeros, part);
	}
	turn(world);
}

static inline void give_end(struct world *world, size_t i)
{
	pipe_put_end(&world->seen[i].x->res_body);
	turn(world);
}

/* A whole short response. */
static inline void answer(struct world *world, size_t i, const char *text)
{
	respond(world, i, 200);
	give(world, i, text);
	give_end(world, i);
}

static inline void take(struct world *world, size_t i, size_t n)
{
	struct seen *seen = &world->seen[i];

	(void)pipe_take(&seen->x->req_body, &seen->body, n);
	turn(world);
}

static inline const char *body_of(struct world *world, size_t i)
{
	static char text[8192];
	struct bytes *body = &world->seen[i].body;
	size_t n = MIN(bytes_size(body), sizeof(text) - 1);

	bytes_peek(body, text, n);
	text[n] = '\0';
	return text;
}

static inline int32_t open_tunnel(struct world *world)
{
	size_t i = world->n_seen;
	int32_t id = h2_peer_request(world->peer, CONNECT, false);
	struct response_head *head;

	turn(world);
	assert_int_equal(world->n_seen, i + 1);
	assert_true(world->seen[i].x->req->is_websocket);
	world->seen[i].x->tunnel_timeout_ms = 60000;
	head = new_head(world->seen[i].x, 101);
	head->is_upgrade = true;
	head->body = BODY_NONE;
	exchange_respond(world->seen[i].x, head);
	turn(world);
	assert_int_equal(world->seen[i].x->state, EXCHANGE_TUNNEL);
	assert_int_equal(h2_peer_stream(world->peer, id)->status, 200);
	return id;
}

static inline void logged(struct world *world, const char *expected)
{
	assert_string_equal(world->log, expected);
	world->log[0] = '\0';
}

static inline void client_sees(struct world *world, const char *frames)
{
	assert_string_equal(h2_peer_frames(world->peer), frames);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)
/* The test starts the server itself. */
#define TEST_UNSTARTED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
