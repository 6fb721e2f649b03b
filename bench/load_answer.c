#include "bench/load_answer.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER_LINE_LIMIT = 3072 };

bool answer_find_field(struct slice head, struct slice name, struct slice *value)
{
	size_t at = slice_find(head, '\n') + 1;
	while (at < head.n) {
		struct slice line = slice_from(head, at);
		line = slice_first(line, slice_find(line, '\n'));
		at += line.n + 1;
		if (line.n > name.n && line.p[name.n] == ':' &&
			slice_equals_ignoring_case(slice_first(line, name.n), name)) {
			*value = slice_from(line, name.n + 1);
			value->n -= value->n > 0 && value->p[value->n - 1] == '\r';
			*value = slice_trim(*value);
			return true;
		}
	}
	return false;
}

/* What ends with `end` at the front: its size with that, 0 while it is incomplete. */
static size_t answer_find_end(const char *data, size_t n, const char *end, enum answer_event *event)
{
	size_t end_size = strlen(end);
	const char *found = memmem(data, n, end, end_size);
	if (found)
		return (size_t)(found - data) + end_size;
	*event = n > ANSWER_LINE_LIMIT ? ANSWER_WRONG : ANSWER_NONE;
	return 0;
}

static size_t answer_take_head(
	struct load_answer *a, const char *data, size_t n, enum answer_event *event)
{
	struct slice value;
	size_t size = answer_find_end(data, n, "\r\n\r\n", event);
	if (size == 0)
		return 0;
	struct slice head = slice_of(data, size - 2);
	*event = ANSWER_HEAD;
	a->left = 0;
	a->status = head.n > 12 && slice_starts_with(head, SLICE("HTTP/1.1 ")) ? atoi(data + 9) : 0;
	if (a->status == 101)
		return size;
	if (answer_find_field(head, SLICE("transfer-encoding"), &value)) {
		a->phase = ANSWER_IN_CHUNK_LINE;
	} else if (answer_find_field(head, SLICE("content-length"), &value)) {
		a->phase = ANSWER_IN_BODY;
		if (!slice_to_u64(value, &a->left))
			*event = ANSWER_WRONG;
	} else {
		a->phase = ANSWER_IN_BODY;
		a->left = a->status == 204 ? 0 : UINT64_MAX; /* to the end of the connection */
	}
	if (a->phase == ANSWER_IN_BODY && a->left == 0) {
		a->phase = ANSWER_IN_HEAD;
		*event = ANSWER_END;
	}
	return size;
}

static size_t answer_take_chunk_line(
	struct load_answer *a, const char *data, size_t n, enum answer_event *event)
{
	size_t size = answer_find_end(data, n, "\r\n", event);
	if (size == 0)
		return 0;
	a->left = strtoull(data, NULL, 16);
	a->phase = a->left > 0 ? ANSWER_IN_CHUNK : ANSWER_IN_TRAILERS;
	*event = ANSWER_NONE;
	return size;
}

static size_t answer_take_body(
	struct load_answer *a, const char *data, size_t n, enum answer_event *event)
{
	size_t size = (size_t)MIN((uint64_t)n, a->left);
	buffer_append(&a->body, data, size);
	a->left -= size;
	*event = ANSWER_PIECE;
	if (a->left == 0 && a->phase == ANSWER_IN_CHUNK) {
		a->phase = ANSWER_AFTER_CHUNK;
	} else if (a->left == 0) {
		a->phase = ANSWER_IN_HEAD;
		*event = ANSWER_END;
	}
	return size;
}

size_t answer_take(struct load_answer *a, const char *data, size_t n, enum answer_event *event)
{
	size_t size = 0;
	switch (a->phase) {
	case ANSWER_IN_HEAD:
		return answer_take_head(a, data, n, event);
	case ANSWER_IN_BODY:
	case ANSWER_IN_CHUNK:
		return answer_take_body(a, data, n, event);
	case ANSWER_IN_CHUNK_LINE:
		return answer_take_chunk_line(a, data, n, event);
	case ANSWER_AFTER_CHUNK:
	case ANSWER_IN_TRAILERS:
		size = answer_find_end(data, n, "\r\n", event);
		if (size == 0)
			return 0;
		*event = ANSWER_NONE;
		if (a->phase == ANSWER_AFTER_CHUNK) {
			a->phase = ANSWER_IN_CHUNK_LINE;
		} else if (size == 2) {
			a->phase = ANSWER_IN_HEAD;
			*event = ANSWER_END;
		}
	}
	return size;
}

void answer_reset(struct load_answer *a)
{
	buffer_free(&a->body);
	*a = (struct load_answer){0};
}
