#include "proxy/http/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/macros.h"
#include "proxy/base/memory.h"

/* Of up to two Cookie fields. */
static void check_values(const char *first, const char *second, const char *wanted)
{
	struct fields fields = {0};
	struct arena arena;
	struct slice values;

	arena_init(&arena);
	fields_add(&fields, &arena, SLICE("Accept"), SLICE("sid=not-this"));
	fields_add(&fields, &arena, SLICE("Cookie"), slice_from_string(first));
	fields_add(&fields, &arena, SLICE("Cookies"), SLICE("sid=nor-this"));
	if (second != NULL)
		fields_add(&fields, &arena, SLICE("cookie"), slice_from_string(second));
	values = cookie_values(&fields, SLICE("sid"), &arena);
	if (!slice_equals(values, slice_from_string(wanted)))
		fail_msg("\"%s\" \"%s\": \"%.*s\", not \"%s\"", first, second != NULL ? second : "",
			SLICE_ARG(values), wanted);
	arena_clear(&arena);
}

static void one_is_found_wherever_it_stands(void **state)
{
	(void)state;
	check_values("sid=abc", NULL, ";abc");
	check_values("a=1; sid=abc; b=2", NULL, ";abc");
	check_values("a=1;sid=abc;b=2", NULL, ";abc");
	check_values("a=1; \t sid=abc \t ;", NULL, ";abc");
	check_values("a=1", "sid=abc", ";abc");
	check_values("a=1; sid=abc", "b=2", ";abc");
}

static void none_is_not_an_empty_one(void **state)
{
	(void)state;
	check_values("", NULL, "");
	check_values("a=1; b=2", NULL, "");
	check_values("sid", NULL, "");
	check_values(";;; ;", NULL, "");
	check_values("=sid", NULL, "");
	check_values("sid=", NULL, ";");
	check_values("a=1; sid=; b=2", NULL, ";");
}

static void names_are_compared_whole_and_as_they_stand(void **state)
{
	(void)state;
	check_values("SID=abc", NULL, "");
	check_values("asid=abc; sid2=abc; si=d=abc", NULL, "");
	check_values("sid =abc", NULL, "");
	check_values("\"sid\"=abc", NULL, "");
	check_values("$sid=abc", NULL, "");
}

static void values_are_as_they_stand(void **state)
{
	(void)state;
	check_values("sid=a=b==", NULL, ";a=b==");
	check_values("sid=\"abc\"", NULL, ";\"abc\"");
	check_values("sid=%61bc", NULL, ";%61bc");
	check_values("sid= abc", NULL, "; abc");
	check_values("sid=ABC", NULL, ";ABC");
	check_values("sid=a,b=c", NULL, ";a,b=c");
}

/* Quotes hide nothing: a cookie in them would be one to a reader that knows no quotes. */
static void a_semicolon_ends_a_value_even_in_quotes(void **state)
{
	(void)state;
	check_values("a=\"; sid=abc\"", NULL, ";abc\"");
	check_values("sid=\"a;b\"", NULL, ";\"a");
}

static void all_of_the_name_count_in_their_order(void **state)
{
	(void)state;
	check_values("sid=1; sid=2", NULL, ";1;2");
	check_values("sid=2; a=b; sid=1", NULL, ";2;1");
	check_values("sid=1", "sid=2", ";1;2");
	check_values("sid=1; sid=", NULL, ";1;");
	check_values("sid=; sid=1", NULL, ";;1");
	check_values("sid=1; sid=1", NULL, ";1;1");
}

static void cookies_come_one_by_one(void **state)
{
	/* Memory of its own size, so that a read past the end is seen. */
	static const char text[] = " a=1;; b ; c==;d=";
	char *copy = memory_alloc(sizeof(text) - 1);
	struct slice rest = slice_of(copy, sizeof(text) - 1);
	struct cookie cookie;

	(void)state;
	memcpy(copy, text, rest.n);
	assert_true(cookie_next(&rest, &cookie));
	assert_true(
		slice_equals(cookie.name, SLICE("a")) && slice_equals(cookie.value, SLICE("1")));
	assert_true(cookie_next(&rest, &cookie));
	assert_true(
		slice_equals(cookie.name, SLICE("c")) && slice_equals(cookie.value, SLICE("=")));
	assert_true(cookie_next(&rest, &cookie));
	assert_true(slice_equals(cookie.name, SLICE("d")) && cookie.value.n == 0);
	assert_false(cookie_next(&rest, &cookie));
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_found_wherever_it_stands),
		cmocka_unit_test(none_is_not_an_empty_one),
		cmocka_unit_test(names_are_compared_whole_and_as_they_stand),
		cmocka_unit_test(values_are_as_they_stand),
		cmocka_unit_test(a_semicolon_ends_a_value_even_in_quotes),
		cmocka_unit_test(all_of_the_name_count_in_their_order),
		cmocka_unit_test(cookies_come_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
