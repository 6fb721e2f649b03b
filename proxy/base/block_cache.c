#include "proxy/base/block_cache.h"

#include <stdlib.h>

void block_cache_clear(struct block_cache *self)
{
	while (self->n > 0)
		free(block_cache_take(self));
}
