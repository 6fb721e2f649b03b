#include "bridge/message.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/memory.h"

struct payload_form {
	struct payload_form *next;
	payload_encode *encode;
	size_t size;
	char bytes[];
};

static size_t n_live;

size_t shared_payload_n_live(void)
{
	return n_live;
}

struct shared_payload *shared_payload_new(struct slice bytes)
{
	struct shared_payload *self = memory_alloc(sizeof(*self) + bytes.n);

	ASSERT(bytes.n <= UINT32_MAX);
	self->forms = NULL;
	self->n_references = 1;
	n_live++;
	self->size = (uint32_t)bytes.n;
	if (bytes.n > 0)
		memcpy(self->bytes, bytes.p, bytes.n);
	return self;
}

struct shared_payload *shared_payload_ref(struct shared_payload *self)
{
	self->n_references++;
	return self;
}

void shared_payload_unref(struct shared_payload *self)
{
	struct payload_form *form;

	if (self == NULL || --self->n_references > 0)
		return;
	n_live--;
	while ((form = self->forms) != NULL) {
		self->forms = form->next;
		free(form);
	}
	free(self);
}

struct slice shared_payload_encoded(struct shared_payload *self, payload_encode *encode)
{
	struct payload_form *form;
	struct bytes bytes;
	size_t n;

	for (form = self->forms; form != NULL; form = form->next)
		if (form->encode == encode)
			return slice_of(form->bytes, form->size);
	bytes_init(&bytes);
	encode(&bytes, shared_payload_bytes(self));
	n = bytes_size(&bytes);
	form = memory_alloc(sizeof(*form) + n);
	*form = (struct payload_form){.next = self->forms, .encode = encode, .size = n};
	bytes_peek(&bytes, form->bytes, n);
	bytes_clear(&bytes);
	self->forms = form;
	return slice_of(form->bytes, n);
}

struct slice shared_payload_bytes(const struct shared_payload *self)
{
	return slice_of(self->bytes, self->size);
}

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

struct message *message_new_shared(enum message_kind kind, struct shared_payload *payload)
{
	struct message *self;

	if (payload->size < MESSAGE_SHARED_MIN)
		return message_new(kind, shared_payload_bytes(payload));
	self = message_new(kind, SLICE(""));
	self->size = payload->size;
	self->shared = shared_payload_ref(payload);
	return self;
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
	shared_payload_unref(self->shared);
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
	return self->shared != NULL ? shared_payload_bytes(self->shared)
				    : slice_of(self->payload, self->size);
}

void message_encode_payload(const struct message *self, struct bytes *out, payload_encode *encode)
{
	if (self->shared != NULL)
		bytes_append_slice(out, shared_payload_encoded(self->shared, encode));
	else
		encode(out, message_payload(self));
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
