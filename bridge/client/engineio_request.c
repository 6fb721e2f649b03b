#include "bridge/client/engineio_request.h"

#include "bridge/session_id.h"

/* Parameters that mean something to us. */
enum parameter {
	PARAMETER_OTHER,
	PARAMETER_EIO,
	PARAMETER_TRANSPORT,
	PARAMETER_SID,
	PARAMETER_T,
	PARAMETER_J,
	PARAMETER_B64,
	N_PARAMETERS
};

static const struct slice parameter_names[N_PARAMETERS] = {
	[PARAMETER_EIO] = {"EIO", 3},
	[PARAMETER_TRANSPORT] = {"transport", 9},
	[PARAMETER_SID] = {"sid", 3},
	[PARAMETER_T] = {"t", 1},
	[PARAMETER_J] = {"j", 1},
	[PARAMETER_B64] = {"b64", 3},
};

static const struct slice code_texts[] = {
	[ENGINEIO_UNKNOWN_TRANSPORT] = {"Transport unknown", 17},
	[ENGINEIO_UNKNOWN_SID] = {"Session ID unknown", 18},
	[ENGINEIO_BAD_METHOD] = {"Bad handshake method", 20},
	[ENGINEIO_BAD_REQUEST] = {"Bad request", 11},
	[ENGINEIO_FORBIDDEN] = {"Forbidden", 9},
	[ENGINEIO_BAD_VERSION] = {"Unsupported protocol version", 28},
};

/* The query. */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Whether a name, once decoded, is this one. */
static bool name_is(struct slice name, struct slice wanted)
{
	size_t at = 0;

	for (size_t i = 0; i < wanted.n; i++) {
		char c;

		if (at == name.n)
			return false;
		c = name.p[at++];
		if (c == '%' && name.n - at >= 2 && hex_value(name.p[at]) >= 0 &&
			hex_value(name.p[at + 1]) >= 0) {
			c = (char)(hex_value(name.p[at]) << 4 | hex_value(name.p[at + 1]));
			at += 2;
		}
		if (c != wanted.p[i])
			return false;
	}
	return at == name.n;
}

static enum parameter find_parameter(struct slice name)
{
	for (unsigned i = PARAMETER_OTHER + 1; i < N_PARAMETERS; i++)
		if (name_is(name, parameter_names[i]))
			return (enum parameter)i;
	return PARAMETER_OTHER;
}

/* Takes the next part of a query from *rest, and splits it. An empty part is one, too. */
static bool next_part(
	struct slice *rest, struct slice *part, enum parameter *id, struct slice *value)
{
	size_t n;

	if (rest->p == NULL)
		return false;
	*part = slice_first(*rest, slice_find(*rest, '&'));
	*rest = part->n < rest->n ? slice_from(*rest, part->n + 1) : slice_of(NULL, 0);
	n = slice_find(*part, '=');
	*id = find_parameter(slice_first(*part, n));
	*value = slice_from(*part, n + 1);
	return true;
}

static struct slice query_of(const struct request_head *head)
{
	return head->has_query ? head->query : slice_of(NULL, 0);
}

struct query {
	struct slice values[N_PARAMETERS];
	unsigned n[N_PARAMETERS];
};

static void read_query(struct query *self, const struct request_head *head)
{
	struct slice rest = query_of(head), part, value;
	enum parameter id;

	*self = (struct query){0};
	while (next_part(&rest, &part, &id, &value)) {
		self->values[id] = value;
		self->n[id]++;
	}
}

static bool query_says(const struct query *self, enum parameter id, struct slice value)
{
	return self->n[id] == 1 && slice_equals(self->values[id], value);
}

/* What is asked. */

bool engineio_request_is_ours(const struct request_head *head, bool is_only_dialect)
{
	struct query query;

	read_query(&query, head);
	return query.n[PARAMETER_EIO] > 0 || (is_only_dialect && query.n[PARAMETER_TRANSPORT] > 0);
}

static void fail(struct engineio_request *self, enum engineio_code code)
{
	self->action = ENGINEIO_ERROR;
	self->code = code;
	self->status = code == ENGINEIO_FORBIDDEN ? 403 : 400;
}

/* A request without a session. */
static void parse_opening(
	struct engineio_request *self, const struct request_head *head, bool is_polling)
{
	if (self->is_websocket) {
		self->action = ENGINEIO_TUNNEL;
		if (is_polling)
			fail(self, ENGINEIO_BAD_REQUEST);
	} else if (head->method != METHOD_GET) {
		fail(self, ENGINEIO_BAD_METHOD);
	} else if (!is_polling) {
		fail(self, ENGINEIO_BAD_REQUEST);
	} else {
		self->action = ENGINEIO_OPEN;
	}
}

static void parse_of_session(
	struct engineio_request *self, const struct request_head *head, bool is_polling)
{
	if (self->is_websocket == is_polling) {
		fail(self, ENGINEIO_BAD_REQUEST);
	} else if (self->is_websocket) {
		self->action = ENGINEIO_UPGRADE;
	} else if (head->method == METHOD_GET) {
		self->action = ENGINEIO_POLL;
	} else if (head->method == METHOD_POST) {
		self->action = ENGINEIO_POST;
	} else {
		fail(self, ENGINEIO_BAD_REQUEST);
		self->status = 500;
	}
}

void engineio_request_parse(
	struct engineio_request *self, const struct request_head *head, bool has_websocket)
{
	struct query query;
	struct slice sid;
	bool is_polling;

	*self = (struct engineio_request){.action = ENGINEIO_FORWARD};
	if (head->method == METHOD_OPTIONS ||
		(has_websocket && head->wants_websocket && !head->is_websocket))
		return;
	self->is_websocket = has_websocket && head->is_websocket;
	read_query(&query, head);
	sid = query.values[PARAMETER_SID];
	is_polling = query_says(&query, PARAMETER_TRANSPORT, SLICE("polling"));
	if (query.n[PARAMETER_T] == 1)
		self->t = query.values[PARAMETER_T];
	self->is_text_only = query.values[PARAMETER_B64].n > 0;
	if (!query_says(&query, PARAMETER_EIO, SLICE("4"))) {
		fail(self, ENGINEIO_BAD_VERSION);
	} else if (!is_polling && !query_says(&query, PARAMETER_TRANSPORT, SLICE("websocket"))) {
		fail(self, ENGINEIO_UNKNOWN_TRANSPORT);
	} else if (query.n[PARAMETER_J] > 0 && !self->is_websocket) {
		/* JSONP: no script of a foreign page is to get a session. */
		fail(self, ENGINEIO_BAD_REQUEST);
	} else if (query.n[PARAMETER_SID] == 0 || query_says(&query, PARAMETER_SID, SLICE(""))) {
		parse_opening(self, head, is_polling);
	} else if (query.n[PARAMETER_SID] > 1 || !session_id_has_form(sid)) {
		fail(self, ENGINEIO_UNKNOWN_SID);
	} else {
		self->sid = sid;
		parse_of_session(self, head, is_polling);
	}
}

/* Other forms of the query. */

struct slice engineio_request_query(const struct request_head *head, struct arena *arena)
{
	struct slice rest = query_of(head), part, value, out;
	enum parameter id;
	char *text = arena_alloc_text(arena, rest.n + sizeof("&transport=websocket"));

	out = slice_of(text, 0);
	while (next_part(&rest, &part, &id, &value)) {
		if ((id != PARAMETER_OTHER && id != PARAMETER_EIO) || part.n == 0)
			continue;
		memcpy(text + out.n, part.p, part.n);
		out.n += part.n;
		text[out.n++] = '&';
	}
	memcpy(text + out.n, "transport=websocket", 19);
	out.n += 19;
	return out;
}

static char *put(char *to, struct slice s)
{
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

/* A mask is at most three characters longer than what it hides. */
struct slice engineio_request_mask(const struct request_head *head, struct arena *arena)
{
	struct slice rest = query_of(head), part, value, copied = head->target;
	enum parameter id;
	struct query query;
	char *text, *to;

	read_query(&query, head);
	if (query.n[PARAMETER_SID] == 0)
		return head->target;
	text = to = arena_alloc_text(arena, head->target.n + 3 * (size_t)query.n[PARAMETER_SID]);
	while (next_part(&rest, &part, &id, &value)) {
		if (id != PARAMETER_SID || value.n == 0)
			continue;
		to = put(to, slice_of(copied.p, (size_t)(value.p - copied.p)));
		to = put(to, session_id_mask(value, arena));
		copied = slice_from(copied, (size_t)(value.p - copied.p) + value.n);
	}
	to = put(to, copied);
	return slice_of(text, (size_t)(to - text));
}

/* Names. */

struct slice engineio_code_text(enum engineio_code code)
{
	return code_texts[code];
}

bool engineio_code_find(struct slice text, enum engineio_code *code)
{
	for (unsigned i = 0; i < ARRAY_LEN(code_texts); i++) {
		if (!slice_equals(text, code_texts[i]))
			continue;
		*code = (enum engineio_code)i;
		return true;
	}
	return false;
}

const char *engineio_action_name(enum engineio_action action)
{
	switch (action) {
	case ENGINEIO_FORWARD:
		return "forward";
	case ENGINEIO_TUNNEL:
		return "tunnel";
	case ENGINEIO_OPEN:
		return "open";
	case ENGINEIO_POLL:
		return "poll";
	case ENGINEIO_POST:
		return "post";
	case ENGINEIO_UPGRADE:
		return "upgrade";
	case ENGINEIO_ERROR:
		return "error";
	}
	return "?";
}
