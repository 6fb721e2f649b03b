#include "proxy/run/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/log.h"

/*
 * A pipe or terminal is opened anew, so that it does not block us and still blocks the others that
 * have it.
 */
static int open_standard(int fd)
{
	char path[32];
	struct stat st;
	int opened = -1;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		opened = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return opened >= 0 ? opened : fd;
}

static bool is_file(const char *name)
{
	return strcmp(name, "off") != 0 && strcmp(name, "stdout") != 0 &&
		strcmp(name, "stderr") != 0;
}

static int open_log(const char *name)
{
	if (strcmp(name, "stdout") == 0)
		return open_standard(STDOUT_FILENO);
	if (strcmp(name, "stderr") == 0)
		return open_standard(STDERR_FILENO);
	return open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

static void close_log(int fd)
{
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

static bool replace(int *fd, const char *name)
{
	int opened = open_log(name);

	if (opened < 0) {
		log_error("%s: cannot be opened for writing: %s", name, strerror(errno));
		return false;
	}
	close_log(*fd);
	*fd = opened;
	return true;
}

static bool is_off(const struct conf *conf)
{
	return strcmp(conf->access_log, "off") == 0;
}

bool logs_open(struct logs *self, const struct conf *conf)
{
	*self = (struct logs){.error_fd = -1, .access_fd = -1};
	if (!replace(&self->error_fd, conf->error_log))
		return false;
	log_set_fd(self->error_fd);
	log_set_level(conf->log_level);
	return is_off(conf) || replace(&self->access_fd, conf->access_log);
}

void logs_reopen(struct logs *self, const struct conf *conf)
{
	if (is_file(conf->error_log) && replace(&self->error_fd, conf->error_log))
		log_set_fd(self->error_fd);
	if (is_file(conf->access_log))
		(void)replace(&self->access_fd, conf->access_log);
}

void logs_close(struct logs *self)
{
	log_set_fd(STDERR_FILENO);
	close_log(self->error_fd);
	close_log(self->access_fd);
}
