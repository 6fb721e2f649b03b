/*
 * Memory that dies together: an exchange's heads, strings and small structs. Allocation is a bump
 * of a pointer; there is no free of a single object. An arena starts empty and costs nothing until
 * its first allocation.
 */
#ifndef PROXY_BASE_ARENA_H
#define PROXY_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
	char *next;
	char *end;
};

void arena_init(struct arena *self);
/* Gives all memory back; the arena is empty and usable again. */
void arena_clear(struct arena *self);

/* Aligned for any type; uninitialised. Never NULL (out of memory aborts). */
void *arena_alloc(struct arena *self, size_t n);
void *arena_alloc_zeroed(struct arena *self, size_t n);
/* Unaligned bytes, for text. */
char *arena_alloc_text(struct arena *self, size_t n);
struct slice arena_copy(struct arena *self, struct slice s);
/* The copy ends in a NUL that its length does not count. */
struct slice arena_printf(struct arena *self, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_string(struct arena *self, struct slice s);
/* Bytes held from malloc, for memory accounting in tests. */
size_t arena_size(const struct arena *self);

/* Blocks of the common sizes are kept for the next arena; this gives them back. */
void arena_release_cache(void);

#endif
