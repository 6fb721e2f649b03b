/*
 * The arguments of the program `pollux`.
 */
#ifndef CONF_COMMAND_LINE_H
#define CONF_COMMAND_LINE_H

#include <stdbool.h>
#include <stdio.h>

#include "conf/conf.h"
#include "proxy/base/macros.h"

enum command_line_action {
	COMMAND_LINE_RUN,
	COMMAND_LINE_TEST, /* check the configuration and leave */
	COMMAND_LINE_DUMP, /* print the effective configuration and leave */
	COMMAND_LINE_VERSION,
	COMMAND_LINE_HELP,
};

/* Strings belong to argv. */
struct command_line {
	enum command_line_action action;
	const char *config;   /* NULL: from the quick part */
	const char **listens; /* --listen, --backend and --bridge, each as often as given */
	size_t n_listens;
	const char **servers;
	size_t n_servers;
	const char **bridges;
	size_t n_bridges;
	bool has_log_level;
	enum log_level log_level; /* overrides that of the file */
};

const char *command_line_action_name(enum command_line_action action);

/*
 * Parses the arguments. On failure says what is wrong on err, in lines that start with "pollux: ".
 * The struct is to be cleared either way.
 */
MUST_USE bool command_line_parse(struct command_line *line, int argc, char **argv, FILE *err);

void command_line_clear(struct command_line *line);

/* The configuration that the arguments ask for; NULL after adding errors. Not for VERSION and HELP.
 */
struct conf *command_line_load(const struct command_line *line, struct conf_errors *errors);

void command_line_write_help(FILE *out);

#endif
