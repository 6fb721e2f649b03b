#include "bridge/feed/feed_ws_request.h"

#include "proxy/http/ws_upgrade.h"
#include "proxy/route/hop.h"

static bool starts_with_ignoring_case(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_equals_ignoring_case(slice_first(s, prefix.n), prefix);
}

/*
 * Of the fields that an ordinary request would be forwarded with. X-Forwarded-* that no rule
 * knows is never copied.
 */
static const bool is_carried[N_FIELD_IDS] = {
	[FIELD_COOKIE] = true,
	[FIELD_AUTHORIZATION] = true,
	[FIELD_ORIGIN] = true,
	[FIELD_USER_AGENT] = true,
	[FIELD_ACCEPT_LANGUAGE] = true,
	[FIELD_SEC_WEBSOCKET_PROTOCOL] = true,
	[FIELD_FORWARDED] = true,
	[FIELD_X_FORWARDED_FOR] = true,
	[FIELD_X_FORWARDED_HOST] = true,
	[FIELD_X_FORWARDED_PORT] = true,
	[FIELD_X_FORWARDED_PROTO] = true,
	[FIELD_VIA] = true,
};

static bool goes_with_handshake(const struct field *field)
{
	return is_carried[field->id] ||
		(field->id == FIELD_OTHER && starts_with_ignoring_case(field->name, SLICE("x-")) &&
			!starts_with_ignoring_case(field->name, SLICE("x-forwarded-")));
}

struct request_head *feed_ws_request_make(const struct conf_route *route,
	const struct feed_target *target, struct exchange *x, struct arena *arena)
{
	struct request_head *head = arena_alloc_zeroed(arena, sizeof(*head));
	const struct request_head *forwarded;
	struct hop_client client;

	hop_client_init(&client, x);
	forwarded = hop_request(x->req, arena, route, &client);
	head->method = METHOD_GET;
	head->method_name = SLICE("GET");
	head->version_minor = 1;
	head->is_websocket = head->wants_websocket = true;
	head->authority = arena_copy(arena, forwarded->authority);
	head->target = target->has_query ? arena_printf(arena, "%.*s?%.*s", SLICE_ARG(target->path),
						   SLICE_ARG(target->query))
					 : arena_copy(arena, target->path);
	head->path = slice_first(head->target, target->path.n);
	head->has_query = target->has_query;
	if (target->has_query)
		head->query = slice_from(head->target, target->path.n + 1);
	for (uint32_t i = 0; i < forwarded->fields.n; i++) {
		const struct field *field = &forwarded->fields.items[i];

		if (field->id == FIELD_SEC_WEBSOCKET_PROTOCOL && target->protocols != NULL)
			continue;
		if (goes_with_handshake(field))
			fields_add_known(&head->fields, arena, field->id,
				arena_copy(arena, field->name), arena_copy(arena, field->value));
	}
	if (target->protocols != NULL && target->protocols->n > 0)
		fields_add_known(&head->fields, arena, FIELD_SEC_WEBSOCKET_PROTOCOL,
			SLICE("Sec-WebSocket-Protocol"), arena_copy(arena, *target->protocols));
	ws_upgrade_add_key(&head->fields, arena);
	return head;
}

/* Subprotocols are compared as they stand. */
static bool was_offered(const struct request_head *request, struct slice protocol)
{
	for (uint32_t i = 0; i < request->fields.n; i++) {
		const struct field *field = &request->fields.items[i];
		struct slice rest = field->value, element;

		if (field->id != FIELD_SEC_WEBSOCKET_PROTOCOL)
			continue;
		while (slice_next_element(&rest, &element))
			if (slice_equals(element, protocol))
				return true;
	}
	return false;
}

const char *feed_ws_request_check(
	const struct request_head *request, const struct response_head *answer)
{
	size_t n_protocols = fields_count(&answer->fields, FIELD_SEC_WEBSOCKET_PROTOCOL);

	if (fields_find(&answer->fields, FIELD_SEC_WEBSOCKET_EXTENSIONS) != NULL)
		return "101 with an extension that was not offered";
	if (n_protocols > 1)
		return "101 with more than one subprotocol";
	if (n_protocols == 1 &&
		!was_offered(request, fields_value(&answer->fields, FIELD_SEC_WEBSOCKET_PROTOCOL)))
		return "101 with a subprotocol that was not offered";
	return NULL;
}
