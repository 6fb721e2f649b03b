/*
 * The one table of options: what may be written in a configuration, where it is stored, what it is
 * when not written, and one line of help. Loading, dumping, the checks of the manual page and of
 * the sample file all walk this table.
 */
#ifndef CONF_OPTIONS_H
#define CONF_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum conf_section {
	CONF_SECTION_GLOBAL,
	CONF_SECTION_LISTEN,
	CONF_SECTION_BACKEND,
	CONF_SECTION_ROUTE,
	CONF_SECTION_POLL,   /* within a route */
	CONF_SECTION_TUNNEL, /* the same */
};

enum { CONF_N_SECTIONS = CONF_SECTION_TUNNEL + 1 };

/* In parentheses: the C type of the field. */
enum conf_type {
	CONF_TYPE_BOOL,	     /* (bool) */
	CONF_TYPE_INT,	     /* (int) */
	CONF_TYPE_SIZE,	     /* (uint64_t), bytes */
	CONF_TYPE_DURATION,  /* (int64_t), milliseconds */
	CONF_TYPE_MODE,	     /* (int), octal */
	CONF_TYPE_STRING,    /* (char *) */
	CONF_TYPE_PATH,	     /* (char *), a file name or one of the words */
	CONF_TYPE_ENUM,	     /* (an enum), whose values are the indices of the words */
	CONF_TYPE_LIST,	     /* (struct conf_strings) */
	CONF_TYPE_PATH_LIST, /* (struct conf_strings); "" is allowed and stays */
};

struct conf_option {
	enum conf_section section;
	const char *name;
	enum conf_type type;
	size_t offset;		  /* of the field in the section's struct */
	int64_t min, max;	  /* numbers only */
	const char *default_text; /* as one would write it; "" = empty; NULL = must be written;
				   * of lists: the words, spaces between them */
	const char *const *words; /* ends in NULL; of a list: all that its items may be */
	/* Checks a string or an item; returns its canonical spelling (the caller's to free), or
	 * NULL and why. NULL if everything is allowed. */
	char *(*canonical)(const char *text, const char **why);
	const char *help; /* one line, no full stop */
};

/* All options, section by section in the order of enum conf_section. */
extern const struct conf_option conf_options[];
extern const size_t conf_n_options;

/* "listen"; "" for the global options. */
const char *conf_section_name(enum conf_section section);
/* The section that it stands in. A section within another has no title and stands there once. */
enum conf_section conf_section_parent(enum conf_section section);

const struct conf_option *conf_option_find(enum conf_section section, const char *name);

#endif
