/*
 * What the plain dialect puts on the wire: JSON, event streams (the HTML standard's section 9.2),
 * JSON lines. Pure: appends to a byte queue. Texts are valid UTF-8 already; `path` is P as the
 * client wrote it and `id` a session id, so neither needs care beyond JSON escaping.
 *
 * JSON strings are exact: '"' and '\' and the controls below U+0020 are escaped (\b \f \n \r \t,
 * else \u00XX in lower case), U+007F and U+2028/2029 are too (\u007f, \u2028, \u2029); all else
 * stands as it is. No white space between tokens. Numbers are decimal.
 */
#ifndef BRIDGE_CLIENT_PLAIN_ENCODE_H
#define BRIDGE_CLIENT_PLAIN_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge/message.h"
#include "proxy/base/bytes.h"
#include "proxy/base/slice.h"

/* Pieces, with the quotes. base64 is RFC 4648 section 4, with padding. */
void plain_encode_string(struct bytes *out, struct slice text);
void plain_encode_base64(struct bytes *out, struct slice data);
/* {"code":1000,"reason":"bye","undelivered":0} of a MESSAGE_CLOSE. */
void plain_encode_closed(struct bytes *out, const struct message *close);
/* {"seq":6,"text":"hi"} or {"seq":7,"binary":"AAEC"}; a MESSAGE_CLOSE is {"seq":8,"closed":{…}}. */
void plain_encode_object(struct bytes *out, const struct message *message);

/*
 * A poll's body, in three parts:
 * {"session":"ID","next":"P/~ID?after=N","cursor":N,"messages":[ OBJECT,OBJECT ],"closed":{…},
 * "superseded":true}\n
 */
void plain_encode_poll_start(
	struct bytes *out, struct slice path, struct slice id, uint64_t cursor);
/* Not a MESSAGE_CLOSE. */
void plain_encode_poll_message(struct bytes *out, const struct message *message, bool is_first);
/* close: NULL if the batch does not end in it. */
void plain_encode_poll_end(struct bytes *out, const struct message *close, bool is_superseded);

/* Why a stream does not go on where the client asked; see plain_reset_text. */
enum plain_reset {
	PLAIN_RESET_UNKNOWN, /* "unknown session" */
	PLAIN_RESET_CURSOR,  /* "cursor" */
	PLAIN_RESET_GAP,     /* "gap", and `lost` */
};

const char *plain_reset_text(enum plain_reset reset);

/* Events. Each ends in an empty line. */
/* retry: MS */
void plain_encode_event_retry(struct bytes *out, unsigned ms);
/* event: session / id: ID.CURSOR / data: {"session":"ID","cursor":N} */
void plain_encode_event_session(struct bytes *out, struct slice id, uint64_t cursor);
/* event: reset / data: {"reason":"gap","lost":[FROM,TO]}; lost only with PLAIN_RESET_GAP; no id */
void plain_encode_event_reset(
	struct bytes *out, enum plain_reset reset, uint64_t lost_from, uint64_t lost_to);
/*
 * id: ID.SEQ and, for a text, its lines as `data: ` lines: CRLF, CR and LF each end a line, so a
 * text that ends in one gives an empty last line; an empty text is one empty `data:` line ("data:
 * " with the space). For bytes: event: binary, data: base64. With as_json both are a plain event
 * whose data is plain_encode_object. A MESSAGE_CLOSE, as_json or not: event: close / id: ID.SEQ /
 * data: {"code":…,"reason":…}.
 */
void plain_encode_event_message(
	struct bytes *out, struct slice id, const struct message *message, bool as_json);
/* A comment: ":" and an empty line. */
void plain_encode_event_heartbeat(struct bytes *out);

/* JSON lines; each ends in LF. Messages and the close are plain_encode_object and LF. */
/* {"session":"ID","cursor":N} */
void plain_encode_line_session(struct bytes *out, struct slice id, uint64_t cursor);
/* {"reset":{"reason":"gap","lost":[FROM,TO]}} */
void plain_encode_line_reset(
	struct bytes *out, enum plain_reset reset, uint64_t lost_from, uint64_t lost_to);
void plain_encode_line_message(struct bytes *out, const struct message *message);
/* An empty line. */
void plain_encode_line_heartbeat(struct bytes *out);

/* Bodies of errors, each ending in LF. {"error":"…"} or, with a name, {"error":"…","NAME":N}. */
void plain_encode_error(struct bytes *out, const char *error, const char *name, uint64_t number);
/* {"error":"closed","closed":{…}}: the body of 410. */
void plain_encode_gone(struct bytes *out, const struct message *close);

#endif
