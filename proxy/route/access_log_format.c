/*
 * Each line is measured at its worst, written into one run of bytes, and committed at its real
 * size: this is done once for each request.
 */
#include "proxy/route/access_log_format.h"

#include <stdlib.h>

#include "proxy/base/memory.h"
#include "proxy/base/utf8.h"

/* All that is not text of others: names, numbers, times, punctuation. */
#define FIXED_MAX 1024
/* A byte may become \u00HH. */
#define ESCAPE_MAX 6

static const char hex[] = "0123456789abcdef";

void access_log_clock_set(struct access_log_clock *self, time_t now)
{
	struct tm tm;
	size_t n;

	if (now == self->second && self->combined[0] != '\0')
		return;
	self->second = now;
	(void)localtime_r(&now, &tm);
	(void)strftime(self->combined, sizeof(self->combined), "%d/%b/%Y:%H:%M:%S %z", &tm);
	n = strftime(self->json, sizeof(self->json), "%Y-%m-%dT%H:%M:%S%z", &tm);
	/* RFC 3339 has a colon in the offset. */
	memmove(self->json + n - 1, self->json + n - 2, 3);
	self->json[n - 2] = ':';
}

unsigned access_log_status(const struct access_log_facts *facts)
{
	if (facts->status == 0 && facts->reason == REASON_CLIENT_GONE)
		return 499;
	return facts->status;
}

struct access_log_mask access_log_find_mask(struct slice url)
{
	struct access_log_mask mask = {.cut = url.n, .resume = url.n};
	size_t end = MIN(slice_find(url, '?'), slice_find(url, '#'));
	size_t start = end;
	struct slice last;
	size_t n_mark = 0;

	while (start > 0 && url.p[start - 1] != '/')
		start--;
	last = slice_of(url.p + start, end - start);
	if (start > 0 && slice_starts_with(last, SLICE("~")))
		n_mark = 1;
	else if (start > 0 && slice_equals_ignoring_case(slice_first(last, 3), SLICE("%7e")))
		n_mark = 3;
	if (n_mark > 0 && last.n > n_mark + 3)
		mask = (struct access_log_mask){.cut = start + n_mark + 3, .resume = end};
	return mask;
}

/* Pieces. */

static char *put(char *to, struct slice s)
{
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

static char *put_string(char *to, const char *s)
{
	return put(to, slice_from_string(s));
}

static char *put_number(char *to, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	return put(to, slice_of(digits + i, sizeof(digits) - i));
}

static char *put_ms(char *to, uint64_t us)
{
	to = put_number(to, us / 1000);
	*to++ = '.';
	*to++ = (char)('0' + us % 1000 / 100);
	*to++ = (char)('0' + us % 100 / 10);
	*to++ = (char)('0' + us % 10);
	return to;
}

static char *put_version(char *to, unsigned version)
{
	*to++ = (char)('0' + version / 10);
	*to++ = '.';
	*to++ = (char)('0' + version % 10);
	return to;
}

/* Between two of the times; false if one of them did not happen. */
static bool find_span(uint64_t from, uint64_t to, uint64_t *span)
{
	*span = to - from;
	return from != 0 && to >= from;
}

struct spans {
	uint64_t head, connect, response, total;
	bool has_head, has_connect, has_response, has_total;
};

static struct spans spans_of(const struct exchange_times *times)
{
	struct spans spans;
	uint64_t asked = times->connected != 0 ? times->connected : times->requested;

	spans.has_head = find_span(times->started, times->requested, &spans.head);
	spans.has_connect = find_span(times->requested, times->connected, &spans.connect);
	spans.has_response = find_span(asked, times->responded, &spans.response);
	spans.has_total = find_span(times->started, times->ended, &spans.total);
	return spans;
}

/* Text of others is written by one of these. */
typedef char *put_escaped(char *to, struct slice s);

static char *put_masked(char *to, struct slice url, put_escaped *put_text)
{
	struct access_log_mask mask = access_log_find_mask(url);

	to = put_text(to, slice_first(url, mask.cut));
	if (mask.resume > mask.cut)
		to = put(to, SLICE("***"));
	return put_text(to, slice_from(url, mask.resume));
}

/* Combined. */

static char *put_hex(char *to, char c)
{
	*to++ = '\\';
	*to++ = 'x';
	*to++ = hex[(unsigned char)c >> 4];
	*to++ = hex[(unsigned char)c & 15];
	return to;
}

static char *put_quotable(char *to, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (LIKELY(c >= ' ' && c < 0x7f && c != '"' && c != '\\'))
			*to++ = c;
		else
			to = put_hex(to, c);
	}
	return to;
}

/* A column without quotes. */
static char *put_column(char *to, struct slice s)
{
	size_t space;

	*to++ = ' ';
	if (s.n == 0)
		*to++ = '-';
	while ((space = slice_find(s, ' ')) < s.n) {
		to = put_quotable(to, slice_first(s, space));
		to = put_hex(to, ' ');
		s = slice_from(s, space + 1);
	}
	return put_quotable(to, s);
}

static char *put_quoted(char *to, struct slice s)
{
	*to++ = ' ';
	*to++ = '"';
	if (s.n == 0)
		*to++ = '-';
	to = put_masked(to, s, put_quotable);
	*to++ = '"';
	return to;
}

static char *put_span_column(char *to, bool has_span, uint64_t us)
{
	*to++ = ' ';
	if (has_span)
		return put_ms(to, us);
	*to++ = '-';
	return to;
}

static char *put_request_line(char *to, const struct access_log_facts *facts)
{
	to = put(to, SLICE(" \""));
	if (facts->method.n == 0) {
		*to++ = '-';
	} else {
		to = put_quotable(to, facts->method);
		*to++ = ' ';
		to = put_masked(to, facts->target, put_quotable);
		to = put(to, SLICE(" HTTP/"));
		to = put_version(to, facts->version);
	}
	*to++ = '"';
	return to;
}

static char *put_combined(
	char *to, const struct access_log_facts *facts, const struct access_log_clock *clock)
{
	struct spans spans = spans_of(&facts->times);
	unsigned status = access_log_status(facts);

	to = put_quotable(to, facts->client);
	to = put(to, SLICE(" - - ["));
	to = put_string(to, clock->combined);
	*to++ = ']';
	to = put_request_line(to, facts);
	*to++ = ' ';
	to = status != 0 ? put_number(to, status) : put(to, SLICE("000"));
	*to++ = ' ';
	to = put_number(to, facts->n_response_body);
	to = put_quoted(to, facts->referer);
	to = put_quoted(to, facts->user_agent);
	to = put_column(to, facts->host);
	to = put_column(to, slice_from_string(facts->server != NULL ? facts->server : ""));
	to = put_column(to,
		facts->reason != REASON_NONE ? slice_from_string(reason_name(facts->reason))
					     : SLICE(""));
	to = put_column(to, facts->session);
	to = put_span_column(to, spans.has_head, spans.head);
	to = put_span_column(to, spans.has_connect, spans.connect);
	to = put_span_column(to, spans.has_response, spans.response);
	to = put_span_column(to, spans.has_total, spans.total);
	*to++ = '\n';
	return to;
}

/* JSON. */

static char *put_json_escape(char *to, char c)
{
	*to++ = '\\';
	if (c == '"' || c == '\\') {
		*to++ = c;
		return to;
	}
	to = put(to, SLICE("u00"));
	*to++ = hex[(unsigned char)c >> 4];
	*to++ = hex[(unsigned char)c & 15];
	return to;
}

/* What is UTF-8 stays; of what is not, each byte is shown as the character of its number. */
static char *put_json_text(char *to, struct slice s)
{
	bool is_utf8 = utf8_is_valid(s.p, s.n);

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (LIKELY(c >= ' ' && c != '"' && c != '\\' && c < 0x7f) || (c >= 0x80 && is_utf8))
			*to++ = (char)c;
		else
			to = put_json_escape(to, (char)c);
	}
	return to;
}

static char *put_key(char *to, const char *key)
{
	*to++ = ',';
	*to++ = '"';
	to = put_string(to, key);
	*to++ = '"';
	*to++ = ':';
	return to;
}

static char *put_member(char *to, const char *key, struct slice s)
{
	if (s.n == 0)
		return to;
	to = put_key(to, key);
	*to++ = '"';
	to = put_json_text(to, s);
	*to++ = '"';
	return to;
}

static char *put_url_member(char *to, const char *key, struct slice url)
{
	if (url.n == 0)
		return to;
	to = put_key(to, key);
	*to++ = '"';
	to = put_masked(to, url, put_json_text);
	*to++ = '"';
	return to;
}

static char *put_number_member(char *to, const char *key, uint64_t n)
{
	return put_number(put_key(to, key), n);
}

static char *put_span_member(char *to, const char *key, bool has_span, uint64_t us)
{
	return has_span ? put_ms(put_key(to, key), us) : to;
}

static char *put_string_member(char *to, const char *key, const char *s)
{
	return s != NULL ? put_member(to, key, slice_from_string(s)) : to;
}

static char *put_json(
	char *to, const struct access_log_facts *facts, const struct access_log_clock *clock)
{
	struct spans spans = spans_of(&facts->times);

	to = put(to, SLICE("{\"time\":\""));
	to = put_string(to, clock->json);
	*to++ = '"';
	to = put_member(to, "client", facts->client);
	if (facts->method.n > 0) {
		to = put_member(to, "method", facts->method);
		to = put_url_member(to, "target", facts->target);
		to = put_key(to, "version");
		*to++ = '"';
		to = put_version(to, facts->version);
		*to++ = '"';
	}
	to = put_member(to, "host", facts->host);
	to = put_number_member(to, "status", access_log_status(facts));
	to = put_number_member(to, "request_bytes", facts->n_request_body);
	to = put_number_member(to, "response_bytes", facts->n_response_body);
	to = put_url_member(to, "referer", facts->referer);
	to = put_member(to, "user_agent", facts->user_agent);
	to = put_string_member(to, "tls", facts->tls_version);
	to = put_string_member(to, "server", facts->server);
	if (facts->reason != REASON_NONE)
		to = put_string_member(to, "reason", reason_name(facts->reason));
	to = put_member(to, "session", facts->session);
	if (facts->is_upgrade)
		to = put(put_key(to, "tunnel"), SLICE("true"));
	to = put_span_member(to, "head_ms", spans.has_head, spans.head);
	to = put_span_member(to, "connect_ms", spans.has_connect, spans.connect);
	to = put_span_member(to, "response_ms", spans.has_response, spans.response);
	to = put_span_member(to, "total_ms", spans.has_total, spans.total);
	return put(to, SLICE("}\n"));
}

/* A line. */

static size_t measure(const struct access_log_facts *facts)
{
	size_t n = facts->client.n + facts->method.n + facts->target.n + facts->host.n +
		facts->referer.n + facts->user_agent.n + facts->session.n;

	if (facts->server != NULL)
		n += strlen(facts->server);
	return FIXED_MAX + n * ESCAPE_MAX;
}

static char *put_line(char *to, enum conf_access_log_format format,
	const struct access_log_facts *facts, const struct access_log_clock *clock)
{
	switch (format) {
	case CONF_ACCESS_LOG_COMBINED:
		return put_combined(to, facts, clock);
	case CONF_ACCESS_LOG_JSON:
		return put_json(to, facts, clock);
	}
	return to;
}

void access_log_format(struct bytes *out, enum conf_access_log_format format,
	const struct access_log_facts *facts, const struct access_log_clock *clock)
{
	size_t max = measure(facts), room;
	char *line;

	if (LIKELY(max <= BYTES_CHUNK_SIZE)) {
		line = bytes_reserve(out, max, &room);
		bytes_commit(out, (size_t)(put_line(line, format, facts, clock) - line));
		return;
	}
	line = memory_alloc(max);
	bytes_append(out, line, (size_t)(put_line(line, format, facts, clock) - line));
	free(line);
}
