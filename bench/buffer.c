#include "bench/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"

static void buffer_reserve(struct buffer *b, size_t n)
{
	if (b->size - b->end >= n)
		return;
	if (b->start > 0) {
		memmove(b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	if (b->size - b->end >= n)
		return;
	size_t size = b->size ? b->size : 256;
	while (size - b->end < n)
		size *= 2;
	b->data = memory_realloc(b->data, size);
	b->size = size;
}

void buffer_append(struct buffer *b, const void *data, size_t n)
{
	if (n == 0)
		return;
	buffer_reserve(b, n);
	memcpy(b->data + b->end, data, n);
	b->end += n;
}

void buffer_print(struct buffer *b, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, fmt);
	int n = vasprintf(&text, fmt, args);
	va_end(args);
	ASSERT(n >= 0);
	buffer_append(b, text, (size_t)n);
	free(text);
}

void buffer_take(struct buffer *b, size_t n)
{
	ASSERT(n <= buffer_length(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buffer_free(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){0};
}
