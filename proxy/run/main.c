/* The program: arguments, configuration, and then the worker or the master of several. */
#include <stdio.h>
#include <stdlib.h>

#include "conf/command_line.h"
#include "conf/conf.h"
#include "proxy/run/master.h"
#include "proxy/run/worker.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* Wrong arguments; a wrong configuration is EXIT_FAILURE. */
#define EXIT_USAGE 2

static int with_conf(const struct command_line *line)
{
	struct conf_errors errors = {0};
	struct conf *conf = command_line_load(line, &errors);
	int status = EXIT_FAILURE;

	conf_errors_print(&errors, stderr);
	conf_errors_clear(&errors);
	if (conf == NULL)
		return EXIT_FAILURE;
	switch (line->action) {
	case COMMAND_LINE_RUN:
		status = master_n_workers(conf) > 1 ? master_run(conf) : worker_run(conf, NULL);
		break;
	case COMMAND_LINE_TEST:
		if (worker_check(conf)) {
			(void)printf("%s: the configuration is right\n", conf->source);
			status = EXIT_SUCCESS;
		}
		break;
	case COMMAND_LINE_DUMP:
		conf_dump(conf, stdout);
		status = EXIT_SUCCESS;
		break;
	case COMMAND_LINE_VERSION:
	case COMMAND_LINE_HELP:
		break;
	}
	conf_unref(conf);
	return status;
}

int main(int argc, char **argv)
{
	struct command_line line;
	int status = EXIT_FAILURE;

	if (!command_line_parse(&line, argc, argv, stderr)) {
		command_line_clear(&line);
		return EXIT_USAGE;
	}
	switch (line.action) {
	case COMMAND_LINE_VERSION:
		(void)printf("pollux %s\n", PACKAGE_VERSION);
		status = EXIT_SUCCESS;
		break;
	case COMMAND_LINE_HELP:
		command_line_write_help(stdout);
		status = EXIT_SUCCESS;
		break;
	case COMMAND_LINE_RUN:
	case COMMAND_LINE_TEST:
	case COMMAND_LINE_DUMP:
		status = with_conf(&line);
		break;
	}
	command_line_clear(&line);
	return status;
}
