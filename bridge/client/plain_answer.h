/*
 * Answers of the plain dialect: the fields that every one of them carries, the JSON ones, errors.
 */
#ifndef BRIDGE_CLIENT_PLAIN_ANSWER_H
#define BRIDGE_CLIENT_PLAIN_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/bridge.h"
#include "bridge/client/origin.h"
#include "bridge/client/plain_request.h"
#include "bridge/session.h"
#include "proxy/base/bytes.h"
#include "proxy/http/exchange.h"

/* What the plain dialect knows of an exchange that it answers. In the exchange's arena. */
struct plain_exchange {
	struct bridge *bridge;
	struct exchange *x;
	struct plain_request request;
	enum origin_verdict verdict;
	struct slice id;     /* of the session that it belongs to, once that is known; a copy */
	struct fields extra; /* of an opening's answer: what the backend said with its 101 */
};

/* The exchange belongs to this session from now on: for answers and the access log. */
void plain_answer_set_session(struct plain_exchange *self, const struct session *session);

/*
 * A head with Date, Cache-Control: no-store, Referrer-Policy and the CORS fields; in the arena.
 * With POST also Pollux-Seq, where a session is given. `session` (NULL: none) gives
 * Pollux-Session and Pollux-Cursor, which is `cursor`.
 */
struct response_head *plain_answer_head(struct plain_exchange *self, unsigned status,
	const struct session *session, uint64_t cursor);
/* The path, as clients may resolve it. */
struct slice plain_answer_reference(struct plain_exchange *self);

void plain_answer_add(struct plain_exchange *self, struct response_head *head, const char *name,
	struct slice value);
/* Responds with a body (taken), or without one: NULL. type: empty with NULL. */
void plain_answer_send(struct plain_exchange *self, struct response_head *head, struct slice type,
	struct bytes *body);
/* Responds with the head of a stream; the body follows in x->res_body. */
void plain_answer_start(struct plain_exchange *self, struct response_head *head, struct slice type);

/* 204. */
void plain_answer_done(struct plain_exchange *self, const struct session *session);
/* {"error":…} or {"error":…,"NAME":N}. 405 gets Allow, 503 Retry-After. */
void plain_answer_error(struct plain_exchange *self, unsigned status, const struct session *session,
	const char *error, const char *name, uint64_t number);
/* 409 with the lowest cursor that works. */
void plain_answer_cursor(struct plain_exchange *self, const struct session *session);
/* The session is closed: 410 with the close, or 204 to an event stream. */
void plain_answer_gone(struct plain_exchange *self, const struct session *session);
/* 404. */
void plain_answer_unknown(struct plain_exchange *self);
/* OPTIONS. */
void plain_answer_preflight(struct plain_exchange *self);

#endif
