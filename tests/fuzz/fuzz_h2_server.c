/*
 * Bytes of a client, to the HTTP/2 server codec on a conn in memory, with a handler that does one
 * thing or another by the number of the exchange. The first three bytes say how: bit 0 of the first
 * whether preface and SETTINGS are given, bit 1 whether request bodies are read, bit 2 whether the
 * client takes what it is sent, bit 3 whether WebSockets are offered, the rest the size of the
 * pieces in which the bytes come; the second and the third that the bytes from one point on come
 * again so often. At the end time passes, the connection is drained, then cut.
 *
 * Each exchange ends once, nothing stays alive, what is queued has its bounds, and what is written
 * is HTTP/2.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/http/exchange.h"
#include "proxy/http/h2_head.h"
#include "proxy/http/h2_server.h"
#include "proxy/net/conn_fake.h"
#include "tests/fuzz/h2_output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define QUEUE 65536
/* Closes that are put into tunnels when we leave are not the client's bytes. */
#define QUEUE_SLACK 4096
/* Frames are written while there is room, the last of them beyond it; answers to what was read in
 * one turn and the last GOAWAY come on top. */
#define OUTPUT_SLACK (2 * H2_OUTPUT_MAX_FRAME + 1024)
#define MAX_TASKS 64

/* What the handler does with an exchange. */
struct task {
	struct exchange *x; /* NULL: over */
	struct world *world;
	int number;
	int n_ends;
	bool is_echo;
};

struct world {
	struct loop *loop;
	struct conn_fake *fake;
	struct server_codec *server;
	struct h2_output output;
	struct task tasks[MAX_TASKS];
	int n_tasks;
	int n_requests;
	int n_logged;
	bool is_reading;
	bool is_taking;
};

/* The handler. */

static void give_back(struct pipe *from, struct pipe *to)
{
	struct bytes bytes;
	size_t room;

	bytes_init(&bytes);
	while (pipe_size(from) > 0 && (room = pipe_room(to)) > 0) {
		size_t n = pipe_take(from, &bytes, room);

		pipe_put(to, &bytes, n);
	}
}

static void on_readable(void *arg)
{
	struct task *task = arg;
	struct exchange *x = task->x;

	if (!task->world->is_reading)
		return;
	if (!task->is_echo) {
		pipe_drain(&x->req_body, pipe_size(&x->req_body));
		return;
	}
	if (x->res_body.has_end || x->res_body.is_aborted)
		return;
	if (x->req_body.is_aborted) {
		pipe_abort(&x->res_body);
		exchange_abort(x, REASON_CLIENT_GONE);
		return;
	}
	give_back(&x->req_body, &x->res_body);
	if (pipe_is_ended(&x->req_body))
		pipe_put_end(&x->res_body);
}

static void on_writable(void *arg)
{
	on_readable(arg);
}

static void on_end(struct exchange *x, void *arg)
{
	struct task *task = arg;

	ASSERT(task->x == x);
	pipe_set_reader(&x->req_body, NULL, NULL);
	pipe_set_writer(&x->res_body, NULL, NULL);
	task->x = NULL;
	task->n_ends++;
}

static struct response_head *new_head(struct exchange *x, unsigned status, enum body_kind body)
{
	struct response_head *head = arena_alloc_zeroed(&x->arena, sizeof(*head));

	head->status = (uint16_t)status;
	head->version_minor = 1;
	head->body = x->req->method == METHOD_HEAD ? BODY_NONE : body;
	fields_add(&head->fields, &x->arena, SLICE("Server"), SLICE("fuzz"));
	return head;
}

static void echo(struct task *task)
{
	struct exchange *x = task->x;
	bool is_tunnel = x->req->is_websocket;
	struct response_head *head =
		is_tunnel ? new_head(x, 101, BODY_NONE) : new_head(x, 200, BODY_CHUNKED);

	task->is_echo = true;
	head->is_upgrade = is_tunnel;
	x->tunnel_timeout_ms = 50000;
	pipe_set_writer(&x->res_body, on_writable, task);
	exchange_respond(x, head);
}

static void answer_with_trailers(struct exchange *x)
{
	struct response_head *head = new_head(x, 103, BODY_NONE);

	exchange_continue(x);
	exchange_respond_interim(x, head);
	head = new_head(x, 200, BODY_CHUNKED);
	x->res_trailers = arena_alloc_zeroed(&x->arena, sizeof(*x->res_trailers));
	fields_add(x->res_trailers, &x->arena, SLICE("x-sum"), SLICE("5"));
	pipe_put_copy(&x->res_body, "hello", 5);
	pipe_put_end(&x->res_body);
	exchange_respond(x, head);
}

static void answer_at_length(struct exchange *x)
{
	static const char zeros[40000];
	struct response_head *head = new_head(x, 200, BODY_LENGTH);

	head->has_content_length = true;
	head->content_length = sizeof(zeros);
	pipe_put_copy(&x->res_body, zeros, sizeof(zeros));
	pipe_put_end(&x->res_body);
	exchange_respond(x, head);
}

static void break_off(struct exchange *x)
{
	exchange_respond(x, new_head(x, 200, BODY_CHUNKED));
	pipe_put_copy(&x->res_body, "half", 4);
	pipe_abort(&x->res_body);
	exchange_abort(x, REASON_BACKEND_CUT);
}

static void do_task(struct task *task)
{
	struct exchange *x = task->x;

	if (x->req->is_websocket && task->number % 8 != 3) {
		echo(task);
		return;
	}
	switch (task->number % 8) {
	case 0:
		exchange_answer(x, 200, SLICE("text/plain"), SLICE("hello"), NULL);
		break;
	case 1:
		echo(task);
		break;
	case 2:
		answer_with_trailers(x);
		break;
	case 3:
		exchange_abort(x, REASON_BACKEND_GONE);
		break;
	case 4:
		answer_at_length(x);
		break;
	case 5:
		break_off(x);
		break;
	default:
		/* Held until the end. */
		break;
	}
}

static void on_request(void *arg, struct exchange *x)
{
	static const struct handler handler = {.on_end = on_end};
	struct world *world = arg;
	struct task *task = &world->tasks[world->n_tasks];

	world->n_requests++;
	x->max_body_size = 100000;
	if (world->n_tasks == MAX_TASKS) {
		exchange_abort(x, REASON_OVERLOAD);
		return;
	}
	*task = (struct task){.x = x, .world = world, .number = world->n_tasks++};
	exchange_set_handler(x, &handler, task);
	pipe_set_reader(&x->req_body, on_readable, task);
	do_task(task);
}

static void on_log(void *arg, struct exchange *x)
{
	struct world *world = arg;

	(void)exchange_method(x);
	(void)exchange_target(x);
	ASSERT(x->state == EXCHANGE_OVER);
	world->n_logged++;
}

static void on_state(void *arg)
{
	(void)arg;
}

static void on_closed(void *arg)
{
	((struct world *)arg)->server = NULL;
}

/* The client. */

static void check_queues(struct world *world)
{
	size_t n_queued = 0;

	for (int i = 0; i < world->n_tasks; i++)
		if (world->tasks[i].x != NULL)
			n_queued += pipe_size(&world->tasks[i].x->req_body);
	ASSERT(n_queued <= QUEUE + QUEUE_SLACK);
	if (world->server != NULL)
		ASSERT(bytes_size(conn_output(conn_fake_conn(world->fake))) <=
			CONN_OUTPUT_LIMIT + OUTPUT_SLACK);
}

static void turn(struct world *world, uint64_t ms)
{
	loop_advance(world->loop, ms);
	/* Blocks that were given back go to the system, so that a use of them is seen. */
	arena_release_cache();
	h2_output_take(&world->output, conn_fake_sent(world->fake), 0);
	check_queues(world);
}

static void feed(struct world *world, const uint8_t *p, size_t n, size_t piece)
{
	while (n > 0 && world->server != NULL) {
		size_t part = MIN(n, piece);

		conn_fake_feed(world->fake, p, part);
		turn(world, 0);
		p += part;
		n -= part;
	}
}

static void start(struct world *world, const struct conf_listen *listen,
	const struct exchange_service *service)
{
	static const struct server_codec_owner owner = {
		.on_busy = on_state, .on_waiting = on_state, .on_closed = on_closed};

	log_set_level(LOG_LEVEL_ERROR);
	world->loop = loop_new_fake(1000000);
	world->fake = conn_fake_new(world->loop);
	world->server = h2_server_new(
		world->loop, conn_fake_conn(world->fake), listen, service, &owner, world);
	if (!world->is_taking)
		conn_fake_set_room(world->fake, 1000);
	turn(world, 0);
}

static void finish(struct world *world)
{
	turn(world, 1000);
	if (world->server != NULL)
		server_codec_drain(world->server, NULL);
	turn(world, 20000);
	conn_fake_set_room(world->fake, SIZE_MAX);
	turn(world, 40000);
	if (world->server != NULL)
		server_codec_close(world->server, REASON_DRAIN);
	turn(world, 0);
	ASSERT(world->server == NULL);
	conn_close_lingering(world->loop);
	turn(world, 0);
	for (int i = 0; i < world->n_tasks; i++)
		ASSERT(world->tasks[i].n_ends == 1);
	ASSERT(world->n_logged >= world->n_requests);
	bytes_clear(&world->output.pending);
	conn_fake_free(world->fake);
	loop_free(world->loop);
	ASSERT(exchange_n_live() == 0);
	ASSERT(conn_n_live() == 0);
	ASSERT(bytes_live_segments() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	struct exchange_service service = {
		.on_request = on_request, .on_log = on_log, .arg = &world};
	struct conf_listen listen = {.header_timeout_ms = 15000,
		.idle_timeout_ms = 75000,
		.body_timeout_ms = 10000,
		.write_timeout_ms = 10000,
		.max_header_size = 2048,
		.max_header_fields = 16,
		.max_uri_size = 256,
		.keepalive_requests = 40,
		.http2_max_streams = 16,
		.http2_window = 16384,
		.http2_queue = QUEUE};
	size_t piece, again, n;

	if (size < 3)
		return 0;
	world = (struct world){.is_reading = (data[0] & 2) != 0, .is_taking = (data[0] & 4) != 0};
	listen.http2_websocket = (data[0] & 8) != 0;
	piece = data[0] >> 4 == 0 ? SIZE_MAX : (size_t)(data[0] >> 4) * 7;
	start(&world, &listen, &service);
	if (data[0] & 1)
		feed(&world, (const uint8_t *)PREFACE, sizeof(PREFACE) - 1, SIZE_MAX);
	n = data[1] % 64;
	again = 3 + (size - 3) * data[2] / 256;
	feed(&world, data + 3, size - 3, piece);
	for (size_t i = 0; i < n; i++)
		feed(&world, data + again, size - again, piece);
	if (n % 8 == 7 && world.server != NULL)
		conn_fake_feed_end(world.fake);
	finish(&world);
	return 0;
}
