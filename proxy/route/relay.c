#include "proxy/route/relay.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/route/relay_hop.h"

#define N_LOOKS 4

struct relay {
	struct exchange *x;
	struct fetch fetch;
	struct timer timer; /* of a response that lasts: whether the client takes it */
	uint64_t progress;  /* exchange_progress when last looked at */
	uint64_t progress_ms;
	struct grave grave;
};

static void set_timer(struct relay *self)
{
	timer_set_in(self->x->loop, &self->timer,
		MAX((uint64_t)self->x->route->send_timeout_ms / N_LOOKS, UINT64_C(1)));
}

static void give_up(struct relay *self)
{
	struct exchange *x = self->x;

	self->fetch.end_reason = REASON_CLIENT_STALL;
	fetch_cancel(&self->fetch);
	/* Or the codec would wait until it has left. */
	pipe_close_reader(&x->res_body);
	exchange_abort(x, REASON_CLIENT_STALL);
}

/* The owner does not see the client's TCP, by which the route's send_timeout goes. */
static void look(void *arg)
{
	struct relay *self = arg;
	struct exchange *x = self->x;
	uint64_t now = loop_now_ms(x->loop), progress = exchange_progress(x);

	if (progress > self->progress || exchange_unacknowledged(x) == 0)
		self->progress_ms = now;
	self->progress = progress;
	if (now - self->progress_ms >= (uint64_t)x->route->send_timeout_ms)
		give_up(self);
	else
		set_timer(self);
}

static bool is_lasting(const struct response_head *head)
{
	return head->is_upgrade || head->body == BODY_CHUNKED || head->body == BODY_CLOSE;
}

static void on_interim(void *arg, struct response_head *head)
{
	struct relay *self = arg;

	exchange_respond_interim(self->x, head);
}

static void on_head(void *arg, struct response_head *head)
{
	struct relay *self = arg;

	self->x->is_relayed = true;
	if (UNLIKELY(fields_find(&head->fields, FIELD_POLLUX_HOP) != NULL)) {
		self->x->must_close = true;
		fields_remove(&head->fields, FIELD_POLLUX_HOP);
	}
	/* A tunnel ends at the owner, who has its own close for a drain. */
	self->x->says_farewell = head->is_upgrade;
	if (is_lasting(head)) {
		self->progress_ms = loop_now_ms(self->x->loop);
		set_timer(self);
	}
	exchange_respond(self->x, head);
}

static void on_fetch_end(void *arg)
{
	(void)arg;
}

static void on_failed(void *arg, enum reason reason, const char *why)
{
	struct relay *self = arg;

	(void)why;
	/* Who died has written no line; who ended the stream has. */
	self->x->is_relayed = self->fetch.was_sent;
	exchange_abort(self->x, reason);
}

static void destroy(void *arg)
{
	free(arg);
}

static void on_client_end(struct exchange *x, void *arg)
{
	struct relay *self = arg;

	timer_close(x->loop, &self->timer);
	self->fetch.end_reason = x->reason;
	self->fetch.is_refused = x->state == EXCHANGE_REQUESTED;
	fetch_cancel(&self->fetch);
	/* A client that has gone before the head: the owner has the line, if it has the request. */
	x->is_relayed |= self->fetch.was_sent;
	loop_bury(x->loop, &self->grave, destroy, self);
}

static struct request_head *make_head(struct exchange *x)
{
	struct request_head *head = arena_alloc(&x->arena, sizeof(*head));

	*head = *x->req;
	fields_copy(&head->fields, &x->req->fields, &x->arena);
	fields_add_id(&head->fields, &x->arena, FIELD_POLLUX_HOP, relay_hop_write(x));
	return head;
}

void relay_start(struct exchange *x, struct backend *owner)
{
	static const struct handler handler = {.on_end = on_client_end};
	static const struct fetch_owner fetch_owner = {
		.on_interim = on_interim,
		.on_head = on_head,
		.on_end = on_fetch_end,
		.on_failed = on_failed,
	};
	struct relay *self = memory_alloc(sizeof(*self));
	struct fetch *fetch = &self->fetch;

	self->x = x;
	self->progress = self->progress_ms = 0;
	timer_init(&self->timer, look, self);
	/* Bodies have their limits at the owner. */
	x->max_body_size = 0;
	fetch_init(fetch, x->loop, &x->arena, make_head(x), &fetch_owner, self);
	fetch->body = x->req->body;
	fetch->is_websocket = x->req->is_websocket;
	fetch->may_retry = method_is_idempotent(x->req->method);
	if (fetch->body != BODY_NONE || fetch->is_websocket)
		fetch->req_body = &x->req_body;
	fetch->res_body = &x->res_body;
	if (relay_hop_can_carry_trailers(x))
		fetch->req_trailers = (const struct fields *const *)&x->req_trailers;
	fetch->res_trailers = &x->res_trailers;
	/* No timeouts: how long an answer or a message may take is the owner's business, and one
	 * that stands still answers no ping. */
	exchange_set_handler(x, &handler, self);
	backend_fetch(owner, fetch);
}
