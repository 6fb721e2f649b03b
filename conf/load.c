/*
 * From a file to a struct conf. libconfuse parses; to it every option is a list of strings, so that
 * types, ranges and counts are judged in one place, ours, which knows the line and goes on after an
 * error. libconfuse stops at a name it does not know: such a name is noted and everything is parsed
 * anew with that name allowed, so that the next pass reports it where it stands and goes on.
 */
#include "conf/build.h"

#include <confuse.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "conf/option_value.h"
#include "conf/text.h"
#include "conf/value.h"
#include "proxy/base/memory.h"

enum { MOST_UNKNOWN = 50, LARGEST_FILE = 16 << 20 };

struct unknown {
	enum conf_section section;
	char *name;
};

struct open_section {
	cfg_t *cfg; /* NULL: none is open */
	void *fields;
	int line;
	/* Of the sections within it, by kind; NULL: none yet. */
	struct {
		void *fields;
		int line;
	} inner[CONF_N_SECTIONS];
};

struct loader {
	const char *name;      /* of the file, for messages */
	const char *directory; /* for relative file names; NULL: leave them */
	struct conf_text text;
	struct unknown unknowns[MOST_UNKNOWN];
	size_t n_unknowns;

	/* of one pass */
	struct conf *conf;
	struct conf_errors errors;
	cfg_t *top;
	bool found_unknown; /* the pass stopped at a name that the next one will allow */
	struct open_section open[CONF_N_SECTIONS]; /* at most one of each kind */
	size_t n_sections;			   /* begun so far */
	int *lines; /* per row of the table: where it was set last; 0 = not in this section */
};

/* libconfuse passes no context to its callbacks, and its lexer is global anyway. */
static struct loader *loader;

static enum conf_section section_of(const cfg_t *cfg)
{
	for (int i = 1; i < CONF_N_SECTIONS; i++) {
		if (strcmp(cfg->name, conf_section_name((enum conf_section)i)) == 0)
			return (enum conf_section)i;
	}
	return CONF_SECTION_GLOBAL;
}

/* The section of this kind that is being read. */
static cfg_t *find_open(enum conf_section section)
{
	cfg_opt_t *opt = cfg_getopt(loader->top, conf_section_name(section));

	return cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
}

/* The fields of a section that begins within another one. A second of its kind is an error. */
static void *begin_inner(enum conf_section section, struct open_section *outer, int line)
{
	if (outer->inner[section].fields != NULL) {
		conf_errors_add(&loader->errors, loader->name, line,
			"%s stands here a second time, first on line %d; keep one",
			conf_section_name(section), outer->inner[section].line);
		return outer->inner[section].fields;
	}
	outer->inner[section].line = line;
	outer->inner[section].fields = conf_add_section(loader->conf, section, NULL, line);
	return outer->inner[section].fields;
}

/*
 * libconfuse does not say when a section begins: its first option or its end does, or those of a
 * section within it.
 */
static void begin_section(cfg_t *cfg, enum conf_section section)
{
	enum conf_section parent = conf_section_parent(section);
	struct open_section *open = &loader->open[section];

	if (open->cfg == cfg)
		return;
	if (parent != CONF_SECTION_GLOBAL)
		begin_section(find_open(parent), parent);
	ASSERT(loader->n_sections < loader->text.n_sections);
	open->line = loader->text.section_lines[loader->n_sections++];
	open->cfg = cfg;
	if (parent == CONF_SECTION_GLOBAL)
		open->fields = conf_add_section(loader->conf, section, cfg->title, open->line);
	else
		open->fields = begin_inner(section, &loader->open[parent], open->line);
	for (size_t i = 0; i < conf_n_options; i++) {
		if (conf_options[i].section == section)
			loader->lines[i] = 0;
	}
}

/* The name that was probably meant, among the options and, at the top, the sections. */
static const char *find_nearest_name(enum conf_section section, const char *name)
{
	const char **names =
		memory_alloc_zeroed((conf_n_options + CONF_N_SECTIONS) * sizeof(names[0]));
	const char *nearest;
	size_t n = 0;

	for (size_t i = 0; i < conf_n_options; i++) {
		if (conf_options[i].section == section)
			names[n++] = conf_options[i].name;
	}
	for (int i = 1; i < CONF_N_SECTIONS; i++) {
		if (conf_section_parent((enum conf_section)i) == section)
			names[n++] = conf_section_name((enum conf_section)i);
	}
	nearest = conf_value_nearest(name, names, n);
	free(names);
	return nearest;
}

/* "a listen or backend section": where an option of this name may stand; NULL if nowhere. Free it.
 */
static char *find_home(const char *name)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	ASSERT(out != NULL);
	for (int i = 1; i < CONF_N_SECTIONS; i++) {
		if (conf_option_find((enum conf_section)i, name) != NULL)
			(void)fprintf(out, "%s%s", ftell(out) > 0 ? " or " : "in a section ",
				conf_section_name((enum conf_section)i));
		if (conf_section_parent((enum conf_section)i) != CONF_SECTION_GLOBAL &&
			strcmp(conf_section_name((enum conf_section)i), name) == 0)
			(void)fprintf(out, "in a section %s",
				conf_section_name(conf_section_parent((enum conf_section)i)));
	}
	if (conf_option_find(CONF_SECTION_GLOBAL, name) != NULL)
		(void)fputs("outside the sections", out);
	ASSERT(fclose(out) == 0);
	if (length > 0)
		return text;
	free(text);
	return NULL;
}

static void report_unknown(enum conf_section section, const char *name, int line)
{
	const char *nearest = find_nearest_name(section, name);
	const char *in = section == CONF_SECTION_GLOBAL ? "" : " in ";
	const char *where = conf_section_name(section);
	char *home = find_home(name);

	if (home != NULL)
		conf_errors_add(&loader->errors, loader->name, line,
			"there is no option %s%s%s; it belongs %s", name,
			section == CONF_SECTION_GLOBAL ? " outside the sections" : in, where, home);
	else if (nearest != NULL)
		conf_errors_add(&loader->errors, loader->name, line,
			"there is no option %s%s%s; did you mean %s?", name, in, where, nearest);
	else
		conf_errors_add(&loader->errors, loader->name, line,
			"there is no option %s%s%s; pollux.conf(5) lists what there is", name, in,
			where);
	free(home);
}

/* For each value: of a list one after another, nvalues counting the one at hand. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	enum conf_section section = section_of(cfg);
	const struct conf_option *option = conf_option_find(section, opt->name);
	struct conf_place place = {&loader->errors, loader->name, cfg->line};
	bool is_first = opt->nvalues == 1;
	void *fields = loader->conf;
	int *line;

	*(const char **)result = value;
	if (section != CONF_SECTION_GLOBAL) {
		begin_section(cfg, section);
		fields = loader->open[section].fields;
	}
	if (option == NULL) {
		if (is_first)
			report_unknown(section, opt->name, cfg->line);
		return 0;
	}
	line = &loader->lines[option - conf_options];
	if (is_first && *line != 0) {
		conf_errors_add(place.errors, place.file, place.line,
			"%s stands here a second time, first on line %d; keep one", option->name,
			*line);
		return 0;
	}
	if (is_first)
		*line = cfg->line;
	if (conf_option_is_list(option)) {
		if (is_first)
			conf_option_clear_list(option, fields);
	} else if (!is_first) {
		if (opt->nvalues == 2)
			conf_errors_add(place.errors, place.file, place.line,
				"%s takes one value, not a list", option->name);
		return 0;
	}
	/* A refused value is an error in the list; parsing goes on for the others. */
	if (!conf_option_set(option, fields, value, loader->directory, &place))
		return 0;
	return 0;
}

static void report_missing(
	const cfg_t *cfg, enum conf_section section, const struct conf_option *option, int line)
{
	const char *title = cfg->title != NULL ? cfg->title : "";
	const char *quote = cfg->title != NULL ? "\"" : "";

	conf_errors_add(&loader->errors, loader->name, line, "%s%s%s%s%s has no %s; write %s = %s",
		conf_section_name(section), cfg->title != NULL ? " " : "", quote, title, quote,
		option->name, option->name, conf_option_is_list(option) ? "{\"…\"}" : "\"…\"");
}

/* "name = {}" makes a list empty and is never right for anything else. */
static void take_empty_lists(cfg_t *cfg, enum conf_section section, void *fields, int section_line)
{
	for (cfg_opt_t *opt = cfg->opts; opt->name != NULL; opt++) {
		const struct conf_option *option = conf_option_find(section, opt->name);
		bool is_empty = (opt->flags & CFGF_MODIFIED) != 0 && opt->nvalues == 0;

		if (opt->type == CFGT_SEC)
			continue;
		if (option == NULL) {
			if (is_empty)
				report_unknown(section, opt->name, section_line);
		} else if (is_empty && !conf_option_is_list(option)) {
			conf_errors_add(&loader->errors, loader->name, section_line,
				"%s takes one value, not a list", option->name);
		} else if (is_empty) {
			conf_option_clear_list(option, fields);
			if (option->default_text == NULL)
				conf_errors_add(&loader->errors, loader->name, section_line,
					"%s is empty; write at least one", option->name);
		} else if (option->default_text == NULL &&
			loader->lines[option - conf_options] == 0) {
			report_missing(cfg, section, option, section_line);
		}
	}
}

/* At the closing brace of a section. */
static int on_section_end(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *section_cfg = cfg_opt_getnsec(opt, 0);
	enum conf_section section = section_of(section_cfg);
	struct open_section *open = &loader->open[section];

	(void)cfg;
	begin_section(section_cfg, section);
	take_empty_lists(section_cfg, section, open->fields, open->line);
	/* Without a right title the listener stays without addresses, and the error stands. */
	if (section == CONF_SECTION_LISTEN &&
		!conf_listen_set_title(open->fields, loader->name, &loader->errors))
		ASSERT(loader->errors.n_messages > 0);
	*open = (struct open_section){0};
	/* libconfuse would let the next section of this title replace this one. */
	cfg_opt_rmnsec(opt, 0);
	return 0;
}

static void note_unknown(enum conf_section section, const char *name)
{
	struct unknown *unknown;

	if (loader->n_unknowns == MOST_UNKNOWN)
		return;
	unknown = &loader->unknowns[loader->n_unknowns++];
	unknown->section = section;
	unknown->name = memory_copy_string(name);
	loader->found_unknown = true;
}

static bool is_noted(enum conf_section section, const char *name)
{
	for (size_t i = 0; i < loader->n_unknowns; i++) {
		if (loader->unknowns[i].section == section &&
			strcmp(loader->unknowns[i].name, name) == 0)
			return true;
	}
	return false;
}

/* libconfuse's messages have at most one argument, a string. */
static void on_error(cfg_t *cfg, const char *format, va_list args)
{
	enum conf_section section = section_of(cfg);
	bool has_name = strstr(format, "'%s'") != NULL;
	const char *name = has_name ? va_arg(args, const char *) : "";
	struct conf_errors *errors = &loader->errors;

	if (strncmp(format, "no such option", 14) == 0) {
		note_unknown(section, name);
		if (!loader->found_unknown)
			report_unknown(section, name, cfg->line);
	} else if (strncmp(format, "missing equal sign", 18) == 0) {
		if (is_noted(section, name))
			report_unknown(section, name, cfg->line);
		else
			conf_errors_add(errors, loader->name, cfg->line,
				"%s lacks its =; write %s = value", name, name);
	} else if (strncmp(format, "missing title", 13) == 0) {
		conf_errors_add(errors, loader->name, cfg->line,
			"%s needs a title in quotes before its {", name);
	} else if (strncmp(format, "missing opening brace", 21) == 0) {
		conf_errors_add(errors, loader->name, cfg->line,
			section == CONF_SECTION_GLOBAL ? "%s lacks the { after its title"
						       : "%s lacks its {",
			name);
	} else if (strncmp(format, "unexpected token", 16) == 0) {
		conf_errors_add(errors, loader->name, cfg->line,
			"\"%s\" is not expected here; write name = value, and lists as "
			"{\"a\", \"b\"}",
			name);
	} else if (strncmp(format, "premature end", 13) == 0) {
		conf_errors_add(errors, loader->name, cfg->line,
			"the text ends in the middle of an option; write name = value");
	} else if (has_name) {
		conf_errors_add(errors, loader->name, cfg->line, "syntax error at \"%s\"", name);
	} else {
		conf_errors_add(errors, loader->name, cfg->line, "syntax error: %s", format);
	}
}

/*
 * One list of strings per option of the section, unknown names noted so far included, and the
 * sections within it, whose options must have been made; free it.
 */
static cfg_opt_t *make_options(enum conf_section section, cfg_opt_t *const *sections)
{
	cfg_opt_t *opts = memory_alloc_zeroed(
		(conf_n_options + MOST_UNKNOWN + CONF_N_SECTIONS) * sizeof(opts[0]));
	size_t n = 0;

	for (size_t i = 0; i < conf_n_options; i++) {
		if (conf_options[i].section == section)
			opts[n++] = (cfg_opt_t)CFG_STR_LIST_CB(
				conf_options[i].name, NULL, CFGF_NONE, on_value);
	}
	for (size_t i = 0; i < loader->n_unknowns; i++) {
		if (loader->unknowns[i].section == section)
			opts[n++] = (cfg_opt_t)CFG_STR_LIST_CB(
				loader->unknowns[i].name, NULL, CFGF_NONE, on_value);
	}
	for (int i = 1; i < CONF_N_SECTIONS; i++) {
		if (conf_section_parent((enum conf_section)i) == section)
			opts[n++] = (cfg_opt_t)CFG_SEC(conf_section_name((enum conf_section)i),
				sections[i],
				CFGF_MULTI | (section == CONF_SECTION_GLOBAL ? CFGF_TITLE : 0));
	}
	opts[n] = (cfg_opt_t)CFG_END();
	return opts;
}

static cfg_t *make_parser(void)
{
	cfg_opt_t *sections[CONF_N_SECTIONS] = {NULL};
	cfg_opt_t *top;
	cfg_t *cfg;

	/* A section within another comes after it in the enum. */
	for (int i = CONF_N_SECTIONS - 1; i > 0; i--)
		sections[i] = make_options((enum conf_section)i, sections);
	top = make_options(CONF_SECTION_GLOBAL, sections);
	cfg = cfg_init(top, CFGF_NONE);
	ASSERT(cfg != NULL);
	for (int i = 1; i < CONF_N_SECTIONS; i++) {
		enum conf_section parent = conf_section_parent((enum conf_section)i);
		char name[64];

		free(sections[i]);
		(void)snprintf(name, sizeof(name), "%s%s%s", conf_section_name(parent),
			parent == CONF_SECTION_GLOBAL ? "" : "|",
			conf_section_name((enum conf_section)i));
		(void)cfg_set_validate_func(cfg, name, on_section_end);
	}
	free(top);
	(void)cfg_set_error_function(cfg, on_error);
	return cfg;
}

/* One pass over the text. False if it has to be repeated. */
static bool run_pass(void)
{
	FILE *in = fmemopen(loader->text.bytes, loader->text.n_bytes, "r");
	cfg_t *cfg = make_parser();

	ASSERT(in != NULL);
	loader->conf = conf_new(loader->name);
	loader->found_unknown = false;
	loader->top = cfg;
	memset(loader->open, 0, sizeof(loader->open));
	loader->n_sections = 0;
	memset(loader->lines, 0, conf_n_options * sizeof(loader->lines[0]));

	if (cfg_parse_fp(cfg, in) == CFG_SUCCESS) {
		/* Not after an error of syntax: what is missing may just not have been read. */
		take_empty_lists(cfg, CONF_SECTION_GLOBAL, loader->conf, 0);
		if (!conf_finish(loader->conf, &loader->errors))
			ASSERT(loader->errors.n_messages > 0);
	} else if (!loader->found_unknown && loader->errors.n_messages == 0) {
		/* libconfuse says nothing about an empty name, for one. */
		conf_errors_add(&loader->errors, loader->name, cfg->line,
			"this is no option; write name = value");
	}
	(void)cfg_free(cfg);
	(void)fclose(in);
	if (loader->found_unknown || loader->errors.n_messages > 0) {
		conf_unref(loader->conf);
		loader->conf = NULL;
	}
	if (!loader->found_unknown)
		return true;
	conf_errors_clear(&loader->errors);
	return false;
}

static void move_errors(struct conf_errors *to, struct conf_errors *from)
{
	for (size_t i = 0; i < from->n_messages; i++)
		conf_errors_add(to, NULL, 0, "%s", from->messages[i]);
	conf_errors_clear(from);
}

static struct conf *parse(const char *source, size_t n, const char *name, const char *directory,
	struct conf_errors *errors)
{
	struct loader self = {.name = name, .directory = directory};
	struct conf *conf = NULL;

	ASSERT(loader == NULL);
	loader = &self;
	self.lines = memory_alloc_zeroed(conf_n_options * sizeof(self.lines[0]));
	if (conf_text_clean(&self.text, source, n, name, &self.errors)) {
		while (!run_pass())
			;
		conf = self.conf;
	}
	ASSERT(conf != NULL || self.errors.n_messages > 0);
	move_errors(errors, &self.errors);
	for (size_t i = 0; i < self.n_unknowns; i++)
		free(self.unknowns[i].name);
	conf_text_clear(&self.text);
	free(self.lines);
	loader = NULL;
	return conf;
}

struct conf *conf_parse(const char *text, const char *name, struct conf_errors *errors)
{
	return parse(text, strlen(text), name, NULL, errors);
}

/* Reads a whole file; NULL with errno set. */
static char *read_file(const char *path, size_t *n)
{
	FILE *in = fopen(path, "re");
	char *bytes = NULL;
	size_t n_read = 0, n_room = 0;

	if (in == NULL)
		return NULL;
	do {
		n_room = MAX(n_room * 2, 4096);
		bytes = memory_realloc(bytes, n_room);
		n_read += fread(bytes + n_read, 1, n_room - n_read, in);
		if (n_read > LARGEST_FILE) {
			errno = EFBIG;
			goto fail;
		}
	} while (n_read == n_room);
	if (ferror(in))
		goto fail;
	(void)fclose(in);
	*n = n_read;
	return bytes;
fail:
	free(bytes);
	(void)fclose(in);
	return NULL;
}

struct conf *conf_load(const char *path, struct conf_errors *errors)
{
	char *copy = memory_copy_string(path);
	char *directory = NULL;
	struct conf *conf = NULL;
	size_t n = 0;
	char *text = read_file(path, &n);

	if (text == NULL) {
		conf_errors_add(errors, path, 0, "cannot be read: %s", strerror(errno));
	} else {
		directory = realpath(dirname(copy), NULL);
		conf = parse(text, n, path, directory, errors);
	}
	free(directory);
	free(copy);
	free(text);
	return conf;
}
