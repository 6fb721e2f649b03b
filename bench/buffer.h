/* A growing run of bytes, appended at the end and taken from the front. Owns its memory; empty
 * means none is held. */
#ifndef BENCH_BUFFER_H
#define BENCH_BUFFER_H

#include <stddef.h>

#include "proxy/base/macros.h"

struct buffer {
	char *data;
	size_t start; /* first byte not yet taken */
	size_t end;   /* past the last byte */
	size_t size;  /* allocated */
};

static inline size_t buffer_length(const struct buffer *b)
{
	return b->end - b->start;
}

static inline char *buffer_bytes(const struct buffer *b)
{
	return b->data + b->start;
}

void buffer_append(struct buffer *b, const void *data, size_t n);
void buffer_print(struct buffer *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Drops the first n bytes; the memory is kept for reuse. */
void buffer_take(struct buffer *b, size_t n);
/* Empties it and gives the memory back. */
void buffer_free(struct buffer *b);

#endif
