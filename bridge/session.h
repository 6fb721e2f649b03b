/*
 * A session: one logical client, whatever connections it comes by, and one feed.
 *
 * Towards the client it is a sequence of items, numbered from 1; the close is the last:
 *
 *	1 ... floor | floor+1 ... sent | sent+1 ... last
 *	   gone         kept, written      not written
 *
 * floor is the highest number acknowledged, or dropped because the kept ones passed the replay
 * limit (only what a stream has written and the client's TCP has acknowledged is dropped). A
 * client may continue after any number from floor to sent. What is not written is never dropped:
 * when it reaches the queue limit the feed is not read.
 *
 * Towards the feed it is a line of sends in the order in which they were submitted. A send that
 * has a number takes part in the exactly-once count.
 *
 *	OPENING -> OPEN -> CLOSING -> CLOSED -> (forgotten)
 *	      \              (DELETE)    ^
 *	       \-> refused: forgotten    +-- the feed closed: from OPEN too
 *
 * Forgotten: absent for linger_ms while open, or linger_ms after the close.
 */
#ifndef BRIDGE_SESSION_H
#define BRIDGE_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bridge/feed.h"
#include "bridge/ledger.h"
#include "bridge/message.h"
#include "bridge/session_id.h"
#include "bridge/transport.h"
#include "conf/conf.h"
#include "proxy/base/hash_table.h"
#include "proxy/base/loop.h"
#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

struct session_table;
struct session_key;

enum session_state {
	SESSION_OPENING, /* the feed is being opened */
	SESSION_OPEN,
	SESSION_CLOSING, /* the client asked for the end; what was accepted is being sent */
	SESSION_CLOSED,	 /* the close is in the sequence; no feed */
	SESSION_OVER,	 /* forgotten: dies at the end of the turn */
};

/* What becomes of a send. */
enum send_outcome {
	SEND_WAITING, /* on_done comes */
	SEND_QUEUED,
	SEND_REPEATED, /* its number was used up before: not sent again */
	SEND_GAP,      /* its number is not the next */
	SEND_FULL,     /* the queue to the backend stayed full for send_timeout */
	SEND_CLOSED,
};

struct session_send {
	TAILQ_ENTRY(session_send) link;
	struct message_list frames; /* taken when it is queued */
	size_t cost;		    /* of the frames */
	uint64_t seq;		    /* Pollux-Seq; 0: unnumbered */
	uint64_t deadline_ms;
	/*
	 * After SEND_WAITING, once: the send is out of the line and the caller's. NULL: the
	 * session frees the send when it is done.
	 */
	void (*on_done)(struct session_send *send, enum send_outcome outcome);
	void *arg;
	struct session *session; /* set when it is submitted */
	bool is_counted;	 /* takes part in the count: seq is not 0 */
	bool is_orphan;		 /* nobody waits for the outcome */
};

TAILQ_HEAD(session_send_list, session_send);

/* Waits for the end of SESSION_OPENING. One of the two comes, once. */
struct session_waiter {
	TAILQ_ENTRY(session_waiter) link;
	void (*on_opened)(void *arg, const struct feed_acceptance *acceptance);
	/* The session is forgotten when all waiters were told. */
	void (*on_refused)(void *arg, const struct feed_refusal *refusal);
	void *arg;
};

TAILQ_HEAD(session_waiter_list, session_waiter);

/* What a dialect keeps with a session; embedded in its own struct. */
struct session_part {
	/* The session is in SESSION_CLOSED from now on. */
	void (*on_closed)(struct session_part *self);
	/* The session is forgotten: the last that is heard of it. */
	void (*on_forgotten)(struct session_part *self);
};

struct session {
	struct session_table *table;
	const struct conf_route *route;
	struct loop *loop;
	UT_hash_handle hh;
	TAILQ_ENTRY(session) closed_link; /* session_table's, of closed ones */
	char *path;			  /* P */
	char *address;			  /* the opener's, for the cap */
	char *id;
	uint8_t *binding;	   /* session_binding's; NULL: whoever has the id has the session */
	struct session_key *key;   /* session_table's; NULL: none */
	struct session_part *part; /* the dialect's; NULL: none */

	enum session_state state;
	uint8_t id_size;
	bool is_remembered; /* stands among the closed ones */
	bool has_slot;	    /* counts against the caps */
	bool is_reading;    /* as told to the feed */
	bool is_named;	    /* its client chose the id */
	bool is_text_only;  /* the client cannot be told bytes: they end the session with 1003 */

	struct feed *feed;	     /* NULL: not yet, or closed */
	struct transport *transport; /* NULL: absent */
	struct session_waiter_list waiters;

	struct message_list items; /* floor+1 ... last */
	struct message *next;	   /* first not written; NULL: none */
	struct message *close; /* the last item, kept after its acknowledgement; NULL: not closed */
	uint64_t acknowledged;
	uint64_t dropped; /* highest that was dropped, 0: none */
	uint64_t sent;
	uint64_t last;
	size_t sent_cost;
	size_t unsent_cost;

	struct session_send_list sends; /* waiting for room, oldest first */
	size_t orphan_cost;		/* of those whose clients have gone */
	uint64_t n_used;		/* highest number used up by a send */

	uint64_t linger_ms; /* the route's, unless the dialect says otherwise */
	uint64_t seen_ms;   /* end of the last transport, or last request */
	uint64_t closed_ms;
	uint64_t leave_ms;	/* Pollux is leaving: the end, at the latest; TIMER_NEVER */
	struct timer absence;	/* forgets */
	struct timer send_wait; /* of the oldest send, or of CLOSING */
	struct notice wake;	/* tells the transport */
	struct ledger ledger;
	struct grave grave;
};

/*
 * Life. Made by session_table_add or _add_named, which give id and slot. The feed is given by
 * session_open, with session_feed_owner and the session as its owner and argument.
 */
void session_init(
	struct session *self, struct session_table *table, struct slice path, struct slice id);
extern const struct feed_owner session_feed_owner;
void session_open(struct session *self, struct feed *feed);
void session_add_waiter(struct session *self, struct session_waiter *waiter);
/*
 * The waiter's exchange has gone. Without a waiter and without a key nobody would ever know the
 * session: it is forgotten and its feed cut.
 */
void session_remove_waiter(struct session *self, struct session_waiter *waiter);
/* Pollux is leaving: the session is forgotten at this time, or as soon as it has no transport. */
void session_leave_at(struct session *self, uint64_t leave_ms);
/* Forgets it: the feed gets `code`, a transport is cut loose, waiting sends are SEND_CLOSED. */
void session_forget(struct session *self, uint16_t code);
/* Live ones, closed ones that are remembered included: for leak checks and the drain. */
size_t session_n_live(void);
struct slice session_id(const struct session *self);
/* A request of the session: the absence starts anew. */
void session_touch(struct session *self);

/* Cursors. */
enum cursor_place {
	CURSOR_GOOD,
	CURSOR_BELOW, /* below the floor: a gap */
	CURSOR_ABOVE, /* above what was written */
};

uint64_t session_floor(const struct session *self);
enum cursor_place session_place_cursor(const struct session *self, uint64_t cursor);
/* Everything up to the cursor is the client's; one at or below the floor changes nothing, one above
 * what was written is not allowed. */
void session_acknowledge(struct session *self, uint64_t cursor);
/* The close has been acknowledged or the cursor stands at it. */
bool session_is_at_end(const struct session *self, uint64_t cursor);

/* Transports. */
/* Acknowledges `after`, which must be good, and ends the transport before. */
void session_attach(struct session *self, struct transport *transport, uint64_t after);
/* The exchange of the transport is over. Does nothing for a transport that was superseded. */
void session_detach(struct transport *transport);
/* The item after this number, or NULL. */
struct message *session_item_after(struct session *self, uint64_t seq);
struct message *session_item_next(const struct message *item);
/* Items are written in order. end_offset: where it ends in the stream's bytes; 0: not a stream. */
void session_set_sent(struct session *self, struct message *item, uint64_t end_offset);
/*
 * The client's TCP has acknowledged the stream's bytes up to the offset, of items up to
 * `written`.
 */
void session_trim(struct session *self, uint64_t written, uint64_t offset);

/* Sends. */
/* Not with SESSION_CLOSING or later, where it is SEND_CLOSED. */
MUST_USE enum send_outcome session_submit(struct session *self, struct session_send *send);
/* A waiting send is out of the line; the caller's. */
void session_withdraw(struct session *self, struct session_send *send);
/*
 * The client of a waiting send has gone, before it was told anything. The send is the session's
 * now, and keeps its place as long as all such sends together are no larger than the queue; else
 * it is dropped.
 */
void session_orphan(struct session *self, struct session_send *send);
/* The client wants the end, with this close code to the backend. Only SESSION_OPEN. */
void session_end(struct session *self, uint16_t code, struct slice reason);

const char *session_state_name(enum session_state state);
const char *send_outcome_name(enum send_outcome outcome);
const char *cursor_place_name(enum cursor_place place);

#endif
