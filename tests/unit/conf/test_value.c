#include "conf/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_bool(void **state)
{
	static const char *const yes[] = {"yes", "on", "true", "YES", "True"};
	static const char *const no[] = {"no", "off", "false", "Off"};
	static const char *const bad[] = {"", "1", "0", "y", "yes ", "truee"};
	bool value;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		assert_true(conf_value_parse_bool(&value, yes[i]));
		assert_true(value);
	}
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		assert_true(conf_value_parse_bool(&value, no[i]));
		assert_false(value);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(conf_value_parse_bool(&value, bad[i]));
}

struct number_case {
	const char *text;
	int64_t value; /* -1: refused */
};

static void check_numbers(
	bool (*parse)(int64_t *, const char *), const struct number_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int64_t value = -1;
		bool is_good = parse(&value, cases[i].text);

		if (is_good != (cases[i].value >= 0) || (is_good && value != cases[i].value))
			fail_msg("\"%s\" gave %d, %jd", cases[i].text, is_good, (intmax_t)value);
	}
}

static void test_int(void **state)
{
	static const struct number_case cases[] = {
		{"0", 0},
		{"42", 42},
		{"007", 7},
		{"9223372036854775807", INT64_MAX},
		{"9223372036854775808", -1},
		{"99999999999999999999", -1},
		{"", -1},
		{"-1", -1},
		{"+1", -1},
		{" 1", -1},
		{"1 ", -1},
		{"0x10", -1},
		{"1.5", -1},
	};

	(void)state;
	check_numbers(conf_value_parse_int, cases, ARRAY_LEN(cases));
}

static void test_size(void **state)
{
	static const struct number_case cases[] = {
		{"0", 0},
		{"512", 512},
		{"16k", 16 * 1024},
		{"16K", 16 * 1024},
		{"1m", 1 << 20},
		{"1M", 1 << 20},
		{"2G", INT64_C(2) << 30},
		{"3t", INT64_C(3) << 40},
		{"8388607T", INT64_C(8388607) << 40},
		{"8388608T", -1},
		{"", -1},
		{"k", -1},
		{"1kb", -1},
		{"1 k", -1},
		{"-1k", -1},
	};

	(void)state;
	check_numbers(conf_value_parse_size, cases, ARRAY_LEN(cases));
}

static void test_duration(void **state)
{
	static const struct number_case cases[] = {
		{"0", 0},
		{"0s", 0},
		{"500ms", 500},
		{"30s", 30000},
		{"5m", 300000},
		{"2h", 7200000},
		{"1d", 86400000},
		{"30", -1},
		{"30S", -1},
		{"", -1},
		{"s", -1},
		{"1.5s", -1},
		{"1s 5", -1},
		{"106751991167d", INT64_C(106751991167) * 86400000},
		{"106751991168d", -1},
	};

	(void)state;
	check_numbers(conf_value_parse_duration, cases, ARRAY_LEN(cases));
}

static void test_mode(void **state)
{
	static const struct number_case cases[] = {
		{"0660", 0660},
		{"660", 0660},
		{"0", 0},
		{"777", 0777},
		{"1000", -1},
		{"0888", -1},
		{"", -1},
	};

	(void)state;
	check_numbers(conf_value_parse_mode, cases, ARRAY_LEN(cases));
}

static void test_format(void **state)
{
	static const struct {
		int64_t value;
		const char *as_size;
		const char *as_duration;
	} cases[] = {
		{0, "0", "0"},
		{1, "1", "1ms"},
		{1000, "1000", "1s"},
		{1024, "1k", "1024ms"},
		{1500, "1500", "1500ms"},
		{60000, "60000", "1m"},
		{90000, "90000", "90s"},
		{1 << 20, "1M", "1048576ms"},
		{INT64_C(1024) << 40, "1024T", "1125899906842624ms"},
		{86400000, "84375k", "1d"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[CONF_VALUE_TEXT_SIZE];
		int64_t value;

		conf_value_format_size(text, cases[i].value);
		assert_string_equal(text, cases[i].as_size);
		assert_true(conf_value_parse_size(&value, text));
		assert_int_equal(value, cases[i].value);
		conf_value_format_duration(text, cases[i].value);
		assert_string_equal(text, cases[i].as_duration);
		assert_true(conf_value_parse_duration(&value, text));
		assert_int_equal(value, cases[i].value);
	}
}

static void test_nearest(void **state)
{
	static const char *const words[] = {
		"idle_timeout", "tls", "tls_ca", NULL, "servers", "backlog"};
	static const struct {
		const char *text;
		const char *nearest;
	} cases[] = {
		{"idel_timeout", "idle_timeout"},
		{"idletimeout", "idle_timeout"},
		{"Servers", "servers"},
		{"server", "servers"},
		{"tsl", "tls"},
		{"tls-ca", "tls_ca"},
		{"something", NULL},
		{"x", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *nearest = conf_value_nearest(cases[i].text, words, ARRAY_LEN(words));

		if (cases[i].nearest == NULL) {
			assert_null(nearest);
		} else {
			assert_non_null(nearest);
			assert_string_equal(nearest, cases[i].nearest);
		}
	}
	assert_null(conf_value_nearest(
		"a_word_longer_than_any_that_could_ever_be_an_option_of_a_program", words,
		ARRAY_LEN(words)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_int),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
