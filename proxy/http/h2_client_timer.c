/* The deadlines of a backend connection: one timer, set for the earliest time at which there may be
 * something to do. When it fires everything is looked at anew. */
#include "proxy/http/h2_client_private.h"

void h2_client_look_in(struct h2_client *self, uint64_t ms)
{
	uint64_t at = loop_now_ms(self->session.loop) + ms;

	if (ms > 0 && (!timer_is_set(&self->timer) || self->timer.deadline_ms > at))
		timer_set_at(self->session.loop, &self->timer, at);
}

static uint64_t add(uint64_t since, uint64_t ms)
{
	return ms > 0 ? since + ms : TIMER_NEVER;
}

/* The server does not take what there is of the request. */
static uint64_t stall_deadline(const struct h2_client_stream *stream)
{
	uint64_t since = h2_stream_stalled_since_ms(&stream->base);

	return since != TIMER_NEVER ? add(since, stream->fetch->timeouts.write_ms) : TIMER_NEVER;
}

/* The response's time runs from the last byte of the request, for a slow client is not the
 * backend's fault; an interim head gives it anew. */
static uint64_t response_deadline(const struct h2_client_stream *stream)
{
	const struct h2_stream *base = &stream->base;
	bool is_sent = base->is_out_ended || base->out == NULL || stream->is_websocket;

	return is_sent
		? add(MAX(stream->request_ms, base->in_ms), stream->fetch->timeouts.response_ms)
		: TIMER_NEVER;
}

/* While the client is slow to take, the backend is not to blame for silence. */
static uint64_t read_deadline(const struct h2_client_stream *stream)
{
	const struct h2_stream *base = &stream->base;

	if (base->is_in_ended || stream->is_websocket || base->in == NULL ||
		pipe_size(base->in) >= base->in->limit)
		return TIMER_NEVER;
	return add(base->in_ms, stream->fetch->timeouts.read_ms);
}

/* When to look at it again, if nothing of it was due. */
static uint64_t look_at_stream(struct h2_client_stream *stream, uint64_t now)
{
	uint64_t stall = stall_deadline(stream), phase;

	if (stall <= now) {
		h2_client_stream_fail(
			stream, REASON_BACKEND_STALL, "the backend takes no bytes of the request");
		return TIMER_NEVER;
	}
	phase = stream->has_final ? read_deadline(stream) : response_deadline(stream);
	if (phase > now)
		return MIN(stall, phase);
	if (stream->has_final)
		h2_client_stream_fail(stream, REASON_READ_TIMEOUT, "response body stalled");
	else
		h2_client_stream_fail(stream, REASON_RESPONSE_TIMEOUT, "no response in time");
	return TIMER_NEVER;
}

static uint64_t look_at_streams(struct h2_client *self, uint64_t now)
{
	struct h2_client_stream *stream, *next;
	uint64_t due = TIMER_NEVER, at;

	for (stream = TAILQ_FIRST(&self->streams); stream != NULL; stream = next) {
		next = TAILQ_NEXT(stream, link);
		if (stream->fetch == NULL)
			continue;
		/* Once: MIN looks at its arguments twice. */
		at = look_at_stream(stream, now);
		due = MIN(due, at);
	}
	return due;
}

/* A server that is silent is asked whether it is there. TIMER_NEVER and *is_lost: it is not. */
static uint64_t look_at_ping(struct h2_client *self, uint64_t now, bool *is_lost)
{
	uint64_t interval = self->options.ping_ms;

	*is_lost = false;
	if (interval == 0)
		return TIMER_NEVER;
	if (self->ping_ms != 0 && self->received_ms < self->ping_ms) {
		*is_lost = self->ping_ms + interval <= now;
		return *is_lost ? TIMER_NEVER : self->ping_ms + interval;
	}
	self->ping_ms = 0;
	if (self->received_ms + interval > now)
		return self->received_ms + interval;
	self->ping_ms = now;
	(void)nghttp2_submit_ping(self->session.ng, NGHTTP2_FLAG_NONE, NULL);
	h2_session_post(&self->session);
	return now + interval;
}

static void look_at_active(struct h2_client *self, uint64_t now)
{
	uint64_t since = conn_stalled_since_ms(self->session.conn);
	uint64_t stall = since != 0 ? add(since, self->write_ms) : TIMER_NEVER, next, streams;
	bool is_lost;

	if (stall <= now) {
		h2_client_lose(self, REASON_BACKEND_STALL, "the backend takes no bytes");
		return;
	}
	next = look_at_ping(self, now, &is_lost);
	if (is_lost) {
		h2_client_lose(self, REASON_NONE, "no answer to a ping");
		return;
	}
	streams = look_at_streams(self, now);
	next = MIN(next, MIN(stall, streams));
	if (next != TIMER_NEVER && !self->is_closed)
		h2_client_look_in(self, MAX(next - now, (uint64_t)1));
}

void h2_client_on_timer(void *arg)
{
	struct h2_client *self = arg;
	uint64_t now = loop_now_ms(self->session.loop);

	if (self->base.n_active > 0)
		look_at_active(self, now);
	else if (self->waiting_ms + self->options.idle_ms <= now)
		h2_client_retire(self);
	else
		h2_client_look_in(self, self->waiting_ms + self->options.idle_ms - now);
}
