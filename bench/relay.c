/*
 * The floor of the benchmarks: a relay that understands nothing. It accepts, connects to the
 * backend, one connection for each, and copies bytes both ways; one thread, libevent's raw events,
 * own buffers. A proxy with the same system calls that did no work of its own would be as fast.
 *
 *     relay --listen ADDR:PORT --backend ADDR:PORT [--pem FILE]
 *
 * With --pem it terminates TLS on the listening side. Prints "listening on ADDR:PORT" once it does.
 *
 * Each end writes at once and only asks for room when the socket is full; until there is room, the
 * other end is not read. An idle end holds no bytes.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <getopt.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/sock.h"
#include "proxy/base/memory.h"

enum {
	ACCEPTS_PER_TURN = 64,
	COPY_SIZE = 64 * 1024,
};

/* What an end could not write yet, with the event that waits for room. */
struct backlog {
	struct event room;
	size_t at, n;
	char bytes[];
};

struct end {
	int fd;
	bool handshaking; /* TLS is not up yet: nothing is to be copied */
	bool ended;	  /* it has sent its last byte */
	bool reading;
	SSL *ssl; /* NULL: plain */
	struct event readable;
	struct backlog *backlog;
	struct end *other;
};

struct pair {
	struct end client, backend;
};

static struct relay {
	struct event_base *base;
	int listener;
	struct sock_address backend;
	SSL_CTX *tls;
	bool leaving;
} relay;

static char copy_buffer[COPY_SIZE];

static void end_on_readable(evutil_socket_t fd, short what, void *arg);
static void end_on_room(evutil_socket_t fd, short what, void *arg);

/* ---- a pair's life ---- */

static void end_close(struct end *e)
{
	if (e->backlog) {
		event_del(&e->backlog->room);
		free(e->backlog);
	}
	if (e->reading)
		event_del(&e->readable);
	if (e->ssl) {
		if (!e->handshaking)
			(void)SSL_shutdown(e->ssl);
		SSL_free(e->ssl);
		ERR_clear_error();
	}
	close(e->fd);
}

/* No callback of either end runs afterwards, so it may be freed at once; the caller touches it no
 * more. */
static void pair_close(struct end *either)
{
	struct end *other = either->other;
	struct pair *pair = (struct pair *)(void *)(either < other ? either : other);
	end_close(&pair->client);
	end_close(&pair->backend);
	free(pair);
}

static void end_read(struct end *e, bool on)
{
	if (e->reading == on)
		return;
	e->reading = on;
	if (on)
		event_add(&e->readable, NULL);
	else
		event_del(&e->readable);
}

/* ---- bytes ---- */

enum copied {
	COPIED_SOME,
	COPIED_NONE, /* nothing to read, or no room */
	COPIED_END,
	COPIED_FAILED,
};

static enum copied end_tls_outcome(struct end *e)
{
	switch (SSL_get_error(e->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return COPIED_NONE;
	case SSL_ERROR_ZERO_RETURN:
		return COPIED_END;
	default:
		return COPIED_FAILED;
	}
}

static enum copied end_recv(struct end *e, char *to, size_t size, size_t *n)
{
	*n = 0;
	if (e->ssl) {
		ERR_clear_error();
		return SSL_read_ex(e->ssl, to, size, n) ? COPIED_SOME : end_tls_outcome(e);
	}
	ssize_t got = recv(e->fd, to, size, 0);
	if (got > 0) {
		*n = (size_t)got;
		return COPIED_SOME;
	}
	if (got == 0)
		return COPIED_END;
	return errno == EAGAIN || errno == EINTR ? COPIED_NONE : COPIED_FAILED;
}

static enum copied end_send(struct end *e, const char *from, size_t size, size_t *n)
{
	*n = 0;
	if (e->ssl) {
		ERR_clear_error();
		return SSL_write_ex(e->ssl, from, size, n) ? COPIED_SOME : end_tls_outcome(e);
	}
	ssize_t sent = send(e->fd, from, size, MSG_NOSIGNAL);
	if (sent >= 0) {
		*n = (size_t)sent;
		return COPIED_SOME;
	}
	return errno == EAGAIN || errno == EINTR ? COPIED_NONE : COPIED_FAILED;
}

/* Keeps what the socket did not take and stops reading the other end until it does. */
static void end_keep(struct end *e, const char *bytes, size_t n)
{
	struct backlog *backlog = memory_alloc(sizeof(*backlog) + n);
	backlog->at = 0;
	backlog->n = n;
	memcpy(backlog->bytes, bytes, n);
	event_assign(&backlog->room, relay.base, e->fd, EV_WRITE | EV_PERSIST, end_on_room, e);
	event_add(&backlog->room, NULL);
	e->backlog = backlog;
	end_read(e->other, false);
}

/* Writes all of it or keeps the rest. False when the pair was closed. */
static bool end_write(struct end *e, const char *bytes, size_t n)
{
	size_t at = 0;
	while (at < n) {
		size_t sent;
		enum copied outcome = end_send(e, bytes + at, n - at, &sent);
		at += sent;
		if (outcome == COPIED_NONE)
			break;
		if (outcome != COPIED_SOME) {
			pair_close(e);
			return false;
		}
	}
	if (at < n)
		end_keep(e, bytes + at, n - at);
	return true;
}

/* Hands the end of the bytes on; when both directions have ended the pair is done. */
static void end_finish(struct end *e)
{
	struct end *to = e->other;
	e->ended = true;
	end_read(e, false);
	if (to->backlog)
		return;
	if (to->ended) {
		pair_close(e);
	} else if (to->ssl) {
		(void)SSL_shutdown(to->ssl);
	} else {
		(void)shutdown(to->fd, SHUT_WR);
	}
}

/* One read a turn for plain sockets; all that is there for TLS, whose rest epoll would not tell of.
 */
static void end_copy(struct end *e)
{
	size_t n;
	do {
		enum copied outcome = end_recv(e, copy_buffer, sizeof(copy_buffer), &n);
		switch (outcome) {
		case COPIED_SOME:
			if (!end_write(e->other, copy_buffer, n))
				return;
			break;
		case COPIED_NONE:
			return;
		case COPIED_END:
			end_finish(e);
			return;
		case COPIED_FAILED:
			pair_close(e);
			return;
		}
	} while (e->ssl && !e->other->backlog && SSL_has_pending(e->ssl));
}

static void end_handshake(struct end *e)
{
	ERR_clear_error();
	int result = SSL_do_handshake(e->ssl);
	if (result == 1) {
		e->handshaking = false;
		end_read(e->other, true);
		if (SSL_has_pending(e->ssl))
			end_copy(e);
		return;
	}
	int error = SSL_get_error(e->ssl, result);
	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		pair_close(e);
}

static void end_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct end *e = arg;
	(void)fd;
	(void)what;
	if (e->handshaking)
		end_handshake(e);
	else
		end_copy(e);
}

static void end_on_room(evutil_socket_t fd, short what, void *arg)
{
	struct end *e = arg;
	struct backlog *backlog = e->backlog;
	size_t sent;
	(void)fd;
	(void)what;
	enum copied outcome =
		end_send(e, backlog->bytes + backlog->at, backlog->n - backlog->at, &sent);
	backlog->at += sent;
	if (outcome != COPIED_SOME && outcome != COPIED_NONE) {
		pair_close(e);
		return;
	}
	if (backlog->at < backlog->n)
		return;
	event_del(&backlog->room);
	free(backlog);
	e->backlog = NULL;
	if (e->other->ended) {
		end_finish(e->other);
		return;
	}
	end_read(e->other, true);
	if (e->other->ssl && SSL_has_pending(e->other->ssl))
		end_copy(e->other);
}

/* ---- accepting ---- */

static void end_init(struct end *e, int fd, struct end *other)
{
	e->fd = fd;
	e->other = other;
	event_assign(&e->readable, relay.base, fd, EV_READ | EV_PERSIST, end_on_readable, e);
}

static void pair_open(int client_fd)
{
	int backend_fd = sock_connect(&relay.backend);
	if (backend_fd < 0) {
		close(client_fd);
		return;
	}
	struct pair *pair = memory_alloc_zeroed(sizeof(*pair));
	end_init(&pair->client, client_fd, &pair->backend);
	end_init(&pair->backend, backend_fd, &pair->client);
	if (relay.tls) {
		pair->client.ssl = SSL_new(relay.tls);
		if (!pair->client.ssl || !SSL_set_fd(pair->client.ssl, client_fd)) {
			pair_close(&pair->client);
			return;
		}
		SSL_set_accept_state(pair->client.ssl);
		pair->client.handshaking = true;
	} else {
		end_read(&pair->backend, true);
	}
	end_read(&pair->client, true);
}

static void relay_on_connect(evutil_socket_t listener, short what, void *arg)
{
	(void)what;
	(void)arg;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = sock_accept(listener);
		if (fd < 0)
			break;
		pair_open(fd);
	}
}

static void relay_on_signal(evutil_socket_t signal_number, short what, void *arg)
{
	(void)signal_number;
	(void)what;
	(void)arg;
	relay.leaving = true;
}

static bool relay_load_pem(const char *pem)
{
	relay.tls = SSL_CTX_new(TLS_server_method());
	if (!relay.tls || SSL_CTX_use_certificate_chain_file(relay.tls, pem) != 1 ||
		SSL_CTX_use_PrivateKey_file(relay.tls, pem, SSL_FILETYPE_PEM) != 1)
		return false;
	SSL_CTX_set_mode(relay.tls,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(relay.tls, SSL_SESS_CACHE_OFF);
	/* A record's header and body in one read. */
	SSL_CTX_set_read_ahead(relay.tls, 1);
	return true;
}

static bool relay_parse_options(
	int argc, char **argv, const char **address, const char **backend, const char **pem)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"backend", required_argument, NULL, 'b'},
		{"pem", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'l')
			*address = optarg;
		else if (option == 'b')
			*backend = optarg;
		else if (option == 'p')
			*pem = optarg;
		else
			return false;
	}
	return optind == argc && *address && *backend;
}

static void relay_run(void)
{
	struct event accept_event, term_event, int_event;
	struct event_config *config = event_config_new();
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	relay.base = event_base_new_with_config(config);
	event_config_free(config);
	event_assign(&accept_event, relay.base, relay.listener, EV_READ | EV_PERSIST,
		relay_on_connect, NULL);
	event_assign(
		&term_event, relay.base, SIGTERM, EV_SIGNAL | EV_PERSIST, relay_on_signal, NULL);
	event_assign(&int_event, relay.base, SIGINT, EV_SIGNAL | EV_PERSIST, relay_on_signal, NULL);
	event_add(&accept_event, NULL);
	event_add(&term_event, NULL);
	event_add(&int_event, NULL);
	while (!relay.leaving)
		event_base_loop(relay.base, EVLOOP_ONCE);
}

int main(int argc, char **argv)
{
	const char *address_text = NULL, *backend_text = NULL, *pem = NULL;
	struct sock_address address;
	struct rlimit limit;
	if (!relay_parse_options(argc, argv, &address_text, &backend_text, &pem) ||
		!sock_parse_address(address_text, &address) ||
		!sock_parse_address(backend_text, &relay.backend)) {
		fprintf(stderr,
			"usage: relay --listen ADDR:PORT --backend ADDR:PORT [--pem FILE]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (pem && !relay_load_pem(pem)) {
		fprintf(stderr, "relay: cannot use %s: %s\n", pem,
			ERR_reason_error_string(ERR_peek_error()));
		return 1;
	}
	relay.listener = sock_listen(&address);
	if (relay.listener < 0) {
		fprintf(stderr, "relay: cannot listen on %s: %s\n", address_text, strerror(errno));
		return 1;
	}
	printf("listening on %.*s:%d\n", (int)(strrchr(address_text, ':') - address_text),
		address_text, sock_port(relay.listener));
	fflush(stdout);
	relay_run();
	return 0;
}
