/*
 * One server of a backend: its health, and the pool of connections to it.
 *
 * The pool is one list: the idle fetchers first, the latest used at the head, behind them those in
 * use. A fetcher in use has idle_since_ms 0.
 */
#ifndef PROXY_ROUTE_SERVER_H
#define PROXY_ROUTE_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/base/slice.h"
#include "proxy/http/fetch.h"
#include "proxy/net/conn.h"

TAILQ_HEAD(fetcher_list, fetcher);

/* A connection was freed or became idle. May come from inside a fetch's callbacks. */
typedef void server_on_change(void *arg);

struct server {
	struct loop *loop;
	const struct conf_backend *backend;
	const struct conf_server *conf;
	server_on_change *on_change;
	void *arg;
	struct slice authority; /* for CONF_HOST_SERVER */
	struct fetcher_list fetchers;
	uint64_t down_until_ms; /* counts while n_fails is at max_fails */
	int n_fails;		/* in a row */
	int n_idle;
	int n_connections; /* dials included */
};

void server_init(struct server *self, struct loop *loop, const struct conf_backend *backend,
	const struct conf_server *conf, server_on_change *on_change, void *arg);
/* Nothing may be in use. */
void server_clear(struct server *self);

/* Health. */
bool server_is_up(const struct server *self);
/* Of a server that was down and is up again only one request finds out whether it works. */
void server_on_chosen(struct server *self);
void server_on_success(struct server *self);
void server_on_failure(struct server *self);

/* The pool. */
/* There is neither an idle connection nor leave for a new one. */
bool server_is_full(const struct server *self);
/*
 * The idle fetcher last used, from now on in use; NULL: dial. `just_used` asks for one that was
 * idle for so short that the server will not have closed it.
 */
struct fetcher *server_take_idle(struct server *self, bool just_used);
/* Before a dial: counts it, and closes an idle connection where max_connections asks for it. */
void server_add_dial(struct server *self);
void server_end_dial(struct server *self);
/* Takes the open conn of a dial; the fetcher is in use. */
struct fetcher *server_add_conn(struct server *self, struct conn *conn);
/* Closes the idle fetchers beyond `n_left`, the longest idle first. */
void server_trim(struct server *self, int n_left);

#endif
