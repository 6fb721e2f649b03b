/*
 * The HTTP/1.1 client codec: a fetcher that carries one fetch at a time over a backend conn (RFC
 * 9112). The connection is reusable only when request and response were both complete, nothing was
 * left over and both sides allow it; in any doubt it is closed.
 */
#ifndef PROXY_HTTP_H1_CLIENT_H
#define PROXY_HTTP_H1_CLIENT_H

#include "proxy/base/loop.h"
#include "proxy/http/fetch.h"
#include "proxy/net/conn.h"

struct h1_client_options {
	uint64_t idle_ms; /* an unused connection closes after this; 0: one fetch only */
};

/* Takes an open conn. It is ready; on_room is not called for that. */
struct fetcher *h1_client_new(struct loop *loop, struct conn *conn,
	const struct h1_client_options *options, const struct fetcher_pool *pool, void *pool_arg);

#endif
