#include "proxy/base/block_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void put(struct block_cache *cache, int n)
{
	while (n-- > 0)
		assert_true(block_cache_put(cache, malloc(32)));
}

static void it_keeps_so_many(void **state)
{
	struct block_cache cache = {.max = 2};
	void *block = malloc(32);

	(void)state;
	assert_null(block_cache_take(&cache));
	put(&cache, 2);
	assert_false(block_cache_put(&cache, block));
	free(block);
	free(block_cache_take(&cache));
	free(block_cache_take(&cache));
	assert_null(block_cache_take(&cache));
}

static void clearing_leaves_none(void **state)
{
	struct block_cache cache = {.max = 10};

	(void)state;
	put(&cache, 5);
	block_cache_clear(&cache);
	assert_null(block_cache_take(&cache));
	put(&cache, 10);
	block_cache_clear(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_keeps_so_many),
		cmocka_unit_test(clearing_leaves_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
