/* Inside TLS: what an SSL_CTX is set to, apart from certificates. Pure set-up; nothing is read from
 * the network. */
#ifndef PROXY_NET_TLS_PARAMETERS_H
#define PROXY_NET_TLS_PARAMETERS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "proxy/base/macros.h"
#include "proxy/base/slice.h"

/*
 * Each writes a sentence to why and returns false on failure. A server context: versions, ciphers,
 * groups, client certificates, session id context; a client context: versions and verification of
 * the server.
 */
MUST_USE bool tls_parameters_set_server(
	SSL_CTX *ctx, const struct conf_listen *listen, char *why, size_t why_size);
MUST_USE bool tls_parameters_set_client(
	SSL_CTX *ctx, const struct conf_backend *backend, char *why, size_t why_size);

/* What a client offers in ALPN, in the form of the handshake. */
struct slice tls_parameters_alpn(enum conf_protocol protocol);

/* OpenSSL's words for the oldest error in its queue, which is emptied. Static. */
const char *tls_error_text(void);

#endif
