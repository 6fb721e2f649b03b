#include "proxy/base/loop_memory.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "proxy/base/block_cache.h"
#include "proxy/base/macros.h"
#include "proxy/base/memory.h"

/* What libevent keeps for a descriptor is smaller. */
#define SLOT_SIZE ((size_t)32)
/* Addresses only: more than a process has descriptors. */
#define N_SLOTS ((size_t)1 << 20)

static char *region;
static size_t n_used; /* slots that were given out at least once */
static struct block_cache slots = {.max = N_SLOTS};

static bool is_slot(const void *p)
{
	return region != NULL && (uintptr_t)p - (uintptr_t)region < SLOT_SIZE * N_SLOTS;
}

static void *on_malloc(size_t n)
{
	void *slot;

	if (n > SLOT_SIZE || region == NULL)
		return memory_alloc(n);
	slot = block_cache_take(&slots);
	if (slot == NULL && n_used < N_SLOTS)
		slot = region + SLOT_SIZE * n_used++;
	return slot != NULL ? slot : memory_alloc(n);
}

static void on_free(void *p)
{
	if (!is_slot(p))
		free(p);
	else
		(void)block_cache_put(&slots, p);
}

static void *on_realloc(void *p, size_t n)
{
	void *moved;

	if (p == NULL)
		return on_malloc(n);
	if (!is_slot(p))
		return memory_realloc(p, n);
	if (n <= SLOT_SIZE)
		return p;
	moved = memory_alloc(n);
	memcpy(moved, p, SLOT_SIZE);
	on_free(p);
	return moved;
}

void loop_memory_use(void)
{
	if (region != NULL)
		return;
	region = mmap(NULL, SLOT_SIZE * N_SLOTS, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (region == MAP_FAILED)
		region = NULL;
	event_set_mem_functions(on_malloc, on_realloc, on_free);
}
