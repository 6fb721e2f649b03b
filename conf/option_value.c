#include "conf/option_value.h"

#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/value.h"
#include "proxy/base/memory.h"

_Static_assert(sizeof(enum conf_match) == sizeof(int), "enum fields are stored through int");

static void *field_of(const struct conf_option *option, const void *fields)
{
	return (char *)fields + option->offset;
}

const char *conf_type_name(enum conf_type type)
{
	switch (type) {
	case CONF_TYPE_BOOL:
		return "yes or no";
	case CONF_TYPE_INT:
		return "number";
	case CONF_TYPE_SIZE:
		return "size";
	case CONF_TYPE_DURATION:
		return "duration";
	case CONF_TYPE_MODE:
		return "octal mode";
	case CONF_TYPE_STRING:
		return "string";
	case CONF_TYPE_PATH:
		return "file";
	case CONF_TYPE_ENUM:
		return "one of";
	case CONF_TYPE_LIST:
		return "list";
	case CONF_TYPE_PATH_LIST:
		return "list of files";
	}
	return "?";
}

bool conf_option_is_list(const struct conf_option *option)
{
	return option->type == CONF_TYPE_LIST || option->type == CONF_TYPE_PATH_LIST;
}

static size_t count_words(const char *const *words)
{
	size_t n = 0;

	while (words[n] != NULL)
		n++;
	return n;
}

/* Index of text among the words; their number if it is none of them. */
static size_t find_word(const char *const *words, const char *text)
{
	size_t i = 0;

	while (words[i] != NULL && strcmp(words[i], text) != 0)
		i++;
	return i;
}

static void write_words(const char *const *words, FILE *out)
{
	size_t n = count_words(words);

	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
}

static void write_number(const struct conf_option *option, int64_t value, FILE *out)
{
	char text[CONF_VALUE_TEXT_SIZE];

	if (option->type == CONF_TYPE_SIZE)
		conf_value_format_size(text, value);
	else if (option->type == CONF_TYPE_DURATION)
		conf_value_format_duration(text, value);
	else
		(void)snprintf(text, sizeof(text), option->type == CONF_TYPE_MODE ? "%04jo" : "%jd",
			(intmax_t)value);
	(void)fputs(text, out);
}

static void write_range(const struct conf_option *option, FILE *out)
{
	(void)fputs("from ", out);
	write_number(option, option->min, out);
	(void)fputs(" to ", out);
	write_number(option, option->max, out);
}

/* What would be right: the second half of a message about a value. */
static void write_expected(const struct conf_option *option, const char *text, FILE *out)
{
	const char *nearest;

	switch (option->type) {
	case CONF_TYPE_BOOL:
		(void)fputs("write yes or no", out);
		return;
	case CONF_TYPE_INT:
		(void)fputs("write a whole number ", out);
		write_range(option, out);
		return;
	case CONF_TYPE_SIZE:
		(void)fputs("write bytes, or a number and k, M, G or T, such as 64k, ", out);
		write_range(option, out);
		return;
	case CONF_TYPE_DURATION:
		(void)fputs("write a number and ms, s, m, h or d, such as 30s, ", out);
		write_range(option, out);
		return;
	case CONF_TYPE_MODE:
		(void)fputs("write octal permission bits, such as 0660", out);
		return;
	case CONF_TYPE_ENUM:
	case CONF_TYPE_LIST:
		nearest = conf_value_nearest(text, option->words, count_words(option->words));
		if (nearest != NULL && count_words(option->words) > 1)
			(void)fprintf(out, "did you mean %s? ", nearest);
		(void)fputs("it may be ", out);
		write_words(option->words, out);
		return;
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
	case CONF_TYPE_PATH_LIST:
		(void)fputs("write a string in quotes", out);
		return;
	}
}

/* "name: "text" is wrong; what would be right". why replaces the second half. */
static void refuse(const struct conf_option *option, const char *text, const char *what,
	const char *why, const struct conf_place *place)
{
	char *message = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&message, &length);

	ASSERT(out != NULL);
	(void)fprintf(out, "%s: \"%s\" %s; ", option->name, text, what);
	if (why != NULL)
		(void)fputs(why, out);
	else
		write_expected(option, text, out);
	ASSERT(fclose(out) == 0);
	conf_errors_add(place->errors, place->file, place->line, "%s", message);
	free(message);
}

static bool set_number(const struct conf_option *option, void *field, const char *text,
	const struct conf_place *place)
{
	bool (*parse)(int64_t *, const char *) = conf_value_parse_int;
	int64_t value;

	if (option->type == CONF_TYPE_SIZE)
		parse = conf_value_parse_size;
	else if (option->type == CONF_TYPE_DURATION)
		parse = conf_value_parse_duration;
	else if (option->type == CONF_TYPE_MODE)
		parse = conf_value_parse_mode;

	if (!parse(&value, text)) {
		int64_t digits;
		bool lacks_unit =
			option->type == CONF_TYPE_DURATION && conf_value_parse_int(&digits, text);

		refuse(option, text, lacks_unit ? "has no unit" : "is not understood", NULL, place);
		return false;
	}
	if (value < option->min || value > option->max) {
		refuse(option, text, "is out of range", NULL, place);
		return false;
	}
	if (option->type == CONF_TYPE_SIZE)
		*(uint64_t *)field = (uint64_t)value;
	else if (option->type == CONF_TYPE_DURATION)
		*(int64_t *)field = value;
	else
		*(int *)field = (int)value;
	return true;
}

static bool set_enum(const struct conf_option *option, void *field, const char *text,
	const struct conf_place *place)
{
	size_t i = find_word(option->words, text);

	if (option->words[i] == NULL) {
		refuse(option, text, "is not known", NULL, place);
		return false;
	}
	*(int *)field = (int)i;
	return true;
}

static char *join_path(const char *directory, const char *path)
{
	size_t size = strlen(directory) + strlen(path) + 2;
	char *joined = memory_alloc(size);

	(void)snprintf(joined, size, "%s/%s", directory, path);
	return joined;
}

/* The text that a string or an item is stored as; NULL if it was refused. */
static char *make_string(const struct conf_option *option, const char *text, const char *directory,
	const struct conf_place *place)
{
	bool is_path = option->type == CONF_TYPE_PATH || option->type == CONF_TYPE_PATH_LIST;
	bool is_word =
		option->words != NULL && option->words[find_word(option->words, text)] != NULL;
	const char *why = NULL;
	char *string;

	if (option->canonical != NULL) {
		string = option->canonical(text, &why);
		if (string == NULL)
			refuse(option, text, "is not right", why, place);
		return string;
	}
	if (option->type == CONF_TYPE_LIST && option->words != NULL && !is_word) {
		refuse(option, text, "is not known", NULL, place);
		return NULL;
	}
	if (is_path && !is_word && text[0] != '/' && text[0] != '\0' && directory != NULL)
		return join_path(directory, text);
	return memory_copy_string(text);
}

static void append(struct conf_strings *list, char *item)
{
	list->items = memory_realloc(list->items, (list->n_items + 1) * sizeof(list->items[0]));
	list->items[list->n_items++] = item;
}

bool conf_option_set(const struct conf_option *option, void *fields, const char *text,
	const char *directory, const struct conf_place *place)
{
	void *field = field_of(option, fields);
	char *string;

	switch (option->type) {
	case CONF_TYPE_BOOL:
		if (conf_value_parse_bool(field, text))
			return true;
		refuse(option, text, "is not a switch", NULL, place);
		return false;
	case CONF_TYPE_INT:
	case CONF_TYPE_SIZE:
	case CONF_TYPE_DURATION:
	case CONF_TYPE_MODE:
		return set_number(option, field, text, place);
	case CONF_TYPE_ENUM:
		return set_enum(option, field, text, place);
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
		string = make_string(option, text, directory, place);
		if (string == NULL)
			return false;
		free(*(char **)field);
		*(char **)field = string;
		return true;
	case CONF_TYPE_LIST:
	case CONF_TYPE_PATH_LIST:
		string = make_string(option, text, directory, place);
		if (string == NULL)
			return false;
		append(field, string);
		return true;
	}
	return false;
}

static void clear_list(struct conf_strings *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct conf_strings){0};
}

void conf_option_clear_list(const struct conf_option *option, void *fields)
{
	clear_list(field_of(option, fields));
}

/* The words of a list's default, which stand apart by spaces. */
static void set_default_list(const struct conf_option *option, struct conf_strings *list)
{
	for (const char *at = option->default_text; *at != '\0';) {
		size_t n = strcspn(at, " ");
		char *word = memory_alloc(n + 1);

		memcpy(word, at, n);
		word[n] = '\0';
		append(list, word);
		at += n + strspn(at + n, " ");
	}
}

void conf_options_set_defaults(enum conf_section section, void *fields)
{
	for (size_t i = 0; i < conf_n_options; i++) {
		const struct conf_option *option = &conf_options[i];
		const char *text = option->default_text;
		struct conf_errors errors = {0};
		struct conf_place place = {.errors = &errors};

		if (option->section != section)
			continue;
		if (option->type == CONF_TYPE_STRING || option->type == CONF_TYPE_PATH)
			*(char **)field_of(option, fields) =
				memory_copy_string(text != NULL ? text : "");
		else if (text != NULL && conf_option_is_list(option))
			set_default_list(option, field_of(option, fields));
		else if (text != NULL)
			ASSERT(conf_option_set(option, fields, text, NULL, &place));
	}
}

void conf_options_clear(enum conf_section section, void *fields)
{
	for (size_t i = 0; i < conf_n_options; i++) {
		const struct conf_option *option = &conf_options[i];

		if (option->section != section)
			continue;
		if (conf_option_is_list(option)) {
			conf_option_clear_list(option, fields);
		} else if (option->type == CONF_TYPE_STRING || option->type == CONF_TYPE_PATH) {
			char **field = field_of(option, fields);

			free(*field);
			*field = NULL;
		}
	}
}

void conf_write_quoted(const char *text, FILE *out)
{
	(void)fputc('"', out);
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		/* "${" would be an environment variable. */
		if (c == '"' || c == '\\' || c == '$')
			(void)fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			(void)fprintf(out, "\\x%02x", c);
		else
			(void)fputc(c, out);
	}
	(void)fputc('"', out);
}

static void write_list(const struct conf_strings *list, FILE *out)
{
	(void)fputc('{', out);
	for (size_t i = 0; i < list->n_items; i++) {
		if (i > 0)
			(void)fputs(", ", out);
		conf_write_quoted(list->items[i], out);
	}
	(void)fputc('}', out);
}

void conf_option_write_value(const struct conf_option *option, const void *fields, FILE *out)
{
	const void *field = field_of(option, fields);

	switch (option->type) {
	case CONF_TYPE_BOOL:
		(void)fputs(*(const bool *)field ? "yes" : "no", out);
		return;
	case CONF_TYPE_INT:
	case CONF_TYPE_MODE:
		write_number(option, *(const int *)field, out);
		return;
	case CONF_TYPE_SIZE:
		write_number(option, (int64_t) * (const uint64_t *)field, out);
		return;
	case CONF_TYPE_DURATION:
		write_number(option, *(const int64_t *)field, out);
		return;
	case CONF_TYPE_STRING:
	case CONF_TYPE_PATH:
		conf_write_quoted(*(char *const *)field, out);
		return;
	case CONF_TYPE_ENUM:
		(void)fputs(option->words[*(const int *)field], out);
		return;
	case CONF_TYPE_LIST:
	case CONF_TYPE_PATH_LIST:
		write_list(field, out);
		return;
	}
}

static void write_default(const struct conf_option *option, FILE *out)
{
	if (conf_option_is_list(option)) {
		struct conf_strings list = {0};

		set_default_list(option, &list);
		write_list(&list, out);
		clear_list(&list);
	} else if (option->type == CONF_TYPE_STRING || option->type == CONF_TYPE_PATH) {
		conf_write_quoted(option->default_text, out);
	} else {
		(void)fputs(option->default_text, out);
	}
}

void conf_option_write_facts(const struct conf_option *option, FILE *out)
{
	(void)fputs(conf_type_name(option->type), out);
	if (option->type == CONF_TYPE_INT || option->type == CONF_TYPE_SIZE ||
		option->type == CONF_TYPE_DURATION || option->type == CONF_TYPE_MODE) {
		(void)fputc(' ', out);
		write_range(option, out);
	} else if (option->type == CONF_TYPE_ENUM) {
		(void)fputc(' ', out);
		write_words(option->words, out);
	}
	if (option->default_text == NULL) {
		(void)fputs("; required", out);
		return;
	}
	(void)fputs("; default ", out);
	write_default(option, out);
}
