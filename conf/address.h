/*
 * Addresses as people write them, and networks ("10.0.0.0/8"). Pure: nothing is resolved or opened.
 *
 *	"10.0.0.5:3000"		CONF_ADDRESS_INET
 *	"[::1]:3000"		CONF_ADDRESS_INET6
 *	"unix:/run/app.sock"	CONF_ADDRESS_UNIX
 *	"app.example:3000"	CONF_ADDRESS_NAME, to be resolved by the user of the address
 */
#ifndef CONF_ADDRESS_H
#define CONF_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/base/macros.h"

enum conf_address_kind {
	CONF_ADDRESS_INET,
	CONF_ADDRESS_INET6,
	CONF_ADDRESS_UNIX,
	CONF_ADDRESS_NAME,
};

struct conf_address {
	enum conf_address_kind kind;
	char *host;    /* numeric address without brackets, or lower-case name; NULL for unix */
	char *path;    /* unix only, else NULL */
	uint16_t port; /* host byte order; 0 for unix */
	char *text;    /* the canonical spelling: "[::1]:80", "unix:/run/x.sock" */
};

/* An IPv4 or IPv6 network, or every peer on a unix socket. */
struct conf_network {
	sa_family_t family; /* AF_INET, AF_INET6, AF_UNIX */
	uint8_t bytes[16]; /* network byte order; 4 used for AF_INET; bits after the prefix are 0 */
	uint8_t prefix_length;
};

const char *conf_address_kind_name(enum conf_address_kind kind);

/*
 * Parses one address. A host needs a port. On failure *why is set to a static sentence that says
 * what would be right, and nothing is allocated.
 */
MUST_USE bool conf_address_parse(struct conf_address *address, const char *text, const char **why);

/*
 * Parses what a listener may bind: as above but no names; "*:80" and "80" mean every address, and
 * give two addresses: 0.0.0.0 and [::]. Writes one or two entries to addresses; 0 on failure.
 */
MUST_USE size_t conf_address_parse_listen(
	struct conf_address addresses[2], const char *text, const char **why);

/* Frees what the address owns, not the struct. */
void conf_address_clear(struct conf_address *address);

/*
 * Fills a socket address. False for CONF_ADDRESS_NAME, and for a unix path too long for the
 * system (refused by the parser already).
 */
MUST_USE bool conf_address_to_sockaddr(
	const struct conf_address *address, struct sockaddr_storage *storage, socklen_t *length);

/* "10.0.0.0/8", "2001:db8::/32", a single address, or "unix". */
MUST_USE bool conf_network_parse(struct conf_network *network, const char *text, const char **why);

/* IPv4-mapped IPv6 peers (::ffff:a.b.c.d) are compared as IPv4. */
bool conf_network_contains(const struct conf_network *network, const struct sockaddr *peer);

#endif
