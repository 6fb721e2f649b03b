#include "bridge/client/sockjs_session.h"

#include "bridge/bridge.h"
#include "proxy/route/hop_client.h"

bool sockjs_session_has_room(struct sockjs_exchange *sx)
{
	struct bridge *bridge = sx->bridge;

	return !bridge->is_draining && bridge_has_conns(bridge) &&
		session_table_has_room(&bridge->table, hop_client_address(sx->x));
}

void sockjs_session_start(struct sockjs_exchange *sx, struct session *session)
{
	struct bridge *bridge = sx->bridge;
	struct slice path = sockjs_base(slice_from_string(bridge->route->path));
	struct feed_target target = {
		.path = path.n > 0 ? path : SLICE("/"),
		.query = sx->request.query,
		.has_query = sx->request.has_query,
	};

	session->is_text_only = true;
	session->linger_ms = (uint64_t)bridge->route->sockjs_disconnect_delay_ms;
	session_open(
		session, bridge_new_feed(bridge, &target, sx->x, &session_feed_owner, session));
}

struct sockjs_decode_limits sockjs_session_limits(const struct conf_route *route)
{
	return (struct sockjs_decode_limits){
		.max_message = route->max_message_size,
		.max_cost = route->queue_size,
	};
}
