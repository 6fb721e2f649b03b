/* Socket addresses for people: text forms for logs, X-Forwarded-For and Forwarded. */
#ifndef PROXY_NET_ADDRESS_H
#define PROXY_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* "192.0.2.1", "2001:db8::1", "unix:". IPv4-mapped IPv6 comes out as IPv4. Returns buf. */
#define ADDRESS_TEXT_SIZE 64
char *address_to_host(const struct sockaddr *address, char buf[ADDRESS_TEXT_SIZE]);
/* "192.0.2.1:80", "[2001:db8::1]:80", "unix:". */
char *address_to_text(const struct sockaddr *address, char buf[ADDRESS_TEXT_SIZE]);
uint16_t address_port(const struct sockaddr *address);
/* Same host, ports ignored; for caps per address. */
bool address_same_host(const struct sockaddr *a, const struct sockaddr *b);
uint64_t address_hash_host(const struct sockaddr *a);

#endif
