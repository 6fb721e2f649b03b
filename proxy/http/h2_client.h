/*
 * The HTTP/2 client codec (RFC 9113): a fetcher that carries many fetches at a time over one
 * backend conn. WebSockets go over it by extended CONNECT (RFC 8441) once the server's SETTINGS
 * have come and offer it; a fetch that it cannot carry for want of that fails unprocessed with
 * needs_http1.
 *
 * A fetch that the server has provably not acted on (REFUSED_STREAM, above the last stream of a
 * GOAWAY) fails unprocessed, and what was taken of its body is put back while that is little.
 *
 * While fetches are under way and nothing comes for ping_ms, a PING asks whether the server is
 * there; unanswered for as long again, the connection is lost.
 */
#ifndef PROXY_HTTP_H2_CLIENT_H
#define PROXY_HTTP_H2_CLIENT_H

#include "proxy/base/loop.h"
#include "proxy/http/fetch.h"
#include "proxy/net/conn.h"

struct h2_client_options {
	uint64_t idle_ms;     /* an unused connection closes after this; 0: one fetch only */
	uint64_t ping_ms;     /* 0: none */
	uint32_t max_streams; /* at a time, if the server allows as many */
	uint32_t window;      /* bytes, of each stream */
};

/* Takes an open conn on which nothing has been said. It is ready; on_room is not called for that.
 */
struct fetcher *h2_client_new(struct loop *loop, struct conn *conn,
	const struct h2_client_options *options, const struct fetcher_pool *pool, void *pool_arg);

#endif
