#include "conf/command_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_ARGUMENTS = 16 };

/* Parses words separated by spaces; what is said goes to *said, the caller's to free. */
static bool parse(struct command_line *line, const char *words, char **copy, char **said)
{
	char *argv[MOST_ARGUMENTS] = {"pollux"};
	char *rest = NULL;
	size_t length = 0;
	FILE *err = open_memstream(said, &length);
	int argc = 1;
	bool is_good;

	*copy = strdup(words);
	for (char *word = strtok_r(*copy, " ", &rest); word != NULL;
		word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	assert_true(argc < MOST_ARGUMENTS);
	is_good = command_line_parse(line, argc, argv, err);
	assert_int_equal(fclose(err), 0);
	return is_good;
}

static void test_right(void **state)
{
	static const struct {
		const char *words;
		enum command_line_action action;
		const char *config;
		size_t n_listens, n_servers, n_bridges;
	} cases[] = {
		{"-c x", COMMAND_LINE_RUN, "x", 0, 0, 0},
		{"--config=x --test", COMMAND_LINE_TEST, "x", 0, 0, 0},
		{"-tc x", COMMAND_LINE_TEST, "x", 0, 0, 0},
		{"--dump-config --config x", COMMAND_LINE_DUMP, "x", 0, 0, 0},
		{"--listen 8080 --backend a:1", COMMAND_LINE_RUN, NULL, 1, 1, 0},
		{"--listen 1 --listen=2 --backend a:1 --backend b:1 --bridge plain",
			COMMAND_LINE_RUN, NULL, 2, 2, 1},
		{"-V", COMMAND_LINE_VERSION, NULL, 0, 0, 0},
		{"--help", COMMAND_LINE_HELP, NULL, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct command_line line;
		char *copy, *said;

		assert_true(parse(&line, cases[i].words, &copy, &said));
		assert_string_equal(said, "");
		assert_string_equal(command_line_action_name(line.action),
			command_line_action_name(cases[i].action));
		if (cases[i].config != NULL)
			assert_string_equal(line.config, cases[i].config);
		else
			assert_null(line.config);
		assert_int_equal(line.n_listens, cases[i].n_listens);
		assert_int_equal(line.n_servers, cases[i].n_servers);
		assert_int_equal(line.n_bridges, cases[i].n_bridges);
		assert_false(line.has_log_level);
		command_line_clear(&line);
		free(copy);
		free(said);
	}
}

static void test_wrong(void **state)
{
	static const struct {
		const char *words;
		const char *said;
	} cases[] = {
		{"", "say what to do: --config FILE, or --listen ADDRESS --backend ADDRESS"},
		{"-t", "say what to do: --config FILE, or --listen ADDRESS --backend ADDRESS"},
		{"-c", "-c needs a value"},
		{"--listen", "--listen needs a value"},
		{"--frob", "--frob is not an option"},
		{"-x", "-x is not an option"},
		{"-tx", "-x is not an option"},
		{"-c x y", "\"y\" is one argument too many"},
		{"--listen 80",
			"--backend is missing: where to forward, such as --backend "
			"127.0.0.1:3000"},
		{"--backend a:1", "--listen is missing: where to accept, such as --listen 8080"},
		{"--bridge plain", "--listen is missing: where to accept, such as --listen 8080"},
		{"-c x --bridge plain",
			"--config and --listen, --backend or --bridge exclude each other"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct command_line line;
		char *copy, *said;
		char expected[256];

		assert_false(parse(&line, cases[i].words, &copy, &said));
		(void)snprintf(expected, sizeof(expected), "pollux: %s; see pollux --help\n",
			cases[i].said);
		assert_string_equal(said, expected);
		command_line_clear(&line);
		free(copy);
		free(said);
	}
}

static void test_load(void **state)
{
	struct command_line line;
	struct conf_errors errors = {0};
	struct conf *conf;
	char *copy, *said;

	(void)state;
	assert_true(parse(&line, "--listen 8080 --backend a:1 --log-level debug", &copy, &said));
	conf = command_line_load(&line, &errors);
	assert_non_null(conf);
	assert_int_equal(conf->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(conf->backends[0].servers[0].address.text, "a:1");
	conf_unref(conf);
	command_line_clear(&line);
	free(copy);
	free(said);

	assert_true(parse(&line, "-c /nonexistent/x", &copy, &said));
	assert_null(command_line_load(&line, &errors));
	assert_string_equal(
		errors.messages[0], "/nonexistent/x: cannot be read: No such file or directory");
	conf_errors_clear(&errors);
	command_line_clear(&line);
	free(copy);
	free(said);

	assert_false(parse(&line, "-c x --log-level loud", &copy, &said));
	assert_non_null(strstr(said, "it may be error, warn, info or debug"));
	command_line_clear(&line);
	free(copy);
	free(said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
