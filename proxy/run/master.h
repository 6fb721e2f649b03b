/*
 * The master of several workers: binds, forks, and watches over them. It serves nobody and has no
 * event loop; a worker is a process of one thread, and what it breaks is its own.
 *
 *	SIGTERM, SIGINT, SIGUSR1, SIGHUP: passed on to the workers
 *	a worker that ends unasked is replaced at once, one that ends again and again once a second
 *	the master's end is the workers' drain
 *
 * With one worker there is no master: the process serves by itself.
 */
#ifndef PROXY_RUN_MASTER_H
#define PROXY_RUN_MASTER_H

#include "conf/conf.h"

/* How many workers the configuration asks for on this machine: at least one. */
size_t master_n_workers(const struct conf *conf);
/* Returns when all have left; the exit status. In a worker's process, that worker's. */
int master_run(const struct conf *conf);

#endif
