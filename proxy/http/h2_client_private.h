/*
 * Inside h2_client: the structs, and what its files call of each other. h2_client.c has the life of
 * the connection and of its fetches, h2_client_frames.c what nghttp2 tells of frames,
 * h2_client_timer.c the deadlines.
 */
#ifndef PROXY_HTTP_H2_CLIENT_PRIVATE_H
#define PROXY_HTTP_H2_CLIENT_PRIVATE_H

#include <sys/queue.h>

#include "proxy/http/h1_head.h"
#include "proxy/http/h2_client.h"
#include "proxy/http/h2_head.h"
#include "proxy/http/h2_stream.h"

/* Bits: what is to be told once nghttp2 has returned, in this order. */
enum {
	DUE_INTERIM = 1 << 0,
	DUE_HEAD = 1 << 1,
	DUE_END = 1 << 2,    /* of the response */
	DUE_CLOSED = 1 << 3, /* nghttp2 has forgotten the stream, or never knew it */
};

struct h2_interim {
	struct response_head head;
	struct h2_interim *next;
};

struct h2_client_stream {
	struct h2_stream base;
	struct h2_client *client;
	struct fetch *fetch; /* NULL: given up, and not yet forgotten by nghttp2 */
	TAILQ_ENTRY(h2_client_stream) link;
	TAILQ_ENTRY(h2_client_stream) due_link;
	/* In the fetch's arena: */
	struct h2_head *section; /* that is coming in */
	struct response_head *head;
	struct h2_interim *interim; /* not told yet, the first one first */
	uint32_t n_interim;	    /* bytes of interim heads so far */
	uint32_t error_code;	    /* CLOSED */
	enum reason reason;	    /* nearest cause of a failure; REASON_NONE: see error_code */
	const char *why;
	uint64_t length;     /* of the response body, if has_length */
	uint64_t request_ms; /* when the request's last byte was written */
	uint8_t due;
	bool is_websocket;
	bool has_final; /* of the heads: trailers come next */
	bool has_length;
	bool is_forgotten;
	bool is_held; /* for the server's SETTINGS */
	struct grave grave;
};

TAILQ_HEAD(h2_client_streams, h2_client_stream);

struct h2_client {
	struct fetcher base;
	struct h2_session session;
	struct h2_client_options options;
	struct h2_client_streams streams;
	struct h2_client_streams due;
	struct timer timer;
	uint64_t received_ms; /* the latest frame */
	uint64_t ping_ms;     /* when a ping was sent; 0: none is out */
	uint64_t waiting_ms;  /* since when nothing is under way */
	uint64_t write_ms;    /* the timeout of the latest fetch, for the connection */
	uint32_t max_streams; /* what the server allows and the options do */
	bool has_settings;
	bool is_going_away;
	bool is_room_due; /* the pool is to hear of room */
	bool is_closed;
	struct grave grave;
};

extern const struct h1_limits h2_client_limits;

/* h2_client.c */
void h2_client_set_due(struct h2_client_stream *stream, unsigned due);
/* The fetch fails, the stream is reset. */
void h2_client_stream_fail(struct h2_client_stream *stream, enum reason reason, const char *why);
/* All that is under way fails, the connection closes. REASON_NONE: for want of the connection. */
void h2_client_lose(struct h2_client *self, enum reason reason, const char *why);
/* Nobody uses it: it leaves with a GOAWAY. */
void h2_client_retire(struct h2_client *self);

/* h2_client_frames.c */
/* The callbacks of all sessions. */
nghttp2_session_callbacks *h2_client_callbacks(void);

/* h2_client_timer.c */
void h2_client_on_timer(void *arg);
/* There is something to look at after this time. */
void h2_client_look_in(struct h2_client *self, uint64_t ms);

#endif
