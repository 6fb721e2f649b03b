#include "proxy/route/access_log.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/net/conn.h"
#include "proxy/route/access_log_format.h"
#include "proxy/route/hop_client.h"

/* What may wait for a reader that takes nothing. */
#define MAX_WAITING (1024 * 1024)
#define RETRY_MS 20
#define COMPLAIN_EVERY_MS 1000
#define MAX_VECTORS 64

struct access_log {
	struct loop *loop;
	int fd;
	bool is_socket; /* as a service's standard output may be */
	bool is_pipe;
	bool is_shared; /* other processes write to the same */
	enum conf_access_log_format format;
	struct bytes lines;
	struct notice notice;
	struct timer retry;
	struct access_log_clock clock;
	uint64_t n_lost;
	uint64_t complained_ms; /* 0: never */
};

static void tell_of_lost(struct access_log *self)
{
	if (self->n_lost > 0)
		log_error("access log: %llu lines were lost", (unsigned long long)self->n_lost);
	self->n_lost = 0;
}

static void complain(struct access_log *self, int error)
{
	uint64_t now = loop_now_ms(self->loop);

	if (self->complained_ms != 0 && now - self->complained_ms < COMPLAIN_EVERY_MS)
		return;
	self->complained_ms = now;
	log_error("access log: cannot write: %s", strerror(error));
}

/* Whole lines that go into a pipe at once, so that none of another process comes between. */
static ssize_t write_to_shared_pipe(struct access_log *self)
{
	char piece[PIPE_BUF];
	size_t n = MIN(bytes_size(&self->lines), sizeof(piece));
	const char *end;

	bytes_peek(&self->lines, piece, n);
	end = memrchr(piece, '\n', n);
	return write(self->fd, piece, end != NULL ? (size_t)(end + 1 - piece) : n);
}

static ssize_t write_lines(struct access_log *self)
{
	struct iovec vectors[MAX_VECTORS];
	int n_vectors = bytes_vectors(&self->lines, vectors, MAX_VECTORS, SIZE_MAX);
	struct msghdr message = {.msg_iov = vectors, .msg_iovlen = (size_t)n_vectors};

	if (self->is_pipe && self->is_shared)
		return write_to_shared_pipe(self);
	return self->is_socket ? sendmsg(self->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
			       : writev(self->fd, vectors, n_vectors);
}

/* False: the rest has to wait. */
static bool write_some(struct access_log *self)
{
	ssize_t n = write_lines(self);

	if (n >= 0) {
		bytes_drain(&self->lines, (size_t)n);
		return true;
	}
	if (errno == EINTR)
		return true;
	if (errno != EAGAIN) {
		complain(self, errno);
		bytes_clear(&self->lines);
	}
	return false;
}

static void flush(void *arg)
{
	struct access_log *self = arg;

	while (bytes_size(&self->lines) > 0) {
		if (!write_some(self)) {
			if (bytes_size(&self->lines) > 0)
				timer_set_in(self->loop, &self->retry, RETRY_MS);
			return;
		}
	}
	tell_of_lost(self);
}

static void set_fd(struct access_log *self, int fd)
{
	struct stat st;

	self->fd = fd;
	self->is_socket = self->is_pipe = false;
	if (fd < 0 || fstat(fd, &st) != 0)
		return;
	self->is_socket = S_ISSOCK(st.st_mode);
	self->is_pipe = S_ISFIFO(st.st_mode);
}

struct access_log *access_log_new(struct loop *loop, int fd, enum conf_access_log_format format)
{
	struct access_log *self = memory_alloc_zeroed(sizeof(*self));

	self->loop = loop;
	set_fd(self, fd);
	self->format = format;
	bytes_init(&self->lines);
	notice_init(&self->notice, flush, self);
	timer_init(&self->retry, flush, self);
	return self;
}

void access_log_free(struct access_log *self)
{
	flush(self);
	tell_of_lost(self);
	bytes_clear(&self->lines);
	notice_cancel(self->loop, &self->notice);
	timer_close(self->loop, &self->retry);
	free(self);
}

void access_log_share(struct access_log *self)
{
	self->is_shared = true;
}

void access_log_set_fd(struct access_log *self, int fd)
{
	flush(self);
	set_fd(self, fd);
}

static void gather(struct access_log_facts *facts, const struct exchange *x, char *address)
{
	struct hop_client client;

	hop_client_init(&client, x);
	*facts = (struct access_log_facts){
		/* Kept, where the heads were forgotten. */
		.client = x->req == NULL && x->client_address.n > 0
			? x->client_address
			: hop_client_find_address(&client, x->req, address),
		.method = exchange_method(x),
		.target = exchange_target(x),
		.host = exchange_authority(x),
		.referer = exchange_referer(x),
		.user_agent = exchange_user_agent(x),
		.session = x->session_label,
		.server = x->server_name,
		.tls_version = client.is_tls ? exchange_tls_version(x) : NULL,
		.times = x->times,
		.n_request_body = x->n_request_body,
		.n_response_body = x->n_response_body,
		.reason = x->reason,
		.version = exchange_version(x),
		.status = x->status,
		.is_upgrade = x->is_upgrade,
	};
}

void access_log_write(struct access_log *self, struct exchange *x)
{
	struct access_log_facts facts;
	char address[ADDRESS_TEXT_SIZE];
	struct timespec now;

	if (self->fd < 0)
		return;
	if (bytes_size(&self->lines) > MAX_WAITING) {
		self->n_lost++;
		return;
	}
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	access_log_clock_set(&self->clock, now.tv_sec);
	gather(&facts, x, address);
	access_log_format(&self->lines, self->format, &facts, &self->clock);
	if (!timer_is_set(&self->retry))
		notice_post(self->loop, &self->notice);
}
