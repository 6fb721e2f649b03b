#include "bridge/session_binding.h"

#include <openssl/crypto.h>
#include <string.h>

#include "proxy/base/memory.h"
#include "proxy/http/cookie.h"
#include "proxy/route/hop_client.h"

struct slice session_binding_make(
	uint8_t buf[DIGEST_SIZE], const struct conf_route *route, struct exchange *x)
{
	struct slice cookie = slice_from_string(route->bind_cookie);
	struct slice parts[] = {SLICE(""), SLICE("")};

	if (!route->bind_address && cookie.n == 0)
		return SLICE("");
	if (route->bind_address)
		parts[0] = hop_client_address(x);
	if (cookie.n > 0)
		parts[1] = cookie_values(&x->req->fields, cookie, &x->arena);
	digest_make(buf, parts, ARRAY_LEN(parts));
	return slice_of((const char *)buf, DIGEST_SIZE);
}

uint8_t *session_binding_new(const struct conf_route *route, struct exchange *x)
{
	uint8_t digest[DIGEST_SIZE];
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
	uint8_t digest[DIGEST_SIZE];

	if (binding == NULL)
		return true;
	if (session_binding_make(digest, route, x).n == DIGEST_SIZE &&
		CRYPTO_memcmp(digest, binding, DIGEST_SIZE) == 0)
		return true;
	exchange_set_reason(x, REASON_FOREIGN_SESSION);
	return false;
}
