/*
 * Finds the end of a head, line by line. What is refused here depends only on the bytes, not on how
 * they were cut: the limits are checked before anything else that a line may be refused for.
 */
#include "proxy/http/h1_head.h"

#include <string.h>

#include "proxy/http/h1_syntax.h"

/* What a request line has besides its target: a method, two spaces, a version, CRLF. */
#define LINE_OVERHEAD (H1_MAX_METHOD_SIZE + 2 + sizeof("HTTP/1.1") - 1 + 2)

static enum h1_scan refuse(struct h1_head_scan *self, enum reason reason)
{
	self->reason = reason;
	return H1_SCAN_REFUSED;
}

enum h1_scan h1_head_scan_continue(struct h1_head_scan *self, struct slice input,
	const struct h1_limits *limits, bool is_request)
{
	/* Something else than HTTP, say TLS, may never send a line feed. */
	if (is_request && self->at == 0 && input.n > 0 && !h1_is(input.p[0], H1_TOKEN))
		return refuse(self, REASON_BAD_REQUEST);
	for (;;) {
		bool in_request_line = is_request && self->line_start == 0;
		size_t max = limits->max_head_size;
		const char *feed = NULL;
		size_t line_end;

		if (in_request_line)
			max = MIN(max, limits->max_target_size + LINE_OVERHEAD);
		if (self->at < input.n)
			feed = memchr(input.p + self->at, '\n', input.n - self->at);
		line_end = feed != NULL ? (size_t)(feed - input.p) + 1 : input.n;
		if (line_end > max)
			return refuse(self,
				in_request_line ? REASON_URI_TOO_LONG : REASON_HEADER_TOO_LARGE);
		self->at = (uint32_t)line_end;
		if (feed == NULL)
			return H1_SCAN_MORE;
		if (line_end < self->line_start + 2 || feed[-1] != '\r')
			return refuse(self, REASON_BAD_REQUEST);
		if (line_end == self->line_start + 2) {
			self->size = (uint32_t)line_end;
			return H1_SCAN_HEAD;
		}
		self->line_start = (uint32_t)line_end;
	}
}

size_t h1_skip_empty_line(struct slice input, bool *more)
{
	*more = input.n == 1 && input.p[0] == '\r';
	return input.n >= 2 && input.p[0] == '\r' && input.p[1] == '\n' ? 2 : 0;
}

enum h1_scan h1_head_scan_queue(struct h1_head_scan *self, struct bytes *input,
	const struct h1_limits *limits, bool is_request)
{
	size_t n = bytes_front(input).n;
	enum h1_scan result;

	for (;;) {
		result = h1_head_scan_continue(self, bytes_linearize(input, n), limits, is_request);
		if (result != H1_SCAN_MORE || n == bytes_size(input))
			return result;
		/* Doubled, so that a long row of small segments is not copied over and over. */
		n = bytes_round_up(input, MIN(MAX(n * 2, (size_t)1024), bytes_size(input)));
	}
}
