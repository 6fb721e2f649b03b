/*
 * Bytes of a server, to the HTTP/2 client codec on a conn in memory, with some fetches under way: a
 * GET, a POST whose body comes later, a HEAD and a WebSocket, and more as there is room. The first
 * byte says how: bit 0 whether SETTINGS are given, bit 1 whether responses are read, bit 2 whether
 * the server takes what it is sent, bit 3 whether a fetch is cancelled now and then, the rest the
 * size of the pieces in which the bytes come. The second and the third: the bytes from one point on
 * come again so often.
 *
 * Each fetch has one end, nothing stays alive, what is queued has its bounds, and what is written
 * is HTTP/2.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"
#include "proxy/http/fetch.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/h2_client.h"
#include "proxy/http/h2_head.h"
#include "proxy/net/conn_fake.h"
#include "tests/fuzz/h2_output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* SETTINGS with ENABLE_CONNECT_PROTOCOL. */
#define SETTINGS "\0\0\6\4\0\0\0\0\0\0\10\0\0\0\1"
#define PREFACE_SIZE 24
#define WINDOW 16384
/* A stream whose reader keeps up gets a window so many times as wide. */
#define WIDER 4
/* The frame that oversteps the window comes whole, in its pieces, before nghttp2 resets the stream.
 */
#define MAX_FRAME 16384
#define OUTPUT_SLACK (2 * H2_OUTPUT_MAX_FRAME + 1024)
#define MAX_JOBS 24

struct job {
	struct world *world;
	struct arena arena;
	struct request_head req;
	struct pipe req_body, res_body;
	struct fields *req_trailers, *res_trailers;
	struct fetch fetch;
	bool is_started;
	bool has_head;
	bool is_over; /* told, or cancelled */
};

struct world {
	struct loop *loop;
	struct conn_fake *fake;
	struct fetcher *fetcher; /* NULL: closed */
	struct h2_output output;
	struct job jobs[MAX_JOBS];
	int n_jobs;
	size_t n_skip; /* of the preface */
	bool is_reading;
	bool is_taking;
	bool is_cancelling;
};

/* The owner of a fetch. */

static void check_head(const struct response_head *head)
{
	ASSERT(head->status >= 100 && head->status <= 999);
	for (uint32_t i = 0; i < head->fields.n; i++) {
		ASSERT(h1_is_token(head->fields.items[i].name));
		ASSERT(h1_is_field_value(head->fields.items[i].value));
	}
}

static void on_interim(void *arg, struct response_head *head)
{
	struct job *job = arg;

	ASSERT(!job->is_over && !job->has_head);
	ASSERT(head->status < 200 && head->status != 101);
	check_head(head);
}

static void cancel(struct job *job)
{
	job->is_over = true;
	fetch_cancel(&job->fetch);
}

static void on_head(void *arg, struct response_head *head)
{
	struct job *job = arg;

	ASSERT(!job->is_over && !job->has_head);
	ASSERT(head->status >= 200 || head->is_upgrade);
	ASSERT(!head->is_upgrade || job->fetch.is_websocket);
	check_head(head);
	job->has_head = true;
	if (head->is_upgrade)
		arena_clear(&job->arena);
	if (job->world->is_cancelling && head->status % 2 == 1)
		cancel(job);
}

static void on_end(void *arg)
{
	struct job *job = arg;

	ASSERT(!job->is_over && job->has_head);
	ASSERT(job->res_body.has_end);
	job->is_over = true;
}

static void on_failed(void *arg, enum reason reason, const char *why)
{
	struct job *job = arg;

	ASSERT(!job->is_over && why != NULL && reason != REASON_NONE);
	ASSERT(!job->has_head || job->res_body.is_aborted || job->res_body.has_end);
	ASSERT(!job->fetch.is_unprocessed || !job->has_head);
	job->is_over = true;
}

static void on_readable(void *arg)
{
	struct job *job = arg;

	if (job->world->is_reading)
		pipe_drain(&job->res_body, pipe_size(&job->res_body));
}

/* Fetches. */

static void job_init(struct job *job, struct world *world, int number)
{
	static const struct fetch_owner owner = {.on_interim = on_interim,
		.on_head = on_head,
		.on_end = on_end,
		.on_failed = on_failed};
	static const struct {
		enum method method;
		struct slice name;
	} methods[] = {{METHOD_GET, {"GET", 3}}, {METHOD_POST, {"POST", 4}},
		{METHOD_HEAD, {"HEAD", 4}}, {METHOD_GET, {"GET", 3}}};
	int kind = number % (int)ARRAY_LEN(methods);

	*job = (struct job){.world = world};
	arena_init(&job->arena);
	pipe_init(&job->req_body, world->loop, PIPE_LIMIT_DEFAULT);
	pipe_init(&job->res_body, world->loop, PIPE_LIMIT_DEFAULT);
	pipe_set_reader(&job->res_body, on_readable, job);
	job->req = (struct request_head){.method = methods[kind].method,
		.method_name = methods[kind].name,
		.target = SLICE("/"),
		.path = SLICE("/"),
		.authority = SLICE("h"),
		.version_minor = 1};
	fetch_init(&job->fetch, world->loop, &job->arena, &job->req, &owner, job);
	job->fetch.res_body = &job->res_body;
	job->fetch.res_trailers = &job->res_trailers;
	job->fetch.req_trailers = (const struct fields *const *)&job->req_trailers;
	job->fetch.timeouts =
		(struct fetch_timeouts){.response_ms = 10000, .read_ms = 5000, .write_ms = 6000};
	job->fetch.is_websocket = job->req.is_websocket = kind == 3;
	if (kind == 1) {
		job->fetch.body = job->req.body = BODY_CHUNKED;
		pipe_put_copy(&job->req_body, "half", 4);
	}
	if (kind == 1 || kind == 3)
		job->fetch.req_body = &job->req_body;
}

static void start_jobs(struct world *world, int n)
{
	while (n-- > 0 && world->n_jobs < MAX_JOBS && world->fetcher != NULL &&
		world->fetcher->n_room > 0) {
		struct job *job = &world->jobs[world->n_jobs];

		job_init(job, world, world->n_jobs++);
		job->is_started = true;
		fetcher_start(world->fetcher, &job->fetch);
	}
}

static void on_room(void *arg, struct fetcher *fetcher)
{
	ASSERT(((struct world *)arg)->fetcher == fetcher);
}

static void on_closed(void *arg, struct fetcher *fetcher)
{
	struct world *world = arg;

	ASSERT(world->fetcher == fetcher);
	world->fetcher = NULL;
}

/* The server. */

static void check_queues(struct world *world)
{
	for (int i = 0; i < world->n_jobs; i++)
		ASSERT(pipe_size(&world->jobs[i].res_body) <= WIDER * WINDOW + MAX_FRAME);
	if (world->fetcher != NULL)
		ASSERT(bytes_size(conn_output(conn_fake_conn(world->fake))) <=
			CONN_OUTPUT_LIMIT + OUTPUT_SLACK);
}

static void turn(struct world *world, uint64_t ms)
{
	struct bytes *sent = conn_fake_sent(world->fake);
	size_t skip;

	loop_advance(world->loop, ms);
	/* Blocks that were given back go to the system, so that a use of them is seen. */
	arena_release_cache();
	skip = MIN(world->n_skip, bytes_size(sent));
	world->n_skip -= skip;
	h2_output_take(&world->output, sent, skip);
	check_queues(world);
}

/* Between the pieces the fetches go on. */
static void go_on(struct world *world, int step)
{
	struct job *job = &world->jobs[step % MAX_JOBS];

	start_jobs(world, 1);
	if (!job->is_started || job->is_over || job->fetch.req_body == NULL ||
		job->req_body.has_end || job->req_body.is_aborted)
		return;
	if (world->is_cancelling && step % 5 == 4)
		pipe_abort(&job->req_body);
	else if (step % 3 == 2)
		pipe_put_end(&job->req_body);
	else
		pipe_put_copy(&job->req_body, "more", 4);
}

static void feed(struct world *world, const uint8_t *p, size_t n, size_t piece)
{
	for (int step = 0; n > 0 && world->fetcher != NULL; step++) {
		size_t part = MIN(n, piece);

		conn_fake_feed(world->fake, p, part);
		turn(world, 0);
		go_on(world, step);
		p += part;
		n -= part;
	}
}

static void start(struct world *world)
{
	static const struct fetcher_pool pool = {.on_room = on_room, .on_closed = on_closed};
	static const struct h2_client_options options = {
		.idle_ms = 30000, .ping_ms = 4000, .max_streams = 8, .window = WINDOW};

	world->loop = loop_new_fake(1000000);
	world->fake = conn_fake_new(world->loop);
	world->n_skip = PREFACE_SIZE;
	world->fetcher =
		h2_client_new(world->loop, conn_fake_conn(world->fake), &options, &pool, world);
	if (!world->is_taking)
		conn_fake_set_room(world->fake, 300);
	start_jobs(world, 4);
	turn(world, 0);
}

static void finish(struct world *world)
{
	turn(world, 1000);
	for (int i = 0; i < world->n_jobs; i += 7)
		cancel(&world->jobs[i]);
	turn(world, 3000);
	conn_fake_set_room(world->fake, SIZE_MAX);
	turn(world, 20000);
	for (int i = 0; i < world->n_jobs; i++) {
		struct job *job = &world->jobs[i];

		/* Told, or it can be cancelled. */
		ASSERT(job->is_over == job->fetch.is_over);
		cancel(job);
		pipe_close(&job->req_body);
		pipe_close(&job->res_body);
		arena_clear(&job->arena);
	}
	turn(world, 0);
	if (world->fetcher != NULL)
		fetcher_close(world->fetcher);
	/* From outside: that is not told. */
	world->fetcher = NULL;
	conn_close_lingering(world->loop);
	turn(world, 0);
	bytes_clear(&world->output.pending);
	conn_fake_free(world->fake);
	loop_free(world->loop);
	ASSERT(fetcher_n_live() == 0);
	ASSERT(conn_n_live() == 0);
	ASSERT(bytes_live_segments() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	size_t piece, again, n;

	if (size < 3)
		return 0;
	world = (struct world){.is_reading = (data[0] & 2) != 0,
		.is_taking = (data[0] & 4) != 0,
		.is_cancelling = (data[0] & 8) != 0};
	piece = data[0] >> 4 == 0 ? SIZE_MAX : (size_t)(data[0] >> 4) * 7;
	start(&world);
	if (data[0] & 1) {
		feed(&world, (const uint8_t *)SETTINGS, sizeof(SETTINGS) - 1, SIZE_MAX);
		start_jobs(&world, 4);
		turn(&world, 0);
	}
	n = data[1] % 64;
	again = 3 + (size - 3) * data[2] / 256;
	feed(&world, data + 3, size - 3, piece);
	for (size_t i = 0; i < n; i++)
		feed(&world, data + again, size - again, piece);
	if (n % 8 == 7 && world.fetcher != NULL)
		conn_fake_feed_end(world.fake);
	finish(&world);
	return 0;
}
