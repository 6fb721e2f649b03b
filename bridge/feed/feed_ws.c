/*
 * Invariants: `queue` is empty, or the pipe to the backend was full when it was last looked at. A
 * frame is put into the pipe whole, so control frames may be put there at any time. Once the
 * owner has been told the end (or has left) nothing but the closing handshake is of interest.
 */
#include "bridge/feed/feed_ws.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/feed/feed_ws_request.h"
#include "bridge/feed/frame_marks.h"
#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"
#include "proxy/http/ws_message.h"

enum feed_ws_state {
	FEED_WS_OPENING,
	FEED_WS_REFUSED, /* the body of another answer than 101 is coming */
	FEED_WS_OPEN,
	FEED_WS_FINISHING, /* what is queued is being sent, then our close */
	FEED_WS_CLOSING,   /* a close has gone out or never will; the connection is to end */
	FEED_WS_CLOSED,
};

struct feed_ws {
	struct feed base;
	struct loop *loop;
	const struct conf_route *route;
	struct feed_list *feeds;
	struct arena arena; /* request and answer; cleared once open */
	const struct request_head *request;
	const struct response_head *answer; /* REFUSED */
	struct fetch fetch;
	struct pipe to_backend;
	struct pipe from_backend;
	struct bytes body; /* REFUSED */
	struct ws_message messages;

	struct message_list queue;
	size_t queue_cost;
	uint32_t n_queue;
	struct frame_marks marks; /* data frames put into the pipe */
	uint64_t n_put;		  /* bytes put into the pipe */
	uint64_t n_passed;	  /* FINISHING: bytes that TCP had taken when last looked at */
	uint64_t progress_ms;	  /* FINISHING: when that last grew */
	uint64_t recheck_ms;	  /* FINISHING: until the next look */

	struct timer timer;   /* OPEN: ping; FINISHING, CLOSING: the end of patience */
	struct notice tidy;   /* clears the arena */
	struct notice resume; /* there may be something to read */
	struct notice pump;   /* there may be something to send */
	enum feed_ws_state state;
	uint16_t finish_code;
	struct slice finish_reason; /* own memory */
	bool is_reading;
	bool has_heard;	  /* since the timer was set for a ping */
	bool is_ping_out; /* nothing has come since it went */
	bool has_sent_close;
	struct grave grave;
};

/* How long a backend may take to end a connection after the closing handshake. */
#define CLOSE_TIMEOUT_MS 5000
/* Between two looks whether TCP has taken all. */
#define MAX_RECHECK_MS 100
/* Of a refusal's body. */
#define MAX_REFUSAL_BODY (256 * 1024)

static const struct feed_ops feed_ws_ops;
static const struct fetch_owner fetch_owner;
static void on_readable(void *arg);
static void on_writable(void *arg);
static void on_timer(void *arg);
static void on_tidy(void *arg);

/* Life. */

struct feed *feed_ws_new(const struct feed_ws_place *place, const struct feed_target *target,
	struct exchange *x, const struct feed_owner *owner, void *arg)
{
	struct feed_ws *self = memory_alloc_zeroed(sizeof(*self));
	const struct conf_backend *backend = backend_conf(place->backend);
	size_t limit = MIN((size_t)place->route->queue_size, (size_t)PIPE_LIMIT_DEFAULT);

	self->base = (struct feed){.ops = &feed_ws_ops, .owner = owner, .arg = arg};
	feed_count(1);
	self->loop = place->loop;
	self->route = place->route;
	self->feeds = place->feeds;
	self->is_reading = true;
	arena_init(&self->arena);
	pipe_init(&self->to_backend, self->loop, limit);
	pipe_init(&self->from_backend, self->loop, PIPE_LIMIT_DEFAULT);
	bytes_init(&self->body);
	TAILQ_INIT(&self->queue);
	frame_marks_init(&self->marks);
	ws_message_init(&self->messages, false, (size_t)self->route->max_message_size);
	timer_init(&self->timer, on_timer, self);
	notice_init(&self->tidy, on_tidy, self);
	notice_init(&self->resume, on_readable, self);
	notice_init(&self->pump, on_writable, self);
	TAILQ_INSERT_TAIL(self->feeds, &self->base, link);

	self->request = feed_ws_request_make(self->route, target, x, &self->arena);
	fetch_init(&self->fetch, self->loop, &self->arena, self->request, &fetch_owner, self);
	self->fetch.body = BODY_NONE;
	self->fetch.is_websocket = true;
	self->fetch.may_retry = true;
	self->fetch.req_body = &self->to_backend;
	self->fetch.res_body = &self->from_backend;
	self->fetch.timeouts = (struct fetch_timeouts){
		.response_ms = (uint64_t)backend->response_timeout_ms,
		.read_ms = (uint64_t)backend->read_timeout_ms,
		.write_ms = (uint64_t)backend->write_timeout_ms,
	};
	backend_fetch(place->backend, &self->fetch);
	return &self->base;
}

static void feed_ws_free(void *arg)
{
	struct feed_ws *self = arg;

	arena_clear(&self->arena);
	free((char *)self->finish_reason.p);
	feed_count(-1);
	free(self);
}

/* Cuts the connection if there is one. */
static void feed_ws_die(struct feed_ws *self)
{
	if (self->state == FEED_WS_CLOSED)
		return;
	self->state = FEED_WS_CLOSED;
	self->base.owner = NULL;
	fetch_cancel(&self->fetch);
	pipe_close(&self->to_backend);
	pipe_close(&self->from_backend);
	bytes_clear(&self->body);
	message_list_clear(&self->queue);
	frame_marks_clear(&self->marks);
	ws_message_clear(&self->messages);
	timer_close(self->loop, &self->timer);
	notice_cancel(self->loop, &self->tidy);
	notice_cancel(self->loop, &self->resume);
	notice_cancel(self->loop, &self->pump);
	TAILQ_REMOVE(self->feeds, &self->base, link);
	loop_bury(self->loop, &self->grave, feed_ws_free, self);
}

static void on_tidy(void *arg)
{
	struct feed_ws *self = arg;

	self->request = NULL;
	self->fetch.req = NULL;
	arena_clear(&self->arena);
}

/* Opening. */

static void refuse(struct feed_ws *self, enum reason reason)
{
	unsigned status = reason_status(reason);
	struct feed_refusal refusal = {
		.reason = reason,
		.status = status != 0 ? status : 502,
		.server_name = self->fetch.server_name,
	};
	const struct feed_owner *owner = self->base.owner;

	self->base.owner = NULL;
	if (owner != NULL)
		owner->on_refused(self->base.arg, &refusal);
	feed_ws_die(self);
}

static void pass_refusal(struct feed_ws *self)
{
	struct feed_refusal refusal = {
		.status = self->answer->status,
		.fields = &self->answer->fields,
		.server_name = self->fetch.server_name,
		.body = bytes_linearize(&self->body, bytes_size(&self->body)),
	};
	const struct feed_owner *owner = self->base.owner;

	self->base.owner = NULL;
	if (owner != NULL)
		owner->on_refused(self->base.arg, &refusal);
	feed_ws_die(self);
}

static void read_refusal(struct feed_ws *self)
{
	(void)pipe_take(&self->from_backend, &self->body, pipe_size(&self->from_backend));
	if (bytes_size(&self->body) > MAX_REFUSAL_BODY)
		refuse(self, REASON_BACKEND_PROTOCOL);
	else if (self->from_backend.is_aborted)
		refuse(self, REASON_BACKEND_CUT);
	else if (self->from_backend.has_end)
		pass_refusal(self);
}

static void set_ping_timer(struct feed_ws *self)
{
	self->has_heard = false;
	if (self->route->backend_ping_ms > 0)
		timer_set_in(self->loop, &self->timer, (uint64_t)self->route->backend_ping_ms);
}

static void start_messages(struct feed_ws *self, const struct response_head *head)
{
	struct feed_acceptance acceptance = {
		.protocol = fields_value(&head->fields, FIELD_SEC_WEBSOCKET_PROTOCOL),
		.fields = &head->fields,
		.server_name = self->fetch.server_name,
	};

	self->state = FEED_WS_OPEN;
	pipe_set_writer(&self->to_backend, on_writable, self);
	pipe_set_reader(&self->from_backend, on_readable, self);
	set_ping_timer(self);
	notice_post(self->loop, &self->tidy);
	if (self->base.owner != NULL)
		self->base.owner->on_open(self->base.arg, &acceptance);
}

static void on_head(void *arg, struct response_head *head)
{
	struct feed_ws *self = arg;
	const char *why;

	if (!head->is_upgrade) {
		if (head->status < 300) {
			refuse(self, REASON_BACKEND_PROTOCOL);
			return;
		}
		self->state = FEED_WS_REFUSED;
		self->answer = head;
		pipe_set_reader(&self->from_backend, on_readable, self);
		return;
	}
	why = feed_ws_request_check(self->request, head);
	if (why != NULL) {
		log_warn("backend \"%s\": %s: %s", self->route->backend_name,
			self->fetch.server_name, why);
		refuse(self, REASON_BACKEND_PROTOCOL);
		return;
	}
	start_messages(self, head);
}

static void on_interim(void *arg, struct response_head *head)
{
	(void)arg;
	(void)head;
}

/* Sending. */

/* Asked for one by one, masks would take a tenth of what a frame costs. */
static void take_mask(uint8_t mask[4])
{
	static uint8_t pool[1024];
	static size_t n_left;

	if (n_left == 0) {
		ASSERT(RAND_bytes(pool, sizeof(pool)) == 1);
		n_left = sizeof(pool);
	}
	n_left -= 4;
	memcpy(mask, pool + n_left, 4);
}

static void put_frame(struct feed_ws *self, enum ws_opcode opcode, void *payload, size_t n)
{
	uint8_t head[WS_FRAME_HEAD_MAX], mask[4];
	size_t n_head;

	take_mask(mask);
	n_head = ws_frame_write_head(head, true, opcode, n, mask);
	pipe_put_copy(&self->to_backend, head, n_head);
	if (n > 0) {
		ws_frame_mask(payload, payload, n, mask, 0);
		pipe_put_copy(&self->to_backend, payload, n);
	}
	self->n_put += n_head + n;
}

static void put_close(struct feed_ws *self, uint16_t code, struct slice reason)
{
	uint8_t payload[WS_CONTROL_MAX];

	if (self->has_sent_close)
		return;
	self->has_sent_close = true;
	if (!ws_close_code_is_valid(code))
		code = WS_CODE_NO_STATUS;
	put_frame(self, WS_OP_CLOSE, payload, ws_close_write(payload, code, reason));
}

static void flush(struct feed_ws *self)
{
	struct message *message;

	while ((message = TAILQ_FIRST(&self->queue)) != NULL && pipe_room(&self->to_backend) > 0) {
		/* It is masked in place. */
		ASSERT(message->shared == NULL);
		TAILQ_REMOVE(&self->queue, message, link);
		self->queue_cost -= message_cost(message);
		self->n_queue--;
		put_frame(self, message->kind == MESSAGE_TEXT ? WS_OP_TEXT : WS_OP_BINARY,
			message->payload, message->size);
		frame_marks_add(&self->marks, self->n_put);
		message_free(message);
	}
}

static uint64_t n_passed(const struct feed_ws *self)
{
	return fetch_n_tunnel_sent(&self->fetch);
}

static uint64_t feed_ws_n_unsent(struct feed *base)
{
	struct feed_ws *self = (struct feed_ws *)base;

	frame_marks_pass(&self->marks, n_passed(self));
	return self->n_queue + frame_marks_count(&self->marks);
}

static void feed_ws_send(struct feed *base, struct message *message)
{
	struct feed_ws *self = (struct feed_ws *)base;

	ASSERT(self->state == FEED_WS_OPEN);
	TAILQ_INSERT_TAIL(&self->queue, message, link);
	self->queue_cost += message_cost(message);
	self->n_queue++;
	flush(self);
}

static bool feed_ws_can_take(struct feed *base, size_t cost)
{
	struct feed_ws *self = (struct feed_ws *)base;

	if (TAILQ_EMPTY(&self->queue) && pipe_room(&self->to_backend) > 0)
		return true;
	return self->queue_cost + pipe_size(&self->to_backend) + cost <= self->route->queue_size;
}

/* Ending. */

static void tell_closed(struct feed_ws *self, uint16_t code, struct slice reason)
{
	const struct feed_owner *owner = self->base.owner;

	if (self->state == FEED_WS_FINISHING) {
		code = self->finish_code;
		reason = self->finish_reason;
	}
	if (owner != NULL)
		owner->on_closed(self->base.arg, code, reason);
	self->base.owner = NULL;
}

/* Nothing more is sent; the connection ends when the backend has ended its side too. */
static void start_closing(struct feed_ws *self)
{
	self->state = FEED_WS_CLOSING;
	message_list_clear(&self->queue);
	self->queue_cost = 0;
	self->n_queue = 0;
	frame_marks_clear(&self->marks);
	timer_set_in(self->loop, &self->timer, CLOSE_TIMEOUT_MS);
	notice_post(self->loop, &self->resume);
}

/* The backend's close, or its breach of the rules. */
static void answer_close(struct feed_ws *self, uint16_t code, struct slice reason)
{
	tell_closed(self, code, reason);
	put_close(self, code, SLICE(""));
	pipe_put_end(&self->to_backend);
	start_closing(self);
}

/* The connection ended without a close. */
static void break_off(struct feed_ws *self)
{
	tell_closed(self, WS_CODE_ABNORMAL, SLICE(""));
	feed_ws_die(self);
}

/* FINISHING: TCP has taken nothing for send_timeout. */
static bool has_stalled(struct feed_ws *self)
{
	uint64_t now = loop_now_ms(self->loop), passed = n_passed(self);

	if (passed > self->n_passed) {
		self->n_passed = passed;
		self->progress_ms = now;
	}
	return now - self->progress_ms >= (uint64_t)self->route->send_timeout_ms;
}

/* FINISHING: nobody tells when TCP has taken the last bytes, so one looks again, ever more seldom.
 */
static void wait_for_tcp(struct feed_ws *self)
{
	uint64_t recheck = TIMER_NEVER;

	if (self->has_sent_close && pipe_size(&self->to_backend) == 0) {
		recheck = loop_now_ms(self->loop) + self->recheck_ms;
		self->recheck_ms = MIN(2 * self->recheck_ms, (uint64_t)MAX_RECHECK_MS);
	}
	timer_set_at(self->loop, &self->timer,
		MIN(self->progress_ms + (uint64_t)self->route->send_timeout_ms, recheck));
}

/* FINISHING: our close goes behind what is queued, and the end is told when TCP has taken all. The
 * pipe's limit is lowered so that its writer is told when it is empty. */
static void go_on_finishing(struct feed_ws *self)
{
	flush(self);
	if (TAILQ_EMPTY(&self->queue)) {
		put_close(self, self->finish_code, self->finish_reason);
		self->to_backend.limit = 1;
		if (pipe_room(&self->to_backend) > 0 && n_passed(self) == self->n_put) {
			tell_closed(self, self->finish_code, SLICE(""));
			start_closing(self);
			return;
		}
	}
	wait_for_tcp(self);
}

static void keep_reason(struct feed_ws *self, struct slice reason)
{
	char *copy;

	if (reason.n == 0)
		return;
	copy = memory_alloc(reason.n);
	memcpy(copy, reason.p, reason.n);
	self->finish_reason = slice_of(copy, reason.n);
}

static void feed_ws_finish(struct feed *base, uint16_t code, struct slice reason)
{
	struct feed_ws *self = (struct feed_ws *)base;

	switch (self->state) {
	case FEED_WS_OPENING:
	case FEED_WS_REFUSED:
		feed_ws_die(self);
		break;
	case FEED_WS_OPEN:
		if (self->fetch.is_over && self->base.owner == NULL) {
			feed_ws_die(self);
			break;
		}
		self->state = FEED_WS_FINISHING;
		self->finish_code = code;
		keep_reason(self, reason);
		self->n_passed = n_passed(self);
		self->progress_ms = loop_now_ms(self->loop);
		self->recheck_ms = 1;
		notice_post(self->loop, &self->pump);
		notice_post(self->loop, &self->resume);
		break;
	case FEED_WS_FINISHING:
	case FEED_WS_CLOSING:
	case FEED_WS_CLOSED:
		break;
	}
}

static void feed_ws_close(struct feed *base)
{
	feed_ws_die((struct feed_ws *)base);
}

static void on_writable(void *arg)
{
	struct feed_ws *self = arg;

	if (self->state == FEED_WS_FINISHING) {
		go_on_finishing(self);
		return;
	}
	if (self->state != FEED_WS_OPEN)
		return;
	flush(self);
	if (self->base.owner != NULL)
		self->base.owner->on_room(self->base.arg);
}

/* Receiving. */

static bool may_read(const struct feed_ws *self)
{
	return self->is_reading || self->base.owner == NULL;
}

static void feed_ws_set_reading(struct feed *base, bool is_on)
{
	struct feed_ws *self = (struct feed_ws *)base;

	self->is_reading = is_on;
	if (is_on)
		notice_post(self->loop, &self->resume);
}

/* A backend that floods with pings gets no more pongs than it takes (RFC 6455 section 5.5.3). */
static void answer_ping(struct feed_ws *self, struct slice payload)
{
	uint8_t copy[WS_CONTROL_MAX];

	if (self->has_sent_close || pipe_room(&self->to_backend) == 0)
		return;
	if (payload.n > 0)
		memcpy(copy, payload.p, payload.n);
	put_frame(self, WS_OP_PONG, copy, payload.n);
}

static void take_message(struct feed_ws *self, enum message_kind kind)
{
	if (self->base.owner != NULL)
		self->base.owner->on_message(
			self->base.arg, message_new(kind, self->messages.payload));
}

static void take_error(struct feed_ws *self)
{
	struct slice error = slice_from_string(self->messages.error);

	/* It says so for every further byte. */
	if (self->state == FEED_WS_CLOSING)
		return;
	log_warn("backend \"%s\": websocket: %s", self->route->backend_name, self->messages.error);
	answer_close(self, self->messages.close_code, error);
}

static void take_close(struct feed_ws *self)
{
	if (self->state == FEED_WS_CLOSING)
		pipe_put_end(&self->to_backend);
	else
		answer_close(self, self->messages.close_code, self->messages.payload);
}

static void take_event(struct feed_ws *self, enum ws_event event)
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
		answer_ping(self, self->messages.payload);
		break;
	case WS_CLOSE:
		take_close(self);
		break;
	case WS_ERROR:
		take_error(self);
		break;
	}
}

static void take_end(struct feed_ws *self)
{
	if (self->state != FEED_WS_CLOSING)
		break_off(self);
	else if (self->fetch.is_over)
		feed_ws_die(self);
	else
		pipe_put_end(&self->to_backend);
}

static void on_readable(void *arg)
{
	struct feed_ws *self = arg;
	struct pipe *from = &self->from_backend;

	if (self->state == FEED_WS_OPENING || self->state == FEED_WS_CLOSED)
		return;
	if (self->state == FEED_WS_REFUSED) {
		read_refusal(self);
		return;
	}
	while (pipe_size(from) > 0 && may_read(self)) {
		struct slice front = bytes_front(&from->bytes);
		const uint8_t *p = (const uint8_t *)front.p;
		size_t n = front.n;

		self->has_heard = true;
		self->is_ping_out = false;
		take_event(self, ws_message_feed(&self->messages, &p, &n));
		if (self->state == FEED_WS_CLOSED)
			return;
		/* After an error nothing is taken any more. */
		pipe_drain(from, self->messages.state == WS_MESSAGE_FAILED ? front.n : front.n - n);
	}
	if (may_read(self) && pipe_size(from) == 0 && (from->has_end || from->is_aborted))
		take_end(self);
	else if (self->state == FEED_WS_FINISHING && self->fetch.is_over && !may_read(self))
		break_off(self);
}

/* The connection is gone; what it has sent is still read. */
static void on_failed(void *arg, enum reason reason, const char *why)
{
	struct feed_ws *self = arg;

	(void)why;
	switch (self->state) {
	case FEED_WS_OPENING:
		refuse(self, reason);
		break;
	case FEED_WS_REFUSED:
	case FEED_WS_OPEN:
	case FEED_WS_FINISHING:
	case FEED_WS_CLOSING:
		notice_post(self->loop, &self->resume);
		break;
	case FEED_WS_CLOSED:
		break;
	}
}

/* Both sides have ended. */
static void on_end(void *arg)
{
	struct feed_ws *self = arg;

	if (self->state != FEED_WS_REFUSED)
		notice_post(self->loop, &self->resume);
}

static const struct fetch_owner fetch_owner = {
	.on_interim = on_interim,
	.on_head = on_head,
	.on_end = on_end,
	.on_failed = on_failed,
};

/* Time. */

static void ping(struct feed_ws *self)
{
	/* While it is held back, its silence is ours. */
	bool is_held = !self->is_reading || pipe_size(&self->from_backend) > 0;

	if (self->is_ping_out && !is_held) {
		log_warn("backend \"%s\": %s: websocket: no answer to a ping",
			self->route->backend_name, self->fetch.server_name);
		break_off(self);
		return;
	}
	/* Behind frames that it does not take a ping would say nothing. */
	if (!self->has_heard && !self->is_ping_out && pipe_size(&self->to_backend) == 0) {
		put_frame(self, WS_OP_PING, NULL, 0);
		self->is_ping_out = true;
	}
	set_ping_timer(self);
}

static void on_timer(void *arg)
{
	struct feed_ws *self = arg;

	switch (self->state) {
	case FEED_WS_OPEN:
		ping(self);
		break;
	case FEED_WS_FINISHING:
		if (!has_stalled(self)) {
			go_on_finishing(self);
			break;
		}
		tell_closed(self, self->finish_code, SLICE(""));
		feed_ws_die(self);
		break;
	case FEED_WS_CLOSING:
		feed_ws_die(self);
		break;
	case FEED_WS_OPENING:
	case FEED_WS_REFUSED:
	case FEED_WS_CLOSED:
		break;
	}
}

static const struct feed_ops feed_ws_ops = {
	.send = feed_ws_send,
	.can_take = feed_ws_can_take,
	.n_unsent = feed_ws_n_unsent,
	.set_reading = feed_ws_set_reading,
	.finish = feed_ws_finish,
	.close = feed_ws_close,
};
