#include "bridge/client/post.h"

static void finish(struct post *self, bool is_complete)
{
	pipe_set_reader(&self->x->req_body, NULL, NULL);
	self->on_done(self->arg, is_complete);
}

static void on_readable(void *arg)
{
	struct post *self = arg;
	struct pipe *from = &self->x->req_body;

	(void)pipe_take(from, &self->body, pipe_size(from));
	if (bytes_size(&self->body) > self->limit)
		finish(self, false);
	else if (pipe_is_ended(from))
		finish(self, true);
}

/* What the head alone decides: no body at all, or too much. */
static void on_done_by_head(void *arg)
{
	struct post *self = arg;

	finish(self, self->x->req->body == BODY_NONE);
}

void post_start(struct post *self, struct exchange *x, uint64_t limit,
	void (*on_done)(void *arg, bool is_complete), void *arg)
{
	const struct request_head *head = x->req;

	*self = (struct post){.x = x, .limit = limit, .on_done = on_done, .arg = arg};
	bytes_init(&self->body);
	notice_init(&self->done, on_done_by_head, self);
	if (head->body == BODY_NONE ||
		(head->body == BODY_LENGTH && head->content_length > limit)) {
		notice_post(x->loop, &self->done);
		return;
	}
	exchange_continue(x);
	pipe_set_reader(&x->req_body, on_readable, self);
}

struct slice post_body(struct post *self)
{
	return bytes_linearize(&self->body, bytes_size(&self->body));
}

void post_clear(struct post *self)
{
	if (self->x == NULL)
		return;
	notice_cancel(self->x->loop, &self->done);
	pipe_set_reader(&self->x->req_body, NULL, NULL);
	bytes_clear(&self->body);
	self->x = NULL;
}
