/* HTTP/2 from a client: requests to exchanges and back, stream by stream. */
#include "tests/unit/proxy/http/h2_server_world.h"

/* Life. */

static void the_server_says_what_it_takes(void **state)
{
	struct world *world = *state;
	const uint32_t *settings = world->peer->settings;

	assert_int_equal(world->peer->n_settings, 1);
	assert_int_equal(settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS], 100);
	assert_int_equal(settings[NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE], 65536);
	assert_int_equal(settings[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE], 8192);
	assert_int_equal(settings[NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL], 1);
	assert_int_equal(settings[NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES], 1);
	assert_int_equal(65535 + world->peer->credit, 1024 * 1024);
	assert_int_equal(world->peer->n_settings_acks, 1);
}

static void websockets_are_offered_where_there_are_any(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->listen.http2_websocket = false;
	start(world, NULL);
	assert_int_equal(world->peer->settings[NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL], 0);
	id = h2_peer_request(world->peer, CONNECT, false);
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(world->n_seen, 0);
	logged(world, "0 bad-request");
}

static void a_request_is_answered(void **state)
{
	struct world *world = *state;
	int32_t id = h2_peer_request(world->peer, GET "x-one=1\n", true);
	struct exchange *x;

	turn(world);
	x = world->seen[0].x;
	assert_int_equal(x->req->method, METHOD_GET);
	assert_true(x->req->is_http2);
	assert_true(slice_equals(x->req->authority, SLICE("a")));
	assert_non_null(fields_find_name(&x->req->fields, SLICE("x-one")));
	assert_true(world->seen[0].has_end);
	answer(world, 0, "hello");
	client_sees(world, "HEADERS(1) DATA(1) DATA(1)+END");
	assert_string_equal(h2_peer_stream(world->peer, id)->head, ":status=200\n");
	assert_string_equal(h2_peer_body(world->peer, id), "hello");
	logged(world, "200 none");
	assert_int_equal(world->n_response_body, 5);
	assert_non_null(world->server);
}

static void requests_are_answered_in_any_order(void **state)
{
	struct world *world = *state;

	(void)get(world);
	(void)get(world);
	(void)get(world);
	assert_int_equal(world->n_seen, 3);
	answer(world, 1, "two");
	respond(world, 2, 200);
	respond(world, 0, 200);
	give(world, 2, "thr");
	give(world, 0, "one");
	give(world, 2, "ee");
	give_end(world, 0);
	give_end(world, 2);
	assert_string_equal(h2_peer_body(world->peer, 1), "one");
	assert_string_equal(h2_peer_body(world->peer, 3), "two");
	assert_string_equal(h2_peer_body(world->peer, 5), "three");
	logged(world, "200 none, 200 none, 200 none");
}

static void the_owner_knows_whether_it_waits(void **state)
{
	struct world *world = *state;

	assert_int_equal(world->n_busy, 0);
	(void)get(world);
	(void)get(world);
	assert_int_equal(world->n_busy, 1);
	answer(world, 0, "");
	assert_int_equal(world->n_waiting, 0);
	answer(world, 1, "");
	assert_int_equal(world->n_waiting, 1);
	(void)get(world);
	assert_int_equal(world->n_busy, 2);
	h2_peer_reset(world->peer, 5, NGHTTP2_CANCEL);
	turn(world);
	assert_int_equal(world->n_waiting, 2);
}

/* What the worker does with a connection that began in HTTP/1.1's codec. */
static void bytes_that_came_before_are_read(void **state)
{
	struct world *world = *state;
	static const struct h2_peer_options silent = {.is_silent = true};

	world->peer = h2_peer_new(world->loop, world->fake, false, &silent);
	h2_peer_raw_preface(world->peer);
	h2_peer_raw_headers(world->peer, END, 1, GET);
	conn_set_reading(conn_fake_conn(world->fake), true);
	loop_advance(world->loop, 0);
	assert_int_equal(conn_fake_n_unread(world->fake), 0);
	h2_peer_free(world->peer);
	start(world, &silent);
	assert_int_equal(world->n_seen, 1);
	answer(world, 0, "ok");
	assert_string_equal(h2_peer_body(world->peer, 1), "ok");
}

/* Responses. */

static void a_response_without_a_body_ends_with_its_head(void **state)
{
	static const struct {
		unsigned status;
		const char *method;
	} rows[] = {{204, "GET"}, {304, "GET"}, {200, "HEAD"}};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char lines[128];
		struct response_head *head;

		(void)snprintf(lines, sizeof(lines),
			":method=%s\n:scheme=https\n:authority=a\n:path=/\n", rows[i].method);
		(void)h2_peer_request(world->peer, lines, true);
		turn(world);
		(void)h2_peer_frames(world->peer);
		head = new_head(world->seen[i].x, rows[i].status);
		head->body = BODY_NONE;
		head->has_content_length = rows[i].status != 204;
		head->content_length = 7;
		exchange_respond(world->seen[i].x, head);
		turn(world);
		assert_non_null(strstr(h2_peer_frames(world->peer), ")+END"));
		assert_int_equal(strstr(h2_peer_stream(world->peer, 1 + 2 * (int32_t)i)->head,
					 "content-length=7\n") != NULL,
			rows[i].status != 204);
	}
	logged(world, "204 none, 304 none, 200 none");
}

static void a_response_has_no_more_than_its_length(void **state)
{
	struct world *world = *state;
	int32_t id = get(world);

	respond_with_length(world, 0, 5);
	give(world, 0, "hel");
	give(world, 0, "lo, and more");
	assert_string_equal(h2_peer_body(world->peer, id), "hello");
	assert_true(h2_peer_stream(world->peer, id)->has_end);
	logged(world, "200 none");
	assert_int_equal(world->n_response_body, 5);
	id = get(world);
	respond_with_length(world, 1, 0);
	client_sees(world, "HEADERS(1) DATA(1) DATA(1)+END HEADERS(3)+END");
}

/* Its end must not look like one. */
static void a_response_with_less_than_its_length_is_reset(void **state)
{
	struct world *world = *state;
	int32_t id = get(world);

	respond_with_length(world, 0, 5);
	give(world, 0, "hel");
	give_end(world, 0);
	assert_string_equal(h2_peer_body(world->peer, id), "hel");
	assert_false(h2_peer_stream(world->peer, id)->has_end);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_INTERNAL_ERROR);
	assert_non_null(world->server);
}

static void interim_heads_come_first(void **state)
{
	struct world *world = *state;
	int32_t id = get(world);
	struct response_head hints = {.status = 103};

	fields_add(&hints.fields, &world->seen[0].x->arena, SLICE("Link"), SLICE("</a>"));
	exchange_respond_interim(world->seen[0].x, &hints);
	turn(world);
	exchange_respond_interim(world->seen[0].x, &hints);
	answer(world, 0, "ok");
	assert_string_equal(h2_peer_stream(world->peer, id)->interim,
		":status=103\nlink=</a>\n:status=103\nlink=</a>\n");
	assert_int_equal(h2_peer_stream(world->peer, id)->status, 200);
	client_sees(world, "HEADERS(1) HEADERS(1) HEADERS(1) DATA(1) DATA(1)+END");
}

static void a_client_that_waits_is_told_to_go_on(void **state)
{
	struct world *world = *state;
	int32_t id = h2_peer_request(world->peer, POST "expect=100-continue\n", false);

	turn(world);
	exchange_continue(world->seen[0].x);
	exchange_continue(world->seen[0].x);
	turn(world);
	assert_string_equal(h2_peer_stream(world->peer, id)->interim, ":status=100\n");
}

static void trailers_follow_the_body(void **state)
{
	struct world *world = *state;
	int32_t id = get(world);
	struct fields trailers = {0};

	fields_add(&trailers, &world->seen[0].x->arena, SLICE("X-Sum"), SLICE("5"));
	respond(world, 0, 200);
	give(world, 0, "body");
	world->seen[0].x->res_trailers = &trailers;
	give_end(world, 0);
	assert_string_equal(h2_peer_stream(world->peer, id)->trailers, "x-sum=5\n");
	assert_true(h2_peer_stream(world->peer, id)->has_end);
	client_sees(world, "HEADERS(1) DATA(1) HEADERS(1)+END");
	logged(world, "200 none");
}

/* Also where nothing of them may be sent. */
static void trailers_without_content_are_an_end(void **state)
{
	struct world *world = *state;
	int32_t id = get(world);
	struct fields trailers = {0};

	fields_add(&trailers, &world->seen[0].x->arena, SLICE("Connection"), SLICE("close"));
	respond(world, 0, 200);
	world->seen[0].x->res_trailers = &trailers;
	give_end(world, 0);
	assert_true(h2_peer_stream(world->peer, id)->has_end);
	logged(world, "200 none");
}

/* What there was still goes; the reset stands for the rest. */
static void an_aborted_response_is_reset(void **state)
{
	struct world *world = *state;
	int32_t id = get(world);

	respond(world, 0, 200);
	pipe_put_copy(&world->seen[0].x->res_body, "half", 4);
	pipe_abort(&world->seen[0].x->res_body);
	exchange_abort(world->seen[0].x, REASON_BACKEND_CUT);
	turn(world);
	client_sees(world, "HEADERS(1) DATA(1) RST_STREAM(1,INTERNAL_ERROR)");
	assert_string_equal(h2_peer_body(world->peer, id), "half");
	logged(world, "200 backend-cut");
	assert_non_null(world->server);
}

/* Whoever writes the body has only the pipe. */
static void a_pipe_that_breaks_off_is_a_reset(void **state)
{
	struct world *world = *state;

	(void)get(world);
	respond(world, 0, 200);
	give(world, 0, "half");
	pipe_abort(&world->seen[0].x->res_body);
	turn(world);
	client_sees(world, "HEADERS(1) DATA(1) RST_STREAM(1,INTERNAL_ERROR)");
	assert_null(world->seen[0].x);
}

static void an_abort_without_bytes_is_a_reset_at_once(void **state)
{
	struct world *world = *state;

	(void)get(world);
	respond(world, 0, 200);
	exchange_abort(world->seen[0].x, REASON_BACKEND_CUT);
	turn(world);
	client_sees(world, "HEADERS(1) RST_STREAM(1,INTERNAL_ERROR)");
	logged(world, "200 backend-cut");
}

static void an_abort_before_the_head_is_an_answer_if_it_has_a_status(void **state)
{
	struct world *world = *state;

	(void)get(world);
	exchange_abort(world->seen[0].x, REASON_BACKEND_GONE);
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, 1)->status, 502);
	assert_true(h2_peer_stream(world->peer, 1)->has_end);
	logged(world, "502 backend-gone");
	(void)get(world);
	exchange_abort(world->seen[1].x, REASON_READ_TIMEOUT);
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, 3)->error, NGHTTP2_INTERNAL_ERROR);
	logged(world, "0 read-timeout");
}

/* RFC 9113 section 8.1; the client has a while to see the response before the reset. */
static void a_response_before_the_end_of_the_request_ends_both(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "half");

	answer(world, 0, "enough");
	client_sees(world, "HEADERS(1) DATA(1) DATA(1)+END");
	assert_string_equal(h2_peer_body(world->peer, id), "enough");
	logged(world, "200 none");
	advance(world, 999);
	client_sees(world, "");
	advance(world, 1);
	client_sees(world, "RST_STREAM(1,NO_ERROR)");
	/* What was on its way is no error. */
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, 0, id, "late", 4);
	turn(world);
	assert_non_null(world->server);
	client_sees(world, "");
	(void)get(world);
	answer(world, 1, "next");
	assert_string_equal(h2_peer_body(world->peer, 3), "next");
}

static void a_request_that_ends_soon_behind_its_response_is_not_reset(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "half");

	answer(world, 0, "enough");
	client_sees(world, "HEADERS(1) DATA(1) DATA(1)+END");
	advance(world, 500);
	h2_peer_put_text(world->peer, id, "late");
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	advance(world, 5000);
	client_sees(world, "");
	logged(world, "200 none");
}

static void a_request_that_goes_on_behind_its_response_is_reset(void **state)
{
	static const char part[4096];
	struct world *world = *state;
	int32_t id = post(world, "");
	size_t n;

	answer(world, 0, "enough");
	client_sees(world, "HEADERS(1) DATA(1) DATA(1)+END");
	for (n = 0; n < 65536; n += sizeof(part)) {
		h2_peer_raw_frame(world->peer, NGHTTP2_DATA, 0, id, part, sizeof(part));
		turn(world);
	}
	assert_null(strstr(h2_peer_frames(world->peer), "RST_STREAM"));
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, 0, id, "x", 1);
	turn(world);
	assert_non_null(strstr(h2_peer_frames(world->peer), "RST_STREAM(1,NO_ERROR)"));
	logged(world, "200 none");
}

static void unsent_bytes_are_known(void **state)
{
	struct world *world = *state;
	struct exchange *x;

	(void)get(world);
	respond(world, 0, 200);
	x = world->seen[0].x;
	assert_int_equal(exchange_unacknowledged(x), 0);
	conn_fake_set_room(world->fake, 0);
	give(world, 0, "hello");
	assert_true(exchange_unacknowledged(x) >= 5);
	conn_fake_set_room(world->fake, SIZE_MAX);
	turn(world);
	assert_int_equal(exchange_unacknowledged(x), 0);
}

/* Written is not left: the exchange is over when the socket has it all. */
static void an_exchange_is_over_when_its_bytes_have_left(void **state)
{
	struct world *world = *state;

	(void)get(world);
	conn_fake_set_room(world->fake, 0);
	answer(world, 0, "hello");
	assert_non_null(world->seen[0].x);
	logged(world, "");
	conn_fake_set_room(world->fake, 20);
	turn(world);
	logged(world, "");
	conn_fake_set_room(world->fake, SIZE_MAX);
	turn(world);
	logged(world, "200 none");
}

/* Requests. */

static void a_body_arrives_as_it_comes(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "one ");

	assert_int_equal(world->seen[0].x->req->body, BODY_CHUNKED);
	assert_string_equal(body_of(world, 0), "one ");
	h2_peer_put_text(world->peer, id, "two");
	turn(world);
	assert_string_equal(body_of(world, 0), "one two");
	assert_false(world->seen[0].has_end);
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	assert_true(world->seen[0].has_end);
	answer(world, 0, "ok");
	logged(world, "200 none");
	assert_int_equal(world->n_request_body, 7);
}

static void trailers_are_there_with_the_end(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "body");
	struct exchange *x = world->seen[0].x;

	assert_null(x->req_trailers);
	h2_peer_put_end(world->peer, id, "x-sum=5\ncontent-type=no/trailer\n");
	turn(world);
	assert_true(world->seen[0].has_end);
	assert_int_equal(x->req_trailers->n, 1);
	assert_true(slice_equals(x->req_trailers->items[0].name, SLICE("x-sum")));
	answer(world, 0, "");
}

/* RFC 9113 section 8.1.1. */
static void a_length_that_does_not_hold_is_malformed(void **state)
{
	struct world *world = *state;
	int32_t id = h2_peer_request(world->peer, POST "content-length=5\n", false);

	h2_peer_put_text(world->peer, id, "abc");
	turn(world);
	assert_int_equal(world->seen[0].x->req->content_length, 5);
	h2_peer_put_end(world->peer, id, NULL);
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_PROTOCOL_ERROR);
	assert_false(world->seen[0].has_end);
	id = h2_peer_request(world->peer, POST "content-length=5\n", false);
	h2_peer_put_text(world->peer, id, "abcdef");
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(world->n_seen, 2);
	assert_null(world->seen[1].x);
	assert_non_null(world->server);
	logged(world, "0 bad-request, 0 bad-request");
}

/* Sections 8.1.1 to 8.3: the stream is reset, the handler hears nothing, the connection lives. */
static void malformed_requests_are_reset(void **state)
{
	static const struct {
		const char *lines, *logged;
	} rows[] = {
		{GET "X-Upper=1\n", "0 bad-request"},
		{GET "x=a\x01\n", "0 bad-request"},
		{GET "x= a\n", "0 bad-request"},
		{GET "connection=close\n", "0 bad-request"},
		{GET "transfer-encoding=chunked\n", "0 bad-request"},
		{GET "te=gzip\n", "0 bad-request"},
		{GET ":path=/b\n", "0 bad-request"},
		{GET "x=y\n:late=1\n", "0 bad-request"},
		{GET ":unknown=1\n", "0 bad-request"},
		{":method=GET\n:scheme=https\n:authority=a\n", "0 bad-request"},
		{":method=GET\n:scheme=https\n:authority=a\n:path=a b\n", "0 bad-request"},
		{GET "content-length=5\n", "0 bad-request"},
		{GET "host=b\n", "0 bad-host"},
		{":method=GET\n:scheme=https\n:authority=u@a\n:path=/\n", "0 bad-host"},
		{":method=GET\n:scheme=https\n:authority=a\n:path=/\n:protocol=websocket\n",
			"0 bad-request"},
	};
	struct world *world = *state;

	(void)get(world);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int32_t id = 3 + 2 * (int32_t)i;

		h2_peer_raw_headers(world->peer, END, id, rows[i].lines);
		turn(world);
		if (h2_peer_stream(world->peer, id)->error != NGHTTP2_PROTOCOL_ERROR)
			fail_msg("row %zu: no reset", i);
		if (strcmp(world->log, rows[i].logged) != 0)
			fail_msg("row %zu: %s", i, world->log);
		world->log[0] = '\0';
	}
	assert_int_equal(world->n_seen, 1);
	answer(world, 0, "still here");
	logged(world, "200 none");
}

/* What is valid, and is not done here. */
static void refused_requests_have_their_status(void **state)
{
	static char big[8192 + 64], path[1200];
	const struct {
		const char *lines, *logged;
	} rows[] = {
		{big, "431 header-too-large"},
		{path, "414 uri-too-long"},
		{":method=CONNECT\n:authority=a:443\n", "501 method"},
		{":method=CONNECT\n:protocol=x\n:scheme=https\n:authority=a\n:path=/\n",
			"501 method"},
		{POST "expect=200-ok\n", "417 expectation"},
	};
	struct world *world = *state;

	(void)snprintf(big, sizeof(big), GET "x=%8000d\n", 7);
	memset(strchr(strstr(big, "x="), '=') + 1, 'v', 7000);
	(void)snprintf(path, sizeof(path),
		":method=GET\n:scheme=https\n:authority=a\n:path=/%01050d\n", 7);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int32_t id = h2_peer_request(world->peer, rows[i].lines, false);

		turn(world);
		if (strcmp(world->log, rows[i].logged) != 0)
			fail_msg("row %zu: %s", i, world->log);
		assert_true(h2_peer_stream(world->peer, id)->has_end);
		world->log[0] = '\0';
	}
	assert_int_equal(world->n_seen, 0);
	assert_non_null(world->server);
}

static void too_many_fields_are_431(void **state)
{
	struct world *world = *state;
	char lines[512] = GET;

	for (int i = 0; i < 33; i++)
		strcat(lines, "x=y\n");
	(void)h2_peer_request(world->peer, lines, true);
	turn(world);
	logged(world, "431 header-too-large");
	lines[strlen(lines) - 4] = '\0';
	(void)h2_peer_request(world->peer, lines, true);
	turn(world);
	assert_int_equal(world->n_seen, 1);
}

static void a_body_over_its_limit_is_413(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->max_body_size = 10;
	id = post(world, "0123456789");
	assert_int_equal(world->seen[0].n_ends, 0);
	h2_peer_put_text(world->peer, id, "x");
	turn(world);
	assert_int_equal(h2_peer_stream(world->peer, id)->status, 413);
	assert_int_equal(h2_peer_stream(world->peer, id)->error, NGHTTP2_NO_ERROR);
	assert_string_equal(body_of(world, 0), "0123456789");
	logged(world, "413 body-too-large");
	/* In one turn with its head. */
	id = post(world, "0123456789x");
	assert_int_equal(h2_peer_stream(world->peer, id)->status, 413);
	logged(world, "413 body-too-large");
	assert_non_null(world->server);
}

/* A response that has begun stays; the one who reads the body learns that it is not whole. */
static void a_body_over_its_limit_breaks_off_what_reads_it(void **state)
{
	struct world *world = *state;
	int32_t id;

	world->max_body_size = 10;
	id = post(world, "0123456789");
	respond(world, 0, 200);
	h2_peer_put_text(world->peer, id, "x");
	turn(world);
	assert_true(world->seen[0].is_aborted);
	give_end(world, 0);
	assert_true(h2_peer_stream(world->peer, id)->has_end);
	logged(world, "200 body-too-large");
}

/* The client goes. */

static void a_reset_ends_the_exchange(void **state)
{
	struct world *world = *state;
	int32_t id = post(world, "half");

	h2_peer_reset(world->peer, id, NGHTTP2_CANCEL);
	turn(world);
	logged(world, "0 client-gone");
	id = get(world);
	respond(world, 1, 200);
	h2_peer_reset(world->peer, id, NGHTTP2_CANCEL);
	turn(world);
	logged(world, "200 client-gone");
	assert_non_null(world->server);
	client_sees(world, "HEADERS(3)");
}

/* The head and the reset in one read: nobody needs to hear of it. */
static void a_request_that_is_reset_at_once_reaches_nobody(void **state)
{
	struct world *world = *state;
	int32_t id = h2_peer_request(world->peer, GET, true);

	(void)h2_peer_step(world->peer);
	h2_peer_reset(world->peer, id, NGHTTP2_CANCEL);
	(void)h2_peer_step(world->peer);
	turn(world);
	assert_int_equal(world->n_seen, 0);
	logged(world, "0 client-gone");
}

static void a_lost_connection_ends_all(void **state)
{
	struct world *world = *state;

	(void)get(world);
	(void)post(world, "half");
	respond(world, 0, 200);
	conn_fake_lose(world->fake, CONN_LOSS_RESET);
	turn(world);
	assert_null(world->server);
	logged(world, "200 client-gone, 0 client-gone");
	assert_true(world->seen[1].x == NULL);
}

static void a_client_that_ends_its_side_is_gone(void **state)
{
	struct world *world = *state;

	(void)get(world);
	conn_fake_feed_end(world->fake);
	turn(world);
	assert_null(world->server);
	logged(world, "0 client-gone");
}

/* A response that was written whole and has not left is not whole for the client. */
static void a_response_that_has_not_left_is_not_done(void **state)
{
	struct world *world = *state;

	(void)get(world);
	conn_fake_set_room(world->fake, 0);
	answer(world, 0, "hello");
	conn_fake_lose(world->fake, CONN_LOSS_RESET);
	turn(world);
	logged(world, "200 client-gone");
}

/* The connection is not HTTP/2. */

static void a_broken_frame_ends_the_connection(void **state)
{
	struct world *world = *state;

	(void)get(world);
	h2_peer_raw_frame(world->peer, NGHTTP2_DATA, 0, 0, "x", 1);
	turn(world);
	assert_null(world->server);
	assert_non_null(strstr(h2_peer_frames(world->peer), "GOAWAY(1,PROTOCOL_ERROR"));
	logged(world, "0 http2-protocol");
	assert_true(conn_fake_has_ended(world->fake));
}

static void what_is_no_preface_is_told_so(void **state)
{
	struct world *world = *state;
	static const struct h2_peer_options silent = {.is_silent = true};

	start(world, &silent);
	h2_peer_raw(world->peer, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 26);
	turn(world);
	assert_null(world->server);
	assert_non_null(strstr(h2_peer_frames(world->peer), "GOAWAY(0,PROTOCOL_ERROR"));
	logged(world, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_server_says_what_it_takes),
		TEST_UNSTARTED(websockets_are_offered_where_there_are_any),
		TEST(a_request_is_answered),
		TEST(requests_are_answered_in_any_order),
		TEST(the_owner_knows_whether_it_waits),
		TEST_UNSTARTED(bytes_that_came_before_are_read),
		TEST(a_response_without_a_body_ends_with_its_head),
		TEST(a_response_has_no_more_than_its_length),
		TEST(a_response_with_less_than_its_length_is_reset),
		TEST(interim_heads_come_first),
		TEST(a_client_that_waits_is_told_to_go_on),
		TEST(trailers_follow_the_body),
		TEST(trailers_without_content_are_an_end),
		TEST(an_aborted_response_is_reset),
		TEST(a_pipe_that_breaks_off_is_a_reset),
		TEST(an_abort_without_bytes_is_a_reset_at_once),
		TEST(an_abort_before_the_head_is_an_answer_if_it_has_a_status),
		TEST(a_response_before_the_end_of_the_request_ends_both),
		TEST(a_request_that_ends_soon_behind_its_response_is_not_reset),
		TEST(a_request_that_goes_on_behind_its_response_is_reset),
		TEST(unsent_bytes_are_known),
		TEST(an_exchange_is_over_when_its_bytes_have_left),
		TEST(a_body_arrives_as_it_comes),
		TEST(trailers_are_there_with_the_end),
		TEST(a_length_that_does_not_hold_is_malformed),
		TEST(malformed_requests_are_reset),
		TEST(refused_requests_have_their_status),
		TEST(too_many_fields_are_431),
		TEST(a_body_over_its_limit_is_413),
		TEST(a_body_over_its_limit_breaks_off_what_reads_it),
		TEST(a_reset_ends_the_exchange),
		TEST(a_request_that_is_reset_at_once_reaches_nobody),
		TEST(a_lost_connection_ends_all),
		TEST(a_client_that_ends_its_side_is_gone),
		TEST(a_response_that_has_not_left_is_not_done),
		TEST(a_broken_frame_ends_the_connection),
		TEST_UNSTARTED(what_is_no_preface_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
