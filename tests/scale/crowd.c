/*
 * A crowd of clients in one process, for tests at scale.
 *
 *     crowd tunnels|slow HOST:PORT [--from ADDRESS] [--addresses N] [--rate N] [--pace MS]
 *             [--path PATH]
 *
 * A member of `tunnels` opens a WebSocket and holds it. A member of `slow` sends the head of a
 * request, one byte every MS milliseconds, and never comes to its end. Members connect from N
 * addresses in turn, of which ADDRESS (IPv4) is the first, no more of them a second than --rate.
 *
 * Commands come from stdin, a line each, and are answered with one line of JSON when done:
 *     open N    N more members; done when each has its tunnel or has sent its first byte, or ended
 *     echo      one message through each open tunnel; done when each has it back or has ended
 *     settle N  done when no more than N members are left
 *     count     done at once
 *     close N   the N eldest members are closed
 * The end of stdin ends the crowd. The answer:
 *     {"open":N, "echoed":N, "ended":{"408":N, ...,"none":N}, "resets":N, "first_ms":N,
 * "last_ms":N} "ended" counts by the status of the answer, "none" those that were closed without
 * one, "resets" those among them all whose end was a reset; "first_ms" and "last_ms" are the
 * shortest and longest life of a member that got a 408.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/sock.h"
#include "bench/wire.h"

enum {
	CONNECTING_AT_ONCE = 256,
	EVENTS_PER_WAIT = 256,
	TICK_MS = 20,
	STATUS_MAX = 600,
	ANSWER_MAX = 1024,
	MESSAGE_SIZE = 8,
};

enum member_state { MEMBER_CONNECTING, MEMBER_ASKING, MEMBER_OPEN };

struct member {
	TAILQ_ENTRY(member) link; /* by age */
	int fd;
	enum member_state state;
	unsigned sent; /* bytes of a slow head */
	int64_t born_us;
	bool awaits_echo;
	size_t n;
	char answer[32]; /* its beginning; of a tunnel, the frame under way */
};

TAILQ_HEAD(member_list, member);

enum command { COMMAND_NONE, COMMAND_OPEN, COMMAND_ECHO, COMMAND_SETTLE };

static struct {
	struct sock_address server;
	const char *path;
	struct in_addr from;
	unsigned n_addresses, next_address;
	bool is_slow;
	unsigned pace_ms;
	unsigned rate;

	int epoll;
	bool has_command; /* waits on stdin */
	struct member_list members;
	struct member *next_to_send; /* slow ones in turn; NULL: the eldest */
	double due_bytes;	     /* of slow heads, by now */
	double due_members;
	int64_t ticked_us;

	enum command command;
	size_t wanted, most_left, connecting, opening, open, echoing, echoed;
	size_t ended[STATUS_MAX], resets;
	int64_t first_ms, last_ms;
} crowd = {.path = "/ws/echo", .n_addresses = 1, .pace_ms = 1000, .rate = 3000, .first_ms = -1};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Members. */

static void member_free(struct member *self)
{
	if (crowd.next_to_send == self)
		crowd.next_to_send = TAILQ_NEXT(self, link);
	TAILQ_REMOVE(&crowd.members, self, link);
	if (self->state == MEMBER_CONNECTING)
		crowd.connecting--;
	if (self->state == MEMBER_OPEN)
		crowd.open--;
	else
		crowd.opening--;
	if (self->awaits_echo)
		crowd.echoing--;
	close(self->fd);
	free(self);
}

static int member_status(const struct member *self)
{
	int status = 0;

	if (self->n >= 12 && memcmp(self->answer, "HTTP/1.1 ", 9) == 0)
		status = atoi(self->answer + 9);
	return status > 0 && status < STATUS_MAX ? status : 0;
}

static void member_end(struct member *self, bool is_reset)
{
	bool was_tunnel = self->state == MEMBER_OPEN && !crowd.is_slow;
	int status = was_tunnel ? 101 : member_status(self);
	int64_t age_ms = (sock_steady_us() - self->born_us) / 1000;

	crowd.ended[status]++;
	crowd.resets += is_reset;
	if (status == 408) {
		if (crowd.first_ms < 0 || age_ms < crowd.first_ms)
			crowd.first_ms = age_ms;
		if (age_ms > crowd.last_ms)
			crowd.last_ms = age_ms;
	}
	member_free(self);
}

/* A reset came, before or after an answer: what the server said is still to be read. */
static void member_end_by_reset(struct member *self)
{
	while (self->n < sizeof(self->answer)) {
		ssize_t n =
			recv(self->fd, self->answer + self->n, sizeof(self->answer) - self->n, 0);
		if (n <= 0)
			break;
		self->n += (size_t)n;
	}
	member_end(self, true);
}

static void member_send(struct member *self, const char *data, size_t n)
{
	/* No test sends so much that a full socket matters. */
	if (send(self->fd, data, n, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		member_end_by_reset(self);
}

static void member_set_open(struct member *self)
{
	self->state = MEMBER_OPEN;
	self->n = 0;
	crowd.opening--;
	crowd.open++;
}

static void member_send_slowly(struct member *self)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ";
	char byte = self->sent < sizeof(head) - 1 ? head[self->sent] : 'a';

	self->sent++;
	member_send(self, &byte, 1);
}

static void member_begin(struct member *self)
{
	char head[512];
	int n;

	crowd.connecting--;
	self->state = MEMBER_ASKING;
	if (crowd.is_slow) {
		member_set_open(self);
		member_send_slowly(self);
		return;
	}
	n = snprintf(head, sizeof(head),
		"GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		crowd.path);
	member_send(self, head, (size_t)n);
}

static void member_connect(void)
{
	struct member *self = calloc(1, sizeof(*self));
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.ptr = self};
	int on = 1;

	if (self == NULL)
		die("calloc");
	from.sin_addr.s_addr = htonl(ntohl(crowd.from.s_addr) + crowd.next_address);
	crowd.next_address = (crowd.next_address + 1) % crowd.n_addresses;
	self->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (self->fd < 0)
		die("socket");
	(void)setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(self->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(self->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		die("bind");
	if (connect(self->fd, (struct sockaddr *)&crowd.server.storage, crowd.server.len) < 0 &&
		errno != EINPROGRESS)
		die("connect");
	if (epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, self->fd, &event) < 0)
		die("epoll_ctl");
	self->born_us = sock_steady_us();
	TAILQ_INSERT_TAIL(&crowd.members, self, link);
	crowd.connecting++;
	crowd.opening++;
}

/* A tunnel's bytes: the head of the 101, then echoes of MESSAGE_SIZE bytes. */
static bool member_take(struct member *self, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (self->state == MEMBER_ASKING || crowd.is_slow) {
			/* The beginning is kept for the status, the last bytes to see the end of
			 * the head. */
			if (self->n == sizeof(self->answer)) {
				memmove(self->answer + 16, self->answer + 17, 15);
				self->n--;
			}
			self->answer[self->n++] = data[i];
			if (!crowd.is_slow && member_status(self) == 101 &&
				memcmp(self->answer + self->n - 4, "\r\n\r\n", 4) == 0)
				member_set_open(self);
			continue;
		}
		self->answer[self->n++] = data[i];
		if (self->n < 2 + MESSAGE_SIZE)
			continue;
		if (!self->awaits_echo || memcmp(self->answer, "\x82\x08", 2) != 0 ||
			memcmp(self->answer + 2, &self->born_us, MESSAGE_SIZE) != 0)
			return false;
		self->n = 0;
		self->awaits_echo = false;
		crowd.echoing--;
		crowd.echoed++;
	}
	return true;
}

static void member_send_message(struct member *self)
{
	static const uint8_t mask[4] = {1, 2, 3, 4};
	char frame[WIRE_HEADER_MAX + MESSAGE_SIZE];
	size_t header = wire_write_header(frame, true, WIRE_BINARY, MESSAGE_SIZE, mask);

	memcpy(frame + header, &self->born_us, MESSAGE_SIZE);
	wire_mask(frame + header, MESSAGE_SIZE, mask);
	self->awaits_echo = true;
	crowd.echoing++;
	member_send(self, frame, header + MESSAGE_SIZE);
}

static void member_on_event(struct member *self, uint32_t events)
{
	char data[ANSWER_MAX];
	ssize_t n;

	if (self->state == MEMBER_CONNECTING && (events & (EPOLLOUT | EPOLLERR))) {
		struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = self};
		int error = sock_error(self->fd);

		if (error != 0) {
			member_end_by_reset(self);
			return;
		}
		(void)epoll_ctl(crowd.epoll, EPOLL_CTL_MOD, self->fd, &event);
		member_begin(self);
		return; /* level-triggered: what else there is comes again */
	}
	n = recv(self->fd, data, sizeof(data), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		member_end(self, n < 0);
	else if (!member_take(self, data, (size_t)n)) {
		fprintf(stderr, "crowd: a tunnel said what it should not\n");
		exit(1);
	}
}

/* The crowd. */

/* Bytes are spread evenly over time, whatever the size of the crowd. */
static void crowd_tick(void)
{
	int64_t now = sock_steady_us();
	double ms = (double)(now - crowd.ticked_us) / 1000;

	crowd.ticked_us = now;
	crowd.due_members += crowd.rate * ms / 1000;
	if (crowd.due_members > crowd.rate * TICK_MS / 1000.0 + 1)
		crowd.due_members = crowd.rate * TICK_MS / 1000.0 + 1;
	if (!crowd.is_slow)
		return;
	crowd.due_bytes += (double)crowd.open * ms / crowd.pace_ms;
	if (crowd.due_bytes > (double)crowd.open)
		crowd.due_bytes = (double)crowd.open;
	for (; crowd.due_bytes >= 1; crowd.due_bytes--) {
		struct member *member = crowd.next_to_send != NULL ? crowd.next_to_send
								   : TAILQ_FIRST(&crowd.members);
		if (member == NULL)
			return;
		crowd.next_to_send = TAILQ_NEXT(member, link);
		if (member->state == MEMBER_OPEN)
			member_send_slowly(member);
	}
}

static void crowd_report(void)
{
	const char *comma = "";

	printf("{\"open\":%zu,\"echoed\":%zu,\"ended\":{", crowd.open, crowd.echoed);
	for (int i = 0; i < STATUS_MAX; i++) {
		if (crowd.ended[i] == 0)
			continue;
		if (i == 0)
			printf("%s\"none\":%zu", comma, crowd.ended[i]);
		else
			printf("%s\"%d\":%zu", comma, i, crowd.ended[i]);
		comma = ",";
	}
	printf("},\"resets\":%zu,\"first_ms\":%lld,\"last_ms\":%lld}\n", crowd.resets,
		(long long)crowd.first_ms, (long long)crowd.last_ms);
	fflush(stdout);
}

static void crowd_command(char *line)
{
	struct member *member, *next;
	size_t n = 0;

	if (sscanf(line, "open %zu", &n) == 1) {
		crowd.wanted = n;
		crowd.command = COMMAND_OPEN;
	} else if (strcmp(line, "echo") == 0) {
		crowd.echoed = 0;
		crowd.command = COMMAND_ECHO;
		for (member = TAILQ_FIRST(&crowd.members); member != NULL; member = next) {
			next = TAILQ_NEXT(member, link);
			if (member->state == MEMBER_OPEN)
				member_send_message(member);
		}
	} else if (sscanf(line, "settle %zu", &n) == 1) {
		crowd.most_left = n;
		crowd.command = COMMAND_SETTLE;
	} else if (strcmp(line, "count") == 0) {
		crowd_report();
	} else if (sscanf(line, "close %zu", &n) == 1) {
		while (n-- > 0 && !TAILQ_EMPTY(&crowd.members))
			member_free(TAILQ_FIRST(&crowd.members));
		crowd_report();
	} else {
		fprintf(stderr, "crowd: what is \"%s\"?\n", line);
		exit(2);
	}
}

static void crowd_advance(void)
{
	bool is_done = false;

	while (crowd.wanted > 0 && crowd.due_members >= 1 &&
		crowd.connecting < CONNECTING_AT_ONCE) {
		crowd.wanted--;
		crowd.due_members--;
		member_connect();
	}
	switch (crowd.command) {
	case COMMAND_NONE:
		break;
	case COMMAND_OPEN:
		is_done = crowd.wanted == 0 && crowd.opening == 0;
		break;
	case COMMAND_ECHO:
		is_done = crowd.echoing == 0;
		break;
	case COMMAND_SETTLE:
		is_done = crowd.opening + crowd.open <= crowd.most_left;
		break;
	}
	if (is_done) {
		crowd.command = COMMAND_NONE;
		crowd_report();
	}
}

/* One command at a time: a line of stdin comes in one read. */
static void crowd_read_command(void)
{
	char line[256];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	crowd.has_command = false;
	if (n <= 0)
		exit(0);
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	crowd_command(line);
}

static void crowd_run(void)
{
	struct epoll_event events[EVENTS_PER_WAIT];

	crowd.ticked_us = sock_steady_us();
	for (;;) {
		int n = epoll_wait(crowd.epoll, events, EVENTS_PER_WAIT, TICK_MS);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				crowd.has_command = true;
			else
				member_on_event(events[i].data.ptr, events[i].events);
		}
		/* It may end members that have events in the same batch. */
		if (crowd.has_command)
			crowd_read_command();
		crowd_tick();
		crowd_advance();
	}
}

static void usage(void)
{
	fprintf(stderr,
		"usage: crowd tunnels|slow HOST:PORT [--from ADDRESS] [--addresses N] "
		"[--rate N] [--pace MS] [--path PATH]\n");
	exit(2);
}

static void crowd_parse(int argc, char **argv)
{
	static const struct option options[] = {{"from", required_argument, NULL, 'f'},
		{"addresses", required_argument, NULL, 'n'}, {"pace", required_argument, NULL, 'p'},
		{"rate", required_argument, NULL, 'r'}, {"path", required_argument, NULL, 'u'},
		{0}};
	int option;

	crowd.from.s_addr = htonl(INADDR_LOOPBACK);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			if (inet_pton(AF_INET, optarg, &crowd.from) != 1)
				usage();
			break;
		case 'n':
			crowd.n_addresses = (unsigned)atoi(optarg);
			break;
		case 'p':
			crowd.pace_ms = (unsigned)atoi(optarg);
			break;
		case 'r':
			crowd.rate = (unsigned)atoi(optarg);
			break;
		case 'u':
			crowd.path = optarg;
			break;
		default:
			usage();
		}
	}
	if (argc != optind + 2 || crowd.n_addresses == 0 || crowd.pace_ms == 0 || crowd.rate == 0 ||
		!sock_parse_address(argv[optind + 1], &crowd.server))
		usage();
	crowd.is_slow = strcmp(argv[optind], "slow") == 0;
	if (!crowd.is_slow && strcmp(argv[optind], "tunnels") != 0)
		usage();
}

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	struct rlimit files;

	crowd_parse(argc, argv);
	TAILQ_INIT(&crowd.members);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (crowd.epoll < 0 || epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
		die("epoll");
	crowd_run();
	return 0;
}
