#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/option_value.h"
#include "proxy/base/memory.h"

struct conf *conf_new(const char *source)
{
	struct conf *conf = memory_alloc_zeroed(sizeof(*conf));

	conf->source = memory_copy_string(source);
	conf->n_references = 1;
	conf_options_set_defaults(CONF_SECTION_GLOBAL, conf);
	return conf;
}

/* Makes room for one more element; the new one is zeroed. */
static void *grow(void *array, size_t *n, size_t size)
{
	char *grown = memory_realloc(array, (*n + 1) * size);

	memset(grown + *n * size, 0, size);
	(*n)++;
	return grown;
}

static struct conf_listen *add_listen(struct conf *conf, const char *title, int line)
{
	struct conf_listen *listen;

	conf->listens = grow(conf->listens, &conf->n_listens, sizeof(*listen));
	listen = &conf->listens[conf->n_listens - 1];
	listen->conf = conf;
	listen->index = conf->n_listens - 1;
	listen->line = line;
	listen->name = memory_copy_string(title);
	return listen;
}

static struct conf_backend *add_backend(struct conf *conf, const char *title, int line)
{
	struct conf_backend *backend;

	conf->backends = grow(conf->backends, &conf->n_backends, sizeof(*backend));
	backend = &conf->backends[conf->n_backends - 1];
	backend->conf = conf;
	backend->index = conf->n_backends - 1;
	backend->line = line;
	backend->name = memory_copy_string(title);
	return backend;
}

static struct conf_route *add_route(struct conf *conf, const char *title, int line)
{
	struct conf_route *route;

	conf->routes = grow(conf->routes, &conf->n_routes, sizeof(*route));
	route = &conf->routes[conf->n_routes - 1];
	route->conf = conf;
	route->index = conf->n_routes - 1;
	route->line = line;
	route->path = memory_copy_string(title);
	return route;
}

/* Of the newest route. */
static struct conf_poll *add_poll(struct conf *conf, int line)
{
	struct conf_poll *poll;

	ASSERT(conf->n_routes > 0);
	poll = &conf->routes[conf->n_routes - 1].poll;
	ASSERT(!poll->is_set);
	poll->is_set = true;
	poll->line = line;
	return poll;
}

static struct conf_tunnel *add_tunnel(struct conf *conf, int line)
{
	struct conf_tunnel *tunnel;

	ASSERT(conf->n_routes > 0);
	tunnel = &conf->routes[conf->n_routes - 1].tunnel;
	ASSERT(!tunnel->is_set);
	tunnel->is_set = true;
	tunnel->line = line;
	return tunnel;
}

void *conf_add_section(struct conf *conf, enum conf_section section, const char *title, int line)
{
	void *fields = NULL;

	switch (section) {
	case CONF_SECTION_GLOBAL:
		return conf;
	case CONF_SECTION_LISTEN:
		fields = add_listen(conf, title, line);
		break;
	case CONF_SECTION_BACKEND:
		fields = add_backend(conf, title, line);
		break;
	case CONF_SECTION_ROUTE:
		fields = add_route(conf, title, line);
		break;
	case CONF_SECTION_POLL:
		fields = add_poll(conf, line);
		break;
	case CONF_SECTION_TUNNEL:
		fields = add_tunnel(conf, line);
		break;
	}
	conf_options_set_defaults(section, fields);
	return fields;
}

static void free_listen(struct conf_listen *listen)
{
	conf_options_clear(CONF_SECTION_LISTEN, listen);
	for (size_t i = 0; i < listen->n_addresses; i++)
		conf_address_clear(&listen->addresses[i]);
	free(listen->addresses);
	free(listen->name);
}

static void free_backend(struct conf_backend *backend)
{
	conf_options_clear(CONF_SECTION_BACKEND, backend);
	for (size_t i = 0; i < backend->n_servers; i++)
		conf_address_clear(&backend->servers[i].address);
	free(backend->servers);
	free(backend->name);
}

static void free_route(struct conf_route *route)
{
	conf_options_clear(CONF_SECTION_POLL, &route->poll);
	conf_options_clear(CONF_SECTION_TUNNEL, &route->tunnel);
	conf_options_clear(CONF_SECTION_ROUTE, route);
	free(route->path);
}

static void conf_free(struct conf *conf)
{
	for (size_t i = 0; i < conf->n_listens; i++)
		free_listen(&conf->listens[i]);
	for (size_t i = 0; i < conf->n_backends; i++)
		free_backend(&conf->backends[i]);
	for (size_t i = 0; i < conf->n_routes; i++)
		free_route(&conf->routes[i]);
	free(conf->listens);
	free(conf->backends);
	free(conf->routes);
	conf_options_clear(CONF_SECTION_GLOBAL, conf);
	free(conf->trusted_proxies);
	free(conf->source);
	free(conf);
}

/* The count is the one part of a shared configuration that changes, hence the casts. */
const struct conf *conf_ref(const struct conf *conf)
{
	((struct conf *)conf)->n_references++;
	return conf;
}

void conf_unref(const struct conf *conf)
{
	if (conf == NULL)
		return;
	ASSERT(conf->n_references > 0);
	if (--((struct conf *)conf)->n_references == 0)
		conf_free((struct conf *)conf);
}

bool conf_watches_tunnels(const struct conf_tunnel *tunnel)
{
	return tunnel->ping_client_ms > 0 || tunnel->ping_backend_ms > 0 ||
		tunnel->max_message_size > 0 || tunnel->messages_per_second > 0 ||
		tunnel->bytes_per_second > 0;
}

const struct conf_backend *conf_find_backend(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_backends; i++) {
		if (strcmp(conf->backends[i].name, name) == 0)
			return &conf->backends[i];
	}
	return NULL;
}

bool conf_is_trusted_proxy(const struct conf *conf, const struct sockaddr *peer)
{
	for (size_t i = 0; i < conf->n_trusted_proxies; i++) {
		if (conf_network_contains(&conf->trusted_proxies[i], peer))
			return true;
	}
	return false;
}

static void dump_options(
	enum conf_section section, const char *indent, const void *fields, FILE *out)
{
	for (size_t i = 0; i < conf_n_options; i++) {
		if (conf_options[i].section != section)
			continue;
		(void)fprintf(out, "%s%s = ", indent, conf_options[i].name);
		conf_option_write_value(&conf_options[i], fields, out);
		(void)fputc('\n', out);
	}
}

static void dump_title(enum conf_section section, const char *title, FILE *out)
{
	(void)fprintf(out, "\n%s ", conf_section_name(section));
	conf_write_quoted(title, out);
	(void)fputs(" {\n", out);
}

static void dump_section(
	enum conf_section section, const char *title, const void *fields, FILE *out)
{
	dump_title(section, title, out);
	dump_options(section, "\t", fields, out);
	(void)fputs("}\n", out);
}

static void dump_inner(enum conf_section section, const void *fields, FILE *out)
{
	(void)fprintf(out, "\t%s {\n", conf_section_name(section));
	dump_options(section, "\t\t", fields, out);
	(void)fputs("\t}\n", out);
}

static void dump_route(const struct conf_route *route, FILE *out)
{
	dump_title(CONF_SECTION_ROUTE, route->path, out);
	dump_options(CONF_SECTION_ROUTE, "\t", route, out);
	if (route->poll.is_set)
		dump_inner(CONF_SECTION_POLL, &route->poll, out);
	if (route->tunnel.is_set)
		dump_inner(CONF_SECTION_TUNNEL, &route->tunnel, out);
	(void)fputs("}\n", out);
}

void conf_dump(const struct conf *conf, FILE *out)
{
	dump_options(CONF_SECTION_GLOBAL, "", conf, out);
	for (size_t i = 0; i < conf->n_listens; i++)
		dump_section(CONF_SECTION_LISTEN, conf->listens[i].name, &conf->listens[i], out);
	for (size_t i = 0; i < conf->n_backends; i++)
		dump_section(CONF_SECTION_BACKEND, conf->backends[i].name, &conf->backends[i], out);
	for (size_t i = 0; i < conf->n_routes; i++)
		dump_route(&conf->routes[i], out);
}
