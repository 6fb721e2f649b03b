#include "proxy/http/ws_upgrade.h"

#include <openssl/rand.h>

#include "proxy/http/ws_handshake.h"

void ws_upgrade_add_key(struct fields *fields, struct arena *arena)
{
	uint8_t nonce[WS_NONCE_SIZE];
	char key[WS_KEY_SIZE + 1];

	ASSERT(RAND_bytes(nonce, sizeof(nonce)) == 1);
	ws_key_write(key, nonce);
	fields_remove(fields, FIELD_SEC_WEBSOCKET_VERSION);
	fields_add_known(fields, arena, FIELD_SEC_WEBSOCKET_VERSION, SLICE("Sec-WebSocket-Version"),
		SLICE("13"));
	fields_add_known(fields, arena, FIELD_SEC_WEBSOCKET_KEY, SLICE("Sec-WebSocket-Key"),
		arena_copy(arena, slice_of(key, WS_KEY_SIZE)));
}

const struct request_head *ws_upgrade_request(
	const struct request_head *request, struct arena *arena)
{
	struct slice key = fields_value(&request->fields, FIELD_SEC_WEBSOCKET_KEY);
	struct request_head *head;

	if (fields_count(&request->fields, FIELD_SEC_WEBSOCKET_KEY) == 1 && ws_key_is_valid(key))
		return request;
	head = arena_alloc(arena, sizeof(*head));
	*head = *request;
	fields_copy(&head->fields, &request->fields, arena);
	fields_remove(&head->fields, FIELD_SEC_WEBSOCKET_KEY);
	ws_upgrade_add_key(&head->fields, arena);
	return head;
}

void ws_upgrade_answer(
	struct response_head *answer, const struct request_head *request, struct arena *arena)
{
	char accept[WS_ACCEPT_SIZE + 1];

	if (fields_find(&answer->fields, FIELD_SEC_WEBSOCKET_ACCEPT) != NULL)
		return;
	ws_accept_write(accept, fields_value(&request->fields, FIELD_SEC_WEBSOCKET_KEY));
	fields_add_known(&answer->fields, arena, FIELD_SEC_WEBSOCKET_ACCEPT,
		SLICE("Sec-WebSocket-Accept"), arena_copy(arena, slice_of(accept, WS_ACCEPT_SIZE)));
}
