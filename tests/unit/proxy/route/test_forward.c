/*
 * Forwarding between real HTTP/1.1 codecs on conns in memory: exact bytes in on either side, exact
 * bytes out on the other, and what would be logged.
 */
#include "proxy/route/forward.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/http/h1_server.h"
#include "proxy/route/router.h"
#include "tests/unit/proxy/route/fake_dial.h"

static struct loop *loop;
static const struct conf *conf;
static struct router *router;
static struct backend *backend;
static struct conn_fake *client;
static struct server_codec *server; /* NULL: closed */
static char logged[1024];

static void settle(void)
{
	loop_advance(loop, 0);
}

static void on_request(void *arg, struct exchange *x)
{
	(void)arg;
	x->route = router_find(router, x->req->authority, x->req->path);
	assert_non_null(x->route);
	x->max_body_size = x->route->max_body_size;
	forward_start(x, backend);
}

/* "GET /a 200 server reason", one a line. */
static void on_log(void *arg, struct exchange *x)
{
	size_t n = strlen(logged);

	(void)arg;
	(void)snprintf(logged + n, sizeof(logged) - n, "%.*s %.*s %u %s %s%s\n",
		SLICE_ARG(exchange_method(x)), SLICE_ARG(exchange_target(x)), x->status,
		x->server_name != NULL ? x->server_name : "-", reason_name(x->reason),
		x->is_upgrade ? " tunnel" : "");
}

static const struct exchange_service service = {.on_request = on_request, .on_log = on_log};

static void ignore(void *arg)
{
	(void)arg;
}

static void on_server_closed(void *arg)
{
	(void)arg;
	server = NULL;
}

static void connect_client(void)
{
	static const struct server_codec_owner owner = {
		.on_busy = ignore,
		.on_waiting = ignore,
		.on_closed = on_server_closed,
	};
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};

	client = conn_fake_new(loop);
	conn_fake_set_peer(client, (const struct sockaddr *)&peer, sizeof(peer));
	server = h1_server_new(
		loop, conn_fake_conn(client), &conf->listens[0], &service, &owner, NULL);
}

/* For a test of several clients, one after the other. */
static void reconnect(void)
{
	if (server != NULL)
		server_codec_close(server, REASON_DRAIN);
	/* A conn that closed gracefully lingers. */
	loop_advance(loop, 60000);
	close_dials();
	conn_fake_free(client);
	settle();
	connect_client();
}

static int set_up(void **state)
{
	static const char text[] =
		"listen \"127.0.0.1:8080\" {}\n"
		"backend \"b\" { servers = {\"127.0.0.1:1\", \"127.0.0.1:2\"} }\n"
		"route \"/\" { backend = \"b\" forwarded = off tunnel_timeout = 60s }\n"
		"route \"/told\" { backend = \"b\" forwarded = both }\n"
		"route \"/small\" { backend = \"b\" forwarded = off max_body_size = 4 }\n"
		"route \"/plain\" { backend = \"b\" forwarded = off websocket = no }\n"
		"route \"/ours\" { backend = \"b\" forwarded = off\n"
		"  allowed_origins = {\"https://a.example\", \"null\"} }\n";
	struct conf_errors errors = {0};

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	conf = conf_parse(text, "test", &errors);
	conf_errors_print(&errors, stderr);
	conf_errors_clear(&errors);
	assert_non_null(conf);
	loop = loop_new_fake(1000000);
	router = router_new(conf);
	backend = backend_new(loop, &conf->backends[0], NULL, NULL);
	logged[0] = '\0';
	connect_client();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (server != NULL)
		server_codec_close(server, REASON_DRAIN);
	settle();
	backend_close(backend);
	settle();
	/* A conn that closed gracefully lingers. */
	loop_advance(loop, 60000);
	close_dials();
	conn_fake_free(client);
	settle();
	loop_free(loop);
	router_free(router);
	assert_int_equal(conf->n_references, 1);
	conf_unref(conf);
	assert_int_equal(exchange_n_live(), 0);
	assert_int_equal(fetcher_n_live(), 0);
	assert_int_equal(conn_n_live(), 0);
	assert_int_equal(bytes_live_segments(), 0);
	arena_release_cache();
	bytes_release_cache();
	return 0;
}

static void client_sends(const char *bytes)
{
	conn_fake_feed_string(client, bytes);
	settle();
}

/* The Date that a response is given where the backend gave none is left out. */
static void client_sees(const char *bytes)
{
	const char *text = sent(client), *date = strstr(text, "Date: ");
	char rest[8192];

	if (date != NULL) {
		(void)snprintf(rest, sizeof(rest), "%.*s%s", (int)(date - text), text,
			strstr(date, "\r\n") + 2);
		text = rest;
	}
	assert_string_equal(text, bytes);
}

static void backend_sends(size_t i, const char *bytes)
{
	conn_fake_feed_string(conns[i], bytes);
	settle();
}

static void backend_sees(size_t i, const char *bytes)
{
	assert_string_equal(sent(conns[i]), bytes);
}

/* An answer of our own: its status line, and nothing went to a backend. */
static void client_sees_status(const char *status_line)
{
	const char *text = sent(client);

	if (strncmp(text, status_line, strlen(status_line)) != 0)
		fail_msg("%s", text);
	assert_int_equal(n_dials, 0);
}

static void a_request_and_its_response_pass(void **state)
{
	(void)state;
	client_sends("GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nUser-Agent: t\r\n"
		     "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sees(0,
		"GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nUser-Agent: t\r\n"
		"Via: 1.1 pollux\r\n\r\n");
	backend_sends(0,
		"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n"
		"Keep-Alive: timeout=9\r\n\r\nhello");
	client_sees("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nVia: 1.1 pollux\r\n"
		    "Content-Length: 5\r\n\r\nhello");
	assert_string_equal(logged, "GET /a?b=c 200 127.0.0.1:1 none\n");
	/* Both connections are used again. */
	assert_int_equal(backend_n_idle(backend), 1);
	assert_non_null(server);
}

static void the_backend_is_told_of_the_client(void **state)
{
	(void)state;
	client_sends("GET /told HTTP/1.1\r\nHost: a.example:8080\r\n"
		     "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sees(0,
		"GET /told HTTP/1.1\r\nHost: a.example:8080\r\n"
		"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: a.example:8080\r\nX-Forwarded-Port: 8080\r\n"
		"Forwarded: for=192.0.2.1;host=\"a.example:8080\";proto=http\r\n"
		"Via: 1.1 pollux\r\n\r\n");
}

static void bodies_are_framed_anew(void **state)
{
	(void)state;
	client_sends("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
		     "Trailer: X-Sum\r\n\r\n5;ext=1\r\nhel");
	(void)accept_dial(loop, 0);
	backend_sees(0,
		"POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nVia: 1.1 pollux\r\n"
		"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n");
	client_sends("lo\r\n0\r\nX-Sum: 9\r\nContent-Length: 3\r\n\r\n");
	backend_sees(0, "2\r\nlo\r\n0\r\nX-Sum: 9\r\n\r\n");
	backend_sends(0,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
		"3;x\r\nabc\r\n0\r\nX-T: 1\r\n\r\n");
	client_sees("HTTP/1.1 200 OK\r\nTrailer: X-T\r\nVia: 1.1 pollux\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n");
	assert_int_equal(backend_n_idle(backend), 1);
}

static void a_body_that_ends_with_the_connection_gets_chunks(void **state)
{
	(void)state;
	client_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sends(0, "HTTP/1.0 200 OK\r\n\r\nabc");
	client_sees("HTTP/1.1 200 OK\r\nVia: 1.0 pollux\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "3\r\nabc\r\n");
	conn_fake_feed_end(conns[0]);
	settle();
	client_sees("0\r\n\r\n");
	assert_int_equal(backend_n_connections(backend), 0);
	assert_non_null(server);
}

static void answers_without_a_body_keep_their_length(void **state)
{
	(void)state;
	client_sends("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sends(0, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	client_sees("HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nContent-Length: 1000\r\n\r\n");
	client_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)accept_dial(loop, 1);
	backend_sends(1, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
	client_sees("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nVia: 1.1 pollux\r\n\r\n");
	assert_int_equal(backend_n_idle(backend), 2);
}

static void the_client_that_waits_for_100_gets_the_backends(void **state)
{
	(void)state;
	client_sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
		     "Expect: 100-continue\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sees(0,
		"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
		"Via: 1.1 pollux\r\nContent-Length: 2\r\n\r\n");
	client_sees("");
	backend_sends(0, "HTTP/1.1 100 Continue\r\n\r\n");
	client_sees("HTTP/1.1 100 Continue\r\nVia: 1.1 pollux\r\n\r\n");
	client_sends("hi");
	backend_sees(0, "hi");
	backend_sends(0, "HTTP/1.1 204 No Content\r\n\r\n");
	client_sees("HTTP/1.1 204 No Content\r\nVia: 1.1 pollux\r\n\r\n");
}

static void other_interim_answers_pass_and_an_unasked_100_does_not(void **state)
{
	(void)state;
	client_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sends(0,
		"HTTP/1.1 100 Continue\r\n\r\n"
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n");
	client_sees("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 pollux\r\n\r\n");
	backend_sends(0, "HTTP/1.1 204 No Content\r\n\r\n");
	client_sees("HTTP/1.1 204 No Content\r\nVia: 1.1 pollux\r\n\r\n");
}

#define HANDSHAKE \
	"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ACCEPTED \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void a_websocket_becomes_a_tunnel(void **state)
{
	(void)state;
	client_sends(
		"GET /ws HTTP/1.1\r\nHost: h\r\n" HANDSHAKE "Sec-WebSocket-Protocol: chat\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sees(0,
		"GET /ws HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Protocol: chat\r\nVia: 1.1 pollux\r\n"
		"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
	backend_sends(0, ACCEPTED "Sec-WebSocket-Protocol: chat\r\n\r\n\x81\x02hi");
	client_sees("HTTP/1.1 101 Switching Protocols\r\n"
		    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
		    "Sec-WebSocket-Protocol: chat\r\nVia: 1.1 pollux\r\n"
		    "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi");
	client_sends("\x81\x82\x01\x01\x01\x01hi");
	backend_sees(0, "\x81\x82\x01\x01\x01\x01hi");
	assert_string_equal(logged, "");
	assert_int_equal(backend_n_connections(backend), 1);
	assert_int_equal(backend_n_idle(backend), 0);
	loop_advance(loop, 60000);
	assert_true(conn_fake_is_closed(conns[0]));
	assert_string_equal(logged, "GET /ws 101 127.0.0.1:1 tunnel-timeout tunnel\n");
	assert_int_equal(backend_n_connections(backend), 0);
}

static void a_refused_handshake_is_an_ordinary_answer(void **state)
{
	(void)state;
	client_sends("GET /ws HTTP/1.1\r\nHost: h\r\n" HANDSHAKE "\r\n");
	(void)accept_dial(loop, 0);
	backend_sends(0, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
	client_sees("HTTP/1.1 403 Forbidden\r\nVia: 1.1 pollux\r\nContent-Length: 2\r\n\r\nno");
	assert_int_equal(backend_n_idle(backend), 1);
	client_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)accept_dial(loop, 1);
	backend_sends(1, "HTTP/1.1 204 No Content\r\n\r\n");
	client_sees("HTTP/1.1 204 No Content\r\nVia: 1.1 pollux\r\n\r\n");
}

static void handshakes_that_are_not_valid_do_not_reach_the_backend(void **state)
{
	(void)state;
	client_sends("GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
		     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n");
	client_sees_status("HTTP/1.1 400 Bad Request\r\n");
	assert_string_equal(logged, "GET /ws 400 - bad-websocket\n");
	reconnect();
	client_sends("GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
		     "Sec-WebSocket-Version: 8\r\n"
		     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	client_sees_status("HTTP/1.1 426 Upgrade Required\r\n");
}

static void where_websockets_are_off_a_handshake_is_a_request(void **state)
{
	(void)state;
	client_sends("GET /plain HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		     "Connection: upgrade\r\nSec-WebSocket-Key: short\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sees(0,
		"GET /plain HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: short\r\n"
		"Via: 1.1 pollux\r\n\r\n");
	backend_sends(0, "HTTP/1.1 204 No Content\r\n\r\n");
	client_sees("HTTP/1.1 204 No Content\r\nVia: 1.1 pollux\r\n\r\n");
}

static void upgrades_to_http2_are_not_offered_to_the_backend(void **state)
{
	(void)state;
	client_sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
		     "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sees(0, "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 pollux\r\n\r\n");
}

static void foreign_pages_get_no_websocket(void **state)
{
	static const struct {
		const char *fields;
		bool is_allowed;
	} rows[] = {
		{"Origin: https://a.example\r\n", true},
		{"Origin: null\r\n", true},
		{"", true},
		{"Origin: https://b.example\r\n", false},
		{"Origin: http://a.example\r\n", false},
		{"Origin: https://a.example.evil\r\n", false},
		{"Origin: https://a.example\r\nOrigin: https://b.example\r\n", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char request[512];

		(void)snprintf(request, sizeof(request),
			"GET /ours HTTP/1.1\r\nHost: h\r\n%s%s\r\n", HANDSHAKE, rows[i].fields);
		client_sends(request);
		assert_int_equal(n_dials, rows[i].is_allowed ? 1 : 0);
		if (!rows[i].is_allowed)
			client_sees_status("HTTP/1.1 403 Forbidden\r\n");
		reconnect();
	}
	/* Ordinary requests are not the list's matter. */
	client_sends("GET /ours HTTP/1.1\r\nHost: h\r\nOrigin: https://b.example\r\n\r\n");
	assert_int_equal(n_dials, 1);
}

static void some_methods_end_here(void **state)
{
	(void)state;
	client_sends("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n");
	client_sees_status("HTTP/1.1 405 Method Not Allowed\r\n");
	client_sends("OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n");
	client_sees_status("HTTP/1.1 200 OK\r\n");
	client_sends("OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 1\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sees(0,
		"OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n"
		"Via: 1.1 pollux\r\n\r\n");
}

static void an_announced_body_that_is_too_large_is_refused_at_once(void **state)
{
	(void)state;
	client_sends("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
	client_sees_status("HTTP/1.1 413 ");
	client_sends("POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nhell");
	(void)accept_dial(loop, 0);
	backend_sees(0,
		"POST /small HTTP/1.1\r\nHost: h\r\nVia: 1.1 pollux\r\n"
		"Content-Length: 4\r\n\r\nhell");
}

static void failures_have_their_page(void **state)
{
	(void)state;
	client_sends("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
	fail_dial(loop, 0, CONN_LOSS_CONNECT, "connection refused");
	fail_dial(loop, 1, CONN_LOSS_CONNECT, "connection refused");
	assert_non_null(strstr(sent(client), "HTTP/1.1 502 Bad Gateway\r\n"));
	client_sends("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
	loop_advance(loop, (uint64_t)conf->backends[0].connect_timeout_ms * 2);
	assert_non_null(strstr(sent(client), "HTTP/1.1 504 Gateway Timeout\r\n"));
	client_sends("GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)accept_dial(loop, 4);
	loop_advance(loop, (uint64_t)conf->backends[0].response_timeout_ms);
	assert_non_null(strstr(sent(client), "HTTP/1.1 504 Gateway Timeout\r\n"));
	assert_string_equal(logged,
		"GET /1 502 127.0.0.1:2 connect\n"
		"GET /2 504 127.0.0.1:2 connect-timeout\n"
		"GET /3 504 127.0.0.1:1 response-timeout\n");
	assert_non_null(server);
}

static void a_cut_response_stays_cut(void **state)
{
	(void)state;
	client_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)accept_dial(loop, 0);
	backend_sends(0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	conn_fake_lose(conns[0], CONN_LOSS_RESET);
	settle();
	client_sees("HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "3\r\nabc\r\n");
	assert_null(server);
	assert_string_equal(logged, "GET / 200 127.0.0.1:1 backend-cut\n");
}

static void a_client_that_goes_takes_the_backends_connection_with_it(void **state)
{
	(void)state;
	client_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)accept_dial(loop, 0);
	conn_fake_lose(client, CONN_LOSS_RESET);
	settle();
	assert_true(conn_fake_is_closed(conns[0]));
	assert_int_equal(backend_n_connections(backend), 0);
	assert_string_equal(logged, "GET / 0 127.0.0.1:1 client-gone\n");
}

static void a_client_may_go_before_there_is_a_connection(void **state)
{
	(void)state;
	client_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	conn_fake_lose(client, CONN_LOSS_RESET);
	settle();
	assert_false(dials[0].is_open);
	assert_int_equal(backend_n_connections(backend), 0);
	assert_string_equal(logged, "GET / 0 127.0.0.1:1 client-gone\n");
}

static void an_exchange_is_retried_unseen_by_the_client(void **state)
{
	(void)state;
	client_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	(void)accept_dial(loop, 0);
	conn_fake_feed_end(conns[0]);
	settle();
	(void)accept_dial(loop, 1);
	backend_sends(1, "HTTP/1.1 204 No Content\r\n\r\n");
	client_sees("HTTP/1.1 204 No Content\r\nVia: 1.1 pollux\r\n\r\n");
	assert_string_equal(logged, "GET / 204 127.0.0.1:2 none\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_and_its_response_pass),
		TEST(the_backend_is_told_of_the_client),
		TEST(bodies_are_framed_anew),
		TEST(a_body_that_ends_with_the_connection_gets_chunks),
		TEST(answers_without_a_body_keep_their_length),
		TEST(the_client_that_waits_for_100_gets_the_backends),
		TEST(other_interim_answers_pass_and_an_unasked_100_does_not),
		TEST(a_websocket_becomes_a_tunnel),
		TEST(a_refused_handshake_is_an_ordinary_answer),
		TEST(handshakes_that_are_not_valid_do_not_reach_the_backend),
		TEST(where_websockets_are_off_a_handshake_is_a_request),
		TEST(upgrades_to_http2_are_not_offered_to_the_backend),
		TEST(foreign_pages_get_no_websocket),
		TEST(some_methods_end_here),
		TEST(an_announced_body_that_is_too_large_is_refused_at_once),
		TEST(failures_have_their_page),
		TEST(a_cut_response_stays_cut),
		TEST(a_client_that_goes_takes_the_backends_connection_with_it),
		TEST(a_client_may_go_before_there_is_a_connection),
		TEST(an_exchange_is_retried_unseen_by_the_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
