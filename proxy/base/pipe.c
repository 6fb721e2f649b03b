#include "proxy/base/pipe.h"

void pipe_init(struct pipe *self, struct loop *loop, size_t limit)
{
	*self = (struct pipe){.loop = loop, .limit = (uint32_t)limit};
	bytes_init(&self->bytes);
}

void pipe_close(struct pipe *self)
{
	if (self->loop == NULL)
		return;
	notice_cancel(self->loop, &self->reader);
	notice_cancel(self->loop, &self->writer);
	self->reader.run = self->writer.run = NULL;
	bytes_clear(&self->bytes);
}

static void tell(struct pipe *self, struct notice *notice)
{
	if (notice->run != NULL)
		notice_post(self->loop, notice);
}

void pipe_set_reader(struct pipe *self, void (*on_readable)(void *arg), void *arg)
{
	notice_cancel(self->loop, &self->reader);
	notice_init(&self->reader, on_readable, arg);
	/* What came before this reader is its to know. */
	if (on_readable != NULL && (pipe_size(self) > 0 || self->has_end || self->is_aborted))
		notice_post(self->loop, &self->reader);
}

void pipe_set_writer(struct pipe *self, void (*on_writable)(void *arg), void *arg)
{
	notice_cancel(self->loop, &self->writer);
	notice_init(&self->writer, on_writable, arg);
	if (on_writable != NULL && self->is_reader_gone)
		notice_post(self->loop, &self->writer);
}

size_t pipe_room(struct pipe *self)
{
	size_t size = bytes_size(&self->bytes);

	if (size < self->limit)
		return self->limit - size;
	self->is_writer_waiting = true;
	return 0;
}

void pipe_watch_takes(struct pipe *self)
{
	if (bytes_size(&self->bytes) > 0)
		self->is_writer_waiting = true;
}

void pipe_put(struct pipe *self, struct bytes *src, size_t n)
{
	ASSERT(!self->has_end && !self->is_aborted);
	if (self->is_reader_gone) {
		bytes_drain(src, n);
		return;
	}
	bytes_move(&self->bytes, src, n);
	tell(self, &self->reader);
}

void pipe_put_copy(struct pipe *self, const void *p, size_t n)
{
	ASSERT(!self->has_end && !self->is_aborted);
	if (self->is_reader_gone)
		return;
	bytes_append(&self->bytes, p, n);
	tell(self, &self->reader);
}

void pipe_put_end(struct pipe *self)
{
	if (self->has_end || self->is_aborted)
		return;
	self->has_end = true;
	tell(self, &self->reader);
}

void pipe_abort(struct pipe *self)
{
	if (self->has_end || self->is_aborted)
		return;
	self->is_aborted = true;
	tell(self, &self->reader);
}

/* Half of the limit, so that a full pipe does not wake its writer for each byte taken. */
static void tell_writer_of_room(struct pipe *self)
{
	if (!self->is_writer_waiting || bytes_size(&self->bytes) > self->limit / 2)
		return;
	self->is_writer_waiting = false;
	tell(self, &self->writer);
}

size_t pipe_take(struct pipe *self, struct bytes *dst, size_t n)
{
	n = MIN(n, bytes_size(&self->bytes));
	if (n > 0) {
		bytes_move(dst, &self->bytes, n);
		tell_writer_of_room(self);
	}
	return n;
}

void pipe_put_back(struct pipe *self, struct bytes *src)
{
	bytes_move_all(src, &self->bytes);
	if (self->is_reader_gone)
		bytes_clear(src);
	bytes_move_all(&self->bytes, src);
	tell(self, &self->reader);
}

void pipe_drain(struct pipe *self, size_t n)
{
	bytes_drain(&self->bytes, n);
	tell_writer_of_room(self);
}

void pipe_close_reader(struct pipe *self)
{
	if (self->is_reader_gone)
		return;
	self->is_reader_gone = true;
	bytes_clear(&self->bytes);
	tell(self, &self->writer);
}
