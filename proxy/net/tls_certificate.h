/* Inside TLS: a certificate with its chain and key from PEM files, and the host names it is for. */
#ifndef PROXY_NET_TLS_CERTIFICATE_H
#define PROXY_NET_TLS_CERTIFICATE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/macros.h"

/*
 * The file holds the certificate, then its chain; the key is in key_file, or in the same file if
 * that is NULL or "". On failure why says which file, what is wrong and what would be right.
 */
MUST_USE bool tls_certificate_load(
	SSL_CTX *ctx, const char *file, const char *key_file, char *why, size_t why_size);

/*
 * Calls back for each DNS name of the context's certificate, in lower case, as it stands there
 * ("a.example",
 * "*.a.example"): those of subjectAltName, or the common name if there are none (RFC 6125
 * section 6.4.4).
 */
void tls_certificate_each_name(
	SSL_CTX *ctx, void (*on_name)(void *arg, const char *name), void *arg);

#endif
