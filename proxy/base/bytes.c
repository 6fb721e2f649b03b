#include "proxy/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/block_cache.h"
#include "proxy/base/memory.h"

struct bytes_segment {
	struct bytes_segment *next;
	uint32_t start; /* first unread byte */
	uint32_t end;	/* first free byte */
	uint32_t size;	/* of data */
	char data[];
};

/* Below this, copying is cheaper than keeping another segment in the chain. */
#define COPY_MAX 1024
/* A waiting queue may waste this much. */
#define COMPACT_SLACK 512

/* At most 4 MiB of chunks. */
static struct block_cache cache = {.max = 256};
static size_t n_live;

static struct bytes_segment *segment_new(size_t size)
{
	struct bytes_segment *segment = size == BYTES_CHUNK_SIZE ? block_cache_take(&cache) : NULL;

	n_live++;
	if (segment == NULL)
		segment = memory_alloc(sizeof(*segment) + size);
	segment->size = (uint32_t)size;
	segment->next = NULL;
	segment->start = segment->end = 0;
	return segment;
}

static void segment_free(struct bytes_segment *segment)
{
	n_live--;
	if (segment->size != BYTES_CHUNK_SIZE || !block_cache_put(&cache, segment))
		free(segment);
}

static size_t segment_room(const struct bytes_segment *segment)
{
	return segment->size - segment->end;
}

static size_t segment_used(const struct bytes_segment *segment)
{
	return segment->end - segment->start;
}

static void push_tail(struct bytes *self, struct bytes_segment *segment)
{
	if (self->tail != NULL)
		self->tail->next = segment;
	else
		self->head = segment;
	self->tail = segment;
}

static struct bytes_segment *pop_head(struct bytes *self)
{
	struct bytes_segment *segment = self->head;

	self->head = segment->next;
	if (self->head == NULL)
		self->tail = NULL;
	segment->next = NULL;
	return segment;
}

void bytes_init(struct bytes *self)
{
	*self = (struct bytes){0};
}

void bytes_clear(struct bytes *self)
{
	while (self->head != NULL)
		segment_free(pop_head(self));
	self->size = 0;
}

char *bytes_reserve(struct bytes *self, size_t min, size_t *room)
{
	ASSERT(min > 0 && min <= BYTES_CHUNK_SIZE);
	if (self->tail == NULL || segment_room(self->tail) < min)
		push_tail(self, segment_new(BYTES_CHUNK_SIZE));
	*room = segment_room(self->tail);
	return self->tail->data + self->tail->end;
}

void bytes_commit(struct bytes *self, size_t n)
{
	if (n == 0)
		return;
	ASSERT(self->tail != NULL && n <= segment_room(self->tail));
	self->tail->end += (uint32_t)n;
	self->size += n;
}

void bytes_release_reserve(struct bytes *self)
{
	struct bytes_segment **link = &self->head, *last = NULL;

	/* Empty segments stand only at the tail, where a reserve put them. */
	while (*link != NULL && segment_used(*link) > 0) {
		last = *link;
		link = &last->next;
	}
	while (*link != NULL) {
		struct bytes_segment *segment = *link;

		*link = segment->next;
		segment_free(segment);
	}
	self->tail = last;
}

int bytes_reserve_vectors(struct bytes *self, struct iovec *iov, int max)
{
	int n = 0;

	if (self->tail != NULL && segment_room(self->tail) > 0) {
		iov[n].iov_base = self->tail->data + self->tail->end;
		iov[n++].iov_len = segment_room(self->tail);
	}
	while (n < max) {
		struct bytes_segment *segment = segment_new(BYTES_CHUNK_SIZE);

		push_tail(self, segment);
		iov[n].iov_base = segment->data;
		iov[n++].iov_len = segment->size;
	}
	return n;
}

void bytes_commit_vectors(struct bytes *self, size_t n)
{
	struct bytes_segment *segment = self->head;

	self->size += n;
	/* A chain is filled in order: the room begins in the last segment that has bytes. */
	while (n > 0) {
		size_t part;

		ASSERT(segment != NULL);
		if (segment->next != NULL && segment_used(segment->next) > 0) {
			segment = segment->next;
			continue;
		}
		part = MIN(n, segment_room(segment));
		segment->end += (uint32_t)part;
		n -= part;
		segment = segment->next;
	}
	bytes_release_reserve(self);
}

void bytes_append(struct bytes *self, const void *p, size_t n)
{
	const char *from = p;

	while (n > 0) {
		size_t room, part;
		char *to = bytes_reserve(self, 1, &room);

		part = MIN(n, room);
		memcpy(to, from, part);
		bytes_commit(self, part);
		from += part;
		n -= part;
	}
}

void bytes_append_slice(struct bytes *self, struct slice s)
{
	bytes_append(self, s.p, s.n);
}

void bytes_append_string(struct bytes *self, const char *s)
{
	bytes_append(self, s, strlen(s));
}

void bytes_printf(struct bytes *self, const char *fmt, ...)
{
	char small[512], *text = small;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(small, sizeof(small), fmt, args);
	va_end(args);
	ASSERT(n >= 0);
	if ((size_t)n >= sizeof(small)) {
		text = memory_alloc((size_t)n + 1);
		va_start(args, fmt);
		(void)vsnprintf(text, (size_t)n + 1, fmt, args);
		va_end(args);
	}
	bytes_append(self, text, (size_t)n);
	if (text != small)
		free(text);
}

struct slice bytes_front(const struct bytes *self)
{
	if (self->head == NULL)
		return SLICE("");
	return slice_of(self->head->data + self->head->start, segment_used(self->head));
}

struct slice bytes_linearize(struct bytes *self, size_t n)
{
	struct bytes_segment *joined;

	ASSERT(n <= self->size);
	if (self->head == NULL || segment_used(self->head) >= n)
		return slice_first(bytes_front(self), n);
	/* Doubled, so that a head that arrives byte by byte is not copied at each byte. */
	joined = segment_new(MAX(n * 2, (size_t)256) == BYTES_CHUNK_SIZE ? BYTES_CHUNK_SIZE + 1
									 : MAX(n * 2, (size_t)256));
	bytes_peek(self, joined->data, n);
	joined->end = (uint32_t)n;
	bytes_drain(self, n);
	joined->next = self->head;
	self->head = joined;
	if (self->tail == NULL)
		self->tail = joined;
	self->size += n;
	return bytes_front(self);
}

void bytes_drain(struct bytes *self, size_t n)
{
	ASSERT(n <= self->size);
	self->size -= n;
	while (n > 0) {
		size_t part = MIN(n, segment_used(self->head));

		self->head->start += (uint32_t)part;
		n -= part;
		if (segment_used(self->head) == 0)
			segment_free(pop_head(self));
	}
}

void bytes_peek(const struct bytes *self, void *p, size_t n)
{
	const struct bytes_segment *segment = self->head;
	char *to = p;

	ASSERT(n <= self->size);
	while (n > 0) {
		size_t part = MIN(n, segment_used(segment));

		memcpy(to, segment->data + segment->start, part);
		to += part;
		n -= part;
		segment = segment->next;
	}
}

int bytes_vectors(const struct bytes *self, struct iovec *iov, int max, size_t limit)
{
	int n = 0;

	for (struct bytes_segment *segment = self->head; segment != NULL && n < max && limit > 0;
		segment = segment->next) {
		size_t part = MIN(limit, segment_used(segment));

		if (part == 0)
			continue;
		iov[n].iov_base = segment->data + segment->start;
		iov[n++].iov_len = part;
		limit -= part;
	}
	return n;
}

size_t bytes_round_up(const struct bytes *self, size_t n)
{
	size_t total = 0;

	for (const struct bytes_segment *segment = self->head; segment != NULL && total < n;
		segment = segment->next)
		total += segment_used(segment);
	return total;
}

void bytes_move(struct bytes *self, struct bytes *src, size_t n)
{
	ASSERT(n <= src->size);
	while (n > 0) {
		struct bytes_segment *segment = src->head;
		size_t used = segment_used(segment);

		if (n >= used &&
			(used > COPY_MAX || self->tail == NULL ||
				segment_room(self->tail) < used)) {
			push_tail(self, pop_head(src));
			self->size += used;
			src->size -= used;
			n -= used;
		} else {
			size_t part = MIN(n, used);

			bytes_append(self, segment->data + segment->start, part);
			bytes_drain(src, part);
			n -= part;
		}
	}
}

void bytes_move_all(struct bytes *self, struct bytes *src)
{
	bytes_move(self, src, src->size);
}

size_t bytes_footprint(const struct bytes *self)
{
	size_t total = 0;

	for (const struct bytes_segment *segment = self->head; segment != NULL;
		segment = segment->next)
		total += sizeof(*segment) + segment->size;
	return total;
}

void bytes_compact(struct bytes *self)
{
	struct bytes_segment *joined;

	if (self->head == NULL || self->size > BYTES_CHUNK_SIZE / 2)
		return;
	if (self->size == 0) {
		bytes_clear(self);
		return;
	}
	if (bytes_footprint(self) <= sizeof(*self->head) + self->size + COMPACT_SLACK)
		return;
	joined = segment_new(self->size);
	bytes_peek(self, joined->data, self->size);
	joined->end = (uint32_t)self->size;
	bytes_clear(self);
	push_tail(self, joined);
	self->size = joined->end;
}

size_t bytes_live_segments(void)
{
	return n_live;
}

void bytes_release_cache(void)
{
	block_cache_clear(&cache);
}
