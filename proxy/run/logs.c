#include "proxy/run/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/log.h"

static int open_log(const char *name)
{
	if (strcmp(name, "stdout") == 0)
		return STDOUT_FILENO;
	if (strcmp(name, "stderr") == 0)
		return STDERR_FILENO;
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
	if (replace(&self->error_fd, conf->error_log))
		log_set_fd(self->error_fd);
	if (!is_off(conf))
		(void)replace(&self->access_fd, conf->access_log);
}

void logs_close(struct logs *self)
{
	log_set_fd(STDERR_FILENO);
	close_log(self->error_fd);
	close_log(self->access_fd);
}
