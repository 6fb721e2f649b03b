/* The backend's ends of the stage: a WebSocket server in the test's hand. */
#include "proxy/base/memory.h"
#include "proxy/http/ws_handshake.h"
#include "proxy/http/ws_message.h"
#include "tests/unit/bridge/stage.h"
#include "tests/unit/bridge/stage_parts.h"

struct peer {
	struct peer *next;
	struct conn_fake *conn;
	char *request;
	struct ws_message messages;
	struct bytes log;
	char *taken;
	bool is_over;
};

static struct peer *peers;

struct peer *peer_next(void)
{
	struct peer *self = memory_alloc_zeroed(sizeof(*self));
	struct bytes *sent;

	self->conn = stage_accept_dial();
	self->next = peers;
	peers = self;
	bytes_init(&self->log);
	ws_message_init(&self->messages, true, 16 << 20);
	sent = conn_fake_sent(self->conn);
	self->request = memory_alloc(bytes_size(sent) + 1);
	bytes_peek(sent, self->request, bytes_size(sent));
	self->request[bytes_size(sent)] = '\0';
	bytes_clear(sent);
	return self;
}

const char *peer_request(struct peer *self)
{
	return self->request;
}

void peer_send(struct peer *self, const char *raw)
{
	conn_fake_feed_string(self->conn, raw);
	stage_settle();
}

void peer_accept(struct peer *self, const char *fields)
{
	static const char name[] = "Sec-WebSocket-Key: ";
	const char *key = strstr(self->request, name);
	char proof[WS_ACCEPT_SIZE + 1];

	assert_non_null(key);
	ws_accept_write(proof, slice_of(key + strlen(name), WS_KEY_SIZE));
	peer_send(self,
		stage_text("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
			proof, fields));
}

struct peer *peer_open(void)
{
	struct peer *self = peer_next();

	peer_accept(self, "");
	return self;
}

void peer_frame(struct peer *self, bool fin, enum ws_opcode opcode, const void *p, size_t n)
{
	uint8_t head[WS_FRAME_HEAD_MAX];

	conn_fake_feed(self->conn, head, ws_frame_write_head(head, fin, opcode, n, NULL));
	conn_fake_feed(self->conn, p, n);
	stage_settle();
}

void peer_text(struct peer *self, const char *text)
{
	peer_frame(self, true, WS_OP_TEXT, text, strlen(text));
}

void peer_close(struct peer *self, uint16_t code, const char *reason)
{
	uint8_t payload[WS_CONTROL_MAX];
	size_t n = ws_close_write(payload, code, slice_from_string(reason));

	peer_frame(self, true, WS_OP_CLOSE, payload, n);
}

static void log_event(struct peer *self, enum ws_event event)
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

const char *peer_received(struct peer *self)
{
	struct bytes *sent = conn_fake_sent(self->conn);
	size_t n;

	while (bytes_size(sent) > 0) {
		struct slice front = bytes_front(sent);
		const uint8_t *p = (const uint8_t *)front.p;
		size_t left = front.n;
		enum ws_event event = ws_message_feed(&self->messages, &p, &left);

		if (event != WS_MORE)
			log_event(self, event);
		bytes_drain(sent, event == WS_ERROR ? front.n : front.n - left);
	}
	n = bytes_size(&self->log);
	free(self->taken);
	self->taken = memory_alloc(n + 1);
	bytes_peek(&self->log, self->taken, n);
	self->taken[n] = '\0';
	bytes_clear(&self->log);
	return self->taken;
}

void peer_end(struct peer *self)
{
	conn_fake_feed_end(self->conn);
	stage_settle();
}

void peer_lose(struct peer *self)
{
	conn_fake_lose(self->conn, CONN_LOSS_RESET);
	stage_settle();
}

void peer_set_room(struct peer *self, size_t room)
{
	conn_fake_set_room(self->conn, room);
	stage_settle();
}

bool peer_is_closed(struct peer *self)
{
	return conn_fake_is_closed(self->conn);
}

size_t peer_n_unread(struct peer *self)
{
	return conn_fake_n_unread(self->conn);
}

void peers_close(void)
{
	struct peer *self;

	while ((self = peers) != NULL) {
		peers = self->next;
		conn_fake_free(self->conn);
		ws_message_clear(&self->messages);
		bytes_clear(&self->log);
		free(self->request);
		free(self->taken);
		free(self);
	}
}
