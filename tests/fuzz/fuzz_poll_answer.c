/*
 * What a backend says to a poll: lines of fields (Content-Type, ETag, Last-Modified, Date,
 * Retry-After), then a body. A validator is never more than what was given, a kind never a text
 * that is not UTF-8, and a date is one that a calendar has.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "bridge/feed/poll_answer.h"
#include "proxy/base/utf8.h"
#include "proxy/http/date.h"

#define NOW INT64_C(1700000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice take_line(struct slice *rest)
{
	size_t n = slice_find(*rest, '\n');
	struct slice line = slice_first(*rest, n);

	*rest = slice_from(*rest, n + 1);
	return line;
}

static void check_date(struct slice text)
{
	int64_t seconds;
	struct tm tm;
	time_t at;

	if (!http_date_parse(text, NOW, &seconds))
		return;
	at = (time_t)seconds;
	ASSERT(gmtime_r(&at, &tm) != NULL);
	ASSERT(tm.tm_year + 1900 >= 0 && tm.tm_year + 1900 <= 10000);
	ASSERT(timegm(&tm) == at);
}

static void check_part(struct slice part, struct slice whole)
{
	ASSERT(part.n == 0 || slice_equals(part, whole));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of((const char *)data, size);
	struct slice type = take_line(&rest), tag = take_line(&rest), modified = take_line(&rest);
	struct slice date = take_line(&rest), retry_after = take_line(&rest);
	struct response_head head = {.status = 200};
	struct arena arena;

	arena_init(&arena);
	fields_add(&head.fields, &arena, SLICE("ETag"), tag);
	fields_add(&head.fields, &arena, SLICE("Last-Modified"), modified);
	fields_add(&head.fields, &arena, SLICE("Date"), date);
	fields_add(&head.fields, &arena, SLICE("Retry-After"), retry_after);
	fields_add(&head.fields, &arena, SLICE("Content-Encoding"), type);
	(void)poll_answer_result(&head, size % 2 == 0);
	check_part(poll_answer_tag(&head.fields), tag);
	check_part(poll_answer_modified(&head.fields, NOW), modified);
	(void)poll_answer_retry_after_ms(&head.fields, NOW);
	if (poll_answer_kind(type, rest) == MESSAGE_TEXT)
		ASSERT(utf8_is_valid(rest.p, rest.n));
	check_date(modified);
	check_date(date);
	check_date(retry_after);
	arena_clear(&arena);
	arena_release_cache();
	return 0;
}
