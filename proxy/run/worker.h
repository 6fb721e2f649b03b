/*
 * The composition root: builds listeners, backends, router, bridges and logs from a configuration,
 * runs the loop, and leaves.
 *
 *   SIGTERM, SIGINT: drain (finish what is under way, at most conf drain), a second one cuts
 *   SIGUSR1: log files are opened anew
 *   SIGHUP: warned of; there is no reload
 */
#ifndef PROXY_RUN_WORKER_H
#define PROXY_RUN_WORKER_H

#include <stdbool.h>

#include "conf/conf.h"
#include "proxy/base/macros.h"

/* Checks what only the machine can tell (the user, certificates); prints what is wrong to the
 * log. */
MUST_USE bool worker_check(const struct conf *conf);
/* Returns when it has left; the exit status. */
int worker_run(const struct conf *conf);

#endif
