/* Posts to a session, and its end at the client's wish, in the plain dialect. */
#ifndef BRIDGE_CLIENT_PLAIN_SEND_H
#define BRIDGE_CLIENT_PLAIN_SEND_H

#include "bridge/client/plain_answer.h"
#include "bridge/client/post_body.h"
#include "bridge/session.h"

/* PLAIN_SEND to a session that is open. */
void plain_send_start(struct plain_exchange *self, struct session *session);
/* PLAIN_CLOSE of a session that is open. */
void plain_send_close(struct plain_exchange *self, struct session *session);

/* For openings too: */
/* The frames of a checked body as a send that belongs to nobody yet. */
struct session_send *plain_send_make(
	const struct plain_request *request, enum post_kind kind, struct slice body);
void plain_send_free(struct session_send *send);
/* What the head says about the body; POST_UNSUPPORTED also for a Content-Encoding. */
enum post_kind plain_send_kind(const struct request_head *head);
struct post_limits plain_send_limits(const struct conf_route *route);
/* Answers a body that is no message: 400, 413, 415. `session` may be NULL. */
void plain_send_refuse(struct plain_exchange *self, const struct session *session,
	enum post_kind kind, enum post_verdict verdict);

#endif
