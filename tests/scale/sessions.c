/*
 * Sessions of the bridge by the thousand, in one process, for tests of memory.
 *
 *     sessions HOST:PORT
 *
 * Each session follows the script of its kind: it sends a text, waits until some words are in what
 * comes back, and goes on with the next. The end of a script is the end of its connection.
 *
 * Commands come from stdin, a line each, and are answered with one line of JSON when done:
 *     run N AT_ONCE KIND...    N sessions, of these kinds in turn, so many at a time
 *     hold N AT_ONCE KIND      the same; but each that comes to the last wait of its script stays
 *     close                    all that stay are closed
 * The end of stdin ends the program. The answer:
 *     {"done":N,"held":N}
 * A session to which something else happens ends the program, with a word about it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/sock.h"

enum {
	EVENTS_PER_WAIT = 256,
	INPUT_MAX = 4096,
	TEXT_MAX = 2048,
	NAME_MAX_SIZE = 128,
	KINDS_MAX = 16,
};

/*
 * In a text, @ stands for what was captured, # for a number that no other session has. Frames of
 * WebSockets have a mask of zeros, which leaves them as they are.
 */
struct step {
	const char *text;
	size_t n;
	const char *expect;
	/* What comes behind these words, up to a byte of the other, is captured; NULL: nothing. */
	const char *captures, *until;
	bool is_elsewhere; /* on a new connection */
};

#define TEXT(s) (s), sizeof(s) - 1
#define HOST " HTTP/1.1\r\nHost: a\r\n"
#define UPGRADE \
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
/* What a browser says besides, more or less. */
#define BROWSER \
	HOST "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 " \
	     "Firefox/128.0\r\n" \
	     "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" \
	     "Referer: https://app.example.com/rooms/general\r\nDNT: 1\r\n" \
	     "Cookie: session=5f2c9a7e41d84b0e9a6d3c1b7f80e2a4; theme=dark\r\n" \
	     "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n" \
	     "Cache-Control: no-cache\r\nPragma: no-cache\r\n"
#define OPENING \
	{ \
		TEXT("POST /ws/echo" HOST \
		     "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\none"), \
			"\r\n\r\n", "Location: ", "\r", false \
	}

static const struct step polls[] = {
	OPENING,
	{TEXT("GET @?wait=20" HOST "\r\n"), "\"one\"", NULL, NULL, false},
	{TEXT("POST @" HOST "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\ntwo"), " 204 ",
		NULL, NULL, false},
	{TEXT("GET @?after=1&wait=20" HOST "\r\n"), "\"two\"", NULL, NULL, false},
	{TEXT("DELETE @" HOST "\r\n"), " 204 ", NULL, NULL, false},
	{0},
};

/* Ended by its client. */
static const struct step streams[] = {
	OPENING,
	{TEXT("GET @?after=0" HOST "Accept: text/event-stream\r\n\r\n"), "data: one", NULL, NULL,
		false},
	{TEXT("DELETE @" HOST "\r\n"), " 204 ", NULL, NULL, true},
	{0},
};

/* Its client goes and is not seen again. */
static const struct step leaves[] = {
	OPENING,
	{TEXT("GET @?after=0" HOST "Accept: application/x-ndjson\r\n\r\n"), "\"one\"", NULL, NULL,
		false},
	{0},
};

static const struct step sockets[] = {
	{TEXT("GET /ws/echo" HOST UPGRADE "Sec-WebSocket-Protocol: pollux.v1\r\n\r\n"),
		"\"session\"", NULL, NULL, false},
	{TEXT("\x81\x94\0\0\0\0{\"n\":1,\"text\":\"one\"}"), "\"seq\"", NULL, NULL, false},
	{TEXT("\x81\x8c\0\0\0\0{\"close\":{}}"), "\"closed\"", NULL, NULL, false},
	{0},
};

static const struct step sockjs[] = {
	{TEXT("POST /ws/echo/000/s#/xhr" HOST "Content-Length: 0\r\n\r\n"), "o\n", NULL, NULL,
		false},
	{TEXT("POST /ws/echo/000/s#/xhr_send" HOST
	      "Content-Type: text/plain\r\nContent-Length: 7\r\n\r\n[\"one\"]"),
		" 204 ", NULL, NULL, false},
	{TEXT("POST /ws/echo/000/s#/xhr" HOST "Content-Length: 0\r\n\r\n"), "a[\"one\"]", NULL,
		NULL, false},
	{0},
};

static const struct step engineio[] = {
	{TEXT("GET /engine.io/?EIO=4&transport=polling" HOST "\r\n"), "maxPayload", "\"sid\":\"",
		"\"", false},
	{TEXT("POST /engine.io/?EIO=4&transport=polling&sid=@" HOST
	      "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\n4one"),
		"ok", NULL, NULL, false},
	{TEXT("GET /engine.io/?EIO=4&transport=polling&sid=@" HOST "\r\n"), "4one", NULL, NULL,
		false},
	{TEXT("POST /engine.io/?EIO=4&transport=polling&sid=@" HOST
	      "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n1"),
		"ok", NULL, NULL, false},
	{0},
};

/* To be held: what the last step waits for does not come. */

static const struct step idle_poll[] = {
	OPENING,
	{TEXT("GET @?wait=20" BROWSER "\r\n"), "\"one\"", NULL, NULL, false},
	{TEXT("GET @?after=1&wait=50" BROWSER "\r\n"), "\"two\"", NULL, NULL, false},
	{0},
};

static const struct step idle_events[] = {
	{TEXT("GET /ws/echo" BROWSER "Accept: text/event-stream\r\n\r\n"), "event: session", NULL,
		NULL, false},
	{TEXT(""), "data: one", NULL, NULL, false},
	{0},
};

static const struct step idle_socket[] = {
	{TEXT("GET /ws/echo" BROWSER UPGRADE "Sec-WebSocket-Protocol: pollux.v1\r\n\r\n"),
		"\"session\"", NULL, NULL, false},
	{TEXT(""), "\"one\"", NULL, NULL, false},
	{0},
};

static const struct step idle_tunnel[] = {
	{TEXT("GET /ws/echo HTTP/1.1\r\nHost: tunnel\r\n" UPGRADE "\r\n"), "\r\n\r\n", NULL, NULL,
		false},
	{TEXT(""), "one", NULL, NULL, false},
	{0},
};

static const struct step idle_sockjs[] = {
	{TEXT("POST /ws/echo/000/s#/xhr" BROWSER "Content-Length: 0\r\n\r\n"), "o\n", NULL, NULL,
		false},
	{TEXT("POST /ws/echo/000/s#/xhr" BROWSER "Content-Length: 0\r\n\r\n"), "a[", NULL, NULL,
		false},
	{0},
};

static const struct step idle_engineio[] = {
	{TEXT("GET /engine.io/?EIO=4&transport=polling" BROWSER "\r\n"), "maxPayload", "\"sid\":\"",
		"\"", false},
	{TEXT("GET /engine.io/?EIO=4&transport=polling&sid=@" BROWSER "\r\n"), "4one", NULL, NULL,
		false},
	{0},
};

static const struct kind {
	const char *name;
	const struct step *script;
} kinds[] = {
	{"polls", polls},
	{"streams", streams},
	{"leaves", leaves},
	{"sockets", sockets},
	{"sockjs", sockjs},
	{"engineio", engineio},
	{"idle-poll", idle_poll},
	{"idle-events", idle_events},
	{"idle-socket", idle_socket},
	{"idle-tunnel", idle_tunnel},
	{"idle-sockjs", idle_sockjs},
	{"idle-engineio", idle_engineio},
};

struct session {
	TAILQ_ENTRY(session) link;
	const struct kind *kind;
	const struct step *step;
	unsigned long number;
	int fd;
	bool is_connected;
	bool is_held;
	size_t n;
	char captured[NAME_MAX_SIZE];
	char input[INPUT_MAX + 1];
};

TAILQ_HEAD(session_list, session);

static struct {
	struct sock_address server;
	int epoll;
	struct session_list sessions;
	const struct kind *kinds[KINDS_MAX];
	size_t n_kinds;
	bool holds;
	unsigned long last_number;
	size_t wanted, at_once, going, done, held;
} crowd;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void fail(const struct session *self, const char *what)
{
	fprintf(stderr, "sessions: %s, step %zu: %s: %.*s\n", self->kind->name,
		(size_t)(self->step - self->kind->script), what, (int)self->n, self->input);
	exit(1);
}

/* Sessions. */

static void session_connect(struct session *self)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = self};

	self->is_connected = false;
	self->fd = sock_connect(&crowd.server);
	if (self->fd < 0)
		die("connect");
	if (epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, self->fd, &event) < 0)
		die("epoll_ctl");
}

static void session_send(struct session *self)
{
	char text[TEXT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < self->step->n; i++) {
		char c = self->step->text[i];

		if (c == '@')
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", self->captured);
		else if (c == '#')
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%lu", self->number);
		else
			text[n++] = c;
	}
	/* So little always fits. */
	if (n > 0 && send(self->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		fail(self, strerror(errno));
}

static void session_free(struct session *self)
{
	TAILQ_REMOVE(&crowd.sessions, self, link);
	close(self->fd);
	free(self);
}

static void session_capture(struct session *self)
{
	const char *from = strstr(self->input, self->step->captures);
	size_t n;

	if (from == NULL)
		fail(self, "nothing to capture");
	from += strlen(self->step->captures);
	n = strcspn(from, self->step->until);
	if (n >= sizeof(self->captured))
		fail(self, "too much to capture");
	memcpy(self->captured, from, n);
	self->captured[n] = '\0';
}

static void session_go_on(struct session *self)
{
	if (self->step->captures != NULL)
		session_capture(self);
	self->n = 0;
	self->step++;
	if (self->step->text == NULL) {
		crowd.going--;
		crowd.done++;
		session_free(self);
	} else if (self->step->is_elsewhere) {
		close(self->fd);
		session_connect(self);
	} else {
		session_send(self);
		if (crowd.holds && self->step[1].text == NULL) {
			self->is_held = true;
			crowd.going--;
			crowd.held++;
		}
	}
}

static bool has_expected(struct session *self)
{
	return memmem(self->input, self->n, self->step->expect, strlen(self->step->expect)) != NULL;
}

static void session_on_event(struct session *self)
{
	ssize_t n;

	if (!self->is_connected) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = self};
		int error = sock_error(self->fd);

		if (error != 0)
			fail(self, strerror(error));
		self->is_connected = true;
		(void)epoll_ctl(crowd.epoll, EPOLL_CTL_MOD, self->fd, &event);
		session_send(self);
		return;
	}
	n = recv(self->fd, self->input + self->n, INPUT_MAX - self->n, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		fail(self, n == 0 ? "the end" : strerror(errno));
	self->n += (size_t)n;
	self->input[self->n] = '\0';
	if (self->n == INPUT_MAX)
		fail(self, "too much");
	if (has_expected(self) && self->is_held)
		fail(self, "is not idle");
	if (has_expected(self))
		session_go_on(self);
}

static void session_start(void)
{
	struct session *self = calloc(1, sizeof(*self));

	if (self == NULL)
		die("calloc");
	self->number = ++crowd.last_number;
	self->kind = crowd.kinds[self->number % crowd.n_kinds];
	self->step = self->kind->script;
	TAILQ_INSERT_TAIL(&crowd.sessions, self, link);
	crowd.wanted--;
	crowd.going++;
	session_connect(self);
}

/* Commands. */

static void report(void)
{
	printf("{\"done\":%zu,\"held\":%zu}\n", crowd.done, crowd.held);
	fflush(stdout);
}

static void add_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0 && crowd.n_kinds < KINDS_MAX) {
			crowd.kinds[crowd.n_kinds++] = &kinds[i];
			return;
		}
	fprintf(stderr, "sessions: what is \"%s\"?\n", name);
	exit(2);
}

static void start_crowd(char *words)
{
	char *word = strtok(words, " ");

	crowd.n_kinds = crowd.done = 0;
	crowd.wanted = word != NULL ? strtoul(word, NULL, 10) : 0;
	word = strtok(NULL, " ");
	crowd.at_once = word != NULL ? strtoul(word, NULL, 10) : 0;
	while ((word = strtok(NULL, " ")) != NULL)
		add_kind(word);
	if (crowd.wanted == 0 || crowd.at_once == 0 || crowd.n_kinds == 0) {
		fprintf(stderr, "sessions: so many, so many at once, of what kind?\n");
		exit(2);
	}
}

/* One command at a time: a line of stdin comes in one read. */
static void read_command(void)
{
	char line[256];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		exit(0);
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "run ", 4) == 0 || strncmp(line, "hold ", 5) == 0) {
		crowd.holds = line[0] == 'h';
		start_crowd(strchr(line, ' '));
	} else if (strcmp(line, "close") == 0) {
		while (!TAILQ_EMPTY(&crowd.sessions))
			session_free(TAILQ_FIRST(&crowd.sessions));
		crowd.held = 0;
		report();
	} else {
		fprintf(stderr, "sessions: what is \"%s\"?\n", line);
		exit(2);
	}
}

static void crowd_run(void)
{
	struct epoll_event events[EVENTS_PER_WAIT];

	for (;;) {
		int n = epoll_wait(crowd.epoll, events, EVENTS_PER_WAIT, -1);
		bool was_busy = crowd.wanted + crowd.going > 0, has_command = false;

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				has_command = true;
			else
				session_on_event(events[i].data.ptr);
		}
		/* It may end sessions that have events in the same batch. */
		if (has_command)
			read_command();
		while (crowd.wanted > 0 && crowd.going < crowd.at_once)
			session_start();
		if (was_busy && crowd.wanted + crowd.going == 0)
			report();
	}
}

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	struct rlimit files;

	if (argc != 2 || !sock_parse_address(argv[1], &crowd.server)) {
		fprintf(stderr, "usage: sessions HOST:PORT\n");
		return 2;
	}
	TAILQ_INIT(&crowd.sessions);
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
