/*
 * A body. The first byte says how it is framed ("l" by a length of 20, "x" by the end of the
 * connection, else chunked), the second how it is cut, the rest is received. Cut in pieces and
 * taken with little room at a time it must come to the same as in one piece; and a complete chunked
 * body, framed again by us, gives the same data and trailers.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proxy/http/h1_body.h"
#include "proxy/http/h1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {.max_head_size = 512, .max_fields = 8};

/* One reading of the body. */
struct reading {
	struct arena arena;
	struct bytes input;
	struct bytes out;
	struct h1_body body;
	struct fields trailers;
};

static void reading_init(struct reading *self, enum body_kind kind)
{
	memset(self, 0, sizeof(*self));
	h1_body_start(&self->body, kind, kind == BODY_LENGTH ? 20 : 0);
}

static void reading_clear(struct reading *self)
{
	bytes_clear(&self->input);
	bytes_clear(&self->out);
	arena_clear(&self->arena);
}

static size_t reading_decode(struct reading *self, size_t room)
{
	size_t before = bytes_size(&self->out), n;

	n = h1_body_decode(&self->body, &self->input, &self->out, room, &limits, &self->arena,
		&self->trailers);
	ASSERT(n <= room);
	ASSERT(bytes_size(&self->out) == before + n);
	ASSERT(self->body.total == before + n);
	return n;
}

static unsigned next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state >> 8;
}

/* Pieces of 1 to 8 bytes, some in segments of their own. */
static void reading_feed_pieces(struct reading *self, struct slice text, uint32_t random)
{
	while (text.n > 0) {
		struct slice piece = slice_first(text, 1 + next_random(&random) % 8);
		unsigned how = next_random(&random);

		text = slice_from(text, piece.n);
		if (how & 1) {
			bytes_append_slice(&self->input, piece);
		} else {
			struct bytes single;

			bytes_init(&single);
			bytes_append_slice(&single, piece);
			bytes_compact(&single);
			bytes_move_all(&self->input, &single);
		}
		while (reading_decode(self, how >> 1 & 3) > 0)
			continue;
	}
	while (reading_decode(self, 3) > 0)
		continue;
}

static bool bytes_equal(struct bytes *a, struct bytes *b)
{
	size_t n = bytes_size(a);

	return n == bytes_size(b) &&
		slice_equals(slice_first(bytes_linearize(a, n), n),
			slice_first(bytes_linearize(b, n), n));
}

static void check_same_trailers(const struct fields *a, const struct fields *b)
{
	ASSERT(a->n == b->n);
	for (uint32_t i = 0; i < a->n; i++) {
		ASSERT(slice_equals(a->items[i].name, b->items[i].name));
		ASSERT(slice_equals(a->items[i].value, b->items[i].value));
	}
}

/* Their lines as we write them, with a space that may not have stood there. */
static size_t trailers_size(const struct fields *trailers)
{
	size_t n = 2;

	for (uint32_t i = 0; i < trailers->n; i++)
		n += trailers->items[i].name.n + trailers->items[i].value.n + 4;
	return n;
}

static void check_framed_again(struct reading *whole)
{
	struct reading again;
	struct bytes data;
	size_t n = bytes_size(&whole->out);

	if (trailers_size(&whole->trailers) > limits.max_head_size)
		return;
	bytes_init(&data);
	bytes_append_slice(&data, slice_first(bytes_linearize(&whole->out, n), n));
	reading_init(&again, BODY_CHUNKED);
	for (size_t part = 1; bytes_size(&data) > 0; part *= 2)
		h1_write_chunk(&again.input, &data, MIN(part, bytes_size(&data)));
	h1_write_last_chunk(&again.input, &whole->trailers);
	(void)reading_decode(&again, SIZE_MAX);
	ASSERT(h1_body_is_done(&again.body));
	ASSERT(bytes_size(&again.input) == 0);
	ASSERT(bytes_equal(&again.out, &whole->out));
	check_same_trailers(&again.trailers, &whole->trailers);
	reading_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reading whole, pieces;
	enum body_kind kind = BODY_CHUNKED;
	struct slice text;

	if (size < 2)
		return 0;
	if (data[0] == 'l')
		kind = BODY_LENGTH;
	else if (data[0] == 'x')
		kind = BODY_CLOSE;
	text = slice_of((const char *)data + 2, size - 2);
	reading_init(&whole, kind);
	bytes_append_slice(&whole.input, text);
	(void)reading_decode(&whole, SIZE_MAX);
	reading_init(&pieces, kind);
	reading_feed_pieces(&pieces, text, data[1] + 1U);

	ASSERT(whole.body.state == pieces.body.state);
	ASSERT(whole.body.remaining == pieces.body.remaining);
	ASSERT(whole.body.n_extension == pieces.body.n_extension);
	ASSERT(bytes_equal(&whole.out, &pieces.out));
	ASSERT(bytes_equal(&whole.input, &pieces.input));
	check_same_trailers(&whole.trailers, &pieces.trailers);
	if (kind == BODY_CHUNKED && h1_body_is_done(&whole.body))
		check_framed_again(&whole);

	h1_body_end_of_input(&whole.body);
	ASSERT(h1_body_is_done(&whole.body) || h1_body_is_broken(&whole.body));
	ASSERT(kind != BODY_CLOSE || h1_body_is_done(&whole.body));
	reading_clear(&whole);
	reading_clear(&pieces);
	ASSERT(bytes_live_segments() == 0);
	return 0;
}
