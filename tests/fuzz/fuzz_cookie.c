/*
 * Values of Cookie fields, one a line. The values of a name must be those of a second reading,
 * which looks at one byte after the other; and how the pairs are spread over fields must not
 * matter.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"
#include "proxy/http/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A line's values of the cookie "s", each with a ";" before it; the bytes written. */
static size_t judge(const char *p, size_t n, char *out)
{
	size_t n_out = 0, start = 0, end, last;

	for (size_t i = 0; i <= n; i++) {
		if (i < n && p[i] != ';')
			continue;
		end = i;
		while (start < end && is_blank(p[start]))
			start++;
		while (end > start && is_blank(p[end - 1]))
			end--;
		last = end;
		if (last - start >= 2 && p[start] == 's' && p[start + 1] == '=') {
			out[n_out++] = ';';
			memcpy(out + n_out, p + start + 2, last - start - 2);
			n_out += last - start - 2;
		}
		start = i + 1;
	}
	return n_out;
}

static size_t judge_lines(const char *text, size_t size, char *out)
{
	size_t n_out = 0, start = 0;

	for (size_t i = 0; i <= size; i++) {
		if (i < size && text[i] != '\n')
			continue;
		n_out += judge(text + start, i - start, out + n_out);
		start = i + 1;
	}
	return n_out;
}

static void add_lines(struct fields *fields, struct arena *arena, struct slice text)
{
	while (text.n > 0) {
		struct slice line = slice_first(text, slice_find(text, '\n'));

		fields_add_id(fields, arena, FIELD_COOKIE, line);
		text = slice_from(text, line.n + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Allocations of their own size, so that a read past the end is seen. */
	char *text = memory_alloc(size), *joined = memory_alloc(size),
	     *wanted = memory_alloc(size + 1);
	struct fields spread = {0}, one = {0};
	struct arena arena;
	struct slice values;
	size_t n;

	arena_init(&arena);
	if (size > 0)
		memcpy(text, data, size);
	for (size_t i = 0; i < size; i++)
		joined[i] = (char)(text[i] == '\n' ? ';' : text[i]);
	n = judge_lines(text, size, wanted);
	add_lines(&spread, &arena, slice_of(text, size));
	values = cookie_values(&spread, SLICE("s"), &arena);
	ASSERT(slice_equals(values, slice_of(wanted, n)));
	fields_add_id(&one, &arena, FIELD_COOKIE, slice_of(joined, size));
	ASSERT(slice_equals(cookie_values(&one, SLICE("s"), &arena), values));
	arena_clear(&arena);
	free(text);
	free(joined);
	free(wanted);
	return 0;
}
