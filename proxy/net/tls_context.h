/*
 * TLS parameters, shared by many conns and reference-counted: a conn keeps the one it was born with
 * across a reload.
 *
 * Server: several certificates chosen by SNI (exact name, then wildcard of one label, then the
 * first), TLS 1.2 and 1.3, ECDHE and AEAD suites only, no compression, no renegotiation, strict
 * ALPN (no common protocol: fatal no_application_protocol), session tickets with keys of this
 * process rotated on a timer, and a session id context per client-auth policy. Client: verification
 * and hostname check on unless turned off, SNI, session reuse.
 */
#ifndef PROXY_NET_TLS_CONTEXT_H
#define PROXY_NET_TLS_CONTEXT_H

#include <stddef.h>

#include "conf/conf.h"
#include "proxy/base/macros.h"

struct tls_context;

/* NULL on failure, with a sentence for the operator (file, what is wrong, what would be right) in
 * why. */
struct tls_context *tls_context_new_server(
	const struct conf_listen *listen, char *why, size_t why_size);
struct tls_context *tls_context_new_client(
	const struct conf_backend *backend, char *why, size_t why_size);
struct tls_context *tls_context_ref(struct tls_context *self);
void tls_context_unref(struct tls_context *self);

#endif
