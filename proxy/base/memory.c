#include "proxy/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

void assert_failed(const char *expr, const char *file, int line, const char *func)
{
	(void)fprintf(stderr, "pollux: %s:%d: %s: broken invariant: %s\n", file, line, func, expr);
	abort();
}

static void *check(void *p, size_t n)
{
	if (p == NULL) {
		(void)fprintf(stderr, "pollux: out of memory (%zu bytes)\n", n);
		abort();
	}
	return p;
}

void *memory_alloc(size_t n)
{
	return check(malloc(n > 0 ? n : 1), n);
}

void *memory_alloc_zeroed(size_t n)
{
	return check(calloc(1, n > 0 ? n : 1), n);
}

void *memory_realloc(void *p, size_t n)
{
	return check(realloc(p, n > 0 ? n : 1), n);
}

char *memory_copy_string(const char *s)
{
	return check(strdup(s), strlen(s));
}

void memory_trim(void)
{
	/* Others do so by themselves, or never. */
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}
