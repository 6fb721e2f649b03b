/*
 * A first-in first-out queue of bytes, and the only place where received and unsent bytes live.
 *
 * Bytes are held in segments. The segments that sockets fill are chunks of BYTES_CHUNK_SIZE from a
 * free list; moving bytes from one queue to another hands whole segments over and copies only small
 * or partial ones. An empty queue holds no memory.
 *
 *   head -> [ read ....... written | free ] -> [ ... ] <- tail
 *
 * The free list is shared by all queues of the process (a worker is single-threaded).
 */
#ifndef PROXY_BASE_BYTES_H
#define PROXY_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

/* One TLS record's plaintext fits in one chunk. */
#define BYTES_CHUNK_SIZE 16384

struct bytes_segment;

struct bytes {
	struct bytes_segment *head;
	struct bytes_segment *tail;
	size_t size;
};

void bytes_init(struct bytes *self);
/* Drops all content; the queue is empty and usable. */
void bytes_clear(struct bytes *self);

static inline size_t bytes_size(const struct bytes *self)
{
	return self->size;
}

/*
 * Writing at the tail. reserve returns at least `min` (1..BYTES_CHUNK_SIZE) writable bytes and says
 * how many there are; commit adds the first n of them. Nothing else may touch the queue between the
 * two.
 */
char *bytes_reserve(struct bytes *self, size_t min, size_t *room);
void bytes_commit(struct bytes *self, size_t n);
/* Undoes a reserve that nothing was committed to: an empty queue holds no memory. */
void bytes_release_reserve(struct bytes *self);
/* Several chunks at once for readv: fills up to `max` vectors with at least n_chunks chunks' room.
 * Returns how many. */
int bytes_reserve_vectors(struct bytes *self, struct iovec *iov, int max);
void bytes_commit_vectors(struct bytes *self, size_t n);

void bytes_append(struct bytes *self, const void *p, size_t n);
void bytes_append_slice(struct bytes *self, struct slice s);
void bytes_append_string(struct bytes *self, const char *s);
void bytes_printf(struct bytes *self, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Reading at the head. */
/* The contiguous bytes at the head; empty only when the queue is. Valid until the queue is changed.
 */
struct slice bytes_front(const struct bytes *self);
/* Makes the first n bytes (at most size) contiguous and returns them. */
struct slice bytes_linearize(struct bytes *self, size_t n);
void bytes_drain(struct bytes *self, size_t n);
/* Copies out the first n (at most size) without removing them. */
void bytes_peek(const struct bytes *self, void *p, size_t n);
/* Vectors over at most `limit` bytes from the head, for writev. Returns how many. */
int bytes_vectors(const struct bytes *self, struct iovec *iov, int max, size_t limit);

/* n, or a little more so that it ends where a segment does: moving that many copies nothing. */
size_t bytes_round_up(const struct bytes *self, size_t n);
/* Moves the first n bytes (at most src's size) to the tail of self. */
void bytes_move(struct bytes *self, struct bytes *src, size_t n);
void bytes_move_all(struct bytes *self, struct bytes *src);

/* Copies a small remainder out of a big chunk into memory of its own size, so that a waiting queue
 * does not pin a chunk. */
void bytes_compact(struct bytes *self);
/* Memory held by this queue. */
size_t bytes_footprint(const struct bytes *self);

/* Segments in use by all queues, for leak checks. */
size_t bytes_live_segments(void);
/* Free chunks are kept for the next queue; this gives them back. */
void bytes_release_cache(void);

#endif
