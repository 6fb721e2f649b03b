/*
 * Two passes: the first goes over a copy of the text and makes lone surrogates good, which jansson
 * refuses, and counts what could be messages before any is made; the second is jansson's.
 */
#include "bridge/client/sockjs_decode.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/client/sockjs_request.h"
#include "proxy/base/memory.h"

/* A character of the script's may be \uXXXX, six bytes, where UTF-8 has three; and the brackets. */
#define ESCAPED_SIZE 3
#define BODY_EXTRA 1024

uint64_t sockjs_decode_body_limit(const struct sockjs_decode_limits *limits)
{
	return ESCAPED_SIZE * MAX(limits->max_message, limits->max_cost) + BODY_EXTRA;
}

/* The first pass. */

/* The number of "\uXXXX" at p; -1: it is not one. */
static long read_escape(const char *p, const char *end)
{
	long value = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value * 16 + ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

static bool is_high(long c)
{
	return c >= 0xd800 && c <= 0xdbff;
}

static bool is_low(long c)
{
	return c >= 0xdc00 && c <= 0xdfff;
}

/* A backslash stands at p: makes it good and returns what follows the character. */
static char *repair_escape(char *p, const char *end)
{
	long c = read_escape(p, end);

	if (c < 0)
		return end - p > 1 ? p + 2 : p + 1;
	if (is_high(c) && is_low(read_escape(p + 6, end)))
		return p + 12;
	if (is_high(c) || is_low(c))
		memcpy(p + 2, "fffd", 4);
	return p + 6;
}

/* Returns how many commas stand outside of strings. */
static uint64_t repair(char *p, size_t n)
{
	const char *end = p + n;
	uint64_t n_commas = 0;
	bool is_string = false;

	while (p < end) {
		if (*p == '\\') {
			p = repair_escape(p, end);
			continue;
		}
		if (*p == '"')
			is_string = !is_string;
		else if (*p == ',' && !is_string)
			n_commas++;
		p++;
	}
	return n_commas;
}

/* The second. */

static bool is_blank(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if (memchr(" \t\r\n", text.p[i], 4) == NULL)
			return false;
	return true;
}

static bool take(const json_t *value, const struct sockjs_decode_limits *limits,
	struct message_list *out, size_t *cost)
{
	size_t n = json_string_length(value);
	struct message *message;

	if (n > limits->max_message)
		return false;
	message = message_new(MESSAGE_TEXT, slice_of(json_string_value(value), n));
	TAILQ_INSERT_TAIL(out, message, link);
	*cost += message_cost(message);
	return true;
}

static enum sockjs_decode take_all(const json_t *root, bool allows_string,
	const struct sockjs_decode_limits *limits, struct message_list *out, size_t *cost)
{
	if (allows_string && json_is_string(root))
		return take(root, limits, out, cost) ? SOCKJS_DECODED : SOCKJS_DECODE_TOO_BIG;
	if (!json_is_array(root))
		return SOCKJS_DECODE_NO_PAYLOAD;
	for (size_t i = 0; i < json_array_size(root); i++)
		if (!json_is_string(json_array_get(root, i)))
			return SOCKJS_DECODE_NO_PAYLOAD;
	for (size_t i = 0; i < json_array_size(root); i++)
		if (!take(json_array_get(root, i), limits, out, cost))
			return SOCKJS_DECODE_TOO_BIG;
	if (json_array_size(root) > 1 && *cost > limits->max_cost)
		return SOCKJS_DECODE_TOO_BIG;
	return SOCKJS_DECODED;
}

static enum sockjs_decode decode(struct slice text, bool allows_string,
	const struct sockjs_decode_limits *limits, struct message_list *out, size_t *cost)
{
	struct message_list messages = TAILQ_HEAD_INITIALIZER(messages);
	enum sockjs_decode verdict = SOCKJS_DECODE_TOO_BIG;
	size_t messages_cost = 0;
	json_t *root = NULL;
	char *copy;

	if (text.n > sockjs_decode_body_limit(limits))
		return SOCKJS_DECODE_TOO_BIG;
	if (is_blank(text))
		return SOCKJS_DECODE_NO_PAYLOAD;
	copy = memory_alloc(text.n);
	memcpy(copy, text.p, text.n);
	if (repair(copy, text.n) <= limits->max_cost / sizeof(struct message)) {
		root = json_loadb(copy, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		verdict = root == NULL
			? SOCKJS_DECODE_BROKEN
			: take_all(root, allows_string, limits, &messages, &messages_cost);
	}
	free(copy);
	json_decref(root);
	if (verdict == SOCKJS_DECODED) {
		TAILQ_CONCAT(out, &messages, link);
		*cost += messages_cost;
	}
	message_list_clear(&messages);
	return verdict;
}

enum sockjs_decode sockjs_decode_array(struct slice body, const struct sockjs_decode_limits *limits,
	struct message_list *out, size_t *cost)
{
	return decode(body, false, limits, out, cost);
}

enum sockjs_decode sockjs_decode_frame(struct slice text, const struct sockjs_decode_limits *limits,
	struct message_list *out, size_t *cost)
{
	return text.n == 0 ? SOCKJS_DECODED : decode(text, true, limits, out, cost);
}

struct slice sockjs_decode_form(struct slice body, struct arena *arena)
{
	while (body.n > 0) {
		struct slice parameter = slice_first(body, slice_find(body, '&'));

		if (slice_starts_with(parameter, SLICE("d=")))
			return sockjs_decode_parameter(slice_from(parameter, 2), arena);
		body = slice_from(body, parameter.n + 1);
	}
	return slice_of("", 0);
}

const char *sockjs_decode_name(enum sockjs_decode verdict)
{
	switch (verdict) {
	case SOCKJS_DECODED:
		return "decoded";
	case SOCKJS_DECODE_NO_PAYLOAD:
		return "no payload";
	case SOCKJS_DECODE_BROKEN:
		return "broken";
	case SOCKJS_DECODE_TOO_BIG:
		return "too big";
	}
	return "?";
}
