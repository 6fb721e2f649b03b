#include "proxy/http/cookie.h"

#include <string.h>

bool cookie_next(struct slice *rest, struct cookie *cookie)
{
	while (rest->n > 0) {
		struct slice piece = slice_first(*rest, slice_find(*rest, ';'));
		struct slice pair = slice_trim(piece);
		size_t n = slice_find(pair, '=');

		*rest = slice_from(*rest, piece.n + 1);
		if (n < pair.n) {
			cookie->name = slice_first(pair, n);
			cookie->value = slice_from(pair, n + 1);
			return true;
		}
	}
	return false;
}

struct slice cookie_values(const struct fields *fields, struct slice name, struct arena *arena)
{
	size_t room = 0, n = 0;
	char *values;

	/* A value with its ";" is never longer than its pair. */
	for (uint32_t i = 0; i < fields->n; i++)
		if (fields->items[i].id == FIELD_COOKIE)
			room += fields->items[i].value.n;
	values = arena_alloc(arena, room + 1);
	for (uint32_t i = 0; i < fields->n; i++) {
		struct slice rest = fields->items[i].value;
		struct cookie cookie;

		if (fields->items[i].id != FIELD_COOKIE)
			continue;
		while (cookie_next(&rest, &cookie)) {
			if (!slice_equals(cookie.name, name))
				continue;
			values[n++] = ';';
			if (cookie.value.n > 0)
				memcpy(values + n, cookie.value.p, cookie.value.n);
			n += cookie.value.n;
		}
	}
	return slice_of(values, n);
}
