#include "bridge/client/sockjs_receive.h"

#include "bridge/client/sockjs_encode.h"
#include "bridge/client/sockjs_session.h"
#include "bridge/client/transport_frames.h"
#include "proxy/http/ws_frame.h"

/* A receiver that waits for the backend to take its session. */
struct sockjs_opening {
	struct sockjs_exchange *sx;
	struct session *session;
	struct session_waiter waiter;
	struct timer head_wait;
	bool has_head; /* the response has begun */
};

/*
 * How long the backend may take before a response that is no poll's begins. Until then a refusal is
 * answered with its own status; the client hears of the session not a moment later either way.
 */
#define HEAD_WAIT_MS 500

/* Frames. */

static void wrap(struct sockjs_exchange *self, struct bytes *out, struct bytes *frame)
{
	sockjs_encode_wrap(out, self->request.transport, self->request.callback, frame);
}

static void encode(
	void *arg, struct bytes *out, const struct message *first, const struct message *last)
{
	struct bytes frame;

	bytes_init(&frame);
	if (first->kind == MESSAGE_CLOSE)
		sockjs_encode_close(&frame, first->code, message_payload(first));
	else
		sockjs_encode_messages(&frame, first, last);
	wrap(arg, out, &frame);
}

static void encode_heartbeat(void *arg, struct bytes *out)
{
	struct bytes frame;

	bytes_init(&frame);
	sockjs_encode_heartbeat(&frame);
	wrap(arg, out, &frame);
}

static void encode_close(
	struct sockjs_exchange *self, struct bytes *out, uint16_t code, struct slice reason)
{
	struct bytes frame;

	bytes_init(&frame);
	sockjs_encode_close(&frame, code, reason);
	wrap(self, out, &frame);
}

static void encode_end(void *arg, struct bytes *out)
{
	encode_close(arg, out, WS_CODE_GOING_AWAY, SLICE("Going away"));
}

static void respond(void *arg)
{
	sockjs_answer_start(arg, NULL);
}

static const struct frames_form form = {
	.respond = respond,
	.encode = encode,
	.encode_heartbeat = encode_heartbeat,
	.encode_end = encode_end,
};

static bool is_polling(const struct sockjs_exchange *self)
{
	return self->request.transport == SOCKJS_XHR || self->request.transport == SOCKJS_JSONP;
}

/* Takes the response over; `lead` may have nothing in it. */
static void attach(struct sockjs_exchange *self, struct session *session, struct frames_lead *lead)
{
	const struct conf_route *route = self->bridge->route;
	struct frames_options options = {
		.limit = is_polling(self) ? 1 : route->sockjs_response_limit,
		.heartbeat_ms = (uint64_t)route->sockjs_heartbeat_ms,
	};

	transport_frames_start(self->x, session, lead, &options, &form, self);
}

static void encode_prelude(struct sockjs_exchange *self, struct bytes *out)
{
	sockjs_encode_prelude(out, self->request.transport, self->request.callback);
}

/* A response that is over with one frame; each piece goes out for itself. */
struct sockjs_last_words {
	struct exchange *x;
	struct bytes frame;
};

static void on_last_words_writable(void *arg)
{
	struct sockjs_last_words *self = arg;

	if (self->x->res_body.is_reader_gone || pipe_room(&self->x->res_body) == 0)
		return;
	pipe_put(&self->x->res_body, &self->frame, bytes_size(&self->frame));
	pipe_put_end(&self->x->res_body);
	pipe_set_writer(&self->x->res_body, NULL, NULL);
}

static void on_last_words_end(struct exchange *x, void *arg)
{
	struct sockjs_last_words *self = arg;

	(void)x;
	bytes_clear(&self->frame);
}

/* Behind the head and, where they stand, the prelude. */
static void say_last(struct sockjs_exchange *self, uint16_t code, struct slice reason)
{
	static const struct handler handler = {.on_end = on_last_words_end};
	struct sockjs_last_words *words = arena_alloc_zeroed(&self->x->arena, sizeof(*words));

	words->x = self->x;
	bytes_init(&words->frame);
	encode_close(self, &words->frame, code, reason);
	exchange_set_handler(self->x, &handler, words);
	self->x->res_body.limit = 1;
	pipe_set_writer(&self->x->res_body, on_last_words_writable, words);
	on_last_words_writable(words);
}

static void answer_close(struct sockjs_exchange *self, uint16_t code, struct slice reason)
{
	struct bytes prelude;

	bytes_init(&prelude);
	encode_prelude(self, &prelude);
	sockjs_answer_start(self, NULL);
	pipe_put(&self->x->res_body, &prelude, bytes_size(&prelude));
	say_last(self, code, reason);
}

/* A session that is there. */

static void set_session(struct sockjs_exchange *self)
{
	self->x->session_label = sockjs_mask_session(self->request.session, &self->x->arena);
}

static void go_on(struct sockjs_exchange *self, struct session *session)
{
	struct frames_lead lead;

	set_session(self);
	session_touch(session);
	if (session->state == SESSION_OPENING || transport_frames_is_waiting(session)) {
		answer_close(self, 2010, SLICE("Another connection still open"));
		return;
	}
	if (session->close != NULL && session->sent >= session->close->seq) {
		answer_close(self, session->close->code,
			arena_copy(&self->x->arena, message_payload(session->close)));
		return;
	}
	bytes_init(&lead.prelude);
	bytes_init(&lead.frame);
	encode_prelude(self, &lead.prelude);
	/* A poll's head says nothing that its one frame does not say. */
	lead.has_head = !is_polling(self);
	if (lead.has_head)
		sockjs_answer_start(self, NULL);
	attach(self, session, &lead);
}

/* A new one. */

static void on_opened(void *arg, const struct feed_acceptance *acceptance)
{
	struct sockjs_opening *self = arg;
	struct sockjs_exchange *sx = self->sx;
	struct session *session = self->session;
	struct frames_lead lead;
	struct bytes frame;

	self->session = NULL;
	timer_close(sx->x->loop, &self->head_wait);
	sx->x->server_name = acceptance->server_name;
	bytes_init(&lead.prelude);
	bytes_init(&lead.frame);
	if (!self->has_head) {
		encode_prelude(sx, &lead.prelude);
		sockjs_answer_start(sx, acceptance->fields);
	}
	lead.has_head = true;
	bytes_init(&frame);
	sockjs_encode_open(&frame);
	wrap(sx, &lead.frame, &frame);
	attach(sx, session, &lead);
}

static void on_refused(void *arg, const struct feed_refusal *refusal)
{
	struct sockjs_opening *self = arg;
	struct sockjs_exchange *sx = self->sx;

	self->session = NULL;
	timer_close(sx->x->loop, &self->head_wait);
	if (!self->has_head) {
		sockjs_answer_refusal(sx, refusal);
		return;
	}
	sx->x->server_name = refusal->server_name;
	exchange_set_reason(sx->x, refusal->reason);
	say_last(sx, WS_CODE_INTERNAL_ERROR, SLICE("No connection to the backend"));
}

static void on_head_wait(void *arg)
{
	struct sockjs_opening *self = arg;
	struct bytes prelude;

	self->has_head = true;
	bytes_init(&prelude);
	encode_prelude(self->sx, &prelude);
	sockjs_answer_start(self->sx, NULL);
	pipe_put(&self->sx->x->res_body, &prelude, bytes_size(&prelude));
}

static void on_end(struct exchange *x, void *arg)
{
	struct sockjs_opening *self = arg;

	timer_close(x->loop, &self->head_wait);
	if (self->session != NULL)
		session_remove_waiter(self->session, &self->waiter);
	self->session = NULL;
}

static void open_session(struct sockjs_exchange *sx)
{
	static const struct handler handler = {.on_end = on_end};
	struct bridge *bridge = sx->bridge;
	struct sockjs_opening *self;

	if (!sockjs_session_has_room(sx)) {
		sockjs_answer_no_room(sx);
		return;
	}
	self = arena_alloc_zeroed(&sx->x->arena, sizeof(*self));
	self->sx = sx;
	timer_init(&self->head_wait, on_head_wait, self);
	exchange_set_handler(sx->x, &handler, self);
	set_session(sx);
	self->session = session_table_add_named(&bridge->table, sx->x,
		sockjs_base(slice_from_string(bridge->route->path)), sx->request.session);
	sockjs_session_start(sx, self->session);
	self->waiter = (struct session_waiter){
		.on_opened = on_opened, .on_refused = on_refused, .arg = self};
	session_add_waiter(self->session, &self->waiter);
	if (!is_polling(sx))
		timer_set_in(bridge->loop, &self->head_wait, HEAD_WAIT_MS);
}

/* Before the session is touched. */
static bool refuse_callback(struct sockjs_exchange *self)
{
	if (self->request.transport != SOCKJS_JSONP && self->request.transport != SOCKJS_HTMLFILE)
		return false;
	switch (self->request.callback_state) {
	case SOCKJS_CALLBACK_GOOD:
		return false;
	case SOCKJS_CALLBACK_MISSING:
		sockjs_answer_text(self, 500, SLICE("\"callback\" parameter required\n"));
		return true;
	case SOCKJS_CALLBACK_BAD:
		sockjs_answer_text(self, 500, SLICE("invalid \"callback\" parameter\n"));
		return true;
	}
	return true;
}

void sockjs_receive_start(struct sockjs_exchange *self)
{
	struct session_table *table = &self->bridge->table;
	struct slice name = self->request.session;
	struct session *session;

	if (refuse_callback(self))
		return;
	session = session_table_find_named(table, self->x, name);
	if (session != NULL) {
		go_on(self, session);
	} else if (session_table_is_taken(table, name)) {
		set_session(self);
		answer_close(self, 1002, SLICE("Connection interrupted"));
	} else {
		open_session(self);
	}
}
