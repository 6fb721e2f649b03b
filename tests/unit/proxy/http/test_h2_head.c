/* Request heads of HTTP/2: field lines in, the reason and the neutral head out. */
#include "tests/unit/proxy/http/h2_lines.h"

static struct request_head head;

static enum reason request(const char *text, bool is_ended)
{
	struct h2_head self = section(text);

	return h2_head_to_request(&self, &limits, is_ended, &head);
}

#define PSEUDO ":method=GET\n:scheme=https\n:authority=a.example\n:path=/\n"
#define POST ":method=POST\n:scheme=https\n:authority=a.example\n:path=/\n"
#define CONNECT ":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a\n:path=/c\n"
#define WITH(lines) request(PSEUDO lines, true)
#define METHOD(method) \
	request(":method=" method "\n:scheme=https\n:authority=a.example\n:path=/\n", true)
#define SCHEME(scheme) \
	request(":method=GET\n:scheme=" scheme "\n:authority=a.example\n:path=/\n", true)
#define AUTHORITY(authority) \
	request(":method=GET\n:scheme=https\n:authority=" authority "\n:path=/\n", true)
#define PATH(path) \
	request(":method=GET\n:scheme=https\n:authority=a.example\n:path=" path "\n", true)

#define assert_accepted(expr) assert_reason(expr, REASON_NONE)
#define assert_malformed(expr) assert_reason(expr, REASON_BAD_REQUEST)
#define assert_bad_host(expr) assert_reason(expr, REASON_BAD_HOST)

static void a_plain_request_is_taken_apart(void **state)
{
	(void)state;
	assert_accepted(request(":method=GET\n:scheme=https\n:authority=example.com:8080\n"
				":path=/a/b?c=d?e\nx-one=1\nx-two=two words\nx-empty=\n"
				"accept=*/*\n",
		true));
	assert_int_equal(head.method, METHOD_GET);
	assert_text(head.method_name, "GET");
	assert_text(head.target, "/a/b?c=d?e");
	assert_text(head.path, "/a/b");
	assert_true(head.has_query);
	assert_text(head.query, "c=d?e");
	assert_text(head.authority, "example.com:8080");
	assert_int_equal(head.version_minor, 1);
	assert_true(head.is_http2);
	assert_false(head.wants_close);
	assert_false(head.expects_100);
	assert_false(head.wants_websocket);
	assert_false(head.takes_trailers);
	assert_int_equal(head.body, BODY_NONE);
	assert_int_equal(head.fields.n, 4);
	assert_text(head.fields.items[0].name, "x-one");
	assert_text(head.fields.items[1].value, "two words");
	assert_text(head.fields.items[2].value, "");
	assert_int_equal(head.fields.items[3].id, FIELD_ACCEPT);
}

static void the_lines_are_copied(void **state)
{
	char name[] = "x-name", value[] = "value", path_name[] = ":path", path[] = "/p";
	struct h2_head self = section(":method=GET\n:scheme=https\n:authority=a\n");

	(void)state;
	h2_head_add(&self, &limits, slice_from_string(path_name), slice_from_string(path));
	h2_head_add(&self, &limits, slice_from_string(name), slice_from_string(value));
	memset(name, 'z', sizeof(name));
	memset(value, 'z', sizeof(value));
	memset(path_name, 'z', sizeof(path_name));
	memset(path, 'z', sizeof(path));
	assert_accepted(h2_head_to_request(&self, &limits, true, &head));
	assert_text(head.target, "/p");
	assert_text(head.fields.items[0].name, "x-name");
	assert_text(head.fields.items[0].value, "value");
}

/* RFC 9113 section 8.2.1: a name is a token without capitals. */
static void names_are_lower_case_tokens(void **state)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		struct h2_head self = section(PSEUDO);
		char name[] = {'x', (char)c, 'y'};
		bool is_name = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c != 0 && strchr(others, (int)c) != NULL);

		h2_head_add(&self, &limits, slice_of(name, sizeof(name)), SLICE("v"));
		assert_reason(h2_head_to_request(&self, &limits, true, &head),
			is_name ? REASON_NONE : REASON_BAD_REQUEST);
	}
	assert_malformed(WITH("Host=a.example\n"));
	assert_malformed(WITH("X-a=1\n"));
}

static void a_name_is_not_empty(void **state)
{
	struct h2_head self = section(PSEUDO);

	(void)state;
	h2_head_add(&self, &limits, SLICE(""), SLICE("v"));
	assert_malformed(h2_head_to_request(&self, &limits, true, &head));
}

/* The same section: no control byte, and no white space at the ends. */
static void values_hold_no_control_bytes(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool is_refused = (c < 0x20 && c != '\t') || c == 0x7f;

		for (size_t place = 0; place < 20; place++) {
			struct h2_head self = section(PSEUDO);
			char value[22];
			bool is_end = place == 0;

			memset(value, 'v', sizeof(value));
			value[place] = (char)c;
			h2_head_add(&self, &limits, SLICE("x"), slice_of(value, sizeof(value)));
			assert_reason(h2_head_to_request(&self, &limits, true, &head),
				is_refused || (is_end && (c == ' ' || c == '\t'))
					? REASON_BAD_REQUEST
					: REASON_NONE);
		}
	}
}

static void values_have_no_white_space_at_their_ends(void **state)
{
	(void)state;
	assert_malformed(WITH("x= a\n"));
	assert_malformed(WITH("x=a \n"));
	assert_malformed(WITH("x=\ta\n"));
	assert_malformed(WITH("x=a\t\n"));
	assert_malformed(WITH("x= \n"));
	assert_accepted(WITH("x=a\tb c\n"));
	assert_malformed(PATH(" /"));
	assert_malformed(METHOD("GET "));
}

/* Section 8.2.2. */
static void fields_of_a_connection_are_malformed(void **state)
{
	(void)state;
	assert_malformed(WITH("connection=close\n"));
	assert_malformed(WITH("connection=\n"));
	assert_malformed(WITH("keep-alive=timeout=5\n"));
	assert_malformed(WITH("proxy-connection=keep-alive\n"));
	assert_malformed(WITH("transfer-encoding=chunked\n"));
	assert_malformed(request(POST "transfer-encoding=chunked\n", false));
	assert_malformed(WITH("upgrade=websocket\n"));
	assert_malformed(WITH("upgrade=h2c\n"));
}

static void te_says_whether_trailers_are_taken(void **state)
{
	(void)state;
	assert_accepted(WITH("te=trailers\n"));
	assert_true(head.takes_trailers);
	assert_accepted(WITH("te=\n"));
	assert_false(head.takes_trailers);
}

/* Section 8.2.3. */
static void crumbs_of_cookies_are_joined(void **state)
{
	(void)state;
	assert_accepted(WITH("cookie=a=1\nx=y\ncookie=b=2\ncookie=c=3; d=4\n"));
	assert_int_equal(head.fields.n, 2);
	assert_text(head.fields.items[0].name, "cookie");
	assert_text(head.fields.items[0].value, "a=1; b=2; c=3; d=4");
	assert_text(head.fields.items[1].name, "x");
	assert_accepted(WITH("x=y\ncookie=a=1\n"));
	assert_text(head.fields.items[1].value, "a=1");
	/* Lines of any other name stay apart. */
	assert_accepted(WITH("accept=a\naccept=b\n"));
	assert_int_equal(head.fields.n, 2);
}

/* A value has no white space at its end (section 8.2.1), whatever the crumbs are. */
static void empty_crumbs_leave_nothing(void **state)
{
	(void)state;
	assert_accepted(WITH("cookie=\ncookie=a=1\ncookie=\ncookie=b=2\ncookie=\n"));
	assert_int_equal(head.fields.n, 1);
	assert_text(head.fields.items[0].value, "a=1; b=2");
	assert_accepted(WITH("cookie=\ncookie=\n"));
	assert_int_equal(head.fields.n, 1);
	assert_text(head.fields.items[0].value, "");
}

/* Section 8.3. */
static void pseudo_header_fields_come_first_and_once(void **state)
{
	(void)state;
	assert_malformed(request("x=y\n" PSEUDO, true));
	assert_malformed(request(":method=GET\n:scheme=https\n:authority=a\nx=y\n:path=/\n", true));
	assert_malformed(WITH(":path=/\n"));
	assert_malformed(WITH(":method=GET\n"));
	assert_malformed(WITH(":scheme=https\n"));
	assert_malformed(WITH(":authority=a.example\n"));
	assert_malformed(request(CONNECT ":protocol=websocket\n", false));
}

static void pseudo_header_fields_are_those_of_requests(void **state)
{
	(void)state;
	assert_malformed(WITH(":status=200\n"));
	assert_malformed(WITH(":host=a\n"));
	assert_malformed(WITH(":Path=/\n"));
	assert_malformed(WITH(":=v\n"));
	assert_malformed(request(PSEUDO ":protocol=websocket\n", false));
}

/* Section 8.3.1: without :method, :scheme and :path there is no request. */
static void a_request_is_complete(void **state)
{
	(void)state;
	assert_malformed(request(":scheme=https\n:authority=a\n:path=/\n", true));
	assert_malformed(request(":method=GET\n:authority=a\n:path=/\n", true));
	assert_malformed(request(":method=GET\n:scheme=https\n:authority=a\n", true));
	assert_malformed(request("", true));
	assert_bad_host(request(":method=GET\n:scheme=https\n:path=/\n", true));
}

static void a_method_is_a_token(void **state)
{
	(void)state;
	assert_malformed(METHOD(""));
	assert_malformed(METHOD("GET / HTTP/1.1"));
	assert_malformed(METHOD("G(T"));
	assert_malformed(METHOD("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
	assert_accepted(METHOD("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
	assert_int_equal(head.method, METHOD_OTHER);
	assert_accepted(METHOD("get"));
	assert_int_equal(head.method, METHOD_OTHER);
	assert_accepted(METHOD("DELETE"));
	assert_int_equal(head.method, METHOD_DELETE);
}

static void a_scheme_is_of_http(void **state)
{
	(void)state;
	assert_accepted(SCHEME("http"));
	assert_accepted(SCHEME("HTTPS"));
	assert_malformed(SCHEME(""));
	assert_malformed(SCHEME("ftp"));
	assert_malformed(SCHEME("https://a.example/"));
	assert_malformed(SCHEME("https x"));
}

static void a_path_is_an_origin_form_or_an_asterisk(void **state)
{
	(void)state;
	assert_malformed(PATH(""));
	assert_malformed(PATH("a"));
	assert_malformed(PATH("?a"));
	assert_malformed(PATH("http://a.example/"));
	assert_malformed(PATH("*"));
	assert_malformed(request(":method=OPTIONS\n:scheme=https\n:authority=a\n:path=*/\n", true));
	assert_accepted(request(":method=OPTIONS\n:scheme=https\n:authority=a\n:path=*\n", true));
	assert_text(head.target, "*");
	assert_text(head.path, "*");
	assert_accepted(PATH("//a"));
	assert_accepted(PATH("/?"));
	assert_true(head.has_query);
	assert_text(head.query, "");
	assert_accepted(PATH("/%00;,:@"));
}

/* Whatever they hold, one line of an HTTP/1.1 request is one line. */
static void no_byte_of_a_path_breaks_the_request_line(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		struct h2_head self = section(":method=GET\n:scheme=https\n:authority=a\n");
		char path[] = {'/', 'a', (char)c, 'b'};

		h2_head_add(&self, &limits, SLICE(":path"), slice_of(path, sizeof(path)));
		assert_reason(h2_head_to_request(&self, &limits, true, &head),
			c > 0x20 && c < 0x7f && c != '#' ? REASON_NONE : REASON_BAD_REQUEST);
	}
}

static void no_pseudo_header_field_injects_lines(void **state)
{
	static const char *const names[] = {":method", ":scheme", ":authority", ":path"};
	static const char *const values[] = {"GET", "https", "a", "/"};
	static const char *const tails[] = {" HTTP/1.1\r\nX: y", "\r\nX: y", "\nX: y", "\rX: y",
		"\r\n\r\nGET /admin HTTP/1.1\r\nHost: a", " ", "\t"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (size_t j = 0; j < ARRAY_LEN(tails); j++) {
			struct h2_head self;

			h2_head_start(&self, &arena);
			for (size_t k = 0; k < ARRAY_LEN(names); k++)
				h2_head_add(&self, &limits, slice_from_string(names[k]),
					arena_printf(
						&arena, "%s%s", values[k], k == i ? tails[j] : ""));
			assert_true(h2_head_to_request(&self, &limits, true, &head) != REASON_NONE);
		}
	}
}

/* Section 8.3.1, and what a name may be in HTTP/1.1's own check. */
static void an_authority_is_a_host_and_a_port(void **state)
{
	(void)state;
	assert_accepted(AUTHORITY("a.example:443"));
	assert_accepted(AUTHORITY("[::1]:8443"));
	assert_bad_host(AUTHORITY(""));
	assert_bad_host(AUTHORITY("user@a.example"));
	assert_bad_host(AUTHORITY("user:secret@a.example"));
	assert_bad_host(AUTHORITY("a.example/admin"));
	assert_bad_host(AUTHORITY("a.example:65536"));
	assert_bad_host(AUTHORITY("a,b"));
	assert_bad_host(AUTHORITY("a b"));
}

static void host_stands_in_for_the_authority(void **state)
{
	(void)state;
	assert_accepted(request(":method=GET\n:scheme=https\n:path=/\nhost=b.example\n", true));
	assert_text(head.authority, "b.example");
	assert_bad_host(request(":method=GET\n:scheme=https\n:path=/\nhost=\n", true));
	assert_bad_host(request(":method=GET\n:scheme=https\n:path=/\nhost=a@b\n", true));
}

static void host_and_authority_agree(void **state)
{
	(void)state;
	assert_accepted(WITH("host=A.Example\n"));
	assert_text(head.authority, "a.example");
	/* The port of the scheme is the same as none. */
	assert_accepted(WITH("host=a.example:443\n"));
	assert_bad_host(WITH("host=b.example\n"));
	assert_bad_host(WITH("host=a.example:80\n"));
	assert_bad_host(WITH("host=a.example:8443\n"));
	assert_bad_host(WITH("host=\n"));
	assert_bad_host(WITH("host=a.example\nhost=a.example\n"));
	assert_bad_host(WITH("host=a.example\nhost=b.example\n"));
}

/* Section 8.5. */
static void a_plain_connect_has_neither_scheme_nor_path(void **state)
{
	(void)state;
	assert_reason(request(":method=CONNECT\n:authority=a:443\n", false), REASON_METHOD);
	assert_int_equal(head.method, METHOD_CONNECT);
	assert_malformed(request(":method=CONNECT\n:authority=a:443\n:path=/\n", false));
	assert_malformed(request(":method=CONNECT\n:authority=a:443\n:scheme=https\n", false));
}

static void a_body_has_a_length_or_an_end(void **state)
{
	(void)state;
	assert_accepted(request(POST, false));
	assert_int_equal(head.body, BODY_CHUNKED);
	assert_accepted(request(POST "content-length=5\n", false));
	assert_int_equal(head.body, BODY_LENGTH);
	assert_int_equal(head.content_length, 5);
	assert_accepted(request(POST, true));
	assert_int_equal(head.body, BODY_LENGTH);
	assert_int_equal(head.content_length, 0);
	assert_accepted(request(PSEUDO "content-length=0\n", true));
	assert_accepted(request(PSEUDO, false));
	assert_int_equal(head.body, BODY_CHUNKED);
	assert_accepted(METHOD("DELETE"));
	assert_int_equal(head.body, BODY_NONE);
}

/* Section 8.1.1. */
static void a_length_is_one_number_that_holds(void **state)
{
	(void)state;
	assert_malformed(request(POST "content-length=5\n", true));
	assert_malformed(request(POST "content-length=5\ncontent-length=5\n", false));
	assert_malformed(request(POST "content-length=5, 5\n", false));
	assert_malformed(request(POST "content-length=\n", false));
	assert_malformed(request(POST "content-length=-1\n", false));
	assert_malformed(request(POST "content-length=+1\n", false));
	assert_malformed(request(POST "content-length=0x5\n", false));
	assert_malformed(request(POST "content-length=9223372036854775808\n", false));
	assert_malformed(request(POST "content-length=18446744073709551616\n", false));
	assert_accepted(request(POST "content-length=9223372036854775807\n", false));
}

static void an_expectation_is_100_continue(void **state)
{
	(void)state;
	assert_accepted(request(POST "expect=100-continue\n", false));
	assert_true(head.expects_100);
	assert_reason(request(POST "expect=200-ok\n", false), REASON_EXPECTATION);
}

/* RFC 8441 section 4. */
static void an_extended_connect_is_a_handshake(void **state)
{
	(void)state;
	assert_accepted(request(CONNECT "sec-websocket-version=13\norigin=https://a\n", false));
	assert_int_equal(head.method, METHOD_GET);
	assert_text(head.method_name, "GET");
	assert_text(head.path, "/c");
	assert_true(head.wants_websocket);
	assert_true(head.is_websocket);
	assert_int_equal(head.body, BODY_NONE);
	assert_null(fields_find(&head.fields, FIELD_SEC_WEBSOCKET_KEY));
	assert_null(fields_find_name(&head.fields, SLICE(":protocol")));
	assert_accepted(request(CONNECT, false));
	assert_true(head.is_websocket);
	/* HTTP/1.1 demands it. */
	assert_text(fields_value(&head.fields, FIELD_SEC_WEBSOCKET_VERSION), "13");
}

static void a_handshake_that_is_not_valid_says_why(void **state)
{
	(void)state;
	assert_accepted(request(CONNECT "sec-websocket-version=8\n", false));
	assert_false(head.is_websocket);
	assert_true(head.wants_websocket);
	assert_reason(head.websocket_reason, REASON_WEBSOCKET_VERSION);
	assert_accepted(
		request(CONNECT "sec-websocket-version=13\nsec-websocket-version=13\n", false));
	assert_reason(head.websocket_reason, REASON_WEBSOCKET_VERSION);
	/* A tunnel that has ended already, or has a length. */
	assert_accepted(request(CONNECT "sec-websocket-version=13\n", true));
	assert_reason(head.websocket_reason, REASON_BAD_WEBSOCKET);
	assert_accepted(request(CONNECT "content-length=0\n", false));
	assert_reason(head.websocket_reason, REASON_BAD_WEBSOCKET);
}

static void an_extended_connect_is_complete(void **state)
{
	(void)state;
	assert_malformed(request(
		":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a\n", false));
	assert_malformed(
		request(":method=CONNECT\n:protocol=websocket\n:authority=a\n:path=/\n", false));
	assert_bad_host(
		request(":method=CONNECT\n:protocol=websocket\n:scheme=https\n:path=/\n", false));
	assert_malformed(request(CONNECT "upgrade=websocket\n", false));
}

static void other_protocols_are_not_known(void **state)
{
	(void)state;
	assert_reason(request(":method=CONNECT\n:protocol=connect-udp\n:scheme=https\n"
			      ":authority=a\n:path=/\n",
			      false),
		REASON_METHOD);
	assert_accepted(request(":method=CONNECT\n:protocol=WebSocket\n:scheme=https\n"
				":authority=a\n:path=/\n",
		false));
	assert_true(head.is_websocket);
}

/* A GET with the fields of a handshake is a GET. */
static void a_get_is_never_a_handshake(void **state)
{
	(void)state;
	assert_accepted(
		WITH("sec-websocket-version=13\nsec-websocket-key=dGhlIHNhbXBsZSBub25jZQ==\n"));
	assert_false(head.wants_websocket);
	assert_false(head.is_websocket);
}

/* Each line counts its bytes and 32 more (section 6.5.2). */
static void the_size_of_a_head_is_limited(void **state)
{
	static const char big[2048];
	struct slice value = arena_copy(&arena, slice_of(big, sizeof(big)));
	struct h2_head self = section(PSEUDO);
	uint32_t left = limits.max_head_size - self.size - 1 - H2_HEAD_LINE_SIZE;

	(void)state;
	assert_int_equal(self.size, 4 * 32 + 10 + 12 + 19 + 6);
	memset((char *)value.p, 'v', value.n);
	h2_head_add(&self, &limits, SLICE("x"), slice_first(value, left));
	assert_int_equal(self.size, limits.max_head_size);
	assert_accepted(h2_head_to_request(&self, &limits, true, &head));
	self = section(PSEUDO);
	h2_head_add(&self, &limits, SLICE("x"), slice_first(value, left + 1));
	assert_reason(h2_head_to_request(&self, &limits, true, &head), REASON_HEADER_TOO_LARGE);
	/* The log shows what it was all the same. */
	assert_text(head.method_name, "GET");
}

static void nothing_is_kept_beyond_a_limit(void **state)
{
	struct h2_head self = section(PSEUDO);
	size_t held;

	(void)state;
	for (int i = 0; i < 16; i++)
		h2_head_add(&self, &limits, SLICE("x"), SLICE("y"));
	assert_accepted(h2_head_to_request(&self, &limits, true, &head));
	assert_int_equal(head.fields.n, 16);
	h2_head_add(&self, &limits, SLICE("x"), SLICE("y"));
	held = arena_size(&arena);
	for (int i = 0; i < 100000; i++)
		h2_head_add(&self, &limits, SLICE("x"), SLICE("y"));
	assert_int_equal(arena_size(&arena), held);
	assert_int_equal(self.fields.n, 16);
	assert_reason(h2_head_to_request(&self, &limits, true, &head), REASON_HEADER_TOO_LARGE);
}

static void a_target_has_its_own_limit(void **state)
{
	char path[202];
	struct h2_head self = section(":method=GET\n:scheme=https\n:authority=a\n");

	(void)state;
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	h2_head_add(&self, &limits, SLICE(":path"), slice_of(path, 200));
	assert_accepted(h2_head_to_request(&self, &limits, true, &head));
	self = section(":method=GET\n:scheme=https\n:authority=a\n");
	h2_head_add(&self, &limits, SLICE(":path"), slice_of(path, 201));
	assert_reason(h2_head_to_request(&self, &limits, true, &head), REASON_URI_TOO_LONG);
}

/* The first fault stays. */
static void a_malformed_line_is_not_made_good_by_others(void **state)
{
	struct h2_head self = section(PSEUDO "X-bad=1\n");

	(void)state;
	add_lines(&self, "x-good=1\n");
	assert_malformed(h2_head_to_request(&self, &limits, true, &head));
	assert_int_equal(self.fields.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_request_is_taken_apart),
		TEST(the_lines_are_copied),
		TEST(names_are_lower_case_tokens),
		TEST(a_name_is_not_empty),
		TEST(values_hold_no_control_bytes),
		TEST(values_have_no_white_space_at_their_ends),
		TEST(fields_of_a_connection_are_malformed),
		TEST(te_says_whether_trailers_are_taken),
		TEST(crumbs_of_cookies_are_joined),
		TEST(empty_crumbs_leave_nothing),
		TEST(pseudo_header_fields_come_first_and_once),
		TEST(pseudo_header_fields_are_those_of_requests),
		TEST(a_request_is_complete),
		TEST(a_method_is_a_token),
		TEST(a_scheme_is_of_http),
		TEST(a_path_is_an_origin_form_or_an_asterisk),
		TEST(no_byte_of_a_path_breaks_the_request_line),
		TEST(no_pseudo_header_field_injects_lines),
		TEST(an_authority_is_a_host_and_a_port),
		TEST(host_stands_in_for_the_authority),
		TEST(host_and_authority_agree),
		TEST(a_plain_connect_has_neither_scheme_nor_path),
		TEST(a_body_has_a_length_or_an_end),
		TEST(a_length_is_one_number_that_holds),
		TEST(an_expectation_is_100_continue),
		TEST(an_extended_connect_is_a_handshake),
		TEST(a_handshake_that_is_not_valid_says_why),
		TEST(an_extended_connect_is_complete),
		TEST(other_protocols_are_not_known),
		TEST(a_get_is_never_a_handshake),
		TEST(the_size_of_a_head_is_limited),
		TEST(nothing_is_kept_beyond_a_limit),
		TEST(a_target_has_its_own_limit),
		TEST(a_malformed_line_is_not_made_good_by_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
