/*
 * Inside conn: the struct, and the few operations in which plain TCP, TLS and the fake of tests
 *differ. Only conn*.c includes this.
 *
 *	CONNECTING -> HANDSHAKING -> OPEN -> LOST -> CLOSED	(any state may go to LOST or CLOSED)
 *
 * The operations run in event callbacks and notices only. They never call the owner: they change
 *the conn's state and conn.c tells.
 */
#ifndef PROXY_NET_CONN_OPS_H
#define PROXY_NET_CONN_OPS_H

#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/bytes.h"
#include "proxy/base/loop.h"
#include "proxy/net/conn.h"

struct conn_tls;
struct conn_fake;

enum conn_state {
	CONN_CONNECTING,
	CONN_HANDSHAKING,
	CONN_OPEN,
	CONN_LOST,
	CONN_CLOSED,
};

enum conn_io {
	CONN_IO_DONE,	/* nothing is left to do */
	CONN_IO_MORE,	/* stopped to let others have their turn */
	CONN_IO_WAIT,	/* the socket would block */
	CONN_IO_FAILED, /* conn_fail was called */
};

struct conn_ops {
	/* Connected: begins or goes on with the handshake. DONE: open. WAIT: call again when the
	 * socket is readable. */
	enum conn_io (*start)(struct conn *self);
	/* Reads a bounded number of bytes into `input`; true if there is anything new to tell. Sets
	 * is_input_ended. */
	bool (*recv)(struct conn *self);
	/* Writes `output`. */
	enum conn_io (*send)(struct conn *self);
	/* Called when all output has left, until it says DONE. */
	enum conn_io (*send_end)(struct conn *self);
	/* Bytes that have left `output` and are not yet with the socket. */
	size_t (*unsent)(const struct conn *self);
	/* Before the descriptor is closed: a last word to the peer, if is_clean, and the end of
	 * what hangs on the conn. */
	void (*close)(struct conn *self, bool is_clean);
};

/* Allocated while the conn waits for the socket to become writable. */
struct conn_wait {
	struct event event;
	uint64_t since_ms;
};

struct conn {
	const struct conn_ops *ops;
	struct loop *loop;
	const struct conn_owner *owner;
	void *arg;
	struct event event; /* EV_READ | EV_PERSIST */
	struct conn_wait *wait;
	union {
		struct conn_tls *tls;
		struct conn_fake *fake;
	};
	struct bytes input;
	struct bytes output;
	uint64_t n_received;
	uint64_t n_sent;
	union {
		struct notice notice;
		struct grave grave; /* once closed */
	};
	union {
		struct sockaddr any;
		struct sockaddr_in inet;
		struct sockaddr_in6 inet6;
	} peer;
	int fd; /* -1: fake, or closed */
	int error;
	uint8_t state; /* enum conn_state */
	uint8_t loss;  /* enum conn_loss */
	uint8_t due;   /* what the posted notice has to do */
	bool is_tls : 1;
	bool is_read_armed : 1;
	bool is_reading : 1;
	bool is_bulk : 1; /* the last read filled all its room */
	bool is_input_ended : 1;
	bool is_input_untold : 1; /* came while the owner was not reading */
	bool is_end_wanted : 1;
	bool is_output_ended : 1;
	bool is_output_due : 1; /* a flush did not finish: on_output when it has */
	bool is_room_wanted : 1;
};

#define CONN_READ_ONCE (128 * 1024)

extern const struct conn_ops conn_plain_ops;

/* Loses the conn; on_lost follows by notice. Does nothing if it is lost already. */
void conn_fail(struct conn *self, enum conn_loss loss, int error);
/* The same after a failed write: what the peer sent before (often the reason) is read first. */
void conn_fail_sending(struct conn *self, int error);
/* Asks for a read by notice, for bytes of which no event will tell. */
void conn_post_recv(struct conn *self);
/* Says by notice that what the conn waits for has come, where no event does. */
void conn_post_writable(struct conn *self);
void conn_set_peer(struct conn *self, const struct sockaddr *peer, socklen_t peer_len);
/* A conn without a descriptor or one under way; of the state that the caller says. */
struct conn *conn_new(struct loop *loop, int fd, const struct conn_ops *ops, enum conn_state state);
/* sendmsg over the queue's segments; drains what left. */
enum conn_io conn_send_bytes(struct conn *self, struct bytes *bytes);

/* Takes the operations and begins the handshake, at once or when connected. */
void conn_begin_tls(struct conn *self, const struct conn_ops *ops, bool speaks_first);

/* In conn_tls.c, for a conn that is_tls. */
const char *conn_tls_loss_text(const struct conn *self);
void conn_tls_rest(struct conn *self);
void conn_tls_free(struct conn *self);

#endif
