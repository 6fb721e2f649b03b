#include "conf/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "conf/value.h"
#include "proxy/base/memory.h"

enum { LONGEST_NAME = 253 }; /* RFC 1035 section 2.3.4, in text form */

const char *conf_address_kind_name(enum conf_address_kind kind)
{
	switch (kind) {
	case CONF_ADDRESS_INET:
		return "inet";
	case CONF_ADDRESS_INET6:
		return "inet6";
	case CONF_ADDRESS_UNIX:
		return "unix";
	case CONF_ADDRESS_NAME:
		return "name";
	}
	return "?";
}

static bool parse_port(uint16_t *port, const char *text)
{
	int64_t value;

	if (!conf_value_parse_int(&value, text) || value < 1 || value > UINT16_MAX)
		return false;
	*port = (uint16_t)value;
	return true;
}

/* Takes over host, which is in the form that the kind asks for. */
static void set_inet(
	struct conf_address *address, enum conf_address_kind kind, char *host, uint16_t port)
{
	bool is_inet6 = kind == CONF_ADDRESS_INET6;
	size_t size = strlen(host) + sizeof("[]:65535");

	*address = (struct conf_address){.kind = kind, .host = host, .port = port};
	address->text = memory_alloc(size);
	(void)snprintf(address->text, size, "%s%s%s:%u", is_inet6 ? "[" : "", host,
		is_inet6 ? "]" : "", port);
}

/* Rewrites a numeric address in its one canonical spelling; NULL if it is none. */
static char *canonical_numeric(int family, const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	char canonical[INET6_ADDRSTRLEN];

	if (inet_pton(family, text, bytes) != 1 ||
		inet_ntop(family, bytes, canonical, sizeof(canonical)) == NULL)
		return NULL;
	return memory_copy_string(canonical);
}

static bool parse_unix(struct conf_address *address, const char *text, const char **why)
{
	const char *path = text + strlen("unix:");

	if (path[0] != '/') {
		*why = "a unix socket needs an absolute path, such as unix:/run/app.sock";
		return false;
	}
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		*why = "the path of a unix socket may have at most 107 bytes";
		return false;
	}
	*address = (struct conf_address){.kind = CONF_ADDRESS_UNIX};
	address->path = memory_copy_string(path);
	address->text = memory_copy_string(text);
	return true;
}

/* "[::1]:80" */
static bool parse_inet6(struct conf_address *address, const char *text, const char **why)
{
	const char *end = strchr(text, ']');
	char *literal, *host;
	uint16_t port;

	if (end == NULL || end[1] != ':' || !parse_port(&port, end + 2)) {
		*why = "write an IPv6 address as [address]:port, such as [::1]:3000";
		return false;
	}
	literal = memory_copy_string(text + 1);
	literal[end - text - 1] = '\0';
	host = canonical_numeric(AF_INET6, literal);
	free(literal);
	if (host == NULL) {
		*why = "what stands in brackets is not an IPv6 address";
		return false;
	}
	set_inet(address, CONF_ADDRESS_INET6, host, port);
	return true;
}

/* Letters, digits, '-', '_' in labels between single dots; one dot at the end is dropped. */
static char *canonical_name(const char *name)
{
	char *host = memory_copy_string(name);
	size_t n = strlen(host);
	bool is_numeric = true;

	if (n > 1 && host[n - 1] == '.')
		host[--n] = '\0';
	if (n == 0 || n > LONGEST_NAME)
		goto bad;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)host[i];

		if (c == '.' && (i == 0 || i == n - 1 || host[i - 1] == '.'))
			goto bad;
		if (c >= 0x80 || (!isalnum(c) && c != '-' && c != '_' && c != '.'))
			goto bad;
		if (!isdigit(c) && c != '.')
			is_numeric = false;
		host[i] = (char)tolower(c);
	}
	/* 10.0.0.300 is a slip, not a name. */
	if (!is_numeric)
		return host;
bad:
	free(host);
	return NULL;
}

bool conf_address_parse(struct conf_address *address, const char *text, const char **why)
{
	const char *colon;
	char *name, *host;
	uint16_t port;

	if (strncmp(text, "unix:", strlen("unix:")) == 0)
		return parse_unix(address, text, why);
	if (text[0] == '[')
		return parse_inet6(address, text, why);

	colon = strchr(text, ':');
	if (colon == NULL || colon == text) {
		*why = "an address needs host and port, such as 127.0.0.1:3000";
		return false;
	}
	if (strchr(colon + 1, ':') != NULL) {
		*why = "write an IPv6 address as [address]:port, such as [::1]:3000; "
		       "a URL is not an address";
		return false;
	}
	if (!parse_port(&port, colon + 1)) {
		*why = "the port must be a number from 1 to 65535";
		return false;
	}
	name = memory_copy_string(text);
	name[colon - text] = '\0';
	host = canonical_numeric(AF_INET, name);
	if (host != NULL) {
		set_inet(address, CONF_ADDRESS_INET, host, port);
	} else {
		host = canonical_name(name);
		if (host != NULL)
			set_inet(address, CONF_ADDRESS_NAME, host, port);
		else
			*why = "the host is neither an IPv4 address nor a host name";
	}
	free(name);
	return host != NULL;
}

size_t conf_address_parse_listen(
	struct conf_address addresses[2], const char *text, const char **why)
{
	const char *port_text = strncmp(text, "*:", 2) == 0 ? text + 2 : text;
	uint16_t port;

	if (port_text != text || strspn(text, "0123456789") == strlen(text)) {
		if (!parse_port(&port, port_text)) {
			*why = "the port must be a number from 1 to 65535";
			return 0;
		}
		set_inet(&addresses[0], CONF_ADDRESS_INET, memory_copy_string("0.0.0.0"), port);
		set_inet(&addresses[1], CONF_ADDRESS_INET6, memory_copy_string("::"), port);
		return 2;
	}
	if (!conf_address_parse(&addresses[0], text, why))
		return 0;
	if (addresses[0].kind == CONF_ADDRESS_NAME) {
		conf_address_clear(&addresses[0]);
		*why = "a listener needs a numeric address, such as 127.0.0.1:8080, [::1]:8080, "
		       "*:8080 for every address, or unix:/run/pollux.sock";
		return 0;
	}
	return 1;
}

void conf_address_clear(struct conf_address *address)
{
	free(address->host);
	free(address->path);
	free(address->text);
	*address = (struct conf_address){0};
}

bool conf_address_to_sockaddr(
	const struct conf_address *address, struct sockaddr_storage *storage, socklen_t *length)
{
	struct sockaddr_in *inet = (struct sockaddr_in *)storage;
	struct sockaddr_in6 *inet6 = (struct sockaddr_in6 *)storage;
	struct sockaddr_un *local = (struct sockaddr_un *)storage;

	memset(storage, 0, sizeof(*storage));
	switch (address->kind) {
	case CONF_ADDRESS_INET:
		inet->sin_family = AF_INET;
		inet->sin_port = htons(address->port);
		*length = sizeof(*inet);
		return inet_pton(AF_INET, address->host, &inet->sin_addr) == 1;
	case CONF_ADDRESS_INET6:
		inet6->sin6_family = AF_INET6;
		inet6->sin6_port = htons(address->port);
		*length = sizeof(*inet6);
		return inet_pton(AF_INET6, address->host, &inet6->sin6_addr) == 1;
	case CONF_ADDRESS_UNIX:
		if (strlen(address->path) >= sizeof(local->sun_path))
			return false;
		local->sun_family = AF_UNIX;
		memcpy(local->sun_path, address->path, strlen(address->path) + 1);
		*length = sizeof(*local);
		if (address->path[0] != '@')
			return true;
		/* Linux's abstract namespace, which no file of a user names: see unix(7). */
		local->sun_path[0] = '\0';
		*length =
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address->path));
		return true;
	case CONF_ADDRESS_NAME:
		return false;
	}
	return false;
}

bool conf_network_parse(struct conf_network *network, const char *text, const char **why)
{
	char host[INET6_ADDRSTRLEN + 1];
	size_t n_host = strcspn(text, "/");
	int64_t prefix, longest;

	*network = (struct conf_network){.family = AF_UNIX};
	if (strcmp(text, "unix") == 0)
		return true;
	*why = "write a network as address/prefix, such as 10.0.0.0/8 or 2001:db8::/32, "
	       "a single address, or unix";
	if (n_host >= sizeof(host))
		return false;
	memcpy(host, text, n_host);
	host[n_host] = '\0';
	network->family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(network->family, host, network->bytes) != 1)
		return false;

	longest = network->family == AF_INET6 ? 128 : 32;
	prefix = longest;
	if (text[n_host] == '/' &&
		(!conf_value_parse_int(&prefix, text + n_host + 1) || prefix > longest)) {
		*why = "the prefix length must be at most 32 for IPv4 and 128 for IPv6";
		return false;
	}
	network->prefix_length = (uint8_t)prefix;
	for (int64_t bit = prefix; bit < longest; bit++) {
		if ((network->bytes[bit / 8] & (0x80 >> (bit % 8))) != 0) {
			*why = "bits are set after the prefix; write the network's first address";
			return false;
		}
	}
	return true;
}

bool conf_network_contains(const struct conf_network *network, const struct sockaddr *peer)
{
	const struct sockaddr_in *inet = (const struct sockaddr_in *)peer;
	const struct sockaddr_in6 *inet6 = (const struct sockaddr_in6 *)peer;
	sa_family_t family = peer->sa_family;
	const uint8_t *bytes;
	unsigned n_whole = network->prefix_length / 8, n_bits = network->prefix_length % 8;

	if (family == AF_INET) {
		bytes = (const uint8_t *)&inet->sin_addr;
	} else if (family == AF_INET6) {
		bytes = inet6->sin6_addr.s6_addr;
		if (IN6_IS_ADDR_V4MAPPED(&inet6->sin6_addr) && network->family == AF_INET) {
			family = AF_INET;
			bytes += 12;
		}
	} else {
		return family == AF_UNIX && network->family == AF_UNIX;
	}
	if (family != network->family || memcmp(bytes, network->bytes, n_whole) != 0)
		return false;
	return n_bits == 0 ||
		((bytes[n_whole] ^ network->bytes[n_whole]) & (0xff << (8 - n_bits)) & 0xff) == 0;
}
