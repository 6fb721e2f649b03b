/* WebSockets of the bench origin: the handshake, frames in and out, messages put together; what
 * they mean is the app's. */
#ifndef BENCH_ORIGIN_WS_H
#define BENCH_ORIGIN_WS_H

#include <stddef.h>

#include "bench/origin_conn.h"
#include "bench/origin_http.h"
#include "bench/wire.h"

/* Either slot may be NULL. */
struct ws_app {
	/* A whole message, unmasked; opcode is WIRE_TEXT or WIRE_BINARY. Bytes are not checked to
	 * be UTF-8. */
	void (*on_message)(
		struct conn *c, void *app_state, enum wire_opcode opcode, char *data, size_t n);
	/* The connection is closed: free app_state. */
	void (*on_gone)(struct conn *c, void *app_state);
};

/* Answers every message with itself. */
extern const struct ws_app ws_echo;

/*
 * Answers the handshake. False when it was none and has been refused; then app_state stays with the
 * caller. The first subprotocol offered is the one chosen.
 */
bool ws_open(struct conn *c, const struct http_request *request, const struct ws_app *app,
	void *app_state);

void ws_send(struct conn *c, enum wire_opcode opcode, const char *data, size_t n);
/* Sends a Close frame and ends the connection. */
void ws_close(struct conn *c, int code, const char *reason);

#endif
