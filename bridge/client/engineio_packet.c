#include "bridge/client/engineio_packet.h"

#include <jansson.h>
#include <stdlib.h>

#include "bridge/client/base64.h"
#include "bridge/client/plain_encode.h"
#include "proxy/base/memory.h"
#include "proxy/base/utf8.h"

#define SEPARATOR '\x1e'

/* Reading. */

/*
 * Clients write base64 in more than one way, and the reference reads them all: Java's breaks lines,
 * others use the alphabet of URLs, or leave the padding out. Makes it the standard's, which has up
 * to three characters more.
 */
static struct slice make_standard(char *out, struct slice text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '\n' || c == '\r' || c == '\t' || c == ' ')
			continue;
		if (c == '-')
			c = '+';
		else if (c == '_')
			c = '/';
		out[n++] = c;
	}
	while (n % 4 != 0)
		out[n++] = '=';
	return slice_of(out, n);
}

static bool decode(struct slice text, uint8_t *data, size_t *n)
{
	char *standard;
	bool is_good;

	if (base64_decode(text, data, n))
		return true;
	standard = memory_alloc(text.n + 3);
	is_good = base64_decode(make_standard(standard, text), data, n);
	free(standard);
	return is_good;
}

static struct message *read_binary(struct slice text)
{
	uint8_t *data = memory_alloc(BASE64_DECODED_MAX(text.n + 3) + 1);
	struct message *frame = NULL;
	size_t n;

	if (decode(text, data, &n))
		frame = message_new(MESSAGE_BINARY, slice_of((const char *)data, n));
	free(data);
	return frame;
}

static void add_frame(struct engineio_payload *self, struct message *frame)
{
	TAILQ_INSERT_TAIL(&self->frames, frame, link);
	self->cost += message_cost(frame);
}

/* False: it is malformed. */
static bool read_packet(struct engineio_payload *self, struct slice packet)
{
	struct message *frame;

	switch (packet.n > 0 ? packet.p[0] : '\0') {
	case '1':
		self->has_close = true;
		return true;
	case '3':
		self->has_pong = true;
		add_frame(self, message_new(MESSAGE_TEXT, packet));
		return true;
	case '2':
	case '4':
		add_frame(self, message_new(MESSAGE_TEXT, packet));
		return true;
	case 'b':
		frame = read_binary(slice_from(packet, 1));
		if (frame == NULL)
			return false;
		add_frame(self, frame);
		return true;
	case '0':
	case '5':
	case '6':
		return true;
	default:
		return false;
	}
}

static enum engineio_verdict read_packets(struct engineio_payload *self, struct slice body)
{
	for (size_t n_packets = 0; !self->has_close; n_packets++) {
		size_t n = slice_find(body, SEPARATOR);

		if (n_packets == ENGINEIO_MAX_PACKETS)
			return ENGINEIO_PAYLOAD_TOO_MANY;
		if (!read_packet(self, slice_first(body, n)))
			return ENGINEIO_PAYLOAD_MALFORMED;
		if (n == body.n)
			break;
		body = slice_from(body, n + 1);
	}
	return ENGINEIO_PAYLOAD_OK;
}

enum engineio_verdict engineio_payload_read(struct engineio_payload *self, struct slice body)
{
	enum engineio_verdict verdict;

	*self = (struct engineio_payload){0};
	TAILQ_INIT(&self->frames);
	/* A separator is no part of a longer character: packets are valid where the whole is. */
	if (!utf8_is_valid(body.p, body.n))
		return ENGINEIO_PAYLOAD_MALFORMED;
	verdict = read_packets(self, body);
	if (verdict != ENGINEIO_PAYLOAD_OK)
		engineio_payload_clear(self);
	return verdict;
}

void engineio_payload_clear(struct engineio_payload *self)
{
	message_list_clear(&self->frames);
	self->cost = 0;
}

bool engineio_is_pong(struct slice packet)
{
	return packet.n > 0 && packet.p[0] == '3';
}

/* Writing. */

bool engineio_is_close(const struct message *frame)
{
	return frame->kind == MESSAGE_CLOSE ||
		(frame->kind == MESSAGE_TEXT &&
			slice_starts_with(message_payload(frame), SLICE("1")));
}

void engineio_payload_add(struct bytes *out, const struct message *frame, bool is_first)
{
	static const char separator = SEPARATOR;

	if (!is_first)
		bytes_append(out, &separator, 1);
	if (frame->kind == MESSAGE_TEXT) {
		bytes_append_slice(out, message_payload(frame));
		return;
	}
	bytes_append_string(out, "b");
	plain_encode_base64(out, message_payload(frame));
}

/* The open packet. */

static bool read_ms(const json_t *object, const char *name, uint64_t *ms)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) <= 0)
		return false;
	*ms = (uint64_t)json_integer_value(value);
	return *ms <= ENGINEIO_MAX_PING_MS;
}

/*
 * Servers before 6.2 of the reference do not say it. Those without a limit of their own say null
 * (Infinity), or 0; one that was calculated may have a fraction.
 */
static bool read_max_payload(json_t *object, uint64_t limit, struct engineio_open *open)
{
	const json_t *value = json_object_get(object, "maxPayload");
	double number = json_number_value(value);

	open->max_payload = limit;
	if (value == NULL)
		return true;
	if (!json_is_number(value) && !json_is_null(value))
		return false;
	if (number >= 1 && number < (double)limit)
		open->max_payload = (uint64_t)number;
	return json_object_set_new(
		       object, "maxPayload", json_integer((json_int_t)open->max_payload)) == 0;
}

static bool rewrite(json_t *object, struct slice sid, bool can_upgrade)
{
	json_t *upgrades = json_array();

	if (can_upgrade)
		(void)json_array_append_new(upgrades, json_string("websocket"));
	return json_object_set_new(object, "sid", json_stringn(sid.p, sid.n)) == 0 &&
		json_object_set_new(object, "upgrades", upgrades) == 0;
}

bool engineio_open_rewrite(struct slice packet, struct slice sid, bool can_upgrade,
	uint64_t max_payload, struct engineio_open *open, struct bytes *out)
{
	json_t *object;
	char *text = NULL;

	if (packet.n == 0 || packet.n > ENGINEIO_MAX_OPEN_SIZE || packet.p[0] != '0')
		return false;
	object = json_loadb(packet.p + 1, packet.n - 1, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_string(json_object_get(object, "sid")) &&
		read_ms(object, "pingInterval", &open->ping_interval_ms) &&
		read_ms(object, "pingTimeout", &open->ping_timeout_ms) &&
		read_max_payload(object, max_payload, open) && rewrite(object, sid, can_upgrade))
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (text == NULL)
		return false;
	bytes_append_string(out, "0");
	bytes_append_string(out, text);
	free(text);
	return true;
}

const char *engineio_verdict_name(enum engineio_verdict verdict)
{
	switch (verdict) {
	case ENGINEIO_PAYLOAD_OK:
		return "ok";
	case ENGINEIO_PAYLOAD_MALFORMED:
		return "malformed";
	case ENGINEIO_PAYLOAD_TOO_MANY:
		return "too many packets";
	}
	return "?";
}
