/* Free blocks of one size, kept for who wants one next. */
#ifndef PROXY_BASE_BLOCK_CACHE_H
#define PROXY_BASE_BLOCK_CACHE_H

#include <stdbool.h>
#include <stddef.h>

struct free_block {
	struct free_block *next;
};

struct block_cache {
	struct free_block *first;
	unsigned n;
	unsigned max;
};

/* NULL: there is none. */
static inline void *block_cache_take(struct block_cache *self)
{
	struct free_block *block = self->first;

	if (block == NULL)
		return NULL;
	self->first = block->next;
	self->n--;
	return block;
}

/* False: there are enough; the caller frees it. */
static inline bool block_cache_put(struct block_cache *self, void *p)
{
	struct free_block *block = p;

	if (self->n == self->max)
		return false;
	block->next = self->first;
	self->first = block;
	self->n++;
	return true;
}

void block_cache_clear(struct block_cache *self);

#endif
