#include "proxy/net/tls_sessions.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/macros.h"
#include "proxy/base/memory.h"

/* A backend has a handful of servers, mostly of one name. */
#define MAX_SESSIONS 16

struct tls_sessions {
	struct {
		char *name;
		SSL_SESSION *session;
	} entries[MAX_SESSIONS];
	unsigned next; /* the place that is overwritten when all are taken */
};

struct tls_sessions *tls_sessions_new(void)
{
	return memory_alloc_zeroed(sizeof(struct tls_sessions));
}

void tls_sessions_free(struct tls_sessions *self)
{
	if (self == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(self->entries); i++) {
		free(self->entries[i].name);
		SSL_SESSION_free(self->entries[i].session);
	}
	free(self);
}

static unsigned find(const struct tls_sessions *self, const char *name)
{
	unsigned i = 0;

	while (i < MAX_SESSIONS && self->entries[i].name != NULL &&
		strcmp(self->entries[i].name, name) != 0)
		i++;
	return i;
}

void tls_sessions_put(struct tls_sessions *self, const char *name, SSL_SESSION *session)
{
	unsigned i = find(self, name);

	if (i == MAX_SESSIONS) {
		i = self->next;
		self->next = (self->next + 1) % MAX_SESSIONS;
		free(self->entries[i].name);
		self->entries[i].name = NULL;
	}
	if (self->entries[i].name == NULL)
		self->entries[i].name = memory_copy_string(name);
	SSL_SESSION_free(self->entries[i].session);
	self->entries[i].session = session;
}

SSL_SESSION *tls_sessions_get(struct tls_sessions *self, const char *name)
{
	unsigned i = find(self, name);

	if (i == MAX_SESSIONS || self->entries[i].session == NULL ||
		!SSL_SESSION_is_resumable(self->entries[i].session))
		return NULL;
	return self->entries[i].session;
}
