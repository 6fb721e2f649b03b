#include "conf/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/macros.h"

static void test_comments(void **state)
{
	static const struct {
		const char *source;
		const char *clean;
	} cases[] = {
		{"", "\n"},
		{"a", "a\n"},
		{"a = 1 # b\nc = 2\n", "a = 1    \nc = 2\n"},
		{"a = 1 // b", "a = 1     \n"},
		{"/* a\nb */c", "    \n    c\n"},
		{"a = \"# no\" # yes\n", "a = \"# no\"      \n"},
		{"a = '// no'", "a = '// no'\n"},
		{"a = http://x/y", "a = http://x/y\n"},
		{"a = x#y", "a = x  \n"},
		{"a = {//c\n\"b\"}", "a = {   \n\"b\"}\n"},
		{"a = \"\\\"# no\" #", "a = \"\\\"# no\"  \n"},
		{"a = \"x\"// y", "a = \"x\"    \n"},
		{"a += b", "a += b\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_errors errors = {0};
		struct conf_text text;

		assert_true(conf_text_clean(
			&text, cases[i].source, strlen(cases[i].source), "x", &errors));
		assert_int_equal(errors.n_messages, 0);
		assert_int_equal(text.n_bytes, strlen(cases[i].clean));
		assert_memory_equal(text.bytes, cases[i].clean, text.n_bytes);
		conf_text_clear(&text);
	}
}

static void test_section_lines(void **state)
{
	static const char source[] = "a = {1}\nlisten \"x\"\n{\n b = {\"}\", '{'} /* { */\n}\n"
				     "route \"y\" {}\nroute \"z\" { # }\n}\n"
				     "route \"p\" { a = poll b = {1}\n poll\n{ c = {2} } d = 3 }";
	struct conf_errors errors = {0};
	struct conf_text text;

	(void)state;
	assert_true(conf_text_clean(&text, source, strlen(source), "x", &errors));
	assert_int_equal(text.n_sections, 5);
	assert_int_equal(text.section_lines[0], 3);
	assert_int_equal(text.section_lines[1], 6);
	assert_int_equal(text.section_lines[2], 7);
	assert_int_equal(text.section_lines[3], 9);
	assert_int_equal(text.section_lines[4], 11);
	conf_text_clear(&text);
}

static void test_faults(void **state)
{
	static const struct {
		const char *source;
		size_t n; /* 0: to the NUL */
		const char *start;
	} cases[] = {
		{"a = 1\nb = \"x\nc = \"y\"", 0, "x:2: a string on this line"},
		{"a = 'x", 0, "x:1: a string on this line"},
		{"a = \"x\\", 0, "x:1: a string on this line"},
		{"a\n/* b\n\n", 0, "x:2: the comment that starts here"},
		{"/*", 0, "x:1: the comment that starts here"},
		{"/*/", 0, "x:1: the comment that starts here"},
		{"\n\nlisten \"x\" {\n\n", 0, "x:3: the { on this line is never closed"},
		{"a = {1,\n2", 0, "x:1: the { on this line is never closed"},
		{"a = 1\n}", 0, "x:2: this } closes nothing"},
		{"route \"x\" {\n b = 1\nroute \"y\" { }\n}", 0, "x:3: a section cannot start"},
		{"route \"x\" {\n polls { }\n}", 0, "x:2: a section cannot start"},
		{"route \"x\" { poll \"y\" { z { } } }", 0, "x:1: a section cannot start"},
		{"a \"x\" { b = {poll { } }}", 0, "x:1: a section cannot start"},
		{"a \"x\" { b = {1 = {2}}}", 0, "x:1: a list cannot hold a list"},
		{"listen *:80 { }", 0, "x:1: put text that holds *"},
		{"a = (b)", 0, "x:1: put text that holds *"},
		{"a = b+c", 0, "x:1: put text that holds +"},
		{"a = $b", 0, "x:1: put text that holds $"},
		{"a = 1\n\0b = 1", 12, "x:2: a zero byte"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t n = cases[i].n > 0 ? cases[i].n : strlen(cases[i].source);
		struct conf_errors errors = {0};
		struct conf_text text;

		if (conf_text_clean(&text, cases[i].source, n, "x", &errors))
			fail_msg("case %zu was accepted", i);
		assert_int_equal(errors.n_messages, 1);
		if (strncmp(errors.messages[0], cases[i].start, strlen(cases[i].start)) != 0)
			fail_msg("case %zu: %s", i, errors.messages[0]);
		conf_text_clear(&text);
		conf_errors_clear(&errors);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_section_lines),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
