/* What a context decides: certificates by name, client certificates, tickets; and our own client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "proxy/base/macros.h"
#include "tests/unit/proxy/net/tls_fixture.h"

/* Which certificate, by its common name, answers to a name. */
static const char *certificate_for(struct tls_fixture *f, const char *name)
{
	static char common_name[64];
	X509 *x509;

	tls_fixture_start(f);
	if (name != NULL)
		(void)SSL_set_tlsext_host_name(f->peer.ssl, name);
	tls_fixture_settle(f);
	assert_true(f->peer.is_done);
	x509 = SSL_get1_peer_certificate(f->peer.ssl);
	(void)X509_NAME_get_text_by_NID(
		X509_get_subject_name(x509), NID_commonName, common_name, sizeof(common_name));
	X509_free(x509);
	return common_name;
}

static void test_sni_chooses_the_certificate(void **state)
{
	struct tls_fixture *f = *state;

	f->listen.certificates.n_items = 3;
	f->certificate_items[1] = certificates_path(&tls_certificates, "wild.pem");
	f->certificate_items[2] = certificates_path(&tls_certificates, "cn.pem");
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
	struct tls_fixture *f = *state;

	f->listen.certificates.n_items = 2;
	f->certificate_items[1] = certificates_path(&tls_certificates, "rsa.pem");
	tls_fixture_start(f);
	(void)SSL_set1_sigalgs_list(f->peer.ssl, "rsa_pss_rsae_sha256");
	tls_fixture_settle(f);
	assert_true(f->end.is_open);
	tls_fixture_start(f);
	(void)SSL_set1_sigalgs_list(f->peer.ssl, "ecdsa_secp256r1_sha256");
	tls_fixture_settle(f);
	assert_true(f->end.is_open);
}

static void give_peer_certificate(struct tls_fixture *f, const struct certificates *from)
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
	struct tls_fixture *f = *state;
	char subject[64];

	f->listen.client_verify = CONF_CLIENT_VERIFY_REQUIRED;
	f->listen.client_ca = certificates_path(&tls_certificates, "ca.pem");
	tls_fixture_start(f);
	tls_fixture_settle(f);
	assert_false(f->end.is_open);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	assert_int_equal(ERR_GET_REASON(f->peer.error), SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);

	give_peer_certificate(f, &tls_certificates);
	tls_fixture_shake_hands(f);
	assert_true(conn_tls_client_subject(f->end.conn, subject, sizeof(subject)));
	assert_string_equal(subject, "CN=somebody");
	/* Cut at the buffer's end. */
	assert_true(conn_tls_client_subject(f->end.conn, subject, 6));
	assert_string_equal(subject, "CN=so");

	give_peer_certificate(f, &tls_strangers);
	tls_fixture_start(f);
	tls_fixture_settle(f);
	assert_false(f->end.is_open);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	assert_non_null(strstr(f->end.text, "unable to get local issuer certificate"));
}

static void test_optional_client_certificates(void **state)
{
	struct tls_fixture *f = *state;
	char subject[64];

	f->listen.client_verify = CONF_CLIENT_VERIFY_OPTIONAL;
	f->listen.client_ca = certificates_path(&tls_certificates, "ca.pem");
	tls_fixture_shake_hands(f);
	assert_false(conn_tls_client_subject(f->end.conn, subject, sizeof(subject)));
	assert_string_equal(subject, "");
	give_peer_certificate(f, &tls_strangers);
	tls_fixture_start(f);
	tls_fixture_settle(f);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
}

static SSL_SESSION *session_of(struct tls_fixture *f, int version)
{
	tls_fixture_start(f);
	(void)SSL_set_max_proto_version(f->peer.ssl, version);
	tls_fixture_settle(f);
	assert_true(f->end.is_open);
	assert_false(SSL_session_reused(f->peer.ssl));
	return SSL_get1_session(f->peer.ssl);
}

static bool is_resumed(struct tls_fixture *f, SSL_SESSION *session)
{
	tls_fixture_start(f);
	(void)SSL_set_session(f->peer.ssl, session);
	(void)SSL_set_max_proto_version(f->peer.ssl, SSL_SESSION_get_protocol_version(session));
	tls_fixture_settle(f);
	assert_true(f->end.is_open);
	return SSL_session_reused(f->peer.ssl) != 0;
}

static void change_policy(struct tls_fixture *f)
{
	tls_context_unref(f->context);
	f->context = NULL;
}

static void test_tickets_resume_under_the_same_policy_only(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct tls_fixture *f = *state;

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
		f->listen.client_ca = certificates_path(&tls_certificates, "ca.pem");
		change_policy(f);
		assert_false(is_resumed(f, session));
		SSL_SESSION_free(session);
	}
}

static void test_tickets_can_be_turned_off(void **state)
{
	struct tls_fixture *f = *state;
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
	struct tls_fixture *f, const char *file, const char *key_file, const char *expected)
{
	char why[256] = "";

	f->certificate_items[0] = certificates_path(&tls_certificates, file);
	f->listen.certificate_keys.n_items = key_file != NULL;
	f->key_items[0] = key_file != NULL ? certificates_path(&tls_certificates, key_file) : NULL;
	assert_null(tls_context_new_server(&f->listen, why, sizeof(why)));
	if (strstr(why, expected) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, expected);
	assert_int_equal(ERR_peek_error(), 0);
}

static void test_bad_files_are_explained(void **state)
{
	struct tls_fixture *f = *state;

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
	f->listen.client_ca = certificates_path(&tls_certificates, "text.pem");
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
	struct tls_end client;
	struct conf_backend backend;
	struct tls_context *context;
};

static void start_pair(struct tls_fixture *f, struct pair *pair, const char *name)
{
	char why[256];
	int fds[2];

	tls_fixture_start(f);
	SSL_free(f->peer.ssl);
	f->peer.ssl = NULL;
	memset(&pair->client, 0, sizeof(pair->client));
	if (pair->context == NULL)
		pair->context = tls_context_new_client(&pair->backend, why, sizeof(why));
	if (pair->context == NULL)
		fail_msg("%s", why);
	tls_fixture_close_end(f);
	memset(&f->end, 0, sizeof(f->end));
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	f->end.conn = conn_new_accepted(f->loop, fds[0], NULL, 0);
	conn_start_tls_server(f->end.conn, f->context);
	conn_set_owner(f->end.conn, &tls_fixture_owner, &f->end);
	pair->client.conn = conn_new_connecting(f->loop, fds[1]);
	conn_start_tls_client(pair->client.conn, pair->context, name);
	conn_set_owner(pair->client.conn, &tls_fixture_owner, &pair->client);
	tls_fixture_settle(f);
}

static void end_pair(struct tls_fixture *f, struct pair *pair)
{
	conn_close(pair->client.conn);
	tls_fixture_settle(f);
}

static struct conf_backend verifying_backend(void)
{
	return (struct conf_backend){
		.tls = true,
		.tls_verify = true,
		.tls_ca = certificates_path(&tls_certificates, "ca.pem"),
		.tls_server_name = "",
		.tls_certificate = "",
		.tls_certificate_key = "",
	};
}

static void test_client_verifies_and_speaks(void **state)
{
	struct tls_fixture *f = *state;
	struct pair pair = {.backend = verifying_backend()};

	start_pair(f, &pair, "a.example");
	assert_true(pair.client.is_open);
	assert_true(f->end.is_open);
	assert_true(slice_equals(conn_tls_server_name(f->end.conn), SLICE("a.example")));
	assert_true(slice_equals(conn_tls_alpn(pair.client.conn), SLICE("http/1.1")));
	bytes_append_string(conn_output(pair.client.conn), "question");
	conn_end_output(pair.client.conn);
	conn_set_reading(f->end.conn, true);
	tls_fixture_settle(f);
	tls_fixture_assert_input(f, "question");
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
	struct tls_fixture *f = *state;
	struct pair pair = {.backend = verifying_backend()};

	for (int i = 0; i < 2; i++) {
		start_pair(f, &pair, "a.example");
		assert_true(pair.client.is_open);
		assert_int_equal(conn_tls_is_resumed(pair.client.conn), i > 0);
		/* The ticket comes with the first bytes read. */
		conn_set_reading(pair.client.conn, true);
		tls_fixture_settle(f);
		end_pair(f, &pair);
	}
	tls_context_unref(pair.context);
}

static void test_client_refuses_the_wrong_server(void **state)
{
	struct tls_fixture *f = *state;
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
	pair.backend.tls_ca = certificates_path(&tls_strangers, "ca.pem");
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
	struct tls_fixture *f = *state;
	struct pair pair = {.backend = verifying_backend()};
	char subject[64];

	f->listen.client_verify = CONF_CLIENT_VERIFY_REQUIRED;
	f->listen.client_ca = certificates_path(&tls_certificates, "ca.pem");
	pair.backend.tls_certificate = certificates_path(&tls_certificates, "client.pem");
	start_pair(f, &pair, "a.example");
	assert_true(f->end.is_open);
	assert_true(conn_tls_client_subject(f->end.conn, subject, sizeof(subject)));
	assert_string_equal(subject, "CN=somebody");
	end_pair(f, &pair);
	tls_context_unref(pair.context);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_fixture_setup, tls_fixture_teardown)
	const struct CMUnitTest tests[] = {
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

	tls_fixture_begin();
	n_failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_fixture_end();
	return n_failed;
}
