/*
 * Inside h2_server: the structs, and what its files call of each other. h2_server.c has the life of
 * the connection and of its streams, h2_server_frames.c what nghttp2 tells of frames,
 * h2_server_response.c what is written, h2_server_timer.c the deadlines.
 */
#ifndef PROXY_HTTP_H2_SERVER_PRIVATE_H
#define PROXY_HTTP_H2_SERVER_PRIVATE_H

#include <sys/queue.h>

#include "proxy/http/h1_head.h"
#include "proxy/http/h2_budget.h"
#include "proxy/http/h2_head.h"
#include "proxy/http/h2_server.h"
#include "proxy/http/h2_stream.h"

/*
 *	HEAD -> OPEN -> LEAVING (all is written, not all has left) -> freed
 *	  \      \-> OVER (the exchange has ended, nghttp2 still knows the stream) -> freed
 *	   \-> OVER
 */
enum h2_server_stream_state {
	STREAM_HEAD,
	STREAM_OPEN, /* the exchange has been given to the service */
	STREAM_OVER,
	STREAM_LEAVING,
};

/* Bits: what is to be done for a stream once nghttp2 has returned. */
enum {
	DUE_REQUEST = 1 << 0, /* its head is complete */
	DUE_REFUSAL = 1 << 1, /* `refusal` says why */
	DUE_TUNNEL = 1 << 2,
	DUE_LINGER = 1 << 3, /* the response is over, the request is not */
	DUE_CLOSED = 1 << 4, /* nghttp2 has forgotten it */
	DUE_FAULT = 1 << 5,  /* the rules of its tunnel end it */
};

struct h2_server_stream {
	struct h2_stream base;
	struct h2_server *server;
	TAILQ_ENTRY(h2_server_stream) link;
	TAILQ_ENTRY(h2_server_stream) due_link;
	/* In the exchange's arena: */
	struct h2_head *section; /* that is coming in */
	struct h2_head *head;	 /* of the request, between its end and DUE_REQUEST */
	uint64_t window_ms;	 /* since when the bytes of the request body are counted, */
	uint64_t window_start;	 /* and how many there were then */
	uint64_t linger_ms;  /* since when the response is over and its request is not; 0: never */
	uint64_t n_skipped;  /* bytes of the request that came since */
	uint64_t mark;	     /* LEAVING: conn_bytes_sent when all has left */
	uint32_t error_code; /* CLOSED: of the reset, or NO_ERROR */
	uint8_t state;	     /* enum h2_server_stream_state */
	uint8_t due;
	enum reason refusal;
	enum reason reason; /* nearest cause of a reset, for the log */
	bool is_head_written;
	bool is_counted;   /* among the concurrent ones */
	bool is_forgotten; /* by nghttp2 */
	struct exchange x;
	struct grave grave;
};

TAILQ_HEAD(h2_server_streams, h2_server_stream);

/*
 * A response that is over before its request: so long, and for so many bytes, the rest may still
 * come. Some clients do not see a response that is followed at once by a reset.
 */
#define H2_LINGER_MS 1000
#define H2_MAX_SKIPPED_BODY (64 * 1024)

/* Numbers of streams that a client has left out. */
#define H2_MAX_SKIPPED 4

struct h2_skipped {
	int32_t first;
	int32_t last;
};

enum h2_server_goaway {
	GOAWAY_NONE,
	GOAWAY_LATER,  /* draining, but WebSockets have to be told first */
	GOAWAY_NOTICE, /* "no new ones soon": a ping finds out whether the client knows */
	GOAWAY_FINAL,
};

struct h2_server {
	struct h2_session session;
	struct server_codec base;
	const struct conf_listen *listen;
	const struct exchange_service *service;
	const struct server_codec_owner *owner;
	void *arg;
	struct h2_server_streams streams; /* HEAD, OPEN, OVER */
	struct h2_server_streams leaving; /* LEAVING, in the order of their marks */
	struct h2_server_streams due;
	struct timer timer;
	struct h2_budget budget;
	uint64_t head_started_us; /* of the head that is coming in, 0: none */
	uint64_t waiting_ms;	  /* since when there is no exchange */
	uint64_t goaway_ms;
	uint32_t n_requests;
	uint32_t n_busy;	  /* exchanges given to the service and not over */
	uint32_t n_streams;	  /* that count as concurrent */
	uint32_t n_unfreed;	  /* streams in memory: they outlive nothing of ours */
	uint32_t n_continuations; /* of the head that is coming in */
	int32_t last_id;	  /* the highest number of a stream; at first -1 */
	uint32_t n_skipped;
	struct h2_skipped skipped[H2_MAX_SKIPPED]; /* the latest ones, by n_skipped */
	size_t n_queued; /* frames that waited when the latest SETTINGS came */
	uint8_t goaway;	 /* enum h2_server_goaway */
	bool is_draining;
	bool is_final_due; /* the client has had the notice */
	bool is_closed;
	bool is_buried;	  /* to be freed with the last stream */
	uint32_t failure; /* HTTP/2 error code that ends the connection; NO_ERROR: none */
	enum reason failure_reason;
	const char *failure_text;
	struct grave grave;
};

/* h2_server.c */
struct h2_server_stream *h2_server_stream_new(struct h2_server *self, int32_t id);
void h2_server_set_due(struct h2_server_stream *stream, unsigned due);
/* The exchange is over for this reason; nghttp2 resets the stream if it still has it. */
void h2_server_stream_cut(struct h2_server_stream *stream, enum reason reason, uint32_t error_code);
/* The body cannot be taken: the handler lets go, the client gets an answer or a cut. */
void h2_server_refuse_body(struct h2_server_stream *stream, enum reason reason);
/* Ends the connection after a GOAWAY. */
void h2_server_fail(
	struct h2_server *self, uint32_t error_code, enum reason reason, const char *what);
/* Ends it at once. */
void h2_server_cut(struct h2_server *self, enum reason reason);
/* The client may open no more streams soon; those that are open go on. */
void h2_server_start_goaway(struct h2_server *self);
void h2_server_pump(void *arg);
/* A line in the log about what the client did. */
void h2_server_log(const struct h2_server *self, const char *what);
struct h1_limits h2_server_limits(const struct h2_server *self);

/* h2_server_frames.c */
/* The request is whole, or the client has ended its side of the tunnel. */
void h2_server_end_input(struct h2_server_stream *stream);
/* The rest of the request is not wanted (RFC 9113 section 8.1). */
void h2_server_stop_request(struct h2_server_stream *stream);
/* The callbacks of all sessions. */
nghttp2_session_callbacks *h2_server_callbacks(void);

/* h2_server_response.c */
extern const struct exchange_codec h2_server_codec;
void h2_server_become_tunnel(struct h2_server_stream *stream);
/* Our side of its tunnel is over, and the client's need not be waited for. */
void h2_server_look_for_end(struct h2_server_stream *stream);
/* Something is to be put between the frames of its tunnel. */
void h2_server_flush_tunnel(struct h2_server_stream *stream);
/* What its tunnel does by itself when its time has come. False: it was cut. */
MUST_USE bool h2_server_tick_tunnel(struct h2_server_stream *stream, uint64_t now_ms);
/* Its rules may end it. */
void h2_server_look_for_fault(struct h2_server_stream *stream);
/* What came from the backend was judged, and a ping may be on its way. */
void h2_server_on_sifted(struct h2_stream *base);

/* h2_server_timer.c */
void h2_server_on_timer(void *arg);
/* There is something to look at after this time. */
void h2_server_look_in(struct h2_server *self, int64_t ms);
void h2_server_look_at(struct h2_server *self, uint64_t at_ms);
/* The client is told to send, or begins to: its rate counts from now. */
void h2_server_start_window(struct h2_server_stream *stream);

#endif
