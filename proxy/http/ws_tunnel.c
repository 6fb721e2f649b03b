#include "proxy/http/ws_tunnel.h"

/* Vectors looked at in one step; more are looked at in the next. */
#define MAX_VECTORS 16
/* Reserved bits belong to extensions that are not our matter here. */
#define ANY_RSV 7

void ws_tunnel_init(struct ws_tunnel *self)
{
	*self = (struct ws_tunnel){0};
	ws_frame_parser_init(&self->to_client.parser, false, ANY_RSV);
	ws_frame_parser_init(&self->to_backend.parser, true, ANY_RSV);
}

/* Looks at n bytes; with `stop`, only up to the end of the frame under way. Returns how many. */
static size_t track_run(struct ws_direction *self, const uint8_t *p, size_t n, bool stop)
{
	const uint8_t *start = p;
	struct ws_frame frame;

	while (n > 0) {
		size_t part = ws_frame_take(&self->parser, n);

		p += part;
		n -= part;
		if (stop && ws_frame_is_boundary(&self->parser))
			break;
		if (n == 0)
			break;
		switch (ws_frame_parse(&self->parser, &p, &n, &frame)) {
		case WS_FRAME_MORE:
			break;
		case WS_FRAME_HEAD:
			self->has_closed |= frame.opcode == WS_OP_CLOSE;
			break;
		case WS_FRAME_ERROR:
			self->is_lost = true;
			return (size_t)(p - start) + n;
		}
		if (stop && ws_frame_is_boundary(&self->parser))
			break;
	}
	return (size_t)(p - start);
}

/* The same over the first n bytes of a queue. */
static size_t track(struct ws_direction *self, const struct bytes *bytes, size_t n, bool stop)
{
	struct iovec iov[MAX_VECTORS];
	int n_iov = bytes_vectors(bytes, iov, MAX_VECTORS, n);
	size_t total = 0;

	for (int i = 0; i < n_iov; i++) {
		size_t taken = self->is_lost
			? iov[i].iov_len
			: track_run(self, iov[i].iov_base, iov[i].iov_len, stop);

		total += taken;
		if (taken < iov[i].iov_len)
			break;
		if (stop && !self->is_lost && ws_frame_is_boundary(&self->parser))
			break;
	}
	return total;
}

static size_t write_close(uint8_t *out, bool masked)
{
	/* A mask of zeros is a mask: ours hides nothing from nobody. */
	static const uint8_t mask[4];
	uint8_t payload[WS_CONTROL_MAX];
	size_t size = ws_close_write(payload, WS_CODE_GOING_AWAY, SLICE("going away"));
	size_t n = ws_frame_write_head(out, true, WS_OP_CLOSE, size, masked ? mask : NULL);

	memcpy(out + n, payload, size);
	return n + size;
}

/* Whether our close is to be put here. */
static bool is_time_to_tell(const struct ws_tunnel *self, const struct ws_direction *direction)
{
	return self->is_leaving && !direction->is_told && !direction->is_lost &&
		!direction->has_closed && ws_frame_is_boundary(&direction->parser);
}

/* How many of the next n bytes go through; 0 when our close comes first. */
static size_t pass(
	struct ws_tunnel *self, struct ws_direction *direction, const struct bytes *bytes, size_t n)
{
	if (is_time_to_tell(self, direction))
		return 0;
	/* Behind a close there is no boundary to stop at: nothing will be put there. */
	return track(direction, bytes, n,
		self->is_leaving && !direction->is_lost && !direction->has_closed);
}

size_t ws_tunnel_to_client(struct ws_tunnel *self, struct pipe *from, struct bytes *out, size_t n)
{
	uint8_t close[WS_FRAME_HEAD_MAX + WS_CONTROL_MAX];
	size_t total = 0, part;

	n = bytes_round_up(&from->bytes, n);
	while (!self->to_client.is_told && total < n) {
		part = pass(self, &self->to_client, &from->bytes, n - total);
		if (part == 0)
			break;
		total += pipe_take(from, out, part);
	}
	if (is_time_to_tell(self, &self->to_client)) {
		bytes_append(out, close, write_close(close, false));
		self->to_client.is_told = true;
	}
	if (self->to_client.is_told) {
		total += pipe_size(from);
		pipe_drain(from, pipe_size(from));
	}
	return total;
}

size_t ws_tunnel_to_backend(struct ws_tunnel *self, struct bytes *in, struct pipe *to)
{
	uint8_t close[WS_FRAME_HEAD_MAX + WS_CONTROL_MAX];
	size_t n = bytes_size(in), total = 0, part;

	while (!self->to_backend.is_told && total < n) {
		part = pass(self, &self->to_backend, in, n - total);
		if (part == 0)
			break;
		pipe_put(to, in, part);
		total += part;
	}
	if (is_time_to_tell(self, &self->to_backend)) {
		pipe_put_copy(to, close, write_close(close, true));
		self->to_backend.is_told = true;
	}
	/* Dropped, but watched for the client's close. */
	while (self->to_backend.is_told && total < n) {
		part = track(&self->to_backend, in, n - total, false);
		bytes_drain(in, part);
		total += part;
	}
	return total;
}

void ws_tunnel_leave(struct ws_tunnel *self)
{
	self->is_leaving = true;
}

bool ws_tunnel_has_left(const struct ws_tunnel *self)
{
	return self->to_client.is_told && self->to_backend.has_closed;
}
