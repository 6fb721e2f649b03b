/*
 * A ring of digests, the oldest first, and chains of those whose last bits are the same. All of
 * them stand in two arrays: one allocation for each would lie among those of sessions, and keep the
 * memory of those that have gone from being given back.
 *
 * What came again leaves an empty place in the ring, which goes when it is the oldest or when the
 * ring is full.
 */
#include "bridge/session_tombs.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/macros.h"
#include "proxy/base/memory.h"

struct session_tomb {
	uint64_t digest;
	uint64_t expires_ms; /* 0: an empty place */
	uint32_t next;	     /* in its chain: a place + 1; 0: the last */
};

#define SIZE_MIN 64

void session_tombs_init(struct session_tombs *self, size_t max)
{
	ASSERT(max > 0 && max < UINT32_MAX / 4);
	*self = (struct session_tombs){.max = max};
}

void session_tombs_clear(struct session_tombs *self)
{
	free(self->ring);
	free(self->chains);
	*self = (struct session_tombs){.max = self->max};
}

/* Two names that somebody finds to have the same digest are of use to nobody, but to himself. */
static uint64_t digest_of(struct slice id)
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	uint64_t digest;

	(void)SHA256((const unsigned char *)id.p, id.n, sum);
	memcpy(&digest, sum, sizeof(digest));
	return digest;
}

/* What refers to it; 0 stands there if there is none. */
static uint32_t *find(const struct session_tombs *self, uint64_t digest)
{
	uint32_t *link = &self->chains[digest & (self->size - 1)];

	while (*link != 0 && self->ring[*link - 1].digest != digest)
		link = &self->ring[*link - 1].next;
	return link;
}

static void remove_tomb(struct session_tombs *self, uint32_t *link)
{
	struct session_tomb *tomb = &self->ring[*link - 1];

	*link = tomb->next;
	tomb->expires_ms = 0;
	self->n--;
}

static void put(struct session_tombs *self, uint64_t digest, uint64_t expires_ms)
{
	uint32_t place = (self->first + self->n_places++) & (self->size - 1);
	uint32_t *link = find(self, digest);

	ASSERT(*link == 0);
	self->ring[place] = (struct session_tomb){.digest = digest, .expires_ms = expires_ms};
	*link = place + 1;
	self->n++;
}

static void remove_first_place(struct session_tombs *self)
{
	const struct session_tomb *tomb = &self->ring[self->first];

	if (tomb->expires_ms != 0)
		remove_tomb(self, find(self, tomb->digest));
	self->first = (self->first + 1) & (self->size - 1);
	self->n_places--;
}

static void expire(struct session_tombs *self, uint64_t now_ms)
{
	while (self->n_places > 0 && self->ring[self->first].expires_ms <= now_ms)
		remove_first_place(self);
	if (self->n_places == 0)
		session_tombs_clear(self);
}

/* Without the empty places, and with half of all places free. */
static void make_room(struct session_tombs *self)
{
	struct session_tombs old = *self;

	if (self->n_places < self->size)
		return;
	session_tombs_init(self, old.max);
	self->size = SIZE_MIN;
	while (self->size < 2 * old.n)
		self->size *= 2;
	self->ring = memory_alloc(self->size * sizeof(*self->ring));
	self->chains = memory_alloc_zeroed(self->size * sizeof(*self->chains));
	for (uint32_t i = 0; i < old.n_places; i++) {
		const struct session_tomb *tomb = &old.ring[(old.first + i) & (old.size - 1)];

		if (tomb->expires_ms != 0)
			put(self, tomb->digest, tomb->expires_ms);
	}
	session_tombs_clear(&old);
}

void session_tombs_add(struct session_tombs *self, struct slice id, uint64_t now_ms)
{
	uint64_t digest = digest_of(id);
	uint32_t *link;

	expire(self, now_ms);
	link = self->n > 0 ? find(self, digest) : NULL;
	if (link != NULL && *link != 0)
		remove_tomb(self, link);
	while (self->n == self->max)
		remove_first_place(self);
	make_room(self);
	put(self, digest, now_ms + SESSION_TOMB_MS);
}

bool session_tombs_has(struct session_tombs *self, struct slice id, uint64_t now_ms)
{
	expire(self, now_ms);
	return self->n > 0 && *find(self, digest_of(id)) != 0;
}
