/*
 * The poller of a route: one conditional GET after another to the backend, for all sessions of the
 * route, while there are any.
 *
 *	UNKNOWN --200--> VALUE <--204/200--> NOTHING	while it is polled; failures change nothing
 *	   |  \---204---------------------------^
 *	   \--failure--> REFUSED			whoever asked is refused
 *	all --nobody listens, and the next poll may start--> UNKNOWN
 *
 * So what is known answers newcomers at once, and where nothing is known a poll is under way or may
 * start now: the backend sees no more than one request per interval, whoever comes and goes.
 *
 * A value is held once, however many listeners get it. A poll under way when the last listener
 * leaves is finished.
 */
#ifndef BRIDGE_FEED_POLL_SOURCE_H
#define BRIDGE_FEED_POLL_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bridge/feed.h"
#include "bridge/message.h"
#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/route/backend.h"

struct poll_source;

/* Embedded in what listens. */
struct poll_listener {
	TAILQ_ENTRY(poll_listener) link;
	/* A poll has ended: look at what is known. From the loop only; may leave. */
	void (*on_news)(struct poll_listener *self);
};

enum poll_knowledge {
	POLL_UNKNOWN,
	POLL_HAS_VALUE,
	POLL_HAS_NOTHING, /* the backend says that there is no value now */
	POLL_REFUSED,
};

/* The route must live as long, and has a section poll. */
struct poll_source *poll_source_new(
	struct loop *loop, const struct conf_route *route, struct backend *backend);
/* All listeners have left. A poll under way is cut. */
void poll_source_close(struct poll_source *self);

/* If something is known, it is for the listener to look; else it is told. */
void poll_source_join(struct poll_source *self, struct poll_listener *listener);
void poll_source_leave(struct poll_source *self, struct poll_listener *listener);

/* What is known. */
enum poll_knowledge poll_source_knowledge(const struct poll_source *self);
/* POLL_HAS_VALUE: grows with each value that differs from the one before. */
uint64_t poll_source_version(const struct poll_source *self);
struct shared_payload *poll_source_value(const struct poll_source *self);
enum message_kind poll_source_kind(const struct poll_source *self);
/* POLL_REFUSED: valid until the loop is back. Cookies are not in it: they would be everybody's. */
struct feed_refusal poll_source_refusal(struct poll_source *self);
/* The server that answered last; NULL: none. */
const char *poll_source_server_name(const struct poll_source *self);

const char *poll_knowledge_name(enum poll_knowledge knowledge);

#endif
