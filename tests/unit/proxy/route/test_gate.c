#include "proxy/route/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void a_host_is_compared_without_its_port(void **state)
{
	static const struct {
		const char *authority, *name;
		bool is_same;
	} rows[] = {
		{"a.example", "a.example", true},
		{"A.Example:8443", "a.exAMPLE", true},
		{"a.example:", "a.example", true},
		{"b.example", "a.example", false},
		{"a.example.evil", "a.example", false},
		{"a.exampl", "a.example", false},
		{"[::1]:443", "[::1]", true},
		{"[::1]", "[::2]", false},
		{"", "a.example", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(gate_is_host(slice_from_string(rows[i].authority),
					 slice_from_string(rows[i].name)),
			rows[i].is_same);
}

static void an_origin_must_be_listed_where_there_is_a_list(void **state)
{
	static char *listed[] = {"https://a.example", "http://localhost:8080"};
	static const struct conf_strings none = {0}, list = {.items = listed, .n_items = 2};
	static const struct {
		const char *origin;
		bool is_allowed;
	} rows[] = {
		{"https://a.example", true},
		{"http://localhost:8080", true},
		{"http://localhost", false},
		{"https://a.example:8443", false},
		{"https://a.example/", false},
		{"null", false},
		{"", false},
	};
	struct arena arena;
	struct fields fields = {0};

	(void)state;
	arena_init(&arena);
	assert_true(gate_allows_origin(&list, &fields));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fields = (struct fields){0};
		fields_add_id(&fields, &arena, FIELD_ORIGIN, slice_from_string(rows[i].origin));
		assert_int_equal(gate_allows_origin(&list, &fields), rows[i].is_allowed);
		assert_true(gate_allows_origin(&none, &fields));
	}
	arena_clear(&arena);
	arena_release_cache();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_is_compared_without_its_port),
		cmocka_unit_test(an_origin_must_be_listed_where_there_is_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
