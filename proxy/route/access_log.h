/*
 * The access log: one line for each exchange when it is over. Lines are collected and written once
 * a loop turn. When the file takes nothing (a full pipe) lines wait in bounded memory and are then
 * dropped; the error log tells how many.
 */
#ifndef PROXY_ROUTE_ACCESS_LOG_H
#define PROXY_ROUTE_ACCESS_LOG_H

#include "conf/conf.h"
#include "proxy/base/loop.h"
#include "proxy/http/exchange.h"

struct access_log;

/* `fd` is borrowed; -1: off. */
struct access_log *access_log_new(struct loop *loop, int fd, enum conf_access_log_format format);
/* Other processes write to the same place: lines of both stay whole. */
void access_log_share(struct access_log *self);
/* Writes what is waiting. */
void access_log_free(struct access_log *self);
/* After a log rotation; what is waiting goes to the old file. */
void access_log_set_fd(struct access_log *self, int fd);
void access_log_write(struct access_log *self, struct exchange *x);

#endif
