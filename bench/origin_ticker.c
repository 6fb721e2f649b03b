#include "bench/origin_ticker.h"

#include <stdlib.h>
#include <string.h>

#include "bench/origin_ws.h"
#include "bench/sock.h"
#include "proxy/base/memory.h"

enum {
	INTERVAL_LIMIT_MS = 60 * 1000,
	SIZE_LIMIT = 64 * 1024,
	COUNT_LIMIT = 1000 * 1000,
	TICKER_BACKLOG_LIMIT = 1024 * 1024,
	POLL_STREAMS = 64,
	STREAM_NAME_SIZE = 33,
	POLL_EVENTS = 1000, /* at most in one answer */
};

struct ticker {
	int64_t interval_us;
	size_t size;
	uint64_t count;
	uint64_t sent; /* over the WebSocket */
	int64_t begun_wall_us, begun_steady_us;
};

static struct poll_stream {
	char name[STREAM_NAME_SIZE];
	struct ticker ticker;
} poll_streams[POLL_STREAMS];
static size_t n_poll_streams; /* ever begun; the table keeps the latest */

static void ticker_begin(struct ticker *t, struct slice query)
{
	t->interval_us =
		(int64_t)http_query_number(query, "interval", 100, INTERVAL_LIMIT_MS) * 1000;
	t->interval_us = MAX(t->interval_us, 1000);
	t->size = (size_t)http_query_number(query, "size", 64, SIZE_LIMIT);
	t->count = http_query_number(query, "count", 100, COUNT_LIMIT);
	t->sent = 0;
	t->begun_wall_us = sock_wall_us();
	t->begun_steady_us = sock_steady_us();
}

/* When event n is due, from the beginning. Grows with n, because the shift is less than the
 * interval. */
static int64_t ticker_due_us(const struct ticker *t, uint64_t n)
{
	uint64_t mixed = n * UINT64_C(0x9E3779B97F4A7C15);
	mixed ^= mixed >> 29;
	return (int64_t)n * t->interval_us + (int64_t)(mixed % (uint64_t)(t->interval_us / 2));
}

static int64_t ticker_age_us(const struct ticker *t)
{
	return sock_steady_us() - t->begun_steady_us;
}

static void ticker_print_event(const struct ticker *t, uint64_t n, struct buffer *out)
{
	static char pad[SIZE_LIMIT];
	size_t before = buffer_length(out);
	if (pad[0] == '\0')
		memset(pad, 'x', sizeof(pad));
	buffer_print(out, "{\"n\":%llu,\"at\":%lld,\"pad\":\"", (unsigned long long)n,
		(long long)(t->begun_wall_us + ticker_due_us(t, n)));
	size_t used = buffer_length(out) - before + 2;
	if (used < t->size)
		buffer_append(out, pad, t->size - used);
	buffer_append(out, "\"}", 2);
}

static void ticker_on_timer(struct conn *c, void *arg);

static void ticker_wait(struct conn *c, struct ticker *t)
{
	int64_t wait = ticker_due_us(t, t->sent + 1) - ticker_age_us(t);
	conn_set_timer(c, MAX(wait, 0), ticker_on_timer, t);
}

static void ticker_send_due(struct conn *c, struct ticker *t)
{
	struct buffer event = {0};
	while (t->sent < t->count && ticker_due_us(t, t->sent + 1) <= ticker_age_us(t) &&
		conn_backlog(c) < TICKER_BACKLOG_LIMIT) {
		ticker_print_event(t, ++t->sent, &event);
		ws_send(c, WIRE_TEXT, buffer_bytes(&event), buffer_length(&event));
		buffer_take(&event, buffer_length(&event));
	}
	buffer_free(&event);
	if (t->sent == t->count)
		ws_close(c, 1000, "that was all");
	else if (!c->closed)
		ticker_wait(c, t);
}

static void ticker_on_timer(struct conn *c, void *arg)
{
	ticker_send_due(c, arg);
}

static void ticker_on_gone(struct conn *c, void *app_state)
{
	(void)c;
	free(app_state);
}

static const struct ws_app ticker_app = {.on_gone = ticker_on_gone};

void ticker_open(struct conn *c, const struct http_request *request)
{
	struct ticker *t = memory_alloc_zeroed(sizeof(*t));
	ticker_begin(t, request->query);
	if (!ws_open(c, request, &ticker_app, t)) {
		free(t);
		return;
	}
	ticker_wait(c, t);
}

static struct ticker *ticker_of_poll(struct slice query)
{
	char name[STREAM_NAME_SIZE];
	http_query_text(query, "stream", name, sizeof(name));
	for (size_t i = 0; i < MIN(n_poll_streams, POLL_STREAMS); i++) {
		if (strcmp(poll_streams[i].name, name) == 0)
			return &poll_streams[i].ticker;
	}
	struct poll_stream *stream = &poll_streams[n_poll_streams++ % POLL_STREAMS];
	memcpy(stream->name, name, sizeof(name));
	ticker_begin(&stream->ticker, query);
	return &stream->ticker;
}

void ticker_answer_poll(struct conn *c, const struct http_request *request)
{
	const struct ticker *t = ticker_of_poll(request->query);
	uint64_t after = http_query_number(request->query, "after", 0, t->count);
	uint64_t last = after;
	struct buffer body = {0};
	buffer_print(&body, "{\"events\":[");
	while (last < t->count && last - after < POLL_EVENTS &&
		ticker_due_us(t, last + 1) <= ticker_age_us(t)) {
		if (last > after)
			buffer_append(&body, ",", 1);
		ticker_print_event(t, ++last, &body);
	}
	buffer_print(&body, "],\"last\":%llu,\"done\":%s}", (unsigned long long)last,
		last == t->count ? "true" : "false");
	http_reply(c, request, 200, "application/json",
		slice_of(buffer_bytes(&body), buffer_length(&body)));
	buffer_free(&body);
}
