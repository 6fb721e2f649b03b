#include "proxy/http/h1_syntax.h"

#include <arpa/inet.h>

#include "proxy/http/h1_head.h"

/* The classes that bytes are in together. */
enum {
	V = H1_VALUE,
	S = V | H1_TARGET,   /* separators */
	M = S | H1_TOKEN,    /* marks */
	N = M | H1_REG_NAME, /* letters, digits and "-._~" */
	X = V | H1_TOKEN     /* "#" */
};

const uint8_t h1_classes[256] = {
	/* control bytes, HTAB among them */
	0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0, /* */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/* SP ! " # $ % & ' ( ) * + , - . / */
	V, M, S, X, M, M, M, M, S, S, M, M, S, N, N, S,
	/* 0-9 : ; < = > ? */
	N, N, N, N, N, N, N, N, N, N, S, S, S, S, S, S,
	/* @ A-O */
	S, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* P-Z [ \ ] ^ _ */
	N, N, N, N, N, N, N, N, N, N, N, S, S, S, M, N,
	/* ` a-o */
	M, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* p-z { | } ~ DEL */
	N, N, N, N, N, N, N, N, N, N, N, S, M, S, N, 0,
	/* obs-text */
	V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
	V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, /* */
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
	const char *end, *host_end;

	if (s.n == 0)
		return false;
	end = s.p + s.n;
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
