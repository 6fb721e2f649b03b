/*
 * What a route asks of the WebSockets that go through to the backend (conf_tunnel): sizes and rates
 * of messages, and signs of life. Judges frames and keeps time; moves no bytes and writes none,
 * which is ws_tunnel's matter. Pure: the time is passed in.
 *
 * Towards each side there may be one ping under way (RFC 6455 section 5.5.2):
 *
 *	silent for ping_* -> is_ping_due -> ws_guard_ping (between frames) -> any byte: heard
 *	                          |                                        -> pong_timeout: fault
 *	                          -> it takes nothing for pong_timeout: fault
 *
 * The first fault stays. It says who is told what: the side at fault its code, the other 1001.
 */
#ifndef PROXY_HTTP_WS_GUARD_H
#define PROXY_HTTP_WS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "proxy/http/reason.h"
#include "proxy/http/ws_frame.h"

#define WS_GUARD_PING_SIZE 8

/* What may come at once, and comes back with the seconds. */
struct ws_allowance {
	int64_t left;	/* thousandths; below 0: still to be made up for */
	int64_t per_ms; /* thousandths a millisecond, which is units a second; 0: no limit */
	uint64_t seen_ms;
};

/* One side, as the sender of frames. */
struct ws_guard_side {
	uint64_t heard_ms; /* its latest byte */
	uint64_t asked_ms; /* our ping is due, or has gone out, and nothing has come since; 0: none
			    */
	uint64_t ping_ms;  /* silence before a ping; 0: none */
	uint64_t message_size; /* of the message under way, all its frames so far */
	uint16_t ping_number;  /* of the latest, ... */
	uint16_t pong_number;  /* ... and of the latest that was answered */
	bool is_ping_due;
};

struct ws_fault {
	enum reason reason; /* REASON_NONE: none */
	bool is_of_backend;
	uint16_t code;	  /* for the side at fault */
	const char *text; /* for the same; static */
};

struct ws_guard {
	const struct conf_tunnel *rules;
	struct ws_guard_side client;
	struct ws_guard_side backend;
	struct ws_allowance messages; /* of the client */
	struct ws_allowance bytes;    /* the same */
	uint64_t progress;	      /* of the client's TCP, when its ping became due, ... */
	uint64_t n_taken_backend;     /* ... and what the backend had taken when its ping was */
	struct ws_fault fault;
};

/* How the sides' sockets stand. */
struct ws_guard_links {
	uint64_t n_unacknowledged; /* bytes that the client's TCP has not acknowledged */
	uint64_t progress;	   /* grows while it acknowledges any: exchange_progress */
	/* Where one side has not taken all that came for it, bytes of the other one may wait
	 * unheard. */
	bool is_client_busy;
	size_t n_for_backend;	  /* bytes that it has not taken */
	uint64_t n_taken_backend; /* those that it has: ws_tunnel knows */
};

void ws_guard_init(struct ws_guard *self, const struct conf_tunnel *rules, uint64_t now_ms);

/* Bytes of this side have come. */
void ws_guard_hear(struct ws_guard_side *side, uint64_t now_ms);
/* It has ended its direction: nothing comes any more, and no answer is expected. */
void ws_guard_end(struct ws_guard_side *side);
/*
 * A frame of the side begins; head_size is that of its head. False: it is too much, and the fault
 * says how.
 */
MUST_USE bool ws_guard_admit(struct ws_guard *self, struct ws_guard_side *side,
	const struct ws_frame *frame, size_t head_size, uint64_t now_ms);
/* What the side sends are no frames. */
void ws_guard_refuse(struct ws_guard *self, struct ws_guard_side *side);

/* Whether a frame of this length may answer a ping of ours. */
bool ws_guard_may_be_pong(const struct ws_guard_side *side, const struct ws_frame *frame);
/* Whether it does, by its payload, unmasked; each does once. */
MUST_USE bool ws_guard_take_pong(
	struct ws_guard_side *side, const uint8_t payload[WS_GUARD_PING_SIZE]);
/* Writes the payload of the ping that is due: it goes out now. */
void ws_guard_ping(
	struct ws_guard_side *side, uint8_t payload[WS_GUARD_PING_SIZE], uint64_t now_ms);

/* When ws_guard_tick has something to do, if nothing comes; TIMER_NEVER: nothing. */
uint64_t ws_guard_deadline(const struct ws_guard *self);
void ws_guard_tick(struct ws_guard *self, const struct ws_guard_links *links, uint64_t now_ms);

#endif
