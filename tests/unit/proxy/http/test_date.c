/* Dates of HTTP: three forms (RFC 9110 section 5.6.7). */
#include "proxy/http/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define NOW INT64_C(1700000000) /* 2023 */

static int64_t seconds_of(const char *text)
{
	int64_t seconds = -1;

	if (!http_date_parse(slice_from_string(text), NOW, &seconds))
		fail_msg("not read: %s", text);
	return seconds;
}

static void the_three_forms(void **state)
{
	(void)state;
	assert_int_equal(seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
	assert_int_equal(seconds_of("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
	assert_int_equal(seconds_of("Sun Nov  6 08:49:37 1994"), 784111777);
	assert_int_equal(seconds_of("Sun Nov 16 08:49:37 1994"), 784111777 + 10 * 86400);
}

static void two_digits_of_a_year(void **state)
{
	(void)state;
	/* No more than 50 years ahead. */
	assert_int_equal(seconds_of("Thursday, 01-Jan-70 00:00:00 GMT"),
		seconds_of("Wed, 01 Jan 2070 00:00:00 GMT"));
	assert_int_equal(seconds_of("Sunday, 01-Jan-73 00:00:00 GMT"),
		seconds_of("Sun, 01 Jan 2073 00:00:00 GMT"));
	assert_int_equal(seconds_of("Tuesday, 01-Jan-74 00:00:00 GMT"),
		seconds_of("Tue, 01 Jan 1974 00:00:00 GMT"));
	assert_int_equal(seconds_of("Monday, 01-Jan-24 00:00:00 GMT"),
		seconds_of("Mon, 01 Jan 2024 00:00:00 GMT"));
}

/* Against the C library. */
static void every_day_of_two_centuries(void **state)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

	(void)state;
	for (time_t at = -2208988800 + 86399; at < 4102444800; at += 86400) {
		struct tm tm;
		char text[64];

		(void)gmtime_r(&at, &tm);
		(void)snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT",
			days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
			tm.tm_hour, tm.tm_min, tm.tm_sec);
		assert_int_equal(seconds_of(text), at);
	}
}

static void our_own(void **state)
{
	int64_t seconds;

	(void)state;
	assert_true(http_date_parse(http_date(), NOW, &seconds));
	assert_in_range(seconds, time(NULL) - 5, time(NULL) + 5);
}

static void what_is_no_date(void **state)
{
	static const char *const texts[] = {"", "0", "now", "Sun", "Sun,", "Sun, 06 Nov 1994",
		"Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
		"Sun, 06 Nox 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 29 Feb 1995 08:49:37 GMT",
		"Sun, 06 Nov 0000 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 08:49:-7 GMT",
		"Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
		"Sunday, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT",
		"Sun Nov 06 08:49:37 94", "Sun Nov 6 08:49:37 1994",
		"Sun Nov  6 08:49:37 1994 GMT"};
	int64_t seconds;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (http_date_parse(slice_from_string(texts[i]), NOW, &seconds))
			fail_msg("read: %s", texts[i]);
	assert_int_equal(seconds_of("Thu, 29 Feb 1996 08:49:60 GMT"), 825583800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_three_forms),
		cmocka_unit_test(two_digits_of_a_year),
		cmocka_unit_test(every_day_of_two_centuries),
		cmocka_unit_test(our_own),
		cmocka_unit_test(what_is_no_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
