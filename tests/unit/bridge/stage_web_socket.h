/* WebSockets of the stage's clients: a handshake, and frames as a browser sends them. */
#ifndef TESTS_UNIT_BRIDGE_STAGE_WEB_SOCKET_H
#define TESTS_UNIT_BRIDGE_STAGE_WEB_SOCKET_H

#include "tests/unit/bridge/stage.h"

struct web_socket;

/* A new client's handshake; `fields` as in client_request. */
struct web_socket *web_socket_request(const char *target, const char *fields);
struct client *web_socket_client(struct web_socket *self);
/* The same, and it has been accepted. */
struct web_socket *web_socket_open(const char *target, const char *fields);
/* Ends its memory; its client stays. To be called before stage_close. */
void web_socket_free(struct web_socket *self);

/* Masked frames. */
void web_socket_frame(
	struct web_socket *self, bool fin, enum ws_opcode opcode, const void *p, size_t n);
void web_socket_text(struct web_socket *self, const char *text);
void web_socket_close(struct web_socket *self, uint16_t code, const char *reason);
/* The same lines as peer_received gives; frames must not be masked. */
const char *web_socket_received(struct web_socket *self);

#endif
