/*
 * Where a session's messages come from and go to. One implementation per kind of backend
 * (bridge/feed/): a WebSocket (feed_ws), a resource that is polled (feed_poll). bridge_new_feed
 * makes the one that the route has.
 *
 *	new -> on_open -> on_message* ------------------------------> on_closed
 *	    \-> on_refused     \-> finish: what is queued, then a close -/
 *
 * Callbacks come from the loop only, never from inside a feed_* call. After on_refused,
 * on_closed, feed_leave or feed_close the feed has no owner any more and frees itself when its
 * connection allows.
 */
#ifndef BRIDGE_FEED_H
#define BRIDGE_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bridge/message.h"
#include "proxy/base/slice.h"
#include "proxy/http/fields.h"
#include "proxy/http/reason.h"

struct feed;

/* What a session is to be fed with, besides what the route says. */
struct feed_target {
	struct slice path;  /* P */
	struct slice query; /* of P, without the bridge's parameters */
	bool has_query;
	/*
	 * Subprotocols to offer instead of what the client's Sec-WebSocket-Protocol says; "": none;
	 * NULL: that. Of a WebSocket.
	 */
	const struct slice *protocols;
};

/* What the backend said when it took the session; valid during on_open. */
struct feed_acceptance {
	struct slice protocol;	     /* the chosen subprotocol; empty: none */
	const struct fields *fields; /* of its answer: the Set-Cookie fields are passed on */
	const char *server_name;     /* for the log */
};

/* Why there is no session; valid during on_refused. */
struct feed_refusal {
	enum reason reason;	     /* not NONE: no answer that could be passed on */
	unsigned status;	     /* the backend's, or the reason's */
	const struct fields *fields; /* the backend's; NULL with a reason */
	const char *server_name;     /* for the log; NULL: none was reached */
	struct slice body;	     /* complete */
};

struct feed_owner {
	void (*on_open)(void *arg, const struct feed_acceptance *acceptance);
	void (*on_refused)(void *arg, const struct feed_refusal *refusal);
	/* MESSAGE_TEXT or MESSAGE_BINARY; the owner's from now on. */
	void (*on_message)(void *arg, struct message *message);
	/* feed_can_take may have become true, frames may have been handed to TCP. */
	void (*on_room)(void *arg);
	/* The last: the backend's close, the one that finish asked for, or a break. */
	void (*on_closed)(void *arg, uint16_t code, struct slice reason);
};

struct feed_ops {
	/* Takes the message. Open feeds only. One that takes none closes with 1003. */
	void (*send)(struct feed *self, struct message *message);
	/*
	 * Whether a further `cost` bytes fit the queue, or would be written at once. If not,
	 * on_room comes.
	 */
	bool (*can_take)(struct feed *self, size_t cost);
	/* Frames sent to the feed that were not wholly handed to TCP. */
	uint64_t (*n_unsent)(struct feed *self);
	/*
	 * Off: no on_message, no on_closed by the backend; it is held back by TCP. On at first. A
	 * feed that cannot hold back its source closes instead, when there is something to tell.
	 */
	void (*set_reading)(struct feed *self, bool is_on);
	/* Sends what is queued, then the close; on_closed comes when both have left, or cannot. */
	void (*finish)(struct feed *self, uint16_t code, struct slice reason);
	/* Cuts; no callback any more. */
	void (*close)(struct feed *self);
};

/* First member of each implementation. */
struct feed {
	const struct feed_ops *ops;
	const struct feed_owner *owner; /* NULL: none any more */
	void *arg;
	TAILQ_ENTRY(feed) link; /* the bridge's */
};

TAILQ_HEAD(feed_list, feed);

/* Live ones, for leak checks; each implementation counts its own, by 1 and -1. */
size_t feed_n_live(void);
void feed_count(int change);

static inline void feed_send(struct feed *self, struct message *message)
{
	self->ops->send(self, message);
}

static inline bool feed_can_take(struct feed *self, size_t cost)
{
	return self->ops->can_take(self, cost);
}

static inline uint64_t feed_n_unsent(struct feed *self)
{
	return self->ops->n_unsent(self);
}

static inline void feed_set_reading(struct feed *self, bool is_on)
{
	self->ops->set_reading(self, is_on);
}

static inline void feed_finish(struct feed *self, uint16_t code, struct slice reason)
{
	self->ops->finish(self, code, reason);
}

/* The owner leaves: nothing is told any more; what is queued and the close are still sent. */
static inline void feed_leave(struct feed *self, uint16_t code)
{
	self->owner = NULL;
	self->ops->finish(self, code, SLICE(""));
}

static inline void feed_close(struct feed *self)
{
	self->owner = NULL;
	self->ops->close(self);
}

#endif
