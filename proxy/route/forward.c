#include "proxy/route/forward.h"

#include <stdlib.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/route/gate.h"
#include "proxy/route/hop.h"
#include "proxy/route/hop_client.h"

/* Lives as long as the exchange, and so as long as a tunnel. */
struct forward {
	struct exchange *x;
	struct fetch fetch;
	struct grave grave;
};

/* The backend's answer. */

static void on_interim(void *arg, struct response_head *head)
{
	struct forward *self = arg;
	struct exchange *x = self->x;

	/* RFC 9110 section 15.2: all are passed on but a 100 that the client did not ask for. */
	if (head->status == 100 && !x->req->expects_100)
		return;
	hop_response(head, &x->arena, x->route->conf);
	exchange_respond_interim(x, head);
}

/* To a client of HTTP/2 any 2xx says that the tunnel stands (RFC 8441 section 5). */
static bool is_false_acceptance(const struct forward *self, const struct response_head *head)
{
	return self->fetch.is_websocket && !head->is_upgrade && head->status / 100 == 2 &&
		self->x->req->is_http2;
}

static void on_head(void *arg, struct response_head *head)
{
	struct forward *self = arg;
	struct exchange *x = self->x;

	x->times.connected = self->fetch.connected_us;
	x->server_name = self->fetch.server_name;
	if (is_false_acceptance(self, head)) {
		log_warn("backend \"%s\": %s: %s: %u to a WebSocket handshake",
			x->route->backend->name, x->server_name,
			reason_name(REASON_BACKEND_PROTOCOL), head->status);
		fetch_cancel(&self->fetch);
		exchange_abort(x, REASON_BACKEND_PROTOCOL);
		return;
	}
	hop_response(head, &x->arena, x->route->conf);
	if (head->is_upgrade) {
		x->tunnel_timeout_ms = (uint64_t)x->route->tunnel_timeout_ms;
		x->client_address = hop_client_address(x);
	}
	exchange_respond(x, head);
}

/* The rest is between the pipe and the codec: on_client_end comes when it has left. */
static void on_fetch_end(void *arg)
{
	(void)arg;
}

static void on_failed(void *arg, enum reason reason, const char *why)
{
	struct forward *self = arg;
	struct exchange *x = self->x;

	x->times.connected = self->fetch.connected_us;
	x->server_name = self->fetch.server_name;
	/* Before a head the backend has said so itself. */
	if (self->fetch.has_head && reason != REASON_CLIENT_GONE && !x->is_upgrade)
		log_warn("backend \"%s\": %s: %s: %s", x->route->backend->name, x->server_name,
			reason_name(reason), why);
	exchange_abort(x, reason);
}

/* The exchange is over, whichever way. */

static void destroy(void *arg)
{
	free(arg);
}

static void on_client_end(struct exchange *x, void *arg)
{
	struct forward *self = arg;

	/* Known here only when the client has gone before a head. */
	if (x->server_name == NULL)
		x->server_name = self->fetch.server_name;
	fetch_cancel(&self->fetch);
	loop_bury(x->loop, &self->grave, destroy, self);
}

/* The request. */

static struct fetch_timeouts timeouts_of(const struct conf_backend *conf)
{
	return (struct fetch_timeouts){
		.response_ms = (uint64_t)conf->response_timeout_ms,
		.read_ms = (uint64_t)conf->read_timeout_ms,
		.write_ms = (uint64_t)conf->write_timeout_ms,
	};
}

static struct request_head *make_head(struct exchange *x)
{
	struct hop_client client;

	hop_client_init(&client, x);
	return hop_request(x->req, &x->arena, x->route, &client);
}

void forward_start(struct exchange *x, struct backend *backend)
{
	static const struct handler handler = {.on_end = on_client_end};
	static const struct fetch_owner owner = {
		.on_interim = on_interim,
		.on_head = on_head,
		.on_end = on_fetch_end,
		.on_failed = on_failed,
	};
	struct forward *self;
	struct fetch *fetch;

	if (gate_refuses(x))
		return;
	self = memory_alloc(sizeof(*self));
	self->x = x;
	fetch = &self->fetch;
	fetch_init(fetch, x->loop, &x->arena, make_head(x), &owner, self);
	fetch->body = x->req->body;
	fetch->is_websocket = x->req->is_websocket && x->route->websocket;
	fetch->may_retry = method_is_idempotent(x->req->method);
	if (fetch->body != BODY_NONE || fetch->is_websocket)
		fetch->req_body = &x->req_body;
	fetch->res_body = &x->res_body;
	fetch->req_trailers = (const struct fields *const *)&x->req_trailers;
	fetch->res_trailers = &x->res_trailers;
	fetch->timeouts = timeouts_of(backend_conf(backend));
	if (fetch->is_websocket && conf_watches_tunnels(&x->route->tunnel))
		x->tunnel_rules = &x->route->tunnel;
	exchange_set_handler(x, &handler, self);
	backend_fetch(backend, fetch);
}
