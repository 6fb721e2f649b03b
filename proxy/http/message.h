/*
 * Protocol-neutral heads of a request and a response (RFC 9110). What HTTP/1.1 and HTTP/2 codecs
 * parse into and write from. All slices live in one arena.
 */
#ifndef PROXY_HTTP_MESSAGE_H
#define PROXY_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/slice.h"
#include "proxy/http/fields.h"
#include "proxy/http/reason.h"

enum method {
	METHOD_OTHER,
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_CONNECT,
	METHOD_OPTIONS,
	METHOD_TRACE,
	METHOD_PATCH,
};

/* Case-sensitive (RFC 9110 section 9.1). */
enum method method_find(struct slice name);
/* RFC 9110 section 9.2.2. */
bool method_is_idempotent(enum method method);
bool method_is_safe(enum method method);

/* How the end of a body is known. */
enum body_kind {
	BODY_NONE,
	BODY_LENGTH,  /* content_length bytes */
	BODY_CHUNKED, /* ends itself; in HTTP/2: END_STREAM without a content-length */
	BODY_CLOSE,   /* responses only: until the connection ends */
};

const char *body_kind_name(enum body_kind kind);

struct request_head {
	enum method method;
	struct slice method_name;
	/* Starts with "/", or is "*" (OPTIONS). Path and query are parts of it, undecoded. */
	struct slice target;
	struct slice path;
	struct slice query; /* without "?"; has_query tells an empty one from none */
	/* From Host, or from an absolute-form target, which wins; empty only in HTTP/1.0. */
	struct slice authority;
	bool has_query;
	uint8_t version_minor; /* HTTP/1.x as received; 1 for HTTP/2 too */
	bool is_http2;
	bool wants_close;     /* Connection: close, or HTTP/1.0 without keep-alive */
	bool expects_100;     /* Expect: 100-continue, not in HTTP/1.0 */
	bool takes_trailers;  /* TE: trailers (RFC 9110 section 10.1.4) */
	bool is_websocket;    /* a fully valid RFC 6455 (or 8441) handshake request */
	bool wants_websocket; /* asks for the upgrade, valid or not */
	/*
	 * Why wants_websocket is not is_websocket: REASON_BAD_WEBSOCKET or
	 * REASON_WEBSOCKET_VERSION; else REASON_NONE. For a route without WebSockets the request is
	 * an ordinary one.
	 */
	enum reason websocket_reason;
	enum body_kind body;
	uint64_t content_length; /* BODY_LENGTH */
	struct fields fields;	 /* as received, framing and hop-by-hop fields included */
};

/*
 * Sets expects_100 by the Expect field (RFC 9110 section 10.1.1), which is ignored in HTTP/1.0; any
 * other expectation is REASON_EXPECTATION.
 */
enum reason request_head_read_expect(struct request_head *head);

struct response_head {
	uint16_t status;
	struct slice reason; /* HTTP/1.1 reason phrase; may be empty */
	uint8_t version_minor;
	bool is_http2;
	bool wants_close;
	/* BODY_NONE also for HEAD, 1xx, 204, 304. */
	enum body_kind body;
	/*
	 * Of BODY_LENGTH; with has_content_length also where there is no body: HEAD and 304. A
	 * response of HTTP/2 that ended with its head has BODY_LENGTH 0 without has_content_length.
	 */
	uint64_t content_length;
	bool has_content_length;
	bool is_upgrade; /* 101, or 2xx to CONNECT: bytes of a tunnel follow */
	struct fields fields;
};

/* The standard reason phrase, or "". */
const char *status_reason(unsigned status);

#endif
