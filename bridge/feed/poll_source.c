/*
 * Invariants: the timer is set while a poll runs (to the end of patience), while anybody listens
 * (to the next poll) and while something is known that nobody listens to (to when it is forgotten);
 * else it is off. Polls start from the timer only.
 */
#include "bridge/feed/poll_source.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bridge/feed/poll_answer.h"
#include "bridge/feed/poll_request.h"
#include "bridge/feed/poll_schedule.h"
#include "proxy/base/log.h"
#include "proxy/base/memory.h"

enum poll_phase {
	POLL_RESTING,
	POLL_ASKING,  /* no head yet */
	POLL_READING, /* the body of a value */
	POLL_READING_REFUSAL,
};

/* Why a poll has failed. */
struct poll_failure {
	enum reason reason; /* NONE: the backend's answer */
	unsigned status;
	struct arena arena;
	struct fields fields;
	struct slice body;
	char retry_after[24]; /* the field's value, made anew for each who asks */
};

TAILQ_HEAD(poll_listener_list, poll_listener);

struct poll_source {
	struct loop *loop;
	const struct conf_route *route;
	struct backend *backend;
	struct poll_schedule schedule;
	struct timer timer;
	struct poll_listener_list listeners;
	struct poll_listener *walk; /* the next to be told */

	enum poll_phase phase;
	struct arena arena; /* request and answer; kept until the next */
	struct fetch fetch;
	struct pipe pipe;
	struct bytes body;
	const struct response_head *answer;
	bool was_conditional;

	enum poll_knowledge knowledge;
	uint64_t version;
	struct shared_payload *value; /* also with NOTHING, as what was before */
	enum message_kind kind;
	struct arena validators; /* of the value */
	struct slice tag;
	struct slice modified;
	struct poll_failure failure; /* REFUSED */
	const char *server_name;

	enum reason told_reason; /* the trouble in the log; with NONE: */
	unsigned told_status;	 /* 0: all is well */
	struct grave grave;
};

/* Of a refusal's body; a longer one is left out. */
#define MAX_REFUSAL_BODY (256 * 1024)

static const struct fetch_owner fetch_owner;
static void on_timer(void *arg);
static void on_readable(void *arg);

/* Moves. */

static bool may_follow(enum poll_phase from, enum poll_phase to)
{
	switch (from) {
	case POLL_RESTING:
		return to == POLL_ASKING;
	case POLL_ASKING:
		return true;
	case POLL_READING:
	case POLL_READING_REFUSAL:
		return to == POLL_RESTING;
	}
	return false;
}

static void set_phase(struct poll_source *self, enum poll_phase phase)
{
	ASSERT(may_follow(self->phase, phase));
	self->phase = phase;
}

/* Life. */

struct poll_source *poll_source_new(
	struct loop *loop, const struct conf_route *route, struct backend *backend)
{
	struct poll_source *self = memory_alloc_zeroed(sizeof(*self));
	const struct conf_poll *poll = &route->poll;

	ASSERT(poll->is_set);
	self->loop = loop;
	self->route = route;
	self->backend = backend;
	poll_schedule_init(
		&self->schedule, (uint64_t)poll->interval_ms, (uint64_t)poll->max_interval_ms);
	timer_init(&self->timer, on_timer, self);
	TAILQ_INIT(&self->listeners);
	arena_init(&self->arena);
	arena_init(&self->validators);
	arena_init(&self->failure.arena);
	bytes_init(&self->body);
	return self;
}

static void forget_value(struct poll_source *self)
{
	shared_payload_unref(self->value);
	self->value = NULL;
	arena_clear(&self->validators);
	self->tag = self->modified = SLICE("");
}

static void forget_failure(struct poll_source *self)
{
	arena_clear(&self->failure.arena);
	self->failure.fields = (struct fields){0};
	self->failure.body = SLICE("");
}

static void destroy(void *arg)
{
	struct poll_source *self = arg;

	forget_value(self);
	forget_failure(self);
	arena_clear(&self->arena);
	free(self);
}

/* The poll's connection is over, or is cut. */
static void rest(struct poll_source *self)
{
	if (self->phase == POLL_RESTING)
		return;
	set_phase(self, POLL_RESTING);
	fetch_cancel(&self->fetch);
	pipe_close(&self->pipe);
	bytes_clear(&self->body);
}

void poll_source_close(struct poll_source *self)
{
	ASSERT(TAILQ_EMPTY(&self->listeners));
	rest(self);
	timer_close(self->loop, &self->timer);
	loop_bury(self->loop, &self->grave, destroy, self);
}

/* Time. */

static uint64_t next_ms(const struct poll_source *self)
{
	bool is_listened_to = !TAILQ_EMPTY(&self->listeners);

	if (self->phase != POLL_RESTING)
		return self->schedule.started_ms + (uint64_t)self->route->poll.timeout_ms;
	if (is_listened_to && self->knowledge != POLL_UNKNOWN)
		return poll_schedule_due_ms(&self->schedule);
	if (is_listened_to || self->knowledge != POLL_UNKNOWN)
		return poll_schedule_first_due_ms(&self->schedule);
	return TIMER_NEVER;
}

static void plan(struct poll_source *self)
{
	uint64_t at = next_ms(self);

	if (at == TIMER_NEVER)
		timer_cancel(&self->timer);
	else
		timer_set_at(self->loop, &self->timer, MAX(at, loop_now_ms(self->loop)));
}

static void start_poll(struct poll_source *self)
{
	const struct conf_backend *backend = backend_conf(self->backend);
	struct poll_validators validators = {.tag = self->tag, .modified = self->modified};
	const struct request_head *request;

	arena_clear(&self->arena);
	self->answer = NULL;
	self->was_conditional = validators.tag.n > 0 || validators.modified.n > 0;
	request = poll_request_make(self->route, &validators, &self->arena);
	pipe_init(&self->pipe, self->loop, PIPE_LIMIT_DEFAULT);
	fetch_init(&self->fetch, self->loop, &self->arena, request, &fetch_owner, self);
	self->fetch.body = BODY_NONE;
	self->fetch.may_retry = true;
	self->fetch.res_body = &self->pipe;
	self->fetch.timeouts = (struct fetch_timeouts){
		.response_ms = (uint64_t)backend->response_timeout_ms,
		.read_ms = (uint64_t)backend->read_timeout_ms,
		.write_ms = (uint64_t)backend->write_timeout_ms,
	};
	set_phase(self, POLL_ASKING);
	poll_schedule_start(&self->schedule, loop_now_ms(self->loop));
	backend_fetch(self->backend, &self->fetch);
}

static void fail(struct poll_source *self, enum reason reason);

static void on_timer(void *arg)
{
	struct poll_source *self = arg;

	if (self->phase != POLL_RESTING) {
		fail(self, self->answer == NULL ? REASON_RESPONSE_TIMEOUT : REASON_READ_TIMEOUT);
		return;
	}
	if (TAILQ_EMPTY(&self->listeners)) {
		self->knowledge = POLL_UNKNOWN;
		forget_value(self);
		forget_failure(self);
	} else {
		start_poll(self);
	}
	plan(self);
}

/* Listeners. */

void poll_source_join(struct poll_source *self, struct poll_listener *listener)
{
	TAILQ_INSERT_TAIL(&self->listeners, listener, link);
	plan(self);
}

void poll_source_leave(struct poll_source *self, struct poll_listener *listener)
{
	if (self->walk == listener)
		self->walk = TAILQ_NEXT(listener, link);
	TAILQ_REMOVE(&self->listeners, listener, link);
	plan(self);
}

static void tell(struct poll_source *self)
{
	struct poll_listener *listener;

	for (listener = TAILQ_FIRST(&self->listeners); listener != NULL; listener = self->walk) {
		self->walk = TAILQ_NEXT(listener, link);
		listener->on_news(listener);
	}
}

/* The log: each change of state once. */

static void log_change(
	struct poll_source *self, enum reason reason, unsigned status, const char *what)
{
	const char *server = self->fetch.server_name != NULL ? self->fetch.server_name : "-";

	if (self->told_reason == reason && self->told_status == status)
		return;
	self->told_reason = reason;
	self->told_status = status;
	if (status == 0)
		log_info("route \"%s\": poll: %s: it goes on", self->route->path, server);
	else
		log_warn("route \"%s\": poll: %s: %s", self->route->path, server, what);
}

static void log_failure(
	struct poll_source *self, enum reason reason, unsigned status, const char *what)
{
	char text[64];

	if (what == NULL && reason == REASON_NONE)
		(void)snprintf(text, sizeof(text), "status %u", status);
	else
		(void)snprintf(text, sizeof(text), "%s", what != NULL ? what : reason_name(reason));
	log_change(self, reason, status, text);
}

/* Outcomes. */

static uint32_t random_number(void)
{
	uint32_t n;

	ASSERT(RAND_bytes((unsigned char *)&n, sizeof(n)) == 1);
	return n;
}

static void end_poll(struct poll_source *self)
{
	self->server_name = self->fetch.server_name;
	rest(self);
	tell(self);
	plan(self);
}

/* Told to those who have nothing else; all others stay with what they have. */
static bool is_refusing(const struct poll_source *self)
{
	return self->knowledge == POLL_UNKNOWN || self->knowledge == POLL_REFUSED;
}

static void fail_for(struct poll_source *self, enum reason reason, const char *what)
{
	unsigned status = reason_status(reason);

	forget_failure(self);
	self->failure.reason = reason;
	self->failure.status = status != 0 ? status : 502;
	log_failure(self, reason, self->failure.status, what);
	if (is_refusing(self))
		self->knowledge = POLL_REFUSED;
	poll_schedule_fail(&self->schedule, loop_now_ms(self->loop), 0, random_number());
	end_poll(self);
}

static void fail(struct poll_source *self, enum reason reason)
{
	fail_for(self, reason, NULL);
}

static bool is_kept(enum field_id id)
{
	return id == FIELD_CONTENT_TYPE || id == FIELD_WWW_AUTHENTICATE || id == FIELD_LOCATION;
}

static void keep_refusal(struct poll_source *self, bool has_retry_after)
{
	struct poll_failure *failure = &self->failure;
	struct arena *arena = &failure->arena;

	forget_failure(self);
	failure->reason = REASON_NONE;
	failure->status = self->answer->status;
	for (uint32_t i = 0; i < self->answer->fields.n; i++) {
		const struct field *field = &self->answer->fields.items[i];

		if (is_kept(field->id))
			fields_add_known(&failure->fields, arena, field->id,
				arena_copy(arena, field->name), arena_copy(arena, field->value));
	}
	if (has_retry_after)
		fields_add_known(&failure->fields, arena, FIELD_RETRY_AFTER, SLICE("Retry-After"),
			SLICE(""));
	if (bytes_size(&self->body) <= MAX_REFUSAL_BODY)
		failure->body =
			arena_copy(arena, bytes_linearize(&self->body, bytes_size(&self->body)));
}

static void take_refusal(struct poll_source *self)
{
	uint64_t retry_after_ms = poll_answer_retry_after_ms(&self->answer->fields, time(NULL));

	keep_refusal(self, retry_after_ms > 0);
	log_failure(self, REASON_NONE, self->failure.status, NULL);
	if (is_refusing(self))
		self->knowledge = POLL_REFUSED;
	poll_schedule_fail(
		&self->schedule, loop_now_ms(self->loop), retry_after_ms, random_number());
	end_poll(self);
}

static void succeed(struct poll_source *self, enum poll_knowledge knowledge)
{
	self->knowledge = knowledge;
	forget_failure(self);
	log_change(self, REASON_NONE, 0, NULL);
	poll_schedule_succeed(&self->schedule);
	end_poll(self);
}

static void keep_validators(struct poll_source *self)
{
	const struct fields *fields = &self->answer->fields;

	arena_clear(&self->validators);
	self->tag = arena_copy(&self->validators, poll_answer_tag(fields));
	self->modified = arena_copy(&self->validators, poll_answer_modified(fields, time(NULL)));
}

static void take_value(struct poll_source *self)
{
	struct slice body = bytes_linearize(&self->body, bytes_size(&self->body));
	enum message_kind kind =
		poll_answer_kind(fields_value(&self->answer->fields, FIELD_CONTENT_TYPE), body);

	keep_validators(self);
	if (self->value == NULL || self->kind != kind ||
		!slice_equals(shared_payload_bytes(self->value), body)) {
		shared_payload_unref(self->value);
		self->value = shared_payload_new(body);
		self->kind = kind;
		self->version++;
	}
	succeed(self, POLL_HAS_VALUE);
}

/* The answer. */

static bool is_too_large(const struct poll_source *self)
{
	uint64_t most = self->route->max_message_size;

	return bytes_size(&self->body) > most ||
		(self->answer->body == BODY_LENGTH && self->answer->content_length > most);
}

static void go_on_reading(struct poll_source *self)
{
	(void)pipe_take(&self->pipe, &self->body, pipe_size(&self->pipe));
	if (self->phase == POLL_READING && is_too_large(self)) {
		fail_for(self, REASON_BACKEND_PROTOCOL, "the answer is above max_message_size");
		return;
	}
	if (bytes_size(&self->body) > MAX_REFUSAL_BODY && self->phase == POLL_READING_REFUSAL) {
		take_refusal(self);
		return;
	}
	if (!pipe_is_ended(&self->pipe) || !self->fetch.is_over)
		return;
	if (self->phase == POLL_READING_REFUSAL)
		take_refusal(self);
	else if (self->answer->status == 304)
		succeed(self, POLL_HAS_VALUE);
	else if (self->answer->status == 204)
		succeed(self, POLL_HAS_NOTHING);
	else
		take_value(self);
}

static void on_readable(void *arg)
{
	struct poll_source *self = arg;

	if (self->phase == POLL_READING || self->phase == POLL_READING_REFUSAL)
		go_on_reading(self);
}

static void on_head(void *arg, struct response_head *head)
{
	struct poll_source *self = arg;

	self->answer = head;
	switch (poll_answer_result(head, self->was_conditional)) {
	case POLL_VALUE:
	case POLL_NOTHING:
	case POLL_SAME:
		set_phase(self, POLL_READING);
		break;
	case POLL_FAILURE:
		/* What could not be passed on as a refusal is none (RFC 9110 section 15). */
		if (head->status < 300 || head->status == 304) {
			fail_for(self, REASON_BACKEND_PROTOCOL, "an answer without a value");
			return;
		}
		set_phase(self, POLL_READING_REFUSAL);
		break;
	case POLL_ENCODED:
		fail_for(self, REASON_BACKEND_PROTOCOL, "a content coding that was not asked for");
		return;
	}
	pipe_set_reader(&self->pipe, on_readable, self);
}

static void on_interim(void *arg, struct response_head *head)
{
	(void)arg;
	(void)head;
}

static void on_end(void *arg)
{
	on_readable(arg);
}

static void on_failed(void *arg, enum reason reason, const char *why)
{
	(void)why;
	fail(arg, reason);
}

static const struct fetch_owner fetch_owner = {
	.on_interim = on_interim,
	.on_head = on_head,
	.on_end = on_end,
	.on_failed = on_failed,
};

/* What is known. */

enum poll_knowledge poll_source_knowledge(const struct poll_source *self)
{
	return self->knowledge;
}

uint64_t poll_source_version(const struct poll_source *self)
{
	return self->version;
}

struct shared_payload *poll_source_value(const struct poll_source *self)
{
	return self->value;
}

enum message_kind poll_source_kind(const struct poll_source *self)
{
	return self->kind;
}

const char *poll_source_server_name(const struct poll_source *self)
{
	return self->server_name;
}

/* What is left of it. */
static void set_retry_after(struct poll_source *self)
{
	struct poll_failure *failure = &self->failure;
	uint64_t now = loop_now_ms(self->loop), until = self->schedule.not_before_ms;

	for (uint32_t i = 0; i < failure->fields.n; i++) {
		if (failure->fields.items[i].id != FIELD_RETRY_AFTER)
			continue;
		(void)snprintf(failure->retry_after, sizeof(failure->retry_after), "%llu",
			(unsigned long long)(until > now ? (until - now + 999) / 1000 : 1));
		failure->fields.items[i].value = slice_from_string(failure->retry_after);
	}
}

struct feed_refusal poll_source_refusal(struct poll_source *self)
{
	struct poll_failure *failure = &self->failure;

	ASSERT(self->knowledge == POLL_REFUSED);
	if (failure->reason != REASON_NONE)
		return (struct feed_refusal){.reason = failure->reason,
			.status = failure->status,
			.server_name = self->server_name};
	set_retry_after(self);
	return (struct feed_refusal){
		.status = failure->status,
		.fields = &failure->fields,
		.server_name = self->server_name,
		.body = failure->body,
	};
}

const char *poll_knowledge_name(enum poll_knowledge knowledge)
{
	switch (knowledge) {
	case POLL_UNKNOWN:
		return "unknown";
	case POLL_HAS_VALUE:
		return "value";
	case POLL_HAS_NOTHING:
		return "nothing";
	case POLL_REFUSED:
		return "refused";
	}
	return "?";
}
