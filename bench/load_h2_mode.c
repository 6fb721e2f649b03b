/* The kinds of work over HTTP/2: GETs, uploads, WebSocket echoes, and what is opened to be held. */
#include <stdio.h>
#include <string.h>

#include "bench/load_h2.h"
#include "bench/load_websocket.h"
#include "proxy/base/memory.h"

/* ---- one unit after another on each stream ---- */

/* Made on first use and used again by the next run. */
static struct load_client *h2_get_clients(void)
{
	static struct load_client *clients;
	if (clients)
		return clients;
	clients = memory_alloc_zeroed(load.concurrency * sizeof(*clients));
	for (size_t i = 0; i < load.concurrency; i++)
		load_h2_init(&clients[i]);
	return clients;
}

/* The first stream of every connection comes before the second of any. */
static void h2_begin(void (*start)(struct load_stream *s))
{
	struct load_client *clients = h2_get_clients();
	for (size_t i = 0; i < load.streams; i++) {
		for (size_t k = 0; k < load.concurrency && load_take_unit(); k++)
			start(load_h2_stream(&clients[k], i));
	}
	for (size_t k = 0; k < load.concurrency; k++)
		load_h2_flush(&clients[k]);
}

static void h2_next(struct load_stream *s, void (*start)(struct load_stream *s))
{
	load_h2_finish(s);
	if (load_take_unit())
		start(s);
}

/* ---- GETs ---- */

static void get_begin(void)
{
	h2_begin(load_h2_start);
}

static bool get_check(struct load_stream *s)
{
	bool right = load.expected_length < 0 || s->received == (uint64_t)load.expected_length;
	if (!right)
		load_h2_fail(s, "wrong length");
	return right;
}

static void get_on_end(struct load_stream *s)
{
	if (get_check(s))
		h2_next(s, load_h2_start);
}

const struct load_mode load_h2_get = {
	.name = "h2-get",
	.h2 = &(const struct load_h2_work){.on_end = get_on_end},
	.begin = get_begin,
	LOAD_H2_HOOKS,
};

/* ---- uploads ---- */

static void upload_on_bytes(struct load_stream *s, const char *data, size_t n)
{
	buffer_append(&s->in, data, n);
}

/* The origin says how many bytes it got. */
static void upload_on_end(struct load_stream *s)
{
	char expected[48];
	int n = snprintf(expected, sizeof(expected), "{\"bytes\":%zu}\n", load.message_size);
	if (buffer_length(&s->in) != (size_t)n || memcmp(buffer_bytes(&s->in), expected, (size_t)n))
		load_h2_fail(s, "wrong answer to an upload");
	else
		h2_next(s, load_h2_start);
}

const struct load_mode load_h2_upload = {
	.name = "h2-upload",
	.h2 =
		&(const struct load_h2_work){
			.upload = true,
			.on_bytes = upload_on_bytes,
			.on_end = upload_on_end,
		},
	.begin = get_begin,
	LOAD_H2_HOOKS,
};

/* ---- WebSockets ---- */

static void tunnel_send_frame(
	struct load_stream *s, enum wire_opcode opcode, const char *data, size_t n)
{
	static char *frame;
	if (!frame)
		frame = memory_alloc(websocket_frame_room());
	load_h2_send(s, frame, websocket_write_frame(frame, opcode, data, n));
}

/* Takes the frames of a tunnel apart; what is not a control frame goes to on_frame. */
static void tunnel_on_bytes(struct load_stream *s, const char *data, size_t n,
	void (*on_frame)(struct load_stream *s, const struct wire_frame *frame, const char *data))
{
	struct wire_frame frame;
	const char *wrong = NULL;
	size_t size;
	bool kept = buffer_length(&s->in) > 0;
	if (kept) {
		buffer_append(&s->in, data, n);
		data = buffer_bytes(&s->in);
		n = buffer_length(&s->in);
	}
	size_t at = 0;
	while (s->id != 0 && (size = websocket_take_frame(data + at, n - at, &frame, &wrong)) > 0) {
		if (wrong)
			load_h2_fail(s, wrong);
		else if (frame.opcode == WIRE_PING)
			tunnel_send_frame(
				s, WIRE_PONG, data + at + frame.header, (size_t)frame.length);
		else if (frame.opcode != WIRE_PONG)
			on_frame(s, &frame, data + at);
		at += size;
	}
	if (kept)
		buffer_take(&s->in, at);
	else
		buffer_append(&s->in, data + at, n - at);
}

static void tunnel_on_end(struct load_stream *s)
{
	load_h2_fail(s, "WebSocket closed by the peer");
}

static void echo_send(struct load_stream *s)
{
	static uint64_t serial;
	s->serial = ++serial;
	tunnel_send_frame(s, WIRE_TEXT, websocket_payload(s->serial), load.message_size);
}

static void echo_start(struct load_stream *s)
{
	if (s->id == 0) {
		load_h2_start(s);
		return;
	}
	s->unit = true;
	if (s->open)
		echo_send(s);
}

static void echo_begin(void)
{
	h2_begin(echo_start);
}

static void echo_on_frame(struct load_stream *s, const struct wire_frame *frame, const char *data)
{
	if (s->unit && websocket_is_echo(frame, data, s->serial))
		h2_next(s, echo_start);
	else
		load_h2_fail(s, "wrong echo");
}

static void echo_on_bytes(struct load_stream *s, const char *data, size_t n)
{
	tunnel_on_bytes(s, data, n, echo_on_frame);
}

const struct load_mode load_h2_echo = {
	.name = "h2-echo",
	.h2 =
		&(const struct load_h2_work){
			.tunnel = true,
			.on_open = echo_send,
			.on_bytes = echo_on_bytes,
			.on_end = tunnel_on_end,
		},
	.begin = echo_begin,
	LOAD_H2_HOOKS,
};

/* ---- what is opened to be held ---- */

/* The next place of the newest connection, or the first of another. Never freed: what is held stays
 * until the program leaves. */
static void held_open_another(void)
{
	static struct load_client *newest;
	static size_t used;
	if (!newest || used == load.streams) {
		struct load_client *c = memory_alloc_zeroed(sizeof(*c));
		load_h2_init(c);
		c->next = newest;
		newest = c;
		used = 0;
	}
	load_h2_start(load_h2_stream(newest, used++));
	load_h2_flush(newest);
}

static void held_begin(void)
{
	for (size_t i = 0; i < load.concurrency && load_take_unit(); i++)
		held_open_another();
}

static void held_next(struct load_stream *s)
{
	load_h2_finish(s);
	if (load_take_unit())
		held_open_another();
}

static void idle_on_end(struct load_stream *s)
{
	if (get_check(s))
		held_next(s);
}

const struct load_mode load_h2_idle = {
	.name = "h2-idle",
	.h2 = &(const struct load_h2_work){.held = true, .on_end = idle_on_end},
	.begin = held_begin,
	LOAD_H2_HOOKS,
};

static void idle_stream_on_bytes(struct load_stream *s, const char *data, size_t n)
{
	(void)data;
	(void)n;
	if (s->unit)
		held_next(s);
}

static void idle_stream_on_end(struct load_stream *s)
{
	load_h2_fail(s, "the answer ended");
}

const struct load_mode load_h2_idle_stream = {
	.name = "h2-idle-stream",
	.h2 =
		&(const struct load_h2_work){
			.held = true,
			.on_bytes = idle_stream_on_bytes,
			.on_end = idle_stream_on_end,
		},
	.begin = held_begin,
	LOAD_H2_HOOKS,
};

static void idle_websocket_on_frame(
	struct load_stream *s, const struct wire_frame *frame, const char *data)
{
	(void)frame;
	(void)data;
	load_h2_fail(s, "a message that nobody asked for");
}

static void idle_websocket_on_bytes(struct load_stream *s, const char *data, size_t n)
{
	tunnel_on_bytes(s, data, n, idle_websocket_on_frame);
}

const struct load_mode load_h2_idle_websocket = {
	.name = "h2-idle-websocket",
	.h2 =
		&(const struct load_h2_work){
			.tunnel = true,
			.held = true,
			.on_open = held_next,
			.on_bytes = idle_websocket_on_bytes,
			.on_end = tunnel_on_end,
		},
	.begin = held_begin,
	LOAD_H2_HOOKS,
};
