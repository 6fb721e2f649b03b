/*
 * Random messages that are encoded and read back: JSON by jansson, event streams by a parser that
 * does what the HTML standard's section 9.2.6 says. TEST_SEED repeats a run.
 */
#include "bridge/client/plain_encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <jansson.h>

#include "proxy/base/memory.h"

static struct bytes out;

static int set_up(void **state)
{
	(void)state;
	bytes_init(&out);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	bytes_clear(&out);
	bytes_release_cache();
	return 0;
}

static uint64_t random_up_to(uint64_t max)
{
	return (((uint64_t)random() << 31) ^ (uint64_t)random()) % (max + 1);
}

static size_t put_character(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

static uint32_t random_character(void)
{
	uint32_t c;

	switch (random_up_to(9)) {
	case 0:
		return (uint32_t)random_up_to(0x1f);
	case 1:
		return (uint32_t) "\"\\\x7f /:"[random_up_to(5)];
	case 2:
		return random_up_to(1) ? '\n' : '\r';
	case 3:
		return 0x2000 + (uint32_t)random_up_to(0xfff);
	case 4:
		return 0x2026 + (uint32_t)random_up_to(5);
	case 5:
		return (uint32_t)random_up_to(0x7ff);
	case 6:
		c = (uint32_t)random_up_to(0x10ffff);
		return c >= 0xd800 && c < 0xe000 ? 0xfeff : c;
	default:
		return ' ' + (uint32_t)random_up_to(94);
	}
}

/* Mostly short, sometimes several chunks of the queue long. */
static size_t random_size(void)
{
	return random_up_to(15) > 0 ? random_up_to(40) : random_up_to(3 * BYTES_CHUNK_SIZE);
}

static struct message *random_message(uint64_t seq)
{
	size_t n = random_size(), size = 0;
	char *payload = memory_alloc(n + 4);
	bool is_text = random_up_to(2) > 0;
	bool is_plain = random_up_to(1) > 0;
	struct message *message;

	while (size < n) {
		if (!is_text)
			payload[size++] = (char)random_up_to(255);
		else if (is_plain && random_up_to(30) > 0)
			payload[size++] = 'x';
		else
			size += put_character(payload + size, random_character());
	}
	message = message_new(is_text ? MESSAGE_TEXT : MESSAGE_BINARY, slice_of(payload, size));
	message->seq = seq;
	free(payload);
	return message;
}

static struct message *random_close(uint64_t seq)
{
	struct message *close;
	char reason[124];
	size_t n = 0, max = random_up_to(119);

	while (n < max)
		n += put_character(reason + n, random_character());
	close = message_new_close(
		(uint16_t)random_up_to(UINT16_MAX), slice_of(reason, n), random_up_to(99));
	close->seq = seq;
	return close;
}

/* Lets what is encoded next begin at any place of a chunk; the answer is for take_output. */
static size_t fill_chunk(void)
{
	size_t n = random_up_to(1) ? random_up_to(BYTES_CHUNK_SIZE) : 0;

	for (size_t i = 0; i < n; i++)
		bytes_append(&out, "#", 1);
	return n;
}

/* A copy, to be freed; the queue is empty again. */
static struct slice take_output(size_t n_filled)
{
	size_t n;
	char *copy;

	bytes_drain(&out, n_filled);
	n = bytes_size(&out);
	copy = memory_alloc(n);
	bytes_peek(&out, copy, n);
	bytes_clear(&out);
	return slice_of(copy, n);
}

static void use_seed(void)
{
	const char *given = getenv("TEST_SEED");
	unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	print_message("TEST_SEED=%u\n", seed);
	srandom(seed);
}

static void assert_same(const char *p, size_t n, struct slice must)
{
	assert_int_equal(n, must.n);
	if (n > 0)
		assert_memory_equal(p, must.p, n);
}

static unsigned base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = memchr(digits, c, 64);

	assert_non_null(at);
	return (unsigned)(at - digits);
}

static void assert_base64(const char *text, size_t n, struct slice must)
{
	size_t size = 0;
	char *data = memory_alloc(n + 1);

	assert_int_equal(n, (must.n + 2) / 3 * 4);
	for (size_t i = 0; i < n; i += 4) {
		unsigned n_padding = (text[i + 2] == '=') + (text[i + 3] == '=');
		uint32_t group = base64_value(text[i]) << 18 | base64_value(text[i + 1]) << 12;

		assert_true(n_padding == 0 || i + 4 == n);
		if (n_padding < 2)
			group |= base64_value(text[i + 2]) << 6;
		if (n_padding < 1)
			group |= base64_value(text[i + 3]);
		for (unsigned j = 0; j < 3 - n_padding; j++)
			data[size++] = (char)(group >> (16 - 8 * j));
	}
	assert_same(data, size, must);
	free(data);
}

static void assert_json_string(const json_t *json, struct slice must)
{
	assert_true(json_is_string(json));
	assert_same(json_string_value(json), json_string_length(json), must);
}

static void assert_closed(const json_t *json, const struct message *close, bool has_undelivered)
{
	const json_t *undelivered = json_object_get(json, "undelivered");

	assert_int_equal(json_integer_value(json_object_get(json, "code")), close->code);
	assert_json_string(json_object_get(json, "reason"), message_payload(close));
	assert_int_equal(json_is_integer(undelivered), has_undelivered);
	assert_int_equal(
		json_integer_value(undelivered), has_undelivered ? close->n_undelivered : 0);
	assert_int_equal(json_object_size(json), has_undelivered ? 3 : 2);
}

static void assert_object(const json_t *json, const struct message *message)
{
	const json_t *text = json_object_get(json, "text");
	const json_t *binary = json_object_get(json, "binary");

	assert_int_equal(json_object_size(json), 2);
	assert_int_equal(json_integer_value(json_object_get(json, "seq")), message->seq);
	switch (message->kind) {
	case MESSAGE_TEXT:
		assert_json_string(text, message_payload(message));
		return;
	case MESSAGE_BINARY:
		assert_true(json_is_string(binary));
		assert_base64(json_string_value(binary), json_string_length(binary),
			message_payload(message));
		return;
	case MESSAGE_CLOSE:
		assert_closed(json_object_get(json, "closed"), message, true);
		return;
	}
}

static json_t *load(struct slice text)
{
	json_error_t error;
	json_t *json = json_loadb(text.p, text.n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);

	if (json == NULL)
		fail_msg("%s: %.*s", error.text, SLICE_ARG(text));
	/* exact bytes have shown the rest: one line, and no separators that JavaScript knew */
	for (size_t i = 0; i + 1 < text.n; i++)
		assert_true((unsigned char)text.p[i] >= 0x20 && text.p[i] != 0x7f);
	assert_null(memmem(text.p, text.n, "\xe2\x80\xa8", 3));
	assert_null(memmem(text.p, text.n, "\xe2\x80\xa9", 3));
	return json;
}

enum { N_MESSAGES = 12, N_ROUNDS = 400 };

/* The last one is the close, now and then. */
static size_t random_messages(struct message *messages[N_MESSAGES])
{
	uint64_t seq = random_up_to(1) ? 1 : random_up_to((uint64_t)INT64_MAX - N_MESSAGES);
	size_t n = random_up_to(N_MESSAGES);

	for (size_t i = 0; i < n; i++)
		messages[i] = i + 1 == n && random_up_to(2) == 0 ? random_close(seq + i)
								 : random_message(seq + i);
	return n;
}

static void free_messages(struct message *messages[N_MESSAGES], size_t n)
{
	for (size_t i = 0; i < n; i++)
		message_free(messages[i]);
}

static void encode_poll(struct message *messages[N_MESSAGES], size_t n, const struct message *close)
{
	plain_encode_poll_start(&out, SLICE("/a\"%20"), SLICE("w1.x"), n);
	for (size_t i = 0; i < n; i++)
		plain_encode_poll_message(&out, messages[i], i == 0);
	plain_encode_poll_end(&out, close, close == NULL);
}

static void polls_are_read_back(void **state)
{
	struct message *messages[N_MESSAGES];

	(void)state;
	for (unsigned round = 0; round < N_ROUNDS; round++) {
		size_t n = random_messages(messages), n_all = n, n_filled = fill_chunk();
		const struct message *close = NULL;
		struct slice text;
		json_t *json, *list;
		char next[64];

		if (n > 0 && messages[n - 1]->kind == MESSAGE_CLOSE)
			close = messages[--n];
		encode_poll(messages, n, close);
		text = take_output(n_filled);
		assert_int_equal(text.p[text.n - 1], '\n');
		json = load(text);
		list = json_object_get(json, "messages");
		assert_json_string(json_object_get(json, "session"), SLICE("w1.x"));
		snprintf(next, sizeof(next), "/a\"%%20/~w1.x?after=%zu", n);
		assert_json_string(json_object_get(json, "next"), slice_from_string(next));
		assert_int_equal(json_integer_value(json_object_get(json, "cursor")), n);
		assert_int_equal(json_array_size(list), n);
		for (size_t i = 0; i < n; i++)
			assert_object(json_array_get(list, i), messages[i]);
		if (close != NULL)
			assert_closed(json_object_get(json, "closed"), close, true);
		else
			assert_true(json_is_true(json_object_get(json, "superseded")));
		assert_int_equal(json_object_size(json), 5);
		json_decref(json);
		free((void *)text.p);
		free_messages(messages, n_all);
	}
}

static void lines_are_read_back(void **state)
{
	struct message *messages[N_MESSAGES];

	(void)state;
	for (unsigned round = 0; round < N_ROUNDS; round++) {
		size_t n = random_messages(messages), n_filled = fill_chunk();
		struct slice text, rest;

		for (size_t i = 0; i < n; i++)
			plain_encode_line_message(&out, messages[i]);
		text = rest = take_output(n_filled);
		for (size_t i = 0; i < n; i++) {
			size_t size = slice_find(rest, '\n');
			json_t *json = load(slice_first(rest, size));

			assert_true(size < rest.n);
			assert_object(json, messages[i]);
			json_decref(json);
			rest = slice_from(rest, size + 1);
		}
		assert_int_equal(rest.n, 0);
		free((void *)text.p);
		free_messages(messages, n);
	}
}

/* An event stream's parser; what it dispatches. */
struct event {
	char type[16];
	char id[64];
	struct slice data; /* to be freed */
};

struct event_parser {
	struct slice rest;
	char id[64]; /* the last event id buffer */
};

/* The next line without its end; false at the end of the stream. */
static bool next_line(struct slice *rest, struct slice *line)
{
	size_t n = 0;

	while (n < rest->n && rest->p[n] != '\r' && rest->p[n] != '\n')
		n++;
	if (n == rest->n)
		return false;
	*line = slice_first(*rest, n);
	if (rest->p[n] == '\r' && n + 1 < rest->n && rest->p[n + 1] == '\n')
		n++;
	*rest = slice_from(*rest, n + 1);
	return true;
}

static void copy_text(char *to, size_t size, struct slice text)
{
	assert_true(text.n < size);
	memcpy(to, text.p, text.n);
	to[text.n] = '\0';
}

static void process_field(
	struct event_parser *parser, struct event *event, struct bytes *data, struct slice line)
{
	size_t n = slice_find(line, ':');
	struct slice name = slice_first(line, n), value = slice_from(line, n + 1);

	if (value.n > 0 && value.p[0] == ' ')
		value = slice_from(value, 1);
	if (slice_equals(name, SLICE("event"))) {
		copy_text(event->type, sizeof(event->type), value);
	} else if (slice_equals(name, SLICE("data"))) {
		bytes_append_slice(data, value);
		bytes_append(data, "\n", 1);
	} else if (slice_equals(name, SLICE("id"))) {
		assert_null(memchr(value.p, '\0', value.n));
		copy_text(parser->id, sizeof(parser->id), value);
	} else {
		/* a comment; nothing else is expected here */
		assert_int_equal(n, 0);
		assert_true(line.n > 0);
	}
}

/* False at the end of the stream; what was not dispatched by then is lost. */
static bool next_event(struct event_parser *parser, struct event *event)
{
	struct slice line;
	struct bytes data;
	size_t n;
	char *copy;

	bytes_init(&data);
	*event = (struct event){.type = ""};
	while (next_line(&parser->rest, &line)) {
		if (line.n > 0) {
			process_field(parser, event, &data, line);
			continue;
		}
		n = bytes_size(&data);
		if (n == 0) {
			event->type[0] = '\0';
			continue;
		}
		copy = memory_alloc(n);
		bytes_peek(&data, copy, n);
		bytes_clear(&data);
		event->data = slice_of(copy, n - 1);
		if (event->type[0] == '\0')
			strcpy(event->type, "message");
		strcpy(event->id, parser->id);
		return true;
	}
	assert_int_equal(bytes_size(&data), 0);
	return false;
}

/* CRLF, CR and LF each as an LF, written down as plainly as can be; to be freed. */
static struct slice with_lf(struct slice text)
{
	char *copy = memory_alloc(text.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\n' && i > 0 && text.p[i - 1] == '\r')
			continue;
		copy[n++] = (char)(text.p[i] == '\r' ? '\n' : text.p[i]);
	}
	return slice_of(copy, n);
}

static void assert_event(const struct event *event, const struct message *message, bool as_json)
{
	const char *types[] = {"message", "binary", "close"};
	char id[64];

	snprintf(id, sizeof(id), "w1.x.%llu", (unsigned long long)message->seq);
	assert_string_equal(event->id, id);
	assert_string_equal(event->type,
		as_json && message->kind != MESSAGE_CLOSE ? "message" : types[message->kind]);
	if (as_json || message->kind == MESSAGE_CLOSE) {
		json_t *json = load(event->data);

		if (message->kind == MESSAGE_CLOSE)
			assert_closed(json, message, false);
		else
			assert_object(json, message);
		json_decref(json);
	} else if (message->kind == MESSAGE_TEXT) {
		struct slice text = with_lf(message_payload(message));

		assert_same(event->data.p, event->data.n, text);
		free((void *)text.p);
	} else {
		assert_base64(event->data.p, event->data.n, message_payload(message));
	}
}

static void events_are_read_back(void **state)
{
	struct message *messages[N_MESSAGES];

	(void)state;
	for (unsigned round = 0; round < N_ROUNDS; round++) {
		size_t n = random_messages(messages), n_filled = fill_chunk();
		bool as_json = random_up_to(1);
		struct event_parser parser;
		struct event event;
		struct slice text;

		plain_encode_event_session(&out, SLICE("w1.x"), 3);
		for (size_t i = 0; i < n; i++) {
			plain_encode_event_message(&out, SLICE("w1.x"), messages[i], as_json);
			if (random_up_to(3) == 0)
				plain_encode_event_heartbeat(&out);
		}
		plain_encode_event_reset(&out, PLAIN_RESET_CURSOR, 0, 0);
		text = take_output(n_filled);
		parser = (struct event_parser){.rest = text};
		assert_true(next_event(&parser, &event));
		assert_string_equal(event.type, "session");
		assert_string_equal(event.id, "w1.x.3");
		free((void *)event.data.p);
		for (size_t i = 0; i < n; i++) {
			assert_true(next_event(&parser, &event));
			assert_event(&event, messages[i], as_json);
			free((void *)event.data.p);
		}
		assert_true(next_event(&parser, &event));
		assert_string_equal(event.type, "reset");
		free((void *)event.data.p);
		assert_false(next_event(&parser, &event));
		free((void *)text.p);
		free_messages(messages, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(polls_are_read_back),
		cmocka_unit_test(lines_are_read_back),
		cmocka_unit_test(events_are_read_back),
	};

	use_seed();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
