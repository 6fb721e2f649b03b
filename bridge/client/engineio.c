#include "bridge/client/engineio.h"

#include "bridge/client/engineio_answer.h"
#include "bridge/client/engineio_open.h"
#include "bridge/client/engineio_poll.h"
#include "bridge/client/engineio_post.h"
#include "bridge/client/engineio_upgrade.h"
#include "proxy/route/hop_client.h"

/* A request with an id. */
static void start_of_session(struct engineio_exchange *ex)
{
	struct engineio_session *session = engineio_exchange_session(ex);

	if (session == NULL) {
		engineio_answer_error(ex, NULL, 400, ENGINEIO_UNKNOWN_SID);
		return;
	}
	ex->x->session_label = session_id_mask(ex->request.sid, &ex->x->arena);
	session_touch(session->session);
	if (ex->request.action == ENGINEIO_UPGRADE)
		engineio_upgrade_start(ex, session);
	else if (session->is_upgraded)
		engineio_answer_error(ex, session, 400, ENGINEIO_BAD_REQUEST);
	else if (ex->request.action == ENGINEIO_POLL)
		engineio_poll_start(ex, session);
	else
		engineio_post_start(ex, session);
}

static void start(struct engineio_exchange *ex)
{
	switch (ex->request.action) {
	case ENGINEIO_FORWARD:
	case ENGINEIO_TUNNEL:
		break;
	case ENGINEIO_OPEN:
		engineio_open_start(ex);
		break;
	case ENGINEIO_POLL:
	case ENGINEIO_POST:
	case ENGINEIO_UPGRADE:
		start_of_session(ex);
		break;
	case ENGINEIO_ERROR:
		engineio_answer_error(ex, NULL, ex->request.status, ex->request.code);
		break;
	}
}

static enum origin_verdict check_origin(const struct exchange *x, const struct conf_route *route)
{
	if (route->allowed_origins.n_items == 0)
		return ORIGIN_NONE;
	return origin_check(
		&x->req->fields, hop_client_scheme(x), hop_client_host(x), &route->allowed_origins);
}

static bool engineio_start(struct bridge *bridge, struct exchange *x)
{
	struct engineio_exchange *ex = arena_alloc_zeroed(&x->arena, sizeof(*ex));
	const struct conf_route *route = bridge->route;

	ex->bridge = bridge;
	ex->x = x;
	engineio_request_parse(&ex->request, x->req, route->websocket);
	/* Whoever reads the log must not get the session. Whoever is asked in its name, neither. */
	x->req->target = engineio_request_mask(x->req, &x->arena);
	if (ex->request.action == ENGINEIO_FORWARD)
		return false;
	ex->path = x->req->path;
	ex->verdict = check_origin(x, route);
	if (ex->request.action == ENGINEIO_TUNNEL && ex->verdict != ORIGIN_REFUSED)
		return false;
	/* Bodies have limits of their own here. */
	x->max_body_size = 0;
	if (ex->verdict == ORIGIN_REFUSED) {
		exchange_set_reason(x, REASON_ORIGIN);
		engineio_answer_error(ex, NULL, 403, ENGINEIO_FORBIDDEN);
	} else {
		start(ex);
	}
	return true;
}

/* What is counted per address has to be counted in one place. */
static int engineio_owner(struct bridge *bridge, struct exchange *x, size_t n_slots)
{
	const struct conf_route *route = bridge->route;
	struct engineio_request request;

	engineio_request_parse(&request, x->req, route->websocket);
	if (request.action == ENGINEIO_OPEN && route->max_sessions_per_address > 0)
		return dialect_owner_of_key(hop_client_address(x), n_slots);
	if (request.action == ENGINEIO_ERROR)
		return -1;
	return request.sid.n > 0 ? session_id_slot(request.sid) : -1;
}

const struct dialect engineio_dialect = {
	.name = "engineio", .start = engineio_start, .owner = engineio_owner};
