/*
 * A listening socket: accepts a bounded number of conns per readiness and hands each to its owner.
 * Paused listeners stay open and leave clients in the kernel's queue. Running out of descriptors
 * (EMFILE, ENFILE, or all conns of the process reaching the limit of open files less a reserve)
 * pauses accept for a moment and is told.
 */
#ifndef PROXY_NET_LISTENER_H
#define PROXY_NET_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>

#include "conf/address.h"
#include "proxy/base/loop.h"
#include "proxy/base/macros.h"

struct listener;
struct conn;

/* The conn is plain and unowned as yet; the callee starts TLS and sets an owner, or closes it. */
typedef void listener_on_accept(void *arg, struct conn *conn);

struct listener_options {
	int backlog;
	int unix_mode;
	bool reuse_port;
};

/*
 * Binds and listens. On failure returns -1 and writes a sentence for the log to why. A stale unix
 * socket file (nobody answers on it) is replaced; a live one is an error.
 */
MUST_USE int listener_bind(const struct conf_address *address,
	const struct listener_options *options, char *why, size_t why_size);

/* Closes a bound descriptor that no listener has taken; a unix socket file that we made goes. */
void listener_unbind(int fd);

/* Takes the bound descriptor. Accepting begins with listener_resume. */
struct listener *listener_new(struct loop *loop, int fd, listener_on_accept *on_accept, void *arg);
void listener_pause(struct listener *self);
void listener_resume(struct listener *self);
/* Idempotent; the socket is closed (and a unix socket file that we made is removed). */
void listener_close(struct listener *self);
/*
 * The same after accepting what waits in the kernel's queue, which would be reset otherwise.
 * on_accept is called from inside.
 */
void listener_finish(struct listener *self);
/* The bound address as text, with the real port. */
const char *listener_name(const struct listener *self);
/* Accept failed, or was put off, for want of descriptors this many times. */
unsigned long listener_n_descriptor_failures(const struct listener *self);

#endif
