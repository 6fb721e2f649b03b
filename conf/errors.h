/*
 * A list of "file:line: what is wrong and what would be right".
 */
#ifndef CONF_ERRORS_H
#define CONF_ERRORS_H

#include <stddef.h>
#include <stdio.h>

/* Start with { 0 } and end with conf_errors_clear. */
struct conf_errors {
	char **messages; /* complete lines without the newline */
	size_t n_messages;
	size_t n_allocated;
};

/* Without a line (0) the message starts with "file: "; without a file (NULL) with neither. */
void conf_errors_add(struct conf_errors *errors, const char *file, int line, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* One message a line. */
void conf_errors_print(const struct conf_errors *errors, FILE *out);

void conf_errors_clear(struct conf_errors *errors);

#endif
