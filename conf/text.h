/*
 * What is done with the text of a configuration before libconfuse reads it. Comments become
 * spaces, because libconfuse counts a line too many for each and takes none inside lists; quotes
 * and braces are checked here, because it says little or nothing about those that do not match.
 */
#ifndef CONF_TEXT_H
#define CONF_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/errors.h"
#include "proxy/base/macros.h"

struct conf_text {
	char *bytes; /* without comments, lines where they were; ends in a newline */
	size_t n_bytes;
	int *section_lines; /* the line of each section's opening brace, in order */
	size_t n_sections;
};

/*
 * Cleans the n bytes at source. False after adding errors, which start with name; the text is to be
 * cleared either way.
 */
MUST_USE bool conf_text_clean(struct conf_text *text, const char *source, size_t n,
	const char *name, struct conf_errors *errors);

void conf_text_clear(struct conf_text *text);

#endif
