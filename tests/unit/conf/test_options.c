/* The table holds together, and the manual and the sample file say what it says. */
#include "conf/options.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "conf/option_value.h"
#include "proxy/base/memory.h"

/* A file of the source tree, NUL-terminated. */
static char *read_source_file(const char *name)
{
	const char *top = getenv("TOP_SRCDIR");
	char path[4096];
	char *text;
	long n;
	FILE *in;

	(void)snprintf(path, sizeof(path), "%s/%s", top != NULL ? top : ".", name);
	in = fopen(path, "r");
	if (in == NULL)
		fail_msg("cannot open %s", path);
	assert_int_equal(fseek(in, 0, SEEK_END), 0);
	n = ftell(in);
	rewind(in);
	text = memory_alloc_zeroed((size_t)n + 1);
	assert_int_equal(fread(text, 1, (size_t)n, in), n);
	(void)fclose(in);
	return text;
}

static char *facts_of(const struct conf_option *option)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	conf_option_write_facts(option, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* The text after "default " in the facts; NULL if the option must be written. */
static const char *default_in(const char *facts)
{
	const char *at = strstr(facts, "; default ");

	return at != NULL ? at + strlen("; default ") : NULL;
}

/* Every default is what --dump-config would print, in the same spelling. */
static void test_defaults_as_dumped(void **state)
{
	struct conf *conf;
	struct conf_errors errors = {0};
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	conf = conf_parse("listen \"80\" { }\nbackend \"a\" { servers = {\"a:1\"} }\n"
			  "route \"/\" { backend = \"a\" poll { path = \"/p\" } }\n"
			  "route \"/t\" { backend = \"a\" tunnel { } }",
		"x", &errors);
	assert_non_null(conf);
	conf_dump(conf, out);
	assert_int_equal(fclose(out), 0);
	for (size_t i = 0; i < conf_n_options; i++) {
		char *facts = facts_of(&conf_options[i]);
		char line[1024];

		if (default_in(facts) != NULL) {
			(void)snprintf(line, sizeof(line), "%s = %s\n", conf_options[i].name,
				default_in(facts));
			if (strstr(text, line) == NULL)
				fail_msg("not in the dump: %s", line);
		}
		free(facts);
	}
	free(text);
	conf_unref(conf);
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < conf_n_options; i++) {
		const struct conf_option *option = &conf_options[i];

		assert_ptr_equal(conf_option_find(option->section, option->name), option);
		assert_true(i == 0 || conf_options[i - 1].section <= option->section);
		assert_true(strlen(option->help) > 10);
		assert_true(option->help[strlen(option->help) - 1] != '.');
		if (option->type == CONF_TYPE_ENUM)
			assert_non_null(option->words);
	}
}

/* Each option: its item under the heading of its section, then type, range and default. */
static void test_manual(void **state)
{
	static const char *const headings[] = {".Sh OPTIONS OF THE PROGRAM\n",
		".Sh SECTION LISTEN\n", ".Sh SECTION BACKEND\n", ".Sh SECTION ROUTE\n",
		".Sh SECTION POLL OF A ROUTE\n", ".Sh SECTION TUNNEL OF A ROUTE\n"};
	char *manual = read_source_file("docs/pollux.conf.5");
	size_t n_items = 0;

	(void)state;
	for (size_t i = 0; i < conf_n_options; i++) {
		const char *start = strstr(manual, headings[conf_options[i].section]);
		const char *end, *at;
		char *facts = facts_of(&conf_options[i]);
		char item[1024];

		assert_non_null(start);
		end = strstr(start + 1, "\n.Sh ");
		assert_non_null(end);
		facts[0] = (char)toupper((unsigned char)facts[0]);
		(void)snprintf(
			item, sizeof(item), "\n.It Ic %s\n%s.\n", conf_options[i].name, facts);
		at = strstr(start, item);
		if (at == NULL || at > end)
			fail_msg("the manual lacks, under %s:%s", headings[conf_options[i].section],
				item);
		free(facts);
	}
	for (const char *at = manual; (at = strstr(at, "\n.It Ic ")) != NULL; at++)
		n_items++;
	assert_int_equal(n_items, conf_n_options);
	free(manual);
}

/* A section within another stands in a commented example. */
static void find_sample(
	const char *sample, enum conf_section section, const char **start, const char **end)
{
	char start_text[32];

	*start = sample;
	*end = strstr(sample, "\nlisten ");
	if (section == CONF_SECTION_GLOBAL)
		return;
	if (conf_section_parent(section) == CONF_SECTION_GLOBAL)
		(void)snprintf(
			start_text, sizeof(start_text), "\n%s \"", conf_section_name(section));
	else
		(void)snprintf(
			start_text, sizeof(start_text), "\n#\t%s {\n", conf_section_name(section));
	*start = strstr(sample, start_text);
	assert_non_null(*start);
	*end = strstr(
		*start, conf_section_parent(section) == CONF_SECTION_GLOBAL ? "\n}" : "\n#\t}");
	assert_non_null(*end);
}

/* Uncomments "#name = value" and leaves prose, which has a space after the "#". */
static void uncomment_options(char *text)
{
	for (char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += strspn(line, "\n\t");
		if (line[0] == '#' && islower((unsigned char)line[1]))
			line[0] = ' ';
	}
}

/* Each option stands in its section with its default or, where it must be written, with a value. */
static void test_sample(void **state)
{
	char *sample = read_source_file("conf/pollux.conf");
	struct conf_errors errors = {0};
	struct conf *plain = conf_parse(sample, "plain", &errors), *full;
	char *dumps[2] = {NULL, NULL};

	(void)state;
	conf_errors_print(&errors, stderr);
	assert_non_null(plain);
	for (size_t i = 0; i < conf_n_options; i++) {
		const struct conf_option *option = &conf_options[i];
		char line[1024];
		const char *start, *end, *at;
		char *facts = facts_of(option);

		find_sample(sample, option->section, &start, &end);
		if (default_in(facts) != NULL)
			(void)snprintf(
				line, sizeof(line), "#%s = %s\n", option->name, default_in(facts));
		else
			(void)snprintf(line, sizeof(line), "\t%s = ", option->name);
		at = strstr(start, line);
		if (at == NULL || at > end)
			fail_msg("the sample lacks, in section \"%s\": %s",
				conf_section_name(option->section), line);
		free(facts);
	}

	uncomment_options(sample);
	full = conf_parse(sample, "full", &errors);
	conf_errors_print(&errors, stderr);
	assert_non_null(full);
	for (int i = 0; i < 2; i++) {
		size_t length = 0;
		FILE *out = open_memstream(&dumps[i], &length);

		conf_dump(i == 0 ? plain : full, out);
		assert_int_equal(fclose(out), 0);
	}
	assert_string_equal(dumps[0], dumps[1]);
	free(dumps[0]);
	free(dumps[1]);
	free(sample);
	conf_unref(plain);
	conf_unref(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_defaults_as_dumped),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
