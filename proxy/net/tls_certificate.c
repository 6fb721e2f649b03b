#include "proxy/net/tls_certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "proxy/net/tls_parameters.h"

#define MAX_NAME 255

/* Nobody is there to type a passphrase. */
static int refuse_passphrase(char *buf, int size, int is_writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)is_writing;
	*(bool *)arg = true;
	return 0;
}

static bool can_read(const char *path, char *why, size_t why_size)
{
	FILE *file = fopen(path, "re");

	if (file != NULL) {
		(void)fclose(file);
		return true;
	}
	(void)snprintf(why, why_size, "%s: %s", path, strerror(errno));
	return false;
}

static bool is_nothing_found(unsigned long code)
{
	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static bool is_mismatch(unsigned long code)
{
	return ERR_GET_LIB(code) == ERR_LIB_X509 &&
		(ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
			ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH);
}

static bool use_chain(SSL_CTX *ctx, const char *file, char *why, size_t why_size)
{
	unsigned long code;

	if (!can_read(file, why, why_size))
		return false;
	if (SSL_CTX_use_certificate_chain_file(ctx, file) == 1)
		return true;
	code = ERR_peek_last_error();
	if (is_nothing_found(ERR_peek_error()) || is_nothing_found(code))
		(void)snprintf(why, why_size,
			"%s: no certificate in it; write the certificate in PEM, then its chain",
			file);
	else
		(void)snprintf(why, why_size, "%s: %s; a PEM certificate is needed", file,
			tls_error_text());
	ERR_clear_error();
	return false;
}

static bool use_key(
	SSL_CTX *ctx, const char *file, const char *key_file, char *why, size_t why_size)
{
	bool is_encrypted = false;
	int is_used;
	unsigned long code;

	if (!can_read(key_file, why, why_size))
		return false;
	SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &is_encrypted);
	is_used = SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	code = ERR_peek_last_error();
	if (is_used == 1 && SSL_CTX_check_private_key(ctx) == 1)
		return true;
	if (is_used == 1)
		code = ERR_peek_last_error();
	if (is_encrypted)
		(void)snprintf(why, why_size,
			"%s: the key is encrypted; write it without a passphrase", key_file);
	else if (is_mismatch(code) || is_used == 1)
		(void)snprintf(why, why_size,
			"%s: this key does not belong to the certificate in %s", key_file, file);
	else
		(void)snprintf(why, why_size,
			"%s: no usable private key in it (%s); write the certificate's key in PEM",
			key_file, tls_error_text());
	ERR_clear_error();
	return false;
}

bool tls_certificate_load(
	SSL_CTX *ctx, const char *file, const char *key_file, char *why, size_t why_size)
{
	ERR_clear_error();
	return use_chain(ctx, file, why, why_size) &&
		use_key(ctx, file, key_file != NULL && key_file[0] != '\0' ? key_file : file, why,
			why_size);
}

static void give_name(
	const ASN1_STRING *value, void (*on_name)(void *arg, const char *name), void *arg)
{
	const unsigned char *text = ASN1_STRING_get0_data(value);
	int n = ASN1_STRING_length(value);
	char name[MAX_NAME + 1];

	/* A NUL within would let a name pass for another. */
	if (n <= 0 || n > MAX_NAME || memchr(text, '\0', (size_t)n) != NULL)
		return;
	for (int i = 0; i < n; i++)
		name[i] =
			(char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
	name[n] = '\0';
	on_name(arg, name);
}

void tls_certificate_each_name(
	SSL_CTX *ctx, void (*on_name)(void *arg, const char *name), void *arg)
{
	X509 *x509 = SSL_CTX_get0_certificate(ctx);
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(x509);
	bool has_names = false;
	int index;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DNS)
			continue;
		has_names = true;
		give_name(name->d.dNSName, on_name, arg);
	}
	GENERAL_NAMES_free(names);
	if (has_names)
		return;
	index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (index >= 0)
		give_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)), on_name,
			arg);
}
