/*
 * What an option's row in the table means for its field: setting it from text, writing it as text,
 * defaults. The struct is always the one of the option's section.
 */
#ifndef CONF_OPTION_VALUE_H
#define CONF_OPTION_VALUE_H

#include <stdbool.h>
#include <stdio.h>

#include "conf/errors.h"
#include "conf/options.h"
#include "proxy/base/macros.h"

/* Where a value stands, for messages. */
struct conf_place {
	struct conf_errors *errors;
	const char *file; /* may be NULL */
	int line;
};

/* What the type is called in messages and in the manual: "duration". */
const char *conf_type_name(enum conf_type type);

bool conf_option_is_list(const struct conf_option *option);

/* Gives every option of a zeroed struct its default; required ones stay empty. */
void conf_options_set_defaults(enum conf_section section, void *fields);

/* Frees the strings and lists of a struct. */
void conf_options_clear(enum conf_section section, void *fields);

/*
 * Stores one value; appends it if the option is a list. A relative file name is put below
 * directory unless that is NULL. On failure adds one error and leaves the field as it was.
 */
MUST_USE bool conf_option_set(const struct conf_option *option, void *fields, const char *text,
	const char *directory, const struct conf_place *place);

void conf_option_clear_list(const struct conf_option *option, void *fields);

/* Writes the field's value as it would stand after the "=". */
void conf_option_write_value(const struct conf_option *option, const void *fields, FILE *out);

/* "duration from 1ms to 1d; default 75s": type, range and default for the manual. */
void conf_option_write_facts(const struct conf_option *option, FILE *out);

/* Writes text in double quotes, escaped so that the parser reads the same text back. */
void conf_write_quoted(const char *text, FILE *out);

#endif
