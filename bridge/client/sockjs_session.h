/* What makes a session one of SockJS: its times, its feed, what may be sent into it. */
#ifndef BRIDGE_CLIENT_SOCKJS_SESSION_H
#define BRIDGE_CLIENT_SOCKJS_SESSION_H

#include "bridge/client/sockjs_answer.h"
#include "bridge/client/sockjs_decode.h"
#include "bridge/session.h"

/* Whether a new session may be opened for this client now. */
bool sockjs_session_has_room(struct sockjs_exchange *sx);
/* Sets a session that was just added up, and dials the backend at BASE. */
void sockjs_session_start(struct sockjs_exchange *sx, struct session *session);
struct sockjs_decode_limits sockjs_session_limits(const struct conf_route *route);

#endif
