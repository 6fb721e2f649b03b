/*
 * A backend: its servers, the connections to each, and which server gets the next request.
 *
 * backend_fetch carries a fetch to a server: chooses one that is up, takes an idle connection or
 * dials, and starts the fetch there. It tries again, at most conf retries times, when the backend
 * cannot have acted on the request (connect failed), or when the connection broke before a head,
 * fetch->may_retry is set and no byte of the body was taken; on another server, or over a fresh
 * connection where an idle one had gone stale. A request that may not be retried is not given a
 * connection that has been idle long (RFC 9110 section 9.2.2). The fetch's owner sees only the last
 * outcome.
 *
 *   backend_fetch -> choose -> idle connection -----------------> fetcher -> head -> the owner
 *                      |  \--> dial -> connection ---------------/   |
 *                      |   \-> wait until a server is not full       |
 *                      \<------------------- broken <---------------/
 *
 * A server that fails max_fails times in a row is left out for fail_timeout; then one request tries
 * it. The only server of a backend is never left out. When all servers that are up are full
 * (max_connections), requests wait for at most connect_timeout: REASON_NO_SERVER.
 */
#ifndef PROXY_ROUTE_BACKEND_H
#define PROXY_ROUTE_BACKEND_H

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/http/fetch.h"

struct backend;
struct resolver;
struct tls_context;

/* References to the configuration and to `tls` (NULL for plain backends) are taken. */
struct backend *backend_new(struct loop *loop, const struct conf_backend *conf,
	struct resolver *resolver, struct tls_context *tls);
/*
 * Closes idle connections; those in use close when their fetch is over, and the memory goes with
 * the last of them. No fetch may be started afterwards. To be called once.
 */
void backend_close(struct backend *self);
const struct conf_backend *backend_conf(const struct backend *self);

/*
 * Starts it; the outcome comes by the fetch's callbacks, never from inside this call. fetch_cancel
 * works at any time. Until on_head, fetch->owner and fetch->arg are the backend's.
 */
void backend_fetch(struct backend *self, struct fetch *fetch);

/* Connections to all servers, dials included, and the idle ones among them. */
size_t backend_n_connections(const struct backend *self);
size_t backend_n_idle(const struct backend *self);
/* Fetches that wait for a server to be less full. */
size_t backend_n_waiting(const struct backend *self);

#endif
