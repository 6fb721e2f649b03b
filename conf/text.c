#include "conf/text.h"

#include <stdlib.h>
#include <string.h>

#include "conf/options.h"
#include "proxy/base/memory.h"

/* A section within a section, and a list in that: nothing right is deeper. */
enum { DEEPEST = 3 };

struct scan {
	struct conf_text *text;
	size_t at;
	int line;
	char last;     /* the last character that was neither space nor comment */
	bool is_glued; /* it stands right before this one */
	int open_lines[DEEPEST];
	bool are_lists[DEEPEST];
	size_t n_open;
	size_t word_start, word_end; /* the last run of characters outside strings and comments */
	const char *name;
	struct conf_errors *errors;
};

/* The byte at an offset from here; NUL beyond the end. */
static char peek(const struct scan *scan, size_t offset)
{
	size_t at = scan->at + offset;

	return at < scan->text->n_bytes ? scan->text->bytes[at] : '\0';
}

static bool at_end(const struct scan *scan)
{
	return scan->at >= scan->text->n_bytes;
}

static bool fail(const struct scan *scan, int line, const char *what)
{
	conf_errors_add(scan->errors, scan->name, line, "%s", what);
	return false;
}

/* Turns the byte here into a space, a newline excepted, and goes on. */
static void blank(struct scan *scan)
{
	char *byte = &scan->text->bytes[scan->at++];

	if (*byte == '\n')
		scan->line++;
	else
		*byte = ' ';
}

static bool blank_block_comment(struct scan *scan)
{
	int start = scan->line;

	blank(scan);
	blank(scan);
	while (!at_end(scan) && !(peek(scan, 0) == '*' && peek(scan, 1) == '/'))
		blank(scan);
	if (at_end(scan))
		return fail(
			scan, start, "the comment that starts here has no end; write */ after it");
	blank(scan);
	blank(scan);
	return true;
}

static void blank_line_comment(struct scan *scan)
{
	while (!at_end(scan) && peek(scan, 0) != '\n')
		blank(scan);
}

/* A string ends on its line: a forgotten quote is found where it was forgotten. */
static bool skip_string(struct scan *scan, char quote)
{
	for (scan->at++; !at_end(scan); scan->at++) {
		char c = peek(scan, 0);

		if (c == quote) {
			scan->at++;
			return true;
		}
		if (c == '\\')
			scan->at++;
		if (peek(scan, 0) == '\n')
			break;
	}
	return fail(scan, scan->line, "a string on this line has no closing quote");
}

static void note_section(struct scan *scan)
{
	struct conf_text *text = scan->text;

	text->section_lines = memory_realloc(
		text->section_lines, (text->n_sections + 1) * sizeof(text->section_lines[0]));
	text->section_lines[text->n_sections++] = scan->line;
}

/* Whether the last word names a section that stands within another. */
static bool is_inner_section(const struct scan *scan)
{
	const char *word = scan->text->bytes + scan->word_start;
	size_t n = scan->word_end - scan->word_start;

	for (int i = 0; i < CONF_N_SECTIONS; i++) {
		const char *name = conf_section_name((enum conf_section)i);

		if (conf_section_parent((enum conf_section)i) != CONF_SECTION_GLOBAL &&
			strlen(name) == n && memcmp(name, word, n) == 0)
			return true;
	}
	return false;
}

static bool open_brace(struct scan *scan, bool is_list)
{
	bool is_in_list = scan->n_open > 0 && scan->are_lists[scan->n_open - 1];

	if (scan->n_open > 0 && !is_list &&
		(is_in_list || scan->n_open > 1 || !is_inner_section(scan))) {
		conf_errors_add(scan->errors, scan->name, scan->line,
			"a section cannot start inside another; the { of line %d has no } before "
			"this, or a list lacks its =",
			scan->open_lines[scan->n_open - 1]);
		return false;
	}
	if (is_in_list)
		return fail(scan, scan->line, "a list cannot hold a list; write {\"a\", \"b\"}");
	if (!is_list)
		note_section(scan);
	ASSERT(scan->n_open < DEEPEST);
	scan->are_lists[scan->n_open] = is_list;
	scan->open_lines[scan->n_open++] = scan->line;
	return true;
}

/* A character outside strings and comments, which has been passed; before is the last one. */
static bool take_plain(struct scan *scan, char c, char before)
{
	switch (c) {
	case '{':
		return open_brace(scan, before == '=');
	case '}':
		if (scan->n_open == 0)
			return fail(scan, scan->line, "this } closes nothing; remove it");
		scan->n_open--;
		return true;
	case '+':
		if (peek(scan, 0) == '=')
			return true;
		return fail(scan, scan->line, "put text that holds + in quotes");
	case '$':
		return fail(scan, scan->line, "put text that holds $ in quotes");
	case '*':
	case '(':
	case ')':
		return fail(scan, scan->line, "put text that holds *, ( or ) in quotes");
	case '\0':
		return fail(scan, scan->line, "a zero byte; a configuration is plain text");
	default:
		return true;
	}
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes one string, comment or character. */
static bool step(struct scan *scan)
{
	char c = peek(scan, 0), next = peek(scan, 1), before = scan->last;
	/* A slash inside a word is part of it: https://example.org */
	bool starts_word = !scan->is_glued || strchr("{}=,\"'", scan->last) != NULL;

	if (c == '#' || (c == '/' && next == '/' && starts_word)) {
		blank_line_comment(scan);
		scan->is_glued = false;
		return true;
	}
	if (c == '/' && next == '*' && starts_word) {
		scan->is_glued = false;
		return blank_block_comment(scan);
	}
	if (c == '"' || c == '\'') {
		scan->last = c;
		scan->is_glued = true;
		return skip_string(scan, c);
	}
	if (!is_space(c) && strchr("{}=,", c) == NULL) {
		if (!scan->is_glued || scan->word_end != scan->at)
			scan->word_start = scan->at;
		scan->word_end = scan->at + 1;
	}
	scan->at++;
	if (is_space(c)) {
		scan->line += c == '\n';
		scan->is_glued = false;
		return true;
	}
	scan->last = c;
	scan->is_glued = true;
	return take_plain(scan, c, before);
}

bool conf_text_clean(struct conf_text *text, const char *source, size_t n, const char *name,
	struct conf_errors *errors)
{
	struct scan scan = {.text = text, .line = 1, .name = name, .errors = errors};

	*text = (struct conf_text){.bytes = memory_alloc(n + 1), .n_bytes = n};
	memcpy(text->bytes, source, n);
	if (n == 0 || source[n - 1] != '\n')
		text->bytes[text->n_bytes++] = '\n';

	while (!at_end(&scan)) {
		if (!step(&scan))
			return false;
	}
	if (scan.n_open > 0)
		return fail(&scan, scan.open_lines[scan.n_open - 1],
			"the { on this line is never closed; write } after what belongs to it");
	return true;
}

void conf_text_clear(struct conf_text *text)
{
	free(text->bytes);
	free(text->section_lines);
	*text = (struct conf_text){0};
}
