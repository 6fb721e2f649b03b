/*
 * The HTTP/2 server codec (RFC 9113): turns a client conn into exchanges, many at a time.
 *
 *	HEADERS ... END_HEADERS -> exchange -> service.on_request
 *	DATA -> req_body	res_body -> DATA
 *	extended CONNECT (RFC 8441) -> a tunnel of the same two pipes
 *
 * Owns the conn. Framing, HPACK and the states of streams are nghttp2's; what a request may say is
 * checked once more by h2_head. Waits have the same deadlines as in HTTP/1.1: header_timeout from
 * the first byte of a head to its last, body_timeout, write_timeout for a client that takes nothing
 * of a response (its stream is reset) or of anything (the connection ends), tunnel_timeout, and
 * idle_timeout without a request.
 *
 * A stream counts against http2_max_streams until its exchange is over and all that hung on it has
 * been cancelled, however soon the client gave it up. What clients do without need is paid from one
 * budget (h2_budget.h).
 */
#ifndef PROXY_HTTP_H2_SERVER_H
#define PROXY_HTTP_H2_SERVER_H

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/http/exchange.h"
#include "proxy/http/server_codec.h"
#include "proxy/net/conn.h"

/* Takes the conn (open, TLS handshake done), of which nothing has been read, or has been read and
 * left in its input. `listen` must outlive it. It begins waiting. */
struct server_codec *h2_server_new(struct loop *loop, struct conn *conn,
	const struct conf_listen *listen, const struct exchange_service *service,
	const struct server_codec_owner *owner, void *arg);

#endif
