/*
 * One client connection. Events come from the conn, from the pipes of the exchange under way and
 * from one timer; each does what is possible now and leaves. Work on the response is done in
 * `pump`, a notice, so that what a handler gives in one turn leaves in one write.
 */
#include "proxy/http/h1_server.h"

#include <stdlib.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/h1_tunnel.h"
#include "proxy/http/h1_write.h"
#include "proxy/http/ws_tunnel.h"

enum h1_server_state {
	SERVER_IDLE,	 /* between requests: no byte of a head yet */
	SERVER_HEAD,	 /* a part of a head has come */
	SERVER_EXCHANGE, /* x is under way; its body may still come */
	SERVER_DRAIN,	 /* x is over, a known small rest of its body is skipped */
	SERVER_TUNNEL,
	SERVER_CLOSED,
};

struct h1_server {
	struct loop *loop;
	struct conn *conn;
	const struct conf_listen *listen;
	const struct exchange_service *service;
	const struct h1_server_owner *owner;
	void *arg;
	struct exchange *x;
	struct ws_tunnel *ws; /* in a tunnel */

	struct notice pump;
	struct timer timer;
	struct h1_head_scan scan;
	struct h1_body body; /* of the request */
	struct fields trailers;
	uint64_t head_started_us;
	uint64_t progress_ms; /* last byte of a body from the client, or either way in a tunnel */
	uint64_t remaining;   /* of a response with Content-Length */
	uint32_t n_requests;
	enum h1_server_state state;
	enum body_kind framing; /* of the response */
	bool is_head_written;
	bool is_response_written; /* all of it is in the conn's output */
	bool must_close;
	bool is_draining;
	bool is_aborted;
	bool is_evicted;
	struct grave grave;
};

/* A rest of a request body up to this size is read and dropped to keep the connection. */
#define MAX_SKIPPED_BODY (64 * 1024)
#define LINGER_MS 2000

static void on_input(void *arg);
static void pump(void *arg);
static void read_head(struct h1_server *self);

static struct h1_limits limits_of(const struct conf_listen *listen)
{
	return (struct h1_limits){
		.max_head_size = (uint32_t)listen->max_header_size,
		.max_fields = (uint32_t)listen->max_header_fields,
		.max_target_size = (uint32_t)listen->max_uri_size,
	};
}

/* Leaving. */

static void server_free(void *arg)
{
	struct h1_server *self = arg;

	free(self->ws);
	free(self);
}

static void exchange_free(void *arg)
{
	exchange_close(arg);
	free(arg);
}

static void end_exchange(struct h1_server *self, enum reason reason)
{
	struct exchange *x = self->x;

	if (x == NULL)
		return;
	if (x->state == EXCHANGE_TUNNEL && reason == REASON_NONE && self->is_aborted)
		reason = REASON_TUNNEL_CUT;
	self->x = NULL;
	exchange_finish(x, reason);
	loop_bury(self->loop, &x->grave, exchange_free, x);
}

static void server_leave(struct h1_server *self)
{
	self->state = SERVER_CLOSED;
	notice_cancel(self->loop, &self->pump);
	timer_close(self->loop, &self->timer);
	self->owner->on_closed(self->arg);
	loop_bury(self->loop, &self->grave, server_free, self);
}

/* The connection has nothing more to say, or must not say it. */
static void server_cut(struct h1_server *self, enum reason reason)
{
	if (self->state == SERVER_CLOSED)
		return;
	end_exchange(self, reason);
	conn_close(self->conn);
	server_leave(self);
}

/* What is queued still goes out, and the end after it. */
static void server_close_gracefully(struct h1_server *self)
{
	end_exchange(self, REASON_NONE);
	/* An evicted connection has to free its descriptor for another one, at the risk of a reset.
	 */
	if (self->is_evicted)
		conn_close(self->conn);
	else
		conn_close_gracefully(self->conn, LINGER_MS);
	server_leave(self);
}

/* Deadlines. Moving one is only a store; on_timer looks at the state anew. */

static void set_deadline(struct h1_server *self, int64_t ms)
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

static void on_exchange_timer(struct h1_server *self, uint64_t now)
{
	uint64_t stall = stall_deadline(self), body = TIMER_NEVER, tunnel = TIMER_NEVER;

	if (is_waiting_for_body(self))
		body = self->progress_ms + (uint64_t)self->listen->body_timeout_ms;
	if (self->state == SERVER_TUNNEL && self->x->tunnel_timeout_ms > 0)
		tunnel = self->progress_ms + self->x->tunnel_timeout_ms;
	if (stall <= now)
		server_cut(self, REASON_CLIENT_STALL);
	else if (tunnel <= now)
		server_cut(self, REASON_TUNNEL_TIMEOUT);
	else if (body <= now && self->x->state == EXCHANGE_REQUESTED)
		exchange_abort(self->x, REASON_BODY_TIMEOUT);
	else if (body <= now)
		server_cut(self, REASON_BODY_TIMEOUT);
	else
		timer_set_at(self->loop, &self->timer, MIN(stall, MIN(body, tunnel)));
}

static void refuse(struct h1_server *self, enum reason reason);

static void on_timer(void *arg)
{
	struct h1_server *self = arg;

	switch (self->state) {
	case SERVER_IDLE:
	case SERVER_DRAIN:
		server_close_gracefully(self);
		break;
	case SERVER_HEAD:
		refuse(self, REASON_HEADER_TIMEOUT);
		break;
	case SERVER_EXCHANGE:
	case SERVER_TUNNEL:
		on_exchange_timer(self, loop_now_ms(self->loop));
		break;
	case SERVER_CLOSED:
		break;
	}
}

/* The response. */

static bool is_chunked(const struct h1_server *self)
{
	return self->framing == BODY_CHUNKED;
}

/* How this body is framed for this client. */
static enum body_kind choose_framing(const struct exchange *x)
{
	switch (x->res->body) {
	case BODY_NONE:
	case BODY_LENGTH:
		return x->res->body;
	case BODY_CHUNKED:
	case BODY_CLOSE:
		break;
	}
	return x->req->version_minor > 0 ? BODY_CHUNKED : BODY_CLOSE;
}

/* A rest of the request body that is not worth reading, or that the client holds back until it is
 * told to go on. */
static bool is_rest_too_large(const struct h1_server *self)
{
	if (h1_body_is_done(&self->body))
		return false;
	if (self->x->req->expects_100 && !self->x->was_continued)
		return true;
	return self->body.kind != BODY_LENGTH || self->body.remaining > MAX_SKIPPED_BODY;
}

static void write_head(struct h1_server *self)
{
	struct exchange *x = self->x;
	enum h1_connection connection = H1_CONNECTION_KEEP;

	self->framing = choose_framing(x);
	if (x->res->is_upgrade) {
		connection = H1_CONNECTION_UPGRADE;
	} else {
		uint32_t max = (uint32_t)self->listen->keepalive_requests;

		self->must_close |= x->must_close || x->req->wants_close || self->is_draining ||
			self->framing == BODY_CLOSE || is_rest_too_large(self) ||
			(max > 0 && self->n_requests >= max);
		if (self->must_close)
			connection = H1_CONNECTION_CLOSE;
		else if (x->req->version_minor == 0)
			connection = H1_CONNECTION_KEEP_10;
	}
	self->remaining = x->res->content_length;
	h1_write_response_head(conn_output(self->conn), x->res, self->framing,
		x->res->has_content_length, x->res->content_length, connection);
	self->is_head_written = true;
	if (self->framing == BODY_NONE && !x->res->is_upgrade) {
		pipe_close_reader(&x->res_body);
		self->is_response_written = true;
	}
}

static void start_tunnel(struct h1_server *self)
{
	exchange_become_tunnel(self->x);
	self->state = SERVER_TUNNEL;
	self->ws = memory_alloc(sizeof(*self->ws));
	ws_tunnel_init(self->ws);
	if (self->is_draining)
		ws_tunnel_leave(self->ws);
	self->progress_ms = loop_now_ms(self->loop);
	set_deadline(self, (int64_t)self->x->tunnel_timeout_ms);
	conn_rest(self->conn);
}

static void write_body_bytes(struct h1_server *self, size_t n)
{
	struct bytes *out = conn_output(self->conn), data;

	/* A handler that gives more than it announced must not write into the next message. */
	if (self->framing == BODY_LENGTH)
		n = (size_t)MIN((uint64_t)n, self->remaining);
	if (n == 0)
		return;
	if (!is_chunked(self)) {
		(void)pipe_take(&self->x->res_body, out, n);
	} else {
		bytes_init(&data);
		(void)pipe_take(&self->x->res_body, &data, n);
		h1_write_chunk(out, &data, n);
	}
	if (self->framing == BODY_LENGTH)
		self->remaining -= n;
	self->x->n_response_body += n;
}

static void write_body(struct h1_server *self)
{
	struct exchange *x = self->x;
	size_t room;

	if (self->is_response_written)
		return;
	while (pipe_size(&x->res_body) > 0 && (room = conn_output_room(self->conn)) > 0) {
		size_t before = pipe_size(&x->res_body);

		write_body_bytes(self, MIN(room, before));
		if (pipe_size(&x->res_body) == before)
			break;
	}
	if (self->framing == BODY_LENGTH && self->remaining == 0) {
		self->is_response_written = true;
	} else if (pipe_is_ended(&x->res_body)) {
		if (self->framing == BODY_LENGTH)
			self->is_aborted = true;
		if (is_chunked(self))
			h1_write_last_chunk(conn_output(self->conn), x->res_trailers);
		self->is_response_written = true;
	}
}

static void send_to_client(struct h1_server *self)
{
	struct pipe *from = &self->x->res_body;
	struct bytes *out = conn_output(self->conn);
	size_t before = bytes_size(out);
	size_t n = ws_tunnel_to_client(self->ws, from, out, conn_output_room(self->conn));

	if (n > 0) {
		self->x->n_response_body += n;
		self->progress_ms = loop_now_ms(self->loop);
	}
	if (bytes_size(out) > before)
		conn_flush(self->conn);
	if (pipe_is_ended(from) && !conn_has_output_ended(self->conn))
		conn_end_output(self->conn);
}

static void pump_tunnel(struct h1_server *self)
{
	struct exchange *x = self->x;

	send_to_client(self);
	if (x->res_body.is_aborted && pipe_size(&x->res_body) == 0)
		server_cut(self, REASON_TUNNEL_CUT);
	else if (pipe_is_ended(&x->res_body) && pipe_is_ended(&x->req_body))
		server_close_gracefully(self);
	else if (ws_tunnel_has_left(self->ws) && pipe_size(&x->req_body) == 0)
		server_close_gracefully(self);
}

static void wait_for_request(struct h1_server *self)
{
	self->state = SERVER_IDLE;
	set_deadline(self, self->listen->idle_timeout_ms);
	conn_set_reading(self->conn, true);
	self->owner->on_waiting(self->arg);
	if (bytes_size(conn_input(self->conn)) > 0)
		read_head(self);
}

/* The response has left whole. */
static void exchange_is_done(struct h1_server *self)
{
	bool is_body_done = h1_body_is_done(&self->body);

	if (!is_body_done)
		pipe_close_reader(&self->x->req_body);
	end_exchange(self, REASON_NONE);
	if (self->must_close) {
		server_close_gracefully(self);
		return;
	}
	if (!is_body_done) {
		self->state = SERVER_DRAIN;
		set_deadline(self, self->listen->body_timeout_ms);
		conn_set_reading(self->conn, true);
		on_input(self);
		return;
	}
	wait_for_request(self);
}

static void cut_response(struct h1_server *self)
{
	enum reason reason = self->x->reason != REASON_NONE ? self->x->reason : REASON_BACKEND_CUT;

	/* What is whole still leaves; the missing rest shows by the missing end. A body that ends
	 * with the connection needs a reset to show it. */
	if (self->framing == BODY_CLOSE || !self->is_head_written ||
		conn_stalled_since_ms(self->conn) != 0) {
		conn_abort(self->conn);
		server_cut(self, reason);
		return;
	}
	exchange_set_reason(self->x, reason);
	server_close_gracefully(self);
}

static void pump_upgrade(struct h1_server *self)
{
	start_tunnel(self);
	conn_flush(self->conn);
	pump_tunnel(self);
	if (self->state == SERVER_TUNNEL)
		on_input(self);
}

static void pump_response(struct h1_server *self)
{
	struct exchange *x = self->x;

	if (!self->is_head_written)
		write_head(self);
	if (x->res->is_upgrade) {
		pump_upgrade(self);
		return;
	}
	write_body(self);
	conn_flush(self->conn);
	if (x->res_body.is_aborted && pipe_size(&x->res_body) == 0)
		self->is_aborted = true;
	/* Once more after the write, to see whether all has left. */
	if (self->is_aborted || self->is_response_written)
		notice_post(self->loop, &self->pump);
	if (!timer_is_set(&self->timer))
		set_deadline(self, self->listen->write_timeout_ms);
}

/* A notice: from the handler's respond, from the response pipe, and from itself to see whether all
 * has left. */
static void pump(void *arg)
{
	struct h1_server *self = arg;
	struct exchange *x = self->x;

	if (x == NULL)
		return;
	if (self->state == SERVER_TUNNEL) {
		pump_tunnel(self);
		return;
	}
	if (self->is_aborted) {
		cut_response(self);
		return;
	}
	if (x->state != EXCHANGE_RESPONDING)
		return;
	if (self->is_response_written) {
		/* Not written yet: once more after the write. If the socket is full, on_output
		 * comes when it has taken all. */
		if (bytes_size(conn_output(self->conn)) == 0 && conn_is_open(self->conn))
			exchange_is_done(self);
		else if (conn_stalled_since_ms(self->conn) == 0)
			notice_post(self->loop, &self->pump);
		return;
	}
	pump_response(self);
}

static void codec_respond(struct exchange *x)
{
	struct h1_server *self = x->codec_data;

	pipe_set_reader(&x->res_body, pump, self);
	notice_post(self->loop, &self->pump);
}

static void codec_respond_interim(struct exchange *x, const struct response_head *head)
{
	struct h1_server *self = x->codec_data;

	h1_write_response_head(
		conn_output(self->conn), head, BODY_NONE, false, 0, H1_CONNECTION_KEEP);
	conn_flush(self->conn);
}

static void codec_abort(struct exchange *x)
{
	struct h1_server *self = x->codec_data;

	self->is_aborted = true;
	notice_post(self->loop, &self->pump);
}

static size_t codec_unacknowledged(struct exchange *x)
{
	struct h1_server *self = x->codec_data;

	return bytes_size(conn_output(self->conn)) + conn_unacknowledged(self->conn);
}

static const struct exchange_codec codec = {
	.respond = codec_respond,
	.respond_interim = codec_respond_interim,
	.abort = codec_abort,
	.unacknowledged = codec_unacknowledged,
};

/* The request. */

static struct exchange *begin_exchange(struct h1_server *self)
{
	struct exchange *x = memory_alloc(sizeof(*x));

	exchange_init(x, self->loop, &codec, self, self->conn, self->listen, self->service);
	x->req = arena_alloc_zeroed(&x->arena, sizeof(*x->req));
	x->times.started = self->head_started_us;
	x->times.requested = loop_now_us(self->loop);
	self->x = x;
	self->state = SERVER_EXCHANGE;
	self->n_requests++;
	self->scan = (struct h1_head_scan){0};
	self->trailers = (struct fields){0};
	self->is_head_written = self->is_response_written = self->is_aborted = false;
	timer_cancel(&self->timer);
	self->owner->on_busy(self->arg);
	return x;
}

/* Answers what could not be read as a request, and gives the connection up: where the next message
 * begins is not known. */
static void refuse(struct h1_server *self, enum reason reason)
{
	if (self->x == NULL)
		(void)begin_exchange(self);
	h1_body_start(&self->body, BODY_NONE, 0);
	self->must_close = true;
	conn_set_reading(self->conn, false);
	exchange_abort(self->x, reason);
}

static void body_too_large(struct h1_server *self)
{
	self->must_close = true;
	conn_set_reading(self->conn, false);
	pipe_abort(&self->x->req_body);
	exchange_abort(self->x, REASON_BODY_TOO_LARGE);
}

static void body_is_broken(struct h1_server *self)
{
	self->must_close = true;
	conn_set_reading(self->conn, false);
	pipe_abort(&self->x->req_body);
	exchange_abort(self->x, REASON_BAD_BODY);
}

static void end_request_body(struct h1_server *self)
{
	struct exchange *x = self->x;

	if (self->trailers.n > 0) {
		x->req_trailers = arena_alloc(&x->arena, sizeof(self->trailers));
		*x->req_trailers = self->trailers;
	}
	pipe_put_end(&x->req_body);
}

/* How much of a pipeline may wait in memory behind the exchange under way. */
static bool has_room_for_pipeline(struct h1_server *self)
{
	return bytes_size(conn_input(self->conn)) < self->listen->max_header_size;
}

static void read_body(struct h1_server *self)
{
	struct exchange *x = self->x;
	struct bytes data;
	struct h1_limits limits = limits_of(self->listen);
	size_t n, room;

	bytes_init(&data);
	while (!h1_body_is_done(&self->body) && (room = pipe_room(&x->req_body)) > 0) {
		n = h1_body_decode(&self->body, conn_input(self->conn), &data, room, &limits,
			&x->arena, &self->trailers);
		if (h1_body_is_broken(&self->body)) {
			bytes_clear(&data);
			body_is_broken(self);
			return;
		}
		x->n_request_body += n;
		if (x->max_body_size > 0 && x->n_request_body > x->max_body_size) {
			bytes_clear(&data);
			body_too_large(self);
			return;
		}
		if (n == 0)
			break;
		self->progress_ms = loop_now_ms(self->loop);
		pipe_put(&x->req_body, &data, n);
	}
	if (h1_body_is_done(&self->body)) {
		end_request_body(self);
		conn_set_reading(self->conn, has_room_for_pipeline(self));
	} else {
		bool wants = pipe_room(&x->req_body) > 0;

		conn_set_reading(self->conn, wants);
		if (wants && x->state == EXCHANGE_REQUESTED)
			set_deadline(self, self->listen->body_timeout_ms);
	}
}

static void on_request_room(void *arg)
{
	struct h1_server *self = arg;

	if (self->x == NULL || self->x->req_body.is_reader_gone)
		return;
	conn_set_reading(self->conn, true);
	on_input(self);
}

static void take_request(struct h1_server *self, struct slice head)
{
	struct exchange *x = begin_exchange(self);
	struct h1_limits limits = limits_of(self->listen);
	enum reason reason =
		h1_parse_request(arena_copy(&x->arena, head), &limits, &x->arena, x->req);

	bytes_drain(conn_input(self->conn), head.n);
	if (reason != REASON_NONE) {
		refuse(self, reason);
		return;
	}
	h1_body_start(&self->body, x->req->body, x->req->content_length);
	self->progress_ms = loop_now_ms(self->loop);
	pipe_set_writer(&x->req_body, on_request_room, self);
	/* A request that may become a tunnel keeps its pipe open: the client's frames will go
	 * there. */
	if (h1_body_is_done(&self->body) && !x->req->wants_websocket)
		pipe_put_end(&x->req_body);
	self->service->on_request(self->service->arg, x);
	if (!h1_body_is_done(&self->body))
		read_body(self);
}

static void begin_head(struct h1_server *self)
{
	bool more = false;

	bytes_drain(conn_input(self->conn),
		h1_skip_empty_line(bytes_front(conn_input(self->conn)), &more));
	if (more || bytes_size(conn_input(self->conn)) == 0)
		return;
	self->state = SERVER_HEAD;
	self->head_started_us = loop_now_us(self->loop);
}

/* What may be a head, in one piece; what is behind it stays where it is. */
static struct slice head_bytes(struct bytes *input, const struct h1_limits *limits)
{
	return bytes_linearize(input, MIN(bytes_size(input), (size_t)limits->max_head_size + 1));
}

static void read_head(struct h1_server *self)
{
	struct bytes *input = conn_input(self->conn);
	struct h1_limits limits = limits_of(self->listen);
	bool is_first = self->state == SERVER_IDLE;

	if (is_first)
		begin_head(self);
	if (self->state != SERVER_HEAD)
		return;
	switch (h1_head_scan_continue(&self->scan, head_bytes(input, &limits), &limits, true)) {
	case H1_SCAN_HEAD:
		take_request(self, slice_first(bytes_front(input), self->scan.size));
		return;
	case H1_SCAN_REFUSED:
		refuse(self, self->scan.reason);
		return;
	case H1_SCAN_MORE:
		break;
	}
	/* Slow heads are many and small: they must not pin a chunk each. */
	bytes_compact(input);
	if (is_first)
		set_deadline(self, self->listen->header_timeout_ms);
}

static void skip_body(struct h1_server *self)
{
	struct bytes *input = conn_input(self->conn);
	size_t n = (size_t)MIN((uint64_t)bytes_size(input), self->body.remaining);

	bytes_drain(input, n);
	self->body.remaining -= n;
	if (self->body.remaining == 0)
		wait_for_request(self);
}

/* The client ended its side. Between requests that is a farewell; in a tunnel half of one; else
 * nobody waits for the response. */
static void on_end_of_input(struct h1_server *self)
{
	switch (self->state) {
	case SERVER_IDLE:
	case SERVER_DRAIN:
		server_cut(self, REASON_NONE);
		break;
	case SERVER_HEAD:
		(void)begin_exchange(self);
		server_cut(self, REASON_CLIENT_GONE);
		break;
	case SERVER_EXCHANGE:
		pipe_abort(&self->x->req_body);
		server_cut(self, REASON_CLIENT_GONE);
		break;
	case SERVER_TUNNEL:
	case SERVER_CLOSED:
		break;
	}
}

static void read_tunnel(struct h1_server *self)
{
	struct exchange *x = self->x;
	size_t n;

	if (x->req_body.has_end)
		return;
	n = ws_tunnel_to_backend(self->ws, conn_input(self->conn), &x->req_body);
	if (n > 0) {
		x->n_request_body += n;
		self->progress_ms = loop_now_ms(self->loop);
	}
	if (conn_has_input_ended(self->conn)) {
		conn_set_reading(self->conn, false);
		pipe_put_end(&x->req_body);
	} else {
		conn_set_reading(self->conn, pipe_room(&x->req_body) > 0);
	}
	if (x->req_body.has_end || self->ws->is_leaving)
		notice_post(self->loop, &self->pump);
}

static void on_input(void *arg)
{
	struct h1_server *self = arg;

	switch (self->state) {
	case SERVER_IDLE:
	case SERVER_HEAD:
		if (bytes_size(conn_input(self->conn)) > 0)
			read_head(self);
		break;
	case SERVER_EXCHANGE:
		if (self->x->req_body.is_aborted)
			break;
		if (!h1_body_is_done(&self->body))
			read_body(self);
		else
			conn_set_reading(self->conn, has_room_for_pipeline(self));
		break;
	case SERVER_DRAIN:
		skip_body(self);
		break;
	case SERVER_TUNNEL:
		read_tunnel(self);
		return;
	case SERVER_CLOSED:
		return;
	}
	if (self->state != SERVER_CLOSED && conn_has_input_ended(self->conn) &&
		!(self->x != NULL && self->must_close))
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
		server_cut(self, REASON_TUNNEL_CUT);
		return;
	}
	if (self->state == SERVER_HEAD)
		(void)begin_exchange(self);
	server_cut(self, self->x != NULL ? REASON_CLIENT_GONE : REASON_NONE);
}

static void on_open(void *arg)
{
	(void)arg;
}

struct h1_server *h1_server_new(struct loop *loop, struct conn *conn,
	const struct conf_listen *listen, const struct exchange_service *service,
	const struct h1_server_owner *owner, void *arg)
{
	static const struct conn_owner conn_owner = {.on_open = on_open,
		.on_input = on_input,
		.on_output = on_output,
		.on_lost = on_lost};
	struct h1_server *self = memory_alloc_zeroed(sizeof(*self));

	self->loop = loop;
	self->conn = conn;
	self->listen = listen;
	self->service = service;
	self->owner = owner;
	self->arg = arg;
	notice_init(&self->pump, pump, self);
	timer_init(&self->timer, on_timer, self);
	conn_set_owner(conn, &conn_owner, self);
	conn_set_reading(conn, true);
	/* The first head has the head's own deadline from the start: a client that sends nothing is
	 * slow with its head too. */
	set_deadline(self, listen->header_timeout_ms);
	return self;
}

void h1_server_drain(struct h1_server *self)
{
	self->is_draining = true;
	if (self->state == SERVER_IDLE) {
		server_close_gracefully(self);
	} else if (self->state == SERVER_TUNNEL) {
		ws_tunnel_leave(self->ws);
		read_tunnel(self);
		notice_post(self->loop, &self->pump);
	}
}

void h1_server_close(struct h1_server *self, enum reason reason)
{
	server_cut(self, reason);
}

void h1_server_evict(struct h1_server *self)
{
	self->is_evicted = true;
	if (self->state == SERVER_IDLE || self->state == SERVER_DRAIN)
		server_close_gracefully(self);
	else if (self->state == SERVER_HEAD)
		refuse(self, REASON_OVERLOAD);
}
