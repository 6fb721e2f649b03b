/*
 * A request head. Scanned in one piece and byte by byte it must come to the same; what the parser
 * accepts the scan has accepted too; and an accepted head, written out and read again, is the same
 * head, so that the next one in the chain cannot see another request than we did.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/h1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {
	.max_head_size = 2048, .max_fields = 24, .max_target_size = 256};
/* Writing adds fields of our own and may complete the target. */
static const struct h1_limits written_limits = {
	.max_head_size = 4096, .max_fields = 32, .max_target_size = 257};

static enum h1_scan check_scan(struct slice input, struct h1_head_scan *scan)
{
	enum h1_scan result = h1_head_scan_continue(scan, input, &limits, true);
	struct h1_head_scan split = {0};
	enum h1_scan split_result = H1_SCAN_MORE;
	size_t n = 0;

	while (n < input.n && split_result == H1_SCAN_MORE)
		split_result =
			h1_head_scan_continue(&split, slice_first(input, ++n), &limits, true);
	ASSERT(split_result == result);
	ASSERT(split.reason == scan->reason);
	ASSERT(split.size == scan->size);
	ASSERT(result != H1_SCAN_HEAD || scan->size == n);
	return result;
}

static bool is_rewritten(const struct field *field)
{
	return field->id == FIELD_HOST || field->id == FIELD_CONTENT_LENGTH ||
		field->id == FIELD_TRANSFER_ENCODING || field->id == FIELD_CONNECTION ||
		field->id == FIELD_KEEP_ALIVE || field->id == FIELD_PROXY_CONNECTION ||
		field->id == FIELD_UPGRADE;
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

static void check_head(const struct request_head *head)
{
	ASSERT(h1_is_token(head->method_name));
	ASSERT(head->target.n > 0);
	ASSERT(head->target.p[0] == '/' ||
		(head->method == METHOD_OPTIONS && slice_equals(head->target, SLICE("*"))));
	ASSERT(head->path.n + head->query.n + head->has_query == head->target.n);
	ASSERT(head->authority.n > 0 ? h1_is_authority(head->authority) : head->version_minor == 0);
	ASSERT(!head->is_websocket || head->wants_websocket);
	ASSERT(head->wants_websocket ==
		(head->is_websocket || head->websocket_reason != REASON_NONE));
	ASSERT(head->body == BODY_LENGTH || head->content_length == 0);
	for (uint32_t i = 0; i < head->fields.n; i++) {
		ASSERT(h1_is_token(head->fields.items[i].name));
		ASSERT(h1_is_field_value(head->fields.items[i].value));
	}
}

static void write_head(struct bytes *out, const struct request_head *head)
{
	enum h1_connection connection = H1_CONNECTION_KEEP;

	if (head->is_websocket)
		connection = H1_CONNECTION_UPGRADE;
	else if (head->wants_close)
		connection = H1_CONNECTION_CLOSE;
	h1_write_request_head(out, head, head->body, head->content_length, connection);
}

static void check_round_trip(struct request_head *head, struct arena *arena)
{
	struct h1_head_scan scan = {0};
	struct bytes out, again;
	struct request_head read;
	struct slice text;

	if (head->authority.n == 0)
		head->authority = SLICE("h");
	bytes_init(&out);
	bytes_init(&again);
	write_head(&out, head);
	text = arena_copy(arena, bytes_linearize(&out, bytes_size(&out)));
	ASSERT(h1_head_scan_continue(&scan, text, &written_limits, true) == H1_SCAN_HEAD);
	ASSERT(scan.size == text.n);
	ASSERT(h1_parse_request(text, &written_limits, arena, &read) == REASON_NONE);
	check_head(&read);
	ASSERT(read.method == head->method);
	ASSERT(slice_equals(read.method_name, head->method_name));
	ASSERT(slice_equals(read.target, head->target));
	ASSERT(slice_equals(read.path, head->path));
	ASSERT(slice_equals(read.query, head->query));
	ASSERT(slice_equals(read.authority, head->authority));
	ASSERT(read.body == head->body);
	ASSERT(read.content_length == head->content_length);
	ASSERT(read.is_websocket == head->is_websocket);
	ASSERT(read.wants_close == (head->wants_close && !head->is_websocket));
	ASSERT(read.expects_100 == head->expects_100 || head->version_minor == 0);
	check_same_fields(&head->fields, &read.fields);
	write_head(&again, &read);
	ASSERT(slice_equals(bytes_linearize(&again, bytes_size(&again)), text));
	bytes_clear(&out);
	bytes_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_of((const char *)data, size);
	struct h1_head_scan scan = {0};
	struct request_head head;
	struct arena arena;
	enum h1_scan result;

	if (size == 0)
		return 0;
	arena_init(&arena);
	result = check_scan(input, &scan);
	if (h1_parse_request(input, &limits, &arena, &head) == REASON_NONE &&
		size <= limits.max_head_size)
		ASSERT(result == H1_SCAN_HEAD && scan.size == size);
	if (result == H1_SCAN_HEAD) {
		/* An allocation of its own size, so that a read past the end is seen. */
		char *copy = memory_alloc(scan.size);

		memcpy(copy, data, scan.size);
		if (h1_parse_request(slice_of(copy, scan.size), &limits, &arena, &head) ==
			REASON_NONE) {
			check_head(&head);
			check_round_trip(&head, &arena);
		}
		free(copy);
	}
	arena_clear(&arena);
	return 0;
}
