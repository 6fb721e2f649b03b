#include "proxy/http/ws_handshake.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "proxy/base/macros.h"

/* Section 1.3: what a server that does not know WebSockets would not append. */
static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

enum { GUID_SIZE = sizeof(guid) - 1, KEY_DIGITS = 22 };

static bool is_base64_digit(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		c == '+' || c == '/';
}

bool ws_key_is_valid(struct slice key)
{
	if (key.n != WS_KEY_SIZE || key.p[22] != '=' || key.p[23] != '=')
		return false;
	for (size_t i = 0; i < KEY_DIGITS; i++)
		if (!is_base64_digit(key.p[i]))
			return false;

	/*
	 * 22 digits are 132 bits: the last 4 encode nothing, and the digits that leave them zero
	 * are those of 0, 16, 32, 48.
	 */
	char last = key.p[KEY_DIGITS - 1];

	return last == 'A' || last == 'Q' || last == 'g' || last == 'w';
}

void ws_key_write(char out[WS_KEY_SIZE + 1], const uint8_t nonce[WS_NONCE_SIZE])
{
	int n = EVP_EncodeBlock((unsigned char *)out, nonce, WS_NONCE_SIZE);

	ASSERT(n == WS_KEY_SIZE);
}

void ws_accept_write(char out[WS_ACCEPT_SIZE + 1], struct slice key)
{
	unsigned char text[WS_KEY_SIZE + GUID_SIZE];
	unsigned char digest[SHA_DIGEST_LENGTH];

	ASSERT(key.n == WS_KEY_SIZE);
	memcpy(text, key.p, WS_KEY_SIZE);
	memcpy(text + WS_KEY_SIZE, guid, GUID_SIZE);

	const unsigned char *hashed = SHA1(text, sizeof(text), digest);

	ASSERT(hashed != NULL);

	int n = EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));

	ASSERT(n == WS_ACCEPT_SIZE);
}

bool ws_accept_is_right(struct slice accept, struct slice key)
{
	char right[WS_ACCEPT_SIZE + 1];

	ws_accept_write(right, key);
	return slice_equals(accept, slice_of(right, WS_ACCEPT_SIZE));
}
