/* The memory of nghttp2's sessions: large buffers have places of their own, and are otherwise as
 * malloc's. */
#include "proxy/http/h2_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/macros.h"

static const size_t sizes[] = {0, 1, 100, 16383, 16384, 16394, 20480, 20481, 100000};

static void buffers_do_not_overlap(void **state)
{
	nghttp2_mem *memory = h2_memory();
	uint8_t *all[ARRAY_LEN(sizes) * 3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		all[i] = memory->malloc(sizes[i % ARRAY_LEN(sizes)], memory->mem_user_data);
		assert_non_null(all[i]);
		memset(all[i], (int)i, sizes[i % ARRAY_LEN(sizes)]);
	}
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (size_t j = 0; j < sizes[i % ARRAY_LEN(sizes)]; j++)
			if (all[i][j] != i)
				fail_msg("buffer %zu, byte %zu", i, j);
		memory->free(all[i], memory->mem_user_data);
	}
}

static void what_came_back_is_given_out_again(void **state)
{
	nghttp2_mem *memory = h2_memory();
	void *first = memory->malloc(16394, NULL);

	(void)state;
	memory->free(first, NULL);
	assert_ptr_equal(memory->malloc(16394, NULL), first);
	memory->free(first, NULL);
	memory->free(NULL, NULL);
}

static void content_moves_along(void **state)
{
	nghttp2_mem *memory = h2_memory();

	(void)state;
	for (size_t i = 1; i < ARRAY_LEN(sizes); i++) {
		for (size_t j = 1; j < ARRAY_LEN(sizes); j++) {
			size_t kept = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
			uint8_t *p = memory->realloc(NULL, sizes[i], NULL);

			memset(p, 0x5a, sizes[i]);
			p = memory->realloc(p, sizes[j], NULL);
			for (size_t k = 0; k < kept; k++)
				assert_int_equal(p[k], 0x5a);
			memset(p, 0xa5, sizes[j]);
			memory->free(p, NULL);
		}
	}
}

static void zeroed_memory_is_zero(void **state)
{
	nghttp2_mem *memory = h2_memory();
	uint8_t *p = memory->malloc(16394, NULL);

	(void)state;
	memset(p, 0xff, 16394);
	memory->free(p, NULL);
	p = memory->calloc(2, 8197, NULL);
	for (size_t i = 0; i < 16394; i++)
		assert_int_equal(p[i], 0);
	memory->free(p, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_do_not_overlap),
		cmocka_unit_test(what_came_back_is_given_out_again),
		cmocka_unit_test(content_moves_along),
		cmocka_unit_test(zeroed_memory_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
