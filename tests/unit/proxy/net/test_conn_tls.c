/* TLS conns against OpenSSL's own client, over socket pairs. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proxy/net/conn.h"
#include "proxy/net/tls_context.h"
#include "tests/unit/proxy/net/certificates.h"

static struct certificates certificates, strangers;

/* Our end. */
struct end {
	struct conn *conn;
	bool is_open;
	bool is_lost;
	unsigned n_output;
	enum conn_loss loss;
	char text[128];
};

/* The other end: OpenSSL on the socket itself. */
struct peer {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	bool is_done;
	bool is_ended;	     /* close_notify */
	bool is_cut;	     /* EOF without */
	unsigned long error; /* the first fatal one */
	char got[65536];
	size_t n_got;
};

struct fixture {
	struct loop *loop;
	struct conf_listen listen;
	char *certificate_items[4];
	char *key_items[4];
	char *alpn_items[2];
	struct tls_context *context;
	struct end end;
	struct peer peer;
};

static void on_open(void *arg)
{
	((struct end *)arg)->is_open = true;
}

static void on_input(void *arg)
{
	(void)arg;
}

static void on_output(void *arg)
{
	((struct end *)arg)->n_output++;
}

static void on_lost(void *arg, enum conn_loss loss)
{
	struct end *end = arg;

	end->is_lost = true;
	end->loss = loss;
	(void)strncpy(end->text, conn_loss_text(end->conn), sizeof(end->text) - 1);
}

static const struct conn_owner owner = {
	.on_open = on_open,
	.on_input = on_input,
	.on_output = on_output,
	.on_lost = on_lost,
};

static int setup(void **state)
{
	static struct fixture f;

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
	f.certificate_items[0] = certificates_path(&certificates, "a.pem");
	f.alpn_items[0] = "http/1.1";
	f.peer.fd = -1;
	f.peer.ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(f.peer.ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
	*state = &f;
	return 0;
}

static void free_peer_conn(struct fixture *f)
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

static void close_end(struct fixture *f)
{
	if (f->end.conn != NULL)
		conn_close(f->end.conn);
	f->end.conn = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_end(f);
	conn_close_lingering(f->loop);
	free_peer_conn(f);
	SSL_CTX_free(f->peer.ctx);
	loop_free(f->loop);
	tls_context_unref(f->context);
	assert_int_equal(conn_n_live(), 0);
	assert_int_equal(bytes_live_segments(), 0);
	bytes_release_cache();
	return 0;
}

/* A new pair of ends; the peer's SSL is ready to be given options before the first run. */
static void start(struct fixture *f)
{
	char why[256];
	int fds[2];

	if (f->context == NULL)
		f->context = tls_context_new_server(&f->listen, why, sizeof(why));
	if (f->context == NULL)
		fail_msg("%s", why);
	close_end(f);
	free_peer_conn(f);
	memset(&f->end, 0, sizeof(f->end));
	f->peer = (struct peer){.ctx = f->peer.ctx};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	f->end.conn = conn_new_accepted(f->loop, fds[0], NULL, 0);
	conn_start_tls_server(f->end.conn, f->context);
	conn_set_owner(f->end.conn, &owner, &f->end);
	f->peer.fd = fds[1];
	f->peer.ssl = SSL_new(f->peer.ctx);
	(void)SSL_set_fd(f->peer.ssl, fds[1]);
	SSL_set_connect_state(f->peer.ssl);
}

static void note_error(struct peer *peer, int result)
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

static void step_peer(struct peer *peer)
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
static void settle(struct fixture *f)
{
	for (int i = 0; i < 60; i++) {
		loop_turn(f->loop, false);
		step_peer(&f->peer);
	}
}

static void shake_hands(struct fixture *f)
{
	start(f);
	settle(f);
	assert_true(f->end.is_open);
	assert_true(f->peer.is_done);
}

static void peer_writes(struct fixture *f, const char *text)
{
	assert_int_equal(SSL_write(f->peer.ssl, text, (int)strlen(text)), strlen(text));
}

static void assert_input(struct fixture *f, const char *expected)
{
	struct bytes *input = conn_input(f->end.conn);
	struct slice all = bytes_linearize(input, bytes_size(input));

	assert_int_equal(all.n, strlen(expected));
	assert_memory_equal(all.p, expected, all.n);
}

static void assert_peer_got(struct fixture *f, const char *expected)
{
	assert_int_equal(f->peer.n_got, strlen(expected));
	assert_memory_equal(f->peer.got, expected, f->peer.n_got);
}

static void write_text(struct fixture *f, const char *text)
{
	bytes_append_string(conn_output(f->end.conn), text);
	conn_flush(f->end.conn);
}

static void test_handshake_and_facts(void **state)
{
	static const unsigned char alpn[] = "\x02h9\x08http/1.1";
	struct fixture *f = *state;

	start(f);
	assert_int_equal(SSL_set_alpn_protos(f->peer.ssl, alpn, sizeof(alpn) - 1), 0);
	(void)SSL_set_tlsext_host_name(f->peer.ssl, "a.example");
	settle(f);
	assert_true(f->end.is_open);
	assert_true(conn_is_tls(f->end.conn));
	assert_true(slice_equals(conn_tls_alpn(f->end.conn), SLICE("http/1.1")));
	assert_true(slice_equals(conn_tls_server_name(f->end.conn), SLICE("a.example")));
	assert_string_equal(conn_tls_version(f->end.conn), "TLSv1.3");
	assert_string_equal(conn_tls_cipher(f->end.conn), SSL_get_cipher_name(f->peer.ssl));
	conn_set_reading(f->end.conn, true);
	peer_writes(f, "ping");
	write_text(f, "pong");
	settle(f);
	assert_input(f, "ping");
	assert_peer_got(f, "pong");
	assert_int_equal(conn_bytes_received(f->end.conn), 4);
	assert_int_equal(conn_bytes_sent(f->end.conn), 4);
}

static void test_bytes_in_the_last_flight_wait_for_reading(void **state)
{
	struct fixture *f = *state;

	start(f);
	/* The client's first bytes go out right behind its Finished. */
	while (!f->peer.is_done) {
		step_peer(&f->peer);
		if (!f->peer.is_done)
			loop_turn(f->loop, false);
	}
	peer_writes(f, "early");
	settle(f);
	assert_true(f->end.is_open);
	conn_set_reading(f->end.conn, true);
	settle(f);
	assert_input(f, "early");
}

static void test_alpn_is_strict(void **state)
{
	static const unsigned char alpn[] = "\x03"
					    "ftp\x02"
					    "h2";
	struct fixture *f = *state;

	start(f);
	assert_int_equal(SSL_set_alpn_protos(f->peer.ssl, alpn, sizeof(alpn) - 1), 0);
	settle(f);
	assert_true(f->end.is_lost);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	close_end(f);
	settle(f);
	assert_int_equal(ERR_GET_REASON(f->peer.error), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
}

static void test_old_versions_are_refused(void **state)
{
	struct fixture *f = *state;

	start(f);
	SSL_set_security_level(f->peer.ssl, 0);
	(void)SSL_set_min_proto_version(f->peer.ssl, TLS1_VERSION);
	(void)SSL_set_max_proto_version(f->peer.ssl, TLS1_1_VERSION);
	settle(f);
	assert_true(f->end.is_lost);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	assert_int_not_equal(f->peer.error, 0);
}

static void test_tls_1_2_has_forward_secrecy_and_aead_only(void **state)
{
	struct fixture *f = *state;

	start(f);
	(void)SSL_set_max_proto_version(f->peer.ssl, TLS1_2_VERSION);
	(void)SSL_set_cipher_list(f->peer.ssl, "ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256");
	settle(f);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	start(f);
	(void)SSL_set_max_proto_version(f->peer.ssl, TLS1_2_VERSION);
	settle(f);
	assert_true(f->end.is_open);
	assert_string_equal(conn_tls_version(f->end.conn), "TLSv1.2");
	assert_non_null(strstr(conn_tls_cipher(f->end.conn), "ECDHE-ECDSA-AES"));
}

static void test_half_close_both_ways(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	conn_set_reading(f->end.conn, true);
	/* The peer ends first: we may still write. */
	(void)SSL_shutdown(f->peer.ssl);
	settle(f);
	assert_true(conn_has_input_ended(f->end.conn));
	assert_false(f->end.is_lost);
	write_text(f, "late");
	settle(f);
	assert_peer_got(f, "late");
	conn_end_output(f->end.conn);
	settle(f);
	assert_true(f->peer.is_ended);
	assert_true(conn_has_output_ended(f->end.conn));
	assert_int_equal(f->end.n_output, 1);

	/* We end first: the peer may still write. */
	shake_hands(f);
	conn_set_reading(f->end.conn, true);
	write_text(f, "last");
	conn_end_output(f->end.conn);
	settle(f);
	assert_peer_got(f, "last");
	assert_true(f->peer.is_ended);
	peer_writes(f, "late");
	settle(f);
	assert_input(f, "late");
	(void)SSL_shutdown(f->peer.ssl);
	settle(f);
	assert_true(conn_has_input_ended(f->end.conn));
	assert_false(f->end.is_lost);
}

static void test_eof_without_close_notify_is_a_cut(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	conn_set_reading(f->end.conn, true);
	peer_writes(f, "half a mess");
	free_peer_conn(f);
	settle(f);
	assert_true(f->end.is_lost);
	assert_int_equal(f->end.loss, CONN_LOSS_CUT);
	assert_false(conn_has_input_ended(f->end.conn));
	assert_string_equal(f->end.text, "the connection ended without close_notify");
	assert_input(f, "half a mess");
}

static void test_garbage_is_a_tls_loss(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	conn_set_reading(f->end.conn, true);
	assert_int_equal(
		write(f->peer.fd, "\x17\x03\x03\x00\x20garbage garbage garbage garbage!", 37), 37);
	settle(f);
	assert_int_equal(f->end.loss, CONN_LOSS_TLS);
	assert_int_equal(ERR_GET_REASON(f->peer.error), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
}

static void test_plain_http_on_a_tls_port_is_refused(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(write(f->peer.fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	SSL_free(f->peer.ssl);
	f->peer.ssl = NULL;
	settle(f);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	assert_string_equal(f->end.text, "http request");
}

static void test_close_says_goodbye_unless_something_is_missing(void **state)
{
	static char block[4 * 1024 * 1024];
	struct fixture *f = *state;

	shake_hands(f);
	close_end(f);
	settle(f);
	assert_true(f->peer.is_ended);

	shake_hands(f);
	bytes_append(conn_output(f->end.conn), block, sizeof(block));
	conn_flush(f->end.conn);
	loop_turn(f->loop, false);
	close_end(f);
	for (int i = 0; i < 1000 && !f->peer.is_cut; i++) {
		f->peer.n_got = 0;
		step_peer(&f->peer);
	}
	assert_true(f->peer.is_cut);
	assert_false(f->peer.is_ended);

	shake_hands(f);
	conn_abort(f->end.conn);
	f->end.conn = NULL;
	settle(f);
	assert_false(f->peer.is_ended);
}

static void test_graceful_close(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	write_text(f, "400 and away");
	peer_writes(f, "unread");
	conn_close_gracefully(f->end.conn, 60000);
	f->end.conn = NULL;
	settle(f);
	assert_peer_got(f, "400 and away");
	assert_true(f->peer.is_ended);
	assert_int_equal(conn_n_live(), 1);
	(void)SSL_shutdown(f->peer.ssl);
	settle(f);
	assert_int_equal(conn_n_live(), 0);
}

static void test_a_peer_that_does_not_read_stalls_the_output(void **state)
{
	static char block[CONN_OUTPUT_LIMIT];
	struct fixture *f = *state;
	size_t n_written = 0, n_read = 0;

	shake_hands(f);
	while (conn_output_room(f->end.conn) > 0) {
		bytes_append(conn_output(f->end.conn), block, sizeof(block));
		n_written += sizeof(block);
		conn_flush(f->end.conn);
		for (int i = 0; i < 10; i++)
			loop_turn(f->loop, false);
	}
	assert_int_not_equal(conn_stalled_since_ms(f->end.conn), 0);
	assert_int_equal(f->end.n_output, 0);
	for (int i = 0; i < 10000 && n_read < n_written; i++) {
		loop_turn(f->loop, false);
		step_peer(&f->peer);
		n_read += f->peer.n_got;
		f->peer.n_got = 0;
	}
	loop_turn(f->loop, false);
	assert_int_equal(n_read, n_written);
	assert_true(f->end.n_output > 0);
	assert_int_equal(conn_stalled_since_ms(f->end.conn), 0);
	assert_int_equal(conn_bytes_sent(f->end.conn), n_written);
	assert_int_equal(bytes_live_segments(), 0);
}

static void test_much_input_in_odd_pieces(void **state)
{
	static char block[30011];
	struct fixture *f = *state;
	size_t n_sent = 0, n_got = 0;

	shake_hands(f);
	conn_set_reading(f->end.conn, true);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 7);
	while (n_got < 20 * sizeof(block)) {
		struct bytes *input = conn_input(f->end.conn);
		int n = 0;

		if (n_sent < 20 * sizeof(block))
			n = SSL_write(f->peer.ssl, block + n_sent % sizeof(block),
				(int)(sizeof(block) - n_sent % sizeof(block)));
		n_sent += n > 0 ? (size_t)n : 0;
		loop_turn(f->loop, false);
		while (bytes_size(input) > 0) {
			struct slice front = bytes_front(input);

			for (size_t i = 0; i < front.n; i++)
				assert_int_equal(front.p[i], block[(n_got + i) % sizeof(block)]);
			n_got += front.n;
			bytes_drain(input, front.n);
		}
	}
	assert_int_equal(n_got, n_sent);
	assert_false(f->end.is_lost);
	assert_int_equal(bytes_live_segments(), 0);
}

static void test_renegotiation_is_cut(void **state)
{
	struct fixture *f = *state;

	start(f);
	(void)SSL_set_max_proto_version(f->peer.ssl, TLS1_2_VERSION);
	settle(f);
	conn_set_reading(f->end.conn, true);
	assert_int_equal(SSL_renegotiate(f->peer.ssl), 1);
	(void)SSL_do_handshake(f->peer.ssl);
	settle(f);
	assert_true(f->end.is_lost);
	assert_int_equal(f->end.loss, CONN_LOSS_TLS);
	assert_string_equal(f->end.text, "TLS renegotiation refused");
}

static void update_keys(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++) {
		assert_int_equal(SSL_key_update(f->peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		(void)SSL_do_handshake(f->peer.ssl);
		loop_turn(f->loop, false);
		step_peer(&f->peer);
	}
	settle(f);
}

static void test_key_updates_are_counted(void **state)
{
	struct fixture *f = *state;

	shake_hands(f);
	conn_set_reading(f->end.conn, true);
	update_keys(f, 30);
	peer_writes(f, "still here");
	settle(f);
	assert_input(f, "still here");
	update_keys(f, 5);
	assert_int_equal(f->end.loss, CONN_LOSS_TLS);
	assert_string_equal(f->end.text, "too many TLS key updates");
}

/* Which certificate, by its common name, answers to a name. */
static const char *certificate_for(struct fixture *f, const char *name)
{
	static char common_name[64];
	X509 *x509;

	start(f);
	if (name != NULL)
		(void)SSL_set_tlsext_host_name(f->peer.ssl, name);
	settle(f);
	assert_true(f->peer.is_done);
	x509 = SSL_get1_peer_certificate(f->peer.ssl);
	(void)X509_NAME_get_text_by_NID(
		X509_get_subject_name(x509), NID_commonName, common_name, sizeof(common_name));
	X509_free(x509);
	return common_name;
}

static void test_sni_chooses_the_certificate(void **state)
{
	struct fixture *f = *state;

	f->listen.certificates.n_items = 3;
	f->certificate_items[1] = certificates_path(&certificates, "wild.pem");
	f->certificate_items[2] = certificates_path(&certificates, "cn.pem");
	assert_string_equal(certificate_for(f, "a.example"), "first");
	assert_string_equal(certificate_for(f, "A.Example"), "first");
	assert_string_equal(certificate_for(f, "x.wild.example"), "wild");
	assert_string_equal(certificate_for(f, "X.WILD.example"), "wild");
	assert_string_equal(certificate_for(f, "exact.wild.example"), "first");
	assert_string_equal(certificate_for(f, "x.y.wild.example"), "first");
	assert_string_equal(certificate_for(f, "wild.example"), "first");
	assert_string_equal(certificate_for(f, "cn.example"), "cn.example");
	/* The common name of a certificate with subjectAltName is not a name. */
	assert_string_equal(certificate_for(f, "wild"), "first");
	assert_string_equal(certificate_for(f, "unknown.example"), "first");
	assert_string_equal(certificate_for(f, NULL), "first");
}

static void test_two_kinds_of_key_for_one_name(void **state)
{
	struct fixture *f = *state;

	f->listen.certificates.n_items = 2;
	f->certificate_items[1] = certificates_path(&certificates, "rsa.pem");
	start(f);
	(void)SSL_set1_sigalgs_list(f->peer.ssl, "rsa_pss_rsae_sha256");
	settle(f);
	assert_true(f->end.is_open);
	start(f);
	(void)SSL_set1_sigalgs_list(f->peer.ssl, "ecdsa_secp256r1_sha256");
	settle(f);
	assert_true(f->end.is_open);
}

static void give_peer_certificate(struct fixture *f, const struct certificates *from)
{
	assert_int_equal(SSL_CTX_use_certificate_file(f->peer.ctx,
				 certificates_path(from, "client.pem"), SSL_FILETYPE_PEM),
		1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(f->peer.ctx,
				 certificates_path(from, "client.pem"), SSL_FILETYPE_PEM),
		1);
}

static void test_client_certificates(void **state)
{
	struct fixture *f = *state;
	char subject[64];

	f->listen.client_verify = CONF_CLIENT_VERIFY_REQUIRED;
	f->listen.client_ca = certificates_path(&certificates, "ca.pem");
	start(f);
	settle(f);
	assert_false(f->end.is_open);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	assert_int_equal(ERR_GET_REASON(f->peer.error), SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);

	give_peer_certificate(f, &certificates);
	shake_hands(f);
	assert_true(conn_tls_client_subject(f->end.conn, subject, sizeof(subject)));
	assert_string_equal(subject, "CN=somebody");
	/* Cut at the buffer's end. */
	assert_true(conn_tls_client_subject(f->end.conn, subject, 6));
	assert_string_equal(subject, "CN=so");

	give_peer_certificate(f, &strangers);
	start(f);
	settle(f);
	assert_false(f->end.is_open);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	assert_non_null(strstr(f->end.text, "unable to get local issuer certificate"));
}

static void test_optional_client_certificates(void **state)
{
	struct fixture *f = *state;
	char subject[64];

	f->listen.client_verify = CONF_CLIENT_VERIFY_OPTIONAL;
	f->listen.client_ca = certificates_path(&certificates, "ca.pem");
	shake_hands(f);
	assert_false(conn_tls_client_subject(f->end.conn, subject, sizeof(subject)));
	assert_string_equal(subject, "");
	give_peer_certificate(f, &strangers);
	start(f);
	settle(f);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
}

static SSL_SESSION *session_of(struct fixture *f, int version)
{
	start(f);
	(void)SSL_set_max_proto_version(f->peer.ssl, version);
	settle(f);
	assert_true(f->end.is_open);
	assert_false(SSL_session_reused(f->peer.ssl));
	return SSL_get1_session(f->peer.ssl);
}

static bool is_resumed(struct fixture *f, SSL_SESSION *session)
{
	start(f);
	(void)SSL_set_session(f->peer.ssl, session);
	(void)SSL_set_max_proto_version(f->peer.ssl, SSL_SESSION_get_protocol_version(session));
	settle(f);
	assert_true(f->end.is_open);
	return SSL_session_reused(f->peer.ssl) != 0;
}

static void change_policy(struct fixture *f)
{
	tls_context_unref(f->context);
	f->context = NULL;
}

static void test_tickets_resume_under_the_same_policy_only(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		SSL_SESSION *session;

		f->listen.client_verify = CONF_CLIENT_VERIFY_OFF;
		f->listen.client_ca = "";
		change_policy(f);
		session = session_of(f, versions[i]);
		assert_true(is_resumed(f, session));
		/* After a reload too. */
		change_policy(f);
		assert_true(is_resumed(f, session));
		f->listen.client_verify = CONF_CLIENT_VERIFY_OPTIONAL;
		f->listen.client_ca = certificates_path(&certificates, "ca.pem");
		change_policy(f);
		assert_false(is_resumed(f, session));
		SSL_SESSION_free(session);
	}
}

static void test_tickets_can_be_turned_off(void **state)
{
	struct fixture *f = *state;
	SSL_SESSION *session;

	f->listen.tls_session_tickets = false;
	session = session_of(f, TLS1_2_VERSION);
	assert_false(is_resumed(f, session));
	SSL_SESSION_free(session);
	session = session_of(f, TLS1_3_VERSION);
	assert_false(is_resumed(f, session));
	SSL_SESSION_free(session);
}

static void assert_refused(
	struct fixture *f, const char *file, const char *key_file, const char *expected)
{
	char why[256] = "";

	f->certificate_items[0] = certificates_path(&certificates, file);
	f->listen.certificate_keys.n_items = key_file != NULL;
	f->key_items[0] = key_file != NULL ? certificates_path(&certificates, key_file) : NULL;
	assert_null(tls_context_new_server(&f->listen, why, sizeof(why)));
	if (strstr(why, expected) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, expected);
	assert_int_equal(ERR_peek_error(), 0);
}

static void test_bad_files_are_explained(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "none.pem", NULL, "none.pem: No such file or directory");
	assert_refused(f, "text.pem", NULL, "text.pem: no certificate in it");
	assert_refused(f, "ca.pem", NULL, "ca.pem: no usable private key in it");
	assert_refused(f, "a.pem", "wild.pem.key",
		"wild.pem.key: this key does not belong to the certificate in ");
	assert_refused(f, "a.pem", "rsa.pem.key",
		"rsa.pem.key: this key does not belong to the certificate in ");
	assert_refused(f, "a.pem", "none.key", "none.key: No such file or directory");
	assert_refused(f, "a.pem", "text.pem", "text.pem: no usable private key in it");
	f->listen.client_verify = CONF_CLIENT_VERIFY_REQUIRED;
	f->listen.client_ca = certificates_path(&certificates, "text.pem");
	assert_refused(f, "a.pem", "a.pem.key", "client_ca: ");
	f->listen.client_verify = CONF_CLIENT_VERIFY_OFF;
	f->listen.tls_ciphers = "NO-SUCH-CIPHER";
	assert_refused(f, "a.pem", "a.pem.key", "tls_ciphers: ");
	f->listen.tls_ciphers = "";
	f->listen.tls_ciphersuites = "TLS_NO_SUCH";
	assert_refused(f, "a.pem", "a.pem.key", "tls_ciphersuites: ");
}

/* Both ends ours: what a dial does. */

struct pair {
	struct end client;
	struct conf_backend backend;
	struct tls_context *context;
};

static void start_pair(struct fixture *f, struct pair *pair, const char *name)
{
	char why[256];
	int fds[2];

	start(f);
	SSL_free(f->peer.ssl);
	f->peer.ssl = NULL;
	memset(&pair->client, 0, sizeof(pair->client));
	if (pair->context == NULL)
		pair->context = tls_context_new_client(&pair->backend, why, sizeof(why));
	if (pair->context == NULL)
		fail_msg("%s", why);
	close_end(f);
	memset(&f->end, 0, sizeof(f->end));
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	f->end.conn = conn_new_accepted(f->loop, fds[0], NULL, 0);
	conn_start_tls_server(f->end.conn, f->context);
	conn_set_owner(f->end.conn, &owner, &f->end);
	pair->client.conn = conn_new_connecting(f->loop, fds[1]);
	conn_start_tls_client(pair->client.conn, pair->context, name);
	conn_set_owner(pair->client.conn, &owner, &pair->client);
	settle(f);
}

static void end_pair(struct fixture *f, struct pair *pair)
{
	conn_close(pair->client.conn);
	settle(f);
}

static struct conf_backend verifying_backend(void)
{
	return (struct conf_backend){
		.tls = true,
		.tls_verify = true,
		.tls_ca = certificates_path(&certificates, "ca.pem"),
		.tls_server_name = "",
		.tls_certificate = "",
		.tls_certificate_key = "",
	};
}

static void test_client_verifies_and_speaks(void **state)
{
	struct fixture *f = *state;
	struct pair pair = {.backend = verifying_backend()};

	start_pair(f, &pair, "a.example");
	assert_true(pair.client.is_open);
	assert_true(f->end.is_open);
	assert_true(slice_equals(conn_tls_server_name(f->end.conn), SLICE("a.example")));
	assert_true(slice_equals(conn_tls_alpn(pair.client.conn), SLICE("http/1.1")));
	bytes_append_string(conn_output(pair.client.conn), "question");
	conn_end_output(pair.client.conn);
	conn_set_reading(f->end.conn, true);
	settle(f);
	assert_input(f, "question");
	assert_true(conn_has_input_ended(f->end.conn));
	end_pair(f, &pair);
	/* An address is compared with the certificate's addresses. */
	start_pair(f, &pair, "127.0.0.1");
	assert_true(pair.client.is_open);
	assert_true(slice_is_empty(conn_tls_server_name(f->end.conn)));
	end_pair(f, &pair);
	tls_context_unref(pair.context);
}

static void test_client_resumes(void **state)
{
	struct fixture *f = *state;
	struct pair pair = {.backend = verifying_backend()};

	for (int i = 0; i < 2; i++) {
		start_pair(f, &pair, "a.example");
		assert_true(pair.client.is_open);
		assert_int_equal(conn_tls_is_resumed(pair.client.conn), i > 0);
		/* The ticket comes with the first bytes read. */
		conn_set_reading(pair.client.conn, true);
		settle(f);
		end_pair(f, &pair);
	}
	tls_context_unref(pair.context);
}

static void test_client_refuses_the_wrong_server(void **state)
{
	struct fixture *f = *state;
	struct pair pair = {.backend = verifying_backend()};

	start_pair(f, &pair, "b.example");
	assert_int_equal(pair.client.loss, CONN_LOSS_HANDSHAKE);
	assert_non_null(strstr(pair.client.text, "ostname mismatch"));
	end_pair(f, &pair);
	start_pair(f, &pair, "127.0.0.2");
	assert_int_equal(pair.client.loss, CONN_LOSS_HANDSHAKE);
	assert_non_null(strstr(pair.client.text, "IP address mismatch"));
	end_pair(f, &pair);
	tls_context_unref(pair.context);

	pair = (struct pair){.backend = verifying_backend()};
	pair.backend.tls_ca = certificates_path(&strangers, "ca.pem");
	start_pair(f, &pair, "a.example");
	assert_int_equal(pair.client.loss, CONN_LOSS_HANDSHAKE);
	assert_non_null(strstr(pair.client.text, "unable to get local issuer certificate"));
	end_pair(f, &pair);
	tls_context_unref(pair.context);

	pair = (struct pair){.backend = verifying_backend()};
	pair.backend.tls_verify = false;
	pair.backend.tls_ca = "";
	start_pair(f, &pair, "b.example");
	assert_true(pair.client.is_open);
	end_pair(f, &pair);
	tls_context_unref(pair.context);
}

static void test_client_shows_its_certificate(void **state)
{
	struct fixture *f = *state;
	struct pair pair = {.backend = verifying_backend()};
	char subject[64];

	f->listen.client_verify = CONF_CLIENT_VERIFY_REQUIRED;
	f->listen.client_ca = certificates_path(&certificates, "ca.pem");
	pair.backend.tls_certificate = certificates_path(&certificates, "client.pem");
	start_pair(f, &pair, "a.example");
	assert_true(f->end.is_open);
	assert_true(conn_tls_client_subject(f->end.conn, subject, sizeof(subject)));
	assert_string_equal(subject, "CN=somebody");
	end_pair(f, &pair);
	tls_context_unref(pair.context);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_handshake_and_facts),
		TEST(test_bytes_in_the_last_flight_wait_for_reading),
		TEST(test_alpn_is_strict),
		TEST(test_old_versions_are_refused),
		TEST(test_tls_1_2_has_forward_secrecy_and_aead_only),
		TEST(test_half_close_both_ways),
		TEST(test_eof_without_close_notify_is_a_cut),
		TEST(test_garbage_is_a_tls_loss),
		TEST(test_plain_http_on_a_tls_port_is_refused),
		TEST(test_close_says_goodbye_unless_something_is_missing),
		TEST(test_graceful_close),
		TEST(test_a_peer_that_does_not_read_stalls_the_output),
		TEST(test_much_input_in_odd_pieces),
		TEST(test_renegotiation_is_cut),
		TEST(test_key_updates_are_counted),
		TEST(test_sni_chooses_the_certificate),
		TEST(test_two_kinds_of_key_for_one_name),
		TEST(test_client_certificates),
		TEST(test_optional_client_certificates),
		TEST(test_tickets_resume_under_the_same_policy_only),
		TEST(test_tickets_can_be_turned_off),
		TEST(test_bad_files_are_explained),
		TEST(test_client_verifies_and_speaks),
		TEST(test_client_resumes),
		TEST(test_client_refuses_the_wrong_server),
		TEST(test_client_shows_its_certificate),
	};
	int n_failed;

	/* OpenSSL's own socket BIO, which the peer uses, writes with write(2). */
	(void)signal(SIGPIPE, SIG_IGN);
	certificates_init(&certificates, "Test CA");
	certificates_init(&strangers, "Other CA");
	certificates_make(&certificates, "a.pem", "first",
		"DNS:a.example,DNS:exact.wild.example,IP:127.0.0.1", "EC");
	certificates_make(&certificates, "rsa.pem", "rsa", "DNS:a.example", "RSA");
	certificates_make(&certificates, "wild.pem", "wild", "DNS:*.wild.example", "EC");
	certificates_make(&certificates, "cn.pem", "cn.example", NULL, "EC");
	certificates_make(&certificates, "client.pem", "somebody", NULL, "EC");
	certificates_make(&strangers, "client.pem", "stranger", NULL, "EC");
	certificates_write_text(&certificates, "text.pem", "not a certificate\n");
	n_failed = cmocka_run_group_tests(tests, NULL, NULL);
	certificates_clear(&certificates);
	certificates_clear(&strangers);
	return n_failed;
}
