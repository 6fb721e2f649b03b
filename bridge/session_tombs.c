#include "bridge/session_tombs.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/hash_table.h"
#include "proxy/base/macros.h"
#include "proxy/base/memory.h"

struct session_tomb {
	UT_hash_handle hh;
	TAILQ_ENTRY(session_tomb) link;
	uint64_t expires_ms;
	char id[];
};

void session_tombs_init(struct session_tombs *self, size_t max)
{
	ASSERT(max > 0);
	*self = (struct session_tombs){.max = max};
	TAILQ_INIT(&self->oldest_first);
}

static void remove_tomb(struct session_tombs *self, struct session_tomb *tomb)
{
	HASH_DEL(self->by_id, tomb);
	TAILQ_REMOVE(&self->oldest_first, tomb, link);
	self->n--;
	free(tomb);
}

void session_tombs_clear(struct session_tombs *self)
{
	struct session_tomb *tomb;

	while ((tomb = TAILQ_FIRST(&self->oldest_first)) != NULL)
		remove_tomb(self, tomb);
}

static struct session_tomb *find(struct session_tombs *self, struct slice id, uint64_t now_ms)
{
	struct session_tomb *tomb;

	while ((tomb = TAILQ_FIRST(&self->oldest_first)) != NULL && tomb->expires_ms <= now_ms)
		remove_tomb(self, tomb);
	HASH_FIND(hh, self->by_id, id.p, id.n, tomb);
	return tomb;
}

void session_tombs_add(struct session_tombs *self, struct slice id, uint64_t now_ms)
{
	struct session_tomb *tomb = find(self, id, now_ms);

	if (tomb != NULL)
		remove_tomb(self, tomb);
	else if (self->n == self->max)
		remove_tomb(self, TAILQ_FIRST(&self->oldest_first));
	tomb = memory_alloc_zeroed(sizeof(*tomb) + id.n);
	tomb->expires_ms = now_ms + SESSION_TOMB_MS;
	memcpy(tomb->id, id.p, id.n);
	HASH_ADD_KEYPTR(hh, self->by_id, tomb->id, id.n, tomb);
	TAILQ_INSERT_TAIL(&self->oldest_first, tomb, link);
	self->n++;
}

bool session_tombs_has(struct session_tombs *self, struct slice id, uint64_t now_ms)
{
	return find(self, id, now_ms) != NULL;
}
