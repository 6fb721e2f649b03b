/*
 * The load generator's HTTP/2 (RFC 9113), with nghttp2's client session. A connection has as many
 * places for streams as --streams says; what happens on one is told to the mode's work.
 *
 * A place without a stream that has a unit waits: for the connection, for the server's SETTINGS,
 * or for a new connection after a GOAWAY. Callbacks of the work come from inside nghttp2: they may
 * start, send and fail, which only queue; nothing is written before the event has been handled.
 */
#ifndef BENCH_LOAD_H2_H
#define BENCH_LOAD_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/buffer.h"
#include "bench/load.h"
#include "bench/load_client.h"

struct load_stream {
	struct load_client *client;
	bool unit;	   /* a unit is under way or waits */
	int32_t id;	   /* 0: no stream */
	int status;	   /* 0: none yet */
	bool open;	   /* the head of a 200 has come */
	bool ended;	   /* the last byte has come */
	bool deferred;	   /* nghttp2 waits to be told of bytes to send */
	uint64_t received; /* bytes of the answer's body */
	uint64_t sent;	   /* bytes of an upload */
	uint64_t serial;   /* of the echo awaited */
	struct buffer in, out;
};

struct load_h2_work {
	bool tunnel; /* extended CONNECT (RFC 8441) instead of GET */
	bool upload; /* POST of load.message_size bytes instead of GET */
	bool held;   /* connections are to stay, so a GOAWAY is an error */
	/* A 200 has come. May be NULL. */
	void (*on_open)(struct load_stream *s);
	/* Bytes of the body, already counted. May be NULL. */
	void (*on_bytes)(struct load_stream *s, const char *data, size_t n);
	/* The answer is whole and the stream is closed (its id is 0); another may start. */
	void (*on_end)(struct load_stream *s);
};

/* A closed connection with its places, made once and opened again after a GOAWAY. */
void load_h2_init(struct load_client *c);
/* Its place number `i`, below load.streams. */
struct load_stream *load_h2_stream(struct load_client *c, size_t i);

/* Sends the request, now or when that becomes possible, for a unit that was taken. */
void load_h2_start(struct load_stream *s);
/* Sends bytes on an open tunnel. */
void load_h2_send(struct load_stream *s, const void *data, size_t n);
/* The unit is done; the stream may stay. */
void load_h2_finish(struct load_stream *s);
/* Counts an error, gives up the unit and resets the stream. */
void load_h2_fail(struct load_stream *s, const char *what);

/* What a mode has in its table. */
void load_h2_on_connected(struct load_client *c);
size_t load_h2_on_bytes(struct load_client *c, char *data, size_t n);
void load_h2_on_skipped(struct load_client *c);
void load_h2_on_end(struct load_client *c);
void load_h2_flush(struct load_client *c);
void load_h2_on_closed(struct load_client *c);

#define LOAD_H2_HOOKS \
	.on_connected = load_h2_on_connected, .on_bytes = load_h2_on_bytes, \
	.on_skipped = load_h2_on_skipped, .on_end = load_h2_on_end, .flush = load_h2_flush, \
	.on_closed = load_h2_on_closed

#endif
