/*
 * One backend connection and the fetches that it carries. Events come from the conn, from the
 * fetches' pipes and from one timer. What nghttp2 tells is noted in `due` and told by `process`,
 * outside of nghttp2: owners may start or cancel fetches on this very connection.
 */
#include "proxy/http/h2_client.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/http/h2_client_private.h"
#include "proxy/http/h2_memory.h"

/* As in HTTP/1.1: a backend's head may be larger than what clients may send. */
const struct h1_limits h2_client_limits = {
	.max_head_size = 64 * 1024, .max_fields = 200, .max_target_size = 0};

#define LINGER_MS 2000
#define MAX_SENT_HEAD (4 << 20)

static struct h2_client *client_of(const struct fetcher *base)
{
	return CONTAINER_OF(base, struct h2_client, base);
}

/* Room. */

static void set_room(struct h2_client *self)
{
	uint32_t n = self->base.n_active;
	bool is_open = !self->is_going_away && !self->is_closed &&
		(self->options.idle_ms > 0 || self->base.n_fetches == 0);

	self->base.n_room = is_open && n < self->max_streams ? self->max_streams - n : 0;
}

static void tell_room(struct h2_client *self)
{
	self->is_room_due = false;
	if (self->is_closed)
		return;
	set_room(self);
	self->base.pool->on_room(self->base.pool_arg, &self->base);
}

/* Streams. */

void h2_client_set_due(struct h2_client_stream *stream, unsigned due)
{
	if (stream->due == 0)
		TAILQ_INSERT_TAIL(&stream->client->due, stream, due_link);
	stream->due |= (uint8_t)due;
	h2_session_post(&stream->client->session);
}

static void free_stream(void *arg)
{
	free(arg);
}

static void bury_stream(struct h2_client_stream *stream)
{
	struct h2_client *self = stream->client;

	TAILQ_REMOVE(&self->streams, stream, link);
	if (stream->due != 0)
		TAILQ_REMOVE(&self->due, stream, due_link);
	stream->due = 0;
	h2_stream_close(&stream->base);
	loop_bury(self->session.loop, &stream->grave, free_stream, stream);
}

static uint64_t n_sent(const struct h2_client_stream *stream)
{
	return stream->has_final && stream->is_websocket ? h2_stream_n_sent(&stream->base) : 0;
}

/* nghttp2 has no stream for a HEADERS that it has not written yet, nor for one that is closed. */
static bool was_sent(const struct h2_client_stream *stream)
{
	if (stream->is_forgotten)
		return stream->has_final || stream->error_code != NGHTTP2_REFUSED_STREAM;
	return !stream->is_held &&
		nghttp2_session_find_stream(stream->client->session.ng, stream->base.id) != NULL;
}

/*
 * The fetch and its pipes are no longer the stream's. A fetch that may be tried again gets back
 * what was taken of its body, if that was kept whole.
 */
static struct fetch *detach_fetch(struct h2_client_stream *stream)
{
	struct h2_client *self = stream->client;
	struct fetch *fetch = stream->fetch;

	fetch->n_tunnel_sent = n_sent(stream);
	fetch->n_body_taken = stream->base.n_out;
	if (fetch->req_body != NULL) {
		pipe_set_reader(fetch->req_body, NULL, NULL);
		if (!fetch->has_head && h2_stream_put_back(&stream->base, fetch->req_body))
			fetch->n_body_taken = 0;
	}
	h2_stream_leave_in(&stream->base);
	stream->base.out = NULL;
	stream->fetch = NULL;
	if (--self->base.n_active == 0) {
		self->waiting_ms = loop_now_ms(self->session.loop);
		h2_client_look_in(self, self->options.idle_ms);
	}
	return fetch;
}

static void reset_stream(struct h2_client_stream *stream, uint32_t error_code)
{
	if (stream->is_held)
		bury_stream(stream);
	else if (!stream->is_forgotten)
		(void)nghttp2_submit_rst_stream(
			stream->client->session.ng, NGHTTP2_FLAG_NONE, stream->base.id, error_code);
	h2_session_post(&stream->client->session);
}

static void finish_fetch(struct h2_client_stream *stream)
{
	struct h2_client *self = stream->client;
	bool is_request_done = stream->base.is_out_ended;
	struct fetch *fetch = detach_fetch(stream);

	/* The server needs no more of the request to have answered it. */
	if (!is_request_done) {
		reset_stream(stream, NGHTTP2_CANCEL);
		if (fetch->req_body != NULL)
			pipe_close_reader(fetch->req_body);
	}
	tell_room(self);
	fetch_finish(fetch);
}

void h2_client_stream_fail(struct h2_client_stream *stream, enum reason reason, const char *why)
{
	struct h2_client *self = stream->client;
	struct fetch *fetch = stream->fetch;

	fetch->was_sent = was_sent(stream);
	(void)detach_fetch(stream);
	reset_stream(stream, NGHTTP2_CANCEL);
	tell_room(self);
	fetch_fail(fetch, reason, why);
}

/* Both sides have ended it, and our end is still to be written. */
static bool is_tunnel_over(const struct h2_client_stream *stream)
{
	return stream->has_final && stream->is_websocket && stream->base.is_in_ended &&
		!stream->base.is_out_ended && pipe_is_ended(stream->fetch->req_body);
}

/* All has been said both ways; only the server's end of the stream has not come yet. Whoever took
 * the response by its length was faster. */
static bool is_whole(const struct h2_client_stream *stream)
{
	return stream->has_length && stream->base.n_in == stream->length &&
		stream->base.is_out_ended;
}

static void on_cancel(struct fetch *fetch)
{
	struct h2_client_stream *stream = fetch->carrier;
	struct h2_client *self = stream->client;

	/* While the connection goes down its fetches fail one after the other. */
	if (self->is_closed) {
		stream->fetch = NULL;
		return;
	}
	fetch->was_sent = was_sent(stream);
	if (is_tunnel_over(stream)) {
		stream->base.is_out_orderly = true;
		(void)detach_fetch(stream);
		h2_stream_wake(&stream->base);
	} else if (is_whole(stream)) {
		(void)detach_fetch(stream);
	} else {
		(void)detach_fetch(stream);
		reset_stream(stream, h2_reset_code(fetch->end_reason, fetch->is_refused));
	}
	tell_room(self);
}

/* The end of the connection. */

static void free_client(void *arg)
{
	fetcher_count(-1);
	free(arg);
}

static void client_close(struct h2_client *self, bool is_graceful, bool tell_pool)
{
	self->is_closed = true;
	set_room(self);
	if (is_graceful)
		conn_close_gracefully(self->session.conn, LINGER_MS);
	else
		conn_close(self->session.conn);
	nghttp2_session_del(self->session.ng);
	self->session.ng = NULL;
	notice_cancel(self->session.loop, &self->session.pump);
	timer_close(self->session.loop, &self->timer);
	loop_bury(self->session.loop, &self->grave, free_client, self);
	if (tell_pool)
		self->base.pool->on_closed(self->base.pool_arg, &self->base);
}

/* Fetches that still hang on it end with no word. */
static void drop_streams(struct h2_client *self)
{
	struct h2_client_stream *stream;

	while ((stream = TAILQ_FIRST(&self->streams)) != NULL) {
		if (stream->fetch != NULL) {
			struct fetch *fetch = detach_fetch(stream);

			fetch->cancel = NULL;
			fetch->is_over = true;
			fetch->fetcher = NULL;
		}
		bury_stream(stream);
	}
}

static void say_goodbye(struct h2_client *self)
{
	h2_session_write_goaway(&self->session, 0, NGHTTP2_NO_ERROR, "");
	client_close(self, true, false);
}

static void close_from_outside(struct fetcher *base)
{
	struct h2_client *self = client_of(base);

	if (self->is_closed)
		return;
	drop_streams(self);
	say_goodbye(self);
}

void h2_client_retire(struct h2_client *self)
{
	drop_streams(self);
	say_goodbye(self);
	self->base.pool->on_closed(self->base.pool_arg, &self->base);
}

/* Why a fetch fails with its connection. */
static enum reason reason_of_loss(const struct h2_client_stream *stream, enum reason reason)
{
	if (reason != REASON_NONE)
		return reason;
	if (!stream->has_final)
		return REASON_BACKEND_GONE;
	return stream->is_websocket ? REASON_TUNNEL_CUT : REASON_BACKEND_CUT;
}

void h2_client_lose(struct h2_client *self, enum reason reason, const char *why)
{
	struct h2_client_stream *stream, *next;
	struct fetch *fetch;

	/* The pipes are let go while there is a session to credit. */
	for (stream = TAILQ_FIRST(&self->streams); stream != NULL; stream = next) {
		next = TAILQ_NEXT(stream, link);
		if ((fetch = stream->fetch) == NULL)
			continue;
		(void)detach_fetch(stream);
		stream->fetch = fetch;
	}
	/* RFC 9113 section 5.4.1: the server hears what was wrong. */
	client_close(self, reason == REASON_BACKEND_PROTOCOL, true);
	while ((stream = TAILQ_FIRST(&self->streams)) != NULL) {
		fetch = stream->fetch;
		stream->fetch = NULL;
		bury_stream(stream);
		if (fetch == NULL)
			continue;
		fetch->is_unprocessed = stream->is_held;
		/* Who has said that it leaves has not died. */
		fetch->was_sent = self->is_going_away && !stream->is_held;
		fetch_fail(fetch, reason_of_loss(stream, reason), why);
	}
}

/* What is due. */

/* False: the owner has cancelled the fetch. */
static bool tell_heads(struct h2_client_stream *stream, unsigned due)
{
	struct fetch *fetch = stream->fetch;
	struct h2_interim *interim;

	while ((interim = stream->interim) != NULL) {
		stream->interim = interim->next;
		fetch->owner->on_interim(fetch->arg, &interim->head);
		if (stream->fetch != fetch)
			return false;
	}
	if (!(due & DUE_HEAD))
		return true;
	fetch->has_head = true;
	h2_stream_keep(&stream->base, false);
	if (stream->base.is_out_held && stream->is_websocket) {
		stream->base.is_out_held = false;
		h2_stream_wake(&stream->base);
	}
	fetch->owner->on_head(fetch->arg, stream->head);
	return stream->fetch == fetch;
}

/* A tunnel has two ends. */
static bool is_complete(const struct h2_client_stream *stream)
{
	return stream->base.is_in_ended && (!stream->is_websocket || stream->base.is_out_ended);
}

static void fail_closed(struct h2_client_stream *stream)
{
	struct h2_client *self = stream->client;
	struct fetch *fetch = stream->fetch;
	const char *why =
		stream->why != NULL ? stream->why : nghttp2_http2_strerror(stream->error_code);
	enum reason reason = reason_of_loss(stream, stream->reason);

	if (stream->error_code == NGHTTP2_REFUSED_STREAM && !stream->has_final) {
		fetch->is_unprocessed = true;
		fetch->by_goaway = self->is_going_away;
		/* It takes fewer than it says. */
		self->max_streams = MAX(self->base.n_active - 1, 1u);
	}
	if (stream->error_code == NGHTTP2_HTTP_1_1_REQUIRED && !stream->has_final)
		fetch->is_unprocessed = fetch->needs_http1 = true;
	if (stream->reason == REASON_NO_WEBSOCKET)
		fetch->is_unprocessed = fetch->needs_http1 = true;
	h2_client_stream_fail(stream, reason, why);
}

static void process_stream(struct h2_client_stream *stream, unsigned due)
{
	if (stream->fetch != NULL && tell_heads(stream, due)) {
		if (stream->base.is_in_ended)
			pipe_put_end(stream->fetch->res_body);
		if (is_complete(stream) && (due & (DUE_END | DUE_CLOSED)))
			finish_fetch(stream);
		else if (due & DUE_CLOSED)
			fail_closed(stream);
	}
	if (due & DUE_CLOSED)
		bury_stream(stream);
}

static void submit(struct h2_client_stream *stream);

static void submit_held(struct h2_client *self)
{
	struct h2_client_stream *stream;

	TAILQ_FOREACH (stream, &self->streams, link) {
		if (!stream->is_held)
			continue;
		stream->is_held = false;
		submit(stream);
	}
}

static void process(struct h2_client *self)
{
	struct h2_client_stream *stream;

	if (self->is_room_due) {
		if (self->has_settings)
			submit_held(self);
		tell_room(self);
	}
	while (!self->is_closed && (stream = TAILQ_FIRST(&self->due)) != NULL) {
		unsigned due = stream->due;

		TAILQ_REMOVE(&self->due, stream, due_link);
		stream->due = 0;
		process_stream(stream, due);
	}
}

static bool is_done(const struct h2_client *self)
{
	return self->base.n_active == 0 &&
		(self->is_going_away || (self->options.idle_ms == 0 && self->base.n_fetches > 0));
}

static void pump(void *arg)
{
	struct h2_client *self = CONTAINER_OF((struct h2_session *)arg, struct h2_client, session);
	int error;

	do {
		process(self);
		if (self->is_closed)
			return;
		error = h2_session_send(&self->session);
		if (error != 0) {
			h2_client_lose(self, REASON_NONE, nghttp2_strerror(error));
			return;
		}
	} while (!TAILQ_EMPTY(&self->due));
	if (is_done(self))
		h2_client_retire(self);
	else if (nghttp2_session_want_read(self->session.ng) == 0 &&
		nghttp2_session_want_write(self->session.ng) == 0)
		h2_client_lose(self, REASON_BACKEND_PROTOCOL, "HTTP/2 protocol error");
	else if (self->base.n_active == 0)
		conn_rest(self->session.conn);
}

/* The conn. */

static void on_input(void *arg)
{
	struct h2_client *self = arg;
	int error;

	self->received_ms = loop_now_ms(self->session.loop);
	error = h2_session_receive(&self->session);
	process(self);
	if (self->is_closed)
		return;
	if (error != 0)
		h2_client_lose(self, REASON_BACKEND_PROTOCOL, nghttp2_strerror(error));
	else if (conn_has_input_ended(self->session.conn))
		h2_client_lose(self, REASON_NONE, "connection closed");
	else
		h2_session_post(&self->session);
}

static void on_output(void *arg)
{
	struct h2_client *self = arg;

	pump(&self->session);
}

static void on_lost(void *arg, enum conn_loss loss)
{
	struct h2_client *self = arg;

	(void)loss;
	/* What came before the reset may hold whole responses. */
	if (h2_session_receive(&self->session) == 0)
		process(self);
	if (!self->is_closed)
		h2_client_lose(self, REASON_NONE, conn_loss_text(self->session.conn));
}

static void on_open(void *arg)
{
	(void)arg;
}

/* The pipes of a fetch. */

static void on_request_body(void *arg)
{
	struct h2_client_stream *stream = arg;

	if (stream->fetch == NULL)
		return;
	/* The client broke off: so must we, or the backend would take what came for the whole. */
	if (stream->fetch->req_body->is_aborted)
		h2_client_stream_fail(stream, REASON_CLIENT_GONE, "the client broke off");
	else
		h2_stream_wake(&stream->base);
	h2_client_look_in(stream->client, stream->client->write_ms);
}

static void on_response_taken(void *arg)
{
	struct h2_client_stream *stream = arg;

	if (stream->fetch == NULL)
		return;
	if (stream->fetch->res_body->is_reader_gone) {
		h2_client_stream_fail(stream, REASON_CLIENT_GONE, "nobody reads the response");
		return;
	}
	h2_stream_on_taken(&stream->base);
	h2_client_look_in(stream->client, stream->fetch->timeouts.read_ms);
}

/* Without a stream: what happens next is as if nghttp2 had closed one. */
static void give_up(struct h2_client_stream *stream, enum reason reason, const char *why)
{
	stream->reason = reason;
	stream->why = why;
	stream->error_code = NGHTTP2_REFUSED_STREAM;
	stream->is_forgotten = true;
	h2_client_set_due(stream, DUE_CLOSED);
}

static void submit(struct h2_client_stream *stream)
{
	struct h2_client *self = stream->client;
	struct fetch *fetch = stream->fetch;
	nghttp2_session *ng = self->session.ng;
	nghttp2_data_provider provider = h2_stream_provider(&stream->base);
	bool has_body = fetch->body == BODY_CHUNKED || fetch->is_websocket ||
		(fetch->body == BODY_LENGTH && fetch->req->content_length > 0);
	struct h2_lines lines;
	int32_t id;

	if (fetch->is_websocket &&
		nghttp2_session_get_remote_settings(ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) !=
			1) {
		give_up(stream, REASON_NO_WEBSOCKET, "the server does not offer RFC 8441");
		return;
	}
	lines = h2_head_write_request(fetch->req, fetch->body, fetch->req->content_length,
		conn_is_tls(self->session.conn), fetch->is_websocket);
	if (has_body) {
		stream->base.out = fetch->req_body;
		stream->base.out_trailers = fetch->req_trailers;
		stream->base.has_out_length = fetch->body == BODY_LENGTH;
		stream->base.out_left = fetch->req->content_length;
		stream->base.is_out_held = fetch->is_websocket;
		h2_stream_keep(&stream->base, !fetch->is_websocket);
		pipe_set_reader(fetch->req_body, on_request_body, stream);
	}
	h2_stream_set_in(&stream->base, fetch->res_body);
	pipe_set_writer(fetch->res_body, on_response_taken, stream);
	id = nghttp2_submit_request(
		ng, NULL, lines.items, lines.n, has_body ? &provider : NULL, stream);
	if (id < 0) {
		/* Numbers are used up: the next connection starts anew. */
		self->is_going_away = self->is_room_due = true;
		give_up(stream, REASON_NONE, nghttp2_strerror(id));
		return;
	}
	stream->base.id = id;
	h2_session_post(&self->session);
}

static void client_start(struct fetcher *base, struct fetch *fetch)
{
	struct h2_client *self = client_of(base);
	struct h2_client_stream *stream = memory_alloc_zeroed(sizeof(*stream));

	ASSERT(self->base.n_room > 0);
	h2_stream_init(&stream->base, &self->session, 0);
	stream->client = self;
	stream->fetch = fetch;
	stream->is_websocket = fetch->is_websocket;
	stream->request_ms = loop_now_ms(self->session.loop);
	TAILQ_INSERT_TAIL(&self->streams, stream, link);
	base->n_fetches++;
	if (base->n_active++ == 0)
		self->received_ms = MAX(self->received_ms, stream->request_ms);
	set_room(self);
	fetch->fetcher = base;
	fetch->carrier = stream;
	fetch->cancel = on_cancel;
	fetch->connected_us = loop_now_us(self->session.loop);
	self->write_ms = fetch->timeouts.write_ms;
	if (fetch->is_websocket && !self->has_settings)
		stream->is_held = true;
	else
		submit(stream);
	h2_client_look_in(self, fetch->timeouts.response_ms);
	h2_client_look_in(self, self->options.ping_ms);
	if (stream->base.out != NULL)
		h2_client_look_in(self, fetch->timeouts.write_ms);
}

static uint64_t client_n_tunnel_sent(const struct fetcher *base, const struct fetch *fetch)
{
	(void)base;
	return n_sent(fetch->carrier);
}

/* Beginning. */

static nghttp2_session *new_ng(struct h2_client *self)
{
	uint64_t window = (uint64_t)self->options.window * self->options.max_streams;
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, self->options.window},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h2_client_limits.max_head_size},
	};
	nghttp2_session *ng;
	nghttp2_option *option;

	ASSERT(nghttp2_option_new(&option) == 0);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_peer_max_concurrent_streams(option, self->options.max_streams);
	/* How large a head may be is the listener's business, and then the server's. */
	nghttp2_option_set_max_send_header_block_length(option, MAX_SENT_HEAD);
	ASSERT(nghttp2_session_client_new3(
		       &ng, h2_client_callbacks(), &self->session, option, h2_memory()) == 0);
	nghttp2_option_del(option);
	ASSERT(nghttp2_submit_settings(ng, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) == 0);
	/* Room for a full window of each stream: the slow ones never hold up the others. */
	window = MIN(MAX(window, (uint64_t)65535), (uint64_t)INT32_MAX);
	ASSERT(nghttp2_session_set_local_window_size(ng, NGHTTP2_FLAG_NONE, 0, (int32_t)window) ==
		0);
	return ng;
}

struct fetcher *h2_client_new(struct loop *loop, struct conn *conn,
	const struct h2_client_options *options, const struct fetcher_pool *pool, void *pool_arg)
{
	static const struct fetcher_ops ops = {.start = client_start,
		.close = close_from_outside,
		.n_tunnel_sent = client_n_tunnel_sent};
	static const struct conn_owner owner = {.on_open = on_open,
		.on_input = on_input,
		.on_output = on_output,
		.on_lost = on_lost};
	struct h2_client *self = memory_alloc_zeroed(sizeof(*self));

	self->base = (struct fetcher){.ops = &ops,
		.pool = pool,
		.pool_arg = pool_arg,
		.idle_since_ms = loop_now_ms(loop),
		.is_multiplexed = true,
		.is_unsettled = true};
	self->session.loop = loop;
	self->session.conn = conn;
	self->session.window_size = options->window;
	self->options = *options;
	/* How many it takes is not known yet; those that wait for more will not wait long. */
	self->max_streams = 1;
	self->waiting_ms = self->received_ms = loop_now_ms(loop);
	TAILQ_INIT(&self->streams);
	TAILQ_INIT(&self->due);
	notice_init(&self->session.pump, pump, &self->session);
	timer_init(&self->timer, h2_client_on_timer, self);
	self->session.ng = new_ng(self);
	set_room(self);
	conn_set_owner(conn, &owner, self);
	conn_set_reading(conn, true);
	h2_client_look_in(self, options->idle_ms);
	h2_session_post(&self->session);
	fetcher_count(1);
	return &self->base;
}
