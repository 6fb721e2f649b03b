#include "tests/unit/bridge/stage.h"

#include "conf/conf.h"
#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/http/h1_server.h"
#include "proxy/net/conn_fake.h"
#include "proxy/net/dial.h"
#include "proxy/route/backend.h"
#include "tests/unit/bridge/stage_parts.h"

struct dial {
	const struct dial_owner *owner;
	void *arg;
	bool is_open;
};

static struct {
	bool is_open;
	struct loop *loop;
	const struct conf *conf;
	struct backend *backend;
	struct bridge *bridge;
	struct exchange_service service;
	bool (*start)(struct exchange *x); /* a test's own handler */
	struct dial **dials;
	size_t n_dials;
	size_t n_taken;
	size_t n_forwarded;
	size_t n_servers;
	struct arena texts;
} stage;

/* Dials wait for the test. */

struct dial *dial_start(struct loop *loop, struct resolver *resolver,
	const struct dial_target *target, const struct dial_owner *owner, void *arg)
{
	struct dial *dial = memory_alloc_zeroed(sizeof(*dial));

	(void)loop;
	(void)resolver;
	(void)target;
	*dial = (struct dial){.owner = owner, .arg = arg, .is_open = true};
	stage.dials = memory_realloc(stage.dials, (stage.n_dials + 1) * sizeof(struct dial *));
	stage.dials[stage.n_dials++] = dial;
	return dial;
}

void dial_cancel(struct dial *self)
{
	assert_true(self->is_open);
	self->is_open = false;
}

static struct dial *next_dial(void)
{
	while (stage.n_taken < stage.n_dials && !stage.dials[stage.n_taken]->is_open)
		stage.n_taken++;
	assert_true(stage.n_taken < stage.n_dials);
	stage.dials[stage.n_taken]->is_open = false;
	return stage.dials[stage.n_taken++];
}

struct conn_fake *stage_accept_dial(void)
{
	struct dial *dial = next_dial();
	struct conn_fake *conn = conn_fake_new(stage.loop);

	dial->owner->on_conn(dial->arg, conn_fake_conn(conn));
	stage_settle();
	return conn;
}

void peer_refuse_next(void)
{
	struct dial *dial = next_dial();

	dial->owner->on_failed(dial->arg, CONN_LOSS_CONNECT, "connection refused");
	stage_settle();
}

size_t stage_n_dials(void)
{
	return stage.n_dials;
}

/* Clients' connections. */

static void on_request(void *arg, struct exchange *x)
{
	(void)arg;
	x->route = &stage.conf->routes[0];
	if (stage.start != NULL && stage.start(x))
		return;
	if (bridge_start(stage.bridge, x))
		return;
	stage.n_forwarded++;
	exchange_answer(x, 299, SLICE("text/plain"), SLICE("forwarded"), NULL);
}

static void on_busy_or_waiting(void *arg)
{
	(void)arg;
}

static void on_server_closed(void *arg)
{
	(void)arg;
	stage.n_servers--;
}

void stage_serve(struct conn_fake *conn)
{
	static const struct server_codec_owner owner = {
		.on_busy = on_busy_or_waiting,
		.on_waiting = on_busy_or_waiting,
		.on_closed = on_server_closed,
	};

	stage.n_servers++;
	(void)h1_server_new(stage.loop, conn_fake_conn(conn), &stage.conf->listens[0],
		&stage.service, &owner, NULL);
	stage_settle();
}

void stage_set_handler(bool (*start)(struct exchange *x))
{
	stage.start = start;
}

size_t stage_n_forwarded(void)
{
	return stage.n_forwarded;
}

/* The stage. */

struct loop *stage_loop(void)
{
	return stage.loop;
}

struct bridge *stage_bridge(void)
{
	return stage.bridge;
}

void stage_settle(void)
{
	loop_advance(stage.loop, 0);
}

void stage_pass_ms(uint64_t ms)
{
	loop_advance(stage.loop, ms);
}

void stage_open(const char *route)
{
	stage_open_dialect("plain", route);
}

void stage_open_dialect(const char *dialect, const char *route)
{
	struct conf_errors errors = {0};
	char text[2048];

	memset(&stage, 0, sizeof(stage));
	arena_init(&stage.texts);
	log_set_level(LOG_LEVEL_ERROR);
	(void)snprintf(text, sizeof(text),
		"listen \"127.0.0.1:8080\" {}\n"
		"backend \"b\" { servers = {\"127.0.0.1:1\"} keepalive = no retries = 0 }\n"
		"route \"/chat\" { backend = \"b\" bridge = {\"%s\"}\n%s\n}\n",
		dialect, route);
	stage.conf = conf_parse(text, "stage", &errors);
	conf_errors_print(&errors, stderr);
	conf_errors_clear(&errors);
	assert_non_null(stage.conf);
	stage.loop = loop_new_fake(1000000);
	stage.service.on_request = on_request;
	stage.backend = backend_new(stage.loop, &stage.conf->backends[0], NULL, NULL);
	stage.bridge = bridge_new(stage.loop, &stage.conf->routes[0], stage.backend, SLICE("w1."));
	stage.is_open = true;
}

static void free_rest(void)
{
	for (size_t i = 0; i < stage.n_dials; i++)
		free(stage.dials[i]);
	free(stage.dials);
	arena_clear(&stage.texts);
}

void stage_close(void)
{
	struct ledger ledger;

	ledger = bridge_ledger(stage.bridge);
	assert_true(ledger_is_balanced(&ledger));
	clients_close();
	stage_settle();
	assert_int_equal(exchange_n_live(), 0);
	bridge_drain(stage.bridge, NULL);
	assert_int_equal(bridge_n_sessions(stage.bridge), 0);
	ledger = bridge_ledger(stage.bridge);
	assert_true(ledger_is_balanced(&ledger));
	assert_int_equal(ledger.n_queued, 0);
	bridge_close(stage.bridge);
	backend_close(stage.backend);
	stage_settle();
	peers_close();
	stage_settle();
	assert_int_equal(stage.n_servers, 0);
	assert_int_equal(stage.conf->n_references, 1);
	loop_free(stage.loop);
	conf_unref(stage.conf);
	assert_int_equal(fetcher_n_live(), 0);
	assert_int_equal(conn_n_live(), 0);
	assert_int_equal(shared_payload_n_live(), 0);
	free_rest();
	arena_release_cache();
	assert_int_equal(bytes_live_segments(), 0);
	bytes_release_cache();
	stage.is_open = false;
}

int stage_tear_down(void **state)
{
	(void)state;
	if (stage.is_open)
		stage_close();
	return 0;
}

/* Texts. */

const char *stage_session(struct client *client)
{
	const char *id = client_field(client, "Pollux-Session");

	assert_non_null(id);
	return arena_string(&stage.texts, slice_from_string(id));
}

const char *stage_text(const char *format, ...)
{
	char *text = NULL, *kept;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&text, format, args) >= 0);
	va_end(args);
	kept = arena_string(&stage.texts, slice_from_string(text));
	free(text);
	return kept;
}
