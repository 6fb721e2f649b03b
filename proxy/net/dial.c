#include "proxy/net/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/memory.h"
#include "proxy/net/address.h"
#include "proxy/net/resolve.h"

/* More addresses of one name than this are not tried. */
#define MAX_ADDRESSES 16

struct dial {
	struct loop *loop;
	struct resolver *resolver;
	struct dial_target target;
	const struct dial_owner *owner;
	void *arg;
	struct resolve_query *query; /* while resolving */
	struct conn *conn;	     /* while connecting */
	struct sockaddr_storage *addresses;
	size_t n_addresses;
	size_t n_tried;
	size_t first;
	struct notice notice; /* the next step */
	struct grave grave;
	char why[160]; /* of the latest failure */
	bool is_over;
};

/* Where the next dial of several addresses starts. */
static unsigned turn;

static void on_notice(void *arg);

static void destroy(void *arg)
{
	struct dial *self = arg;

	free(self->addresses);
	free(self);
}

/* Cuts every link; the memory lives to the end of the turn. */
static void finish(struct dial *self)
{
	self->is_over = true;
	notice_cancel(self->loop, &self->notice);
	if (self->query != NULL)
		resolve_cancel(self->query);
	self->query = NULL;
	if (self->conn != NULL)
		conn_close(self->conn);
	self->conn = NULL;
	loop_bury(self->loop, &self->grave, destroy, self);
}

static void fail(struct dial *self, enum conn_loss loss)
{
	finish(self);
	self->owner->on_failed(self->arg, loss, self->why);
}

static void on_open(void *arg)
{
	struct dial *self = arg;
	struct conn *conn = self->conn;

	self->conn = NULL;
	conn_set_owner(conn, NULL, NULL);
	finish(self);
	self->owner->on_conn(self->arg, conn);
}

/* Reading is off: nothing comes. */
static void on_nothing(void *arg)
{
	(void)arg;
}

static void on_lost(void *arg, enum conn_loss loss)
{
	struct dial *self = arg;
	char text[ADDRESS_TEXT_SIZE];
	const struct sockaddr *address =
		(struct sockaddr *)&self
			->addresses[(self->first + self->n_tried - 1) % self->n_addresses];

	(void)snprintf(self->why, sizeof(self->why), "%s: %s",
		address->sa_family == AF_UNIX ? self->target.address->text
					      : address_to_text(address, text),
		conn_loss_text(self->conn));
	conn_close(self->conn);
	self->conn = NULL;
	/* A server that cannot be reached may have another address; one that fails TLS is the wrong
	 * server. */
	if (loss == CONN_LOSS_CONNECT)
		notice_post(self->loop, &self->notice);
	else
		fail(self, loss);
}

static const struct conn_owner conn_owner = {
	.on_open = on_open,
	.on_input = on_nothing,
	.on_output = on_nothing,
	.on_lost = on_lost,
};

static socklen_t length_of(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return sizeof(struct sockaddr_in);
	if (address->ss_family == AF_INET6)
		return sizeof(struct sockaddr_in6);
	return sizeof(struct sockaddr_storage);
}

/* The descriptor of a connect under way, or -1 with errno. */
static int start_connect(struct dial *self, const struct sockaddr_storage *address)
{
	struct sockaddr_storage own;
	socklen_t length = length_of(address);
	int fd, on = 1, error;

	if (address->ss_family == AF_UNIX &&
		!conf_address_to_sockaddr(self->target.address, &own, &length)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (address->ss_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* A full unix backlog says EAGAIN, which is a failure here: there is nothing to wait for.
	 */
	if (connect(fd, (const struct sockaddr *)address, length) == 0 || errno == EINPROGRESS)
		return fd;
	error = errno;
	(void)close(fd);
	errno = error;
	return -1;
}

static const char *server_name(const struct dial *self)
{
	const char *name = self->target.server_name;

	return name != NULL && name[0] != '\0' ? name : self->target.address->host;
}

static void start_tls(struct dial *self)
{
	conn_start_tls_client(self->conn, self->target.tls, server_name(self));
	if (self->target.http1_only)
		conn_tls_offer_http1(self->conn);
}

/* For want of our own means: no other address would do better. */
static bool is_out_of_sockets(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void try_next(struct dial *self)
{
	while (self->n_tried < self->n_addresses) {
		const struct sockaddr_storage *address =
			&self->addresses[(self->first + self->n_tried++) % self->n_addresses];
		char text[ADDRESS_TEXT_SIZE];
		int fd = start_connect(self, address), error = errno;

		if (fd >= 0) {
			self->conn = conn_new_connecting(self->loop, fd);
			if (self->target.tls != NULL)
				start_tls(self);
			conn_set_owner(self->conn, &conn_owner, self);
			return;
		}
		(void)snprintf(self->why, sizeof(self->why), "%s: %s",
			address->ss_family == AF_UNIX
				? self->target.address->text
				: address_to_text((const struct sockaddr *)address, text),
			strerror(error));
		if (is_out_of_sockets(error)) {
			fail(self, CONN_LOSS_NO_SOCKET);
			return;
		}
	}
	fail(self, CONN_LOSS_CONNECT);
}

static void on_answer(
	void *arg, const struct sockaddr_storage *addresses, size_t n, const char *why)
{
	struct dial *self = arg;

	self->query = NULL;
	if (n == 0) {
		(void)snprintf(
			self->why, sizeof(self->why), "%s: %s", self->target.address->host, why);
		fail(self, CONN_LOSS_CONNECT);
		return;
	}
	self->n_addresses = MIN(n, (size_t)MAX_ADDRESSES);
	self->addresses = memory_alloc(self->n_addresses * sizeof(*addresses));
	memcpy(self->addresses, addresses, self->n_addresses * sizeof(*addresses));
	self->first = turn++ % self->n_addresses;
	try_next(self);
}

static void on_notice(void *arg)
{
	try_next(arg);
}

struct dial *dial_start(struct loop *loop, struct resolver *resolver,
	const struct dial_target *target, const struct dial_owner *owner, void *arg)
{
	struct dial *self = memory_alloc_zeroed(sizeof(*self));
	socklen_t length;

	self->loop = loop;
	self->resolver = resolver;
	self->target = *target;
	self->owner = owner;
	self->arg = arg;
	notice_init(&self->notice, on_notice, self);
	if (target->address->kind == CONF_ADDRESS_NAME) {
		self->query = resolve_start(
			resolver, target->address->host, target->address->port, on_answer, self);
		return self;
	}
	self->addresses = memory_alloc_zeroed(sizeof(*self->addresses));
	/* An address that does not fit fails like one that cannot be reached, from the loop. */
	if (conf_address_to_sockaddr(target->address, &self->addresses[0], &length))
		self->n_addresses = 1;
	else
		(void)snprintf(
			self->why, sizeof(self->why), "%s: not an address", target->address->text);
	notice_post(loop, &self->notice);
	return self;
}

void dial_cancel(struct dial *self)
{
	if (!self->is_over)
		finish(self);
}
