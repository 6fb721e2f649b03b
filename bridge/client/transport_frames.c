/*
 * The response pipe's limit is 1: there is room only when it is empty, and its writer is told when
 * the last byte has been taken.
 */
#include "bridge/client/transport_frames.h"

#include "proxy/http/ws_frame.h"

struct transport_frames {
	struct transport base;
	struct exchange *x;
	const struct frames_form *form;
	void *arg;
	struct frames_options options;
	struct frames_lead lead;
	uint64_t n_written;	 /* bytes of frames */
	uint64_t heartbeat_ms;	 /* next one */
	uint64_t look_ms;	 /* next look at what the client's TCP has; TIMER_NEVER: all */
	uint64_t progress_ms;	 /* when that last grew */
	size_t n_unacknowledged; /* at the last look */
	struct timer timer;
	bool is_ended; /* nothing more is written */
};

/* Of the time without progress after which a client counts as gone. */
#define N_LOOKS 8

static void end(struct transport_frames *self)
{
	if (self->is_ended)
		return;
	self->is_ended = true;
	timer_cancel(&self->timer);
	pipe_put_end(&self->x->res_body);
}

static void set_timer(struct transport_frames *self)
{
	timer_set_at(self->x->loop, &self->timer, MIN(self->look_ms, self->heartbeat_ms));
}

static uint64_t stall_timeout(const struct transport_frames *self)
{
	return MAX((uint64_t)self->x->route->send_timeout_ms, (uint64_t)N_LOOKS);
}

/* A head that is still due leaves in one write with the piece. */
static void put(struct transport_frames *self, struct bytes *piece)
{
	pipe_put(&self->x->res_body, piece, bytes_size(piece));
	if (self->lead.has_head)
		return;
	self->lead.has_head = true;
	self->form->respond(self->arg);
}

static void put_frame(struct transport_frames *self, struct bytes *frame)
{
	uint64_t now = loop_now_ms(self->x->loop);

	self->n_written += bytes_size(frame);
	put(self, frame);
	self->heartbeat_ms = now + self->options.heartbeat_ms;
	if (self->look_ms == TIMER_NEVER) {
		self->progress_ms = now;
		self->n_unacknowledged = 0;
		self->look_ms = now + stall_timeout(self) / N_LOOKS;
	}
	set_timer(self);
	if (self->n_written >= self->options.limit)
		end(self);
}

static bool has_room(const struct session *session, uint64_t n, uint64_t size)
{
	return n < (uint64_t)session->route->batch_messages && size <= session->route->batch_size;
}

/* The last item of the frame that begins with this one. */
static struct message *find_last(const struct session *session, struct message *first)
{
	struct message *last = first, *item;
	uint64_t n = 1, size = first->size;

	if (first->kind == MESSAGE_CLOSE)
		return first;
	for (item = session_item_next(first); item != NULL; item = session_item_next(item)) {
		size += item->size;
		if (item->kind == MESSAGE_CLOSE || !has_room(session, n, size))
			break;
		n++;
		last = item;
	}
	return last;
}

static void write_items(struct transport_frames *self, struct message *first)
{
	struct session *session = self->base.session;
	struct message *item, *last = find_last(session, first);
	struct bytes frame;

	bytes_init(&frame);
	self->form->encode(self->arg, &frame, first, last);
	for (item = first;; item = session_item_next(item)) {
		session_set_sent(session, item, 0);
		if (item == last)
			break;
	}
	put_frame(self, &frame);
	if (last->kind == MESSAGE_CLOSE)
		end(self);
}

static void write_next(struct transport_frames *self)
{
	struct pipe *to = &self->x->res_body;

	while (!self->is_ended && pipe_room(to) > 0) {
		struct session *session = self->base.session;
		struct message *item;

		if (bytes_size(&self->lead.prelude) > 0) {
			put(self, &self->lead.prelude);
		} else if (bytes_size(&self->lead.frame) > 0) {
			put_frame(self, &self->lead.frame);
		} else {
			item = session_item_after(session, session->sent);
			if (item == NULL)
				return;
			write_items(self, item);
		}
		if (to->is_reader_gone)
			return;
	}
}

static void on_wake(struct transport *base)
{
	write_next(CONTAINER_OF(base, struct transport_frames, base));
}

static void on_writable(void *arg)
{
	struct transport_frames *self = arg;

	if (!self->x->res_body.is_reader_gone)
		write_next(self);
}

static void on_end_by_session(struct transport *base, enum transport_end why)
{
	struct transport_frames *self = CONTAINER_OF(base, struct transport_frames, base);
	struct bytes frame;

	(void)why;
	if (self->is_ended)
		return;
	bytes_init(&frame);
	put(self, &self->lead.prelude);
	self->form->encode_end(self->arg, &frame);
	put(self, &frame);
	end(self);
}

/*
 * What is unacknowledged may be that of all who share the connection: it becomes less between two
 * looks, sooner or later, whenever the client is there. False: it is not.
 */
static bool look(struct transport_frames *self, uint64_t now)
{
	size_t n = exchange_unacknowledged(self->x);

	/* The worker that has the client looks after it. */
	if (n < self->n_unacknowledged || self->x->client != NULL)
		self->progress_ms = now;
	self->n_unacknowledged = n;
	self->look_ms = n == 0 ? TIMER_NEVER : now + stall_timeout(self) / N_LOOKS;
	return n == 0 || now - self->progress_ms < stall_timeout(self);
}

static void beat(struct transport_frames *self, uint64_t now)
{
	struct bytes frame;

	self->heartbeat_ms = now + self->options.heartbeat_ms;
	if (pipe_room(&self->x->res_body) == 0)
		return;
	bytes_init(&frame);
	self->form->encode_heartbeat(self->arg, &frame);
	put_frame(self, &frame);
}

static void on_timer(void *arg)
{
	struct transport_frames *self = arg;
	uint64_t now = loop_now_ms(self->x->loop);

	if (self->look_ms <= now && !look(self, now)) {
		self->is_ended = true;
		exchange_abort(self->x, REASON_CLIENT_STALL);
		return;
	}
	if (self->heartbeat_ms <= now)
		beat(self, now);
	if (!self->is_ended)
		set_timer(self);
}

static void on_end(struct exchange *x, void *arg)
{
	struct transport_frames *self = arg;
	struct session *session = self->base.session;
	bool is_whole = self->is_ended && x->reason == REASON_NONE;

	self->is_ended = true;
	timer_close(x->loop, &self->timer);
	bytes_clear(&self->lead.prelude);
	bytes_clear(&self->lead.frame);
	session_detach(&self->base);
	if (session != NULL && !is_whole)
		session_forget(session, WS_CODE_GOING_AWAY);
}

static const struct transport_ops transport_frames_ops = {
	.wake = on_wake,
	.end = on_end_by_session,
};

void transport_frames_start(struct exchange *x, struct session *session, struct frames_lead *lead,
	const struct frames_options *options, const struct frames_form *form, void *arg)
{
	static const struct handler handler = {.on_end = on_end};
	struct transport_frames *self = arena_alloc_zeroed(&x->arena, sizeof(*self));

	ASSERT(!transport_frames_is_waiting(session));
	self->base.ops = &transport_frames_ops;
	self->base.is_lasting = options->limit > 1;
	self->x = x;
	self->form = form;
	self->arg = arg;
	self->options = *options;
	self->lead = *lead;
	timer_init(&self->timer, on_timer, self);
	exchange_set_handler(x, &handler, self);
	x->res_body.limit = 1;
	pipe_set_writer(&x->res_body, on_writable, self);
	session_attach(session, &self->base, session->sent);
	self->look_ms = TIMER_NEVER;
	self->heartbeat_ms = loop_now_ms(x->loop) + options->heartbeat_ms;
	set_timer(self);
	write_next(self);
}

bool transport_frames_is_waiting(const struct session *session)
{
	const struct transport *base = session->transport;

	if (base == NULL)
		return false;
	ASSERT(base->ops == &transport_frames_ops);
	return !CONTAINER_OF(base, struct transport_frames, base)->is_ended;
}
