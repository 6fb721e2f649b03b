/* Bodies: framed bytes in, data and trailers out, however the bytes are cut. */
#include "proxy/http/h1_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/memory.h"

static const struct h1_limits limits = {.max_head_size = 512, .max_fields = 8};

/* One body being received. */
static struct {
	struct arena arena;
	struct bytes input;
	struct bytes out;
	struct h1_body body;
	struct fields trailers;
} at;

static int set_up(void **state)
{
	(void)state;
	memset(&at, 0, sizeof(at));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	bytes_clear(&at.input);
	bytes_clear(&at.out);
	arena_clear(&at.arena);
	assert_int_equal(bytes_live_segments(), 0);
	bytes_release_cache();
	arena_release_cache();
	return 0;
}

static void start(enum body_kind kind, uint64_t length)
{
	(void)tear_down(NULL);
	(void)set_up(NULL);
	h1_body_start(&at.body, kind, length);
}

static size_t decode(size_t room)
{
	return h1_body_decode(&at.body, &at.input, &at.out, room, &limits, &at.arena, &at.trailers);
}

static void assert_out(const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(bytes_size(&at.out), n);
	assert_int_equal(at.body.total, n);
	if (n > 0)
		assert_memory_equal(bytes_linearize(&at.out, n).p, text, n);
}

/* Receives the text in pieces of at most n bytes; each piece is a segment of its own. */
static void receive(struct slice text, size_t n)
{
	for (size_t i = 0; i < text.n; i += n) {
		struct bytes piece;

		bytes_init(&piece);
		bytes_append_slice(&piece, slice_first(slice_from(text, i), n));
		/* Compacted, a piece has no room behind it, so that the next one is not joined to
		 * it. */
		bytes_compact(&piece);
		bytes_move_all(&at.input, &piece);
		(void)decode(SIZE_MAX);
	}
}

/* Whole, byte by byte and in twos and threes: the same end each time. */
static void assert_chunked(
	struct slice text, enum h1_body_state state, const char *out, size_t left)
{
	static const size_t sizes[] = {SIZE_MAX / 2, 1, 2, 3};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		start(BODY_CHUNKED, 0);
		receive(text, sizes[i]);
		assert_string_equal(h1_body_state_name(at.body.state), h1_body_state_name(state));
		if (state == H1_BODY_BROKEN)
			continue;
		assert_out(out);
		assert_int_equal(bytes_size(&at.input), left);
	}
}

#define DONE(literal, out) assert_chunked(SLICE(literal), H1_BODY_DONE, out, 0)
#define BROKEN(literal) assert_chunked(SLICE(literal), H1_BODY_BROKEN, NULL, 0)

static void bodies_without_bytes_are_done_at_once(void **state)
{
	(void)state;
	start(BODY_NONE, 0);
	assert_true(h1_body_is_done(&at.body));
	start(BODY_LENGTH, 0);
	assert_true(h1_body_is_done(&at.body));
	bytes_append_string(&at.input, "next");
	assert_int_equal(decode(SIZE_MAX), 0);
	assert_int_equal(bytes_size(&at.input), 4);
}

static void a_length_takes_what_is_its_own(void **state)
{
	(void)state;
	start(BODY_LENGTH, 5);
	bytes_append_string(&at.input, "ab");
	assert_int_equal(decode(SIZE_MAX), 2);
	assert_int_equal(at.body.remaining, 3);
	assert_false(h1_body_is_done(&at.body));
	bytes_append_string(&at.input, "cdeGET /");
	assert_int_equal(decode(SIZE_MAX), 3);
	assert_true(h1_body_is_done(&at.body));
	assert_out("abcde");
	assert_int_equal(bytes_size(&at.input), 5);
}

static void no_more_than_the_room_is_moved(void **state)
{
	(void)state;
	start(BODY_LENGTH, 5);
	bytes_append_string(&at.input, "abcde");
	assert_int_equal(decode(0), 0);
	assert_int_equal(decode(2), 2);
	assert_out("ab");
	assert_int_equal(decode(3), 3);
	assert_true(h1_body_is_done(&at.body));

	start(BODY_CHUNKED, 0);
	bytes_append_string(&at.input, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	assert_int_equal(decode(4), 4);
	assert_out("abcd");
	assert_int_equal(decode(1), 1);
	assert_out("abcde");
	/* The end costs no room. */
	assert_true(h1_body_is_done(&at.body));
	assert_int_equal(bytes_size(&at.input), 0);
}

static void a_big_body_is_handed_over_not_copied(void **state)
{
	const size_t n = 3 * BYTES_CHUNK_SIZE;
	char *data = memory_alloc_zeroed(n);
	const char *first;

	(void)state;
	start(BODY_LENGTH, n);
	bytes_append(&at.input, data, n);
	first = bytes_front(&at.input).p;
	assert_int_equal(decode(SIZE_MAX), n);
	assert_ptr_equal(bytes_front(&at.out).p, first);
	assert_true(h1_body_is_done(&at.body));
	free(data);
}

static void a_body_until_close_ends_with_the_connection(void **state)
{
	(void)state;
	start(BODY_CLOSE, 0);
	bytes_append_string(&at.input, "abc");
	assert_int_equal(decode(SIZE_MAX), 3);
	assert_false(h1_body_is_done(&at.body));
	h1_body_end_of_input(&at.body);
	assert_true(h1_body_is_done(&at.body));
	assert_out("abc");
}

static void a_body_that_is_cut_is_broken(void **state)
{
	(void)state;
	start(BODY_LENGTH, 5);
	bytes_append_string(&at.input, "abc");
	(void)decode(SIZE_MAX);
	h1_body_end_of_input(&at.body);
	assert_true(h1_body_is_broken(&at.body));
	start(BODY_CHUNKED, 0);
	bytes_append_string(&at.input, "3\r\nabc\r\n0\r\n");
	(void)decode(SIZE_MAX);
	h1_body_end_of_input(&at.body);
	assert_true(h1_body_is_broken(&at.body));
	start(BODY_LENGTH, 0);
	h1_body_end_of_input(&at.body);
	assert_true(h1_body_is_done(&at.body));
}

static void chunks_are_joined(void **state)
{
	(void)state;
	DONE("0\r\n\r\n", "");
	DONE("000\r\n\r\n", "");
	DONE("3\r\nabc\r\n0\r\n\r\n", "abc");
	DONE("3\r\na\r\n\r\n0a\r\n0123456789\r\n0\r\n\r\n", "a\r\n0123456789");
	DONE("A\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\n\r\n", "0123456789abcdefghij");
	DONE("0000000000000003\r\nabc\r\n0\r\n\r\n", "abc");
	assert_chunked(SLICE("1\r\na\r\n0\r\n\r\nGET /"), H1_BODY_DONE, "a", 5);
	assert_chunked(SLICE("3\r\nab"), H1_BODY_DATA, "ab", 0);
	assert_chunked(SLICE("3\r\nabc\r"), H1_BODY_CHUNK_END, "abc", 1);
	assert_chunked(SLICE("3"), H1_BODY_CHUNK_SIZE, "", 1);
	assert_chunked(SLICE("3;a\r"), H1_BODY_CHUNK_SIZE, "", 4);
	assert_chunked(SLICE("0\r\nX: y\r\n"), H1_BODY_TRAILERS, "", 6);
}

static void chunk_sizes_are_strict(void **state)
{
	(void)state;
	BROKEN("\r\nabc\r\n0\r\n\r\n");
	BROKEN("g\r\n");
	BROKEN("+3\r\nabc\r\n0\r\n\r\n");
	BROKEN("-1\r\nabc\r\n0\r\n\r\n");
	BROKEN("0x3\r\nabc\r\n0\r\n\r\n");
	BROKEN(" 3\r\nabc\r\n0\r\n\r\n");
	BROKEN("3 \r\nabc\r\n0\r\n\r\n");
	BROKEN("3\t\r\nabc\r\n0\r\n\r\n");
	BROKEN("3x\r\nabc\r\n0\r\n\r\n");
	BROKEN("3 0\r\nabc\r\n0\r\n\r\n");
	BROKEN("3_0\r\nabc\r\n0\r\n\r\n");
	BROKEN("3,3\r\nabc\r\n0\r\n\r\n");
	BROKEN("00000000000000003\r\nabc\r\n0\r\n\r\n");
	BROKEN("00000000000000000");
	BROKEN("8000000000000000\r\n");
	BROKEN("ffffffffffffffff\r\n");
	BROKEN("10000000000000003\r\n");
	assert_chunked(SLICE("7fffffffffffffff\r\na"), H1_BODY_DATA, "a", 0);
	assert_true(at.body.remaining == INT64_MAX - 1);
}

static void line_ends_are_strict(void **state)
{
	(void)state;
	BROKEN("3\nabc\r\n0\r\n\r\n");
	BROKEN("3\r\r\nabc\r\n0\r\n\r\n");
	BROKEN("3\r\nabc\n0\r\n\r\n");
	BROKEN("3\r\nabc0\r\n\r\n");
	BROKEN("3\r\nabcd\r\n0\r\n\r\n");
	BROKEN("3\r\nabc\r0\r\n\r\n");
	BROKEN("3\r\nabc\n\r0\r\n\r\n");
	BROKEN("3\r\nabc\r\n0\n\r\n");
	BROKEN("3\r\nabc\r\n0\r\n\n");
	BROKEN("3\r\nabc\r\n\r\n0\r\n\r\n");
}

static void extensions_are_dropped(void **state)
{
	(void)state;
	DONE("3;a=b\r\nabc\r\n0;last\r\n\r\n", "abc");
	DONE("3 ; a=\"x;y\"\r\nabc\r\n0\r\n\r\n", "abc");
	DONE("3;\r\nabc\r\n0\r\n\r\n", "abc");
	BROKEN("3;a\nabc\r\n0\r\n\r\n");
	BROKEN("3;a\nb\r\nabc\r\n0\r\n\r\n");
	BROKEN("3;a\n\r\nabc\r\n0\r\n\r\n");
	BROKEN("3;a\rb\r\nabc\r\n0\r\n\r\n");
	BROKEN("3;\r\r\nabc\r\n0\r\n\r\n");
	BROKEN("3;a\0b\r\nabc\r\n0\r\n\r\n");
	BROKEN("3 a\r\nabc\r\n0\r\n\r\n");
}

static void long_size_lines_are_refused(void **state)
{
	char text[300];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[0] = '1';
	text[1] = ';';
	memcpy(text + 254, "\r\n", 2);
	assert_chunked(slice_of(text, 256), H1_BODY_DATA, "", 0);
	assert_chunked(slice_of(text, 254), H1_BODY_CHUNK_SIZE, "", 254);
	memset(text + 254, 'a', 2);
	assert_chunked(slice_of(text, 256), H1_BODY_BROKEN, NULL, 0);
	memcpy(text + 255, "\r\n", 2);
	assert_chunked(slice_of(text, 257), H1_BODY_BROKEN, NULL, 0);
}

static void many_extensions_are_refused(void **state)
{
	static const char chunk[] = "1;0123456789012345678901234567890\r\na\r\n";
	size_t n_chunks = 0;

	(void)state;
	start(BODY_CHUNKED, 0);
	while (!h1_body_is_broken(&at.body)) {
		receive(SLICE("1;0123456789012345678901234567890\r\na\r\n"), sizeof(chunk));
		n_chunks++;
		assert_true(n_chunks < 1000);
	}
	assert_int_equal(n_chunks, 4096 / 32 + 1);
}

static void trailers_are_read(void **state)
{
	(void)state;
	DONE("1\r\na\r\n0\r\nX-Sum: 1\r\nContent-Length: 5\r\nETag: \"e\"\r\n\r\n", "a");
	assert_int_equal(at.trailers.n, 2);
	assert_true(slice_equals(at.trailers.items[0].name, SLICE("X-Sum")));
	assert_true(slice_equals(at.trailers.items[1].value, SLICE("\"e\"")));
	/* They outlive the bytes they came in. */
	bytes_clear(&at.input);
	assert_true(slice_equals(at.trailers.items[0].value, SLICE("1")));
	BROKEN("0\r\nX : y\r\n\r\n");
	BROKEN("0\r\nX: y\n\r\n");
	BROKEN("0\r\nX: y\r\n z\r\n\r\n");
	BROKEN("0\r\nno colon\r\n\r\n");
	BROKEN("0\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n");
}

static void long_trailers_are_refused(void **state)
{
	char text[600];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "0\r\nX:", 5);
	assert_chunked(slice_of(text, 3 + 512), H1_BODY_TRAILERS, "", 512);
	assert_chunked(slice_of(text, 3 + 513), H1_BODY_BROKEN, NULL, 0);
	memcpy(text + 3 + 508, "\r\n\r\n", 4);
	assert_chunked(slice_of(text, 3 + 512), H1_BODY_DONE, "", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_without_bytes_are_done_at_once),
		cmocka_unit_test(a_length_takes_what_is_its_own),
		cmocka_unit_test(no_more_than_the_room_is_moved),
		cmocka_unit_test(a_big_body_is_handed_over_not_copied),
		cmocka_unit_test(a_body_until_close_ends_with_the_connection),
		cmocka_unit_test(a_body_that_is_cut_is_broken),
		cmocka_unit_test(chunks_are_joined),
		cmocka_unit_test(chunk_sizes_are_strict),
		cmocka_unit_test(line_ends_are_strict),
		cmocka_unit_test(extensions_are_dropped),
		cmocka_unit_test(long_size_lines_are_refused),
		cmocka_unit_test(many_extensions_are_refused),
		cmocka_unit_test(trailers_are_read),
		cmocka_unit_test(long_trailers_are_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
