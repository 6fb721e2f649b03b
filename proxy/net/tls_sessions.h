/* Inside TLS: the latest session with each server that we are a client of, by the name verified. */
#ifndef PROXY_NET_TLS_SESSIONS_H
#define PROXY_NET_TLS_SESSIONS_H

#include <openssl/ssl.h>

struct tls_sessions;

struct tls_sessions *tls_sessions_new(void);
void tls_sessions_free(struct tls_sessions *self);
/* Takes over the reference to the session. A full table forgets another server's. */
void tls_sessions_put(struct tls_sessions *self, const char *name, SSL_SESSION *session);
/* NULL if there is none that can be resumed. Borrowed until the next put. */
SSL_SESSION *tls_sessions_get(struct tls_sessions *self, const char *name);

#endif
