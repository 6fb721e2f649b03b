/*
 * One item of a session: a text, some bytes, or the close, which is always the last. One allocation
 * that ends in the payload. Held by one queue at a time.
 */
#ifndef BRIDGE_MESSAGE_H
#define BRIDGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/base/slice.h"

enum message_kind {
	MESSAGE_TEXT, /* valid UTF-8 */
	MESSAGE_BINARY,
	MESSAGE_CLOSE, /* the payload is the reason, valid UTF-8 */
};

struct message {
	TAILQ_ENTRY(message) link;
	uint64_t seq;	     /* place in the session's sequence, from 1; 0: towards the backend */
	uint64_t end_offset; /* where it ended in the stream that wrote it last; 0: none did */
	uint64_t n_undelivered; /* MESSAGE_CLOSE: frames that did not reach the backend */
	uint32_t size;		/* of the payload */
	uint16_t code;		/* MESSAGE_CLOSE: WebSocket close code */
	enum message_kind kind;
	char payload[];
};

TAILQ_HEAD(message_list, message);

/* Copies the payload. */
struct message *message_new(enum message_kind kind, struct slice payload);
struct message *message_new_close(uint16_t code, struct slice reason, uint64_t n_undelivered);
void message_free(struct message *self);
/* Frees every message of the list. */
void message_list_clear(struct message_list *list);

struct slice message_payload(const struct message *self);
/* What it costs a queue, in bytes: the payload and the memory around it, so that queues of empty
 * messages are bounded too. */
size_t message_cost(const struct message *self);

const char *message_kind_name(enum message_kind kind);

#endif
