#include "bench/load_client.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/load.h"

enum {
	READ_SIZE = 4096, /* enough for a head or a frame; the rest of a body is skipped */
	READ_SIZE_H2 = 32 * 1024,
	SKIP_SIZE = 256 * 1024,
};

static int client_epoll = -1;
static char client_buffer[SKIP_SIZE]; /* beyond the size of a read never touched */

static size_t client_read_size(void)
{
	return load.mode->h2 ? READ_SIZE_H2 : READ_SIZE;
}

void load_client_init(int epoll)
{
	client_epoll = epoll;
}

static void client_watch(struct load_client *c, int op, bool for_room)
{
	struct epoll_event event = {
		.events = EPOLLIN | (for_room ? (uint32_t)EPOLLOUT : 0u), .data.ptr = c};
	c->watched_for_room = for_room;
	if (epoll_ctl(client_epoll, op, c->fd, &event) < 0)
		load_client_fail(c, "epoll_ctl");
}

static void client_watch_for_room(struct load_client *c, bool for_room)
{
	if (c->watched_for_room != for_room)
		client_watch(c, EPOLL_CTL_MOD, for_room);
}

void load_client_close(struct load_client *c)
{
	if (c->state == LOAD_CLOSED)
		return;
	if (c->ssl) {
		if (c->state == LOAD_OPEN)
			(void)SSL_shutdown(c->ssl);
		SSL_free(c->ssl);
		c->ssl = NULL;
		ERR_clear_error();
	}
	close(c->fd);
	c->state = LOAD_CLOSED;
	c->fd = -1;
	c->upgraded = c->closing = false;
	c->skip = 0;
	c->out_length = 0;
	buffer_free(&c->in);
	if (load.mode->on_closed)
		load.mode->on_closed(c);
}

void load_client_fail(struct load_client *c, const char *what)
{
	bool was_busy = c->busy;
	unsigned long tls_error = c->ssl ? ERR_peek_error() : 0;
	if (tls_error)
		load_count_error("%s: %s", what, ERR_reason_error_string(tls_error));
	else
		load_count_error("%s", what);
	c->busy = false;
	load_client_close(c);
	if (was_busy)
		load_finish_unit();
}

static void client_fail_errno(struct load_client *c, const char *what, int error)
{
	char text[128];
	snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
	load_client_fail(c, text);
}

void load_client_open(struct load_client *c)
{
	c->fd = sock_connect(c->address ? c->address : &load.address);
	if (c->fd < 0) {
		client_fail_errno(c, "connect", errno);
		return;
	}
	c->state = LOAD_CONNECTING;
	client_watch(c, EPOLL_CTL_ADD, true);
}

/* ---- writing ---- */

/* Bytes written, 0 when the socket is full, -1 when the connection has failed and is closed. */
static ssize_t client_write_some(struct load_client *c)
{
	if (c->ssl) {
		size_t written = 0;
		ERR_clear_error();
		if (SSL_write_ex(c->ssl, c->out, c->out_length, &written))
			return (ssize_t)written;
		int error = SSL_get_error(c->ssl, 0);
		if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ)
			return 0;
		load_client_fail(c, "TLS write");
		return -1;
	}
	ssize_t sent = send(c->fd, c->out, c->out_length, MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	client_fail_errno(c, "send", errno);
	return -1;
}

static void client_flush(struct load_client *c)
{
	while (c->out_length > 0) {
		ssize_t n = client_write_some(c);
		if (n < 0)
			return;
		if (n == 0)
			break;
		c->out += n;
		c->out_length -= (size_t)n;
	}
	client_watch_for_room(c, c->out_length > 0);
}

void load_client_send(struct load_client *c, const char *data, size_t n)
{
	c->out = data;
	c->out_length = n;
	client_flush(c);
}

/* ---- reading ---- */

static void client_on_bytes(struct load_client *c, char *data, size_t n)
{
	bool kept = buffer_length(&c->in) > 0;
	load.bytes += n;
	if (c->skip > 0 && !kept) {
		size_t skipped = n < c->skip ? n : (size_t)c->skip;
		c->skip -= skipped;
		data += skipped;
		n -= skipped;
		if (c->skip == 0)
			load.mode->on_skipped(c);
		if (n == 0 || c->state != LOAD_OPEN)
			return;
	}
	if (kept) {
		buffer_append(&c->in, data, n);
		data = buffer_bytes(&c->in);
		n = buffer_length(&c->in);
	}
	size_t at = 0;
	while (at < n && c->state == LOAD_OPEN) {
		size_t taken = load.mode->on_bytes(c, data + at, n - at);
		if (taken == 0)
			break;
		at += taken;
		if (c->skip > 0 && at < n && c->state == LOAD_OPEN) {
			size_t skipped = n - at < c->skip ? n - at : (size_t)c->skip;
			c->skip -= skipped;
			at += skipped;
			if (c->skip == 0)
				load.mode->on_skipped(c);
		}
	}
	if (c->state != LOAD_OPEN)
		return;
	if (!kept)
		buffer_append(&c->in, data + at, n - at);
	else if (at == n)
		buffer_free(&c->in);
	else
		buffer_take(&c->in, at);
}

static void client_read_plain(struct load_client *c)
{
	ssize_t n;
	if (c->skip > 0) {
		/* The kernel throws the bytes away without copying them. */
		size_t wanted = c->skip < SKIP_SIZE ? (size_t)c->skip : SKIP_SIZE;
		n = recv(c->fd, client_buffer, wanted, MSG_TRUNC);
		if (n > 0) {
			load.bytes += (uint64_t)n;
			c->skip -= (uint64_t)n;
			if (c->skip == 0)
				load.mode->on_skipped(c);
			return;
		}
	} else {
		n = recv(c->fd, client_buffer, client_read_size(), 0);
		if (n > 0) {
			client_on_bytes(c, client_buffer, (size_t)n);
			return;
		}
	}
	if (n == 0)
		load.mode->on_end(c);
	else if (errno != EAGAIN && errno != EINTR)
		client_fail_errno(c, "recv", errno);
}

static void client_read_tls(struct load_client *c)
{
	size_t size = client_read_size();
	while (c->state == LOAD_OPEN) {
		size_t n = 0;
		ERR_clear_error();
		if (SSL_read_ex(c->ssl, client_buffer, size, &n)) {
			client_on_bytes(c, client_buffer, n);
			/* A short record was the last one, most likely; epoll tells if not. */
			if (n < size && c->state == LOAD_OPEN && !SSL_has_pending(c->ssl))
				return;
			continue;
		}
		int error = SSL_get_error(c->ssl, 0);
		if (error == SSL_ERROR_ZERO_RETURN)
			load.mode->on_end(c);
		else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
			load_client_fail(c, "TLS read");
		return;
	}
}

/* ---- opening ---- */

static void client_secure(struct load_client *c)
{
	ERR_clear_error();
	int result = SSL_do_handshake(c->ssl);
	if (result == 1) {
		c->state = LOAD_OPEN;
		client_watch_for_room(c, false);
		load.mode->on_connected(c);
		return;
	}
	int error = SSL_get_error(c->ssl, result);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		client_watch_for_room(c, error == SSL_ERROR_WANT_WRITE);
	else
		load_client_fail(c, "TLS handshake");
}

static void client_on_connect(struct load_client *c)
{
	int error = sock_error(c->fd);
	if (error) {
		client_fail_errno(c, "connect", error);
		return;
	}
	if (!load.tls) {
		c->state = LOAD_OPEN;
		client_watch_for_room(c, false);
		load.mode->on_connected(c);
		return;
	}
	c->state = LOAD_SECURING;
	c->ssl = SSL_new(load.tls);
	if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) ||
		!SSL_set_tlsext_host_name(c->ssl, "localhost")) {
		load_client_fail(c, "TLS setup");
		return;
	}
	SSL_set_connect_state(c->ssl);
	client_secure(c);
}

void load_client_on_event(struct load_client *c, uint32_t events)
{
	switch (c->state) {
	case LOAD_CLOSED:
		break;
	case LOAD_CONNECTING:
		client_on_connect(c);
		break;
	case LOAD_SECURING:
		client_secure(c);
		break;
	case LOAD_OPEN:
		if (events & EPOLLOUT)
			client_flush(c);
		if (c->state != LOAD_OPEN || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
			break;
		if (c->ssl)
			client_read_tls(c);
		else
			client_read_plain(c);
		break;
	}
	if (load.mode->flush && c->state == LOAD_OPEN)
		load.mode->flush(c);
}
