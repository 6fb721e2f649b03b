/* The transport of a new session until it has been told its id: takes exactly the first item. */
#include "bridge/client/engineio_open.h"

#include "proxy/base/log.h"
#include "proxy/http/ws_frame.h"
#include "proxy/route/hop_client.h"

struct engineio_opening {
	struct transport base;
	struct engineio_exchange *ex;
	struct session *session; /* that is being opened, or whose open packet is waited for */
	struct session_waiter waiter;
	struct timer wait;
	bool is_waiting; /* the waiter stands in the session's list */
	struct slice sid;
};

/* Answers. */

static struct session *let_go(struct engineio_opening *self)
{
	struct session *session = self->session;

	self->session = NULL;
	timer_cancel(&self->wait);
	session_detach(&self->base);
	return session;
}

/* The backend speaks something else, or nothing. */
static void fail(struct engineio_opening *self, enum reason reason, const char *why)
{
	struct session *session = let_go(self);

	log_warn("backend \"%s\": engine.io: %s", self->ex->bridge->route->backend_name, why);
	session_forget(session, WS_CODE_PROTOCOL_ERROR);
	engineio_answer_failure(self->ex, NULL, reason);
}

static void answer(struct engineio_opening *self, struct message *first)
{
	struct engineio_exchange *ex = self->ex;
	const struct conf_route *route = ex->bridge->route;
	struct engineio_open open;
	struct session *session = self->session;
	struct bytes packet;

	bytes_init(&packet);
	if (first->kind != MESSAGE_TEXT ||
		!engineio_open_rewrite(message_payload(first), session_id(session),
			route->engineio_upgrade && route->websocket, route->max_message_size, &open,
			&packet)) {
		fail(self, REASON_BACKEND_PROTOCOL, "no open packet");
		return;
	}
	session_set_sent(session, first, 0);
	engineio_session_start(session, &open, &ex->accepted);
	(void)let_go(self);
	engineio_answer_open(ex, &packet);
}

static void on_wake(struct transport *base)
{
	struct engineio_opening *self = CONTAINER_OF(base, struct engineio_opening, base);
	struct message *first = session_item_after(self->session, 0);

	if (first != NULL)
		answer(self, first);
}

static void on_wait(void *arg)
{
	fail(arg, REASON_RESPONSE_TIMEOUT, "no open packet in time");
}

/* Pollux is leaving. */
static void on_end_by_session(struct transport *base, enum transport_end why)
{
	struct engineio_opening *self = CONTAINER_OF(base, struct engineio_opening, base);

	(void)why;
	self->session = NULL;
	timer_cancel(&self->wait);
	engineio_answer_failure(self->ex, NULL, REASON_DRAIN);
}

/* Dialling. */

static void on_opened(void *arg, const struct feed_acceptance *acceptance)
{
	static const struct transport_ops ops = {.wake = on_wake, .end = on_end_by_session};
	struct engineio_opening *self = arg;
	struct engineio_exchange *ex = self->ex;

	self->is_waiting = false;
	ex->x->server_name = acceptance->server_name;
	fields_copy(&ex->accepted, acceptance->fields, &ex->x->arena);
	self->base.ops = &ops;
	session_attach(self->session, &self->base, 0);
	timer_set_in(ex->x->loop, &self->wait,
		(uint64_t)backend_conf(ex->bridge->backend)->response_timeout_ms);
}

static void on_refused(void *arg, const struct feed_refusal *refusal)
{
	struct engineio_opening *self = arg;

	self->is_waiting = false;
	self->session = NULL;
	self->ex->x->server_name = refusal->server_name;
	exchange_set_reason(self->ex->x, refusal->reason);
	engineio_answer_refusal(self->ex, refusal);
}

static void dial(struct engineio_opening *self)
{
	struct engineio_exchange *ex = self->ex;
	struct bridge *bridge = ex->bridge;
	struct arena *arena = &ex->x->arena;
	struct feed_target target = {
		.path = ex->path,
		.query = engineio_request_query(ex->x->req, arena),
		.has_query = true,
	};

	self->session =
		session_table_add(&bridge->table, ex->x, engineio_session_path(ex->path, arena));
	self->sid = arena_copy(arena, session_id(self->session));
	ex->x->session_label = session_id_mask(self->sid, arena);
	session_open(self->session,
		bridge_new_feed(bridge, &target, ex->x, &session_feed_owner, self->session));
	self->waiter = (struct session_waiter){
		.on_opened = on_opened, .on_refused = on_refused, .arg = self};
	self->is_waiting = true;
	session_add_waiter(self->session, &self->waiter);
}

/* Start and end. */

/* A client that did not get the answer does not know its session. */
static void on_end(struct exchange *x, void *arg)
{
	struct engineio_opening *self = arg;
	struct engineio_session *session;

	timer_close(x->loop, &self->wait);
	if (self->is_waiting) {
		session_remove_waiter(self->session, &self->waiter);
	} else if (self->session != NULL) {
		session_forget(let_go(self), WS_CODE_GOING_AWAY);
	} else if (x->reason != REASON_NONE && self->sid.n > 0) {
		session = engineio_session_find(self->ex->bridge, x, self->ex->path, self->sid);
		if (session != NULL)
			engineio_session_end(session, WS_CODE_GOING_AWAY);
	}
}

void engineio_open_start(struct engineio_exchange *ex)
{
	static const struct handler handler = {.on_end = on_end};
	struct engineio_opening *self = arena_alloc_zeroed(&ex->x->arena, sizeof(*self));
	struct bridge *bridge = ex->bridge;

	self->ex = ex;
	timer_init(&self->wait, on_wait, self);
	exchange_set_handler(ex->x, &handler, self);
	if (bridge->is_draining)
		engineio_answer_failure(ex, NULL, REASON_DRAIN);
	else if (!bridge_has_conns(bridge) ||
		!session_table_has_room(&bridge->table, hop_client_address(ex->x)))
		engineio_answer_failure(ex, NULL, REASON_OVERLOAD);
	else
		dial(self);
}
