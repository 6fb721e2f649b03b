#include "proxy/base/pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct ends {
	struct loop *loop;
	struct pipe pipe;
	int n_readable;
	int n_writable;
};

static void on_readable(void *arg)
{
	((struct ends *)arg)->n_readable++;
}

static void on_writable(void *arg)
{
	((struct ends *)arg)->n_writable++;
}

static int set_up(void **state)
{
	static struct ends ends;

	ends = (struct ends){.loop = loop_new_fake(0)};
	pipe_init(&ends.pipe, ends.loop, 100);
	pipe_set_reader(&ends.pipe, on_readable, &ends);
	pipe_set_writer(&ends.pipe, on_writable, &ends);
	*state = &ends;
	return 0;
}

static int tear_down(void **state)
{
	struct ends *ends = *state;

	pipe_close(&ends->pipe);
	loop_free(ends->loop);
	return bytes_live_segments() != 0;
}

static void put(struct ends *ends, size_t n)
{
	static const char zeros[1000];

	pipe_put_copy(&ends->pipe, zeros, n);
}

static void take(struct ends *ends, size_t n)
{
	struct bytes taken;

	bytes_init(&taken);
	assert_int_equal(pipe_take(&ends->pipe, &taken, n), n);
	bytes_clear(&taken);
}

static void test_the_reader_is_told_by_notice(void **state)
{
	struct ends *ends = *state;

	put(ends, 10);
	put(ends, 10);
	assert_int_equal(ends->n_readable, 0);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_readable, 1);
	assert_int_equal(pipe_size(&ends->pipe), 20);
}

static void test_the_limit_is_soft(void **state)
{
	struct ends *ends = *state;

	assert_int_equal(pipe_room(&ends->pipe), 100);
	put(ends, 150);
	assert_int_equal(pipe_size(&ends->pipe), 150);
	assert_int_equal(pipe_room(&ends->pipe), 0);
}

static void test_room_is_told_at_half_of_the_limit(void **state)
{
	struct ends *ends = *state;

	put(ends, 100);
	assert_int_equal(pipe_room(&ends->pipe), 0);
	take(ends, 49);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_writable, 0);
	take(ends, 1);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_writable, 1);
	/* A writer that had room all along is not woken. */
	put(ends, 10);
	take(ends, 60);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_writable, 1);
}

static void test_a_writer_may_watch_what_is_taken(void **state)
{
	struct ends *ends = *state;

	pipe_watch_takes(&ends->pipe);
	put(ends, 10);
	take(ends, 5);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_writable, 0);
	pipe_watch_takes(&ends->pipe);
	take(ends, 1);
	take(ends, 1);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_writable, 1);
	take(ends, 1);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_writable, 1);
}

static void test_the_end_comes_after_the_bytes(void **state)
{
	struct ends *ends = *state;

	put(ends, 5);
	pipe_put_end(&ends->pipe);
	assert_false(pipe_is_ended(&ends->pipe));
	take(ends, 5);
	assert_true(pipe_is_ended(&ends->pipe));
	/* An abort after the end changes nothing. */
	pipe_abort(&ends->pipe);
	assert_false(ends->pipe.is_aborted);
}

static void test_an_abort_is_told(void **state)
{
	struct ends *ends = *state;

	pipe_abort(&ends->pipe);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_readable, 1);
	assert_true(ends->pipe.is_aborted);
	assert_false(pipe_is_ended(&ends->pipe));
}

static void test_a_reader_that_goes_drops_the_bytes(void **state)
{
	struct ends *ends = *state;

	put(ends, 50);
	pipe_close_reader(&ends->pipe);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_writable, 1);
	put(ends, 50);
	assert_int_equal(pipe_size(&ends->pipe), 0);
}

static void test_a_late_reader_learns_what_came_before(void **state)
{
	struct ends *ends = *state;

	pipe_set_reader(&ends->pipe, NULL, NULL);
	put(ends, 5);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_readable, 0);
	pipe_set_reader(&ends->pipe, on_readable, ends);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_readable, 1);
}

static void expect(struct ends *ends, const char *text)
{
	char got[64];
	size_t n = pipe_size(&ends->pipe);

	assert_int_equal(n, strlen(text));
	bytes_peek(&ends->pipe.bytes, got, n);
	assert_memory_equal(got, text, n);
}

static void test_what_is_put_back_stands_first(void **state)
{
	struct ends *ends = *state;
	struct bytes taken;

	bytes_init(&taken);
	pipe_put_copy(&ends->pipe, "abcdef", 6);
	assert_int_equal(pipe_take(&ends->pipe, &taken, 2), 2);
	assert_int_equal(pipe_take(&ends->pipe, &taken, 2), 2);
	pipe_put_copy(&ends->pipe, "gh", 2);
	pipe_put_back(&ends->pipe, &taken);
	assert_int_equal(bytes_size(&taken), 0);
	expect(ends, "abcdefgh");
}

/* After the end, which stays behind all bytes, and into an empty pipe. */
static void test_an_end_is_taken_back_with_its_bytes(void **state)
{
	struct ends *ends = *state;
	struct bytes taken;

	bytes_init(&taken);
	pipe_put_copy(&ends->pipe, "abc", 3);
	pipe_put_end(&ends->pipe);
	assert_int_equal(pipe_take(&ends->pipe, &taken, 3), 3);
	assert_true(pipe_is_ended(&ends->pipe));
	pipe_put_back(&ends->pipe, &taken);
	assert_false(pipe_is_ended(&ends->pipe));
	expect(ends, "abc");
	take(ends, 3);
	assert_true(pipe_is_ended(&ends->pipe));
}

static void test_the_next_reader_is_told_of_what_was_put_back(void **state)
{
	struct ends *ends = *state;
	struct bytes taken;

	bytes_init(&taken);
	pipe_put_copy(&ends->pipe, "abc", 3);
	assert_int_equal(pipe_take(&ends->pipe, &taken, 3), 3);
	pipe_set_reader(&ends->pipe, NULL, NULL);
	pipe_put_back(&ends->pipe, &taken);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_readable, 0);
	pipe_set_reader(&ends->pipe, on_readable, ends);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_readable, 1);
}

static void test_nothing_is_put_back_for_a_reader_that_has_gone(void **state)
{
	struct ends *ends = *state;
	struct bytes taken;

	bytes_init(&taken);
	pipe_put_copy(&ends->pipe, "abc", 3);
	assert_int_equal(pipe_take(&ends->pipe, &taken, 3), 3);
	pipe_close_reader(&ends->pipe);
	pipe_put_back(&ends->pipe, &taken);
	assert_int_equal(bytes_size(&taken), 0);
	assert_int_equal(pipe_size(&ends->pipe), 0);
}

/* The limit is soft for this too: what was taken had room once. */
static void test_putting_back_may_exceed_the_limit(void **state)
{
	struct ends *ends = *state;
	struct bytes taken;

	bytes_init(&taken);
	put(ends, 100);
	assert_int_equal(pipe_take(&ends->pipe, &taken, 80), 80);
	put(ends, 80);
	pipe_put_back(&ends->pipe, &taken);
	assert_int_equal(pipe_size(&ends->pipe), 180);
	assert_int_equal(pipe_room(&ends->pipe), 0);
	take(ends, 130);
	loop_turn(ends->loop, false);
	assert_int_equal(ends->n_writable, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_the_reader_is_told_by_notice, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_limit_is_soft, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_room_is_told_at_half_of_the_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_writer_may_watch_what_is_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_the_end_comes_after_the_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_abort_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_reader_that_goes_drops_the_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_late_reader_learns_what_came_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_what_is_put_back_stands_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_an_end_is_taken_back_with_its_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_the_next_reader_is_told_of_what_was_put_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_nothing_is_put_back_for_a_reader_that_has_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_putting_back_may_exceed_the_limit, set_up, tear_down),
	};
	int n_failed = cmocka_run_group_tests(tests, NULL, NULL);

	bytes_release_cache();
	return n_failed;
}
