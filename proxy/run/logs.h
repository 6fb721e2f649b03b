/* The files behind the error log and the access log. */
#ifndef PROXY_RUN_LOGS_H
#define PROXY_RUN_LOGS_H

#include <stdbool.h>

#include "conf/conf.h"
#include "proxy/base/macros.h"

struct logs {
	int error_fd;
	int access_fd; /* -1: off */
};

/* Opens both, sets the error log's descriptor and level. Says on the error log what failed. */
MUST_USE bool logs_open(struct logs *self, const struct conf *conf);
/* Opens files anew and closes the old ones; keeps an old one that cannot be replaced. */
void logs_reopen(struct logs *self, const struct conf *conf);
void logs_close(struct logs *self);

#endif
