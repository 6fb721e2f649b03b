#include "proxy/run/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bridge/bridge.h"
#include "bridge/session.h"
#include "bridge/session_id.h"
#include "proxy/base/log.h"
#include "proxy/base/memory.h"
#include "proxy/net/listener.h"
#include "proxy/net/resolve.h"
#include "proxy/net/tls_context.h"
#include "proxy/route/access_log.h"
#include "proxy/route/backend.h"
#include "proxy/route/forward.h"
#include "proxy/route/gate.h"
#include "proxy/route/relay.h"
#include "proxy/route/relay_hop.h"
#include "proxy/route/router.h"
#include "proxy/run/clients.h"
#include "proxy/run/doors.h"
#include "proxy/run/logs.h"
#include "proxy/run/peers.h"
#include "proxy/run/trim.h"

/* Descriptors for listeners, logs, the event loop and name servers. */
#define DESCRIPTOR_RESERVE 64
#define MAX_CLOSING 1000
#define LOOK_EVERY_MS 20

struct worker;

/* One bound socket of this worker. */
struct entrance {
	struct worker *worker;
	const struct door *door;
	struct listener *listener;
};

struct worker {
	const struct conf *conf;
	struct loop *loop;
	struct logs logs;
	struct resolver *resolver;
	struct router *router;
	struct backend **backends; /* by conf index */
	struct bridge **bridges;   /* by route index; NULL: no bridge there */
	struct access_log *access_log;
	struct clients *clients;
	struct exchange_service service;
	struct exchange_service peer_service;
	struct peers *peers;	/* NULL: the only worker */
	struct doors own_doors; /* without a master */
	struct doors *doors;
	size_t slot;
	struct entrance *entrances; /* by door */
	size_t n_entrances;
	struct event *signals[5];
	struct timer drain_timer;
	struct timer door_timer; /* while draining: no more new connections */
	struct timer look_timer; /* while draining: whether all have gone */
	struct spread closes;	 /* of WebSockets and streams, while draining */
	struct trim trim;
	bool is_draining;
};

/* Requests. */

/* False: it is ours. */
static bool relay(struct worker *self, struct exchange *x, const struct conf_route *route)
{
	size_t n_slots = self->doors->n_slots;
	int owner;

	/* One hop is enough for whatever is right. */
	if (self->peers == NULL || x->client != NULL)
		return false;
	owner = bridge_owner(self->bridges[route->index], x, n_slots);
	if (!relay_hop_can_carry(x)) {
		exchange_answer_reason(x, REASON_HEADER_TOO_LARGE);
		return true;
	}
	if (owner < 0 || (size_t)owner >= n_slots || (size_t)owner == self->slot)
		return false;
	relay_start(x, peers_backend(self->peers, (size_t)owner));
	return true;
}

static void serve(struct worker *self, struct exchange *x)
{
	const struct conf_route *route = router_find(self->router, x->req->authority, x->req->path);

	trim_count(&self->trim);
	if (route == NULL) {
		exchange_answer_reason(x, REASON_NO_ROUTE);
		return;
	}
	x->route = route;
	x->max_body_size = route->max_body_size;
	if (self->is_draining && x->req->wants_websocket) {
		x->must_close = true;
		exchange_answer_reason(x, REASON_DRAIN);
		return;
	}
	if (self->bridges[route->index] != NULL &&
		(relay(self, x, route) || gate_refuses_host(x) ||
			bridge_start(self->bridges[route->index], x)))
		return;
	forward_start(x, self->backends[route->backend->index]);
}

static void on_request(void *arg, struct exchange *x)
{
	relay_hop_strip(x);
	serve(arg, x);
}

static void on_peer_request(void *arg, struct exchange *x)
{
	struct worker *self = arg;

	if (relay_hop_read(x, self->conf))
		serve(self, x);
	else
		exchange_answer_reason(x, REASON_BAD_REQUEST);
}

static void on_log(void *arg, struct exchange *x)
{
	struct worker *self = arg;

	if (!x->is_relayed)
		access_log_write(self->access_log, x);
}

static size_t count_live(void *arg)
{
	(void)arg;
	return conn_n_live() + exchange_n_live() + session_n_live();
}

static void on_accept(void *arg, struct conn *conn)
{
	struct entrance *entrance = arg;
	const struct door *door = entrance->door;

	trim_count(&entrance->worker->trim);
	clients_accept(entrance->worker->clients, conn, door->listen, door->tls);
}

/* Leaving. */

static bool are_bridges_idle(const struct worker *self)
{
	for (size_t i = 0; i < self->conf->n_routes; i++)
		if (self->bridges[i] != NULL && !bridge_is_idle(self->bridges[i]))
			return false;
	return true;
}

static bool has_peer_work(const struct worker *self)
{
	return self->peers != NULL && peers_n_connections(self->peers) > 0;
}

/* Who the kernel has let in is served. */
static void finish_entrances(void *arg)
{
	struct worker *self = arg;

	for (size_t i = 0; i < self->n_entrances; i++)
		listener_finish(self->entrances[i].listener);
	self->n_entrances = 0;
}

static bool has_work(const struct worker *self)
{
	return clients_count(self->clients) > 0 || conn_n_lingering() > 0 ||
		!are_bridges_idle(self) || has_peer_work(self);
}

static void leave_when_done(void *arg)
{
	struct worker *self = arg;

	if (!self->is_draining)
		return;
	if (!has_work(self))
		finish_entrances(self);
	if (!has_work(self))
		loop_stop(self->loop);
	else
		timer_set_in(self->loop, &self->look_timer, LOOK_EVERY_MS);
}

static void cut(void *arg)
{
	struct worker *self = arg;

	if (clients_count(self->clients) > 0)
		log_warn("cutting %zu connections", clients_count(self->clients));
	clients_close_all(self->clients, REASON_DRAIN);
	loop_stop(self->loop);
}

static void close_entrances(struct worker *self)
{
	for (size_t i = 0; i < self->n_entrances; i++)
		listener_close(self->entrances[i].listener);
	self->n_entrances = 0;
}

/*
 * Who is sent away comes back elsewhere, and not all at once. The last quarter of the time is for
 * answers. Who stops Pollux by hand waits for it, and gets it at once. Those who stay on may need
 * new connections until the last of them has had its turn, and who comes anew an answer.
 */
static void drain(struct worker *self, bool is_by_hand)
{
	uint64_t drain_ms = (uint64_t)self->conf->drain_ms;

	log_info("draining: %zu connections, %zu sessions, at most %lld s",
		clients_count(self->clients), session_n_live(),
		(long long)self->conf->drain_ms / 1000);
	self->is_draining = true;
	self->closes = (struct spread){.start_ms = loop_now_ms(self->loop),
		.window_ms = is_by_hand ? 0 : drain_ms - drain_ms / 4};
	for (size_t i = 0; i < self->conf->n_routes; i++)
		if (self->bridges[i] != NULL)
			bridge_drain(self->bridges[i], &self->closes);
	clients_drain(self->clients, &self->closes);
	if (self->peers != NULL)
		peers_drain(self->peers);
	if (self->conf->drain_accept && self->closes.last_ms > loop_now_ms(self->loop))
		timer_set_at(self->loop, &self->door_timer, self->closes.last_ms);
	else
		finish_entrances(self);
	timer_set_in(self->loop, &self->drain_timer, drain_ms);
	timer_set_in(self->loop, &self->look_timer, LOOK_EVERY_MS);
}

static void on_leave_signal(evutil_socket_t number, short what, void *arg)
{
	struct worker *self = arg;

	(void)what;
	if (!self->is_draining)
		drain(self, number == SIGINT);
	else if (self->doors == &self->own_doors)
		cut(self);
}

static void on_cut_signal(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	cut(arg);
}

static void on_reopen_signal(evutil_socket_t number, short what, void *arg)
{
	struct worker *self = arg;

	(void)number;
	(void)what;
	logs_reopen(&self->logs, self->conf);
	access_log_set_fd(self->access_log, self->logs.access_fd);
}

/* Better than the default, which is to end at once. */
static void on_reload_signal(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	(void)arg;
	log_warn("SIGHUP: the configuration is read at the start only; restart to change it");
}

/* Building. */

static bool open_backends(struct worker *self)
{
	const struct conf *conf = self->conf;
	char why[512];

	self->backends = memory_alloc_zeroed(sizeof(struct backend *) * conf->n_backends);
	for (size_t i = 0; i < conf->n_backends; i++) {
		struct tls_context *tls = NULL;

		if (conf->backends[i].tls) {
			tls = tls_context_new_client(&conf->backends[i], why, sizeof(why));
			if (tls == NULL) {
				log_error("backend \"%s\": %s", conf->backends[i].name, why);
				return false;
			}
		}
		self->backends[i] =
			backend_new(self->loop, &conf->backends[i], self->resolver, tls);
		tls_context_unref(tls);
	}
	return true;
}

static void open_bridges(struct worker *self)
{
	char tag[SESSION_ID_TAG_MAX + 1];
	struct session_counts counts;

	session_id_write_tag(tag, self->slot);
	self->bridges = memory_alloc_zeroed(sizeof(struct bridge *) * self->conf->n_routes);
	for (size_t i = 0; i < self->conf->n_routes; i++) {
		const struct conf_route *route = &self->conf->routes[i];

		if (route->dialects == 0)
			continue;
		self->bridges[i] = bridge_new(self->loop, route,
			self->backends[route->backend->index], slice_from_string(tag));
		if (self->doors->n_slots == 1)
			continue;
		counts = (struct session_counts){
			.items = self->doors->session_counts + i * self->doors->n_slots,
			.n = self->doors->n_slots,
			.own = self->slot,
		};
		bridge_share(self->bridges[i], &counts);
	}
}

/* The cap on client connections: half of the descriptors, for each may need one to a backend. Some
 * are for connections that are closing and count no more. */
static size_t descriptor_cap(void)
{
	struct rlimit files = {.rlim_cur = 1024};
	size_t n_closing;

	(void)getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
		(void)getrlimit(RLIMIT_NOFILE, &files);
	}
	n_closing = MAX((size_t)MIN(files.rlim_cur / 16, (rlim_t)MAX_CLOSING), (size_t)1);
	conn_set_max_lingering(n_closing);
	return files.rlim_cur > 2 * DESCRIPTOR_RESERVE
		? (size_t)(files.rlim_cur - DESCRIPTOR_RESERVE - n_closing) / 2
		: DESCRIPTOR_RESERVE;
}

/* What the configuration allows to all workers together, shared out. */
static size_t connection_cap(const struct worker *self, size_t cap)
{
	size_t n_slots = self->doors->n_slots, max = (size_t)self->conf->max_connections;
	struct rlimit files = {0};

	if (max == 0)
		return cap;
	if ((max + n_slots - 1) / n_slots <= cap)
		return (max + n_slots - 1) / n_slots;
	(void)getrlimit(RLIMIT_NOFILE, &files);
	log_warn("max_connections = %zu, but %llu descriptors are enough for %zu only", max,
		(unsigned long long)files.rlim_cur, cap * n_slots);
	return cap;
}

/*
 * A session without a client has a connection all the same. New ones are refused while some
 * descriptors are left, so that sessions cannot keep clients out.
 */
static void limit_bridges(struct worker *self, size_t cap)
{
	for (size_t i = 0; i < self->conf->n_routes; i++)
		if (self->bridges[i] != NULL)
			bridge_set_max_conns(self->bridges[i], 2 * cap - cap / 4);
}

/* NULL after saying so in the log. */
static struct passwd *find_user(const char *name)
{
	struct passwd *user = getpwnam(name);

	if (user == NULL)
		log_error("user = \"%s\": no such user", name);
	return user;
}

static bool drop_privileges(const struct conf *conf)
{
	struct passwd *user;

	if (conf->user[0] == '\0')
		return true;
	user = find_user(conf->user);
	if (user == NULL)
		return false;
	if (initgroups(conf->user, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
		setuid(user->pw_uid) != 0) {
		log_error("user = \"%s\": %s", conf->user, strerror(errno));
		return false;
	}
	return true;
}

static void open_clients(struct worker *self)
{
	size_t cap = descriptor_cap();
	struct clients_limits limits = {.max = connection_cap(self, cap),
		.max_per_address = (size_t)self->conf->max_connections_per_address};

	self->service =
		(struct exchange_service){.on_request = on_request, .on_log = on_log, .arg = self};
	self->clients = clients_new(self->loop, &limits, &self->service);
	self->peer_service = (struct exchange_service){
		.on_request = on_peer_request, .on_log = on_log, .arg = self};
	if (self->doors->n_slots > 1)
		self->peers = peers_new(self->loop, self->conf, self->doors, self->slot,
			self->resolver, &self->peer_service);
	limit_bridges(self, cap);
}

static void start_listening(struct worker *self)
{
	struct doors *doors = self->doors;

	self->entrances = memory_alloc_zeroed(doors->n * sizeof(*self->entrances));
	for (size_t i = 0; i < doors->n; i++) {
		struct entrance *entrance = &self->entrances[i];
		struct door *door = &doors->items[i];

		*entrance = (struct entrance){.worker = self, .door = door};
		entrance->listener = listener_new(
			self->loop, doors_take(&door->fds[self->slot]), on_accept, entrance);
		listener_resume(entrance->listener);
		if (doors->n_slots == 1)
			log_info("listening on %s%s", listener_name(entrance->listener),
				door->tls != NULL ? " (TLS)" : "");
	}
	self->n_entrances = doors->n;
}

/* Those of the master, or our own. */
static bool open_doors(struct worker *self, const struct worker_place *place)
{
	if (place != NULL) {
		self->doors = place->doors;
		self->slot = place->slot;
		return true;
	}
	self->doors = &self->own_doors;
	return doors_open(&self->own_doors, self->conf, 1);
}

/* The end of the master is ours. Asked for after a change of user, which forgets it; if it has gone
 * before that, nobody would tell us. */
static void follow_master(const struct worker *self, const struct worker_place *place)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
		log_warn(
			"worker %zu would outlive its master: %s", self->slot + 1, strerror(errno));
	if (getppid() != place->master)
		(void)raise(SIGTERM);
}

static void watch_signals(struct worker *self, const struct worker_place *place)
{
	struct loop *loop = self->loop;

	self->signals[0] = loop_watch_signal(loop, SIGTERM, on_leave_signal, self);
	self->signals[1] = loop_watch_signal(loop, SIGINT, on_leave_signal, self);
	self->signals[2] = loop_watch_signal(loop, SIGUSR1, on_reopen_signal, self);
	self->signals[3] = loop_watch_signal(loop, SIGHUP, on_reload_signal, self);
	if (place == NULL)
		return;
	self->signals[4] = loop_watch_signal(loop, WORKER_CUT_SIGNAL, on_cut_signal, self);
	(void)sigprocmask(SIG_SETMASK, place->signals, NULL);
}

static bool worker_open(
	struct worker *self, const struct conf *conf, const struct worker_place *place)
{
	*self = (struct worker){.conf = conf_ref(conf)};
	(void)signal(SIGPIPE, SIG_IGN);
	self->loop = loop_new();
	timer_init(&self->drain_timer, cut, self);
	timer_init(&self->door_timer, finish_entrances, self);
	timer_init(&self->look_timer, leave_when_done, self);
	trim_init(&self->trim, self->loop, count_live, NULL);
	if (!logs_open(&self->logs, conf) || !open_doors(self, place))
		return false;
	self->resolver = resolver_new(self->loop);
	self->router = router_new(conf);
	self->access_log =
		access_log_new(self->loop, self->logs.access_fd, conf->access_log_format);
	if (self->doors->n_slots > 1)
		access_log_share(self->access_log);
	if (!open_backends(self) || !drop_privileges(conf))
		return false;
	if (place != NULL)
		follow_master(self, place);
	open_bridges(self);
	open_clients(self);
	/* Before anybody is told that it listens. */
	watch_signals(self, place);
	start_listening(self);
	return true;
}

/* What is closed may close more: some turns until all is quiet. */
static void bury_the_rest(struct worker *self)
{
	for (int i = 0; i < 16; i++)
		loop_turn(self->loop, false);
}

/* Objects that outlive a run are our own bug; the tests look for this line. */
static bool report_leaks(void)
{
	size_t exchanges = exchange_n_live(), fetchers = fetcher_n_live(), conns = conn_n_live();
	size_t sessions = session_n_live(), feeds = feed_n_live();
	size_t payloads = shared_payload_n_live(), segments = bytes_live_segments();

	if (exchanges + fetchers + conns + sessions + feeds + payloads + segments == 0)
		return true;
	log_error("left behind: %zu exchanges, %zu backend connections, %zu sockets, %zu sessions, "
		  "%zu feeds, %zu payloads, %zu byte segments",
		exchanges, fetchers, conns, sessions, feeds, payloads, segments);
	return false;
}

/* A signal that comes late would end us its own way, and not with our status. */
static void block_signals(void)
{
	sigset_t signals;

	(void)sigfillset(&signals);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
}

static bool worker_close(struct worker *self)
{
	const struct conf *conf = self->conf;
	bool is_clean;

	block_signals();
	for (size_t i = 0; i < ARRAY_LEN(self->signals); i++)
		if (self->signals[i] != NULL)
			event_free(self->signals[i]);
	timer_close(self->loop, &self->drain_timer);
	timer_close(self->loop, &self->door_timer);
	timer_close(self->loop, &self->look_timer);
	trim_close(&self->trim);
	close_entrances(self);
	free(self->entrances);
	doors_close(&self->own_doors);
	for (size_t i = 0; self->bridges != NULL && i < conf->n_routes; i++)
		if (self->bridges[i] != NULL)
			bridge_close(self->bridges[i]);
	for (size_t i = 0; self->backends != NULL && i < conf->n_backends; i++)
		if (self->backends[i] != NULL)
			backend_close(self->backends[i]);
	if (self->peers != NULL)
		peers_close(self->peers);
	conn_close_lingering(self->loop);
	bury_the_rest(self);
	if (self->peers != NULL)
		peers_free(self->peers);
	if (self->clients != NULL)
		clients_free(self->clients);
	if (self->access_log != NULL)
		access_log_free(self->access_log);
	if (self->router != NULL)
		router_free(self->router);
	if (self->resolver != NULL)
		resolver_free(self->resolver);
	bury_the_rest(self);
	loop_free(self->loop);
	is_clean = report_leaks();
	free(self->bridges);
	free(self->backends);
	logs_close(&self->logs);
	arena_release_cache();
	bytes_release_cache();
	conf_unref(conf);
	return is_clean;
}

bool worker_check_user(const struct conf *conf)
{
	return conf->user[0] == '\0' || find_user(conf->user) != NULL;
}

bool worker_check(const struct conf *conf)
{
	bool is_right = worker_check_user(conf);
	struct tls_context *tls;
	char why[512];

	for (size_t i = 0; i < conf->n_listens; i++) {
		const struct conf_listen *listen = &conf->listens[i];

		if (!listen->is_tls)
			continue;
		tls = tls_context_new_server(listen, why, sizeof(why));
		if (tls == NULL) {
			log_error("listen \"%s\": %s", listen->name, why);
			is_right = false;
		}
		tls_context_unref(tls);
	}
	for (size_t i = 0; i < conf->n_backends; i++) {
		if (!conf->backends[i].tls)
			continue;
		tls = tls_context_new_client(&conf->backends[i], why, sizeof(why));
		if (tls == NULL) {
			log_error("backend \"%s\": %s", conf->backends[i].name, why);
			is_right = false;
		}
		tls_context_unref(tls);
	}
	return is_right;
}

int worker_run(const struct conf *conf, const struct worker_place *place)
{
	struct worker worker;
	bool is_open = worker_open(&worker, conf, place);

	if (is_open) {
		loop_run(worker.loop);
		log_info("leaving");
	}
	return worker_close(&worker) && is_open ? EXIT_SUCCESS : EXIT_FAILURE;
}
