#include "conf/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/value.h"
#include "conf/words.h"
#include "proxy/base/memory.h"

/* "listen "*:80": …" with the section's line. */
#define LISTEN_ERROR(listen, format, ...) \
	conf_errors_add(errors, (listen)->conf->source, (listen)->line, "listen \"%s\": " format, \
		(listen)->name, __VA_ARGS__)
#define BACKEND_ERROR(backend, format, ...) \
	conf_errors_add(errors, (backend)->conf->source, (backend)->line, \
		"backend \"%s\": " format, (backend)->name, __VA_ARGS__)
#define ROUTE_ERROR(route, format, ...) \
	conf_errors_add(errors, (route)->conf->source, (route)->line, "route \"%s\": " format, \
		(route)->path, __VA_ARGS__)

bool conf_listen_set_title(struct conf_listen *listen, const char *file, struct conf_errors *errors)
{
	struct conf_address addresses[2];
	const char *why = NULL;
	size_t n = conf_address_parse_listen(addresses, listen->name, &why);

	if (n == 0) {
		conf_errors_add(errors, file, listen->line, "listen \"%s\" is not right; %s",
			listen->name, why);
		return false;
	}
	listen->addresses = memory_alloc(n * sizeof(addresses[0]));
	memcpy(listen->addresses, addresses, n * sizeof(addresses[0]));
	listen->n_addresses = n;
	listen->is_any = n == 2;
	return true;
}

static bool have_common_address(const struct conf_listen *a, const struct conf_listen *b)
{
	for (size_t i = 0; i < a->n_addresses; i++) {
		for (size_t j = 0; j < b->n_addresses; j++) {
			if (strcmp(a->addresses[i].text, b->addresses[j].text) == 0)
				return true;
		}
	}
	return false;
}

static void finish_listen(struct conf *conf, struct conf_listen *listen, struct conf_errors *errors)
{
	size_t n_keys = listen->certificate_keys.n_items;

	listen->is_tls = listen->certificates.n_items > 0;
	for (size_t i = 0; i < listen->index; i++) {
		if (have_common_address(listen, &conf->listens[i]))
			LISTEN_ERROR(listen, "line %d listens there already; keep one of the two",
				conf->listens[i].line);
	}
	for (size_t i = 0; i < listen->certificates.n_items; i++) {
		if (listen->certificates.items[i][0] == '\0')
			LISTEN_ERROR(listen, "%s",
				"a certificate without a file name; write the PEM file");
	}
	if (n_keys != 0 && n_keys != listen->certificates.n_items)
		LISTEN_ERROR(listen,
			"certificates has %zu files, certificate_keys %zu; write one key per "
			"certificate (\"\" where the key is in the certificate's file), or none",
			listen->certificates.n_items, n_keys);
	if (listen->client_verify != CONF_CLIENT_VERIFY_OFF && !listen->is_tls)
		LISTEN_ERROR(listen, "client_verify = %s needs TLS; write certificates",
			conf_client_verify_name(listen->client_verify));
	if (listen->client_verify != CONF_CLIENT_VERIFY_OFF && listen->client_ca[0] == '\0')
		LISTEN_ERROR(listen,
			"client_verify = %s needs client_ca, the authorities' PEM file",
			conf_client_verify_name(listen->client_verify));
	if (listen->client_verify == CONF_CLIENT_VERIFY_OFF && listen->client_ca[0] != '\0')
		LISTEN_ERROR(listen, "%s",
			"client_ca has no effect without client_verify; write "
			"client_verify = required, or optional");
	if (listen->is_tls && listen->alpn.n_items == 0)
		LISTEN_ERROR(listen, "%s", "alpn is empty; write alpn = {\"h2\", \"http/1.1\"}");
	if (listen->max_uri_size > listen->max_header_size)
		LISTEN_ERROR(listen, "%s",
			"max_uri_size is above max_header_size, which holds the URI too; lower "
			"the first or raise the second");
}

static void check_backend_tls(const struct conf_backend *backend, struct conf_errors *errors)
{
	const struct {
		const char *name;
		const char *value;
	} only_with_tls[] = {
		{"tls_ca", backend->tls_ca},
		{"tls_server_name", backend->tls_server_name},
		{"tls_certificate", backend->tls_certificate},
	};

	for (size_t i = 0; !backend->tls && i < ARRAY_LEN(only_with_tls); i++) {
		if (only_with_tls[i].value[0] != '\0')
			BACKEND_ERROR(backend, "%s has no effect without TLS; write tls = yes",
				only_with_tls[i].name);
	}
	if (backend->tls_certificate_key[0] != '\0' && backend->tls_certificate[0] == '\0')
		BACKEND_ERROR(backend, "%s",
			"tls_certificate_key needs tls_certificate, the PEM file it belongs to");
	for (size_t i = 0; backend->tls && i < backend->n_servers; i++) {
		if (backend->tls_verify && backend->tls_server_name[0] == '\0' &&
			backend->servers[i].address.kind == CONF_ADDRESS_UNIX) {
			BACKEND_ERROR(backend, "%s",
				"a unix socket has no name to verify; write tls_server_name");
			break;
		}
	}
}

static void finish_backend(
	struct conf *conf, struct conf_backend *backend, struct conf_errors *errors)
{
	size_t n = backend->servers_text.n_items;
	const char *why;

	backend->servers = memory_alloc_zeroed(n * sizeof(backend->servers[0]));
	backend->n_servers = n;
	for (size_t i = 0; i < n; i++) {
		ASSERT(conf_address_parse(
			&backend->servers[i].address, backend->servers_text.items[i], &why));
		for (size_t j = 0; j < i; j++) {
			if (strcmp(backend->servers_text.items[i],
				    backend->servers_text.items[j]) == 0)
				BACKEND_ERROR(backend, "server %s stands there twice; keep one",
					backend->servers_text.items[i]);
		}
	}
	if (strcmp(backend->host_header_value, "preserve") == 0)
		backend->host_header = CONF_HOST_PRESERVE;
	else if (strcmp(backend->host_header_value, "server") == 0)
		backend->host_header = CONF_HOST_SERVER;
	else
		backend->host_header = CONF_HOST_LITERAL;

	if (backend->name[0] == '\0')
		BACKEND_ERROR(backend, "%s", "the name is empty; routes need one to point at");
	if (conf_find_backend(conf, backend->name) != backend)
		BACKEND_ERROR(backend, "line %d has a backend of this name; give one another name",
			conf_find_backend(conf, backend->name)->line);
	check_backend_tls(backend, errors);
}

static bool have_common_host(const struct conf_route *a, const struct conf_route *b)
{
	if (a->hosts.n_items == 0 || b->hosts.n_items == 0)
		return a->hosts.n_items == b->hosts.n_items;
	for (size_t i = 0; i < a->hosts.n_items; i++) {
		for (size_t j = 0; j < b->hosts.n_items; j++) {
			if (strcmp(a->hosts.items[i], b->hosts.items[j]) == 0)
				return true;
		}
	}
	return false;
}

/* What a path of a route may not hold, because no request's path would ever match it. */
static const char *find_path_fault(const char *path)
{
	size_t n = strlen(path);

	if (path[0] != '/')
		return "the path must start with /";
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)path[i];

		if (c <= 0x20 || c >= 0x7f)
			return "the path holds a character that a URI cannot; write %XX for it";
		if (c == '?' || c == '#')
			return "a route is chosen by its path alone; leave out ? and # and what "
			       "follows";
	}
	if (strstr(path, "//") != NULL || strstr(path, "/./") != NULL ||
		strstr(path, "/../") != NULL || (n >= 2 && strcmp(path + n - 2, "/.") == 0) ||
		(n >= 3 && strcmp(path + n - 3, "/..") == 0))
		return "the path holds an empty segment, . or ..; write it without";
	return NULL;
}

static char *list_backends(const struct conf *conf)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	ASSERT(out != NULL);
	for (size_t i = 0; i < conf->n_backends; i++)
		(void)fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", conf->backends[i].name);
	ASSERT(fclose(out) == 0);
	return text;
}

static void explain_unknown_backend(const struct conf_route *route, struct conf_errors *errors)
{
	const struct conf *conf = route->conf;
	const char **names = memory_alloc_zeroed(conf->n_backends * sizeof(names[0]));
	char *known = list_backends(conf);
	const char *nearest;

	for (size_t i = 0; i < conf->n_backends; i++)
		names[i] = conf->backends[i].name;
	nearest = conf_value_nearest(route->backend_name, names, conf->n_backends);
	if (conf->n_backends == 0)
		ROUTE_ERROR(route,
			"there is no backend \"%s\"; write a section backend \"%s\" { … }",
			route->backend_name, route->backend_name);
	else if (nearest != NULL)
		ROUTE_ERROR(route, "there is no backend \"%s\"; did you mean \"%s\"? known: %s",
			route->backend_name, nearest, known);
	else
		ROUTE_ERROR(
			route, "there is no backend \"%s\"; known: %s", route->backend_name, known);
	free(names);
	free(known);
}

/* Requests for it have to come to the route. */
static void check_client_script(const struct conf_route *route, struct conf_errors *errors)
{
	const char *fault = find_path_fault(route->client_script);
	size_t n = strlen(route->path);

	if (route->client_script[0] == '\0')
		return;
	while (n > 0 && route->path[n - 1] == '/')
		n--;
	if (route->dialects == 0)
		ROUTE_ERROR(route, "%s",
			"client_script has no effect without bridge; set it, or leave the script "
			"out");
	else if (fault != NULL)
		ROUTE_ERROR(route, "client_script: %s", fault);
	else if (strncmp(route->client_script, route->path, n) != 0 ||
		route->client_script[n] != '/' || route->client_script[n + 1] == '\0')
		ROUTE_ERROR(route,
			"client_script is not below the route's path; write a path such as "
			"\"%.*s/pollux.js\"",
			(int)n, route->path);
}

static void check_route_bridge(const struct conf_route *route, struct conf_errors *errors)
{
	char message[CONF_VALUE_TEXT_SIZE], queue[CONF_VALUE_TEXT_SIZE];

	if (route->dialects != 0 && route->match == CONF_MATCH_EXACT)
		ROUTE_ERROR(route, "%s",
			"bridge needs match = prefix, because sessions live below the path");
	if (route->poll.is_set && (route->dialects & CONF_DIALECT_ENGINEIO) != 0)
		ROUTE_ERROR(route, "%s",
			"engineio needs a backend with WebSockets; leave out poll, or use another "
			"dialect");
	if (route->sockjs_cookie && strcmp(route->bind_cookie, "JSESSIONID") == 0)
		ROUTE_ERROR(route, "%s",
			"bind_cookie names the cookie that sockjs_cookie sets with the first "
			"answer, "
			"so that no second request would fit the first; use another cookie");
	if (route->poll_wait_ms % 1000 != 0)
		ROUTE_ERROR(route, "%s", "poll_wait must be whole seconds, such as 25s");
	if (route->max_message_size > route->queue_size) {
		conf_value_format_size(message, (int64_t)route->max_message_size);
		conf_value_format_size(queue, (int64_t)route->queue_size);
		ROUTE_ERROR(route,
			"max_message_size (%s) is above queue (%s), so that a message could never "
			"be queued; lower the first or raise the second",
			message, queue);
	}
}

static void check_tunnel(const struct conf_route *route, struct conf_errors *errors)
{
	if (!route->tunnel.is_set)
		return;
	if (!route->websocket)
		ROUTE_ERROR(route, "%s",
			"tunnel is about WebSockets, and websocket = no carries none; leave one "
			"out");
	if (route->poll.is_set)
		ROUTE_ERROR(route, "%s",
			"tunnel has no effect with poll, where no WebSocket reaches a backend; "
			"leave "
			"it out");
}

static void finish_route(struct conf *conf, struct conf_route *route, struct conf_errors *errors)
{
	const char *fault = find_path_fault(route->path);

	if (fault != NULL)
		ROUTE_ERROR(route, "%s", fault);
	for (size_t i = 0; i < route->index; i++) {
		const struct conf_route *other = &conf->routes[i];

		if (other->match == route->match && strcmp(other->path, route->path) == 0 &&
			have_common_host(other, route))
			ROUTE_ERROR(route,
				"line %d has a route of this path and host; keep one, or set them "
				"apart with hosts",
				other->line);
	}
	for (size_t i = 0; i < route->bridge.n_items; i++) {
		for (unsigned bit = 0; conf_words_dialect[bit] != NULL; bit++) {
			if (strcmp(route->bridge.items[i], conf_words_dialect[bit]) == 0)
				route->dialects |= 1u << bit;
		}
	}
	/* What is polled needs sessions to go to. */
	if (route->poll.is_set && route->dialects == 0)
		route->dialects = CONF_DIALECT_PLAIN;
	check_route_bridge(route, errors);
	check_client_script(route, errors);
	check_tunnel(route, errors);
	/* An empty name was reported as missing already. */
	if (route->backend_name[0] == '\0')
		return;
	route->backend = conf_find_backend(conf, route->backend_name);
	if (route->backend == NULL)
		explain_unknown_backend(route, errors);
}

/* A client that is told of WebSockets over HTTP/2 takes no other way: all routes have to have them.
 */
static void finish_http2(struct conf *conf)
{
	for (size_t i = 0; i < conf->n_listens; i++)
		for (size_t j = 0; j < conf->n_routes; j++)
			conf->listens[i].http2_websocket &= conf->routes[j].websocket;
}

static void finish_global(struct conf *conf)
{
	size_t n = conf->trusted_proxies_text.n_items;
	const char *why;

	conf->trusted_proxies = memory_alloc_zeroed(n * sizeof(conf->trusted_proxies[0]));
	conf->n_trusted_proxies = n;
	for (size_t i = 0; i < n; i++)
		ASSERT(conf_network_parse(
			&conf->trusted_proxies[i], conf->trusted_proxies_text.items[i], &why));
}

bool conf_finish(struct conf *conf, struct conf_errors *errors)
{
	size_t n_before = errors->n_messages;

	finish_global(conf);
	for (size_t i = 0; i < conf->n_listens; i++)
		finish_listen(conf, &conf->listens[i], errors);
	for (size_t i = 0; i < conf->n_backends; i++)
		finish_backend(conf, &conf->backends[i], errors);
	for (size_t i = 0; i < conf->n_routes; i++)
		finish_route(conf, &conf->routes[i], errors);
	finish_http2(conf);

	if (conf->n_listens == 0)
		conf_errors_add(errors, conf->source, 0,
			"there is no listener; write listen \"0.0.0.0:8080\" { }");
	if (conf->n_backends == 0)
		conf_errors_add(errors, conf->source, 0,
			"there is no backend; write backend \"app\" { servers = "
			"{\"127.0.0.1:3000\"} }");
	if (conf->n_routes == 0)
		conf_errors_add(errors, conf->source, 0,
			"there is no route; write route \"/\" { backend = \"app\" }");
	return errors->n_messages == n_before;
}
