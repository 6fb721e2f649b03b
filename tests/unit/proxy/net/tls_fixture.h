/* For tests of TLS: a conn of ours on one end of a socket pair and OpenSSL itself on the other. */
#ifndef TESTS_UNIT_PROXY_NET_TLS_FIXTURE_H
#define TESTS_UNIT_PROXY_NET_TLS_FIXTURE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "proxy/net/conn.h"
#include "proxy/net/tls_context.h"
#include "tests/unit/proxy/net/certificates.h"

/* Our end. */
struct tls_end {
	struct conn *conn;
	bool is_open;
	bool is_lost;
	unsigned n_output;
	enum conn_loss loss;
	char text[128];
};

/* The other end: OpenSSL on the socket itself. */
struct tls_peer {
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

struct tls_fixture {
	struct loop *loop;
	struct conf_listen listen;
	char *certificate_items[4];
	char *key_items[4];
	char *alpn_items[2];
	struct tls_context *context;
	struct tls_end end;
	struct tls_peer peer;
};

/* Two authorities and their certificates, made by tls_fixture_run. */
extern struct certificates tls_certificates, tls_strangers;
extern const struct conn_owner tls_fixture_owner;

/* cmocka's, per test. */
int tls_fixture_setup(void **state);
int tls_fixture_teardown(void **state);

/* A new pair of ends; the peer's SSL takes options before the first settle. */
void tls_fixture_start(struct tls_fixture *f);
/* Runs both ends until nothing can happen any more. */
void tls_fixture_settle(struct tls_fixture *f);
/* Both, and the handshake has to succeed. */
void tls_fixture_shake_hands(struct tls_fixture *f);
void tls_fixture_step_peer(struct tls_peer *peer);
void tls_fixture_free_peer_conn(struct tls_fixture *f);
void tls_fixture_close_end(struct tls_fixture *f);

void tls_fixture_write_text(struct tls_fixture *f, const char *text);
void tls_fixture_peer_writes(struct tls_fixture *f, const char *text);
void tls_fixture_assert_input(struct tls_fixture *f, const char *expected);
void tls_fixture_assert_peer_got(struct tls_fixture *f, const char *expected);

/* Before and after all tests of a program. */
void tls_fixture_begin(void);
void tls_fixture_end(void);

#endif
