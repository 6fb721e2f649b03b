/* What a server answers over HTTP/1.1: fields of heads, bodies of known length and in chunks. */
#ifndef BENCH_LOAD_ANSWER_H
#define BENCH_LOAD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/buffer.h"
#include "proxy/base/slice.h"

enum answer_event {
	ANSWER_NONE, /* more has to come */
	ANSWER_HEAD,
	ANSWER_PIECE, /* of the body */
	ANSWER_END,   /* the next one may begin */
	ANSWER_WRONG,
};

struct load_answer {
	enum {
		ANSWER_IN_HEAD,
		ANSWER_IN_BODY,
		ANSWER_IN_CHUNK_LINE,
		ANSWER_IN_CHUNK,
		ANSWER_AFTER_CHUNK,
		ANSWER_IN_TRAILERS
	} phase;
	int status;
	uint64_t left;	    /* of the body or the chunk */
	struct buffer body; /* what has come of it and was not taken */
};

/* The value of a field in a head that ends with CRLF; false when it is not there. */
bool answer_find_field(struct slice head, struct slice name, struct slice *value);

/* Takes the next thing from the front: returns its size and says what it was. A head is whole. An
 * answer without a body is its end at once; a 101 has none. */
size_t answer_take(struct load_answer *a, const char *data, size_t n, enum answer_event *event);
/* Forgets everything: another connection begins. */
void answer_reset(struct load_answer *a);

#endif
