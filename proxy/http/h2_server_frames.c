/* What nghttp2 tells of frames that came and went. It calls from inside our calls: what there is to
 * do is noted as due. */
#include "proxy/http/h2_server_private.h"

#include "proxy/base/log.h"

/* nghttp2 has a limit of its own, which ends without an error code that says why. */
#define MAX_CONTINUATIONS 8
/* We have not asked for more (SETTINGS_MAX_FRAME_SIZE). */
#define MAX_FRAME_SIZE 16384

static struct h2_server *server_of(void *arg)
{
	return CONTAINER_OF((struct h2_session *)arg, struct h2_server, session);
}

static struct h2_server_stream *stream_of(struct h2_server *self, int32_t id)
{
	return nghttp2_session_get_stream_user_data(self->session.ng, id);
}

/* Ends the session from within a callback; whoever called nghttp2 has the rest. */
static int fail(struct h2_server *self, uint32_t error_code, const char *what)
{
	self->failure = error_code;
	self->failure_reason = error_code == NGHTTP2_ENHANCE_YOUR_CALM ? REASON_HTTP2_ABUSE
								       : REASON_HTTP2_PROTOCOL;
	self->failure_text = what;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* Between workers a connection is that of all clients: what some of them do is not to end it. */
static int spend(struct h2_server *self, uint32_t cost, const char *what)
{
	if (self->listen->is_between_workers)
		return 0;
	if (LIKELY(h2_budget_spend(&self->budget, loop_now_ms(self->session.loop), cost)))
		return 0;
	return fail(self, NGHTTP2_ENHANCE_YOUR_CALM, what);
}

/* What nghttp2 lets pass. */

/* RFC 9113 section 5.1.1: numbers of streams only grow. Those that were left out are kept, for a
 * late one of these would look like trailers of a stream that is closed. */
static int check_number(struct h2_server *self, int32_t id)
{
	if (id > self->last_id) {
		if (id > self->last_id + 2) {
			self->skipped[self->n_skipped++ % H2_MAX_SKIPPED] =
				(struct h2_skipped){self->last_id + 2, id - 2};
		}
		self->last_id = id;
		return 0;
	}
	for (size_t i = 0; i < MIN(self->n_skipped, (uint32_t)H2_MAX_SKIPPED); i++)
		if (id >= self->skipped[i].first && id <= self->skipped[i].last)
			return fail(self, NGHTTP2_PROTOCOL_ERROR,
				"a stream's number is below that of an earlier one");
	return 0;
}

/* Sections 4.2 and 6.3. */
static int check_frame(struct h2_server *self, const nghttp2_frame_hd *hd)
{
	if (hd->type == NGHTTP2_CONTINUATION && hd->length > MAX_FRAME_SIZE)
		return fail(self, NGHTTP2_FRAME_SIZE_ERROR, "a frame is too large");
	if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0)
		return fail(self, NGHTTP2_PROTOCOL_ERROR, "PRIORITY on stream 0");
	if (hd->type == NGHTTP2_HEADERS && hd->stream_id % 2 == 1)
		return check_number(self, hd->stream_id);
	return 0;
}

/* The budget is charged at the head of a frame, before any work is done for it. */
static int charge_frame(struct h2_server *self, const nghttp2_frame_hd *hd)
{
	bool has_end = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;

	if (hd->type != NGHTTP2_CONTINUATION) {
		self->n_continuations = 0;
		self->head_started_us = 0;
	}
	switch (hd->type) {
	case NGHTTP2_DATA:
		return hd->length == 0 && !has_end
			? spend(self, H2_COST_EMPTY_FRAME, "too many empty frames")
			: 0;
	case NGHTTP2_HEADERS:
		/* Trailers that crossed our reset: nghttp2 drops them without a word. */
		if (hd->stream_id <= self->last_id && stream_of(self, hd->stream_id) == NULL)
			return spend(
				self, H2_COST_OTHER_FRAME, "too many frames of closed streams");
		self->head_started_us = loop_now_us(self->session.loop);
		h2_server_look_in(self, self->listen->header_timeout_ms);
		return hd->length == 0 ? spend(self, H2_COST_EMPTY_FRAME, "too many empty frames")
				       : 0;
	case NGHTTP2_CONTINUATION:
		if (++self->n_continuations > MAX_CONTINUATIONS &&
			!self->listen->is_between_workers)
			return fail(
				self, NGHTTP2_ENHANCE_YOUR_CALM, "too many CONTINUATION frames");
		return spend(self, H2_COST_CONTINUATION, "too many CONTINUATION frames");
	case NGHTTP2_SETTINGS:
		return (hd->flags & NGHTTP2_FLAG_ACK) != 0
			? 0
			: spend(self, H2_COST_SETTINGS, "too many SETTINGS frames");
	case NGHTTP2_PING:
		return spend(self, H2_COST_PING, "too many PING frames");
	case NGHTTP2_PRIORITY:
	case NGHTTP2_PRIORITY_UPDATE:
		return spend(self, H2_COST_PRIORITY, "too many PRIORITY frames");
	case NGHTTP2_WINDOW_UPDATE:
		return spend(self, H2_COST_WINDOW_UPDATE, "too many WINDOW_UPDATE frames");
	case NGHTTP2_RST_STREAM:
		return spend(self, H2_COST_RESET, "too many resets");
	default:
		return spend(self, H2_COST_OTHER_FRAME, "too many frames");
	}
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg)
{
	struct h2_server *self = server_of(arg);
	int error = charge_frame(self, hd);

	if (hd->type == NGHTTP2_SETTINGS)
		self->n_queued = nghttp2_session_get_outbound_queue_size(ng);
	return error != 0 ? error : check_frame(self, hd);
}

/* Heads. */

static void begin_section(struct h2_server_stream *stream)
{
	struct exchange *x = &stream->x;

	/* Section 8.5: a tunnel has no trailers, and no arena to keep them in. */
	if (x->state == EXCHANGE_TUNNEL)
		(void)nghttp2_submit_rst_stream(stream->server->session.ng, NGHTTP2_FLAG_NONE,
			stream->base.id, NGHTTP2_PROTOCOL_ERROR);
	if (x->state == EXCHANGE_TUNNEL || x->state == EXCHANGE_OVER)
		return;
	stream->section = arena_alloc(&x->arena, sizeof(*stream->section));
	h2_head_start(stream->section, &x->arena);
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_server *self = server_of(arg);
	int32_t id = frame->hd.stream_id;
	struct h2_server_stream *stream;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
		stream = stream_of(self, id);
		if (stream != NULL)
			begin_section(stream);
		return 0;
	}
	/* Those that were given up count until their work is. */
	if (self->n_streams >= (uint32_t)self->listen->http2_max_streams) {
		(void)nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
		return 0;
	}
	stream = h2_server_stream_new(self, id);
	begin_section(stream);
	(void)nghttp2_session_set_stream_user_data(ng, id, stream);
	return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *arg)
{
	struct h2_server *self = server_of(arg);
	struct h2_server_stream *stream = stream_of(self, frame->hd.stream_id);
	struct h1_limits limits = h2_server_limits(self);

	(void)ng;
	(void)flags;
	if (stream != NULL && stream->section != NULL)
		h2_head_add(stream->section, &limits, slice_of((const char *)name, name_size),
			slice_of((const char *)value, value_size));
	return 0;
}

/* By default nghttp2 would leave such lines out. */
static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *arg)
{
	struct h2_server_stream *stream = stream_of(server_of(arg), frame->hd.stream_id);

	(void)ng;
	(void)name;
	(void)name_size;
	(void)value;
	(void)value_size;
	(void)flags;
	if (stream != NULL)
		stream->reason = REASON_BAD_REQUEST;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

void h2_server_end_input(struct h2_server_stream *stream)
{
	stream->base.is_in_ended = true;
	if (stream->base.ws != NULL)
		ws_tunnel_end_client(stream->base.ws);
	if (stream->base.in != NULL)
		pipe_put_end(stream->base.in);
}

/* What came of a stream whose exchange is not over: its message goes on. */
static void on_message(struct h2_server *self, const nghttp2_frame *frame)
{
	struct h2_server_stream *stream = stream_of(self, frame->hd.stream_id);

	if (stream == NULL)
		return;
	if (frame->hd.type == NGHTTP2_HEADERS && stream->section != NULL) {
		if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
			stream->head = stream->section;
			h2_server_set_due(stream, DUE_REQUEST);
		} else {
			stream->x.req_trailers = h2_head_to_trailers(stream->section);
		}
		stream->section = NULL;
	}
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		h2_server_end_input(stream);
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_server *self = server_of(arg);

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		self->head_started_us = 0;
		on_message(self, frame);
		break;
	case NGHTTP2_SETTINGS:
		/* Beside the answer, nghttp2 resets streams whose windows it could not widen: that
		 * is an error of the connection (section 6.9.2). */
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 &&
			nghttp2_session_get_outbound_queue_size(ng) > self->n_queued + 1)
			return fail(self, NGHTTP2_FLOW_CONTROL_ERROR,
				"a window is larger than 2^31 - 1");
		break;
	case NGHTTP2_DATA:
		on_message(self, frame);
		if (frame->data.padlen > 0 && frame->data.padlen == frame->hd.length &&
			(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
			return spend(self, H2_COST_EMPTY_FRAME, "too many empty frames");
		break;
	case NGHTTP2_PING:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && self->goaway == GOAWAY_NOTICE)
			self->is_final_due = true;
		break;
	default:
		break;
	}
	return 0;
}

/* Frames of types that are not known are asked for, so that they can be charged; nothing comes of
 * them. */
static int on_unknown_frame(
	nghttp2_session *ng, void **payload, const nghttp2_frame_hd *hd, void *arg)
{
	(void)ng;
	(void)payload;
	(void)hd;
	(void)arg;
	return NGHTTP2_ERR_CANCEL;
}

void h2_server_stop_request(struct h2_server_stream *stream)
{
	if (!stream->is_forgotten)
		(void)nghttp2_submit_rst_stream(stream->server->session.ng, NGHTTP2_FLAG_NONE,
			stream->base.id, NGHTTP2_NO_ERROR);
	h2_session_post(&stream->server->session);
}

/* A response may be over before its request. */
static void on_end_sent(struct h2_server *self, struct h2_server_stream *stream)
{
	stream->base.is_out_ended = true;
	if (stream->base.is_in_ended)
		return;
	if (stream->base.is_tunnel) {
		h2_server_look_for_end(stream);
		return;
	}
	stream->linger_ms = loop_now_ms(self->session.loop);
	h2_stream_leave_in(&stream->base);
	h2_server_set_due(stream, DUE_LINGER);
	h2_server_look_in(self, H2_LINGER_MS);
}

static void skip(struct h2_server_stream *stream, size_t n)
{
	bool was_little = stream->n_skipped <= H2_MAX_SKIPPED_BODY;

	stream->n_skipped += n;
	if (was_little && stream->n_skipped > H2_MAX_SKIPPED_BODY)
		h2_server_stop_request(stream);
}

static int on_data(
	nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct h2_server *self = server_of(arg);
	struct h2_server_stream *stream = stream_of(self, id);
	struct exchange *x;

	(void)flags;
	if (stream != NULL && stream->linger_ms != 0)
		skip(stream, n);
	if (stream == NULL || stream->refusal != REASON_NONE || stream->linger_ms != 0) {
		(void)nghttp2_session_consume(ng, id, n);
		return 0;
	}
	x = &stream->x;
	x->n_request_body += n;
	/* A tunnel that is agreed on has no body, though it may not stand yet. */
	if (x->max_body_size > 0 && x->n_request_body > x->max_body_size && !x->is_upgrade) {
		stream->refusal = REASON_BODY_TOO_LARGE;
		h2_server_set_due(stream, DUE_REFUSAL);
		(void)nghttp2_session_consume(ng, id, n);
		return 0;
	}
	h2_stream_put(&stream->base, p, n);
	if (stream->base.on_sifted != NULL)
		stream->base.on_sifted(&stream->base);
	if (stream->base.is_tunnel)
		h2_server_look_for_end(stream);
	if (!stream->base.is_in_ended)
		h2_server_look_in(self, self->listen->body_timeout_ms);
	return 0;
}

/* Errors and ends. */

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2_server *self = server_of(arg);
	struct h2_server_stream *stream = stream_of(self, frame->hd.stream_id);
	/* Trailers are a part of the request too. */
	bool is_message = error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING;

	(void)ng;
	self->head_started_us = 0;
	if (stream != NULL && stream->reason == REASON_NONE)
		stream->reason = stream->state == STREAM_HEAD || is_message ? REASON_BAD_REQUEST
									    : REASON_HTTP2_PROTOCOL;
	return 0;
}

/* Resets that the client has brought about, and not we or the backend. */
static bool is_clients_fault(uint32_t error_code)
{
	return error_code != NGHTTP2_NO_ERROR && error_code != NGHTTP2_INTERNAL_ERROR &&
		error_code != NGHTTP2_CANCEL;
}

static void log_goaway(struct h2_server *self, const nghttp2_goaway *goaway)
{
	char text[128];

	if (goaway->error_code == NGHTTP2_NO_ERROR)
		return;
	if (goaway->opaque_data_len > 0)
		h2_server_log(self,
			log_escape(text, sizeof(text),
				slice_of((const char *)goaway->opaque_data,
					goaway->opaque_data_len)));
	else
		h2_server_log(self, nghttp2_http2_strerror(goaway->error_code));
}

/* A body that does not come to its content-length is reset by nghttp2 without a word to us (RFC
 * 9113 section 8.1.1). */
static void note_reset(struct h2_server *self, const nghttp2_frame *frame)
{
	struct h2_server_stream *stream = stream_of(self, frame->hd.stream_id);

	if (stream != NULL && stream->reason == REASON_NONE &&
		frame->rst_stream.error_code == NGHTTP2_PROTOCOL_ERROR)
		stream->reason = REASON_BAD_REQUEST;
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_server *self = server_of(arg);
	struct h2_server_stream *stream = stream_of(self, frame->hd.stream_id);

	(void)ng;
	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		h2_budget_earn(&self->budget, 2 * H2_COST_WINDOW_UPDATE);
		if (stream != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
			on_end_sent(self, stream);
		break;
	case NGHTTP2_HEADERS:
		if (stream != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
			on_end_sent(self, stream);
		break;
	case NGHTTP2_RST_STREAM:
		note_reset(self, frame);
		return is_clients_fault(frame->rst_stream.error_code)
			? spend(self, H2_COST_RESET, "too many resets")
			: 0;
	case NGHTTP2_GOAWAY:
		log_goaway(self, &frame->goaway);
		break;
	default:
		break;
	}
	return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error_code, void *arg)
{
	struct h2_server_stream *stream = stream_of(server_of(arg), id);

	(void)ng;
	if (stream == NULL)
		return 0;
	stream->error_code = error_code;
	stream->is_forgotten = true;
	h2_server_set_due(stream, DUE_CLOSED);
	return 0;
}

nghttp2_session_callbacks *h2_server_callbacks(void)
{
	static nghttp2_session_callbacks *callbacks;

	if (callbacks != NULL)
		return callbacks;
	ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0);
	nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
	h2_stream_set_callbacks(callbacks);
	return callbacks;
}
