/*
 * Reads a request from left to right into the struct: path, query, fields. Then the rules choose
 * what it asks for.
 */
#include "bridge/client/plain_request.h"

#include <string.h>

#include "bridge/client/media_type.h"
#include "bridge/client/ws_endpoint.h"
#include "bridge/session_id.h"

#define KEY_MAX 255
/* Of an Accept element that gives no weight, or a malformed one, in thousandths. */
#define FULL_WEIGHT 1000

/* What the query says, besides what goes on to the backend. */
struct parameters {
	size_t n_wait;
	struct slice wait; /* the first */
	bool has_close;
};

/* Weights in thousandths of the types that Accept names; 0: not named. */
struct accepted {
	unsigned events;
	unsigned lines;
	unsigned text;
	unsigned json;
	bool is_lines_first;
	bool is_json_first;
};

static struct plain_number parse_number(struct slice text)
{
	struct plain_number number = {.state = PLAIN_MALFORMED};

	if (slice_to_u64(text, &number.value))
		number.state = PLAIN_GIVEN;
	return number;
}

static struct plain_number parse_number_field(const struct fields *fields, enum field_id id)
{
	switch (fields_count(fields, id)) {
	case 0:
		return (struct plain_number){.state = PLAIN_ABSENT};
	case 1:
		return parse_number(fields_value(fields, id));
	default:
		return (struct plain_number){.state = PLAIN_MALFORMED};
	}
}

/* P/~ID into P and ID. */
static void split_path(struct plain_request *self, struct slice path)
{
	const char *slash = path.n > 0 ? memrchr(path.p, '/', path.n) : NULL;
	struct slice last;

	self->path = path;
	if (slash == NULL)
		return;
	last = slice_from(path, (size_t)(slash + 1 - path.p));
	if (last.n == 0 || last.p[0] != '~' || !session_id_has_form(slice_from(last, 1)))
		return;
	self->id = slice_from(last, 1);
	self->path = slice_first(path, (size_t)(slash - path.p));
}

/* Takes in one parameter; false if it is not one of ours and goes to the backend. */
static bool take_parameter(
	struct plain_request *self, struct parameters *parameters, struct slice parameter)
{
	size_t n = slice_find(parameter, '=');
	struct slice name = slice_first(parameter, n), value = slice_from(parameter, n + 1);

	if (slice_equals(name, SLICE("wait"))) {
		if (parameters->n_wait++ == 0)
			parameters->wait = value;
		return true;
	}
	if (slice_equals(name, SLICE("after"))) {
		if (self->after.state == PLAIN_ABSENT)
			self->after = parse_number(value);
		else
			self->after = (struct plain_number){.state = PLAIN_MALFORMED};
		return true;
	}
	if (slice_equals(name, SLICE("as"))) {
		self->as_json = self->as_json || slice_equals(value, SLICE("json"));
		return true;
	}
	if (slice_equals(name, SLICE("close")))
		parameters->has_close = true;
	return false;
}

static void parse_query(struct plain_request *self, struct parameters *parameters,
	const struct request_head *head, struct arena *arena)
{
	struct slice rest = head->query;
	char *kept, *to;
	bool is_cut = false;

	self->query = head->query;
	self->has_query = head->has_query;
	if (rest.n == 0)
		return;
	kept = to = arena_alloc_text(arena, rest.n + 1);
	for (;;) {
		size_t n = slice_find(rest, '&');
		struct slice parameter = slice_first(rest, n);

		if (take_parameter(self, parameters, parameter)) {
			is_cut = true;
		} else {
			to = mempcpy(to, parameter.p, parameter.n);
			*to++ = '&';
		}
		if (n == rest.n)
			break;
		rest = slice_from(rest, n + 1);
	}
	if (!is_cut)
		return;
	self->query = slice_of(kept, to > kept ? (size_t)(to - 1 - kept) : 0);
	self->has_query = self->query.n > 0;
}

static void parse_event_id(struct plain_request *self, const struct fields *fields)
{
	struct plain_event_id *event_id = &self->last_event_id;
	size_t n_fields = fields_count(fields, FIELD_LAST_EVENT_ID);
	struct slice value = fields_value(fields, FIELD_LAST_EVENT_ID);
	const char *dot = value.n > 0 ? memrchr(value.p, '.', value.n) : NULL;
	struct slice id;

	if (n_fields == 0)
		return;
	event_id->state = PLAIN_MALFORMED;
	if (n_fields > 1 || dot == NULL)
		return;
	id = slice_first(value, (size_t)(dot - value.p));
	if (!session_id_has_form(id))
		return;
	event_id->state = PLAIN_GIVEN;
	event_id->id = id;
	event_id->cursor = parse_number(slice_from(value, id.n + 1));
}

/* A qvalue (RFC 9110 section 12.4.2) in thousandths. */
static unsigned parse_weight(struct slice text)
{
	unsigned weight = 0, unit = FULL_WEIGHT;

	if (text.n == 0 || text.n > 5 || (text.n > 1 && text.p[1] != '.'))
		return FULL_WEIGHT;
	for (size_t i = 0; i < text.n; i++) {
		if (i == 1)
			continue;
		if (text.p[i] < '0' || text.p[i] > '9')
			return FULL_WEIGHT;
		weight += (unsigned)(text.p[i] - '0') * unit;
		unit /= 10;
	}
	return MIN(weight, FULL_WEIGHT);
}

static unsigned find_weight(struct slice parameters)
{
	struct slice part, name, value;

	while (media_part_next(&parameters, &part))
		if (media_parameter_split(part, &name, &value) &&
			slice_equals_ignoring_case(name, SLICE("q")))
			return parse_weight(value);
	return FULL_WEIGHT;
}

static void accept_element(struct accepted *accepted, struct slice element)
{
	struct slice type;
	unsigned weight;

	if (!media_part_next(&element, &type))
		return;
	weight = find_weight(element);
	if (weight == 0)
		return;
	if (slice_equals_ignoring_case(type, SLICE("text/event-stream"))) {
		accepted->events = MAX(accepted->events, weight);
	} else if (slice_equals_ignoring_case(type, SLICE("application/x-ndjson"))) {
		accepted->is_lines_first = accepted->is_lines_first || accepted->events == 0;
		accepted->lines = MAX(accepted->lines, weight);
	} else if (slice_equals_ignoring_case(type, SLICE("text/plain"))) {
		accepted->text = MAX(accepted->text, weight);
	} else if (slice_equals_ignoring_case(type, SLICE("application/json"))) {
		accepted->is_json_first = accepted->is_json_first || accepted->text == 0;
		accepted->json = MAX(accepted->json, weight);
	}
}

static struct accepted parse_accept(const struct fields *fields)
{
	struct accepted accepted = {0};

	for (uint32_t i = 0; i < fields->n; i++) {
		struct slice rest = fields->items[i].value, element;

		if (fields->items[i].id != FIELD_ACCEPT)
			continue;
		while (slice_next_element(&rest, &element))
			accept_element(&accepted, element);
	}
	return accepted;
}

static enum plain_form find_form(const struct accepted *accepted)
{
	if (accepted->events == 0 && accepted->lines == 0)
		return PLAIN_POLL;
	if (accepted->events != accepted->lines)
		return accepted->events > accepted->lines ? PLAIN_EVENTS : PLAIN_LINES;
	return accepted->is_lines_first ? PLAIN_LINES : PLAIN_EVENTS;
}

/*
 * Whether the answer to an opening POST is to be a bare URL. Many libraries name JSON, then plain
 * text, in every request: they get the JSON.
 */
static bool wants_text(const struct accepted *accepted)
{
	if (accepted->text != accepted->json)
		return accepted->text > accepted->json;
	return accepted->text > 0 && !accepted->is_json_first;
}

/* Whole seconds, of any length, capped at the limit. */
static bool parse_wait(struct slice text, uint64_t limit_ms, uint64_t *wait_ms)
{
	uint64_t seconds = 0;

	if (text.n == 0)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		if (seconds <= limit_ms / 1000)
			seconds = seconds * 10 + (uint64_t)(text.p[i] - '0');
	}
	*wait_ms = seconds > limit_ms / 1000 ? limit_ms : seconds * 1000;
	return true;
}

/* NAME = VALUE of a preference, its parameters left aside. */
static bool parse_preference(
	struct slice element, uint64_t limit_ms, uint64_t *wait_ms, struct arena *arena)
{
	struct slice part, value, text;
	size_t n;

	if (!media_part_next(&element, &part))
		return false;
	n = slice_find(part, '=');
	if (!slice_equals_ignoring_case(slice_trim(slice_first(part, n)), SLICE("wait")))
		return false;
	value = slice_trim(slice_from(part, n + 1));
	return media_value_unquote(value, arena_alloc_text(arena, value.n), value.n, &text) &&
		parse_wait(text, limit_ms, wait_ms);
}

static bool parse_prefer(
	const struct fields *fields, uint64_t limit_ms, uint64_t *wait_ms, struct arena *arena)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		struct slice rest = fields->items[i].value, element;

		if (fields->items[i].id != FIELD_PREFER)
			continue;
		while (slice_next_element(&rest, &element))
			if (parse_preference(element, limit_ms, wait_ms, arena))
				return true;
	}
	return false;
}

static void set_error(struct plain_request *self, unsigned status, const char *error)
{
	self->action = PLAIN_ERROR;
	self->status = status;
	self->error = error;
}

/* For a poll, once it is known to be one. */
static void choose_wait(
	struct plain_request *self, const struct parameters *parameters, uint64_t limit_ms)
{
	if (parameters->n_wait == 0)
		return;
	self->is_wait_preferred = false;
	if (parameters->n_wait > 1 || !parse_wait(parameters->wait, limit_ms, &self->wait_ms))
		set_error(self, 400, "wait");
}

static void choose_on_session(struct plain_request *self, const struct request_head *head,
	const struct parameters *parameters)
{
	if (head->method == METHOD_GET)
		self->action = PLAIN_ATTACH;
	else if (head->method == METHOD_POST)
		self->action = parameters->has_close ? PLAIN_CLOSE : PLAIN_SEND;
	else if (head->method == METHOD_DELETE)
		self->action = PLAIN_CLOSE;
	else
		set_error(self, 405, "method");
}

static void choose_on_path(struct plain_request *self, const struct request_head *head,
	const struct parameters *parameters)
{
	if (head->method == METHOD_POST)
		self->form = PLAIN_CREATED;
	else if (head->method != METHOD_GET ||
		(self->form == PLAIN_POLL && parameters->n_wait == 0 && !self->is_wait_preferred))
		return;
	if (self->path.n > 0 && self->path.p[self->path.n - 1] == '/')
		set_error(self, 404, "unknown session");
	else
		self->action = PLAIN_OPEN;
}

static void check_key(struct plain_request *self, const struct fields *fields)
{
	size_t n = fields_count(fields, FIELD_IDEMPOTENCY_KEY);

	if (n == 0)
		return;
	self->key = slice_trim(fields_value(fields, FIELD_IDEMPOTENCY_KEY));
	self->has_key = n == 1 && self->key.n > 0 && self->key.n <= KEY_MAX;
	if (!self->has_key && self->action == PLAIN_OPEN)
		set_error(self, 400, "idempotency key");
}

static void choose_websocket(struct plain_request *self, const struct request_head *head)
{
	bool is_ours = ws_endpoint_is_offered(head, SLICE(PLAIN_SOCKET_PROTOCOL));

	self->is_wait_preferred = false;
	self->form = is_ours ? PLAIN_SOCKET : self->form;
	if (self->id.n > 0 && !is_ours)
		set_error(self, 400, "websocket is not supported here");
	else if (self->id.n > 0)
		self->action = PLAIN_ATTACH;
	else if (!is_ours)
		self->action = PLAIN_TUNNEL;
	else if (self->path.n > 0 && self->path.p[self->path.n - 1] == '/')
		set_error(self, 404, "unknown session");
	else
		self->action = PLAIN_OPEN;
}

static void choose_action(struct plain_request *self, const struct request_head *head,
	const struct parameters *parameters, uint64_t wait_limit_ms)
{
	if (head->is_websocket) {
		choose_websocket(self, head);
		return;
	}
	if (head->method == METHOD_OPTIONS) {
		self->action = PLAIN_PREFLIGHT;
		return;
	}
	if (self->id.n > 0)
		choose_on_session(self, head, parameters);
	else
		choose_on_path(self, head, parameters);
	if (self->form == PLAIN_POLL &&
		(self->action == PLAIN_OPEN || self->action == PLAIN_ATTACH))
		choose_wait(self, parameters, wait_limit_ms);
	else
		self->is_wait_preferred = false;
}

/* Appends the elements of a field's lists but PLAIN_SOCKET_PROTOCOL. */
static char *put_protocols(char *to, const struct fields *fields, enum field_id id, bool *is_first)
{
	for (uint32_t i = 0; i < fields->n; i++) {
		struct slice rest = fields->items[i].value, element;

		if (fields->items[i].id != id)
			continue;
		while (slice_next_element(&rest, &element)) {
			if (slice_equals(element, SLICE(PLAIN_SOCKET_PROTOCOL)))
				continue;
			if (!*is_first)
				to = mempcpy(to, ", ", 2);
			to = mempcpy(to, element.p, element.n);
			*is_first = false;
		}
	}
	return to;
}

static void find_protocols(
	struct plain_request *self, const struct fields *fields, struct arena *arena)
{
	bool is_first = true;
	size_t n = 0;
	char *text, *to;

	for (uint32_t i = 0; i < fields->n; i++)
		if (fields->items[i].id == FIELD_SEC_WEBSOCKET_PROTOCOL ||
			fields->items[i].id == FIELD_POLLUX_PROTOCOL)
			n += 2 * fields->items[i].value.n + 2;
	if (n == 0)
		return;
	text = arena_alloc_text(arena, n);
	to = put_protocols(text, fields, FIELD_SEC_WEBSOCKET_PROTOCOL, &is_first);
	to = put_protocols(to, fields, FIELD_POLLUX_PROTOCOL, &is_first);
	self->protocols = slice_of(text, (size_t)(to - text));
}

void plain_request_parse(struct plain_request *self, const struct request_head *head,
	uint64_t wait_limit_ms, struct arena *arena)
{
	const struct fields *fields = &head->fields;
	struct accepted accepted = parse_accept(fields);
	struct parameters parameters = {0};

	*self = (struct plain_request){.action = PLAIN_FORWARD, .wait_ms = wait_limit_ms};
	split_path(self, head->path);
	parse_query(self, &parameters, head, arena);
	self->form = find_form(&accepted);
	self->wants_text = wants_text(&accepted);
	self->is_wait_preferred = parse_prefer(fields, wait_limit_ms, &self->wait_ms, arena);
	parse_event_id(self, fields);
	find_protocols(self, fields, arena);
	self->ack = parse_number_field(fields, FIELD_POLLUX_ACK);
	self->seq = parse_number_field(fields, FIELD_POLLUX_SEQ);
	if (self->seq.state == PLAIN_GIVEN && self->seq.value == 0)
		self->seq.state = PLAIN_MALFORMED;
	choose_action(self, head, &parameters, wait_limit_ms);
	check_key(self, fields);
}

const char *plain_action_name(enum plain_action action)
{
	switch (action) {
	case PLAIN_FORWARD:
		return "forward";
	case PLAIN_TUNNEL:
		return "tunnel";
	case PLAIN_OPEN:
		return "open";
	case PLAIN_ATTACH:
		return "attach";
	case PLAIN_SEND:
		return "send";
	case PLAIN_CLOSE:
		return "close";
	case PLAIN_PREFLIGHT:
		return "preflight";
	case PLAIN_ERROR:
		return "error";
	}
	return "?";
}

const char *plain_form_name(enum plain_form form)
{
	switch (form) {
	case PLAIN_CREATED:
		return "created";
	case PLAIN_POLL:
		return "poll";
	case PLAIN_EVENTS:
		return "events";
	case PLAIN_LINES:
		return "lines";
	case PLAIN_BARE:
		return "bare";
	case PLAIN_SOCKET:
		return "socket";
	}
	return "?";
}
