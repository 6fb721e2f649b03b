#include "proxy/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int log_fd = STDERR_FILENO;
static enum log_level log_level = LOG_LEVEL_INFO;

const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warn";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "?";
}

void log_set_fd(int fd)
{
	log_fd = fd;
}

void log_set_level(enum log_level level)
{
	log_level = level;
}

bool log_is_on(enum log_level level)
{
	return level <= log_level;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char line[2048];
	struct timespec now;
	struct tm tm;
	size_t n;
	va_list args;
	int written;

	if (!log_is_on(level))
		return;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ %s ", now.tv_nsec / 1000000,
		log_level_name(level));
	errno = saved_errno; /* for %m */
	va_start(args, fmt);
	written = vsnprintf(line + n, sizeof(line) - n - 1, fmt, args);
	va_end(args);
	if (written > 0)
		n += MIN((size_t)written, sizeof(line) - n - 2);
	line[n++] = '\n';
	/* A log that cannot be written has nowhere to complain. */
	if (write(log_fd, line, n) < 0)
		errno = saved_errno;
	errno = saved_errno;
}

char *log_escape(char *buf, size_t n, struct slice s)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0;

	ASSERT(n > 4);
	for (size_t i = 0; i < s.n && used + 5 <= n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c < 0x7f && c != '\\' && c != '"') {
			buf[used++] = (char)c;
			continue;
		}
		buf[used++] = '\\';
		buf[used++] = 'x';
		buf[used++] = hex[c >> 4];
		buf[used++] = hex[c & 15];
	}
	buf[used] = '\0';
	return buf;
}
