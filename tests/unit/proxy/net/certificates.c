#include "tests/unit/proxy/net/certificates.h"

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/macros.h"

static EVP_PKEY *make_key(const char *kind)
{
	EVP_PKEY *key = strcmp(kind, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");

	ASSERT(key != NULL);
	return key;
}

static void add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ASSERT(extension != NULL);
	ASSERT(X509_add_ext(x509, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static X509 *make_x509(EVP_PKEY *key, const char *name)
{
	static long serial = 1;
	X509 *x509 = X509_new();

	ASSERT(x509 != NULL);
	(void)X509_set_version(x509, 2);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++);
	(void)X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
	(void)X509_gmtime_adj(X509_getm_notAfter(x509), 86400);
	(void)X509_set_pubkey(x509, key);
	(void)X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
		(const unsigned char *)name, -1, -1, 0);
	return x509;
}

char *certificates_path(const struct certificates *self, const char *file)
{
	static char paths[32][512];
	static unsigned next;
	char *path = paths[next++ % ARRAY_LEN(paths)];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", self->directory, file);
	return path;
}

static FILE *create(const struct certificates *self, const char *file)
{
	FILE *stream = fopen(certificates_path(self, file), "we");

	ASSERT(stream != NULL);
	return stream;
}

void certificates_write_text(struct certificates *self, const char *file, const char *text)
{
	FILE *stream = create(self, file);

	(void)fputs(text, stream);
	(void)fclose(stream);
}

static void write_pem(struct certificates *self, const char *file, X509 *x509, EVP_PKEY *key)
{
	FILE *stream = create(self, file);

	ASSERT(x509 == NULL || PEM_write_X509(stream, x509) == 1);
	ASSERT(key == NULL || PEM_write_PrivateKey(stream, key, NULL, NULL, 0, NULL, NULL) == 1);
	(void)fclose(stream);
}

void certificates_init(struct certificates *self, const char *ca_name)
{
	(void)snprintf(self->directory, sizeof(self->directory), "/tmp/pollux-test-XXXXXX");
	ASSERT(mkdtemp(self->directory) != NULL);
	self->ca_key = make_key("EC");
	self->ca = make_x509(self->ca_key, ca_name);
	(void)X509_set_issuer_name(self->ca, X509_get_subject_name(self->ca));
	add_extension(self->ca, self->ca, NID_basic_constraints, "critical,CA:TRUE");
	ASSERT(X509_sign(self->ca, self->ca_key, EVP_sha256()) > 0);
	write_pem(self, "ca.pem", self->ca, NULL);
}

void certificates_make(struct certificates *self, const char *file, const char *common_name,
	const char *sans, const char *kind)
{
	EVP_PKEY *key = make_key(kind);
	X509 *x509 = make_x509(key, common_name);
	char key_file[64];

	(void)X509_set_issuer_name(x509, X509_get_subject_name(self->ca));
	if (sans != NULL)
		add_extension(x509, self->ca, NID_subject_alt_name, sans);
	ASSERT(X509_sign(x509, self->ca_key, EVP_sha256()) > 0);
	write_pem(self, file, x509, key);
	(void)snprintf(key_file, sizeof(key_file), "%s.key", file);
	write_pem(self, key_file, NULL, key);
	X509_free(x509);
	EVP_PKEY_free(key);
}

void certificates_clear(struct certificates *self)
{
	DIR *directory = opendir(self->directory);
	struct dirent *entry;

	ASSERT(directory != NULL);
	while ((entry = readdir(directory)) != NULL)
		(void)unlink(certificates_path(self, entry->d_name));
	(void)closedir(directory);
	(void)rmdir(self->directory);
	X509_free(self->ca);
	EVP_PKEY_free(self->ca_key);
}
