/*
 * Who the client is and what it asked for, as far as the connection and trusted proxies before us
 * tell; and the fields that pass it on to a backend: X-Forwarded-For, -Proto, -Host, -Port, and
 * Forwarded (RFC 7239). Fields of these names from a peer that is not trusted are never believed
 * and never passed on.
 */
#ifndef PROXY_ROUTE_HOP_CLIENT_H
#define PROXY_ROUTE_HOP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/http/exchange.h"
#include "proxy/http/message.h"
#include "proxy/net/address.h"

/* What is known without the request. */
struct hop_client {
	const struct conf *conf;
	const struct sockaddr *peer;
	uint16_t port; /* that the client connected to; 0: not known */
	bool is_tls;
	bool is_trusted; /* the peer is a trusted proxy */
};

void hop_client_init(struct hop_client *self, const struct exchange *x);

/*
 * Whether a received field with this number is left out of what is forwarded: it is one of the
 * fields above and the peer is not trusted, or hop_client_add_fields writes it anew.
 */
bool hop_client_replaces(const struct hop_client *self, enum conf_forwarded rule, enum field_id id);

/*
 * Adds what the rule asks for; at most HOP_CLIENT_MAX_FIELDS. X-Forwarded-For and Forwarded of a
 * trusted peer get another element; its other fields stay as they are. `out` has the fields of
 * `received` that are forwarded.
 */
#define HOP_CLIENT_MAX_FIELDS 5
void hop_client_add_fields(const struct hop_client *self, enum conf_forwarded rule,
	const struct request_head *received, struct fields *out, struct arena *arena);

/*
 * The client that stands before the trusted proxies: the address as text ("192.0.2.1",
 * "2001:db8::1", "unix:"), "http" or "https", and the authority that it asked for. In the buffer,
 * borrowed from the head, or static. `received` may be NULL.
 */
struct slice hop_client_find_address(const struct hop_client *self,
	const struct request_head *received, char buf[ADDRESS_TEXT_SIZE]);
struct slice hop_client_find_scheme(
	const struct hop_client *self, const struct request_head *received);
struct slice hop_client_find_host(
	const struct hop_client *self, const struct request_head *received);

/*
 * The same of an exchange, in its arena. In a tunnel, whose head is gone, the address is what
 * exchange.client_address kept, the others are those of the connection.
 */
struct slice hop_client_address(struct exchange *x);
struct slice hop_client_scheme(const struct exchange *x);
struct slice hop_client_host(const struct exchange *x);

#endif
