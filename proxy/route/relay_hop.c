#include "proxy/route/relay_hop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "proxy/base/memory.h"
#include "proxy/net/address.h"

/* What nghttp2 takes of a name or a value. */
#define MAX_STRING 65536

static const char *const tls_versions[] = {"TLSv1.2", "TLSv1.3"};

struct slice relay_hop_write(struct exchange *x)
{
	const struct sockaddr *peer = exchange_peer(x);
	struct slice name = exchange_tls_server_name(x);
	char text[ADDRESS_TEXT_SIZE];

	return arena_printf(&x->arena, "%zu %u%s %s %s%s%.*s", x->listen->index,
		exchange_version(x), x->req->authority.n == 0 ? "-" : "",
		exchange_is_tls(x) ? exchange_tls_version(x) : "-",
		peer->sa_family == AF_UNIX ? "unix" : address_to_text(peer, text),
		name.n > 0 ? " " : "", SLICE_ARG(name));
}

static struct slice next_word(struct slice *rest)
{
	size_t n = slice_find(*rest, ' ');
	struct slice word = slice_first(*rest, n);

	*rest = slice_from(*rest, n + 1);
	return word;
}

static bool read_listener(
	struct slice word, const struct conf *conf, const struct conf_listen **listen)
{
	uint64_t index;

	if (!slice_to_u64(word, &index) || index >= conf->n_listens)
		return false;
	*listen = &conf->listens[index];
	return true;
}

static bool read_version(struct slice word, struct request_head *req)
{
	uint64_t version;

	/* HTTP/2 has no request without a host. */
	if (slice_equals(word, SLICE("10-"))) {
		req->authority = SLICE("");
		word.n--;
	}
	if (!slice_to_u64(word, &version) || (version != 10 && version != 11 && version != 20))
		return false;
	req->is_http2 = version == 20;
	req->version_minor = version != 10;
	return true;
}

static bool read_tls(struct slice word, const char **version)
{
	*version = NULL;
	if (slice_equals(word, SLICE("-")))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(tls_versions); i++)
		if (slice_equals(word, slice_from_string(tls_versions[i])))
			*version = tls_versions[i];
	return *version != NULL;
}

/* "192.0.2.1:80", "[::1]:80", "unix" */
static bool read_peer(struct slice word, struct sockaddr_storage *peer)
{
	struct sockaddr_in *inet = (struct sockaddr_in *)(void *)peer;
	struct sockaddr_in6 *inet6 = (struct sockaddr_in6 *)(void *)peer;
	const char *colon = memrchr(word.p, ':', word.n);
	char host[INET6_ADDRSTRLEN + 2];
	uint64_t port;
	size_t n;

	memset(peer, 0, sizeof(*peer));
	peer->ss_family = AF_UNIX;
	if (slice_equals(word, SLICE("unix")))
		return true;
	n = colon != NULL ? (size_t)(colon - word.p) : word.n;
	if (n == 0 || n >= sizeof(host) || !slice_to_u64(slice_from(word, n + 1), &port) ||
		port > UINT16_MAX)
		return false;
	memcpy(host, word.p, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		inet6->sin6_family = AF_INET6;
		inet6->sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host + 1, &inet6->sin6_addr) == 1;
	}
	inet->sin_family = AF_INET;
	inet->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, &inet->sin_addr) == 1;
}

bool relay_hop_can_carry_trailers(const struct exchange *x)
{
	return x->listen->max_header_size <= MAX_STRING;
}

bool relay_hop_can_carry(const struct exchange *x)
{
	const struct fields *fields = &x->req->fields;

	/* By far the most listeners take no head that could be too large. */
	if (LIKELY(x->listen->max_header_size <= MAX_STRING))
		return true;
	for (uint32_t i = 0; i < fields->n; i++)
		if (fields->items[i].name.n > MAX_STRING || fields->items[i].value.n > MAX_STRING)
			return false;
	return x->req->target.n <= MAX_STRING;
}

bool relay_hop_read(struct exchange *x, const struct conf *conf)
{
	struct slice rest = fields_value(&x->req->fields, FIELD_POLLUX_HOP);
	struct exchange_client client = {0};
	const struct conf_listen *listen;

	if (fields_count(&x->req->fields, FIELD_POLLUX_HOP) != 1 ||
		!read_listener(next_word(&rest), conf, &listen) ||
		!read_version(next_word(&rest), x->req) ||
		!read_tls(next_word(&rest), &client.tls_version) ||
		!read_peer(next_word(&rest), &client.address))
		return false;
	client.tls_server_name = rest;
	relay_hop_strip(x);
	x->listen = listen;
	x->client = memory_alloc(sizeof(*x->client));
	*x->client = client;
	return true;
}

void relay_hop_strip(struct exchange *x)
{
	if (UNLIKELY(fields_find(&x->req->fields, FIELD_POLLUX_HOP) != NULL))
		fields_remove(&x->req->fields, FIELD_POLLUX_HOP);
}
