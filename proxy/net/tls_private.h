/* Inside TLS: what a conn needs of its context. Only tls_*.c and conn_tls.c include this. */
#ifndef PROXY_NET_TLS_PRIVATE_H
#define PROXY_NET_TLS_PRIVATE_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "proxy/net/tls_context.h"
#include "proxy/net/tls_sessions.h"
#include "proxy/net/tls_sni.h"

struct tls_context {
	unsigned n_refs;
	SSL_CTX *ctx;		       /* server: with the first certificate */
	struct tls_sni *sni;	       /* server */
	struct tls_sessions *sessions; /* client */
	bool is_verifying;	       /* client */
	unsigned char *alpn;	       /* server: length-prefixed names, best first */
	unsigned alpn_size;
};

/* Called by OpenSSL for each message and record header that goes over a conn; arg is
 * SSL_set_msg_callback_arg's. */
void conn_tls_on_message(
	int is_written, int version, int type, const void *p, size_t n, SSL *ssl, void *arg);
/* A client's session came; true if the reference was taken. */
int conn_tls_on_session(SSL *ssl, SSL_SESSION *session);

#endif
