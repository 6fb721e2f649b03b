/* Sessions that are fed by polls: one request for all, the value at once, then each change. */
#include "tests/unit/bridge/stage.h"

#define POLL "poll { path = \"/api/prices?all=1\" interval = 1s max_interval = 8s timeout = 5s }\n"
#define EVENTS "Accept: text/event-stream\r\n"
#define LINES "Accept: application/x-ndjson\r\n"
#define JSON "Content-Type: application/json\r\n"

static struct client *listen_to(const char *fields)
{
	return client_request("GET", "/chat", fields, NULL);
}

/* The backend's answer to the poll that has been started. */
static struct peer *answer(const char *status, const char *fields, const char *body)
{
	struct peer *peer = peer_next();

	peer_send(peer,
		stage_text("HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body),
			fields, body));
	return peer;
}

static struct peer *answer_value(const char *body)
{
	return answer("200 OK", JSON, body);
}

static void lacks(struct peer *peer, const char *text)
{
	if (strstr(peer_request(peer), text) != NULL)
		fail_msg("%s in: %s", text, peer_request(peer));
}

static void has(struct peer *peer, const char *text)
{
	if (strstr(peer_request(peer), text) == NULL)
		fail_msg("%s not in: %s", text, peer_request(peer));
}

static void streams(struct client *client, const char *text)
{
	assert_int_equal(client_status(client), 200);
	assert_string_equal(client_take(client), text);
}

/* A stream of JSON lines that has been told of its session. */
static struct client *open_lines(void)
{
	struct client *client = listen_to(LINES);

	return client;
}

static void read_prelude(struct client *client)
{
	assert_int_equal(client_status(client), 200);
	assert_int_equal(strncmp(client_take(client), "{\"session\":", strlen("{\"session\":")), 0);
}

/* What comes after the session's line. */
static const char *after_prelude(struct client *client)
{
	const char *body;

	assert_int_equal(client_status(client), 200);
	body = client_take(client);
	assert_non_null(strchr(body, '\n'));
	return strchr(body, '\n') + 1;
}

/* Lets time pass until a poll starts; how long it took. */
static uint64_t wait_for_poll(void)
{
	size_t n = stage_n_dials();
	uint64_t ms = 0;

	while (stage_n_dials() == n) {
		assert_true(ms++ < 60000);
		stage_pass_ms(1);
	}
	return ms;
}

static void one_request_serves_all(void **state)
{
	struct client *lines, *events, *poll;
	struct peer *peer;

	(void)state;
	stage_open(POLL);
	lines = listen_to(
		LINES "Cookie: a=1\r\nX-Me: 1\r\nAuthorization: x\r\nOrigin: http://a.example\r\n");
	events = listen_to(EVENTS);
	poll = client_request("GET", "/chat/deeper?wait=5&room=1", "", NULL);
	assert_int_equal(stage_n_dials(), 1);
	assert_int_equal(client_status(lines), 0);
	peer = answer_value("{\"a\":1}");
	assert_string_equal(peer_request(peer),
		"GET /api/prices?all=1 HTTP/1.1\r\n"
		"Host: 127.0.0.1:1\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
		"User-Agent: pollux\r\nVia: 1.1 pollux\r\nConnection: close\r\n\r\n");
	assert_string_equal(after_prelude(lines), "{\"seq\":1,\"text\":\"{\\\"a\\\":1}\"}\n");
	assert_non_null(strstr(client_take(events), ".1\ndata: {\"a\":1}\n\n"));
	assert_non_null(strstr(
		client_body(poll), "\"messages\":[{\"seq\":1,\"text\":\"{\\\"a\\\":1}\"}]}"));
	assert_int_equal(stage_n_dials(), 1);
}

static void changes_come_and_nothing_else(void **state)
{
	struct client *lines;

	(void)state;
	stage_open(POLL);
	lines = open_lines();
	answer_value("1");
	assert_string_equal(after_prelude(lines), "{\"seq\":1,\"text\":\"1\"}\n");
	stage_pass_ms(999);
	assert_int_equal(stage_n_dials(), 1);
	stage_pass_ms(1);
	answer_value("1");
	streams(lines, "");
	stage_pass_ms(1000);
	answer_value("2");
	streams(lines, "{\"seq\":2,\"text\":\"2\"}\n");
	/* The same bytes as another kind are another value. */
	stage_pass_ms(1000);
	answer("200 OK", "Content-Type: image/png\r\n", "2");
	streams(lines, "{\"seq\":3,\"binary\":\"Mg==\"}\n");
	stage_pass_ms(1000);
	answer("200 OK", "", "2");
	streams(lines, "");
	stage_pass_ms(1000);
	answer_value("\xff");
	streams(lines, "{\"seq\":4,\"binary\":\"/w==\"}\n");
	assert_int_equal(stage_n_dials(), 6);
}

static void who_comes_later_gets_the_value_at_once(void **state)
{
	struct client *first, *second;

	(void)state;
	stage_open(POLL);
	first = open_lines();
	answer_value("1");
	stage_pass_ms(500);
	second = open_lines();
	assert_string_equal(after_prelude(second), "{\"seq\":1,\"text\":\"1\"}\n");
	assert_int_equal(stage_n_dials(), 1);
	stage_pass_ms(500);
	assert_int_equal(stage_n_dials(), 2);
	answer_value("2");
	assert_string_equal(
		after_prelude(first), "{\"seq\":1,\"text\":\"1\"}\n{\"seq\":2,\"text\":\"2\"}\n");
	streams(second, "{\"seq\":2,\"text\":\"2\"}\n");
}

static void the_tag_is_sent_back(void **state)
{
	struct client *lines;
	struct peer *peer;

	(void)state;
	stage_open(POLL);
	lines = open_lines();
	peer = answer("200 OK",
		JSON "ETag: W/\"1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "1");
	lacks(peer, "If-");
	read_prelude(lines);
	stage_pass_ms(1000);
	peer = answer("304 Not Modified", "ETag: W/\"1\"\r\n", "");
	has(peer, "If-None-Match: W/\"1\"\r\n");
	lacks(peer, "If-Modified-Since");
	streams(lines, "");
	/* Equal bytes under another tag are no change, but the tag is the one to ask with. */
	stage_pass_ms(1000);
	answer("200 OK", JSON "ETag: \"2\"\r\n", "1");
	streams(lines, "");
	stage_pass_ms(1000);
	peer = answer("200 OK", JSON, "3");
	has(peer, "If-None-Match: \"2\"\r\n");
	streams(lines, "{\"seq\":2,\"text\":\"3\"}\n");
	stage_pass_ms(1000);
	peer = peer_next();
	lacks(peer, "If-");
}

static void without_a_tag_the_date_is(void **state)
{
	struct client *lines;
	struct peer *peer;

	(void)state;
	stage_open(POLL);
	lines = open_lines();
	answer("200 OK",
		JSON "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
		     "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
		"1");
	/* Another change may come within the same second. */
	stage_pass_ms(1000);
	peer = answer("200 OK",
		JSON "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
		     "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n",
		"2");
	lacks(peer, "If-");
	stage_pass_ms(1000);
	peer = answer("304 Not Modified", "", "");
	has(peer, "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
	assert_string_equal(
		after_prelude(lines), "{\"seq\":1,\"text\":\"1\"}\n{\"seq\":2,\"text\":\"2\"}\n");
}

static void never_two_polls_at_a_time(void **state)
{
	struct client *lines;
	struct peer *peer;

	(void)state;
	stage_open(POLL);
	lines = open_lines();
	peer = peer_next();
	stage_pass_ms(3500);
	assert_int_equal(stage_n_dials(), 1);
	peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
	/* The interval is over: the next starts at once. */
	assert_int_equal(stage_n_dials(), 2);
	answer_value("2");
	stage_pass_ms(999);
	assert_int_equal(stage_n_dials(), 2);
	stage_pass_ms(1);
	assert_int_equal(stage_n_dials(), 3);
	assert_string_equal(after_prelude(lines),
		"{\"seq\":1,\"binary\":\"MQ==\"}\n{\"seq\":2,\"text\":\"2\"}\n");
}

static void it_is_polled_only_while_somebody_listens(void **state)
{
	struct client *client;

	(void)state;
	stage_open(POLL "linger = 3s\n");
	stage_pass_ms(60000);
	assert_int_equal(stage_n_dials(), 0);
	client = open_lines();
	answer_value("1");
	client_leave(client);
	/* The session waits for its client, and listens. */
	for (int i = 0; i < 2; i++) {
		stage_pass_ms(1000);
		answer_value("1");
	}
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	stage_pass_ms(2000);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	if (stage_n_dials() == 4)
		answer_value("1");
	stage_pass_ms(60000);
	assert_in_range(stage_n_dials(), 3, 4);
	/* What was known is too old by now. */
	client = open_lines();
	assert_int_equal(client_status(client), 0);
	answer_value("9");
	assert_string_equal(after_prelude(client), "{\"seq\":1,\"text\":\"9\"}\n");
}

static void close_session(struct client *stream)
{
	const char *id = stage_session(stream);

	assert_int_equal(
		client_status(client_request("DELETE", stage_text("/chat/~%s", id), "", NULL)),
		204);
}

static void a_poll_under_way_is_finished_and_kept(void **state)
{
	struct client *client, *next;
	struct peer *peer;

	(void)state;
	stage_open(POLL);
	client = open_lines();
	answer_value("1");
	stage_pass_ms(1000);
	peer = peer_next();
	close_session(client);
	peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" JSON "\r\n2");
	stage_pass_ms(900);
	next = open_lines();
	assert_string_equal(after_prelude(next), "{\"seq\":1,\"text\":\"2\"}\n");
	assert_int_equal(stage_n_dials(), 2);
	close_session(next);
	/* An interval after its start it is forgotten. */
	stage_pass_ms(100);
	next = open_lines();
	assert_int_equal(client_status(next), 0);
	assert_int_equal(stage_n_dials(), 3);
}

static void who_comes_and_goes_causes_no_more_polls(void **state)
{
	(void)state;
	stage_open(POLL);
	for (int i = 0; i < 100; i++) {
		struct client *client = open_lines();

		if (i % 10 == 0)
			answer_value("1");
		assert_string_equal(after_prelude(client), "{\"seq\":1,\"text\":\"1\"}\n");
		close_session(client);
		assert_int_equal(stage_n_dials(), (size_t)(i / 10 + 1));
		stage_pass_ms(100);
	}
}

static void has_answer(struct client *client, unsigned status, const char *body)
{
	assert_int_equal(client_status(client), status);
	assert_string_equal(client_body(client), body);
}

static void the_first_is_refused_with_the_backends_answer(void **state)
{
	struct client *client;

	(void)state;
	stage_open(POLL);
	client = open_lines();
	answer("404 Not Found",
		"Content-Type: text/x\r\nSet-Cookie: everybodys=1\r\nX-Other: 1\r\n"
		"WWW-Authenticate: Basic\r\n",
		"no such prices");
	has_answer(client, 404, "no such prices");
	assert_string_equal(client_field(client, "Content-Type"), "text/x");
	assert_string_equal(client_field(client, "WWW-Authenticate"), "Basic");
	assert_null(client_field(client, "Set-Cookie"));
	assert_null(client_field(client, "X-Other"));
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
	/* Until the next poll may be, others get the same. */
	stage_pass_ms(999);
	has_answer(open_lines(), 404, "no such prices");
	assert_int_equal(stage_n_dials(), 1);
	stage_pass_ms(1);
	client = open_lines();
	assert_int_equal(client_status(client), 0);
	answer_value("1");
	assert_string_equal(after_prelude(client), "{\"seq\":1,\"text\":\"1\"}\n");
}

static void many_refusals_do_not_put_an_opening_off(void **state)
{
	(void)state;
	stage_open(POLL);
	for (int i = 0; i < 20; i++) {
		struct client *client = open_lines();

		answer("500 Oh", "", "oh");
		has_answer(client, 500, "oh");
		stage_pass_ms(1000);
	}
}

static void a_backend_that_cannot_be_reached(void **state)
{
	struct client *client;

	(void)state;
	stage_open(POLL);
	client = open_lines();
	peer_refuse_next();
	assert_int_equal(client_status(client), 502);
	stage_pass_ms(1000);
	client = open_lines();
	peer_end(peer_next());
	assert_int_equal(client_status(client), 502);
	stage_pass_ms(1000);
	client = open_lines();
	(void)peer_next();
	stage_pass_ms(4999);
	assert_int_equal(client_status(client), 0);
	stage_pass_ms(1);
	assert_int_equal(client_status(client), 504);
	stage_pass_ms(1000);
	client = open_lines();
	peer_send(peer_next(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf");
	stage_pass_ms(5000);
	assert_int_equal(client_status(client), 502);
}

static void answers_without_a_value(void **state)
{
	static const char *const answers[] = {
		"202 Accepted", "206 Partial Content", "304 Not Modified", "201 Created"};
	struct client *client;

	(void)state;
	stage_open(POLL);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		client = open_lines();
		answer(answers[i], "", "");
		assert_int_equal(client_status(client), 502);
		stage_pass_ms(1000);
	}
	client = open_lines();
	answer("200 OK", "Content-Encoding: gzip\r\n", "zip");
	assert_int_equal(client_status(client), 502);
	stage_pass_ms(1000);
	client = open_lines();
	peer_send(peer_next(), "not HTTP\r\n\r\n");
	assert_int_equal(client_status(client), 502);
}

static void listeners_stay_through_failures(void **state)
{
	struct client *lines, *late;
	struct peer *peer;
	size_t n;

	(void)state;
	stage_open(POLL "heartbeat = 1h\n");
	lines = open_lines();
	answer("200 OK", JSON "ETag: \"1\"\r\n", "1");
	assert_string_equal(after_prelude(lines), "{\"seq\":1,\"text\":\"1\"}\n");
	(void)wait_for_poll();
	answer("500 Oh", "", "oh");
	(void)wait_for_poll();
	peer_refuse_next();
	(void)wait_for_poll();
	answer("404 Not Found", "", "gone");
	(void)wait_for_poll();
	peer_end(peer_next());
	(void)wait_for_poll();
	(void)peer_next(); /* runs into the timeout */
	stage_pass_ms(5000);
	streams(lines, "");
	/* Newcomers get what the others have. */
	n = stage_n_dials();
	late = open_lines();
	assert_string_equal(after_prelude(late), "{\"seq\":1,\"text\":\"1\"}\n");
	assert_int_equal(stage_n_dials(), n);
	(void)wait_for_poll();
	peer = answer("200 OK", JSON, "2");
	has(peer, "If-None-Match: \"1\"\r\n");
	streams(lines, "{\"seq\":2,\"text\":\"2\"}\n");
	streams(late, "{\"seq\":2,\"text\":\"2\"}\n");
	assert_int_equal(wait_for_poll(), 1000);
}

static void failures_are_retried_ever_more_seldom(void **state)
{
	static const uint64_t least[] = {1000, 2000, 4000, 4000, 4000};
	struct client *lines;

	(void)state;
	stage_open(POLL "heartbeat = 1h\n");
	lines = open_lines();
	answer_value("1");
	assert_int_equal(wait_for_poll(), 1000);
	for (size_t i = 0; i < ARRAY_LEN(least); i++) {
		answer("503 Busy", "", "");
		assert_in_range(wait_for_poll(), least[i], 2 * least[i]);
	}
	answer_value("1");
	assert_int_equal(wait_for_poll(), 1000);
	assert_string_equal(after_prelude(lines), "{\"seq\":1,\"text\":\"1\"}\n");
}

static void retry_after_is_obeyed(void **state)
{
	struct client *client;

	(void)state;
	stage_open(POLL);
	client = open_lines();
	answer("503 Busy", "Retry-After: 20\r\n", "");
	assert_string_equal(client_field(client, "Retry-After"), "20");
	stage_pass_ms(4500);
	client = open_lines();
	assert_int_equal(client_status(client), 503);
	/* What is left of it. */
	assert_string_equal(client_field(client, "Retry-After"), "16");
	stage_pass_ms(15499);
	assert_int_equal(client_status(open_lines()), 503);
	assert_int_equal(stage_n_dials(), 1);
	stage_pass_ms(1);
	client = open_lines();
	assert_int_equal(stage_n_dials(), 2);
	answer_value("1");
	read_prelude(client);
	stage_pass_ms(1000);
	answer("429 Slow down", "Retry-After: 20\r\n", "");
	stage_pass_ms(19999);
	assert_int_equal(stage_n_dials(), 3);
	stage_pass_ms(1);
	assert_int_equal(stage_n_dials(), 4);
}

static void nothing_is_something_to_wait_for(void **state)
{
	struct client *client, *late;

	(void)state;
	stage_open(POLL);
	client = open_lines();
	peer_send(peer_next(), "HTTP/1.1 204 No Content\r\n\r\n");
	assert_string_equal(after_prelude(client), "");
	stage_pass_ms(1000);
	answer("200 OK", JSON "ETag: \"1\"\r\n", "1");
	streams(client, "{\"seq\":1,\"text\":\"1\"}\n");
	stage_pass_ms(1000);
	peer_send(peer_next(), "HTTP/1.1 204 No Content\r\n\r\n");
	late = open_lines();
	assert_string_equal(after_prelude(late), "");
	/* For the first it has not changed; the second has not had it. */
	stage_pass_ms(1000);
	answer("304 Not Modified", "", "");
	streams(client, "");
	streams(late, "{\"seq\":1,\"text\":\"1\"}\n");
}

static void too_large_an_answer_is_a_failure(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	stage_open(POLL "max_message_size = 8\n");
	client = open_lines();
	answer_value("123456789");
	assert_int_equal(client_status(client), 502);
	stage_pass_ms(1000);
	client = open_lines();
	peer = peer_next();
	peer_send(peer,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" JSON "\r\n8\r\n12345678\r\n");
	assert_int_equal(client_status(client), 0);
	peer_send(peer, "1\r\n9\r\n");
	assert_int_equal(client_status(client), 502);
	assert_true(peer_is_closed(peer));
	stage_pass_ms(1000);
	client = open_lines();
	answer_value("12345678");
	assert_string_equal(after_prelude(client), "{\"seq\":1,\"text\":\"12345678\"}\n");
	stage_pass_ms(1000);
	answer_value("123456789");
	streams(client, "");
}

static void clients_may_not_send(void **state)
{
	struct client *stream, *client;
	const char *url;

	(void)state;
	stage_open(POLL);
	has_answer(
		client_request("POST", "/chat", "", "hello"), 409, "{\"error\":\"read only\"}\n");
	assert_int_equal(stage_n_dials(), 0);
	stream = open_lines();
	answer_value("1");
	url = stage_text("/chat/~%s", stage_session(stream));
	client = client_request("POST", url, "", "hello");
	has_answer(client, 405, "{\"error\":\"read only\"}\n");
	assert_string_equal(client_field(client, "Allow"), "GET, DELETE, OPTIONS");
	assert_int_equal(client_status(client_request("POST", url, "", "")), 405);
	read_prelude(stream);
	streams(stream, "");
	assert_int_equal(
		client_status(client_request("POST", stage_text("%s?close", url), "", "")), 204);
	streams(stream,
		"{\"seq\":2,\"closed\":{\"code\":1000,\"reason\":\"\",\"undelivered\":0}}\n");
}

static void a_post_without_a_body_opens(void **state)
{
	struct client *client;
	const char *url;

	(void)state;
	stage_open(POLL);
	client = client_request("POST", "/chat", "Pollux-Seq: 1\r\n", "");
	answer_value("1");
	assert_int_equal(client_status(client), 201);
	url = stage_text("/chat/~%s?after=", stage_session(client));
	client = client_request("GET", stage_text("%s0", url), "", NULL);
	assert_non_null(strstr(client_body(client), "\"messages\":[{\"seq\":1,\"text\":\"1\"}]"));
	client = client_request("GET", stage_text("%s1", url), "", NULL);
	assert_int_equal(client_status(client), 0);
	stage_pass_ms(1000);
	answer_value("2");
	assert_non_null(strstr(client_body(client), "\"messages\":[{\"seq\":2,\"text\":\"2\"}]"));
}

/* Two small values fill it: each costs what surrounds it as well. */
static void open_with_small_queue(void)
{
	char options[512];

	(void)snprintf(options, sizeof(options), POLL "queue = %zu\nmax_message_size = 100\n",
		2 * sizeof(struct message));
	stage_open(options);
}

static void a_session_that_does_not_keep_up_is_closed(void **state)
{
	struct client *client;
	const char *url;

	(void)state;
	open_with_small_queue();
	client = client_request("POST", "/chat", "", "");
	answer_value("1");
	url = stage_text("/chat/~%s?after=", stage_session(client));
	for (int i = 2; i <= 9; i++) {
		stage_pass_ms(1000);
		if (stage_n_dials() == (size_t)i)
			answer_value(stage_text("%d", i));
	}
	client = client_request("GET", stage_text("%s0", url), "", NULL);
	assert_non_null(strstr(client_body(client),
		"\"cursor\":3,\"messages\":[{\"seq\":1,\"text\":\"1\"},{\"seq\":2,\"text\":\"2\"}],"
		"\"closed\":{\"code\":1013,\"reason\":\"too slow\",\"undelivered\":0}}"));
}

static void a_session_that_keeps_up_is_not(void **state)
{
	struct client *client;
	const char *url;

	(void)state;
	open_with_small_queue();
	client = client_request("POST", "/chat", "", "");
	answer_value("1");
	url = stage_text("/chat/~%s?after=", stage_session(client));
	for (int i = 2; i <= 20; i++) {
		client = client_request("GET", stage_text("%s%d", url, i - 2), "", NULL);
		assert_non_null(strstr(client_body(client),
			stage_text("\"messages\":[{\"seq\":%d,\"text\":\"%d\"}]}", i - 1, i - 1)));
		stage_pass_ms(1000);
		answer_value(stage_text("%d", i));
	}
}

/* Many hold the same payload; each goes at its own time. */
static void large_values_are_shared(void **state)
{
	enum { N = 20, SIZE = 5000 };
	static char value[SIZE + 1];
	struct client *clients[N];

	(void)state;
	stage_open(POLL);
	memset(value, 'x', SIZE);
	for (int i = 0; i < N; i++)
		clients[i] = open_lines();
	answer_value(value);
	value[0] = 'y';
	stage_pass_ms(1000);
	for (int i = 0; i < N; i += 2)
		client_leave(clients[i]);
	answer_value(value);
	for (int i = 1; i < N; i += 2) {
		const char *body = after_prelude(clients[i]);

		assert_int_equal(strlen(body), 2 * (SIZE + strlen("{\"seq\":1,\"text\":\"\"}\n")));
		assert_non_null(strstr(body, "{\"seq\":2,\"text\":\"yxxx"));
	}
	for (int i = 0; i < N; i += 2)
		clients[i] = client_request(
			"GET", stage_text("/chat/~%s", stage_session(clients[i])), LINES, NULL);
}

static void leaving_ends_it(void **state)
{
	struct client *client;

	(void)state;
	stage_open(POLL);
	client = open_lines();
	answer_value("1");
	read_prelude(client);
	stage_pass_ms(1000);
	(void)peer_next();
	bridge_drain(stage_bridge(), NULL);
	stage_pass_ms(0);
	assert_true(client_is_done(client));
	assert_true(bridge_is_idle(stage_bridge()));
	assert_int_equal(client_status(open_lines()), 503);
}

static void an_opening_that_is_given_up(void **state)
{
	struct client *client, *other;

	(void)state;
	stage_open(POLL);
	client = open_lines();
	other = open_lines();
	client_leave(client);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 1);
	answer_value("1");
	assert_string_equal(after_prelude(other), "{\"seq\":1,\"text\":\"1\"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(one_request_serves_all, stage_tear_down),
		cmocka_unit_test_teardown(changes_come_and_nothing_else, stage_tear_down),
		cmocka_unit_test_teardown(who_comes_later_gets_the_value_at_once, stage_tear_down),
		cmocka_unit_test_teardown(the_tag_is_sent_back, stage_tear_down),
		cmocka_unit_test_teardown(without_a_tag_the_date_is, stage_tear_down),
		cmocka_unit_test_teardown(never_two_polls_at_a_time, stage_tear_down),
		cmocka_unit_test_teardown(
			it_is_polled_only_while_somebody_listens, stage_tear_down),
		cmocka_unit_test_teardown(a_poll_under_way_is_finished_and_kept, stage_tear_down),
		cmocka_unit_test_teardown(who_comes_and_goes_causes_no_more_polls, stage_tear_down),
		cmocka_unit_test_teardown(
			the_first_is_refused_with_the_backends_answer, stage_tear_down),
		cmocka_unit_test_teardown(many_refusals_do_not_put_an_opening_off, stage_tear_down),
		cmocka_unit_test_teardown(a_backend_that_cannot_be_reached, stage_tear_down),
		cmocka_unit_test_teardown(answers_without_a_value, stage_tear_down),
		cmocka_unit_test_teardown(listeners_stay_through_failures, stage_tear_down),
		cmocka_unit_test_teardown(failures_are_retried_ever_more_seldom, stage_tear_down),
		cmocka_unit_test_teardown(retry_after_is_obeyed, stage_tear_down),
		cmocka_unit_test_teardown(nothing_is_something_to_wait_for, stage_tear_down),
		cmocka_unit_test_teardown(too_large_an_answer_is_a_failure, stage_tear_down),
		cmocka_unit_test_teardown(clients_may_not_send, stage_tear_down),
		cmocka_unit_test_teardown(a_post_without_a_body_opens, stage_tear_down),
		cmocka_unit_test_teardown(
			a_session_that_does_not_keep_up_is_closed, stage_tear_down),
		cmocka_unit_test_teardown(a_session_that_keeps_up_is_not, stage_tear_down),
		cmocka_unit_test_teardown(large_values_are_shared, stage_tear_down),
		cmocka_unit_test_teardown(leaving_ends_it, stage_tear_down),
		cmocka_unit_test_teardown(an_opening_that_is_given_up, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
