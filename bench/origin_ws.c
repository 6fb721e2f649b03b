#include "bench/origin_ws.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"

enum { MESSAGE_LIMIT = 16 * 1024 * 1024 };

struct ws {
	const struct ws_app *app;
	void *app_state;
	bool in_message;	 /* between a first fragment and the last */
	enum wire_opcode opcode; /* of the message in fragments */
	struct buffer fragments;
};

static void ws_on_message(
	struct conn *c, struct ws *ws, enum wire_opcode opcode, char *data, size_t n)
{
	if (ws->app->on_message)
		ws->app->on_message(c, ws->app_state, opcode, data, n);
}

static void ws_on_data(
	struct conn *c, struct ws *ws, const struct wire_frame *frame, char *data, size_t n)
{
	if ((frame->opcode == WIRE_CONTINUATION) != ws->in_message) {
		ws_close(c, 1002, "fragment out of place");
		return;
	}
	if (frame->fin && !ws->in_message) {
		ws_on_message(c, ws, frame->opcode, data, n);
		return;
	}
	if (!ws->in_message)
		ws->opcode = frame->opcode;
	ws->in_message = !frame->fin;
	buffer_append(&ws->fragments, data, n);
	if (buffer_length(&ws->fragments) > MESSAGE_LIMIT) {
		ws_close(c, 1009, "message too big");
	} else if (frame->fin) {
		ws_on_message(c, ws, ws->opcode, buffer_bytes(&ws->fragments),
			buffer_length(&ws->fragments));
		buffer_free(&ws->fragments);
	}
}

static void ws_on_frame(
	struct conn *c, struct ws *ws, const struct wire_frame *frame, char *data, size_t n)
{
	switch (frame->opcode) {
	case WIRE_CONTINUATION:
	case WIRE_TEXT:
	case WIRE_BINARY:
		ws_on_data(c, ws, frame, data, n);
		break;
	case WIRE_PING:
		ws_send(c, WIRE_PONG, data, n);
		break;
	case WIRE_PONG:
		break;
	case WIRE_CLOSE:
		/* The answer repeats the code, without the reason. */
		ws_send(c, WIRE_CLOSE, data, MIN(n, 2));
		conn_finish(c);
		break;
	default:
		ws_close(c, 1002, "unknown opcode");
	}
}

static size_t ws_hear(struct conn *c, char *data, size_t n)
{
	struct ws *ws = c->state;
	struct wire_frame frame;
	if (!wire_parse_frame(data, n, &frame))
		return 0;
	if (!frame.masked || frame.reserved) {
		ws_close(c, 1002, "mask missing or reserved bit set");
		return n;
	}
	if (frame.length > MESSAGE_LIMIT) {
		ws_close(c, 1009, "message too big");
		return n;
	}
	if (n - frame.header < frame.length)
		return 0;
	wire_mask(data + frame.header, (size_t)frame.length, frame.mask);
	ws_on_frame(c, ws, &frame, data + frame.header, (size_t)frame.length);
	return frame.header + (size_t)frame.length;
}

static void ws_leave(struct conn *c)
{
	ws_close(c, 1001, "going away");
}

static void ws_gone(struct conn *c)
{
	struct ws *ws = c->state;
	if (ws->app->on_gone)
		ws->app->on_gone(c, ws->app_state);
	buffer_free(&ws->fragments);
	free(ws);
}

static const struct conn_ops ws_ops = {ws_hear, ws_leave, ws_gone};

static void echo_on_message(
	struct conn *c, void *app_state, enum wire_opcode opcode, char *data, size_t n)
{
	(void)app_state;
	ws_send(c, opcode, data, n);
}

const struct ws_app ws_echo = {.on_message = echo_on_message};

bool ws_open(struct conn *c, const struct http_request *request, const struct ws_app *app,
	void *app_state)
{
	char accept[WIRE_ACCEPT_SIZE];
	struct buffer head = {0};
	struct slice offers = request->websocket_protocol, protocol;
	if (!request->wants_websocket || !slice_equals(request->method, SLICE("GET")) ||
		request->websocket_key.n == 0) {
		http_reply(c, request, 426, "text/plain", SLICE("this address speaks WebSocket\n"));
		return false;
	}
	if (!slice_equals(request->websocket_version, SLICE("13"))) {
		http_reply(c, request, 400, "text/plain", SLICE("WebSocket version 13 only\n"));
		return false;
	}
	wire_accept(request->websocket_key, accept);
	buffer_print(&head,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n",
		accept);
	if (slice_next_element(&offers, &protocol))
		buffer_print(&head, "Sec-WebSocket-Protocol: %.*s\r\n", SLICE_ARG(protocol));
	buffer_append(&head, "\r\n", 2);

	struct ws *ws = memory_alloc_zeroed(sizeof(*ws));
	ws->app = app;
	ws->app_state = app_state;
	c->ops->gone(c);
	c->ops = &ws_ops;
	c->state = ws;
	conn_write(c, buffer_bytes(&head), buffer_length(&head));
	buffer_free(&head);
	return true;
}

void ws_send(struct conn *c, enum wire_opcode opcode, const char *data, size_t n)
{
	char header[WIRE_HEADER_MAX];
	size_t header_size = wire_write_header(header, true, opcode, n, NULL);
	if (c->hearing || c->writing) {
		conn_write(c, header, header_size);
		conn_write(c, data, n);
		return;
	}
	/* Outside a turn each write is a packet: make it one. */
	struct buffer frame = {0};
	buffer_append(&frame, header, header_size);
	buffer_append(&frame, data, n);
	conn_write(c, buffer_bytes(&frame), buffer_length(&frame));
	buffer_free(&frame);
}

void ws_close(struct conn *c, int code, const char *reason)
{
	char payload[125] = {(char)(code >> 8), (char)code};
	size_t n = MIN(strlen(reason), sizeof(payload) - 2);
	memcpy(payload + 2, reason, n);
	ws_send(c, WIRE_CLOSE, payload, n + 2);
	conn_finish(c);
}
