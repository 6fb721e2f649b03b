/*
 * Inside h1_server: the struct, and what its three files call of each other. h1_server.c has its
 * life and its events, h1_server_request.c what is read, h1_server_response.c what is written.
 */
#ifndef PROXY_HTTP_H1_SERVER_PRIVATE_H
#define PROXY_HTTP_H1_SERVER_PRIVATE_H

#include "proxy/http/h1_body.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/h1_server.h"
#include "proxy/http/ws_tunnel.h"

enum h1_server_state {
	SERVER_IDLE,	 /* between requests: no byte of a head yet */
	SERVER_HEAD,	 /* a part of a head has come */
	SERVER_EXCHANGE, /* x is under way; its body may still come */
	SERVER_DRAIN,	 /* x is over, a known small rest of its body is skipped */
	SERVER_TUNNEL,
	SERVER_CLOSED,
};

struct h1_server {
	struct server_codec base;
	struct loop *loop;
	struct conn *conn;
	const struct conf_listen *listen;
	const struct exchange_service *service;
	const struct server_codec_owner *owner;
	void *arg;
	struct exchange *x;
	struct ws_tunnel *ws; /* in a tunnel */

	struct notice pump;
	struct timer timer;
	struct h1_head_scan scan;
	struct h1_body body; /* of the request */
	struct fields trailers;
	uint64_t head_started_us;
	uint64_t window_ms;    /* since when the bytes of the request body are counted, */
	uint64_t window_start; /* and how many there were then */
	uint64_t progress_ms;  /* last byte of a body from the client, or either way in a tunnel */
	uint64_t remaining;    /* of a response with Content-Length */
	uint32_t n_requests;
	enum h1_server_state state;
	enum body_kind framing; /* of the response */
	bool is_head_written;
	bool is_response_written; /* all of it is in the conn's output */
	bool must_close;
	bool is_draining;
	bool is_aborted;
	bool is_evicted;
	struct grave grave;
};

/* h1_server.c */
void h1_server_on_input(void *arg);
/* 0 or less: none. */
void h1_server_set_deadline(struct h1_server *self, int64_t ms);
/* The exchange under way, if there is one, is over. */
void h1_server_end_exchange(struct h1_server *self, enum reason reason);
/* The connection has nothing more to say, or must not say it. */
void h1_server_cut(struct h1_server *self, enum reason reason);
/* What is queued still goes out, and the end after it. */
void h1_server_finish(struct h1_server *self);
/* The client speaks HTTP/2: the owner has the conn again. */
void h1_server_hand_over(struct h1_server *self);

/* h1_server_request.c */
struct exchange *h1_server_begin_exchange(struct h1_server *self);
void h1_server_read_head(struct h1_server *self);
void h1_server_read_body(struct h1_server *self);
/* In SERVER_DRAIN. */
void h1_server_skip_body(struct h1_server *self);
/*
 * Answers what could not be read as a request, and gives the connection up: where the next message
 * begins is not known.
 */
void h1_server_refuse(struct h1_server *self, enum reason reason);
/* The body cannot be taken: the handler lets go, the client gets an answer or a cut. */
void h1_server_refuse_body(struct h1_server *self, enum reason reason);
/* The client is told to send, or begins to: its rate counts from now. */
void h1_server_start_window(struct h1_server *self);
/* Whether more of a pipeline may wait in memory behind the exchange under way. */
bool h1_server_has_room_for_pipeline(struct h1_server *self);

/* h1_server_response.c */
extern const struct exchange_codec h1_server_codec;
/*
 * A notice: from the handler's respond, from the response pipe, and from itself to see whether all
 * has left.
 */
void h1_server_pump(void *arg);
void h1_server_read_tunnel(struct h1_server *self);
/* What the tunnel does by itself when its time has come. False: it was cut. */
MUST_USE bool h1_server_tick_tunnel(struct h1_server *self, uint64_t now_ms);
/* Between requests. */
void h1_server_wait(struct h1_server *self);

#endif
