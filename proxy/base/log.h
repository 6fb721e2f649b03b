/*
 * The error log: what happens to Pollux itself. One line a record: time, level, object prefix,
 * facts. Client misbehaviour is info or debug, backend trouble warn, our own bug error. Untrusted
 * bytes go through log_escape; secrets are never printed.
 */
#ifndef PROXY_BASE_LOG_H
#define PROXY_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

const char *log_level_name(enum log_level level);

/* Where lines go: a descriptor that the caller keeps open (default: 2). */
void log_set_fd(int fd);
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) (log_is_on(LOG_LEVEL_INFO) ? log_write(LOG_LEVEL_INFO, __VA_ARGS__) : (void)0)
#define log_debug(...) \
	(log_is_on(LOG_LEVEL_DEBUG) ? log_write(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

/* Printable ASCII as it is; everything else, the backslash and the double quote as \xHH. Cuts at n
 * and ends in NUL. Returns buf. */
char *log_escape(char *buf, size_t n, struct slice s);

#endif
