#include "proxy/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/block_cache.h"
#include "proxy/base/memory.h"

struct arena_block {
	struct arena_block *next;
	size_t size; /* of the whole block */
	alignas(max_align_t) char data[];
};

/*
 * An arena's blocks grow: a request that waits for long needs little, one that is forwarded has
 * both heads in three blocks.
 */
#define BLOCK_MIN 1024
#define BLOCK_MAX 4096
#define MAX_CACHED 64

static struct block_cache caches[] = {
	{.max = MAX_CACHED}, {.max = MAX_CACHED}, {.max = MAX_CACHED}};

void arena_init(struct arena *self)
{
	*self = (struct arena){0};
}

/* NULL: a block of its own size is not kept. */
static struct block_cache *cache_of(size_t size)
{
	switch (size) {
	case BLOCK_MIN:
		return &caches[0];
	case 2 * BLOCK_MIN:
		return &caches[1];
	case BLOCK_MAX:
		return &caches[2];
	default:
		return NULL;
	}
}

static struct arena_block *block_new(size_t size)
{
	struct block_cache *cache = cache_of(size);
	struct arena_block *block = cache != NULL ? block_cache_take(cache) : NULL;

	if (block == NULL)
		block = memory_alloc(size);
	block->size = size;
	return block;
}

static void block_free(struct arena_block *block)
{
	struct block_cache *cache = cache_of(block->size);

	if (cache == NULL || !block_cache_put(cache, block))
		free(block);
}

void arena_clear(struct arena *self)
{
	while (self->blocks != NULL) {
		struct arena_block *block = self->blocks;

		self->blocks = block->next;
		block_free(block);
	}
	arena_init(self);
}

/* Of the next block, which has to take so many bytes. */
static size_t next_size(const struct arena *self, size_t n)
{
	size_t size = BLOCK_MIN;

	if (self->blocks != NULL && cache_of(self->blocks->size) != NULL)
		size = MIN(2 * self->blocks->size, BLOCK_MAX);
	while (size - sizeof(struct arena_block) < n)
		size *= 2;
	return size;
}

static void *arena_grow(struct arena *self, size_t n)
{
	struct arena_block *block;
	size_t size;

	/* A large object gets a block of its own behind the current one, whose rest stays usable.
	 */
	if (n > BLOCK_MIN) {
		block = block_new(sizeof(*block) + n);
		if (self->blocks != NULL) {
			block->next = self->blocks->next;
			self->blocks->next = block;
		} else {
			block->next = NULL;
			self->blocks = block;
			self->next = self->end = block->data + n;
		}
		return block->data;
	}
	size = next_size(self, n);
	block = block_new(size);
	block->next = self->blocks;
	self->blocks = block;
	self->next = block->data + n;
	self->end = (char *)block + size;
	return block->data;
}

void *arena_alloc(struct arena *self, size_t n)
{
	size_t padding = -(uintptr_t)self->next & (alignof(max_align_t) - 1);

	if (self->next == NULL || (size_t)(self->end - self->next) < padding + n)
		return arena_grow(self, n);
	self->next += padding + n;
	return self->next - n;
}

void *arena_alloc_zeroed(struct arena *self, size_t n)
{
	return memset(arena_alloc(self, n), 0, n);
}

char *arena_alloc_text(struct arena *self, size_t n)
{
	if (self->next == NULL || (size_t)(self->end - self->next) < n)
		return arena_grow(self, n);
	self->next += n;
	return self->next - n;
}

struct slice arena_copy(struct arena *self, struct slice s)
{
	char *p;

	if (s.n == 0)
		return SLICE("");
	p = arena_alloc_text(self, s.n);
	memcpy(p, s.p, s.n);
	return slice_of(p, s.n);
}

char *arena_string(struct arena *self, struct slice s)
{
	char *p = arena_alloc_text(self, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

struct slice arena_printf(struct arena *self, const char *fmt, ...)
{
	va_list args;
	char *p;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	ASSERT(n >= 0);
	p = arena_alloc_text(self, (size_t)n + 1);
	va_start(args, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, args);
	va_end(args);
	return slice_of(p, (size_t)n);
}

size_t arena_size(const struct arena *self)
{
	size_t total = 0;

	for (const struct arena_block *block = self->blocks; block != NULL; block = block->next)
		total += block->size;
	return total;
}

void arena_release_cache(void)
{
	for (size_t i = 0; i < ARRAY_LEN(caches); i++)
		block_cache_clear(&caches[i]);
}
