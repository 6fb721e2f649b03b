#include "conf/canonical.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/base/macros.h"

struct string_case {
	const char *text;
	const char *canonical; /* NULL: refused */
};

static void check_strings(
	char *(*canonical)(const char *, const char **), const struct string_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *why = NULL;
		char *text = canonical(cases[i].text, &why);

		if ((text == NULL) != (cases[i].canonical == NULL))
			fail_msg(
				"\"%s\" was %s", cases[i].text, text == NULL ? "refused" : "taken");
		if (text != NULL)
			assert_string_equal(text, cases[i].canonical);
		else
			assert_non_null(why);
		free(text);
	}
}

static void test_host(void **state)
{
	static const struct string_case cases[] = {
		{"Example.Org", "example.org"},
		{"*.Example.org", "*.example.org"},
		{"10.0.0.1", "10.0.0.1"},
		{"[::1]", "[::1]"},
		{"", NULL},
		{"*", NULL},
		{"*.", NULL},
		{"a.*.b", NULL},
		{"*.[::1]", NULL},
		{"[::1", NULL},
		{"[::x]", NULL},
		{"example.org:80", NULL},
		{".example.org", NULL},
		{"a b", NULL},
		{"http://a", NULL},
	};

	(void)state;
	check_strings(conf_canonical_host, cases, ARRAY_LEN(cases));
}

static void test_host_header(void **state)
{
	static const struct string_case cases[] = {
		{"preserve", "preserve"},
		{"app.internal:3000", "app.internal:3000"},
		{"[::1]:80", "[::1]:80"},
		{"[::1]", "[::1]"},
		{"", NULL},
		{"a:", NULL},
		{"a:0", NULL},
		{"a:b", NULL},
		{"a\r\nX: y", NULL},
		{"[::1]x", NULL},
	};

	(void)state;
	check_strings(conf_canonical_host_header, cases, ARRAY_LEN(cases));
}

static void test_origin(void **state)
{
	static const struct string_case cases[] = {
		{"https://App.Example", "https://app.example"},
		{"HTTPS://app.example:443", "https://app.example"},
		{"http://app.example:80", "http://app.example"},
		{"http://app.example:443", "http://app.example:443"},
		{"https://[::1]:443", "https://[::1]"},
		{"https://[::443]", "https://[::443]"},
		{"http://localhost:8080", "http://localhost:8080"},
		{"null", "null"},
		{"https://app.example/", NULL},
		{"app.example", NULL},
		{"https://", NULL},
		{"ftp://app.example", NULL},
		{"https://*.example", NULL},
		{"*", "*"},
		{"**", NULL},
		{"", NULL},
	};

	(void)state;
	check_strings(conf_canonical_origin, cases, ARRAY_LEN(cases));
}

static void test_via(void **state)
{
	static const struct string_case cases[] = {
		{"pollux", "pollux"},
		{"edge-1", "edge-1"},
		{"", NULL},
		{"a b", NULL},
		{"a,b", NULL},
		{"a\n", NULL},
		{"0123456789012345678901234567890123456789012345678901234567890123",
			"0123456789012345678901234567890123456789012345678901234567890123"},
		{"01234567890123456789012345678901234567890123456789012345678901234", NULL},
	};

	(void)state;
	check_strings(conf_canonical_via, cases, ARRAY_LEN(cases));
}

static void test_cookie_name(void **state)
{
	static const struct string_case cases[] = {
		{"", ""},
		{"sid", "sid"},
		{"connect.sid", "connect.sid"},
		{"__Host-Session_1", "__Host-Session_1"},
		{"!#$%&'*+-.^_`|~", "!#$%&'*+-.^_`|~"},
		{"a b", NULL},
		{"a=", NULL},
		{"sid=1", NULL},
		{"a;", NULL},
		{"a,b", NULL},
		{"\"a\"", NULL},
		{"a\n", NULL},
		{"a\x7f", NULL},
		{"\xc3\xbc", NULL},
	};

	(void)state;
	check_strings(conf_canonical_cookie_name, cases, ARRAY_LEN(cases));
}

static void test_script_url(void **state)
{
	static const struct string_case cases[] = {
		{"", ""},
		{"/sockjs.js?v=1", "/sockjs.js?v=1"},
		{"https://cdn.example/a/b.js", "https://cdn.example/a/b.js"},
		{"http://[::1]:80/x", "http://[::1]:80/x"},
		{"sockjs.js", NULL},
		{"javascript:x", NULL},
		{"/a\"><script>", NULL},
		{"/a'b", NULL},
		{"/a&b", NULL},
		{"/a b", NULL},
		{"/\xc3\xbc", NULL},
	};

	(void)state;
	check_strings(conf_canonical_script_url, cases, ARRAY_LEN(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_host_header),
		cmocka_unit_test(test_origin),
		cmocka_unit_test(test_via),
		cmocka_unit_test(test_cookie_name),
		cmocka_unit_test(test_script_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
