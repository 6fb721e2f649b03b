#include "bridge/client/sockjs.h"

#include "bridge/client/plain.h"
#include "bridge/client/sockjs_answer.h"
#include "bridge/client/sockjs_receive.h"
#include "bridge/client/sockjs_send.h"
#include "bridge/client/sockjs_socket.h"
#include "proxy/route/hop_client.h"

static void start(struct sockjs_exchange *self)
{
	switch (self->request.action) {
	case SOCKJS_NONE:
		sockjs_answer_not_found(self);
		break;
	case SOCKJS_GREETING:
		sockjs_answer_greeting(self);
		break;
	case SOCKJS_INFO:
		sockjs_answer_info(self);
		break;
	case SOCKJS_IFRAME:
		sockjs_answer_iframe(self);
		break;
	case SOCKJS_RECEIVE:
		sockjs_receive_start(self);
		break;
	case SOCKJS_SEND:
		sockjs_send_start(self);
		break;
	case SOCKJS_PREFLIGHT:
		sockjs_answer_preflight(self);
		break;
	case SOCKJS_METHOD:
		sockjs_answer_method(self);
		break;
	case SOCKJS_WEBSOCKET:
		sockjs_socket_start(self);
		break;
	case SOCKJS_RAW:
	case SOCKJS_NO_WEBSOCKET:
		if (self->x->req->websocket_reason == REASON_WEBSOCKET_VERSION)
			exchange_answer_reason(self->x, REASON_WEBSOCKET_VERSION);
		else
			sockjs_answer_text(self, 400, SLICE("Not a valid websocket request\n"));
		break;
	}
}

/* What the forwarding handler makes its request from is the tunnel at BASE. */
static void redirect(struct sockjs_exchange *self)
{
	struct request_head *head = self->x->req;
	struct slice path = sockjs_base(slice_from_string(self->bridge->route->path));

	if (path.n == 0)
		path = SLICE("/");
	head->target = head->has_query ? arena_printf(&self->x->arena, "%.*s?%.*s", SLICE_ARG(path),
						 SLICE_ARG(head->query))
				       : path;
	head->path = slice_first(head->target, path.n);
	head->query = slice_from(head->target, path.n + 1);
}

/* Whether other dialects, then the backend, are to have it. */
static bool is_left(const struct sockjs_exchange *self)
{
	const struct sockjs_request *request = &self->request;

	return self->bridge->route->dialects != CONF_DIALECT_SOCKJS &&
		(request->action == SOCKJS_NONE ||
			(request->is_base && request->action != SOCKJS_GREETING));
}

/* The greeting stands where the plain dialect's sessions are opened. */
static bool is_plains(struct sockjs_exchange *self)
{
	return self->request.action == SOCKJS_GREETING &&
		(self->bridge->route->dialects & CONF_DIALECT_PLAIN) != 0 &&
		plain_dialect.start(self->bridge, self->x);
}

static bool is_tunnel(const struct sockjs_exchange *self)
{
	return self->request.action == SOCKJS_RAW ||
		(self->request.is_base && self->x->req->is_websocket);
}

static void parse(
	struct sockjs_request *request, const struct conf_route *route, struct exchange *x)
{
	struct sockjs_urls urls = {
		.base = sockjs_base(slice_from_string(route->path)),
		.has_websocket = route->websocket && route->sockjs_websocket,
		.has_iframe = route->sockjs_client_url[0] != '\0',
	};

	sockjs_request_parse(request, x->req, &urls, &x->arena);
}

static bool sockjs_start(struct bridge *bridge, struct exchange *x)
{
	struct sockjs_exchange *self = arena_alloc_zeroed(&x->arena, sizeof(*self));
	const struct conf_route *route = bridge->route;

	self->bridge = bridge;
	self->x = x;
	parse(&self->request, route, x);
	if (is_left(self))
		return false;
	if (is_plains(self))
		return true;
	self->verdict = origin_check(
		&x->req->fields, hop_client_scheme(x), hop_client_host(x), &route->allowed_origins);
	/* A page that is framed has no Origin, and says itself who may frame it. */
	if (self->request.action == SOCKJS_IFRAME)
		self->verdict = ORIGIN_NONE;
	if (is_tunnel(self) && self->verdict != ORIGIN_REFUSED) {
		if (self->request.action == SOCKJS_RAW)
			redirect(self);
		/* Without a WebSocket behind, one ends in the bridge, and the plain dialect has
		 * that. */
		return !bridge_has_tunnels(bridge) && plain_dialect.start(bridge, x);
	}
	/* Whoever reads the log must not get the session. */
	x->req->target = sockjs_mask_target(&self->request, x->req->target, &x->arena);
	/* Bodies have limits of their own here. */
	x->max_body_size = 0;
	if (self->verdict == ORIGIN_REFUSED) {
		exchange_set_reason(x, REASON_ORIGIN);
		sockjs_answer_text(self, 403, SLICE("This origin is not allowed.\n"));
	} else {
		start(self);
	}
	return true;
}

static int sockjs_owner(struct bridge *bridge, struct exchange *x, size_t n_slots)
{
	struct sockjs_request *request = arena_alloc(&x->arena, sizeof(*request));

	parse(request, bridge->route, x);
	if (request->action != SOCKJS_RECEIVE && request->action != SOCKJS_SEND)
		return -1;
	return dialect_owner_of_key(request->session, n_slots);
}

const struct dialect sockjs_dialect = {
	.name = "sockjs", .start = sockjs_start, .owner = sockjs_owner};
