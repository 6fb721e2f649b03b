#include "bench/origin_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proxy/base/macros.h"
#include "proxy/base/memory.h"

enum {
	READ_SIZE = 256 * 1024,
	FILLER_SIZE = 26 * 8192,
	BACKLOG_LIMIT = 256 * 1024, /* beyond it the peer is not read until it has read us */
	LINGER_US = 2 * 1000 * 1000,
};

TAILQ_HEAD(conn_list, conn);
static struct conn_list living = TAILQ_HEAD_INITIALIZER(living);
static struct conn_list dead = TAILQ_HEAD_INITIALIZER(dead);

static char read_buffer[READ_SIZE];

static const char *conn_filler(void)
{
	static char filler[FILLER_SIZE];
	if (filler[0] == '\0') {
		for (size_t i = 0; i < sizeof(filler); i++)
			filler[i] = (char)('a' + i % 26);
	}
	return filler;
}

/* Whether another unit may be heard: answers keep their order, and a peer that does not read is not
 * read. */
static bool conn_can_hear(const struct conn *c)
{
	return !c->closed && !c->finishing && !c->held && c->filler_left == 0 &&
		buffer_length(&c->out) < BACKLOG_LIMIT;
}

static void conn_arm(struct event *event, bool *armed, bool wanted)
{
	if (*armed == wanted)
		return;
	*armed = wanted;
	int failed = wanted ? event_add(event, NULL) : event_del(event);
	ASSERT(!failed);
}

static void conn_on_linger_over(struct conn *c, void *arg)
{
	(void)arg;
	conn_close(c);
}

static void conn_linger(struct conn *c)
{
	if (c->lingering)
		return;
	c->lingering = true;
	conn_arm(&c->writable, &c->writing, false);
	conn_arm(&c->readable, &c->reading, true);
	conn_set_timer(c, LINGER_US, conn_on_linger_over, NULL);
	(void)shutdown(c->fd, SHUT_WR);
}

/* Writes as much as the socket takes. False when the connection is done with. */
static bool conn_flush(struct conn *c)
{
	while (buffer_length(&c->out) > 0 || c->filler_left > 0) {
		struct iovec parts[2];
		size_t pending = buffer_length(&c->out);
		size_t filler = c->filler_left < FILLER_SIZE ? (size_t)c->filler_left : FILLER_SIZE;
		size_t n_parts = 0;
		if (pending)
			parts[n_parts++] = (struct iovec){buffer_bytes(&c->out), pending};
		if (filler)
			parts[n_parts++] = (struct iovec){(void *)(uintptr_t)conn_filler(), filler};
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = n_parts};
		ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN) {
			conn_close(c);
			return false;
		}
		if (sent < 0)
			break;
		size_t from_out = MIN((size_t)sent, pending);
		buffer_take(&c->out, from_out);
		c->filler_left -= (size_t)sent - from_out;
	}
	bool blocked = conn_backlog(c) > 0;
	if (!blocked && c->finishing) {
		conn_linger(c);
		return false;
	}
	conn_arm(&c->writable, &c->writing, blocked);
	return true;
}

/* Hears as many whole units as may be heard; returns the bytes taken. */
static size_t conn_hear(struct conn *c, char *data, size_t n)
{
	size_t at = 0;
	c->hearing = true;
	while (at < n && conn_can_hear(c)) {
		size_t taken = c->ops->hear(c, data + at, n - at);
		if (taken == 0)
			break;
		at += taken;
	}
	c->hearing = false;
	return at;
}

/* After anything that may have changed what is pending. */
static void conn_settle(struct conn *c)
{
	if (c->closed || !conn_flush(c))
		return;
	conn_arm(&c->readable, &c->reading, conn_can_hear(c));
}

static void conn_hear_kept(struct conn *c)
{
	while (buffer_length(&c->in) > 0 && conn_can_hear(c)) {
		size_t taken = conn_hear(c, buffer_bytes(&c->in), buffer_length(&c->in));
		buffer_take(&c->in, taken);
		if (c->closed || !conn_flush(c) || taken == 0)
			break;
	}
	if (!c->closed && buffer_length(&c->in) == 0)
		buffer_free(&c->in);
}

static void conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	(void)what;
	ssize_t n = recv(fd, read_buffer, sizeof(read_buffer), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	if (c->lingering)
		return;
	if (buffer_length(&c->in) > 0) {
		buffer_append(&c->in, read_buffer, (size_t)n);
		conn_hear_kept(c);
	} else {
		size_t taken = conn_hear(c, read_buffer, (size_t)n);
		if (!c->closed && taken < (size_t)n) {
			buffer_append(&c->in, read_buffer + taken, (size_t)n - taken);
			/* Units may wait behind one whose answer is written by now. */
			if (conn_flush(c))
				conn_hear_kept(c);
		}
	}
	conn_settle(c);
}

static void conn_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	(void)fd;
	(void)what;
	if (!conn_flush(c))
		return;
	conn_hear_kept(c);
	conn_settle(c);
}

static void conn_on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	(void)fd;
	(void)what;
	c->on_timer(c, c->timer_arg);
}

void conn_open(struct event_base *base, int fd, const struct conn_ops *ops, void *state)
{
	struct conn *c = memory_alloc_zeroed(sizeof(*c));
	c->fd = fd;
	c->ops = ops;
	c->state = state;
	event_assign(&c->readable, base, fd, EV_READ | EV_PERSIST, conn_on_readable, c);
	event_assign(&c->writable, base, fd, EV_WRITE | EV_PERSIST, conn_on_writable, c);
	event_assign(&c->timer, base, -1, 0, conn_on_timeout, c);
	TAILQ_INSERT_TAIL(&living, c, link);
	conn_arm(&c->readable, &c->reading, true);
}

void conn_close(struct conn *c)
{
	if (c->closed)
		return;
	c->closed = true;
	conn_arm(&c->readable, &c->reading, false);
	conn_arm(&c->writable, &c->writing, false);
	event_del(&c->timer);
	close(c->fd);
	TAILQ_REMOVE(&living, c, link);
	TAILQ_INSERT_TAIL(&dead, c, link);
}

void conn_bury_dead(void)
{
	struct conn *c;
	while ((c = TAILQ_FIRST(&dead))) {
		TAILQ_REMOVE(&dead, c, link);
		c->ops->gone(c);
		buffer_free(&c->in);
		buffer_free(&c->out);
		free(c);
	}
}

void conn_leave_all(void)
{
	struct conn *c;
	while ((c = TAILQ_FIRST(&living))) {
		c->ops->leave(c);
		conn_close(c);
	}
}

void conn_write(struct conn *c, const void *data, size_t n)
{
	if (c->closed || c->finishing)
		return;
	buffer_append(&c->out, data, n);
	if (!c->hearing && !c->writing)
		conn_settle(c);
}

void conn_write_filler(struct conn *c, uint64_t n)
{
	c->filler_left += n;
	if (!c->hearing && !c->writing)
		conn_settle(c);
}

void conn_finish(struct conn *c)
{
	if (c->closed)
		return;
	c->finishing = true;
	if (!c->hearing)
		conn_settle(c);
}

size_t conn_backlog(const struct conn *c)
{
	return buffer_length(&c->out) + (size_t)c->filler_left;
}

void conn_hold(struct conn *c)
{
	c->held = true;
}

void conn_resume(struct conn *c)
{
	c->held = false;
	conn_hear_kept(c);
	conn_settle(c);
}

void conn_set_timer(
	struct conn *c, int64_t us, void (*on_timer)(struct conn *c, void *arg), void *arg)
{
	struct timeval wait = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
	c->on_timer = on_timer;
	c->timer_arg = arg;
	event_add(&c->timer, &wait);
}
