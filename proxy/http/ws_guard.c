#include "proxy/http/ws_guard.h"

#include <string.h>

#include "proxy/base/loop.h"
#include "proxy/base/macros.h"

#define THOUSAND 1000

/* Beginning of the payload of our pings; their number follows. */
static const uint8_t ping_mark[] = {'p', 'o', 'l', 'l', 'u', 'x'};

static struct ws_allowance allow(uint64_t per_second, uint64_t now_ms)
{
	return (struct ws_allowance){.left = (int64_t)per_second * THOUSAND,
		.per_ms = (int64_t)per_second,
		.seen_ms = now_ms};
}

void ws_guard_init(struct ws_guard *self, const struct conf_tunnel *rules, uint64_t now_ms)
{
	*self = (struct ws_guard){
		.rules = rules,
		.client = {.heard_ms = now_ms, .ping_ms = (uint64_t)rules->ping_client_ms},
		.backend = {.heard_ms = now_ms, .ping_ms = (uint64_t)rules->ping_backend_ms},
		.messages = allow((uint64_t)rules->messages_per_second, now_ms),
		.bytes = allow(rules->bytes_per_second, now_ms),
	};
}

static void blame(struct ws_guard *self, const struct ws_guard_side *side, enum reason reason,
	uint16_t code, const char *text)
{
	if (self->fault.reason != REASON_NONE)
		return;
	self->fault = (struct ws_fault){.reason = reason,
		.is_of_backend = side == &self->backend,
		.code = code,
		.text = text};
}

void ws_guard_refuse(struct ws_guard *self, struct ws_guard_side *side)
{
	blame(self, side, REASON_BAD_FRAME, WS_CODE_PROTOCOL_ERROR, "not a WebSocket frame");
}

/* Sizes and rates. */

/* What has come back meanwhile; never more than one second's. */
static void refill(struct ws_allowance *self, uint64_t now_ms)
{
	int64_t full = self->per_ms * THOUSAND;
	uint64_t ms = now_ms - self->seen_ms;

	self->seen_ms = now_ms;
	/* Enough for any debt, and for no overflow. */
	if (self->per_ms == 0 || ms > (uint64_t)((INT64_MAX / 2) / self->per_ms))
		self->left = full;
	else
		self->left = MIN(full, self->left + (int64_t)ms * self->per_ms);
}

/* Takes n units if one is there: the rest may be made up for later. */
static bool spend(struct ws_allowance *self, uint64_t n, uint64_t now_ms)
{
	if (self->per_ms == 0)
		return true;
	refill(self, now_ms);
	if (self->left < THOUSAND)
		return false;
	/* Lengths may be anything. */
	n = MIN(n, (uint64_t)INT64_MAX / 4 / THOUSAND);
	self->left -= (int64_t)n * THOUSAND;
	return true;
}

static bool is_within_size(
	struct ws_guard *self, struct ws_guard_side *side, const struct ws_frame *frame)
{
	uint64_t max = self->rules->max_message_size;

	if (max == 0 || ws_opcode_is_control(frame->opcode))
		return true;
	/* Lengths are below 2^63. */
	side->message_size += frame->length;
	if (side->message_size > max)
		return false;
	if (frame->fin)
		side->message_size = 0;
	return true;
}

bool ws_guard_admit(struct ws_guard *self, struct ws_guard_side *side, const struct ws_frame *frame,
	size_t head_size, uint64_t now_ms)
{
	bool is_message = frame->opcode != WS_OP_CONTINUATION;

	if (!is_within_size(self, side, frame)) {
		blame(self, side, REASON_MESSAGE_TOO_LARGE, WS_CODE_TOO_BIG, "message too large");
		return false;
	}
	if (side != &self->client || frame->opcode == WS_OP_CLOSE)
		return true;
	if (is_message && !spend(&self->messages, 1, now_ms)) {
		blame(self, side, REASON_MESSAGE_RATE, WS_CODE_POLICY_VIOLATION,
			"too many messages");
		return false;
	}
	if (!spend(&self->bytes, head_size + frame->length, now_ms)) {
		blame(self, side, REASON_MESSAGE_RATE, WS_CODE_POLICY_VIOLATION, "too many bytes");
		return false;
	}
	return true;
}

/* Signs of life. */

void ws_guard_hear(struct ws_guard_side *side, uint64_t now_ms)
{
	side->heard_ms = now_ms;
	side->asked_ms = 0;
	side->is_ping_due = false;
}

void ws_guard_end(struct ws_guard_side *side)
{
	side->ping_ms = side->asked_ms = 0;
	side->is_ping_due = false;
}

bool ws_guard_may_be_pong(const struct ws_guard_side *side, const struct ws_frame *frame)
{
	return frame->opcode == WS_OP_PONG && frame->length == WS_GUARD_PING_SIZE &&
		side->ping_number != side->pong_number;
}

/* Who got two pings may answer the latter only (RFC 6455 section 5.5.3). */
bool ws_guard_take_pong(struct ws_guard_side *side, const uint8_t payload[WS_GUARD_PING_SIZE])
{
	uint16_t number = (uint16_t)(payload[6] << 8 | payload[7]);
	uint16_t n_open = (uint16_t)(side->ping_number - side->pong_number);
	uint16_t nth = (uint16_t)(number - side->pong_number);

	if (memcmp(payload, ping_mark, sizeof(ping_mark)) != 0 || nth == 0 || nth > n_open)
		return false;
	side->pong_number = number;
	return true;
}

void ws_guard_ping(struct ws_guard_side *side, uint8_t payload[WS_GUARD_PING_SIZE], uint64_t now_ms)
{
	side->is_ping_due = false;
	side->asked_ms = now_ms;
	side->ping_number++;
	memcpy(payload, ping_mark, sizeof(ping_mark));
	payload[6] = (uint8_t)(side->ping_number >> 8);
	payload[7] = (uint8_t)side->ping_number;
}

static uint64_t side_deadline(const struct ws_guard *self, const struct ws_guard_side *side)
{
	if (side->asked_ms != 0)
		return side->asked_ms + (uint64_t)self->rules->pong_timeout_ms;
	return side->ping_ms > 0 ? side->heard_ms + side->ping_ms : TIMER_NEVER;
}

uint64_t ws_guard_deadline(const struct ws_guard *self)
{
	if (self->fault.reason != REASON_NONE)
		return TIMER_NEVER;
	return MIN(side_deadline(self, &self->client), side_deadline(self, &self->backend));
}

/* How much stands before a ping, and whether some of it has been taken since the latest look. */
struct queue {
	bool has_any;
	bool is_moving;
};

static void tick_side(
	struct ws_guard *self, struct ws_guard_side *side, struct queue queue, uint64_t now_ms)
{
	if (side->asked_ms == 0)
		side->is_ping_due = true;
	/* A ping that waits for the end of a frame asks for nothing yet. */
	else if (queue.has_any ? !queue.is_moving : !side->is_ping_due)
		blame(self, side, REASON_PONG_TIMEOUT, WS_CODE_GOING_AWAY, "no answer to a ping");
	side->asked_ms = now_ms;
}

void ws_guard_tick(struct ws_guard *self, const struct ws_guard_links *links, uint64_t now_ms)
{
	/* A ping that the client's TCP has acknowledged has nothing before it. */
	struct queue client = {links->n_unacknowledged > 0, links->progress != self->progress};
	struct queue backend = {
		links->n_for_backend > 0, links->n_taken_backend != self->n_taken_backend};

	if (self->fault.reason != REASON_NONE)
		return;
	/* Who is held back is not silent. */
	if (links->n_for_backend > 0)
		ws_guard_hear(&self->client, now_ms);
	if (links->is_client_busy)
		ws_guard_hear(&self->backend, now_ms);
	if (side_deadline(self, &self->client) <= now_ms) {
		tick_side(self, &self->client, client, now_ms);
		self->progress = links->progress;
	}
	if (side_deadline(self, &self->backend) <= now_ms) {
		tick_side(self, &self->backend, backend, now_ms);
		self->n_taken_backend = links->n_taken_backend;
	}
}
