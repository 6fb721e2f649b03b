/*
 * One request and its response on the backend side, whatever the protocol. A fetch owns no pipes:
 * it is given the pipe to read the request body from and the pipe to write the response body into,
 * so that body bytes pass codec -> pipe -> codec.
 *
 * A fetcher is a ready connection to a backend server that can carry a fetch (h1_client: one at a
 * time; h2_client: many). It belongs to a pool, which is told when it can take more and when it is
 * dead.
 *
 *   fetch_init -> (backend_fetch: choose a server, pool or dial) -> fetcher->start -> on_interim*
 * -> on_head -> body -> on_end
 *                                                                                  \-> on_failed
 * (at any point, once)
 */
#ifndef PROXY_HTTP_FETCH_H
#define PROXY_HTTP_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/arena.h"
#include "proxy/base/loop.h"
#include "proxy/base/pipe.h"
#include "proxy/http/message.h"
#include "proxy/http/reason.h"

struct fetch;
struct fetcher;

struct fetch_owner {
	/* 1xx other than 101. */
	void (*on_interim)(void *arg, struct response_head *head);
	/* The final head, in the fetch's arena; the body follows in res_body. With is_upgrade, both
	 * pipes carry raw bytes from now on. */
	void (*on_head)(void *arg, struct response_head *head);
	/* Both directions are complete. The fetcher is already back in its pool. */
	void (*on_end)(void *arg);
	/*
	 * Broken. res_body has been aborted if its head was given. `why` is for the log and lives
	 * for this call; fetch->is_unprocessed says that the backend cannot have acted on the
	 * request.
	 */
	void (*on_failed)(void *arg, enum reason reason, const char *why);
};

struct fetch_timeouts {
	uint64_t response_ms; /* request written -> head */
	uint64_t read_ms;     /* between bytes of the response body */
	uint64_t write_ms;    /* the backend takes no bytes */
};

struct fetch {
	struct loop *loop;
	const struct fetch_owner *owner;
	void *arg;
	struct fetcher *fetcher; /* while one carries it */
	/* Cancels whatever carries it now: a fetcher, or the wait for one. NULL: not started, or
	 * over. */
	void (*cancel)(struct fetch *self);
	void *carrier;

	struct arena *arena;		/* the response head goes here */
	const struct request_head *req; /* must live until on_head or the end */
	enum body_kind body; /* of the request: BODY_NONE, BODY_LENGTH (req->content_length),
				BODY_CHUNKED */
	bool is_websocket;   /* send Upgrade: websocket; a 101 must carry the right
				Sec-WebSocket-Accept */
	bool may_retry;	     /* the request may be sent again if no byte of its body was taken (see
				backend_fetch) */
	bool is_unprocessed;
	bool by_goaway;	  /* with is_unprocessed: the connection was on its way out, no more */
	bool needs_http1; /* with is_unprocessed: the server takes it over HTTP/1.1 only */
	bool has_head;
	bool was_sent; /* over, but not for want of the connection: the server may have had the head
			  of the request */
	bool is_over;
	/* Set before a cancel, for a worker at the other end (h2_stream.h): why, and whether the
	 * client gets the answer for that reason. */
	enum reason end_reason;
	bool is_refused;
	uint64_t n_body_taken;	/* bytes taken from req_body and not put back */
	uint64_t n_tunnel_sent; /* of a tunnel that is over: see fetch_n_tunnel_sent */
	struct pipe *req_body;	/* NULL: no body. In a tunnel: must be there. */
	struct pipe *res_body;
	const struct fields *const *req_trailers; /* where the request's trailers will be; NULL or
						     pointing to NULL: none */
	struct fields **res_trailers; /* where to leave the response's (arena); NULL: dropped */
	struct fetch_timeouts timeouts;
	uint64_t connected_us;	 /* when a connection was ready */
	const char *server_name; /* the server that carried it, for the log */
};

void fetch_init(struct fetch *self, struct loop *loop, struct arena *arena,
	const struct request_head *req, const struct fetch_owner *owner, void *arg);
/* No callback runs after it. Idempotent; safe after the end. A connection in the middle of a
 * message is closed, not reused. */
void fetch_cancel(struct fetch *self);

/* For fetchers: ends the fetch with a call to its owner. */
void fetch_finish(struct fetch *self);
void fetch_fail(struct fetch *self, enum reason reason, const char *why);

/* Told to the pool. Never from inside a fetcher call. */
struct fetcher_pool {
	/* A fetch is over, or the server allows more or fewer of them: see n_active and n_room. */
	void (*on_room)(void *arg, struct fetcher *fetcher);
	/* It is dead and frees itself at the end of the turn; forget it. */
	void (*on_closed)(void *arg, struct fetcher *fetcher);
};

struct fetcher_ops {
	void (*start)(struct fetcher *self, struct fetch *fetch);
	/* Closes the connection; a fetch it carries fails without a call to its owner. */
	void (*close)(struct fetcher *self);
	/* Bytes of the tunnel that the connection under it has taken. */
	uint64_t (*n_tunnel_sent)(const struct fetcher *self, const struct fetch *fetch);
};

/* First member of each implementation. */
struct fetcher {
	const struct fetcher_ops *ops;
	const struct fetcher_pool *pool;
	void *pool_arg;
	uint64_t idle_since_ms; /* when it last became ready */
	uint32_t n_fetches;	/* started on it so far: 0 means a fresh connection */
	uint32_t n_active;
	uint32_t n_room;     /* further fetches that it could take now */
	bool is_multiplexed; /* it can take more than one at a time */
	bool is_unsettled;   /* how many is not known yet: on_room will tell */
	bool is_counted;     /* the pool's: */
	uint8_t place;
	TAILQ_ENTRY(fetcher) link;
};

static inline void fetcher_start(struct fetcher *self, struct fetch *fetch)
{
	self->ops->start(self, fetch);
}

static inline void fetcher_close(struct fetcher *self)
{
	self->ops->close(self);
}

/*
 * In a tunnel: how many bytes of req_body the backend's socket has taken; the others are still ours
 * to lose. Valid after the end too.
 */
static inline uint64_t fetch_n_tunnel_sent(const struct fetch *self)
{
	return self->fetcher != NULL ? self->fetcher->ops->n_tunnel_sent(self->fetcher, self)
				     : self->n_tunnel_sent;
}

/* Live fetchers, for leak checks; each implementation counts its own, by 1 and -1. */
size_t fetcher_n_live(void);
void fetcher_count(int change);

#endif
