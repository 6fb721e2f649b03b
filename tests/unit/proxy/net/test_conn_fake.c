/* The conn's contract with its owner, on the fake socket and a hand-moved clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/net/conn_fake.h"

struct fixture {
	struct loop *loop;
	struct conn_fake *fake;
	struct conn *conn;
	unsigned n_input;
	unsigned n_output;
	unsigned n_lost;
	enum conn_loss loss;
	bool closes_on_input;
};

static void on_open(void *arg)
{
	(void)arg;
	fail_msg("an accepted conn is open from the start");
}

static void on_input(void *arg)
{
	struct fixture *f = arg;

	f->n_input++;
	if (f->closes_on_input)
		conn_close(f->conn);
}

static void on_output(void *arg)
{
	((struct fixture *)arg)->n_output++;
}

static void on_lost(void *arg, enum conn_loss loss)
{
	struct fixture *f = arg;

	f->n_lost++;
	f->loss = loss;
}

static const struct conn_owner owner = {
	.on_open = on_open,
	.on_input = on_input,
	.on_output = on_output,
	.on_lost = on_lost,
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.loop = loop_new_fake(1000);
	f.fake = conn_fake_new(f.loop);
	f.conn = conn_fake_conn(f.fake);
	conn_set_owner(f.conn, &owner, &f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	conn_close_lingering(f->loop);
	conn_fake_free(f->fake);
	loop_free(f->loop);
	assert_int_equal(conn_n_live(), 0);
	assert_int_equal(bytes_live_segments(), 0);
	bytes_release_cache();
	return 0;
}

static void turn(struct fixture *f)
{
	loop_advance(f->loop, 0);
}

static void assert_bytes(struct bytes *bytes, const char *expected)
{
	struct slice all = bytes_linearize(bytes, bytes_size(bytes));

	assert_int_equal(all.n, strlen(expected));
	assert_memory_equal(all.p, expected, all.n);
}

static void test_input_waits_until_it_is_read(void **state)
{
	struct fixture *f = *state;

	conn_fake_feed_string(f->fake, "hello");
	turn(f);
	assert_int_equal(f->n_input, 0);
	assert_int_equal(conn_fake_n_unread(f->fake), 5);
	conn_set_reading(f->conn, true);
	assert_int_equal(f->n_input, 0);
	turn(f);
	assert_int_equal(f->n_input, 1);
	assert_bytes(conn_input(f->conn), "hello");
	assert_int_equal(conn_bytes_received(f->conn), 5);
}

static void test_end_comes_after_the_bytes(void **state)
{
	struct fixture *f = *state;

	conn_set_reading(f->conn, true);
	conn_fake_feed_string(f->fake, "x");
	conn_fake_feed_end(f->fake);
	turn(f);
	assert_true(conn_has_input_ended(f->conn));
	assert_bytes(conn_input(f->conn), "x");
	assert_int_equal(f->n_lost, 0);
}

static void test_output_of_one_turn_leaves_at_its_end(void **state)
{
	struct fixture *f = *state;

	bytes_append_string(conn_output(f->conn), "one ");
	conn_flush(f->conn);
	bytes_append_string(conn_output(f->conn), "two");
	conn_flush(f->conn);
	assert_int_equal(bytes_size(conn_fake_sent(f->fake)), 0);
	turn(f);
	assert_bytes(conn_fake_sent(f->fake), "one two");
	assert_int_equal(f->n_output, 0);
}

static void test_output_that_waited_is_told(void **state)
{
	struct fixture *f = *state;

	conn_fake_set_room(f->fake, 3);
	bytes_append_string(conn_output(f->conn), "abcdef");
	conn_flush(f->conn);
	turn(f);
	assert_bytes(conn_fake_sent(f->fake), "abc");
	assert_int_equal(conn_stalled_since_ms(f->conn), 1000);
	loop_advance(f->loop, 500);
	assert_int_equal(conn_stalled_since_ms(f->conn), 1000);
	conn_fake_set_room(f->fake, 1);
	turn(f);
	assert_int_equal(conn_stalled_since_ms(f->conn), 1500);
	assert_int_equal(f->n_output, 0);
	conn_fake_set_room(f->fake, 100);
	turn(f);
	assert_bytes(conn_fake_sent(f->fake), "abcdef");
	assert_int_equal(f->n_output, 1);
	assert_int_equal(conn_stalled_since_ms(f->conn), 0);
}

static void test_room_that_comes_back_is_told(void **state)
{
	static char block[CONN_OUTPUT_LIMIT];
	struct fixture *f = *state;

	conn_fake_set_room(f->fake, 0);
	bytes_append(conn_output(f->conn), block, sizeof(block));
	assert_int_equal(conn_output_room(f->conn), 0);
	conn_flush(f->conn);
	turn(f);
	conn_fake_set_room(f->fake, sizeof(block) / 2);
	turn(f);
	assert_int_equal(f->n_output, 0);
	conn_fake_set_room(f->fake, 1);
	turn(f);
	assert_int_equal(f->n_output, 1);
	assert_true(conn_output_room(f->conn) > sizeof(block) / 2);
}

static void test_end_of_output_follows_the_bytes_and_is_told(void **state)
{
	struct fixture *f = *state;

	conn_fake_set_room(f->fake, 2);
	bytes_append_string(conn_output(f->conn), "abcd");
	conn_end_output(f->conn);
	turn(f);
	assert_false(conn_fake_has_ended(f->fake));
	conn_fake_set_room(f->fake, 2);
	turn(f);
	assert_true(conn_fake_has_ended(f->fake));
	assert_true(conn_has_output_ended(f->conn));
	assert_int_equal(f->n_output, 1);
}

static void test_close_inside_a_callback_ends_all_callbacks(void **state)
{
	struct fixture *f = *state;

	f->closes_on_input = true;
	conn_set_reading(f->conn, true);
	conn_fake_feed_string(f->fake, "x");
	conn_fake_lose(f->fake, CONN_LOSS_RESET);
	conn_fake_feed_string(f->fake, "y");
	conn_close(f->conn);
	conn_close(f->conn);
	turn(f);
	assert_int_equal(f->n_lost, 0);
	assert_int_equal(f->n_input, 0);
	assert_true(conn_fake_is_closed(f->fake));
}

static void test_loss_is_told_once_by_notice_and_input_stays(void **state)
{
	struct fixture *f = *state;

	conn_set_reading(f->conn, true);
	conn_fake_feed_string(f->fake, "kept");
	turn(f);
	conn_fake_lose(f->fake, CONN_LOSS_CUT);
	assert_int_equal(f->n_lost, 0);
	turn(f);
	turn(f);
	assert_int_equal(f->n_lost, 1);
	assert_int_equal(f->loss, CONN_LOSS_CUT);
	assert_int_equal(conn_loss(f->conn), CONN_LOSS_CUT);
	assert_bytes(conn_input(f->conn), "kept");
	assert_false(conn_is_open(f->conn));
}

static void test_new_owner_is_told_of_pending_input_and_loss(void **state)
{
	struct fixture *f = *state;
	struct fixture second = {.loop = f->loop};

	conn_set_reading(f->conn, true);
	conn_fake_feed_string(f->fake, "x");
	turn(f);
	conn_set_owner(f->conn, &owner, &second);
	assert_int_equal(second.n_input, 0);
	turn(f);
	assert_int_equal(second.n_input, 1);
	conn_set_owner(f->conn, NULL, NULL);
	conn_fake_lose(f->fake, CONN_LOSS_RESET);
	turn(f);
	conn_set_owner(f->conn, &owner, &second);
	turn(f);
	assert_int_equal(second.n_lost, 1);
	assert_int_equal(f->n_lost, 0);
}

static void test_graceful_close_writes_ends_and_discards(void **state)
{
	struct fixture *f = *state;

	conn_fake_set_room(f->fake, 0);
	bytes_append_string(conn_output(f->conn), "bye");
	conn_close_gracefully(f->conn, 1000);
	conn_fake_feed_string(f->fake, "ignored");
	loop_advance(f->loop, 900);
	assert_false(conn_fake_is_closed(f->fake));
	conn_fake_set_room(f->fake, 1);
	loop_advance(f->loop, 900);
	conn_fake_set_room(f->fake, 100);
	loop_advance(f->loop, 500);
	assert_bytes(conn_fake_sent(f->fake), "bye");
	assert_true(conn_fake_has_ended(f->fake));
	assert_false(conn_fake_is_closed(f->fake));
	conn_fake_feed_end(f->fake);
	turn(f);
	assert_true(conn_fake_is_closed(f->fake));
	assert_true(conn_fake_is_closed_cleanly(f->fake));
	assert_int_equal(f->n_input, 0);
}

static void test_graceful_close_does_not_wait_for_ever(void **state)
{
	struct fixture *f = *state;

	conn_fake_set_room(f->fake, 0);
	bytes_append_string(conn_output(f->conn), "bye");
	conn_close_gracefully(f->conn, 1000);
	loop_advance(f->loop, 1001);
	assert_true(conn_fake_is_closed(f->fake));
	assert_false(conn_fake_is_closed_cleanly(f->fake));
}

/* They count against no limit of connections, so they need one of their own. */
static void test_graceful_closes_are_limited(void **state)
{
	enum { N = 3000 };
	static struct conn_fake *fakes[N];
	struct fixture *f = *state;

	conn_fake_set_room(f->fake, 0);
	bytes_append_string(conn_output(f->conn), "bye");
	conn_close_gracefully(f->conn, 1000);
	for (int i = 0; i < N; i++) {
		fakes[i] = conn_fake_new(f->loop);
		conn_close_gracefully(conn_fake_conn(fakes[i]), 1000);
		turn(f);
	}
	assert_in_range(conn_n_lingering(), 100, 1100);
	assert_true(conn_fake_is_closed_cleanly(fakes[0]));
	assert_false(conn_fake_is_closed(fakes[N - 1]));
	/* What is not written yet is not given up. */
	assert_false(conn_fake_is_closed(f->fake));
	conn_close_lingering(f->loop);
	for (int i = 0; i < N; i++)
		conn_fake_free(fakes[i]);
	turn(f);
}

static void test_graceful_close_discards_only_so_much(void **state)
{
	static char block[64 * 1024];
	struct fixture *f = *state;

	conn_close_gracefully(f->conn, 1000);
	for (int i = 0; i < 5; i++) {
		assert_false(conn_fake_is_closed(f->fake));
		conn_fake_feed(f->fake, block, sizeof(block));
		turn(f);
	}
	assert_true(conn_fake_is_closed(f->fake));
}

static void test_abort_is_not_a_clean_end(void **state)
{
	struct fixture *f = *state;

	conn_abort(f->conn);
	assert_true(conn_fake_is_closed(f->fake));
	assert_false(conn_fake_is_closed_cleanly(f->fake));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_input_waits_until_it_is_read),
		TEST(test_end_comes_after_the_bytes),
		TEST(test_output_of_one_turn_leaves_at_its_end),
		TEST(test_output_that_waited_is_told),
		TEST(test_room_that_comes_back_is_told),
		TEST(test_end_of_output_follows_the_bytes_and_is_told),
		TEST(test_close_inside_a_callback_ends_all_callbacks),
		TEST(test_loss_is_told_once_by_notice_and_input_stays),
		TEST(test_new_owner_is_told_of_pending_input_and_loss),
		TEST(test_graceful_close_writes_ends_and_discards),
		TEST(test_graceful_close_does_not_wait_for_ever),
		TEST(test_graceful_close_discards_only_so_much),
		TEST(test_graceful_closes_are_limited),
		TEST(test_abort_is_not_a_clean_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
