/*
 * Classes of bytes of HTTP/1.1 (RFC 9110 section 5.6, RFC 3986) and the inner loops of the parsers.
 * The predicates over whole slices are declared in h1_head.h.
 */
#ifndef PROXY_HTTP_H1_SYNTAX_H
#define PROXY_HTTP_H1_SYNTAX_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bits of h1_classes. */
enum {
	H1_TOKEN = 1,	 /* tchar */
	H1_TARGET = 2,	 /* of a request target: visible ASCII but "#" */
	H1_REG_NAME = 4, /* of a host name: unreserved only, see h1_is_authority */
	H1_VALUE = 8,	 /* of a field value: HTAB, SP, VCHAR, obs-text */
};

extern const uint8_t h1_classes[256];

static inline bool h1_is(char c, unsigned classes)
{
	return (h1_classes[(unsigned char)c] & classes) != 0;
}

static inline bool h1_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The first byte from p on that is not of the class, or end. */
static inline const char *h1_span(const char *p, const char *end, unsigned classes)
{
	while (p < end && h1_is(*p, classes))
		p++;
	return p;
}

#define H1_BYTES(c) (UINT64_C(0x0101010101010101) * (c))

/*
 * The top bit of the first control byte in a word, and perhaps of later ones: a borrow goes only
 * from a byte that is one to those after it. HTAB counts as a control byte here.
 */
static inline uint64_t h1_find_control(uint64_t word)
{
	uint64_t del = word ^ H1_BYTES(0x7f);

	return (((word - H1_BYTES(0x20)) & ~word) | ((del - H1_BYTES(0x01)) & ~del)) &
		H1_BYTES(0x80);
}

/* h1_span for H1_VALUE, eight bytes at a time. */
static inline const char *h1_span_value(const char *p, const char *end)
{
	while (end - p >= 8) {
		uint64_t word, found;

		memcpy(&word, p, sizeof(word));
		found = h1_find_control(le64toh(word));
		if (found == 0) {
			p += 8;
			continue;
		}
		p += __builtin_ctzll(found) / 8;
		if (*p != '\t')
			return p;
		p++;
	}
	return h1_span(p, end, H1_VALUE);
}

#endif
