#include "proxy/net/tls_parameters.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* AEAD with forward secrecy, and in the order of speed where AES is in hardware. */
#define DEFAULT_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS "X25519:P-256"
/* Resumed within this time; a ticket's keys live a little longer. */
#define SESSION_TIMEOUT_S 7200

const char *tls_error_text(void)
{
	unsigned long code = ERR_peek_error();
	const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;

	/* Codes that carry an errno have no reason string. */
	if (text == NULL)
		text = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
					      : "unknown TLS error";
	ERR_clear_error();
	return text;
}

static void set_common(SSL_CTX *ctx)
{
	/* Settings of the machine's openssl.cnf do not loosen ours. */
	SSL_CTX_set_security_level(ctx, 2);
	(void)SSL_CTX_set_options(
		ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_QUERY_MTU);
	(void)SSL_CTX_clear_options(ctx,
		SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
			SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(ctx,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			SSL_MODE_RELEASE_BUFFERS);
}

static bool set_ciphers(
	SSL_CTX *ctx, const char *ciphers, const char *suites, char *why, size_t why_size)
{
	if (SSL_CTX_set_cipher_list(ctx, ciphers[0] != '\0' ? ciphers : DEFAULT_CIPHERS) != 1) {
		(void)snprintf(why, why_size,
			"tls_ciphers: \"%s\" names no cipher that OpenSSL has; see openssl "
			"ciphers(1)",
			ciphers);
		ERR_clear_error();
		return false;
	}
	if (suites[0] != '\0' && SSL_CTX_set_ciphersuites(ctx, suites) != 1) {
		(void)snprintf(why, why_size,
			"tls_ciphersuites: \"%s\" is not a list of TLS 1.3 suites like "
			"TLS_AES_128_GCM_SHA256",
			suites);
		ERR_clear_error();
		return false;
	}
	return true;
}

/* Adds the file's bytes, so that a session verified by other authorities is not taken up. */
static bool digest_file(EVP_MD_CTX *digest, const char *path)
{
	char block[4096];
	FILE *file = fopen(path, "re");
	size_t n;
	bool is_read;

	if (file == NULL)
		return false;
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		(void)EVP_DigestUpdate(digest, block, n);
	is_read = ferror(file) == 0;
	(void)fclose(file);
	return is_read;
}

/* Sessions are taken up only under the same policy for client certificates on the same listener. */
static bool set_session_id_context(SSL_CTX *ctx, const struct conf_listen *listen)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char id[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	bool is_set;

	is_set = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
		EVP_DigestUpdate(digest, listen->name, strlen(listen->name) + 1) == 1 &&
		EVP_DigestUpdate(digest, &listen->client_verify, sizeof(listen->client_verify)) ==
			1 &&
		(listen->client_verify == CONF_CLIENT_VERIFY_OFF ||
			digest_file(digest, listen->client_ca)) &&
		EVP_DigestFinal_ex(digest, id, &n) == 1 &&
		SSL_CTX_set_session_id_context(ctx, id, MIN(n, SSL_MAX_SID_CTX_LENGTH)) == 1;
	EVP_MD_CTX_free(digest);
	return is_set;
}

static bool set_client_verify(
	SSL_CTX *ctx, const struct conf_listen *listen, char *why, size_t why_size)
{
	int mode = SSL_VERIFY_PEER;
	STACK_OF(X509_NAME) * names;

	switch (listen->client_verify) {
	case CONF_CLIENT_VERIFY_OFF:
		return true;
	case CONF_CLIENT_VERIFY_OPTIONAL:
		break;
	case CONF_CLIENT_VERIFY_REQUIRED:
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
		break;
	}
	names = SSL_load_client_CA_file(listen->client_ca);
	if (names == NULL || SSL_CTX_load_verify_file(ctx, listen->client_ca) != 1) {
		(void)snprintf(why, why_size, "client_ca: %s: %s; give a PEM file of certificates",
			listen->client_ca, tls_error_text());
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return false;
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, mode, NULL);
	return true;
}

static int min_version(enum conf_tls_version version)
{
	switch (version) {
	case CONF_TLS_1_2:
		return TLS1_2_VERSION;
	case CONF_TLS_1_3:
		return TLS1_3_VERSION;
	}
	return TLS1_3_VERSION;
}

bool tls_parameters_set_server(
	SSL_CTX *ctx, const struct conf_listen *listen, char *why, size_t why_size)
{
	set_common(ctx);
	/* Our order, except that a client without AES in hardware, which puts ChaCha first, gets
	 * it. */
	(void)SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_timeout(ctx, SESSION_TIMEOUT_S);
	/* One ticket is enough: each conn that uses one gets a new one. */
	if (!listen->tls_session_tickets)
		(void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	if (SSL_CTX_set_num_tickets(ctx, listen->tls_session_tickets ? 1 : 0) != 1 ||
		SSL_CTX_set_min_proto_version(ctx, min_version(listen->tls_min_version)) != 1 ||
		SSL_CTX_set1_groups_list(ctx, GROUPS) != 1) {
		(void)snprintf(why, why_size, "TLS: %s", tls_error_text());
		return false;
	}
	if (!set_ciphers(ctx, listen->tls_ciphers, listen->tls_ciphersuites, why, why_size) ||
		!set_client_verify(ctx, listen, why, why_size))
		return false;
	if (!set_session_id_context(ctx, listen)) {
		(void)snprintf(why, why_size, "client_ca: %s: cannot read", listen->client_ca);
		return false;
	}
	return true;
}

static bool set_server_verify(
	SSL_CTX *ctx, const struct conf_backend *backend, char *why, size_t why_size)
{
	if (!backend->tls_verify) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
		return true;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (backend->tls_ca[0] == '\0') {
		if (SSL_CTX_set_default_verify_paths(ctx) == 1)
			return true;
		(void)snprintf(
			why, why_size, "the system's certificate store: %s", tls_error_text());
		return false;
	}
	if (SSL_CTX_load_verify_file(ctx, backend->tls_ca) == 1)
		return true;
	(void)snprintf(why, why_size, "tls_ca: %s: %s; give a PEM file of certificates",
		backend->tls_ca, tls_error_text());
	return false;
}

struct slice tls_parameters_alpn(enum conf_protocol protocol)
{
	switch (protocol) {
	case CONF_PROTOCOL_AUTO:
		return SLICE("\x02h2\x08http/1.1");
	case CONF_PROTOCOL_HTTP1:
		return SLICE("\x08http/1.1");
	case CONF_PROTOCOL_H2:
		return SLICE("\x02h2");
	}
	return SLICE("");
}

bool tls_parameters_set_client(
	SSL_CTX *ctx, const struct conf_backend *backend, char *why, size_t why_size)
{
	struct slice alpn = tls_parameters_alpn(backend->protocol);

	set_common(ctx);
	/* Sessions are kept by tls_sessions.c. */
	(void)SSL_CTX_set_session_cache_mode(
		ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)alpn.p, (unsigned)alpn.n) !=
			0) {
		(void)snprintf(why, why_size, "TLS: %s", tls_error_text());
		return false;
	}
	return set_server_verify(ctx, backend, why, why_size);
}
