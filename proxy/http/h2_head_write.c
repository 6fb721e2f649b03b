/* Heads and trailers as lists of lines for nghttp2 (RFC 9113 section 8). */
#include "proxy/http/h2_head.h"

#include <stdlib.h>

#include "proxy/base/memory.h"

/* "18446744073709551615" */
#define MAX_DECIMAL 20
/* Pseudo-header fields, Content-Length and TE. */
#define N_EXTRA 8

/* Of the whole process: a worker is single-threaded, and nghttp2 copies at once. */
static nghttp2_nv *lines;
static size_t n_lines, n_room;
static char length_text[MAX_DECIMAL], status_text[3];

static void begin(size_t n)
{
	if (n_room < n + N_EXTRA) {
		n_room = n + N_EXTRA;
		lines = memory_realloc(lines, n_room * sizeof(*lines));
	}
	n_lines = 0;
}

void h2_head_release_buffer(void)
{
	free(lines);
	lines = NULL;
	n_room = 0;
}

static void put(struct slice name, struct slice value)
{
	lines[n_lines++] = (nghttp2_nv){
		.name = (uint8_t *)name.p,
		.namelen = name.n,
		.value = (uint8_t *)value.p,
		.valuelen = value.n,
	};
}

static void put_length(uint64_t length)
{
	char *p = length_text + sizeof(length_text);

	do
		*--p = (char)('0' + length % 10);
	while ((length /= 10) > 0);
	put(SLICE("content-length"), slice_of(p, (size_t)(length_text + sizeof(length_text) - p)));
}

/* Not sent as they stand: what frames an HTTP/1.1 message, what belongs to its connection, and what
 * has its place among the pseudo-header fields. */
static bool is_skipped(enum field_id id)
{
	return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING ||
		id == FIELD_CONNECTION || id == FIELD_KEEP_ALIVE || id == FIELD_PROXY_CONNECTION ||
		id == FIELD_UPGRADE || id == FIELD_HTTP2_SETTINGS || id == FIELD_HOST ||
		id == FIELD_TE;
}

/* RFC 8441 section 5: the stream itself proves what these do in HTTP/1.1. */
static bool is_proof(enum field_id id)
{
	return id == FIELD_SEC_WEBSOCKET_KEY || id == FIELD_SEC_WEBSOCKET_ACCEPT;
}

static void put_fields(const struct fields *fields, bool is_websocket)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		const struct field *field = &fields->items[i];

		if (!is_skipped(field->id) && !(is_websocket && is_proof(field->id)))
			put(field->name, field->value);
	}
}

static struct h2_lines finish(void)
{
	return (struct h2_lines){.items = lines, .n = n_lines};
}

struct h2_lines h2_head_write_request(const struct request_head *head, enum body_kind body,
	uint64_t content_length, bool is_https, bool is_websocket)
{
	begin(head->fields.n);
	put(SLICE(":method"), is_websocket ? SLICE("CONNECT") : head->method_name);
	if (is_websocket)
		put(SLICE(":protocol"), SLICE("websocket"));
	put(SLICE(":scheme"), is_https ? SLICE("https") : SLICE("http"));
	put(SLICE(":authority"), head->authority);
	put(SLICE(":path"), head->target);
	put_fields(&head->fields, is_websocket);
	if (head->takes_trailers)
		put(SLICE("te"), SLICE("trailers"));
	if (body == BODY_LENGTH)
		put_length(content_length);
	return finish();
}

struct h2_lines h2_head_write_response(const struct response_head *head)
{
	unsigned status = head->status == 101 ? 200 : head->status;

	begin(head->fields.n);
	for (unsigned i = 3, rest = status; i > 0; rest /= 10)
		status_text[--i] = (char)('0' + rest % 10);
	put(SLICE(":status"), slice_of(status_text, 3));
	put_fields(&head->fields, head->is_upgrade);
	if (head->has_content_length && !head->is_upgrade)
		put_length(head->content_length);
	return finish();
}

struct h2_lines h2_head_write_trailers(const struct fields *trailers)
{
	begin(trailers->n);
	put_fields(trailers, false);
	return finish();
}
