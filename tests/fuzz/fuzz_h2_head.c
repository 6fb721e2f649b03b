/*
 * Field lines of HTTP/2. The first byte says of what: "r" a request that has ended, "R" one whose
 * body follows, "s", "S" and "h" the same of a response to GET, and one to HEAD, "t" trailers.
 * Lines follow, "name=value\n" each, the name up to the first "=" behind its first byte; the bytes
 * 1 and 2 stand for LF and "=", so that these can be anywhere.
 *
 * What comes out as a head is safe for HTTP/1.1: written and read again by its parser it is the
 * same head. So it is by HTTP/2's own, whose lines nghttp2 finds nothing wrong with.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/h1_write.h"
#include "proxy/http/h2_head.h"
#include "proxy/http/ws_handshake.h"
#include "proxy/http/ws_upgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {
	.max_head_size = 2048, .max_fields = 24, .max_target_size = 256};
/* Writing adds fields of our own. */
static const struct h1_limits written_limits = {
	.max_head_size = 8192, .max_fields = 48, .max_target_size = 256};

/* Lines in. */

static struct slice unescape(struct arena *arena, struct slice s)
{
	/* An allocation of its own, so that a read past the end is seen. */
	char *copy = arena_alloc_text(arena, s.n);

	for (size_t i = 0; i < s.n; i++)
		copy[i] = s.p[i] == 1 ? '\n' : s.p[i] == 2 ? '=' : s.p[i];
	return slice_of(copy, s.n);
}

static void add_lines(struct h2_head *head, struct slice text)
{
	while (text.n > 0) {
		struct slice line = slice_first(text, slice_find(text, '\n'));
		size_t equals = 1 + slice_find(slice_from(line, 1), '=');
		struct slice name = unescape(head->arena, slice_first(line, equals));
		struct slice value = unescape(head->arena, slice_from(line, equals + 1));

		h2_head_add(head, &limits, name, value);
		text = slice_from(text, line.n + 1);
	}
	ASSERT(head->size <= limits.max_head_size);
	ASSERT(head->fields.n <= limits.max_fields);
}

/* As nghttp2 hands them over. */
static struct h2_head read_back(struct arena *arena, struct h2_lines lines)
{
	struct h2_head head;

	h2_head_start(&head, arena);
	for (size_t i = 0; i < lines.n; i++)
		h2_head_add(&head, &written_limits,
			slice_of((const char *)lines.items[i].name, lines.items[i].namelen),
			slice_of((const char *)lines.items[i].value, lines.items[i].valuelen));
	return head;
}

static void check_lines(struct h2_lines lines)
{
	bool is_pseudo = true;

	for (size_t i = 0; i < lines.n; i++) {
		const nghttp2_nv *line = &lines.items[i];

		ASSERT(line->namelen > 0);
		/* Pseudo-header fields come first. */
		ASSERT(is_pseudo || line->name[0] != ':');
		is_pseudo = line->name[0] == ':';
		ASSERT(is_pseudo || nghttp2_check_header_name(line->name, line->namelen));
		ASSERT(nghttp2_check_header_value_rfc9113(line->value, line->valuelen));
	}
}

/* Fields. */

static bool is_rewritten(const struct field *field)
{
	return field->id == FIELD_HOST || field->id == FIELD_CONTENT_LENGTH ||
		field->id == FIELD_TRANSFER_ENCODING || field->id == FIELD_CONNECTION ||
		field->id == FIELD_KEEP_ALIVE || field->id == FIELD_PROXY_CONNECTION ||
		field->id == FIELD_UPGRADE || field->id == FIELD_HTTP2_SETTINGS ||
		field->id == FIELD_TE;
}

/* The fields that are not rewritten, in order. */
static void check_same_fields(const struct fields *a, const struct fields *b)
{
	uint32_t j = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		if (is_rewritten(&a->items[i]))
			continue;
		while (j < b->n && is_rewritten(&b->items[j]))
			j++;
		ASSERT(j < b->n);
		ASSERT(slice_equals(a->items[i].name, b->items[j].name));
		ASSERT(slice_equals(a->items[i].value, b->items[j].value));
		ASSERT(a->items[i].id == b->items[j].id);
		j++;
	}
	for (; j < b->n; j++)
		ASSERT(is_rewritten(&b->items[j]));
}

static void check_fields(const struct fields *fields)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		const struct field *field = &fields->items[i];

		ASSERT(h1_is_token(field->name));
		ASSERT(h1_is_field_value(field->value));
		for (size_t j = 0; j < field->name.n; j++)
			ASSERT(field->name.p[j] < 'A' || field->name.p[j] > 'Z');
	}
}

static bool has_fields_of_connection(const struct fields *fields)
{
	return fields_find(fields, FIELD_CONNECTION) != NULL ||
		fields_find(fields, FIELD_TRANSFER_ENCODING) != NULL ||
		fields_find(fields, FIELD_KEEP_ALIVE) != NULL ||
		fields_find(fields, FIELD_PROXY_CONNECTION) != NULL ||
		fields_find(fields, FIELD_UPGRADE) != NULL;
}

/* Requests. */

static void check_request(const struct request_head *head)
{
	ASSERT(h1_is_token(head->method_name));
	ASSERT(head->method_name.n <= H1_MAX_METHOD_SIZE);
	ASSERT(head->method != METHOD_CONNECT);
	ASSERT(head->target.n > 0 && head->target.n <= limits.max_target_size);
	ASSERT(head->target.p[0] == '/' ||
		(head->method == METHOD_OPTIONS && slice_equals(head->target, SLICE("*"))));
	ASSERT(head->path.n + head->query.n + head->has_query == head->target.n);
	ASSERT(h1_is_authority(head->authority));
	ASSERT(!head->is_websocket || head->wants_websocket);
	ASSERT(head->wants_websocket ==
		(head->is_websocket || head->websocket_reason != REASON_NONE));
	ASSERT(head->body != BODY_CLOSE);
	ASSERT(head->body == BODY_LENGTH || head->content_length == 0);
	ASSERT(!has_fields_of_connection(&head->fields));
	ASSERT(fields_count(&head->fields, FIELD_COOKIE) <= 1);
	check_fields(&head->fields);
}

static void check_same_request(const struct request_head *a, const struct request_head *b)
{
	ASSERT(a->method == b->method);
	ASSERT(slice_equals(a->method_name, b->method_name));
	ASSERT(slice_equals(a->target, b->target));
	ASSERT(slice_equals(a->path, b->path));
	ASSERT(slice_equals(a->query, b->query));
	ASSERT(slice_equals(a->authority, b->authority));
	ASSERT(a->body == b->body);
	ASSERT(a->content_length == b->content_length);
	ASSERT(a->is_websocket == b->is_websocket);
	ASSERT(a->expects_100 == b->expects_100);
	check_same_fields(&a->fields, &b->fields);
}

static void check_request_in_http1(const struct request_head *head, struct arena *arena)
{
	const struct request_head *given =
		head->is_websocket ? ws_upgrade_request(head, arena) : head;
	struct h1_head_scan scan = {0};
	struct request_head read;
	struct bytes out;
	struct slice text;

	bytes_init(&out);
	h1_write_request_head(&out, given, given->body, given->content_length,
		given->is_websocket ? H1_CONNECTION_UPGRADE : H1_CONNECTION_KEEP);
	text = arena_copy(arena, bytes_linearize(&out, bytes_size(&out)));
	ASSERT(h1_head_scan_continue(&scan, text, &written_limits, true) == H1_SCAN_HEAD);
	ASSERT(scan.size == text.n);
	ASSERT(h1_parse_request(text, &written_limits, arena, &read) == REASON_NONE);
	check_same_request(given, &read);
	bytes_clear(&out);
}

static void check_request_in_http2(
	const struct request_head *head, bool is_ended, struct arena *arena)
{
	struct h2_lines lines = h2_head_write_request(
		head, head->body, head->content_length, true, head->is_websocket);
	struct request_head read;
	struct h2_head again;

	check_lines(lines);
	again = read_back(arena, lines);
	ASSERT(h2_head_to_request(&again, &written_limits, is_ended, &read) == REASON_NONE);
	if (head->is_websocket)
		fields_remove(&read.fields, FIELD_SEC_WEBSOCKET_KEY);
	check_same_request(head, &read);
}

static void do_request(struct arena *arena, struct slice text, bool is_ended)
{
	struct request_head head;
	struct h2_head lines;

	h2_head_start(&lines, arena);
	add_lines(&lines, text);
	if (h2_head_to_request(&lines, &limits, is_ended, &head) != REASON_NONE) {
		/* The log shows what there is of it. */
		ASSERT(head.method_name.n == 0 || h1_is_token(head.method_name));
		return;
	}
	check_request(&head);
	check_request_in_http1(&head, arena);
	/* The stream itself is the proof: these are not sent on. */
	fields_remove(&head.fields, FIELD_SEC_WEBSOCKET_KEY);
	fields_remove(&head.fields, FIELD_SEC_WEBSOCKET_ACCEPT);
	check_request_in_http2(&head, is_ended && !head.is_websocket, arena);
}

/* Responses. */

static void check_same_response(const struct response_head *a, const struct response_head *b)
{
	ASSERT(a->status == b->status);
	ASSERT(a->body == b->body);
	ASSERT(a->content_length == b->content_length);
	check_same_fields(&a->fields, &b->fields);
}

static void check_response(const struct response_head *head, enum method method)
{
	ASSERT(head->status >= 100 && head->status <= 999 && head->status != 101);
	ASSERT(head->body != BODY_CLOSE);
	ASSERT(method != METHOD_HEAD || head->body == BODY_NONE);
	ASSERT((head->status >= 200 && head->status != 204) || !head->has_content_length);
	ASSERT(!head->is_upgrade);
	ASSERT(!has_fields_of_connection(&head->fields));
	check_fields(&head->fields);
}

static void check_response_in_http1(
	const struct response_head *head, enum method method, struct arena *arena)
{
	struct h1_head_scan scan = {0};
	struct response_head read;
	struct bytes out;
	struct slice text;

	bytes_init(&out);
	h1_write_response_head(&out, head, head->body,
		head->body == BODY_LENGTH || head->has_content_length, head->content_length,
		H1_CONNECTION_KEEP);
	text = arena_copy(arena, bytes_linearize(&out, bytes_size(&out)));
	ASSERT(h1_head_scan_continue(&scan, text, &written_limits, false) == H1_SCAN_HEAD);
	ASSERT(scan.size == text.n);
	ASSERT(h1_parse_response(text, &written_limits, method, arena, &read, NULL) == REASON_NONE);
	ASSERT(!read.wants_close);
	check_same_response(head, &read);
	bytes_clear(&out);
}

static void do_response(struct arena *arena, struct slice text, enum method method, bool is_ended)
{
	struct response_head head, read;
	struct h2_head lines, again;
	struct h2_lines written;

	h2_head_start(&lines, arena);
	add_lines(&lines, text);
	if (h2_head_to_response(&lines, method, is_ended, &head) != NULL)
		return;
	check_response(&head, method);
	check_response_in_http1(&head, method, arena);
	written = h2_head_write_response(&head);
	check_lines(written);
	again = read_back(arena, written);
	ASSERT(h2_head_to_response(&again, method, is_ended, &read) == NULL);
	ASSERT(read.has_content_length == head.has_content_length);
	check_same_response(&head, &read);
}

/* Trailers. */

static void do_trailers(struct arena *arena, struct slice text)
{
	struct fields read = {0}, *trailers;
	struct h2_head lines;
	struct bytes out;

	h2_head_start(&lines, arena);
	add_lines(&lines, text);
	trailers = h2_head_to_trailers(&lines);
	if (trailers == NULL)
		return;
	ASSERT(trailers->n > 0);
	check_fields(trailers);
	check_lines(h2_head_write_trailers(trailers));
	bytes_init(&out);
	h1_write_last_chunk(&out, trailers);
	ASSERT(slice_starts_with(bytes_linearize(&out, bytes_size(&out)), SLICE("0\r\n")));
	bytes_drain(&out, 3);
	ASSERT(h1_parse_trailers(arena_copy(arena, bytes_linearize(&out, bytes_size(&out))),
		       &written_limits, arena, &read) == REASON_NONE);
	ASSERT(read.n == trailers->n);
	check_same_fields(trailers, &read);
	bytes_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct slice text;

	if (size == 0)
		return 0;
	text = slice_of((const char *)data + 1, size - 1);
	arena_init(&arena);
	switch (data[0]) {
	case 'r':
	case 'R':
		do_request(&arena, text, data[0] == 'r');
		break;
	case 's':
	case 'S':
		do_response(&arena, text, METHOD_GET, data[0] == 's');
		break;
	case 'h':
		do_response(&arena, text, METHOD_HEAD, true);
		break;
	default:
		do_trailers(&arena, text);
		break;
	}
	arena_clear(&arena);
	return 0;
}
