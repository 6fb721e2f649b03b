/*
 * A connection of the bench origin: raw libevent events over own buffers. What its bytes mean is
 * the business of the ops, which change once when an HTTP connection becomes a WebSocket.
 *
 * A closed connection stays readable memory, and its ops are not told, until conn_bury_dead(),
 * which the loop calls after each turn; so a write that fails changes no list under whoever is
 * walking it.
 */
#ifndef BENCH_ORIGIN_CONN_H
#define BENCH_ORIGIN_CONN_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bench/buffer.h"

struct conn;

struct conn_ops {
	/* Takes one unit (a head, a piece of a body, a frame) from the front; returns its size, 0
	 * when it is incomplete. */
	size_t (*hear)(struct conn *c, char *data, size_t n);
	/* The program is about to leave: say goodbye on the wire. */
	void (*leave)(struct conn *c);
	/* The connection is closed: free `state`. Called by conn_bury_dead() alone, and when the
	 * ops change. */
	void (*gone)(struct conn *c);
};

struct conn {
	int fd;
	bool closed;
	bool finishing; /* closes once everything is written */
	bool lingering; /* everything is written and the end of it sent: waits for the peer's */
	bool held;	/* an answer is due later: nothing is heard until then */
	bool reading, writing; /* which events are armed */
	bool hearing;	       /* ops->hear is running: writes are gathered until it returns */
	const struct conn_ops *ops;
	void *state;
	uint64_t filler_left; /* bytes of filler to send after `out` */
	struct buffer in, out;
	struct event readable, writable, timer;
	void (*on_timer)(struct conn *c, void *arg);
	void *timer_arg;
	TAILQ_ENTRY(conn) link;
};

struct event_base;

/* Takes over an accepted socket. */
void conn_open(struct event_base *base, int fd, const struct conn_ops *ops, void *state);
void conn_close(struct conn *c);
/* Tells the ops of what was closed during this turn of the loop, and frees it. */
void conn_bury_dead(void);
/* Lets every connection say goodbye and closes it. */
void conn_leave_all(void);

void conn_write(struct conn *c, const void *data, size_t n);
/* Sends n bytes of the letters a to z, over and over, after what was written before. */
void conn_write_filler(struct conn *c, uint64_t n);
/*
 * Closes when everything has been written and the peer has closed too, or has taken its time; what
 * it still sends is read but not heard, lest a reset overtake our last bytes.
 */
void conn_finish(struct conn *c);
/* Unwritten bytes. */
size_t conn_backlog(const struct conn *c);
/* Nothing is heard until conn_resume(). */
void conn_hold(struct conn *c);
void conn_resume(struct conn *c);
/* One timer a connection; a new call replaces the old one. */
void conn_set_timer(
	struct conn *c, int64_t us, void (*on_timer)(struct conn *c, void *arg), void *arg);

#endif
