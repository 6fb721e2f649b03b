#include "tests/unit/bridge/stage_web_socket.h"

#include "proxy/base/memory.h"
#include "proxy/http/ws_message.h"

struct web_socket {
	struct client *client;
	struct ws_message messages;
	struct bytes log;
	char *taken;
};

struct web_socket *web_socket_request(const char *target, const char *fields)
{
	struct web_socket *self = memory_alloc_zeroed(sizeof(*self));

	ws_message_init(&self->messages, false, 16 << 20);
	bytes_init(&self->log);
	self->client = client_request("GET", target,
		stage_text("Connection: Upgrade\r\nUpgrade: websocket\r\n"
			   "Sec-WebSocket-Version: 13\r\n"
			   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s",
			fields),
		NULL);
	return self;
}

struct client *web_socket_client(struct web_socket *self)
{
	return self->client;
}

struct web_socket *web_socket_open(const char *target, const char *fields)
{
	struct web_socket *self = web_socket_request(target, fields);

	assert_int_equal(client_status(self->client), 101);
	/* The example of RFC 6455 section 1.3. */
	assert_string_equal(
		client_field(self->client, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	return self;
}

void web_socket_free(struct web_socket *self)
{
	ws_message_clear(&self->messages);
	bytes_clear(&self->log);
	free(self->taken);
	free(self);
}

void web_socket_frame(
	struct web_socket *self, bool fin, enum ws_opcode opcode, const void *p, size_t n)
{
	static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
	uint8_t *frame = memory_alloc(WS_FRAME_HEAD_MAX + n);
	size_t n_head = ws_frame_write_head(frame, fin, opcode, n, mask);

	if (n > 0)
		ws_frame_mask(frame + n_head, p, n, mask, 0);
	client_send_bytes(self->client, frame, n_head + n);
	free(frame);
}

void web_socket_text(struct web_socket *self, const char *text)
{
	web_socket_frame(self, true, WS_OP_TEXT, text, strlen(text));
}

void web_socket_close(struct web_socket *self, uint16_t code, const char *reason)
{
	uint8_t payload[WS_CONTROL_MAX];

	web_socket_frame(self, true, WS_OP_CLOSE, payload,
		ws_close_write(payload, code, slice_from_string(reason)));
}

static void log_event(struct web_socket *self, enum ws_event event)
{
	struct slice payload = self->messages.payload;

	if (event == WS_CLOSE)
		bytes_printf(&self->log, "close %u", self->messages.close_code);
	else if (event == WS_ERROR)
		bytes_printf(&self->log, "error %s", self->messages.error);
	else
		bytes_printf(&self->log, "%s", ws_event_name(event));
	if (payload.n > 0) {
		bytes_append_string(&self->log, " ");
		bytes_append_slice(&self->log, payload);
	}
	bytes_append_string(&self->log, "\n");
}

const char *web_socket_received(struct web_socket *self)
{
	struct bytes *from = client_bytes(self->client);
	size_t n;

	while (bytes_size(from) > 0) {
		struct slice front = bytes_front(from);
		const uint8_t *p = (const uint8_t *)front.p;
		size_t left = front.n;
		/* Nothing may follow a close. */
		bool was_closed = self->messages.state == WS_MESSAGE_CLOSED;
		enum ws_event event = ws_message_feed(&self->messages, &p, &left);

		assert_false(was_closed);
		if (event != WS_MORE)
			log_event(self, event);
		bytes_drain(from, event == WS_ERROR ? front.n : front.n - left);
	}
	n = bytes_size(&self->log);
	free(self->taken);
	self->taken = memory_alloc(n + 1);
	bytes_peek(&self->log, self->taken, n);
	self->taken[n] = '\0';
	bytes_clear(&self->log);
	return self->taken;
}
