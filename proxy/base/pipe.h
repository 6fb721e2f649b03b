/*
 * A bounded byte queue with one writer and one reader: the only byte-level back-pressure in the
 * program.
 *
 * The limit is soft: a writer asks for room before it reads its own source, and what it already has
 * is never refused. Both ends are told by notice (never from inside a call): the reader when bytes,
 * the end or an abort arrived; the writer when room came back or the reader has gone. An end that
 * is detached (set to NULL) gets no more notices.
 *
 *   writer: room -> put ... put_end | abort          reader: take ... until is_ended | close_reader
 */
#ifndef PROXY_BASE_PIPE_H
#define PROXY_BASE_PIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/bytes.h"
#include "proxy/base/loop.h"

struct pipe {
	struct loop *loop;
	struct bytes bytes;
	struct notice reader;
	struct notice writer;
	uint32_t limit;
	bool has_end; /* the writer has finished: the message (or half of a tunnel) is complete */
	bool is_aborted;	/* the writer broke off: what was put is not the whole */
	bool is_reader_gone;	/* nothing put from now on is read */
	bool is_writer_waiting; /* room was asked for and there was none */
};

#define PIPE_LIMIT_DEFAULT (64 * 1024)

void pipe_init(struct pipe *self, struct loop *loop, size_t limit);
/* Cancels notices, drops the bytes. */
void pipe_close(struct pipe *self);

void pipe_set_reader(struct pipe *self, void (*on_readable)(void *arg), void *arg);
void pipe_set_writer(struct pipe *self, void (*on_writable)(void *arg), void *arg);

/* Writer. Room is 0 when the queue is at its limit: on_writable comes when half of it is free
 * again. */
size_t pipe_room(struct pipe *self);
/*
 * For a writer that has to know what was taken, though there is room: on_writable comes with the
 * next take that leaves no more than half of the limit. Nothing to take, nothing to tell.
 */
void pipe_watch_takes(struct pipe *self);
/* Moves n bytes from src. Bytes for a reader that has gone are dropped. */
void pipe_put(struct pipe *self, struct bytes *src, size_t n);
void pipe_put_copy(struct pipe *self, const void *p, size_t n);
void pipe_put_end(struct pipe *self);
/* Idempotent; does nothing after put_end. */
void pipe_abort(struct pipe *self);

/* Reader. */
static inline size_t pipe_size(const struct pipe *self)
{
	return bytes_size(&self->bytes);
}
/* Moves up to n bytes to dst and returns how many. */
size_t pipe_take(struct pipe *self, struct bytes *dst, size_t n);
/* Undoes takes: the bytes stand before all others again. src is empty afterwards. */
void pipe_put_back(struct pipe *self, struct bytes *src);
/* Drops bytes that the reader consumed in place through bytes_front(&self->bytes). */
void pipe_drain(struct pipe *self, size_t n);
/* No more bytes will come and all were taken. */
static inline bool pipe_is_ended(const struct pipe *self)
{
	return self->has_end && bytes_size(&self->bytes) == 0;
}
/* The reader stops: what is queued is dropped, the writer is told. Idempotent. */
void pipe_close_reader(struct pipe *self);

#endif
