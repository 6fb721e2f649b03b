/*
 * The composition root: builds listeners, backends, router, bridges and logs from a configuration,
 * runs the loop, and leaves.
 *
 *   SIGTERM, SIGINT: drain (finish what is under way, at most conf drain); a second one cuts, but
 * one of several workers is cut by its master alone, because a terminal or a service manager tells
 * it as well as the master
 *   SIGUSR1: log files are opened anew
 *   SIGHUP: warned of; there is no reload
 */
#ifndef PROXY_RUN_WORKER_H
#define PROXY_RUN_WORKER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "proxy/base/macros.h"

/* The master's word for a cut. */
#define WORKER_CUT_SIGNAL SIGQUIT

struct doors;

/* Checks what only the machine can tell (the user, certificates); prints what is wrong to the
 * log. */
MUST_USE bool worker_check(const struct conf *conf);
/* The first of these alone. */
MUST_USE bool worker_check_user(const struct conf *conf);

/* Which of several workers it is. */
struct worker_place {
	struct doors *doors;
	size_t slot; /* from 0 */
	pid_t master;
	const sigset_t *signals; /* the mask to set once signals are heard; they wait until then */
};

/* Returns when it has left; the exit status. Without a place it is the only one and binds itself.
 */
int worker_run(const struct conf *conf, const struct worker_place *place);

#endif
