#include "bench/origin_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/origin_chat.h"
#include "bench/origin_demo.h"
#include "bench/origin_push.h"
#include "bench/origin_ticker.h"
#include "bench/origin_ws.h"
#include "proxy/base/memory.h"

enum {
	HEAD_LIMIT = 32 * 1024,
	CHUNK_LINE_LIMIT = 1024,
	DELAY_LIMIT_MS = 3600 * 1000,
};

enum body_phase {
	BODY_NONE,   /* between requests */
	BODY_LENGTH, /* `left` bytes */
	BODY_CHUNK_LINE,
	BODY_CHUNK, /* `left` bytes of a chunk */
	BODY_CHUNK_END,
	BODY_TRAILERS,
};

/* What becomes of a request's body. */
enum body_use {
	USE_DISCARD,
	USE_ECHO,
	USE_COUNT,
};

struct http {
	enum body_phase phase;
	enum body_use use;
	uint64_t left;
	uint64_t counted;
	bool keep_alive;
	bool echo_chunked;
};

static const struct conn_ops http_ops;

/* ---- answers ---- */

static const char *http_reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 426:
		return "Upgrade Required";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return "Status";
	}
}

/* The Date field's value, made once a second. */
static const char *http_date(void)
{
	static char text[64];
	static time_t made;
	time_t now = time(NULL);
	if (now != made) {
		struct tm parts;
		gmtime_r(&now, &parts);
		strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
		made = now;
	}
	return text;
}

static void http_write_head(
	struct conn *c, bool keep_alive, int status, const char *type, const char *framing)
{
	char head[512];
	int n = snprintf(head, sizeof(head),
		"HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n%s%s\r\n", status,
		http_reason(status), http_date(), type, framing,
		keep_alive ? "" : "Connection: close\r\n");
	conn_write(c, head, (size_t)n);
}

static void http_write_length_head(
	struct conn *c, bool keep_alive, int status, const char *type, uint64_t length)
{
	char framing[64];
	snprintf(framing, sizeof(framing), "Content-Length: %llu\r\n", (unsigned long long)length);
	http_write_head(c, keep_alive, status, type, framing);
}

void http_reply(struct conn *c, const struct http_request *request, int status, const char *type,
	struct slice body)
{
	http_write_length_head(c, request->keep_alive, status, type, body.n);
	if (!slice_equals(request->method, SLICE("HEAD")))
		conn_write(c, body.p, body.n);
}

static void http_refuse(struct conn *c, int status)
{
	http_write_length_head(c, false, status, "text/plain", 0);
	conn_finish(c);
}

/* ---- queries ---- */

static int http_hex(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	char lower = (char)(digit | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void http_decode(struct slice text, char *out, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n && n + 1 < size; i++) {
		char byte = text.p[i];
		if (byte == '+') {
			byte = ' ';
		} else if (byte == '%' && i + 2 < text.n && http_hex(text.p[i + 1]) >= 0 &&
			http_hex(text.p[i + 2]) >= 0) {
			byte = (char)(http_hex(text.p[i + 1]) << 4 | http_hex(text.p[i + 2]));
			i += 2;
		}
		if (byte != '\0')
			out[n++] = byte;
	}
	out[n] = '\0';
}

void http_query_text(struct slice query, const char *name, char *out, size_t size)
{
	out[0] = '\0';
	while (query.n > 0) {
		struct slice pair = slice_first(query, slice_find(query, '&'));
		query = slice_from(query, pair.n + 1);
		size_t equals = slice_find(pair, '=');
		if (slice_equals(slice_first(pair, equals), slice_from_string(name))) {
			http_decode(slice_from(pair, equals + 1), out, size);
			return;
		}
	}
}

uint64_t http_query_number(struct slice query, const char *name, uint64_t fallback, uint64_t most)
{
	char text[24];
	uint64_t value;
	http_query_text(query, name, text, sizeof(text));
	if (!slice_to_u64(slice_from_string(text), &value))
		return fallback;
	return MIN(value, most);
}

/* ---- what is served ---- */

static void serve_small(struct conn *c, const struct http_request *request, struct slice rest)
{
	(void)rest;
	http_reply(c, request, 200, "text/plain", SLICE("ok"));
}

static void serve_bytes(struct conn *c, const struct http_request *request, struct slice rest)
{
	uint64_t n;
	if (!slice_to_u64(rest, &n)) {
		http_reply(c, request, 400, "text/plain", SLICE("GET /bytes/N\n"));
		return;
	}
	http_write_length_head(c, request->keep_alive, 200, "application/octet-stream", n);
	if (!slice_equals(request->method, SLICE("HEAD")))
		conn_write_filler(c, n);
}

static void serve_delayed(struct conn *c, void *arg)
{
	struct http *h = arg;
	http_write_length_head(c, h->keep_alive, 200, "text/plain", 2);
	conn_write(c, "ok", 2);
	if (h->keep_alive)
		conn_resume(c);
	else
		conn_finish(c);
}

static void serve_delay(struct conn *c, const struct http_request *request, struct slice rest)
{
	uint64_t ms;
	if (!slice_to_u64(rest, &ms) || ms > DELAY_LIMIT_MS ||
		!slice_equals(request->method, SLICE("GET"))) {
		http_reply(c, request, 400, "text/plain", SLICE("GET /delay/MS\n"));
		return;
	}
	conn_hold(c);
	conn_set_timer(c, (int64_t)ms * 1000, serve_delayed, c->state);
}

/* An answer that begins and does not end. What else the peer sends counts as the request's body, so
 * that its end is seen. */
static void serve_open(struct conn *c, const struct http_request *request, struct slice rest)
{
	struct http *h = c->state;
	(void)rest;
	http_write_head(c, true, 200, "text/plain", "Transfer-Encoding: chunked\r\n");
	if (slice_equals(request->method, SLICE("HEAD")))
		return;
	conn_write(c, "2\r\nok\r\n", 7);
	h->phase = BODY_LENGTH;
	h->left = UINT64_MAX;
}

static void serve_echo(struct conn *c, const struct http_request *request, struct slice rest)
{
	struct http *h = c->state;
	(void)rest;
	if (request->chunked) {
		h->echo_chunked = true;
		http_write_head(c, request->keep_alive, 200, "application/octet-stream",
			"Transfer-Encoding: chunked\r\n");
	} else {
		http_write_length_head(
			c, request->keep_alive, 200, "application/octet-stream", request->length);
	}
	h->use = USE_ECHO;
}

static void serve_sink(struct conn *c, const struct http_request *request, struct slice rest)
{
	struct http *h = c->state;
	(void)request;
	(void)rest;
	h->use = USE_COUNT;
	h->counted = 0;
}

static void serve_websocket_echo(
	struct conn *c, const struct http_request *request, struct slice rest)
{
	(void)rest;
	ws_open(c, request, &ws_echo, NULL);
}

static void serve_chat(struct conn *c, const struct http_request *request, struct slice rest)
{
	(void)rest;
	chat_open(c, request);
}

static void serve_ticker(struct conn *c, const struct http_request *request, struct slice rest)
{
	(void)rest;
	ticker_open(c, request);
}

static void serve_ticker_poll(struct conn *c, const struct http_request *request, struct slice rest)
{
	(void)rest;
	ticker_answer_poll(c, request);
}

static void serve_push(struct conn *c, const struct http_request *request, struct slice rest)
{
	push_open(c, request, rest);
}

/* Hands the stream over to a proxy that publishes (GRIP), on the channel "bench". */
static void serve_grip(struct conn *c, const struct http_request *request, struct slice rest)
{
	(void)rest;
	http_write_head(c, request->keep_alive, 200, "text/event-stream",
		"Grip-Hold: stream\r\nGrip-Channel: bench\r\nContent-Length: 6\r\n");
	conn_write(c, ": hi\n\n", 6);
}

/* A path that ends in '/' stands for everything below it, but "/" for itself alone. */
static const struct service {
	struct slice method; /* HEAD goes with GET */
	struct slice path;
	void (*serve)(struct conn *c, const struct http_request *request, struct slice rest);
} services[] = {
	{SLICE("GET"), SLICE("/small"), serve_small},
	{SLICE("GET"), SLICE("/bytes/"), serve_bytes},
	{SLICE("GET"), SLICE("/delay/"), serve_delay},
	{SLICE("GET"), SLICE("/open"), serve_open},
	{SLICE("POST"), SLICE("/echo"), serve_echo},
	{SLICE("POST"), SLICE("/sink"), serve_sink},
	{SLICE("GET"), SLICE("/ws/echo"), serve_websocket_echo},
	{SLICE("GET"), SLICE("/ws/watched"), serve_websocket_echo},
	{SLICE("GET"), SLICE("/chat"), serve_chat},
	{SLICE("GET"), SLICE("/ws/ticker"), serve_ticker},
	{SLICE("GET"), SLICE("/ticker/poll"), serve_ticker_poll},
	{SLICE("GET"), SLICE("/grip"), serve_grip},
	{SLICE("GET"), SLICE("/push/"), serve_push},
};

static bool service_matches(const struct service *service, struct slice path, struct slice *rest)
{
	if (service->path.p[service->path.n - 1] != '/')
		return slice_equals(path, service->path);
	*rest = slice_from(path, service->path.n);
	return slice_starts_with(path, service->path);
}

static void http_serve(struct conn *c, const struct http_request *request)
{
	struct slice rest = {NULL, 0};
	struct slice method =
		slice_equals(request->method, SLICE("HEAD")) ? SLICE("GET") : request->method;
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		if (!service_matches(&services[i], request->path, &rest))
			continue;
		if (slice_equals(method, services[i].method))
			services[i].serve(c, request, rest);
		else
			http_reply(c, request, 405, "text/plain", SLICE("method not allowed\n"));
		return;
	}
	if (!demo_serve(c, request))
		http_reply(c, request, 404, "text/plain", SLICE("not found\n"));
}

/* ---- requests ---- */

/* Reads what matters of one field; the proxy in front is the one to be strict. False: the request
 * cannot be framed. */
static bool http_take_field(struct http_request *request, struct slice name, struct slice value)
{
	if (slice_equals_ignoring_case(name, SLICE("connection"))) {
		if (slice_list_has(value, SLICE("close")))
			request->keep_alive = false;
		else if (slice_list_has(value, SLICE("keep-alive")))
			request->keep_alive = true;
	} else if (slice_equals_ignoring_case(name, SLICE("content-length"))) {
		request->has_length = true;
		return slice_to_u64(value, &request->length);
	} else if (slice_equals_ignoring_case(name, SLICE("transfer-encoding"))) {
		request->chunked = true;
		return slice_equals_ignoring_case(value, SLICE("chunked"));
	} else if (slice_equals_ignoring_case(name, SLICE("expect"))) {
		request->wants_continue = slice_equals_ignoring_case(value, SLICE("100-continue"));
	} else if (slice_equals_ignoring_case(name, SLICE("upgrade"))) {
		request->wants_websocket = slice_list_has(value, SLICE("websocket"));
	} else if (slice_equals_ignoring_case(name, SLICE("sec-websocket-key"))) {
		request->websocket_key = value;
	} else if (slice_equals_ignoring_case(name, SLICE("sec-websocket-version"))) {
		request->websocket_version = value;
	} else if (slice_equals_ignoring_case(name, SLICE("sec-websocket-protocol"))) {
		request->websocket_protocol = value;
	}
	return true;
}

static bool http_parse_request_line(struct slice line, struct http_request *out)
{
	size_t space = slice_find(line, ' ');
	out->method = slice_first(line, space);
	line = slice_from(line, space + 1);
	space = slice_find(line, ' ');
	struct slice target = slice_first(line, space);
	struct slice version = slice_from(line, space + 1);
	if (out->method.n == 0 || target.n == 0 || !slice_starts_with(version, SLICE("HTTP/1.")) ||
		version.n != 8)
		return false;
	out->keep_alive = version.p[7] != '0';
	size_t question = slice_find(target, '?');
	out->path = slice_first(target, question);
	out->query = slice_from(target, question + 1);
	return true;
}

/* `head` ends with the CRLF of its last line. */
static bool http_parse_head(struct slice head, struct http_request *out)
{
	bool first = true;
	while (head.n > 0) {
		const char *end = memchr(head.p, '\r', head.n);
		if (!end)
			return false;
		struct slice line = slice_first(head, (size_t)(end - head.p));
		head = slice_from(head, line.n + 2);
		if (first) {
			first = false;
			if (!http_parse_request_line(line, out))
				return false;
			continue;
		}
		size_t colon = slice_find(line, ':');
		if (colon == line.n)
			return false;
		if (!http_take_field(
			    out, slice_first(line, colon), slice_trim(slice_from(line, colon + 1))))
			return false;
	}
	return !first && !(out->chunked && out->has_length);
}

/* The request and its body are complete. */
static void http_finish_request(struct conn *c, struct http *h)
{
	char text[64];
	h->phase = BODY_NONE;
	if (h->use == USE_COUNT) {
		int n = snprintf(
			text, sizeof(text), "{\"bytes\":%llu}\n", (unsigned long long)h->counted);
		http_write_length_head(c, h->keep_alive, 200, "application/json", (uint64_t)n);
		conn_write(c, text, (size_t)n);
	} else if (h->use == USE_ECHO && h->echo_chunked) {
		conn_write(c, "0\r\n\r\n", 5);
	}
	if (!h->keep_alive && !c->held)
		conn_finish(c);
}

static size_t http_take_head(struct conn *c, struct http *h, const char *data, size_t n)
{
	struct http_request request = {0};
	const char *end = memmem(data, n, "\r\n\r\n", 4);
	if (!end) {
		if (n > HEAD_LIMIT)
			http_refuse(c, 431);
		return 0;
	}
	size_t size = (size_t)(end - data) + 4;
	if (!http_parse_head(slice_of(data, size - 2), &request)) {
		http_refuse(c, 400);
		return size;
	}
	*h = (struct http){.keep_alive = request.keep_alive, .left = request.length};
	if (request.wants_continue && (request.chunked || request.length > 0))
		conn_write(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	if (request.chunked)
		h->phase = BODY_CHUNK_LINE;
	else if (request.length > 0)
		h->phase = BODY_LENGTH;
	http_serve(c, &request);
	/* A handler may have made this connection a WebSocket. */
	if (c->ops == &http_ops && !c->closed && h->phase == BODY_NONE)
		http_finish_request(c, h);
	return size;
}

/* ---- bodies ---- */

static void http_use_body(struct conn *c, struct http *h, const char *data, size_t n)
{
	char line[24];
	switch (h->use) {
	case USE_DISCARD:
		break;
	case USE_COUNT:
		h->counted += n;
		break;
	case USE_ECHO:
		if (h->echo_chunked)
			conn_write(c, line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", n));
		conn_write(c, data, n);
		if (h->echo_chunked)
			conn_write(c, "\r\n", 2);
		break;
	}
}

/* A line of the chunked coding at the front; `line` without its end. Returns its whole size, 0
 * while incomplete. */
static size_t http_take_line(struct conn *c, const char *data, size_t n, struct slice *line)
{
	const char *end = memmem(data, n, "\r\n", 2);
	if (!end) {
		if (n > CHUNK_LINE_LIMIT)
			conn_close(c);
		return 0;
	}
	*line = slice_of(data, (size_t)(end - data));
	return line->n + 2;
}

static size_t http_take_chunk_line(struct conn *c, struct http *h, const char *data, size_t n)
{
	struct slice line;
	size_t size = http_take_line(c, data, n, &line);
	if (size == 0)
		return 0;
	line = slice_first(line, slice_find(line, ';'));
	h->left = 0;
	for (size_t i = 0; i < line.n; i++) {
		int digit = http_hex(line.p[i]);
		if (digit < 0 || i >= 15) {
			conn_close(c);
			return 0;
		}
		h->left = h->left << 4 | (uint64_t)digit;
	}
	h->phase = h->left > 0 ? BODY_CHUNK : BODY_TRAILERS;
	return size;
}

static size_t http_take_body(struct conn *c, struct http *h, const char *data, size_t n)
{
	struct slice line;
	size_t size = (size_t)MIN((uint64_t)n, h->left);
	switch (h->phase) {
	case BODY_LENGTH:
	case BODY_CHUNK:
		http_use_body(c, h, data, size);
		h->left -= size;
		if (h->left == 0 && h->phase == BODY_CHUNK)
			h->phase = BODY_CHUNK_END;
		else if (h->left == 0)
			http_finish_request(c, h);
		return size;
	case BODY_CHUNK_LINE:
		return http_take_chunk_line(c, h, data, n);
	case BODY_CHUNK_END:
		size = http_take_line(c, data, n, &line);
		if (size > 0)
			h->phase = BODY_CHUNK_LINE;
		return size;
	case BODY_TRAILERS:
		size = http_take_line(c, data, n, &line);
		if (size > 0 && line.n == 0)
			http_finish_request(c, h);
		return size;
	case BODY_NONE:
		break;
	}
	return 0;
}

/* ---- the connection ---- */

static size_t http_hear(struct conn *c, char *data, size_t n)
{
	struct http *h = c->state;
	return h->phase == BODY_NONE ? http_take_head(c, h, data, n)
				     : http_take_body(c, h, data, n);
}

static void http_leave(struct conn *c)
{
	(void)c;
}

static void http_gone(struct conn *c)
{
	free(c->state);
}

static const struct conn_ops http_ops = {http_hear, http_leave, http_gone};

void http_open(struct event_base *base, int fd)
{
	conn_open(base, fd, &http_ops, memory_alloc_zeroed(sizeof(struct http)));
}
