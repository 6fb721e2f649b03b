#include "proxy/http/exchange.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/http/date.h"

struct exchange_log_facts {
	struct slice method;
	struct slice target;
	struct slice authority;
	struct slice user_agent;
	struct slice referer;
	unsigned version;
	char text[];
};

static size_t n_live;
static uint64_t last_id;

const char *exchange_state_name(enum exchange_state state)
{
	switch (state) {
	case EXCHANGE_REQUESTED:
		return "requested";
	case EXCHANGE_RESPONDING:
		return "responding";
	case EXCHANGE_TUNNEL:
		return "tunnel";
	case EXCHANGE_OVER:
		return "over";
	}
	return "?";
}

void exchange_init(struct exchange *x, struct loop *loop, const struct exchange_codec *codec,
	void *codec_data, struct conn *conn, const struct conf_listen *listen,
	const struct exchange_service *service)
{
	*x = (struct exchange){
		.loop = loop,
		.codec = codec,
		.codec_data = codec_data,
		.service = service,
		.conn = conn,
		.listen = listen,
		.id = ++last_id,
	};
	arena_init(&x->arena);
	pipe_init(&x->req_body, loop, PIPE_LIMIT_DEFAULT);
	pipe_init(&x->res_body, loop, PIPE_LIMIT_DEFAULT);
	n_live++;
}

void exchange_finish(struct exchange *x, enum reason reason)
{
	if (x->state == EXCHANGE_OVER)
		return;
	x->state = EXCHANGE_OVER;
	exchange_set_reason(x, reason);
	x->times.ended = loop_now_us(x->loop);
	if (x->handler != NULL)
		x->handler->on_end(x, x->handler_arg);
	x->handler = NULL;
	if (x->service->on_log != NULL)
		x->service->on_log(x->service->arg, x);
	pipe_close(&x->req_body);
	pipe_close(&x->res_body);
}

void exchange_refuse(struct exchange *x, enum reason reason)
{
	const struct handler *handler = x->handler;

	exchange_set_reason(x, reason);
	x->handler = NULL;
	if (handler != NULL)
		handler->on_end(x, x->handler_arg);
	exchange_abort(x, reason);
}

void exchange_close(struct exchange *x)
{
	ASSERT(x->state == EXCHANGE_OVER);
	arena_clear(&x->arena);
	free(x->client);
	x->client = NULL;
	free(x->log_facts);
	x->log_facts = NULL;
	x->conn = NULL;
	n_live--;
}

static struct slice keep(char **to, struct slice s)
{
	struct slice kept = slice_of(*to, s.n);

	if (s.n > 0)
		memcpy(*to, s.p, s.n);
	*to += s.n;
	return kept;
}

/* What the log needs survives, all else in the arena is gone. */
static void clear_arena(struct exchange *x)
{
	struct slice method = exchange_method(x), target = exchange_target(x),
		     authority = exchange_authority(x);
	struct slice user_agent = exchange_user_agent(x), referer = exchange_referer(x);
	size_t n = method.n + target.n + authority.n + user_agent.n + referer.n +
		x->client_address.n + x->session_label.n;
	struct exchange_log_facts *facts = memory_alloc(sizeof(*facts) + n);
	char *to = facts->text;

	ASSERT(x->log_facts == NULL);
	facts->version = exchange_version(x);
	facts->method = keep(&to, method);
	facts->target = keep(&to, target);
	facts->authority = keep(&to, authority);
	facts->user_agent = keep(&to, user_agent);
	facts->referer = keep(&to, referer);
	x->client_address = keep(&to, x->client_address);
	x->session_label = keep(&to, x->session_label);
	x->log_facts = facts;
	if (x->client != NULL)
		x->client->tls_server_name = SLICE("");
	x->req = NULL;
	x->res = NULL;
	x->req_trailers = x->res_trailers = NULL;
	arena_clear(&x->arena);
}

void exchange_become_tunnel(struct exchange *x)
{
	clear_arena(x);
	x->state = EXCHANGE_TUNNEL;
}

void exchange_forget_heads(struct exchange *x)
{
	if (x->state == EXCHANGE_RESPONDING && x->has_head_left && x->req_body.has_end &&
		x->req != NULL)
		clear_arena(x);
}

void exchange_set_handler(struct exchange *x, const struct handler *handler, void *arg)
{
	x->handler = handler;
	x->handler_arg = arg;
}

void exchange_set_reason(struct exchange *x, enum reason reason)
{
	if (x->reason == REASON_NONE)
		x->reason = reason;
}

void exchange_respond(struct exchange *x, struct response_head *res)
{
	/* The client may have gone between a handler's decision and this call. */
	if (x->state == EXCHANGE_OVER)
		return;
	ASSERT(x->state == EXCHANGE_REQUESTED);
	x->state = EXCHANGE_RESPONDING;
	x->res = res;
	x->status = res->status;
	x->is_upgrade = res->is_upgrade;
	x->times.responded = loop_now_us(x->loop);
	/* Another worker has the client's connection, and takes this as its own must_close. */
	if (UNLIKELY(x->must_close && x->client != NULL))
		fields_add_id(&res->fields, &x->arena, FIELD_POLLUX_HOP, SLICE("close"));
	x->codec->respond(x);
}

void exchange_respond_interim(struct exchange *x, const struct response_head *head)
{
	ASSERT(head->status >= 100 && head->status < 200 && head->status != 101);
	if (x->state != EXCHANGE_REQUESTED || x->req->version_minor == 0)
		return;
	if (head->status == 100)
		x->was_continued = true;
	x->codec->respond_interim(x, head);
}

void exchange_continue(struct exchange *x)
{
	struct response_head head = {.status = 100};

	if (x->state == EXCHANGE_REQUESTED && x->req->expects_100 && !x->was_continued)
		exchange_respond_interim(x, &head);
}

void exchange_abort(struct exchange *x, enum reason reason)
{
	if (x->state == EXCHANGE_OVER)
		return;
	exchange_set_reason(x, reason);
	if (x->state == EXCHANGE_REQUESTED && reason_status(reason) != 0)
		exchange_answer_reason(x, reason);
	else
		x->codec->abort(x);
}

void exchange_answer(struct exchange *x, unsigned status, struct slice content_type,
	struct slice body, const struct fields *fields)
{
	struct response_head *res;

	if (x->state == EXCHANGE_OVER)
		return;
	res = arena_alloc_zeroed(&x->arena, sizeof(*res));
	res->status = (uint16_t)status;
	res->version_minor = 1;
	res->content_length = body.n;
	res->has_content_length = status != 204 && status != 304;
	if (res->has_content_length)
		res->body = x->req->method == METHOD_HEAD ? BODY_NONE : BODY_LENGTH;
	fields_add_known(&res->fields, &x->arena, FIELD_DATE, SLICE("Date"),
		arena_copy(&x->arena, http_date()));
	if (content_type.n > 0 && res->has_content_length)
		fields_add_known(&res->fields, &x->arena, FIELD_CONTENT_TYPE, SLICE("Content-Type"),
			content_type);
	for (uint32_t i = 0; fields != NULL && i < fields->n; i++)
		fields_add_known(&res->fields, &x->arena, fields->items[i].id,
			fields->items[i].name, fields->items[i].value);
	if (res->body == BODY_LENGTH)
		pipe_put_copy(&x->res_body, body.p, body.n);
	pipe_put_end(&x->res_body);
	exchange_respond(x, res);
}

static struct slice reason_page(struct exchange *x, enum reason reason)
{
	unsigned status = reason_status(reason);

	return arena_printf(
		&x->arena, "%u %s\n%s\n", status, status_reason(status), reason_text(reason));
}

size_t exchange_reason_size(struct exchange *x, enum reason reason)
{
	return x->req->method == METHOD_HEAD ? 0 : reason_page(x, reason).n;
}

void exchange_answer_reason(struct exchange *x, enum reason reason)
{
	unsigned status = reason_status(reason);
	struct fields fields = {0};

	exchange_set_reason(x, reason);
	if (x->state != EXCHANGE_REQUESTED)
		return;
	if (reason == REASON_WEBSOCKET_VERSION) {
		/* RFC 6455 section 4.4, RFC 9110 section 15.5.22. */
		fields_add_known(&fields, &x->arena, FIELD_SEC_WEBSOCKET_VERSION,
			SLICE("Sec-WebSocket-Version"), SLICE("13"));
		fields_add_known(
			&fields, &x->arena, FIELD_UPGRADE, SLICE("Upgrade"), SLICE("websocket"));
	}
	if (status == 503)
		fields_add_known(
			&fields, &x->arena, FIELD_RETRY_AFTER, SLICE("Retry-After"), SLICE("1"));
	exchange_answer(
		x, status, SLICE("text/plain; charset=utf-8"), reason_page(x, reason), &fields);
}

size_t exchange_unacknowledged(struct exchange *x)
{
	return x->state == EXCHANGE_OVER ? 0
					 : pipe_size(&x->res_body) + x->codec->unacknowledged(x);
}

uint64_t exchange_progress(struct exchange *x)
{
	uint64_t n_sent, n;

	if (x->client != NULL)
		return loop_now_us(x->loop);
	n_sent = conn_bytes_sent(x->conn);
	n = conn_unacknowledged(x->conn);
	return n_sent - MIN(n, n_sent);
}

struct ws_guard_links exchange_links(struct exchange *x)
{
	return (struct ws_guard_links){
		.n_unacknowledged = exchange_unacknowledged(x),
		.progress = exchange_progress(x),
		.is_client_busy = pipe_size(&x->res_body) > 0,
		.n_for_backend = pipe_size(&x->req_body),
	};
}

struct slice exchange_method(const struct exchange *x)
{
	return x->req != NULL ? x->req->method_name : x->log_facts->method;
}

struct slice exchange_target(const struct exchange *x)
{
	return x->req != NULL ? x->req->target : x->log_facts->target;
}

struct slice exchange_authority(const struct exchange *x)
{
	return x->req != NULL ? x->req->authority : x->log_facts->authority;
}

struct slice exchange_user_agent(const struct exchange *x)
{
	return x->req != NULL ? fields_value(&x->req->fields, FIELD_USER_AGENT)
			      : x->log_facts->user_agent;
}

struct slice exchange_referer(const struct exchange *x)
{
	return x->req != NULL ? fields_value(&x->req->fields, FIELD_REFERER)
			      : x->log_facts->referer;
}

unsigned exchange_version(const struct exchange *x)
{
	if (x->req == NULL)
		return x->log_facts->version;
	return x->req->is_http2 ? 20 : 10 + MIN(x->req->version_minor, 1u);
}

const struct sockaddr *exchange_peer(const struct exchange *x)
{
	return x->client != NULL ? (const struct sockaddr *)&x->client->address
				 : conn_peer(x->conn);
}

bool exchange_is_tls(const struct exchange *x)
{
	return x->client != NULL ? x->client->tls_version != NULL : conn_is_tls(x->conn);
}

struct slice exchange_tls_server_name(const struct exchange *x)
{
	return x->client != NULL ? x->client->tls_server_name : conn_tls_server_name(x->conn);
}

const char *exchange_tls_version(const struct exchange *x)
{
	return x->client != NULL ? x->client->tls_version : conn_tls_version(x->conn);
}

size_t exchange_n_live(void)
{
	return n_live;
}
