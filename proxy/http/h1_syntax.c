#include "proxy/http/h1_syntax.h"

#include <arpa/inet.h>

#include "proxy/http/h1_head.h"

#define T H1_TOKEN
#define G H1_TARGET
#define R H1_REG_NAME
#define V H1_VALUE
/* Rows of 16: what stands in most cells is named once. */
#define NAME (T | G | R | V)
#define MARK (T | G | V)
#define SIGN (G | V)

const uint8_t h1_classes[256] = {
	/* HTAB */
	[0x09] = V,
	/* SP  !     "     #  $     %     &     '     (     )     *     +     ,     -     .     / */
	[0x20] = V,    MARK, SIGN, T | V, MARK, MARK, MARK, MARK, SIGN, SIGN, MARK, MARK, SIGN, NAME,
	NAME,  SIGN,
	/* 0-9 : ; < = > ? */
	[0x30] = NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, SIGN, SIGN, SIGN, SIGN,
	SIGN,  SIGN,
	/* @ A-O */
	[0x40] = SIGN, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME,
	NAME,  NAME,
	/* P-Z [ \ ] ^ _ */
	[0x50] = NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, SIGN, SIGN, SIGN,
	MARK,  NAME,
	/* ` a-o */
	[0x60] = MARK, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME,
	NAME,  NAME,
	/* p-z { | } ~ DEL */
	[0x70] = NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, NAME, SIGN, MARK, SIGN,
	NAME,  0,
	/* obs-text */
	[0x80] = V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	[0x90] = V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	[0xa0] = V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	[0xb0] = V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	[0xc0] = V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	[0xd0] = V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	[0xe0] = V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	[0xf0] = V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
};

bool h1_is_token(struct slice s)
{
	return s.n > 0 && h1_span(s.p, s.p + s.n, H1_TOKEN) == s.p + s.n;
}

bool h1_is_field_value(struct slice s)
{
	return s.n == 0 || h1_span_value(s.p, s.p + s.n) == s.p + s.n;
}

/* The text between the brackets of an IP-literal. */
static bool is_ipv6(struct slice s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

/* *DIGIT: an empty port is a legal spelling of the default one (RFC 3986 section 3.2.3). */
static bool is_port(struct slice s)
{
	unsigned port = 0;

	if (s.n > 5)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!h1_is_digit(s.p[i]))
			return false;
		port = port * 10 + (unsigned)(s.p[i] - '0');
	}
	return port <= UINT16_MAX;
}

bool h1_is_authority(struct slice s)
{
	const char *end = s.p + s.n, *host_end;

	if (s.n == 0)
		return false;
	if (s.p[0] == '[') {
		size_t close = slice_find(s, ']');

		if (close == s.n || !is_ipv6(slice_of(s.p + 1, close - 1)))
			return false;
		host_end = s.p + close + 1;
	} else {
		host_end = h1_span(s.p, end, H1_REG_NAME);
		if (host_end == s.p)
			return false;
	}
	if (host_end == end)
		return true;
	return *host_end == ':' && is_port(slice_of(host_end + 1, (size_t)(end - host_end - 1)));
}
