#include "bridge/message.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"

static struct message *message_alloc(enum message_kind kind, struct slice payload)
{
	struct message *self = memory_alloc(sizeof(*self) + payload.n);

	ASSERT(payload.n <= UINT32_MAX);
	*self = (struct message){.kind = kind, .size = (uint32_t)payload.n};
	if (payload.n > 0)
		memcpy(self->payload, payload.p, payload.n);
	return self;
}

struct message *message_new(enum message_kind kind, struct slice payload)
{
	ASSERT(kind != MESSAGE_CLOSE);
	return message_alloc(kind, payload);
}

struct message *message_new_close(uint16_t code, struct slice reason, uint64_t n_undelivered)
{
	struct message *self = message_alloc(MESSAGE_CLOSE, reason);

	self->code = code;
	self->n_undelivered = n_undelivered;
	return self;
}

void message_free(struct message *self)
{
	free(self);
}

void message_list_clear(struct message_list *list)
{
	struct message *message;

	while ((message = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, message, link);
		message_free(message);
	}
}

struct slice message_payload(const struct message *self)
{
	return slice_of(self->payload, self->size);
}

size_t message_cost(const struct message *self)
{
	return sizeof(*self) + self->size;
}

const char *message_kind_name(enum message_kind kind)
{
	switch (kind) {
	case MESSAGE_TEXT:
		return "text";
	case MESSAGE_BINARY:
		return "binary";
	case MESSAGE_CLOSE:
		return "close";
	}
	return "?";
}
