#include "proxy/net/conn_fake.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"
#include "proxy/net/conn_ops.h"

struct conn_fake {
	struct conn *conn; /* NULL: closed */
	struct bytes inbox;
	struct bytes sent;
	size_t room;
	bool has_end; /* behind what is in the inbox */
	bool has_ended;
	bool is_closed_cleanly;
};

static enum conn_io fake_start(struct conn *conn)
{
	(void)conn;
	return CONN_IO_DONE;
}

static bool fake_recv(struct conn *conn)
{
	struct conn_fake *self = conn->fake;
	size_t n = MIN(bytes_size(&self->inbox), (size_t)CONN_READ_ONCE);

	bytes_move(&conn->input, &self->inbox, n);
	conn->n_received += n;
	if (bytes_size(&self->inbox) > 0)
		conn_post_recv(conn);
	else
		conn->is_input_ended = self->has_end;
	return n > 0 || conn->is_input_ended;
}

static enum conn_io fake_send(struct conn *conn)
{
	struct conn_fake *self = conn->fake;
	size_t n = MIN(bytes_size(&conn->output), self->room);

	bytes_move(&self->sent, &conn->output, n);
	conn->n_sent += n;
	if (self->room != SIZE_MAX)
		self->room -= n;
	if (n > 0 && conn->wait != NULL)
		conn->wait->since_ms = loop_now_ms(conn->loop);
	return bytes_size(&conn->output) > 0 ? CONN_IO_WAIT : CONN_IO_DONE;
}

static enum conn_io fake_send_end(struct conn *conn)
{
	conn->fake->has_ended = true;
	return CONN_IO_DONE;
}

static size_t fake_unsent(const struct conn *conn)
{
	(void)conn;
	return 0;
}

static void fake_close(struct conn *conn, bool is_clean)
{
	conn->fake->is_closed_cleanly = is_clean;
	conn->fake->conn = NULL;
}

static const struct conn_ops fake_ops = {
	.start = fake_start,
	.recv = fake_recv,
	.send = fake_send,
	.send_end = fake_send_end,
	.unsent = fake_unsent,
	.close = fake_close,
};

struct conn_fake *conn_fake_new(struct loop *loop)
{
	struct conn_fake *self = memory_alloc_zeroed(sizeof(*self));

	self->conn = conn_new(loop, -1, &fake_ops, CONN_OPEN);
	self->conn->fake = self;
	self->room = SIZE_MAX;
	return self;
}

void conn_fake_free(struct conn_fake *self)
{
	if (self->conn != NULL)
		conn_close(self->conn);
	bytes_clear(&self->inbox);
	bytes_clear(&self->sent);
	free(self);
}

struct conn *conn_fake_conn(struct conn_fake *self)
{
	return self->conn;
}

void conn_fake_set_peer(struct conn_fake *self, const struct sockaddr *peer, socklen_t peer_len)
{
	conn_set_peer(self->conn, peer, peer_len);
}

void conn_fake_feed(struct conn_fake *self, const void *p, size_t n)
{
	if (self->conn == NULL)
		return;
	bytes_append(&self->inbox, p, n);
	conn_post_recv(self->conn);
}

void conn_fake_feed_string(struct conn_fake *self, const char *s)
{
	conn_fake_feed(self, s, strlen(s));
}

void conn_fake_feed_end(struct conn_fake *self)
{
	self->has_end = true;
	if (self->conn != NULL)
		conn_post_recv(self->conn);
}

size_t conn_fake_n_unread(const struct conn_fake *self)
{
	return bytes_size(&self->inbox);
}

void conn_fake_lose(struct conn_fake *self, enum conn_loss loss)
{
	bytes_clear(&self->inbox);
	if (self->conn != NULL)
		conn_fail(self->conn, loss, 0);
}

struct bytes *conn_fake_sent(struct conn_fake *self)
{
	return &self->sent;
}

void conn_fake_set_room(struct conn_fake *self, size_t room)
{
	self->room = room;
	if (self->conn != NULL && room > 0)
		conn_post_writable(self->conn);
}

bool conn_fake_has_ended(const struct conn_fake *self)
{
	return self->has_ended;
}

bool conn_fake_is_closed(const struct conn_fake *self)
{
	return self->conn == NULL;
}

bool conn_fake_is_closed_cleanly(const struct conn_fake *self)
{
	return self->is_closed_cleanly;
}
