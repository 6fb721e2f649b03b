/*
 * Inside TLS: the keys that seal session tickets (RFC 5077, RFC 8446 section 4.6.1). They are
 * random, never written down, shared by all listeners of the process and changed every hour; old
 * ones open tickets for as long as a session lives. Rotation happens when a key is asked for: there
 * is no timer.
 */
#ifndef PROXY_NET_TLS_TICKETS_H
#define PROXY_NET_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/macros.h"

#define TLS_TICKET_ROTATE_S 3600
/* How long a key opens tickets: made in its last moment, and then a session's two hours. */
#define TLS_TICKET_KEEP_S (3 * 3600)
#define TLS_TICKET_N_KEYS 4

struct tls_ticket_key {
	unsigned char name[16];
	unsigned char cipher[32];
	unsigned char mac[32];
	uint64_t made_s;
	bool is_set;
};

struct tls_ticket_keys {
	struct tls_ticket_key keys[TLS_TICKET_N_KEYS];
	unsigned newest;
};

/* The key for new tickets. NULL if there is no randomness. */
const struct tls_ticket_key *tls_ticket_keys_newest(struct tls_ticket_keys *self, uint64_t now_s);
/* The key of that name that still opens tickets, or NULL. */
const struct tls_ticket_key *tls_ticket_keys_find(
	struct tls_ticket_keys *self, const unsigned char name[16], uint64_t now_s);

/* From now on the keys are those of the processes that this one forks, too. Before the first use.
 */
void tls_tickets_share(void);
/* Gives the context the keys of this process. */
MUST_USE bool tls_tickets_use(SSL_CTX *ctx);

#endif
