#include "proxy/http/h2_stream.h"

#include <string.h>

#include "proxy/http/h2_head.h"

/* A segment of at least this size makes a frame of its own, so that it is not copied. */
#define WHOLE_SEGMENT 4096
/* How much wider the window of a stream gets whose reader keeps up. */
#define FAST_FACTOR 4
/* More of a request's body is not kept for another try. */
#define MAX_KEPT (16 * 1024)

/* "POL" and a byte: far from the codes of RFC 9113. */
#define RESET_CODES 0x504f4c00u
#define RESET_REFUSED 0x80u

_Static_assert(N_REASONS <= RESET_REFUSED, "each reason has its code");

uint32_t h2_reset_code(enum reason reason, bool is_refused)
{
	if (reason == REASON_NONE || reason == REASON_CLIENT_GONE || reason == REASON_TUNNEL_CUT)
		return NGHTTP2_CANCEL;
	return RESET_CODES + (uint32_t)reason + (is_refused ? RESET_REFUSED : 0);
}

enum reason h2_reset_reason(uint32_t error_code, bool *is_refused)
{
	uint32_t n = error_code - RESET_CODES;

	*is_refused = (n & RESET_REFUSED) != 0;
	n &= ~RESET_REFUSED;
	return n < N_REASONS ? (enum reason)n : REASON_NONE;
}

/* The session. */

int h2_session_receive(struct h2_session *self)
{
	struct bytes *input = conn_input(self->conn);

	while (bytes_size(input) > 0) {
		struct slice front = bytes_front(input);
		ssize_t n = nghttp2_session_mem_recv(self->ng, (const uint8_t *)front.p, front.n);

		if (n < 0)
			return (int)n;
		bytes_drain(input, front.n);
	}
	return 0;
}

int h2_session_send(struct h2_session *self)
{
	struct bytes *output = conn_output(self->conn);
	const uint8_t *p;
	ssize_t n;

	while (conn_output_room(self->conn) > 0) {
		n = nghttp2_session_mem_send(self->ng, &p);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		bytes_append(output, p, (size_t)n);
	}
	if (bytes_size(output) > 0)
		conn_flush(self->conn);
	return 0;
}

void h2_session_post(struct h2_session *self)
{
	notice_post(self->loop, &self->pump);
}

void h2_session_write_goaway(
	struct h2_session *self, int32_t last_stream_id, uint32_t error_code, const char *what)
{
	size_t n = strlen(what), size = 8 + n;
	uint8_t head[17] = {
		(uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, NGHTTP2_GOAWAY};

	for (unsigned i = 0; i < 4; i++) {
		head[9 + i] = (uint8_t)((uint32_t)last_stream_id >> (24 - 8 * i));
		head[13 + i] = (uint8_t)(error_code >> (24 - 8 * i));
	}
	bytes_append(conn_output(self->conn), head, sizeof(head));
	bytes_append(conn_output(self->conn), what, n);
	conn_flush(self->conn);
}

/* A stream. */

void h2_stream_init(struct h2_stream *self, struct h2_session *session, int32_t id)
{
	*self = (struct h2_stream){.session = session, .id = id};
	bytes_init(&self->staged);
	bytes_init(&self->kept);
	self->in_ms = self->out_ms = loop_now_ms(session->loop);
}

void h2_stream_close(struct h2_stream *self)
{
	bytes_clear(&self->staged);
	bytes_clear(&self->kept);
}

/* To the peer. */

/* What there is for a frame now. In a tunnel it is moved to `staged` first, for a close may be put
 * behind it. */
static size_t available(struct h2_stream *self, size_t max)
{
	size_t n;

	if (self->is_tunnel && self->ws != NULL) {
		if (bytes_size(&self->staged) == 0) {
			(void)ws_tunnel_to_client(self->ws, self->out, &self->staged, max,
				loop_now_ms(self->session->loop));
			if (self->on_sifted != NULL)
				self->on_sifted(self);
		}
		return MIN(bytes_size(&self->staged), max);
	}
	n = MIN(pipe_size(self->out), max);
	if (n > 0) {
		struct slice front = bytes_front(&self->out->bytes);

		if (front.n >= WHOLE_SEGMENT && front.n < n)
			n = front.n;
	}
	return self->has_out_length ? (size_t)MIN((uint64_t)n, self->out_left) : n;
}

static bool is_last(const struct h2_stream *self, size_t n)
{
	if (self->is_tunnel && self->ws != NULL)
		return n == bytes_size(&self->staged) &&
			(pipe_is_ended(self->out) || ws_tunnel_has_left(self->ws));
	if (self->has_out_length)
		return n == self->out_left;
	return self->out->has_end && n == pipe_size(self->out);
}

/* A body that ends before its length, or was broken off, must not look whole. */
static bool is_broken(const struct h2_stream *self)
{
	return self->is_out_broken || self->out->is_aborted ||
		(self->has_out_length && self->out->has_end && self->out_left > 0);
}

static void submit_trailers(struct h2_stream *self, uint32_t *flags)
{
	const struct fields *trailers = self->out_trailers != NULL ? *self->out_trailers : NULL;
	struct h2_lines lines;

	if (trailers == NULL || trailers->n == 0)
		return;
	lines = h2_head_write_trailers(trailers);
	if (lines.n > 0 &&
		nghttp2_submit_trailer(self->session->ng, self->id, lines.items, lines.n) == 0)
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
}

static ssize_t on_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
	nghttp2_data_source *source, void *arg)
{
	struct h2_stream *self = source->ptr;
	size_t n;

	(void)ng;
	(void)id;
	(void)buf;
	(void)arg;
	if (self->out == NULL && self->is_out_orderly) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		return 0;
	}
	/* The pipe's owner has gone: a reset is on its way. */
	if (self->out == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (self->is_out_held) {
		self->is_out_waiting = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	n = available(self, max);
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (is_last(self, n)) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		submit_trailers(self, flags);
	} else if (n == 0) {
		if (is_broken(self))
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		self->is_out_waiting = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

/* The first n bytes of `out` are about to be taken. */
static void keep(struct h2_stream *self, size_t n)
{
	struct iovec iov[4];
	int n_iov = bytes_vectors(&self->out->bytes, iov, ARRAY_LEN(iov), n);
	size_t total = 0;

	for (int i = 0; i < n_iov; i++)
		total += iov[i].iov_len;
	if (total < n || bytes_size(&self->kept) + n > MAX_KEPT) {
		h2_stream_keep(self, false);
		return;
	}
	for (int i = 0; i < n_iov; i++)
		bytes_append(&self->kept, iov[i].iov_base, iov[i].iov_len);
}

void h2_stream_keep(struct h2_stream *self, bool is_on)
{
	self->is_keeping = is_on;
	if (!is_on)
		bytes_clear(&self->kept);
}

bool h2_stream_put_back(struct h2_stream *self, struct pipe *to)
{
	bool is_whole = self->n_out == bytes_size(&self->kept);

	if (is_whole && self->n_out > 0)
		pipe_put_back(to, &self->kept);
	return is_whole;
}

static int on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t n,
	nghttp2_data_source *source, void *arg)
{
	struct h2_stream *self = source->ptr;
	struct h2_session *session = arg;
	struct bytes *output = conn_output(session->conn);
	bool is_watched;
	size_t there;

	(void)ng;
	(void)frame;
	if (conn_output_room(session->conn) == 0)
		return NGHTTP2_ERR_WOULDBLOCK;
	/* Between the reading and now the stream may have been given up. */
	if (self->out == NULL && n > 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (n == 0) {
		bytes_append(output, head, 9);
		return 0;
	}
	is_watched = self->is_tunnel && self->ws != NULL;
	there = is_watched ? bytes_size(&self->staged) : pipe_size(self->out);
	if (there < n)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (self->out_mark <= conn_bytes_sent(session->conn))
		self->n_out_before = self->n_out;
	bytes_append(output, head, 9);
	if (self->is_keeping)
		keep(self, n);
	if (is_watched)
		bytes_move(output, &self->staged, n);
	else
		(void)pipe_take(self->out, output, n);
	self->n_out += n;
	if (self->has_out_length)
		self->out_left -= n;
	self->out_mark = conn_bytes_sent(session->conn) + bytes_size(output);
	self->out_ms = session->out_ms = loop_now_ms(session->loop);
	return 0;
}

void h2_stream_set_callbacks(nghttp2_session_callbacks *callbacks)
{
	nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
}

nghttp2_data_provider h2_stream_provider(struct h2_stream *self)
{
	return (nghttp2_data_provider){.source.ptr = self, .read_callback = on_read};
}

void h2_stream_wake(struct h2_stream *self)
{
	if (!self->is_out_waiting)
		return;
	self->is_out_waiting = false;
	self->out_ms = loop_now_ms(self->session->loop);
	(void)nghttp2_session_resume_data(self->session->ng, self->id);
	h2_session_post(self->session);
}

uint64_t h2_stream_stalled_since_ms(const struct h2_stream *self)
{
	if (self->out == NULL || (pipe_size(self->out) == 0 && bytes_size(&self->staged) == 0))
		return TIMER_NEVER;
	return nghttp2_session_get_stream_remote_window_size(self->session->ng, self->id) > 0
		? MAX(self->out_ms, self->session->out_ms)
		: self->out_ms;
}

uint64_t h2_stream_n_sent(const struct h2_stream *self)
{
	return self->out_mark <= conn_bytes_sent(self->session->conn) ? self->n_out
								      : self->n_out_before;
}

/* From the peer. */

void h2_stream_on_taken(void *arg)
{
	struct h2_stream *self = arg;

	self->in_ms = loop_now_ms(self->session->loop);
	h2_stream_settle(self);
	pipe_watch_takes(self->in);
	h2_session_post(self->session);
}

void h2_stream_set_in(struct h2_stream *self, struct pipe *in)
{
	self->in = in;
	/* The writer is told when half of the limit is free. What is beyond the limit when the
	 * peer has used up its window is at least half of that, so that an update is due then. */
	in->limit = MIN(in->limit, self->session->window_size / 2);
	pipe_set_writer(in, h2_stream_on_taken, self);
}

static void put_tunnel(struct h2_stream *self, const uint8_t *p, size_t n)
{
	struct bytes data;

	bytes_init(&data);
	bytes_append(&data, p, n);
	(void)ws_tunnel_to_backend(self->ws, &data, self->in, loop_now_ms(self->session->loop));
	bytes_clear(&data);
	/* The client has answered our close: that was the last of it. */
	if (ws_tunnel_has_left(self->ws))
		h2_stream_wake(self);
}

void h2_stream_put(struct h2_stream *self, const uint8_t *p, size_t n)
{
	self->in_ms = loop_now_ms(self->session->loop);
	if (self->in == NULL || self->in->has_end || self->in->is_aborted) {
		(void)nghttp2_session_consume(self->session->ng, self->id, n);
		return;
	}
	self->n_in += n;
	self->session->n_queued += n;
	if (self->ws != NULL)
		put_tunnel(self, p, n);
	else
		pipe_put_copy(self->in, p, n);
	/* However little it is: the connection's window may be used up by many such. */
	pipe_watch_takes(self->in);
	h2_stream_settle(self);
}

/*
 * nghttp2 updates the connection's window when half of it was taken. Where much of it waits in
 * streams that nobody reads, the others would never take so much: then what they took is given back
 * as soon as it is no less than what the peer has left.
 */
static void credit_connection(struct h2_session *self)
{
	int32_t received = nghttp2_session_get_effective_recv_data_length(self->ng);
	int64_t taken = (int64_t)received - (int64_t)self->n_queued;

	if (taken > 0 &&
		taken >= nghttp2_session_get_effective_local_window_size(self->ng) - received)
		(void)nghttp2_submit_window_update(self->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)taken);
}

/* n of the bytes that wait have been taken, or dropped. */
static void consume(struct h2_stream *self, uint64_t n)
{
	self->session->n_queued -= n;
	(void)nghttp2_session_consume(self->session->ng, self->id, (size_t)n);
	credit_connection(self->session);
}

/*
 * A body whose reader takes the bytes as they come may be sent further ahead: there are fewer
 * updates, and on a long way more bytes under way. One that is read slowly, or not at all, holds no
 * more than the window that was told. Tunnels live long and are many: theirs stays.
 */
static bool is_reader_fast(const struct h2_stream *self, uint64_t waiting)
{
	return self->ws == NULL && self->n_credited >= self->session->window_size / 2 &&
		waiting <= self->session->window_size / 8;
}

static void widen_window(struct h2_stream *self)
{
	uint64_t size = (uint64_t)self->session->window_size * FAST_FACTOR;

	self->is_in_fast = true;
	(void)nghttp2_session_set_local_window_size(self->session->ng, NGHTTP2_FLAG_NONE, self->id,
		(int32_t)MIN(size, (uint64_t)INT32_MAX));
}

void h2_stream_settle(struct h2_stream *self)
{
	uint64_t waiting = pipe_size(self->in), taken;

	/* A close that was put between frames is in the pipe and has come from nobody. */
	if (waiting > self->n_in - self->n_credited)
		return;
	taken = self->n_in - self->n_credited - waiting;
	if (taken == 0)
		return;
	self->n_credited += taken;
	if (!self->is_in_fast && is_reader_fast(self, waiting))
		widen_window(self);
	consume(self, taken);
}

void h2_stream_leave_in(struct h2_stream *self)
{
	uint64_t rest = self->n_in - self->n_credited;

	if (self->in == NULL)
		return;
	pipe_set_writer(self->in, NULL, NULL);
	self->in = NULL;
	self->n_credited = self->n_in;
	if (rest > 0)
		consume(self, rest);
}
