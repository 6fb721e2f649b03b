#include "bench/sock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 4096 };

bool sock_parse_address(const char *text, struct sock_address *out)
{
	char host[256];
	const char *colon = strrchr(text, ':');
	if (!colon || colon == text || colon[1] == '\0')
		return false;
	size_t n = (size_t)(colon - text);
	if (text[0] == '[' && n > 2 && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';

	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	if (getaddrinfo(host, colon + 1, &hints, &found) != 0 || !found)
		return false;
	memset(out, 0, sizeof(*out));
	memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
	out->len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

/* Small messages must not wait for the peer's acknowledgement. */
static void sock_set_no_delay(int fd)
{
	int on = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int sock_close_failed(int fd)
{
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int sock_listen(const struct sock_address *address)
{
	int on = 1;
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&address->storage, address->len) < 0 ||
		listen(fd, LISTEN_BACKLOG) < 0)
		return sock_close_failed(fd);
	return fd;
}

int sock_port(int fd)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return 0;
	if (name.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&name)->sin6_port);
	return ntohs(((struct sockaddr_in *)&name)->sin_port);
}

int sock_connect(const struct sock_address *address)
{
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	sock_set_no_delay(fd);
	if (connect(fd, (const struct sockaddr *)&address->storage, address->len) < 0 &&
		errno != EINPROGRESS)
		return sock_close_failed(fd);
	return fd;
}

int sock_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		sock_set_no_delay(fd);
	return fd;
}

int sock_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error;
}

static int64_t sock_clock_us(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t sock_wall_us(void)
{
	return sock_clock_us(CLOCK_REALTIME);
}

int64_t sock_steady_us(void)
{
	return sock_clock_us(CLOCK_MONOTONIC);
}
