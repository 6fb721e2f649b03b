/*
 * Offsets count the bytes of the body from its first. What the client's TCP has acknowledged is
 * estimated from below: bytes written less all that is unacknowledged, framing of lower layers
 * included.
 */
#include "bridge/client/transport_stream.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/route/hop_client.h"

struct transport_stream {
	struct transport base;
	struct exchange *x;
	const struct stream_form *form;
	uint64_t cursor; /* the last item written, or what the stream began after */
	uint64_t written;
	uint64_t progress;     /* exchange_progress when last looked at */
	uint64_t progress_ms;  /* when it last grew */
	uint64_t check_ms;     /* next look at it; TIMER_NEVER: all was acknowledged */
	uint64_t heartbeat_ms; /* next one */
	struct timer timer;
	struct notice tidy; /* the head has left */
	bool is_ended;	    /* nothing more is written */
};

static uint64_t check_interval(const struct transport_stream *self)
{
	return MAX((uint64_t)self->x->route->send_timeout_ms / 4, UINT64_C(1));
}

static uint64_t acknowledged(const struct transport_stream *self)
{
	uint64_t n = exchange_unacknowledged(self->x);

	return self->written - MIN(n, self->written);
}

static void set_timer(struct transport_stream *self)
{
	timer_set_at(self->x->loop, &self->timer, MIN(self->check_ms, self->heartbeat_ms));
}

static void end(struct transport_stream *self)
{
	if (self->is_ended)
		return;
	self->is_ended = true;
	timer_cancel(&self->timer);
	pipe_put_end(&self->x->res_body);
}

static void put(struct transport_stream *self, struct bytes *data)
{
	uint64_t now = loop_now_ms(self->x->loop);

	pipe_put(&self->x->res_body, data, bytes_size(data));
	self->heartbeat_ms = now + (uint64_t)self->x->route->heartbeat_ms;
	if (self->check_ms == TIMER_NEVER) {
		self->progress = exchange_progress(self->x);
		self->progress_ms = now;
		self->check_ms = now + check_interval(self);
	}
	set_timer(self);
}

static void trim(struct transport_stream *self)
{
	struct session *session = self->base.session;

	/* Asking the kernel costs a system call. */
	if (session->sent_cost > session->route->replay_size)
		session_trim(session, self->cursor, acknowledged(self));
}

static void write_items(struct transport_stream *self)
{
	struct session *session = self->base.session;
	struct message *item = session_item_after(session, self->cursor);
	size_t room, n = 0;
	bool is_close = false;
	struct bytes data;

	if (item == NULL || (room = pipe_room(&self->x->res_body)) == 0)
		return;
	bytes_init(&data);
	for (; item != NULL && n < room; item = session_item_next(item)) {
		self->form->encode(session, &data, item);
		self->written += bytes_size(&data) - n;
		n = bytes_size(&data);
		self->cursor = item->seq;
		is_close = item->kind == MESSAGE_CLOSE;
		session_set_sent(session, item, self->written);
	}
	put(self, &data);
	if (item != NULL)
		(void)pipe_room(&self->x->res_body);
	trim(self);
	if (is_close)
		end(self);
}

static void on_wake(struct transport *base)
{
	struct transport_stream *self = CONTAINER_OF(base, struct transport_stream, base);

	if (!self->is_ended)
		write_items(self);
}

static void on_writable(void *arg)
{
	struct transport_stream *self = arg;

	if (!self->is_ended && self->base.session != NULL)
		write_items(self);
}

static void on_end_by_session(struct transport *base, enum transport_end why)
{
	(void)why;
	end(CONTAINER_OF(base, struct transport_stream, base));
}

static void give_up(struct transport_stream *self)
{
	self->is_ended = true;
	timer_cancel(&self->timer);
	exchange_abort(self->x, REASON_CLIENT_STALL);
	session_detach(&self->base);
}

static void check(struct transport_stream *self, uint64_t now)
{
	uint64_t progress = exchange_progress(self->x);

	if (progress > self->progress)
		self->progress_ms = now;
	self->progress = progress;
	if (exchange_unacknowledged(self->x) == 0)
		self->check_ms = TIMER_NEVER;
	else
		self->check_ms = now + check_interval(self);
	trim(self);
}

static void beat(struct transport_stream *self, uint64_t now)
{
	struct bytes data;

	self->heartbeat_ms = now + (uint64_t)self->x->route->heartbeat_ms;
	if (pipe_room(&self->x->res_body) == 0)
		return;
	bytes_init(&data);
	self->form->encode_heartbeat(&data);
	self->written += bytes_size(&data);
	put(self, &data);
}

static void on_timer(void *arg)
{
	struct transport_stream *self = arg;
	uint64_t now = loop_now_ms(self->x->loop);

	if (self->check_ms <= now)
		check(self, now);
	if (self->check_ms != TIMER_NEVER &&
		now - self->progress_ms >= (uint64_t)self->x->route->send_timeout_ms) {
		give_up(self);
		return;
	}
	if (self->heartbeat_ms <= now)
		beat(self, now);
	set_timer(self);
}

static void on_tidy(void *arg)
{
	struct transport_stream *self = arg;

	exchange_forget_heads(self->x);
}

static void on_end(struct exchange *x, void *arg)
{
	struct transport_stream *self = arg;

	timer_close(x->loop, &self->timer);
	notice_cancel(x->loop, &self->tidy);
	pipe_set_writer(&x->res_body, NULL, NULL);
	session_detach(&self->base);
	free(self);
}

void transport_stream_start(struct exchange *x, struct session *session, uint64_t after,
	struct bytes *prelude, const struct stream_form *form)
{
	static const struct transport_ops ops = {.wake = on_wake, .end = on_end_by_session};
	static const struct handler handler = {.on_end = on_end};
	struct transport_stream *self = memory_alloc_zeroed(sizeof(*self));

	self->base.ops = &ops;
	self->base.is_lasting = true;
	self->x = x;
	self->form = form;
	self->cursor = after;
	self->check_ms = TIMER_NEVER;
	self->written = bytes_size(prelude);
	timer_init(&self->timer, on_timer, self);
	notice_init(&self->tidy, on_tidy, self);
	x->client_address = hop_client_address(x);
	exchange_set_handler(x, &handler, self);
	pipe_set_writer(&x->res_body, on_writable, self);
	put(self, prelude);
	session_attach(session, &self->base, after);
	write_items(self);
	notice_post(x->loop, &self->tidy);
}
