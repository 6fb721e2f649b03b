#include "proxy/route/access_log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "proxy/net/conn_fake.h"
#include "proxy/route/access_log_format.h"

#define NOON 1787918400 /* 28/Aug/2026:12:00:00 +0000 */

static struct access_log_clock access_clock;

static int set_up(void **state)
{
	(void)state;
	(void)setenv("TZ", "UTC", 1);
	tzset();
	access_clock = (struct access_log_clock){0};
	access_log_clock_set(&access_clock, NOON);
	return 0;
}

static const char *format(enum conf_access_log_format form, const struct access_log_facts *facts)
{
	static char text[65536];
	struct bytes line;
	size_t n;

	bytes_init(&line);
	access_log_format(&line, form, facts, &access_clock);
	n = bytes_size(&line);
	assert_true(n < sizeof(text));
	bytes_peek(&line, text, n);
	text[n] = '\0';
	bytes_clear(&line);
	return text;
}

static struct access_log_facts a_get(void)
{
	return (struct access_log_facts){
		.client = SLICE("192.0.2.1"),
		.method = SLICE("GET"),
		.target = SLICE("/a?b"),
		.host = SLICE("a.example"),
		.user_agent = SLICE("curl/7.88.1"),
		.server = "10.0.0.5:3000",
		.times = {.started = 1000000,
			.requested = 1000104,
			.connected = 1000134,
			.responded = 1002474,
			.ended = 1002480},
		.n_request_body = 3,
		.n_response_body = 12,
		.version = 11,
		.status = 200,
	};
}

static void an_ordinary_line(void **state)
{
	struct access_log_facts facts = a_get();

	(void)state;
	assert_string_equal(format(CONF_ACCESS_LOG_COMBINED, &facts),
		"192.0.2.1 - - [28/Aug/2026:12:00:00 +0000] \"GET /a?b HTTP/1.1\" 200 12 \"-\" "
		"\"curl/7.88.1\" a.example 10.0.0.5:3000 - - 0.104 0.030 2.340 2.480\n");
	assert_string_equal(format(CONF_ACCESS_LOG_JSON, &facts),
		"{\"time\":\"2026-08-28T12:00:00+00:00\",\"client\":\"192.0.2.1\","
		"\"method\":\"GET\",\"target\":\"/a?b\",\"version\":\"1.1\","
		"\"host\":\"a.example\",\"status\":200,\"request_bytes\":3,"
		"\"response_bytes\":12,\"user_agent\":\"curl/7.88.1\","
		"\"server\":\"10.0.0.5:3000\",\"head_ms\":0.104,\"connect_ms\":0.030,"
		"\"response_ms\":2.340,\"total_ms\":2.480}\n");
}

static void a_line_of_what_could_not_be_read(void **state)
{
	struct access_log_facts facts = {
		.client = SLICE("unix:"),
		.times = {.started = 5, .requested = 5, .responded = 6, .ended = 1000006},
		.reason = REASON_BAD_REQUEST,
		.version = 10,
		.status = 400,
	};

	(void)state;
	assert_string_equal(format(CONF_ACCESS_LOG_COMBINED, &facts),
		"unix: - - [28/Aug/2026:12:00:00 +0000] \"-\" 400 0 \"-\" \"-\" - - bad-request - "
		"0.000 - 0.001 1000.001\n");
	assert_string_equal(format(CONF_ACCESS_LOG_JSON, &facts),
		"{\"time\":\"2026-08-28T12:00:00+00:00\",\"client\":\"unix:\",\"status\":400,"
		"\"request_bytes\":0,\"response_bytes\":0,\"reason\":\"bad-request\","
		"\"head_ms\":0.000,\"response_ms\":0.001,\"total_ms\":1000.001}\n");
}

static void a_tunnel_and_a_session_say_so(void **state)
{
	struct access_log_facts facts = a_get();

	(void)state;
	facts.is_upgrade = true;
	facts.tls_version = "TLSv1.3";
	facts.session = SLICE("w1.k...");
	facts.referer = SLICE("https://a.example/");
	facts.version = 20;
	facts.status = 101;
	facts.reason = REASON_TUNNEL_TIMEOUT;
	assert_string_equal(format(CONF_ACCESS_LOG_COMBINED, &facts),
		"192.0.2.1 - - [28/Aug/2026:12:00:00 +0000] \"GET /a?b HTTP/2.0\" 101 12 "
		"\"https://a.example/\" \"curl/7.88.1\" a.example 10.0.0.5:3000 tunnel-timeout "
		"w1.k... 0.104 0.030 2.340 2.480\n");
	assert_string_equal(format(CONF_ACCESS_LOG_JSON, &facts),
		"{\"time\":\"2026-08-28T12:00:00+00:00\",\"client\":\"192.0.2.1\","
		"\"method\":\"GET\",\"target\":\"/a?b\",\"version\":\"2.0\","
		"\"host\":\"a.example\",\"status\":101,\"request_bytes\":3,"
		"\"response_bytes\":12,\"referer\":\"https://a.example/\","
		"\"user_agent\":\"curl/7.88.1\",\"tls\":\"TLSv1.3\","
		"\"server\":\"10.0.0.5:3000\",\"reason\":\"tunnel-timeout\","
		"\"session\":\"w1.k...\",\"tunnel\":true,\"head_ms\":0.104,"
		"\"connect_ms\":0.030,\"response_ms\":2.340,\"total_ms\":2.480}\n");
}

static void a_client_that_left_has_a_status_too(void **state)
{
	struct access_log_facts facts = a_get();

	(void)state;
	facts.status = 0;
	facts.times.responded = 0;
	facts.reason = REASON_CLIENT_GONE;
	assert_non_null(strstr(format(CONF_ACCESS_LOG_COMBINED, &facts), "\" 499 12 "));
	assert_non_null(strstr(
		format(CONF_ACCESS_LOG_COMBINED, &facts), " client-gone - 0.104 0.030 - 2.480\n"));
	facts.reason = REASON_DRAIN;
	assert_non_null(strstr(format(CONF_ACCESS_LOG_COMBINED, &facts), "\" 000 12 "));
	facts.status = 200;
	facts.reason = REASON_CLIENT_GONE;
	assert_non_null(strstr(format(CONF_ACCESS_LOG_COMBINED, &facts), "\" 200 12 "));
}

static void nothing_from_outside_breaks_a_line(void **state)
{
	struct access_log_facts facts = a_get();

	(void)state;
	facts.method = SLICE("G\"T");
	facts.target = SLICE("/\r\n\"\\\x1b[0m\x7f\xff");
	facts.user_agent = SLICE("a\tb\xc3\xa9");
	facts.host = SLICE("a b\n");
	assert_string_equal(format(CONF_ACCESS_LOG_COMBINED, &facts),
		"192.0.2.1 - - [28/Aug/2026:12:00:00 +0000] "
		"\"G\\x22T /\\x0d\\x0a\\x22\\x5c\\x1b[0m\\x7f\\xff HTTP/1.1\" 200 12 \"-\" "
		"\"a\\x09b\\xc3\\xa9\" a\\x20b\\x0a 10.0.0.5:3000 - - 0.104 0.030 2.340 2.480\n");
	assert_non_null(strstr(format(CONF_ACCESS_LOG_JSON, &facts),
		"\"method\":\"G\\\"T\",\"target\":\"/\\u000d\\u000a\\\"\\\\\\u001b[0m\\u007f"
		"\\u00ff\",\"version\":\"1.1\",\"host\":\"a b\\u000a\","));
	/* What is UTF-8 stays. */
	assert_non_null(strstr(
		format(CONF_ACCESS_LOG_JSON, &facts), "\"user_agent\":\"a\\u0009b\xc3\xa9\""));
}

static void long_lines_are_whole(void **state)
{
	static char target[8192];
	struct access_log_facts facts = a_get();
	const char *line;

	(void)state;
	memset(target, '\n', sizeof(target));
	target[0] = '/';
	facts.target = slice_of(target, sizeof(target));
	line = format(CONF_ACCESS_LOG_JSON, &facts);
	assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
	assert_true(strlen(line) > 6 * 8191);
	assert_non_null(strstr(line, "\"total_ms\":2.480}\n"));
	line = format(CONF_ACCESS_LOG_COMBINED, &facts);
	assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
}

static void session_ids_are_masked(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"/chat/~w1.kX0abcdef?after=7", "/chat/~w1.***?after=7"},
		{"/chat/~w1.kX0abcdef", "/chat/~w1.***"},
		{"/~w1.kX0abcdef", "/~w1.***"},
		{"https://a.example/chat/~w1.kX0abcdef#x", "https://a.example/chat/~w1.***#x"},
		{"/chat/%7Ew1.kX0abcdef?a=/~b", "/chat/%7Ew1.***?a=/~b"},
		{"/chat/~abc", "/chat/~abc"},
		{"/chat/~abcd", "/chat/~abc***"},
		{"/~user/file", "/~user/file"},
		{"/chat/~", "/chat/~"},
		{"/chat/w1.kX0abcdef", "/chat/w1.kX0abcdef"},
		{"~w1.kX0abcdef", "~w1.kX0abcdef"},
		{"*", "*"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice url = slice_from_string(rows[i].in);
		struct access_log_mask mask = access_log_find_mask(url);
		char text[128];

		(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)mask.cut, rows[i].in,
			mask.resume > mask.cut ? "***" : "", rows[i].in + mask.resume);
		assert_string_equal(text, rows[i].out);
	}
	{
		struct access_log_facts facts = a_get();

		facts.target = SLICE("/chat/~w1.kX0abcdef?after=7");
		facts.referer = SLICE("http://a/chat/~w1.kX0abcdef");
		assert_non_null(strstr(format(CONF_ACCESS_LOG_COMBINED, &facts),
			"\"GET /chat/~w1.***?after=7 HTTP/1.1\" 200 12 "
			"\"http://a/chat/~w1.***\" "));
		assert_null(strstr(format(CONF_ACCESS_LOG_JSON, &facts), "kX0"));
	}
}

static void the_clock_moves_by_seconds(void **state)
{
	(void)state;
	access_log_clock_set(&access_clock, NOON + 3661);
	assert_string_equal(access_clock.combined, "28/Aug/2026:13:01:01 +0000");
	assert_string_equal(access_clock.json, "2026-08-28T13:01:01+00:00");
}

/* The log itself, with an exchange of no codec. */

struct world {
	struct loop *loop;
	struct conn_fake *fake;
	struct conf conf;
	struct conf_listen listen;
	struct exchange x;
	struct request_head head;
};

static void open_world(struct world *world)
{
	static const struct exchange_service service = {.on_log = NULL};

	*world = (struct world){.loop = loop_new_fake(5000)};
	world->listen.conf = &world->conf;
	world->fake = conn_fake_new(world->loop);
	exchange_init(&world->x, world->loop, NULL, NULL, conn_fake_conn(world->fake),
		&world->listen, &service);
	world->head.method_name = SLICE("GET");
	world->head.target = SLICE("/");
	world->head.version_minor = 1;
	world->x.req = &world->head;
	world->x.status = 204;
}

static void close_world(struct world *world)
{
	exchange_finish(&world->x, REASON_NONE);
	exchange_close(&world->x);
	conn_fake_free(world->fake);
	loop_advance(world->loop, 0);
	loop_free(world->loop);
	arena_release_cache();
	bytes_release_cache();
}

static size_t count_lines(int fd)
{
	static char text[1 << 16];
	size_t n_lines = 0;
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			n_lines += text[i] == '\n';
	return n_lines;
}

static void lines_are_written_at_the_end_of_the_turn(void **state)
{
	int fds[2];
	struct access_log *log;
	struct world world;

	(void)state;
	open_world(&world);
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	log = access_log_new(world.loop, fds[1], CONF_ACCESS_LOG_COMBINED);
	access_log_write(log, &world.x);
	access_log_write(log, &world.x);
	assert_int_equal(count_lines(fds[0]), 0);
	loop_advance(world.loop, 0);
	assert_int_equal(count_lines(fds[0]), 2);
	/* What waits when the log is freed is written then. */
	access_log_write(log, &world.x);
	access_log_free(log);
	assert_int_equal(count_lines(fds[0]), 1);
	close_world(&world);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void check_full(const int fds[2])
{
	int error_fds[2];
	struct access_log *log;
	struct world world;
	char told[256] = "";
	unsigned n_lost = 0;
	size_t n = 0;

	assert_int_equal(pipe2(error_fds, O_NONBLOCK), 0);
	log_set_fd(error_fds[1]);
	open_world(&world);
	log = access_log_new(world.loop, fds[1], CONF_ACCESS_LOG_COMBINED);
	for (int i = 0; i < 30000; i++) {
		access_log_write(log, &world.x);
		loop_advance(world.loop, 0);
	}
	/* As the reader takes lines, those that waited follow, in turns of the retry. */
	for (int i = 0; i < 100; i++) {
		n += count_lines(fds[0]);
		loop_advance(world.loop, 1000);
	}
	assert_in_range(n, 8000, 29999);
	assert_true(read(error_fds[0], told, sizeof(told) - 1) > 0);
	assert_non_null(strstr(told, "access log: "));
	assert_int_equal(sscanf(strstr(told, "access log: "), "access log: %u lines", &n_lost), 1);
	assert_int_equal(n + n_lost, 30000);
	access_log_write(log, &world.x);
	loop_advance(world.loop, 0);
	assert_int_equal(count_lines(fds[0]), 1);
	access_log_free(log);
	close_world(&world);
	(void)close(fds[0]);
	(void)close(fds[1]);
	log_set_fd(STDERR_FILENO);
	(void)close(error_fds[0]);
	(void)close(error_fds[1]);
}

static void a_full_pipe_loses_lines_but_holds_nobody_up(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	check_full(fds);
}

/* Our end blocks, as the one does that a service is started with. */
static void a_full_socket_loses_lines_but_holds_nobody_up(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	check_full(fds);
}

static void a_log_that_is_off_or_broken_is_no_trouble(void **state)
{
	int fds[2];
	struct access_log *log;
	struct world world;

	(void)state;
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	open_world(&world);
	log = access_log_new(world.loop, -1, CONF_ACCESS_LOG_JSON);
	access_log_write(log, &world.x);
	loop_advance(world.loop, 0);
	/* Not open for writing. */
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	access_log_set_fd(log, fds[0]);
	access_log_write(log, &world.x);
	loop_advance(world.loop, 0);
	access_log_set_fd(log, fds[1]);
	access_log_write(log, &world.x);
	loop_advance(world.loop, 0);
	assert_int_equal(count_lines(fds[0]), 1);
	access_log_free(log);
	close_world(&world);
	(void)close(fds[0]);
	(void)close(fds[1]);
	log_set_fd(STDERR_FILENO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_ordinary_line, set_up),
		cmocka_unit_test_setup(a_line_of_what_could_not_be_read, set_up),
		cmocka_unit_test_setup(a_tunnel_and_a_session_say_so, set_up),
		cmocka_unit_test_setup(a_client_that_left_has_a_status_too, set_up),
		cmocka_unit_test_setup(nothing_from_outside_breaks_a_line, set_up),
		cmocka_unit_test_setup(long_lines_are_whole, set_up),
		cmocka_unit_test_setup(session_ids_are_masked, set_up),
		cmocka_unit_test_setup(the_clock_moves_by_seconds, set_up),
		cmocka_unit_test(lines_are_written_at_the_end_of_the_turn),
		cmocka_unit_test(a_full_pipe_loses_lines_but_holds_nobody_up),
		cmocka_unit_test(a_full_socket_loses_lines_but_holds_nobody_up),
		cmocka_unit_test(a_log_that_is_off_or_broken_is_no_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
