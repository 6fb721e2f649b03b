/*
 * A client and a backend that do what a seed says: messages, polls, streams, repeats, posts, cuts
 *at any byte, stalls. Whatever happens, nothing is lost, repeated or reordered in either direction,
 *except what a gap says; and the ledger balances.
 *
 *	POLLUX_TEST_SEED=N POLLUX_TEST_RUNS=1 test_plain_random	runs one schedule again
 */
#include "tests/unit/bridge/stage.h"

enum {
	RUNS = 150,
	STEPS = 300,
	MAX_TEXT = 3000,
};

enum form {
	FORM_POLL,
	FORM_EVENTS,
	FORM_LINES,
};

/* The one transport that the client looks at; those before it were left or superseded. */
struct transport_view {
	struct client *client;
	enum form form;
	uint64_t cursor; /* what it was asked to go on after, then the last item taken from it */
	bool has_begun;	 /* a stream's session line was seen */
	size_t n_parsed;
};

static struct {
	uint64_t random;
	struct peer *peer;
	const char *id;
	uint64_t n_sent; /* by the backend */
	uint64_t have;	 /* the client has all up to here, or was told that it is lost */
	uint64_t n_lost;
	struct transport_view view;
	uint64_t n_posted; /* numbers used up, as far as the client knows */
	struct client *post;
	struct client *repeat; /* of the same post */
	uint64_t n_got;	       /* posts that the backend has got */
} run;

static uint64_t draw(uint64_t n)
{
	run.random ^= run.random << 13;
	run.random ^= run.random >> 7;
	run.random ^= run.random << 17;
	return run.random % n;
}

static bool chance(uint64_t percent)
{
	return draw(100) < percent;
}

/* The text of the item with this number: its length and content follow from it. */
static const char *text_of(const char *kind, uint64_t seq)
{
	static char text[MAX_TEXT + 64];
	size_t n = (size_t)(seq * 7919 % 17 == 0 ? seq * 104729 % MAX_TEXT : seq % 5);
	int at = snprintf(text, sizeof(text), "%s%llu.", kind, (unsigned long long)seq);

	memset(text + at, 'x', n);
	text[(size_t)at + n] = '\0';
	return text;
}

/* Down. */

static void backend_sends(void)
{
	for (uint64_t n = draw(4); n > 0; n--)
		peer_text(run.peer, text_of("m", ++run.n_sent));
}

/* Reads one item at p; NULL: none, or not all of it. */
static const char *parse_item(const char *p, const char *before, char end, uint64_t seq)
{
	const char *text = text_of("m", seq);
	size_t n = strlen(text);

	if (strncmp(p, before, strlen(before)) != 0)
		return NULL;
	p += strlen(before);
	if (strlen(p) < n + 1)
		return NULL;
	assert_memory_equal(p, text, n);
	assert_int_equal(p[n], end);
	return p + n;
}

static void took(struct transport_view *view, uint64_t seq)
{
	assert_int_equal(seq, view->cursor + 1);
	assert_true(seq <= run.n_sent);
	view->cursor = seq;
	if (seq > run.have)
		run.have = seq;
}

/* A poll from before a gap goes on where it is told. */
static void read_refusal(struct transport_view *view)
{
	uint64_t floor = strtoull(client_field(view->client, "Pollux-Cursor"), NULL, 10);

	assert_true(floor > run.have);
	run.n_lost += floor - run.have;
	run.have = floor;
	view->client = NULL;
}

static void read_poll(struct transport_view *view)
{
	const char *p;

	if (!client_is_done(view->client))
		return;
	if (client_status(view->client) == 409) {
		read_refusal(view);
		return;
	}
	assert_int_equal(client_status(view->client), 200);
	p = strstr(client_body(view->client), "\"messages\":[") + 12;
	while (*p != ']') {
		uint64_t seq = view->cursor + 1;
		const char *next = parse_item(p + (*p == ','),
			stage_text("{\"seq\":%llu,\"text\":\"", (unsigned long long)seq), '"', seq);

		assert_non_null(next);
		took(view, seq);
		p = next + 2;
	}
	assert_int_equal(
		strtoull(client_field(view->client, "Pollux-Cursor"), NULL, 10), view->cursor);
	view->client = NULL;
}

/* A reset may only be a gap, and goes on behind what it says is lost. */
static const char *read_reset(struct transport_view *view, const char *p, const char *before)
{
	unsigned long long from, to;
	const char *lost;

	if (strncmp(p, before, strlen(before)) != 0)
		return p;
	lost = strstr(p, "\"gap\",\"lost\":[");
	assert_non_null(lost);
	assert_int_equal(sscanf(lost, "\"gap\",\"lost\":[%llu,%llu]", &from, &to), 2);
	assert_int_equal(from, view->cursor + 1);
	assert_true(to >= from);
	view->cursor = to;
	if (to > run.have) {
		run.n_lost += to - run.have;
		run.have = to;
	}
	return strchr(lost, '\n') + (view->form == FORM_EVENTS ? 2 : 1);
}

/* The first lines, once they are all there. */
static const char *read_beginning(struct transport_view *view, const char *p)
{
	const char *session = strstr(p, "\"session\":");
	const char *end = session != NULL ? strchr(session, '\n') : NULL;
	unsigned long long cursor;

	if (end == NULL || (view->form == FORM_EVENTS && end[1] == '\0'))
		return NULL;
	p = read_reset(view, view->form == FORM_EVENTS ? p + strlen("retry: 1000\n\n") : p,
		view->form == FORM_EVENTS ? "event: reset\n" : "{\"reset\":");
	assert_true(p <= session);
	assert_int_equal(sscanf(strstr(session, "\"cursor\":"), "\"cursor\":%llu", &cursor), 1);
	assert_int_equal(cursor, view->cursor);
	view->has_begun = true;
	return end + (view->form == FORM_EVENTS ? 2 : 1);
}

static void read_stream(struct transport_view *view)
{
	bool is_events = view->form == FORM_EVENTS;
	const char *body, *p;

	if (client_status(view->client) == 0)
		return;
	assert_int_equal(client_status(view->client), 200);
	body = client_body(view->client);
	p = body + view->n_parsed;
	if (!view->has_begun) {
		p = read_beginning(view, p);
		if (p == NULL)
			return;
	}
	for (;;) {
		uint64_t seq = view->cursor + 1;
		unsigned long long n = seq;
		const char *next;

		view->n_parsed = (size_t)(p - body);
		while (strncmp(p, is_events ? ":\n\n" : "\n", is_events ? 3 : 1) == 0)
			p += is_events ? 3 : 1;
		next = parse_item(p,
			is_events ? stage_text("id: %s.%llu\ndata: ", run.id, n)
				  : stage_text("{\"seq\":%llu,\"text\":\"", n),
			is_events ? '\n' : '"', seq);
		if (next == NULL || strlen(next) < (is_events ? 2 : 3))
			return;
		took(view, seq);
		p = next + (is_events ? 2 : 3);
	}
}

static void read_view(void)
{
	if (run.view.client == NULL)
		return;
	if (run.view.form == FORM_POLL)
		read_poll(&run.view);
	else
		read_stream(&run.view);
}

/* Continues after what the client has. What an earlier transport wrote may be lost with it. */
static void attach(void)
{
	struct transport_view *view = &run.view;
	unsigned long long have = run.have;
	const char *fields = "", *target = stage_text("/chat/~%s", run.id);

	if (view->client != NULL && chance(50)) {
		if (chance(30))
			client_set_room(view->client, draw(200));
		if (chance(50))
			read_view();
		if (view->client != NULL)
			client_leave(view->client);
		have = run.have;
	}
	*view = (struct transport_view){.form = (enum form)draw(3), .cursor = have};
	switch (view->form) {
	case FORM_POLL:
		target = stage_text("%s?after=%llu&wait=%d", target, have, (int)draw(3));
		break;
	case FORM_EVENTS:
		fields = stage_text(
			"Accept: text/event-stream\r\nLast-Event-ID: %s.%llu\r\n", run.id, have);
		target = "/chat";
		break;
	case FORM_LINES:
		fields = stage_text(
			"Accept: application/x-ndjson\r\nLast-Event-ID: %s.%llu\r\n", run.id, have);
		target = "/chat";
		break;
	}
	view->client = client_new();
	if (chance(20))
		client_set_room(view->client, draw(5000));
	client_request_again(view->client, "GET", target, fields, NULL);
}

/* Up. */

static void read_post(struct client **post)
{
	unsigned status;

	if (*post == NULL || !client_is_done(*post))
		return;
	status = client_status(*post);
	assert_true(status == 204 || status == 503);
	if (status == 204) {
		uint64_t seq = strtoull(client_field(*post, "Pollux-Seq"), NULL, 10);

		assert_true(seq <= run.n_posted + 1);
		if (seq > run.n_posted)
			run.n_posted = seq;
	}
	*post = NULL;
}

/* The next number, or the same again where the outcome is not known. May be cut at any byte. */
static void start_post(struct client **post)
{
	uint64_t seq = run.n_posted + 1;
	const char *text = text_of("p", seq);
	const char *request = stage_text("POST /chat/~%s HTTP/1.1\r\nHost: a.example\r\n"
					 "Pollux-Seq: %llu\r\nContent-Length: %zu\r\n\r\n%s",
		run.id, (unsigned long long)seq, strlen(text), text);
	struct client *client = client_new();

	if (chance(25)) {
		client_send_bytes(client, request, draw(strlen(request) + 1));
		client_leave(client);
		return;
	}
	client_send(client, request);
	if (chance(20))
		client_leave(client);
	else
		*post = client;
}

static void backend_reads(void)
{
	const char *p = peer_received(run.peer);

	while (*p != '\0') {
		const char *text = text_of("p", run.n_got + 1);

		assert_memory_equal(p, "text ", 5);
		assert_memory_equal(p + 5, text, strlen(text));
		p += 5 + strlen(text);
		assert_int_equal(*p++, '\n');
		run.n_got++;
	}
}

static void post_something(void)
{
	read_post(&run.post);
	read_post(&run.repeat);
	if (run.post == NULL)
		start_post(&run.post);
	else if (run.repeat == NULL)
		start_post(&run.repeat);
}

/* A schedule. */

static void step(void)
{
	switch (draw(10)) {
	case 0:
	case 1:
	case 2:
		backend_sends();
		break;
	case 3:
		attach();
		break;
	case 4:
	case 5:
		post_something();
		break;
	case 6:
		stage_pass_ms(draw(400));
		break;
	case 7:
		peer_set_room(run.peer, chance(50) ? SIZE_MAX : draw(300));
		break;
	case 8:
		if (run.view.client != NULL)
			client_set_room(run.view.client, chance(50) ? SIZE_MAX : draw(3000));
		break;
	case 9:
		if (run.view.client != NULL && chance(30)) {
			client_leave(run.view.client);
			run.view.client = NULL;
		}
		break;
	}
	if (chance(40))
		read_view();
	backend_reads();
}

/* Everybody is well and stays: all has to arrive. */
static void finish_down(void)
{
	while (run.have < run.n_sent) {
		uint64_t before = run.have;

		run.view.client = NULL;
		attach();
		if (run.view.client != NULL)
			client_set_room(run.view.client, SIZE_MAX);
		stage_pass_ms(3000);
		read_view();
		assert_true(run.have > before);
	}
}

static void finish_up(void)
{
	uint64_t last = run.n_posted + 3;

	peer_set_room(run.peer, SIZE_MAX);
	stage_pass_ms(3000);
	while (run.n_posted < last) {
		read_post(&run.post);
		read_post(&run.repeat);
		if (run.post == NULL && run.n_posted < last)
			start_post(&run.post);
		stage_pass_ms(10);
	}
	backend_reads();
	assert_int_equal(run.n_got, run.n_posted);
}

static void finish(void)
{
	struct client *client;
	struct ledger ledger;

	finish_up();
	finish_down();
	client = client_request("DELETE", stage_text("/chat/~%s", run.id), "", NULL);
	assert_int_equal(client_status(client), 204);
	stage_pass_ms(100);
	client = client_request("GET",
		stage_text("/chat/~%s?after=%llu", run.id, (unsigned long long)run.have), "", NULL);
	assert_non_null(strstr(client_body(client), "\"undelivered\":0}"));
	assert_string_equal(peer_received(run.peer), "close 1000\n");
	ledger = bridge_ledger(stage_bridge());
	assert_true(ledger_is_balanced(&ledger));
	assert_int_equal(ledger.n_taken, run.n_sent + 1);
	assert_int_equal(ledger.n_handed, run.n_posted);
	assert_int_equal(ledger.n_undelivered, 0);
	/* What was told as lost is no more than what was dropped. */
	assert_true(run.n_lost <= ledger.n_dropped);
}

static void run_schedule(uint64_t seed)
{
	struct client *client;

	memset(&run, 0, sizeof(run));
	run.random = seed * 0x9e3779b97f4a7c15u | 1;
	stage_open(chance(50) ? "max_message_size = 4000\nqueue = 12000\nreplay = 3000\n"
				"batch_messages = 3\nlinger = \"1h\"\nsend_timeout = \"2s\"\n"
			      : "linger = \"1h\"\n");
	client = client_request("POST", "/chat", "", NULL);
	run.peer = peer_open();
	run.id = stage_session(client);
	for (int i = 0; i < STEPS; i++)
		step();
	finish();
	stage_close();
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static void nothing_is_lost_repeated_or_reordered(void **state)
{
	uint64_t seed = number_from("POLLUX_TEST_SEED", 1);
	uint64_t n_runs = number_from("POLLUX_TEST_RUNS", RUNS);

	(void)state;
	for (uint64_t i = 0; i < n_runs; i++) {
		print_message("POLLUX_TEST_SEED=%llu\n", (unsigned long long)(seed + i));
		run_schedule(seed + i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(nothing_is_lost_repeated_or_reordered, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
