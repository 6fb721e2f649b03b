/*
 * Receivers of SockJS sessions: xhr, xhr_streaming, eventsource, htmlfile, jsonp.
 *
 *	unknown id	a new session: "o" once the backend has taken it
 *	known		one receiver at a time; another is told 2010
 *	closed		the close, again and again
 *	forgotten	1002
 */
#ifndef BRIDGE_CLIENT_SOCKJS_RECEIVE_H
#define BRIDGE_CLIENT_SOCKJS_RECEIVE_H

#include "bridge/client/sockjs_answer.h"

/* SOCKJS_RECEIVE. */
void sockjs_receive_start(struct sockjs_exchange *self);

#endif
