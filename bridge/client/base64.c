#include "bridge/client/base64.h"

#include <stdint.h>

/* 0 to 63; -1: no digit. */
static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* n_digits of a group, 2 to 4. */
static bool decode_group(const char *from, size_t n_digits, uint8_t **to)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < n_digits; i++) {
		int value = digit_value(from[i]);

		if (value < 0)
			return false;
		bits |= (uint32_t)value << (18 - 6 * i);
	}
	/* The bits that no byte takes. */
	if ((bits & (UINT32_C(0xffffff) >> (8 * (n_digits - 1)))) != 0)
		return false;
	for (size_t i = 0; i + 1 < n_digits; i++)
		*(*to)++ = (uint8_t)(bits >> (16 - 8 * i));
	return true;
}

bool base64_decode(struct slice text, void *out, size_t *n)
{
	uint8_t *to = out;
	size_t n_padding = 0;

	if (text.n % 4 != 0)
		return false;
	while (n_padding < 2 && text.n > 0 && text.p[text.n - 1 - n_padding] == '=')
		n_padding++;
	for (size_t i = 0; i < text.n; i += 4) {
		size_t n_digits = i + 4 == text.n ? 4 - n_padding : 4;

		if (!decode_group(text.p + i, n_digits, &to))
			return false;
	}
	*n = (size_t)(to - (uint8_t *)out);
	return true;
}
