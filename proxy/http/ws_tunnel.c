#include "proxy/http/ws_tunnel.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"

/* Vectors looked at in one step; more are looked at in the next. */
#define MAX_VECTORS 16
/* Reserved bits belong to extensions that are not our matter here. */
#define ANY_RSV 7

/* A frame that may be the answer to our ping: kept until its payload shows it. */
struct held_pong {
	struct ws_frame frame;
	uint8_t head[WS_FRAME_HEAD_MAX];
	uint8_t payload[WS_GUARD_PING_SIZE];
	uint8_t head_size; /* 0: none is kept */
	uint8_t have;	   /* of the payload */
};

struct ws_watch {
	struct ws_guard guard;
	struct held_pong from_client;
	struct held_pong from_backend;
	uint64_t n_to_backend; /* bytes put into its pipe */
	uint64_t cut_ms;       /* after a fault; TIMER_NEVER */
};

struct ws_tunnel *ws_tunnel_new(void)
{
	struct ws_tunnel *self = memory_alloc(sizeof(*self));

	*self = (struct ws_tunnel){.leave_ms = TIMER_NEVER};
	ws_frame_parser_init(&self->to_client.parser, false, ANY_RSV);
	ws_frame_parser_init(&self->to_backend.parser, true, ANY_RSV);
	return self;
}

void ws_tunnel_free(struct ws_tunnel *self)
{
	if (self != NULL)
		free(self->watch);
	free(self);
}

void ws_tunnel_watch(struct ws_tunnel *self, const struct conf_tunnel *rules, uint64_t now_ms)
{
	self->watch = memory_alloc_zeroed(sizeof(*self->watch));
	ws_guard_init(&self->watch->guard, rules, now_ms);
	self->watch->cut_ms = TIMER_NEVER;
}

/* Looks at n bytes; with `stop`, only up to the end of the frame under way. Returns how many. */
static size_t track_run(struct ws_direction *self, const uint8_t *p, size_t n, bool stop)
{
	const uint8_t *start = p;
	struct ws_frame frame;

	while (n > 0) {
		size_t part = ws_frame_take(&self->parser, n);

		p += part;
		n -= part;
		if (stop && ws_frame_is_boundary(&self->parser))
			break;
		if (n == 0)
			break;
		switch (ws_frame_parse(&self->parser, &p, &n, &frame)) {
		case WS_FRAME_MORE:
			break;
		case WS_FRAME_HEAD:
			self->has_closed |= frame.opcode == WS_OP_CLOSE;
			break;
		case WS_FRAME_ERROR:
			self->is_lost = true;
			return (size_t)(p - start) + n;
		}
		if (stop && ws_frame_is_boundary(&self->parser))
			break;
	}
	return (size_t)(p - start);
}

/* The same over the first n bytes of a queue. */
static size_t track(struct ws_direction *self, const struct bytes *bytes, size_t n, bool stop)
{
	struct iovec iov[MAX_VECTORS];
	int n_iov = bytes_vectors(bytes, iov, MAX_VECTORS, n);
	size_t total = 0;

	for (int i = 0; i < n_iov; i++) {
		size_t taken = self->is_lost
			? iov[i].iov_len
			: track_run(self, iov[i].iov_base, iov[i].iov_len, stop);

		total += taken;
		if (taken < iov[i].iov_len)
			break;
		if (stop && !self->is_lost && ws_frame_is_boundary(&self->parser))
			break;
	}
	return total;
}

/* Our own frames. */

static size_t write_control(
	uint8_t *out, enum ws_opcode opcode, const uint8_t *payload, size_t size, bool masked)
{
	/* A mask of zeros is a mask: ours hides nothing from nobody. */
	static const uint8_t mask[4];
	size_t n = ws_frame_write_head(out, true, opcode, size, masked ? mask : NULL);

	memcpy(out + n, payload, size);
	return n + size;
}

static bool is_to_backend(const struct ws_tunnel *self, const struct ws_direction *direction)
{
	return direction == &self->to_backend;
}

/* The close for this direction: 1001, but for the side whose fault it is. */
static size_t write_close(
	const struct ws_tunnel *self, const struct ws_direction *direction, uint8_t *out)
{
	uint8_t payload[WS_CONTROL_MAX];
	const struct ws_fault *fault = self->watch != NULL ? &self->watch->guard.fault : NULL;
	uint16_t code = WS_CODE_GOING_AWAY;
	const char *text = "going away";

	if (fault != NULL && fault->reason != REASON_NONE) {
		bool is_own = fault->is_of_backend == is_to_backend(self, direction);

		code = is_own ? fault->code : WS_CODE_GOING_AWAY;
		text = is_own ? fault->text : "the other side was closed";
	}
	return write_control(out, WS_OP_CLOSE, payload,
		ws_close_write(payload, code, slice_from_string(text)),
		is_to_backend(self, direction));
}

/* Without rules. */

/* Whether our close is to be put here. */
static bool is_time_to_tell(const struct ws_tunnel *self, const struct ws_direction *direction)
{
	return self->is_leaving && !direction->is_told && !direction->is_lost &&
		!direction->has_closed && ws_frame_is_boundary(&direction->parser);
}

/* How many of the next n bytes go through; 0 when our close comes first. */
static size_t pass(
	struct ws_tunnel *self, struct ws_direction *direction, const struct bytes *bytes, size_t n)
{
	if (is_time_to_tell(self, direction))
		return 0;
	/* Behind a close there is no boundary to stop at: nothing will be put there. */
	return track(direction, bytes, n,
		self->is_leaving && !direction->is_lost && !direction->has_closed);
}

/* With rules. */

static struct ws_guard_side *sender(struct ws_tunnel *self, struct ws_direction *direction)
{
	return is_to_backend(self, direction) ? &self->watch->guard.client
					      : &self->watch->guard.backend;
}

static struct ws_guard_side *receiver(struct ws_tunnel *self, struct ws_direction *direction)
{
	return is_to_backend(self, direction) ? &self->watch->guard.backend
					      : &self->watch->guard.client;
}

static struct held_pong *held_of(struct ws_tunnel *self, struct ws_direction *direction)
{
	return is_to_backend(self, direction) ? &self->watch->from_client
					      : &self->watch->from_backend;
}

/* The last word in this direction. After the peer's close it is said silently. */
static void tell(struct ws_tunnel *self, struct ws_direction *direction, struct bytes *out)
{
	uint8_t close[WS_FRAME_HEAD_MAX + WS_CONTROL_MAX];

	if (!direction->has_closed)
		bytes_append(out, close, write_close(self, direction, close));
	direction->is_told = true;
}

static void start_fault(struct ws_tunnel *self, uint64_t now_ms)
{
	self->is_leaving = true;
	self->watch->cut_ms = now_ms + WS_TUNNEL_FAULT_WAIT_MS;
}

/* What is to stand between two frames. No byte of a head passes before the head is whole, so that
 * within one there is room too. */
static void put_between(
	struct ws_tunnel *self, struct ws_direction *direction, struct bytes *out, uint64_t now_ms)
{
	struct ws_guard_side *to = receiver(self, direction);
	uint8_t ping[WS_FRAME_HEAD_MAX + WS_GUARD_PING_SIZE], payload[WS_GUARD_PING_SIZE];

	if (direction->is_told || direction->has_closed ||
		(direction->parser.left > 0 && held_of(self, direction)->head_size == 0))
		return;
	if (self->is_leaving) {
		tell(self, direction, out);
	} else if (to->is_ping_due) {
		ws_guard_ping(to, payload, now_ms);
		bytes_append(out, ping,
			write_control(ping, WS_OP_PING, payload, sizeof(payload),
				is_to_backend(self, direction)));
	}
}

static size_t size_of_head(const struct ws_frame *frame)
{
	size_t length = frame->length < 126 ? 0 : frame->length <= UINT16_MAX ? 2 : 8;

	return 2 + length + (frame->masked ? sizeof(frame->mask) : 0);
}

static void let_pass(struct ws_tunnel *self, struct ws_direction *direction,
	const struct ws_frame *frame, const uint8_t *head, struct bytes *out, uint64_t now_ms)
{
	size_t size = size_of_head(frame);

	if (ws_guard_admit(&self->watch->guard, sender(self, direction), frame, size, now_ms)) {
		bytes_append(out, head, size);
		if (frame->opcode == WS_OP_CLOSE) {
			direction->has_closed = true;
			/* It need not answer pings any more (RFC 6455 section 5.5.2). */
			ws_guard_end(sender(self, direction));
		}
		return;
	}
	start_fault(self, now_ms);
	tell(self, direction, out);
}

static void take_head(struct ws_tunnel *self, struct ws_direction *direction, struct bytes *in,
	struct bytes *out, uint64_t now_ms)
{
	struct held_pong *held = held_of(self, direction);
	struct slice front = bytes_front(in);
	const uint8_t *p = (const uint8_t *)front.p, *head = p;
	size_t left = front.n;
	struct ws_frame frame;

	if (direction->parser.have > 0)
		head = direction->parser.head;
	switch (ws_frame_parse(&direction->parser, &p, &left, &frame)) {
	case WS_FRAME_MORE:
		break;
	case WS_FRAME_HEAD:
		if (ws_guard_may_be_pong(sender(self, direction), &frame)) {
			*held = (struct held_pong){
				.frame = frame, .head_size = (uint8_t)size_of_head(&frame)};
			memcpy(held->head, head, held->head_size);
		} else {
			let_pass(self, direction, &frame, head, out, now_ms);
		}
		break;
	case WS_FRAME_ERROR:
		direction->is_lost = true;
		ws_guard_refuse(&self->watch->guard, sender(self, direction));
		start_fault(self, now_ms);
		tell(self, direction, out);
		return;
	}
	bytes_drain(in, front.n - left);
}

/* It is whole: dropped if it is ours. */
static void release_pong(
	struct ws_tunnel *self, struct ws_direction *direction, struct bytes *out, uint64_t now_ms)
{
	struct held_pong *held = held_of(self, direction);
	uint8_t plain[WS_GUARD_PING_SIZE];

	if (held->frame.masked)
		ws_frame_mask(plain, held->payload, sizeof(plain), held->frame.mask, 0);
	else
		memcpy(plain, held->payload, sizeof(plain));
	if (!ws_guard_take_pong(sender(self, direction), plain)) {
		let_pass(self, direction, &held->frame, held->head, out, now_ms);
		if (!direction->is_told)
			bytes_append(out, held->payload, sizeof(held->payload));
	}
	held->head_size = 0;
}

static void take_payload(struct ws_tunnel *self, struct ws_direction *direction, struct bytes *in,
	struct bytes *out, uint64_t now_ms)
{
	struct held_pong *held = held_of(self, direction);
	size_t n = ws_frame_take(&direction->parser, bytes_size(in));

	if (held->head_size == 0) {
		bytes_move(out, in, n);
		return;
	}
	bytes_peek(in, held->payload + held->have, n);
	bytes_drain(in, n);
	held->have = (uint8_t)(held->have + n);
	if (direction->parser.left == 0)
		release_pong(self, direction, out, now_ms);
}

/* Takes all of `in`, until our close stands in `out`. */
static void sift(struct ws_tunnel *self, struct ws_direction *direction, struct bytes *in,
	struct bytes *out, uint64_t now_ms)
{
	if (bytes_size(in) > 0)
		ws_guard_hear(sender(self, direction), now_ms);
	put_between(self, direction, out, now_ms);
	while (bytes_size(in) > 0 && !direction->is_told) {
		if (direction->parser.left > 0)
			take_payload(self, direction, in, out, now_ms);
		else
			take_head(self, direction, in, out, now_ms);
		put_between(self, direction, out, now_ms);
	}
}

/* Both kinds. */

size_t ws_tunnel_to_client(
	struct ws_tunnel *self, struct pipe *from, struct bytes *out, size_t n, uint64_t now_ms)
{
	uint8_t close[WS_FRAME_HEAD_MAX + WS_CONTROL_MAX];
	size_t total = 0, part;
	struct bytes in;

	n = bytes_round_up(&from->bytes, n);
	self->to_client.has_ended = from->has_end;
	if (self->watch != NULL) {
		if (from->has_end)
			ws_guard_end(&self->watch->guard.backend);
		bytes_init(&in);
		total = pipe_take(from, &in, n);
		sift(self, &self->to_client, &in, out, now_ms);
		bytes_clear(&in);
	}
	while (self->watch == NULL && !self->to_client.is_told && total < n) {
		part = pass(self, &self->to_client, &from->bytes, n - total);
		if (part == 0)
			break;
		total += pipe_take(from, out, part);
	}
	if (self->watch == NULL && is_time_to_tell(self, &self->to_client)) {
		bytes_append(out, close, write_close(self, &self->to_client, close));
		self->to_client.is_told = true;
	}
	if (self->to_client.is_told) {
		total += pipe_size(from);
		pipe_drain(from, pipe_size(from));
	}
	return total;
}

size_t ws_tunnel_to_backend(
	struct ws_tunnel *self, struct bytes *in, struct pipe *to, uint64_t now_ms)
{
	uint8_t close[WS_FRAME_HEAD_MAX + WS_CONTROL_MAX];
	size_t n = bytes_size(in), total = 0, part;
	struct bytes out;

	if (self->watch != NULL && !self->to_backend.is_told) {
		bytes_init(&out);
		sift(self, &self->to_backend, in, &out, now_ms);
		total = n - bytes_size(in);
		self->watch->n_to_backend += bytes_size(&out);
		if (bytes_size(&out) > 0)
			pipe_put(to, &out, bytes_size(&out));
	}
	while (self->watch == NULL && !self->to_backend.is_told && total < n) {
		part = pass(self, &self->to_backend, in, n - total);
		if (part == 0)
			break;
		pipe_put(to, in, part);
		total += part;
	}
	if (self->watch == NULL && is_time_to_tell(self, &self->to_backend)) {
		pipe_put_copy(to, close, write_close(self, &self->to_backend, close));
		self->to_backend.is_told = true;
	}
	/* Dropped, but watched for the client's close. */
	while (self->to_backend.is_told && total < n) {
		part = track(&self->to_backend, in, n - total, false);
		bytes_drain(in, part);
		total += part;
	}
	return total;
}

void ws_tunnel_end_client(struct ws_tunnel *self)
{
	self->to_backend.has_ended = true;
	if (self->watch != NULL)
		ws_guard_end(&self->watch->guard.client);
}

void ws_tunnel_leave(struct ws_tunnel *self)
{
	self->is_leaving = true;
	self->leave_ms = TIMER_NEVER;
}

bool ws_tunnel_has_left(const struct ws_tunnel *self)
{
	return self->to_client.is_told &&
		(self->to_backend.has_closed || self->to_backend.has_ended);
}

enum reason ws_tunnel_fault(const struct ws_tunnel *self)
{
	return self->watch != NULL ? self->watch->guard.fault.reason : REASON_NONE;
}

/* Time. */

uint64_t ws_tunnel_deadline(const struct ws_tunnel *self)
{
	const struct ws_watch *watch = self->watch;

	if (watch == NULL)
		return self->leave_ms;
	if (self->is_leaving)
		return watch->cut_ms;
	return MIN(self->leave_ms, ws_guard_deadline(&watch->guard));
}

bool ws_tunnel_tick(struct ws_tunnel *self, const struct ws_guard_links *links, uint64_t now_ms)
{
	struct ws_watch *watch = self->watch;
	struct ws_guard_links all = *links;

	if (self->leave_ms <= now_ms)
		ws_tunnel_leave(self);
	if (watch == NULL)
		return true;
	if (self->is_leaving)
		return watch->cut_ms > now_ms;
	all.n_taken_backend = watch->n_to_backend - links->n_for_backend;
	ws_guard_tick(&watch->guard, &all, now_ms);
	if (watch->guard.fault.reason != REASON_NONE)
		start_fault(self, now_ms);
	return true;
}
