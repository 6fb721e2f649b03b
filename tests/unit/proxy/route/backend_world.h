/*
 * A backend with real HTTP/1.1 client codecs over conns in memory, on a fake loop, and fetches
 * whose owner keeps what it is told. Dials are answered by the test.
 */
#ifndef TESTS_UNIT_PROXY_ROUTE_BACKEND_WORLD_H
#define TESTS_UNIT_PROXY_ROUTE_BACKEND_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/memory.h"
#include "proxy/route/backend.h"
#include "tests/unit/proxy/route/fake_dial.h"

static struct loop *loop;
static const struct conf *conf;
static struct backend *backend;

static inline void settle(void)
{
	loop_advance(loop, 0);
}

static inline struct conn_fake *take(size_t i)
{
	return accept_dial(loop, i);
}

static inline void refuse(size_t i)
{
	fail_dial(loop, i, CONN_LOSS_CONNECT, "connection refused");
}

/* A fetch and what its owner has been told. */
struct job {
	struct arena arena;
	struct request_head head;
	struct pipe req_body, res_body;
	struct fetch fetch;
	struct job *next; /* to be started when this one ends, from inside on_end */
	char told[128];
};

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
	char text[32];

	(void)snprintf(text, sizeof(text), "%u", head->status);
	tell(arg, text);
}

static inline void on_end(void *arg)
{
	struct job *job = arg;

	tell(job, "end");
	if (job->next != NULL)
		backend_fetch(backend, &job->next->fetch);
}

static inline void on_failed(void *arg, enum reason reason, const char *why)
{
	assert_non_null(why);
	tell(arg, reason_name(reason));
}

static inline struct job *job_new(enum method method, const char *name)
{
	static const struct fetch_owner owner = {
		.on_interim = on_interim,
		.on_head = on_head,
		.on_end = on_end,
		.on_failed = on_failed,
	};
	struct job *job = memory_alloc_zeroed(sizeof(*job));

	arena_init(&job->arena);
	pipe_init(&job->req_body, loop, PIPE_LIMIT_DEFAULT);
	pipe_init(&job->res_body, loop, PIPE_LIMIT_DEFAULT);
	job->head = (struct request_head){
		.method = method,
		.method_name = slice_from_string(name),
		.target = SLICE("/"),
		.path = SLICE("/"),
		.authority = SLICE("a.example"),
		.version_minor = 1,
	};
	fetch_init(&job->fetch, loop, &job->arena, &job->head, &owner, job);
	job->fetch.res_body = &job->res_body;
	job->fetch.timeouts =
		(struct fetch_timeouts){.response_ms = 60000, .read_ms = 60000, .write_ms = 60000};
	job->fetch.may_retry = method_is_idempotent(method);
	return job;
}

static inline struct job *get(void)
{
	struct job *job = job_new(METHOD_GET, "GET");

	backend_fetch(backend, &job->fetch);
	assert_string_equal(job->told, "");
	settle();
	return job;
}

static inline struct job *post(const char *body)
{
	struct job *job = job_new(METHOD_POST, "POST");

	job->fetch.body = job->head.body = body[0] != '\0' ? BODY_LENGTH : BODY_NONE;
	job->head.content_length = strlen(body);
	if (body[0] != '\0') {
		job->fetch.req_body = &job->req_body;
		pipe_put_copy(&job->req_body, body, strlen(body));
		pipe_put_end(&job->req_body);
	}
	backend_fetch(backend, &job->fetch);
	settle();
	return job;
}

/* Ends the job; what it was told must be this. */
static inline void done(struct job *job, const char *told)
{
	assert_string_equal(job->told, told);
	fetch_cancel(&job->fetch);
	pipe_close(&job->req_body);
	pipe_close(&job->res_body);
	arena_clear(&job->arena);
	free(job);
	settle();
}

static inline void answer(struct conn_fake *conn, const char *response)
{
	conn_fake_feed_string(conn, response);
	settle();
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

static inline void open_backend(const char *options)
{
	struct conf_errors errors = {0};
	char text[1024];

	(void)snprintf(text, sizeof(text),
		"listen \"127.0.0.1:8080\" {}\nbackend \"b\" {%s}\n"
		"route \"/\" { backend = \"b\" }\n",
		options);
	conf = conf_parse(text, "test", &errors);
	conf_errors_print(&errors, stderr);
	conf_errors_clear(&errors);
	assert_non_null(conf);
	backend = backend_new(loop, &conf->backends[0], NULL, NULL);
}

static inline int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	loop = loop_new_fake(1000000);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	backend_close(backend);
	settle();
	/* Nothing is left: the backend has let go of its configuration. */
	assert_int_equal(conf->n_references, 1);
	conn_close_lingering(loop);
	close_dials();
	settle();
	loop_free(loop);
	conf_unref(conf);
	assert_int_equal(fetcher_n_live(), 0);
	assert_int_equal(conn_n_live(), 0);
	arena_release_cache();
	bytes_release_cache();
	return 0;
}

#define ONE "servers = {\"127.0.0.1:1\"}\n"
#define TWO "servers = {\"127.0.0.1:1\", \"127.0.0.1:2\"}\n"
#define THREE "servers = {\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"}\n"

/* One connection idle at server 1, which has closed without our knowing. */
static inline struct conn_fake *make_idle(void)
{
	struct job *job = get();
	struct conn_fake *conn = take(n_dials - 1);

	answer(conn, ok);
	done(job, "200 end");
	(void)sent(conn);
	return conn;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
