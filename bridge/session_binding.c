#include "bridge/session_binding.h"

#include <openssl/crypto.h>
#include <string.h>

#include "bridge/session_table.h"
#include "proxy/base/memory.h"
#include "proxy/http/cookie.h"
#include "proxy/route/hop_client.h"

struct slice session_binding_make(
	uint8_t buf[SESSION_BINDING_SIZE], const struct conf_route *route, struct exchange *x)
{
	struct slice cookie = slice_from_string(route->bind_cookie);
	struct slice parts[] = {SLICE(""), SLICE("")};

	_Static_assert(SESSION_BINDING_SIZE == SESSION_KEY_SIZE, "one digest is as the other");
	if (!route->bind_address && cookie.n == 0)
		return SLICE("");
	if (route->bind_address)
		parts[0] = hop_client_address(x);
	if (cookie.n > 0)
		parts[1] = cookie_values(&x->req->fields, cookie, &x->arena);
	session_key_digest(buf, parts, ARRAY_LEN(parts));
	return slice_of((const char *)buf, SESSION_BINDING_SIZE);
}

uint8_t *session_binding_new(const struct conf_route *route, struct exchange *x)
{
	uint8_t digest[SESSION_BINDING_SIZE];
	struct slice made = session_binding_make(digest, route, x);
	uint8_t *copy;

	if (made.n == 0)
		return NULL;
	copy = memory_alloc(made.n);
	memcpy(copy, made.p, made.n);
	return copy;
}

bool session_binding_admits(
	const uint8_t *binding, const struct conf_route *route, struct exchange *x)
{
	uint8_t digest[SESSION_BINDING_SIZE];

	if (binding == NULL)
		return true;
	if (session_binding_make(digest, route, x).n == SESSION_BINDING_SIZE &&
		CRYPTO_memcmp(digest, binding, SESSION_BINDING_SIZE) == 0)
		return true;
	exchange_set_reason(x, REASON_FOREIGN_SESSION);
	return false;
}
