/*
 * A response head. The first byte says to what: "h" HEAD, "c" CONNECT, else GET. What the parser
 * accepts the scan has accepted too; and an accepted head, written out and read again, is the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"
#include "proxy/http/h1_head.h"
#include "proxy/http/h1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {.max_head_size = 2048, .max_fields = 24};
static const struct h1_limits written_limits = {.max_head_size = 4096, .max_fields = 32};

static enum h1_scan check_scan(struct slice input, struct h1_head_scan *scan)
{
	enum h1_scan result = h1_head_scan_continue(scan, input, &limits, false);
	struct h1_head_scan split = {0};
	enum h1_scan split_result = H1_SCAN_MORE;
	size_t n = 0;

	while (n < input.n && split_result == H1_SCAN_MORE)
		split_result =
			h1_head_scan_continue(&split, slice_first(input, ++n), &limits, false);
	ASSERT(split_result == result);
	ASSERT(split.reason == scan->reason);
	ASSERT(split.size == scan->size);
	return result;
}

static void check_head(const struct response_head *head, enum method method)
{
	ASSERT(head->status >= 100 && head->status <= 999);
	ASSERT(h1_is_field_value(head->reason));
	if (head->status < 200 || head->status == 204 || head->status == 304 ||
		method == METHOD_HEAD || head->is_upgrade)
		ASSERT(head->body == BODY_NONE);
	else
		ASSERT(head->body != BODY_NONE);
	ASSERT(head->body != BODY_LENGTH || head->has_content_length);
	ASSERT(head->has_content_length || head->content_length == 0);
	ASSERT(head->body != BODY_CLOSE || head->wants_close);
	for (uint32_t i = 0; i < head->fields.n; i++) {
		ASSERT(h1_is_token(head->fields.items[i].name));
		ASSERT(h1_is_field_value(head->fields.items[i].value));
	}
}

static void write_head(struct bytes *out, const struct response_head *head)
{
	enum h1_connection connection = H1_CONNECTION_KEEP;

	if (head->status == 101)
		connection = H1_CONNECTION_UPGRADE;
	else if (head->wants_close)
		connection = H1_CONNECTION_CLOSE;
	h1_write_response_head(
		out, head, head->body, head->has_content_length, head->content_length, connection);
}

static void check_round_trip(
	const struct response_head *head, enum method method, struct arena *arena)
{
	struct h1_head_scan scan = {0};
	struct bytes out, again;
	struct response_head read;
	struct slice text;

	bytes_init(&out);
	bytes_init(&again);
	write_head(&out, head);
	text = arena_copy(arena, bytes_linearize(&out, bytes_size(&out)));
	ASSERT(h1_head_scan_continue(&scan, text, &written_limits, false) == H1_SCAN_HEAD);
	ASSERT(scan.size == text.n);
	ASSERT(h1_parse_response(text, &written_limits, method, arena, &read, NULL) == REASON_NONE);
	check_head(&read, method);
	ASSERT(read.status == head->status);
	ASSERT(head->reason.n == 0 || slice_equals(read.reason, head->reason));
	ASSERT(read.body == head->body);
	ASSERT(read.has_content_length == head->has_content_length);
	ASSERT(read.content_length == head->content_length);
	ASSERT(read.is_upgrade == head->is_upgrade);
	ASSERT(read.wants_close == (head->wants_close && head->status != 101));
	write_head(&again, &read);
	ASSERT(slice_equals(bytes_linearize(&again, bytes_size(&again)), text));
	bytes_clear(&out);
	bytes_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input;
	struct h1_head_scan scan = {0};
	struct response_head head;
	enum method method = METHOD_GET;
	struct arena arena;
	enum h1_scan result;

	if (size < 2)
		return 0;
	if (data[0] == 'h')
		method = METHOD_HEAD;
	else if (data[0] == 'c')
		method = METHOD_CONNECT;
	input = slice_of((const char *)data + 1, size - 1);
	arena_init(&arena);
	result = check_scan(input, &scan);
	if (h1_parse_response(input, &limits, method, &arena, &head, NULL) == REASON_NONE &&
		input.n <= limits.max_head_size)
		ASSERT(result == H1_SCAN_HEAD && scan.size == input.n);
	if (result == H1_SCAN_HEAD) {
		/* An allocation of its own size, so that a read past the end is seen. */
		char *copy = memory_alloc(scan.size);
		const char *why;

		memcpy(copy, input.p, scan.size);
		if (h1_parse_response(slice_of(copy, scan.size), &limits, method, &arena, &head,
			    &why) == REASON_NONE) {
			check_head(&head, method);
			check_round_trip(&head, method, &arena);
		} else {
			ASSERT(why != NULL);
		}
		free(copy);
	}
	arena_clear(&arena);
	return 0;
}
