/*
 * Opens a connection to a server: resolves a name if it must, tries its addresses in turn (each new
 * dial starts one address further), connects without blocking and does the TLS handshake. One
 * outcome: on_conn, or on_failed. A dial has no timer of its own: its owner cancels it when its
 * connect timeout ends.
 */
#ifndef PROXY_NET_DIAL_H
#define PROXY_NET_DIAL_H

#include <stdbool.h>

#include "conf/address.h"
#include "proxy/base/loop.h"
#include "proxy/net/conn.h"

struct dial;
struct resolver;

struct dial_target {
	const struct conf_address *address;
	struct tls_context *tls; /* NULL: plain */
	const char *server_name; /* SNI and the name verified; NULL: the address's host */
	bool http1_only;	 /* in ALPN; else what the context says */
};

struct dial_owner {
	/* The conn is open and unowned; the callee sets an owner. The dial is over. */
	void (*on_conn)(void *arg, struct conn *conn);
	/* The dial is over. `why` is for the log and lives for this call. */
	void (*on_failed)(void *arg, enum conn_loss loss, const char *why);
};

/* The target is copied (its pointers must live as long as the dial). */
struct dial *dial_start(struct loop *loop, struct resolver *resolver,
	const struct dial_target *target, const struct dial_owner *owner, void *arg);
/* Idempotent until the outcome; after the outcome the pointer is dead. */
void dial_cancel(struct dial *self);

#endif
