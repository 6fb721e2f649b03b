#include "tests/unit/proxy/http/h2_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/memory.h"

#define FRAME_HEAD 9
#define MAX_LINES 64

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* Streams. */

struct h2_peer_stream *h2_peer_stream(struct h2_peer *self, int32_t id)
{
	struct h2_peer_stream *stream;

	/* The latest is the likeliest. */
	for (size_t i = self->n_streams; i > 0; i--)
		if (self->streams[i - 1]->id == id)
			return self->streams[i - 1];
	self->streams = memory_realloc(
		self->streams, (self->n_streams + 1) * sizeof(struct h2_peer_stream *));
	stream = memory_alloc_zeroed(sizeof(*stream));
	stream->id = id;
	stream->peer = self;
	bytes_init(&stream->body);
	bytes_init(&stream->out);
	self->streams[self->n_streams++] = stream;
	return stream;
}

const char *h2_peer_body(struct h2_peer *self, int32_t id)
{
	static char text[8192];
	struct bytes *body = &h2_peer_stream(self, id)->body;
	size_t n = MIN(bytes_size(body), sizeof(text) - 1);

	bytes_peek(body, text, n);
	text[n] = '\0';
	return text;
}

const char *h2_peer_frames(struct h2_peer *self)
{
	static char text[sizeof(self->frames)];

	memcpy(text, self->frames, sizeof(text));
	self->frames[0] = '\0';
	return text;
}

/* What comes. */

static void append(char *text, size_t size, const char *more, size_t n)
{
	size_t used = strlen(text);

	if (used + n + 1 > size)
		return;
	memcpy(text + used, more, n);
	text[used + n] = '\0';
}

static void note(struct h2_peer *self, const char *name, int32_t id, const char *detail, bool ends)
{
	char text[192];
	int n = snprintf(text, sizeof(text), "%s%s(%d%s%s)%s", self->frames[0] != '\0' ? " " : "",
		name, id, detail[0] != '\0' ? "," : "", detail, ends ? "+END" : "");

	append(self->frames, sizeof(self->frames), text, (size_t)n);
}

static uint32_t read_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Decodes the block into lines of text. */
static void decode(struct h2_peer *self, char *text, size_t size)
{
	size_t n = bytes_size(&self->block);
	const uint8_t *p = (const uint8_t *)bytes_linearize(&self->block, n).p;

	text[0] = '\0';
	for (;;) {
		nghttp2_nv line;
		int flags = 0;
		ssize_t taken = nghttp2_hd_inflate_hd2(self->inflater, &line, &flags, p, n, 1);

		assert_true(taken >= 0);
		p += taken;
		n -= (size_t)taken;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			append(text, size, (const char *)line.name, line.namelen);
			append(text, size, "=", 1);
			append(text, size, (const char *)line.value, line.valuelen);
			append(text, size, "\n", 1);
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			break;
	}
	(void)nghttp2_hd_inflate_end_headers(self->inflater);
	bytes_clear(&self->block);
}

static void take_section(struct h2_peer *self, struct h2_peer_stream *stream)
{
	char text[1024];
	unsigned status = 0;

	decode(self, text, sizeof(text));
	if (!self->is_server)
		(void)sscanf(text, ":status=%u", &status);
	if (status >= 100 && status < 200) {
		append(stream->interim, sizeof(stream->interim), text, strlen(text));
	} else if (stream->head[0] == '\0') {
		memcpy(stream->head, text, sizeof(stream->head));
		stream->status = status;
	} else {
		append(stream->trailers, sizeof(stream->trailers), text, strlen(text));
	}
}

static void take_headers(
	struct h2_peer *self, int32_t id, uint8_t flags, const uint8_t *p, size_t n)
{
	struct h2_peer_stream *stream = h2_peer_stream(self, id);

	if (flags & NGHTTP2_FLAG_PRIORITY) {
		p += 5;
		n -= 5;
	}
	bytes_append(&self->block, p, n);
	stream->has_end |= (flags & NGHTTP2_FLAG_END_STREAM) != 0;
	if (flags & NGHTTP2_FLAG_END_HEADERS)
		take_section(self, stream);
}

static void take_settings(struct h2_peer *self, uint8_t flags, const uint8_t *p, size_t n)
{
	if (flags & NGHTTP2_FLAG_ACK) {
		self->n_settings_acks++;
		return;
	}
	self->n_settings++;
	for (; n >= 6; p += 6, n -= 6) {
		unsigned id = (unsigned)p[0] << 8 | p[1];

		if (id < ARRAY_LEN(self->settings))
			self->settings[id] = read_u32(p + 2);
	}
}

static void take_goaway(struct h2_peer *self, const uint8_t *p, size_t n)
{
	char detail[128];

	(void)snprintf(detail, sizeof(detail), "%s%s%.*s", nghttp2_http2_strerror(read_u32(p + 4)),
		n > 8 ? "," : "", (int)(n - 8), (const char *)p + 8);
	note(self, "GOAWAY", (int32_t)(read_u32(p) & INT32_MAX), detail, false);
}

static void take_frame(struct h2_peer *self, const uint8_t *head, const uint8_t *p, size_t n)
{
	uint8_t type = head[3], flags = head[4];
	int32_t id = (int32_t)(read_u32(head + 5) & INT32_MAX);
	bool ends = (flags & NGHTTP2_FLAG_END_STREAM) != 0;

	switch (type) {
	case NGHTTP2_DATA:
		note(self, "DATA", id, "", ends);
		bytes_append(&h2_peer_stream(self, id)->body, p, n);
		h2_peer_stream(self, id)->has_end |= ends;
		break;
	case NGHTTP2_HEADERS:
		note(self, "HEADERS", id, "", ends);
		take_headers(self, id, flags, p, n);
		break;
	case NGHTTP2_CONTINUATION:
		take_headers(self, id, flags & NGHTTP2_FLAG_END_HEADERS, p, n);
		break;
	case NGHTTP2_RST_STREAM:
		h2_peer_stream(self, id)->is_reset = true;
		h2_peer_stream(self, id)->error = read_u32(p);
		note(self, "RST_STREAM", id, nghttp2_http2_strerror(read_u32(p)), false);
		break;
	case NGHTTP2_SETTINGS:
		take_settings(self, flags, p, n);
		break;
	case NGHTTP2_PING:
		if (flags & NGHTTP2_FLAG_ACK)
			self->n_ping_acks++;
		else
			self->n_pings++;
		break;
	case NGHTTP2_GOAWAY:
		take_goaway(self, p, n);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		self->n_window_updates++;
		self->credit += id == 0 ? read_u32(p) : 0;
		break;
	default:
		fail_msg("a frame of type %u", type);
	}
}

static void take_input(struct h2_peer *self)
{
	/* A server's client begins with the preface. */
	if (self->is_server && self->n_settings == 0) {
		if (bytes_size(&self->input) < sizeof(preface) - 1)
			return;
		assert_memory_equal(bytes_linearize(&self->input, sizeof(preface) - 1).p, preface,
			sizeof(preface) - 1);
		bytes_drain(&self->input, sizeof(preface) - 1);
	}
	while (bytes_size(&self->input) >= FRAME_HEAD) {
		uint8_t head[FRAME_HEAD];
		size_t n;
		const char *p;

		bytes_peek(&self->input, head, FRAME_HEAD);
		n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (bytes_size(&self->input) < FRAME_HEAD + n)
			return;
		p = bytes_linearize(&self->input, FRAME_HEAD + n).p;
		take_frame(self, head, (const uint8_t *)p + FRAME_HEAD, n);
		bytes_drain(&self->input, FRAME_HEAD + n);
	}
}

/* Steps. */

static bool send_some(struct h2_peer *self)
{
	const uint8_t *p;
	bool has_moved = false;
	ssize_t n;

	while (!self->is_silent && (n = nghttp2_session_mem_send(self->ng, &p)) > 0) {
		conn_fake_feed(self->fake, p, (size_t)n);
		has_moved = true;
	}
	return has_moved;
}

static bool receive_some(struct h2_peer *self)
{
	struct bytes *sent = conn_fake_sent(self->fake);
	bool has_moved = false;

	while (bytes_size(sent) > 0) {
		struct slice front = bytes_front(sent);

		if (!self->is_silent && !self->is_deaf)
			(void)nghttp2_session_mem_recv(self->ng, (const uint8_t *)front.p, front.n);
		bytes_append_slice(&self->input, front);
		bytes_drain(sent, front.n);
		has_moved = true;
	}
	if (has_moved)
		take_input(self);
	return has_moved;
}

bool h2_peer_step(struct h2_peer *self)
{
	bool has_sent = send_some(self);

	return receive_some(self) || has_sent;
}

void h2_peer_turn(struct h2_peer *self)
{
	do
		loop_advance(self->loop, 0);
	while (h2_peer_step(self));
}

/* Life. */

static ssize_t on_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
	nghttp2_data_source *source, void *arg);

static nghttp2_session *new_ng(struct h2_peer *self, const struct h2_peer_options *options)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	nghttp2_session *ng;
	nghttp2_settings_entry settings[4];
	size_t n = 0;

	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	assert_int_equal(nghttp2_option_new(&option), 0);
	nghttp2_option_set_no_auto_window_update(option, options->is_slow);
	/* Malformed heads are what some tests are about. */
	nghttp2_option_set_no_http_messaging(option, 1);
	if (self->is_server)
		assert_int_equal(nghttp2_session_server_new2(&ng, callbacks, self, option), 0);
	else
		assert_int_equal(nghttp2_session_client_new2(&ng, callbacks, self, option), 0);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	if (options->window > 0)
		settings[n++] = (nghttp2_settings_entry){
			NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options->window};
	if (options->max_streams > 0)
		settings[n++] = (nghttp2_settings_entry){
			NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options->max_streams};
	if (options->has_connect)
		settings[n++] =
			(nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
	assert_int_equal(nghttp2_submit_settings(ng, NGHTTP2_FLAG_NONE, settings, n), 0);
	return ng;
}

struct h2_peer *h2_peer_new(struct loop *loop, struct conn_fake *fake, bool is_server,
	const struct h2_peer_options *options)
{
	static const struct h2_peer_options defaults;
	struct h2_peer *self = memory_alloc_zeroed(sizeof(*self));

	if (options == NULL)
		options = &defaults;
	self->loop = loop;
	self->fake = fake;
	self->is_server = is_server;
	self->is_silent = options->is_silent;
	bytes_init(&self->input);
	bytes_init(&self->block);
	self->ng = new_ng(self, options);
	assert_int_equal(nghttp2_hd_inflate_new(&self->inflater), 0);
	return self;
}

void h2_peer_free(struct h2_peer *self)
{
	for (size_t i = 0; i < self->n_streams; i++) {
		bytes_clear(&self->streams[i]->body);
		bytes_clear(&self->streams[i]->out);
		free(self->streams[i]);
	}
	free(self->streams);
	nghttp2_session_del(self->ng);
	nghttp2_hd_inflate_del(self->inflater);
	bytes_clear(&self->input);
	bytes_clear(&self->block);
	free(self);
}

/* What goes, by nghttp2. */

static size_t read_lines(const char *text, nghttp2_nv lines[MAX_LINES])
{
	size_t n = 0;

	while (*text != '\0') {
		size_t size = strcspn(text, "\n"), equals = 1 + strcspn(text + 1, "=");

		assert_true(n < MAX_LINES && equals < size && text[size] == '\n');
		lines[n++] = (nghttp2_nv){.name = (uint8_t *)text,
			.namelen = equals,
			.value = (uint8_t *)text + equals + 1,
			.valuelen = size - equals - 1};
		text += size + 1;
	}
	return n;
}

static ssize_t on_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
	nghttp2_data_source *source, void *arg)
{
	struct h2_peer_stream *stream = source->ptr;
	size_t n = MIN(max, bytes_size(&stream->out));
	nghttp2_nv lines[MAX_LINES];

	(void)arg;
	if (n == 0 && !stream->has_out_end)
		return NGHTTP2_ERR_DEFERRED;
	bytes_peek(&stream->out, buf, n);
	bytes_drain(&stream->out, n);
	if (!stream->has_out_end || bytes_size(&stream->out) > 0)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (stream->out_trailers != NULL) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		(void)nghttp2_submit_trailer(
			ng, id, lines, read_lines(stream->out_trailers, lines));
	}
	return (ssize_t)n;
}

int32_t h2_peer_request(struct h2_peer *self, const char *text, bool is_ended)
{
	int32_t id = (int32_t)nghttp2_session_get_next_stream_id(self->ng);
	nghttp2_data_provider provider = {
		.source.ptr = h2_peer_stream(self, id), .read_callback = on_read};
	nghttp2_nv lines[MAX_LINES];

	assert_int_equal(nghttp2_submit_request(self->ng, NULL, lines, read_lines(text, lines),
				 is_ended ? NULL : &provider, NULL),
		id);
	return id;
}

void h2_peer_respond(struct h2_peer *self, int32_t id, const char *text, bool is_ended)
{
	nghttp2_data_provider provider = {
		.source.ptr = h2_peer_stream(self, id), .read_callback = on_read};
	nghttp2_nv lines[MAX_LINES];

	assert_int_equal(nghttp2_submit_response(self->ng, id, lines, read_lines(text, lines),
				 is_ended ? NULL : &provider),
		0);
}

void h2_peer_interim(struct h2_peer *self, int32_t id, const char *text)
{
	nghttp2_nv lines[MAX_LINES];

	assert_int_equal(nghttp2_submit_headers(self->ng, NGHTTP2_FLAG_NONE, id, NULL, lines,
				 read_lines(text, lines), NULL),
		0);
}

void h2_peer_put(struct h2_peer *self, int32_t id, const void *p, size_t n)
{
	bytes_append(&h2_peer_stream(self, id)->out, p, n);
	(void)nghttp2_session_resume_data(self->ng, id);
}

void h2_peer_put_text(struct h2_peer *self, int32_t id, const char *text)
{
	h2_peer_put(self, id, text, strlen(text));
}

void h2_peer_put_end(struct h2_peer *self, int32_t id, const char *trailers)
{
	struct h2_peer_stream *stream = h2_peer_stream(self, id);

	stream->has_out_end = true;
	stream->out_trailers = trailers;
	(void)nghttp2_session_resume_data(self->ng, id);
}

void h2_peer_reset(struct h2_peer *self, int32_t id, uint32_t error)
{
	assert_int_equal(nghttp2_submit_rst_stream(self->ng, NGHTTP2_FLAG_NONE, id, error), 0);
}

void h2_peer_goaway(struct h2_peer *self, int32_t last_id, uint32_t error)
{
	assert_int_equal(
		nghttp2_submit_goaway(self->ng, NGHTTP2_FLAG_NONE, last_id, error, NULL, 0), 0);
}

void h2_peer_ping(struct h2_peer *self)
{
	assert_int_equal(nghttp2_submit_ping(self->ng, NGHTTP2_FLAG_NONE, NULL), 0);
}

void h2_peer_set(struct h2_peer *self, int32_t id, uint32_t value)
{
	nghttp2_settings_entry setting = {id, value};

	assert_int_equal(nghttp2_submit_settings(self->ng, NGHTTP2_FLAG_NONE, &setting, 1), 0);
}

void h2_peer_credit(struct h2_peer *self, int32_t id, uint32_t n)
{
	assert_int_equal(
		nghttp2_submit_window_update(self->ng, NGHTTP2_FLAG_NONE, id, (int32_t)n), 0);
}

/* Raw. */

void h2_peer_raw(struct h2_peer *self, const void *p, size_t n)
{
	conn_fake_feed(self->fake, p, n);
}

void h2_peer_raw_frame(struct h2_peer *self, uint8_t type, uint8_t flags, int32_t id,
	const void *payload, size_t n)
{
	uint8_t head[FRAME_HEAD] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, type, flags,
		(uint8_t)((uint32_t)id >> 24), (uint8_t)((uint32_t)id >> 16),
		(uint8_t)((uint32_t)id >> 8), (uint8_t)id};

	h2_peer_raw(self, head, sizeof(head));
	if (n > 0)
		h2_peer_raw(self, payload, n);
}

void h2_peer_raw_preface(struct h2_peer *self)
{
	h2_peer_raw(self, preface, sizeof(preface) - 1);
	h2_peer_raw_frame(self, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

/* RFC 7541 section 5.2, without the Huffman code. */
static uint8_t *encode_string(uint8_t *to, const uint8_t *end, const uint8_t *p, size_t n)
{
	size_t rest = n;

	assert_true(n + 4 < (size_t)(end - to));
	if (n < 127) {
		*to++ = (uint8_t)n;
	} else {
		*to++ = 127;
		for (rest -= 127; rest >= 128; rest >>= 7)
			*to++ = (uint8_t)(rest | 128);
		*to++ = (uint8_t)rest;
	}
	if (n > 0)
		memcpy(to, p, n);
	return to + n;
}

size_t h2_peer_encode(const char *text, uint8_t *out, size_t size)
{
	nghttp2_nv lines[MAX_LINES];
	size_t n = read_lines(text, lines);
	uint8_t *to = out;

	for (size_t i = 0; i < n; i++) {
		*to++ = 0; /* literal, not indexed, with a new name */
		to = encode_string(to, out + size, lines[i].name, lines[i].namelen);
		to = encode_string(to, out + size, lines[i].value, lines[i].valuelen);
	}
	return (size_t)(to - out);
}

void h2_peer_raw_headers(struct h2_peer *self, uint8_t flags, int32_t id, const char *text)
{
	uint8_t block[4096];
	size_t n = h2_peer_encode(text, block, sizeof(block));

	self->is_deaf = true;
	h2_peer_raw_frame(self, NGHTTP2_HEADERS, flags, id, block, n);
}

void h2_peer_raw_u32(struct h2_peer *self, uint8_t type, uint8_t flags, int32_t id, uint32_t value)
{
	uint8_t payload[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
		(uint8_t)value};

	h2_peer_raw_frame(self, type, flags, id, payload, sizeof(payload));
}
