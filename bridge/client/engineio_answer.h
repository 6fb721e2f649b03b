/*
 * Answers of the Engine.IO dialect. Each carries Date and Cache-Control: no-store, and what
 * browsers need to let a page of another origin read it: what the backend said on its 101, or,
 * where there is no session, the page's own origin, since the protocol's errors tell no secrets.
 */
#ifndef BRIDGE_CLIENT_ENGINEIO_ANSWER_H
#define BRIDGE_CLIENT_ENGINEIO_ANSWER_H

#include <stdbool.h>

#include "bridge/bridge.h"
#include "bridge/client/engineio_request.h"
#include "bridge/client/engineio_session.h"
#include "bridge/client/origin.h"
#include "bridge/feed.h"
#include "proxy/base/bytes.h"
#include "proxy/http/exchange.h"

/* What the dialect knows of an exchange that it answers. In the exchange's arena. */
struct engineio_exchange {
	struct bridge *bridge;
	struct exchange *x;
	struct engineio_request request;
	enum origin_verdict verdict; /* ORIGIN_NONE where the route leaves it to the backend */
	struct slice path;
	struct fields
		accepted; /* of the answer to an opening: what the backend said with its 101 */
};

/* The session that the request names; NULL: unknown. */
struct engineio_session *engineio_exchange_session(const struct engineio_exchange *self);

/* The answer to an opening: the open packet (taken), and `accepted`. */
void engineio_answer_open(struct engineio_exchange *self, struct bytes *packet);
/* A payload (taken) for a poll of the session. */
void engineio_answer_payload(struct engineio_exchange *self, const struct engineio_session *session,
	struct bytes *payload);
/* A payload of one packet. */
void engineio_answer_packet(
	struct engineio_exchange *self, const struct engineio_session *session, const char *packet);
/* "ok", to a post. */
void engineio_answer_ok(struct engineio_exchange *self, const struct engineio_session *session);
/* 413 without a body: the session goes on. */
void engineio_answer_too_big(
	struct engineio_exchange *self, const struct engineio_session *session);

/* {"code":N,"message":"…"}; to a WebSocket client the message alone. session NULL: none. */
void engineio_answer_error(struct engineio_exchange *self, const struct engineio_session *session,
	unsigned status, enum engineio_code code);
/* The same for what the protocol has no code for: {"message":"…"}, by the reason. */
void engineio_answer_failure(
	struct engineio_exchange *self, const struct engineio_session *session, enum reason reason);
/*
 * The backend has refused its WebSocket. Its texts for the protocol's errors become those errors,
 * any other short text with 400 is what an application gives for a refusal: 403 with code 4. Other
 * answers are passed on.
 */
void engineio_answer_refusal(struct engineio_exchange *self, const struct feed_refusal *refusal);

#endif
