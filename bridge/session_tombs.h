/*
 * Ids of sessions that were forgotten not long ago, so that a client that comes too late is told
 * that its session is over, and does not get a new one in the middle of its conversation. Bounded:
 * for one more the oldest goes early. What is out of date goes when the next one comes or is asked
 * for.
 */
#ifndef BRIDGE_SESSION_TOMBS_H
#define BRIDGE_SESSION_TOMBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/slice.h"

#define SESSION_TOMB_MS 60000

struct session_tomb;

struct session_tombs {
	struct session_tomb *ring;
	uint32_t *chains;
	uint32_t size; /* of both; 0, or a power of two */
	uint32_t first;
	uint32_t n_places;
	size_t n;
	size_t max;
};

void session_tombs_init(struct session_tombs *self, size_t max);
void session_tombs_clear(struct session_tombs *self);
/* One that stands there already is as if new. */
void session_tombs_add(struct session_tombs *self, struct slice id, uint64_t now_ms);
bool session_tombs_has(struct session_tombs *self, struct slice id, uint64_t now_ms);

#endif
