#include "tests/unit/proxy/net/tls_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>

struct certificates tls_certificates, tls_strangers;

static void on_open(void *arg)
{
	((struct tls_end *)arg)->is_open = true;
}

static void on_input(void *arg)
{
	(void)arg;
}

static void on_output(void *arg)
{
	((struct tls_end *)arg)->n_output++;
}

static void on_lost(void *arg, enum conn_loss loss)
{
	struct tls_end *end = arg;

	end->is_lost = true;
	end->loss = loss;
	(void)strncpy(end->text, conn_loss_text(end->conn), sizeof(end->text) - 1);
}

const struct conn_owner tls_fixture_owner = {
	.on_open = on_open,
	.on_input = on_input,
	.on_output = on_output,
	.on_lost = on_lost,
};

int tls_fixture_setup(void **state)
{
	static struct tls_fixture f;

	memset(&f, 0, sizeof(f));
	f.loop = loop_new();
	f.listen = (struct conf_listen){
		.name = "test",
		.is_tls = true,
		.certificates = {f.certificate_items, 1},
		.certificate_keys = {f.key_items, 0},
		.tls_ciphers = "",
		.tls_ciphersuites = "",
		.tls_session_tickets = true,
		.alpn = {f.alpn_items, 1},
		.client_ca = "",
	};
	f.certificate_items[0] = certificates_path(&tls_certificates, "a.pem");
	f.alpn_items[0] = "http/1.1";
	f.peer.fd = -1;
	f.peer.ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(f.peer.ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
	*state = &f;
	return 0;
}

void tls_fixture_free_peer_conn(struct tls_fixture *f)
{
	/* A session whose conn was not shut down would not be resumed again. */
	if (f->peer.ssl != NULL)
		SSL_set_shutdown(f->peer.ssl, SSL_SENT_SHUTDOWN);
	SSL_free(f->peer.ssl);
	f->peer.ssl = NULL;
	if (f->peer.fd >= 0)
		(void)close(f->peer.fd);
	f->peer.fd = -1;
}

void tls_fixture_close_end(struct tls_fixture *f)
{
	if (f->end.conn != NULL)
		conn_close(f->end.conn);
	f->end.conn = NULL;
}

int tls_fixture_teardown(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_close_end(f);
	conn_close_lingering(f->loop);
	tls_fixture_free_peer_conn(f);
	SSL_CTX_free(f->peer.ctx);
	loop_free(f->loop);
	tls_context_unref(f->context);
	assert_int_equal(conn_n_live(), 0);
	assert_int_equal(bytes_live_segments(), 0);
	bytes_release_cache();
	return 0;
}

/* A new pair of ends; the peer's SSL is ready to be given options before the first run. */
void tls_fixture_start(struct tls_fixture *f)
{
	char why[256];
	int fds[2];

	if (f->context == NULL)
		f->context = tls_context_new_server(&f->listen, why, sizeof(why));
	if (f->context == NULL)
		fail_msg("%s", why);
	tls_fixture_close_end(f);
	tls_fixture_free_peer_conn(f);
	memset(&f->end, 0, sizeof(f->end));
	f->peer = (struct tls_peer){.ctx = f->peer.ctx};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	f->end.conn = conn_new_accepted(f->loop, fds[0], NULL, 0);
	conn_start_tls_server(f->end.conn, f->context);
	conn_set_owner(f->end.conn, &tls_fixture_owner, &f->end);
	f->peer.fd = fds[1];
	f->peer.ssl = SSL_new(f->peer.ctx);
	(void)SSL_set_fd(f->peer.ssl, fds[1]);
	SSL_set_connect_state(f->peer.ssl);
}

static void note_error(struct tls_peer *peer, int result)
{
	switch (SSL_get_error(peer->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		break;
	case SSL_ERROR_ZERO_RETURN:
		peer->is_ended = true;
		break;
	default:
		if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			peer->is_cut = true;
		else if (peer->error == 0)
			peer->error = ERR_peek_error() != 0 ? ERR_peek_error() : 1;
		break;
	}
}

void tls_fixture_step_peer(struct tls_peer *peer)
{
	int n;

	if (peer->ssl == NULL || peer->error != 0 || peer->is_ended || peer->is_cut)
		return;
	ERR_clear_error();
	if (!peer->is_done) {
		n = SSL_do_handshake(peer->ssl);
		peer->is_done = n == 1;
		if (n != 1)
			note_error(peer, n);
		return;
	}
	while (peer->n_got < sizeof(peer->got)) {
		n = SSL_read(
			peer->ssl, peer->got + peer->n_got, (int)(sizeof(peer->got) - peer->n_got));
		if (n <= 0) {
			note_error(peer, n);
			return;
		}
		peer->n_got += (size_t)n;
	}
}

/* Everything is in memory and nothing waits for time: some turns settle whatever can settle. */
void tls_fixture_settle(struct tls_fixture *f)
{
	for (int i = 0; i < 60; i++) {
		loop_turn(f->loop, false);
		tls_fixture_step_peer(&f->peer);
	}
}

void tls_fixture_shake_hands(struct tls_fixture *f)
{
	tls_fixture_start(f);
	tls_fixture_settle(f);
	assert_true(f->end.is_open);
	assert_true(f->peer.is_done);
}

void tls_fixture_peer_writes(struct tls_fixture *f, const char *text)
{
	assert_int_equal(SSL_write(f->peer.ssl, text, (int)strlen(text)), strlen(text));
}

void tls_fixture_assert_input(struct tls_fixture *f, const char *expected)
{
	struct bytes *input = conn_input(f->end.conn);
	struct slice all = bytes_linearize(input, bytes_size(input));

	assert_int_equal(all.n, strlen(expected));
	assert_memory_equal(all.p, expected, all.n);
}

void tls_fixture_assert_peer_got(struct tls_fixture *f, const char *expected)
{
	assert_int_equal(f->peer.n_got, strlen(expected));
	assert_memory_equal(f->peer.got, expected, f->peer.n_got);
}

void tls_fixture_write_text(struct tls_fixture *f, const char *text)
{
	bytes_append_string(conn_output(f->end.conn), text);
	conn_flush(f->end.conn);
}

void tls_fixture_begin(void)
{
	/* OpenSSL's own socket BIO, which the peer uses, writes with write(2). */
	(void)signal(SIGPIPE, SIG_IGN);
	certificates_init(&tls_certificates, "Test CA");
	certificates_init(&tls_strangers, "Other CA");
	certificates_make(&tls_certificates, "a.pem", "first",
		"DNS:a.example,DNS:exact.wild.example,IP:127.0.0.1", "EC");
	certificates_make(&tls_certificates, "rsa.pem", "rsa", "DNS:a.example", "RSA");
	certificates_make(&tls_certificates, "wild.pem", "wild", "DNS:*.wild.example", "EC");
	certificates_make(&tls_certificates, "cn.pem", "cn.example", NULL, "EC");
	certificates_make(&tls_certificates, "client.pem", "somebody", NULL, "EC");
	certificates_make(&tls_strangers, "client.pem", "stranger", NULL, "EC");
	certificates_write_text(&tls_certificates, "text.pem", "not a certificate\n");
}

void tls_fixture_end(void)
{
	certificates_clear(&tls_certificates);
	certificates_clear(&tls_strangers);
}
