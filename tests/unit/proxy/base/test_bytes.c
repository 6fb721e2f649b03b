#include "proxy/base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "proxy/base/memory.h"

static void assert_holds(const struct bytes *bytes, const char *expected, size_t n)
{
	char *copy = memory_alloc(n + 1);

	assert_int_equal(bytes_size(bytes), n);
	bytes_peek(bytes, copy, n);
	assert_memory_equal(copy, expected, n);
	free(copy);
}

static void test_an_empty_queue_holds_no_memory(void **state)
{
	struct bytes bytes;
	size_t room;

	(void)state;
	bytes_init(&bytes);
	assert_int_equal(bytes_footprint(&bytes), 0);
	(void)bytes_reserve(&bytes, 1, &room);
	assert_true(room >= 1);
	bytes_release_reserve(&bytes);
	assert_int_equal(bytes_footprint(&bytes), 0);
	bytes_append_string(&bytes, "abc");
	bytes_drain(&bytes, 3);
	assert_int_equal(bytes_footprint(&bytes), 0);
	assert_int_equal(bytes_live_segments(), 0);
}

static void test_append_and_drain_keep_order(void **state)
{
	struct bytes bytes;

	(void)state;
	bytes_init(&bytes);
	bytes_append_string(&bytes, "hello ");
	bytes_printf(&bytes, "%s-%d", "world", 7);
	assert_holds(&bytes, "hello world-7", 13);
	bytes_drain(&bytes, 6);
	assert_holds(&bytes, "world-7", 7);
	bytes_clear(&bytes);
	assert_int_equal(bytes_size(&bytes), 0);
}

static void test_move_hands_a_big_segment_over(void **state)
{
	struct bytes from, to;
	size_t room;
	char *p;

	(void)state;
	bytes_init(&from);
	bytes_init(&to);
	p = bytes_reserve(&from, BYTES_CHUNK_SIZE, &room);
	memset(p, 'x', room);
	bytes_commit(&from, room);
	bytes_move(&to, &from, room);
	assert_ptr_equal(bytes_front(&to).p, p);
	assert_int_equal(bytes_size(&from), 0);
	assert_int_equal(bytes_size(&to), room);
	bytes_clear(&to);
}

static void test_linearize_joins_what_is_apart(void **state)
{
	struct bytes bytes, part;

	(void)state;
	bytes_init(&bytes);
	bytes_init(&part);
	/* Two segments: a handed-over one and another behind it. */
	bytes_append_string(&part, "first");
	bytes_move_all(&bytes, &part);
	for (size_t i = 0; i < BYTES_CHUNK_SIZE; i++)
		bytes_append(&bytes, "y", 1);
	assert_true(bytes_front(&bytes).n < bytes_size(&bytes));
	assert_int_equal(bytes_linearize(&bytes, bytes_size(&bytes)).n, 5 + BYTES_CHUNK_SIZE);
	assert_memory_equal(bytes_front(&bytes).p, "firstyy", 7);
	bytes_clear(&bytes);
}

static void test_compact_gives_a_chunk_back(void **state)
{
	struct bytes bytes;

	(void)state;
	bytes_init(&bytes);
	bytes_append_string(&bytes, "a few bytes that wait");
	assert_true(bytes_footprint(&bytes) > BYTES_CHUNK_SIZE);
	bytes_compact(&bytes);
	assert_true(bytes_footprint(&bytes) < 256);
	bytes_append_string(&bytes, ", and more");
	assert_holds(&bytes, "a few bytes that wait, and more", 31);
	bytes_clear(&bytes);
}

static void test_vectors_take_what_readv_and_writev_need(void **state)
{
	struct bytes bytes;
	struct iovec iov[4];
	int n;

	(void)state;
	bytes_init(&bytes);
	n = bytes_reserve_vectors(&bytes, iov, 3);
	assert_int_equal(n, 3);
	for (int i = 0; i < n; i++)
		memset(iov[i].iov_base, 'a' + i, iov[i].iov_len);
	bytes_commit_vectors(&bytes, BYTES_CHUNK_SIZE + 10);
	assert_int_equal(bytes_size(&bytes), BYTES_CHUNK_SIZE + 10);
	n = bytes_vectors(&bytes, iov, 4, BYTES_CHUNK_SIZE + 5);
	assert_int_equal(n, 2);
	assert_int_equal(iov[1].iov_len, 5);
	assert_int_equal(*(char *)iov[1].iov_base, 'b');
	/* A second read goes on where the first ended. */
	n = bytes_reserve_vectors(&bytes, iov, 2);
	memset(iov[0].iov_base, 'z', 1);
	bytes_commit_vectors(&bytes, 1);
	bytes_drain(&bytes, BYTES_CHUNK_SIZE + 10);
	assert_holds(&bytes, "z", 1);
	bytes_clear(&bytes);
	assert_int_equal(bytes_live_segments(), 0);
}

/* Any sequence of operations on two queues keeps their content equal to a plain model. */
struct model {
	char *p;
	size_t n;
};

static void model_push(struct model *self, const char *p, size_t n)
{
	self->p = memory_realloc(self->p, self->n + n + 1);
	memcpy(self->p + self->n, p, n);
	self->n += n;
}

static void model_pop(struct model *self, size_t n)
{
	memmove(self->p, self->p + n, self->n - n);
	self->n -= n;
}

static void random_step(struct bytes *queues, struct model *models)
{
	static char noise[40000];
	int i = rand() & 1;
	size_t n = (size_t)rand() % (rand() % 3 == 0 ? sizeof(noise) : 300);

	for (size_t k = 0; k < n; k += 97)
		noise[k] = (char)rand();
	switch (rand() % 5) {
	case 0:
		bytes_append(&queues[i], noise, n);
		model_push(&models[i], noise, n);
		break;
	case 1:
		n = MIN(n, bytes_size(&queues[i]));
		bytes_drain(&queues[i], n);
		model_pop(&models[i], n);
		break;
	case 2:
		n = MIN(n, bytes_size(&queues[i]));
		bytes_move(&queues[!i], &queues[i], n);
		model_push(&models[!i], models[i].p, n);
		model_pop(&models[i], n);
		break;
	case 3:
		bytes_compact(&queues[i]);
		break;
	case 4:
		n = MIN(n, bytes_size(&queues[i]));
		if (n > 0)
			assert_memory_equal(bytes_linearize(&queues[i], n).p, models[i].p, n);
		break;
	}
}

static void test_random_operations_keep_the_content(void **state)
{
	unsigned seed =
		getenv("SEED") != NULL ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
	struct bytes queues[2];
	struct model models[2] = {{NULL, 0}, {NULL, 0}};

	(void)state;
	print_message("SEED=%u\n", seed);
	srand(seed);
	model_push(&models[0], "", 0);
	model_push(&models[1], "", 0);
	bytes_init(&queues[0]);
	bytes_init(&queues[1]);
	for (int step = 0; step < 3000; step++) {
		random_step(queues, models);
		for (int i = 0; i < 2; i++)
			assert_holds(&queues[i], models[i].p, models[i].n);
		if (models[0].n + models[1].n > 400000)
			for (int i = 0; i < 2; i++) {
				bytes_drain(&queues[i], models[i].n);
				model_pop(&models[i], models[i].n);
			}
	}
	for (int i = 0; i < 2; i++) {
		bytes_clear(&queues[i]);
		free(models[i].p);
	}
	assert_int_equal(bytes_live_segments(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_queue_holds_no_memory),
		cmocka_unit_test(test_append_and_drain_keep_order),
		cmocka_unit_test(test_move_hands_a_big_segment_over),
		cmocka_unit_test(test_linearize_joins_what_is_apart),
		cmocka_unit_test(test_compact_gives_a_chunk_back),
		cmocka_unit_test(test_vectors_take_what_readv_and_writev_need),
		cmocka_unit_test(test_random_operations_keep_the_content),
	};
	int n_failed = cmocka_run_group_tests(tests, NULL, NULL);

	bytes_release_cache();
	return n_failed;
}
