/*
 * A session of one transport: a line to receive on and, unless it is a WebSocket, one to send on,
 * which is opened with the first message. What has been received is searched for messages as they
 * are, whatever they are wrapped in.
 */
#ifndef BENCH_LOAD_SESSION_H
#define BENCH_LOAD_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load_answer.h"
#include "bench/load_client.h"

struct load_session;

/* Which worker the lines are to end at, as seen from the one that owns the session. */
enum load_landing { LAND_ANYWHERE, LAND_AT_OWNER, LAND_ELSEWHERE };

enum load_task {
	TASK_NONE,
	TASK_OPEN,
	TASK_PROBE,   /* opens a session, to see where the line ended */
	TASK_UNPROBE, /* closes it again */
	TASK_RECEIVE,
	TASK_SEND,
	TASK_CLOSE,
};

struct load_line {
	struct load_client client;
	struct load_answer answer;
	struct buffer request;
	enum load_task task;
};

struct load_session_app {
	/* It stands, and for a polling one the first poll has been sent. */
	void (*on_ready)(struct load_session *s);
	/* `text` is the message, of load.message_size bytes. */
	void (*on_message)(struct load_session *s, const char *text);
	/* The message has been taken: answered, or written to a WebSocket. */
	void (*on_sent)(struct load_session *s);
	/* Closed as asked. */
	void (*on_over)(struct load_session *s);
	/* Whether the line to send on has to end where load_bridge.landing says. */
	bool sends;
};

enum load_session_state { SESSION_CLOSED, SESSION_OPENING, SESSION_READY, SESSION_CLOSING };

struct load_session {
	const struct load_session_app *app;
	enum load_session_state state;
	bool probe_fits;
	struct load_session *next; /* among those that wait for another's name */
	struct load_line in, out;
	char id[64], etag[32], last_modified[40];
	uint64_t cursor, n_sent;
	/* The app's. */
	uint64_t serial;
	bool is_waiting, is_sending;
};

/* What is set for all of them, by the command line. */
struct load_bridge {
	const struct load_transport *transport;
	enum load_landing landing;
	const char *control;   /* HOST:PORT of the origin, or of who publishes */
	const char *post_path; /* where messages are posted to; NULL: to our origin by commands */
	const char *post_body; /* a template with $M */
	uint64_t rate;	       /* messages a second, for latencies */
};
extern struct load_bridge load_bridge;

/* The message of that number; its last byte is `last`. */
const char *load_message(uint64_t serial, char last);
/* Its number as text, which stands at its beginning. */
enum { LOAD_SERIAL_SIZE = 16 };

void load_session_open(struct load_session *s, const struct load_session_app *app);
/* One at a time. */
void load_session_send(struct load_session *s, const char *message);
void load_session_close(struct load_session *s);

/* What the modes tell of connections. */
void load_session_on_connected(struct load_client *c);
size_t load_session_on_bytes(struct load_client *c, char *data, size_t n);
void load_session_on_end(struct load_client *c);
void load_session_on_closed(struct load_client *c);

#endif
