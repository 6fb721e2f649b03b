/*
 * The bound sockets and what is spoken behind them. They are made once, by the master, before there
 * are workers: each worker has a socket of its own for each address (SO_REUSEPORT), which the
 * kernel gives its share of the clients, and of unix sockets the same one as the others. The master
 * keeps all of them open, so that what waits in the queue of a worker that died is there for the
 * next one.
 */
#ifndef PROXY_RUN_DOORS_H
#define PROXY_RUN_DOORS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "proxy/base/macros.h"
#include "proxy/net/tls_context.h"

/* One address. */
struct door {
	const struct conf_listen *listen;
	const struct conf_address *address;
	struct tls_context *tls; /* shared by the addresses of one listen section; NULL: plain */
	int *fds;		 /* by slot */
};

/* What a master makes for its workers. */
struct doors {
	struct door *items;
	size_t n;
	size_t n_slots;
	/* Between workers: each has a unix socket in the abstract namespace; none with one slot. */
	struct conf_address *peer_addresses; /* by slot */
	int *peer_fds;
	_Atomic int *session_counts; /* of each route by slot, shared by all processes */
	size_t n_session_counts;
};

/* False after saying why in the log; doors_close must be called either way. */
MUST_USE bool doors_open(struct doors *self, const struct conf *conf, size_t n_slots);
/*
 * In a worker: closes the sockets of the others. A socket ends with its last descriptor, and then
 * that is its own worker's.
 */
void doors_keep(struct doors *self, size_t slot);
/* Closes the sockets of clients: those of the workers are the last. */
void doors_leave(struct doors *self);
/* Closes what is open here. Unix socket files stay with the listeners. */
void doors_close(struct doors *self);
/* The caller has the descriptor now. */
int doors_take(int *fd);

#endif
