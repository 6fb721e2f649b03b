/* What a bound session keeps, and that strangers do not touch it; who they are: see the end-to-end
 * tests. */
#include "tests/unit/bridge/stage.h"

#define MINE "Cookie: a=1; sid=mine\r\n"
#define OTHER "Cookie: a=1; sid=other\r\n"
#define UNKNOWN "{\"error\":\"unknown session\"}\n"

static const char *id;
static struct peer *peer;

static void open_bound(const char *route)
{
	struct client *client;

	stage_open(route);
	client = client_request("POST", "/chat", MINE, "");
	peer = peer_open();
	assert_int_equal(client_status(client), 201);
	id = stage_session(client);
}

static struct client *ask(const char *method, const char *query, const char *fields)
{
	return client_request(method, stage_text("/chat/~%s%s", id, query), fields, NULL);
}

static void is_unknown(struct client *client)
{
	assert_int_equal(client_status(client), 404);
	assert_string_equal(client_body(client), UNKNOWN);
	assert_null(client_field(client, "Pollux-Session"));
	assert_null(client_field(client, "Pollux-Cursor"));
}

static void nothing_is_kept_without_an_option(void **state)
{
	(void)state;
	open_bound("");
	assert_null(stage_bridge()->table.sessions->binding);
	assert_int_equal(client_status(ask("GET", "?wait=0", OTHER)), 200);
}

static void a_digest_is_kept_with_one(void **state)
{
	(void)state;
	open_bound("bind_cookie = sid\n");
	assert_non_null(stage_bridge()->table.sessions->binding);
	assert_null(memmem(stage_bridge()->table.sessions->binding, 32, "mine", 4));
	assert_int_equal(client_status(ask("GET", "?wait=0", MINE)), 200);
	is_unknown(ask("GET", "?wait=0", OTHER));
	is_unknown(ask("GET", "?wait=0", ""));
}

static void the_time_of_absence_is_not_begun_anew(void **state)
{
	(void)state;
	open_bound("bind_cookie = sid\n linger = 10s\n");
	stage_pass_ms(9000);
	assert_int_equal(client_status(ask("GET", "?wait=0", MINE)), 200);
	stage_pass_ms(9000);
	is_unknown(ask("GET", "?wait=0", OTHER));
	is_unknown(client_request(
		"POST", stage_text("/chat/~%s", id), OTHER "Content-Type: text/plain\r\n", "x"));
	assert_int_equal(client_status(ask("PUT", "", OTHER)), 405);
	assert_int_equal(client_status(ask("GET", "?wait=x", OTHER)), 400);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	stage_pass_ms(1001);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	assert_string_equal(peer_received(peer), "close 1001\n");
}

static void a_held_poll_is_not_superseded(void **state)
{
	struct client *held;

	(void)state;
	open_bound("bind_cookie = sid\n");
	held = ask("GET", "?wait=20", MINE);
	is_unknown(ask("GET", "?wait=20", OTHER));
	is_unknown(ask("DELETE", "", OTHER));
	assert_int_equal(client_status(held), 0);
	peer_text(peer, "down");
	assert_int_equal(client_status(held), 200);
	assert_non_null(strstr(client_body(held), "\"text\":\"down\""));
}

static void the_cookie_is_looked_at_once_more_when_the_body_is_there(void **state)
{
	struct client *client;

	(void)state;
	open_bound("bind_cookie = sid\n bind_address = yes\n");
	client = client_new();
	client_send(client,
		stage_text("POST /chat/~%s HTTP/1.1\r\nHost: a\r\n" MINE
			   "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n",
			id));
	client_send(client, "up");
	assert_int_equal(client_status(client), 204);
	assert_string_equal(peer_received(peer), "text up\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(nothing_is_kept_without_an_option, stage_tear_down),
		cmocka_unit_test_teardown(a_digest_is_kept_with_one, stage_tear_down),
		cmocka_unit_test_teardown(the_time_of_absence_is_not_begun_anew, stage_tear_down),
		cmocka_unit_test_teardown(a_held_poll_is_not_superseded, stage_tear_down),
		cmocka_unit_test_teardown(
			the_cookie_is_looked_at_once_more_when_the_body_is_there, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
