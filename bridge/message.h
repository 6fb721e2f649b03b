/*
 * One item of a session: a text, some bytes, or the close, which is always the last. One allocation
 * that ends in the payload, or refers to one that it shares with others. Held by one queue at a
 * time.
 */
#ifndef BRIDGE_MESSAGE_H
#define BRIDGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/base/bytes.h"
#include "proxy/base/slice.h"

enum message_kind {
	MESSAGE_TEXT, /* valid UTF-8 */
	MESSAGE_BINARY,
	MESSAGE_CLOSE, /* the payload is the reason, valid UTF-8 */
};

/* How a payload looks on some wire. */
typedef void payload_encode(struct bytes *out, struct slice payload);

struct payload_form;

/* Bytes of many messages, and what was made of them; they go with the last of its holders. */
struct shared_payload {
	struct payload_form *forms;
	uint32_t n_references;
	uint32_t size;
	char bytes[];
};

/* A smaller payload is cheaper copied than shared. */
#define MESSAGE_SHARED_MIN 1024

struct message {
	TAILQ_ENTRY(message) link;
	uint64_t seq;	     /* place in the session's sequence, from 1; 0: towards the backend */
	uint64_t end_offset; /* where it ended in the stream that wrote it last; 0: none did */
	uint64_t n_undelivered; /* MESSAGE_CLOSE: frames that did not reach the backend */
	uint32_t size;		/* of the payload */
	uint16_t code;		/* MESSAGE_CLOSE: WebSocket close code */
	enum message_kind kind;
	struct shared_payload *shared; /* NULL: the payload is its own */
	char payload[];		       /* its own */
};

TAILQ_HEAD(message_list, message);

/* Copies; with one reference, the caller's. */
struct shared_payload *shared_payload_new(struct slice bytes);
struct shared_payload *shared_payload_ref(struct shared_payload *self);
/* NULL is allowed. */
void shared_payload_unref(struct shared_payload *self);
struct slice shared_payload_bytes(const struct shared_payload *self);
/* Live ones, for leak checks. */
size_t shared_payload_n_live(void);
/* Encoded when it is first asked for, and kept. Valid as long as the payload. */
struct slice shared_payload_encoded(struct shared_payload *self, payload_encode *encode);

/* Copies the payload. */
struct message *message_new(enum message_kind kind, struct slice payload);
/* Takes a reference, or copies what is small. Not for the backend, whose frames are masked in
 * place. */
struct message *message_new_shared(enum message_kind kind, struct shared_payload *payload);
struct message *message_new_close(uint16_t code, struct slice reason, uint64_t n_undelivered);
void message_free(struct message *self);
/* Frees every message of the list. */
void message_list_clear(struct message_list *list);

struct slice message_payload(const struct message *self);
/* Appends the payload encoded; once for all messages that share it. */
void message_encode_payload(const struct message *self, struct bytes *out, payload_encode *encode);
/* What it costs a queue, in bytes: the payload (shared or not) and the memory around it, so that
 * queues of empty messages are bounded too. */
size_t message_cost(const struct message *self);

const char *message_kind_name(enum message_kind kind);

#endif
