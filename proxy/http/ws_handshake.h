/*
 * The key and its proof in the opening handshake of a WebSocket over HTTP/1.1 (RFC 6455 sections
 * 4.1 and 4.2.2). Over HTTP/2 there are none (RFC 8441 section 5). Values are those of the fields,
 * white space at their ends already removed.
 */
#ifndef PROXY_HTTP_WS_HANDSHAKE_H
#define PROXY_HTTP_WS_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/slice.h"

#define WS_NONCE_SIZE 16
#define WS_KEY_SIZE 24	  /* without the NUL */
#define WS_ACCEPT_SIZE 28 /* without the NUL */

/*
 * Whether a Sec-WebSocket-Key is the base64 of 16 bytes in its one canonical form: 22 digits, the
 * last with its unused bits zero, and "==".
 */
bool ws_key_is_valid(struct slice key);
/* Writes the key for a nonce, which the caller has drawn at random, and a NUL. */
void ws_key_write(char out[WS_KEY_SIZE + 1], const uint8_t nonce[WS_NONCE_SIZE]);

/* Writes the Sec-WebSocket-Accept that answers a valid key, and a NUL. */
void ws_accept_write(char out[WS_ACCEPT_SIZE + 1], struct slice key);
/* Whether a Sec-WebSocket-Accept is the right answer to a valid key. */
bool ws_accept_is_right(struct slice accept, struct slice key);

#endif
