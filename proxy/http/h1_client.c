/*
 * One backend connection. Events come from the conn, from the request body's pipe (more to send),
 * from the response body's pipe (room again, or its reader gone) and from one timer; each does what
 * is possible now and leaves.
 *
 * The request is written and the response read at the same time: a response may come before the
 * request has been sent whole. Then the connection is given up after the response, for the backend
 * would take the rest of the body for a request.
 */
#include "proxy/http/h1_client.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/h1_tunnel.h"
#include "proxy/http/h1_write.h"
#include "proxy/http/ws_handshake.h"
#include "proxy/http/ws_upgrade.h"

enum h1_client_state {
	CLIENT_IDLE,
	CLIENT_HEAD, /* a fetch is under way, no final head yet */
	CLIENT_BODY, /* final head given */
	CLIENT_TUNNEL,
	CLIENT_CLOSED,
};

struct h1_client {
	struct fetcher base;
	struct loop *loop;
	struct conn *conn;
	struct fetch *fetch;
	struct timer timer;
	struct h1_head_scan scan;
	struct h1_body body;
	uint64_t idle_ms;
	uint64_t progress_ms; /* last byte either way, for the deadline of the phase */
	uint32_t n_interim;   /* bytes of interim heads of this fetch */
	enum h1_client_state state;
	bool is_request_done;	/* written whole to the conn's output */
	bool wants_close;	/* the response said so */
	uint64_t n_sent_before; /* TUNNEL: bytes sent before it */
	bool is_tunnel_done;	/* both directions have ended cleanly */
	struct fields trailers;
	struct grave grave;
};

#define TUNNEL_LINGER_MS 2000

/* A backend's head may be larger than what clients may send. */
static const struct h1_limits limits = {
	.max_head_size = 64 * 1024, .max_fields = 200, .max_target_size = 0};

static void on_request_body(void *arg);
static void on_response_room(void *arg);

static void set_deadline(struct h1_client *self, uint64_t ms)
{
	if (ms == 0)
		timer_cancel(&self->timer);
	else
		timer_set_in(self->loop, &self->timer, ms);
}

static void client_free(void *arg)
{
	struct h1_client *self = arg;

	fetcher_count(-1);
	free(self);
}

/* Closes the connection and leaves the pool. The fetch must have been detached. */
static void client_close(struct h1_client *self, bool tell_pool)
{
	if (self->state == CLIENT_CLOSED)
		return;
	ASSERT(self->fetch == NULL);
	/* A tunnel that both sides ended has its last bytes and its end still to deliver. */
	if (self->state == CLIENT_TUNNEL && self->is_tunnel_done)
		conn_close_gracefully(self->conn, TUNNEL_LINGER_MS);
	else
		conn_close(self->conn);
	self->state = CLIENT_CLOSED;
	timer_close(self->loop, &self->timer);
	loop_bury(self->loop, &self->grave, client_free, self);
	if (tell_pool)
		self->base.pool->on_closed(self->base.pool_arg, &self->base);
}

static uint64_t client_n_tunnel_sent(const struct fetcher *base, const struct fetch *fetch)
{
	const struct h1_client *self = CONTAINER_OF(base, struct h1_client, base);

	(void)fetch;
	return self->state == CLIENT_TUNNEL ? conn_bytes_sent(self->conn) - self->n_sent_before : 0;
}

static struct fetch *detach_fetch(struct h1_client *self)
{
	struct fetch *fetch = self->fetch;

	fetch->n_tunnel_sent = client_n_tunnel_sent(&self->base, fetch);
	self->fetch = NULL;
	self->base.n_active = 0;
	if (fetch->req_body != NULL)
		pipe_set_reader(fetch->req_body, NULL, NULL);
	pipe_set_writer(fetch->res_body, NULL, NULL);
	return fetch;
}

static void client_fail(struct h1_client *self, enum reason reason, const char *why)
{
	struct fetch *fetch = detach_fetch(self);

	client_close(self, true);
	fetch_fail(fetch, reason, why);
}

static void on_cancel(struct fetch *fetch)
{
	struct h1_client *self = fetch->carrier;

	fetch->was_sent = true;
	/* A tunnel that the client has not ended but cut is not ended towards the backend. */
	if (self->state == CLIENT_TUNNEL && fetch->req_body->is_aborted)
		conn_abort(self->conn);
	/* What the client has said to its end is still delivered, if it is not yet. */
	if (self->state == CLIENT_TUNNEL && pipe_is_ended(fetch->req_body) &&
		bytes_size(conn_output(self->conn)) > 0)
		self->is_tunnel_done = true;
	(void)detach_fetch(self);
	client_close(self, true);
}

/* Both messages are complete, or the response is and the request is given up. */
static void finish_fetch(struct h1_client *self)
{
	bool is_reusable = self->is_request_done && self->state == CLIENT_BODY &&
		!self->wants_close && self->idle_ms > 0 &&
		bytes_size(conn_input(self->conn)) == 0 && !conn_has_input_ended(self->conn);
	struct fetch *fetch = detach_fetch(self);

	if (!self->is_request_done && fetch->req_body != NULL)
		pipe_close_reader(fetch->req_body);
	if (is_reusable) {
		self->state = CLIENT_IDLE;
		self->base.idle_since_ms = loop_now_ms(self->loop);
		set_deadline(self, self->idle_ms);
		self->base.n_room = 1;
		self->base.pool->on_room(self->base.pool_arg, &self->base);
	} else {
		client_close(self, true);
	}
	fetch_finish(fetch);
}

/* The request. */

static bool has_chunked_request(const struct h1_client *self)
{
	return self->fetch->body == BODY_CHUNKED;
}

static void send_request_end(struct h1_client *self)
{
	const struct fields *const *trailers = self->fetch->req_trailers;

	if (has_chunked_request(self))
		h1_write_last_chunk(conn_output(self->conn), trailers != NULL ? *trailers : NULL);
	self->is_request_done = true;
	self->progress_ms = loop_now_ms(self->loop);
	pipe_set_reader(self->fetch->req_body, NULL, NULL);
}

static void send_request_body(struct h1_client *self)
{
	struct pipe *from = self->fetch->req_body;
	struct bytes data;
	size_t n = bytes_round_up(&from->bytes, conn_output_room(self->conn));

	if (n > 0) {
		bytes_init(&data);
		n = pipe_take(from, &data, n);
		self->fetch->n_body_taken += n;
		if (has_chunked_request(self))
			h1_write_chunk(conn_output(self->conn), &data, n);
		else
			bytes_move_all(conn_output(self->conn), &data);
		self->progress_ms = loop_now_ms(self->loop);
	}
	/* What is left is asked for again when there is room. */
	if (pipe_size(from) > 0)
		(void)conn_output_room(self->conn);
	if (pipe_is_ended(from))
		send_request_end(self);
	conn_flush(self->conn);
}

static void finish_tunnel_if_done(struct h1_client *self)
{
	if (!self->fetch->res_body->has_end || !pipe_is_ended(self->fetch->req_body))
		return;
	self->is_tunnel_done = true;
	finish_fetch(self);
}

/* The client broke off in the middle of its body: so must we, or the backend would take what came
 * for the whole. */
static void on_request_body(void *arg)
{
	struct h1_client *self = arg;

	if (self->fetch == NULL)
		return;
	if (self->fetch->req_body->is_aborted) {
		client_fail(self, REASON_CLIENT_GONE, "the client broke off");
		return;
	}
	if (self->state == CLIENT_TUNNEL) {
		/* Whether the backend takes it is looked at later. */
		if (h1_tunnel_send(self->conn, self->fetch->req_body) > 0 &&
			!timer_is_set(&self->timer) && self->fetch->timeouts.write_ms > 0)
			timer_set_in(self->loop, &self->timer, self->fetch->timeouts.write_ms);
		finish_tunnel_if_done(self);
		return;
	}
	if (!self->is_request_done)
		send_request_body(self);
}

/* Says when the phase is over time at the earliest, 0: not by this cause. */
static uint64_t stall_deadline(const struct h1_client *self)
{
	uint64_t since = conn_stalled_since_ms(self->conn);

	return since != 0 && self->fetch->timeouts.write_ms != 0
		? since + self->fetch->timeouts.write_ms
		: 0;
}

/* When to look at the phase before the head again. The response's time runs from the last byte of
 * the request, for a slow client is not the backend's fault. A stall has no event of its own: while
 * bytes may be on their way it is looked for. */
static uint64_t next_look(const struct h1_client *self)
{
	const struct fetch_timeouts *timeouts = &self->fetch->timeouts;
	uint64_t now = loop_now_ms(self->loop), stall = stall_deadline(self);
	uint64_t due = (self->is_request_done ? self->progress_ms : now) + timeouts->response_ms;

	if (timeouts->response_ms == 0)
		due = TIMER_NEVER;
	if (stall != 0)
		return MIN(due, stall);
	return self->is_request_done || timeouts->write_ms == 0
		? due
		: MIN(due, now + timeouts->write_ms);
}

static void client_start(struct fetcher *base, struct fetch *fetch)
{
	struct h1_client *self = CONTAINER_OF(base, struct h1_client, base);
	enum h1_connection connection =
		fetch->is_websocket ? H1_CONNECTION_UPGRADE : H1_CONNECTION_KEEP;

	ASSERT(self->state == CLIENT_IDLE && self->fetch == NULL);
	if (self->idle_ms == 0 && !fetch->is_websocket)
		connection = H1_CONNECTION_CLOSE;
	self->fetch = fetch;
	self->state = CLIENT_HEAD;
	self->base.n_fetches++;
	self->base.n_active = 1;
	self->base.n_room = 0;
	self->scan = (struct h1_head_scan){0};
	self->trailers = (struct fields){0};
	self->wants_close = false;
	self->n_interim = 0;
	fetch->fetcher = base;
	fetch->carrier = self;
	fetch->cancel = on_cancel;
	fetch->connected_us = loop_now_us(self->loop);
	if (fetch->is_websocket)
		fetch->req = ws_upgrade_request(fetch->req, fetch->arena);
	h1_write_request_head(conn_output(self->conn), fetch->req, fetch->body,
		fetch->req->content_length, connection);
	self->is_request_done = fetch->body == BODY_NONE;
	self->progress_ms = loop_now_ms(self->loop);
	if (!self->is_request_done)
		pipe_set_reader(fetch->req_body, on_request_body, self);
	pipe_set_writer(fetch->res_body, on_response_room, self);
	conn_flush(self->conn);
	conn_set_reading(self->conn, true);
	timer_set_at(self->loop, &self->timer, next_look(self));
}

/* The response. */

static bool is_valid_websocket_answer(const struct fetch *fetch, const struct response_head *head)
{
	struct slice key = fields_value(&fetch->req->fields, FIELD_SEC_WEBSOCKET_KEY);

	return slice_equals_ignoring_case(
		       fields_value(&head->fields, FIELD_UPGRADE), SLICE("websocket")) &&
		fields_has_token(&head->fields, FIELD_CONNECTION, SLICE("upgrade")) &&
		fields_count(&head->fields, FIELD_SEC_WEBSOCKET_ACCEPT) == 1 &&
		ws_accept_is_right(fields_value(&head->fields, FIELD_SEC_WEBSOCKET_ACCEPT), key);
}

static void start_tunnel(struct h1_client *self)
{
	struct fetch *fetch = self->fetch;

	self->state = CLIENT_TUNNEL;
	self->n_sent_before = conn_bytes_sent(self->conn) + bytes_size(conn_output(self->conn));
	self->is_request_done = true;
	timer_cancel(&self->timer);
	pipe_set_reader(fetch->req_body, on_request_body, self);
	conn_rest(self->conn);
}

/* The head is complete. False: the connection is closed or the fetch cancelled, touch nothing. */
static bool take_head(struct h1_client *self, struct response_head *head)
{
	struct fetch *fetch = self->fetch;

	if (head->status < 200 && head->status != 101) {
		/* Each is kept until the end, and asks for more patience: together they may be no
		 * larger than one head. */
		self->n_interim += self->scan.size;
		if (self->n_interim > limits.max_head_size) {
			client_fail(self, REASON_BACKEND_PROTOCOL, "too many interim responses");
			return false;
		}
		self->scan = (struct h1_head_scan){0};
		set_deadline(self, fetch->timeouts.response_ms);
		fetch->owner->on_interim(fetch->arg, head);
		return self->fetch == fetch;
	}
	head->is_upgrade = head->status == 101;
	if (head->is_upgrade && !fetch->is_websocket) {
		client_fail(self, REASON_BACKEND_PROTOCOL,
			"101 to a request that asked for no upgrade");
		return false;
	}
	if (head->is_upgrade && !is_valid_websocket_answer(fetch, head)) {
		client_fail(
			self, REASON_BACKEND_PROTOCOL, "101 without a right WebSocket handshake");
		return false;
	}
	self->wants_close = head->wants_close;
	self->state = CLIENT_BODY;
	fetch->has_head = true;
	if (head->is_upgrade) {
		start_tunnel(self);
	} else {
		h1_body_start(&self->body, head->body, head->content_length);
		set_deadline(self, h1_body_is_done(&self->body) ? 0 : fetch->timeouts.read_ms);
	}
	fetch->owner->on_head(fetch->arg, head);
	return self->fetch == fetch;
}

/* False: the connection is closed, or more bytes are needed. */
static bool read_head(struct h1_client *self)
{
	struct bytes *input = conn_input(self->conn);
	struct fetch *fetch = self->fetch;
	struct response_head *head;
	struct slice copy;
	const char *why = "";

	switch (h1_head_scan_queue(&self->scan, input, &limits, false)) {
	case H1_SCAN_MORE:
		return false;
	case H1_SCAN_REFUSED:
		client_fail(
			self, REASON_BACKEND_PROTOCOL, "response head is malformed or too large");
		return false;
	case H1_SCAN_HEAD:
		break;
	}
	head = arena_alloc_zeroed(fetch->arena, sizeof(*head));
	copy = arena_copy(fetch->arena, slice_first(bytes_front(input), self->scan.size));
	bytes_drain(input, self->scan.size);
	if (h1_parse_response(copy, &limits, fetch->req->method, fetch->arena, head, &why) !=
		REASON_NONE) {
		client_fail(self, REASON_BACKEND_PROTOCOL, why);
		return false;
	}
	return take_head(self, head);
}

static void response_is_done(struct h1_client *self)
{
	struct fetch *fetch = self->fetch;

	if (self->trailers.n > 0 && fetch->res_trailers != NULL) {
		*fetch->res_trailers = arena_alloc(fetch->arena, sizeof(self->trailers));
		**fetch->res_trailers = self->trailers;
	}
	pipe_put_end(fetch->res_body);
	finish_fetch(self);
}

static void read_body(struct h1_client *self)
{
	struct bytes *input = conn_input(self->conn), data;
	struct pipe *to = self->fetch->res_body;
	size_t room;

	bytes_init(&data);
	while (!h1_body_is_done(&self->body) && (room = pipe_room(to)) > 0) {
		size_t n = h1_body_decode(&self->body, input, &data, bytes_round_up(input, room),
			&limits, self->fetch->arena, &self->trailers);

		if (n > 0)
			pipe_put(to, &data, n);
		if (h1_body_is_broken(&self->body)) {
			client_fail(self, REASON_BACKEND_CUT, "response body is malformed");
			return;
		}
		if (n == 0)
			break;
	}
	if (conn_has_input_ended(self->conn) && bytes_size(input) == 0)
		h1_body_end_of_input(&self->body);
	if (h1_body_is_done(&self->body)) {
		response_is_done(self);
	} else if (h1_body_is_broken(&self->body)) {
		client_fail(self, REASON_BACKEND_CUT,
			"connection closed in the middle of the response body");
	} else {
		bool has_room = pipe_room(to) > 0;

		/* While the client is slow to take, the backend is not to blame for silence. */
		conn_set_reading(self->conn, has_room);
		set_deadline(self, has_room ? self->fetch->timeouts.read_ms : 0);
	}
}

static void read_tunnel(struct h1_client *self)
{
	if (self->fetch->res_body->has_end)
		return;
	(void)h1_tunnel_receive(self->conn, self->fetch->res_body);
	finish_tunnel_if_done(self);
}

static void on_input(void *arg)
{
	struct h1_client *self = arg;

	if (self->state == CLIENT_IDLE) {
		/* Nothing was asked: the backend closes, or sends what nobody can use. */
		client_close(self, true);
		return;
	}
	while (self->state == CLIENT_HEAD && bytes_size(conn_input(self->conn)) > 0)
		if (!read_head(self))
			break;
	switch (self->state) {
	case CLIENT_HEAD:
		if (conn_has_input_ended(self->conn))
			client_fail(
				self, REASON_BACKEND_GONE, "connection closed before a response");
		break;
	case CLIENT_BODY:
		read_body(self);
		break;
	case CLIENT_TUNNEL:
		read_tunnel(self);
		break;
	case CLIENT_IDLE:
	case CLIENT_CLOSED:
		break;
	}
}

static void on_response_room(void *arg)
{
	struct h1_client *self = arg;

	if (self->fetch == NULL)
		return;
	if (self->fetch->res_body->is_reader_gone) {
		client_fail(self, REASON_CLIENT_GONE, "nobody reads the response");
		return;
	}
	conn_set_reading(self->conn, true);
	if (self->state == CLIENT_BODY)
		read_body(self);
	else if (self->state == CLIENT_TUNNEL)
		read_tunnel(self);
}

static void on_output(void *arg)
{
	struct h1_client *self = arg;

	if (self->fetch == NULL)
		return;
	self->progress_ms = loop_now_ms(self->loop);
	if (self->fetch->req_body != NULL)
		on_request_body(self);
}

static void on_lost(void *arg, enum conn_loss loss)
{
	struct h1_client *self = arg;

	(void)loss;
	if (self->fetch == NULL) {
		client_close(self, true);
		return;
	}
	/* What came before the reset may be a whole response. */
	if (self->state == CLIENT_HEAD && bytes_size(conn_input(self->conn)) > 0)
		on_input(self);
	if (self->fetch == NULL) {
		client_close(self, true);
		return;
	}
	if (self->state == CLIENT_TUNNEL)
		client_fail(self, REASON_TUNNEL_CUT, conn_loss_text(self->conn));
	else if (self->state == CLIENT_BODY)
		client_fail(self, REASON_BACKEND_CUT, conn_loss_text(self->conn));
	else if (self->state == CLIENT_HEAD)
		client_fail(self, REASON_BACKEND_GONE, conn_loss_text(self->conn));
}

static void on_timer(void *arg)
{
	struct h1_client *self = arg;
	uint64_t now = loop_now_ms(self->loop), stall, due;

	if (self->fetch == NULL) {
		client_close(self, true);
		return;
	}
	stall = stall_deadline(self);
	if (stall != 0 && stall <= now) {
		client_fail(self, REASON_BACKEND_STALL, "the backend takes no bytes");
		return;
	}
	if (self->state == CLIENT_HEAD) {
		due = next_look(self);
		if (due <= now)
			client_fail(self, REASON_RESPONSE_TIMEOUT, "no response in time");
		else
			timer_set_at(self->loop, &self->timer, due);
	} else if (self->state == CLIENT_BODY) {
		client_fail(self, REASON_READ_TIMEOUT, "response body stalled");
	} else if (stall != 0) {
		timer_set_at(self->loop, &self->timer, stall);
	}
}

static void close_from_outside(struct fetcher *base)
{
	struct h1_client *self = CONTAINER_OF(base, struct h1_client, base);

	if (self->fetch != NULL) {
		struct fetch *fetch = detach_fetch(self);

		fetch->cancel = NULL;
		fetch->is_over = true;
		fetch->fetcher = NULL;
	}
	client_close(self, false);
}

static void on_open(void *arg)
{
	(void)arg;
}

struct fetcher *h1_client_new(struct loop *loop, struct conn *conn,
	const struct h1_client_options *options, const struct fetcher_pool *pool, void *pool_arg)
{
	static const struct fetcher_ops ops = {.start = client_start,
		.close = close_from_outside,
		.n_tunnel_sent = client_n_tunnel_sent};
	static const struct conn_owner owner = {.on_open = on_open,
		.on_input = on_input,
		.on_output = on_output,
		.on_lost = on_lost};
	struct h1_client *self = memory_alloc_zeroed(sizeof(*self));

	self->base = (struct fetcher){.ops = &ops,
		.pool = pool,
		.pool_arg = pool_arg,
		.idle_since_ms = loop_now_ms(loop),
		.n_room = 1};
	self->loop = loop;
	self->conn = conn;
	self->idle_ms = options->idle_ms;
	timer_init(&self->timer, on_timer, self);
	conn_set_owner(conn, &owner, self);
	conn_set_reading(conn, true);
	fetcher_count(1);
	return &self->base;
}
