/*
 * How a session's messages reach its client on one exchange: a long-poll answer, a stream. The
 * transport owns the exchange's answer and pulls from the session what it can write; a session
 * has at most one transport, the newest.
 */
#ifndef BRIDGE_TRANSPORT_H
#define BRIDGE_TRANSPORT_H

#include <stdbool.h>

struct session;
struct transport;

/* Why the session lets go of a transport that could go on. */
enum transport_end {
	TRANSPORT_SUPERSEDED, /* a newer one came */
	TRANSPORT_DRAINED,    /* Pollux is leaving: the client is to come back */
};

struct transport_ops {
	/* There is something to take, or was all the time. */
	void (*wake)(struct transport *self);
	/* End the answer in good order. The session is no longer the transport's. */
	void (*end)(struct transport *self, enum transport_end why);
};

/* First member of each implementation. */
struct transport {
	const struct transport_ops *ops;
	struct session *session; /* NULL: detached */
	bool is_lasting;	 /* a stream or a WebSocket: it goes on until somebody ends it */
};

const char *transport_end_name(enum transport_end why);

#endif
