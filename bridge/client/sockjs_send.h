/* Posts to SockJS sessions: xhr_send, jsonp_send. */
#ifndef BRIDGE_CLIENT_SOCKJS_SEND_H
#define BRIDGE_CLIENT_SOCKJS_SEND_H

#include "bridge/client/sockjs_answer.h"

/* SOCKJS_SEND. What the body lacks is told before whether the session is known. */
void sockjs_send_start(struct sockjs_exchange *self);

#endif
