/*
 * One client connection. Events come from the conn, from the pipes of the exchange under way and
 * from one timer; each does what is possible now and leaves. Work on the response is done in
 * `pump`, a notice, so that what a handler gives in one turn leaves in one write.
 */
#include "proxy/http/h1_server.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/http/h1_server_private.h"

#define LINGER_MS 2000
/* Bytes of a request body per second, at least, over body_timeout. */
#define MIN_BODY_RATE 32
/* When leaving: how long a client that was let in may take to say what it wants, ... */
#define FIRST_REQUEST_MS 1000
/* ... and for what has come over an idle connection and was not read yet. */
#define LAST_REQUEST_MS 1

/* Leaving. */

static void server_free(void *arg)
{
	struct h1_server *self = arg;

	ws_tunnel_free(self->ws);
	free(self);
}

static void exchange_free(void *arg)
{
	exchange_close(arg);
	free(arg);
}

void h1_server_end_exchange(struct h1_server *self, enum reason reason)
{
	struct exchange *x = self->x;

	if (x == NULL)
		return;
	self->x = NULL;
	exchange_finish(x, reason);
	loop_bury(self->loop, &x->grave, exchange_free, x);
}

static void server_bury(struct h1_server *self)
{
	self->state = SERVER_CLOSED;
	notice_cancel(self->loop, &self->pump);
	timer_close(self->loop, &self->timer);
	loop_bury(self->loop, &self->grave, server_free, self);
}

static void server_leave(struct h1_server *self)
{
	server_bury(self);
	self->owner->on_closed(self->arg);
}

void h1_server_hand_over(struct h1_server *self)
{
	conn_set_owner(self->conn, NULL, NULL);
	server_bury(self);
	self->owner->on_http2(self->arg);
}

void h1_server_cut(struct h1_server *self, enum reason reason)
{
	if (self->state == SERVER_CLOSED)
		return;
	h1_server_end_exchange(self, reason);
	/* Who reset a tunnel, or was cut off, did not end it: neither does the other side. */
	if (self->state == SERVER_TUNNEL && reason == REASON_TUNNEL_CUT)
		conn_abort(self->conn);
	else
		conn_close(self->conn);
	server_leave(self);
}

void h1_server_finish(struct h1_server *self)
{
	h1_server_end_exchange(self, REASON_NONE);
	/* An evicted connection has to free its descriptor for another one, at the risk of a reset.
	 */
	if (self->is_evicted)
		conn_close(self->conn);
	else
		conn_close_gracefully(self->conn, LINGER_MS);
	server_leave(self);
}

/* Deadlines. Moving one is only a store; on_timer looks at the state anew. */

void h1_server_set_deadline(struct h1_server *self, int64_t ms)
{
	if (ms <= 0)
		timer_cancel(&self->timer);
	else
		timer_set_in(self->loop, &self->timer, (uint64_t)ms);
}

static uint64_t stall_deadline(const struct h1_server *self)
{
	uint64_t since = conn_stalled_since_ms(self->conn);

	return since != 0 ? since + (uint64_t)self->listen->write_timeout_ms : TIMER_NEVER;
}

static bool is_waiting_for_body(const struct h1_server *self)
{
	return self->state == SERVER_EXCHANGE && !h1_body_is_done(&self->body) &&
		conn_is_reading(self->conn);
}

/*
 * When the client has to have sent more: until its response begins it may neither pause for
 * body_timeout nor send fewer bytes in that time than a connection is worth. In a conversation both
 * may pause; a backend that waits for the client in vain has its read_timeout.
 */
static uint64_t body_deadline(struct h1_server *self, uint64_t now)
{
	uint64_t timeout = (uint64_t)self->listen->body_timeout_ms;
	uint64_t pause_ends = self->progress_ms + timeout, window_ends = self->window_ms + timeout;

	if (!is_waiting_for_body(self) || self->x->state != EXCHANGE_REQUESTED)
		return TIMER_NEVER;
	if (window_ends <= now &&
		(self->x->n_request_body - self->window_start) * 1000 >= MIN_BODY_RATE * timeout) {
		h1_server_start_window(self);
		window_ends = now + timeout;
	}
	return MIN(pause_ends, window_ends);
}

static void on_exchange_timer(struct h1_server *self, uint64_t now)
{
	uint64_t stall = stall_deadline(self), body = body_deadline(self, now);

	if (stall <= now)
		h1_server_cut(self, REASON_CLIENT_STALL);
	else if (body <= now)
		h1_server_refuse_body(self, REASON_BODY_TIMEOUT);
	else
		timer_set_at(self->loop, &self->timer, MIN(stall, body));
}

static void on_tunnel_timer(struct h1_server *self, uint64_t now)
{
	/* A handler that is an end of it itself knows better who has stalled. */
	uint64_t stall = self->x->says_farewell ? TIMER_NEVER : stall_deadline(self);
	uint64_t idle = TIMER_NEVER;

	if (self->x->tunnel_timeout_ms > 0)
		idle = self->progress_ms + self->x->tunnel_timeout_ms;
	if (stall <= now)
		h1_server_cut(self, REASON_CLIENT_STALL);
	else if (idle <= now)
		h1_server_cut(self, REASON_TUNNEL_TIMEOUT);
	else if (h1_server_tick_tunnel(self, now))
		timer_set_at(self->loop, &self->timer,
			MIN(MIN(stall, idle), ws_tunnel_deadline(self->ws)));
}

static void on_timer(void *arg)
{
	struct h1_server *self = arg;

	switch (self->state) {
	case SERVER_IDLE:
	case SERVER_DRAIN:
		h1_server_finish(self);
		break;
	case SERVER_HEAD:
		h1_server_refuse(self, REASON_HEADER_TIMEOUT);
		break;
	case SERVER_EXCHANGE:
		on_exchange_timer(self, loop_now_ms(self->loop));
		break;
	case SERVER_TUNNEL:
		on_tunnel_timer(self, loop_now_ms(self->loop));
		break;
	case SERVER_CLOSED:
		break;
	}
}

/* The client ended its side. Between requests that is a farewell; in a tunnel half of one; else
 * nobody waits for the response. */
static void on_end_of_input(struct h1_server *self)
{
	switch (self->state) {
	case SERVER_IDLE:
	case SERVER_DRAIN:
		h1_server_cut(self, REASON_NONE);
		break;
	case SERVER_HEAD:
		(void)h1_server_begin_exchange(self);
		h1_server_cut(self, REASON_CLIENT_GONE);
		break;
	case SERVER_EXCHANGE:
		pipe_abort(&self->x->req_body);
		h1_server_cut(self, REASON_CLIENT_GONE);
		break;
	case SERVER_TUNNEL:
	case SERVER_CLOSED:
		break;
	}
}

/*
 * A client that has said all it had to, and knows that the answer is the last, may end its side.
 * Not where the answer has no known end: there its leaving would go unnoticed.
 */
static bool is_waiting_for_last_answer(const struct h1_server *self)
{
	if (self->x == NULL || !self->must_close)
		return false;
	if (!h1_body_is_done(&self->body) && !self->x->req_body.is_aborted)
		return false;
	return self->x->handler == NULL || self->is_response_written ||
		(self->is_head_written && self->framing == BODY_LENGTH);
}

void h1_server_on_input(void *arg)
{
	struct h1_server *self = arg;

	switch (self->state) {
	case SERVER_IDLE:
	case SERVER_HEAD:
		if (bytes_size(conn_input(self->conn)) > 0)
			h1_server_read_head(self);
		break;
	case SERVER_EXCHANGE:
		if (self->x->req_body.is_aborted)
			break;
		if (!h1_body_is_done(&self->body))
			h1_server_read_body(self);
		else
			conn_set_reading(self->conn, h1_server_has_room_for_pipeline(self));
		break;
	case SERVER_DRAIN:
		h1_server_skip_body(self);
		break;
	case SERVER_TUNNEL:
		h1_server_read_tunnel(self);
		return;
	case SERVER_CLOSED:
		return;
	}
	if (self->state != SERVER_CLOSED && conn_has_input_ended(self->conn) &&
		!is_waiting_for_last_answer(self))
		on_end_of_input(self);
}

static void on_output(void *arg)
{
	struct h1_server *self = arg;

	if (self->x != NULL)
		notice_post(self->loop, &self->pump);
}

static void on_lost(void *arg, enum conn_loss loss)
{
	struct h1_server *self = arg;

	(void)loss;
	if (self->x != NULL && self->state == SERVER_TUNNEL) {
		pipe_abort(&self->x->req_body);
		h1_server_cut(self, REASON_TUNNEL_CUT);
		return;
	}
	if (self->state == SERVER_HEAD)
		(void)h1_server_begin_exchange(self);
	h1_server_cut(self, self->x != NULL ? REASON_CLIENT_GONE : REASON_NONE);
}

static void on_open(void *arg)
{
	(void)arg;
}

static void server_drain(struct server_codec *base, struct spread *closes)
{
	struct h1_server *self = CONTAINER_OF(base, struct h1_server, base);

	self->is_draining = true;
	if (self->state == SERVER_IDLE) {
		h1_server_set_deadline(
			self, self->n_requests == 0 ? FIRST_REQUEST_MS : LAST_REQUEST_MS);
	} else if (self->state == SERVER_TUNNEL && !self->x->says_farewell) {
		self->ws->leave_ms =
			closes != NULL ? spread_next_ms(closes) : loop_now_ms(self->loop);
		on_timer(self);
	}
}

static void server_close(struct server_codec *base, enum reason reason)
{
	h1_server_cut(CONTAINER_OF(base, struct h1_server, base), reason);
}

static void server_evict(struct server_codec *base)
{
	struct h1_server *self = CONTAINER_OF(base, struct h1_server, base);

	self->is_evicted = true;
	if (self->state == SERVER_IDLE || self->state == SERVER_DRAIN)
		h1_server_finish(self);
	else if (self->state == SERVER_HEAD)
		h1_server_refuse(self, REASON_OVERLOAD);
}

struct server_codec *h1_server_new(struct loop *loop, struct conn *conn,
	const struct conf_listen *listen, const struct exchange_service *service,
	const struct server_codec_owner *owner, void *arg)
{
	static const struct server_codec_ops ops = {
		.drain = server_drain, .close = server_close, .evict = server_evict};
	static const struct conn_owner conn_owner = {.on_open = on_open,
		.on_input = h1_server_on_input,
		.on_output = on_output,
		.on_lost = on_lost};
	struct h1_server *self = memory_alloc_zeroed(sizeof(*self));

	self->base.ops = &ops;
	self->loop = loop;
	self->conn = conn;
	self->listen = listen;
	self->service = service;
	self->owner = owner;
	self->arg = arg;
	notice_init(&self->pump, h1_server_pump, self);
	timer_init(&self->timer, on_timer, self);
	conn_set_owner(conn, &conn_owner, self);
	conn_set_reading(conn, true);
	/* The first head has the head's own deadline from the start: a client that sends nothing is
	 * slow with its head too. */
	h1_server_set_deadline(self, listen->header_timeout_ms);
	return &self->base;
}
