#include "proxy/base/block_cache.h"

#include <stdlib.h>

static void free_some(struct block_cache *self, unsigned n)
{
	while (n-- > 0)
		free(block_cache_take(self));
	self->n_unwanted = self->n;
}

void block_cache_trim(struct block_cache *self)
{
	free_some(self, self->n_unwanted);
}

void block_cache_clear(struct block_cache *self)
{
	free_some(self, self->n);
}
