/* The kinds of work with sessions of a bridge: each from its opening to its end, one direction at a
 * time in rounds of one message for each session, held ones, and how long a message takes. */
#include <stdlib.h>
#include <string.h>

#include "bench/load.h"
#include "bench/load_client.h"
#include "bench/load_control.h"
#include "bench/load_session.h"
#include "proxy/base/memory.h"

static struct load_session *mode_sessions;
static uint64_t mode_serial;

static struct load_session *mode_get_sessions(void)
{
	if (!mode_sessions)
		mode_sessions = memory_alloc_zeroed(load.concurrency * sizeof(*mode_sessions));
	return mode_sessions;
}

static void session_fail(struct load_session *s, const char *what)
{
	load_client_fail(&s->in.client, what);
}

/* Whether the message is the one with that number. */
static bool is_message(const char *text, uint64_t serial, char last)
{
	return memcmp(text, load_message(serial, last), load.message_size) == 0;
}

static void refuse_message(struct load_session *s, const char *text)
{
	(void)text;
	session_fail(s, "a message that nobody sent");
}

static void ignore_session(struct load_session *s)
{
	(void)s;
}

static void ignore_skipped(struct load_client *c)
{
	(void)c;
}

static void mode_on_connected(struct load_client *c)
{
	if (load_control_owns(c))
		load_control_on_connected(c);
	else
		load_session_on_connected(c);
}

static size_t mode_on_bytes(struct load_client *c, char *data, size_t n)
{
	return load_control_owns(c) ? load_control_on_bytes(c, data, n)
				    : load_session_on_bytes(c, data, n);
}

static void mode_on_end(struct load_client *c)
{
	if (load_control_owns(c))
		load_client_close(c);
	else
		load_session_on_end(c);
}

static void mode_on_closed(struct load_client *c)
{
	if (load_control_owns(c))
		load_control_on_closed(c);
	else
		load_session_on_closed(c);
}

/* ---- whole sessions ---- */

static void whole_on_ready(struct load_session *s)
{
	s->serial = ++mode_serial;
	s->is_waiting = s->is_sending = true;
	load_session_send(s, load_message(s->serial, '!'));
}

static void whole_go_on(struct load_session *s)
{
	if (!s->is_waiting && !s->is_sending)
		load_session_close(s);
}

static void whole_on_message(struct load_session *s, const char *text)
{
	if (!s->is_waiting || !is_message(text, s->serial, '!')) {
		session_fail(s, "wrong echo");
		return;
	}
	s->is_waiting = false;
	whole_go_on(s);
}

static void whole_on_sent(struct load_session *s)
{
	s->is_sending = false;
	whole_go_on(s);
}

static void whole_on_over(struct load_session *s);

static const struct load_session_app whole_app = {
	whole_on_ready, whole_on_message, whole_on_sent, whole_on_over, true};

static void whole_on_over(struct load_session *s)
{
	load_finish_unit();
	if (load_take_unit())
		load_session_open(s, &whole_app);
}

static void whole_begin(void)
{
	struct load_session *sessions = mode_get_sessions();
	for (size_t i = 0; i < load.concurrency && load_take_unit(); i++)
		load_session_open(&sessions[i], &whole_app);
}

const struct load_mode load_bridge_session = {
	.name = "session",
	.begin = whole_begin,
	.on_connected = mode_on_connected,
	.on_bytes = mode_on_bytes,
	.on_skipped = ignore_skipped,
	.on_end = mode_on_end,
	.on_closed = mode_on_closed,
};

/* ---- held sessions ---- */

static void hold_open_another(void);

static void hold_on_ready(struct load_session *s)
{
	(void)s;
	load_finish_unit();
	if (load_take_unit())
		hold_open_another();
}

static const struct load_session_app hold_app = {
	hold_on_ready, refuse_message, ignore_session, ignore_session, false};

/* Never freed: it stays until the program leaves. */
static void hold_open_another(void)
{
	struct load_session *s = memory_alloc_zeroed(sizeof(*s));
	load_session_open(s, &hold_app);
}

static void hold_begin(void)
{
	for (size_t i = 0; i < load.concurrency && load_take_unit(); i++)
		hold_open_another();
}

const struct load_mode load_bridge_hold = {
	.name = "hold",
	.begin = hold_begin,
	.on_connected = mode_on_connected,
	.on_bytes = mode_on_bytes,
	.on_skipped = ignore_skipped,
	.on_end = mode_on_end,
	.on_closed = mode_on_closed,
};

/* ---- sessions that stay, with a control ---- */

static size_t n_standing;
static void (*standing_go_on)(void);

static void standing_on_ready(struct load_session *s)
{
	(void)s;
	n_standing++;
	if (n_standing == load.concurrency && load_control_is_ready())
		standing_go_on();
}

static void standing_on_control_ready(void)
{
	if (n_standing == load.concurrency)
		standing_go_on();
}

/* Opens all of them, the first time; calls `go_on` when they stand. */
static void standing_begin(const struct load_session_app *app,
	const struct load_control_app *control_app, void (*go_on)(void))
{
	struct load_session *sessions = mode_get_sessions();
	standing_go_on = go_on;
	if (load_control_is_ready()) {
		go_on();
		return;
	}
	if (!load_control_open(control_app)) {
		load_count_error("--control HOST:PORT is missing");
		load_give_up();
		return;
	}
	for (size_t i = 0; i < load.concurrency; i++)
		load_session_open(&sessions[i], app);
}

/* ---- rounds ---- */

static size_t round_left; /* what is missing before the next one */

static void round_finish_units(void)
{
	for (size_t i = 0; i < load.concurrency; i++)
		load_finish_unit();
}

/* Counts the next round's units as started. False: there is none. */
static bool round_take_units(void)
{
	if (load.target % load.concurrency != 0) {
		load_count_error("units must be a multiple of the connections");
		load_give_up();
		return false;
	}
	for (size_t i = 0; i < load.concurrency; i++) {
		if (!load_take_unit())
			return false;
	}
	return true;
}

/* ---- to the clients ---- */

static void deliver_start(void)
{
	mode_serial++;
	round_left = load.concurrency + load_control_posts();
	for (size_t i = 0; i < load.concurrency; i++)
		mode_sessions[i].is_waiting = true;
	load_control_say("all ", load_message(mode_serial, '.'), load.message_size);
}

static void deliver_go_on(void)
{
	if (--round_left > 0)
		return;
	round_finish_units();
	if (round_take_units())
		deliver_start();
}

static void deliver_on_message(struct load_session *s, const char *text)
{
	if (!s->is_waiting || !is_message(text, mode_serial, '.')) {
		session_fail(s, "wrong message");
		return;
	}
	s->is_waiting = false;
	deliver_go_on();
}

static void deliver_begin(void)
{
	static const struct load_session_app app = {
		standing_on_ready, deliver_on_message, ignore_session, ignore_session, false};
	static const struct load_control_app control_app = {
		standing_on_control_ready, deliver_go_on};
	if (round_take_units())
		standing_begin(&app, &control_app, deliver_start);
}

const struct load_mode load_bridge_deliver = {
	.name = "deliver",
	.begin = deliver_begin,
	.on_connected = mode_on_connected,
	.on_bytes = mode_on_bytes,
	.on_skipped = ignore_skipped,
	.on_end = mode_on_end,
	.on_closed = mode_on_closed,
};

/* ---- from the clients ---- */

static void send_start(void)
{
	char text[24];
	round_left = load.concurrency + 1;
	int n = snprintf(text, sizeof(text), "%zu", load.concurrency);
	load_control_say("collect ", text, (size_t)n);
	for (size_t i = 0; i < load.concurrency; i++)
		load_session_send(&mode_sessions[i], load_message(++mode_serial, '.'));
}

static void send_go_on(void)
{
	if (--round_left > 0)
		return;
	round_finish_units();
	if (round_take_units())
		send_start();
}

static void send_on_sent(struct load_session *s)
{
	(void)s;
	send_go_on();
}

static void send_begin(void)
{
	static const struct load_session_app app = {
		standing_on_ready, refuse_message, send_on_sent, ignore_session, true};
	static const struct load_control_app control_app = {standing_on_control_ready, send_go_on};
	if (round_take_units())
		standing_begin(&app, &control_app, send_start);
}

const struct load_mode load_bridge_send = {
	.name = "send",
	.begin = send_begin,
	.on_connected = mode_on_connected,
	.on_bytes = mode_on_bytes,
	.on_skipped = ignore_skipped,
	.on_end = mode_on_end,
	.on_closed = mode_on_closed,
};

/* ---- how long a message takes ---- */

static uint64_t latency_left; /* messages not yet asked for */
static int64_t latency_due_us;

static void latency_start(void)
{
	latency_left = load.target;
	latency_due_us = sock_steady_us();
}

static int latency_tick(void)
{
	enum { IDLE_MS = 1000 };
	int64_t now = sock_steady_us();
	if (latency_left == 0)
		return IDLE_MS;
	if (now >= latency_due_us) {
		latency_left--;
		latency_due_us += INT64_C(1000000) / (int64_t)load_bridge.rate;
		load_control_say("one ", load_message(0, '.'), load.message_size);
	}
	return (int)MAX((latency_due_us - now + 999) / 1000, 0);
}

static void latency_on_message(struct load_session *s, const char *text)
{
	char stamp[LOAD_SERIAL_SIZE + 1] = {0};
	(void)s;
	memcpy(stamp, text, LOAD_SERIAL_SIZE);
	if (load.n_samples < load.target)
		load.samples_us[load.n_samples++] =
			sock_steady_us() - (int64_t)strtoull(stamp, NULL, 16);
	load_finish_unit();
}

static void latency_begin(void)
{
	static const struct load_session_app app = {
		standing_on_ready, latency_on_message, ignore_session, ignore_session, false};
	static const struct load_control_app control_app = {
		standing_on_control_ready, latency_start};
	free(load.samples_us);
	load.samples_us = memory_alloc_zeroed((load.target + 1) * sizeof(*load.samples_us));
	load.n_samples = 0;
	while (load_take_unit())
		continue;
	standing_begin(&app, &control_app, latency_start);
}

const struct load_mode load_bridge_latency = {
	.name = "latency",
	.begin = latency_begin,
	.on_connected = mode_on_connected,
	.on_bytes = mode_on_bytes,
	.on_skipped = ignore_skipped,
	.on_end = mode_on_end,
	.on_closed = mode_on_closed,
	.tick = latency_tick,
};
