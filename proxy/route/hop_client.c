#include "proxy/route/hop_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "proxy/net/conn.h"

/* Proxies before us that are looked at. */
#define MAX_HOPS 16

void hop_client_init(struct hop_client *self, const struct exchange *x)
{
	const struct conf_listen *listen = x->listen;

	self->conf = listen->conf;
	self->peer = exchange_peer(x);
	self->port = listen->n_addresses > 0 ? listen->addresses[0].port : 0;
	self->is_tls = exchange_is_tls(x);
	self->is_trusted =
		self->conf->n_trusted_proxies > 0 && conf_is_trusted_proxy(self->conf, self->peer);
}

/* Writing. */

static char *put(char *to, struct slice s)
{
	memcpy(to, s.p, s.n);
	return to + s.n;
}

static char *put_number(char *to, unsigned n)
{
	if (n >= 10)
		to = put_number(to, n / 10);
	*to = (char)('0' + n % 10);
	return to + 1;
}

/* Writes the peer's address; empty for one without. IPv4 by hand: this is done for each request. */
static struct slice peer_text(const struct sockaddr *peer, char buf[ADDRESS_TEXT_SIZE])
{
	unsigned char bytes[4];
	char *to = buf;

	if (peer->sa_family == AF_UNIX)
		return SLICE("");
	if (peer->sa_family != AF_INET)
		return slice_from_string(address_to_host(peer, buf));
	memcpy(bytes, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, sizeof(bytes));
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		to = put_number(to, bytes[i]);
		*to++ = '.';
	}
	return slice_of(buf, (size_t)(to - buf) - 1);
}

static struct slice scheme_of(bool is_tls)
{
	return is_tls ? SLICE("https") : SLICE("http");
}

static bool has_x_fields(enum conf_forwarded rule)
{
	return rule == CONF_FORWARDED_X || rule == CONF_FORWARDED_BOTH;
}

static bool has_standard_field(enum conf_forwarded rule)
{
	return rule == CONF_FORWARDED_STANDARD || rule == CONF_FORWARDED_BOTH;
}

bool hop_client_replaces(const struct hop_client *self, enum conf_forwarded rule, enum field_id id)
{
	return !self->is_trusted || (id == FIELD_X_FORWARDED_FOR && has_x_fields(rule));
}

/* The peer's list and the peer itself. A peer without an address adds nothing. */
static void add_for(const struct hop_client *self, const struct request_head *received,
	struct slice peer, struct fields *out, struct arena *arena)
{
	struct slice before = SLICE("");
	size_t size;
	char *text, *to;

	if (self->is_trusted)
		before = fields_join(&received->fields, FIELD_X_FORWARDED_FOR, arena);
	if (before.n + peer.n == 0)
		return;
	to = text = arena_alloc_text(arena, before.n + peer.n + 2);
	if (before.n > 0)
		to = put(to, before);
	if (before.n > 0 && peer.n > 0)
		to = put(to, SLICE(", "));
	if (peer.n > 0)
		to = put(to, peer);
	size = (size_t)(to - text);
	fields_add_known(
		out, arena, FIELD_X_FORWARDED_FOR, SLICE("X-Forwarded-For"), slice_of(text, size));
}

static bool is_said(
	const struct hop_client *self, const struct request_head *received, enum field_id id)
{
	return self->is_trusted && fields_find(&received->fields, id) != NULL;
}

static void add_x_fields(const struct hop_client *self, const struct request_head *received,
	struct slice peer, struct fields *out, struct arena *arena)
{
	add_for(self, received, peer, out, arena);
	if (!is_said(self, received, FIELD_X_FORWARDED_PROTO))
		fields_add_known(out, arena, FIELD_X_FORWARDED_PROTO, SLICE("X-Forwarded-Proto"),
			scheme_of(self->is_tls));
	if (!is_said(self, received, FIELD_X_FORWARDED_HOST) && received->authority.n > 0)
		fields_add_known(out, arena, FIELD_X_FORWARDED_HOST, SLICE("X-Forwarded-Host"),
			received->authority);
	if (!is_said(self, received, FIELD_X_FORWARDED_PORT) && self->port != 0) {
		char *text = arena_alloc_text(arena, 5);
		char *end = put_number(text, self->port);

		fields_add_known(out, arena, FIELD_X_FORWARDED_PORT, SLICE("X-Forwarded-Port"),
			slice_of(text, (size_t)(end - text)));
	}
}

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		(c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* A token, or a quoted string where it must be one (RFC 7239 section 4). At most 2 * n + 2 bytes.
 */
static char *put_value(char *to, struct slice s)
{
	size_t n = 0;

	while (n < s.n && is_token_char(s.p[n]))
		n++;
	if (n == s.n && n > 0)
		return put(to, s);
	*to++ = '"';
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			*to++ = '\\';
		*to++ = s.p[i];
	}
	*to++ = '"';
	return to;
}

static void add_forwarded(const struct hop_client *self, const struct request_head *received,
	struct slice peer, struct fields *out, struct arena *arena)
{
	struct slice scheme = scheme_of(self->is_tls);
	char *text = arena_alloc_text(arena, 48 + peer.n + received->authority.n * 2);
	char *to = put(text, SLICE("for="));

	/* Section 6: an IPv6 address stands in brackets, and so in quotes. */
	if (peer.n == 0) {
		to = put(to, SLICE("unknown"));
	} else if (memchr(peer.p, ':', peer.n) != NULL) {
		to = put(to, SLICE("\"["));
		to = put(to, peer);
		to = put(to, SLICE("]\""));
	} else {
		to = put(to, peer);
	}
	if (received->authority.n > 0) {
		to = put(to, SLICE(";host="));
		to = put_value(to, received->authority);
	}
	to = put(to, SLICE(";proto="));
	to = put(to, scheme);
	fields_add_known(out, arena, FIELD_FORWARDED, SLICE("Forwarded"),
		slice_of(text, (size_t)(to - text)));
}

void hop_client_add_fields(const struct hop_client *self, enum conf_forwarded rule,
	const struct request_head *received, struct fields *out, struct arena *arena)
{
	char buf[ADDRESS_TEXT_SIZE];
	struct slice peer;

	if (rule == CONF_FORWARDED_OFF)
		return;
	peer = peer_text(self->peer, buf);
	if (has_x_fields(rule))
		add_x_fields(self, received, peer, out, arena);
	if (has_standard_field(rule))
		add_forwarded(self, received, peer, out, arena);
}

/* Reading what trusted proxies say. */

/* The last elements of a list that may stand in several fields; the nearest proxy's first. */
struct hops {
	struct slice items[MAX_HOPS];
	size_t n;
};

static void hops_read(struct hops *self, const struct fields *fields, enum field_id id)
{
	struct slice all[MAX_HOPS], rest, element;
	size_t n = 0;

	for (uint32_t i = 0; i < fields->n; i++) {
		if (fields->items[i].id != id)
			continue;
		rest = fields->items[i].value;
		while (slice_next_element(&rest, &element))
			all[n++ % MAX_HOPS] = element;
	}
	self->n = MIN(n, (size_t)MAX_HOPS);
	for (size_t i = 0; i < self->n; i++)
		self->items[i] = all[(n - 1 - i) % MAX_HOPS];
}

/* One of the pairs of a Forwarded element, without quotes; empty if it is not there. */
static struct slice forwarded_pair(struct slice element, struct slice name)
{
	while (element.n > 0) {
		size_t end = slice_find(element, ';');
		struct slice pair = slice_trim(slice_first(element, end));
		size_t equals = slice_find(pair, '=');

		element = slice_from(element, end + 1);
		if (!slice_equals_ignoring_case(slice_trim(slice_first(pair, equals)), name))
			continue;
		pair = slice_trim(slice_from(pair, equals + 1));
		if (pair.n >= 2 && pair.p[0] == '"' && pair.p[pair.n - 1] == '"')
			pair = slice_of(pair.p + 1, pair.n - 2);
		return pair;
	}
	return SLICE("");
}

/* An address with or without brackets and port; the result is without. */
static bool parse_address(struct slice s, struct sockaddr_storage *address, struct slice *host)
{
	struct sockaddr_in *inet = (void *)address;
	struct sockaddr_in6 *inet6 = (void *)address;
	char text[INET6_ADDRSTRLEN];
	size_t colon = slice_find(s, ':');

	if (s.n > 0 && s.p[0] == '[') {
		size_t end = slice_find(s, ']');

		s = slice_from(slice_first(s, end), 1);
	} else if (colon < s.n && memchr(s.p + colon + 1, ':', s.n - colon - 1) == NULL) {
		s = slice_first(s, colon);
	}
	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	*host = s;
	memset(address, 0, sizeof(*address));
	address->ss_family = AF_INET;
	if (inet_pton(AF_INET, text, &inet->sin_addr) == 1)
		return true;
	address->ss_family = AF_INET6;
	return inet_pton(AF_INET6, text, &inet6->sin6_addr) == 1;
}

/* What the chain of trusted proxies says. */
struct chain {
	struct hops hops;
	bool is_standard;  /* the hops are Forwarded elements */
	size_t at;	   /* the hop that speaks of the client */
	bool has_address;  /* else the hops say nothing usable */
	struct slice host; /* the client's address */
};

/* From the nearest proxy outwards, as long as whom it names is a trusted proxy too. */
static void chain_read(
	struct chain *self, const struct hop_client *client, const struct request_head *received)
{
	struct sockaddr_storage address;

	*self = (struct chain){.hops.n = 0};
	hops_read(&self->hops, &received->fields, FIELD_X_FORWARDED_FOR);
	if (self->hops.n == 0) {
		hops_read(&self->hops, &received->fields, FIELD_FORWARDED);
		self->is_standard = true;
	}
	for (size_t i = 0; i < self->hops.n; i++) {
		struct slice text = self->hops.items[i];
		struct slice host;

		if (self->is_standard)
			text = forwarded_pair(text, SLICE("for"));
		if (!parse_address(text, &address, &host))
			break;
		self->host = host;
		self->has_address = true;
		self->at = i;
		if (!conf_is_trusted_proxy(client->conf, (const struct sockaddr *)&address))
			break;
	}
}

/* Of the field's elements the one that belongs to the hop; with fewer elements the farthest. */
static struct slice chain_value(const struct chain *self, const struct request_head *received,
	enum field_id id, struct slice pair)
{
	struct hops hops;

	if (self->is_standard && self->hops.n > 0) {
		struct slice value = forwarded_pair(self->hops.items[self->at], pair);

		if (value.n > 0)
			return value;
	}
	hops_read(&hops, &received->fields, id);
	return hops.n == 0 ? SLICE("") : hops.items[MIN(self->at, hops.n - 1)];
}

struct slice hop_client_find_address(const struct hop_client *self,
	const struct request_head *received, char buf[ADDRESS_TEXT_SIZE])
{
	struct chain chain;
	struct slice peer;

	if (self->is_trusted && received != NULL) {
		chain_read(&chain, self, received);
		if (chain.has_address)
			return chain.host;
	}
	peer = peer_text(self->peer, buf);
	return peer.n > 0 ? peer : SLICE("unix:");
}

struct slice hop_client_find_scheme(
	const struct hop_client *self, const struct request_head *received)
{
	struct chain chain;
	struct slice value;

	if (self->is_trusted && received != NULL) {
		chain_read(&chain, self, received);
		value = chain_value(&chain, received, FIELD_X_FORWARDED_PROTO, SLICE("proto"));
		if (slice_equals_ignoring_case(value, SLICE("https")))
			return SLICE("https");
		if (slice_equals_ignoring_case(value, SLICE("http")))
			return SLICE("http");
	}
	return scheme_of(self->is_tls);
}

struct slice hop_client_find_host(
	const struct hop_client *self, const struct request_head *received)
{
	struct chain chain;
	struct slice value;

	if (received == NULL)
		return SLICE("");
	if (self->is_trusted) {
		chain_read(&chain, self, received);
		value = chain_value(&chain, received, FIELD_X_FORWARDED_HOST, SLICE("host"));
		if (value.n > 0)
			return value;
	}
	return received->authority;
}

struct slice hop_client_address(struct exchange *x)
{
	char buf[ADDRESS_TEXT_SIZE];
	struct hop_client client;

	if (x->req == NULL && x->client_address.n > 0)
		return x->client_address;
	hop_client_init(&client, x);
	return arena_copy(&x->arena, hop_client_find_address(&client, x->req, buf));
}

struct slice hop_client_scheme(const struct exchange *x)
{
	struct hop_client client;

	hop_client_init(&client, x);
	return hop_client_find_scheme(&client, x->req);
}

struct slice hop_client_host(const struct exchange *x)
{
	struct hop_client client;

	hop_client_init(&client, x);
	return x->req != NULL ? hop_client_find_host(&client, x->req) : exchange_authority(x);
}
