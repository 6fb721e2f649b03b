/* Openings: which requests make a session, what the backend is told, and what a refusal looks like.
 */
#include "tests/unit/bridge/stage.h"

#define EVENTS "Accept: text/event-stream\r\n"
#define LINES "Accept: application/x-ndjson\r\n"

static struct client *get(const char *target, const char *fields)
{
	return client_request("GET", target, fields, NULL);
}

static struct client *post(const char *target, const char *fields, const char *body)
{
	return client_request("POST", target, fields, body);
}

static void has_field(struct client *client, const char *name, const char *value)
{
	const char *field = client_field(client, name);

	assert_non_null(field);
	assert_string_equal(field, value);
}

static void lacks_field(struct client *client, const char *name)
{
	assert_null(client_field(client, name));
}

static void has_answer(struct client *client, unsigned status, const char *body)
{
	assert_int_equal(client_status(client), status);
	assert_string_equal(client_body(client), body);
	has_field(client, "Cache-Control", "no-store");
	has_field(client, "Referrer-Policy", "no-referrer");
	assert_true(client_is_done(client));
}

static void a_post_creates_a_session(void **state)
{
	struct client *client;
	struct peer *peer;
	const char *id;

	(void)state;
	stage_open("");
	client = post("/chat/room?a=1&wait=5&b", "", "hello");
	peer = peer_next();
	assert_non_null(strstr(peer_request(peer), "GET /chat/room?a=1&b HTTP/1.1\r\n"));
	assert_int_equal(client_status(client), 0);
	peer_accept(peer, "");
	id = stage_session(client);
	assert_int_equal(strlen(id), 3 + 22);
	assert_memory_equal(id, "w1.", 3);
	has_answer(client, 201,
		stage_text("{\"session\":\"%s\",\"next\":\"/chat/room/~%s?after=0\","
			   "\"cursor\":0,\"messages\":[]}\n",
			id, id));
	has_field(client, "Location", stage_text("/chat/room/~%s", id));
	has_field(client, "Pollux-Cursor", "0");
	has_field(client, "Pollux-Seq", "0");
	has_field(client, "Content-Type", "application/json");
	assert_string_equal(peer_received(peer), "text hello\n");
}

static void a_post_without_a_body_sends_nothing(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	stage_open("");
	client = post("/chat", "Content-Type: image/png\r\n", NULL);
	peer = peer_open();
	assert_int_equal(client_status(client), 201);
	assert_string_equal(peer_received(peer), "");
	client = post("/chat", "", "");
	peer = peer_open();
	assert_int_equal(client_status(client), 201);
	assert_string_equal(peer_received(peer), "");
}

static void an_opening_post_may_be_numbered_1(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = post("/chat", "Pollux-Seq: 1\r\n", "a");
	(void)peer_open();
	assert_int_equal(client_status(client), 201);
	has_field(client, "Pollux-Seq", "1");
	client = post("/chat", "Pollux-Seq: 1\r\n", NULL);
	(void)peer_open();
	has_field(client, "Pollux-Seq", "1");
	client = post("/chat", "Pollux-Seq: 2\r\n", "a");
	has_answer(client, 409, "{\"error\":\"gap\",\"expected\":1}\n");
	has_field(client, "Pollux-Seq", "0");
	assert_int_equal(client_status(post("/chat", "Pollux-Seq: 0\r\n", "a")), 400);
	assert_int_equal(client_status(post("/chat", "Pollux-Seq: x\r\n", "a")), 400);
	assert_int_equal(stage_n_dials(), 2);
}

static void a_created_session_may_be_told_as_text(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = post("/chat", "Accept: text/plain\r\n", "a");
	(void)peer_open();
	has_answer(client, 201, stage_text("http://a.example/chat/~%s\n", stage_session(client)));
}

static void a_body_that_is_no_message_opens_nothing(void **state)
{
	(void)state;
	stage_open("max_message_size = 8\n");
	has_answer(post("/chat", "Content-Type: image/png\r\n", "x"), 415,
		"{\"error\":\"content type\"}\n");
	has_answer(post("/chat", "Content-Encoding: gzip\r\n", "x"), 415,
		"{\"error\":\"content type\"}\n");
	has_answer(post("/chat", "", "\xff"), 400, "{\"error\":\"utf-8\"}\n");
	has_answer(post("/chat", "", "123456789"), 413, "{\"error\":\"too big\"}\n");
	assert_int_equal(stage_n_dials(), 0);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_body_that_is_cut_opens_nothing(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = client_new();
	client_send(client, "POST /chat HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
	client_leave(client);
	assert_int_equal(stage_n_dials(), 0);
}

static void only_openings_and_sessions_are_the_bridges(void **state)
{
	static const char *const forwarded[][2] = {{"GET", ""}, {"GET", "Accept: */*\r\n"},
		{"GET", "Accept: text/*\r\n"}, {"GET", "Prefer: respond-async\r\n"},
		{"GET", "Prefer: wait=x\r\n"}, {"HEAD", EVENTS}, {"PUT", ""}, {"DELETE", ""},
		{"PATCH", EVENTS}};
	struct client *client;

	(void)state;
	stage_open("");
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++) {
		client = client_request(forwarded[i][0], "/chat", forwarded[i][1], NULL);
		assert_int_equal(client_status(client), 299);
	}
	assert_int_equal(stage_n_forwarded(), ARRAY_LEN(forwarded));
	has_answer(get("/chat/", EVENTS), 404, "{\"error\":\"unknown session\"}\n");
	has_answer(get("/chat/~none", ""), 404, "{\"error\":\"unknown session\"}\n");
	has_answer(get("/chat/~none", EVENTS), 404, "{\"error\":\"unknown session\"}\n");
	has_answer(post("/chat/~none", "", "a"), 404, "{\"error\":\"unknown session\"}\n");
	has_answer(client_request("DELETE", "/chat/~none", "", NULL), 404,
		"{\"error\":\"unknown session\"}\n");
	has_answer(client_request("PUT", "/chat/~none", "", NULL), 405, "{\"error\":\"method\"}\n");
	/* A body would stand where the next answer is awaited (RFC 9110 section 9.3.2). */
	client = client_request("HEAD", "/chat/~none", "", NULL);
	assert_int_equal(client_status(client), 405);
	assert_string_equal(client_field(client, "Content-Length"), "19");
	assert_string_equal(client_body(client), "");
	has_answer(get("/chat?wait=x", ""), 400, "{\"error\":\"wait\"}\n");
	assert_int_equal(stage_n_dials(), 0);
}

static void a_session_is_found_on_its_own_path_only(void **state)
{
	struct client *client;
	const char *id;

	(void)state;
	stage_open("");
	client = post("/chat/a", "", NULL);
	(void)peer_open();
	id = stage_session(client);
	assert_int_equal(client_status(get(stage_text("/chat/b/~%s", id), "")), 404);
	assert_int_equal(client_status(get(stage_text("/chat/~%s", id), "")), 404);
	assert_int_equal(client_status(get(stage_text("/chat/a//~%s", id), "")), 404);
	assert_int_equal(client_status(post(stage_text("/chat/b/~%s", id), "", "x")), 404);
	assert_int_equal(client_status(post(stage_text("/chat/a/~%s", id), "", "x")), 204);
}

static void the_handshake_carries_what_the_client_said(void **state)
{
	struct peer *peer;
	const char *head;

	(void)state;
	stage_open("forwarded = \"x-forwarded\"\n");
	(void)get("/chat?as=json&q=1",
		EVENTS "Cookie: a=b\r\nAuthorization: Basic xyz\r\nOrigin: http://a.example\r\n"
		       "User-Agent: me\r\nAccept-Language: de\r\n"
		       "Sec-WebSocket-Protocol: chat.v1, chat.v2\r\nX-Own: 1\r\n"
		       "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Other: 7\r\nReferer: r\r\n"
		       "Accept-Encoding: br\r\nLast-Modified: x\r\nPragma: p\r\n");
	peer = peer_next();
	head = peer_request(peer);
	assert_memory_equal(head, "GET /chat?q=1 HTTP/1.1\r\n", 24);
	assert_non_null(strstr(head, "Host: a.example\r\n"));
	assert_non_null(strstr(head, "Cookie: a=b\r\n"));
	assert_non_null(strstr(head, "Authorization: Basic xyz\r\n"));
	assert_non_null(strstr(head, "Origin: http://a.example\r\n"));
	assert_non_null(strstr(head, "User-Agent: me\r\n"));
	assert_non_null(strstr(head, "Accept-Language: de\r\n"));
	assert_non_null(strstr(head, "Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n"));
	assert_non_null(strstr(head, "Sec-WebSocket-Version: 13\r\n"));
	assert_non_null(strstr(head, "X-Own: 1\r\n"));
	assert_non_null(strstr(head, "X-Forwarded-Proto: http\r\n"));
	assert_null(strstr(head, "6.6.6.6"));
	assert_null(strstr(head, "X-Forwarded-Other"));
	assert_null(strstr(head, "Referer"));
	assert_null(strstr(head, "Accept-Encoding"));
	assert_null(strstr(head, "Extensions"));
	assert_null(strstr(head, "Accept: "));
	assert_null(strstr(head, "Pragma"));
}

static void the_chosen_protocol_and_cookies_come_back(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = get("/chat", EVENTS "Sec-WebSocket-Protocol: a, b\r\n");
	peer_accept(peer_next(), "Sec-WebSocket-Protocol: b\r\nSet-Cookie: s=1\r\nX-Other: 1\r\n");
	assert_int_equal(client_status(client), 200);
	has_field(client, "Sec-WebSocket-Protocol", "b");
	has_field(client, "Set-Cookie", "s=1");
	lacks_field(client, "X-Other");
	client = get("/chat?wait=0", "Sec-WebSocket-Protocol: a\r\n");
	peer_accept(peer_next(), "Sec-WebSocket-Protocol: a\r\n");
	has_field(client, "Sec-WebSocket-Protocol", "a");
}

static void a_wrong_handshake_of_the_backend_is_502(void **state)
{
	static const char *const fields[] = {"Sec-WebSocket-Protocol: c\r\n",
		"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n",
		"Sec-WebSocket-Extensions: permessage-deflate\r\n",
		"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"};
	static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"nonsense\r\n\r\n"};

	(void)state;
	stage_open("");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct client *client = get("/chat", EVENTS "Sec-WebSocket-Protocol: a, b\r\n");

		peer_accept(peer_next(), fields[i]);
		assert_int_equal(client_status(client), 502);
	}
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct client *client = get("/chat", EVENTS);

		peer_send(peer_next(), answers[i]);
		assert_int_equal(client_status(client), 502);
	}
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_refusal_is_passed_on(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = get("/chat?wait=1", "");
	peer_send(peer_next(),
		"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/x-why\r\n"
		"WWW-Authenticate: Basic realm=\"a\"\r\nLocation: /login\r\nRetry-After: 7\r\n"
		"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: x\r\nX-Other: 1\r\n"
		"Transfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n1\r\n?\r\n0\r\n\r\n");
	has_answer(client, 401, "who?");
	has_field(client, "Content-Type", "text/x-why");
	has_field(client, "WWW-Authenticate", "Basic realm=\"a\"");
	has_field(client, "Location", "/login");
	has_field(client, "Retry-After", "7");
	has_field(client, "Set-Cookie", "a=1");
	lacks_field(client, "Server");
	lacks_field(client, "X-Other");
	lacks_field(client, "Pollux-Session");
	client = post("/chat", "", "x");
	peer_send(peer_next(), "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
	has_answer(client, 302, "");
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_backend_that_cannot_be_reached_is_502_and_a_silent_one_504(void **state)
{
	struct client *client;

	(void)state;
	stage_open("");
	client = get("/chat", LINES);
	peer_refuse_next();
	assert_int_equal(client_status(client), 502);
	client = get("/chat", EVENTS);
	(void)peer_next();
	stage_pass_ms(600000);
	assert_int_equal(client_status(client), 504);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

static void a_returning_event_stream_is_never_stopped(void **state)
{
	struct client *client;

	(void)state;
	stage_open("max_sessions = 1\n");
	client = get("/chat", EVENTS "Last-Event-ID: w1.gone.3\r\n");
	peer_refuse_next();
	has_answer(client, 200, "retry: 5000\n\n");
	has_field(client, "Content-Type", "text/event-stream");
	client = get("/chat", EVENTS "Last-Event-ID: w1.gone.3\r\n");
	peer_send(peer_next(), "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
	has_answer(client, 200, "retry: 5000\n\n");
	client = get("/chat", EVENTS "Last-Event-ID: w1.gone.3\r\n");
	peer_send(peer_next(), "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(client_status(client), 403);
	client = get("/chat", LINES "Last-Event-ID: w1.gone.3\r\n");
	peer_refuse_next();
	assert_int_equal(client_status(client), 502);
	(void)post("/chat", "", NULL);
	(void)peer_open();
	client = get("/chat", EVENTS "Last-Event-ID: w1.gone.3\r\n");
	has_answer(client, 200, "retry: 5000\n\n");
	client = get("/chat", LINES "Last-Event-ID: w1.gone.3\r\n");
	assert_int_equal(client_status(client), 503);
}

static void sessions_are_capped(void **state)
{
	struct client *client, *other;
	struct peer *peer;

	(void)state;
	stage_open("max_sessions = 2\n");
	client = post("/chat", "", NULL);
	peer = peer_open();
	(void)post("/chat", "", NULL);
	(void)peer_open();
	other = post("/chat", "", NULL);
	has_answer(other, 503, "{\"error\":\"too many sessions\"}\n");
	has_field(other, "Retry-After", "1");
	/* A closed one does not count, though it is remembered. */
	peer_close(peer, 1000, "");
	other = post("/chat", "", NULL);
	(void)peer_open();
	assert_int_equal(client_status(other), 201);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 3);
	assert_int_equal(client_status(client), 201);
}

static void closed_sessions_are_capped_too(void **state)
{
	const char *ids[3];

	(void)state;
	stage_open("max_sessions = 2\n");
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct client *client = post("/chat", "", NULL);
		struct peer *peer = peer_open();

		ids[i] = stage_session(client);
		peer_close(peer, 1000, "");
	}
	assert_int_equal(bridge_n_sessions(stage_bridge()), 2);
	assert_int_equal(client_status(post(stage_text("/chat/~%s", ids[0]), "", "x")), 404);
	assert_int_equal(client_status(post(stage_text("/chat/~%s", ids[1]), "", "x")), 410);
	assert_int_equal(client_status(post(stage_text("/chat/~%s", ids[2]), "", "x")), 410);
}

static void what_is_not_understood_is_the_sessions_all_the_same(void **state)
{
	struct client *client;
	const char *id;

	(void)state;
	stage_open("linger = \"5s\"\n");
	client = post("/chat", "", NULL);
	(void)peer_open();
	id = stage_session(client);
	for (int i = 0; i < 4; i++) {
		stage_pass_ms(4000);
		client = get(stage_text("/chat/~%s?wait=x", id), "");
		has_answer(client, 400, "{\"error\":\"wait\"}\n");
		has_field(client, "Pollux-Session", id);
		has_field(client, "Pollux-Cursor", "0");
		client = client_request("PUT", stage_text("/chat/~%s", id), "", NULL);
		has_answer(client, 405, "{\"error\":\"method\"}\n");
		has_field(client, "Pollux-Session", id);
		has_field(client, "Allow", "GET, POST, DELETE, OPTIONS");
	}
}

static void sessions_are_capped_by_address(void **state)
{
	(void)state;
	stage_open("max_sessions_per_address = 1\n");
	(void)post("/chat", "", NULL);
	(void)peer_open();
	assert_int_equal(client_status(post("/chat", "", NULL)), 503);
}

static void a_client_that_goes_while_the_feed_is_dialled_takes_it_along(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	stage_open("");
	client = get("/chat", EVENTS);
	peer = peer_next();
	client_leave(client);
	assert_true(peer_is_closed(peer));
	assert_int_equal(bridge_n_sessions(stage_bridge()), 0);
}

#define KEY "Idempotency-Key: k1\r\n"

static void an_opening_with_a_key_happens_once(void **state)
{
	struct client *client, *other;
	struct peer *peer;
	const char *id;

	(void)state;
	stage_open("linger = \"30s\"\n");
	client = post("/chat", KEY, "hello");
	peer = peer_next();
	/* While it is under way, and with the first client gone. */
	other = post("/chat", KEY, "hello");
	client_leave(client);
	peer_accept(peer, "Set-Cookie: s=1\r\n");
	assert_int_equal(client_status(other), 201);
	has_field(other, "Set-Cookie", "s=1");
	id = stage_session(other);
	stage_pass_ms(29000);
	client = post("/chat", KEY, "hello");
	assert_int_equal(client_status(client), 201);
	has_field(client, "Pollux-Session", id);
	has_field(client, "Set-Cookie", "s=1");
	assert_string_equal(peer_received(peer), "text hello\n");
	/* Linger after the answer the key is free, and the session lives. */
	stage_pass_ms(2000);
	client = post("/chat", KEY, "hello");
	(void)peer_open();
	assert_string_not_equal(client_field(client, "Pollux-Session"), id);
	assert_int_equal(stage_n_dials(), 2);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 2);
}

static void a_key_holds_without_anybody_waiting(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	stage_open("");
	client = post("/chat", KEY, "hello");
	peer = peer_next();
	client_leave(client);
	peer_accept(peer, "");
	assert_string_equal(peer_received(peer), "text hello\n");
	client = post("/chat", KEY, "hello");
	assert_int_equal(client_status(client), 201);
	assert_string_equal(peer_received(peer), "");
	assert_int_equal(stage_n_dials(), 1);
}

static void keys_are_scoped_and_freed_by_failure(void **state)
{
	struct client *client;

	(void)state;
	stage_open("allowed_origins = {\"https://o.example\"}\n");
	client = post("/chat", KEY, NULL);
	peer_refuse_next();
	assert_int_equal(client_status(client), 502);
	(void)post("/chat", KEY, NULL);
	(void)peer_open();
	(void)post("/chat/b", KEY, NULL);
	(void)peer_open();
	(void)post("/chat", KEY "Cookie: a=1\r\n", NULL);
	(void)peer_open();
	(void)post("/chat", KEY "Authorization: a\r\n", NULL);
	(void)peer_open();
	(void)post("/chat", KEY "Origin: https://o.example\r\n", NULL);
	(void)peer_open();
	(void)post("/chat", "Idempotency-Key: k2\r\n", NULL);
	(void)peer_open();
	assert_int_equal(bridge_n_sessions(stage_bridge()), 6);
	(void)post("/chat", KEY "Cookie: a=1\r\n", NULL);
	assert_int_equal(bridge_n_sessions(stage_bridge()), 6);
	assert_int_equal(stage_n_dials(), 7);
}

static void streams_and_polls_may_have_keys(void **state)
{
	struct client *client, *other;
	struct peer *peer;
	const char *id;

	(void)state;
	stage_open("");
	client = get("/chat?wait=5", KEY);
	peer = peer_open();
	peer_text(peer, "a");
	id = stage_session(client);
	other = get("/chat?wait=5", KEY);
	assert_int_equal(client_status(other), 200);
	assert_string_equal(client_body(other), client_body(client));
	other = get("/chat", EVENTS KEY);
	assert_non_null(strstr(client_body(other), stage_text("id: %s.1\ndata: a\n\n", id)));
	assert_int_equal(stage_n_dials(), 1);
}

static void other_origins_are_refused_before_the_backend_is_dialled(void **state)
{
	static const char *const fields[] = {"Origin: https://evil.example\r\n",
		"Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n",
		"Origin: null\r\n", "Origin: https://a.example\r\n"};

	(void)state;
	stage_open("");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const char *accept = stage_text(EVENTS "%s", fields[i]);

		assert_int_equal(client_status(post("/chat", fields[i], "x")), 403);
		assert_int_equal(client_status(get("/chat", accept)), 403);
		assert_int_equal(client_status(get("/chat?wait=1", fields[i])), 403);
		assert_int_equal(
			client_status(client_request("OPTIONS", "/chat", fields[i], NULL)), 403);
		assert_int_equal(client_status(get("/chat", fields[i])), 299);
	}
	assert_int_equal(stage_n_dials(), 0);
	(void)post("/chat", "Origin: http://a.example\r\nSec-Fetch-Site: same-origin\r\n", "x");
	assert_int_equal(stage_n_dials(), 1);
	peer_refuse_next();
}

#define HANDSHAKE \
	"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void websocket_handshakes_pass_if_their_origin_may(void **state)
{
	(void)state;
	stage_open("allowed_origins = {\"https://o.example\"}\n");
	assert_int_equal(client_status(get("/chat", HANDSHAKE)), 299);
	assert_int_equal(
		client_status(get("/chat", HANDSHAKE "Origin: http://a.example\r\n")), 299);
	assert_int_equal(
		client_status(get("/chat", HANDSHAKE "Origin: https://o.example\r\n")), 299);
	assert_int_equal(client_status(get("/chat", HANDSHAKE "Origin: https://e\r\n")), 403);
	assert_int_equal(client_status(get("/chat/~none", HANDSHAKE)), 400);
}

static void listed_origins_get_cors_fields(void **state)
{
	struct client *client;
	const char *const origin = "Origin: https://o.example\r\nSec-Fetch-Site: cross-site\r\n";

	(void)state;
	stage_open("allowed_origins = {\"https://o.example\"}\n");
	client = post("/chat", origin, NULL);
	(void)peer_open();
	assert_int_equal(client_status(client), 201);
	has_field(client, "Access-Control-Allow-Origin", "https://o.example");
	has_field(client, "Access-Control-Allow-Credentials", "true");
	has_field(client, "Access-Control-Expose-Headers",
		"Pollux-Session, Pollux-Cursor, Pollux-Seq, Location, Link, Retry-After, "
		"Sec-WebSocket-Protocol");
	has_field(client, "Vary", "Origin");
	client = client_request("OPTIONS", "/chat/~w1.x", origin, NULL);
	has_answer(client, 204, "");
	has_field(client, "Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
	has_field(client, "Access-Control-Allow-Headers",
		"Pollux-Seq, Pollux-Ack, Pollux-Protocol, Idempotency-Key, Content-Type, "
		"Last-Event-ID, Prefer");
	client = client_request("OPTIONS", "/chat", "", NULL);
	has_answer(client, 204, "");
	lacks_field(client, "Access-Control-Allow-Methods");
	lacks_field(client, "Access-Control-Allow-Origin");
}

static void a_drain_refuses_new_sessions(void **state)
{
	struct client *client;
	struct peer *peer;

	(void)state;
	stage_open("");
	client = get("/chat", EVENTS);
	peer = peer_next();
	bridge_drain(stage_bridge(), NULL);
	stage_pass_ms(0);
	assert_int_equal(client_status(client), 503);
	assert_true(peer_is_closed(peer));
	assert_int_equal(client_status(post("/chat", "", "x")), 503);
	has_answer(get("/chat", EVENTS "Last-Event-ID: w1.a.1\r\n"), 200, "retry: 5000\n\n");
	assert_true(bridge_is_idle(stage_bridge()));
}

#define TEST(name) cmocka_unit_test_teardown(name, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_post_creates_a_session),
		TEST(a_post_without_a_body_sends_nothing),
		TEST(an_opening_post_may_be_numbered_1),
		TEST(a_created_session_may_be_told_as_text),
		TEST(a_body_that_is_no_message_opens_nothing),
		TEST(a_body_that_is_cut_opens_nothing),
		TEST(only_openings_and_sessions_are_the_bridges),
		TEST(a_session_is_found_on_its_own_path_only),
		TEST(the_handshake_carries_what_the_client_said),
		TEST(the_chosen_protocol_and_cookies_come_back),
		TEST(a_wrong_handshake_of_the_backend_is_502),
		TEST(a_refusal_is_passed_on),
		TEST(a_backend_that_cannot_be_reached_is_502_and_a_silent_one_504),
		TEST(a_returning_event_stream_is_never_stopped),
		TEST(sessions_are_capped),
		TEST(closed_sessions_are_capped_too),
		TEST(what_is_not_understood_is_the_sessions_all_the_same),
		TEST(sessions_are_capped_by_address),
		TEST(a_client_that_goes_while_the_feed_is_dialled_takes_it_along),
		TEST(an_opening_with_a_key_happens_once),
		TEST(a_key_holds_without_anybody_waiting),
		TEST(keys_are_scoped_and_freed_by_failure),
		TEST(streams_and_polls_may_have_keys),
		TEST(other_origins_are_refused_before_the_backend_is_dialled),
		TEST(websocket_handshakes_pass_if_their_origin_may),
		TEST(listed_origins_get_cors_fields),
		TEST(a_drain_refuses_new_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
