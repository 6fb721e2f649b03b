/*
 * Invariants: a frame is put into the response pipe whole, so control frames may be put there at
 * any time. Nothing follows our close but the end of the pipe, which is put there once the client's
 * close has come too.
 */
#include "bridge/client/ws_endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/http/date.h"
#include "proxy/http/ws_frame.h"
#include "proxy/http/ws_message.h"
#include "proxy/route/hop_client.h"

enum ws_endpoint_state {
	WS_ENDPOINT_OPEN,
	WS_ENDPOINT_CLOSING, /* our close is out, the client's is awaited */
	WS_ENDPOINT_ENDING,  /* nothing more is said: the connection is to end */
	WS_ENDPOINT_OVER,    /* dies at the end of the turn */
};

struct ws_endpoint {
	struct exchange *x;
	const struct ws_endpoint_owner *owner;
	void *arg;
	struct ws_message messages;
	uint64_t ping_ms;
	uint64_t pong_ms;
	uint64_t stall_ms;

	uint64_t n_sent;
	uint64_t progress;    /* exchange_progress when last looked at */
	uint64_t progress_ms; /* when it last grew */
	uint64_t check_ms;    /* next look at it; TIMER_NEVER: all was acknowledged */
	uint64_t ping_due_ms; /* OPEN: the next ping, or the end of patience with its answer */
	struct timer timer;
	struct notice resume; /* there may be something to read */

	enum ws_endpoint_state state;
	bool is_reading;
	bool is_ping_out; /* nothing has come since it went */
	bool owes_pong;
	uint8_t pong_size;
	uint8_t pong[WS_CONTROL_MAX];
	struct grave grave;
};

/* How long a client may take to end a connection, or to close its side of the handshake. */
#define CLOSE_TIMEOUT_MS 5000

static void on_readable(void *arg);
static void on_writable(void *arg);
static void on_timer(void *arg);
static void on_end(struct exchange *x, void *arg);

/* Life. */

static bool may_follow(enum ws_endpoint_state from, enum ws_endpoint_state to)
{
	switch (from) {
	case WS_ENDPOINT_OPEN:
		return true;
	case WS_ENDPOINT_CLOSING:
		return to == WS_ENDPOINT_ENDING || to == WS_ENDPOINT_OVER;
	case WS_ENDPOINT_ENDING:
		return to == WS_ENDPOINT_OVER;
	case WS_ENDPOINT_OVER:
		return false;
	}
	return false;
}

static void set_state(struct ws_endpoint *self, enum ws_endpoint_state state)
{
	ASSERT(may_follow(self->state, state));
	self->state = state;
}

bool ws_endpoint_is_offered(const struct request_head *request, struct slice protocol)
{
	for (uint32_t i = 0; i < request->fields.n; i++) {
		const struct field *field = &request->fields.items[i];
		struct slice rest = field->value, element;

		if (field->id != FIELD_SEC_WEBSOCKET_PROTOCOL)
			continue;
		while (slice_next_element(&rest, &element))
			if (slice_equals(element, protocol))
				return true;
	}
	return false;
}

struct slice ws_endpoint_first_offered(const struct request_head *request)
{
	struct slice rest = fields_value(&request->fields, FIELD_SEC_WEBSOCKET_PROTOCOL), element;

	return slice_next_element(&rest, &element) ? element : SLICE("");
}

static struct response_head *make_head(
	struct exchange *x, const struct ws_endpoint_options *options)
{
	struct response_head *head = arena_alloc_zeroed(&x->arena, sizeof(*head));

	head->status = 101;
	head->version_minor = 1;
	head->is_upgrade = true;
	if (options->fields == NULL || fields_find(options->fields, FIELD_DATE) == NULL)
		fields_add_known(&head->fields, &x->arena, FIELD_DATE, SLICE("Date"),
			arena_copy(&x->arena, http_date()));
	if (options->protocol.n > 0)
		fields_add_known(&head->fields, &x->arena, FIELD_SEC_WEBSOCKET_PROTOCOL,
			SLICE("Sec-WebSocket-Protocol"), options->protocol);
	for (uint32_t i = 0; options->fields != NULL && i < options->fields->n; i++) {
		const struct field *field = &options->fields->items[i];

		fields_add_known(&head->fields, &x->arena, field->id, field->name, field->value);
	}
	return head;
}

static void set_ping_due(struct ws_endpoint *self)
{
	self->is_ping_out = false;
	self->ping_due_ms =
		self->ping_ms > 0 ? loop_now_ms(self->x->loop) + self->ping_ms : TIMER_NEVER;
}

static void set_timer(struct ws_endpoint *self)
{
	uint64_t due = MIN(self->check_ms, self->ping_due_ms);

	if (due == TIMER_NEVER)
		timer_cancel(&self->timer);
	else
		timer_set_at(self->x->loop, &self->timer, due);
}

struct ws_endpoint *ws_endpoint_accept(struct exchange *x,
	const struct ws_endpoint_options *options, const struct ws_endpoint_owner *owner, void *arg)
{
	static const struct handler handler = {.on_end = on_end};
	struct ws_endpoint *self = memory_alloc_zeroed(sizeof(*self));

	ASSERT(x->req->is_websocket && options->stall_ms > 0);
	self->x = x;
	self->owner = owner;
	self->arg = arg;
	self->ping_ms = options->ping_ms;
	self->pong_ms = options->pong_ms;
	self->stall_ms = options->stall_ms;
	self->check_ms = TIMER_NEVER;
	self->is_reading = true;
	ws_message_init(&self->messages, true, (size_t)options->max_message_size);
	timer_init(&self->timer, on_timer, self);
	notice_init(&self->resume, on_readable, self);
	exchange_set_handler(x, &handler, self);
	x->client_address = hop_client_address(x);
	/* Silence and stalls are watched here. */
	x->tunnel_timeout_ms = 0;
	x->says_farewell = true;
	exchange_respond(x, make_head(x, options));
	pipe_set_reader(&x->req_body, on_readable, self);
	pipe_set_writer(&x->res_body, on_writable, self);
	set_ping_due(self);
	set_timer(self);
	return self;
}

static void destroy(void *arg)
{
	free(arg);
}

static void on_end(struct exchange *x, void *arg)
{
	struct ws_endpoint *self = arg;
	bool was_open = self->state == WS_ENDPOINT_OPEN;

	set_state(self, WS_ENDPOINT_OVER);
	timer_close(x->loop, &self->timer);
	notice_cancel(x->loop, &self->resume);
	ws_message_clear(&self->messages);
	if (was_open)
		self->owner->on_closed(self->arg, WS_CODE_ABNORMAL, SLICE(""));
	if (self->owner->on_over != NULL)
		self->owner->on_over(self->arg);
	loop_bury(x->loop, &self->grave, destroy, self);
}

/* Sending. */

uint64_t ws_endpoint_n_sent(const struct ws_endpoint *self)
{
	return self->n_sent;
}

uint64_t ws_endpoint_n_acknowledged(struct ws_endpoint *self)
{
	/* All that is unacknowledged is taken for ours, the head and HTTP/2's frames included. */
	uint64_t n = exchange_unacknowledged(self->x);

	return self->n_sent - MIN(n, self->n_sent);
}

/* Whether the client has taken something since the last look. */
static bool is_taking(struct ws_endpoint *self)
{
	uint64_t progress = exchange_progress(self->x);
	bool is_more = progress > self->progress;

	self->progress = progress;
	return is_more;
}

/* Something is under way to the client from now on. */
static void start_check(struct ws_endpoint *self)
{
	if (self->check_ms != TIMER_NEVER)
		return;
	(void)is_taking(self);
	self->progress_ms = loop_now_ms(self->x->loop);
	self->check_ms = self->progress_ms + MAX(self->stall_ms / 4, UINT64_C(1));
	set_timer(self);
}

static void put_frame(
	struct ws_endpoint *self, enum ws_opcode opcode, const void *payload, size_t n)
{
	uint8_t head[WS_FRAME_HEAD_MAX];
	size_t n_head = ws_frame_write_head(head, true, opcode, n, NULL);

	pipe_put_copy(&self->x->res_body, head, n_head);
	if (n > 0)
		pipe_put_copy(&self->x->res_body, payload, n);
	self->n_sent += n_head + n;
	start_check(self);
}

void ws_endpoint_send(struct ws_endpoint *self, enum message_kind kind, struct slice payload)
{
	ASSERT(kind != MESSAGE_CLOSE);
	if (self->state == WS_ENDPOINT_OPEN)
		put_frame(self, kind == MESSAGE_TEXT ? WS_OP_TEXT : WS_OP_BINARY, payload.p,
			payload.n);
}

size_t ws_endpoint_room(struct ws_endpoint *self)
{
	return pipe_room(&self->x->res_body);
}

static void answer_ping(struct ws_endpoint *self)
{
	if (!self->owes_pong || ws_endpoint_room(self) == 0)
		return;
	self->owes_pong = false;
	put_frame(self, WS_OP_PONG, self->pong, self->pong_size);
}

static void on_writable(void *arg)
{
	struct ws_endpoint *self = arg;

	if (self->state != WS_ENDPOINT_OPEN)
		return;
	answer_ping(self);
	if (self->owner->on_room != NULL && ws_endpoint_room(self) > 0)
		self->owner->on_room(self->arg);
}

/* Ending. */

static void put_close(struct ws_endpoint *self, uint16_t code, struct slice reason)
{
	uint8_t payload[WS_CONTROL_MAX];

	if (!ws_close_code_is_valid(code))
		code = WS_CODE_NO_STATUS;
	put_frame(self, WS_OP_CLOSE, payload, ws_close_write(payload, code, reason));
}

/* What the client still sends is read, so that its end is seen. */
static void let_go(struct ws_endpoint *self, enum ws_endpoint_state state)
{
	set_state(self, state);
	if (state == WS_ENDPOINT_ENDING)
		pipe_put_end(&self->x->res_body);
	(void)is_taking(self);
	timer_set_in(self->x->loop, &self->timer, CLOSE_TIMEOUT_MS);
	self->is_reading = true;
	notice_post(self->x->loop, &self->resume);
}

void ws_endpoint_close(struct ws_endpoint *self, uint16_t code, struct slice reason)
{
	if (self->state != WS_ENDPOINT_OPEN)
		return;
	put_close(self, code, reason);
	let_go(self, WS_ENDPOINT_CLOSING);
}

void ws_endpoint_abort(struct ws_endpoint *self, enum reason reason)
{
	if (self->state == WS_ENDPOINT_OVER)
		return;
	if (self->state != WS_ENDPOINT_ENDING)
		let_go(self, WS_ENDPOINT_ENDING);
	/* Or the codec would wait until it has left. */
	pipe_close_reader(&self->x->res_body);
	exchange_abort(self->x, reason);
}

static void tell_closed(struct ws_endpoint *self, uint16_t code, struct slice reason)
{
	self->owner->on_closed(self->arg, code, reason);
}

static void give_up(struct ws_endpoint *self, enum reason reason)
{
	ws_endpoint_abort(self, reason);
	tell_closed(self, WS_CODE_ABNORMAL, SLICE(""));
}

/* Receiving. */

/* The client's close, its answer to ours, or its breach of the rules. */
static void take_close(struct ws_endpoint *self, struct slice reason, struct slice answer)
{
	uint16_t code = self->messages.close_code;
	bool was_open = self->state == WS_ENDPOINT_OPEN;

	if (was_open)
		put_close(self, code, answer);
	let_go(self, WS_ENDPOINT_ENDING);
	if (was_open)
		tell_closed(self, code, reason);
}

static void take_error(struct ws_endpoint *self)
{
	struct slice error = slice_from_string(self->messages.error);

	log_debug("exchange %llu: websocket: %s", (unsigned long long)self->x->id,
		self->messages.error);
	exchange_set_reason(self->x, REASON_BAD_WEBSOCKET);
	take_close(self, error, error);
}

static void take_message(struct ws_endpoint *self, enum message_kind kind)
{
	if (self->state == WS_ENDPOINT_OPEN)
		self->owner->on_message(self->arg, kind, self->messages.payload);
}

static void take_ping(struct ws_endpoint *self)
{
	struct slice payload = self->messages.payload;

	if (payload.n > 0)
		memcpy(self->pong, payload.p, payload.n);
	self->pong_size = (uint8_t)payload.n;
	self->owes_pong = true;
	answer_ping(self);
}

static void take_event(struct ws_endpoint *self, enum ws_event event)
{
	switch (event) {
	case WS_MORE:
	case WS_PONG:
		break;
	case WS_TEXT:
		take_message(self, MESSAGE_TEXT);
		break;
	case WS_BINARY:
		take_message(self, MESSAGE_BINARY);
		break;
	case WS_PING:
		if (self->state == WS_ENDPOINT_OPEN)
			take_ping(self);
		break;
	case WS_CLOSE:
		take_close(self, self->messages.payload, SLICE(""));
		break;
	case WS_ERROR:
		take_error(self);
		break;
	}
}

static bool is_listening(const struct ws_endpoint *self)
{
	return self->state == WS_ENDPOINT_CLOSING ||
		(self->state == WS_ENDPOINT_OPEN && self->is_reading);
}

static void read_messages(struct ws_endpoint *self)
{
	struct pipe *from = &self->x->req_body;

	while (is_listening(self) && pipe_size(from) > 0) {
		struct slice front = bytes_front(&from->bytes);
		const uint8_t *p = (const uint8_t *)front.p;
		size_t n = front.n;
		enum ws_event event = ws_message_feed(&self->messages, &p, &n);

		set_ping_due(self);
		take_event(self, event);
		pipe_drain(from, front.n - n);
	}
	if (self->state == WS_ENDPOINT_OPEN)
		set_timer(self);
}

/* RFC 6455 section 7.1.5: an end without a close frame. */
static void take_end(struct ws_endpoint *self)
{
	bool was_open = self->state == WS_ENDPOINT_OPEN;

	exchange_set_reason(self->x, REASON_TUNNEL_CUT);
	let_go(self, WS_ENDPOINT_ENDING);
	if (was_open)
		tell_closed(self, WS_CODE_ABNORMAL, SLICE(""));
}

static void on_readable(void *arg)
{
	struct ws_endpoint *self = arg;
	struct pipe *from = &self->x->req_body;

	read_messages(self);
	if (self->state == WS_ENDPOINT_ENDING)
		pipe_drain(from, pipe_size(from));
	else if (is_listening(self) && (from->has_end || from->is_aborted))
		take_end(self);
}

void ws_endpoint_set_reading(struct ws_endpoint *self, bool is_on)
{
	if (self->state != WS_ENDPOINT_OPEN)
		return;
	self->is_reading = is_on;
	if (is_on)
		notice_post(self->x->loop, &self->resume);
}

/* Time. */

/* False: given up. */
static bool check_stall(struct ws_endpoint *self, uint64_t now)
{
	if (is_taking(self))
		self->progress_ms = now;
	if (exchange_unacknowledged(self->x) == 0) {
		self->check_ms = TIMER_NEVER;
		return true;
	}
	self->check_ms = now + MAX(self->stall_ms / 4, UINT64_C(1));
	if (now - self->progress_ms < self->stall_ms)
		return true;
	give_up(self, REASON_CLIENT_STALL);
	return false;
}

static void check_silence(struct ws_endpoint *self, uint64_t now)
{
	/* While it is held back, its silence is ours. */
	bool is_held = !self->is_reading || pipe_size(&self->x->req_body) > 0;

	if (is_held) {
		self->ping_due_ms = now + self->ping_ms;
	} else if (self->is_ping_out) {
		give_up(self, REASON_TUNNEL_TIMEOUT);
	} else if (ws_endpoint_room(self) == 0) {
		/* Behind what it does not take a ping would say nothing; see check_stall. */
		self->ping_due_ms = now + self->ping_ms;
	} else {
		put_frame(self, WS_OP_PING, NULL, 0);
		self->is_ping_out = true;
		self->ping_due_ms = now + self->pong_ms;
	}
}

static void on_timer(void *arg)
{
	struct ws_endpoint *self = arg;
	uint64_t now = loop_now_ms(self->x->loop);

	switch (self->state) {
	case WS_ENDPOINT_OPEN:
		if (self->check_ms <= now && !check_stall(self, now))
			break;
		if (self->ping_due_ms <= now)
			check_silence(self, now);
		if (self->state == WS_ENDPOINT_OPEN)
			set_timer(self);
		break;
	case WS_ENDPOINT_CLOSING:
	case WS_ENDPOINT_ENDING:
		if (is_taking(self) && exchange_unacknowledged(self->x) > 0)
			timer_set_in(self->x->loop, &self->timer, CLOSE_TIMEOUT_MS);
		else
			ws_endpoint_abort(self, REASON_TUNNEL_TIMEOUT);
		break;
	case WS_ENDPOINT_OVER:
		break;
	}
}
