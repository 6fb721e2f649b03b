#include "proxy/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Each object has its own bytes, whatever the sizes of those before. */
static void objects_do_not_overlap(void **state)
{
	enum { N = 200 };
	struct arena arena;
	unsigned char *objects[N];
	size_t sizes[N], size = 1;

	(void)state;
	arena_init(&arena);
	for (int i = 0; i < N; i++) {
		size = size * 37 % 5003;
		sizes[i] = size;
		objects[i] = arena_alloc(&arena, size);
		assert_int_equal((uintptr_t)objects[i] % _Alignof(max_align_t), 0);
		memset(objects[i], i, size);
	}
	for (int i = 0; i < N; i++)
		for (size_t j = 0; j < sizes[i]; j++)
			assert_int_equal(objects[i][j], (unsigned char)i);
	arena_clear(&arena);
	assert_int_equal(arena_size(&arena), 0);
	arena_release_cache();
}

/* What many have, all of whom wait, is small. */
static void it_is_about_as_large_as_what_it_holds(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena);
	(void)arena_alloc(&arena, 1);
	assert_true(arena_size(&arena) <= 1024);
	for (size_t n = 64; n <= 2048; n += 64) {
		(void)arena_alloc(&arena, 64);
		assert_true(arena_size(&arena) <= 1024 + 2 * n);
	}
	arena_clear(&arena);
	(void)arena_alloc(&arena, 10000);
	(void)arena_alloc(&arena, 1);
	assert_true(arena_size(&arena) <= 10000 + 2048);
	arena_clear(&arena);
	arena_release_cache();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_do_not_overlap),
		cmocka_unit_test(it_is_about_as_large_as_what_it_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
