/*
 * Header and trailer fields (RFC 9110 section 5): an ordered list of name/value slices in an arena.
 * Names keep the spelling they came with; comparison ignores case. Names that Pollux itself looks
 * at have a number, so that the hot path compares integers.
 */
#ifndef PROXY_HTTP_FIELDS_H
#define PROXY_HTTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"

/* One row per known name: FIELD_NAME(id, "name"). fields.c makes the lookup from the same list. */
#define FIELD_NAMES(X) \
	X(FIELD_ACCEPT, "accept") \
	X(FIELD_ACCEPT_LANGUAGE, "accept-language") \
	X(FIELD_ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers") \
	X(FIELD_ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method") \
	X(FIELD_AUTHORIZATION, "authorization") \
	X(FIELD_CACHE_CONTROL, "cache-control") \
	X(FIELD_CONNECTION, "connection") \
	X(FIELD_CONTENT_ENCODING, "content-encoding") \
	X(FIELD_CONTENT_LENGTH, "content-length") \
	X(FIELD_CONTENT_TYPE, "content-type") \
	X(FIELD_COOKIE, "cookie") \
	X(FIELD_DATE, "date") \
	X(FIELD_ETAG, "etag") \
	X(FIELD_EXPECT, "expect") \
	X(FIELD_FORWARDED, "forwarded") \
	X(FIELD_HOST, "host") \
	X(FIELD_HTTP2_SETTINGS, "http2-settings") \
	X(FIELD_IDEMPOTENCY_KEY, "idempotency-key") \
	X(FIELD_IF_NONE_MATCH, "if-none-match") \
	X(FIELD_KEEP_ALIVE, "keep-alive") \
	X(FIELD_LAST_EVENT_ID, "last-event-id") \
	X(FIELD_LOCATION, "location") \
	X(FIELD_MAX_FORWARDS, "max-forwards") \
	X(FIELD_ORIGIN, "origin") \
	X(FIELD_POLLUX_ACK, "pollux-ack") \
	X(FIELD_POLLUX_HOP, "pollux-hop") \
	X(FIELD_POLLUX_PROTOCOL, "pollux-protocol") \
	X(FIELD_POLLUX_SEQ, "pollux-seq") \
	X(FIELD_PREFER, "prefer") \
	X(FIELD_PRIORITY, "priority") \
	X(FIELD_PROXY_AUTHENTICATE, "proxy-authenticate") \
	X(FIELD_PROXY_AUTHORIZATION, "proxy-authorization") \
	X(FIELD_PROXY_CONNECTION, "proxy-connection") \
	X(FIELD_REFERER, "referer") \
	X(FIELD_RETRY_AFTER, "retry-after") \
	X(FIELD_SEC_FETCH_SITE, "sec-fetch-site") \
	X(FIELD_SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept") \
	X(FIELD_SEC_WEBSOCKET_EXTENSIONS, "sec-websocket-extensions") \
	X(FIELD_SEC_WEBSOCKET_KEY, "sec-websocket-key") \
	X(FIELD_SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol") \
	X(FIELD_SEC_WEBSOCKET_VERSION, "sec-websocket-version") \
	X(FIELD_SERVER, "server") \
	X(FIELD_SET_COOKIE, "set-cookie") \
	X(FIELD_TE, "te") \
	X(FIELD_TRAILER, "trailer") \
	X(FIELD_TRANSFER_ENCODING, "transfer-encoding") \
	X(FIELD_UPGRADE, "upgrade") \
	X(FIELD_USER_AGENT, "user-agent") \
	X(FIELD_VARY, "vary") \
	X(FIELD_VIA, "via") \
	X(FIELD_WWW_AUTHENTICATE, "www-authenticate") \
	X(FIELD_X_FORWARDED_FOR, "x-forwarded-for") \
	X(FIELD_X_FORWARDED_HOST, "x-forwarded-host") \
	X(FIELD_X_FORWARDED_PORT, "x-forwarded-port") \
	X(FIELD_X_FORWARDED_PROTO, "x-forwarded-proto")

enum field_id {
	FIELD_OTHER,
#define X(id, name) id,
	FIELD_NAMES(X)
#undef X
		N_FIELD_IDS
};

struct field {
	struct slice name;
	struct slice value; /* trimmed of optional white space */
	enum field_id id;
};

struct fields {
	struct field *items;
	uint32_t n;
	uint32_t size;
};

/* FIELD_OTHER when Pollux has no number for the name. Case ignored. */
enum field_id field_id_find(struct slice name);
/* "" for FIELD_OTHER. */
struct slice field_id_name(enum field_id id);

/* Slices are borrowed: they must live as long as the arena. */
void fields_add(struct fields *self, struct arena *arena, struct slice name, struct slice value);
/* As above when the number is known already. */
void fields_add_known(struct fields *self, struct arena *arena, enum field_id id, struct slice name,
	struct slice value);
/* Lower-case name from the list. */
void fields_add_id(struct fields *self, struct arena *arena, enum field_id id, struct slice value);
/* First of this number, or NULL. */
const struct field *fields_find(const struct fields *self, enum field_id id);
/* By name, for names without a number. */
const struct field *fields_find_name(const struct fields *self, struct slice name);
/* Value of the first, or an empty slice. */
struct slice fields_value(const struct fields *self, enum field_id id);
size_t fields_count(const struct fields *self, enum field_id id);
/* Whether any field of this number has the token in its comma-separated value. */
bool fields_has_token(const struct fields *self, enum field_id id, struct slice token);
/* All values joined by ", " (RFC 9110 section 5.3); borrowed when there is only one. */
struct slice fields_join(const struct fields *self, enum field_id id, struct arena *arena);
void fields_remove(struct fields *self, enum field_id id);
/* Of fields that were read into room of the caller's, which is not theirs afterwards: as many as
 * there are go to the arena. */
void fields_settle(struct fields *self, const struct field *room, struct arena *arena);
/* Deep copy into another arena. */
void fields_copy(struct fields *self, const struct fields *from, struct arena *arena);

#endif
