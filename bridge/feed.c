#include "bridge/feed.h"

static size_t n_live;

void feed_count(int change)
{
	n_live += (size_t)change;
}

size_t feed_n_live(void)
{
	return n_live;
}
