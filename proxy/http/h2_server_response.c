/* What the client gets: heads, the bodies behind them, resets. */
#include "proxy/http/h2_server_private.h"
#include "proxy/http/priority.h"

/* The response pipe has news. */
static void on_body(void *arg)
{
	struct h2_server_stream *stream = arg;

	h2_stream_wake(&stream->base);
	h2_server_look_in(stream->server, stream->server->listen->write_timeout_ms);
}

static bool has_body(const struct response_head *res)
{
	switch (res->body) {
	case BODY_NONE:
		return res->is_upgrade;
	case BODY_LENGTH:
		return res->content_length > 0;
	case BODY_CHUNKED:
	case BODY_CLOSE:
		return true;
	}
	return false;
}

/* RFC 9218 section 8: what the backend says of its response comes before the client's wish. */
static void set_priority(struct h2_server_stream *stream, const struct response_head *res)
{
	const struct field *field = fields_find(&res->fields, FIELD_PRIORITY);
	struct priority priority = PRIORITY_DEFAULT;
	nghttp2_extpri merged;

	if (LIKELY(field == NULL))
		return;
	priority_read(&priority, fields_value(&stream->x.req->fields, FIELD_PRIORITY));
	priority_read(&priority, field->value);
	merged = (nghttp2_extpri){.urgency = priority.urgency, .inc = priority.is_incremental};
	(void)nghttp2_session_change_extpri_stream_priority(
		stream->server->session.ng, stream->base.id, &merged, 1);
}

static void codec_respond(struct exchange *x)
{
	struct h2_server_stream *stream = x->codec_data;
	struct h2_server *self = stream->server;
	struct h2_lines lines = h2_head_write_response(x->res);
	nghttp2_data_provider provider = h2_stream_provider(&stream->base);
	bool with_body = has_body(x->res);

	stream->is_head_written = true;
	if (stream->is_forgotten)
		return;
	if (with_body) {
		stream->base.out = &x->res_body;
		stream->base.out_trailers = (const struct fields *const *)&x->res_trailers;
		stream->base.has_out_length = x->res->body == BODY_LENGTH;
		stream->base.out_left = x->res->content_length;
		stream->base.out_ms = loop_now_ms(self->session.loop);
		pipe_set_reader(&x->res_body, on_body, stream);
		h2_server_look_in(self, self->listen->write_timeout_ms);
	} else {
		pipe_close_reader(&x->res_body);
	}
	if (x->is_upgrade) {
		/* As the client gets it, which another worker may have over HTTP/1.1. */
		x->status = exchange_version(x) == 20 ? 200 : 101;
		h2_server_set_due(stream, DUE_TUNNEL);
	}
	(void)nghttp2_submit_response(self->session.ng, stream->base.id, lines.items, lines.n,
		with_body ? &provider : NULL);
	set_priority(stream, x->res);
	x->has_head_left = true;
	h2_session_post(&self->session);
}

static void codec_respond_interim(struct exchange *x, const struct response_head *head)
{
	struct h2_server_stream *stream = x->codec_data;
	struct h2_lines lines = h2_head_write_response(head);

	if (stream->is_forgotten)
		return;
	(void)nghttp2_submit_headers(stream->server->session.ng, NGHTTP2_FLAG_NONE, stream->base.id,
		NULL, lines.items, lines.n, NULL);
	h2_session_post(&stream->server->session);
}

static void codec_abort(struct exchange *x)
{
	struct h2_server_stream *stream = x->codec_data;

	if (stream->is_forgotten)
		return;
	/* RFC 8441 section 5: a tunnel that is reset. */
	if (x->is_upgrade) {
		(void)nghttp2_submit_rst_stream(stream->server->session.ng, NGHTTP2_FLAG_NONE,
			stream->base.id, NGHTTP2_CANCEL);
	} else if (!stream->is_head_written || stream->base.out == NULL ||
		pipe_size(stream->base.out) == 0) {
		(void)nghttp2_submit_rst_stream(stream->server->session.ng, NGHTTP2_FLAG_NONE,
			stream->base.id, NGHTTP2_INTERNAL_ERROR);
	} else {
		/* What there is still goes; the reset stands for the rest. */
		stream->base.is_out_broken = true;
		h2_stream_wake(&stream->base);
	}
	h2_session_post(&stream->server->session);
}

static size_t codec_unacknowledged(struct exchange *x)
{
	struct h2_server_stream *stream = x->codec_data;
	struct conn *conn = stream->server->session.conn;

	/* The queues of the conn are those of all streams: more than ours, never less. */
	return bytes_size(&stream->base.staged) + bytes_size(conn_output(conn)) +
		conn_unacknowledged(conn);
}

const struct exchange_codec h2_server_codec = {
	.respond = codec_respond,
	.respond_interim = codec_respond_interim,
	.abort = codec_abort,
	.unacknowledged = codec_unacknowledged,
};

void h2_server_become_tunnel(struct h2_server_stream *stream)
{
	struct h2_server *self = stream->server;

	if (stream->x.state != EXCHANGE_RESPONDING)
		return;
	/* Trailers are coming in, into the arena that goes now: an error in a tunnel. */
	if (stream->section != NULL)
		(void)nghttp2_submit_rst_stream(self->session.ng, NGHTTP2_FLAG_NONE,
			stream->base.id, NGHTTP2_PROTOCOL_ERROR);
	stream->section = NULL;
	exchange_become_tunnel(&stream->x);
	stream->base.is_tunnel = true;
	if (self->is_draining && !stream->x.says_farewell)
		ws_tunnel_leave(stream->base.ws);
	h2_server_look_for_fault(stream);
	stream->base.in_ms = stream->base.out_ms = loop_now_ms(self->session.loop);
	h2_stream_wake(&stream->base);
	h2_server_look_in(self, (int64_t)stream->x.tunnel_timeout_ms);
	h2_server_look_at(self, ws_tunnel_deadline(stream->base.ws));
}

void h2_server_look_for_end(struct h2_server_stream *stream)
{
	const struct ws_tunnel *ws = stream->base.ws;
	/* Who could not be told has nothing to answer. */
	bool is_over = ws_tunnel_has_left(ws) || (ws->to_backend.is_told && !ws->to_client.is_told);

	if (!is_over || !stream->base.is_out_ended || stream->base.is_in_ended)
		return;
	/* The backend gets what stands before our close, and then the end. */
	if (stream->base.in != NULL)
		pipe_put_end(stream->base.in);
	h2_server_stop_request(stream);
}

void h2_server_flush_tunnel(struct h2_server_stream *stream)
{
	struct pipe *in = stream->base.in;
	struct bytes nothing;

	bytes_init(&nothing);
	if (in != NULL && !in->has_end && !in->is_aborted)
		(void)ws_tunnel_to_backend(
			stream->base.ws, &nothing, in, loop_now_ms(stream->server->session.loop));
	h2_stream_wake(&stream->base);
	h2_server_look_for_end(stream);
}

void h2_server_look_for_fault(struct h2_server_stream *stream)
{
	if (stream->base.is_tunnel && ws_tunnel_fault(stream->base.ws) != REASON_NONE &&
		stream->x.reason == REASON_NONE)
		h2_server_set_due(stream, DUE_FAULT);
}

void h2_server_on_sifted(struct h2_stream *base)
{
	struct h2_server_stream *stream = CONTAINER_OF(base, struct h2_server_stream, base);

	h2_server_look_for_fault(stream);
	h2_server_look_at(stream->server, ws_tunnel_deadline(base->ws));
}

bool h2_server_tick_tunnel(struct h2_server_stream *stream, uint64_t now_ms)
{
	struct exchange *x = &stream->x;
	struct ws_guard_links links;

	if (ws_tunnel_deadline(stream->base.ws) > now_ms)
		return true;
	links = exchange_links(x);
	if (!ws_tunnel_tick(stream->base.ws, &links, now_ms)) {
		h2_server_stream_cut(stream, ws_tunnel_fault(stream->base.ws), NGHTTP2_CANCEL);
		return false;
	}
	h2_server_look_for_fault(stream);
	h2_server_flush_tunnel(stream);
	return true;
}
