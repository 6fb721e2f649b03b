#include "bridge/feed/poll_request.h"

/* Empty: the server's, which is known when one is chosen. */
static struct slice find_host(const struct conf_route *route)
{
	const struct conf_backend *backend = route->backend;

	switch (backend->host_header) {
	case CONF_HOST_LITERAL:
		return slice_from_string(backend->host_header_value);
	case CONF_HOST_PRESERVE:
		for (size_t i = 0; i < route->hosts.n_items; i++)
			if (route->hosts.items[i][0] != '*')
				return slice_from_string(route->hosts.items[i]);
		break;
	case CONF_HOST_SERVER:
		break;
	}
	return SLICE("");
}

static void set_target(struct request_head *head, const char *path)
{
	size_t n;

	head->target = slice_from_string(path);
	n = slice_find(head->target, '?');
	head->path = slice_first(head->target, n);
	head->has_query = n < head->target.n;
	head->query = slice_from(head->target, n + 1);
}

struct request_head *poll_request_make(const struct conf_route *route,
	const struct poll_validators *validators, struct arena *arena)
{
	struct request_head *head = arena_alloc_zeroed(arena, sizeof(*head));
	struct fields *fields = &head->fields;

	head->method = METHOD_GET;
	head->method_name = SLICE("GET");
	head->version_minor = 1;
	head->body = BODY_NONE;
	head->authority = find_host(route);
	set_target(head, route->poll.path);
	fields_add_known(fields, arena, FIELD_ACCEPT, SLICE("Accept"), SLICE("*/*"));
	fields_add(fields, arena, SLICE("Accept-Encoding"), SLICE("identity"));
	fields_add_known(fields, arena, FIELD_USER_AGENT, SLICE("User-Agent"), SLICE("pollux"));
	fields_add_known(fields, arena, FIELD_VIA, SLICE("Via"),
		arena_printf(arena, "1.1 %s", route->conf->via));
	if (validators->tag.n > 0)
		fields_add(
			fields, arena, SLICE("If-None-Match"), arena_copy(arena, validators->tag));
	else if (validators->modified.n > 0)
		fields_add(fields, arena, SLICE("If-Modified-Since"),
			arena_copy(arena, validators->modified));
	return head;
}
