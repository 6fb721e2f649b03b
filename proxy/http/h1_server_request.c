/* What the client sends: heads, one after the other, and their bodies. */
#include "proxy/http/h1_server_private.h"

#include "proxy/base/memory.h"

static struct h1_limits limits_of(const struct conf_listen *listen)
{
	return (struct h1_limits){
		.max_head_size = (uint32_t)listen->max_header_size,
		.max_fields = (uint32_t)listen->max_header_fields,
		.max_target_size = (uint32_t)listen->max_uri_size,
	};
}

struct exchange *h1_server_begin_exchange(struct h1_server *self)
{
	struct exchange *x = memory_alloc(sizeof(*x));

	exchange_init(
		x, self->loop, &h1_server_codec, self, self->conn, self->listen, self->service);
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

void h1_server_refuse(struct h1_server *self, enum reason reason)
{
	if (self->x == NULL) {
		struct slice start = bytes_front(conn_input(self->conn));

		/* The answer must have no body even if nothing else of the head is known. */
		if (slice_starts_with(start, SLICE("HEAD ")))
			h1_server_begin_exchange(self)->req->method = METHOD_HEAD;
		else
			(void)h1_server_begin_exchange(self);
	}
	h1_body_start(&self->body, BODY_NONE, 0);
	self->must_close = true;
	conn_set_reading(self->conn, false);
	exchange_abort(self->x, reason);
}

void h1_server_refuse_body(struct h1_server *self, enum reason reason)
{
	self->must_close = true;
	conn_set_reading(self->conn, false);
	/* A handler that reads the body breaks off by this; an answer that was given already stays.
	 */
	pipe_abort(&self->x->req_body);
	if (self->x->state == EXCHANGE_REQUESTED)
		exchange_refuse(self->x, reason);
	else
		exchange_set_reason(self->x, reason);
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

bool h1_server_has_room_for_pipeline(struct h1_server *self)
{
	return bytes_size(conn_input(self->conn)) < self->listen->max_header_size;
}

void h1_server_read_body(struct h1_server *self)
{
	struct exchange *x = self->x;
	struct bytes data;
	struct h1_limits limits = limits_of(self->listen);
	size_t n, room;

	bytes_init(&data);
	while (!h1_body_is_done(&self->body) && (room = pipe_room(&x->req_body)) > 0) {
		n = h1_body_decode(&self->body, conn_input(self->conn), &data,
			bytes_round_up(conn_input(self->conn), room), &limits, &x->arena,
			&self->trailers);
		if (h1_body_is_broken(&self->body)) {
			bytes_clear(&data);
			h1_server_refuse_body(self, REASON_BAD_BODY);
			return;
		}
		x->n_request_body += n;
		if (x->max_body_size > 0 && x->n_request_body > x->max_body_size) {
			bytes_clear(&data);
			h1_server_refuse_body(self, REASON_BODY_TOO_LARGE);
			return;
		}
		if (n == 0)
			break;
		self->progress_ms = loop_now_ms(self->loop);
		pipe_put(&x->req_body, &data, n);
	}
	if (h1_body_is_done(&self->body)) {
		end_request_body(self);
		conn_set_reading(self->conn, h1_server_has_room_for_pipeline(self));
	} else {
		bool wants = pipe_room(&x->req_body) > 0;

		conn_set_reading(self->conn, wants);
		if (wants && x->state == EXCHANGE_REQUESTED && !timer_is_set(&self->timer))
			h1_server_set_deadline(self, self->listen->body_timeout_ms);
	}
}

void h1_server_start_window(struct h1_server *self)
{
	self->window_ms = loop_now_ms(self->loop);
	self->window_start = self->x->n_request_body;
}

static void on_request_room(void *arg)
{
	struct h1_server *self = arg;

	if (self->x == NULL || self->x->req_body.is_reader_gone || self->x->req_body.is_aborted)
		return;
	conn_set_reading(self->conn, true);
	h1_server_start_window(self);
	h1_server_on_input(self);
}

/* RFC 9113 section 3.4: what a client that knows begins with, as far as it looks like a head. */
static bool is_http2_preface(const struct h1_server *self, struct slice head)
{
	return self->n_requests == 0 && self->owner->on_http2 != NULL &&
		slice_equals(head, SLICE("PRI * HTTP/2.0\r\n\r\n"));
}

static void take_request(struct h1_server *self, struct slice head)
{
	struct exchange *x = h1_server_begin_exchange(self);
	struct h1_limits limits = limits_of(self->listen);
	enum reason reason =
		h1_parse_request(arena_copy(&x->arena, head), &limits, &x->arena, x->req);

	bytes_drain(conn_input(self->conn), head.n);
	if (reason != REASON_NONE) {
		h1_server_refuse(self, reason);
		return;
	}
	h1_body_start(&self->body, x->req->body, x->req->content_length);
	self->progress_ms = loop_now_ms(self->loop);
	h1_server_start_window(self);
	pipe_set_writer(&x->req_body, on_request_room, self);
	/* A request that may become a tunnel keeps its pipe open: the client's frames will go
	 * there. */
	if (h1_body_is_done(&self->body) && !x->req->wants_websocket)
		pipe_put_end(&x->req_body);
	self->service->on_request(self->service->arg, x);
	if (!h1_body_is_done(&self->body))
		h1_server_read_body(self);
}

static void begin_head(struct h1_server *self)
{
	struct bytes *input = conn_input(self->conn);
	struct slice start = bytes_linearize(input, MIN(bytes_size(input), (size_t)2));
	bool more = false;

	bytes_drain(input, h1_skip_empty_line(start, &more));
	if (more || bytes_size(input) == 0)
		return;
	self->state = SERVER_HEAD;
	self->head_started_us = loop_now_us(self->loop);
}

void h1_server_read_head(struct h1_server *self)
{
	struct bytes *input = conn_input(self->conn);
	struct h1_limits limits = limits_of(self->listen);
	bool is_first = self->state == SERVER_IDLE;

	if (is_first)
		begin_head(self);
	if (self->state != SERVER_HEAD)
		return;
	switch (h1_head_scan_queue(&self->scan, input, &limits, true)) {
	case H1_SCAN_HEAD:
		if (is_http2_preface(self, slice_first(bytes_front(input), self->scan.size)))
			h1_server_hand_over(self);
		else
			take_request(self, slice_first(bytes_front(input), self->scan.size));
		return;
	case H1_SCAN_REFUSED:
		h1_server_refuse(self, self->scan.reason);
		return;
	case H1_SCAN_MORE:
		break;
	}
	/* Slow heads are many and small: they must not pin a chunk each. */
	bytes_compact(input);
	if (is_first)
		h1_server_set_deadline(self, self->listen->header_timeout_ms);
}

void h1_server_skip_body(struct h1_server *self)
{
	struct bytes *input = conn_input(self->conn);
	size_t n = (size_t)MIN((uint64_t)bytes_size(input), self->body.remaining);

	bytes_drain(input, n);
	self->body.remaining -= n;
	if (self->body.remaining == 0)
		h1_server_wait(self);
}
