/*
 * The client connections of a worker: TLS handshakes, caps, and which connection makes room for a
 * new one.
 *
 *   accepted -> HANDSHAKING -> WAITING <-> BUSY -> closed
 *
 * Waiting connections (idle, or slow with a head) stand in a list, the longest waiting first. When
 * the total cap is reached a new connection takes the place of that one, so that neither idle nor
 * slow clients keep others out. If all are busy or have only just come, or one address has its
 * share, the new connection gets 503 at once.
 */
#ifndef PROXY_RUN_CLIENTS_H
#define PROXY_RUN_CLIENTS_H

#include <stddef.h>

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/base/spread.h"
#include "proxy/http/exchange.h"
#include "proxy/net/conn.h"
#include "proxy/net/tls_context.h"

struct clients;

struct clients_limits {
	size_t max;		/* connections */
	size_t max_per_address; /* 0: no limit */
};

struct clients *clients_new(struct loop *loop, const struct clients_limits *limits,
	const struct exchange_service *service);
/* All connections must have been closed. */
void clients_free(struct clients *self);

/* Takes an accepted conn. `tls` is NULL for plain listeners. */
void clients_accept(struct clients *self, struct conn *conn, const struct conf_listen *listen,
	struct tls_context *tls);
size_t clients_count(const struct clients *self);
/* Waiting connections close, busy ones after their exchange, WebSockets at times of `closes`. */
void clients_drain(struct clients *self, struct spread *closes);
/* Cuts them all; what is under way ends for this reason. */
void clients_close_all(struct clients *self, enum reason reason);

#endif
