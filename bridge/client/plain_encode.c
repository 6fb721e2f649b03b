#include "bridge/client/plain_encode.h"

#include <endian.h>
#include <string.h>

#include "proxy/base/macros.h"

/* The longest decimal number of 64 bits. */
#define NUMBER_MAX 20

static const char hex_digits[] = "0123456789abcdef";

#define PUT(out, literal) bytes_append(out, literal, sizeof(literal) - 1)

static void put_number(struct bytes *out, uint64_t number)
{
	char text[NUMBER_MAX], *at = text + NUMBER_MAX;

	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	bytes_append(out, at, (size_t)(text + NUMBER_MAX - at));
}

/* Strings. */

/*
 * What a byte of a string asks for: 0 stands for itself; a letter, for "\" and the letter; 'u', for
 * \u00XX; 'e', for a look at the next two bytes, which tell U+2028 and U+2029 (E2 80 A8, E2 80 A9)
 * from their neighbours.
 */
static const uint8_t escapes[256] = {
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'b',
	't',
	'n',
	'u',
	'f',
	'r',
	'u',
	'u', /* 00 */
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u', /* 10 */
	['"'] = '"',
	['\\'] = '\\',
	[0x7f] = 'u',
	[0xe2] = 'e',
};

/* The longest escape is 6 bytes; a word is copied before it is known how much of it stands. */
#define STEP_MAX 8

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The top bit of the first zero byte, and perhaps of later bytes, but of none before it. */
static uint64_t find_zero(uint64_t word)
{
	return (word - EACH(0x01)) & ~word & EACH(0x80);
}

/* How many of the eight bytes at p stand for themselves, up to the first that may not. */
static size_t count_plain(const char *p)
{
	uint64_t word, found;

	memcpy(&word, p, sizeof(word));
	word = le64toh(word);
	found = ((word - EACH(0x20)) & ~word & EACH(0x80)) | find_zero(word ^ EACH('"')) |
		find_zero(word ^ EACH('\\')) | find_zero(word ^ EACH(0x7f)) |
		find_zero(word ^ EACH(0xe2));
	return found != 0 ? (size_t)__builtin_ctzll(found) / 8 : 8;
}

static bool is_separator(const char *p, const char *end)
{
	return end - p >= 3 && (uint8_t)p[1] == 0x80 && ((uint8_t)p[2] & 0xfe) == 0xa8;
}

/* Writes the character at *p, or its first byte, escaped where it must be; returns its end. */
static char *put_character(char *to, const char **p, const char *end)
{
	uint8_t c = (uint8_t)(*p)[0], escape = escapes[c];

	if (escape == 0 || (escape == 'e' && !is_separator(*p, end))) {
		*to = (char)c;
		(*p)++;
		return to + 1;
	}
	if (escape == 'e') {
		memcpy(to, (uint8_t)(*p)[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
		*p += 3;
		return to + 6;
	}
	(*p)++;
	to[0] = '\\';
	to[1] = (char)escape;
	if (escape != 'u')
		return to + 2;
	to[2] = to[3] = '0';
	to[4] = hex_digits[c >> 4];
	to[5] = hex_digits[c & 15];
	return to + 6;
}

/* The inside of a string, straight into the queue: texts are often JSON, full of quotes. */
static void put_escaped(struct bytes *out, struct slice text)
{
	const char *p = text.p, *end = p + text.n;

	while (p < end) {
		size_t room;
		char *start = bytes_reserve(out, STEP_MAX, &room), *to = start;

		while (p < end && room - (size_t)(to - start) >= STEP_MAX) {
			if (end - p >= 8) {
				size_t n = count_plain(p);

				memcpy(to, p, 8);
				to += n;
				p += n;
				if (n == 8 || room - (size_t)(to - start) < STEP_MAX)
					continue;
			}
			to = put_character(to, &p, end);
		}
		bytes_commit(out, (size_t)(to - start));
	}
}

void plain_encode_string(struct bytes *out, struct slice text)
{
	PUT(out, "\"");
	put_escaped(out, text);
	PUT(out, "\"");
}

/* Base64. */

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_group(char to[4], const uint8_t from[3])
{
	to[0] = base64_digits[from[0] >> 2];
	to[1] = base64_digits[(from[0] & 3) << 4 | from[1] >> 4];
	to[2] = base64_digits[(from[1] & 15) << 2 | from[2] >> 6];
	to[3] = base64_digits[from[2] & 63];
}

void plain_encode_base64(struct bytes *out, struct slice data)
{
	const uint8_t *from = (const uint8_t *)data.p;
	size_t n_groups = data.n / 3, n_rest = data.n % 3;
	uint8_t last[3] = {0};
	char group[4];

	while (n_groups > 0) {
		size_t room, n;
		char *to = bytes_reserve(out, 4, &room);

		n = MIN(room / 4, n_groups);
		for (size_t i = 0; i < n; i++, to += 4, from += 3)
			put_group(to, from);
		bytes_commit(out, n * 4);
		n_groups -= n;
	}
	if (n_rest == 0)
		return;
	memcpy(last, from, n_rest);
	put_group(group, last);
	group[3] = '=';
	if (n_rest == 1)
		group[2] = '=';
	bytes_append(out, group, sizeof(group));
}

/* Objects. */

/* {"code":1000,"reason":"bye" */
static void put_close_start(struct bytes *out, const struct message *close)
{
	ASSERT(close->kind == MESSAGE_CLOSE);
	PUT(out, "{\"code\":");
	put_number(out, close->code);
	PUT(out, ",\"reason\":");
	plain_encode_string(out, message_payload(close));
}

void plain_encode_closed(struct bytes *out, const struct message *close)
{
	put_close_start(out, close);
	PUT(out, ",\"undelivered\":");
	put_number(out, close->n_undelivered);
	PUT(out, "}");
}

void plain_encode_object(struct bytes *out, const struct message *message)
{
	PUT(out, "{\"seq\":");
	put_number(out, message->seq);
	switch (message->kind) {
	case MESSAGE_TEXT:
		PUT(out, ",\"text\":\"");
		message_encode_payload(message, out, put_escaped);
		PUT(out, "\"}");
		return;
	case MESSAGE_BINARY:
		PUT(out, ",\"binary\":\"");
		message_encode_payload(message, out, plain_encode_base64);
		PUT(out, "\"}");
		return;
	case MESSAGE_CLOSE:
		PUT(out, ",\"closed\":");
		plain_encode_closed(out, message);
		PUT(out, "}");
		return;
	}
}

/* {"session":"ID" */
static void put_session(struct bytes *out, struct slice id)
{
	PUT(out, "{\"session\":");
	plain_encode_string(out, id);
}

/* {"session":"ID","cursor":N} */
static void put_session_object(struct bytes *out, struct slice id, uint64_t cursor)
{
	put_session(out, id);
	PUT(out, ",\"cursor\":");
	put_number(out, cursor);
	PUT(out, "}");
}

/* {"reason":"gap","lost":[FROM,TO]} */
static void put_reset(
	struct bytes *out, enum plain_reset reset, uint64_t lost_from, uint64_t lost_to)
{
	PUT(out, "{\"reason\":");
	plain_encode_string(out, slice_from_string(plain_reset_text(reset)));
	if (reset == PLAIN_RESET_GAP) {
		PUT(out, ",\"lost\":[");
		put_number(out, lost_from);
		PUT(out, ",");
		put_number(out, lost_to);
		PUT(out, "]");
	}
	PUT(out, "}");
}

const char *plain_reset_text(enum plain_reset reset)
{
	switch (reset) {
	case PLAIN_RESET_UNKNOWN:
		return "unknown session";
	case PLAIN_RESET_CURSOR:
		return "cursor";
	case PLAIN_RESET_GAP:
		return "gap";
	}
	return "?";
}

/* Polls. */

void plain_encode_poll_start(struct bytes *out, struct slice path, struct slice id, uint64_t cursor)
{
	put_session(out, id);
	PUT(out, ",\"next\":\"");
	put_escaped(out, path);
	PUT(out, "/~");
	put_escaped(out, id);
	PUT(out, "?after=");
	put_number(out, cursor);
	PUT(out, "\",\"cursor\":");
	put_number(out, cursor);
	PUT(out, ",\"messages\":[");
}

void plain_encode_poll_message(struct bytes *out, const struct message *message, bool is_first)
{
	ASSERT(message->kind != MESSAGE_CLOSE);
	if (!is_first)
		PUT(out, ",");
	plain_encode_object(out, message);
}

void plain_encode_poll_end(struct bytes *out, const struct message *close, bool is_superseded)
{
	PUT(out, "]");
	if (close != NULL) {
		PUT(out, ",\"closed\":");
		plain_encode_closed(out, close);
	}
	if (is_superseded)
		PUT(out, ",\"superseded\":true");
	PUT(out, "}\n");
}

/* Events. */

/* id: ID.SEQ */
static void put_event_id(struct bytes *out, struct slice id, uint64_t seq)
{
	PUT(out, "id: ");
	bytes_append_slice(out, id);
	PUT(out, ".");
	put_number(out, seq);
	PUT(out, "\n");
}

/*
 * A `data: ` line for each line of the text. Where the next CR and LF stand is looked up again only
 * once they are passed, so that a text that has many of one is not searched for the other at each.
 */
static void put_data_lines(struct bytes *out, struct slice text)
{
	size_t cr = slice_find(text, '\r'), lf = slice_find(text, '\n');
	size_t at = 0;

	for (;;) {
		size_t end = MIN(lf, cr);

		PUT(out, "data: ");
		bytes_append(out, text.p + at, end - at);
		PUT(out, "\n");
		if (end == text.n)
			return;
		at = end + 1;
		if (end == cr && lf == at && at < text.n)
			at++;
		if (cr < at)
			cr = at + slice_find(slice_from(text, at), '\r');
		if (lf < at)
			lf = at + slice_find(slice_from(text, at), '\n');
	}
}

void plain_encode_event_retry(struct bytes *out, unsigned ms)
{
	PUT(out, "retry: ");
	put_number(out, ms);
	PUT(out, "\n\n");
}

void plain_encode_event_session(struct bytes *out, struct slice id, uint64_t cursor)
{
	PUT(out, "event: session\n");
	put_event_id(out, id, cursor);
	PUT(out, "data: ");
	put_session_object(out, id, cursor);
	PUT(out, "\n\n");
}

void plain_encode_event_reset(
	struct bytes *out, enum plain_reset reset, uint64_t lost_from, uint64_t lost_to)
{
	PUT(out, "event: reset\ndata: ");
	put_reset(out, reset, lost_from, lost_to);
	PUT(out, "\n\n");
}

static void put_event_close(struct bytes *out, struct slice id, const struct message *close)
{
	PUT(out, "event: close\n");
	put_event_id(out, id, close->seq);
	PUT(out, "data: ");
	put_close_start(out, close);
	PUT(out, "}\n\n");
}

void plain_encode_event_message(
	struct bytes *out, struct slice id, const struct message *message, bool as_json)
{
	if (message->kind == MESSAGE_CLOSE) {
		put_event_close(out, id, message);
		return;
	}
	if (message->kind == MESSAGE_BINARY && !as_json)
		PUT(out, "event: binary\n");
	put_event_id(out, id, message->seq);
	if (message->kind == MESSAGE_TEXT && !as_json) {
		message_encode_payload(message, out, put_data_lines);
	} else {
		PUT(out, "data: ");
		if (as_json)
			plain_encode_object(out, message);
		else
			message_encode_payload(message, out, plain_encode_base64);
		PUT(out, "\n");
	}
	PUT(out, "\n");
}

void plain_encode_event_heartbeat(struct bytes *out)
{
	PUT(out, ":\n\n");
}

/* JSON lines. */

void plain_encode_line_session(struct bytes *out, struct slice id, uint64_t cursor)
{
	put_session_object(out, id, cursor);
	PUT(out, "\n");
}

void plain_encode_line_reset(
	struct bytes *out, enum plain_reset reset, uint64_t lost_from, uint64_t lost_to)
{
	PUT(out, "{\"reset\":");
	put_reset(out, reset, lost_from, lost_to);
	PUT(out, "}\n");
}

void plain_encode_line_message(struct bytes *out, const struct message *message)
{
	plain_encode_object(out, message);
	PUT(out, "\n");
}

void plain_encode_line_heartbeat(struct bytes *out)
{
	PUT(out, "\n");
}

/* Errors. */

void plain_encode_error(struct bytes *out, const char *error, const char *name, uint64_t number)
{
	PUT(out, "{\"error\":");
	plain_encode_string(out, slice_from_string(error));
	if (name != NULL) {
		PUT(out, ",");
		plain_encode_string(out, slice_from_string(name));
		PUT(out, ":");
		put_number(out, number);
	}
	PUT(out, "}\n");
}

void plain_encode_gone(struct bytes *out, const struct message *close)
{
	PUT(out, "{\"error\":\"closed\",\"closed\":");
	plain_encode_closed(out, close);
	PUT(out, "}\n");
}
