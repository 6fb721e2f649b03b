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
 * or with sessions of the bridge, C of them at a time, by the transport T, plain HTTP:
 * - session: one session after another, each opened, used for one message each way, and closed
 * - deliver: rounds of one message to each of the C sessions, sent by whom --control names
 * - send: rounds of one message from each of them, counted by the origin
 * - hold: opens N sessions and holds them, polls included
 * - latency: messages to one session in turn, --rate a second; prints percentiles of what each took
 * --control is the origin behind the proxy, whose /push/ the URL has to lead to; with --post, who
 * takes messages for all by POST, with a body B in which $M is the message. --landing chooses
 * connections by trial, so that all of them end at the worker that owns the session, or none does.
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
#include "bench/load_session.h"
#include "bench/load_transport.h"
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

void load_give_up(void)
{
	load.finished = load.started = load.target;
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

static int load_compare_samples(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;
	return (first > second) - (first < second);
}

static void load_report_samples(void)
{
	size_t n = load.n_samples;
	if (n == 0)
		return;
	qsort(load.samples_us, n, sizeof(*load.samples_us), load_compare_samples);
	printf("\"p50_us\":%lld,\"p99_us\":%lld,", (long long)load.samples_us[n / 2],
		(long long)load.samples_us[n * 99 / 100]);
	load.n_samples = 0;
}

static void load_report(void)
{
	printf("{\"mode\":\"%s\",", load.mode->name);
	load_report_samples();
	printf("\"units\":%llu,\"errors\":%llu,\"reconnects\":%llu,\"bytes\":%llu,"
	       "\"elapsed_us\":%lld,"
	       "\"error\":\"%s\"}\n",
		(unsigned long long)load.finished, (unsigned long long)load.errors,
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
	int wait_ms = load.mode->tick ? load.mode->tick() : 1000;
	int n = epoll_wait(epoll, events, EVENTS_PER_WAIT, wait_ms);
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
		&load_h2_idle_stream, &load_h2_idle_websocket, &load_bridge_session,
		&load_bridge_deliver, &load_bridge_send, &load_bridge_hold, &load_bridge_latency};
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

static bool load_take_word(int option, const char *word)
{
	switch (option) {
	case 't':
		load_bridge.transport = load_transport_named(word);
		return load_bridge.transport != NULL;
	case 'o':
		load_bridge.control = word;
		return true;
	case 'p':
		load_bridge.post_path = word;
		return true;
	case 'b':
		load_bridge.post_body = word;
		return true;
	case 'w':
		load_bridge.landing = strcmp(word, "owner") == 0 ? LAND_AT_OWNER : LAND_ELSEWHERE;
		return strcmp(word, "owner") == 0 || strcmp(word, "other") == 0;
	}
	return false;
}

static bool load_take_option(int option, const char *word, uint64_t *units)
{
	uint64_t number;
	if (!strchr("cmnlsr", option))
		return load_take_word(option, word);
	if (!load_parse_number(word, UINT64_C(1) << 40, &number))
		return false;
	if (option == 'c')
		load.concurrency = (size_t)number;
	else if (option == 'm')
		load.streams = (size_t)number;
	else if (option == 'n')
		*units = number;
	else if (option == 'l')
		load.expected_length = (int64_t)number;
	else if (option == 'r')
		load_bridge.rate = number;
	else
		load.message_size = (size_t)number;
	return true;
}

/* The modes of a bridge have their own needs. */
static bool load_check_bridge(void)
{
	enum { SHORTEST_MESSAGE = 32 };
	bool is_bridge = load.mode == &load_bridge_session || load.mode == &load_bridge_deliver ||
		load.mode == &load_bridge_send || load.mode == &load_bridge_hold ||
		load.mode == &load_bridge_latency;
	if (!is_bridge)
		return !load_bridge.transport;
	return load_bridge.transport && !load.tls && load.message_size >= SHORTEST_MESSAGE &&
		load_bridge.rate > 0 &&
		(load_bridge.landing == LAND_ANYWHERE || load_bridge.transport->attach);
}

static bool load_parse_options(int argc, char **argv, uint64_t *units)
{
	static const struct option options[] = {
		{"connections", required_argument, NULL, 'c'},
		{"streams", required_argument, NULL, 'm'},
		{"units", required_argument, NULL, 'n'},
		{"length", required_argument, NULL, 'l'},
		{"size", required_argument, NULL, 's'},
		{"transport", required_argument, NULL, 't'},
		{"control", required_argument, NULL, 'o'},
		{"post", required_argument, NULL, 'p'},
		{"post-body", required_argument, NULL, 'b'},
		{"landing", required_argument, NULL, 'w'},
		{"rate", required_argument, NULL, 'r'},
		{NULL, 0, NULL, 0},
	};
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (!load_take_option(option, optarg, units))
			return false;
	}
	return optind + 2 == argc && load_parse_mode(argv[optind]) &&
		load_parse_url(argv[optind + 1]) && load.concurrency > 0 &&
		load.concurrency <= 20000 && load.streams > 0 && load.streams <= 20000 &&
		(load.mode == &load_h2_upload || load.message_size <= MESSAGE_MAX) &&
		load_check_bridge();
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
			"[--length BYTES] [--size BYTES]\n"
			"       load session|deliver|send|hold|latency URL --transport T "
			"[--control HOST:PORT] [--post PATH [--post-body B]]\n"
			"            [--landing owner|other] [--rate N] [--connections C] "
			"[--units N] [--size BYTES]\n"
			"T: %s\n",
			load_transport_names());
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
