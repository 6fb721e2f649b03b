/*
 * One request and its response on the client side, whatever the protocol. The server codec
 * (h1_server, h2_server) owns it; a handler answers it. Neither end sees the other.
 *
 *   codec: head parsed -> service.on_request -> router -> exchange_set_handler -> handler works
 *   request body:   codec -> req_body pipe -> handler
 *   response body:  handler -> res_body pipe -> codec
 *   end:            handler.on_end (once), then service.on_log, then the memory dies at the end of
 * the turn
 *
 * All strings of both heads live in the exchange's arena. After an upgrade (101) the same two pipes
 * carry raw bytes until both have ended; the arena is cleared when the tunnel starts (the heads
 * become NULL), after what the log needs was copied.
 */
#ifndef PROXY_HTTP_EXCHANGE_H
#define PROXY_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "proxy/base/arena.h"
#include "proxy/base/loop.h"
#include "proxy/base/pipe.h"
#include "proxy/http/message.h"
#include "proxy/http/reason.h"
#include "proxy/http/ws_guard.h"
#include "proxy/net/conn.h"

struct exchange;

/* Who answers. Callbacks never come from inside an exchange_* call. */
struct handler {
	/*
	 * The exchange is over: the response (or tunnel) has completely left, or it was aborted, or
	 * the client is gone (x->reason tells). Called exactly once for each exchange that the
	 * handler was set on; afterwards it must not touch the exchange.
	 */
	void (*on_end)(struct exchange *x, void *arg);
};

/* What a server codec tells the world above. One per listener. */
struct exchange_service {
	/* A request head has come. Must set a handler or respond, now or later. */
	void (*on_request)(void *arg, struct exchange *x);
	/* The exchange is over; after handler.on_end. Also for requests that never reached
	 * on_request (bad syntax). */
	void (*on_log)(void *arg, struct exchange *x);
	void *arg;
};

/* Implemented by server codecs; others use the functions below. */
struct exchange_codec {
	void (*respond)(struct exchange *x);
	void (*respond_interim)(struct exchange *x, const struct response_head *head);
	void (*abort)(struct exchange *x);
	/* Bytes of the response that have not been acknowledged by the client's TCP, in all queues
	 * of the codec and the kernel. */
	size_t (*unacknowledged)(struct exchange *x);
};

enum exchange_state {
	EXCHANGE_REQUESTED,  /* no final response yet */
	EXCHANGE_RESPONDING, /* head given, body flows */
	EXCHANGE_TUNNEL,
	EXCHANGE_OVER,
};

const char *exchange_state_name(enum exchange_state state);

/* Times in µs of the loop's clock; 0: did not happen. */
struct exchange_times {
	uint64_t started;   /* first byte of the head */
	uint64_t requested; /* head complete */
	uint64_t connected; /* backend connection ready (pooled: at once) */
	uint64_t responded; /* final head given by the handler */
	uint64_t ended;
};

/* What the access log needs after the arena is gone. */
struct exchange_log_facts; /* exchange.c */

/* Who the client is, where another worker has the connection. */
struct exchange_client {
	struct sockaddr_storage address;
	const char *tls_version;      /* static; NULL: plain */
	struct slice tls_server_name; /* in the arena */
};

struct exchange {
	struct loop *loop;
	const struct exchange_codec *codec;
	void *codec_data;
	const struct exchange_service *service;
	const struct handler *handler;
	void *handler_arg;

	struct conn *conn; /* the client's, shared with other exchanges of it; borrowed, valid until
			      on_log has returned */
	struct exchange_client *client; /* NULL: the conn's peer; freed with the exchange */
	const struct conf_listen *listen;
	const struct conf_route *route; /* set by the router; NULL until then */
	const char *server_name; /* backend server used, for the log; NULL: none; a static or conf
				    string */
	struct slice client_address; /* set before an upgrade: what the log shows for the client,
				      * "": the peer */
	struct slice session_label;  /* bridge: masked session id for the log, in the arena */

	struct arena arena;
	struct request_head *req;    /* NULL once the heads were forgotten, as in a tunnel */
	struct response_head *res;   /* NULL before respond, and when forgotten */
	struct fields *req_trailers; /* complete once req_body has its end; NULL: none */
	struct fields
		*res_trailers; /* set by the handler before pipe_put_end(&res_body); NULL: none */
	struct pipe req_body;
	struct pipe res_body;

	uint64_t id; /* for log prefixes */
	struct exchange_times times;
	uint64_t tunnel_timeout_ms; /* 0: none. Set before responding with an upgrade. */
	const struct conf_tunnel *tunnel_rules; /* NULL: none. Set before on_request returns. */
	uint64_t n_request_body;  /* bytes received of the body or from the client in a tunnel */
	uint64_t n_response_body; /* bytes of body handed to the socket */
	uint64_t max_body_size; /* 0: no limit. Over it: 413, or a cut when a response has begun */
	enum exchange_state state;
	enum reason reason; /* set once: exchange_set_reason */
	uint16_t status;    /* given to the client, 0: none */
	bool was_continued; /* 100 has been sent */
	bool must_close;    /* the codec closes the connection after this exchange */
	bool is_upgrade;    /* became a tunnel */
	bool has_head_left; /* the codec has written the final head, and needs it no more */
	bool is_relayed;    /* answered by another worker, which has it in its log */
	bool says_farewell; /* tunnel: its handler tells the client when Pollux leaves */
	struct exchange_log_facts *log_facts;

	struct grave grave;
};

/* For the codec: */
void exchange_init(struct exchange *x, struct loop *loop, const struct exchange_codec *codec,
	void *codec_data, struct conn *conn, const struct conf_listen *listen,
	const struct exchange_service *service);
/* Calls on_end and on_log, closes the pipes. Idempotent. The codec frees the memory (loop_bury)
 * after exchange_close. */
void exchange_finish(struct exchange *x, enum reason reason);
void exchange_close(struct exchange *x);
/*
 * The codec itself ends the request (its body is broken, too large or late): the handler's on_end
 * is called now, and the client gets the error answer. Before a response only; from the loop only.
 */
void exchange_refuse(struct exchange *x, enum reason reason);
/* Copies the request line and the fields that access logs show out of the arena, then clears it. */
void exchange_become_tunnel(struct exchange *x);

/* For routers and handlers: */
void exchange_set_handler(struct exchange *x, const struct handler *handler, void *arg);
/* The first reason stays. */
void exchange_set_reason(struct exchange *x, enum reason reason);

/*
 * Gives the final response head (its slices in x->arena or static) and lets the body flow from
 * res_body. With res->is_upgrade (101) the exchange becomes a tunnel. The codec adds framing and
 * Connection itself.
 */
void exchange_respond(struct exchange *x, struct response_head *res);
/* 1xx other than 101. Dropped for HTTP/1.0 clients. */
void exchange_respond_interim(struct exchange *x, const struct response_head *head);
/* The handler is going to read the body itself: sends 100 Continue if the client waits for it. */
void exchange_continue(struct exchange *x);
/* Breaks off: before the response head, the client gets an error answer for the reason; after it, a
 * cut. */
void exchange_abort(struct exchange *x, enum reason reason);

/*
 * For a response that lasts, from a handler that has nothing in the arena any more: frees the heads
 * as exchange_become_tunnel does. Only once the response's head has been written and the request
 * has ended; before that nothing happens.
 */
void exchange_forget_heads(struct exchange *x);

/* A complete local answer with a short body (copied). `fields` may be NULL; Content-Type is added
 * when type is not empty. */
void exchange_answer(struct exchange *x, unsigned status, struct slice content_type,
	struct slice body, const struct fields *fields);
/* The plain error page for a reason: its status, its sentence. */
void exchange_answer_reason(struct exchange *x, enum reason reason);
/* Bytes of that page, as another worker has answered with it. */
size_t exchange_reason_size(struct exchange *x, enum reason reason);

/* Bytes of the response that have not reached the client's TCP yet; 0 when all is acknowledged. */
size_t exchange_unacknowledged(struct exchange *x);
/*
 * A number that grows while the client's TCP acknowledges anything on the connection, be it of
 * another exchange: who is busy with that one has not gone. Meaningless otherwise. Where another
 * worker has the connection that one looks, and here it grows with time.
 */
uint64_t exchange_progress(struct exchange *x);

/* Of a tunnel, for its rules. */
struct ws_guard_links exchange_links(struct exchange *x);

/* What the access log shows; valid before and after exchange_become_tunnel. */
struct slice exchange_method(const struct exchange *x);
struct slice exchange_target(const struct exchange *x);
struct slice exchange_authority(const struct exchange *x);
struct slice exchange_user_agent(const struct exchange *x);
struct slice exchange_referer(const struct exchange *x);
unsigned exchange_version(const struct exchange *x); /* 10, 11, 20 */

/* The client's end of the connection, whichever worker has that. */
const struct sockaddr *exchange_peer(const struct exchange *x);
bool exchange_is_tls(const struct exchange *x);
struct slice exchange_tls_server_name(const struct exchange *x);
const char *exchange_tls_version(const struct exchange *x);

/* Live exchanges, for leak checks and the drain. */
size_t exchange_n_live(void);

#endif
