/* The kinds of work over HTTP/1.1: keep-alive GETs, WebSocket echoes, one connection a request,
 * idle WebSockets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load.h"
#include "bench/load_answer.h"
#include "bench/load_client.h"
#include "bench/load_websocket.h"
#include "bench/wire.h"
#include "proxy/base/memory.h"

enum { HEAD_LIMIT = 3072 };

static const char websocket_key[] = "cG9sbHV4LWJlbmNoLWtleQ==";

/* A connection's own, made on first use and used again by the next run. */
static struct load_client *mode_clients;

static struct load_client *mode_get_clients(void)
{
	if (!mode_clients)
		mode_clients = memory_alloc_zeroed(load.concurrency * sizeof(*mode_clients));
	return mode_clients;
}

/* ---- heads ---- */

static const struct buffer *mode_request(bool upgrade)
{
	static struct buffer request;
	if (buffer_length(&request) > 0)
		return &request;
	buffer_print(&request, "GET %s HTTP/1.1\r\nHost: %s\r\n", load.path, load.host);
	if (upgrade)
		buffer_print(&request,
			"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			"Sec-WebSocket-Key: %s\r\n",
			websocket_key);
	buffer_append(&request, "\r\n", 2);
	return &request;
}

static void mode_send_request(struct load_client *c, bool upgrade)
{
	const struct buffer *request = mode_request(upgrade);
	load_client_send(c, buffer_bytes(request), buffer_length(request));
}

/* The size of the head at the front, 0 while it is incomplete. */
static size_t mode_head_size(struct load_client *c, const char *data, size_t n)
{
	const char *end = memmem(data, n, "\r\n\r\n", 4);
	if (end)
		return (size_t)(end - data) + 4;
	if (n > HEAD_LIMIT)
		load_client_fail(c, "head too long");
	return 0;
}

static bool mode_has_status(struct slice head, struct slice status)
{
	return head.n > 12 && slice_starts_with(head, SLICE("HTTP/1.1 ")) &&
		slice_starts_with(slice_from(head, 9), status);
}

static void mode_fail_status(struct load_client *c, struct slice head)
{
	char text[128];
	head = slice_first(head, slice_find(head, '\r'));
	head = slice_first(head, 60);
	snprintf(text, sizeof(text), "unexpected answer: %.*s", SLICE_ARG(head));
	load_client_fail(c, text);
}

/* Reads the head of an answer with a body of known length; c->skip is what follows. */
static size_t mode_take_answer(struct load_client *c, char *data, size_t n)
{
	size_t size = mode_head_size(c, data, n);
	if (size == 0)
		return 0;
	struct slice head = slice_of(data, size - 2), value;
	uint64_t length;
	if (!c->busy) {
		load_client_fail(c, "an answer that nobody asked for");
		return size;
	}
	if (!mode_has_status(head, SLICE("200"))) {
		mode_fail_status(c, head);
		return size;
	}
	if (!answer_find_field(head, SLICE("content-length"), &value) ||
		!slice_to_u64(value, &length)) {
		load_client_fail(c, "no Content-Length");
		return size;
	}
	if (load.expected_length >= 0 && length != (uint64_t)load.expected_length) {
		load_client_fail(c, "wrong Content-Length");
		return size;
	}
	c->closing = answer_find_field(head, SLICE("connection"), &value) &&
		slice_list_has(value, SLICE("close"));
	c->skip = length;
	if (length == 0)
		load.mode->on_skipped(c);
	return size;
}

/* ---- keep-alive GETs ---- */

static void get_start(struct load_client *c)
{
	c->busy = true;
	if (c->state == LOAD_CLOSED)
		load_client_open(c);
	else
		mode_send_request(c, false);
}

static void get_begin(void)
{
	struct load_client *clients = mode_get_clients();
	for (size_t i = 0; i < load.concurrency; i++) {
		if (load_take_unit())
			get_start(&clients[i]);
	}
}

static void get_on_connected(struct load_client *c)
{
	mode_send_request(c, false);
}

static void get_on_skipped(struct load_client *c)
{
	c->busy = false;
	if (c->closing) {
		load_client_close(c);
		load.reconnects++;
	}
	load_finish_unit();
	if (load_take_unit())
		get_start(c);
}

static void get_on_end(struct load_client *c)
{
	if (c->busy) {
		load_client_fail(c, "connection closed before the answer was complete");
		return;
	}
	load_client_close(c);
	load.reconnects++;
}

const struct load_mode load_get = {
	.name = "get",
	.begin = get_begin,
	.on_connected = get_on_connected,
	.on_bytes = mode_take_answer,
	.on_skipped = get_on_skipped,
	.on_end = get_on_end,
};

/* ---- a connection for each request ---- */

static void handshake_on_skipped(struct load_client *c)
{
	c->busy = false;
	load_client_close(c);
	load_finish_unit();
	if (load_take_unit())
		get_start(c);
}

const struct load_mode load_handshake = {
	.name = "handshake",
	.begin = get_begin,
	.on_connected = get_on_connected,
	.on_bytes = mode_take_answer,
	.on_skipped = handshake_on_skipped,
	.on_end = get_on_end,
};

/* ---- WebSockets ---- */

static size_t mode_take_upgrade(struct load_client *c, const char *data, size_t n)
{
	char accept[WIRE_ACCEPT_SIZE];
	struct slice value;
	size_t size = mode_head_size(c, data, n);
	if (size == 0)
		return 0;
	struct slice head = slice_of(data, size - 2);
	if (!mode_has_status(head, SLICE("101"))) {
		mode_fail_status(c, head);
		return size;
	}
	wire_accept(slice_from_string(websocket_key), accept);
	if (!answer_find_field(head, SLICE("sec-websocket-accept"), &value) ||
		!slice_equals(value, slice_from_string(accept))) {
		load_client_fail(c, "wrong Sec-WebSocket-Accept");
		return size;
	}
	c->upgraded = true;
	return size;
}

static void websocket_on_connected(struct load_client *c)
{
	mode_send_request(c, true);
}

static void websocket_on_end(struct load_client *c)
{
	load_client_fail(c, "WebSocket closed by the peer");
}

static void websocket_on_skipped(struct load_client *c)
{
	(void)c;
}

/* Builds a masked frame in c->frame and sends it. */
static void mode_send_frame(
	struct load_client *c, enum wire_opcode opcode, const char *data, size_t n)
{
	if (!c->frame)
		c->frame = memory_alloc(websocket_frame_room());
	load_client_send(c, c->frame, websocket_write_frame(c->frame, opcode, data, n));
}

/* The size of the whole frame at the front; 0 while it is incomplete, and when it is one that ends
 * the connection. */
static size_t mode_take_frame(struct load_client *c, char *data, size_t n, struct wire_frame *frame)
{
	const char *wrong;
	size_t size = websocket_take_frame(data, n, frame, &wrong);
	if (size > 0 && wrong) {
		load_client_fail(c, wrong);
		return 0;
	}
	if (size > 0 && frame->opcode == WIRE_PING)
		mode_send_frame(c, WIRE_PONG, data + frame->header, (size_t)frame->length);
	return size;
}

static void echo_send(struct load_client *c)
{
	static uint64_t serial;
	c->serial = ++serial;
	mode_send_frame(c, WIRE_TEXT, websocket_payload(c->serial), load.message_size);
}

static void echo_start(struct load_client *c)
{
	c->busy = true;
	if (c->state == LOAD_CLOSED)
		load_client_open(c);
	else
		echo_send(c);
}

static void echo_begin(void)
{
	struct load_client *clients = mode_get_clients();
	for (size_t i = 0; i < load.concurrency; i++) {
		if (load_take_unit())
			echo_start(&clients[i]);
	}
}

static size_t echo_on_bytes(struct load_client *c, char *data, size_t n)
{
	struct wire_frame frame;
	if (!c->upgraded) {
		size_t size = mode_take_upgrade(c, data, n);
		if (size > 0 && c->upgraded)
			echo_send(c);
		return size;
	}
	size_t size = mode_take_frame(c, data, n, &frame);
	if (size == 0 || frame.opcode == WIRE_PING || frame.opcode == WIRE_PONG)
		return size;
	if (!c->busy || !websocket_is_echo(&frame, data, c->serial)) {
		load_client_fail(c, "wrong echo");
		return size;
	}
	c->busy = false;
	load_finish_unit();
	if (load_take_unit())
		echo_start(c);
	return size;
}

const struct load_mode load_echo = {
	.name = "echo",
	.begin = echo_begin,
	.on_connected = websocket_on_connected,
	.on_bytes = echo_on_bytes,
	.on_skipped = websocket_on_skipped,
	.on_end = websocket_on_end,
};

/* ---- idle WebSockets ---- */

/* Never freed: a tunnel stays until the program leaves. */
static void idle_open_another(void)
{
	static struct load_client *all;
	struct load_client *c = memory_alloc_zeroed(sizeof(*c));
	c->next = all;
	all = c;
	c->busy = true;
	load_client_open(c);
}

static void idle_begin(void)
{
	for (size_t i = 0; i < load.concurrency && load_take_unit(); i++)
		idle_open_another();
}

static size_t idle_on_bytes(struct load_client *c, char *data, size_t n)
{
	struct wire_frame frame;
	if (c->upgraded)
		return mode_take_frame(c, data, n, &frame);
	size_t size = mode_take_upgrade(c, data, n);
	if (size > 0 && c->upgraded) {
		c->busy = false;
		load_finish_unit();
		if (load_take_unit())
			idle_open_another();
	}
	return size;
}

const struct load_mode load_idle = {
	.name = "idle",
	.begin = idle_begin,
	.on_connected = websocket_on_connected,
	.on_bytes = idle_on_bytes,
	.on_skipped = websocket_on_skipped,
	.on_end = websocket_on_end,
};
