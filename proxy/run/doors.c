#include "proxy/run/doors.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/net/listener.h"
#include "proxy/net/tls_tickets.h"

#define PEER_BACKLOG 1024

static size_t count_addresses(const struct conf *conf)
{
	size_t n = 0;

	for (size_t i = 0; i < conf->n_listens; i++)
		n += conf->listens[i].n_addresses;
	return n;
}

static int bind_slot(
	const struct door *door, size_t slot, bool reuse_port, char *why, size_t why_size)
{
	struct listener_options options = {
		.backlog = door->listen->backlog,
		.unix_mode = door->listen->unix_mode,
		.reuse_port = reuse_port,
	};

	/* A file can be bound once only. */
	if (slot > 0 && door->address->kind == CONF_ADDRESS_UNIX)
		return fcntl(door->fds[0], F_DUPFD_CLOEXEC, 0);
	return listener_bind(door->address, &options, why, why_size);
}

static bool bind_door(struct door *door, size_t n_slots, char *why, size_t why_size)
{
	door->fds = memory_alloc(n_slots * sizeof(door->fds[0]));
	for (size_t i = 0; i < n_slots; i++)
		door->fds[i] = -1;
	for (size_t i = 0; i < n_slots; i++) {
		door->fds[i] = bind_slot(door, i, n_slots > 1, why, why_size);
		if (door->fds[i] < 0)
			return false;
	}
	return true;
}

static void unbind(int *fd)
{
	if (*fd >= 0)
		listener_unbind(doors_take(fd));
}

static void close_door(struct door *door, size_t n_slots)
{
	for (size_t i = 0; i < n_slots; i++)
		unbind(&door->fds[i]);
	free(door->fds);
	tls_context_unref(door->tls);
}

/* All addresses of one section. A missing IPv6 does not matter for "every address". */
static bool open_listen(struct doors *self, const struct conf_listen *listen)
{
	struct tls_context *tls = NULL;
	char why[512] = "";

	if (listen->is_tls && (tls = tls_context_new_server(listen, why, sizeof(why))) == NULL) {
		log_error("listen \"%s\": %s", listen->name, why);
		return false;
	}
	for (size_t i = 0; i < listen->n_addresses; i++) {
		struct door *door = &self->items[self->n];
		bool is_bound;

		*door = (struct door){.listen = listen, .address = &listen->addresses[i]};
		door->tls = tls != NULL ? tls_context_ref(tls) : NULL;
		is_bound = bind_door(door, self->n_slots, why, sizeof(why));
		if (is_bound) {
			self->n++;
			continue;
		}
		close_door(door, self->n_slots);
		if (listen->is_any && i > 0)
			continue;
		log_error("listen \"%s\": %s", listen->name, why);
		tls_context_unref(tls);
		return false;
	}
	tls_context_unref(tls);
	return true;
}

/* A name that nobody else on the machine has, nor can guess to have it first. */
static void name_peer(struct conf_address *address, size_t slot, unsigned long long nonce)
{
	char text[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

	(void)snprintf(text, sizeof(text), "@pollux-%016llx-%zu", nonce, slot + 1);
	*address = (struct conf_address){.kind = CONF_ADDRESS_UNIX};
	address->path = memory_copy_string(text);
	(void)snprintf(text, sizeof(text), "worker %zu", slot + 1);
	address->text = memory_copy_string(text);
}

static int bind_peer(const struct conf_address *address)
{
	struct sockaddr_storage local;
	socklen_t length;
	int fd;

	if (!conf_address_to_sockaddr(address, &local, &length))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&local, length) == 0 && listen(fd, PEER_BACKLOG) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static bool open_peers(struct doors *self)
{
	unsigned long long nonce;

	ASSERT(RAND_bytes((unsigned char *)&nonce, sizeof(nonce)) == 1);
	self->peer_addresses = memory_alloc_zeroed(self->n_slots * sizeof(struct conf_address));
	self->peer_fds = memory_alloc(self->n_slots * sizeof(int));
	for (size_t i = 0; i < self->n_slots; i++)
		self->peer_fds[i] = -1;
	for (size_t i = 0; i < self->n_slots; i++) {
		name_peer(&self->peer_addresses[i], i, nonce);
		self->peer_fds[i] = bind_peer(&self->peer_addresses[i]);
		if (self->peer_fds[i] < 0) {
			log_error("no socket between workers: %s", strerror(errno));
			return false;
		}
	}
	return true;
}

static bool share_counts(struct doors *self, const struct conf *conf)
{
	void *p;

	self->n_session_counts = conf->n_routes * self->n_slots;
	p = mmap(NULL, self->n_session_counts * sizeof(int), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		log_error("no memory between workers: %s", strerror(errno));
		return false;
	}
	self->session_counts = p;
	return true;
}

bool doors_open(struct doors *self, const struct conf *conf, size_t n_slots)
{
	*self = (struct doors){.n_slots = n_slots};
	self->items = memory_alloc_zeroed(sizeof(*self->items) * count_addresses(conf));
	if (n_slots > 1)
		tls_tickets_share();
	for (size_t i = 0; i < conf->n_listens; i++)
		if (!open_listen(self, &conf->listens[i]))
			return false;
	return n_slots == 1 || (open_peers(self) && share_counts(self, conf));
}

void doors_keep(struct doors *self, size_t slot)
{
	for (size_t i = 0; i < self->n_slots; i++) {
		if (i == slot)
			continue;
		for (size_t k = 0; k < self->n; k++)
			unbind(&self->items[k].fds[i]);
		if (self->peer_fds != NULL)
			(void)close(doors_take(&self->peer_fds[i]));
	}
}

void doors_leave(struct doors *self)
{
	for (size_t i = 0; i < self->n_slots; i++)
		for (size_t k = 0; k < self->n; k++)
			unbind(&self->items[k].fds[i]);
}

void doors_close(struct doors *self)
{
	for (size_t i = 0; i < self->n; i++)
		close_door(&self->items[i], self->n_slots);
	free(self->items);
	for (size_t i = 0; self->peer_fds != NULL && i < self->n_slots; i++)
		if (self->peer_fds[i] >= 0)
			(void)close(self->peer_fds[i]);
	for (size_t i = 0; self->peer_addresses != NULL && i < self->n_slots; i++) {
		free(self->peer_addresses[i].path);
		free(self->peer_addresses[i].text);
	}
	free(self->peer_addresses);
	free(self->peer_fds);
	if (self->session_counts != NULL)
		(void)munmap((void *)self->session_counts, self->n_session_counts * sizeof(int));
	*self = (struct doors){0};
}

int doors_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
