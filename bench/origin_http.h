/* The bench origin's HTTP/1.1: requests in, answers out, and the table of what is served. */
#ifndef BENCH_ORIGIN_HTTP_H
#define BENCH_ORIGIN_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/origin_conn.h"
#include "proxy/base/slice.h"

/* The slices point into the connection's input and die when the handler returns. */
struct http_request {
	struct slice method, path, query;
	struct slice websocket_key, websocket_version, websocket_protocol;
	bool keep_alive;
	bool wants_websocket;
	bool wants_continue;
	bool chunked;
	bool has_length;
	uint64_t length;
};

/* Takes over an accepted socket. */
void http_open(struct event_base *base, int fd);

/* Writes a whole answer. */
void http_reply(struct conn *c, const struct http_request *request, int status, const char *type,
	struct slice body);

/* The decoded value of a query parameter, cut to size - 1 bytes and NUL-terminated; "" when it is
 * missing. */
void http_query_text(struct slice query, const char *name, char *out, size_t size);
/* The value of a numeric query parameter, at most `most`; `fallback` when it is missing or no
 * number. */
uint64_t http_query_number(struct slice query, const char *name, uint64_t fallback, uint64_t most);

#endif
