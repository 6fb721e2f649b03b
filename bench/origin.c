/*
 * The demo app and the origin of the benchmarks: one thread, libevent's raw events.
 *
 *     origin [--listen ADDR:PORT] [--demo DIR]
 *
 * Prints "listening on ADDR:PORT" once it does. Serves the demo page at /, fixed answers (/small,
 * /bytes/N, /delay/MS), POST /echo and /sink, and the WebSockets /ws/echo, /ws/ticker, /chat and
 * /push/. SIGTERM and SIGINT end it.
 */
#include <event2/event.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/origin_chat.h"
#include "bench/origin_conn.h"
#include "bench/origin_demo.h"
#include "bench/origin_http.h"
#include "bench/sock.h"

#ifndef BENCH_DEMO_DIR
#define BENCH_DEMO_DIR "bench/demo"
#endif

enum { ACCEPTS_PER_TURN = 64 };

static struct origin {
	struct event_base *base;
	int listener;
	int spare; /* a descriptor to give up, so that a connection can be turned away when none is
		      left */
	bool leaving;
} origin;

static void origin_turn_away(void)
{
	close(origin.spare);
	int fd = sock_accept(origin.listener);
	if (fd >= 0)
		close(fd);
	origin.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void origin_on_connect(evutil_socket_t listener, short what, void *arg)
{
	(void)what;
	(void)arg;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = sock_accept(listener);
		if (fd >= 0)
			http_open(origin.base, fd);
		else if (errno == EMFILE || errno == ENFILE)
			origin_turn_away();
		else
			break;
	}
}

static void origin_on_signal(evutil_socket_t signal_number, short what, void *arg)
{
	(void)signal_number;
	(void)what;
	(void)arg;
	origin.leaving = true;
}

static struct event_base *origin_new_base(void)
{
	struct event_config *config = event_config_new();
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static void origin_raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void origin_run(void)
{
	struct event accept_event, term_event, int_event;
	event_assign(&accept_event, origin.base, origin.listener, EV_READ | EV_PERSIST,
		origin_on_connect, NULL);
	event_assign(
		&term_event, origin.base, SIGTERM, EV_SIGNAL | EV_PERSIST, origin_on_signal, NULL);
	event_assign(
		&int_event, origin.base, SIGINT, EV_SIGNAL | EV_PERSIST, origin_on_signal, NULL);
	event_add(&accept_event, NULL);
	event_add(&term_event, NULL);
	event_add(&int_event, NULL);
	while (!origin.leaving) {
		event_base_loop(origin.base, EVLOOP_ONCE);
		conn_bury_dead();
	}
	event_del(&accept_event);
	event_del(&term_event);
	event_del(&int_event);
	conn_leave_all();
	conn_bury_dead();
}

static bool origin_parse_options(int argc, char **argv, const char **address, const char **demo)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"demo", required_argument, NULL, 'd'},
		{NULL, 0, NULL, 0},
	};
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'l')
			*address = optarg;
		else if (option == 'd')
			*demo = optarg;
		else
			return false;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	const char *address_text = "127.0.0.1:3000", *demo = BENCH_DEMO_DIR;
	struct sock_address address;
	if (!origin_parse_options(argc, argv, &address_text, &demo) ||
		!sock_parse_address(address_text, &address)) {
		fprintf(stderr, "usage: origin [--listen ADDR:PORT] [--demo DIR]\n");
		return 2;
	}
	if (!demo_load(demo))
		return 1;
	signal(SIGPIPE, SIG_IGN);
	origin_raise_descriptor_limit();
	origin.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	origin.base = origin_new_base();
	origin.listener = sock_listen(&address);
	if (!origin.base || origin.listener < 0) {
		fprintf(stderr, "origin: cannot listen on %s: %s\n", address_text, strerror(errno));
		return 1;
	}
	printf("listening on %.*s:%d\n", (int)(strrchr(address_text, ':') - address_text),
		address_text, sock_port(origin.listener));
	fflush(stdout);
	origin_run();
	close(origin.listener);
	event_base_free(origin.base);
	libevent_global_shutdown();
	chat_free();
	demo_free();
	return 0;
}
