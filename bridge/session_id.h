/*
 * Session ids: the owner's tag ("w1.") and 128 random bits as 22 characters of base64url without
 * padding (RFC 4648 section 5). Whoever has the id has the session, so logs show only a mask.
 */
#ifndef BRIDGE_SESSION_ID_H
#define BRIDGE_SESSION_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"

#define SESSION_ID_TAG_MAX 16
#define SESSION_ID_RANDOM_SIZE 22
#define SESSION_ID_MAX (SESSION_ID_TAG_MAX + SESSION_ID_RANDOM_SIZE)
/* Of an id that a client chose. */
#define SESSION_NAME_MAX 128
/* Characters after the tag that a mask keeps: enough to tell sessions apart in a log, 104 bits stay
 * unknown. */
#define SESSION_ID_SHOWN 4

/*
 * Writes a new id and a NUL and returns its length. The tag is at most SESSION_ID_TAG_MAX
 * characters of the form below and ends in "."; it may be empty. The bits come from OpenSSL's
 * RAND_bytes; its failure aborts.
 */
size_t session_id_make(char out[SESSION_ID_MAX + 1], struct slice tag);

/* "w3." begins the ids of the worker in slot 2. -1: no such tag. */
int session_id_slot(struct slice id);
/* Writes the tag of a slot and a NUL. */
void session_id_write_tag(char out[SESSION_ID_TAG_MAX + 1], size_t slot);

/* One or more of A-Z a-z 0-9 _ . - */
bool session_id_has_form(struct slice id);

/* The beginning of an id, as much as may be seen of it. */
struct slice session_id_shown(struct slice id);
/* "w1.kX0a..." : the tag (up to and with the last "."), SESSION_ID_SHOWN characters, "...". An id
 * that is shorter than that becomes "...". In the arena. */
struct slice session_id_mask(struct slice id, struct arena *arena);

/*
 * A request target with the id masked where the last segment of its path is "~ID" and ID has the
 * form of an id; the query is kept. Any other target is returned as it is. In the arena, for the
 * access log.
 */
struct slice session_id_mask_target(struct slice target, struct arena *arena);

#endif
