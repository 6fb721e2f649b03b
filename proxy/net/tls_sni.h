/* Inside TLS: which certificate answers to which name (RFC 6066 section 3): exact name, else
 * wildcard of one label. */
#ifndef PROXY_NET_TLS_SNI_H
#define PROXY_NET_TLS_SNI_H

#include <openssl/ssl.h>

struct tls_sni;

struct tls_sni *tls_sni_new(void);
void tls_sni_free(struct tls_sni *self);
/* All names of the context's certificate. Of two certificates with a name the first has it. Takes a
 * reference. */
void tls_sni_add(struct tls_sni *self, SSL_CTX *ctx);
/* Case does not matter; NULL if no certificate has the name. */
SSL_CTX *tls_sni_find(const struct tls_sni *self, const char *name);

#endif
