/*
 * The other workers, as seen from one: a backend for each, over HTTP/2 on its unix socket, to hand
 * exchanges to (route/relay.h), and the listener on our own. Only processes of our own user get in.
 */
#ifndef PROXY_RUN_PEERS_H
#define PROXY_RUN_PEERS_H

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/http/exchange.h"
#include "proxy/net/resolve.h"
#include "proxy/route/backend.h"
#include "proxy/run/doors.h"

struct peers;

/* Exchanges that others hand to us go to the service. The doors have more than one slot. */
struct peers *peers_new(struct loop *loop, const struct conf *conf, struct doors *doors,
	size_t slot, struct resolver *resolver, const struct exchange_service *service);
struct backend *peers_backend(struct peers *self, size_t slot);
/* Exchanges of other workers that are under way. */
size_t peers_n_connections(const struct peers *self);
void peers_drain(struct peers *self);
/* Cuts what is under way, and begins to close the rest; peers_free is for after the last turn. */
void peers_close(struct peers *self);
void peers_free(struct peers *self);

#endif
