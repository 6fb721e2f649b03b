/*
 * What the answer to a poll says. Pure.
 *
 *	200, 203	a value
 *	204		there is no value now
 *	304		the value as before, if that was asked for
 *	anything else	a failure
 */
#ifndef BRIDGE_FEED_POLL_ANSWER_H
#define BRIDGE_FEED_POLL_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/message.h"
#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/http/message.h"

enum poll_result {
	POLL_VALUE,   /* the body is it */
	POLL_NOTHING, /* 204 */
	POLL_SAME,    /* 304 */
	POLL_FAILURE,
	POLL_ENCODED, /* a failure: a content coding that was not asked for */
};

enum poll_result poll_answer_result(const struct response_head *head, bool was_conditional);

/*
 * MESSAGE_TEXT for a body that is valid UTF-8 and whose type is text/..., application/json,
 * application/xml or anything with +json or +xml; else MESSAGE_BINARY.
 */
enum message_kind poll_answer_kind(struct slice content_type, struct slice body);

/*
 * The validator for the next request; empty: none that can be relied on. An entity tag (RFC 9110
 * section 8.8.3), weak or strong, as it stands. A date of the last change only where the answer is
 * at least a second younger (section 8.8.2.2): two changes within one second have the same date.
 * `now` are seconds since 1970.
 */
struct slice poll_answer_tag(const struct fields *fields);
struct slice poll_answer_modified(const struct fields *fields, int64_t now);

/* Retry-After (RFC 9110 section 10.2.3), seconds or a date, in ms; 0: none, malformed or past. */
uint64_t poll_answer_retry_after_ms(const struct fields *fields, int64_t now);

const char *poll_result_name(enum poll_result result);

#endif
