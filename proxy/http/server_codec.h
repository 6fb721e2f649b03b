/*
 * A client connection as its protocol's codec (h1_server, h2_server) has it, for whoever counts
 * connections and ends them.
 */
#ifndef PROXY_HTTP_SERVER_CODEC_H
#define PROXY_HTTP_SERVER_CODEC_H

#include "proxy/base/spread.h"
#include "proxy/http/reason.h"

struct server_codec;

/* Never from inside a call. */
struct server_codec_owner {
	/* A request has come whole, and there was none under way. */
	void (*on_busy)(void *arg);
	/* No exchange is under way any more: the connection waits for a request. */
	void (*on_waiting)(void *arg);
	/* It frees itself at the end of the turn. */
	void (*on_closed)(void *arg);
	/*
	 * h1_server only: the client begins with HTTP/2. The conn, its bytes unread, is the owner's
	 * again; the codec frees itself at the end of the turn. NULL: HTTP/2 is not expected.
	 */
	void (*on_http2)(void *arg);
};

struct server_codec_ops {
	void (*drain)(struct server_codec *self, struct spread *closes);
	void (*close)(struct server_codec *self, enum reason reason);
	void (*evict)(struct server_codec *self);
};

/* First member of each implementation. */
struct server_codec {
	const struct server_codec_ops *ops;
};

/*
 * Leaving: closes now if idle, otherwise after the exchanges under way, of which the client is told
 * (Connection: close, GOAWAY). A WebSocket gets its close (1001) at the next frame boundary after a
 * time of `closes`, and so does its backend; NULL: at once.
 */
static inline void server_codec_drain(struct server_codec *self, struct spread *closes)
{
	self->ops->drain(self, closes);
}

/* Cuts at once: the exchanges under way end with the reason. */
static inline void server_codec_close(struct server_codec *self, enum reason reason)
{
	self->ops->close(self, reason);
}

/*
 * Gives up its place while it waits: an idle connection closes, one that is slow with its head is
 * refused.
 */
static inline void server_codec_evict(struct server_codec *self)
{
	self->ops->evict(self);
}

#endif
