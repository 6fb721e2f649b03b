/* What the client gets: heads, bodies in the framing it understands, and both directions of a
 * tunnel. */
#include "proxy/http/h1_server_private.h"

#include "proxy/base/memory.h"
#include "proxy/http/h1_write.h"
#include "proxy/http/ws_upgrade.h"

/* A rest of a request body up to this size is read and dropped to keep the connection. */
#define MAX_SKIPPED_BODY (64 * 1024)

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
		ws_upgrade_answer(x->res, x->req, &x->arena);
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
	x->has_head_left = true;
	if (self->framing == BODY_NONE && !x->res->is_upgrade) {
		pipe_close_reader(&x->res_body);
		self->is_response_written = true;
	}
}

static void start_tunnel(struct h1_server *self)
{
	struct exchange *x = self->x;
	uint64_t now = loop_now_ms(self->loop);

	exchange_become_tunnel(x);
	self->state = SERVER_TUNNEL;
	self->ws = ws_tunnel_new();
	if (x->tunnel_rules != NULL)
		ws_tunnel_watch(self->ws, x->tunnel_rules, now);
	if (self->is_draining && !x->says_farewell)
		ws_tunnel_leave(self->ws);
	self->progress_ms = now;
	timer_set_at(self->loop, &self->timer,
		MIN(ws_tunnel_deadline(self->ws),
			x->tunnel_timeout_ms > 0 ? now + x->tunnel_timeout_ms : TIMER_NEVER));
	conn_rest(self->conn);
}

static void look_at(struct h1_server *self, uint64_t at_ms)
{
	if (at_ms < self->timer.deadline_ms)
		timer_set_at(self->loop, &self->timer, at_ms);
}

/* The rules end it: the reason is kept, and both sides get their closes. */
static void note_fault(struct h1_server *self)
{
	enum reason reason = ws_tunnel_fault(self->ws);

	if (LIKELY(reason == REASON_NONE) || self->x->reason != REASON_NONE)
		return;
	exchange_set_reason(self->x, reason);
	h1_server_set_deadline(self, WS_TUNNEL_FAULT_WAIT_MS);
	h1_server_read_tunnel(self);
	notice_post(self->loop, &self->pump);
}

bool h1_server_tick_tunnel(struct h1_server *self, uint64_t now_ms)
{
	struct exchange *x = self->x;
	struct ws_guard_links links;

	if (ws_tunnel_deadline(self->ws) > now_ms)
		return true;
	links = exchange_links(x);
	if (!ws_tunnel_tick(self->ws, &links, now_ms)) {
		h1_server_cut(self, ws_tunnel_fault(self->ws));
		return false;
	}
	note_fault(self);
	h1_server_read_tunnel(self);
	notice_post(self->loop, &self->pump);
	return true;
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

		write_body_bytes(self, bytes_round_up(&x->res_body.bytes, room));
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
	size_t before = bytes_size(out), n;
	uint64_t now = loop_now_ms(self->loop);

	if (conn_has_output_ended(self->conn))
		return;
	n = ws_tunnel_to_client(self->ws, from, out, conn_output_room(self->conn), now);
	if (n > 0) {
		self->x->n_response_body += n;
		self->progress_ms = now;
	}
	if (bytes_size(out) > before) {
		conn_flush(self->conn);
		/* Whether the client takes it; see h1_server.c, on_tunnel_timer. */
		if (!self->x->says_farewell)
			look_at(self, now + (uint64_t)self->listen->write_timeout_ms);
	}
	/* A ping has gone out, or its answer has come. */
	look_at(self, ws_tunnel_deadline(self->ws));
	/* What is left is asked for again when there is room. */
	if (pipe_size(from) > 0)
		(void)conn_output_room(self->conn);
	if (pipe_is_ended(from) && !conn_has_output_ended(self->conn))
		conn_end_output(self->conn);
}

/* Behind our close there is nothing for the backend. It gets what stands before that, and then
 * the end: the handler has to take both before it is told that the exchange is over. */
static void end_to_backend(struct h1_server *self)
{
	struct pipe *to = &self->x->req_body;

	if (!to->has_end) {
		conn_set_reading(self->conn, false);
		pipe_put_end(to);
		notice_post(self->loop, &self->pump);
	}
	pipe_watch_takes(to);
}

static void pump_tunnel(struct h1_server *self)
{
	struct exchange *x = self->x;
	const struct ws_tunnel *ws = self->ws;
	bool is_cut = x->res_body.is_aborted || self->is_aborted;
	bool has_fault;

	send_to_client(self);
	note_fault(self);
	has_fault = ws_tunnel_fault(ws) != REASON_NONE;
	if (pipe_is_ended(&x->res_body) ? ws->to_backend.is_told : ws_tunnel_has_left(ws))
		end_to_backend(self);
	/* After a fault there is nothing to wait for but the backend's end, or the client's close;
	 * and once the client has its close, a cut must not overtake it. */
	if (is_cut && (has_fault || ws->to_client.is_told))
		h1_server_finish(self);
	else if (is_cut && pipe_size(&x->res_body) == 0)
		h1_server_cut(self, REASON_TUNNEL_CUT);
	else if (has_fault && pipe_is_ended(&x->res_body) && !ws->to_backend.is_told)
		h1_server_finish(self);
	else if (pipe_is_ended(&x->res_body) && pipe_is_ended(&x->req_body))
		h1_server_finish(self);
	else if (ws_tunnel_has_left(ws) && pipe_is_ended(&x->req_body))
		h1_server_finish(self);
}

void h1_server_wait(struct h1_server *self)
{
	/* The drain began when this response's head had been written. What stands in the pipeline
	 * already is answered. */
	if (self->is_draining && bytes_size(conn_input(self->conn)) == 0) {
		h1_server_finish(self);
		return;
	}
	self->state = SERVER_IDLE;
	h1_server_set_deadline(self, self->listen->idle_timeout_ms);
	conn_set_reading(self->conn, true);
	self->owner->on_waiting(self->arg);
	if (bytes_size(conn_input(self->conn)) > 0)
		h1_server_read_head(self);
}

/* The response has left whole. */
static void exchange_is_done(struct h1_server *self)
{
	bool is_body_done = h1_body_is_done(&self->body);

	if (!is_body_done)
		pipe_close_reader(&self->x->req_body);
	h1_server_end_exchange(self, REASON_NONE);
	if (self->must_close) {
		h1_server_finish(self);
		return;
	}
	if (!is_body_done) {
		self->state = SERVER_DRAIN;
		h1_server_set_deadline(self, self->listen->body_timeout_ms);
		conn_set_reading(self->conn, true);
		h1_server_on_input(self);
		return;
	}
	h1_server_wait(self);
}

static void cut_response(struct h1_server *self)
{
	struct exchange *x = self->x;
	enum reason reason = x->reason != REASON_NONE ? x->reason : REASON_BACKEND_CUT;

	/* The head and the break may have come in one turn. */
	if (!self->is_head_written && x->state == EXCHANGE_RESPONDING && !x->res->is_upgrade) {
		write_head(self);
		write_body(self);
		conn_flush(self->conn);
	}
	/* What is whole still leaves; the missing rest shows by the missing end. A body that ends
	 * with the connection needs a reset to show it. */
	if (self->framing == BODY_CLOSE || !self->is_head_written ||
		conn_stalled_since_ms(self->conn) != 0) {
		conn_abort(self->conn);
		h1_server_cut(self, reason);
		return;
	}
	exchange_set_reason(x, reason);
	h1_server_finish(self);
}

static void pump_upgrade(struct h1_server *self)
{
	start_tunnel(self);
	conn_flush(self->conn);
	pump_tunnel(self);
	if (self->state == SERVER_TUNNEL)
		h1_server_on_input(self);
}

static void pump_response(struct h1_server *self)
{
	struct exchange *x = self->x;

	if (!self->is_head_written)
		write_head(self);
	if (x->is_upgrade) {
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
		h1_server_set_deadline(self, self->listen->write_timeout_ms);
}

void h1_server_pump(void *arg)
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

	pipe_set_reader(&x->res_body, h1_server_pump, self);
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

const struct exchange_codec h1_server_codec = {
	.respond = codec_respond,
	.respond_interim = codec_respond_interim,
	.abort = codec_abort,
	.unacknowledged = codec_unacknowledged,
};

void h1_server_read_tunnel(struct h1_server *self)
{
	struct exchange *x = self->x;
	size_t n;

	if (x->req_body.has_end) {
		notice_post(self->loop, &self->pump);
		return;
	}
	n = ws_tunnel_to_backend(
		self->ws, conn_input(self->conn), &x->req_body, loop_now_ms(self->loop));
	if (n > 0) {
		x->n_request_body += n;
		self->progress_ms = loop_now_ms(self->loop);
		look_at(self, ws_tunnel_deadline(self->ws));
	}
	note_fault(self);
	if (conn_has_input_ended(self->conn)) {
		conn_set_reading(self->conn, false);
		ws_tunnel_end_client(self->ws);
		pipe_put_end(&x->req_body);
	} else {
		conn_set_reading(self->conn, pipe_room(&x->req_body) > 0);
	}
	if (x->req_body.has_end || self->ws->is_leaving)
		notice_post(self->loop, &self->pump);
}
