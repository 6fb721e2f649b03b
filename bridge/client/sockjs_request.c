#include "bridge/client/sockjs_request.h"

#include <string.h>

#include "bridge/session_id.h"

#define CALLBACK_MAX 32
/* Letters of SESSION that logs show, of those that have at least twice as many and more. */
#define SHOWN 2
#define SHOWN_FROM 8

#define GET_ONLY "GET"
#define POST_ONLY "POST"
#define OPTIONS_GET "OPTIONS, GET"
#define OPTIONS_POST "OPTIONS, POST"

static const struct {
	const char *name;
	const char *methods;
	enum method method;
	enum sockjs_action action;
} transports[] = {
	[SOCKJS_XHR] = {"xhr", OPTIONS_POST, METHOD_POST, SOCKJS_RECEIVE},
	[SOCKJS_XHR_STREAMING] = {"xhr_streaming", OPTIONS_POST, METHOD_POST, SOCKJS_RECEIVE},
	[SOCKJS_EVENTSOURCE] = {"eventsource", GET_ONLY, METHOD_GET, SOCKJS_RECEIVE},
	[SOCKJS_HTMLFILE] = {"htmlfile", GET_ONLY, METHOD_GET, SOCKJS_RECEIVE},
	[SOCKJS_JSONP] = {"jsonp", GET_ONLY, METHOD_GET, SOCKJS_RECEIVE},
	[SOCKJS_XHR_SEND] = {"xhr_send", OPTIONS_POST, METHOD_POST, SOCKJS_SEND},
	[SOCKJS_JSONP_SEND] = {"jsonp_send", POST_ONLY, METHOD_POST, SOCKJS_SEND},
	[SOCKJS_TRANSPORT_WEBSOCKET] = {"websocket", GET_ONLY, METHOD_GET, SOCKJS_NO_WEBSOCKET},
};

struct slice sockjs_base(struct slice path)
{
	return path.n > 0 && path.p[path.n - 1] == '/' ? slice_first(path, path.n - 1) : path;
}

/* The URL. */

static bool is_iframe(struct slice name)
{
	static const struct slice start = {"iframe", 6}, end = {".html", 5};

	if (name.n < start.n + end.n || !slice_starts_with(name, start) ||
		!slice_equals(slice_from(name, name.n - end.n), end))
		return false;
	for (size_t i = start.n; i < name.n - end.n; i++) {
		char c = name.p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && c != '-' && c != '.' &&
			c != '_')
			return false;
	}
	return true;
}

/* A URL that is there, and what its method makes of it. */
static void set_action(struct sockjs_request *self, const struct request_head *head,
	enum sockjs_action action, enum method method, const char *methods)
{
	bool has_head =
		action == SOCKJS_GREETING || action == SOCKJS_INFO || action == SOCKJS_IFRAME;

	self->methods = methods;
	if (head->method == method || (has_head && head->method == METHOD_HEAD))
		self->action = action;
	else if (head->method == METHOD_OPTIONS && methods[0] == 'O')
		self->action = SOCKJS_PREFLIGHT;
	else
		self->action = SOCKJS_METHOD;
}

static void set_websocket(struct sockjs_request *self, const struct request_head *head,
	const struct sockjs_urls *urls, enum sockjs_action action)
{
	if (!urls->has_websocket)
		return;
	set_action(self, head, head->is_websocket ? action : SOCKJS_NO_WEBSOCKET, METHOD_GET,
		GET_ONLY);
}

static void parse_single(struct sockjs_request *self, const struct request_head *head,
	const struct sockjs_urls *urls, struct slice name)
{
	if (slice_equals(name, SLICE("info")))
		set_action(self, head, SOCKJS_INFO, METHOD_GET, OPTIONS_GET);
	else if (slice_equals(name, SLICE("websocket")))
		set_websocket(self, head, urls, SOCKJS_RAW);
	else if (urls->has_iframe && is_iframe(name))
		set_action(self, head, SOCKJS_IFRAME, METHOD_GET, GET_ONLY);
}

static bool is_segment(struct slice segment)
{
	return segment.n > 0 && slice_find(segment, '.') == segment.n;
}

/* SERVER/SESSION/TRANSPORT. */
static void parse_session(struct sockjs_request *self, const struct request_head *head,
	const struct sockjs_urls *urls, struct slice rest)
{
	struct slice server = slice_first(rest, slice_find(rest, '/')), session;

	rest = slice_from(rest, server.n + 1);
	session = slice_first(rest, slice_find(rest, '/'));
	rest = slice_from(rest, session.n + 1);
	if (!is_segment(server) || !is_segment(session) || session.n > SESSION_NAME_MAX)
		return;
	for (size_t i = 0; i < SOCKJS_NO_TRANSPORT; i++) {
		if (!slice_equals(rest, slice_from_string(transports[i].name)))
			continue;
		if (i == SOCKJS_TRANSPORT_WEBSOCKET)
			set_websocket(self, head, urls, SOCKJS_WEBSOCKET);
		else
			set_action(self, head, transports[i].action, transports[i].method,
				transports[i].methods);
		if (self->action == SOCKJS_NONE)
			return;
		self->transport = (enum sockjs_transport)i;
		self->session = session;
	}
}

static void parse_path(struct sockjs_request *self, const struct request_head *head,
	const struct sockjs_urls *urls)
{
	struct slice rest;

	if (!slice_starts_with(head->path, urls->base))
		return;
	rest = slice_from(head->path, urls->base.n);
	if (rest.n > 0 && rest.p[0] != '/')
		return;
	if (rest.n <= 1) {
		self->is_base = true;
		if (!head->is_websocket)
			set_action(self, head, SOCKJS_GREETING, METHOD_GET, GET_ONLY);
		return;
	}
	if (rest.p[rest.n - 1] == '/')
		rest.n--;
	rest = slice_from(rest, 1);
	if (slice_find(rest, '/') == rest.n)
		parse_single(self, head, urls, rest);
	else
		parse_session(self, head, urls, rest);
}

/* The query. */

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

struct slice sockjs_decode_parameter(struct slice text, struct arena *arena)
{
	char *out = arena_alloc_text(arena, text.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i] == '+' ? ' ' : text.p[i];
		int high = c == '%' && i + 2 < text.n ? digit_value(text.p[i + 1]) : -1;
		int low = high >= 0 ? digit_value(text.p[i + 2]) : -1;

		if (low >= 0) {
			c = (char)(high * 16 + low);
			i += 2;
		}
		out[n++] = c;
	}
	return slice_of(out, n);
}

static enum sockjs_callback check_callback(struct slice name)
{
	if (name.n == 0)
		return SOCKJS_CALLBACK_MISSING;
	if (name.n > CALLBACK_MAX)
		return SOCKJS_CALLBACK_BAD;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
			c != '-' && c != '.' && c != '_')
			return SOCKJS_CALLBACK_BAD;
	}
	return SOCKJS_CALLBACK_GOOD;
}

/* Takes in one parameter; false if it is not SockJS's. */
static bool take_parameter(struct sockjs_request *self, struct slice parameter)
{
	size_t n = slice_find(parameter, '=');
	struct slice name = slice_first(parameter, n);

	if (slice_equals(name, SLICE("c")) || slice_equals(name, SLICE("callback"))) {
		if (self->callback.n == 0)
			self->callback = slice_from(parameter, n + 1);
		return true;
	}
	return slice_equals(name, SLICE("t"));
}

static void parse_query(
	struct sockjs_request *self, const struct request_head *head, struct arena *arena)
{
	struct slice rest = head->query;
	char *kept, *to;

	self->query = head->query;
	self->has_query = head->has_query && (rest.n > 0 || self->action == SOCKJS_RAW);
	if (rest.n == 0 || self->action == SOCKJS_RAW)
		return;
	kept = to = arena_alloc_text(arena, rest.n + 1);
	for (;;) {
		size_t n = slice_find(rest, '&');
		struct slice parameter = slice_first(rest, n);

		if (!take_parameter(self, parameter)) {
			to = mempcpy(to, parameter.p, parameter.n);
			*to++ = '&';
		}
		if (n == rest.n)
			break;
		rest = slice_from(rest, n + 1);
	}
	self->query = slice_of(kept, to > kept ? (size_t)(to - 1 - kept) : 0);
	self->has_query = self->query.n > 0;
}

void sockjs_request_parse(struct sockjs_request *self, const struct request_head *head,
	const struct sockjs_urls *urls, struct arena *arena)
{
	*self = (struct sockjs_request){.transport = SOCKJS_NO_TRANSPORT};
	parse_path(self, head, urls);
	parse_query(self, head, arena);
	self->callback = sockjs_decode_parameter(self->callback, arena);
	self->callback_state = check_callback(self->callback);
}

/* Masks. */

static struct slice shown_of(struct slice session)
{
	return slice_first(session, session.n >= SHOWN_FROM ? SHOWN : 0);
}

struct slice sockjs_mask_session(struct slice session, struct arena *arena)
{
	return arena_printf(arena, "%.*s...", SLICE_ARG(shown_of(session)));
}

struct slice sockjs_mask_target(
	const struct sockjs_request *self, struct slice target, struct arena *arena)
{
	size_t start;

	if (self->session.n == 0)
		return target;
	start = (size_t)(self->session.p - target.p);
	return arena_printf(arena, "%.*s%.*s...%.*s", SLICE_ARG(slice_first(target, start)),
		SLICE_ARG(shown_of(self->session)),
		SLICE_ARG(slice_from(target, start + self->session.n)));
}

/* Names. */

const char *sockjs_action_name(enum sockjs_action action)
{
	switch (action) {
	case SOCKJS_NONE:
		return "none";
	case SOCKJS_GREETING:
		return "greeting";
	case SOCKJS_INFO:
		return "info";
	case SOCKJS_IFRAME:
		return "iframe";
	case SOCKJS_RECEIVE:
		return "receive";
	case SOCKJS_SEND:
		return "send";
	case SOCKJS_WEBSOCKET:
		return "websocket";
	case SOCKJS_RAW:
		return "raw";
	case SOCKJS_NO_WEBSOCKET:
		return "no websocket";
	case SOCKJS_PREFLIGHT:
		return "preflight";
	case SOCKJS_METHOD:
		return "method";
	}
	return "?";
}

const char *sockjs_transport_name(enum sockjs_transport transport)
{
	return transport == SOCKJS_NO_TRANSPORT ? "none" : transports[transport].name;
}
