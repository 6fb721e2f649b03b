/*
 * Host names to addresses, without blocking: c-ares on the loop. Answers are kept for their TTL (at
 * least 1 s, at most 5 min; failures 1 s); an expired answer is still used when the name servers do
 * not answer. /etc/hosts comes first; a numeric address is its own answer. A changed
 * /etc/resolv.conf is taken up.
 */
#ifndef PROXY_NET_RESOLVE_H
#define PROXY_NET_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/base/loop.h"
#include "proxy/base/macros.h"

struct resolver;
struct resolve_query;

/* Never NULL: without working name servers every query fails. */
struct resolver *resolver_new(struct loop *loop);
/* Queries under way are dropped without an answer. */
void resolver_free(struct resolver *self);
/* Instead of the system's name servers: "127.0.0.1:5353,[::1]:53". */
MUST_USE bool resolver_set_servers(struct resolver *self, const char *servers);

/* Addresses carry the port of the query. n is 0 on failure, and then why says it. They live for
 * this call. */
typedef void resolve_on_answer(
	void *arg, const struct sockaddr_storage *addresses, size_t n, const char *why);

/* The answer always comes from the loop. The query object is dead after the answer. */
struct resolve_query *resolve_start(struct resolver *self, const char *host, uint16_t port,
	resolve_on_answer *on_answer, void *arg);
void resolve_cancel(struct resolve_query *query);

#endif
