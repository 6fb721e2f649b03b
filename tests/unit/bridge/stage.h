/*
 * A bridge between clients and backends that are in memory: real HTTP/1.1 codecs at both ends, over
 *fake conns, on a loop whose clock is moved by hand. One stage at a time.
 *
 *	client (bytes) <-> h1_server <-> bridge <-> h1_client <-> peer (frames)
 *
 * Everything that a test does takes effect before the call returns.
 */
#ifndef TESTS_UNIT_BRIDGE_STAGE_H
#define TESTS_UNIT_BRIDGE_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bridge/bridge.h"
#include "proxy/http/ws_frame.h"

struct client;
struct peer;

/* `route` are further options of the route /chat, whose dialect is plain. */
void stage_open(const char *route);
/* The same with another dialect. */
void stage_open_dialect(const char *dialect, const char *route);
/* Ends everything and asserts that nothing is left and the ledger balances. */
void stage_close(void);
/* For cmocka: closes the stage that the test opened. */
int stage_tear_down(void **state);
struct bridge *stage_bridge(void);
void stage_pass_ms(uint64_t ms);
/* Requests are for `start` first, which says whether it takes them; NULL: for the bridge alone. */
void stage_set_handler(bool (*start)(struct exchange *x));
/* Requests that the bridge gave back to be forwarded; they are answered with 299. */
size_t stage_n_forwarded(void);
/* Dials so far. */
size_t stage_n_dials(void);

/* A client with a connection of its own. */
struct client *client_new(void);
void client_send(struct client *self, const char *text);
void client_send_bytes(struct client *self, const void *p, size_t n);
/* client_new and one request; `fields` are whole lines with CRLF, or ""; `body` NULL: none. */
struct client *client_request(
	const char *method, const char *target, const char *fields, const char *body);
/* The same on a client whose answer before is complete. */
void client_request_again(struct client *self, const char *method, const char *target,
	const char *fields, const char *body);

/* The answer so far. 0: none yet. */
unsigned client_status(struct client *self);
/* NULL: no such field. Valid until the next call. */
const char *client_field(struct client *self, const char *name);
/* What has come of the body, without framing; a take forgets it. */
const char *client_body(struct client *self);
const char *client_take(struct client *self);
size_t client_body_size(struct client *self);
bool client_is_done(struct client *self);
/* The connection was cut or closed by Pollux. */
bool client_is_closed(struct client *self);
/* The client goes. */
void client_leave(struct client *self);
/* The client ends its side. */
void client_end(struct client *self);
/* Pollux has ended its side. */
bool client_is_ended(struct client *self);
/* Bytes that wait because Pollux does not read. */
size_t client_n_unread(struct client *self);
/* The body that has come, to be drained. */
struct bytes *client_bytes(struct client *self);
/* How many more bytes the client's TCP takes. */
void client_set_room(struct client *self, size_t room);

/* The backend's end of the next connection that was dialled; there must be one. */
struct peer *peer_next(void);
/* The connection is refused. */
void peer_refuse_next(void);
/* The request head that it got. */
const char *peer_request(struct peer *self);
/* Answers the handshake. `fields` as above. */
void peer_accept(struct peer *self, const char *fields);
/* peer_next and peer_accept. */
struct peer *peer_open(void);
void peer_send(struct peer *self, const char *raw);
void peer_text(struct peer *self, const char *text);
void peer_frame(struct peer *self, bool fin, enum ws_opcode opcode, const void *p, size_t n);
void peer_close(struct peer *self, uint16_t code, const char *reason);
/* What has come since the last look, a line each: "text TEXT", "binary TEXT", "ping TEXT", "pong
 * TEXT", "close CODE REASON", "error WHY". Messages must be masked. */
const char *peer_received(struct peer *self);
void peer_end(struct peer *self);
void peer_lose(struct peer *self);
void peer_set_room(struct peer *self, size_t room);
bool peer_is_closed(struct peer *self);
/* Bytes that wait because Pollux does not read. */
size_t peer_n_unread(struct peer *self);

/* The id in the Pollux-Session field of an answer. Lives as long as the stage. */
const char *stage_session(struct client *client);
/* A formatted text. Lives as long as the stage. */
const char *stage_text(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
