/*
 * A backend: its servers, the idle connections to each, and which server gets the next request.
 *
 * backend_fetch carries a fetch to a server: chooses one that is up, takes an idle connection or dials, and starts the fetch there. It
 * tries again on another server (conf retries) when the backend cannot have seen the request (connect failed), or when the connection broke
 * before a head and fetch->may_retry is set and no byte of the body was taken. A request that may not be retried is not given a
 * connection that has been idle long (RFC 9110 section 9.2.2). The fetch's owner sees only the last outcome.
 *
 * A server that fails max_fails times in a row is left out for fail_timeout.
 */
#ifndef PROXY_ROUTE_BACKEND_H
#define PROXY_ROUTE_BACKEND_H

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/http/fetch.h"

struct backend;
struct resolver;
struct tls_context;

/* `tls` (a reference is taken) is NULL for plain backends. */
struct backend *backend_new(struct loop *loop, const struct conf_backend *conf, struct resolver *resolver, struct tls_context *tls);
/* Closes idle connections and, when `cut`, also those in use. Idempotent. */
void backend_close(struct backend *self);
const struct conf_backend *backend_conf(const struct backend *self);

/* Starts it; the outcome comes by the fetch's callbacks, never from inside this call. fetch_cancel works at any time. */
void backend_fetch(struct backend *self, struct fetch *fetch);

#endif
