/*
 * An application for measuring one direction at a time, steered by who measures.
 *
 *     WebSocket /push/control       takes commands
 *     WebSocket /push/engineio/     a subscriber that speaks Engine.IO: an open packet, "4" + text
 *     WebSocket /push/ANYTHING      a subscriber
 *
 * A subscriber's message is counted; one that ends in '!' is sent back instead. The commands:
 *     all TEXT   is sent to every subscriber
 *     one TEXT   to one of them, in turn; its first 16 characters become the time in hexadecimal,
 *                the microseconds of sock_steady_us()
 *     collect N  is answered with "N" once N messages have been counted, which are then counted off
 */
#ifndef BENCH_ORIGIN_PUSH_H
#define BENCH_ORIGIN_PUSH_H

#include "bench/origin_conn.h"
#include "bench/origin_http.h"
#include "proxy/base/slice.h"

/* `name` is the path behind /push/. */
void push_open(struct conn *c, const struct http_request *request, struct slice name);

#endif
