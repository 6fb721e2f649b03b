/*
 * Answers of the SockJS dialect: the fields that they carry (caching, CORS, the cookie), pages,
 * errors.
 */
#ifndef BRIDGE_CLIENT_SOCKJS_ANSWER_H
#define BRIDGE_CLIENT_SOCKJS_ANSWER_H

#include <stdbool.h>

#include "bridge/bridge.h"
#include "bridge/client/origin.h"
#include "bridge/client/sockjs_request.h"
#include "bridge/feed.h"
#include "proxy/base/bytes.h"
#include "proxy/http/exchange.h"

/* What the dialect knows of an exchange that it answers. In the exchange's arena. */
struct sockjs_exchange {
	struct bridge *bridge;
	struct exchange *x;
	struct sockjs_request request;
	enum origin_verdict verdict;
};

/*
 * A head in the arena, with Date. For what is never cached: Cache-Control in SockJS's own words,
 * and the CORS fields where the URL has them (not jsonp, not htmlfile); on a session's URL the
 * cookie, where the route wants it.
 */
struct response_head *sockjs_answer_head(struct sockjs_exchange *self, unsigned status);
void sockjs_answer_add(struct sockjs_exchange *self, struct response_head *head, const char *name,
	struct slice value);
/* The cookie alone: for heads that are made elsewhere. */
void sockjs_answer_add_cookie(struct sockjs_exchange *self, struct fields *fields);
/* Responds with a body (taken), which HEAD does not get. type: empty for none. */
void sockjs_answer_send(struct sockjs_exchange *self, struct response_head *head, struct slice type,
	struct bytes *body);
void sockjs_answer_text(struct sockjs_exchange *self, unsigned status, struct slice text);
/* Responds with the head of a receiver; the body follows in x->res_body. Of `accepted`, the fields
 * of the backend's 101 (NULL: none), the cookies are passed on. */
void sockjs_answer_start(struct sockjs_exchange *self, const struct fields *accepted);

/* The actions that need no session. */
void sockjs_answer_greeting(struct sockjs_exchange *self);
void sockjs_answer_info(struct sockjs_exchange *self);
void sockjs_answer_iframe(struct sockjs_exchange *self);
void sockjs_answer_preflight(struct sockjs_exchange *self);
/* 405: no body, and no type of it. */
void sockjs_answer_method(struct sockjs_exchange *self);
void sockjs_answer_not_found(struct sockjs_exchange *self);
/* No session for this receiver: the backend's answer as it is, or the reason's status. */
void sockjs_answer_refusal(struct sockjs_exchange *self, const struct feed_refusal *refusal);
/* 503. */
void sockjs_answer_no_room(struct sockjs_exchange *self);

#endif
