#include "proxy/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/memory.h"

struct arena_block {
	struct arena_block *next;
	size_t size; /* of the whole block */
	alignas(max_align_t) char data[];
};

/* One block holds the heads of an ordinary exchange. */
#define BLOCK_SIZE 4096
#define MAX_CACHED 64

static struct arena_block *cached;
static unsigned n_cached;

void arena_init(struct arena *self)
{
	*self = (struct arena){0};
}

static struct arena_block *block_new(size_t size)
{
	struct arena_block *block;

	if (size == BLOCK_SIZE && cached != NULL) {
		block = cached;
		cached = block->next;
		n_cached--;
		return block;
	}
	block = memory_alloc(size);
	block->size = size;
	return block;
}

static void block_free(struct arena_block *block)
{
	if (block->size == BLOCK_SIZE && n_cached < MAX_CACHED) {
		block->next = cached;
		cached = block;
		n_cached++;
		return;
	}
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

static void *arena_grow(struct arena *self, size_t n)
{
	size_t room = BLOCK_SIZE - sizeof(struct arena_block);
	struct arena_block *block;

	/* A large object gets a block of its own behind the current one, whose rest stays usable.
	 */
	if (n > room / 2) {
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
	block = block_new(BLOCK_SIZE);
	block->next = self->blocks;
	self->blocks = block;
	self->next = block->data + n;
	self->end = (char *)block + BLOCK_SIZE;
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
	while (cached != NULL) {
		struct arena_block *block = cached;

		cached = block->next;
		free(block);
	}
	n_cached = 0;
}
