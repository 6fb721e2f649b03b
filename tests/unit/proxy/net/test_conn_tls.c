/* TLS conns against OpenSSL's own client, over socket pairs. */
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

static void test_handshake_and_facts(void **state)
{
	static const unsigned char alpn[] = "\x02h9\x08http/1.1";
	struct tls_fixture *f = *state;

	tls_fixture_start(f);
	assert_int_equal(SSL_set_alpn_protos(f->peer.ssl, alpn, sizeof(alpn) - 1), 0);
	(void)SSL_set_tlsext_host_name(f->peer.ssl, "a.example");
	tls_fixture_settle(f);
	assert_true(f->end.is_open);
	assert_true(conn_is_tls(f->end.conn));
	assert_true(slice_equals(conn_tls_alpn(f->end.conn), SLICE("http/1.1")));
	assert_true(slice_equals(conn_tls_server_name(f->end.conn), SLICE("a.example")));
	assert_string_equal(conn_tls_version(f->end.conn), "TLSv1.3");
	assert_string_equal(conn_tls_cipher(f->end.conn), SSL_get_cipher_name(f->peer.ssl));
	conn_set_reading(f->end.conn, true);
	tls_fixture_peer_writes(f, "ping");
	tls_fixture_write_text(f, "pong");
	tls_fixture_settle(f);
	tls_fixture_assert_input(f, "ping");
	tls_fixture_assert_peer_got(f, "pong");
	assert_int_equal(conn_bytes_received(f->end.conn), 4);
	assert_int_equal(conn_bytes_sent(f->end.conn), 4);
}

static void test_bytes_in_the_last_flight_wait_for_reading(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_start(f);
	/* The client's first bytes go out right behind its Finished. */
	while (!f->peer.is_done) {
		tls_fixture_step_peer(&f->peer);
		if (!f->peer.is_done)
			loop_turn(f->loop, false);
	}
	tls_fixture_peer_writes(f, "early");
	tls_fixture_settle(f);
	assert_true(f->end.is_open);
	conn_set_reading(f->end.conn, true);
	tls_fixture_settle(f);
	tls_fixture_assert_input(f, "early");
}

static void test_alpn_is_strict(void **state)
{
	static const unsigned char alpn[] = "\x03"
					    "ftp\x02"
					    "h2";
	struct tls_fixture *f = *state;

	tls_fixture_start(f);
	assert_int_equal(SSL_set_alpn_protos(f->peer.ssl, alpn, sizeof(alpn) - 1), 0);
	tls_fixture_settle(f);
	assert_true(f->end.is_lost);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	tls_fixture_close_end(f);
	tls_fixture_settle(f);
	assert_int_equal(ERR_GET_REASON(f->peer.error), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
}

static void test_old_versions_are_refused(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_start(f);
	SSL_set_security_level(f->peer.ssl, 0);
	(void)SSL_set_min_proto_version(f->peer.ssl, TLS1_VERSION);
	(void)SSL_set_max_proto_version(f->peer.ssl, TLS1_1_VERSION);
	tls_fixture_settle(f);
	assert_true(f->end.is_lost);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	assert_int_not_equal(f->peer.error, 0);
}

static void test_tls_1_2_has_forward_secrecy_and_aead_only(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_start(f);
	(void)SSL_set_max_proto_version(f->peer.ssl, TLS1_2_VERSION);
	(void)SSL_set_cipher_list(f->peer.ssl, "ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256");
	tls_fixture_settle(f);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	tls_fixture_start(f);
	(void)SSL_set_max_proto_version(f->peer.ssl, TLS1_2_VERSION);
	tls_fixture_settle(f);
	assert_true(f->end.is_open);
	assert_string_equal(conn_tls_version(f->end.conn), "TLSv1.2");
	assert_non_null(strstr(conn_tls_cipher(f->end.conn), "ECDHE-ECDSA-AES"));
}

static void test_half_close_both_ways(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_shake_hands(f);
	conn_set_reading(f->end.conn, true);
	/* The peer ends first: we may still write. */
	(void)SSL_shutdown(f->peer.ssl);
	tls_fixture_settle(f);
	assert_true(conn_has_input_ended(f->end.conn));
	assert_false(f->end.is_lost);
	tls_fixture_write_text(f, "late");
	tls_fixture_settle(f);
	tls_fixture_assert_peer_got(f, "late");
	conn_end_output(f->end.conn);
	tls_fixture_settle(f);
	assert_true(f->peer.is_ended);
	assert_true(conn_has_output_ended(f->end.conn));
	assert_int_equal(f->end.n_output, 1);

	/* We end first: the peer may still write. */
	tls_fixture_shake_hands(f);
	conn_set_reading(f->end.conn, true);
	tls_fixture_write_text(f, "last");
	conn_end_output(f->end.conn);
	tls_fixture_settle(f);
	tls_fixture_assert_peer_got(f, "last");
	assert_true(f->peer.is_ended);
	tls_fixture_peer_writes(f, "late");
	tls_fixture_settle(f);
	tls_fixture_assert_input(f, "late");
	(void)SSL_shutdown(f->peer.ssl);
	tls_fixture_settle(f);
	assert_true(conn_has_input_ended(f->end.conn));
	assert_false(f->end.is_lost);
}

static void test_eof_without_close_notify_is_a_cut(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_shake_hands(f);
	conn_set_reading(f->end.conn, true);
	tls_fixture_peer_writes(f, "half a mess");
	tls_fixture_free_peer_conn(f);
	tls_fixture_settle(f);
	assert_true(f->end.is_lost);
	assert_int_equal(f->end.loss, CONN_LOSS_CUT);
	assert_false(conn_has_input_ended(f->end.conn));
	assert_string_equal(f->end.text, "the connection ended without close_notify");
	tls_fixture_assert_input(f, "half a mess");
}

static void test_garbage_is_a_tls_loss(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_shake_hands(f);
	conn_set_reading(f->end.conn, true);
	assert_int_equal(
		write(f->peer.fd, "\x17\x03\x03\x00\x20garbage garbage garbage garbage!", 37), 37);
	tls_fixture_settle(f);
	assert_int_equal(f->end.loss, CONN_LOSS_TLS);
	assert_int_equal(ERR_GET_REASON(f->peer.error), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
}

static void test_plain_http_on_a_tls_port_is_refused(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_start(f);
	assert_int_equal(write(f->peer.fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	SSL_free(f->peer.ssl);
	f->peer.ssl = NULL;
	tls_fixture_settle(f);
	assert_int_equal(f->end.loss, CONN_LOSS_HANDSHAKE);
	assert_string_equal(f->end.text, "http request");
}

static void test_close_says_goodbye_unless_something_is_missing(void **state)
{
	static char block[4 * 1024 * 1024];
	struct tls_fixture *f = *state;

	tls_fixture_shake_hands(f);
	tls_fixture_close_end(f);
	tls_fixture_settle(f);
	assert_true(f->peer.is_ended);

	tls_fixture_shake_hands(f);
	bytes_append(conn_output(f->end.conn), block, sizeof(block));
	conn_flush(f->end.conn);
	loop_turn(f->loop, false);
	tls_fixture_close_end(f);
	for (int i = 0; i < 1000 && !f->peer.is_cut; i++) {
		f->peer.n_got = 0;
		tls_fixture_step_peer(&f->peer);
	}
	assert_true(f->peer.is_cut);
	assert_false(f->peer.is_ended);

	tls_fixture_shake_hands(f);
	conn_abort(f->end.conn);
	f->end.conn = NULL;
	tls_fixture_settle(f);
	assert_false(f->peer.is_ended);
}

static void test_graceful_close(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_shake_hands(f);
	tls_fixture_write_text(f, "400 and away");
	tls_fixture_peer_writes(f, "unread");
	conn_close_gracefully(f->end.conn, 60000);
	f->end.conn = NULL;
	tls_fixture_settle(f);
	tls_fixture_assert_peer_got(f, "400 and away");
	assert_true(f->peer.is_ended);
	assert_int_equal(conn_n_live(), 1);
	(void)SSL_shutdown(f->peer.ssl);
	tls_fixture_settle(f);
	assert_int_equal(conn_n_live(), 0);
}

static void test_a_peer_that_does_not_read_stalls_the_output(void **state)
{
	static char block[CONN_OUTPUT_LIMIT];
	struct tls_fixture *f = *state;
	size_t n_written = 0, n_read = 0;

	tls_fixture_shake_hands(f);
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
		tls_fixture_step_peer(&f->peer);
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
	struct tls_fixture *f = *state;
	size_t n_sent = 0, n_got = 0;

	tls_fixture_shake_hands(f);
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
	struct tls_fixture *f = *state;

	tls_fixture_start(f);
	(void)SSL_set_max_proto_version(f->peer.ssl, TLS1_2_VERSION);
	tls_fixture_settle(f);
	conn_set_reading(f->end.conn, true);
	assert_int_equal(SSL_renegotiate(f->peer.ssl), 1);
	(void)SSL_do_handshake(f->peer.ssl);
	tls_fixture_settle(f);
	assert_true(f->end.is_lost);
	assert_int_equal(f->end.loss, CONN_LOSS_TLS);
	assert_string_equal(f->end.text, "TLS renegotiation refused");
}

static void update_keys(struct tls_fixture *f, int n)
{
	for (int i = 0; i < n; i++) {
		assert_int_equal(SSL_key_update(f->peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		(void)SSL_do_handshake(f->peer.ssl);
		loop_turn(f->loop, false);
		tls_fixture_step_peer(&f->peer);
	}
	tls_fixture_settle(f);
}

static void test_key_updates_are_counted(void **state)
{
	struct tls_fixture *f = *state;

	tls_fixture_shake_hands(f);
	conn_set_reading(f->end.conn, true);
	update_keys(f, 30);
	tls_fixture_peer_writes(f, "still here");
	tls_fixture_settle(f);
	tls_fixture_assert_input(f, "still here");
	update_keys(f, 5);
	assert_int_equal(f->end.loss, CONN_LOSS_TLS);
	assert_string_equal(f->end.text, "too many TLS key updates");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_fixture_setup, tls_fixture_teardown)
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
	};
	int n_failed;

	tls_fixture_begin();
	n_failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_fixture_end();
	return n_failed;
}
