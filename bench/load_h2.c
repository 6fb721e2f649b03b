#include "bench/load_h2.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"

/* What a browser offers: with less, the windows would be measured. */
enum {
	STREAM_WINDOW = 6 * 1024 * 1024,
	CONNECTION_WINDOW = 15 * 1024 * 1024,
	FLUSH_SIZE = 64 * 1024,
	FIELDS_MAX = 6,
};

struct load_h2 {
	nghttp2_session *session; /* NULL: not connected */
	struct buffer out;
	bool ready;    /* the server's SETTINGS have come */
	bool leaving;  /* a GOAWAY has come */
	bool inside;   /* nghttp2 is running: it must not be called for bytes */
	size_t n_open; /* streams */
	struct load_stream streams[];
};

/* ---- streams ---- */

void load_h2_init(struct load_client *c)
{
	size_t size = sizeof(struct load_h2) + load.streams * sizeof(struct load_stream);
	c->h2 = memory_alloc_zeroed(size);
	for (size_t i = 0; i < load.streams; i++)
		c->h2->streams[i].client = c;
}

struct load_stream *load_h2_stream(struct load_client *c, size_t i)
{
	ASSERT(i < load.streams);
	return &c->h2->streams[i];
}

/* Its figures stay, for whoever judges the answer. */
static void h2_detach(struct load_stream *s)
{
	if (s->id != 0)
		s->client->h2->n_open--;
	s->id = 0;
}

void load_h2_finish(struct load_stream *s)
{
	s->unit = false;
	load_finish_unit();
}

void load_h2_fail(struct load_stream *s, const char *what)
{
	struct load_h2 *h = s->client->h2;
	load_count_error("%s", what);
	if (s->id != 0) {
		nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
		nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
		h2_detach(s);
	}
	if (s->unit)
		load_h2_finish(s);
}

/* ---- requests ---- */

static ssize_t h2_read_upload(struct load_stream *s, uint8_t *out, size_t room, uint32_t *flags)
{
	size_t n = MIN(room, load.message_size - (size_t)s->sent);
	memset(out, 'p', n);
	s->sent += n;
	if (s->sent == load.message_size)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static ssize_t h2_read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct load_stream *s = source->ptr;
	(void)session;
	(void)user;
	if (s->id != id)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* has failed: a reset is on its way
							       */
	if (load.mode->h2->upload)
		return h2_read_upload(s, out, room, flags);
	size_t n = MIN(room, buffer_length(&s->out));
	if (n == 0) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	memcpy(out, buffer_bytes(&s->out), n);
	buffer_take(&s->out, n);
	return (ssize_t)n;
}

static nghttp2_nv h2_field(const char *name, const char *value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name,
		.namelen = strlen(name),
		.value = (uint8_t *)(uintptr_t)value,
		.valuelen = strlen(value),
		.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
	};
}

/* The same for every request of the program. */
static size_t h2_fields(const nghttp2_nv **out)
{
	static nghttp2_nv fields[FIELDS_MAX];
	static size_t n;
	static char length[24];
	const struct load_h2_work *work = load.mode->h2;
	*out = fields;
	if (n > 0)
		return n;
	fields[n++] = h2_field(":method", work->tunnel ? "CONNECT" : work->upload ? "POST" : "GET");
	if (work->tunnel)
		fields[n++] = h2_field(":protocol", "websocket");
	fields[n++] = h2_field(":scheme", load.tls ? "https" : "http");
	fields[n++] = h2_field(":authority", load.host);
	fields[n++] = h2_field(":path", load.path);
	if (work->tunnel)
		fields[n++] = h2_field("sec-websocket-version", "13");
	if (work->upload) {
		snprintf(length, sizeof(length), "%zu", load.message_size);
		fields[n++] = h2_field("content-length", length);
	}
	ASSERT(n <= FIELDS_MAX);
	return n;
}

static void h2_submit(struct load_stream *s)
{
	struct load_h2 *h = s->client->h2;
	const struct load_h2_work *work = load.mode->h2;
	nghttp2_data_provider body = {.source.ptr = s, .read_callback = h2_read_body};
	const nghttp2_nv *fields;
	size_t n = h2_fields(&fields);
	s->status = 0;
	s->open = s->ended = s->deferred = false;
	s->received = s->sent = 0;
	buffer_free(&s->in);
	buffer_free(&s->out);
	int32_t id = nghttp2_submit_request(
		h->session, NULL, fields, n, work->tunnel || work->upload ? &body : NULL, s);
	if (id < 0) {
		load_h2_fail(s, nghttp2_strerror(id));
		return;
	}
	s->id = id;
	h->n_open++;
}

void load_h2_start(struct load_stream *s)
{
	struct load_client *c = s->client;
	s->unit = true;
	if (c->state == LOAD_CLOSED)
		load_client_open(c);
	else if (c->h2->ready && !c->h2->leaving)
		h2_submit(s);
}

void load_h2_send(struct load_stream *s, const void *data, size_t n)
{
	buffer_append(&s->out, data, n);
	if (!s->deferred)
		return;
	s->deferred = false;
	nghttp2_session_resume_data(s->client->h2->session, s->id);
}

/* ---- answers ---- */

static int h2_on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags, void *user)
{
	struct load_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	(void)flags;
	(void)user;
	if (s && name_length == 7 && memcmp(name, ":status", 7) == 0 && value_length == 3)
		s->status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
	return 0;
}

static void h2_on_head(struct load_stream *s)
{
	char text[64];
	if (s->open || s->status < 200)
		return;
	if (s->status != 200) {
		snprintf(text, sizeof(text), "unexpected answer: %d", s->status);
		load_h2_fail(s, text);
		return;
	}
	s->open = true;
	if (load.mode->h2->on_open)
		load.mode->h2->on_open(s);
}

/* Nothing is asked before the server has said what it allows. */
static void h2_on_settings(struct load_client *c)
{
	struct load_h2 *h = c->h2;
	nghttp2_session *session = h->session;
	const char *wrong = NULL;
	if (h->ready)
		return;
	h->ready = true;
	if (load.mode->h2->tunnel &&
		!nghttp2_session_get_remote_settings(
			session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL))
		wrong = "the server offers no WebSockets over HTTP/2";
	else if (nghttp2_session_get_remote_settings(
			 session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) < load.streams)
		wrong = "the server allows fewer streams";
	for (size_t i = 0; i < load.streams; i++) {
		struct load_stream *s = &h->streams[i];
		if (s->unit && wrong)
			load_h2_fail(s, wrong);
		else if (s->unit)
			h2_submit(s);
	}
}

static int h2_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct load_client *c = user;
	struct load_stream *s = NULL;
	if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
		h2_on_settings(c);
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		c->h2->leaving = true;
		if (frame->goaway.error_code != NGHTTP2_NO_ERROR)
			load_count_error(
				"GOAWAY: %s", nghttp2_http2_strerror(frame->goaway.error_code));
	}
	if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)
		s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!s)
		return 0;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		s->ended = true;
	if (frame->hd.type == NGHTTP2_HEADERS)
		h2_on_head(s);
	return 0;
}

static int h2_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
	size_t n, void *user)
{
	struct load_stream *s = nghttp2_session_get_stream_user_data(session, id);
	(void)flags;
	(void)user;
	if (!s)
		return 0;
	s->received += n;
	if (load.mode->h2->on_bytes)
		load.mode->h2->on_bytes(s, (const char *)data, n);
	return 0;
}

static int h2_on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct load_stream *s = nghttp2_session_get_stream_user_data(session, id);
	char text[64];
	(void)user;
	if (!s)
		return 0;
	h2_detach(s);
	if (error == NGHTTP2_NO_ERROR && s->open && s->ended) {
		load.mode->h2->on_end(s);
		return 0;
	}
	snprintf(text, sizeof(text), "stream reset: %s", nghttp2_http2_strerror(error));
	load_h2_fail(s, text);
	return 0;
}

/* A request that came too late for this connection waits for the next. */
static int h2_on_not_sent(
	nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
	struct load_client *c = user;
	(void)session;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	for (size_t i = 0; i < load.streams; i++) {
		struct load_stream *s = &c->h2->streams[i];
		if (s->id != frame->hd.stream_id)
			continue;
		h2_detach(s);
		if (!c->h2->leaving)
			load_h2_fail(s, nghttp2_strerror(error));
	}
	return 0;
}

/* ---- the connection ---- */

static nghttp2_session_callbacks *h2_callbacks(void)
{
	static nghttp2_session_callbacks *callbacks;
	if (callbacks)
		return callbacks;
	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		abort();
	nghttp2_session_callbacks_set_on_header_callback(callbacks, h2_on_field);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, h2_on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, h2_on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, h2_on_stream_close);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, h2_on_not_sent);
	return callbacks;
}

static bool h2_speaks_h2(struct load_client *c)
{
	const unsigned char *protocol = NULL;
	unsigned int n = 0;
	if (!c->ssl)
		return true;
	SSL_get0_alpn_selected(c->ssl, &protocol, &n);
	return n == 2 && memcmp(protocol, "h2", 2) == 0;
}

void load_h2_on_connected(struct load_client *c)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
	};
	struct load_h2 *h = c->h2;
	if (!h2_speaks_h2(c)) {
		load_client_fail(c, "the server does not choose h2");
		return;
	}
	if (nghttp2_session_client_new(&h->session, h2_callbacks(), c) != 0 ||
		nghttp2_submit_settings(
			h->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) != 0 ||
		nghttp2_session_set_local_window_size(
			h->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0)
		load_client_fail(c, "nghttp2");
}

size_t load_h2_on_bytes(struct load_client *c, char *data, size_t n)
{
	c->h2->inside = true;
	ssize_t taken = nghttp2_session_mem_recv(c->h2->session, (const uint8_t *)data, n);
	c->h2->inside = false;
	if (taken < 0)
		load_client_fail(c, nghttp2_strerror((int)taken));
	return n;
}

void load_h2_on_skipped(struct load_client *c)
{
	(void)c;
}

void load_h2_on_end(struct load_client *c)
{
	if (c->h2->leaving && c->h2->n_open == 0 && !load.mode->h2->held)
		load_h2_flush(c);
	else
		load_client_fail(c, "connection closed by the peer");
}

void load_h2_on_closed(struct load_client *c)
{
	struct load_h2 *h = c->h2;
	bool orderly = h->leaving && h->n_open == 0;
	for (size_t i = 0; i < load.streams; i++) {
		struct load_stream *s = &h->streams[i];
		h2_detach(s);
		if (s->unit && !orderly)
			load_h2_finish(s);
	}
	nghttp2_session_del(h->session);
	h->session = NULL;
	buffer_free(&h->out);
	h->ready = h->leaving = false;
}

/* The connection has served its time: what waits goes to a new one. */
static void h2_reopen(struct load_client *c)
{
	load_client_close(c);
	load.reconnects++;
	for (size_t i = 0; i < load.streams; i++) {
		if (c->state == LOAD_CLOSED && c->h2->streams[i].unit)
			load_client_open(c);
	}
}

/* Gathers what nghttp2 has to send; false when that failed. */
static bool h2_gather(struct load_client *c)
{
	struct load_h2 *h = c->h2;
	const uint8_t *data;
	ssize_t n = 0;
	buffer_take(&h->out, buffer_length(&h->out));
	h->inside = true;
	while (buffer_length(&h->out) < FLUSH_SIZE &&
		(n = nghttp2_session_mem_send(h->session, &data)) > 0)
		buffer_append(&h->out, data, (size_t)n);
	h->inside = false;
	if (n < 0)
		load_client_fail(c, nghttp2_strerror((int)n));
	return n >= 0;
}

void load_h2_flush(struct load_client *c)
{
	struct load_h2 *h = c->h2;
	if (h->inside)
		return; /* comes again when the event has been handled */
	/* What is being written must stay as it is. */
	while (c->state == LOAD_OPEN && c->out_length == 0 && h2_gather(c)) {
		if (h->leaving && load.mode->h2->held) {
			load_client_fail(c, "GOAWAY on a connection that was to stay");
			return;
		}
		if (h->leaving && h->n_open == 0) {
			h2_reopen(c);
			return;
		}
		if (buffer_length(&h->out) == 0)
			return;
		load_client_send(c, buffer_bytes(&h->out), buffer_length(&h->out));
	}
}
