#include "proxy/route/hop.h"

#include "proxy/http/date.h"

/* What happens to a field of this number. */
enum hop_action {
	HOP_KEEP,
	HOP_DROP,
	HOP_CLIENT,	  /* tells about the client */
	HOP_EXPECT,	  /* kept where the parser has understood it */
	HOP_MAX_FORWARDS, /* counted down */
};

/*
 * Connection and what belongs to it, and the framing, which the next hop's codec writes from the
 * head's own members.
 */
#define DROPPED_BOTH_WAYS \
	[FIELD_CONNECTION] = HOP_DROP, [FIELD_CONTENT_LENGTH] = HOP_DROP, \
	[FIELD_KEEP_ALIVE] = HOP_DROP, [FIELD_PROXY_CONNECTION] = HOP_DROP, [FIELD_TE] = HOP_DROP, \
	[FIELD_TRANSFER_ENCODING] = HOP_DROP, [FIELD_UPGRADE] = HOP_DROP, \
	[FIELD_HTTP2_SETTINGS] = HOP_DROP

static const uint8_t request_actions[N_FIELD_IDS] = {
	DROPPED_BOTH_WAYS,
	[FIELD_HOST] = HOP_DROP,
	[FIELD_EXPECT] = HOP_EXPECT,
	[FIELD_MAX_FORWARDS] = HOP_MAX_FORWARDS,
	[FIELD_FORWARDED] = HOP_CLIENT,
	[FIELD_X_FORWARDED_FOR] = HOP_CLIENT,
	[FIELD_X_FORWARDED_HOST] = HOP_CLIENT,
	[FIELD_X_FORWARDED_PORT] = HOP_CLIENT,
	[FIELD_X_FORWARDED_PROTO] = HOP_CLIENT,
};

static const uint8_t response_actions[N_FIELD_IDS] = {DROPPED_BOTH_WAYS};

/* Options that name no field, or one that is dropped anyway. */
static bool is_plain_option(struct slice option)
{
	return slice_equals_ignoring_case(option, SLICE("keep-alive")) ||
		slice_equals_ignoring_case(option, SLICE("close")) ||
		slice_equals_ignoring_case(option, SLICE("upgrade"));
}

/* The connection options of a head as one list; empty when none of them can name a field to drop.
 */
static struct slice nominated_fields(const struct fields *fields, struct arena *arena)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		const struct field *field = &fields->items[i];

		if (field->id == FIELD_CONNECTION && !is_plain_option(field->value))
			return fields_join(fields, FIELD_CONNECTION, arena);
	}
	return SLICE("");
}

static bool starts_with_ignoring_case(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_equals_ignoring_case(slice_first(s, prefix.n), prefix);
}

static bool is_end_to_end(const struct field *field)
{
	return field->id != FIELD_OTHER ||
		starts_with_ignoring_case(field->name, SLICE("content-")) ||
		starts_with_ignoring_case(field->name, SLICE("sec-")) ||
		starts_with_ignoring_case(field->name, SLICE("x-forwarded-"));
}

static bool is_nominated(struct slice nominated, const struct field *field)
{
	return nominated.n > 0 && !is_end_to_end(field) && slice_list_has(nominated, field->name);
}

/* "Proxy" is no field of HTTP; CGI programs would take it for the variable HTTP_PROXY. */
static bool is_proxy_field(const struct field *field)
{
	return field->id == FIELD_OTHER && field->name.n == 5 &&
		slice_equals_ignoring_case(field->name, SLICE("proxy"));
}

static struct slice via_value(
	struct arena *arena, bool is_http2, unsigned version_minor, const char *pseudonym)
{
	size_t n = strlen(pseudonym);
	char *text = arena_alloc_text(arena, n + 4);

	memcpy(text, is_http2 ? "2.0 " : version_minor == 0 ? "1.0 " : "1.1 ", 4);
	memcpy(text + 4, pseudonym, n);
	return slice_of(text, n + 4);
}

/* RFC 9110 section 7.6.2: for OPTIONS and TRACE, by one. */
static struct slice count_down(enum method method, struct slice value, struct arena *arena)
{
	uint64_t n;

	if (method != METHOD_OPTIONS && method != METHOD_TRACE)
		return value;
	if (!slice_to_u64(value, &n) || n == 0)
		return value;
	return arena_printf(arena, "%llu", (unsigned long long)n - 1);
}

static bool request_keeps(const struct request_head *received, const struct field *field,
	const struct conf_route *route, const struct hop_client *client)
{
	switch ((enum hop_action)request_actions[field->id]) {
	case HOP_KEEP:
	case HOP_MAX_FORWARDS:
		return true;
	case HOP_DROP:
		return false;
	case HOP_CLIENT:
		return !hop_client_replaces(client, route->forwarded, field->id);
	case HOP_EXPECT:
		return received->expects_100;
	}
	return true;
}

static void forward_fields(struct request_head *head, const struct request_head *received,
	struct arena *arena, const struct conf_route *route, const struct hop_client *client)
{
	struct slice nominated = nominated_fields(&received->fields, arena);
	struct fields *out = &head->fields;

	out->n = 0;
	out->size = received->fields.n + HOP_CLIENT_MAX_FIELDS + 1;
	out->items = arena_alloc(arena, out->size * sizeof(*out->items));
	for (uint32_t i = 0; i < received->fields.n; i++) {
		const struct field *field = &received->fields.items[i];

		if (field->id == FIELD_OTHER) {
			if (is_nominated(nominated, field) || is_proxy_field(field))
				continue;
		} else if (!request_keeps(received, field, route, client)) {
			continue;
		}
		out->items[out->n] = *field;
		if (field->id == FIELD_MAX_FORWARDS)
			out->items[out->n].value =
				count_down(received->method, field->value, arena);
		out->n++;
	}
}

struct request_head *hop_request(const struct request_head *received, struct arena *arena,
	const struct conf_route *route, const struct hop_client *client)
{
	const struct conf *conf = route->conf;
	struct request_head *head = arena_alloc(arena, sizeof(*head));

	*head = *received;
	if (route->backend->host_header == CONF_HOST_LITERAL)
		head->authority = slice_from_string(route->backend->host_header_value);
	forward_fields(head, received, arena, route, client);
	hop_client_add_fields(client, route->forwarded, received, &head->fields, arena);
	fields_add_known(&head->fields, arena, FIELD_VIA, SLICE("Via"),
		via_value(arena, received->is_http2, received->version_minor, conf->via));
	return head;
}

void hop_response(struct response_head *head, struct arena *arena, const struct conf *conf)
{
	struct slice nominated = nominated_fields(&head->fields, arena);
	struct fields *fields = &head->fields;
	uint32_t n = 0;

	for (uint32_t i = 0; i < fields->n; i++) {
		const struct field *field = &fields->items[i];

		if (response_actions[field->id] == HOP_DROP || is_nominated(nominated, field))
			continue;
		if (n != i)
			fields->items[n] = *field;
		n++;
	}
	fields->n = n;
	/* RFC 9110 section 6.6.1: whoever forwards a response without a date gives it one. */
	if (head->status >= 200 && fields_find(fields, FIELD_DATE) == NULL)
		fields_add_known(
			fields, arena, FIELD_DATE, SLICE("Date"), arena_copy(arena, http_date()));
	fields_add_known(fields, arena, FIELD_VIA, SLICE("Via"),
		via_value(arena, head->is_http2, head->version_minor, conf->via));
}
