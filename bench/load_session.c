#include "bench/load_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load.h"
#include "bench/load_transport.h"
#include "bench/load_websocket.h"

enum { FRAME_PAYLOAD_MAX = 4096, MESSAGE_SIZE_MAX = 3072 };

struct load_bridge load_bridge = {.rate = 100};

const char *load_message(uint64_t serial, char last)
{
	static char message[MESSAGE_SIZE_MAX];
	memcpy(message, websocket_payload(serial), load.message_size);
	message[load.message_size - 1] = last;
	return message;
}

/* ---- lines ---- */

static struct load_line *line_of(struct load_client *c)
{
	return c == &c->session->in.client ? &c->session->in : &c->session->out;
}

static void line_send(struct load_line *line)
{
	if (line->client.state == LOAD_CLOSED)
		load_client_open(&line->client); /* and sends when it stands */
	else if (line->client.out_length > 0)
		load_client_fail(&line->client, "the socket takes no more");
	else
		load_client_send(
			&line->client, buffer_bytes(&line->request), buffer_length(&line->request));
}

/* Forgets what was written; a closed one is opened by the next request. */
static void line_close(struct load_line *line)
{
	line->task = TASK_NONE;
	load_client_close(&line->client);
	buffer_free(&line->request);
}

static struct load_words session_words(const struct load_session *s, const char *message)
{
	return (struct load_words){
		.path = load.path,
		.id = s->id,
		.etag = s->etag,
		.last_modified = s->last_modified,
		.message = message,
		.message_size = load.message_size,
		.cursor = s->cursor,
		.n_sent = s->n_sent,
	};
}

struct request {
	const char *target, *fields, *body; /* templates */
	bool is_handshake;
};

static void line_request(struct load_line *line, enum load_task task, const struct request *request,
	const struct load_words *words)
{
	static struct buffer body;
	struct buffer *out = &line->request;
	buffer_take(out, buffer_length(out));
	load_transport_print(out, request->target, words);
	buffer_print(out, " HTTP/1.1\r\nHost: %s\r\n", load.host);
	if (request->fields)
		load_transport_print(out, request->fields, words);
	if (request->is_handshake)
		buffer_print(out,
			"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			"Sec-WebSocket-Key: cG9sbHV4LWJlbmNoLWtleQ==\r\n");
	buffer_take(&body, buffer_length(&body));
	if (request->body)
		load_transport_print(&body, request->body, words);
	if (request->target[0] == 'P')
		buffer_print(out, "Content-Type: text/plain\r\nContent-Length: %zu\r\n",
			buffer_length(&body));
	buffer_append(out, "\r\n", 2);
	buffer_append(out, buffer_bytes(&body), buffer_length(&body));
	line->task = task;
	line_send(line);
}

static void line_frame(struct load_line *line, enum wire_opcode opcode, const char *data, size_t n)
{
	static char frame[WIRE_HEADER_MAX + FRAME_PAYLOAD_MAX];
	if (n > FRAME_PAYLOAD_MAX) {
		load_client_fail(&line->client, "a message too long for a frame");
		return;
	}
	buffer_take(&line->request, buffer_length(&line->request));
	buffer_append(&line->request, frame, websocket_write_frame(frame, opcode, data, n));
	line_send(line);
}

static void line_text_frame(
	struct load_line *line, const char *template, const struct load_words *words)
{
	static struct buffer text;
	buffer_take(&text, buffer_length(&text));
	load_transport_print(&text, template, words);
	line_frame(line, WIRE_TEXT, buffer_bytes(&text), buffer_length(&text));
}

/* ---- what is found in texts ---- */

/* The number of bytes up to the end of `what`; 0 if it is not there. */
static size_t text_find(const struct buffer *text, const char *what)
{
	size_t n = strlen(what);
	const char *found = memmem(buffer_bytes(text), buffer_length(text), what, n);
	return found ? (size_t)(found - buffer_bytes(text)) + n : 0;
}

/* Copies what stands between `before` and the next quote. */
static bool text_copy_word(const struct buffer *text, const char *before, char *out, size_t size)
{
	size_t at = text_find(text, before);
	const char *word = buffer_bytes(text) + at;
	const char *end = at > 0 ? memchr(word, '"', buffer_length(text) - at) : NULL;
	if (!end || (size_t)(end - word) >= size)
		return false;
	memcpy(out, word, (size_t)(end - word));
	out[end - word] = '\0';
	return true;
}

/* Whether the text has what shows that the session stands. */
static bool session_hears_opening(struct load_session *s, const struct buffer *text)
{
	const struct load_transport *transport = load_bridge.transport;
	if (transport->tells_id)
		return text_copy_word(text, transport->opened, s->id, sizeof(s->id));
	return !transport->opened || text_find(text, transport->opened) > 0;
}

static void session_note_cursor(struct load_session *s, const struct buffer *text)
{
	const char *before = load_bridge.transport->cursor;
	size_t at = before ? text_find(text, before) : 0;
	uint64_t cursor = 0;
	for (; at > 0 && at < buffer_length(text); at++) {
		char digit = buffer_bytes(text)[at];
		if (digit < '0' || digit > '9')
			break;
		cursor = cursor * 10 + (uint64_t)(digit - '0');
		s->cursor = cursor;
	}
}

/* The message at the front of all that have come, which is taken from the text. */
static bool text_take_message(struct buffer *text, char *message)
{
	const char *tail = load_message(0, 'a') + LOAD_SERIAL_SIZE;
	size_t tail_size = load.message_size - LOAD_SERIAL_SIZE - 1; /* the last byte may differ */
	const char *found = memmem(buffer_bytes(text), buffer_length(text), tail, tail_size);
	if (!found)
		return false;
	size_t at = (size_t)(found - buffer_bytes(text));
	if (at < LOAD_SERIAL_SIZE || buffer_length(text) <= at + tail_size)
		return false;
	memcpy(message, found - LOAD_SERIAL_SIZE, load.message_size);
	buffer_take(text, at + tail_size + 1);
	return true;
}

static void session_take_messages(struct load_session *s, struct buffer *text)
{
	char message[MESSAGE_SIZE_MAX];
	while (s->state == SESSION_READY && text_take_message(text, message))
		s->app->on_message(s, message);
}

/* ---- opening ---- */

static void session_stand(struct load_session *s)
{
	s->state = SESSION_READY;
	s->in.task = TASK_RECEIVE;
	s->app->on_ready(s);
}

static void session_receive(struct load_session *s, const char *target, enum load_task task)
{
	const struct load_transport *transport = load_bridge.transport;
	struct load_words words = session_words(s, NULL);
	struct request request = {.target = target,
		.fields = transport->fields,
		.is_handshake = transport->carrier == BY_WEBSOCKET};
	line_request(&s->in, task, &request, &words);
}

/* Opens a session whose id tells where the line ended. */
static void session_probe(struct load_session *s, struct load_line *line, enum load_task task)
{
	struct load_words words = session_words(s, NULL);
	struct request request = {.target = "POST $P"};
	line_request(line, task, &request, &words);
}

/* Closes it again. */
static void session_unprobe(struct load_session *s, struct load_line *line, const char *id)
{
	struct load_words words = session_words(s, NULL);
	struct request request = {.target = "DELETE $P/~$I"};
	words.id = id;
	line_request(line, TASK_UNPROBE, &request, &words);
}

static bool same_worker(const char *a, const char *b)
{
	size_t n = strcspn(a, ".");
	return n == strcspn(b, ".") && memcmp(a, b, n) == 0;
}

static void session_attach(struct load_session *s)
{
	const struct load_transport *transport = load_bridge.transport;
	s->out.task = TASK_NONE;
	session_receive(s, transport->attach, TASK_RECEIVE);
	if (transport->carrier == BY_POLL)
		session_stand(s);
}

/* The line to receive on is where it should be. */
static void session_on_landed(struct load_session *s)
{
	if (s->app->sends && load_bridge.transport->send)
		session_probe(s, &s->out, TASK_PROBE);
	else
		session_attach(s);
}

static void session_on_probed(struct load_session *s, struct load_line *line)
{
	char id[sizeof(s->id)];
	if (!text_copy_word(&line->answer.body, "\"session\":\"", id, sizeof(id))) {
		load_client_fail(&line->client, "no session in the answer to a probe");
		return;
	}
	s->probe_fits = same_worker(id, s->id) == (load_bridge.landing == LAND_AT_OWNER);
	session_unprobe(s, line, id);
}

static void session_on_unprobed(struct load_session *s, struct load_line *line)
{
	if (line == &s->out && s->probe_fits) {
		session_attach(s);
		return;
	}
	line_close(line);
	session_probe(s, line, line == &s->in ? TASK_OPEN : TASK_PROBE);
}

/* Sessions that are to be received elsewhere than at their owner: two with different owners change
 * their names. When all that are being opened wait for another one, one of them tries again. */
static struct load_session *unpaired;
static size_t n_pairing; /* being opened */

static void session_pair(struct load_session *s)
{
	struct load_session *other = unpaired;
	char id[sizeof(s->id)];
	n_pairing--;
	if (other && !same_worker(other->id, s->id)) {
		unpaired = other->next;
		memcpy(id, s->id, sizeof(id));
		memcpy(s->id, other->id, sizeof(id));
		memcpy(other->id, id, sizeof(id));
		session_on_landed(s);
		session_on_landed(other);
	} else {
		s->in.task = TASK_NONE;
		s->next = unpaired;
		unpaired = s;
	}
	if (n_pairing == 0 && unpaired) {
		other = unpaired;
		unpaired = other->next;
		n_pairing++;
		session_unprobe(other, &other->in, other->id);
	}
}

static void session_on_opened(struct load_session *s, struct load_line *line)
{
	const struct load_transport *transport = load_bridge.transport;
	bool is_sought = load_bridge.landing != LAND_ANYWHERE;
	if (is_sought ? !text_copy_word(&line->answer.body, "\"session\":\"", s->id, sizeof(s->id))
		      : !session_hears_opening(s, &line->answer.body)) {
		load_client_fail(&line->client, "no session in the answer");
		return;
	}
	line->task = TASK_NONE;
	if (load_bridge.landing == LAND_ELSEWHERE) {
		session_pair(s);
	} else if (is_sought) {
		session_on_landed(s);
	} else {
		session_receive(s, transport->receive, TASK_RECEIVE);
		if (transport->carrier == BY_POLL)
			session_stand(s);
		else
			line_close(line); /* what went before the WebSocket */
	}
}

void load_session_open(struct load_session *s, const struct load_session_app *app)
{
	static unsigned long long n_opened;
	const struct load_transport *transport = load_bridge.transport;
	struct load_words words = session_words(s, NULL);
	s->app = app;
	s->in.client.session = s->out.client.session = s;
	s->state = SESSION_OPENING;
	s->cursor = s->n_sent = 0;
	snprintf(s->etag, sizeof(s->etag), "0");
	snprintf(s->last_modified, sizeof(s->last_modified), "Thu, 01 Jan 1970 00:00:00 GMT");
	snprintf(s->id, sizeof(s->id), "%d-%llu", (int)getpid(), ++n_opened);
	if (load_bridge.landing != LAND_ANYWHERE) {
		n_pairing += load_bridge.landing == LAND_ELSEWHERE;
		session_probe(s, &s->in, TASK_OPEN);
	} else if (transport->carrier == BY_WEBSOCKET && transport->receive) {
		struct request request = {.target = transport->open, .fields = transport->fields};
		line_request(&s->out, TASK_OPEN, &request, &words);
	} else if (transport->open) {
		session_receive(s, transport->open, TASK_OPEN);
	} else {
		session_receive(s, transport->receive, TASK_RECEIVE);
		session_stand(s);
	}
}

/* ---- sending and closing ---- */

void load_session_send(struct load_session *s, const char *message)
{
	const struct load_transport *transport = load_bridge.transport;
	struct load_words words;
	s->n_sent++;
	words = session_words(s, message);
	if (transport->send) {
		struct request request = {.target = transport->send, .body = transport->message};
		line_request(&s->out, TASK_SEND, &request, &words);
	} else {
		line_text_frame(&s->in, transport->message, &words);
		s->app->on_sent(s);
	}
}

static void session_finish(struct load_session *s)
{
	s->state = SESSION_CLOSED;
	line_close(&s->in);
	line_close(&s->out);
	s->app->on_over(s);
}

void load_session_close(struct load_session *s)
{
	const struct load_transport *transport = load_bridge.transport;
	struct load_words words = session_words(s, NULL);
	s->state = SESSION_CLOSING;
	if (transport->close) {
		struct request request = {.target = transport->close, .body = transport->farewell};
		line_request(&s->out, TASK_CLOSE, &request, &words);
	} else if (transport->carrier != BY_WEBSOCKET) {
		session_finish(s);
	} else if (transport->farewell) {
		line_text_frame(&s->in, transport->farewell, &words);
	} else {
		line_frame(&s->in, WIRE_CLOSE, "\x03\xe8", 2);
	}
}

/* ---- receiving ---- */

static void session_on_stream(struct load_session *s, struct buffer *text)
{
	if (s->state == SESSION_OPENING && session_hears_opening(s, text))
		session_stand(s);
	session_take_messages(s, text);
	/* What is left is the wrapping, and the beginning of a message at most. */
	if (s->state == SESSION_READY && buffer_length(text) > load.message_size)
		buffer_take(text, buffer_length(text) - load.message_size);
}

static void session_on_received(struct load_session *s, struct load_line *line)
{
	const struct load_transport *transport = load_bridge.transport;
	if (s->state != SESSION_READY) {
		line->task = TASK_NONE; /* the last answer of a session being closed */
		return;
	}
	if (!transport->receive) {
		load_client_fail(&line->client, "the stream ended");
		return;
	}
	session_note_cursor(s, &line->answer.body);
	session_receive(s, transport->receive, TASK_RECEIVE);
	session_take_messages(s, &line->answer.body);
}

static void line_on_answer(struct load_session *s, struct load_line *line)
{
	switch (line->task) {
	case TASK_NONE:
		load_client_fail(&line->client, "an answer that nobody asked for");
		break;
	case TASK_OPEN:
		session_on_opened(s, line);
		break;
	case TASK_PROBE:
		session_on_probed(s, line);
		break;
	case TASK_UNPROBE:
		session_on_unprobed(s, line);
		break;
	case TASK_RECEIVE:
		session_on_received(s, line);
		break;
	case TASK_SEND:
		line->task = TASK_NONE;
		s->app->on_sent(s);
		break;
	case TASK_CLOSE:
		session_finish(s);
		break;
	}
	buffer_take(&line->answer.body, buffer_length(&line->answer.body));
}

static void session_on_upgraded(struct load_session *s)
{
	const struct load_transport *transport = load_bridge.transport;
	s->in.client.upgraded = true;
	if (transport->probe)
		line_frame(&s->in, WIRE_TEXT, transport->probe, strlen(transport->probe));
	else if (!transport->opened)
		session_stand(s);
}

static void session_on_text(struct load_session *s, struct buffer *text)
{
	const struct load_transport *transport = load_bridge.transport;
	if (s->state == SESSION_OPENING && transport->probe) {
		if (text_find(text, transport->probed) == 0)
			return;
		line_frame(&s->in, WIRE_TEXT, transport->confirm, strlen(transport->confirm));
		session_stand(s);
	} else if (s->state == SESSION_OPENING && session_hears_opening(s, text)) {
		session_stand(s);
	} else {
		session_take_messages(s, text);
	}
}

static size_t session_take_frame(struct load_session *s, char *data, size_t n)
{
	struct wire_frame frame;
	const char *wrong;
	size_t size = websocket_take_frame(data, n, &frame, &wrong);
	if (size == 0)
		return 0;
	if (frame.opcode == WIRE_CLOSE && s->state == SESSION_CLOSING) {
		session_finish(s);
	} else if (wrong) {
		load_client_fail(&s->in.client, wrong);
	} else if (frame.opcode == WIRE_PING) {
		line_frame(&s->in, WIRE_PONG, data + frame.header, (size_t)frame.length);
	} else if (frame.opcode == WIRE_TEXT) {
		struct buffer text = {.data = data + frame.header, .end = (size_t)frame.length};
		session_on_text(s, &text);
	}
	return size;
}

/* What the next poll goes on from, where that is told by fields. */
static void session_note_fields(struct load_session *s, struct slice head)
{
	struct slice value;
	if (answer_find_field(head, SLICE("etag"), &value))
		snprintf(s->etag, sizeof(s->etag), "%.*s", SLICE_ARG(value));
	if (answer_find_field(head, SLICE("last-modified"), &value))
		snprintf(s->last_modified, sizeof(s->last_modified), "%.*s", SLICE_ARG(value));
}

/* ---- connections ---- */

void load_session_on_connected(struct load_client *c)
{
	line_send(line_of(c));
}

static void line_fail_status(struct load_line *line)
{
	char text[64];
	snprintf(text, sizeof(text), "unexpected status %d", line->answer.status);
	load_client_fail(&line->client, text);
}

static bool session_is_stream(const struct load_line *line)
{
	return load_bridge.transport->carrier == BY_STREAM &&
		(line->task == TASK_RECEIVE ||
			(line->task == TASK_OPEN && load_bridge.landing == LAND_ANYWHERE));
}

size_t load_session_on_bytes(struct load_client *c, char *data, size_t n)
{
	struct load_session *s = c->session;
	struct load_line *line = line_of(c);
	enum answer_event event;
	if (c->upgraded)
		return session_take_frame(s, data, n);
	size_t size = answer_take(&line->answer, data, n, &event);
	int status = line->answer.status;
	if (event == ANSWER_WRONG)
		load_client_fail(c, "not an answer");
	else if (event == ANSWER_NONE)
		return size;
	else if (status == 101 && line == &s->in && load_bridge.transport->carrier == BY_WEBSOCKET)
		session_on_upgraded(s);
	else if (status < 200 || (status > 299 && s->state != SESSION_CLOSING))
		line_fail_status(line);
	else if (event == ANSWER_HEAD && !load_bridge.transport->open)
		session_note_fields(s, slice_of(data, size - 2));
	else if (event == ANSWER_END)
		line_on_answer(s, line);
	else if (event == ANSWER_PIECE && session_is_stream(line))
		session_on_stream(s, &line->answer.body);
	return size;
}

void load_session_on_end(struct load_client *c)
{
	struct load_session *s = c->session;
	struct load_line *line = line_of(c);
	if (s->state == SESSION_CLOSING && load_bridge.transport->carrier == BY_WEBSOCKET)
		session_finish(s);
	else if (line->task == TASK_NONE || s->state == SESSION_CLOSING)
		line_close(line);
	else
		load_client_fail(c, "the server closed the connection");
}

void load_session_on_closed(struct load_client *c)
{
	struct load_line *line = line_of(c);
	answer_reset(&line->answer);
	if (line->task == TASK_NONE)
		return;
	line->task = TASK_NONE;
	load_give_up();
}
