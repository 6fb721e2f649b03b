#include "conf/conf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The least that is right, around which tests write more. */
#define LISTEN "listen \"127.0.0.1:8080\" { }\n"
#define BACKEND "backend \"app\" { servers = {\"127.0.0.1:3000\"} }\n"
#define ROUTE "route \"/\" { backend = \"app\" }\n"

static struct conf *must_parse(const char *text)
{
	struct conf_errors errors = {0};
	struct conf *conf = conf_parse(text, "x.conf", &errors);

	if (conf == NULL)
		fail_msg("%s", errors.messages[0]);
	assert_int_equal(errors.n_messages, 0);
	return conf;
}

static char *dump(const struct conf *conf)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	conf_dump(conf, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_example(void **state)
{
	struct conf *conf =
		must_parse("listen \"0.0.0.0:8443\" { certificates = {\"site.pem\"} }\n"
			   "backend \"app\" { servers = {\"10.0.0.5:3000\", \"10.0.0.6:3000\"} }\n"
			   "route \"/\"     { backend = \"app\" }\n"
			   "route \"/chat\" { backend = \"app\"  bridge = {\"plain\"} }\n");

	(void)state;
	assert_string_equal(conf->source, "x.conf");
	assert_int_equal(conf->n_listens, 1);
	assert_true(conf->listens[0].is_tls);
	assert_false(conf->listens[0].is_any);
	assert_int_equal(conf->listens[0].n_addresses, 1);
	assert_string_equal(conf->listens[0].addresses[0].text, "0.0.0.0:8443");
	assert_int_equal(conf->listens[0].certificates.n_items, 1);
	assert_string_equal(conf->listens[0].certificates.items[0], "site.pem");
	assert_int_equal(conf->n_backends, 1);
	assert_int_equal(conf->backends[0].n_servers, 2);
	assert_string_equal(conf->backends[0].servers[1].address.text, "10.0.0.6:3000");
	assert_int_equal(conf->n_routes, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_ptr_equal(conf->routes[i].backend, &conf->backends[0]);
		assert_ptr_equal(conf->routes[i].conf, conf);
		assert_int_equal(conf->routes[i].index, i);
		assert_int_equal(conf->routes[i].line, 3 + i);
	}
	assert_int_equal(conf->routes[0].dialects, 0);
	assert_int_equal(conf->routes[1].dialects, CONF_DIALECT_PLAIN);
	assert_string_equal(conf->routes[1].path, "/chat");
	conf_unref(conf);
}

static void test_defaults(void **state)
{
	struct conf *conf = must_parse(LISTEN BACKEND ROUTE);

	(void)state;
	assert_string_equal(conf->access_log, "stdout");
	assert_int_equal(conf->log_level, LOG_LEVEL_INFO);
	assert_int_equal(conf->drain_ms, 30000);
	assert_false(conf->listens[0].is_tls);
	assert_int_equal(conf->listens[0].header_timeout_ms, 15000);
	assert_int_equal(conf->listens[0].max_header_size, 32768);
	assert_int_equal(conf->listens[0].unix_mode, 0660);
	assert_int_equal(conf->listens[0].alpn.n_items, 2);
	assert_string_equal(conf->listens[0].alpn.items[0], "h2");
	assert_true(conf->backends[0].tls_verify);
	assert_int_equal(conf->backends[0].host_header, CONF_HOST_PRESERVE);
	assert_int_equal(conf->backends[0].idle_timeout_ms, 4000);
	assert_int_equal(conf->routes[0].match, CONF_MATCH_PREFIX);
	assert_int_equal(conf->routes[0].forwarded, CONF_FORWARDED_X);
	assert_true(conf->routes[0].websocket);
	assert_int_equal(conf->routes[0].max_body_size, 0);
	assert_int_equal(conf->routes[0].replay_size, 1 << 20);
	conf_unref(conf);
}

/* One of each type, written unlike the default. */
static void test_values(void **state)
{
	struct conf *conf =
		must_parse("log_level = debug\n"
			   "drain = 1500ms\n"
			   "max_connections = 7\n"
			   "trusted_proxies = {\"10.0.0.0/8\", \"unix\"}\n"
			   "listen \"*:80\" { max_uri_size = 4k unix_mode = 600 alpn = {} }\n"
			   "listen \"unix:/run/x\" { backlog = 5 }\n" BACKEND
			   "backend \"other\" { servers = {\"h:1\"} keepalive = off\n"
			   "  host_header = \"app.internal:1\" balance = least_conn }\n"
			   "backend \"third\" { servers = unix:/s host_header = server }\n"
			   "route \"/\" { backend = other hosts = {\"*.A.b\", c.d}\n"
			   "  allowed_origins = {\"https://A.b:443\"} match = exact }\n" ROUTE);
	struct sockaddr_in peer = {.sin_family = AF_INET};

	(void)state;
	assert_int_equal(conf->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(conf->drain_ms, 1500);
	assert_int_equal(conf->max_connections, 7);
	peer.sin_addr.s_addr = htonl(0x0a010101);
	assert_true(conf_is_trusted_proxy(conf, (struct sockaddr *)&peer));
	peer.sin_addr.s_addr = htonl(0x0b010101);
	assert_false(conf_is_trusted_proxy(conf, (struct sockaddr *)&peer));
	assert_true(conf->listens[0].is_any);
	assert_int_equal(conf->listens[0].n_addresses, 2);
	assert_int_equal(conf->listens[0].max_uri_size, 4096);
	assert_int_equal(conf->listens[0].unix_mode, 0600);
	assert_int_equal(conf->listens[0].alpn.n_items, 0);
	assert_int_equal(conf->listens[1].backlog, 5);
	assert_false(conf->backends[1].keepalive);
	assert_int_equal(conf->backends[1].balance, CONF_BALANCE_LEAST_CONN);
	assert_int_equal(conf->backends[1].host_header, CONF_HOST_LITERAL);
	assert_string_equal(conf->backends[1].host_header_value, "app.internal:1");
	assert_int_equal(conf->backends[2].host_header, CONF_HOST_SERVER);
	assert_int_equal(conf->backends[2].servers[0].address.kind, CONF_ADDRESS_UNIX);
	assert_ptr_equal(conf->routes[0].backend, &conf->backends[1]);
	assert_string_equal(conf->routes[0].hosts.items[0], "*.a.b");
	assert_string_equal(conf->routes[0].allowed_origins.items[0], "https://a.b");
	assert_int_equal(conf->routes[0].match, CONF_MATCH_EXACT);
	assert_ptr_equal(conf_find_backend(conf, "third"), &conf->backends[2]);
	assert_null(conf_find_backend(conf, "fourth"));
	conf_unref(conf);
}

static void test_environment(void **state)
{
	struct conf *conf;

	(void)state;
	assert_int_equal(setenv("CONF_TEST_PORT", "3001", 1), 0);
	conf = must_parse(
		LISTEN "backend \"app\" { servers = {\"127.0.0.1:${CONF_TEST_PORT}\"} }\n" ROUTE);
	assert_string_equal(conf->backends[0].servers[0].address.text, "127.0.0.1:3001");
	conf_unref(conf);
}

static void test_references(void **state)
{
	struct conf *conf = must_parse(LISTEN BACKEND ROUTE);

	(void)state;
	assert_ptr_equal(conf_ref(conf), conf);
	conf_unref(conf);
	assert_string_equal(conf->routes[0].path, "/");
	conf_unref(conf);
	conf_unref(NULL);
}

static void test_poll(void **state)
{
	struct conf *conf = must_parse(
		LISTEN BACKEND "route \"/a\" { poll { path = \"/api/a?b=1\" } backend = app }\n"
			       "route \"/b\" { backend = app bridge = {plain}\n poll {\n"
			       " path = /api/b interval = \"250ms\" max_interval = 1m timeout = 2s"
			       " } queue = 2M }\n"
			       "route \"/c\" { backend = app }\n");
	const struct conf_route *a = &conf->routes[0], *b = &conf->routes[1];

	(void)state;
	assert_true(a->poll.is_set);
	assert_string_equal(a->poll.path, "/api/a?b=1");
	assert_int_equal(a->poll.interval_ms, 1000);
	assert_int_equal(a->poll.max_interval_ms, 30000);
	assert_int_equal(a->poll.timeout_ms, 30000);
	assert_int_equal(a->dialects, CONF_DIALECT_PLAIN);
	assert_ptr_equal(a->backend, &conf->backends[0]);
	assert_true(b->poll.is_set);
	assert_string_equal(b->poll.path, "/api/b");
	assert_int_equal(b->poll.interval_ms, 250);
	assert_int_equal(b->poll.max_interval_ms, 60000);
	assert_int_equal(b->poll.timeout_ms, 2000);
	assert_int_equal(b->queue_size, 2 << 20);
	assert_false(conf->routes[2].poll.is_set);
	assert_int_equal(conf->routes[2].dialects, 0);
	conf_unref(conf);
}

static void test_tunnel(void **state)
{
	struct conf *conf =
		must_parse(LISTEN BACKEND "route \"/a\" { backend = app tunnel { } }\n"
					  "route \"/b\" { backend = app bridge = {plain} tunnel {\n"
					  " ping_client = 25s ping_backend = 1m pong_timeout = 5s\n"
					  " max_message_size = 64k messages_per_second = 50\n"
					  " bytes_per_second = 1M } }\n"
					  "route \"/c\" { backend = app }\n");
	const struct conf_tunnel *a = &conf->routes[0].tunnel, *b = &conf->routes[1].tunnel;

	(void)state;
	assert_true(a->is_set);
	assert_int_equal(a->pong_timeout_ms, 10000);
	assert_false(conf_watches_tunnels(a));
	assert_int_equal(b->ping_client_ms, 25000);
	assert_int_equal(b->ping_backend_ms, 60000);
	assert_int_equal(b->pong_timeout_ms, 5000);
	assert_int_equal(b->max_message_size, 64 << 10);
	assert_int_equal(b->messages_per_second, 50);
	assert_int_equal(b->bytes_per_second, 1 << 20);
	assert_true(conf_watches_tunnels(b));
	assert_false(conf->routes[2].tunnel.is_set);
	assert_false(conf_watches_tunnels(&conf->routes[2].tunnel));
	conf_unref(conf);
}

static void test_dump_loads_back(void **state)
{
	struct conf *conf = must_parse(
		"access_log = \"/var/log/a \\\"$\\\\{x} \\x01\\x7f'\"\n"
		"error_log = '/x/${HOME}'\n"
		"trusted_proxies = {\"unix\", \"::/0\"}\n"
		"listen \"8080\" { certificates = {\"a.pem\", \"b.pem\"}\n"
		"  certificate_keys = {\"\", \"b.key\"} alpn = {\"http/1.1\"}\n"
		"  handshake_timeout = 90s max_header_size = 9999 }\n"
		"backend \"a \\\"b\\\"\" { servers = {\"[::1]:1\", \"unix:/run/a b\"} tls = yes\n"
		"  tls_server_name = x }\n"
		"route \"/a\" { backend = 'a \"b\"' hosts = {x} bridge = {plain} }\n"
		"route \"/a\" { backend = 'a \"b\"' hosts = {y} allowed_origins = {null}\n"
		"  max_body_size = 5T poll { path = '/\"x\"?$' interval = 1m } }\n"
		"route \"/b\" { backend = 'a \"b\"' tunnel { max_message_size = 1k } }\n");
	char *first = dump(conf), *second;
	struct conf *again = must_parse(first);

	(void)state;
	assert_string_equal(again->access_log, "/var/log/a \"$\\{x} \x01\x7f'");
	assert_string_equal(again->error_log, "/x/${HOME}");
	assert_string_equal(again->backends[0].name, "a \"b\"");
	assert_int_equal(again->listens[0].handshake_timeout_ms, 90000);
	assert_int_equal(again->listens[0].max_header_size, 9999);
	assert_string_equal(again->listens[0].certificate_keys.items[0], "");
	assert_int_equal(again->routes[1].max_body_size, UINT64_C(5) << 40);
	assert_string_equal(again->routes[1].poll.path, "/\"x\"?$");
	assert_int_equal(again->routes[1].poll.interval_ms, 60000);
	second = dump(again);
	assert_string_equal(first, second);
	free(first);
	free(second);
	conf_unref(conf);
	conf_unref(again);
}

static void test_relative_paths(void **state)
{
	char directory[] = "/tmp/pollux-conf-XXXXXX";
	char path[64], expected[64];
	struct conf_errors errors = {0};
	struct conf *conf;
	FILE *out;

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/x.conf", directory);
	(void)snprintf(expected, sizeof(expected), "%s/tls/a.pem", directory);
	out = fopen(path, "w");
	assert_non_null(out);
	assert_true(fputs("access_log = stderr error_log = \"/e\"\n"
			  "listen \"80\" { certificates = {\"tls/a.pem\", \"/b.pem\"}\n"
			  "  certificate_keys = {\"\", \"k\"} }\n" BACKEND ROUTE,
			    out) >= 0);
	assert_int_equal(fclose(out), 0);
	conf = conf_load(path, &errors);
	assert_non_null(conf);
	assert_string_equal(conf->source, path);
	assert_string_equal(conf->listens[0].certificates.items[0], expected);
	assert_string_equal(conf->listens[0].certificates.items[1], "/b.pem");
	assert_string_equal(conf->listens[0].certificate_keys.items[0], "");
	assert_string_equal(conf->access_log, "stderr");
	assert_string_equal(conf->error_log, "/e");
	assert_string_equal(conf->listens[0].client_ca, "");
	conf_unref(conf);
	assert_int_equal(unlink(path), 0);

	assert_null(conf_load(path, &errors));
	assert_int_equal(errors.n_messages, 1);
	assert_non_null(strstr(errors.messages[0], "x.conf: cannot be read: No such file"));
	assert_null(conf_load(directory, &errors));
	assert_int_equal(errors.n_messages, 2);
	assert_int_equal(rmdir(directory), 0);
	conf_errors_clear(&errors);
}

static void test_command_line(void **state)
{
	static const char *const listens[] = {"8080", "unix:/run/x"};
	static const char *const servers[] = {"127.0.0.1:3000", "h:1"};
	static const char *const bridges[] = {"plain"};
	static const char *const wrong[] = {"x"};
	struct conf_quick quick = {listens, 2, servers, 2, bridges, 1};
	struct conf_errors errors = {0};
	struct conf *conf = conf_from_command_line(&quick, &errors);

	(void)state;
	assert_non_null(conf);
	assert_int_equal(conf->n_listens, 2);
	assert_true(conf->listens[0].is_any);
	assert_int_equal(conf->n_backends, 1);
	assert_int_equal(conf->backends[0].n_servers, 2);
	assert_int_equal(conf->n_routes, 1);
	assert_string_equal(conf->routes[0].path, "/");
	assert_int_equal(conf->routes[0].dialects, CONF_DIALECT_PLAIN);
	assert_ptr_equal(conf->routes[0].backend, &conf->backends[0]);
	conf_unref(conf);

	quick = (struct conf_quick){wrong, 1, wrong, 1, wrong, 1};
	assert_null(conf_from_command_line(&quick, &errors));
	assert_int_equal(errors.n_messages, 3);
	assert_non_null(strstr(errors.messages[0], "--listen: "));
	assert_non_null(strstr(errors.messages[1], "--backend: "));
	assert_non_null(strstr(errors.messages[2], "--bridge: "));
	conf_errors_clear(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_poll),
		cmocka_unit_test(test_tunnel),
		cmocka_unit_test(test_dump_loads_back),
		cmocka_unit_test(test_relative_paths),
		cmocka_unit_test(test_command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
