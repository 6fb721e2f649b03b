/* Peers that do what the protocol allows and nobody means: floods, and endings at the wrong time.
 */
#include "tests/unit/proxy/http/endings_world.h"

#define HINTS_FIELD \
	"Link: </a.css>; rel=preload; as=style; x=0123456789012345678901234567890123\r\n"
#define HINTS "HTTP/1.1 103 Early Hints\r\n" HINTS_FIELD "\r\n"

static void test_a_flood_of_interim_responses_is_refused(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	for (int i = 0; i < 1000 && world->fetcher != NULL; i++) {
		conn_fake_feed_string(world->backend, HINTS);
		turn(world);
		bytes_clear(conn_fake_sent(world->client));
	}
	assert_null(world->fetcher);
	logged(world, 502, REASON_BACKEND_PROTOCOL);
}

/* Nobody takes them: what is queued has the bound of the flood. */
static void test_interim_responses_are_not_queued_without_end(void **state)
{
	struct world *world = *state;

	conn_fake_set_room(world->client, 0);
	client_sends(world, GET);
	for (int i = 0; i < 3000 && world->fetcher != NULL; i++)
		backend_sends(world, HINTS);
	assert_true(bytes_size(conn_output(conn_fake_conn(world->client))) < 128 * 1024);
}

static void test_some_interim_responses_pass(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	for (int i = 0; i < 100; i++) {
		backend_sends(world, "HTTP/1.1 102 Processing\r\n\r\n");
		client_sees(world, "HTTP/1.1 102 Processing\r\n\r\n");
		loop_advance(world->loop, 9000);
	}
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_true(world->is_reusable);
}

/* The head said keep-alive before the drain began. */
static void test_a_drain_closes_after_a_response_that_has_begun(void **state)
{
	struct world *world = *state;

	client_sends(world, GET);
	backend_sends(world, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
	client_sees(world, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
	server_codec_drain(world->server, NULL);
	turn(world);
	assert_non_null(world->server);
	backend_sends(world, "ay");
	client_sees(world, "ay");
	assert_null(world->server);
	assert_true(conn_fake_has_ended(world->client));
}

static void test_a_drain_closes_after_the_rest_of_a_refused_body(void **state)
{
	struct world *world = *state;

	client_sends(world, POST_10 "abc");
	backend_sends(world, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
	server_codec_drain(world->server, NULL);
	turn(world);
	client_sends(world, "defghij");
	assert_null(world->server);
}

/* What a client sends after its own close is of no interest, but must not be kept. */
static void test_a_drained_tunnel_keeps_nothing_behind_a_close(void **state)
{
	static char flood[16 * 1024];
	struct world *world = *state;

	open_tunnel(world);
	(void)take_text(world->backend);
	/* Our close has to wait for the end of this frame. */
	backend_sends(world, "\x81\x04la");
	conn_fake_feed(world->client,
		"\x88\x80"
		"\0\0\0\0",
		6);
	turn(world);
	server_codec_drain(world->server, NULL);
	turn(world);
	for (int i = 0; i < 64; i++) {
		conn_fake_feed(world->client, flood, sizeof(flood));
		turn(world);
		bytes_clear(conn_fake_sent(world->backend));
	}
	assert_non_null(world->server);
	assert_true(bytes_size(conn_input(conn_fake_conn(world->client))) < 256 * 1024);
}

/* Its method is known before its end. */
static void test_an_unread_head_of_a_head_request_gets_no_body(void **state)
{
	struct world *world = *state;
	const char *text;

	client_sends(world, "HEAD /a HTTP/1.1\r\nHost: h\n\r\n");
	text = take_text(world->client);
	assert_non_null(strstr(text, "HTTP/1.1 400 "));
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
	logged(world, 400, REASON_BAD_REQUEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_flood_of_interim_responses_is_refused),
		TEST(test_interim_responses_are_not_queued_without_end),
		TEST(test_some_interim_responses_pass),
		TEST(test_a_drain_closes_after_a_response_that_has_begun),
		TEST(test_a_drain_closes_after_the_rest_of_a_refused_body),
		TEST(test_a_drained_tunnel_keeps_nothing_behind_a_close),
		TEST(test_an_unread_head_of_a_head_request_gets_no_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
