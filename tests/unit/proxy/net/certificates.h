/* For tests: authorities and certificates made on the spot, as PEM files in a directory of their
 * own. */
#ifndef TESTS_UNIT_PROXY_NET_CERTIFICATES_H
#define TESTS_UNIT_PROXY_NET_CERTIFICATES_H

#include <openssl/evp.h>
#include <openssl/x509.h>

struct certificates {
	char directory[32];
	EVP_PKEY *ca_key;
	X509 *ca;
};

/* Makes the directory and the authority, whose certificate is in the file "ca.pem". */
void certificates_init(struct certificates *self, const char *ca_name);
/* Removes all files. */
void certificates_clear(struct certificates *self);

/*
 * A certificate signed by the authority, and its key behind it, in `file`. sans like
 * "DNS:a.example,IP:127.0.0.1", NULL for none. kind is "EC" or "RSA". The key alone is in `file`
 * with ".key" added.
 */
void certificates_make(struct certificates *self, const char *file, const char *common_name,
	const char *sans, const char *kind);
void certificates_write_text(struct certificates *self, const char *file, const char *text);
/* The file's path; good for the next few calls. */
char *certificates_path(const struct certificates *self, const char *file);

#endif
