#include "proxy/http/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/http/message.h"

static void each_reason_has_one_word_of_its_own(void **state)
{
	(void)state;
	for (unsigned a = 0; a < N_REASONS; a++) {
		const char *name = reason_name((enum reason)a);

		assert_non_null(name);
		assert_true(strlen(name) > 0);
		assert_int_equal(
			strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(name));
		for (unsigned b = 0; b < a; b++)
			assert_string_not_equal(name, reason_name((enum reason)b));
	}
}

static void each_answerable_reason_has_a_sentence_and_a_phrase(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N_REASONS; i++) {
		unsigned status = reason_status((enum reason)i);
		const char *text = reason_text((enum reason)i);

		assert_non_null(text);
		if (status == 0)
			continue;
		assert_in_range(status, 400, 599);
		assert_true(strlen(status_reason(status)) > 0);
		assert_int_equal(text[strlen(text) - 1], '.');
	}
}

static void statuses_are_those_of_the_rfcs(void **state)
{
	(void)state;
	assert_int_equal(reason_status(REASON_NONE), 0);
	assert_int_equal(reason_status(REASON_BAD_FRAMING), 400);
	assert_int_equal(reason_status(REASON_BAD_HOST), 400);
	assert_int_equal(reason_status(REASON_WEBSOCKET_VERSION), 426);
	assert_int_equal(reason_status(REASON_VERSION), 505);
	assert_int_equal(reason_status(REASON_TRANSFER_CODING), 501);
	assert_int_equal(reason_status(REASON_EXPECTATION), 417);
	assert_int_equal(reason_status(REASON_URI_TOO_LONG), 414);
	assert_int_equal(reason_status(REASON_HEADER_TOO_LARGE), 431);
	assert_int_equal(reason_status(REASON_CLIENT_GONE), 0);
	assert_int_equal(reason_status(REASON_BACKEND_PROTOCOL), 502);
	assert_int_equal(reason_status(REASON_OVERLOAD), 503);
}

static void phrases_are_the_registered_ones(void **state)
{
	(void)state;
	assert_string_equal(status_reason(100), "Continue");
	assert_string_equal(status_reason(101), "Switching Protocols");
	assert_string_equal(status_reason(200), "OK");
	assert_string_equal(status_reason(206), "Partial Content");
	assert_string_equal(status_reason(304), "Not Modified");
	assert_string_equal(status_reason(308), "Permanent Redirect");
	assert_string_equal(status_reason(404), "Not Found");
	assert_string_equal(status_reason(417), "Expectation Failed");
	assert_string_equal(status_reason(421), "Misdirected Request");
	assert_string_equal(status_reason(426), "Upgrade Required");
	assert_string_equal(status_reason(431), "Request Header Fields Too Large");
	assert_string_equal(status_reason(451), "Unavailable For Legal Reasons");
	assert_string_equal(status_reason(505), "HTTP Version Not Supported");
	assert_string_equal(status_reason(511), "Network Authentication Required");
	assert_string_equal(status_reason(299), "");
	assert_string_equal(status_reason(499), "");
	assert_string_equal(status_reason(0), "");
	assert_string_equal(status_reason(99), "");
	assert_string_equal(status_reason(600), "");
	assert_string_equal(status_reason(999), "");
}

static void methods_are_case_sensitive(void **state)
{
	static const char *const known[] = {
		"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		assert_int_not_equal(method_find(slice_from_string(known[i])), METHOD_OTHER);
	assert_int_equal(method_find(SLICE("GET")), METHOD_GET);
	assert_int_equal(method_find(SLICE("get")), METHOD_OTHER);
	assert_int_equal(method_find(SLICE("GETS")), METHOD_OTHER);
	assert_int_equal(method_find(SLICE("")), METHOD_OTHER);
}

static void only_some_methods_may_be_repeated(void **state)
{
	(void)state;
	assert_true(method_is_safe(METHOD_GET));
	assert_true(method_is_safe(METHOD_HEAD));
	assert_true(method_is_safe(METHOD_OPTIONS));
	assert_false(method_is_safe(METHOD_PUT));
	assert_true(method_is_idempotent(METHOD_GET));
	assert_true(method_is_idempotent(METHOD_PUT));
	assert_true(method_is_idempotent(METHOD_DELETE));
	assert_false(method_is_idempotent(METHOD_POST));
	assert_false(method_is_idempotent(METHOD_PATCH));
	assert_false(method_is_idempotent(METHOD_CONNECT));
	assert_false(method_is_idempotent(METHOD_OTHER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reason_has_one_word_of_its_own),
		cmocka_unit_test(each_answerable_reason_has_a_sentence_and_a_phrase),
		cmocka_unit_test(statuses_are_those_of_the_rfcs),
		cmocka_unit_test(phrases_are_the_registered_ones),
		cmocka_unit_test(methods_are_case_sensitive),
		cmocka_unit_test(only_some_methods_may_be_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
