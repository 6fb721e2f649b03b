/* Wrong configurations, and exactly what is said about each. */
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LISTEN "listen \"127.0.0.1:8080\" { }\n"
#define BACKEND "backend \"app\" { servers = {\"127.0.0.1:3000\"} }\n"
#define ROUTE "route \"/\" { backend = \"app\" }\n"
#define REST LISTEN BACKEND ROUTE

struct fault_case {
	const char *text;
	const char *message; /* without "x:"; the only one */
};

static void check(const struct fault_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct conf_errors errors = {0};
		struct conf *conf = conf_parse(cases[i].text, "x", &errors);

		if (conf != NULL)
			fail_msg("accepted: %s", cases[i].text);
		if (errors.n_messages != 1 ||
			strcmp(errors.messages[0] + strlen("x:"), cases[i].message) != 0) {
			conf_errors_print(&errors, stderr);
			fail_msg("for: %s\nexpected: x:%s", cases[i].text, cases[i].message);
		}
		conf_errors_clear(&errors);
	}
}

static void test_values(void **state)
{
	static const struct fault_case cases[] = {
		{REST "drain = 30",
			"4: drain: \"30\" has no unit; write a number and ms, s, m, h or "
			"d, such as 30s, from 0 to 1d"},
		{REST "drain = 2d",
			"4: drain: \"2d\" is out of range; write a number and ms, s, m, h "
			"or d, such as 30s, from 0 to 1d"},
		{REST "max_connections = many",
			"4: max_connections: \"many\" is not understood; "
			"write a whole number from 0 to 10000000"},
		{REST "log_level = verbose",
			"4: log_level: \"verbose\" is not known; it may be "
			"error, warn, info or debug"},
		{REST "log_level = warning",
			"4: log_level: \"warning\" is not known; it may be "
			"error, warn, info or debug"},
		{REST "log_level = inof",
			"4: log_level: \"inof\" is not known; did you mean info? it "
			"may be error, warn, info or debug"},
		{REST "via = \"a b\"",
			"4: via: \"a b\" is not right; write a name of letters, digits "
			"and -._ only, at most 64 long"},
		{REST "drain = {\"1s\", \"2s\"}", "4: drain takes one value, not a list"},
		{REST "drain = {}", " drain takes one value, not a list"},
		{REST "drain = 1s\n\ndrain = 2s",
			"6: drain stands here a second time, first on line 4; keep one"},
		{BACKEND ROUTE "listen \"80\" {\n max_header_size = 2T\n}",
			"4: max_header_size: \"2T\" is out of range; write bytes, or a number and "
			"k, "
			"M, G or T, such as 64k, from 1k to 1M"},
		{BACKEND ROUTE "listen \"80\" { unix_mode = rw }",
			"3: unix_mode: \"rw\" is not understood; write octal permission bits, such "
			"as "
			"0660"},
		{LISTEN ROUTE "backend \"app\" { servers = {\"a:1\"} tls = maybe }",
			"3: tls: \"maybe\" is not a switch; write yes or no"},
		{LISTEN BACKEND "route \"/\" { backend = app\n bridge = {\"stomp\"} }",
			"4: bridge: \"stomp\" is not known; it may be plain, sockjs or engineio"},
		{LISTEN BACKEND "route \"/\" { backend = app\n bind_cookie = \"sid=1\" }",
			"4: bind_cookie: \"sid=1\" is not right; write the name of the cookie "
			"alone, such as sid: no space, no = and no value"},
		{LISTEN BACKEND "route \"/\" { backend = app\n bind_address = 10.0.0.1 }",
			"4: bind_address: \"10.0.0.1\" is not a switch; write yes or no"},
		{BACKEND ROUTE "listen \"localhost:80\" { }",
			"3: listen \"localhost:80\" is not right; a listener needs a numeric "
			"address, "
			"such as 127.0.0.1:8080, [::1]:8080, *:8080 for every address, or "
			"unix:/run/pollux.sock"},
	};

	(void)state;
	check(cases, ARRAY_LEN(cases));
}

static void test_names(void **state)
{
	static const struct fault_case cases[] = {
		{REST "log_levl = info", "4: there is no option log_levl; did you mean log_level?"},
		{REST "whatever = 1",
			"4: there is no option whatever; pollux.conf(5) lists what there is"},
		{REST "whatever = {1, 2}",
			"4: there is no option whatever; pollux.conf(5) lists what there is"},
		{REST "idle_timeout = 1s",
			"4: there is no option idle_timeout outside the sections; "
			"it belongs in a section listen or backend"},
		{BACKEND ROUTE "listen \"80\" {\n drain = 1s }",
			"4: there is no option drain in listen; it belongs outside the sections"},
		{BACKEND ROUTE "listen \"80\" {\n bridge = {plain} }",
			"4: there is no option bridge in listen; it belongs in a section route"},
		{LISTEN ROUTE "backend \"app\" { servers = {\"a:1\"} balence = x }",
			"3: there is no option balence in backend; did you mean balance?"},
		{REST "routes \"/\" { }", "4: there is no option routes; did you mean route?"},
	};

	(void)state;
	check(cases, ARRAY_LEN(cases));
}

static void test_syntax(void **state)
{
	static const struct fault_case cases[] = {
		{REST "drain 30s", "4: drain lacks its =; write drain = value"},
		{REST "drain = 30s, 40s",
			"4: \",\" is not expected here; write name = value, and "
			"lists as {\"a\", \"b\"}"},
		{REST "listen { }", "4: listen needs a title in quotes before its {"},
		{REST "listen \"80\" backlog", "4: listen lacks the { after its title"},
		{REST "drain =", "5: the text ends in the middle of an option; write name = value"},
		{REST "listen \"80\" {",
			"4: the { on this line is never closed; write } after what "
			"belongs to it"},
		{REST "trusted_proxies = {\"::1\" \"::2\"}",
			"4: \"::2\" is not expected here; write name = value, and lists as {\"a\", "
			"\"b\"}"},
		{REST "'' = 1", "4: this is no option; write name = value"},
		{REST "\"\" { }", "4: this is no option; write name = value"},
	};

	(void)state;
	check(cases, ARRAY_LEN(cases));
}

static void test_sections(void **state)
{
	static const struct fault_case cases[] = {
		{BACKEND ROUTE, " there is no listener; write listen \"0.0.0.0:8080\" { }"},
		{LISTEN BACKEND, " there is no route; write route \"/\" { backend = \"app\" }"},
		{LISTEN ROUTE "backend \"app\" { }",
			"3: backend \"app\" has no servers; write servers = {\"…\"}"},
		{LISTEN ROUTE "backend \"app\" { servers = {} }",
			"3: servers is empty; write at least one"},
		{LISTEN BACKEND "route \"/\" { }",
			"3: route \"/\" has no backend; write backend = \"…\""},
		{REST "listen \"127.0.0.1:8080\" { }",
			"4: listen \"127.0.0.1:8080\": line 1 listens there already; keep one of "
			"the "
			"two"},
		{BACKEND ROUTE "listen \"0.0.0.0:80\" { }\nlisten \"80\" { }",
			"4: listen \"80\": line 3 listens there already; keep one of the two"},
		{REST "backend \"app\" { servers = {\"a:1\"} }",
			"4: backend \"app\": line 2 has a backend of this name; give one another "
			"name"},
		{LISTEN ROUTE "backend \"app\" { servers = {\"a:1\", \"A:1\"} }",
			"3: backend \"app\": server a:1 stands there twice; keep one"},
		{LISTEN BACKEND "\nroute \"/\" {\n backend = \"ap\" }",
			"4: route \"/\": there is no backend \"ap\"; did you mean \"app\"? known: "
			"\"app\""},
		{LISTEN BACKEND "route \"/\" { backend = \"other\" }",
			"3: route \"/\": there is no backend \"other\"; known: \"app\""},
		{REST "route \"/\" { backend = app }",
			"4: route \"/\": line 3 has a route of this path and host; keep one, or "
			"set "
			"them apart with hosts"},
		{LISTEN BACKEND "route \"/\" { backend = app hosts = {a, b} }\n"
				"route \"/\" { backend = app hosts = {c, B} }",
			"4: route \"/\": line 3 has a route of this path and host; keep one, or "
			"set "
			"them apart with hosts"},
		{REST "route \"chat\" { backend = app }",
			"4: route \"chat\": the path must start with /"},
		{REST "route \"/a?b\" { backend = app }",
			"4: route \"/a?b\": a route is chosen by its path alone; leave out ? and # "
			"and "
			"what follows"},
		{REST "route \"/a/..\" { backend = app }",
			"4: route \"/a/..\": the path holds an empty segment, . or ..; write it "
			"without"},
		{REST "route \"/a b\" { backend = app }",
			"4: route \"/a b\": the path holds a character that a URI cannot; write "
			"%XX "
			"for it"},
	};

	(void)state;
	check(cases, ARRAY_LEN(cases));
}

/* The section `poll` in a route. */
static void test_inner_section(void **state)
{
#define IN_ROUTE(text) LISTEN BACKEND "route \"/\" { backend = app\n" text "\n}\n"
	static const struct fault_case cases[] = {
		{IN_ROUTE("poll { }"), "4: poll has no path; write path = \"…\""},
		{IN_ROUTE("\npoll {\n interval = 2s }"), "5: poll has no path; write path = \"…\""},
		{IN_ROUTE("poll { path = prices }"),
			"4: path: \"prices\" is not right; write a path that starts with /, with a "
			"query if need be, such as /api/prices?all=1; other characters as %XX"},
		{IN_ROUTE("poll { path = \"/a#b\" }"),
			"4: path: \"/a#b\" is not right; write a path that starts with /, with a "
			"query if need be, such as /api/prices?all=1; other characters as %XX"},
		{IN_ROUTE("poll { path = /a interval = 50ms }"),
			"4: interval: \"50ms\" is out of range; write a number and ms, s, m, h or "
			"d, such as 30s, from 100ms to 1d"},
		{IN_ROUTE("poll { path = /a }\npoll { path = /b }"),
			"5: poll stands here a second time, first on line 4; keep one"},
		{IN_ROUTE("poll { path = /a\n path = /b }"),
			"5: path stands here a second time, first on line 4; keep one"},
		{IN_ROUTE("poll { pth = /a path = /a }"),
			"4: there is no option pth in poll; did you mean path?"},
		{IN_ROUTE("path = /a"),
			"4: there is no option path in route; it belongs in a section poll"},
		{REST "poll { path = /a }",
			"4: there is no option poll outside the sections; it belongs in a section "
			"route"},
		{IN_ROUTE("poll = /a"), "4: poll lacks its {"},
		{IN_ROUTE("pole { path = /a }"),
			"4: a section cannot start inside another; the { of line 3 has no } before "
			"this, or a list lacks its ="},
		{IN_ROUTE("poll { poll { path = /a } }"),
			"4: a section cannot start inside another; the { of line 4 has no } before "
			"this, or a list lacks its ="},
		{IN_ROUTE("tunnel { ping_client = 30s }\ntunnel { }"),
			"5: tunnel stands here a second time, first on line 4; keep one"},
		{IN_ROUTE("tunnel { } websocket = no"),
			"3: route \"/\": tunnel is about WebSockets, and websocket = no carries "
			"none; leave one out"},
		{IN_ROUTE("poll { path = /a } tunnel { }"),
			"3: route \"/\": tunnel has no effect with poll, where no WebSocket "
			"reaches "
			"a backend; leave it out"},
		{IN_ROUTE("messages_per_second = 5"),
			"4: there is no option messages_per_second in route; it belongs in a "
			"section "
			"tunnel"},
		{IN_ROUTE("tunnel { bytes_per_second = many }"),
			"4: bytes_per_second: \"many\" is not understood; write bytes, or a number "
			"and k, M, G or T, such as 64k, from 0 to 1T"},
		{LISTEN BACKEND "route \"/\" { backend = app match = exact poll { path = /a } }",
			"3: route \"/\": bridge needs match = prefix, because sessions live below "
			"the path"},
	};
#undef IN_ROUTE

	(void)state;
	check(cases, ARRAY_LEN(cases));
}

static void test_combinations(void **state)
{
	static const struct fault_case cases[] = {
		{BACKEND ROUTE "listen \"80\" { client_verify = required client_ca = ca }",
			"3: listen \"80\": client_verify = required needs TLS; write certificates"},
		{BACKEND ROUTE "listen \"80\" { certificates = {a} client_verify = optional }",
			"3: listen \"80\": client_verify = optional needs client_ca, the "
			"authorities' "
			"PEM file"},
		{BACKEND ROUTE "listen \"80\" { certificates = {a} client_ca = ca }",
			"3: listen \"80\": client_ca has no effect without client_verify; write "
			"client_verify = required, or optional"},
		{BACKEND ROUTE "listen \"80\" { certificates = {a, b} certificate_keys = {k} }",
			"3: listen \"80\": certificates has 2 files, certificate_keys 1; write one "
			"key "
			"per certificate (\"\" where the key is in the certificate's file), or "
			"none"},
		{BACKEND ROUTE "listen \"80\" { max_uri_size = 64k }",
			"3: listen \"80\": max_uri_size is above max_header_size, which holds the "
			"URI "
			"too; lower the first or raise the second"},
		{LISTEN ROUTE "backend \"app\" { servers = {\"a:1\"} tls_ca = ca }",
			"3: backend \"app\": tls_ca has no effect without TLS; write tls = yes"},
		{LISTEN ROUTE "backend \"app\" { servers = {\"unix:/a\"} tls = yes }",
			"3: backend \"app\": a unix socket has no name to verify; write "
			"tls_server_name"},
		{LISTEN ROUTE "backend \"app\" { servers = {\"a:1\"} tls = yes "
			      "tls_certificate_key = k }",
			"3: backend \"app\": tls_certificate_key needs tls_certificate, the PEM "
			"file "
			"it belongs to"},
		{REST "route \"/a\" { backend = app bridge = {plain} client_script = "
		      "\"/b/pollux.js\" }",
			"4: route \"/a\": client_script is not below the route's path; write a "
			"path such as \"/a/pollux.js\""},
		{REST "route \"/a/\" { backend = app bridge = {plain} client_script = \"/a/\" }",
			"4: route \"/a/\": client_script is not below the route's path; write a "
			"path such as \"/a/pollux.js\""},
		{REST "route \"/b\" { backend = app bridge = {plain} client_script = \"pollux.js\" "
		      "}",
			"4: route \"/b\": client_script: the path must start with /"},
		{REST "route \"/b\" { backend = app client_script = \"/b/pollux.js\" }",
			"4: route \"/b\": client_script has no effect without bridge; set it, or "
			"leave the script out"},
		{REST "route \"/a\" { backend = app bridge = {plain} match = exact }",
			"4: route \"/a\": bridge needs match = prefix, because sessions live below "
			"the "
			"path"},
		{REST "route \"/a\" { backend = app bridge = {sockjs} sockjs_cookie = yes "
		      "bind_cookie = JSESSIONID }",
			"4: route \"/a\": bind_cookie names the cookie that sockjs_cookie sets "
			"with "
			"the first answer, so that no second request would fit the first; use "
			"another "
			"cookie"},
		{REST "route \"/a\" { backend = app bridge = {plain, engineio} poll { path = /b } "
		      "}",
			"4: route \"/a\": engineio needs a backend with WebSockets; leave out "
			"poll, or "
			"use another dialect"},
		{REST "route \"/a\" { backend = app poll_wait = 1500ms }",
			"4: route \"/a\": poll_wait must be whole seconds, such as 25s"},
		{REST "route \"/a\" { backend = app queue = 64k }",
			"4: route \"/a\": max_message_size (1M) is above queue (64k), so that a "
			"message could never be queued; lower the first or raise the second"},
	};

	(void)state;
	check(cases, ARRAY_LEN(cases));
}

/* All are reported in one go, the unknown names among them, each with its line. */
static void test_several(void **state)
{
	static const char *const starts[] = {
		"x:1: there is no option foo;",
		"x:2: drain: ",
		"x:4: there is no option bar in listen;",
		"x:5: backlog: ",
		"x:7: servers: ",
		"x:8: there is no option foo in backend;",
		"x:10: route \"/\" has no backend",
		"x:9: route \"x\": the path must start",
	};
	struct conf_errors errors = {0};

	(void)state;
	assert_null(conf_parse("foo = 1 # one\n"
			       "drain = x /* two */\n"
			       "listen \"80\" {\n"
			       " bar = {1, 2}\n"
			       " backlog = 0\n"
			       "}\n"
			       "backend \"a\" { servers = {x,\n"
			       " \"a:1\"} foo = 1 }\n"
			       "route \"x\" { backend = a }\n"
			       "route \"/\" { }",
		"x", &errors));
	assert_int_equal(errors.n_messages, ARRAY_LEN(starts));
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		if (strncmp(errors.messages[i], starts[i], strlen(starts[i])) != 0)
			fail_msg("%zu: %s", i, errors.messages[i]);
	}
	conf_errors_clear(&errors);
}

/* More unknown names than are remembered still end in an error, not in a loop. */
static void test_many_unknown(void **state)
{
	struct conf_errors errors = {0};
	char text[60 * 16];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 60; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "zz%d = 1\n", i);
	assert_null(conf_parse(text, "x", &errors));
	assert_int_equal(errors.n_messages, 51);
	conf_errors_clear(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_inner_section),
		cmocka_unit_test(test_combinations),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_many_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
