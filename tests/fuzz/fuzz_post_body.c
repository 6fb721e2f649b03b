/*
 * A Content-Type up to the first LF, then a body. The verdict must be that of a second reading,
 * which looks at one byte after the other; and the lines must be its lines.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/client/post_body.h"
#include "proxy/base/memory.h"
#include "proxy/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct post_limits limits = {.max_message = 16, .max_lines = 48};

/* The next line of the second reading: false at the end. */
static bool read_line(struct slice body, size_t *at, struct slice *line)
{
	size_t start = *at, end = start;

	if (start == body.n)
		return false;
	while (end < body.n && body.p[end] != '\n')
		end++;
	*at = end < body.n ? end + 1 : end;
	if (end < body.n && end > start && body.p[end - 1] == '\r')
		end--;
	*line = slice_of(body.p + start, end - start);
	return true;
}

static enum post_verdict judge(enum post_kind kind, struct slice body)
{
	bool is_valid = utf8_is_valid(body.p, body.n);
	struct slice line;
	size_t at = 0;

	if (body.n > post_body_limit(kind, &limits))
		return POST_TOO_BIG;
	if (kind == POST_BINARY)
		return POST_OK;
	if (kind == POST_LINES) {
		is_valid = true;
		while (read_line(body, &at, &line)) {
			if (line.n > limits.max_message)
				return POST_TOO_BIG;
			is_valid = utf8_is_valid(line.p, line.n) && is_valid;
		}
	}
	return is_valid ? POST_OK : POST_BAD_UTF8;
}

static void check_lines(struct slice body)
{
	struct slice rest = body, line, must;
	size_t at = 0;

	while (read_line(body, &at, &must)) {
		if (must.n == 0)
			continue;
		ASSERT(post_lines_next(&rest, &line));
		ASSERT(line.p == must.p && line.n == must.n);
	}
	ASSERT(!post_lines_next(&rest, &line));
	ASSERT(rest.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_of((const char *)data, size);
	struct slice type = slice_first(input, slice_find(input, '\n'));
	struct slice body = slice_from(input, type.n + 1);
	/* Allocations of their own sizes, so that a read past the end is seen. */
	char *type_copy = memory_alloc(type.n), *body_copy = memory_alloc(body.n);
	enum post_kind kind;

	if (type.n > 0)
		memcpy(type_copy, type.p, type.n);
	if (body.n > 0)
		memcpy(body_copy, body.p, body.n);
	type.p = type_copy;
	body.p = body_copy;
	kind = post_kind_find(type);
	if (kind != POST_UNSUPPORTED)
		ASSERT(post_body_check(kind, body, &limits) == judge(kind, body));
	ASSERT(type.n > 0 || kind == POST_TEXT);
	check_lines(body);
	free(type_copy);
	free(body_copy);
	return 0;
}
