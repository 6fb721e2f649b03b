#include "proxy/net/tls_sni.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/hash_table.h"
#include "proxy/base/memory.h"
#include "proxy/net/tls_certificate.h"

#define MAX_NAME 255

struct entry {
	UT_hash_handle hh;
	SSL_CTX *ctx;
	char name[]; /* lower case; a wildcard with its "*." */
};

struct tls_sni {
	struct entry *entries;
	SSL_CTX *adding;
};

struct tls_sni *tls_sni_new(void)
{
	return memory_alloc_zeroed(sizeof(struct tls_sni));
}

void tls_sni_free(struct tls_sni *self)
{
	struct entry *entry, *next;

	if (self == NULL)
		return;
	HASH_ITER(hh, self->entries, entry, next)
	{
		HASH_DEL(self->entries, entry);
		SSL_CTX_free(entry->ctx);
		free(entry);
	}
	free(self);
}

static SSL_CTX *find(const struct tls_sni *self, const char *name)
{
	struct entry *entry;

	HASH_FIND_STR(self->entries, name, entry);
	return entry != NULL ? entry->ctx : NULL;
}

static void add_name(void *arg, const char *name)
{
	struct tls_sni *self = arg;
	size_t size = strlen(name) + 1;
	struct entry *entry;

	if (find(self, name) != NULL)
		return;
	entry = memory_alloc_zeroed(sizeof(*entry) + size);
	memcpy(entry->name, name, size);
	entry->ctx = self->adding;
	(void)SSL_CTX_up_ref(entry->ctx);
	HASH_ADD_KEYPTR(hh, self->entries, entry->name, size - 1, entry);
}

void tls_sni_add(struct tls_sni *self, SSL_CTX *ctx)
{
	self->adding = ctx;
	tls_certificate_each_name(ctx, add_name, self);
	self->adding = NULL;
}

SSL_CTX *tls_sni_find(const struct tls_sni *self, const char *name)
{
	char lower[MAX_NAME + 1], *dot;
	size_t n = strlen(name);
	SSL_CTX *ctx;

	if (n == 0 || n > MAX_NAME)
		return NULL;
	for (size_t i = 0; i <= n; i++)
		lower[i] =
			(char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + ('a' - 'A') : name[i]);
	ctx = find(self, lower);
	dot = strchr(lower, '.');
	if (ctx != NULL || dot == NULL || dot == lower)
		return ctx;
	/* "www.a.example" is found under "*.a.example": the star goes where the first label ends.
	 */
	dot[-1] = '*';
	return find(self, dot - 1);
}
