#include "bridge/client/plain.h"

#include "bridge/client/plain_answer.h"
#include "bridge/client/plain_attach.h"
#include "bridge/client/plain_open.h"
#include "bridge/client/plain_send.h"
#include "bridge/session_id.h"
#include "proxy/route/hop_client.h"

/* Pollux-Ack. False: out of range, and answered. */
static bool check_acknowledgement(struct plain_exchange *px, struct session *session)
{
	const struct plain_number *ack = &px->request.ack;

	if (ack->state == PLAIN_ABSENT ||
		(ack->state == PLAIN_GIVEN && ack->value <= session->sent))
		return true;
	plain_answer_cursor(px, session);
	return false;
}

/* After the check. One that another request has overtaken does no harm. */
static void acknowledge(struct plain_exchange *px, struct session *session)
{
	const struct plain_number *ack = &px->request.ack;

	if (ack->state == PLAIN_GIVEN && ack->value > session_floor(session))
		session_acknowledge(session, ack->value);
}

/* Continues after a good cursor, or after what Pollux-Ack says beyond it. */
static void attach(struct plain_exchange *px, struct session *session, uint64_t after,
	const struct plain_reset_note *note)
{
	acknowledge(px, session);
	plain_attach(px, session, MAX(after, session_floor(session)), note);
}

/* GET P/~ID. */
static void start_attach(struct plain_exchange *px)
{
	const struct plain_request *request = &px->request;
	const struct plain_event_id *event_id = &request->last_event_id;
	struct session *session =
		session_table_find(&px->bridge->table, px->x, request->path, request->id);
	struct plain_number after = request->after;

	if (session == NULL) {
		plain_answer_unknown(px);
		return;
	}
	session_touch(session);
	if (request->form != PLAIN_POLL && event_id->state != PLAIN_ABSENT) {
		after = event_id->cursor;
		if (event_id->state == PLAIN_MALFORMED || !slice_equals(event_id->id, request->id))
			after.state = PLAIN_MALFORMED;
	}
	if (after.state == PLAIN_ABSENT)
		after = (struct plain_number){PLAIN_GIVEN, session->acknowledged};
	if (after.state != PLAIN_GIVEN || session_place_cursor(session, after.value) != CURSOR_GOOD)
		plain_answer_cursor(px, session);
	else if (check_acknowledgement(px, session))
		attach(px, session, after.value, NULL);
}

/* A stream that lives goes on, if need be from its oldest kept message. */
static void resume(struct plain_exchange *px, struct session *session)
{
	const struct plain_number *cursor = &px->request.last_event_id.cursor;
	struct plain_reset_note note = {.reset = PLAIN_RESET_CURSOR};
	uint64_t floor = session_floor(session);

	session_touch(session);
	if (!check_acknowledgement(px, session))
		return;
	if (cursor->state != PLAIN_GIVEN) {
		attach(px, session, floor, &note);
		return;
	}
	switch (session_place_cursor(session, cursor->value)) {
	case CURSOR_GOOD:
		attach(px, session, cursor->value, NULL);
		break;
	case CURSOR_ABOVE:
		attach(px, session, floor, &note);
		break;
	case CURSOR_BELOW:
		note = (struct plain_reset_note){PLAIN_RESET_GAP, cursor->value + 1, floor};
		attach(px, session, floor, &note);
		break;
	}
}

/* An opening; or, by Last-Event-ID, a stream that comes back. */
static void start_open(struct plain_exchange *px)
{
	static const struct plain_reset_note unknown = {.reset = PLAIN_RESET_UNKNOWN};
	const struct plain_request *request = &px->request;
	const struct plain_event_id *event_id = &request->last_event_id;
	bool is_stream = request->form == PLAIN_EVENTS || request->form == PLAIN_LINES;
	struct session *session = NULL;

	if (!is_stream || event_id->state == PLAIN_ABSENT) {
		plain_open_start(px, NULL);
		return;
	}
	if (event_id->state == PLAIN_GIVEN)
		session =
			session_table_find(&px->bridge->table, px->x, request->path, event_id->id);
	if (session != NULL)
		resume(px, session);
	else
		plain_open_start(px, &unknown);
}

/* POST and DELETE on P/~ID. */
static void start_send(struct plain_exchange *px)
{
	struct session *session =
		session_table_find(&px->bridge->table, px->x, px->request.path, px->request.id);

	if (session == NULL) {
		plain_answer_unknown(px);
		return;
	}
	if (session->state != SESSION_OPEN) {
		plain_answer_gone(px, session);
		return;
	}
	session_touch(session);
	if (!check_acknowledgement(px, session))
		return;
	acknowledge(px, session);
	plain_answer_set_session(px, session);
	if (px->request.action == PLAIN_SEND && !bridge_takes_messages(px->bridge))
		plain_answer_error(px, 405, session, "read only", NULL, 0);
	else if (px->request.action == PLAIN_CLOSE)
		plain_send_close(px, session);
	else
		plain_send_start(px, session);
}

/* What cannot be understood is a request of its session all the same. */
static void refuse(struct plain_exchange *px)
{
	const struct plain_request *request = &px->request;
	struct session *session = request->id.n == 0
		? NULL
		: session_table_find(&px->bridge->table, px->x, request->path, request->id);

	if (session != NULL)
		session_touch(session);
	plain_answer_error(px, request->status, session, request->error, NULL, 0);
}

static void start(struct plain_exchange *px)
{
	switch (px->request.action) {
	case PLAIN_FORWARD:
	case PLAIN_TUNNEL:
		break;
	case PLAIN_OPEN:
		start_open(px);
		break;
	case PLAIN_ATTACH:
		start_attach(px);
		break;
	case PLAIN_SEND:
	case PLAIN_CLOSE:
		start_send(px);
		break;
	case PLAIN_PREFLIGHT:
		plain_answer_preflight(px);
		break;
	case PLAIN_ERROR:
		refuse(px);
		break;
	}
}

static void forgo_socket(struct plain_exchange *px)
{
	struct plain_request *request = &px->request;

	request->action = request->id.n > 0 ? PLAIN_ERROR : PLAIN_TUNNEL;
	request->status = 400;
	request->error = "websocket is not supported here";
}

/* A WebSocket that cannot pass is a session, which ends with it. */
static void become_bare(struct plain_exchange *px)
{
	px->request.action = PLAIN_OPEN;
	px->request.form = PLAIN_BARE;
	px->request.has_key = false;
}

static bool plain_start(struct bridge *bridge, struct exchange *x)
{
	struct plain_exchange *px = arena_alloc_zeroed(&x->arena, sizeof(*px));
	const struct conf_route *route = bridge->route;

	px->bridge = bridge;
	px->x = x;
	plain_request_parse(&px->request, x->req, (uint64_t)route->poll_wait_ms, &x->arena);
	if (px->request.action == PLAIN_FORWARD)
		return false;
	px->verdict = origin_check(
		&x->req->fields, hop_client_scheme(x), hop_client_host(x), &route->allowed_origins);
	/* Without WebSockets a handshake is an ordinary request. */
	if (px->request.form == PLAIN_SOCKET && !route->websocket)
		forgo_socket(px);
	if (px->request.action == PLAIN_TUNNEL && route->websocket && !bridge_has_tunnels(bridge))
		become_bare(px);
	if (px->request.action == PLAIN_TUNNEL && px->verdict != ORIGIN_REFUSED)
		return false;
	/* Whoever reads the log must not get the session. */
	x->req->target = session_id_mask_target(x->req->target, &x->arena);
	/* Bodies have limits of their own here. */
	x->max_body_size = 0;
	if (px->verdict == ORIGIN_REFUSED) {
		exchange_set_reason(x, REASON_ORIGIN);
		plain_answer_error(px, 403, NULL, "origin", NULL, 0);
	} else {
		start(px);
	}
	return true;
}

/*
 * What is counted per address has to be counted in one place, and an opening that may be repeated
 * has to meet its repeats.
 */
static int owner_of_opening(struct exchange *x, const struct plain_request *request, size_t n_slots)
{
	const struct field *key = fields_find(&x->req->fields, FIELD_IDEMPOTENCY_KEY);

	if (request->last_event_id.state == PLAIN_GIVEN)
		return session_id_slot(request->last_event_id.id);
	if (x->route->max_sessions_per_address > 0)
		return dialect_owner_of_key(hop_client_address(x), n_slots);
	return key != NULL ? dialect_owner_of_key(key->value, n_slots) : -1;
}

static int plain_owner(struct bridge *bridge, struct exchange *x, size_t n_slots)
{
	struct plain_request *request = arena_alloc(&x->arena, sizeof(*request));

	plain_request_parse(request, x->req, (uint64_t)bridge->route->poll_wait_ms, &x->arena);
	if (request->action == PLAIN_OPEN)
		return owner_of_opening(x, request, n_slots);
	return request->id.n > 0 ? session_id_slot(request->id) : -1;
}

const struct dialect plain_dialect = {.name = "plain", .start = plain_start, .owner = plain_owner};
