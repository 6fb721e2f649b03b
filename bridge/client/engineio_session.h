/*
 * What Engine.IO keeps with a session: its times, what every answer repeats of the backend's 101,
 * which transport it is on, and which requests are under way.
 *
 * The backend owns the heartbeat. The client's silence is timed here as well, a little shorter, so
 * that a client that comes too late finds no session, rather than a ping that nobody counts any
 * more.
 */
#ifndef BRIDGE_CLIENT_ENGINEIO_SESSION_H
#define BRIDGE_CLIENT_ENGINEIO_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/bridge.h"
#include "bridge/client/engineio_packet.h"
#include "bridge/session.h"
#include "proxy/base/loop.h"
#include "proxy/base/slice.h"
#include "proxy/http/fields.h"

struct engineio_poll;
struct engineio_upgrade;

/*
 * What tells a request from the one before it: its mark `t` and its body. A browser that gets no
 * answer on an old connection sends the request again, mark and all, without telling the page.
 *
 * Marks of digits alone are not compared, since a clock may stand still between two requests; nor
 * are longer ones than this: the reference has 7 or 8 characters.
 */
#define ENGINEIO_MARK_MAX 15

struct engineio_mark {
	uint64_t body;
	uint8_t size;
	char text[ENGINEIO_MARK_MAX];
};

void engineio_mark_make(struct engineio_mark *self, struct slice t, struct slice body);
/* False for none. */
bool engineio_mark_equals(const struct engineio_mark *a, const struct engineio_mark *b);

struct engineio_session {
	struct session_part part;
	struct session *session;
	struct timer silence; /* the client has been silent too long; then: the backend has */
	uint64_t patience_ms; /* until then */
	uint64_t max_payload;
	struct field *fields; /* Access-Control-* and Vary of the backend's 101 */
	uint32_t n_fields;
	struct engineio_poll *poll;	  /* that waits; NULL: none */
	struct engineio_upgrade *upgrade; /* candidate, or what the session is on; NULL: none */
	bool is_probed;			  /* the candidate has proved itself */
	bool is_upgraded;
	bool is_posting;
	bool is_leaving;	     /* the client has said that it closes */
	bool is_expired;	     /* not found any more; the backend is about to end it */
	struct engineio_mark polled; /* of the last poll */
	struct engineio_mark posted; /* of the last post that was taken */
};

/* The session has been opened: gives it its part. `accepted` are the fields of the backend's 101.
 */
void engineio_session_start(
	struct session *session, const struct engineio_open *open, const struct fields *accepted);

/* Of the fields of the 101, those that let pages read answers: Access-Control-* and Vary. */
bool engineio_session_repeats(const struct field *field);

/* Sessions of this dialect are found by no other. In the arena. */
struct slice engineio_session_path(struct slice path, struct arena *arena);
/* For the exchange's client. NULL: unknown, or no longer known. */
struct engineio_session *engineio_session_find(
	const struct bridge *bridge, struct exchange *x, struct slice path, struct slice sid);

/* The client is alive. */
void engineio_session_hear(struct engineio_session *self);
/* Forgets it: a waiting poll ends, a WebSocket closes, the backend gets `code`. */
void engineio_session_end(struct engineio_session *self, uint16_t code);

#endif
