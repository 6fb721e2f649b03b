/*
 * The load generator.
 *
 *     load MODE URL [--connections C] [--streams S] [--units N] [--length BYTES] [--size BYTES]
 *
 * MODE is one of
 * - get: C keep-alive connections, each with one GET after another; --length checks each body
 * - echo: C WebSockets, each with one message of --size bytes after another, each echo compared
 * - handshake: a new connection (over https: with a full handshake) for each GET, C at a time
 * - idle: opens N WebSockets and holds them
 * or over HTTP/2 (over https by ALPN, over http by prior knowledge), each of the C connections with
 * S streams at a time,
 * - h2-get: GETs
 * - h2-upload: POSTs of --size bytes, to the origin's /sink, which answers how many it got
 * - h2-echo: WebSockets by extended CONNECT (RFC 8441), as echo
 * - h2-idle: opens N connections, has one GET answered on each, and holds them
 * - h2-idle-stream: opens N answers that begin and do not end, S on each connection
 * - h2-idle-websocket: opens N WebSockets, S on each connection
 *
 * URL is http://HOST:PORT/PATH or https://HOST:PORT/PATH.
 *
 * With --units it does one run and leaves. Without, it reads commands from stdin: "run N" does N
 * more units on the same connections, the end of stdin ends it. So one run can warm up and the next
 * be measured with nothing else in it. After each run it prints a line of JSON; the status is 1
 * when there were errors.
 */
#include "bench/load.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/load_client.h"
#include "proxy/base/slice.h"

enum {
	EVENTS_PER_WAIT = 256,
	STALL_US = 30 * 1000 * 1000,
	ERRORS_BEFORE_GIVING_UP = 100,
	MESSAGE_MAX = 3072,
};

struct load load = {.concurrency = 64, .streams = 1, .expected_length = -1, .message_size = 64};

static bool load_had_errors;

bool load_take_unit(void)
{
	if (load.started >= load.target || load.errors > ERRORS_BEFORE_GIVING_UP)
		return false;
	load.started++;
	return true;
}

void load_finish_unit(void)
{
	load.finished++;
}

void load_count_error(const char *fmt, ...)
{
	va_list args;
	if (load.errors++ > 0)
		return;
	va_start(args, fmt);
	vsnprintf(load.first_error, sizeof(load.first_error), fmt, args);
	va_end(args);
	for (char *p = load.first_error; *p; p++) {
		if (*p == '"' || *p == '\\' || (unsigned char)*p < 0x20)
			*p = '?';
	}
}

static void load_begin(uint64_t units)
{
	load.target = units;
	load.started = load.finished = 0;
	load.reconnects = load.bytes = 0;
	load.begun_us = load.progress_us = sock_steady_us();
	load.mode->begin();
}

static void load_report(void)
{
	printf("{\"mode\":\"%s\",\"units\":%llu,\"errors\":%llu,\"reconnects\":%llu,\"bytes\":%llu,"
	       "\"elapsed_us\":%lld,"
	       "\"error\":\"%s\"}\n",
		load.mode->name, (unsigned long long)load.finished, (unsigned long long)load.errors,
		(unsigned long long)load.reconnects, (unsigned long long)load.bytes,
		(long long)(sock_steady_us() - load.begun_us), load.first_error);
	fflush(stdout);
	load_had_errors |= load.errors > 0;
	load.errors = 0;
	load.first_error[0] = '\0';
}

/* One wait and what it brought. True when stdin has something to say. */
static bool load_turn(int epoll)
{
	struct epoll_event events[EVENTS_PER_WAIT];
	bool command = false;
	int n = epoll_wait(epoll, events, EVENTS_PER_WAIT, 1000);
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr)
			load_client_on_event(events[i].data.ptr, events[i].events);
		else
			command = true;
	}
	return command;
}

/* Works until every unit is done, or nothing has moved for long. */
static void load_work(int epoll)
{
	uint64_t seen = 0;
	while (load.finished < load.started) {
		load_turn(epoll);
		if (load.finished != seen) {
			seen = load.finished;
			load.progress_us = sock_steady_us();
		} else if (sock_steady_us() - load.progress_us > STALL_US) {
			load_count_error("no unit was finished for %d s", STALL_US / 1000000);
			break;
		}
	}
}

/* The next command's number of units, while the connections are kept alive. False when there is no
 * other command. */
static bool load_read_command(int epoll, uint64_t *units)
{
	char line[64];
	size_t n = 0;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	bool watched = epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0;
	while (n + 1 < sizeof(line) && (n == 0 || line[n - 1] != '\n')) {
		if (watched && !load_turn(epoll))
			continue;
		ssize_t got = read(STDIN_FILENO, line + n, 1);
		if (got <= 0)
			return false;
		n += (size_t)got;
	}
	line[n] = '\0';
	if (watched)
		epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
	unsigned long long number;
	if (sscanf(line, "run %llu", &number) != 1) {
		fprintf(stderr, "load: unknown command\n");
		return false;
	}
	*units = number;
	return true;
}

static bool load_parse_url(const char *url)
{
	static char host[256];
	bool secure = strncmp(url, "https://", 8) == 0;
	if (!secure && strncmp(url, "http://", 7) != 0)
		return false;
	const char *authority = url + (secure ? 8 : 7);
	const char *slash = strchr(authority, '/');
	size_t n = slash ? (size_t)(slash - authority) : 0;
	if (n == 0 || n >= sizeof(host))
		return false;
	memcpy(host, authority, n);
	load.host = host;
	load.path = slash;
	if (!sock_parse_address(host, &load.address))
		return false;
	if (!secure)
		return true;
	/* What is negotiated is fixed here, so that every server under test does the same work. */
	load.tls = SSL_CTX_new(TLS_client_method());
	if (!load.tls || !SSL_CTX_set_min_proto_version(load.tls, TLS1_3_VERSION) ||
		!SSL_CTX_set_ciphersuites(load.tls, "TLS_AES_128_GCM_SHA256") ||
		!SSL_CTX_set1_groups_list(load.tls, "X25519"))
		return false;
	if (load.mode->h2 &&
		SSL_CTX_set_alpn_protos(load.tls, (const unsigned char *)"\2h2", 3) != 0)
		return false;
	SSL_CTX_set_verify(load.tls, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(load.tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(load.tls, 1);
	SSL_CTX_set_mode(load.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
	return true;
}

static bool load_parse_mode(const char *name)
{
	static const struct load_mode *const modes[] = {&load_get, &load_echo, &load_handshake,
		&load_idle, &load_h2_get, &load_h2_upload, &load_h2_echo, &load_h2_idle,
		&load_h2_idle_stream, &load_h2_idle_websocket};
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (strcmp(modes[i]->name, name) == 0)
			load.mode = modes[i];
	}
	return load.mode != NULL;
}

static bool load_parse_number(const char *text, uint64_t most, uint64_t *out)
{
	return slice_to_u64(slice_from_string(text), out) && *out <= most;
}

static bool load_parse_options(int argc, char **argv, uint64_t *units)
{
	static const struct option options[] = {
		{"connections", required_argument, NULL, 'c'},
		{"streams", required_argument, NULL, 'm'},
		{"units", required_argument, NULL, 'n'},
		{"length", required_argument, NULL, 'l'},
		{"size", required_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	int option;
	uint64_t number;
	while ((option = getopt_long(argc, argv, "c:m:n:l:s:", options, NULL)) != -1) {
		if (!strchr("cmnls", option) ||
			!load_parse_number(optarg, UINT64_C(1) << 40, &number))
			return false;
		if (option == 'c')
			load.concurrency = (size_t)number;
		else if (option == 'm')
			load.streams = (size_t)number;
		else if (option == 'n')
			*units = number;
		else if (option == 'l')
			load.expected_length = (int64_t)number;
		else
			load.message_size = (size_t)number;
	}
	return optind + 2 == argc && load_parse_mode(argv[optind]) &&
		load_parse_url(argv[optind + 1]) && load.concurrency > 0 &&
		load.concurrency <= 20000 && load.streams > 0 && load.streams <= 20000 &&
		(load.mode == &load_h2_upload || load.message_size <= MESSAGE_MAX);
}

int main(int argc, char **argv)
{
	uint64_t units = 0;
	struct rlimit limit;
	if (!load_parse_options(argc, argv, &units)) {
		fprintf(stderr,
			"usage: load [h2-]get|[h2-]echo|handshake|[h2-]idle|h2-upload|"
			"h2-idle-stream|h2-idle-websocket URL\n"
			"            [--connections C] [--streams S] [--units N] "
			"[--length BYTES] [--size BYTES]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	load_client_init(epoll);
	bool once = units > 0;
	while (once || load_read_command(epoll, &units)) {
		load_begin(units);
		load_work(epoll);
		load_report();
		if (once)
			break;
	}
	return load_had_errors ? 1 : 0;
}
