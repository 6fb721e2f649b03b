/*
 * One client connection and its streams. Events come from the conn, from the pipes of exchanges and
 * from one timer. What they cause is noted in `due` and done by `process`, outside of nghttp2;
 * frames are written by `pump`, a notice, so that what handlers give in one turn leaves in one
 * write.
 */
#include "proxy/http/h2_server.h"

#include <stdlib.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/http/h2_server_private.h"
#include "proxy/http/h2_memory.h"
#include "proxy/net/address.h"

#define LINGER_MS 2000
#define MAX_SENT_HEAD (1 << 20)

static void start_leaving(struct h2_server_stream *stream);

struct h1_limits h2_server_limits(const struct h2_server *self)
{
	return (struct h1_limits){
		.max_head_size = (uint32_t)self->listen->max_header_size,
		.max_fields = (uint32_t)self->listen->max_header_fields,
		.max_target_size = (uint32_t)self->listen->max_uri_size,
	};
}

void h2_server_log(const struct h2_server *self, const char *what)
{
	char peer[ADDRESS_TEXT_SIZE];

	log_info("client %s: http/2: %s", address_to_text(conn_peer(self->session.conn), peer),
		what);
}

/* Streams. */

struct h2_server_stream *h2_server_stream_new(struct h2_server *self, int32_t id)
{
	struct h2_server_stream *stream = memory_alloc(sizeof(*stream));
	struct exchange *x = &stream->x;

	*stream = (struct h2_server_stream){.server = self, .is_counted = true};
	h2_stream_init(&stream->base, &self->session, id);
	exchange_init(x, self->session.loop, &h2_server_codec, stream, self->session.conn,
		self->listen, self->service);
	x->req = arena_alloc_zeroed(&x->arena, sizeof(*x->req));
	x->req->is_http2 = true;
	x->times.started = loop_now_us(self->session.loop);
	h2_stream_set_in(&stream->base, &x->req_body);
	TAILQ_INSERT_TAIL(&self->streams, stream, link);
	self->n_streams++;
	self->n_unfreed++;
	return stream;
}

void h2_server_set_due(struct h2_server_stream *stream, unsigned due)
{
	if (stream->due == 0)
		TAILQ_INSERT_TAIL(&stream->server->due, stream, due_link);
	stream->due |= (uint8_t)due;
	h2_session_post(&stream->server->session);
}

static void uncount(struct h2_server_stream *stream)
{
	if (stream->is_counted)
		stream->server->n_streams--;
	stream->is_counted = false;
}

static void free_stream(void *arg)
{
	struct h2_server_stream *stream = arg;

	struct h2_server *self = stream->server;

	uncount(stream);
	exchange_close(&stream->x);
	ws_tunnel_free(stream->base.ws);
	free(stream);
	/* They die in one turn, in any order. */
	if (--self->n_unfreed == 0 && self->is_buried)
		free(self);
}

static void bury_stream(struct h2_server_stream *stream)
{
	struct h2_server *self = stream->server;

	TAILQ_REMOVE(
		stream->state == STREAM_LEAVING ? &self->leaving : &self->streams, stream, link);
	if (stream->due != 0)
		TAILQ_REMOVE(&self->due, stream, due_link);
	stream->due = 0;
	h2_stream_close(&stream->base);
	loop_bury(self->session.loop, &stream->grave, free_stream, stream);
}

/* The exchange ends; nghttp2 may still know the stream. */
static void end_exchange(struct h2_server_stream *stream, enum reason reason)
{
	struct h2_server *self = stream->server;
	bool was_busy = stream->state == STREAM_OPEN || stream->state == STREAM_LEAVING;

	if (stream->x.state == EXCHANGE_OVER)
		return;
	if (stream->state != STREAM_LEAVING)
		stream->state = STREAM_OVER;
	h2_stream_leave_in(&stream->base);
	stream->base.out = NULL;
	stream->x.n_response_body = stream->base.n_out;
	exchange_finish(&stream->x, reason);
	if (!was_busy || --self->n_busy > 0 || self->is_closed)
		return;
	self->waiting_ms = loop_now_ms(self->session.loop);
	h2_server_look_in(self, self->listen->idle_timeout_ms);
	self->owner->on_waiting(self->arg);
}

void h2_server_stream_cut(struct h2_server_stream *stream, enum reason reason, uint32_t error_code)
{
	end_exchange(stream, reason);
	if (!stream->is_forgotten)
		(void)nghttp2_submit_rst_stream(
			stream->server->session.ng, NGHTTP2_FLAG_NONE, stream->base.id, error_code);
	h2_session_post(&stream->server->session);
}

void h2_server_refuse_body(struct h2_server_stream *stream, enum reason reason)
{
	/* A handler that reads the body breaks off by this; an answer that was given already stays.
	 */
	stream->refusal = reason;
	pipe_abort(&stream->x.req_body);
	if (stream->x.state == EXCHANGE_REQUESTED)
		exchange_refuse(&stream->x, reason);
	else
		exchange_set_reason(&stream->x, reason);
}

/* What is due. */

/* Malformed (RFC 9113 section 8.1.1), as opposed to what is answered. */
static bool is_malformed(enum reason reason)
{
	return reason == REASON_BAD_REQUEST || reason == REASON_BAD_HOST;
}

/* A client may not wait for the answer: what came with the head, before it was known to be that of
 * a WebSocket, goes through its tunnel as well. */
static void sift_early_bytes(struct h2_server_stream *stream)
{
	struct pipe *in = stream->base.in;
	bool has_end = in != NULL && in->has_end;
	struct bytes early;

	if (in == NULL || in->is_aborted)
		return;
	bytes_init(&early);
	bytes_move_all(&early, &in->bytes);
	in->has_end = false;
	(void)ws_tunnel_to_backend(
		stream->base.ws, &early, in, loop_now_ms(stream->server->session.loop));
	if (has_end)
		h2_server_end_input(stream);
}

static void take_request(struct h2_server_stream *stream)
{
	struct h2_server *self = stream->server;
	struct exchange *x = &stream->x;
	struct h1_limits limits = h2_server_limits(self);
	bool is_ended = stream->base.is_in_ended && stream->base.n_in == 0;
	enum reason reason = h2_head_to_request(stream->head, &limits, is_ended, x->req);
	uint32_t max = (uint32_t)self->listen->keepalive_requests;

	stream->head = NULL;
	if (is_malformed(reason)) {
		h2_server_stream_cut(stream, reason, NGHTTP2_PROTOCOL_ERROR);
		return;
	}
	x->times.requested = loop_now_us(self->session.loop);
	stream->state = STREAM_OPEN;
	self->n_requests++;
	if (self->n_busy++ == 0)
		self->owner->on_busy(self->arg);
	h2_server_start_window(stream);
	if (!stream->base.is_in_ended)
		h2_server_look_in(self, self->listen->body_timeout_ms);
	if (x->req->is_websocket)
		stream->base.ws = ws_tunnel_new();
	if (max > 0 && self->n_requests >= max)
		h2_server_start_goaway(self);
	else if (self->is_draining && self->n_requests == 1)
		h2_server_look_at(self, loop_now_ms(self->session.loop));
	if (reason != REASON_NONE)
		exchange_abort(x, reason);
	else
		self->service->on_request(self->service->arg, x);
	if (x->tunnel_rules != NULL && stream->base.ws != NULL) {
		ws_tunnel_watch(stream->base.ws, x->tunnel_rules, loop_now_ms(self->session.loop));
		stream->base.on_sifted = h2_server_on_sifted;
	}
	if (stream->base.ws != NULL)
		sift_early_bytes(stream);
	if (x->max_body_size > 0 && x->n_request_body > x->max_body_size &&
		stream->refusal == REASON_NONE && x->state != EXCHANGE_OVER)
		h2_server_refuse_body(stream, REASON_BODY_TOO_LARGE);
}

/* Why a stream ended that was not done: what we noted, or the client's reset. */
static enum reason reason_of_close(const struct h2_server_stream *stream)
{
	if (stream->x.reason != REASON_NONE)
		return stream->x.reason;
	if (stream->reason != REASON_NONE)
		return stream->reason;
	if (stream->server->is_closed)
		return REASON_HTTP2_PROTOCOL;
	return stream->x.state == EXCHANGE_TUNNEL ? REASON_TUNNEL_CUT : REASON_CLIENT_GONE;
}

/* What the other worker has told its client is what the log shows. */
static void take_reset(struct h2_server_stream *stream)
{
	struct exchange *x = &stream->x;
	bool is_refused;
	enum reason reason = h2_reset_reason(stream->error_code, &is_refused);

	if (reason == REASON_NONE || x->state == EXCHANGE_OVER)
		return;
	if (is_refused && x->state == EXCHANGE_REQUESTED) {
		x->status = (uint16_t)reason_status(reason);
		stream->base.n_out = exchange_reason_size(x, reason);
	}
	exchange_set_reason(x, reason);
}

static void close_stream(struct h2_server_stream *stream)
{
	bool is_whole = stream->base.is_out_ended && stream->error_code == NGHTTP2_NO_ERROR;

	if (stream->state == STREAM_OPEN && is_whole) {
		start_leaving(stream);
		return;
	}
	if (stream->server->listen->is_between_workers)
		take_reset(stream);
	if (stream->x.state != EXCHANGE_OVER && !stream->base.is_in_ended)
		pipe_abort(&stream->x.req_body);
	end_exchange(stream, reason_of_close(stream));
	bury_stream(stream);
}

/* Given up before anybody heard of it; the log shows what it was. */
static void read_for_log(struct h2_server_stream *stream)
{
	struct h1_limits limits = h2_server_limits(stream->server);

	if (h2_head_to_request(stream->head, &limits, true, stream->x.req) != REASON_NONE)
		stream->reason = REASON_BAD_REQUEST;
	stream->head = NULL;
}

static void process_stream(struct h2_server_stream *stream, unsigned due)
{
	if (due & DUE_REQUEST) {
		if (due & DUE_CLOSED)
			read_for_log(stream);
		else
			take_request(stream);
	}
	if ((due & DUE_REFUSAL) && stream->state == STREAM_OPEN)
		h2_server_refuse_body(stream, stream->refusal);
	if ((due & DUE_TUNNEL) && stream->state == STREAM_OPEN)
		h2_server_become_tunnel(stream);
	if ((due & DUE_FAULT) && stream->state == STREAM_OPEN && stream->base.is_tunnel) {
		exchange_set_reason(&stream->x, ws_tunnel_fault(stream->base.ws));
		h2_server_flush_tunnel(stream);
		h2_server_look_in(stream->server, WS_TUNNEL_FAULT_WAIT_MS);
	}
	if ((due & DUE_LINGER) && stream->state == STREAM_OPEN)
		end_exchange(stream, REASON_NONE);
	if (due & DUE_CLOSED)
		close_stream(stream);
}

static void process(struct h2_server *self)
{
	struct h2_server_stream *stream;

	while ((stream = TAILQ_FIRST(&self->due)) != NULL) {
		unsigned due = stream->due;

		TAILQ_REMOVE(&self->due, stream, due_link);
		stream->due = 0;
		process_stream(stream, due);
	}
	if (self->is_final_due && self->goaway == GOAWAY_NOTICE) {
		self->goaway = GOAWAY_FINAL;
		(void)nghttp2_submit_goaway(self->session.ng, NGHTTP2_FLAG_NONE,
			nghttp2_session_get_last_proc_stream_id(self->session.ng), NGHTTP2_NO_ERROR,
			NULL, 0);
	}
	self->is_final_due = false;
}

/* Written whole; the exchange is over when the bytes are with the socket. */

static void start_leaving(struct h2_server_stream *stream)
{
	struct h2_server *self = stream->server;
	struct conn *conn = self->session.conn;

	uncount(stream);
	TAILQ_REMOVE(&self->streams, stream, link);
	stream->state = STREAM_LEAVING;
	stream->mark = conn_bytes_sent(conn) + bytes_size(conn_output(conn));
	TAILQ_INSERT_TAIL(&self->leaving, stream, link);
}

static void let_leave(struct h2_server *self)
{
	struct h2_server_stream *stream;

	while ((stream = TAILQ_FIRST(&self->leaving)) != NULL &&
		stream->mark <= conn_bytes_sent(self->session.conn)) {
		end_exchange(stream, REASON_NONE);
		bury_stream(stream);
	}
	if (stream != NULL && conn_stalled_since_ms(self->session.conn) == 0)
		h2_session_post(&self->session);
}

/* The end of the connection. */

static void free_server(void *arg)
{
	struct h2_server *self = arg;

	self->is_buried = true;
	if (self->n_unfreed == 0)
		free(self);
}

static enum reason reason_of_end(const struct h2_server_stream *stream, enum reason reason)
{
	if (stream->reason != REASON_NONE)
		return stream->reason;
	return reason == REASON_CLIENT_GONE && stream->x.state == EXCHANGE_TUNNEL
		? REASON_TUNNEL_CUT
		: reason;
}

static void leave(struct h2_server *self, enum reason reason)
{
	struct h2_server_stream *stream;

	self->is_closed = true;
	while ((stream = TAILQ_FIRST(&self->leaving)) != NULL ||
		(stream = TAILQ_FIRST(&self->streams)) != NULL) {
		stream->is_forgotten = true;
		if (stream->x.state != EXCHANGE_OVER && !stream->base.is_in_ended)
			pipe_abort(&stream->x.req_body);
		end_exchange(stream, reason_of_end(stream, reason));
		bury_stream(stream);
	}
	nghttp2_session_del(self->session.ng);
	self->session.ng = NULL;
	notice_cancel(self->session.loop, &self->session.pump);
	timer_close(self->session.loop, &self->timer);
	self->owner->on_closed(self->arg);
	loop_bury(self->session.loop, &self->grave, free_server, self);
}

void h2_server_cut(struct h2_server *self, enum reason reason)
{
	if (self->is_closed)
		return;
	leave(self, reason);
	conn_close(self->session.conn);
}

static void finish(struct h2_server *self, enum reason reason)
{
	struct conn *conn = self->session.conn;

	leave(self, reason);
	conn_close_gracefully(conn, LINGER_MS);
}

void h2_server_fail(
	struct h2_server *self, uint32_t error_code, enum reason reason, const char *what)
{
	if (self->is_closed)
		return;
	if (error_code != NGHTTP2_NO_ERROR)
		h2_server_log(self, what);
	h2_session_write_goaway(&self->session,
		nghttp2_session_get_last_proc_stream_id(self->session.ng), error_code, what);
	finish(self, reason);
}

/* After a fatal error of nghttp2, or from within one of its callbacks. */
static void fail_after(struct h2_server *self, int error)
{
	switch (error) {
	case NGHTTP2_ERR_CALLBACK_FAILURE:
		h2_server_fail(self, self->failure, self->failure_reason, self->failure_text);
		break;
	case NGHTTP2_ERR_FLOODED:
		h2_server_fail(self, NGHTTP2_ENHANCE_YOUR_CALM, REASON_HTTP2_ABUSE,
			"too many frames that want an answer");
		break;
	case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
		h2_server_fail(self, NGHTTP2_PROTOCOL_ERROR, REASON_HTTP2_PROTOCOL,
			"the connection preface is not valid");
		break;
	default:
		h2_server_fail(self, NGHTTP2_INTERNAL_ERROR, REASON_HTTP2_PROTOCOL,
			nghttp2_strerror(error));
		break;
	}
}

/* Work. */

void h2_server_pump(void *arg)
{
	struct h2_server *self = CONTAINER_OF((struct h2_session *)arg, struct h2_server, session);
	int error;

	do {
		process(self);
		error = h2_session_send(&self->session);
		if (error != 0) {
			fail_after(self, error);
			return;
		}
	} while (!TAILQ_EMPTY(&self->due));
	let_leave(self);
	if (bytes_size(conn_output(self->session.conn)) > 0)
		h2_server_look_in(self, self->listen->write_timeout_ms);
	/* nghttp2 has said the last word: a GOAWAY for an error, or after the last stream. */
	if (nghttp2_session_want_read(self->session.ng) == 0 &&
		nghttp2_session_want_write(self->session.ng) == 0 && TAILQ_EMPTY(&self->leaving))
		finish(self, REASON_HTTP2_PROTOCOL);
}

static void on_input(void *arg)
{
	struct h2_server *self = arg;
	int error = h2_session_receive(&self->session);

	if (error != 0) {
		fail_after(self, error);
		return;
	}
	process(self);
	if (conn_has_input_ended(self->session.conn)) {
		h2_server_cut(self, REASON_CLIENT_GONE);
		return;
	}
	h2_session_post(&self->session);
}

static void on_output(void *arg)
{
	struct h2_server *self = arg;

	h2_server_pump(&self->session);
}

static void on_lost(void *arg, enum conn_loss loss)
{
	(void)loss;
	h2_server_cut(arg, REASON_CLIENT_GONE);
}

static void on_open(void *arg)
{
	(void)arg;
}

/* Leaving. */

void h2_server_start_goaway(struct h2_server *self)
{
	if (self->goaway >= GOAWAY_NOTICE)
		return;
	self->goaway = GOAWAY_NOTICE;
	self->goaway_ms = loop_now_ms(self->session.loop);
	(void)nghttp2_submit_shutdown_notice(self->session.ng);
	(void)nghttp2_submit_ping(self->session.ng, NGHTTP2_FLAG_NONE, NULL);
	h2_server_look_in(self, 1000);
	h2_session_post(&self->session);
}

static void server_drain(struct server_codec *base, struct spread *closes)
{
	struct h2_server *self = CONTAINER_OF(base, struct h2_server, base);
	struct h2_server_stream *stream;
	bool has_tunnels = false;
	uint64_t now = loop_now_ms(self->session.loop), latest = now;

	if (self->is_draining || self->is_closed)
		return;
	self->is_draining = true;
	TAILQ_FOREACH (stream, &self->streams, link) {
		if (!stream->base.is_tunnel)
			continue;
		has_tunnels = true;
		/* Its handler has a time of the same window for it. */
		if (stream->x.says_farewell) {
			latest = closes != NULL ? closes->start_ms + closes->window_ms : now;
			continue;
		}
		stream->base.ws->leave_ms = closes != NULL ? spread_next_ms(closes) : now;
		latest = MAX(latest, stream->base.ws->leave_ms);
	}
	/* Some browsers cut WebSockets when they see a GOAWAY: they get the closes first. Who has
	 * only just come gets an answer first. */
	if ((has_tunnels || self->n_requests == 0) && self->goaway == GOAWAY_NONE) {
		self->goaway = GOAWAY_LATER;
		self->goaway_ms = latest;
		h2_server_on_timer(self);
		return;
	}
	h2_server_start_goaway(self);
}

static void server_close(struct server_codec *base, enum reason reason)
{
	h2_server_cut(CONTAINER_OF(base, struct h2_server, base), reason);
}

static void server_evict(struct server_codec *base)
{
	/* The descriptor is wanted by another one now: there is no time for a GOAWAY. */
	h2_server_cut(CONTAINER_OF(base, struct h2_server, base), REASON_OVERLOAD);
}

/* Beginning. */

/* The same for all connections. */
static const nghttp2_option *options(void)
{
	static nghttp2_option *option;

	if (option != NULL)
		return option;
	ASSERT(nghttp2_option_new(&option) == 0);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
	for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		if (type != NGHTTP2_PRIORITY_UPDATE)
			nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
	/* Ours are lower, and say why. */
	nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
	nghttp2_option_set_max_continuations(option, 256);
	nghttp2_option_set_max_send_header_block_length(option, MAX_SENT_HEAD);
	return option;
}

static nghttp2_session *new_ng(struct h2_server *self)
{
	const struct conf_listen *listen = self->listen;
	nghttp2_session *ng;
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)listen->http2_max_streams},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)listen->http2_window},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)listen->max_header_size},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
	};
	size_t n = ARRAY_LEN(settings) - (listen->http2_websocket ? 0 : 1);

	ASSERT(nghttp2_session_server_new3(
		       &ng, h2_server_callbacks(), &self->session, options(), h2_memory()) == 0);
	ASSERT(nghttp2_submit_settings(ng, NGHTTP2_FLAG_NONE, settings, n) == 0);
	ASSERT(nghttp2_session_set_local_window_size(
		       ng, NGHTTP2_FLAG_NONE, 0, (int32_t)listen->http2_queue) == 0);
	return ng;
}

struct server_codec *h2_server_new(struct loop *loop, struct conn *conn,
	const struct conf_listen *listen, const struct exchange_service *service,
	const struct server_codec_owner *owner, void *arg)
{
	static const struct server_codec_ops ops = {
		.drain = server_drain, .close = server_close, .evict = server_evict};
	static const struct conn_owner conn_owner = {.on_open = on_open,
		.on_input = on_input,
		.on_output = on_output,
		.on_lost = on_lost};
	struct h2_server *self = memory_alloc_zeroed(sizeof(*self));

	self->base.ops = &ops;
	self->session.loop = loop;
	self->session.conn = conn;
	self->session.window_size = (uint32_t)listen->http2_window;
	self->listen = listen;
	self->service = service;
	self->owner = owner;
	self->arg = arg;
	TAILQ_INIT(&self->streams);
	TAILQ_INIT(&self->leaving);
	TAILQ_INIT(&self->due);
	notice_init(&self->session.pump, h2_server_pump, &self->session);
	timer_init(&self->timer, h2_server_on_timer, self);
	self->last_id = -1;
	self->waiting_ms = loop_now_ms(loop);
	h2_budget_start(&self->budget, self->waiting_ms);
	self->session.ng = new_ng(self);
	if (conn_is_tls(conn) && !conn_tls_is_strong(conn))
		(void)nghttp2_session_terminate_session(
			self->session.ng, NGHTTP2_INADEQUATE_SECURITY);
	conn_set_owner(conn, &conn_owner, self);
	conn_set_reading(conn, true);
	h2_server_look_in(self, listen->header_timeout_ms);
	/* Our SETTINGS come first, whatever the client says (RFC 9113 section 3.4). */
	ASSERT(h2_session_send(&self->session) == 0);
	h2_session_post(&self->session);
	return &self->base;
}
