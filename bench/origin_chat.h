/*
 * The demo's chat room, one for all: GET /chat?name=NAME as a WebSocket. A text frame up is a message, plain text. Down come
 * JSON objects:
 *
 *     {"kind":"welcome","name":"Ann","here":3}
 *     {"kind":"message","name":"Ann","text":"hi","at":1700000000000,"old":true}	old: said before this member came
 *     {"kind":"join"|"leave","name":"Ann","here":3}
 *     {"kind":"error","text":"…"}							to the sender alone
 */
#ifndef BENCH_ORIGIN_CHAT_H
#define BENCH_ORIGIN_CHAT_H

#include "bench/origin_conn.h"
#include "bench/origin_http.h"

void chat_open(struct conn *c, const struct http_request *request);
/* Forgets what was said. */
void chat_free(void);

#endif
