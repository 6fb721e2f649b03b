#include "proxy/base/slice.h"

size_t slice_find(struct slice s, char c)
{
	const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

	return at != NULL ? (size_t)(at - s.p) : s.n;
}

struct slice slice_trim(struct slice s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

bool slice_to_u64(struct slice s, uint64_t *out)
{
	uint64_t value = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

/* Length of the element at the start of s: up to a comma that stands outside a quoted string. */
static size_t element_length(struct slice s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			quoted = !quoted;
		else if (quoted && s.p[i] == '\\')
			i++;
		else if (!quoted && s.p[i] == ',')
			return i;
	}
	return s.n;
}

bool slice_next_element(struct slice *rest, struct slice *element)
{
	while (rest->n > 0) {
		size_t len = element_length(*rest);

		*element = slice_trim(slice_first(*rest, len));
		*rest = slice_from(*rest, len + 1);
		if (element->n > 0)
			return true;
	}
	return false;
}

bool slice_list_has(struct slice list, struct slice token)
{
	struct slice element;

	while (slice_next_element(&list, &element))
		if (slice_equals_ignoring_case(element, token))
			return true;
	return false;
}
