#include "bridge/client/media_type.h"

#include "proxy/http/h1_head.h"

static size_t part_size(struct slice s)
{
	bool is_quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			is_quoted = !is_quoted;
		else if (is_quoted && s.p[i] == '\\')
			i++;
		else if (!is_quoted && s.p[i] == ';')
			return i;
	}
	return s.n;
}

bool media_part_next(struct slice *rest, struct slice *part)
{
	size_t n;

	if (rest->n == 0)
		return false;
	n = part_size(*rest);
	*part = slice_trim(slice_first(*rest, n));
	*rest = slice_from(*rest, n + 1);
	return true;
}

static bool is_quoted_string(struct slice s)
{
	size_t i;

	if (s.n < 2 || s.p[0] != '"')
		return false;
	for (i = 1; i < s.n && s.p[i] != '"'; i++)
		if (s.p[i] == '\\')
			i++;
	return i == s.n - 1;
}

bool media_parameter_split(struct slice part, struct slice *name, struct slice *value)
{
	size_t n = slice_find(part, '=');

	*name = slice_first(part, n);
	*value = slice_from(part, n + 1);
	return h1_is_token(*name) && (h1_is_token(*value) || is_quoted_string(*value));
}

bool media_value_unquote(struct slice value, char *out, size_t size, struct slice *text)
{
	size_t n = 0;

	if (is_quoted_string(value))
		value = slice_of(value.p + 1, value.n - 2);
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '\\' && i + 1 < value.n)
			i++;
		if (n == size)
			return false;
		out[n++] = value.p[i];
	}
	*text = slice_of(out, n);
	return true;
}

bool media_type_split(struct slice part, struct slice *type, struct slice *subtype)
{
	size_t n = slice_find(part, '/');

	*type = slice_first(part, n);
	*subtype = slice_from(part, n + 1);
	return h1_is_token(*type) && h1_is_token(*subtype);
}
