#include "proxy/http/h1_write.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/http/h1_syntax.h"

/* "18446744073709551615" */
#define MAX_DECIMAL 20
/* Start line without its variable parts, and the longest fields that we add ourselves. */
#define OVERHEAD 256

static char *put(char *to, struct slice s)
{
	if (s.n == 0)
		return to;
	/* Whatever let a line end or a NUL through before: it stops here. */
	ASSERT(h1_span_value(s.p, s.p + s.n) == s.p + s.n);
	return mempcpy(to, s.p, s.n);
}

#define PUT_TEXT(to, literal) mempcpy((to), (literal), sizeof(literal) - 1)

static char *put_decimal(char *to, uint64_t value)
{
	char digits[MAX_DECIMAL], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	return mempcpy(to, p, (size_t)(digits + sizeof(digits) - p));
}

/* Fields that say how this message ends or what becomes of this connection. */
static bool is_framing(enum field_id id)
{
	return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING ||
		id == FIELD_CONNECTION || id == FIELD_KEEP_ALIVE || id == FIELD_PROXY_CONNECTION ||
		id == FIELD_UPGRADE;
}

static char *put_field(char *to, const struct field *field)
{
	to = put(to, field->name);
	to = PUT_TEXT(to, ": ");
	to = put(to, field->value);
	return PUT_TEXT(to, "\r\n");
}

static size_t fields_size(const struct fields *fields)
{
	size_t size = 0;

	for (uint32_t i = 0; i < fields->n; i++)
		size += fields->items[i].name.n + fields->items[i].value.n + 4;
	return size;
}

static char *put_framing(char *to, enum body_kind body, bool has_length, uint64_t length)
{
	if (body == BODY_CHUNKED)
		return PUT_TEXT(to, "Transfer-Encoding: chunked\r\n");
	if (!has_length && body != BODY_LENGTH)
		return to;
	to = PUT_TEXT(to, "Content-Length: ");
	to = put_decimal(to, length);
	return PUT_TEXT(to, "\r\n");
}

/* A 426 must name what would be right, and Connection must name Upgrade (RFC 9110 section 7.8). */
static char *put_connection(char *to, enum h1_connection connection, const struct field *offer)
{
	switch (connection) {
	case H1_CONNECTION_KEEP:
		if (offer != NULL)
			to = PUT_TEXT(to, "Connection: upgrade\r\n");
		break;
	case H1_CONNECTION_KEEP_10:
		return PUT_TEXT(to, "Connection: keep-alive\r\n");
	case H1_CONNECTION_CLOSE:
		to = offer != NULL ? PUT_TEXT(to, "Connection: close, upgrade\r\n")
				   : PUT_TEXT(to, "Connection: close\r\n");
		break;
	case H1_CONNECTION_UPGRADE:
		return PUT_TEXT(to, "Connection: upgrade\r\nUpgrade: websocket\r\n");
	}
	return offer != NULL ? put_field(to, offer) : to;
}

/* Room for a head of at most `size` bytes: in the queue, or in memory of its own for a huge one. */
static char *head_begin(struct bytes *out, size_t size)
{
	size_t room;

	return size <= BYTES_CHUNK_SIZE ? bytes_reserve(out, size, &room) : memory_alloc(size);
}

static void head_finish(struct bytes *out, size_t size, char *start, const char *end)
{
	ASSERT((size_t)(end - start) <= size);
	if (size <= BYTES_CHUNK_SIZE) {
		bytes_commit(out, (size_t)(end - start));
		return;
	}
	bytes_append(out, start, (size_t)(end - start));
	free(start);
}

void h1_write_request_head(struct bytes *out, const struct request_head *head, enum body_kind body,
	uint64_t content_length, enum h1_connection connection)
{
	size_t size = OVERHEAD + head->method_name.n + head->target.n + head->authority.n +
		fields_size(&head->fields);
	char *start = head_begin(out, size), *to = start;

	ASSERT(body != BODY_CLOSE);
	to = put(to, head->method_name);
	*to++ = ' ';
	to = put(to, head->target);
	to = PUT_TEXT(to, " HTTP/1.1\r\nHost: ");
	to = put(to, head->authority);
	to = PUT_TEXT(to, "\r\n");
	for (uint32_t i = 0; i < head->fields.n; i++) {
		const struct field *field = &head->fields.items[i];

		if (!is_framing(field->id) && field->id != FIELD_HOST)
			to = put_field(to, field);
	}
	to = put_framing(to, body, false, content_length);
	to = put_connection(to, connection, NULL);
	to = PUT_TEXT(to, "\r\n");
	head_finish(out, size, start, to);
}

void h1_write_response_head(struct bytes *out, const struct response_head *head,
	enum body_kind body, bool has_content_length, uint64_t content_length,
	enum h1_connection connection)
{
	struct slice reason =
		head->reason.n > 0 ? head->reason : slice_from_string(status_reason(head->status));
	size_t size = OVERHEAD + reason.n + fields_size(&head->fields);
	const struct field *offer =
		head->status == 426 ? fields_find(&head->fields, FIELD_UPGRADE) : NULL;
	char *start = head_begin(out, size), *to = start;

	ASSERT(head->status >= 100 && head->status <= 999);
	to = PUT_TEXT(to, "HTTP/1.1 ");
	to = put_decimal(to, head->status);
	*to++ = ' ';
	to = put(to, reason);
	to = PUT_TEXT(to, "\r\n");
	for (uint32_t i = 0; i < head->fields.n; i++)
		if (!is_framing(head->fields.items[i].id))
			to = put_field(to, &head->fields.items[i]);
	to = put_framing(to, body, has_content_length, content_length);
	to = put_connection(to, connection, offer);
	to = PUT_TEXT(to, "\r\n");
	head_finish(out, size, start, to);
}

void h1_write_chunk(struct bytes *out, struct bytes *data, size_t n)
{
	char text[MAX_DECIMAL], *p = text + sizeof(text);
	size_t left = n;

	ASSERT(n > 0);
	*--p = '\n';
	*--p = '\r';
	do
		*--p = "0123456789abcdef"[left & 0xf];
	while ((left >>= 4) > 0);
	bytes_append(out, p, (size_t)(text + sizeof(text) - p));
	bytes_move(out, data, n);
	bytes_append(out, "\r\n", 2);
}

void h1_write_last_chunk(struct bytes *out, const struct fields *trailers)
{
	size_t size = 5 + (trailers != NULL ? fields_size(trailers) : 0);
	char *start = head_begin(out, size), *to = start;

	to = PUT_TEXT(to, "0\r\n");
	for (uint32_t i = 0; trailers != NULL && i < trailers->n; i++)
		if (!is_framing(trailers->items[i].id) && trailers->items[i].id != FIELD_HOST)
			to = put_field(to, &trailers->items[i]);
	to = PUT_TEXT(to, "\r\n");
	head_finish(out, size, start, to);
}
