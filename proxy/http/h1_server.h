/*
 * The HTTP/1.1 server codec: turns a client conn into a row of exchanges (RFC 9112), one at a time,
 * in order; the rest of a pipeline waits in the conn's input.
 *
 *   IDLE -> HEAD -> EXCHANGE -> (IDLE | TUNNEL | CLOSED)
 *
 * Owns the conn. Every wait has a deadline: idle_timeout between requests, header_timeout for a
 * whole head, body_timeout for a body that stalls, write_timeout for a client that takes nothing,
 * the route's tunnel_timeout in a tunnel.
 */
#ifndef PROXY_HTTP_H1_SERVER_H
#define PROXY_HTTP_H1_SERVER_H

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/http/exchange.h"
#include "proxy/net/conn.h"

struct h1_server;

/* Told to whoever keeps count of connections; never from inside a call. */
struct h1_server_owner {
	/* A request has come whole. */
	void (*on_busy)(void *arg);
	/* The exchange is over: the connection waits for the next request. */
	void (*on_waiting)(void *arg);
	/* It frees itself at the end of the turn. */
	void (*on_closed)(void *arg);
};

/* Takes the conn (open, TLS handshake done). `listen` must outlive it. It begins waiting. */
struct h1_server *h1_server_new(struct loop *loop, struct conn *conn,
	const struct conf_listen *listen, const struct exchange_service *service,
	const struct h1_server_owner *owner, void *arg);
/* Leaving: closes now if idle, otherwise after the exchange under way (Connection: close on its
 * head). A WebSocket
 * gets its close (1001) at the next frame boundary, and so does its backend. */
void h1_server_drain(struct h1_server *self);
/* Cuts at once: the exchange under way ends with the reason. */
void h1_server_close(struct h1_server *self, enum reason reason);
/* Gives up its place while it waits: an idle connection closes, one that is slow with its head gets
 * 503. */
void h1_server_evict(struct h1_server *self);

#endif
