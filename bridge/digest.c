#include "bridge/digest.h"

#include <openssl/evp.h>

#include "proxy/base/macros.h"

void digest_make(uint8_t digest[DIGEST_SIZE], const struct slice *parts, size_t n_parts)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	ASSERT(context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
	for (size_t i = 0; i < n_parts; i++) {
		uint64_t n = parts[i].n;

		ASSERT(EVP_DigestUpdate(context, &n, sizeof(n)) == 1);
		ASSERT(EVP_DigestUpdate(context, parts[i].p, parts[i].n) == 1);
	}
	ASSERT(EVP_DigestFinal_ex(context, digest, NULL) == 1);
	EVP_MD_CTX_free(context);
}
