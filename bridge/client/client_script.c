#include "bridge/client/client_script.h"

#include <openssl/sha.h>
#include <stdio.h>

#include "proxy/http/date.h"

/* Of the tag: enough to tell versions apart. */
#define TAG_BYTES 8
#define TAG_SIZE (2 * TAG_BYTES + 2)

static struct slice find_tag(void)
{
	static char tag[TAG_SIZE + 1];
	unsigned char digest[SHA256_DIGEST_LENGTH];

	if (tag[0] == '\0') {
		char *to = tag;

		(void)SHA256(client_script_text, client_script_size, digest);
		*to++ = '"';
		for (int i = 0; i < TAG_BYTES; i++)
			to += sprintf(to, "%02x", digest[i]);
		*to = '"';
	}
	return slice_of(tag, TAG_SIZE);
}

bool client_script_is_fresh(const struct fields *fields, struct slice tag)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		struct slice rest = fields->items[i].value, element;

		if (fields->items[i].id != FIELD_IF_NONE_MATCH)
			continue;
		while (slice_next_element(&rest, &element)) {
			if (slice_starts_with(element, SLICE("W/")))
				element = slice_from(element, 2);
			if (slice_equals(element, SLICE("*")) || slice_equals(element, tag))
				return true;
		}
	}
	return false;
}

static void add(
	struct exchange *x, struct response_head *head, const char *name, struct slice value)
{
	fields_add(&head->fields, &x->arena, slice_from_string(name), value);
}

static void refuse_method(struct exchange *x)
{
	struct fields fields = {0};

	fields_add(&fields, &x->arena, SLICE("Allow"), SLICE("GET, HEAD"));
	exchange_answer(x, 405, SLICE("text/plain; charset=utf-8"),
		SLICE("405 Method Not Allowed\n"), &fields);
}

static void answer(struct exchange *x)
{
	struct response_head *head = arena_alloc_zeroed(&x->arena, sizeof(*head));
	struct slice tag = find_tag();
	bool is_fresh = client_script_is_fresh(&x->req->fields, tag);

	head->status = is_fresh ? 304 : 200;
	head->version_minor = 1;
	add(x, head, "Date", arena_copy(&x->arena, http_date()));
	add(x, head, "ETag", tag);
	/* Asked for again after an hour, so that a new release arrives. */
	add(x, head, "Cache-Control", SLICE("public, max-age=3600"));
	add(x, head, "Access-Control-Allow-Origin", SLICE("*"));
	if (!is_fresh) {
		add(x, head, "Content-Type", SLICE("text/javascript; charset=utf-8"));
		add(x, head, "X-Content-Type-Options", SLICE("nosniff"));
		add(x, head, "Cross-Origin-Resource-Policy", SLICE("cross-origin"));
		head->has_content_length = true;
		head->content_length = client_script_size;
		head->body = x->req->method == METHOD_HEAD ? BODY_NONE : BODY_LENGTH;
	}
	if (head->body == BODY_LENGTH)
		pipe_put_copy(&x->res_body, client_script_text, client_script_size);
	pipe_put_end(&x->res_body);
	exchange_respond(x, head);
}

bool client_script_start(struct exchange *x)
{
	const char *path = x->route->client_script;

	if (path[0] == '\0' || !slice_equals(x->req->path, slice_from_string(path)))
		return false;
	if (x->req->method == METHOD_GET || x->req->method == METHOD_HEAD)
		answer(x);
	else
		refuse_method(x);
	return true;
}
