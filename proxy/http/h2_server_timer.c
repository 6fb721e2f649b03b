/* The deadlines of a client connection: one timer, set for the earliest time at which there may be
 * something to do. When it fires everything is looked at anew. */
#include "proxy/http/h2_server_private.h"

/* Bytes of a request body per second, at least, over body_timeout. */
#define MIN_BODY_RATE 32
/* How long the answer to a ping is waited for before the last GOAWAY. */
#define GOAWAY_WAIT_MS 1000

void h2_server_look_at(struct h2_server *self, uint64_t at_ms)
{
	if (at_ms != TIMER_NEVER &&
		(!timer_is_set(&self->timer) || self->timer.deadline_ms > at_ms))
		timer_set_at(self->session.loop, &self->timer, at_ms);
}

void h2_server_look_in(struct h2_server *self, int64_t ms)
{
	if (ms > 0)
		h2_server_look_at(self, loop_now_ms(self->session.loop) + (uint64_t)ms);
}

void h2_server_start_window(struct h2_server_stream *stream)
{
	stream->window_ms = loop_now_ms(stream->server->session.loop);
	stream->window_start = stream->x.n_request_body;
}

/* The client alone is waited for. */
static bool is_waiting_for_body(const struct h2_server_stream *stream)
{
	const struct h2_stream *base = &stream->base;

	return !base->is_in_ended && base->in != NULL && !base->in->is_aborted &&
		stream->x.state != EXCHANGE_TUNNEL && pipe_size(base->in) < base->in->limit;
}

/* As in HTTP/1.1: neither a pause of body_timeout nor fewer bytes in that time than a stream is
 * worth. */
static uint64_t body_deadline(struct h2_server_stream *stream, uint64_t now)
{
	uint64_t timeout = (uint64_t)stream->server->listen->body_timeout_ms;
	uint64_t pause_ends = stream->base.in_ms + timeout;
	uint64_t window_ends = stream->window_ms + timeout;

	if (!is_waiting_for_body(stream)) {
		h2_server_start_window(stream);
		return TIMER_NEVER;
	}
	/* Both may pause in a conversation; a backend that waits for the client in vain has its
	 * read_timeout. */
	if (stream->x.state != EXCHANGE_REQUESTED)
		return TIMER_NEVER;
	if (window_ends <= now &&
		(stream->x.n_request_body - stream->window_start) * 1000 >=
			MIN_BODY_RATE * timeout) {
		h2_server_start_window(stream);
		window_ends = now + timeout;
	}
	return MIN(pause_ends, window_ends);
}

/* The client does not take what there is. One of another worker has its listener's timeout there.
 */
static uint64_t stall_deadline(const struct h2_server_stream *stream)
{
	const struct conf_listen *listen = stream->server->listen;
	uint64_t since = h2_stream_stalled_since_ms(&stream->base);

	return since != TIMER_NEVER && !listen->is_between_workers
		? since + (uint64_t)listen->write_timeout_ms
		: TIMER_NEVER;
}

/* When to look at it again, if nothing of it was due. */
static uint64_t look_at_stream(struct h2_server_stream *stream, uint64_t now)
{
	uint64_t stall = stall_deadline(stream), body = body_deadline(stream, now);
	uint64_t tunnel = TIMER_NEVER;
	bool is_tunnel = stream->x.state == EXCHANGE_TUNNEL;

	if (is_tunnel && stream->x.tunnel_timeout_ms > 0)
		tunnel = MAX(stream->base.in_ms, stream->base.out_ms) + stream->x.tunnel_timeout_ms;
	if (stall <= now)
		h2_server_stream_cut(stream, REASON_CLIENT_STALL, NGHTTP2_CANCEL);
	else if (tunnel <= now)
		h2_server_stream_cut(stream, REASON_TUNNEL_TIMEOUT, NGHTTP2_CANCEL);
	else if (body <= now)
		h2_server_refuse_body(stream, REASON_BODY_TIMEOUT);
	else if (!is_tunnel)
		return MIN(stall, body);
	else if (h2_server_tick_tunnel(stream, now))
		return MIN(MIN(stall, tunnel), ws_tunnel_deadline(stream->base.ws));
	return now + 1000;
}

static uint64_t look_at_linger(struct h2_server_stream *stream, uint64_t now)
{
	uint64_t due = stream->linger_ms + H2_LINGER_MS;

	if (due > now)
		return due;
	h2_server_stop_request(stream);
	return TIMER_NEVER;
}

static uint64_t look_at_streams(struct h2_server *self, uint64_t now)
{
	struct h2_server_stream *stream, *next;
	uint64_t due = TIMER_NEVER, at;

	for (stream = TAILQ_FIRST(&self->streams); stream != NULL; stream = next) {
		next = TAILQ_NEXT(stream, link);
		if (stream->linger_ms != 0)
			at = look_at_linger(stream, now);
		else if (stream->state == STREAM_OPEN)
			at = look_at_stream(stream, now);
		else
			continue;
		due = MIN(due, at);
	}
	return due;
}

static bool has_tunnels(const struct h2_server *self)
{
	const struct h2_server_stream *stream;

	TAILQ_FOREACH (stream, &self->streams, link)
		if (stream->base.is_tunnel)
			return true;
	return false;
}

/* Tunnels get their closes first, and a client that has just come its first request. */
static bool is_goaway_held(const struct h2_server *self)
{
	return self->n_requests == 0 || has_tunnels(self);
}

/* With GOAWAY_LATER the time is that of the last close. */
static uint64_t look_at_goaway(struct h2_server *self, uint64_t now)
{
	uint64_t due = self->goaway_ms + GOAWAY_WAIT_MS;

	if (self->goaway == GOAWAY_LATER && (due <= now || !is_goaway_held(self))) {
		h2_server_start_goaway(self);
	} else if (self->goaway == GOAWAY_NOTICE && due <= now) {
		self->is_final_due = true;
		h2_session_post(&self->session);
		return TIMER_NEVER;
	}
	return self->goaway == GOAWAY_LATER || self->goaway == GOAWAY_NOTICE ? now + 200
									     : TIMER_NEVER;
}

void h2_server_on_timer(void *arg)
{
	struct h2_server *self = arg;
	const struct conf_listen *listen = self->listen;
	uint64_t now = loop_now_ms(self->session.loop), next, streams, goaway;
	uint64_t since = conn_stalled_since_ms(self->session.conn);
	uint64_t stall = since != 0 ? since + (uint64_t)listen->write_timeout_ms : TIMER_NEVER;
	uint64_t head = TIMER_NEVER, idle = TIMER_NEVER;

	if (self->head_started_us != 0)
		head = self->head_started_us / 1000 + (uint64_t)listen->header_timeout_ms;
	if (self->n_busy == 0 && self->head_started_us == 0)
		idle = self->waiting_ms +
			(uint64_t)(self->n_requests == 0
					? MIN(listen->header_timeout_ms, listen->idle_timeout_ms)
					: listen->idle_timeout_ms);
	if (stall <= now) {
		h2_server_cut(self, REASON_CLIENT_STALL);
		return;
	}
	if (head <= now) {
		h2_server_fail(self, NGHTTP2_ENHANCE_YOUR_CALM, REASON_HEADER_TIMEOUT,
			"a head did not arrive in time");
		return;
	}
	if (idle <= now) {
		h2_server_fail(self, NGHTTP2_NO_ERROR, REASON_HEADER_TIMEOUT, "");
		return;
	}
	streams = look_at_streams(self, now);
	goaway = look_at_goaway(self, now);
	next = MIN(MIN(streams, goaway), MIN(stall, MIN(head, idle)));
	if (next != TIMER_NEVER)
		timer_set_at(self->session.loop, &self->timer, next);
}
