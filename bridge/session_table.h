/*
 * The sessions of a bridge by id, the caps on them, and the idempotency keys of openings.
 *
 * A look-up is for an exchange, and finds what its client may have: session_binding.h.
 *
 * Ids are made here, or are names that clients chose (is_named). A name is kept as "/NAME", which
 * no id made here and no name is like, so that neither kind is ever found for the other. All that
 * is known of a name is found through session_table_find_named and session_table_is_taken; a name
 * that was forgotten after its opening is remembered as such for SESSION_TOMB_MS.
 *
 * A session counts against the caps from its opening until it is closed or forgotten; closed ones
 * that are remembered do not. Of those there may be max_sessions as well: for one more the oldest
 * is forgotten early. A key is good from the opening on, until the route's linger after its answer,
 * or until the session is forgotten.
 */
#ifndef BRIDGE_SESSION_TABLE_H
#define BRIDGE_SESSION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge/digest.h"
#include "bridge/ledger.h"
#include "bridge/session.h"
#include "bridge/session_tombs.h"
#include "conf/conf.h"
#include "proxy/base/arena.h"
#include "proxy/base/loop.h"
#include "proxy/base/slice.h"
#include "proxy/http/exchange.h"
#include "proxy/http/fields.h"

struct session_key {
	UT_hash_handle hh;
	uint8_t digest[DIGEST_SIZE];
	struct session *session;
	uint64_t expires_ms; /* TIMER_NEVER until the opening is answered */
	/* Of the backend's answer, for repeats: those that session_key_keeps. */
	struct arena arena;
	struct fields fields;
};

/* Sessions with a slot, of one client address. */
struct session_address {
	UT_hash_handle hh;
	int n_sessions;
	char text[];
};

TAILQ_HEAD(session_list, session);

/* How many sessions each worker has open on a route, in memory that they share. */
struct session_counts {
	_Atomic int *items; /* by slot; NULL: there is one worker */
	size_t n;
	size_t own;
};

struct session_table {
	struct loop *loop;
	const struct conf_route *route;
	struct session *sessions;
	struct session_key *keys;
	struct session_address *addresses;
	struct session_list closed; /* the oldest first */
	int n_closed;
	int n_slots; /* sessions that count against max_sessions */
	struct session_counts counts;
	size_t n_sessions;
	struct session_tombs tombs; /* names that were forgotten */
	struct ledger ledger;	    /* of the forgotten */
	char tag[SESSION_ID_TAG_MAX + 1];
};

void session_table_init(struct session_table *self, struct loop *loop,
	const struct conf_route *route, struct slice tag);
/* All sessions must have been forgotten. */
void session_table_clear(struct session_table *self);

/* Max_sessions is from now on that of all workers together. */
void session_table_share(struct session_table *self, const struct session_counts *counts);

bool session_table_has_room(const struct session_table *self, struct slice address);
/* A new session in SESSION_OPENING, the exchange's client's. */
struct session *session_table_add(
	struct session_table *self, struct exchange *x, struct slice path);
/* The same with the client's name: at most SESSION_NAME_MAX bytes, and not in use. */
struct session *session_table_add_named(
	struct session_table *self, struct exchange *x, struct slice path, struct slice name);
/* In any state. NULL: none that is this client's. */
struct session *session_table_find_named(
	const struct session_table *self, struct exchange *x, struct slice name);
/* Whether a session of this name is there, whosever it is, or was open and has been forgotten not
 * long ago. */
bool session_table_is_taken(struct session_table *self, struct slice name);
/* NULL: none of this id on this path that is this client's, or one that is still being opened. */
struct session *session_table_find(
	const struct session_table *self, struct exchange *x, struct slice path, struct slice id);
/* For session.c. The session is closed: gives its slot back. */
void session_table_remember(struct session_table *self, struct session *session);
/* The session is forgotten. */
void session_table_remove(struct session_table *self, struct session *session);

/* The digest has all that makes two openings one client's, session_binding_make included. NULL: not
 * known, or no longer good. The session may still be in SESSION_OPENING. */
struct session *session_table_find_key(
	struct session_table *self, const uint8_t digest[DIGEST_SIZE]);
void session_table_add_key(
	struct session_table *self, struct session *session, const uint8_t digest[DIGEST_SIZE]);
/* The opening has been answered: the key's time begins, once. */
void session_table_start_key(
	struct session_table *self, struct session *session, const struct fields *fields);
/* NULL: the session has no key any more. */
const struct fields *session_table_key_fields(const struct session *session);
/* Set-Cookie and Sec-WebSocket-Protocol: what the answer to an opening passes on. */
bool session_key_keeps(enum field_id id);

#endif
