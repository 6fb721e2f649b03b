#include "bridge/client/engineio_session.h"

#include <stdlib.h>

#include "bridge/client/engineio_upgrade.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"

/* Less than the backend counts, and than a ping takes that comes just before its close. */
#define HEAD_START_MS 5
/* How long the backend may take to find the same silence. */
#define BACKEND_PATIENCE_MS 1000

static struct engineio_session *of_part(struct session_part *part)
{
	return CONTAINER_OF(part, struct engineio_session, part);
}

/* Fields. */

bool engineio_session_repeats(const struct field *field)
{
	struct slice prefix = SLICE("access-control-");

	return field->id == FIELD_VARY ||
		slice_equals_ignoring_case(slice_first(field->name, prefix.n), prefix);
}

static struct slice keep(char **to, struct slice s)
{
	struct slice kept = slice_of(*to, s.n);

	if (s.n > 0)
		memcpy(*to, s.p, s.n);
	*to += s.n;
	return kept;
}

/* One piece of memory for all: most backends send none. */
static void keep_fields(struct engineio_session *self, const struct fields *accepted)
{
	uint32_t n_fields = 0;
	size_t n_text = 0;
	char *text;

	for (uint32_t i = 0; i < accepted->n; i++) {
		if (!engineio_session_repeats(&accepted->items[i]))
			continue;
		n_fields++;
		n_text += accepted->items[i].name.n + accepted->items[i].value.n;
	}
	if (n_fields == 0)
		return;
	self->fields = memory_alloc(n_fields * sizeof(struct field) + n_text);
	text = (char *)&self->fields[n_fields];
	for (uint32_t i = 0; i < accepted->n; i++) {
		const struct field *field = &accepted->items[i];

		if (!engineio_session_repeats(field))
			continue;
		self->fields[self->n_fields].id = field->id;
		self->fields[self->n_fields].name = keep(&text, field->name);
		self->fields[self->n_fields++].value = keep(&text, field->value);
	}
}

/* Silence. */

/*
 * The client finds no session any more. What is under way is left to the backend, which knows
 * better what the session ends of, and so says the right thing to both applications.
 */
static void on_silence(void *arg)
{
	struct engineio_session *self = arg;

	if (self->is_expired) {
		engineio_session_end(self, WS_CODE_GOING_AWAY);
		return;
	}
	self->is_expired = true;
	timer_set_in(self->session->loop, &self->silence, BACKEND_PATIENCE_MS);
}

void engineio_session_hear(struct engineio_session *self)
{
	if (!self->is_expired)
		timer_set_in(self->session->loop, &self->silence, self->patience_ms);
}

/* Life. */

/* What is left to be told is kept as long as the route says, no longer. */
static void on_closed(struct session_part *part)
{
	struct session *session = of_part(part)->session;

	session->linger_ms = MIN(session->linger_ms, (uint64_t)session->route->linger_ms);
}

static void on_forgotten(struct session_part *part)
{
	struct engineio_session *self = of_part(part);

	timer_close(self->session->loop, &self->silence);
	if (self->upgrade != NULL)
		engineio_upgrade_leave(self->upgrade);
	free(self->fields);
	free(self);
}

void engineio_session_start(
	struct session *session, const struct engineio_open *open, const struct fields *accepted)
{
	struct engineio_session *self = memory_alloc_zeroed(sizeof(*self));
	uint64_t patience_ms = open->ping_interval_ms + open->ping_timeout_ms;

	ASSERT(session->part == NULL);
	self->part = (struct session_part){.on_closed = on_closed, .on_forgotten = on_forgotten};
	self->session = session;
	self->patience_ms = patience_ms > HEAD_START_MS ? patience_ms - HEAD_START_MS : patience_ms;
	self->max_payload = open->max_payload;
	keep_fields(self, accepted);
	timer_init(&self->silence, on_silence, self);
	session->part = &self->part;
	/* The protocol's own time says when a client is gone. */
	session->linger_ms = patience_ms + BACKEND_PATIENCE_MS;
	engineio_session_hear(self);
}

void engineio_session_end(struct engineio_session *self, uint16_t code)
{
	session_forget(self->session, code);
}

/* Finding. */

struct slice engineio_session_path(struct slice path, struct arena *arena)
{
	return arena_printf(arena, "engineio:%.*s", SLICE_ARG(path));
}

struct engineio_session *engineio_session_find(
	const struct bridge *bridge, struct exchange *x, struct slice path, struct slice sid)
{
	struct session *session =
		session_table_find(&bridge->table, x, engineio_session_path(path, &x->arena), sid);
	struct engineio_session *self;

	if (session == NULL || session->part == NULL)
		return NULL;
	self = of_part(session->part);
	/* In one turn requests come before timers. */
	if (!self->is_expired && self->silence.deadline_ms <= loop_now_ms(session->loop))
		on_silence(self);
	return self->is_expired ? NULL : self;
}

/* Marks. */

/* FNV-1a: who makes two bodies of one number takes in nobody but himself. */
static uint64_t hash(struct slice body)
{
	uint64_t number = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < body.n; i++)
		number = (number ^ (uint8_t)body.p[i]) * UINT64_C(0x100000001b3);
	return number;
}

static bool is_number(struct slice t)
{
	uint64_t number;

	return slice_to_u64(t, &number);
}

void engineio_mark_make(struct engineio_mark *self, struct slice t, struct slice body)
{
	*self = (struct engineio_mark){0};
	if (t.n == 0 || t.n > ENGINEIO_MARK_MAX || is_number(t))
		return;
	self->body = hash(body);
	self->size = (uint8_t)t.n;
	memcpy(self->text, t.p, t.n);
}

bool engineio_mark_equals(const struct engineio_mark *a, const struct engineio_mark *b)
{
	return a->size > 0 && a->body == b->body &&
		slice_equals(slice_of(a->text, a->size), slice_of(b->text, b->size));
}
