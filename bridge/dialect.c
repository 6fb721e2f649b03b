#include "bridge/dialect.h"

#include <stdint.h>

/* FNV-1a over the key and a slot's number, its bits mixed. */
static uint64_t weight(struct slice key, size_t slot)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key.n; i++)
		hash = (hash ^ (unsigned char)key.p[i]) * UINT64_C(0x100000001b3);
	hash ^= (slot + 1) * UINT64_C(0x9e3779b97f4a7c15);
	hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
	return hash ^ (hash >> 31);
}

/* Rendezvous hashing: the heaviest slot, so that another number of slots moves few keys. */
int dialect_owner_of_key(struct slice key, size_t n_slots)
{
	uint64_t heaviest = 0;
	int owner = 0;

	for (size_t slot = 0; slot < n_slots; slot++) {
		uint64_t here = weight(key, slot);

		if (here >= heaviest) {
			heaviest = here;
			owner = (int)slot;
		}
	}
	return owner;
}
