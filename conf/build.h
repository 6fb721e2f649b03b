/*
 * How a configuration is put together before anybody shares it: by the loader from a file, and
 * from the command line. Only conf/ includes this.
 */
#ifndef CONF_BUILD_H
#define CONF_BUILD_H

#include <stdbool.h>

#include "conf/conf.h"
#include "conf/options.h"

/* With defaults, no sections, and one reference. */
struct conf *conf_new(const char *source);

/*
 * Appends a section with defaults; the struct of its kind, valid until the next of that kind. One
 * that stands within another goes to the newest of those, which has none yet; it has no title.
 */
void *conf_add_section(struct conf *conf, enum conf_section section, const char *title, int line);

/* Parses a title into the listener's addresses. Adds an error under `file` if it is not right. */
MUST_USE bool conf_listen_set_title(
	struct conf_listen *listen, const char *file, struct conf_errors *errors);

/*
 * Fills what is derived from the options (servers, networks, dialects, links between sections),
 * then checks what no single option shows. Adds every error it finds.
 */
MUST_USE bool conf_finish(struct conf *conf, struct conf_errors *errors);

#endif
