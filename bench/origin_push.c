#include "bench/origin_push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "bench/origin_ws.h"
#include "bench/sock.h"
#include "proxy/base/memory.h"

enum { STAMP_SIZE = 16, PUSH_LIMIT = 4096 };

struct subscriber {
	TAILQ_ENTRY(subscriber) link;
	struct conn *conn;
	bool is_engineio;
};

static TAILQ_HEAD(, subscriber) subscribers = TAILQ_HEAD_INITIALIZER(subscribers);
static struct subscriber *push_next; /* whose turn it is */

static struct {
	struct conn *conn; /* NULL: nobody waits */
	uint64_t n_wanted, n_counted;
} push_collect;

static void push_answer_collect(void)
{
	char text[24];
	if (!push_collect.conn || push_collect.n_counted < push_collect.n_wanted)
		return;
	push_collect.n_counted -= push_collect.n_wanted;
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)push_collect.n_wanted);
	ws_send(push_collect.conn, WIRE_TEXT, text, (size_t)n);
	push_collect.conn = NULL;
}

/* ---- subscribers ---- */

static void subscriber_send(const struct subscriber *s, const char *text, size_t n)
{
	char packet[PUSH_LIMIT + 1] = {'4'};
	if (n > PUSH_LIMIT)
		return;
	memcpy(packet + 1, text, n);
	ws_send(s->conn, WIRE_TEXT, packet + !s->is_engineio, n + s->is_engineio);
}

static void subscriber_on_message(
	struct conn *c, void *app_state, enum wire_opcode opcode, char *data, size_t n)
{
	struct subscriber *s = app_state;
	(void)c;
	(void)opcode;
	if (s->is_engineio) {
		if (n == 0 || data[0] != '4')
			return;
		data++;
		n--;
	}
	if (n > 0 && data[n - 1] == '!') {
		subscriber_send(s, data, n);
		return;
	}
	push_collect.n_counted++;
	push_answer_collect();
}

static void subscriber_on_gone(struct conn *c, void *app_state)
{
	struct subscriber *s = app_state;
	(void)c;
	if (push_next == s)
		push_next = TAILQ_NEXT(s, link);
	TAILQ_REMOVE(&subscribers, s, link);
	free(s);
}

static const struct ws_app subscriber_app = {subscriber_on_message, subscriber_on_gone};

static void subscriber_open(struct conn *c, const struct http_request *request, bool is_engineio)
{
	static const char open_packet[] =
		"0{\"sid\":\"bench\",\"upgrades\":[],\"pingInterval\":3600000,"
		"\"pingTimeout\":3600000,\"maxPayload\":1000000}";
	struct subscriber *s = memory_alloc_zeroed(sizeof(*s));
	s->conn = c;
	s->is_engineio = is_engineio;
	if (!ws_open(c, request, &subscriber_app, s)) {
		free(s);
		return;
	}
	TAILQ_INSERT_TAIL(&subscribers, s, link);
	if (is_engineio)
		ws_send(c, WIRE_TEXT, open_packet, sizeof(open_packet) - 1);
}

/* ---- the control ---- */

static void push_all(const char *text, size_t n)
{
	struct subscriber *s;
	TAILQ_FOREACH (s, &subscribers, link) {
		if (!s->conn->closed)
			subscriber_send(s, text, n);
	}
}

static void push_one(char *text, size_t n)
{
	char stamp[STAMP_SIZE + 1];
	struct subscriber *s = push_next ? push_next : TAILQ_FIRST(&subscribers);
	if (!s || n < STAMP_SIZE)
		return;
	push_next = TAILQ_NEXT(s, link);
	snprintf(stamp, sizeof(stamp), "%016llx", (unsigned long long)sock_steady_us());
	memcpy(text, stamp, STAMP_SIZE);
	subscriber_send(s, text, n);
}

static void control_on_message(
	struct conn *c, void *app_state, enum wire_opcode opcode, char *data, size_t n)
{
	struct slice command = slice_of(data, n);
	(void)app_state;
	(void)opcode;
	if (slice_starts_with(command, SLICE("all "))) {
		push_all(data + 4, n - 4);
	} else if (slice_starts_with(command, SLICE("one "))) {
		push_one(data + 4, n - 4);
	} else if (slice_starts_with(command, SLICE("collect ")) &&
		slice_to_u64(slice_from(command, 8), &push_collect.n_wanted)) {
		push_collect.conn = c;
		push_answer_collect();
	} else {
		ws_close(c, 1008, "unknown command");
	}
}

static void control_on_gone(struct conn *c, void *app_state)
{
	(void)app_state;
	push_collect.n_counted = 0;
	if (push_collect.conn == c)
		push_collect.conn = NULL;
}

static const struct ws_app control_app = {control_on_message, control_on_gone};

void push_open(struct conn *c, const struct http_request *request, struct slice name)
{
	if (slice_equals(name, SLICE("control")))
		ws_open(c, request, &control_app, NULL);
	else
		subscriber_open(c, request, slice_starts_with(name, SLICE("engineio/")));
}
