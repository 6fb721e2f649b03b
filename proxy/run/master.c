#include "proxy/run/master.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/run/doors.h"
#include "proxy/run/logs.h"
#include "proxy/run/worker.h"

/* A worker that ends sooner than this is not replaced at once. */
#define SHORT_LIFE_MS 1000

struct slot {
	pid_t pid; /* 0: none */
	uint64_t started_ms;
	uint64_t respawn_ms; /* when to start another one; 0: none is due */
};

struct master {
	const struct conf *conf;
	pid_t pid;
	struct doors doors;
	struct logs logs;
	struct slot *slots;
	size_t n_slots;
	sigset_t signals;
	sigset_t old_signals;
	bool is_leaving;
	bool has_failed;
};

size_t master_n_workers(const struct conf *conf)
{
	cpu_set_t cpus;

	if (conf->workers > 0)
		return (size_t)conf->workers;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return 1;
	return (size_t)MAX(CPU_COUNT(&cpus), 1);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* In the child: never returns. */
static void run_worker(struct master *self, size_t index)
{
	const struct conf *conf = self->conf;
	struct worker_place place = {.doors = &self->doors,
		.slot = index,
		.master = self->pid,
		.signals = &self->old_signals};
	int status;

	free(self->slots);
	logs_close(&self->logs);
	doors_keep(&self->doors, index);
	status = worker_run(conf, &place);
	doors_close(&self->doors);
	conf_unref(conf);
	exit(status);
}

static void start_worker(struct master *self, size_t index)
{
	struct slot *slot = &self->slots[index];
	pid_t pid = fork();

	if (pid == 0)
		run_worker(self, index);
	slot->started_ms = now_ms();
	slot->respawn_ms = 0;
	if (pid > 0) {
		slot->pid = pid;
		return;
	}
	log_error("no process for worker %zu: %s", index + 1, strerror(errno));
	slot->respawn_ms = slot->started_ms + SHORT_LIFE_MS;
}

static void tell_workers(const struct master *self, int number)
{
	for (size_t i = 0; i < self->n_slots; i++)
		if (self->slots[i].pid > 0)
			(void)kill(self->slots[i].pid, number);
}

/* The second time is a cut. */
static void leave(struct master *self, int number)
{
	if (self->is_leaving) {
		tell_workers(self, WORKER_CUT_SIGNAL);
		return;
	}
	self->is_leaving = true;
	for (size_t i = 0; i < self->n_slots; i++)
		self->slots[i].respawn_ms = 0;
	doors_leave(&self->doors);
	tell_workers(self, number);
}

static void describe_end(char *text, size_t size, int status)
{
	if (WIFSIGNALED(status))
		(void)snprintf(text, size, "signal %d", WTERMSIG(status));
	else
		(void)snprintf(text, size, "exit status %d", WEXITSTATUS(status));
}

static void on_worker_end(struct master *self, size_t index, int status)
{
	struct slot *slot = &self->slots[index];
	bool was_short = now_ms() < slot->started_ms + SHORT_LIFE_MS;
	bool is_clean = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
	char how[32];

	describe_end(how, sizeof(how), status);
	if (self->is_leaving) {
		if (!is_clean)
			log_error("worker %zu (%ld) has left with %s", index + 1, (long)slot->pid,
				how);
		self->has_failed |= !is_clean;
		slot->pid = 0;
		return;
	}
	log_error("worker %zu (%ld) has ended with %s: another one takes its place", index + 1,
		(long)slot->pid, how);
	slot->pid = 0;
	slot->respawn_ms = now_ms() + (was_short ? SHORT_LIFE_MS : 0);
}

static void reap(struct master *self)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < self->n_slots; i++)
			if (self->slots[i].pid == pid)
				on_worker_end(self, i, status);
}

static bool has_workers(const struct master *self)
{
	for (size_t i = 0; i < self->n_slots; i++)
		if (self->slots[i].pid > 0)
			return true;
	return false;
}

/* Starts those that are due. How long the next one has to wait; -1: none has to. */
static int64_t start_due(struct master *self)
{
	uint64_t now = now_ms();
	int64_t next = -1;

	for (size_t i = 0; i < self->n_slots; i++) {
		uint64_t due = self->slots[i].respawn_ms;

		if (due != 0 && due <= now)
			start_worker(self, i);
		else if (due != 0 && (next < 0 || (int64_t)(due - now) < next))
			next = (int64_t)(due - now);
	}
	return next;
}

static int wait_for_signal(const struct master *self, int64_t wait_ms)
{
	struct timespec ts = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};

	return wait_ms < 0 ? sigwaitinfo(&self->signals, NULL)
			   : sigtimedwait(&self->signals, NULL, &ts);
}

static void on_signal(struct master *self, int number)
{
	switch (number) {
	case SIGTERM:
	case SIGINT:
		leave(self, number);
		break;
	case SIGUSR1:
		logs_reopen(&self->logs, self->conf);
		tell_workers(self, SIGUSR1);
		break;
	case SIGHUP:
		log_warn("SIGHUP: the configuration is read at the start only; restart to change "
			 "it");
		break;
	default:
		break;
	}
}

static void watch(struct master *self)
{
	while (!self->is_leaving || has_workers(self)) {
		on_signal(self, wait_for_signal(self, start_due(self)));
		reap(self);
	}
}

static void block_signals(struct master *self)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP, SIGCHLD};

	/* Whoever reads our log may go. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&self->signals);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		(void)sigaddset(&self->signals, numbers[i]);
	(void)sigprocmask(SIG_BLOCK, &self->signals, &self->old_signals);
}

/* Clients can come from here on: what they send waits for the first worker. */
static void say_that_we_listen(const struct master *self)
{
	for (size_t i = 0; i < self->doors.n; i++)
		log_info("listening on %s%s", self->doors.items[i].address->text,
			self->doors.items[i].tls != NULL ? " (TLS)" : "");
}

int master_run(const struct conf *conf)
{
	struct master self = {
		.conf = conf_ref(conf), .pid = getpid(), .n_slots = master_n_workers(conf)};
	bool is_open;

	self.slots = memory_alloc_zeroed(self.n_slots * sizeof(*self.slots));
	block_signals(&self);
	is_open = logs_open(&self.logs, conf) && doors_open(&self.doors, conf, self.n_slots) &&
		worker_check_user(conf);
	if (is_open) {
		for (size_t i = 0; i < self.n_slots; i++)
			start_worker(&self, i);
		log_info("%zu workers", self.n_slots);
		say_that_we_listen(&self);
		watch(&self);
		log_info("all workers have left");
	}
	doors_close(&self.doors);
	logs_close(&self.logs);
	free(self.slots);
	conf_unref(conf);
	return is_open && !self.has_failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
