/*
 * Invariants: `items` holds floor+1 ... last without a hole; `next` is the first of them above
 * `sent`. sent_cost and unsent_cost are the sums of message_cost on the two sides of `next`. With
 * a transport the absence timer is off; with a waiting send the send timer is set to the deadline
 * of the oldest.
 */
#include "bridge/session.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/session_table.h"
#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

static size_t n_live;

static void on_absence(void *arg);
static void on_send_wait(void *arg);
static void on_wake(void *arg);

/* Moves. */

static bool may_follow(enum session_state from, enum session_state to)
{
	switch (from) {
	case SESSION_OPENING:
		return to == SESSION_OPEN || to == SESSION_OVER;
	case SESSION_OPEN:
		return to == SESSION_CLOSING || to == SESSION_CLOSED || to == SESSION_OVER;
	case SESSION_CLOSING:
		return to == SESSION_CLOSED || to == SESSION_OVER;
	case SESSION_CLOSED:
		return to == SESSION_OVER;
	case SESSION_OVER:
		return false;
	}
	return false;
}

static void session_set_state(struct session *self, enum session_state state)
{
	ASSERT(may_follow(self->state, state));
	self->state = state;
}

/* Life. */

static char *copy_slice(struct slice s)
{
	char *copy = memory_alloc(s.n + 1);

	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

void session_init(
	struct session *self, struct session_table *table, struct slice path, struct slice id)
{
	ASSERT(id.n > 0 && id.n <= UINT8_MAX);
	*self = (struct session){
		.table = table,
		.route = table->route,
		.loop = table->loop,
		.state = SESSION_OPENING,
		.is_reading = true,
		.linger_ms = (uint64_t)table->route->linger_ms,
		.leave_ms = TIMER_NEVER,
		.id_size = (uint8_t)id.n,
	};
	self->path = copy_slice(path);
	self->id = copy_slice(id);
	n_live++;
	TAILQ_INIT(&self->waiters);
	TAILQ_INIT(&self->items);
	TAILQ_INIT(&self->sends);
	timer_init(&self->absence, on_absence, self);
	timer_init(&self->send_wait, on_send_wait, self);
	notice_init(&self->wake, on_wake, self);
}

void session_open(struct session *self, struct feed *feed)
{
	self->feed = feed;
}

static void session_destroy(void *arg)
{
	struct session *self = arg;

	n_live--;
	/* The acknowledged close stands in no list. */
	if (self->close != NULL && self->close->seq <= session_floor(self))
		message_free(self->close);
	message_list_clear(&self->items);
	free(self->path);
	free(self->address);
	free(self->id);
	free(self->binding);
	free(self);
}

size_t session_n_live(void)
{
	return n_live;
}

struct slice session_id(const struct session *self)
{
	return slice_of(self->id, self->id_size);
}

static void end_transport(struct session *self, enum transport_end why)
{
	struct transport *transport = self->transport;

	if (transport == NULL)
		return;
	self->transport = NULL;
	transport->session = NULL;
	transport->ops->end(transport, why);
}

static void free_send(struct session_send *send)
{
	message_list_clear(&send->frames);
	free(send);
}

static void finish_send(struct session *self, struct session_send *send, enum send_outcome outcome)
{
	TAILQ_REMOVE(&self->sends, send, link);
	if (send->is_orphan)
		self->orphan_cost -= send->cost;
	if (send->on_done != NULL)
		send->on_done(send, outcome);
	else
		free_send(send);
}

static void refuse_sends(struct session *self)
{
	struct session_send *send;

	timer_cancel(&self->send_wait);
	while ((send = TAILQ_FIRST(&self->sends)) != NULL)
		finish_send(self, send, SEND_CLOSED);
}

static void refuse_waiters(struct session *self, const struct feed_refusal *refusal)
{
	struct session_waiter *waiter;

	while ((waiter = TAILQ_FIRST(&self->waiters)) != NULL) {
		TAILQ_REMOVE(&self->waiters, waiter, link);
		waiter->on_refused(waiter->arg, refusal);
	}
}

void session_forget(struct session *self, uint16_t code)
{
	static const struct feed_refusal leaving = {.reason = REASON_DRAIN, .status = 503};
	bool was_opening = self->state == SESSION_OPENING;

	if (self->state == SESSION_OVER)
		return;
	session_set_state(self, SESSION_OVER);
	refuse_waiters(self, &leaving);
	refuse_sends(self);
	end_transport(self, TRANSPORT_DRAINED);
	if (self->feed != NULL && was_opening)
		feed_close(self->feed);
	else if (self->feed != NULL)
		feed_leave(self->feed, code);
	self->feed = NULL;
	timer_close(self->loop, &self->absence);
	timer_close(self->loop, &self->send_wait);
	notice_cancel(self->loop, &self->wake);
	if (self->part != NULL)
		self->part->on_forgotten(self->part);
	self->part = NULL;
	session_table_remove(self->table, self);
	loop_bury(self->loop, &self->grave, session_destroy, self);
}

/* Opening. */

void session_add_waiter(struct session *self, struct session_waiter *waiter)
{
	ASSERT(self->state == SESSION_OPENING);
	TAILQ_INSERT_TAIL(&self->waiters, waiter, link);
}

void session_remove_waiter(struct session *self, struct session_waiter *waiter)
{
	TAILQ_REMOVE(&self->waiters, waiter, link);
	if (self->state == SESSION_OPENING && TAILQ_EMPTY(&self->waiters) && self->key == NULL)
		session_forget(self, WS_CODE_GOING_AWAY);
}

static void pump_sends(struct session *self);

static void on_feed_open(void *arg, const struct feed_acceptance *acceptance)
{
	struct session *self = arg;
	struct session_waiter *waiter;
	struct session_send *send;

	session_set_state(self, SESSION_OPEN);
	session_touch(self);
	session_table_start_key(self->table, self, acceptance->fields);
	TAILQ_FOREACH (send, &self->sends, link)
		send->deadline_ms =
			loop_now_ms(self->loop) + (uint64_t)self->route->send_timeout_ms;
	pump_sends(self);
	while ((waiter = TAILQ_FIRST(&self->waiters)) != NULL) {
		TAILQ_REMOVE(&self->waiters, waiter, link);
		waiter->on_opened(waiter->arg, acceptance);
	}
}

static void on_feed_refused(void *arg, const struct feed_refusal *refusal)
{
	struct session *self = arg;

	self->feed = NULL;
	refuse_waiters(self, refusal);
	session_forget(self, WS_CODE_GOING_AWAY);
}

/* Absence. */

static uint64_t absence_deadline(const struct session *self)
{
	uint64_t linger = self->linger_ms;

	if (self->leave_ms != TIMER_NEVER)
		return self->transport != NULL ? self->leave_ms : 0;
	switch (self->state) {
	case SESSION_OPEN:
	case SESSION_CLOSING:
		return self->transport != NULL ? TIMER_NEVER : self->seen_ms + linger;
	case SESSION_CLOSED:
		/* Who has not got all of it yet may still be reading. */
		if (self->acknowledged < self->last && self->transport != NULL)
			return TIMER_NEVER;
		if (self->acknowledged < self->last)
			return MAX(self->closed_ms, self->seen_ms) + linger;
		return self->closed_ms + linger;
	case SESSION_OPENING:
	case SESSION_OVER:
		break;
	}
	return TIMER_NEVER;
}

static void set_absence(struct session *self)
{
	uint64_t deadline = absence_deadline(self);

	if (deadline == TIMER_NEVER)
		timer_cancel(&self->absence);
	else
		timer_set_at(self->loop, &self->absence, deadline);
}

static void on_absence(void *arg)
{
	struct session *self = arg;
	uint64_t deadline = absence_deadline(self);

	if (deadline > loop_now_ms(self->loop)) {
		set_absence(self);
		return;
	}
	session_forget(self, WS_CODE_GOING_AWAY);
}

void session_leave_at(struct session *self, uint64_t leave_ms)
{
	self->leave_ms = leave_ms;
	set_absence(self);
}

void session_touch(struct session *self)
{
	self->seen_ms = loop_now_ms(self->loop);
	set_absence(self);
}

/* What comes from the feed. */

static void on_wake(void *arg)
{
	struct session *self = arg;

	if (self->transport != NULL)
		self->transport->ops->wake(self->transport);
}

static void set_reading(struct session *self, bool is_on)
{
	if (self->is_reading == is_on)
		return;
	self->is_reading = is_on;
	if (self->feed != NULL)
		feed_set_reading(self->feed, is_on);
}

static void take(struct session *self, struct message *item)
{
	item->seq = ++self->last;
	TAILQ_INSERT_TAIL(&self->items, item, link);
	if (self->next == NULL)
		self->next = item;
	self->unsent_cost += message_cost(item);
	ledger_take(&self->ledger, 1);
	if (self->transport != NULL)
		notice_post(self->loop, &self->wake);
}

static void count_handed(struct session *self)
{
	uint64_t n_unsent = feed_n_unsent(self->feed);

	ASSERT(n_unsent <= self->ledger.n_waiting);
	ledger_hand(&self->ledger, self->ledger.n_waiting - n_unsent);
}

/* The feed is no longer ours, and has told its last. */
static void become_closed(struct session *self, uint16_t code, struct slice reason)
{
	self->feed = NULL;
	self->close = message_new_close(code, reason, self->ledger.n_waiting);
	ledger_give_up(&self->ledger);
	session_set_state(self, SESSION_CLOSED);
	self->closed_ms = loop_now_ms(self->loop);
	take(self, self->close);
	refuse_sends(self);
	if (self->part != NULL)
		self->part->on_closed(self->part);
	set_absence(self);
	session_table_remember(self->table, self);
}

static void on_feed_message(void *arg, struct message *message)
{
	struct session *self = arg;

	if (UNLIKELY(message->kind == MESSAGE_BINARY && self->is_text_only)) {
		struct feed *feed = self->feed;

		message_free(message);
		count_handed(self);
		become_closed(self, WS_CODE_UNSUPPORTED_DATA, SLICE("Binary message"));
		feed_leave(feed, WS_CODE_UNSUPPORTED_DATA);
		return;
	}
	take(self, message);
	if (self->unsent_cost >= self->route->queue_size)
		set_reading(self, false);
}

static void on_feed_room(void *arg)
{
	struct session *self = arg;

	count_handed(self);
	pump_sends(self);
}

static void on_feed_closed(void *arg, uint16_t code, struct slice reason)
{
	struct session *self = arg;

	count_handed(self);
	become_closed(self, code, reason);
}

const struct feed_owner session_feed_owner = {
	.on_open = on_feed_open,
	.on_refused = on_feed_refused,
	.on_message = on_feed_message,
	.on_room = on_feed_room,
	.on_closed = on_feed_closed,
};

/* Cursors. */

uint64_t session_floor(const struct session *self)
{
	return MAX(self->acknowledged, self->dropped);
}

enum cursor_place session_place_cursor(const struct session *self, uint64_t cursor)
{
	if (cursor > self->sent)
		return CURSOR_ABOVE;
	return cursor < session_floor(self) ? CURSOR_BELOW : CURSOR_GOOD;
}

bool session_is_at_end(const struct session *self, uint64_t cursor)
{
	return self->close != NULL && cursor >= self->close->seq;
}

/* The oldest kept leaves the queue; the close is kept aside for those who ask again. */
static void remove_first(struct session *self)
{
	struct message *item = TAILQ_FIRST(&self->items);

	ASSERT(item->seq <= self->sent && item != self->next);
	TAILQ_REMOVE(&self->items, item, link);
	self->sent_cost -= message_cost(item);
	if (item != self->close)
		message_free(item);
}

void session_acknowledge(struct session *self, uint64_t cursor)
{
	struct message *item;

	ASSERT(cursor <= self->sent);
	while ((item = TAILQ_FIRST(&self->items)) != NULL && item->seq <= cursor) {
		remove_first(self);
		ledger_acknowledge(&self->ledger, 1);
	}
	self->acknowledged = MAX(self->acknowledged, cursor);
	ASSERT(self->ledger.n_queued == self->last - session_floor(self));
	if (self->state == SESSION_CLOSED)
		set_absence(self);
}

/* Transports. */

void session_attach(struct session *self, struct transport *transport, uint64_t after)
{
	ASSERT(self->state != SESSION_OVER && session_place_cursor(self, after) == CURSOR_GOOD);
	end_transport(self, TRANSPORT_SUPERSEDED);
	log_debug("session %.*s...: a client reads", SLICE_ARG(session_id_shown(session_id(self))));
	transport->session = self;
	self->transport = transport;
	session_acknowledge(self, after);
	set_absence(self);
}

void session_detach(struct transport *transport)
{
	struct session *self = transport->session;

	if (self == NULL)
		return;
	transport->session = NULL;
	self->transport = NULL;
	session_touch(self);
}

struct message *session_item_after(struct session *self, uint64_t seq)
{
	struct message *item;

	if (seq >= self->sent && self->next != NULL && self->next->seq > seq)
		return self->next;
	for (item = TAILQ_FIRST(&self->items); item != NULL; item = TAILQ_NEXT(item, link))
		if (item->seq > seq)
			return item;
	return NULL;
}

struct message *session_item_next(const struct message *item)
{
	return TAILQ_NEXT(item, link);
}

void session_set_sent(struct session *self, struct message *item, uint64_t end_offset)
{
	item->end_offset = end_offset;
	if (item->seq <= self->sent)
		return;
	ASSERT(item == self->next);
	self->sent = item->seq;
	self->next = TAILQ_NEXT(item, link);
	self->unsent_cost -= message_cost(item);
	self->sent_cost += message_cost(item);
	if (self->unsent_cost <= self->route->queue_size / 2)
		set_reading(self, true);
}

void session_trim(struct session *self, uint64_t written, uint64_t offset)
{
	struct message *item;

	while (self->sent_cost > self->route->replay_size &&
		(item = TAILQ_FIRST(&self->items)) != NULL && item->seq <= written &&
		item->end_offset <= offset && item->kind != MESSAGE_CLOSE) {
		self->dropped = item->seq;
		remove_first(self);
		ledger_drop(&self->ledger, 1);
	}
}

/* Sends. */

static enum send_outcome try_send(struct session *self, struct session_send *send)
{
	struct message *frame;
	uint64_t n_frames = 0;

	if (send->is_counted && send->seq <= self->n_used)
		return SEND_REPEATED;
	if (send->is_counted && send->seq > self->n_used + 1)
		return SEND_GAP;
	if (!TAILQ_EMPTY(&send->frames) && !feed_can_take(self->feed, send->cost))
		return SEND_WAITING;
	if (send->is_counted)
		self->n_used = send->seq;
	while ((frame = TAILQ_FIRST(&send->frames)) != NULL) {
		TAILQ_REMOVE(&send->frames, frame, link);
		feed_send(self->feed, frame);
		n_frames++;
	}
	ledger_accept(&self->ledger, n_frames);
	count_handed(self);
	return SEND_QUEUED;
}

static void set_send_wait(struct session *self)
{
	struct session_send *first = TAILQ_FIRST(&self->sends);

	if (first == NULL)
		timer_cancel(&self->send_wait);
	else
		timer_set_at(self->loop, &self->send_wait, first->deadline_ms);
}

static void pump_sends(struct session *self)
{
	struct session_send *send;

	while (self->state == SESSION_OPEN && (send = TAILQ_FIRST(&self->sends)) != NULL) {
		enum send_outcome outcome = try_send(self, send);

		if (outcome == SEND_WAITING)
			break;
		finish_send(self, send, outcome);
	}
	set_send_wait(self);
}

static void on_send_wait(void *arg)
{
	struct session *self = arg;
	uint64_t now = loop_now_ms(self->loop);
	struct session_send *send;

	while ((send = TAILQ_FIRST(&self->sends)) != NULL && send->deadline_ms <= now)
		finish_send(self, send, SEND_FULL);
	pump_sends(self);
}

enum send_outcome session_submit(struct session *self, struct session_send *send)
{
	bool is_opening = self->state == SESSION_OPENING;

	send->session = self;
	if (!is_opening && self->state != SESSION_OPEN)
		return SEND_CLOSED;
	if (send->is_counted && send->seq <= self->n_used)
		return SEND_REPEATED;
	if (!is_opening && TAILQ_EMPTY(&self->sends)) {
		enum send_outcome outcome = try_send(self, send);

		if (outcome != SEND_WAITING)
			return outcome;
	}
	send->deadline_ms = is_opening
		? TIMER_NEVER
		: loop_now_ms(self->loop) + (uint64_t)self->route->send_timeout_ms;
	TAILQ_INSERT_TAIL(&self->sends, send, link);
	set_send_wait(self);
	return SEND_WAITING;
}

void session_withdraw(struct session *self, struct session_send *send)
{
	TAILQ_REMOVE(&self->sends, send, link);
	set_send_wait(self);
}

void session_orphan(struct session *self, struct session_send *send)
{
	if (self->orphan_cost > 0 && self->orphan_cost + send->cost > self->route->queue_size) {
		session_withdraw(self, send);
		free_send(send);
		return;
	}
	send->on_done = NULL;
	send->is_orphan = true;
	self->orphan_cost += send->cost;
}

void session_end(struct session *self, uint16_t code, struct slice reason)
{
	session_set_state(self, SESSION_CLOSING);
	refuse_sends(self);
	feed_finish(self->feed, code, reason);
}

/* Names. */

const char *session_state_name(enum session_state state)
{
	switch (state) {
	case SESSION_OPENING:
		return "opening";
	case SESSION_OPEN:
		return "open";
	case SESSION_CLOSING:
		return "closing";
	case SESSION_CLOSED:
		return "closed";
	case SESSION_OVER:
		return "over";
	}
	return "?";
}

const char *send_outcome_name(enum send_outcome outcome)
{
	switch (outcome) {
	case SEND_WAITING:
		return "waiting";
	case SEND_QUEUED:
		return "queued";
	case SEND_REPEATED:
		return "repeated";
	case SEND_GAP:
		return "gap";
	case SEND_FULL:
		return "full";
	case SEND_CLOSED:
		return "closed";
	}
	return "?";
}

const char *cursor_place_name(enum cursor_place place)
{
	switch (place) {
	case CURSOR_GOOD:
		return "good";
	case CURSOR_BELOW:
		return "below";
	case CURSOR_ABOVE:
		return "above";
	}
	return "?";
}
