#include "proxy/route/gate.h"

#include "proxy/net/conn.h"

bool gate_allows_origin(const struct conf_strings *allowed, const struct fields *fields)
{
	struct slice origin = fields_value(fields, FIELD_ORIGIN);
	size_t n = fields_count(fields, FIELD_ORIGIN);

	if (allowed->n_items == 0 || n == 0)
		return true;
	for (size_t i = 0; n == 1 && i < allowed->n_items; i++)
		if (slice_equals_ignoring_case(origin, slice_from_string(allowed->items[i])) ||
			strcmp(allowed->items[i], "*") == 0)
			return true;
	return false;
}

bool gate_is_host(struct slice authority, struct slice name)
{
	struct slice host = slice_first(authority, slice_find(authority, ':'));

	if (authority.n > 0 && authority.p[0] == '[')
		host = slice_first(authority, slice_find(authority, ']') + 1);
	return slice_equals_ignoring_case(host, name);
}

/*
 * RFC 9110 section 15.5.20. The client certificate was asked for in the name of one host; another
 * one over the same connection might have other rules.
 */
static bool is_misdirected(const struct exchange *x)
{
	struct slice name;

	if (x->listen->client_verify == CONF_CLIENT_VERIFY_OFF || !exchange_is_tls(x))
		return false;
	name = exchange_tls_server_name(x);
	return name.n > 0 && !gate_is_host(x->req->authority, name);
}

static enum reason websocket_refusal(const struct exchange *x)
{
	if (!x->req->wants_websocket || !x->route->websocket)
		return REASON_NONE;
	if (!x->req->is_websocket)
		return x->req->websocket_reason;
	if (x->route->dialects == 0 &&
		!gate_allows_origin(&x->route->allowed_origins, &x->req->fields))
		return REASON_ORIGIN;
	return REASON_NONE;
}

static enum reason refusal(const struct exchange *x)
{
	if (UNLIKELY(is_misdirected(x)))
		return REASON_MISDIRECTED;
	if (x->route->max_body_size > 0 && x->req->body == BODY_LENGTH &&
		x->req->content_length > x->route->max_body_size)
		return REASON_BODY_TOO_LARGE;
	return websocket_refusal(x);
}

/* Not forwarded: an echo of what proxies have added to a request is of use to attackers alone. */
static void refuse_method(struct exchange *x)
{
	struct fields fields = {0};

	exchange_set_reason(x, REASON_METHOD);
	fields_add_known(&fields, &x->arena, field_id_find(SLICE("allow")), SLICE("Allow"),
		SLICE("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"));
	exchange_answer(x, 405, SLICE("text/plain; charset=utf-8"),
		SLICE("405 Method Not Allowed\n"), &fields);
}

/* RFC 9110 section 7.6.2: the question was for us. */
static bool is_for_us(const struct exchange *x)
{
	return x->req->method == METHOD_OPTIONS &&
		slice_equals(fields_value(&x->req->fields, FIELD_MAX_FORWARDS), SLICE("0"));
}

bool gate_refuses_host(struct exchange *x)
{
	if (LIKELY(!is_misdirected(x)))
		return false;
	exchange_answer_reason(x, REASON_MISDIRECTED);
	return true;
}

bool gate_refuses(struct exchange *x)
{
	enum reason reason = refusal(x);

	if (UNLIKELY(reason != REASON_NONE)) {
		/* What comes of the body is not counted, or it would cut off this answer. */
		x->max_body_size = 0;
		exchange_answer_reason(x, reason);
		return true;
	}
	switch (x->req->method) {
	case METHOD_CONNECT:
	case METHOD_TRACE:
		refuse_method(x);
		return true;
	case METHOD_OPTIONS:
		if (!is_for_us(x))
			return false;
		exchange_answer(x, 200, SLICE(""), SLICE(""), NULL);
		return true;
	case METHOD_OTHER:
	case METHOD_GET:
	case METHOD_HEAD:
	case METHOD_POST:
	case METHOD_PUT:
	case METHOD_DELETE:
	case METHOD_PATCH:
		return false;
	}
	return false;
}
