/* A conn over the bare socket. conn_send_bytes serves TLS too. */
#include "proxy/net/conn_ops.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Less room than this in the last chunk is not worth a system call: a new chunk is taken. */
#define MIN_ROOM 2048
/* A peer that sends fast is read four chunks at a time. */
#define N_BULK_CHUNKS 4
#define MAX_SEND_VECTORS 16
/* Bytes per write before others have their turn. */
#define SEND_ONCE (512 * 1024)

static enum conn_io plain_start(struct conn *self)
{
	(void)self;
	return CONN_IO_DONE;
}

/* One system call. *wanted: how much could have come. */
static ssize_t recv_some(struct conn *self, size_t *wanted)
{
	struct iovec iov[N_BULK_CHUNKS];
	ssize_t n;

	*wanted = 0;
	if (self->is_bulk) {
		int n_iov = bytes_reserve_vectors(&self->input, iov, N_BULK_CHUNKS);

		for (int i = 0; i < n_iov; i++)
			*wanted += iov[i].iov_len;
		n = readv(self->fd, iov, n_iov);
		if (n > 0)
			bytes_commit_vectors(&self->input, (size_t)n);
	} else {
		char *p = bytes_reserve(&self->input, MIN_ROOM, wanted);

		n = recv(self->fd, p, *wanted, 0);
		if (n > 0)
			bytes_commit(&self->input, (size_t)n);
	}
	if (n <= 0)
		bytes_release_reserve(&self->input);
	return n;
}

static bool plain_recv(struct conn *self)
{
	bool has_news = false;
	size_t total = 0;

	while (total < CONN_READ_ONCE) {
		size_t wanted;
		ssize_t n = recv_some(self, &wanted);

		if (n > 0) {
			has_news = true;
			total += (size_t)n;
			self->n_received += (uint64_t)n;
			self->is_bulk = (size_t)n == wanted;
			if (!self->is_bulk)
				break;
		} else if (n == 0) {
			self->is_input_ended = true;
			return true;
		} else if (errno == EINTR) {
			continue;
		} else {
			self->is_bulk = false;
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				conn_fail(self, CONN_LOSS_RESET, errno);
			break;
		}
	}
	return has_news;
}

enum conn_io conn_send_bytes(struct conn *self, struct bytes *bytes)
{
	size_t total = 0;

	while (bytes_size(bytes) > 0) {
		struct iovec iov[MAX_SEND_VECTORS];
		struct msghdr message = {.msg_iov = iov};
		size_t wanted = 0;
		ssize_t n;

		if (total >= SEND_ONCE)
			return CONN_IO_MORE;
		message.msg_iovlen = (size_t)bytes_vectors(bytes, iov, MAX_SEND_VECTORS, SEND_ONCE);
		for (size_t i = 0; i < message.msg_iovlen; i++)
			wanted += iov[i].iov_len;
		/* One segment is the common case, and send is the cheaper call. */
		n = message.msg_iovlen == 1 ? send(self->fd, iov[0].iov_base, wanted, MSG_NOSIGNAL)
					    : sendmsg(self->fd, &message, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN || errno == EWOULDBLOCK)
				return CONN_IO_WAIT;
			conn_fail_sending(self, errno);
			return CONN_IO_FAILED;
		}
		bytes_drain(bytes, (size_t)n);
		total += (size_t)n;
		if (self->wait != NULL)
			self->wait->since_ms = loop_now_ms(self->loop);
		if ((size_t)n < wanted)
			return CONN_IO_WAIT;
	}
	return CONN_IO_DONE;
}

static enum conn_io plain_send(struct conn *self)
{
	size_t before = bytes_size(&self->output);
	enum conn_io io = conn_send_bytes(self, &self->output);

	if (io != CONN_IO_FAILED)
		self->n_sent += before - bytes_size(&self->output);
	return io;
}

static enum conn_io plain_send_end(struct conn *self)
{
	if (shutdown(self->fd, SHUT_WR) == 0)
		return CONN_IO_DONE;
	conn_fail_sending(self, errno);
	return CONN_IO_FAILED;
}

static size_t plain_unsent(const struct conn *self)
{
	(void)self;
	return 0;
}

static void plain_close(struct conn *self, bool is_clean)
{
	(void)self;
	(void)is_clean;
}

const struct conn_ops conn_plain_ops = {
	.start = plain_start,
	.recv = plain_recv,
	.send = plain_send,
	.send_end = plain_send_end,
	.unsent = plain_unsent,
	.close = plain_close,
};
