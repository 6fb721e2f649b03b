#include "proxy/route/hop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <cmocka.h>

#include "proxy/http/date.h"

static const struct conf *conf;
static struct arena arena;
static struct sockaddr_storage peer;

static int set_up(void **state)
{
	static const char text[] =
		"trusted_proxies = {\"10.0.0.0/8\", \"2001:db8::/32\", \"unix\"}\n"
		"listen \"127.0.0.1:8080\" {}\n"
		"backend \"b\" { servers = {\"127.0.0.1:3000\"} }\n"
		"backend \"named\" { servers = {\"127.0.0.1:3000\"} host_header = \"app:3000\" }\n"
		"route \"/off\" { backend = \"b\" forwarded = off }\n"
		"route \"/x\" { backend = \"b\" forwarded = x-forwarded }\n"
		"route \"/standard\" { backend = \"b\" forwarded = forwarded }\n"
		"route \"/both\" { backend = \"b\" forwarded = both }\n"
		"route \"/named\" { backend = \"named\" forwarded = off }\n";
	struct conf_errors errors = {0};

	(void)state;
	conf = conf_parse(text, "test", &errors);
	conf_errors_print(&errors, stderr);
	conf_errors_clear(&errors);
	assert_non_null(conf);
	arena_init(&arena);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_clear(&arena);
	arena_release_cache();
	conf_unref(conf);
	return 0;
}

static const struct conf_route *route(const char *path)
{
	for (size_t i = 0; i < conf->n_routes; i++)
		if (strcmp(conf->routes[i].path, path) == 0)
			return &conf->routes[i];
	fail_msg("no route %s", path);
	return NULL;
}

static struct hop_client client_at(const char *address)
{
	struct sockaddr_in *inet = (void *)&peer;
	struct sockaddr_in6 *inet6 = (void *)&peer;
	struct hop_client client = {.conf = conf, .port = 8080};

	memset(&peer, 0, sizeof(peer));
	if (inet_pton(AF_INET, address, &inet->sin_addr) == 1)
		peer.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &inet6->sin6_addr) == 1)
		peer.ss_family = AF_INET6;
	else
		peer.ss_family = AF_UNIX;
	client.peer = (const struct sockaddr *)&peer;
	client.is_trusted = conf_is_trusted_proxy(conf, client.peer);
	return client;
}

/* "Name: value\n" lines into fields. */
static void read_fields(struct fields *fields, const char *lines)
{
	while (*lines != '\0') {
		struct slice line = slice_of(lines, strcspn(lines, "\n"));
		size_t colon = slice_find(line, ':');

		fields_add(fields, &arena, slice_first(line, colon),
			slice_trim(slice_from(line, colon + 1)));
		lines += line.n + 1;
	}
}

static const char *write_fields(const struct fields *fields)
{
	static char text[4096];
	size_t n = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < fields->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s: %.*s\n",
			SLICE_ARG(fields->items[i].name), SLICE_ARG(fields->items[i].value));
	return text;
}

static struct request_head request(const char *lines)
{
	struct request_head head = {
		.method = METHOD_GET,
		.method_name = SLICE("GET"),
		.target = SLICE("/"),
		.path = SLICE("/"),
		.authority = SLICE("a.example"),
		.version_minor = 1,
	};

	read_fields(&head.fields, lines);
	return head;
}

static const char *forward(const char *lines, const struct conf_route *to, struct hop_client client)
{
	struct request_head head = request(lines);

	return write_fields(&hop_request(&head, &arena, to, &client)->fields);
}

static void hop_by_hop_fields_end_here(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"Host: a.example\nAccept: */*\nUser-Agent: curl\n",
			"Accept: */*\nUser-Agent: curl\nVia: 1.1 pollux\n"},
		{"Connection: keep-alive\nKeep-Alive: timeout=5\nProxy-Connection: close\n"
		 "Cookie: a=b\n",
			"Cookie: a=b\nVia: 1.1 pollux\n"},
		{"TE: trailers, gzip\nTrailer: X-T\nTransfer-Encoding: chunked\n",
			"Trailer: X-T\nVia: 1.1 pollux\n"},
		{"Content-Length: 3\nContent-Type: a/b\n", "Content-Type: a/b\nVia: 1.1 pollux\n"},
		{"Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQ\n",
			"Via: 1.1 pollux\n"},
		{"Upgrade: websocket, h2c\nUPGRADE: h2c\n", "Via: 1.1 pollux\n"},
		/* Fields that Connection names. */
		{"X-Secret: 1\nConnection: close, x-secret\nX-Other: 2\n",
			"X-Other: 2\nVia: 1.1 pollux\n"},
		{"X-One: 1\nX-Two: 2\nConnection: x-one\nX-Three: 3\nConnection: "
		 "keep-alive,x-two\n",
			"X-Three: 3\nVia: 1.1 pollux\n"},
		/* But not those that the backend decides by. */
		{"Connection: Authorization, cookie, host, origin, content-type, content-foo, "
		 "sec-fetch-mode, x-forwarded-user, cache-control, via\n"
		 "Authorization: x\nCookie: c\nOrigin: o\nContent-Type: t\nContent-Foo: f\n"
		 "Sec-Fetch-Mode: m\nX-Forwarded-User: u\nCache-Control: no-store\nVia: 1.0 far\n",
			"Authorization: x\nCookie: c\nOrigin: o\nContent-Type: t\nContent-Foo: f\n"
			"Sec-Fetch-Mode: m\nX-Forwarded-User: u\nCache-Control: no-store\n"
			"Via: 1.0 far\nVia: 1.1 pollux\n"},
		{"Proxy: http://evil.example\nProxy-Authorization: Basic x\n",
			"Proxy-Authorization: Basic x\nVia: 1.1 pollux\n"},
		{"Expect: 100-continue\nMax-Forwards: 3\n", "Max-Forwards: 3\nVia: 1.1 pollux\n"},
		{"X-A: 1\nX-A: 2\nX-B: \n", "X-A: 1\nX-A: 2\nX-B: \nVia: 1.1 pollux\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(
			forward(rows[i].in, route("/off"), client_at("192.0.2.1")), rows[i].out);
}

static void the_received_head_stays(void **state)
{
	struct request_head head = request("Connection: x-a\nX-A: 1\nHost: a.example\n");
	struct hop_client client = client_at("192.0.2.1");

	(void)state;
	(void)hop_request(&head, &arena, route("/both"), &client);
	assert_string_equal(
		write_fields(&head.fields), "Connection: x-a\nX-A: 1\nHost: a.example\n");
}

static void via_tells_the_version_that_came(void **state)
{
	struct hop_client client = client_at("192.0.2.1");
	struct request_head head = request("");

	(void)state;
	head.version_minor = 0;
	assert_string_equal(
		write_fields(&hop_request(&head, &arena, route("/off"), &client)->fields),
		"Via: 1.0 pollux\n");
	head.version_minor = 1;
	head.is_http2 = true;
	assert_string_equal(
		write_fields(&hop_request(&head, &arena, route("/off"), &client)->fields),
		"Via: 2.0 pollux\n");
}

static void expectations_and_hops_are_passed_on(void **state)
{
	struct hop_client client = client_at("192.0.2.1");
	struct request_head head = request("Expect: 100-continue\nMax-Forwards: 10\n");

	(void)state;
	head.expects_100 = true;
	head.method = METHOD_OPTIONS;
	assert_string_equal(
		write_fields(&hop_request(&head, &arena, route("/off"), &client)->fields),
		"Expect: 100-continue\nMax-Forwards: 9\nVia: 1.1 pollux\n");
}

static void the_host_is_the_clients_or_a_literal(void **state)
{
	struct hop_client client = client_at("192.0.2.1");
	struct request_head head = request("Host: a.example\n");
	struct slice authority;

	(void)state;
	authority = hop_request(&head, &arena, route("/off"), &client)->authority;
	assert_true(slice_equals(authority, SLICE("a.example")));
	authority = hop_request(&head, &arena, route("/named"), &client)->authority;
	assert_true(slice_equals(authority, SLICE("app:3000")));
}

/* What a peer says about the client. */
#define SPOOFED \
	"X-Forwarded-For: 1.2.3.4, 5.6.7.8\nX-Forwarded-Proto: https\nX-Forwarded-Host: far\n" \
	"X-Forwarded-Port: 444\nForwarded: for=1.2.3.4\n"

struct told_row {
	const char *route, *peer, *in, *out;
	bool is_tls;
};

static void assert_told(const struct told_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct hop_client client = client_at(rows[i].peer);
		char expected[1024];

		client.is_tls = rows[i].is_tls;
		(void)snprintf(expected, sizeof(expected), "%sVia: 1.1 pollux\n", rows[i].out);
		assert_string_equal(forward(rows[i].in, route(rows[i].route), client), expected);
	}
}

static void the_backend_is_told_about_the_client(void **state)
{
	static const struct told_row rows[] = {
		{"/x", "192.0.2.1", "",
			"X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\n"
			"X-Forwarded-Host: a.example\nX-Forwarded-Port: 8080\n",
			false},
		{"/x", "2001:db9::1", "",
			"X-Forwarded-For: 2001:db9::1\nX-Forwarded-Proto: https\n"
			"X-Forwarded-Host: a.example\nX-Forwarded-Port: 8080\n",
			true},
		{"/x", "::ffff:192.0.2.255", "",
			"X-Forwarded-For: 192.0.2.255\nX-Forwarded-Proto: http\n"
			"X-Forwarded-Host: a.example\nX-Forwarded-Port: 8080\n",
			false},
		{"/standard", "192.0.2.1", "",
			"Forwarded: for=192.0.2.1;host=a.example;proto=http\n", false},
		{"/standard", "2001:db9::1", "",
			"Forwarded: for=\"[2001:db9::1]\";host=a.example;proto=https\n", true},
		{"/both", "192.0.2.1", "",
			"X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\n"
			"X-Forwarded-Host: a.example\nX-Forwarded-Port: 8080\n"
			"Forwarded: for=192.0.2.1;host=a.example;proto=http\n",
			false},
	};

	(void)state;
	assert_told(rows, ARRAY_LEN(rows));
}

static void a_strangers_word_counts_for_nothing(void **state)
{
	static const struct told_row rows[] = {
		{"/off", "192.0.2.1", SPOOFED, "", false},
		{"/x", "192.0.2.1", SPOOFED,
			"X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\n"
			"X-Forwarded-Host: a.example\nX-Forwarded-Port: 8080\n",
			false},
		{"/standard", "192.0.2.1", SPOOFED,
			"Forwarded: for=192.0.2.1;host=a.example;proto=http\n", false},
	};

	(void)state;
	assert_told(rows, ARRAY_LEN(rows));
}

static void a_trusted_proxys_word_is_passed_on_with_itself_added(void **state)
{
	static const struct told_row rows[] = {
		{"/off", "10.1.2.3", SPOOFED, SPOOFED, false},
		{"/x", "10.1.2.3", SPOOFED,
			"X-Forwarded-Proto: https\nX-Forwarded-Host: far\nX-Forwarded-Port: 444\n"
			"Forwarded: for=1.2.3.4\n"
			"X-Forwarded-For: 1.2.3.4, 5.6.7.8, 10.1.2.3\n",
			false},
		{"/x", "10.1.2.3", "X-Forwarded-For: 1.2.3.4\nX-Forwarded-For: 5.6.7.8\n",
			"X-Forwarded-For: 1.2.3.4, 5.6.7.8, 10.1.2.3\nX-Forwarded-Proto: http\n"
			"X-Forwarded-Host: a.example\nX-Forwarded-Port: 8080\n",
			false},
		{"/standard", "10.1.2.3", "Forwarded: for=1.2.3.4\n",
			"Forwarded: for=1.2.3.4\n"
			"Forwarded: for=10.1.2.3;host=a.example;proto=http\n",
			false},
		/* A unix socket has no address to add. */
		{"/both", "unix", "X-Forwarded-For: 1.2.3.4\n",
			"X-Forwarded-For: 1.2.3.4\nX-Forwarded-Proto: http\n"
			"X-Forwarded-Host: a.example\nX-Forwarded-Port: 8080\n"
			"Forwarded: for=unknown;host=a.example;proto=http\n",
			false},
		{"/x", "unix", "",
			"X-Forwarded-Proto: http\nX-Forwarded-Host: a.example\n"
			"X-Forwarded-Port: 8080\n",
			false},
	};

	(void)state;
	assert_told(rows, ARRAY_LEN(rows));
}

static void forwarded_quotes_what_is_no_token(void **state)
{
	struct request_head head = request("");
	struct hop_client client = client_at("192.0.2.1");

	(void)state;
	client.port = 0;
	head.authority = SLICE("a.example:8080");
	assert_string_equal(
		write_fields(&hop_request(&head, &arena, route("/standard"), &client)->fields),
		"Forwarded: for=192.0.2.1;host=\"a.example:8080\";proto=http\nVia: 1.1 pollux\n");
	head.authority = SLICE("[::1]\"\\");
	assert_string_equal(
		write_fields(&hop_request(&head, &arena, route("/standard"), &client)->fields),
		"Forwarded: for=192.0.2.1;host=\"[::1]\\\"\\\\\";proto=http\nVia: 1.1 pollux\n");
	head.authority = SLICE("");
	assert_string_equal(
		write_fields(&hop_request(&head, &arena, route("/both"), &client)->fields),
		"X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\n"
		"Forwarded: for=192.0.2.1;proto=http\nVia: 1.1 pollux\n");
}

static void assert_client(const char *peer_address, const char *in, const char *address,
	const char *scheme, const char *host)
{
	struct hop_client client = client_at(peer_address);
	struct request_head head = request(in);
	char buf[ADDRESS_TEXT_SIZE], text[256], expected[256];

	(void)snprintf(text, sizeof(text), "%.*s %.*s %.*s",
		SLICE_ARG(hop_client_find_address(&client, &head, buf)),
		SLICE_ARG(hop_client_find_scheme(&client, &head)),
		SLICE_ARG(hop_client_find_host(&client, &head)));
	(void)snprintf(expected, sizeof(expected), "%s %s %s", address, scheme, host);
	assert_string_equal(text, expected);
}

static void the_client_stands_before_trusted_proxies(void **state)
{
	static const struct {
		const char *peer, *in, *address, *scheme, *host;
	} rows[] = {
		{"192.0.2.1", SPOOFED, "192.0.2.1", "http", "a.example"},
		{"10.0.0.1", "", "10.0.0.1", "http", "a.example"},
		{"10.0.0.1", "X-Forwarded-For: 1.2.3.4, 5.6.7.8\n", "5.6.7.8", "http", "a.example"},
		{"10.0.0.1", "X-Forwarded-For: 1.2.3.4, 5.6.7.8, 10.0.0.2\n", "5.6.7.8", "http",
			"a.example"},
		{"10.0.0.1", "X-Forwarded-For: 10.0.0.3,10.0.0.2\n", "10.0.0.3", "http",
			"a.example"},
		{"10.0.0.1", "X-Forwarded-For: 1.2.3.4\nX-Forwarded-For: rubbish\n", "10.0.0.1",
			"http", "a.example"},
		{"10.0.0.1", "X-Forwarded-For: rubbish, 10.0.0.2\n", "10.0.0.2", "http",
			"a.example"},
		{"10.0.0.1",
			"X-Forwarded-For: 1.2.3.4:55\nX-Forwarded-Proto: HTTPS\n"
			"X-Forwarded-Host: b.example\n",
			"1.2.3.4", "https", "b.example"},
		{"10.0.0.1", "X-Forwarded-For: [2001:db9::1]:55\nX-Forwarded-Proto: gopher\n",
			"2001:db9::1", "http", "a.example"},
		/* The element of each list that belongs to the same hop. */
		{"10.0.0.1",
			"X-Forwarded-For: 9.9.9.9, 1.2.3.4, 10.0.0.2\n"
			"X-Forwarded-Proto: http, https, http\nX-Forwarded-Host: x, y, z\n",
			"1.2.3.4", "https", "y"},
		{"10.0.0.1",
			"X-Forwarded-For: 9.9.9.9, 1.2.3.4, 10.0.0.2\nX-Forwarded-Proto: https\n",
			"1.2.3.4", "https", "a.example"},
		{"unix",
			"Forwarded: for=9.9.9.9, FOR=\"[2001:db9::7]:4711\"; Proto=https;"
			"host=\"b.example:444\", for=10.0.0.2;proto=http\n",
			"2001:db9::7", "https", "b.example:444"},
		{"10.0.0.1", "Forwarded: for=unknown;proto=https\n", "10.0.0.1", "https",
			"a.example"},
		{"10.0.0.1", "Forwarded: for=_hidden, for=10.0.0.2\nForwarded: for=10.0.0.3\n",
			"10.0.0.2", "http", "a.example"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_client(
			rows[i].peer, rows[i].in, rows[i].address, rows[i].scheme, rows[i].host);
}

/* More elements than are looked at: the nearest count. */
static void endless_lists_are_read_from_the_near_end(void **state)
{
	struct hop_client client = client_at("10.0.0.1");
	struct request_head head = request("");
	char buf[ADDRESS_TEXT_SIZE];

	(void)state;
	for (int i = 0; i < 100; i++)
		fields_add_id(
			&head.fields, &arena, FIELD_X_FORWARDED_FOR, SLICE("9.9.9.9, 8.8.8.8"));
	fields_add_id(&head.fields, &arena, FIELD_X_FORWARDED_FOR, SLICE("1.2.3.4, 10.0.0.2"));
	assert_true(slice_equals(hop_client_find_address(&client, &head, buf), SLICE("1.2.3.4")));
	head = request("");
	for (int i = 0; i < 100; i++)
		fields_add_id(&head.fields, &arena, FIELD_X_FORWARDED_FOR, SLICE("10.0.0.7"));
	assert_true(slice_equals(hop_client_find_address(&client, &head, buf), SLICE("10.0.0.7")));
}

static void responses_lose_what_ends_here_too(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"Content-Type: a/b\nContent-Length: 5\nServer: x\n",
			"Content-Type: a/b\nServer: x\nVia: 1.1 pollux\n"},
		{"Connection: close, X-Hop\nX-Hop: 1\nSet-Cookie: a\nSet-Cookie: b\n"
		 "Keep-Alive: timeout=5\nTransfer-Encoding: chunked\nTrailer: X-T\nX-T: t\n",
			"Set-Cookie: a\nSet-Cookie: b\nTrailer: X-T\nX-T: t\nVia: 1.1 pollux\n"},
		{"X-Hop: 1\nConnection: set-cookie, x-hop\nSet-Cookie: a\n",
			"Set-Cookie: a\nVia: 1.1 pollux\n"},
		{"Connection: upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: k\n"
		 "Sec-WebSocket-Protocol: p\n",
			"Sec-WebSocket-Accept: k\nSec-WebSocket-Protocol: p\nVia: 1.1 pollux\n"},
		{"Via: 1.1 inner\nX-Forwarded-For: kept\nHost: kept\n",
			"Via: 1.1 inner\nX-Forwarded-For: kept\nHost: kept\nVia: 1.1 pollux\n"},
		{"", "Via: 1.1 pollux\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct response_head head = {.status = 200, .version_minor = 1};

		char expected[1024];

		read_fields(&head.fields, rows[i].in);
		fields_add(&head.fields, &arena, SLICE("Date"), SLICE("d"));
		hop_response(&head, &arena, conf);
		(void)snprintf(expected, sizeof(expected), "%.*sDate: d\nVia: 1.1 pollux\n",
			(int)(strlen(rows[i].out) - strlen("Via: 1.1 pollux\n")), rows[i].out);
		assert_string_equal(write_fields(&head.fields), expected);
	}
}

static void a_response_without_a_date_gets_one(void **state)
{
	struct response_head final = {.status = 200, .version_minor = 1};
	struct response_head interim = {.status = 103, .version_minor = 1};

	(void)state;
	hop_response(&final, &arena, conf);
	assert_true(slice_equals(fields_value(&final.fields, FIELD_DATE), http_date()));
	hop_response(&interim, &arena, conf);
	assert_null(fields_find(&interim.fields, FIELD_DATE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hop_by_hop_fields_end_here),
		cmocka_unit_test(the_received_head_stays),
		cmocka_unit_test(via_tells_the_version_that_came),
		cmocka_unit_test(expectations_and_hops_are_passed_on),
		cmocka_unit_test(the_host_is_the_clients_or_a_literal),
		cmocka_unit_test(the_backend_is_told_about_the_client),
		cmocka_unit_test(a_strangers_word_counts_for_nothing),
		cmocka_unit_test(a_trusted_proxys_word_is_passed_on_with_itself_added),
		cmocka_unit_test(forwarded_quotes_what_is_no_token),
		cmocka_unit_test(the_client_stands_before_trusted_proxies),
		cmocka_unit_test(endless_lists_are_read_from_the_near_end),
		cmocka_unit_test(responses_lose_what_ends_here_too),
		cmocka_unit_test(a_response_without_a_date_gets_one),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
