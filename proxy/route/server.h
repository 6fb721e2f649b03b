/*
 * One server of a backend: its health, and the pool of connections to it.
 *
 * A fetcher stands in the list of its place: idle (nothing is under way), open (something is, and
 * there is room for more: HTTP/2 only) or busy (there is none). Where a server is known to speak
 * HTTP/2, fetches wait for a dial under way rather than dial each for itself.
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

enum server_place {
	SERVER_IDLE,
	SERVER_OPEN,
	SERVER_BUSY,
	N_SERVER_PLACES,
};

struct server {
	struct loop *loop;
	const struct conf_backend *backend;
	const struct conf_server *conf;
	server_on_change *on_change;
	void *arg;
	struct slice authority; /* for CONF_HOST_SERVER */
	struct fetcher_list fetchers[N_SERVER_PLACES];
	const size_t *n_waiting; /* fetches of the backend that wait for any server */
	uint64_t down_until_ms;	 /* counts while n_fails is at max_fails */
	int n_fails;		 /* in a row */
	int n_idle;
	int n_connections;   /* dials included */
	int n_dials;	     /* for connections that may carry HTTP/2, until it is known how much */
	bool is_multiplexed; /* HTTP/2 is what it speaks, as far as is known */
};

void server_init(struct server *self, struct loop *loop, const struct conf_backend *backend,
	const struct conf_server *conf, const size_t *n_waiting, server_on_change *on_change,
	void *arg);
/* Nothing may be in use. */
void server_clear(struct server *self);

/* Health. */
bool server_is_up(const struct server *self);
/* Of a server that was down and is up again only one request finds out whether it works. */
void server_on_chosen(struct server *self);
void server_on_success(struct server *self);
void server_on_failure(struct server *self);

/* The pool. */
/* There is neither room on a connection nor leave for a new one. */
bool server_is_full(const struct server *self);
/* Leave for a new one, if need be in the place of an idle one. */
bool server_may_dial(const struct server *self);
/* Fetches under way, dials for them included. */
int server_n_in_use(const struct server *self);
/*
 * A fetcher with room; NULL: dial. `just_used` asks for one that was idle for so short that the
 * server will not have closed it; HTTP/2 says so when it closes and needs no such care. The next
 * call is server_start.
 */
struct fetcher *server_find(struct server *self, bool just_used, bool http1_only);
void server_start(struct server *self, struct fetcher *fetcher, struct fetch *fetch);
/* Before a dial: counts it, and closes an idle connection where max_connections asks for it. */
void server_add_dial(struct server *self, bool http1_only);
void server_end_dial(struct server *self, bool http1_only);
/*
 * Takes the open conn of a dial, by the protocol that it has agreed on. NULL: not the one that it
 * has to be; the conn is closed, the dial still counts.
 */
struct fetcher *server_add_conn(struct server *self, struct conn *conn, bool http1_only);
/* Closes the idle fetchers beyond `n_left`, the longest idle first. */
void server_trim(struct server *self, int n_left);

#endif
