/*
 * Host names to addresses, without blocking: c-ares on the loop. Answers are kept for their TTL (at
 * least 1 s, at most 5 min; failures 1 s); an expired answer is still used when the name servers do
 * not answer.
 */
#ifndef PROXY_NET_RESOLVE_H
#define PROXY_NET_RESOLVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/base/loop.h"

struct resolver;
struct resolve_query;

/* Never NULL: without working name servers every query fails. */
struct resolver *resolver_new(struct loop *loop);
void resolver_free(struct resolver *self);

/* Addresses carry the port of the query. n is 0 on failure, and then why says it. They live for
 * this call. */
typedef void resolve_on_answer(
	void *arg, const struct sockaddr_storage *addresses, size_t n, const char *why);

/* The answer always comes from the loop. The query object is dead after the answer. */
struct resolve_query *resolve_start(struct resolver *self, const char *host, uint16_t port,
	resolve_on_answer *on_answer, void *arg);
void resolve_cancel(struct resolve_query *query);

#endif
