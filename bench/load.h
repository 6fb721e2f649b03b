/*
 * The load generator's shared state: what is asked for, and how far the current run is. One thread,
 * raw epoll, no allocation per unit: the proxy in front of the origin has to be the slowest of the
 * three.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/sock.h"

struct load_client;
struct load_h2_work;

/* What a unit of work is. */
struct load_mode {
	const char *name;
	const struct load_h2_work *h2; /* NULL: HTTP/1.1 */
	/* Starts units, as many as may run at once. */
	void (*begin)(void);
	/* The connection stands, TLS included. */
	void (*on_connected)(struct load_client *c);
	/* Takes bytes from the front; returns how many, the rest is kept. 0 waits for more. */
	size_t (*on_bytes)(struct load_client *c, char *data, size_t n);
	/* What c->skip asked for has gone by. */
	void (*on_skipped)(struct load_client *c);
	/* The peer closed the connection cleanly. */
	void (*on_end)(struct load_client *c);
	/* An event has been handled: what it gave rise to may be written. May be NULL. */
	void (*flush)(struct load_client *c);
	/* The connection is closed, by whom ever. May be NULL. */
	void (*on_closed)(struct load_client *c);
	/* Does what is due; returns the milliseconds until something is again. May be NULL. */
	int (*tick)(void);
};

extern const struct load_mode load_get, load_echo, load_handshake, load_idle;
extern const struct load_mode load_h2_get, load_h2_upload, load_h2_echo;
extern const struct load_mode load_h2_idle, load_h2_idle_stream, load_h2_idle_websocket;
extern const struct load_mode load_bridge_session, load_bridge_deliver, load_bridge_send;
extern const struct load_mode load_bridge_hold, load_bridge_latency;

struct load {
	const struct load_mode *mode;
	struct sock_address address;
	SSL_CTX *tls;		 /* NULL: plain */
	const char *host, *path; /* as they stand in the URL */
	size_t concurrency;
	size_t streams;		 /* of each HTTP/2 connection */
	int64_t expected_length; /* of each body; -1: any */
	size_t message_size;	 /* of an echo or an upload */

	uint64_t target, started, finished; /* units of this run */
	uint64_t errors, reconnects, bytes; /* of this run */
	char first_error[160];
	int64_t begun_us, progress_us;
	int64_t *samples_us; /* of this run, where the mode takes any */
	size_t n_samples;
};

extern struct load load;

/* Whether another unit may start; if so it counts as started. */
bool load_take_unit(void);
void load_finish_unit(void);
/* The run is over, its units cannot be done. */
void load_give_up(void);
/* Counts an error and keeps the text of the first. */
void load_count_error(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
