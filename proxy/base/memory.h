/* malloc that aborts when memory is out: memory is bounded by limits, so running out is our own bug
 * or the operator's. */
#ifndef PROXY_BASE_MEMORY_H
#define PROXY_BASE_MEMORY_H

#include <stddef.h>

#include "proxy/base/macros.h"

void *memory_alloc(size_t n) __attribute__((malloc, returns_nonnull));
void *memory_alloc_zeroed(size_t n) __attribute__((malloc, returns_nonnull));
void *memory_realloc(void *p, size_t n) __attribute__((returns_nonnull));
char *memory_copy_string(const char *s) __attribute__((malloc, returns_nonnull));
/* Gives whole pages of free memory back to the system, wherever they are. Takes about a millisecond
 * for each 20 MiB. */
void memory_trim(void);

#endif
