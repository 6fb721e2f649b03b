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
#include "proxy/http/server_codec.h"
#include "proxy/net/conn.h"

/*
 * Takes the conn (open, TLS handshake done). `listen` must outlive it. It begins waiting. A first
 * request that is the beginning of HTTP/2 is handed back by on_http2, if the owner has that.
 */
struct server_codec *h1_server_new(struct loop *loop, struct conn *conn,
	const struct conf_listen *listen, const struct exchange_service *service,
	const struct server_codec_owner *owner, void *arg);

#endif
