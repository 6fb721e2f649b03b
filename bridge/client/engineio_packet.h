/*
 * Packets of Engine.IO 4 and the payloads that polling carries them in. Pure.
 *
 *	payload = packet 0x1e packet 0x1e packet		(no limit but the body's)
 *	packet  = type [data]	type: 0 open 1 close 2 ping 3 pong 4 message 5 upgrade 6 noop
 *		  "b" base64	a binary message
 *
 * Over a WebSocket a text frame is a packet, and a binary frame the bytes of a binary message.
 */
#ifndef BRIDGE_CLIENT_ENGINEIO_PACKET_H
#define BRIDGE_CLIENT_ENGINEIO_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/message.h"
#include "proxy/base/bytes.h"
#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

/* What a client's payload becomes: a frame for the backend for each packet. */
struct engineio_payload {
	struct message_list frames; /* those before a close */
	size_t cost;		    /* of the frames, as queues count it */
	bool has_pong;
	bool has_close; /* what stands after it means nothing */
};

/* More packets than this in one payload are too many. */
#define ENGINEIO_MAX_PACKETS 65536

enum engineio_verdict {
	ENGINEIO_PAYLOAD_OK,
	ENGINEIO_PAYLOAD_MALFORMED, /* no type, bad base64 or bad UTF-8; also an empty packet */
	ENGINEIO_PAYLOAD_TOO_MANY,
};

/*
 * Reads a whole payload. Packets that mean nothing to a backend (open, upgrade, noop) are left out.
 * The frames are the caller's if it is ENGINEIO_PAYLOAD_OK; else there are none.
 */
MUST_USE enum engineio_verdict engineio_payload_read(
	struct engineio_payload *self, struct slice body);
void engineio_payload_clear(struct engineio_payload *self);

/* Appends a frame of the backend's, not a MESSAGE_CLOSE, as a packet of a payload. */
void engineio_payload_add(struct bytes *out, const struct message *frame, bool is_first);

/*
 * A packet that ends the session for the client. It stands alone in a payload: beside messages a
 * Socket.IO client would take the end for a broken connection.
 */
bool engineio_is_close(const struct message *frame);
bool engineio_is_pong(struct slice packet);

/* What the backend's open packet says. */
struct engineio_open {
	uint64_t ping_interval_ms;
	uint64_t ping_timeout_ms;
	uint64_t max_payload; /* bytes of a client's payload */
};

/* Longest time that an open packet may name. */
#define ENGINEIO_MAX_PING_MS (UINT64_C(24) * 3600 * 1000)
/* Longest open packet. */
#define ENGINEIO_MAX_OPEN_SIZE 16384

/*
 * Writes the open packet anew for a client that polls: with our sid, with the upgrade to a
 * WebSocket or without, and with maxPayload lowered to max_payload if it is above, or no limit at
 * all; all else stays.
 * False: it is no open packet of Engine.IO 4.
 */
MUST_USE bool engineio_open_rewrite(struct slice packet, struct slice sid, bool can_upgrade,
	uint64_t max_payload, struct engineio_open *open, struct bytes *out);

const char *engineio_verdict_name(enum engineio_verdict verdict);

#endif
