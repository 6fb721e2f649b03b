#include "proxy/http/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_clear(&arena);
	arena_release_cache();
	return 0;
}

static void add(struct fields *fields, const char *name, const char *value)
{
	fields_add(fields, &arena, slice_from_string(name), slice_from_string(value));
}

static void assert_text(struct slice s, const char *text)
{
	assert_int_equal(s.n, strlen(text));
	assert_memory_equal(s.p, text, s.n);
}

static void each_known_name_is_found_in_any_case(void **state)
{
	(void)state;
	for (unsigned id = FIELD_OTHER + 1; id < N_FIELD_IDS; id++) {
		struct slice name = field_id_name((enum field_id)id);
		char text[64];

		assert_in_range(name.n, 1, sizeof(text));
		assert_int_equal(field_id_find(name), id);
		for (size_t i = 0; i < name.n; i++)
			text[i] = (char)(name.p[i] >= 'a' && name.p[i] <= 'z' ? name.p[i] - 32
									      : name.p[i]);
		assert_int_equal(field_id_find(slice_of(text, name.n)), id);
	}
}

/* One byte changed to any other: only the other case of the same letter is the same name. */
static void no_other_byte_passes_for_one_of_a_name(void **state)
{
	(void)state;
	for (unsigned id = FIELD_OTHER + 1; id < N_FIELD_IDS; id++) {
		struct slice name = field_id_name((enum field_id)id);
		char text[64];

		for (size_t i = 0; i < name.n; i++) {
			for (unsigned c = 0; c < 256; c++) {
				bool same;

				memcpy(text, name.p, name.n);
				text[i] = (char)c;
				same = strncasecmp(text, name.p, name.n) == 0;
				assert_int_equal(
					field_id_find(slice_of(text, name.n)) == (enum field_id)id,
					same);
			}
		}
		assert_int_not_equal(field_id_find(slice_first(name, name.n - 1)), id);
	}
}

static void unknown_names_have_no_number(void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(field_id_find(SLICE("")), FIELD_OTHER);
	assert_int_equal(field_id_find(SLICE("x")), FIELD_OTHER);
	assert_int_equal(field_id_find(SLICE("content-lengths")), FIELD_OTHER);
	assert_int_equal(field_id_find(SLICE("content_length")), FIELD_OTHER);
	memset(text, 'a', sizeof(text));
	for (size_t n = 1; n <= sizeof(text); n++)
		assert_int_equal(field_id_find(slice_of(text, n)), FIELD_OTHER);
	assert_text(field_id_name(FIELD_OTHER), "");
}

static void fields_keep_order_and_spelling_as_they_grow(void **state)
{
	struct fields fields = {0};
	char names[200][16];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(names[i], sizeof(names[i]), "X-Field-%u", i);
		add(&fields, names[i], names[i]);
	}
	assert_int_equal(fields.n, 200);
	for (unsigned i = 0; i < 200; i++) {
		assert_text(fields.items[i].name, names[i]);
		assert_text(fields.items[i].value, names[i]);
		assert_int_equal(fields.items[i].id, FIELD_OTHER);
	}
}

static void fields_are_found_by_number_and_by_name(void **state)
{
	struct fields fields = {0};

	(void)state;
	assert_null(fields_find(&fields, FIELD_HOST));
	assert_null(fields_find_name(&fields, SLICE("x-other")));
	assert_text(fields_value(&fields, FIELD_HOST), "");
	add(&fields, "X-Other", "1");
	add(&fields, "HOST", "a");
	add(&fields, "Host", "b");
	fields_add_id(&fields, &arena, FIELD_VIA, SLICE("1.1 p"));
	assert_text(fields_find(&fields, FIELD_HOST)->value, "a");
	assert_text(fields_find_name(&fields, SLICE("host"))->value, "a");
	assert_text(fields_find_name(&fields, SLICE("x-OTHER"))->value, "1");
	assert_null(fields_find_name(&fields, SLICE("x-othe")));
	assert_text(fields_value(&fields, FIELD_HOST), "a");
	assert_int_equal(fields_count(&fields, FIELD_HOST), 2);
	assert_int_equal(fields_count(&fields, FIELD_DATE), 0);
	assert_text(fields_find(&fields, FIELD_VIA)->name, "via");
}

static void a_token_may_stand_in_any_of_several_fields(void **state)
{
	struct fields fields = {0};

	(void)state;
	add(&fields, "Connection", "a, Close");
	add(&fields, "Other", "d");
	add(&fields, "Connection", "b ,c");
	assert_true(fields_has_token(&fields, FIELD_CONNECTION, SLICE("close")));
	assert_true(fields_has_token(&fields, FIELD_CONNECTION, SLICE("c")));
	assert_false(fields_has_token(&fields, FIELD_CONNECTION, SLICE("clos")));
	assert_false(fields_has_token(&fields, FIELD_CONNECTION, SLICE("d")));
	assert_false(fields_has_token(&fields, FIELD_UPGRADE, SLICE("d")));
}

static void values_are_joined_in_order(void **state)
{
	struct fields fields = {0};
	const char *single = "one";

	(void)state;
	assert_text(fields_join(&fields, FIELD_VIA, &arena), "");
	fields_add(&fields, &arena, SLICE("Via"), slice_from_string(single));
	assert_ptr_equal(fields_join(&fields, FIELD_VIA, &arena).p, single);
	add(&fields, "Date", "now");
	add(&fields, "Via", "");
	add(&fields, "via", "three");
	assert_text(fields_join(&fields, FIELD_VIA, &arena), "one, , three");
}

static void removal_takes_all_of_a_number_and_nothing_else(void **state)
{
	struct fields fields = {0};

	(void)state;
	add(&fields, "TE", "a");
	add(&fields, "X", "b");
	add(&fields, "te", "c");
	add(&fields, "Y", "d");
	add(&fields, "te", "e");
	fields_remove(&fields, FIELD_TE);
	assert_int_equal(fields.n, 2);
	assert_text(fields.items[0].value, "b");
	assert_text(fields.items[1].value, "d");
	fields_remove(&fields, FIELD_TE);
	assert_int_equal(fields.n, 2);
}

static void a_copy_lives_on_without_the_original(void **state)
{
	struct fields fields = {0}, copy, empty;
	struct arena other;
	char name[] = "Host", value[] = "example.com";

	(void)state;
	arena_init(&other);
	fields_add(&fields, &arena, slice_of(name, 4), slice_of(value, 11));
	add(&fields, "X-Empty", "");
	fields_copy(&copy, &fields, &other);
	memset(name, '-', sizeof(name));
	memset(value, '-', sizeof(value));
	arena_clear(&arena);
	assert_int_equal(copy.n, 2);
	assert_text(copy.items[0].name, "Host");
	assert_text(copy.items[0].value, "example.com");
	assert_int_equal(copy.items[0].id, FIELD_HOST);
	assert_text(copy.items[1].value, "");
	fields_add(&copy, &other, SLICE("more"), SLICE("m"));
	assert_int_equal(copy.n, 3);
	assert_text(copy.items[0].name, "Host");
	fields_copy(&empty, &(struct fields){0}, &other);
	assert_int_equal(empty.n, 0);
	arena_clear(&other);
}

/* Into room of the caller's, whether they fit there or not. */
static void settled_fields_are_the_arenas(void **state)
{
	struct field room[2];

	(void)state;
	for (uint32_t n = 0; n <= 3; n++) {
		struct fields fields = {.items = room, .size = ARRAY_LEN(room)};

		for (uint32_t i = 0; i < n; i++)
			fields_add(&fields, &arena, SLICE("X-A"), slice_of("012" + i, 1));
		fields_settle(&fields, room, &arena);
		memset(room, 0, sizeof(room));
		assert_int_equal(fields.n, n);
		fields_add(&fields, &arena, SLICE("X-B"), SLICE("last"));
		for (uint32_t i = 0; i < n; i++)
			assert_true(slice_equals(fields.items[i].value, slice_of("012" + i, 1)));
		assert_true(slice_equals(fields.items[n].value, SLICE("last")));
	}
	arena_clear(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settled_fields_are_the_arenas),
		cmocka_unit_test(each_known_name_is_found_in_any_case),
		cmocka_unit_test(no_other_byte_passes_for_one_of_a_name),
		cmocka_unit_test(unknown_names_have_no_number),
		cmocka_unit_test(fields_keep_order_and_spelling_as_they_grow),
		cmocka_unit_test(fields_are_found_by_number_and_by_name),
		cmocka_unit_test(a_token_may_stand_in_any_of_several_fields),
		cmocka_unit_test(values_are_joined_in_order),
		cmocka_unit_test(removal_takes_all_of_a_number_and_nothing_else),
		cmocka_unit_test(a_copy_lives_on_without_the_original),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
