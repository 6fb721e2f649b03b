/*
 * The demo's chat room, one for all: GET /chat?name=NAME as a WebSocket. A text frame up is a
 * message, plain text. Down come JSON objects:
 *
 *     {"kind":"welcome","name":"Ann","here":3}
 *     {"kind":"message","name":"Ann","text":"hi","at":1700000000000}
 *     {"kind":"join","name":"Ann","here":3}, and "leave" alike
 *     {"kind":"error","text":"…"}
 *
 * A welcome and an error are for one member alone. After the welcome come the latest messages of
 * before, with `"old":true`.
 */
#ifndef BENCH_ORIGIN_CHAT_H
#define BENCH_ORIGIN_CHAT_H

#include "bench/origin_conn.h"
#include "bench/origin_http.h"

void chat_open(struct conn *c, const struct http_request *request);
/* Forgets what was said. */
void chat_free(void);

#endif
