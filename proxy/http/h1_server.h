/*
 * The HTTP/1.1 server codec: turns a client conn into a row of exchanges (RFC 9112), one at a time, in order; the rest of a
 * pipeline waits in the conn's input.
 *
 *   IDLE -> HEAD -> EXCHANGE -> (IDLE | TUNNEL | CLOSED)
 *
 * Owns the conn. Every wait has a deadline: idle_timeout between requests, header_timeout for a whole head, body_timeout for a
 * body that stalls, write_timeout for a client that takes nothing, the route's tunnel_timeout in a tunnel.
 */
#ifndef PROXY_HTTP_H1_SERVER_H
#define PROXY_HTTP_H1_SERVER_H

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/http/exchange.h"
#include "proxy/net/conn.h"

struct h1_server;

/* Told to whoever keeps count of connections; never from inside a call. The server frees itself at the end of the turn. */
typedef void h1_server_on_closed(void *arg, struct h1_server *server);

/* Takes the conn (open, or with a TLS handshake done). `listen` must outlive it. */
struct h1_server *h1_server_new(struct loop *loop, struct conn *conn, const struct conf_listen *listen, const struct exchange_service *service,
	h1_server_on_closed *on_closed, void *arg);
/* Leaving: an idle connection closes at once, otherwise after the exchange under way (Connection: close on its head). Tunnels stay. */
void h1_server_drain(struct h1_server *self);
/* Cuts at once: the exchange under way ends with the reason. */
void h1_server_close(struct h1_server *self, enum reason reason);
/* Closes if nothing is under way, to make room for a new connection; says whether it did. */
bool h1_server_close_if_idle(struct h1_server *self);

#endif
