/* What nghttp2 tells of frames that came. It calls from inside our calls: what there is to tell is
 * noted as due. */
#include "proxy/http/h2_client_private.h"

static struct h2_client *client_of(void *arg)
{
	return CONTAINER_OF((struct h2_session *)arg, struct h2_client, session);
}

static struct h2_client_stream *stream_of(struct h2_client *self, int32_t id)
{
	return nghttp2_session_get_stream_user_data(self->session.ng, id);
}

static bool is_live(const struct h2_client_stream *stream)
{
	return stream != NULL && stream->fetch != NULL;
}

/* Heads. */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_client_stream *stream = stream_of(client_of(arg), frame->hd.stream_id);

	(void)ng;
	/* Once a tunnel stands the arena may be gone; nothing belongs into it any more. */
	if (!is_live(stream) || (stream->has_final && stream->is_websocket))
		return 0;
	stream->section = arena_alloc(stream->fetch->arena, sizeof(*stream->section));
	h2_head_start(stream->section, stream->fetch->arena);
	return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *arg)
{
	struct h2_client_stream *stream = stream_of(client_of(arg), frame->hd.stream_id);

	(void)ng;
	(void)flags;
	if (is_live(stream) && stream->section != NULL)
		h2_head_add(stream->section, &h2_client_limits,
			slice_of((const char *)name, name_size),
			slice_of((const char *)value, value_size));
	return 0;
}

/* By default nghttp2 would leave such lines out. */
static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *arg)
{
	struct h2_client_stream *stream = stream_of(client_of(arg), frame->hd.stream_id);

	(void)ng;
	(void)name;
	(void)name_size;
	(void)value;
	(void)value_size;
	(void)flags;
	if (is_live(stream)) {
		stream->reason = REASON_BACKEND_PROTOCOL;
		stream->why = "response has a malformed field";
	}
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void reset(struct h2_client_stream *stream, const char *why)
{
	stream->reason = REASON_BACKEND_PROTOCOL;
	stream->why = why;
	(void)nghttp2_submit_rst_stream(stream->client->session.ng, NGHTTP2_FLAG_NONE,
		stream->base.id, NGHTTP2_PROTOCOL_ERROR);
}

/* All of them together may be no larger than one head. */
static void take_interim(struct h2_client_stream *stream, const struct response_head *head)
{
	struct h2_interim *interim = arena_alloc(stream->fetch->arena, sizeof(*interim)), **end;

	stream->n_interim += stream->section->size;
	if (stream->n_interim > h2_client_limits.max_head_size) {
		reset(stream, "too many interim responses");
		return;
	}
	*interim = (struct h2_interim){.head = *head};
	for (end = &stream->interim; *end != NULL;)
		end = &(*end)->next;
	*end = interim;
	h2_client_set_due(stream, DUE_INTERIM);
}

static void take_head(struct h2_client_stream *stream, bool is_ended)
{
	struct fetch *fetch = stream->fetch;
	struct response_head *head = arena_alloc(fetch->arena, sizeof(*head));
	const char *why = h2_head_to_response(stream->section, fetch->req->method, is_ended, head);

	if (why != NULL) {
		reset(stream, why);
		return;
	}
	if (head->status < 200) {
		if (is_ended)
			reset(stream, "the response ends with an interim head");
		else
			take_interim(stream, head);
		return;
	}
	/* What accepts an extended CONNECT is a 101 between the codecs (ws_upgrade.h). */
	if (stream->is_websocket && head->status < 300) {
		head->status = 101;
		head->is_upgrade = true;
		head->has_content_length = false;
		head->body = BODY_NONE;
	} else {
		stream->is_websocket = false;
	}
	stream->has_final = true;
	stream->has_length = head->body == BODY_LENGTH;
	stream->length = head->content_length;
	stream->head = head;
	h2_client_set_due(stream, DUE_HEAD);
}

static void take_section(struct h2_client_stream *stream, bool is_ended)
{
	struct fetch *fetch = stream->fetch;

	if (stream->section == NULL)
		return;
	if (!stream->has_final)
		take_head(stream, is_ended);
	else if (fetch->res_trailers != NULL)
		*fetch->res_trailers = h2_head_to_trailers(stream->section);
	stream->section = NULL;
}

static void on_message(struct h2_client *self, const nghttp2_frame *frame)
{
	struct h2_client_stream *stream = stream_of(self, frame->hd.stream_id);
	bool is_ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	if (!is_live(stream))
		return;
	stream->base.in_ms = loop_now_ms(self->session.loop);
	if (frame->hd.type == NGHTTP2_HEADERS)
		take_section(stream, is_ended);
	if (is_ended && stream->has_final) {
		stream->base.is_in_ended = true;
		h2_client_set_due(stream, DUE_END);
	}
}

static void take_settings(struct h2_client *self)
{
	uint32_t allowed = nghttp2_session_get_remote_settings(
		self->session.ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	self->max_streams = MIN(self->options.max_streams, allowed);
	self->has_settings = true;
	self->base.is_unsettled = false;
	self->is_room_due = true;
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_client *self = client_of(arg);

	(void)ng;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		on_message(self, frame);
		break;
	case NGHTTP2_SETTINGS:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
			take_settings(self);
		break;
	case NGHTTP2_GOAWAY:
		self->is_going_away = true;
		self->is_room_due = true;
		break;
	default:
		break;
	}
	return 0;
}

static int on_data(
	nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct h2_client_stream *stream = stream_of(client_of(arg), id);

	(void)flags;
	if (is_live(stream))
		h2_stream_put(&stream->base, p, n);
	else
		(void)nghttp2_session_consume(ng, id, n);
	return 0;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2_client_stream *stream = stream_of(client_of(arg), frame->hd.stream_id);

	(void)ng;
	if (is_live(stream) && stream->reason == REASON_NONE) {
		stream->reason = stream->has_final ? REASON_BACKEND_CUT : REASON_BACKEND_PROTOCOL;
		stream->why = nghttp2_strerror(error);
	}
	return 0;
}

/* The response's time runs from here. */
static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_client *self = client_of(arg);
	struct h2_client_stream *stream;

	(void)ng;
	if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
		(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	stream = stream_of(self, frame->hd.stream_id);
	if (is_live(stream)) {
		stream->base.is_out_ended = true;
		stream->request_ms = loop_now_ms(self->session.loop);
	}
	return 0;
}

/* Also for a stream that nghttp2 has given up before its HEADERS were sent. */
static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error_code, void *arg)
{
	struct h2_client_stream *stream = stream_of(client_of(arg), id);

	(void)ng;
	if (stream == NULL)
		return 0;
	stream->error_code = error_code;
	stream->is_forgotten = true;
	h2_client_set_due(stream, DUE_CLOSED);
	return 0;
}

/* A request that was queued when a GOAWAY came: the server has not seen it. */
static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2_client *self = client_of(arg);
	struct h2_client_stream *stream;

	(void)ng;
	(void)error;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	TAILQ_FOREACH (stream, &self->streams, link) {
		if (stream->base.id != frame->hd.stream_id || stream->is_forgotten)
			continue;
		stream->error_code = NGHTTP2_REFUSED_STREAM;
		stream->is_forgotten = true;
		h2_client_set_due(stream, DUE_CLOSED);
	}
	return 0;
}

nghttp2_session_callbacks *h2_client_callbacks(void)
{
	static nghttp2_session_callbacks *callbacks;

	if (callbacks != NULL)
		return callbacks;
	ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	h2_stream_set_callbacks(callbacks);
	return callbacks;
}
