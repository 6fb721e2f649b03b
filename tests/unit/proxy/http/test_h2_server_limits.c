/* What a client may do without need, and how many streams it may have (RFC 9113 section 10.5). */
#include "tests/unit/proxy/http/h2_server_world.h"

#include "proxy/http/h2_budget.h"

static const struct h2_peer_options silent = {.is_silent = true};

static void start_silent(struct world *world)
{
	start(world, &silent);
	h2_peer_raw_preface(world->peer);
	turn(world);
}

/* Floods. Each sends one frame, or one thing that is charged as one. */

static void ping(struct h2_peer *peer, int i)
{
	(void)i;
	h2_peer_raw_frame(peer, NGHTTP2_PING, 0, 0, "\0\0\0\0\0\0\0", 8);
}

static void ping_ack(struct h2_peer *peer, int i)
{
	(void)i;
	h2_peer_raw_frame(peer, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "\0\0\0\0\0\0\0", 8);
}

static void settings(struct h2_peer *peer, int i)
{
	(void)i;
	h2_peer_raw_frame(peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

static void priority(struct h2_peer *peer, int i)
{
	h2_peer_raw_frame(peer, NGHTTP2_PRIORITY, 0, 1001 + 2 * i, "\0\0\0\0\x10", 5);
}

static void priority_update(struct h2_peer *peer, int i)
{
	(void)i;
	h2_peer_raw_frame(peer, NGHTTP2_PRIORITY_UPDATE, 0, 0, "\0\0\0\x01u=3", 7);
}

static void window_update(struct h2_peer *peer, int i)
{
	h2_peer_raw_u32(peer, NGHTTP2_WINDOW_UPDATE, 0, i % 2, 1);
}

static void empty_data(struct h2_peer *peer, int i)
{
	(void)i;
	h2_peer_raw_frame(peer, NGHTTP2_DATA, 0, 1, NULL, 0);
}

static void padded_data(struct h2_peer *peer, int i)
{
	uint8_t padding[4] = {(uint8_t)(i % 4)};

	h2_peer_raw_frame(peer, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, padding, 1 + (size_t)(i % 4));
}

static void unknown(struct h2_peer *peer, int i)
{
	h2_peer_raw_frame(peer, (uint8_t)(0x20 + i % 200), 0, i % 3, "x", 1);
}

static void reset(struct h2_peer *peer, int i)
{
	h2_peer_raw_headers(peer, END, 3 + 2 * i, GET);
	h2_peer_raw_u32(peer, NGHTTP2_RST_STREAM, 0, 3 + 2 * i, NGHTTP2_CANCEL);
}

/* Brings about a reset of ours. */
static void malformed(struct h2_peer *peer, int i)
{
	h2_peer_raw_headers(peer, END, 3 + 2 * i, GET "X-Upper=1\n");
}

/* And another. */
static void too_wide(struct h2_peer *peer, int i)
{
	int32_t id = 3 + 2 * i;

	h2_peer_raw_headers(peer, END, id, GET);
	h2_peer_raw_u32(peer, NGHTTP2_WINDOW_UPDATE, 0, id, INT32_MAX);
}

static void late_trailers(struct h2_peer *peer, int i)
{
	if (i == 0) {
		h2_peer_raw_headers(peer, OPEN, 3, POST);
		h2_peer_raw_u32(peer, NGHTTP2_RST_STREAM, 0, 3, NGHTTP2_CANCEL);
	}
	h2_peer_raw_headers(peer, END, 3, "x=y\n");
}

static const struct {
	const char *name;
	void (*send)(struct h2_peer *peer, int i);
	int cost;
	const char *told;
} floods[] = {
	{"ping", ping, H2_COST_PING, "too many PING frames"},
	{"ping ack", ping_ack, H2_COST_PING, "too many PING frames"},
	{"settings", settings, H2_COST_SETTINGS, "too many SETTINGS frames"},
	{"priority", priority, H2_COST_PRIORITY, "too many PRIORITY frames"},
	{"priority update", priority_update, H2_COST_PRIORITY, "too many PRIORITY frames"},
	{"window update", window_update, H2_COST_WINDOW_UPDATE, "too many WINDOW_UPDATE frames"},
	{"empty data", empty_data, H2_COST_EMPTY_FRAME, "too many empty frames"},
	{"padding", padded_data, H2_COST_EMPTY_FRAME, "too many empty frames"},
	{"unknown", unknown, H2_COST_OTHER_FRAME, "too many frames"},
	{"reset", reset, H2_COST_RESET, "too many resets"},
	{"malformed", malformed, H2_COST_RESET, "too many resets"},
	{"too wide a window", too_wide, H2_COST_RESET + H2_COST_WINDOW_UPDATE, "too many"},
	{"late trailers", late_trailers, H2_COST_OTHER_FRAME, "too many frames of closed streams"},
};

static void flood(struct world *world, size_t row)
{
	int n_paid = H2_BUDGET_SIZE / floods[row].cost, i = 0;
	char expected[160];
	const char *frames;

	h2_peer_raw_headers(world->peer, OPEN, 1, POST);
	turn(world);
	/* The preface had its SETTINGS. */
	for (; i < n_paid * 19 / 20; i++) {
		floods[row].send(world->peer, i);
		if (i % 10 == 0)
			turn(world);
	}
	turn(world);
	if (world->server == NULL)
		fail_msg("%s: %s", floods[row].name, h2_peer_frames(world->peer));
	world->log[0] = world->peer->frames[0] = '\0';
	for (; i < n_paid * 21 / 20 && world->server != NULL; i++) {
		floods[row].send(world->peer, i);
		turn(world);
		if (world->server != NULL)
			world->log[0] = world->peer->frames[0] = '\0';
	}
	if (world->server != NULL)
		fail_msg("%s: no end of it", floods[row].name);
	frames = h2_peer_frames(world->peer);
	(void)snprintf(expected, sizeof(expected), "ENHANCE_YOUR_CALM,%s", floods[row].told);
	if (strstr(frames, expected) == NULL)
		fail_msg("%s: %s", floods[row].name, frames);
	if (strstr(world->log, "0 http2-abuse") == NULL)
		fail_msg("%s: %s", floods[row].name, world->log);
}

/* One test per row, for each has a connection of its own. */
#define FLOOD(name, row) \
	static void name(void **state) \
	{ \
		start_silent(*state); \
		flood(*state, row); \
	}

FLOOD(a_flood_of_pings_ends_the_connection, 0)
FLOOD(a_flood_of_answers_to_pings_ends_the_connection, 1)
FLOOD(a_flood_of_settings_ends_the_connection, 2)
FLOOD(a_flood_of_priorities_ends_the_connection, 3)
FLOOD(a_flood_of_priority_updates_ends_the_connection, 4)
FLOOD(a_flood_of_window_updates_ends_the_connection, 5)
FLOOD(a_flood_of_empty_frames_ends_the_connection, 6)
FLOOD(a_flood_of_padding_ends_the_connection, 7)
FLOOD(a_flood_of_unknown_frames_ends_the_connection, 8)
FLOOD(a_flood_of_resets_ends_the_connection, 9)
FLOOD(a_flood_of_malformed_requests_ends_the_connection, 10)
FLOOD(a_flood_of_errors_of_streams_ends_the_connection, 11)
FLOOD(a_flood_of_late_trailers_ends_the_connection, 12)

static void a_flood_of_continuations_ends_the_connection(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, OPEN, 1, POST);
	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 3, GET);
	for (int i = 0; i < 8; i++)
		h2_peer_raw_frame(world->peer, NGHTTP2_CONTINUATION, 0, 3, NULL, 0);
	turn(world);
	assert_non_null(world->server);
	h2_peer_raw_frame(world->peer, NGHTTP2_CONTINUATION, 0, 3, NULL, 0);
	turn(world);
	assert_null(world->server);
	assert_non_null(strstr(
		h2_peer_frames(world->peer), "ENHANCE_YOUR_CALM,too many CONTINUATION frames"));
	assert_non_null(strstr(world->log, "0 http2-abuse"));
}

/* While nobody takes the answers they must not pile up. */
static void answers_that_nobody_takes_end_the_connection(void **state)
{
	struct world *world = *state;
	size_t n = 0;

	start_silent(world);
	conn_fake_set_room(world->fake, 0);
	while (world->server != NULL && n < 20000) {
		ping(world->peer, 0);
		if (n++ % 50 == 0)
			loop_advance(world->loop, 0);
	}
	assert_null(world->server);
	assert_true(n < 10000);
}

/* Of one kind each is few, and all of them together are too many. */
static void a_mixture_is_paid_from_one_budget(void **state)
{
	struct world *world = *state;
	int i = 0;

	start_silent(world);
	h2_peer_raw_headers(world->peer, OPEN, 1, POST);
	turn(world);
	for (; i < 1000 && world->server != NULL; i++) {
		ping(world->peer, i);
		priority(world->peer, i);
		empty_data(world->peer, i);
		unknown(world->peer, i);
		window_update(world->peer, i);
		malformed(world->peer, i);
		turn(world);
	}
	assert_null(world->server);
	assert_in_range(i, 480, 520);
}

static void the_budget_refills_with_time(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	turn(world);
	/* Far more than the budget holds, and less than it gets. */
	for (int i = 0; i < 4000; i++) {
		reset(world->peer, i);
		turn(world);
		if (i % 30 == 0)
			loop_advance(world->loop, 1000);
		world->log[0] = world->peer->frames[0] = '\0';
		if (world->server == NULL)
			fail_msg("after %d", i);
	}
}

/* A client that takes many small bytes has many windows to update. */
static void window_updates_for_what_was_sent_are_free(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	turn(world);
	respond(world, 0, 200);
	for (int i = 0; i < 15000; i++) {
		give(world, 0, "x");
		h2_peer_raw_u32(world->peer, NGHTTP2_WINDOW_UPDATE, 0, 0, 1);
		h2_peer_raw_u32(world->peer, NGHTTP2_WINDOW_UPDATE, 0, 1, 1);
		turn(world);
		world->peer->frames[0] = '\0';
	}
	assert_non_null(world->server);
}

/* Streams. */

static void streams_beyond_the_limit_are_refused(void **state)
{
	struct world *world = *state;

	world->listen.http2_max_streams = 2;
	start_silent(world);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	h2_peer_raw_headers(world->peer, END, 3, GET);
	h2_peer_raw_headers(world->peer, END, 5, GET);
	turn(world);
	assert_int_equal(world->n_seen, 2);
	client_sees(world, "RST_STREAM(5,REFUSED_STREAM)");
	answer(world, 0, "");
	h2_peer_raw_headers(world->peer, END, 7, GET);
	turn(world);
	assert_int_equal(world->n_seen, 3);
	logged(world, "200 none");
}

/* CVE-2023-44487: what hangs on a stream is not cancelled faster than it is made. */
static void streams_that_were_reset_count_until_their_work_is_cancelled(void **state)
{
	struct world *world = *state;

	world->listen.http2_max_streams = 5;
	start_silent(world);
	for (int i = 0; i < 5; i++)
		h2_peer_raw_headers(world->peer, END, 1 + 2 * i, GET);
	turn(world);
	assert_int_equal(world->n_seen, 5);
	/* In one read: five resets, and five requests in their place. */
	for (int i = 0; i < 5; i++)
		h2_peer_raw_u32(world->peer, NGHTTP2_RST_STREAM, 0, 1 + 2 * i, NGHTTP2_CANCEL);
	for (int i = 5; i < 10; i++)
		h2_peer_raw_headers(world->peer, END, 1 + 2 * i, GET);
	turn(world);
	assert_int_equal(world->n_seen, 5);
	logged(world, "0 client-gone, 0 client-gone, 0 client-gone, 0 client-gone, 0 client-gone");
	for (int i = 5; i < 10; i++)
		assert_int_equal(
			h2_peer_stream(world->peer, 1 + 2 * i)->error, NGHTTP2_REFUSED_STREAM);
	/* Then there is room again. */
	for (int i = 10; i < 15; i++)
		h2_peer_raw_headers(world->peer, END, 1 + 2 * i, GET);
	turn(world);
	assert_int_equal(world->n_seen, 10);
}

/* However many are opened and reset in one read, so many are there at a time. */
static void streams_that_are_reset_at_once_do_not_pile_up(void **state)
{
	struct world *world = *state;

	world->listen.http2_max_streams = 5;
	start_silent(world);
	for (int i = 0; i < 50; i++) {
		h2_peer_raw_headers(world->peer, END, 1 + 2 * i, GET);
		h2_peer_raw_u32(world->peer, NGHTTP2_RST_STREAM, 0, 1 + 2 * i, NGHTTP2_CANCEL);
	}
	turn(world);
	assert_int_equal(world->n_seen, 0);
	logged(world, "0 client-gone, 0 client-gone, 0 client-gone, 0 client-gone, 0 client-gone");
	assert_int_equal(exchange_n_live(), 0);
}

/* A response that waits for the client to take it holds its stream's place in nghttp2 alone. */
static void a_whole_response_gives_its_place_free(void **state)
{
	struct world *world = *state;

	world->listen.http2_max_streams = 1;
	start_silent(world);
	for (int i = 0; i < 10; i++) {
		h2_peer_raw_headers(world->peer, END, 1 + 2 * i, GET);
		turn(world);
		assert_int_equal(world->n_seen, (size_t)i + 1);
		answer(world, (size_t)i, "ok");
	}
	assert_null(strstr(world->peer->frames, "RST_STREAM"));
}

/* CVE-2024-27983 and the like: a decoder in the middle of a head when all ends. */
static void a_connection_that_ends_within_a_head_leaves_nothing(void **state)
{
	struct world *world = *state;

	start_silent(world);
	h2_peer_raw_headers(world->peer, NGHTTP2_FLAG_END_STREAM, 1, GET);
	conn_fake_feed_end(world->fake);
	turn(world);
	assert_null(world->server);
	logged(world, "0 client-gone");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_UNSTARTED(a_flood_of_pings_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_answers_to_pings_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_settings_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_priorities_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_priority_updates_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_window_updates_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_empty_frames_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_padding_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_unknown_frames_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_resets_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_malformed_requests_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_errors_of_streams_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_late_trailers_ends_the_connection),
		TEST_UNSTARTED(a_flood_of_continuations_ends_the_connection),
		TEST_UNSTARTED(answers_that_nobody_takes_end_the_connection),
		TEST_UNSTARTED(a_mixture_is_paid_from_one_budget),
		TEST_UNSTARTED(the_budget_refills_with_time),
		TEST_UNSTARTED(window_updates_for_what_was_sent_are_free),
		TEST_UNSTARTED(streams_beyond_the_limit_are_refused),
		TEST_UNSTARTED(streams_that_were_reset_count_until_their_work_is_cancelled),
		TEST_UNSTARTED(streams_that_are_reset_at_once_do_not_pile_up),
		TEST_UNSTARTED(a_whole_response_gives_its_place_free),
		TEST_UNSTARTED(a_connection_that_ends_within_a_head_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
