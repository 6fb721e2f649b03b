#include "proxy/http/h1_body.h"

#include "proxy/http/h1_syntax.h"

/* A chunk-size line with its line end; no honest one comes near. */
#define MAX_SIZE_LINE 256
#define MAX_SIZE_DIGITS 16
#define MAX_EXTENSIONS 4096

const char *h1_body_state_name(enum h1_body_state state)
{
	switch (state) {
	case H1_BODY_DATA:
		return "data";
	case H1_BODY_CHUNK_SIZE:
		return "chunk size";
	case H1_BODY_CHUNK_END:
		return "chunk end";
	case H1_BODY_TRAILERS:
		return "trailers";
	case H1_BODY_DONE:
		return "done";
	case H1_BODY_BROKEN:
		return "broken";
	}
	return "?";
}

static bool is_step(enum h1_body_state from, enum h1_body_state to)
{
	switch (from) {
	case H1_BODY_DATA:
		return to == H1_BODY_CHUNK_END || to == H1_BODY_DONE || to == H1_BODY_BROKEN;
	case H1_BODY_CHUNK_SIZE:
		return to == H1_BODY_DATA || to == H1_BODY_TRAILERS || to == H1_BODY_BROKEN;
	case H1_BODY_CHUNK_END:
		return to == H1_BODY_CHUNK_SIZE || to == H1_BODY_BROKEN;
	case H1_BODY_TRAILERS:
		return to == H1_BODY_DONE || to == H1_BODY_BROKEN;
	case H1_BODY_DONE:
	case H1_BODY_BROKEN:
		return false;
	}
	return false;
}

static void body_set_state(struct h1_body *self, enum h1_body_state state)
{
	ASSERT(is_step(self->state, state));
	self->state = state;
}

void h1_body_start(struct h1_body *self, enum body_kind kind, uint64_t content_length)
{
	*self = (struct h1_body){.kind = kind};
	switch (kind) {
	case BODY_NONE:
		self->state = H1_BODY_DONE;
		break;
	case BODY_LENGTH:
		self->state = content_length > 0 ? H1_BODY_DATA : H1_BODY_DONE;
		self->remaining = content_length;
		break;
	case BODY_CHUNKED:
		self->state = H1_BODY_CHUNK_SIZE;
		break;
	case BODY_CLOSE:
		self->state = H1_BODY_DATA;
		break;
	}
}

static int hex_value(char c)
{
	if (h1_is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows the digits: CRLF, or an extension that begins with ";" and is dropped. */
static bool take_extension(struct h1_body *self, struct slice rest)
{
	struct slice text;

	if (rest.n < 2 || rest.p[rest.n - 2] != '\r')
		return false;
	rest.n -= 2;
	if (rest.n == 0)
		return true;
	self->n_extension += (uint32_t)rest.n;
	text = slice_trim(rest);
	return self->n_extension <= MAX_EXTENSIONS && text.n > 0 && text.p[0] == ';' &&
		h1_is_field_value(text);
}

/*
 * 1*HEXDIG [ chunk-ext ] CRLF (RFC 9112 section 7.1). False while the line is not complete; a wrong
 * digit or too many are seen before.
 */
static bool take_size_line(struct h1_body *self, struct bytes *input)
{
	struct slice line = slice_first(bytes_front(input), MAX_SIZE_LINE);
	size_t feed = slice_find(line, '\n'), n_digits = 0;
	uint64_t size = 0;
	int digit;

	if (feed == line.n && line.n < MIN(bytes_size(input), (size_t)MAX_SIZE_LINE)) {
		line = slice_first(bytes_linearize(input, MIN(bytes_size(input), MAX_SIZE_LINE)),
			MAX_SIZE_LINE);
		feed = slice_find(line, '\n');
	}
	while (n_digits < line.n && (digit = hex_value(line.p[n_digits])) >= 0 &&
		n_digits <= MAX_SIZE_DIGITS) {
		size = size << 4 | (uint64_t)digit;
		n_digits++;
	}
	if (feed == line.n && line.n < MAX_SIZE_LINE && n_digits <= MAX_SIZE_DIGITS &&
		(n_digits > 0 || line.n == 0))
		return false;
	if (feed == line.n || n_digits == 0 || n_digits > MAX_SIZE_DIGITS || size > INT64_MAX ||
		!take_extension(self, slice_of(line.p + n_digits, feed + 1 - n_digits))) {
		body_set_state(self, H1_BODY_BROKEN);
		return true;
	}
	bytes_drain(input, feed + 1);
	self->remaining = size;
	body_set_state(self, size > 0 ? H1_BODY_DATA : H1_BODY_TRAILERS);
	return true;
}

static bool take_chunk_end(struct h1_body *self, struct bytes *input)
{
	char end[2];
	size_t n = MIN(bytes_size(input), sizeof(end));

	bytes_peek(input, end, n);
	if (memcmp(end, "\r\n", n) != 0) {
		body_set_state(self, H1_BODY_BROKEN);
		return true;
	}
	if (n < sizeof(end))
		return false;
	bytes_drain(input, n);
	body_set_state(self, H1_BODY_CHUNK_SIZE);
	return true;
}

static bool take_trailers(struct h1_body *self, struct bytes *input, const struct h1_limits *limits,
	struct arena *arena, struct fields *trailers)
{
	/* One more than the limit, so that it is seen when it is passed. */
	size_t n = MIN(bytes_size(input), (size_t)limits->max_head_size + 1);
	struct slice text = slice_first(bytes_linearize(input, n), n);

	switch (h1_head_scan_continue(&self->trailer_scan, text, limits, false)) {
	case H1_SCAN_MORE:
		return false;
	case H1_SCAN_REFUSED:
		body_set_state(self, H1_BODY_BROKEN);
		return true;
	case H1_SCAN_HEAD:
		break;
	}
	n = self->trailer_scan.size;
	/* Most bodies have none. */
	if (n > 2 &&
		h1_parse_trailers(arena_copy(arena, slice_first(text, n)), limits, arena,
			trailers) != REASON_NONE) {
		body_set_state(self, H1_BODY_BROKEN);
		return true;
	}
	bytes_drain(input, n);
	body_set_state(self, H1_BODY_DONE);
	return true;
}

static size_t move_data(struct h1_body *self, struct bytes *input, struct bytes *out, size_t room)
{
	size_t n = MIN(bytes_size(input), room);

	if (self->kind != BODY_CLOSE && n > self->remaining)
		n = (size_t)self->remaining;
	if (n == 0)
		return 0;
	bytes_move(out, input, n);
	self->total += n;
	if (self->kind == BODY_CLOSE)
		return n;
	self->remaining -= n;
	if (self->remaining == 0)
		body_set_state(self, self->kind == BODY_LENGTH ? H1_BODY_DONE : H1_BODY_CHUNK_END);
	return n;
}

size_t h1_body_decode(struct h1_body *self, struct bytes *input, struct bytes *out, size_t room,
	const struct h1_limits *limits, struct arena *arena, struct fields *trailers)
{
	size_t moved = 0;
	bool goes_on = true;

	while (goes_on) {
		switch (self->state) {
		case H1_BODY_DATA: {
			size_t n = move_data(self, input, out, room - moved);

			moved += n;
			goes_on = n > 0;
			break;
		}
		case H1_BODY_CHUNK_SIZE:
			goes_on = take_size_line(self, input);
			break;
		case H1_BODY_CHUNK_END:
			goes_on = take_chunk_end(self, input);
			break;
		case H1_BODY_TRAILERS:
			goes_on = take_trailers(self, input, limits, arena, trailers);
			break;
		case H1_BODY_DONE:
		case H1_BODY_BROKEN:
			goes_on = false;
			break;
		}
	}
	return moved;
}

void h1_body_end_of_input(struct h1_body *self)
{
	if (self->state == H1_BODY_DONE || self->state == H1_BODY_BROKEN)
		return;
	body_set_state(self, self->kind == BODY_CLOSE ? H1_BODY_DONE : H1_BODY_BROKEN);
}
