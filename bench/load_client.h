/* One connection of the load generator, plain or TLS. Its mode is told what happens. */
#ifndef BENCH_LOAD_CLIENT_H
#define BENCH_LOAD_CLIENT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/buffer.h"

enum load_state {
	LOAD_CLOSED,
	LOAD_CONNECTING,
	LOAD_SECURING, /* TLS handshake */
	LOAD_OPEN,
};

struct sock_address;

struct load_client {
	int fd;
	enum load_state state;
	bool watched_for_room; /* EPOLLOUT is armed */
	bool busy;	       /* a unit is under way */
	bool upgraded;	       /* the WebSocket handshake is done */
	bool closing;	       /* the answer said that the connection ends with it */
	uint64_t skip;	       /* body bytes that nobody looks at */
	uint64_t serial;       /* of the echo awaited */
	SSL *ssl;
	const char *out; /* not yet written; not owned */
	size_t out_length;
	struct buffer in;		    /* an incomplete head or frame */
	char *frame;			    /* the frame being sent; owned */
	struct load_client *next;	    /* among the idle ones */
	struct load_h2 *h2;		    /* over HTTP/2: its streams; the mode's */
	struct load_session *session;	    /* of a bridge, which has it as a line */
	const struct sock_address *address; /* NULL: the URL's */
};

/* `epoll` is the descriptor that client events come from, with the client as data. */
void load_client_init(int epoll);
void load_client_open(struct load_client *c);
/* Says goodbye (close_notify) and closes. */
void load_client_close(struct load_client *c);
/* The bytes must stay as they are until they are written. */
void load_client_send(struct load_client *c, const char *data, size_t n);
void load_client_on_event(struct load_client *c, uint32_t events);
/* An error of this connection: counted, its unit given up, closed. */
void load_client_fail(struct load_client *c, const char *what);

#endif
