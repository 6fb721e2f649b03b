#include "proxy/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/macros.h"

/* The bytes that identify a host: 4, 16, or none for a unix socket. */
struct host {
	unsigned char bytes[16];
	size_t n;
};

/* Copied out: a sockaddr may stand at any alignment and be no longer than its family needs. */
static struct host host_of(const struct sockaddr *address)
{
	struct host host = {.n = 0};

	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *inet = (const void *)address;

		host.n = sizeof(inet->sin_addr);
		memcpy(host.bytes, &inet->sin_addr, host.n);
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *inet6 = (const void *)address;
		bool is_mapped = IN6_IS_ADDR_V4MAPPED(&inet6->sin6_addr);

		host.n = is_mapped ? 4 : 16;
		memcpy(host.bytes, inet6->sin6_addr.s6_addr + (is_mapped ? 12 : 0), host.n);
	}
	return host;
}

char *address_to_host(const struct sockaddr *address, char buf[ADDRESS_TEXT_SIZE])
{
	struct host host = host_of(address);

	if (host.n == 0 ||
		inet_ntop(host.n == 4 ? AF_INET : AF_INET6, host.bytes, buf, ADDRESS_TEXT_SIZE) ==
			NULL)
		(void)snprintf(buf, ADDRESS_TEXT_SIZE, "unix:");
	return buf;
}

char *address_to_text(const struct sockaddr *address, char buf[ADDRESS_TEXT_SIZE])
{
	struct host host = host_of(address);
	char text[INET6_ADDRSTRLEN];

	if (host.n == 0 ||
		inet_ntop(host.n == 4 ? AF_INET : AF_INET6, host.bytes, text, sizeof(text)) == NULL)
		(void)snprintf(buf, ADDRESS_TEXT_SIZE, "unix:");
	else
		(void)snprintf(buf, ADDRESS_TEXT_SIZE, host.n == 4 ? "%s:%u" : "[%s]:%u", text,
			address_port(address));
	return buf;
}

uint16_t address_port(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
	if (address->sa_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
	return 0;
}

bool address_same_host(const struct sockaddr *a, const struct sockaddr *b)
{
	struct host ha = host_of(a), hb = host_of(b);

	return ha.n == hb.n && memcmp(ha.bytes, hb.bytes, ha.n) == 0;
}

uint64_t address_hash_host(const struct sockaddr *a)
{
	struct host host = host_of(a);
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < host.n; i++)
		hash = (hash ^ host.bytes[i]) * 0x100000001b3u;
	/* The last bytes differ most: spread them to where tables look. */
	return hash ^ (hash >> 32);
}
