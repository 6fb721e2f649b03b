/*
 * One line per exchange, combined or JSON: client, time, request line, status, bytes, referer, user agent, then server, the reason of a failure and timings. Untrusted
 * bytes are escaped, session ids masked. Lines are buffered and written once a loop turn.
 */
#ifndef PROXY_ROUTE_ACCESS_LOG_H
#define PROXY_ROUTE_ACCESS_LOG_H

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/http/exchange.h"

struct access_log;

/* `fd` is borrowed; -1: off. */
struct access_log *access_log_new(struct loop *loop, int fd, enum conf_access_log_format format);
void access_log_free(struct access_log *self);
/* After a log rotation. */
void access_log_set_fd(struct access_log *self, int fd);
void access_log_write(struct access_log *self, struct exchange *x);

#endif
