#include "proxy/http/date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Names as they stand in dates, whatever the locale. */
static const char days[7][10] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct slice http_date(void)
{
	static time_t formatted;
	static char text[64];
	time_t now = time(NULL);
	struct tm tm;

	if (now != formatted) {
		(void)gmtime_r(&now, &tm);
		(void)snprintf(text, sizeof(text), "%.3s, %02d %s %04d %02d:%02d:%02d GMT",
			days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
			tm.tm_hour, tm.tm_min, tm.tm_sec);
		formatted = now;
	}
	return slice_from_string(text);
}

/* What has been read of a date; each step takes from the front of the rest. */
struct parse {
	struct slice rest;
	bool is_good;
	int64_t year;
	int month; /* from 0 */
	int day, hour, minute, second;
};

static void take_text(struct parse *self, struct slice text)
{
	self->is_good = self->is_good && slice_starts_with(self->rest, text);
	if (self->is_good)
		self->rest = slice_from(self->rest, text.n);
}

static int take_digits(struct parse *self, size_t n)
{
	int value = 0;

	self->is_good = self->is_good && self->rest.n >= n;
	for (size_t i = 0; self->is_good && i < n; i++) {
		char c = self->rest.p[i];

		self->is_good = c >= '0' && c <= '9';
		value = 10 * value + (c - '0');
	}
	if (self->is_good)
		self->rest = slice_from(self->rest, n);
	return value;
}

/* A day's name, or the first three letters of one. */
static void take_day_name(struct parse *self, bool is_whole)
{
	for (size_t i = 0; self->is_good && i < 7; i++) {
		struct slice name = slice_of(days[i], is_whole ? strlen(days[i]) : 3);

		if (slice_starts_with(self->rest, name)) {
			self->rest = slice_from(self->rest, name.n);
			return;
		}
	}
	self->is_good = false;
}

static void take_month(struct parse *self)
{
	for (int i = 0; self->is_good && i < 12; i++) {
		if (slice_starts_with(self->rest, slice_of(months[i], 3))) {
			self->month = i;
			self->rest = slice_from(self->rest, 3);
			return;
		}
	}
	self->is_good = false;
}

static void take_time(struct parse *self)
{
	self->hour = take_digits(self, 2);
	take_text(self, SLICE(":"));
	self->minute = take_digits(self, 2);
	take_text(self, SLICE(":"));
	self->second = take_digits(self, 2);
}

static void take_imf(struct parse *self)
{
	take_day_name(self, false);
	take_text(self, SLICE(", "));
	self->day = take_digits(self, 2);
	take_text(self, SLICE(" "));
	take_month(self);
	take_text(self, SLICE(" "));
	self->year = take_digits(self, 4);
	take_text(self, SLICE(" "));
	take_time(self);
	take_text(self, SLICE(" GMT"));
}

static void take_asctime(struct parse *self)
{
	take_day_name(self, false);
	take_text(self, SLICE(" "));
	take_month(self);
	take_text(self, SLICE(" "));
	if (self->is_good && slice_starts_with(self->rest, SLICE(" "))) {
		take_text(self, SLICE(" "));
		self->day = take_digits(self, 1);
	} else {
		self->day = take_digits(self, 2);
	}
	take_text(self, SLICE(" "));
	take_time(self);
	take_text(self, SLICE(" "));
	self->year = take_digits(self, 4);
}

static bool is_leap_year(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t count_days(int64_t year, int month, int day)
{
	static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	int64_t last = year - 1;
	int64_t n = 365 * year + last / 4 - last / 100 + last / 400;

	/* 719527 is the same count for 1970-01-01. */
	return n - 719527 + before[month] + (is_leap_year(year) && month > 1) + day - 1;
}

static int64_t count_seconds(const struct parse *self)
{
	return count_days(self->year, self->month, self->day) * 86400 + self->hour * 3600 +
		self->minute * 60 + self->second;
}

/* Two digits: one that seems more than 50 years ahead is of the past. */
static void take_rfc850(struct parse *self, int64_t now)
{
	time_t then = (time_t)now;
	struct tm tm;

	take_day_name(self, true);
	take_text(self, SLICE(", "));
	self->day = take_digits(self, 2);
	take_text(self, SLICE("-"));
	take_month(self);
	take_text(self, SLICE("-"));
	self->year = take_digits(self, 2);
	take_text(self, SLICE(" "));
	take_time(self);
	take_text(self, SLICE(" GMT"));
	(void)gmtime_r(&then, &tm);
	self->year += (tm.tm_year + 1900) / 100 * 100;
	if (self->year > tm.tm_year + 1900 + 50)
		self->year -= 100;
}

static bool is_sound(const struct parse *self)
{
	static const int n_days[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (!self->is_good || self->rest.n > 0 || self->year == 0)
		return false;
	if (self->day == 29 && self->month == 1 && !is_leap_year(self->year))
		return false;
	return self->day >= 1 && self->day <= n_days[self->month] && self->hour < 24 &&
		self->minute < 60 && self->second <= 60;
}

bool http_date_parse(struct slice text, int64_t now, int64_t *seconds)
{
	struct parse parse = {.rest = text, .is_good = true};

	if (text.n > 3 && text.p[3] == ',')
		take_imf(&parse);
	else if (text.n > 3 && text.p[3] == ' ')
		take_asctime(&parse);
	else
		take_rfc850(&parse, now);
	if (!is_sound(&parse))
		return false;
	*seconds = count_seconds(&parse);
	return true;
}
