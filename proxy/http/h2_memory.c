#include "proxy/http/h2_memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "proxy/base/macros.h"
#include "proxy/base/memory.h"

/* A buffer of frames, with nghttp2's few bytes beyond a whole frame, takes a slot. */
#define FRAME_MIN 16384
#define SLOT_SIZE ((size_t)5 * 4096)
/* Addresses only: more sessions than a process has descriptors for. */
#define N_SLOTS 32768

struct slot {
	struct slot *next;
};

/* One run of addresses, so that a slot is known by where it is; NULL: not made yet. */
static char *region;
static bool is_region_refused;
static size_t n_used; /* slots that were given out at least once */
static struct slot *free_slots;

static bool is_slot(const void *p)
{
	return (uintptr_t)p - (uintptr_t)region < SLOT_SIZE * N_SLOTS && region != NULL;
}

static void open_region(void)
{
	region = mmap(NULL, SLOT_SIZE * N_SLOTS, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	is_region_refused = region == MAP_FAILED;
	if (is_region_refused)
		region = NULL;
}

/* What came back is used before anything fresh is touched. NULL: there is none. */
static void *slot_take(void)
{
	struct slot *slot = free_slots;

	if (slot != NULL) {
		free_slots = slot->next;
		return slot;
	}
	if (region == NULL && !is_region_refused)
		open_region();
	return region != NULL && n_used < N_SLOTS ? region + SLOT_SIZE * n_used++ : NULL;
}

static void on_free(void *p, void *arg)
{
	struct slot *slot = p;

	(void)arg;
	if (LIKELY(!is_slot(p))) {
		free(p);
		return;
	}
	slot->next = free_slots;
	free_slots = slot;
}

static void *on_malloc(size_t n, void *arg)
{
	void *p = NULL;

	(void)arg;
	if (UNLIKELY(n >= FRAME_MIN && n <= SLOT_SIZE))
		p = slot_take();
	return p != NULL ? p : memory_alloc(MAX(n, (size_t)1));
}

static void *on_calloc(size_t n, size_t size, void *arg)
{
	(void)arg;
	return memory_alloc_zeroed(MAX(n * size, (size_t)1));
}

static void *on_realloc(void *p, size_t n, void *arg)
{
	void *moved;

	if (p == NULL)
		return on_malloc(n, arg);
	if (LIKELY(!is_slot(p)))
		return memory_realloc(p, MAX(n, (size_t)1));
	if (n <= SLOT_SIZE)
		return p;
	moved = memory_alloc(n);
	memcpy(moved, p, SLOT_SIZE);
	on_free(p, arg);
	return moved;
}

nghttp2_mem *h2_memory(void)
{
	static nghttp2_mem memory = {
		.malloc = on_malloc, .free = on_free, .calloc = on_calloc, .realloc = on_realloc};

	return &memory;
}
