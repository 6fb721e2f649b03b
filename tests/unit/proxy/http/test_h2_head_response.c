/* Response heads and trailers of HTTP/2, and what is written of heads: both ways, they agree. */
#include "tests/unit/proxy/http/h2_lines.h"

static struct response_head head;

static const char *response_to(enum method method, const char *text, bool is_ended)
{
	struct h2_head self = section(text);

	return h2_head_to_response(&self, method, is_ended, &head);
}

#define response(text, is_ended) response_to(METHOD_GET, text, is_ended)
#define assert_accepted(expr) assert_null(expr)
#define assert_refused(expr) assert_non_null(expr)

static void a_plain_response_is_taken_apart(void **state)
{
	(void)state;
	assert_accepted(response(":status=200\ncontent-length=2\nx-one=1\n", false));
	assert_int_equal(head.status, 200);
	assert_true(head.is_http2);
	assert_int_equal(head.body, BODY_LENGTH);
	assert_true(head.has_content_length);
	assert_int_equal(head.content_length, 2);
	assert_false(head.is_upgrade);
	assert_int_equal(head.fields.n, 2);
	assert_text(head.fields.items[1].name, "x-one");
}

static void the_end_of_a_body_is_known(void **state)
{
	(void)state;
	assert_accepted(response(":status=200\n", false));
	assert_int_equal(head.body, BODY_CHUNKED);
	assert_accepted(response(":status=200\n", true));
	assert_int_equal(head.body, BODY_LENGTH);
	assert_int_equal(head.content_length, 0);
	assert_false(head.has_content_length);
	assert_accepted(response(":status=204\n", true));
	assert_int_equal(head.body, BODY_NONE);
	assert_accepted(response(":status=304\ncontent-length=9\n", true));
	assert_int_equal(head.body, BODY_NONE);
	assert_int_equal(head.content_length, 9);
	assert_accepted(response_to(METHOD_HEAD, ":status=200\ncontent-length=9\n", true));
	assert_int_equal(head.body, BODY_NONE);
	assert_accepted(response(":status=103\nlink=</a>\n", false));
	assert_int_equal(head.body, BODY_NONE);
}

/* RFC 9113 section 8.1.1. */
static void a_length_that_does_not_hold_is_refused(void **state)
{
	(void)state;
	assert_refused(response(":status=200\ncontent-length=1\n", true));
	assert_refused(response(":status=200\ncontent-length=1\ncontent-length=1\n", false));
	assert_refused(response(":status=200\ncontent-length=1, 1\n", false));
	assert_refused(response(":status=200\ncontent-length=x\n", false));
	assert_refused(response(":status=200\ncontent-length=9223372036854775808\n", false));
	assert_accepted(response(":status=200\ncontent-length=0\n", true));
}

/* RFC 9110 section 8.6: such responses have none, and Pollux passes none on. */
static void a_204_and_an_interim_head_have_no_length(void **state)
{
	(void)state;
	assert_accepted(response(":status=204\ncontent-length=0\n", true));
	assert_false(head.has_content_length);
	assert_accepted(response(":status=103\ncontent-length=0\n", false));
	assert_false(head.has_content_length);
}

/* Section 8.3.2. */
static void a_status_has_three_digits(void **state)
{
	(void)state;
	assert_refused(response("", false));
	assert_refused(response("x=y\n", false));
	assert_refused(response(":status=\n", false));
	assert_refused(response(":status=20\n", false));
	assert_refused(response(":status=2000\n", false));
	assert_refused(response(":status=099\n", false));
	assert_refused(response(":status=2x0\n", false));
	assert_refused(response(":status=200 OK\n", false));
	assert_refused(response(":status=+20\n", false));
	assert_accepted(response(":status=100\n", false));
	assert_accepted(response(":status=999\n", false));
}

/* Section 8.6. */
static void there_is_no_101(void **state)
{
	(void)state;
	assert_refused(response(":status=101\n", false));
}

static void pseudo_header_fields_are_those_of_responses(void **state)
{
	(void)state;
	assert_refused(response(":status=200\n:status=200\n", false));
	assert_refused(response("x=y\n:status=200\n", false));
	assert_refused(response(":status=200\n:method=GET\n", false));
	assert_refused(response(":status=200\n:path=/\n", false));
	assert_refused(response(":status=200\n:scheme=https\n", false));
	assert_refused(response(":status=200\n:authority=a\n", false));
	assert_refused(response(":status=200\n:authority=\n", false));
	assert_refused(response(":status=200\n:protocol=websocket\n", false));
	assert_refused(response(":status=200\n:reason=OK\n", false));
}

static void fields_are_those_of_a_response(void **state)
{
	(void)state;
	assert_refused(response(":status=200\nConnection=close\n", false));
	assert_refused(response(":status=200\nconnection=close\n", false));
	assert_refused(response(":status=200\nkeep-alive=timeout=5\n", false));
	assert_refused(response(":status=200\nproxy-connection=close\n", false));
	assert_refused(response(":status=200\ntransfer-encoding=chunked\n", false));
	assert_refused(response(":status=200\nupgrade=h2c\n", false));
	assert_refused(response(":status=200\nX=y\n", false));
	assert_refused(response(":status=200\nx= y\n", false));
	assert_refused(response(":status=200\nx=a\rb\n", false));
}

static void a_large_head_is_refused(void **state)
{
	struct h2_head self = section(":status=200\n");

	(void)state;
	for (uint32_t i = 0; i <= limits.max_fields; i++)
		add_lines(&self, "x=y\n");
	assert_string_equal(
		h2_head_to_response(&self, METHOD_GET, false, &head), "response head is too large");
}

/* Trailers. */

static struct fields *trailers(const char *text)
{
	struct h2_head self = section(text);

	return h2_head_to_trailers(&self);
}

static void trailers_are_those_that_may_stand_there(void **state)
{
	struct fields *fields;

	(void)state;
	fields = trailers("x-sum=5\ncontent-length=7\nhost=a\nset-cookie=a=b\netag=\"e\"\n");
	assert_non_null(fields);
	assert_int_equal(fields->n, 2);
	assert_text(fields->items[0].name, "x-sum");
	assert_text(fields->items[1].name, "etag");
	assert_null(trailers("content-length=7\n"));
	assert_null(trailers(""));
}

/* Section 8.1: no pseudo-header field is a trailer. */
static void what_is_malformed_is_no_trailer(void **state)
{
	struct fields *fields = trailers(":path=/\nx-sum=5\n");

	(void)state;
	assert_true(fields == NULL || fields->n == 1);
	assert_null(trailers("x-sum=5\n:path=/\n"));
	assert_null(trailers("x-sum=5\nX-Sum=5\n"));
	assert_null(trailers("x-sum=5\nx=a\rb\n"));
}

/* Writing. */

static struct request_head plain_request(void)
{
	struct request_head req = {.method = METHOD_POST,
		.method_name = SLICE("POST"),
		.target = SLICE("/a?b"),
		.path = SLICE("/a"),
		.query = SLICE("b"),
		.has_query = true,
		.authority = SLICE("a.example"),
		.version_minor = 1};

	fields_add(&req.fields, &arena, SLICE("X-One"), SLICE("1"));
	return req;
}

static void a_request_is_written_with_its_pseudo_header_fields_first(void **state)
{
	struct request_head req = plain_request();

	(void)state;
	assert_string_equal(text_of(h2_head_write_request(&req, BODY_CHUNKED, 0, true, false)),
		":method=POST\n:scheme=https\n:authority=a.example\n:path=/a?b\nX-One=1\n");
	assert_string_equal(text_of(h2_head_write_request(
				    &req, BODY_LENGTH, 18446744073709551615u, false, false)),
		":method=POST\n:scheme=http\n:authority=a.example\n:path=/a?b\nX-One=1\n"
		"content-length=18446744073709551615\n");
	assert_string_equal(text_of(h2_head_write_request(&req, BODY_LENGTH, 0, true, false)),
		":method=POST\n:scheme=https\n:authority=a.example\n:path=/a?b\nX-One=1\n"
		"content-length=0\n");
}

static const char *const fields_of_connections[] = {"Connection", "Keep-Alive", "Proxy-Connection",
	"Transfer-Encoding", "Upgrade", "Host", "Content-Length", "TE", "HTTP2-Settings"};

/* Section 8.2.2; and what says the same as a pseudo-header field. */
static void what_frames_http1_is_not_written(void **state)
{
	struct request_head req = plain_request();
	struct response_head res = {.status = 200, .fields = {0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fields_of_connections); i++) {
		fields_add(&req.fields, &arena, slice_from_string(fields_of_connections[i]),
			SLICE("7"));
		fields_add(&res.fields, &arena, slice_from_string(fields_of_connections[i]),
			SLICE("7"));
	}
	assert_string_equal(text_of(h2_head_write_request(&req, BODY_NONE, 0, true, false)),
		":method=POST\n:scheme=https\n:authority=a.example\n:path=/a?b\nX-One=1\n");
	assert_string_equal(text_of(h2_head_write_response(&res)), ":status=200\n");
	assert_string_equal(text_of(h2_head_write_trailers(&res.fields)), "");
}

static void te_is_written_for_trailers_alone(void **state)
{
	struct request_head req = plain_request();

	(void)state;
	req.takes_trailers = true;
	fields_add(&req.fields, &arena, SLICE("TE"), SLICE("gzip, trailers"));
	assert_string_equal(text_of(h2_head_write_request(&req, BODY_NONE, 0, true, false)),
		":method=POST\n:scheme=https\n:authority=a.example\n:path=/a?b\nX-One=1\n"
		"te=trailers\n");
}

/* RFC 8441 sections 4 and 5. */
static void a_handshake_is_written_as_an_extended_connect(void **state)
{
	struct request_head req = plain_request();

	(void)state;
	req.method = METHOD_GET;
	req.method_name = SLICE("GET");
	fields_add(&req.fields, &arena, SLICE("Sec-WebSocket-Key"), SLICE("key"));
	fields_add(&req.fields, &arena, SLICE("Sec-WebSocket-Version"), SLICE("13"));
	fields_add(&req.fields, &arena, SLICE("Sec-WebSocket-Protocol"), SLICE("chat"));
	assert_string_equal(text_of(h2_head_write_request(&req, BODY_NONE, 0, true, true)),
		":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a.example\n"
		":path=/a?b\nX-One=1\nSec-WebSocket-Version=13\nSec-WebSocket-Protocol=chat\n");
	/* Without the upgrade they are the client's own fields. */
	assert_non_null(strstr(text_of(h2_head_write_request(&req, BODY_NONE, 0, true, false)),
		"Sec-WebSocket-Key=key\n"));
}

static void the_switch_to_a_websocket_is_written_as_200(void **state)
{
	struct response_head res = {.status = 101, .is_upgrade = true};

	(void)state;
	fields_add(&res.fields, &arena, SLICE("Upgrade"), SLICE("websocket"));
	fields_add(&res.fields, &arena, SLICE("Sec-WebSocket-Accept"), SLICE("accept"));
	fields_add(&res.fields, &arena, SLICE("Sec-WebSocket-Protocol"), SLICE("chat"));
	assert_string_equal(text_of(h2_head_write_response(&res)),
		":status=200\nSec-WebSocket-Protocol=chat\n");
}

static void a_length_is_written_where_the_head_has_one(void **state)
{
	struct response_head res = {
		.status = 304, .content_length = 10, .has_content_length = true};

	(void)state;
	assert_string_equal(
		text_of(h2_head_write_response(&res)), ":status=304\ncontent-length=10\n");
	res.has_content_length = false;
	assert_string_equal(text_of(h2_head_write_response(&res)), ":status=304\n");
	res.status = 103;
	assert_string_equal(text_of(h2_head_write_response(&res)), ":status=103\n");
}

/* There and back. */

static struct h2_head read_back(struct h2_lines lines)
{
	struct h2_head self;

	h2_head_start(&self, &arena);
	for (size_t i = 0; i < lines.n; i++) {
		/* nghttp2 makes names lower-case. */
		struct slice name = arena_copy(&arena,
			slice_of((const char *)lines.items[i].name, lines.items[i].namelen));

		for (size_t j = 0; j < name.n; j++)
			if (name.p[j] >= 'A' && name.p[j] <= 'Z')
				((char *)name.p)[j] |= 0x20;
		h2_head_add(&self, &limits, name,
			slice_of((const char *)lines.items[i].value, lines.items[i].valuelen));
	}
	return self;
}

static void assert_slices_equal(struct slice a, struct slice b)
{
	assert_int_equal(a.n, b.n);
	if (a.n > 0)
		assert_memory_equal(a.p, b.p, a.n);
}

static void assert_same_fields(const struct fields *a, const struct fields *b)
{
	assert_int_equal(a->n, b->n);
	for (uint32_t i = 0; i < a->n; i++) {
		assert_true(slice_equals_ignoring_case(a->items[i].name, b->items[i].name));
		assert_slices_equal(a->items[i].value, b->items[i].value);
		assert_int_equal(a->items[i].id, b->items[i].id);
	}
}

static void a_request_that_is_written_is_read_as_the_same(void **state)
{
	static const char *const texts[] = {
		":method=GET\n:scheme=https\n:authority=a.example\n:path=/\n",
		":method=POST\n:scheme=https\n:authority=a.example:1\n:path=/p?q\ncookie=a; b\n",
		":method=OPTIONS\n:scheme=https\n:authority=[::1]\n:path=*\nx=\ny=\xff z\n",
		":method=CONNECT\n:protocol=websocket\n:scheme=https\n:authority=a\n:path=/c\n"
		"sec-websocket-version=13\nsec-websocket-protocol=chat\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct h2_head first = section(texts[i]), second;
		struct request_head written, read;

		assert_int_equal(h2_head_to_request(&first, &limits, false, &written), REASON_NONE);
		second = read_back(h2_head_write_request(&written, written.body,
			written.content_length, true, written.is_websocket));
		assert_int_equal(h2_head_to_request(&second, &limits, false, &read), REASON_NONE);
		assert_slices_equal(read.method_name, written.method_name);
		assert_slices_equal(read.target, written.target);
		assert_slices_equal(read.authority, written.authority);
		assert_int_equal(read.body, written.body);
		assert_int_equal(read.is_websocket, written.is_websocket);
		assert_same_fields(&written.fields, &read.fields);
	}
}

static void a_response_that_is_written_is_read_as_the_same(void **state)
{
	static const char *const texts[] = {
		":status=200\ncontent-length=17\n",
		":status=200\nx=y\nset-cookie=a=b\nset-cookie=c=d\n",
		":status=204\n",
		":status=304\ncontent-length=5\n",
		":status=103\nlink=</a>\n",
		":status=599\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct h2_head first = section(texts[i]), second;
		struct response_head written, read;

		assert_null(h2_head_to_response(&first, METHOD_GET, false, &written));
		second = read_back(h2_head_write_response(&written));
		assert_null(h2_head_to_response(&second, METHOD_GET, false, &read));
		assert_int_equal(read.status, written.status);
		assert_int_equal(read.body, written.body);
		assert_int_equal(read.has_content_length, written.has_content_length);
		assert_int_equal(read.content_length, written.content_length);
	}
}

/* One buffer for all: it grows with the longest head. */
static void a_long_head_is_written_whole(void **state)
{
	struct response_head res = {.status = 200};
	struct h2_lines lines;

	(void)state;
	for (int i = 0; i < 500; i++)
		fields_add(&res.fields, &arena, SLICE("x"), arena_printf(&arena, "%d", i));
	lines = h2_head_write_response(&res);
	assert_int_equal(lines.n, 501);
	for (size_t i = 0; i < 500; i++) {
		char number[8];
		int n = snprintf(number, sizeof(number), "%zu", i);

		assert_int_equal(lines.items[i + 1].valuelen, n);
		assert_memory_equal(lines.items[i + 1].value, number, (size_t)n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_response_is_taken_apart),
		TEST(the_end_of_a_body_is_known),
		TEST(a_length_that_does_not_hold_is_refused),
		TEST(a_204_and_an_interim_head_have_no_length),
		TEST(a_status_has_three_digits),
		TEST(there_is_no_101),
		TEST(pseudo_header_fields_are_those_of_responses),
		TEST(fields_are_those_of_a_response),
		TEST(a_large_head_is_refused),
		TEST(trailers_are_those_that_may_stand_there),
		TEST(what_is_malformed_is_no_trailer),
		TEST(a_request_is_written_with_its_pseudo_header_fields_first),
		TEST(what_frames_http1_is_not_written),
		TEST(te_is_written_for_trailers_alone),
		TEST(a_handshake_is_written_as_an_extended_connect),
		TEST(the_switch_to_a_websocket_is_written_as_200),
		TEST(a_length_is_written_where_the_head_has_one),
		TEST(a_request_that_is_written_is_read_as_the_same),
		TEST(a_response_that_is_written_is_read_as_the_same),
		TEST(a_long_head_is_written_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
