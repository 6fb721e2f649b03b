/* A configuration from a few words of the command line, without a file. */
#include "conf/build.h"
#include "conf/option_value.h"

static bool set_all(enum conf_section section, const char *name, void *fields,
	const char *const *values, size_t n, const char *flag, struct conf_errors *errors)
{
	const struct conf_option *option = conf_option_find(section, name);
	struct conf_place place = {errors, flag, 0};
	bool is_good = true;

	for (size_t i = 0; i < n; i++) {
		if (!conf_option_set(option, fields, values[i], NULL, &place))
			is_good = false;
	}
	return is_good;
}

struct conf *conf_from_command_line(const struct conf_quick *quick, struct conf_errors *errors)
{
	static const char *const name = "app";
	struct conf *conf = conf_new("command line");
	bool is_good = true;
	void *fields;

	for (size_t i = 0; i < quick->n_listens; i++) {
		fields = conf_add_section(conf, CONF_SECTION_LISTEN, quick->listens[i], 0);
		if (!conf_listen_set_title(fields, "--listen", errors))
			is_good = false;
	}
	fields = conf_add_section(conf, CONF_SECTION_BACKEND, name, 0);
	if (!set_all(CONF_SECTION_BACKEND, "servers", fields, quick->servers, quick->n_servers,
		    "--backend", errors))
		is_good = false;
	fields = conf_add_section(conf, CONF_SECTION_ROUTE, "/", 0);
	if (!set_all(CONF_SECTION_ROUTE, "backend", fields, &name, 1, NULL, errors) ||
		!set_all(CONF_SECTION_ROUTE, "bridge", fields, quick->bridges, quick->n_bridges,
			"--bridge", errors))
		is_good = false;

	if (is_good && conf_finish(conf, errors))
		return conf;
	conf_unref(conf);
	return NULL;
}
