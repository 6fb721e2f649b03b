#include "bridge/session_table.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/session_binding.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_frame.h"
#include "proxy/route/hop_client.h"

void session_table_init(struct session_table *self, struct loop *loop,
	const struct conf_route *route, struct slice tag)
{
	*self = (struct session_table){.loop = loop, .route = route};
	TAILQ_INIT(&self->closed);
	session_tombs_init(&self->tombs, (size_t)route->max_sessions);
	ASSERT(tag.n <= SESSION_ID_TAG_MAX);
	memcpy(self->tag, tag.p, tag.n);
}

void session_table_clear(struct session_table *self)
{
	ASSERT(self->sessions == NULL && self->keys == NULL && self->addresses == NULL);
	ASSERT(self->n_slots == 0);
	session_tombs_clear(&self->tombs);
}

/* Slots. */

static struct session_address *find_address(
	const struct session_table *self, const char *p, size_t n)
{
	struct session_address *address;

	HASH_FIND(hh, self->addresses, p, n, address);
	return address;
}

void session_table_share(struct session_table *self, const struct session_counts *counts)
{
	self->counts = *counts;
	/* What a worker that died had is gone with it. */
	counts->items[counts->own] = 0;
}

static void count(struct session_table *self, int change)
{
	self->n_slots += change;
	if (self->counts.items != NULL)
		self->counts.items[self->counts.own] = self->n_slots;
}

static int count_of_all(const struct session_table *self)
{
	int n = 0;

	if (self->counts.items == NULL)
		return self->n_slots;
	for (size_t i = 0; i < self->counts.n; i++)
		n += self->counts.items[i];
	return n;
}

bool session_table_has_room(const struct session_table *self, struct slice address)
{
	const struct session_address *of_address = find_address(self, address.p, address.n);
	int max = self->route->max_sessions_per_address;

	if (count_of_all(self) >= self->route->max_sessions)
		return false;
	return max == 0 || of_address == NULL || of_address->n_sessions < max;
}

static void take_slot(struct session_table *self, struct session *session)
{
	size_t n = strlen(session->address);
	struct session_address *address = find_address(self, session->address, n);

	if (address == NULL) {
		address = memory_alloc_zeroed(sizeof(*address) + n + 1);
		memcpy(address->text, session->address, n);
		HASH_ADD_KEYPTR(hh, self->addresses, address->text, n, address);
	}
	address->n_sessions++;
	count(self, 1);
	session->has_slot = true;
}

static void free_slot(struct session_table *self, struct session *session)
{
	struct session_address *address;

	if (!session->has_slot)
		return;
	address = find_address(self, session->address, strlen(session->address));
	if (--address->n_sessions == 0) {
		HASH_DEL(self->addresses, address);
		free(address);
	}
	count(self, -1);
	session->has_slot = false;
}

/* Sessions. */

static char *copy_slice(struct slice s)
{
	char *copy = memory_alloc(s.n + 1);

	memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

static struct session *add(
	struct session_table *self, struct exchange *x, struct slice path, struct slice id)
{
	struct session *session = memory_alloc(sizeof(*session));

	session_init(session, self, path, id);
	session->address = copy_slice(hop_client_address(x));
	session->binding = session_binding_new(self->route, x);
	take_slot(self, session);
	HASH_ADD_KEYPTR(hh, self->sessions, session->id, session->id_size, session);
	self->n_sessions++;
	return session;
}

struct session *session_table_add(struct session_table *self, struct exchange *x, struct slice path)
{
	char id[SESSION_ID_MAX + 1];
	size_t n = session_id_make(id, slice_from_string(self->tag));

	return add(self, x, path, slice_of(id, n));
}

static struct slice name_to_id(char id[SESSION_NAME_MAX + 1], struct slice name)
{
	ASSERT(name.n > 0 && name.n <= SESSION_NAME_MAX);
	id[0] = '/';
	memcpy(id + 1, name.p, name.n);
	return slice_of(id, name.n + 1);
}

static struct session *find_name(const struct session_table *self, struct slice name)
{
	char text[SESSION_NAME_MAX + 1];
	struct slice id = name_to_id(text, name);
	struct session *session;

	HASH_FIND(hh, self->sessions, id.p, id.n, session);
	return session;
}

struct session *session_table_add_named(
	struct session_table *self, struct exchange *x, struct slice path, struct slice name)
{
	char id[SESSION_NAME_MAX + 1];
	struct session *session;

	ASSERT(find_name(self, name) == NULL);
	session = add(self, x, path, name_to_id(id, name));
	session->is_named = true;
	return session;
}

bool session_table_is_taken(struct session_table *self, struct slice name)
{
	char id[SESSION_NAME_MAX + 1];

	return find_name(self, name) != NULL ||
		session_tombs_has(&self->tombs, name_to_id(id, name), loop_now_ms(self->loop));
}

static struct session *admit(struct session *session, struct exchange *x)
{
	return session_binding_admits(session->binding, session->route, x) ? session : NULL;
}

struct session *session_table_find_named(
	const struct session_table *self, struct exchange *x, struct slice name)
{
	struct session *session = find_name(self, name);

	return session != NULL ? admit(session, x) : NULL;
}

struct session *session_table_find(
	const struct session_table *self, struct exchange *x, struct slice path, struct slice id)
{
	struct session *session;

	HASH_FIND(hh, self->sessions, id.p, id.n, session);
	if (session == NULL || session->state == SESSION_OPENING ||
		!slice_equals(slice_from_string(session->path), path))
		return NULL;
	return admit(session, x);
}

static void free_key(struct session_table *self, struct session_key *key)
{
	HASH_DEL(self->keys, key);
	key->session->key = NULL;
	arena_clear(&key->arena);
	free(key);
}

/* One whose client is still reading is forgotten last. */
static struct session *oldest_closed(const struct session_table *self)
{
	struct session *session;

	TAILQ_FOREACH (session, &self->closed, closed_link)
		if (session->transport == NULL)
			return session;
	return TAILQ_FIRST(&self->closed);
}

void session_table_remember(struct session_table *self, struct session *session)
{
	free_slot(self, session);
	session->is_remembered = true;
	TAILQ_INSERT_TAIL(&self->closed, session, closed_link);
	if (++self->n_closed > self->route->max_sessions)
		session_forget(oldest_closed(self), WS_CODE_GOING_AWAY);
}

void session_table_remove(struct session_table *self, struct session *session)
{
	free_slot(self, session);
	if (session->is_remembered) {
		TAILQ_REMOVE(&self->closed, session, closed_link);
		self->n_closed--;
	}
	if (session->key != NULL)
		free_key(self, session->key);
	/* One that never opened was never told of: its name is free. */
	if (session->is_named && session->seen_ms != 0)
		session_tombs_add(&self->tombs, session_id(session), loop_now_ms(self->loop));
	HASH_DEL(self->sessions, session);
	self->n_sessions--;
	ledger_add(&self->ledger, &session->ledger);
}

/* Keys. */

struct session *session_table_find_key(
	struct session_table *self, const uint8_t digest[DIGEST_SIZE])
{
	struct session_key *key;

	HASH_FIND(hh, self->keys, digest, DIGEST_SIZE, key);
	if (key == NULL)
		return NULL;
	if (key->expires_ms <= loop_now_ms(self->loop)) {
		free_key(self, key);
		return NULL;
	}
	return key->session;
}

void session_table_add_key(
	struct session_table *self, struct session *session, const uint8_t digest[DIGEST_SIZE])
{
	struct session_key *key = memory_alloc_zeroed(sizeof(*key));

	ASSERT(session->key == NULL);
	memcpy(key->digest, digest, DIGEST_SIZE);
	key->session = session;
	arena_init(&key->arena);
	key->expires_ms = TIMER_NEVER;
	session->key = key;
	HASH_ADD(hh, self->keys, digest, DIGEST_SIZE, key);
}

bool session_key_keeps(enum field_id id)
{
	return id == FIELD_SET_COOKIE || id == FIELD_SEC_WEBSOCKET_PROTOCOL;
}

void session_table_start_key(
	struct session_table *self, struct session *session, const struct fields *fields)
{
	struct session_key *key = session->key;

	if (key == NULL || key->expires_ms != TIMER_NEVER)
		return;
	key->expires_ms = loop_now_ms(self->loop) + (uint64_t)self->route->linger_ms;
	for (uint32_t i = 0; i < fields->n; i++) {
		const struct field *field = &fields->items[i];

		if (session_key_keeps(field->id))
			fields_add_known(&key->fields, &key->arena, field->id,
				arena_copy(&key->arena, field->name),
				arena_copy(&key->arena, field->value));
	}
}

const struct fields *session_table_key_fields(const struct session *session)
{
	return session->key != NULL ? &session->key->fields : NULL;
}
