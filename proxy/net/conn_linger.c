/*
 * The graceful close: an owner of conns that have no other any more. While output waits for the
 * peer, linger_ms limits the time without progress; when it has left, the time until the peer ends.
 */
#include "proxy/net/conn.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "proxy/base/memory.h"

#define MAX_DISCARDED (256 * 1024)
/* How many are looked at for one that may go. */
#define MAX_LOOKS 16

struct linger_closer {
	TAILQ_ENTRY(linger_closer) link;
	struct loop *loop;
	struct conn *conn;
	struct timer timer;
	uint64_t linger_ms;
	size_t n_discarded;
};

/* The longest closing first. */
static TAILQ_HEAD(linger_list, linger_closer) closers = TAILQ_HEAD_INITIALIZER(closers);
static size_t n_closers;
/* Nobody else counts these conns. Beyond this number the longest closing that has nothing left to
 * write goes. */
static size_t max_closers = 1000;

static void finish(struct linger_closer *self)
{
	TAILQ_REMOVE(&closers, self, link);
	n_closers--;
	timer_close(self->loop, &self->timer);
	conn_close(self->conn);
	free(self);
}

static void on_timer(void *arg)
{
	struct linger_closer *self = arg;
	uint64_t stalled_since_ms = conn_stalled_since_ms(self->conn);

	if (stalled_since_ms != 0 && stalled_since_ms + self->linger_ms > loop_now_ms(self->loop))
		timer_set_at(self->loop, &self->timer, stalled_since_ms + self->linger_ms);
	else
		finish(self);
}

static void on_input(void *arg)
{
	struct linger_closer *self = arg;
	struct bytes *input = conn_input(self->conn);

	self->n_discarded += bytes_size(input);
	bytes_clear(input);
	if (self->n_discarded > MAX_DISCARDED)
		finish(self);
	else if (conn_has_input_ended(self->conn) && conn_has_output_ended(self->conn))
		finish(self);
}

static void on_output(void *arg)
{
	struct linger_closer *self = arg;

	if (!conn_has_output_ended(self->conn))
		return;
	if (conn_has_input_ended(self->conn))
		finish(self);
	else
		timer_set_in(self->loop, &self->timer, self->linger_ms);
}

static void on_open(void *arg)
{
	(void)arg;
}

static void on_lost(void *arg, enum conn_loss loss)
{
	(void)loss;
	finish(arg);
}

static const struct conn_owner owner = {
	.on_open = on_open,
	.on_input = on_input,
	.on_output = on_output,
	.on_lost = on_lost,
};

static void make_room(void)
{
	struct linger_closer *closer = TAILQ_FIRST(&closers);

	if (n_closers < max_closers)
		return;
	for (int i = 0; i < MAX_LOOKS && closer != NULL; i++) {
		if (conn_has_output_ended(closer->conn)) {
			finish(closer);
			return;
		}
		closer = TAILQ_NEXT(closer, link);
	}
}

void conn_close_gracefully(struct conn *self, uint64_t linger_ms)
{
	struct linger_closer *closer;

	if (!conn_is_open(self)) {
		conn_close(self);
		return;
	}
	make_room();
	closer = memory_alloc_zeroed(sizeof(*closer));
	closer->loop = conn_loop(self);
	closer->conn = self;
	closer->linger_ms = linger_ms;
	timer_init(&closer->timer, on_timer, closer);
	timer_set_in(closer->loop, &closer->timer, linger_ms);
	TAILQ_INSERT_TAIL(&closers, closer, link);
	n_closers++;
	bytes_clear(conn_input(self));
	conn_set_owner(self, &owner, closer);
	conn_set_reading(self, true);
	conn_end_output(self);
	/* Nothing more would be told if both ends are there already. */
	if (conn_has_output_ended(self) && conn_has_input_ended(self))
		finish(closer);
}

void conn_close_lingering(struct loop *loop)
{
	struct linger_closer *closer = TAILQ_FIRST(&closers);

	while (closer != NULL) {
		struct linger_closer *next = TAILQ_NEXT(closer, link);

		if (closer->loop == loop)
			finish(closer);
		closer = next;
	}
}

size_t conn_n_lingering(void)
{
	return n_closers;
}

void conn_set_max_lingering(size_t n)
{
	ASSERT(n > 0);
	max_closers = n;
}
