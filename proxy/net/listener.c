#include "proxy/net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/net/address.h"
#include "proxy/net/conn.h"

/* Accepted per readiness, so that a flood of new conns does not starve the old. */
#define ACCEPT_ONCE 32
/* The whole of a queue, and an end to it all the same. */
#define ACCEPT_LAST 100000
/* Left for what is no client: conns to backends, logs, name servers. */
#define DESCRIPTOR_RESERVE 48
/* Without descriptors accept would fail again and again. */
#define DESCRIPTOR_PAUSE_MS 100
/* At most one line a second about it. */
#define COMPLAIN_EVERY_MS 1000

struct listener {
	struct loop *loop;
	int fd; /* -1: closed */
	struct event event;
	struct timer timer; /* ends a pause for want of descriptors */
	struct grave grave;
	listener_on_accept *on_accept;
	void *arg;
	char *name;
	size_t most_conns; /* of the process, while this one accepts */
	unsigned long n_descriptor_failures;
	uint64_t complained_ms;
	bool is_armed;
	bool is_accepting; /* the owner's wish */
};

/* Socket files that this process has made: only these are removed, and only while they are still
 * ours. */
struct socket_file {
	LIST_ENTRY(socket_file) link;
	int fd;
	pid_t pid;
	dev_t dev;
	ino_t ino;
	char *path;
};

static LIST_HEAD(, socket_file) socket_files = LIST_HEAD_INITIALIZER(socket_files);

static void remember_socket_file(int fd, const char *path)
{
	struct socket_file *file;
	struct stat st;

	if (stat(path, &st) != 0)
		return;
	file = memory_alloc(sizeof(*file));
	*file = (struct socket_file){
		.fd = fd,
		.pid = getpid(),
		.dev = st.st_dev,
		.ino = st.st_ino,
		.path = memory_copy_string(path),
	};
	LIST_INSERT_HEAD(&socket_files, file, link);
}

/* Before the descriptor is closed. A forked child leaves its parent's file alone. */
static void remove_socket_file(int fd)
{
	struct socket_file *file;
	struct stat st;

	LIST_FOREACH (file, &socket_files, link) {
		if (file->fd == fd)
			break;
	}
	if (file == NULL)
		return;
	if (file->pid == getpid() && stat(file->path, &st) == 0 && st.st_dev == file->dev &&
		st.st_ino == file->ino)
		(void)unlink(file->path);
	LIST_REMOVE(file, link);
	free(file->path);
	free(file);
}

void listener_unbind(int fd)
{
	remove_socket_file(fd);
	(void)close(fd);
}

/* Binding. */

PRINTF_LIKE(3, 4) static bool explain(char *why, size_t why_size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(why, why_size, fmt, args);
	va_end(args);
	return false;
}

/* True if the path is free now: nothing there, or a socket that nobody answers on, removed. */
static bool clear_unix_path(
	const struct sockaddr_un *un, socklen_t length, char *why, size_t why_size)
{
	struct stat st;
	int fd, error;

	if (lstat(un->sun_path, &st) != 0) {
		if (errno == ENOENT)
			return true;
		return explain(why, why_size, "unix:%s: %s", un->sun_path, strerror(errno));
	}
	if (!S_ISSOCK(st.st_mode))
		return explain(why, why_size, "unix:%s: there is a file that is not a socket",
			un->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return explain(why, why_size, "unix:%s: %s", un->sun_path, strerror(errno));
	error = connect(fd, (const struct sockaddr *)un, length) == 0 ? 0 : errno;
	(void)close(fd);
	if (error != ECONNREFUSED)
		return explain(
			why, why_size, "unix:%s: another process listens on it", un->sun_path);
	if (unlink(un->sun_path) != 0 && errno != ENOENT)
		return explain(why, why_size, "unix:%s: cannot remove the old socket: %s",
			un->sun_path, strerror(errno));
	return true;
}

/* The file has its permissions from the first moment on. */
static bool bind_unix(int fd, const struct sockaddr_un *un, socklen_t length, int mode, char *why,
	size_t why_size)
{
	mode_t mask = umask((mode_t)(~mode & 0777));
	int error = bind(fd, (const struct sockaddr *)un, length) == 0 ? 0 : errno;

	(void)umask(mask);
	if (error != 0)
		return explain(why, why_size, "unix:%s: %s", un->sun_path, strerror(error));
	remember_socket_file(fd, un->sun_path);
	return true;
}

static bool bind_inet(int fd, const struct conf_address *address,
	const struct sockaddr_storage *storage, socklen_t length, bool reuse_port, char *why,
	size_t why_size)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		(reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
		(storage->ss_family == AF_INET6 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0))
		return explain(why, why_size, "%s: %s", address->text, strerror(errno));
	if (bind(fd, (const struct sockaddr *)storage, length) == 0)
		return true;
	switch (errno) {
	case EADDRINUSE:
		return explain(why, why_size, "%s: another process listens on it", address->text);
	case EACCES:
		return explain(why, why_size, "%s: no permission (ports below 1024 need root)",
			address->text);
	case EADDRNOTAVAIL:
		return explain(
			why, why_size, "%s: this machine does not have the address", address->text);
	default:
		return explain(why, why_size, "%s: %s", address->text, strerror(errno));
	}
}

int listener_bind(const struct conf_address *address, const struct listener_options *options,
	char *why, size_t why_size)
{
	struct sockaddr_storage storage;
	socklen_t length;
	bool is_bound;
	int fd;

	if (!conf_address_to_sockaddr(address, &storage, &length)) {
		(void)explain(
			why, why_size, "%s: a listener needs a numeric address", address->text);
		return -1;
	}
	if (storage.ss_family == AF_UNIX &&
		!clear_unix_path((struct sockaddr_un *)&storage, length, why, why_size))
		return -1;
	fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		(void)explain(why, why_size, "%s: %s", address->text, strerror(errno));
		return -1;
	}
	if (storage.ss_family == AF_UNIX)
		is_bound = bind_unix(fd, (struct sockaddr_un *)&storage, length, options->unix_mode,
			why, why_size);
	else
		is_bound = bind_inet(
			fd, address, &storage, length, options->reuse_port, why, why_size);
	if (is_bound && listen(fd, options->backlog) != 0)
		is_bound = explain(
			why, why_size, "%s: cannot listen: %s", address->text, strerror(errno));
	if (is_bound)
		return fd;
	remove_socket_file(fd);
	(void)close(fd);
	return -1;
}

/* Life. */

static void update_interest(struct listener *self)
{
	bool is_wanted = self->fd >= 0 && self->is_accepting && !timer_is_set(&self->timer);

	if (is_wanted == self->is_armed)
		return;
	self->is_armed = is_wanted;
	if (is_wanted)
		(void)event_add(&self->event, NULL);
	else
		(void)event_del(&self->event);
}

static void on_pause_over(void *arg)
{
	update_interest(arg);
}

static void pause_for_descriptors(struct listener *self, int error)
{
	uint64_t now_ms = loop_now_ms(self->loop);

	self->n_descriptor_failures++;
	timer_set_in(self->loop, &self->timer, DESCRIPTOR_PAUSE_MS);
	update_interest(self);
	if (self->n_descriptor_failures > 1 && now_ms < self->complained_ms + COMPLAIN_EVERY_MS)
		return;
	self->complained_ms = now_ms;
	log_error("listener %s: cannot accept: %s (%lu times so far)", self->name, strerror(error),
		self->n_descriptor_failures);
}

/* One connection. False: there is none, or no descriptor for it. */
static bool accept_next(struct listener *self)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	int accepted;

	if (conn_n_live() >= self->most_conns) {
		pause_for_descriptors(self, EMFILE);
		return false;
	}
	accepted =
		accept4(self->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted >= 0) {
		self->on_accept(self->arg,
			conn_new_accepted(self->loop, accepted, (struct sockaddr *)&peer, length));
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		pause_for_descriptors(self, errno);
		return false;
	default:
		/* A client that has gone already, or its network's trouble (accept(2)): on to the
		 * next. */
		return true;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct listener *self = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < ACCEPT_ONCE && self->is_armed; i++)
		if (!accept_next(self))
			return;
}

static char *name_of(int fd)
{
	struct sockaddr_storage bound;
	socklen_t length = sizeof(bound);
	const struct sockaddr_un *un = (const void *)&bound;
	char text[sizeof(un->sun_path) + ADDRESS_TEXT_SIZE];

	memset(&bound, 0, sizeof(bound));
	if (getsockname(fd, (struct sockaddr *)&bound, &length) != 0)
		return memory_copy_string("?");
	if (bound.ss_family == AF_UNIX)
		(void)snprintf(
			text, sizeof(text), "unix:%.*s", (int)sizeof(un->sun_path), un->sun_path);
	else
		(void)address_to_text((struct sockaddr *)&bound, text);
	return memory_copy_string(text);
}

static size_t most_conns(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return (size_t)(files.rlim_cur - MIN(files.rlim_cur / 2, (rlim_t)DESCRIPTOR_RESERVE));
}

struct listener *listener_new(struct loop *loop, int fd, listener_on_accept *on_accept, void *arg)
{
	struct listener *self = memory_alloc_zeroed(sizeof(*self));
	int on = 1;

	self->loop = loop;
	self->fd = fd;
	self->on_accept = on_accept;
	self->arg = arg;
	self->name = name_of(fd);
	self->most_conns = most_conns();
	timer_init(&self->timer, on_pause_over, self);
	(void)event_assign(
		&self->event, loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, self);
	/* Accepted sockets inherit it, which saves a system call for each. Refused on unix sockets.
	 */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return self;
}

void listener_pause(struct listener *self)
{
	self->is_accepting = false;
	update_interest(self);
}

void listener_resume(struct listener *self)
{
	self->is_accepting = true;
	update_interest(self);
}

static void destroy(void *arg)
{
	struct listener *self = arg;

	free(self->name);
	free(self);
}

void listener_close(struct listener *self)
{
	if (self->fd < 0)
		return;
	self->is_accepting = false;
	update_interest(self);
	timer_close(self->loop, &self->timer);
	remove_socket_file(self->fd);
	(void)close(self->fd);
	self->fd = -1;
	loop_bury(self->loop, &self->grave, destroy, self);
}

void listener_finish(struct listener *self)
{
	for (int i = 0; i < ACCEPT_LAST && self->is_armed; i++)
		if (!accept_next(self))
			break;
	listener_close(self);
}

const char *listener_name(const struct listener *self)
{
	return self->name;
}

unsigned long listener_n_descriptor_failures(const struct listener *self)
{
	return self->n_descriptor_failures;
}
