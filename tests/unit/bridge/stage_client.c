/* Clients of the stage: requests as bytes, answers parsed from bytes. */
#include "proxy/base/memory.h"
#include "tests/unit/bridge/stage.h"
#include "tests/unit/bridge/stage_parts.h"

struct client {
	struct client *next;
	struct conn_fake *conn;
	struct bytes raw; /* not yet parsed */
	char *head;
	char *value; /* given out by client_field */
	struct bytes body;
	char *taken;
	unsigned status;
	uint64_t left; /* of the body, or of the chunk */
	bool is_chunked;
	bool is_done;
};

static struct client *clients;

struct client *client_new(void)
{
	struct client *self = memory_alloc_zeroed(sizeof(*self));

	bytes_init(&self->raw);
	bytes_init(&self->body);
	self->conn = conn_fake_new(stage_loop());
	self->next = clients;
	clients = self;
	stage_serve(self->conn);
	return self;
}

void client_send_bytes(struct client *self, const void *p, size_t n)
{
	conn_fake_feed(self->conn, p, n);
	stage_settle();
}

void client_send(struct client *self, const char *text)
{
	client_send_bytes(self, text, strlen(text));
}

static void forget_answer(struct client *self)
{
	free(self->head);
	self->head = NULL;
	self->status = 0;
	self->is_done = false;
	bytes_clear(&self->body);
}

void client_request_again(struct client *self, const char *method, const char *target,
	const char *fields, const char *body)
{
	forget_answer(self);
	if (body == NULL)
		client_send(self,
			stage_text("%s %s HTTP/1.1\r\nHost: a.example\r\n%s\r\n", method, target,
				fields));
	else
		client_send(self,
			stage_text("%s %s HTTP/1.1\r\nHost: a.example\r\n"
				   "Content-Length: %zu\r\n%s\r\n%s",
				method, target, strlen(body), fields, body));
}

struct client *client_request(
	const char *method, const char *target, const char *fields, const char *body)
{
	struct client *self = client_new();

	client_request_again(self, method, target, fields, body);
	return self;
}

/* Parsing. */

static char *copy_out(struct bytes *from, size_t n)
{
	char *text = memory_alloc(n + 1);

	bytes_peek(from, text, n);
	text[n] = '\0';
	return text;
}

/* The offset behind the first `end`, or 0. */
static size_t find_end(struct bytes *in, const char *end)
{
	struct slice all = bytes_linearize(in, bytes_size(in));
	const char *found = memmem(all.p, all.n, end, strlen(end));

	return found == NULL ? 0 : (size_t)(found - all.p) + strlen(end);
}

static bool parse_head(struct client *self)
{
	size_t n = find_end(&self->raw, "\r\n\r\n");
	const char *length;

	if (n == 0)
		return false;
	self->head = copy_out(&self->raw, n);
	bytes_drain(&self->raw, n);
	self->status = (unsigned)strtoul(self->head + 9, NULL, 10);
	if (self->status == 100) {
		free(self->head);
		self->head = NULL;
		self->status = 0;
		return true;
	}
	length = client_field(self, "Content-Length");
	self->is_chunked = client_field(self, "Transfer-Encoding") != NULL;
	self->left = length != NULL ? strtoull(length, NULL, 10) : 0;
	/* The bytes of a tunnel are a body that only the connection ends. */
	if (self->status == 101)
		self->left = UINT64_MAX;
	self->is_done = !self->is_chunked && self->left == 0;
	return true;
}

static void move_body(struct client *self)
{
	size_t n = (size_t)MIN((uint64_t)bytes_size(&self->raw), self->left);

	bytes_move(&self->body, &self->raw, n);
	self->left -= n;
}

static bool parse_chunk(struct client *self)
{
	size_t n;

	if (self->left > 2) {
		self->left -= 2;
		move_body(self);
		self->left += 2;
		if (self->left > 2)
			return false;
	}
	if (self->left == 2) {
		if (bytes_size(&self->raw) < 2)
			return false;
		bytes_drain(&self->raw, 2);
		self->left = 0;
	}
	n = find_end(&self->raw, "\r\n");
	if (n == 0)
		return false;
	self->left = strtoull(bytes_front(&self->raw).p, NULL, 16);
	bytes_drain(&self->raw, n);
	self->is_done = self->left == 0;
	self->left += 2;
	if (self->is_done)
		bytes_drain(&self->raw, 2);
	return true;
}

static void client_read(struct client *self)
{
	bytes_move_all(&self->raw, conn_fake_sent(self->conn));
	while (bytes_size(&self->raw) > 0 && !self->is_done) {
		if (self->status == 0) {
			if (!parse_head(self))
				return;
		} else if (self->is_chunked) {
			if (!parse_chunk(self))
				return;
		} else {
			move_body(self);
			self->is_done = self->left == 0;
		}
	}
}

unsigned client_status(struct client *self)
{
	client_read(self);
	return self->status;
}

const char *client_field(struct client *self, const char *name)
{
	size_t n = strlen(name);

	if (self->head == NULL)
		client_read(self);
	if (self->head == NULL)
		return NULL;
	for (const char *line = strstr(self->head, "\r\n"); line != NULL && line[2] != '\r';
		line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, name, n) != 0 || line[2 + n] != ':')
			continue;
		free(self->value);
		self->value = memory_copy_string(line + 2 + n + 2);
		*strstr(self->value, "\r\n") = '\0';
		return self->value;
	}
	return NULL;
}

size_t client_body_size(struct client *self)
{
	client_read(self);
	return bytes_size(&self->body);
}

const char *client_body(struct client *self)
{
	client_read(self);
	free(self->taken);
	self->taken = copy_out(&self->body, bytes_size(&self->body));
	return self->taken;
}

const char *client_take(struct client *self)
{
	const char *body = client_body(self);

	bytes_clear(&self->body);
	return body;
}

struct bytes *client_bytes(struct client *self)
{
	client_read(self);
	return &self->body;
}

bool client_is_done(struct client *self)
{
	client_read(self);
	return self->is_done;
}

bool client_is_closed(struct client *self)
{
	return conn_fake_is_closed(self->conn);
}

void client_leave(struct client *self)
{
	conn_fake_lose(self->conn, CONN_LOSS_RESET);
	stage_settle();
}

void client_end(struct client *self)
{
	conn_fake_feed_end(self->conn);
	stage_settle();
}

bool client_is_ended(struct client *self)
{
	return conn_fake_has_ended(self->conn);
}

size_t client_n_unread(struct client *self)
{
	return conn_fake_n_unread(self->conn);
}

void client_set_room(struct client *self, size_t room)
{
	conn_fake_set_room(self->conn, room);
	stage_settle();
}

void clients_close(void)
{
	struct client *self;

	for (self = clients; self != NULL; self = self->next)
		if (!conn_fake_is_closed(self->conn))
			client_leave(self);
	while ((self = clients) != NULL) {
		clients = self->next;
		forget_answer(self);
		bytes_clear(&self->raw);
		conn_fake_free(self->conn);
		free(self->value);
		free(self->taken);
		free(self);
	}
}
