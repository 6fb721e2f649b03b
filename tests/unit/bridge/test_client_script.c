/* pollux.js as Pollux serves it. */
#include "tests/unit/bridge/stage.h"

#include "bridge/client/client_script.h"

#define ROUTE "client_script = \"/chat/pollux.js\""
#define PATH "/chat/pollux.js"

static struct client *ask(const char *method, const char *fields)
{
	return client_request(method, PATH, fields, NULL);
}

static void a_get_gets_the_script(void **state)
{
	struct client *client;
	const char *tag;

	(void)state;
	stage_open(ROUTE);
	client = ask("GET", "Origin: https://elsewhere.example\r\nSec-Fetch-Site: cross-site\r\n");
	assert_int_equal(client_status(client), 200);
	assert_int_equal(client_body_size(client), client_script_size);
	assert_memory_equal(client_body(client), client_script_text, client_script_size);
	assert_true(client_is_done(client));
	assert_string_equal(client_field(client, "Content-Type"), "text/javascript; charset=utf-8");
	assert_string_equal(client_field(client, "Cache-Control"), "public, max-age=3600");
	assert_string_equal(client_field(client, "Access-Control-Allow-Origin"), "*");
	assert_string_equal(client_field(client, "X-Content-Type-Options"), "nosniff");
	tag = client_field(client, "ETag");
	assert_int_equal(strlen(tag), 18);
	assert_true(tag[0] == '"' && tag[17] == '"');
	assert_int_equal(stage_n_dials(), 0);
}

static void a_head_gets_its_fields(void **state)
{
	struct client *client;

	(void)state;
	stage_open(ROUTE);
	client = ask("HEAD", "");
	assert_int_equal(client_status(client), 200);
	assert_int_equal(
		strtoul(client_field(client, "Content-Length"), NULL, 10), client_script_size);
	assert_int_equal(client_body_size(client), 0);
}

static void who_has_it_gets_304(void **state)
{
	struct client *client;
	const char *tag;

	(void)state;
	stage_open(ROUTE);
	tag = stage_text("%s", client_field(ask("HEAD", ""), "ETag"));
	client = ask("GET", stage_text("If-None-Match: \"x\", W/%s\r\n", tag));
	assert_int_equal(client_status(client), 304);
	assert_string_equal(client_field(client, "ETag"), tag);
	assert_non_null(client_field(client, "Cache-Control"));
	assert_null(client_field(client, "Content-Type"));
	client = ask("GET", "If-None-Match: *\r\n");
	assert_int_equal(client_status(client), 304);
	client = ask("GET", "If-None-Match: \"x\"\r\n");
	assert_int_equal(client_status(client), 200);
}

static void other_methods_are_refused(void **state)
{
	struct client *client;

	(void)state;
	stage_open(ROUTE);
	client = client_request("POST", PATH, "", "x");
	assert_int_equal(client_status(client), 405);
	assert_string_equal(client_field(client, "Allow"), "GET, HEAD");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void without_the_option_it_is_the_backends(void **state)
{
	(void)state;
	stage_open("");
	assert_int_equal(client_status(ask("GET", "")), 299);
}

static void other_paths_are_untouched(void **state)
{
	struct client *client;

	(void)state;
	stage_open(ROUTE);
	client = client_request("GET", "/chat/pollux.jsx", "", NULL);
	assert_int_equal(client_status(client), 299);
	client = client_request("GET", PATH "?v=1", "", NULL);
	assert_int_equal(client_status(client), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_get_gets_the_script, stage_tear_down),
		cmocka_unit_test_teardown(a_head_gets_its_fields, stage_tear_down),
		cmocka_unit_test_teardown(who_has_it_gets_304, stage_tear_down),
		cmocka_unit_test_teardown(other_methods_are_refused, stage_tear_down),
		cmocka_unit_test_teardown(without_the_option_it_is_the_backends, stage_tear_down),
		cmocka_unit_test_teardown(other_paths_are_untouched, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
