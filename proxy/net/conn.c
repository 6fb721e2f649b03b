#include "proxy/net/conn.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "proxy/base/memory.h"
#include "proxy/net/conn_ops.h"

/* Bits of conn.due, done in this order. */
enum {
	DUE_OPEN = 1 << 0,
	DUE_RECV = 1 << 1,
	DUE_INPUT = 1 << 2,
	DUE_FLUSH = 1 << 3,
	DUE_WRITABLE = 1 << 4,
	DUE_LOST = 1 << 5,
};

#define DUE_TO_OWNER (DUE_OPEN | DUE_INPUT | DUE_LOST)

static size_t n_live;

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_notice(void *arg);

const char *conn_loss_name(enum conn_loss loss)
{
	switch (loss) {
	case CONN_LOSS_NONE:
		return "none";
	case CONN_LOSS_NO_SOCKET:
		return "no-socket";
	case CONN_LOSS_CONNECT:
		return "connect";
	case CONN_LOSS_HANDSHAKE:
		return "handshake";
	case CONN_LOSS_RESET:
		return "reset";
	case CONN_LOSS_CUT:
		return "cut";
	case CONN_LOSS_TLS:
		return "tls";
	}
	return "unknown";
}

static void set_state(struct conn *self, enum conn_state state)
{
	/* States go forward only; a handshake is left out on a plain conn. */
	ASSERT((uint8_t)state > self->state);
	self->state = (uint8_t)state;
}

static void post(struct conn *self, unsigned due)
{
	ASSERT(self->state != CONN_CLOSED);
	self->due |= (uint8_t)due;
	notice_post(self->loop, &self->notice);
}

/* Interest in the socket. A fake conn has none. */

static bool wants_read(const struct conn *self)
{
	if (self->state == CONN_HANDSHAKING)
		return true;
	return self->state == CONN_OPEN && self->is_reading && !self->is_input_ended;
}

static void arm_read(struct conn *self)
{
	if (self->is_read_armed || self->fd < 0)
		return;
	self->is_read_armed = true;
	(void)event_add(&self->event, NULL);
}

static void disarm_read(struct conn *self)
{
	if (!self->is_read_armed)
		return;
	self->is_read_armed = false;
	(void)event_del(&self->event);
}

static void wait_writable(struct conn *self)
{
	if (self->wait != NULL)
		return;
	self->wait = memory_alloc(sizeof(*self->wait));
	self->wait->since_ms = loop_now_ms(self->loop);
	if (self->fd < 0)
		return;
	(void)event_assign(&self->wait->event, loop_base(self->loop), self->fd,
		EV_WRITE | EV_PERSIST, on_writable, self);
	(void)event_add(&self->wait->event, NULL);
}

static void stop_waiting(struct conn *self)
{
	if (self->wait == NULL)
		return;
	if (self->fd >= 0)
		(void)event_del(&self->wait->event);
	free(self->wait);
	self->wait = NULL;
}

/* Life. */

struct conn *conn_new(struct loop *loop, int fd, const struct conn_ops *ops, enum conn_state state)
{
	struct conn *self = memory_alloc_zeroed(sizeof(*self));

	self->ops = ops;
	self->loop = loop;
	self->fd = fd;
	self->state = (uint8_t)state;
	self->peer.any.sa_family = AF_UNIX;
	notice_init(&self->notice, on_notice, self);
	if (fd >= 0)
		(void)event_assign(
			&self->event, loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, self);
	n_live++;
	return self;
}

void conn_set_peer(struct conn *self, const struct sockaddr *peer, socklen_t peer_len)
{
	switch (peer->sa_family) {
	case AF_INET:
		if (peer_len >= sizeof(self->peer.inet))
			memcpy(&self->peer.inet, peer, sizeof(self->peer.inet));
		break;
	case AF_INET6:
		if (peer_len >= sizeof(self->peer.inet6))
			memcpy(&self->peer.inet6, peer, sizeof(self->peer.inet6));
		break;
	default:
		break;
	}
}

struct conn *conn_new_accepted(
	struct loop *loop, int fd, const struct sockaddr *peer, socklen_t peer_len)
{
	struct conn *self = conn_new(loop, fd, &conn_plain_ops, CONN_OPEN);

	if (peer != NULL && peer_len >= sizeof(sa_family_t))
		conn_set_peer(self, peer, peer_len);
	return self;
}

struct conn *conn_new_connecting(struct loop *loop, int fd)
{
	struct conn *self = conn_new(loop, fd, &conn_plain_ops, CONN_CONNECTING);

	wait_writable(self);
	return self;
}

void conn_set_owner(struct conn *self, const struct conn_owner *owner, void *arg)
{
	unsigned due;

	if (self->state == CONN_CLOSED)
		return;
	self->owner = owner;
	self->arg = arg;
	due = self->due;
	if (self->state == CONN_LOST)
		due |= DUE_LOST;
	if (bytes_size(&self->input) > 0 || self->is_input_ended)
		due |= DUE_INPUT;
	if (owner != NULL && due != 0)
		post(self, due);
}

static void destroy(void *arg)
{
	struct conn *self = arg;

	if (self->is_tls)
		conn_tls_free(self);
	n_live--;
	free(self);
}

static void close_now(struct conn *self, bool is_clean)
{
	notice_cancel(self->loop, &self->notice);
	disarm_read(self);
	stop_waiting(self);
	self->ops->close(self, is_clean);
	if (self->fd >= 0)
		(void)close(self->fd);
	self->fd = -1;
	self->owner = NULL;
	self->is_reading = false;
	bytes_clear(&self->input);
	bytes_clear(&self->output);
	set_state(self, CONN_CLOSED);
	loop_bury(self->loop, &self->grave, destroy, self);
}

void conn_close(struct conn *self)
{
	if (self->state == CONN_CLOSED)
		return;
	/* What is unsent is lost: then the peer must not take the end for a clean one. */
	close_now(self,
		self->state == CONN_OPEN && bytes_size(&self->output) == 0 &&
			self->ops->unsent(self) == 0);
}

void conn_abort(struct conn *self)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	if (self->state == CONN_CLOSED)
		return;
	if (self->fd >= 0)
		(void)setsockopt(self->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close_now(self, false);
}

void conn_fail(struct conn *self, enum conn_loss loss, int error)
{
	if (self->state >= CONN_LOST)
		return;
	disarm_read(self);
	stop_waiting(self);
	if (self->state == CONN_HANDSHAKING)
		loss = CONN_LOSS_HANDSHAKE;
	self->loss = (uint8_t)loss;
	self->error = error;
	bytes_clear(&self->output);
	set_state(self, CONN_LOST);
	post(self, DUE_LOST);
}

void conn_fail_sending(struct conn *self, int error)
{
	if (self->state == CONN_OPEN && !self->is_input_ended && self->ops->recv(self))
		post(self, DUE_INPUT);
	conn_fail(self, CONN_LOSS_RESET, error);
}

/* Telling the owner. Each returns false if the conn is closed afterwards. */

static bool tell(struct conn *self, void (*call)(void *arg))
{
	call(self->arg);
	return self->state != CONN_CLOSED;
}

static bool tell_input(struct conn *self)
{
	if (self->owner == NULL || !self->is_reading) {
		self->is_input_untold = true;
		return true;
	}
	self->is_input_untold = false;
	return tell(self, self->owner->on_input);
}

static bool tell_output(struct conn *self)
{
	size_t size = bytes_size(&self->output) + self->ops->unsent(self);
	bool is_due = self->is_output_due && size == 0 && self->wait == NULL;

	if (self->is_room_wanted && size < CONN_OUTPUT_LIMIT / 2)
		is_due = true;
	if (!is_due || self->owner == NULL)
		return true;
	self->is_room_wanted = false;
	if (size == 0)
		self->is_output_due = false;
	return tell(self, self->owner->on_output);
}

/* Work. */

static void write_output(struct conn *self)
{
	enum conn_io io;

	if (self->state != CONN_OPEN || self->is_output_ended)
		return;
	io = self->ops->send(self);
	if (io == CONN_IO_DONE && self->is_end_wanted) {
		io = self->ops->send_end(self);
		self->is_output_ended = io == CONN_IO_DONE;
		/* The end is worth telling: it may be what the owner waits for to close. */
		self->is_output_due |= self->is_output_ended;
	}
	switch (io) {
	case CONN_IO_DONE:
		stop_waiting(self);
		break;
	case CONN_IO_MORE:
		stop_waiting(self);
		self->is_output_due = true;
		post(self, DUE_FLUSH);
		break;
	case CONN_IO_WAIT:
		self->is_output_due = true;
		wait_writable(self);
		break;
	case CONN_IO_FAILED:
		return;
	}
	(void)tell_output(self);
}

static void read_input(struct conn *self)
{
	if (self->ops->recv(self))
		(void)tell_input(self);
	if (self->state == CONN_OPEN && self->is_input_ended)
		disarm_read(self);
}

static void go_on_starting(struct conn *self)
{
	bool has_input;

	switch (self->ops->start(self)) {
	case CONN_IO_DONE:
		break;
	case CONN_IO_MORE:
	case CONN_IO_WAIT:
		arm_read(self);
		if (self->ops->unsent(self) > 0)
			wait_writable(self);
		else
			stop_waiting(self);
		return;
	case CONN_IO_FAILED:
		return;
	}
	set_state(self, CONN_OPEN);
	/* The last message of the handshake often comes together with the first bytes. */
	has_input = bytes_size(&self->input) > 0 || self->is_input_ended;
	self->is_input_untold = has_input;
	if (self->is_reading && !self->is_input_ended)
		arm_read(self);
	post(self, DUE_OPEN | (has_input && self->is_reading ? DUE_INPUT : 0) | DUE_FLUSH);
}

static void finish_connect(struct conn *self)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (self->fd >= 0 && getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		error = errno;
	stop_waiting(self);
	if (error != 0) {
		conn_fail(self, CONN_LOSS_CONNECT, error);
		return;
	}
	if (self->fd >= 0) {
		struct sockaddr_storage peer;

		n = sizeof(peer);
		if (getpeername(self->fd, (struct sockaddr *)&peer, &n) == 0)
			conn_set_peer(self, (struct sockaddr *)&peer, n);
	}
	if (self->is_tls)
		set_state(self, CONN_HANDSHAKING);
	go_on_starting(self);
}

void conn_begin_tls(struct conn *self, const struct conn_ops *ops, bool speaks_first)
{
	self->ops = ops;
	self->is_tls = true;
	/* The one way back: a conn that was open as plain. */
	if (self->state != CONN_OPEN)
		return;
	self->state = CONN_HANDSHAKING;
	if (speaks_first)
		post(self, DUE_RECV);
	else
		arm_read(self);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *self = arg;

	(void)fd;
	(void)what;
	/* Reading was turned off meanwhile: only now is it worth a system call. */
	if (!wants_read(self))
		disarm_read(self);
	else if (self->state == CONN_HANDSHAKING)
		go_on_starting(self);
	else
		read_input(self);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *self = arg;

	(void)fd;
	(void)what;
	if (self->state == CONN_CONNECTING)
		finish_connect(self);
	else if (self->state == CONN_HANDSHAKING)
		go_on_starting(self);
	else
		write_output(self);
}

static void on_notice(void *arg)
{
	struct conn *self = arg;
	unsigned due = self->due;

	self->due = 0;
	if (self->owner == NULL) {
		self->due = (uint8_t)(due & DUE_TO_OWNER);
		due &= ~(unsigned)DUE_TO_OWNER;
	}
	if ((due & DUE_OPEN) && !tell(self, self->owner->on_open))
		return;
	if ((due & DUE_RECV) && wants_read(self)) {
		if (self->state == CONN_HANDSHAKING)
			go_on_starting(self);
		else
			read_input(self);
		if (self->state == CONN_CLOSED)
			return;
	}
	if ((due & DUE_INPUT) && self->owner != NULL) {
		self->is_input_untold = false;
		if (!tell(self, self->owner->on_input))
			return;
	}
	if ((due & DUE_FLUSH) && self->wait == NULL) {
		write_output(self);
		if (self->state == CONN_CLOSED)
			return;
	}
	if ((due & DUE_WRITABLE) && self->wait != NULL) {
		on_writable(-1, EV_WRITE, self);
		if (self->state == CONN_CLOSED)
			return;
	}
	if ((due & DUE_LOST) && self->owner != NULL)
		self->owner->on_lost(self->arg, (enum conn_loss)self->loss);
}

void conn_post_recv(struct conn *self)
{
	post(self, DUE_RECV);
}

void conn_post_writable(struct conn *self)
{
	post(self, DUE_WRITABLE);
}

/* Input. */

struct bytes *conn_input(struct conn *self)
{
	return &self->input;
}

void conn_set_reading(struct conn *self, bool is_on)
{
	if (self->state == CONN_CLOSED || self->is_reading == is_on)
		return;
	self->is_reading = is_on;
	/* Off costs nothing: the event stays until it reports something unwanted. */
	if (!is_on)
		return;
	if (self->is_input_untold)
		post(self, DUE_INPUT);
	if (!wants_read(self))
		return;
	if (self->fd < 0)
		post(self, DUE_RECV);
	else
		arm_read(self);
}

bool conn_is_reading(const struct conn *self)
{
	return self->is_reading;
}

bool conn_has_input_ended(const struct conn *self)
{
	return self->is_input_ended;
}

/* Output. */

struct bytes *conn_output(struct conn *self)
{
	return &self->output;
}

size_t conn_output_room(struct conn *self)
{
	size_t size = bytes_size(&self->output) + self->ops->unsent(self);

	if (size < CONN_OUTPUT_LIMIT)
		return CONN_OUTPUT_LIMIT - size;
	self->is_room_wanted = true;
	return 0;
}

void conn_flush(struct conn *self)
{
	/* While the socket is full its event will write; before the conn is open, opening will. */
	if (self->state == CONN_OPEN && self->wait == NULL)
		post(self, DUE_FLUSH);
}

void conn_end_output(struct conn *self)
{
	if (self->is_end_wanted)
		return;
	self->is_end_wanted = true;
	conn_flush(self);
}

bool conn_has_output_ended(const struct conn *self)
{
	return self->is_output_ended;
}

uint64_t conn_stalled_since_ms(const struct conn *self)
{
	return self->wait != NULL && self->state == CONN_OPEN ? self->wait->since_ms : 0;
}

size_t conn_unacknowledged(const struct conn *self)
{
	int n = 0;

	if (self->fd < 0 || ioctl(self->fd, SIOCOUTQ, &n) != 0 || n < 0)
		return 0;
	return (size_t)n;
}

void conn_rest(struct conn *self)
{
	bytes_compact(&self->input);
	bytes_compact(&self->output);
	if (self->is_tls)
		conn_tls_rest(self);
}

/* Facts. */

struct loop *conn_loop(const struct conn *self)
{
	return self->loop;
}

int conn_fd(const struct conn *self)
{
	return self->fd;
}

bool conn_is_open(const struct conn *self)
{
	return self->state == CONN_OPEN;
}

enum conn_loss conn_loss(const struct conn *self)
{
	return (enum conn_loss)self->loss;
}

const char *conn_loss_text(const struct conn *self)
{
	if (self->loss == CONN_LOSS_NONE)
		return "";
	if (self->error != 0)
		return strerror(self->error);
	if (self->is_tls)
		return conn_tls_loss_text(self);
	return conn_loss_name((enum conn_loss)self->loss);
}

const struct sockaddr *conn_peer(const struct conn *self)
{
	return &self->peer.any;
}

uint64_t conn_bytes_received(const struct conn *self)
{
	return self->n_received;
}

uint64_t conn_bytes_sent(const struct conn *self)
{
	return self->n_sent;
}

bool conn_is_tls(const struct conn *self)
{
	return self->is_tls;
}

size_t conn_n_live(void)
{
	return n_live;
}
