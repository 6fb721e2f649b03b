/*
 * One HTTP/2 client codec on a conn in memory and a fake loop, a server by nghttp2 or raw bytes,
 * and fetches whose owners keep what they are told.
 */
#ifndef TESTS_UNIT_PROXY_HTTP_H2_CLIENT_WORLD_H
#define TESTS_UNIT_PROXY_HTTP_H2_CLIENT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/memory.h"
#include "proxy/http/fetch.h"
#include "proxy/http/h2_client.h"
#include "proxy/http/h2_head.h"
#include "tests/unit/proxy/http/h2_peer.h"

struct world {
	struct loop *loop;
	struct conn_fake *fake;
	struct h2_peer *peer;
	struct fetcher *fetcher; /* NULL: closed */
	struct h2_client_options options;
	int n_room; /* how often on_room was told */
};

/* A fetch and what its owner has been told. */
struct job {
	struct world *world;
	struct arena arena;
	struct request_head req;
	struct pipe req_body, res_body;
	struct fields *req_trailers, *res_trailers;
	struct fetch fetch;
	struct bytes body;   /* taken so far */
	struct job *next;    /* started when this one ends, from inside the callback */
	struct job *victim;  /* cancelled when this one ends, from inside the callback */
	bool cancels_itself; /* on its head */
	bool is_unread;	     /* nobody takes the response */
	char told[256];
};

static inline void turn(struct world *world)
{
	h2_peer_turn(world->peer);
}

static inline void advance(struct world *world, uint64_t ms)
{
	while (ms > 0) {
		uint64_t step = MIN(ms, (uint64_t)500);

		loop_advance(world->loop, step);
		turn(world);
		ms -= step;
	}
}

/* The owner of a fetch. */

static inline void tell(struct job *job, const char *what)
{
	size_t n = strlen(job->told);

	(void)snprintf(job->told + n, sizeof(job->told) - n, "%s%s", n > 0 ? " " : "", what);
}

static inline void on_interim(void *arg, struct response_head *head)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "interim:%u", head->status);
	tell(arg, text);
}

static inline void on_head(void *arg, struct response_head *head)
{
	struct job *job = arg;
	char text[32];

	(void)snprintf(text, sizeof(text), "%u%s", head->status, head->is_upgrade ? "+up" : "");
	tell(job, text);
	if (job->cancels_itself)
		fetch_cancel(&job->fetch);
	/* As in an exchange, whose arena goes when the tunnel starts. */
	if (head->is_upgrade)
		arena_clear(&job->arena);
}

static inline void go_on(struct job *job)
{
	if (job->victim != NULL)
		fetch_cancel(&job->victim->fetch);
	if (job->next != NULL && job->world->fetcher != NULL && job->world->fetcher->n_room > 0)
		fetcher_start(job->world->fetcher, &job->next->fetch);
}

static inline void on_end(void *arg)
{
	tell(arg, "end");
	go_on(arg);
}

static inline void on_failed(void *arg, enum reason reason, const char *why)
{
	struct job *job = arg;

	assert_non_null(why);
	tell(job, reason_name(reason));
	if (job->fetch.is_unprocessed)
		tell(job, job->fetch.needs_http1 ? "unprocessed,http1" : "unprocessed");
	go_on(job);
}

static inline void on_readable(void *arg)
{
	struct job *job = arg;

	if (!job->is_unread)
		(void)pipe_take(&job->res_body, &job->body, pipe_size(&job->res_body));
}

static inline struct job *job_new(struct world *world, enum method method, const char *name)
{
	static const struct fetch_owner owner = {.on_interim = on_interim,
		.on_head = on_head,
		.on_end = on_end,
		.on_failed = on_failed};
	struct job *job = memory_alloc_zeroed(sizeof(*job));

	job->world = world;
	arena_init(&job->arena);
	bytes_init(&job->body);
	pipe_init(&job->req_body, world->loop, PIPE_LIMIT_DEFAULT);
	pipe_init(&job->res_body, world->loop, PIPE_LIMIT_DEFAULT);
	pipe_set_reader(&job->res_body, on_readable, job);
	job->req = (struct request_head){.method = method,
		.method_name = slice_from_string(name),
		.target = SLICE("/a"),
		.path = SLICE("/a"),
		.authority = SLICE("h"),
		.version_minor = 1};
	fetch_init(&job->fetch, world->loop, &job->arena, &job->req, &owner, job);
	job->fetch.res_body = &job->res_body;
	job->fetch.req_trailers = (const struct fields *const *)&job->req_trailers;
	job->fetch.res_trailers = &job->res_trailers;
	job->fetch.timeouts =
		(struct fetch_timeouts){.response_ms = 10000, .read_ms = 5000, .write_ms = 6000};
	return job;
}

static inline void job_start(struct job *job)
{
	assert_true(job->world->fetcher->n_room > 0);
	fetcher_start(job->world->fetcher, &job->fetch);
	assert_string_equal(job->told, "");
	turn(job->world);
}

static inline struct job *get(struct world *world)
{
	struct job *job = job_new(world, METHOD_GET, "GET");

	job_start(job);
	return job;
}

/* A body without a length, of which this is the first part. */
static inline struct job *new_post(struct world *world, const char *body)
{
	struct job *job = job_new(world, METHOD_POST, "POST");

	job->fetch.body = job->req.body = BODY_CHUNKED;
	job->fetch.req_body = &job->req_body;
	if (body[0] != '\0')
		pipe_put_copy(&job->req_body, body, strlen(body));
	return job;
}

static inline struct job *post(struct world *world, const char *body)
{
	struct job *job = new_post(world, body);

	job_start(job);
	return job;
}

static inline struct job *new_websocket(struct world *world)
{
	struct job *job = job_new(world, METHOD_GET, "GET");

	job->fetch.is_websocket = job->req.is_websocket = true;
	job->fetch.req_body = &job->req_body;
	return job;
}

/* Ends the job; what it was told must be this. */
static inline void done(struct job *job, const char *told)
{
	struct world *world = job->world;

	assert_string_equal(job->told, told);
	fetch_cancel(&job->fetch);
	assert_string_equal(job->told, told);
	pipe_close(&job->req_body);
	pipe_close(&job->res_body);
	bytes_clear(&job->body);
	arena_clear(&job->arena);
	free(job);
	turn(world);
}

static inline const char *body_of(struct job *job)
{
	static char text[8192];
	size_t n = MIN(bytes_size(&job->body), sizeof(text) - 1);

	bytes_peek(&job->body, text, n);
	text[n] = '\0';
	return text;
}

/* Life. */

static inline void on_room(void *arg, struct fetcher *fetcher)
{
	struct world *world = arg;

	assert_ptr_equal(fetcher, world->fetcher);
	world->n_room++;
}

static inline void on_closed(void *arg, struct fetcher *fetcher)
{
	struct world *world = arg;

	assert_ptr_equal(fetcher, world->fetcher);
	world->fetcher = NULL;
}

static inline struct world *prepare(void)
{
	struct world *world = memory_alloc_zeroed(sizeof(*world));

	world->loop = loop_new_fake(1000000);
	world->fake = conn_fake_new(world->loop);
	world->options = (struct h2_client_options){
		.idle_ms = 60000, .ping_ms = 0, .max_streams = 100, .window = 262144};
	return world;
}

static inline void start(struct world *world, const struct h2_peer_options *options)
{
	static const struct fetcher_pool pool = {.on_room = on_room, .on_closed = on_closed};

	world->peer = h2_peer_new(world->loop, world->fake, true, options);
	world->fetcher = h2_client_new(
		world->loop, conn_fake_conn(world->fake), &world->options, &pool, world);
	turn(world);
}

static inline int set_up(void **state)
{
	*state = prepare();
	return 0;
}

static inline int set_up_started(void **state)
{
	static const struct h2_peer_options options = {.has_connect = true};

	*state = prepare();
	start(*state, &options);
	return 0;
}

static inline int tear_down(void **state)
{
	struct world *world = *state;
	size_t n_live;

	if (world->fetcher != NULL)
		fetcher_close(world->fetcher);
	conn_close_lingering(world->loop);
	h2_peer_free(world->peer);
	conn_fake_free(world->fake);
	loop_advance(world->loop, 0);
	loop_free(world->loop);
	n_live = fetcher_n_live() + conn_n_live() + bytes_live_segments();
	free(world);
	bytes_release_cache();
	arena_release_cache();
	h2_head_release_buffer();
	return n_live != 0;
}

/* The server's side. */

static inline void respond(struct world *world, int32_t id, const char *lines, const char *body)
{
	h2_peer_respond(world->peer, id, lines, false);
	h2_peer_put_text(world->peer, id, body);
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
}

static inline void respond_ok(struct world *world, int32_t id)
{
	respond(world, id, ":status=200\n", "ok");
}

static inline void server_sees(struct world *world, const char *frames)
{
	assert_string_equal(h2_peer_frames(world->peer), frames);
}

/* Flags of raw HEADERS. */
#define END (NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM)
#define OPEN NGHTTP2_FLAG_END_HEADERS

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_started, tear_down)
/* The test starts the client itself. */
#define TEST_UNSTARTED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
