#include "proxy/net/tls_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"
#include "proxy/net/tls_certificate.h"
#include "proxy/net/tls_parameters.h"
#include "proxy/net/tls_private.h"
#include "proxy/net/tls_tickets.h"

struct tls_context *tls_context_ref(struct tls_context *self)
{
	self->n_refs++;
	return self;
}

void tls_context_unref(struct tls_context *self)
{
	if (self == NULL || --self->n_refs > 0)
		return;
	SSL_CTX_free(self->ctx);
	tls_sni_free(self->sni);
	tls_sessions_free(self->sessions);
	free(self->alpn);
	free(self);
}

/* Server. */

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_context *self = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *ctx;

	(void)alert;
	if (name == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	/* Of an unknown name HTTP has the last word (421); the first certificate answers. */
	ctx = tls_sni_find(self->sni, name);
	if (ctx != NULL && ctx != self->ctx)
		(void)SSL_set_SSL_CTX(ssl, ctx);
	return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
	const unsigned char *offered, unsigned offered_size, void *arg)
{
	const struct tls_context *self = arg;
	unsigned char *chosen;

	(void)ssl;
	/* Strict: bytes meant for another protocol are not read as HTTP (RFC 7301 section 3.2). */
	if (SSL_select_next_proto(&chosen, out_size, self->alpn, self->alpn_size, offered,
		    offered_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void add_alpn(struct tls_context *self, const char *name)
{
	size_t n = strlen(name);

	self->alpn = memory_realloc(self->alpn, self->alpn_size + 1 + n);
	self->alpn[self->alpn_size++] = (unsigned char)n;
	memcpy(self->alpn + self->alpn_size, name, n);
	self->alpn_size += (unsigned)n;
}

/* Who serves HTTP/1.1 serves HTTP/1.0 too, and curl -0 offers nothing else. */
static void set_alpn(struct tls_context *self, const struct conf_strings *names)
{
	for (size_t i = 0; i < names->n_items; i++) {
		add_alpn(self, names->items[i]);
		if (strcmp(names->items[i], "http/1.1") == 0)
			add_alpn(self, "http/1.0");
	}
}

static const char *key_file(const struct conf_listen *listen, size_t i)
{
	return listen->certificate_keys.n_items > 0 ? listen->certificate_keys.items[i] : NULL;
}

static SSL_CTX *new_server_ctx(struct tls_context *self, const struct conf_listen *listen, size_t i,
	char *why, size_t why_size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	ASSERT(ctx != NULL);
	SSL_CTX_set_msg_callback(ctx, conn_tls_on_message);
	(void)SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	(void)SSL_CTX_set_tlsext_servername_arg(ctx, self);
	if (self->alpn_size > 0)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, self);
	if (tls_parameters_set_server(ctx, listen, why, why_size) &&
		tls_certificate_load(
			ctx, listen->certificates.items[i], key_file(listen, i), why, why_size) &&
		tls_tickets_use(ctx))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

struct same_name {
	const struct tls_sni *sni;
	SSL_CTX *ctx; /* that has the first name */
	bool is_asked;
};

static void on_first_name(void *arg, const char *name)
{
	struct same_name *self = arg;

	if (!self->is_asked)
		self->ctx = tls_sni_find(self->sni, name);
	self->is_asked = true;
}

static int key_kind(SSL_CTX *ctx)
{
	return EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_CTX_get0_certificate(ctx)));
}

/*
 * An RSA and an ECDSA certificate of one name stand in one context, where OpenSSL takes the one
 * that the client understands.
 */
static bool add_to_same_name(struct tls_context *self, SSL_CTX *ctx,
	const struct conf_listen *listen, size_t i, char *why, size_t why_size)
{
	struct same_name same = {.sni = self->sni};

	tls_certificate_each_name(ctx, on_first_name, &same);
	if (same.ctx == NULL || key_kind(same.ctx) == key_kind(ctx))
		return true;
	return tls_certificate_load(
		same.ctx, listen->certificates.items[i], key_file(listen, i), why, why_size);
}

struct tls_context *tls_context_new_server(
	const struct conf_listen *listen, char *why, size_t why_size)
{
	struct tls_context *self = memory_alloc_zeroed(sizeof(*self));

	self->n_refs = 1;
	self->sni = tls_sni_new();
	set_alpn(self, &listen->alpn);
	for (size_t i = 0; i < listen->certificates.n_items; i++) {
		SSL_CTX *ctx = new_server_ctx(self, listen, i, why, why_size);

		if (ctx == NULL || !add_to_same_name(self, ctx, listen, i, why, why_size)) {
			SSL_CTX_free(ctx);
			tls_context_unref(self);
			return NULL;
		}
		tls_sni_add(self->sni, ctx);
		if (self->ctx == NULL)
			self->ctx = ctx;
		else
			SSL_CTX_free(ctx);
	}
	return self;
}

/* Client. */

struct tls_context *tls_context_new_client(
	const struct conf_backend *backend, char *why, size_t why_size)
{
	struct tls_context *self = memory_alloc_zeroed(sizeof(*self));

	self->n_refs = 1;
	self->ctx = SSL_CTX_new(TLS_client_method());
	ASSERT(self->ctx != NULL);
	self->sessions = tls_sessions_new();
	self->is_verifying = backend->tls_verify;
	SSL_CTX_set_msg_callback(self->ctx, conn_tls_on_message);
	SSL_CTX_sess_set_new_cb(self->ctx, conn_tls_on_session);
	if (tls_parameters_set_client(self->ctx, backend, why, why_size) &&
		(backend->tls_certificate[0] == '\0' ||
			tls_certificate_load(self->ctx, backend->tls_certificate,
				backend->tls_certificate_key, why, why_size)))
		return self;
	tls_context_unref(self);
	return NULL;
}
