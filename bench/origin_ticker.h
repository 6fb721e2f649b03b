/*
 * A stream of numbered events, the same over a WebSocket and by polling, so that transports can be
 * compared on one load.
 *
 *     WebSocket /ws/ticker?interval=MS&size=BYTES&count=N
 *     GET /ticker/poll?stream=NAME&interval=MS&size=BYTES&count=N&after=N
 *
 * It begins with the handshake, or with the first poll of that name. Event n becomes due at n
 * intervals after the beginning, plus up to half an interval that depends on n alone: so two runs
 * see the same rhythm, and no polling interval can run in step with it. An event is
 * `{"n":1,"at":US,"pad":"xx"}`, `at` being the microseconds since 1970 at which it was due, padded
 * to `size` bytes. After the last one the WebSocket closes; a poll answers
 * `{"events":[…],"last":N,"done":true}`.
 */
#ifndef BENCH_ORIGIN_TICKER_H
#define BENCH_ORIGIN_TICKER_H

#include "bench/origin_conn.h"
#include "bench/origin_http.h"

void ticker_open(struct conn *c, const struct http_request *request);
void ticker_answer_poll(struct conn *c, const struct http_request *request);

#endif
