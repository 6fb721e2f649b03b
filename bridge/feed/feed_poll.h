/*
 * A feed that is one listener of a resource that is polled (poll_source): the value at once if
 * there is one, then each change.
 *
 * It opens when there is something to say: a value, or that there is none now. It is refused with
 * the backend's status where the backend has none to give. Later failures are not told: what was
 * said last holds. It takes no messages: one that is sent closes it with 1003. The source cannot be
 * held back: a change while the owner does not read closes it with 1013, behind what was told.
 */
#ifndef BRIDGE_FEED_FEED_POLL_H
#define BRIDGE_FEED_FEED_POLL_H

#include "bridge/feed.h"
#include "bridge/feed/poll_source.h"
#include "proxy/base/loop.h"

/* The source must live as long; it stands in the list while it lives. */
struct feed *feed_poll_new(struct loop *loop, struct poll_source *source, struct feed_list *feeds,
	const struct feed_owner *owner, void *arg);

#endif
