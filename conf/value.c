#include "conf/value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first, for formatting. */
static const struct unit size_units[] = {
	{"T", INT64_C(1) << 40},
	{"G", INT64_C(1) << 30},
	{"M", INT64_C(1) << 20},
	{"k", INT64_C(1) << 10},
	{"", 1},
};

static const struct unit duration_units[] = {
	{"d", INT64_C(86400000)},
	{"h", INT64_C(3600000)},
	{"m", INT64_C(60000)},
	{"s", INT64_C(1000)},
	{"ms", 1},
};

bool conf_value_parse_bool(bool *value, const char *text)
{
	static const char *const words[][2] = {
		{"no", "yes"},
		{"off", "on"},
		{"false", "true"},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		for (int j = 0; j < 2; j++) {
			if (strcasecmp(text, words[i][j]) == 0) {
				*value = j == 1;
				return true;
			}
		}
	}
	return false;
}

/* Reads digits of a base up to 10 and returns what follows them; NULL without digits or on
 * overflow. */
static const char *read_digits(int64_t *value, const char *text, int base)
{
	const char *p = text;
	int64_t n = 0;

	for (; *p >= '0' && *p < '0' + base; p++) {
		int digit = *p - '0';

		if (n > (INT64_MAX - digit) / base)
			return NULL;
		n = n * base + digit;
	}
	*value = n;
	return p == text ? NULL : p;
}

bool conf_value_parse_int(int64_t *value, const char *text)
{
	const char *rest = read_digits(value, text, 10);

	return rest != NULL && *rest == '\0';
}

bool conf_value_parse_mode(int64_t *mode, const char *text)
{
	const char *rest = read_digits(mode, text, 8);

	return rest != NULL && *rest == '\0' && *mode <= 0777;
}

static bool scale(int64_t *value, int64_t factor)
{
	if (*value > INT64_MAX / factor)
		return false;
	*value *= factor;
	return true;
}

bool conf_value_parse_size(int64_t *bytes, const char *text)
{
	const char *rest = read_digits(bytes, text, 10);

	if (rest == NULL)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
		if (strcasecmp(rest, size_units[i].name) == 0)
			return scale(bytes, size_units[i].factor);
	}
	return false;
}

bool conf_value_parse_duration(int64_t *ms, const char *text)
{
	const char *rest = read_digits(ms, text, 10);

	if (rest == NULL)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(duration_units); i++) {
		if (strcmp(rest, duration_units[i].name) == 0)
			return scale(ms, duration_units[i].factor);
	}
	return *rest == '\0' && *ms == 0;
}

static void format_units(char text[CONF_VALUE_TEXT_SIZE], int64_t value, const struct unit *units)
{
	const struct unit *unit = units;

	while (value % unit->factor != 0)
		unit++;
	(void)snprintf(
		text, CONF_VALUE_TEXT_SIZE, "%" PRId64 "%s", value / unit->factor, unit->name);
}

void conf_value_format_size(char text[CONF_VALUE_TEXT_SIZE], int64_t bytes)
{
	if (bytes == 0)
		(void)snprintf(text, CONF_VALUE_TEXT_SIZE, "0");
	else
		format_units(text, bytes, size_units);
}

void conf_value_format_duration(char text[CONF_VALUE_TEXT_SIZE], int64_t ms)
{
	if (ms == 0)
		(void)snprintf(text, CONF_VALUE_TEXT_SIZE, "0");
	else
		format_units(text, ms, duration_units);
}

enum { LONGEST_WORD = 63 };

/* Edits between two words of at most LONGEST_WORD characters, capitals ignored. */
static size_t count_edits(const char *a, const char *b)
{
	size_t rows[3][LONGEST_WORD + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];
	size_t n_b = strlen(b);

	for (size_t j = 0; j <= n_b; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t *spare = before;

		before = above;
		above = row;
		row = spare;
		row[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			int ca = tolower((unsigned char)a[i - 1]);
			int cb = tolower((unsigned char)b[j - 1]);

			row[j] = above[j - 1] + (ca != cb);
			row[j] = MIN(row[j], MIN(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
				cb == tolower((unsigned char)a[i - 2]))
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
	}
	return row[n_b];
}

const char *conf_value_nearest(const char *text, const char *const *words, size_t n_words)
{
	const char *best = NULL;
	size_t n_text = strlen(text);
	/* A third of the word may be wrong, and one letter always. */
	size_t n_best = MAX(n_text / 3, 1) + 1;

	if (n_text == 0 || n_text > LONGEST_WORD)
		return NULL;
	for (size_t i = 0; i < n_words; i++) {
		size_t n_edits;

		if (words[i] == NULL || strlen(words[i]) > LONGEST_WORD)
			continue;
		n_edits = count_edits(text, words[i]);
		if (n_edits < n_best) {
			n_best = n_edits;
			best = words[i];
		}
	}
	return best;
}
