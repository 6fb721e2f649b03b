#include "bridge/client/origin.h"

#include <stdint.h>
#include <string.h>

#define EXPOSED_FIELDS \
	"Pollux-Session, Pollux-Cursor, Pollux-Seq, Location, Link, Retry-After, " \
	"Sec-WebSocket-Protocol"
#define ALLOWED_FIELDS \
	"Pollux-Seq, Pollux-Ack, Pollux-Protocol, Idempotency-Key, Content-Type, " \
	"Last-Event-ID, Prefer"
#define PREFLIGHT_AGE "600"

bool origin_is_any_allowed(const struct conf_strings *allowed)
{
	for (size_t i = 0; i < allowed->n_items; i++)
		if (strcmp(allowed->items[i], "*") == 0)
			return true;
	return false;
}

static bool is_listed(struct slice origin, const struct conf_strings *allowed)
{
	for (size_t i = 0; i < allowed->n_items; i++)
		if (slice_equals_ignoring_case(origin, slice_from_string(allowed->items[i])))
			return true;
	return false;
}

/* Splits HOST or HOST:PORT; a port that is missing or empty is the scheme's. */
static bool split_port(
	struct slice scheme, struct slice authority, struct slice *host, uint64_t *port)
{
	size_t n_literal = 0, n;

	/* The colons of an IPv6 address stand in brackets. */
	if (authority.n > 0 && authority.p[0] == '[')
		n_literal = slice_find(authority, ']');
	n = n_literal + slice_find(slice_from(authority, n_literal), ':');
	*host = slice_first(authority, n);
	*port = slice_equals_ignoring_case(scheme, SLICE("https")) ? 443 : 80;
	if (n + 1 >= authority.n)
		return host->n > 0;
	return host->n > 0 && slice_to_u64(slice_from(authority, n + 1), port) &&
		*port <= UINT16_MAX;
}

static bool is_own(struct slice origin, struct slice scheme, struct slice authority)
{
	size_t n = slice_find(origin, ':');
	struct slice host, own_host;
	uint64_t port, own_port;

	if (!slice_equals_ignoring_case(slice_first(origin, n), scheme) ||
		!slice_starts_with(slice_from(origin, n), SLICE("://")))
		return false;
	return split_port(scheme, slice_from(origin, n + 3), &host, &port) &&
		split_port(scheme, authority, &own_host, &own_port) &&
		slice_equals_ignoring_case(host, own_host) && port == own_port;
}

static bool is_site_good(const struct field *site)
{
	return site == NULL || slice_equals(site->value, SLICE("same-origin")) ||
		slice_equals(site->value, SLICE("none"));
}

enum origin_verdict origin_check(const struct fields *request, struct slice scheme,
	struct slice host, const struct conf_strings *allowed)
{
	const struct field *origin = fields_find(request, FIELD_ORIGIN);
	const struct field *site = fields_find(request, FIELD_SEC_FETCH_SITE);

	if (fields_count(request, FIELD_ORIGIN) > 1 ||
		fields_count(request, FIELD_SEC_FETCH_SITE) > 1)
		return ORIGIN_REFUSED;
	if (origin_is_any_allowed(allowed))
		return origin != NULL ? ORIGIN_LISTED : ORIGIN_NONE;
	if (origin != NULL && is_listed(origin->value, allowed))
		return ORIGIN_LISTED;
	if (!is_site_good(site))
		return ORIGIN_REFUSED;
	if (origin == NULL)
		return ORIGIN_NONE;
	return is_own(origin->value, scheme, host) ? ORIGIN_SAME : ORIGIN_REFUSED;
}

static void add(struct fields *answer, struct arena *arena, struct slice name, struct slice value)
{
	fields_add_known(answer, arena, FIELD_OTHER, name, value);
}

void origin_add_fields(struct fields *answer, struct arena *arena, enum origin_verdict verdict,
	struct slice origin, const struct conf_strings *allowed)
{
	if (allowed->n_items > 0)
		fields_add_known(answer, arena, FIELD_VARY, SLICE("Vary"), SLICE("Origin"));
	if (verdict != ORIGIN_LISTED)
		return;
	add(answer, arena, SLICE("Access-Control-Allow-Origin"), origin);
	add(answer, arena, SLICE("Access-Control-Allow-Credentials"), SLICE("true"));
	add(answer, arena, SLICE("Access-Control-Expose-Headers"), SLICE(EXPOSED_FIELDS));
}

void origin_add_preflight_fields(struct fields *answer, struct arena *arena,
	enum origin_verdict verdict, struct slice methods)
{
	add(answer, arena, SLICE("Allow"), methods);
	if (verdict != ORIGIN_LISTED)
		return;
	add(answer, arena, SLICE("Access-Control-Allow-Methods"), methods);
	add(answer, arena, SLICE("Access-Control-Allow-Headers"), SLICE(ALLOWED_FIELDS));
	add(answer, arena, SLICE("Access-Control-Max-Age"), SLICE(PREFLIGHT_AGE));
}

const char *origin_verdict_name(enum origin_verdict verdict)
{
	switch (verdict) {
	case ORIGIN_NONE:
		return "none";
	case ORIGIN_SAME:
		return "same";
	case ORIGIN_LISTED:
		return "listed";
	case ORIGIN_REFUSED:
		return "refused";
	}
	return "?";
}
