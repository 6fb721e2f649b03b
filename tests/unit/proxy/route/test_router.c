#include "proxy/route/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const struct conf *parse(const char *routes)
{
	struct conf_errors errors = {0};
	char text[4096];
	struct conf *conf;

	(void)snprintf(text, sizeof(text),
		"listen \"127.0.0.1:8080\" {}\n"
		"backend \"b\" { servers = {\"127.0.0.1:3000\"} }\n%s",
		routes);
	conf = conf_parse(text, "test", &errors);
	conf_errors_print(&errors, stderr);
	assert_non_null(conf);
	conf_errors_clear(&errors);
	return conf;
}

/* "path hosts…" of the route found, or "-". */
static const char *name_of(const struct conf_route *route)
{
	static char name[256];

	if (route == NULL)
		return "-";
	(void)snprintf(name, sizeof(name), "%s%s", route->match == CONF_MATCH_EXACT ? "=" : "",
		route->path);
	for (size_t i = 0; i < route->hosts.n_items; i++) {
		(void)strcat(name, " ");
		(void)strcat(name, route->hosts.items[i]);
	}
	return name;
}

static const char *find(const struct router *router, const char *authority, const char *path)
{
	return name_of(router_find(router, slice_from_string(authority), slice_from_string(path)));
}

static void the_longest_prefix_of_whole_segments_wins(void **state)
{
	const struct conf *conf = parse("route \"/a\" { backend = \"b\" }\n"
					"route \"/\" { backend = \"b\" }\n"
					"route \"/a/b\" { backend = \"b\" }\n"
					"route \"/dir/\" { backend = \"b\" }\n");
	struct router *router = router_new(conf);
	static const struct {
		const char *path, *route;
	} rows[] = {
		{"/", "/"},
		{"/a", "/a"},
		{"/a/", "/a"},
		{"/ab", "/"},
		{"/a/c", "/a"},
		{"/a/b", "/a/b"},
		{"/a/b/c", "/a/b"},
		{"/a/bc", "/a"},
		{"/A", "/"},
		{"/dir", "/"},
		{"/dir/", "/dir/"},
		{"/dir/x", "/dir/"},
		{"*", "/"},
		{"/a%2Fb", "/"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(find(router, "any.example", rows[i].path), rows[i].route);
	router_free(router);
	conf_unref(conf);
}

static void an_exact_path_wins_over_prefixes(void **state)
{
	const struct conf *conf =
		parse("route \"/a/b\" { backend = \"b\" hosts = {\"x.example\"} }\n"
		      "route \"/a\" { backend = \"b\" match = exact hosts = {\"x.example\"} }\n");
	struct router *router = router_new(conf);

	(void)state;
	assert_string_equal(find(router, "x.example", "/a"), "=/a x.example");
	assert_string_equal(find(router, "x.example", "/a/"), "-");
	assert_string_equal(find(router, "x.example", "/a/b/c"), "/a/b x.example");
	assert_string_equal(find(router, "x.example", "*"), "-");
	router_free(router);
	conf_unref(conf);
}

static void the_most_specific_host_wins(void **state)
{
	const struct conf *conf =
		parse("route \"/\" { backend = \"b\" }\n"
		      "route \"/any\" { backend = \"b\" }\n"
		      "route \"/x\" { backend = \"b\" hosts = {\"*.example\"} }\n"
		      "route \"/\" { backend = \"b\" hosts = {\"*.b.example\", \"[::1]\"} }\n"
		      "route \"/y\" { backend = \"b\" hosts = {\"a.b.example\"} }\n");
	struct router *router = router_new(conf);
	static const struct {
		const char *authority, *path, *route;
	} rows[] = {
		{"a.b.example", "/y", "/y a.b.example"},
		{"A.b.EXAMPLE:8080", "/y/z", "/y a.b.example"},
		{"a.b.example.", "/y", "/y a.b.example"},
		{"a.b.example.:80", "/y", "/y a.b.example"},
		/* What the host itself does not have is left to the less specific ones. */
		{"a.b.example", "/z", "/ *.b.example [::1]"},
		{"a.b.example", "/any", "/ *.b.example [::1]"},
		{"c.d.b.example", "/x", "/ *.b.example [::1]"},
		{"b.example", "/x", "/x *.example"},
		{"b.example", "/z", "/"},
		{"example", "/x", "/"},
		{"x.example", "/any/1", "/any"},
		{"[::1]", "/", "/ *.b.example [::1]"},
		{"[::1]:8080", "/", "/ *.b.example [::1]"},
		{"[::2]:8080", "/", "/"},
		{"", "/x", "/"},
		{"..example", "/x", "/x *.example"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(find(router, rows[i].authority, rows[i].path), rows[i].route);
	router_free(router);
	conf_unref(conf);
}

static void an_endless_host_is_no_host(void **state)
{
	const struct conf *conf =
		parse("route \"/\" { backend = \"b\" hosts = {\"*.example\"} }\n");
	struct router *router = router_new(conf);
	char host[4096];

	(void)state;
	memset(host, 'a', sizeof(host));
	memcpy(host + sizeof(host) - 9, ".example", 9);
	assert_string_equal(find(router, host, "/"), "-");
	assert_string_equal(find(router, host + sizeof(host) - 20, "/"), "/ *.example");
	router_free(router);
	conf_unref(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_prefix_of_whole_segments_wins),
		cmocka_unit_test(an_exact_path_wins_over_prefixes),
		cmocka_unit_test(the_most_specific_host_wins),
		cmocka_unit_test(an_endless_host_is_no_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
