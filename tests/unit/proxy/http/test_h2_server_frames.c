/* Frames that break the protocol end the connection, with the code that says how; the rest of them
 * does no harm. */
#include "tests/unit/proxy/http/h2_server_world.h"

static const struct h2_peer_options silent = {.is_silent = true};

/* A connection with one request under way. */
static void start_silent(struct world *world)
{
	start(world, &silent);
	h2_peer_raw_preface(world->peer);
	h2_peer_raw_headers(world->peer, OPEN, 1, POST);
	turn(world);
	assert_int_equal(world->n_seen, 1);
}

static const uint8_t zeros[20000];

struct bad_frame {
	const char *name;
	uint8_t type, flags;
	int32_t id;
	const char *payload;
	size_t n;
	const char *code;
};

static const struct bad_frame bad_frames[] = {
	{"DATA on stream 0", NGHTTP2_DATA, 0, 0, "x", 1, "PROTOCOL_ERROR"},
	{"DATA on a stream that is idle", NGHTTP2_DATA, 0, 3, "x", 1, "PROTOCOL_ERROR"},
	{"DATA with more padding than payload", NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "\x05x", 2,
		"PROTOCOL_ERROR"},
	{"HEADERS on stream 0", NGHTTP2_HEADERS, END, 0, "\x82", 1, "PROTOCOL_ERROR"},
	{"HEADERS of an even number", NGHTTP2_HEADERS, END, 2, "\x82", 1, "PROTOCOL_ERROR"},
	{"HEADERS that cannot be decoded", NGHTTP2_HEADERS, END, 3, "\xff\xff\xff\xff\xff\xff", 6,
		"COMPRESSION_ERROR"},
	{"PRIORITY on stream 0", NGHTTP2_PRIORITY, 0, 0, "\0\0\0\1\x10", 5, "PROTOCOL_ERROR"},
	{"RST_STREAM on stream 0", NGHTTP2_RST_STREAM, 0, 0, "\0\0\0\x08", 4, "PROTOCOL_ERROR"},
	{"RST_STREAM of an idle stream", NGHTTP2_RST_STREAM, 0, 7, "\0\0\0\x08", 4,
		"PROTOCOL_ERROR"},
	{"RST_STREAM of a wrong size", NGHTTP2_RST_STREAM, 0, 1, "\0\0\0", 3, "FRAME_SIZE_ERROR"},
	{"SETTINGS on a stream", NGHTTP2_SETTINGS, 0, 1, NULL, 0, "PROTOCOL_ERROR"},
	{"SETTINGS of a wrong size", NGHTTP2_SETTINGS, 0, 0, "\0\1\0\0\0", 5, "FRAME_SIZE_ERROR"},
	{"SETTINGS with a window too large", NGHTTP2_SETTINGS, 0, 0, "\0\4\x80\0\0\0", 6,
		"FLOW_CONTROL_ERROR"},
	{"SETTINGS with a frame size too small", NGHTTP2_SETTINGS, 0, 0, "\0\5\0\0\0\1", 6,
		"PROTOCOL_ERROR"},
	{"an answer to SETTINGS with content", NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0,
		"\0\4\0\0\0\0", 6, "FRAME_SIZE_ERROR"},
	{"PUSH_PROMISE from a client", NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1,
		"\0\0\0\x02\x82", 5, "PROTOCOL_ERROR"},
	{"PING on a stream", NGHTTP2_PING, 0, 1, "12345678", 8, "PROTOCOL_ERROR"},
	{"PING of a wrong size", NGHTTP2_PING, 0, 0, "1234567", 7, "FRAME_SIZE_ERROR"},
	{"GOAWAY on a stream", NGHTTP2_GOAWAY, 0, 1, "\0\0\0\0\0\0\0\0", 8, "PROTOCOL_ERROR"},
	{"WINDOW_UPDATE of 0", NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4, "PROTOCOL_ERROR"},
	{"WINDOW_UPDATE beyond 2^31 - 1", NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4,
		"FLOW_CONTROL_ERROR"},
	{"WINDOW_UPDATE of a wrong size", NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\1", 3,
		"FRAME_SIZE_ERROR"},
	{"CONTINUATION of nothing", NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, "\x82", 1,
		"PROTOCOL_ERROR"},
	{"a frame beyond SETTINGS_MAX_FRAME_SIZE", NGHTTP2_DATA, 0, 1, (const char *)zeros, 16385,
		"FRAME_SIZE_ERROR"},
};

static void check_bad_frame(const struct bad_frame *row)
{
	struct world *world = prepare();
	void *state = world;

	start_silent(world);
	h2_peer_raw_frame(world->peer, row->type, row->flags, row->id, row->payload, row->n);
	turn(world);
	if (world->server != NULL)
		fail_msg("%s: the connection lives", row->name);
	if (strstr(h2_peer_frames(world->peer), row->code) == NULL)
		fail_msg("%s: not %s", row->name, row->code);
	if (strstr(world->log, "0 http2-protocol") == NULL)
		fail_msg("%s: logged %s", row->name, world->log);
	assert_int_equal(tear_down(&state), 0);
}

static void a_frame_that_must_not_be_ends_the_connection(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_frames); i++)
		check_bad_frame(&bad_frames[i]);
}

/* RFC 9113 section 6.10: nothing else may come in between. */
static void a_head_is_not_interrupted(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 3, GET);
	h2_peer_raw_frame(world->peer, NGHTTP2_PING, 0, 0, "12345678", 8);
	turn(world);
	assert_null(world->server);
	assert_non_null(strstr(h2_peer_frames(world->peer), "PROTOCOL_ERROR"));
	assert_non_null(strstr(world->log, "0 http2-protocol"));
}

static void a_continuation_has_its_size_too(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 3, GET);
	h2_peer_raw_frame(
		world->peer, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 3, zeros, 16385);
	turn(world);
	assert_null(world->server);
	assert_non_null(strstr(h2_peer_frames(world->peer), "FRAME_SIZE_ERROR"));
}

/* Section 5.1.1: numbers only grow. */
static void a_stream_of_a_lower_number_ends_the_connection(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, END, 9, GET);
	turn(world);
	assert_int_equal(world->n_seen, 2);
	h2_peer_raw_headers(world->peer, END, 5, GET);
	turn(world);
	assert_null(world->server);
	assert_non_null(strstr(h2_peer_frames(world->peer), "PROTOCOL_ERROR"));
	assert_int_equal(world->n_seen, 2);
}

/* Section 6.9.2: of any stream. */
static void settings_that_make_a_window_too_large_end_the_connection(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_u32(world->peer, NGHTTP2_WINDOW_UPDATE, 0, 1, 0x7fff0000 - 65535);
	turn(world);
	assert_non_null(world->server);
	h2_peer_raw_frame(world->peer, NGHTTP2_SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
	turn(world);
	assert_null(world->server);
	assert_non_null(strstr(h2_peer_frames(world->peer), "FLOW_CONTROL_ERROR"));
}

/* Section 5.1: the stream is half closed. */
static void data_behind_the_end_is_an_error(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "a", 1);
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, 0, 1, "b", 1);
	turn(world);
	assert_string_equal(body_of(world, 0), "a");
	assert_non_null(strstr(h2_peer_frames(world->peer), "STREAM_CLOSED"));
}

/* Section 8.1: the second HEADERS are trailers, and end the request. */
static void trailers_without_an_end_are_malformed(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, OPEN, 1, "x-sum=5\n");
	turn(world);
	assert_null(world->seen[0].x);
	assert_false(world->seen[0].has_end);
	assert_non_null(strstr(h2_peer_frames(world->peer), "PROTOCOL_ERROR"));
}

static void trailers_with_pseudo_header_fields_are_malformed(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, END, 1, ":path=/b\n");
	turn(world);
	assert_null(world->seen[0].x);
	assert_non_null(strstr(h2_peer_frames(world->peer), "RST_STREAM(1,PROTOCOL_ERROR)"));
	logged(world, "0 bad-request");
}

/* Section 5.5: they are ignored. */
static void frames_of_unknown_types_are_ignored(void **state)
{
	struct world *world = *state;

	start_silent(world);
	for (unsigned type = NGHTTP2_CONTINUATION + 1; type < 256; type++) {
		/* PRIORITY_UPDATE is known, and has its own rules. */
		if (type == NGHTTP2_PRIORITY_UPDATE)
			continue;
		h2_peer_raw_frame(world->peer, (uint8_t)type, 0xff, 1, "payload", 7);
		h2_peer_raw_frame(world->peer, (uint8_t)type, 0, 0, NULL, 0);
	}
	turn(world);
	assert_non_null(world->server);
	client_sees(world, "");
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "a", 1);
	turn(world);
	assert_string_equal(body_of(world, 0), "a");
	answer(world, 0, "ok");
	logged(world, "200 none");
}

/* However they are cut. */
static void bytes_may_come_one_by_one(void **state)
{
	static const uint8_t frames[] = {0, 0, 5, NGHTTP2_DATA, 0, 0, 0, 0, 1, 'h', 'e', 'l', 'l',
		'o', 0, 0, 0, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 0, 0, 0, 1};
	struct world *world = *state;

	start_silent(world);
	for (size_t i = 0; i < sizeof(frames); i++) {
		h2_peer_raw(world->peer, &frames[i], 1);
		turn(world);
	}
	assert_string_equal(body_of(world, 0), "hello");
	assert_true(world->seen[0].has_end);
	answer(world, 0, "ok");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_that_must_not_be_ends_the_connection),
		TEST_UNSTARTED(a_head_is_not_interrupted),
		TEST_UNSTARTED(a_continuation_has_its_size_too),
		TEST_UNSTARTED(a_stream_of_a_lower_number_ends_the_connection),
		TEST_UNSTARTED(settings_that_make_a_window_too_large_end_the_connection),
		TEST_UNSTARTED(data_behind_the_end_is_an_error),
		TEST_UNSTARTED(trailers_without_an_end_are_malformed),
		TEST_UNSTARTED(trailers_with_pseudo_header_fields_are_malformed),
		TEST_UNSTARTED(frames_of_unknown_types_are_ignored),
		TEST_UNSTARTED(bytes_may_come_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
