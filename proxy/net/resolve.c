#include "proxy/net/resolve.h"

#include <ares.h>
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "proxy/base/hash_table.h"
#include "proxy/base/memory.h"

#define MAX_ADDRESSES 16
#define MIN_TTL_S 1
#define MAX_TTL_S 300
#define FAILURE_TTL_S 1
/* A dial has a few seconds in all: ask again soon. c-ares doubles the time of each try. */
#define TRY_MS 1000
#define N_TRIES 2
#define RESOLV_CONF "/etc/resolv.conf"

TAILQ_HEAD(query_list, resolve_query);

struct resolve_query {
	TAILQ_ENTRY(resolve_query) link;
	struct resolver *resolver;
	struct query_list *list; /* that it stands in */
	struct entry *entry;	 /* NULL: a numeric address */
	struct sockaddr_storage numeric;
	struct notice notice;
	uint16_t port;
	resolve_on_answer *on_answer;
	void *arg;
};

/* A name and the latest answer. Names come from the configuration: they are few, and stay. */
struct entry {
	UT_hash_handle hh;
	struct resolver *resolver;
	struct query_list waiting;
	struct sockaddr_storage addresses[MAX_ADDRESSES];
	size_t n_addresses;
	uint64_t expires_ms;
	const char *why; /* static; of the latest failure */
	bool is_asking;
	bool is_unanswered; /* the latest try got no answer: do not wait for the next */
	char name[];
};

/* A socket of c-ares. */
struct watch {
	LIST_ENTRY(watch) link;
	struct resolver *resolver;
	struct event event;
	ares_socket_t fd;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	bool has_channel;
	bool has_own_servers;
	bool is_dying;
	unsigned n_asking;
	struct timespec resolv_conf_time;
	struct entry *entries;
	struct query_list answering; /* their answer is there, the notice is posted */
	LIST_HEAD(, watch) watches;
	struct timer timer;
};

/* c-ares on the loop. */

static void update_timer(struct resolver *self)
{
	struct timeval tv;

	if (self->has_channel && ares_timeout(self->channel, NULL, &tv) != NULL)
		timer_set_in(self->loop, &self->timer,
			(uint64_t)tv.tv_sec * 1000 + (uint64_t)(tv.tv_usec + 999) / 1000);
	else
		timer_cancel(&self->timer);
}

static void on_timer(void *arg)
{
	struct resolver *self = arg;

	ares_process_fd(self->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	update_timer(self);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	/* The watch itself may go while c-ares works. */
	struct resolver *self = ((struct watch *)arg)->resolver;

	ares_process_fd(self->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
		what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	update_timer(self);
}

static void on_socket_state(void *arg, ares_socket_t fd, int is_reading, int is_writing)
{
	struct resolver *self = arg;
	short what = (short)(EV_PERSIST | (is_reading ? EV_READ : 0) | (is_writing ? EV_WRITE : 0));
	struct watch *watch;

	LIST_FOREACH (watch, &self->watches, link) {
		if (watch->fd == fd)
			break;
	}
	if (watch != NULL) {
		(void)event_del(&watch->event);
	} else if (is_reading || is_writing) {
		watch = memory_alloc(sizeof(*watch));
		watch->resolver = self;
		watch->fd = fd;
		LIST_INSERT_HEAD(&self->watches, watch, link);
	}
	if (is_reading || is_writing) {
		(void)event_assign(
			&watch->event, loop_base(self->loop), fd, what, on_socket, watch);
		(void)event_add(&watch->event, NULL);
	} else if (watch != NULL) {
		LIST_REMOVE(watch, link);
		free(watch);
	}
}

static void open_channel(struct resolver *self)
{
	struct ares_options options = {
		.timeout = TRY_MS,
		.tries = N_TRIES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = self,
	};
	struct stat st;

	if (stat(RESOLV_CONF, &st) == 0)
		self->resolv_conf_time = st.st_mtim;
	self->has_channel = ares_init_options(&self->channel, &options,
				    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) ==
		ARES_SUCCESS;
}

static void close_channel(struct resolver *self)
{
	if (self->has_channel)
		ares_destroy(self->channel);
	self->has_channel = false;
	update_timer(self);
}

/* Name servers change under a long-running process: a new network, a new lease. */
static void follow_resolv_conf(struct resolver *self)
{
	struct stat st;

	if (self->n_asking > 0 || self->has_own_servers)
		return;
	if (self->has_channel &&
		(stat(RESOLV_CONF, &st) != 0 ||
			(st.st_mtim.tv_sec == self->resolv_conf_time.tv_sec &&
				st.st_mtim.tv_nsec == self->resolv_conf_time.tv_nsec)))
		return;
	close_channel(self);
	open_channel(self);
}

struct resolver *resolver_new(struct loop *loop)
{
	struct resolver *self = memory_alloc_zeroed(sizeof(*self));

	self->loop = loop;
	TAILQ_INIT(&self->answering);
	timer_init(&self->timer, on_timer, self);
	if (ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS)
		open_channel(self);
	return self;
}

bool resolver_set_servers(struct resolver *self, const char *servers)
{
	self->has_own_servers = true;
	return self->has_channel &&
		ares_set_servers_ports_csv(self->channel, servers) == ARES_SUCCESS;
}

/* Queries. */

static void free_query(struct resolve_query *query)
{
	notice_cancel(query->resolver->loop, &query->notice);
	if (query->list != NULL)
		TAILQ_REMOVE(query->list, query, link);
	free(query);
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET)
		((struct sockaddr_in *)address)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

static void answer(void *arg)
{
	struct resolve_query query = *(struct resolve_query *)arg;
	struct sockaddr_storage addresses[MAX_ADDRESSES];
	const char *why = "";
	size_t n = 1;

	if (query.entry != NULL) {
		n = query.entry->n_addresses;
		memcpy(addresses, query.entry->addresses, n * sizeof(addresses[0]));
		why = n == 0 ? query.entry->why : "";
	} else {
		addresses[0] = query.numeric;
	}
	for (size_t i = 0; i < n; i++)
		set_port(&addresses[i], query.port);
	free_query(arg);
	query.on_answer(query.arg, addresses, n, why);
}

static void post_answer(struct resolve_query *query)
{
	if (query->list != NULL)
		TAILQ_REMOVE(query->list, query, link);
	query->list = &query->resolver->answering;
	TAILQ_INSERT_TAIL(query->list, query, link);
	notice_post(query->resolver->loop, &query->notice);
}

/* The name servers have answered: there is no such name, or it has no address. */
static bool is_authoritative(int status)
{
	return status == ARES_ENOTFOUND || status == ARES_ENODATA;
}

static uint64_t take_addresses(struct entry *entry, const struct ares_addrinfo *result)
{
	int ttl_s = MAX_TTL_S;

	entry->n_addresses = 0;
	for (const struct ares_addrinfo_cname *alias = result->cnames; alias != NULL;
		alias = alias->next)
		ttl_s = MIN(ttl_s, alias->ttl);
	for (const struct ares_addrinfo_node *node = result->nodes; node != NULL;
		node = node->ai_next) {
		struct sockaddr_storage *address = &entry->addresses[entry->n_addresses];

		if (entry->n_addresses == MAX_ADDRESSES || node->ai_addrlen > sizeof(*address))
			break;
		if (node->ai_family != AF_INET && node->ai_family != AF_INET6)
			continue;
		memset(address, 0, sizeof(*address));
		memcpy(address, node->ai_addr, node->ai_addrlen);
		entry->n_addresses++;
		ttl_s = MIN(ttl_s, node->ai_ttl);
	}
	return (uint64_t)MAX(ttl_s, MIN_TTL_S);
}

/* From within c-ares: only takes notes and posts. */
static void on_result(void *arg, int status, int n_timeouts, struct ares_addrinfo *result)
{
	struct entry *entry = arg;
	struct resolver *self = entry->resolver;
	struct resolve_query *query;
	uint64_t ttl_s = FAILURE_TTL_S;

	(void)n_timeouts;
	entry->is_asking = false;
	self->n_asking--;
	entry->is_unanswered = status != ARES_SUCCESS && !is_authoritative(status);
	entry->why = ares_strerror(status);
	if (status == ARES_SUCCESS) {
		ttl_s = take_addresses(entry, result);
		entry->why = "no address";
	} else if (is_authoritative(status)) {
		entry->n_addresses = 0;
	}
	if (result != NULL)
		ares_freeaddrinfo(result);
	entry->expires_ms = loop_now_ms(self->loop) + ttl_s * 1000;
	if (self->is_dying)
		return;
	while ((query = TAILQ_FIRST(&entry->waiting)) != NULL)
		post_answer(query);
}

static void ask(struct entry *entry)
{
	struct resolver *self = entry->resolver;
	struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

	if (entry->is_asking)
		return;
	follow_resolv_conf(self);
	entry->is_asking = true;
	self->n_asking++;
	if (!self->has_channel) {
		on_result(entry, ARES_ENOTINITIALIZED, 0, NULL);
		return;
	}
	ares_getaddrinfo(self->channel, entry->name, NULL, &hints, on_result, entry);
	update_timer(self);
}

static struct entry *find_entry(struct resolver *self, const char *host)
{
	size_t n = strlen(host);
	struct entry *entry;
	char *name = memory_alloc(n + 1);

	for (size_t i = 0; i <= n; i++)
		name[i] =
			(char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] + ('a' - 'A') : host[i]);
	HASH_FIND(hh, self->entries, name, n, entry);
	if (entry == NULL) {
		entry = memory_alloc_zeroed(sizeof(*entry) + n + 1);
		memcpy(entry->name, name, n + 1);
		entry->resolver = self;
		entry->why = "";
		TAILQ_INIT(&entry->waiting);
		HASH_ADD_KEYPTR(hh, self->entries, entry->name, n, entry);
	}
	free(name);
	return entry;
}

static bool parse_numeric(const char *host, struct sockaddr_storage *address)
{
	struct sockaddr_in inet = {.sin_family = AF_INET};
	struct sockaddr_in6 inet6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, host, &inet.sin_addr) == 1)
		memcpy(address, &inet, sizeof(inet));
	else if (inet_pton(AF_INET6, host, &inet6.sin6_addr) == 1)
		memcpy(address, &inet6, sizeof(inet6));
	else
		return false;
	return true;
}

struct resolve_query *resolve_start(struct resolver *self, const char *host, uint16_t port,
	resolve_on_answer *on_answer, void *arg)
{
	struct resolve_query *query = memory_alloc_zeroed(sizeof(*query));
	struct entry *entry;

	query->resolver = self;
	query->port = port;
	query->on_answer = on_answer;
	query->arg = arg;
	notice_init(&query->notice, answer, query);
	if (parse_numeric(host, &query->numeric)) {
		post_answer(query);
		return query;
	}
	entry = find_entry(self, host);
	query->entry = entry;
	query->list = &entry->waiting;
	TAILQ_INSERT_TAIL(query->list, query, link);
	if (loop_now_ms(self->loop) < entry->expires_ms) {
		post_answer(query);
		return query;
	}
	/* While the name servers are silent the old answer serves, and the question goes on behind
	 * it. */
	if (entry->is_unanswered && entry->n_addresses > 0)
		post_answer(query);
	ask(entry);
	return query;
}

void resolve_cancel(struct resolve_query *query)
{
	free_query(query);
}

void resolver_free(struct resolver *self)
{
	struct entry *entry, *next;
	struct resolve_query *query;

	self->is_dying = true;
	close_channel(self);
	ares_library_cleanup();
	while ((query = TAILQ_FIRST(&self->answering)) != NULL)
		free_query(query);
	HASH_ITER(hh, self->entries, entry, next)
	{
		while ((query = TAILQ_FIRST(&entry->waiting)) != NULL)
			free_query(query);
		HASH_DEL(self->entries, entry);
		free(entry);
	}
	timer_close(self->loop, &self->timer);
	free(self);
}
