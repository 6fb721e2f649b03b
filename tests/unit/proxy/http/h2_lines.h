/*
 * Field lines as text, for the tests of HTTP/2 heads: one line of text each, the name up to the
 * first "=" behind its first byte. What is no text is added by h2_head_add itself.
 */
#ifndef TESTS_UNIT_PROXY_HTTP_H2_LINES_H
#define TESTS_UNIT_PROXY_HTTP_H2_LINES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/http/h2_head.h"

static const struct h1_limits limits = {
	.max_head_size = 2048, .max_fields = 16, .max_target_size = 200};
static struct arena arena;

static inline int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	arena_clear(&arena);
	arena_release_cache();
	h2_head_release_buffer();
	return 0;
}

static inline void add_lines(struct h2_head *self, const char *text)
{
	while (*text != '\0') {
		size_t n = strcspn(text, "\n"), equals = 1 + strcspn(text + 1, "=");

		assert_true(equals < n && text[n] == '\n');
		h2_head_add(self, &limits, slice_of(text, equals),
			slice_of(text + equals + 1, n - equals - 1));
		text += n + 1;
	}
}

static inline struct h2_head section(const char *text)
{
	struct h2_head self;

	h2_head_start(&self, &arena);
	add_lines(&self, text);
	return self;
}

static inline void assert_text(struct slice s, const char *text)
{
	assert_int_equal(s.n, strlen(text));
	if (s.n > 0)
		assert_memory_equal(s.p, text, s.n);
}

/* Lines that were written, in the same form. */
static inline const char *text_of(struct h2_lines lines)
{
	static char text[4096];
	char *p = text;

	for (size_t i = 0; i < lines.n; i++) {
		const nghttp2_nv *line = &lines.items[i];

		assert_true(line->namelen + line->valuelen + 3 < sizeof(text) - (size_t)(p - text));
		p = mempcpy(p, line->name, line->namelen);
		*p++ = '=';
		if (line->valuelen > 0)
			p = mempcpy(p, line->value, line->valuelen);
		*p++ = '\n';
	}
	*p = '\0';
	return text;
}

#define assert_reason(expr, expected) assert_string_equal(reason_name(expr), reason_name(expected))
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
