#include "proxy/http/date.h"

#include <stdio.h>
#include <time.h>

struct slice http_date(void)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	static time_t formatted;
	static char text[64];
	time_t now = time(NULL);
	struct tm tm;

	if (now != formatted) {
		(void)gmtime_r(&now, &tm);
		/* Not strftime: its names follow the locale. */
		(void)snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT",
			days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
			tm.tm_hour, tm.tm_min, tm.tm_sec);
		formatted = now;
	}
	return slice_from_string(text);
}
