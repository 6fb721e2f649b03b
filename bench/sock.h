/* Sockets of the bench programs: addresses in text, listening, connecting, the clock. Everything is
 * non-blocking. */
#ifndef BENCH_SOCK_H
#define BENCH_SOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/base/macros.h"

struct sock_address {
	struct sockaddr_storage storage;
	socklen_t len;
};

/* "127.0.0.1:80", "[::1]:80" or "localhost:80"; port 0 lets the kernel choose when listening. False
 * if it is none of these. */
MUST_USE bool sock_parse_address(const char *text, struct sock_address *out);
/* A listening socket, or -1 with errno. */
int sock_listen(const struct sock_address *address);
/* The port a listening socket got. */
int sock_port(int fd);
/* A socket whose connect has been started, or -1 with errno. */
int sock_connect(const struct sock_address *address);
/* Accepts one connection; -1 when none waits. */
int sock_accept(int listener);
/* The connect's outcome: 0 or an errno value. */
int sock_error(int fd);

/* Microseconds since 1970, as a JavaScript clock counts them. */
int64_t sock_wall_us(void);
/* Microseconds of a clock that is never set. */
int64_t sock_steady_us(void);

#endif
