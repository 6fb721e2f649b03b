#include "bridge/client/plain_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/http/h1_head.h"

/*
 * A row is a request line without version, further fields, and what must come of it:
 *
 *	ACTION [FORM] P [id=ID] [?QUERY] [wait=MS] [preferred] [json] [text] [after=N] [seq=N]
 *	[ack=N] [last=ID@N] [key=K] [protocols=LIST] [STATUS ERROR]
 *
 * where "!" in the place of a number is a malformed one, and what is absent is left out.
 */
struct row {
	const char *request;
	const char *fields;
	const char *result;
};

#define LIMIT_MS 25000
#define WEBSOCKET \
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define OURS(list) WEBSOCKET "Sec-WebSocket-Protocol: " list "\r\n"
#define EVENTS "Accept: text/event-stream\r\n"
#define LINES "Accept: application/x-ndjson\r\n"

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_clear(&arena);
	arena_release_cache();
	return 0;
}

struct summary {
	char text[1024];
	size_t n;
};

static void PRINTF_LIKE(2, 3) tell(struct summary *summary, const char *fmt, ...)
{
	size_t room = sizeof(summary->text) - summary->n;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(summary->text + summary->n, room, fmt, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < room);
	summary->n += (size_t)n;
}

static void tell_number(struct summary *summary, const char *name, struct plain_number number)
{
	switch (number.state) {
	case PLAIN_ABSENT:
		return;
	case PLAIN_GIVEN:
		tell(summary, "%s%llu", name, (unsigned long long)number.value);
		return;
	case PLAIN_MALFORMED:
		tell(summary, "%s!", name);
		return;
	}
}

static void summarise(struct summary *summary, const struct plain_request *request)
{
	bool has_form = request->action == PLAIN_OPEN || request->action == PLAIN_ATTACH;
	bool is_poll = has_form && request->form == PLAIN_POLL;

	*summary = (struct summary){.n = 0};
	tell(summary, "%s", plain_action_name(request->action));
	if (has_form)
		tell(summary, " %s", plain_form_name(request->form));
	tell(summary, " %.*s", SLICE_ARG(request->path));
	if (request->id.n > 0)
		tell(summary, " id=%.*s", SLICE_ARG(request->id));
	if (request->has_query)
		tell(summary, " ?%.*s", SLICE_ARG(request->query));
	if (is_poll)
		tell(summary, " wait=%llu", (unsigned long long)request->wait_ms);
	if (request->is_wait_preferred)
		tell(summary, " preferred");
	if (request->as_json)
		tell(summary, " json");
	if (request->wants_text)
		tell(summary, " text");
	tell_number(summary, " after=", request->after);
	tell_number(summary, " seq=", request->seq);
	tell_number(summary, " ack=", request->ack);
	if (request->last_event_id.state == PLAIN_MALFORMED)
		tell(summary, " last!");
	if (request->last_event_id.state == PLAIN_GIVEN) {
		tell(summary, " last=%.*s", SLICE_ARG(request->last_event_id.id));
		tell_number(summary, "@", request->last_event_id.cursor);
	}
	if (request->has_key)
		tell(summary, " key=%.*s", SLICE_ARG(request->key));
	if (request->protocols.n > 0)
		tell(summary, " protocols=%.*s", SLICE_ARG(request->protocols));
	if (request->action == PLAIN_ERROR)
		tell(summary, " %u %s", request->status, request->error);
}

/* Parsed in an allocation of its own size, so that a sanitizer sees a read beyond it. */
static void check_row(const struct row *row, uint64_t limit_ms)
{
	static const struct h1_limits limits = {
		.max_head_size = 4096, .max_fields = 24, .max_target_size = 1024};
	struct plain_request request;
	struct request_head head;
	struct summary summary;
	char *text;
	int n = asprintf(&text, "%s HTTP/1.1\r\nHost: a\r\n%s\r\n", row->request, row->fields);
	char *exact = malloc((size_t)n);

	memcpy(exact, text, (size_t)n);
	free(text);
	assert_int_equal(
		h1_parse_request(slice_of(exact, (size_t)n), &limits, &arena, &head), REASON_NONE);
	plain_request_parse(&request, &head, limit_ms, &arena);
	summarise(&summary, &request);
	if (strcmp(summary.text, row->result) != 0)
		fail_msg("%s | %s\n   is: %s\n must: %s", row->request, row->fields, summary.text,
			row->result);
	free(exact);
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_row(&rows[i], LIMIT_MS);
}

static void a_last_segment_with_a_tilde_is_a_session(void **state)
{
	static const struct row rows[] = {
		{"DELETE /chat/~w1.ab", "", "close /chat id=w1.ab"},
		{"DELETE /chat/x/~A-Z_9.", "", "close /chat/x id=A-Z_9."},
		{"DELETE /chat//~w1.ab", "", "close /chat/ id=w1.ab"},
		{"DELETE /~w1.ab", "", "close  id=w1.ab"},
		{"DELETE /chat/~a%20b", "", "forward /chat/~a%20b"},
		{"DELETE /chat/~a~b", "", "forward /chat/~a~b"},
		{"DELETE /chat/~", "", "forward /chat/~"},
		{"DELETE /chat/~a/", "", "forward /chat/~a/"},
		{"DELETE /chat/~a/b", "", "forward /chat/~a/b"},
		{"DELETE /chat/~a/~b", "", "close /chat/~a id=b"},
		{"DELETE /chat/x~a", "", "forward /chat/x~a"},
		{"DELETE /chat?/~a", "", "forward /chat ?/~a"},
		{"DELETE /chat/%7Ea", "", "forward /chat/%7Ea"},
		{"DELETE /", "", "forward /"},
		{"OPTIONS *", "", "preflight *"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void a_websocket_handshake_is_a_tunnel(void **state)
{
	static const struct row rows[] = {
		{"GET /chat", WEBSOCKET, "tunnel /chat"},
		{"GET /chat?wait=x&a=1", WEBSOCKET EVENTS "Idempotency-Key:\r\n",
			"tunnel /chat ?a=1"},
		{"GET /chat/", WEBSOCKET, "tunnel /chat/"},
		{"GET /chat/~a?after=3", WEBSOCKET,
			"error /chat id=a after=3 400 websocket is not supported here"},
		{"GET /chat/~a?after=3", WEBSOCKET "Sec-WebSocket-Protocol: pollux.v2\r\n",
			"error /chat id=a after=3 protocols=pollux.v2 400 websocket is not "
			"supported here"},
		/* not valid: the key is missing */
		{"GET /chat",
			"Connection: Upgrade\r\nUpgrade: websocket\r\n"
			"Sec-WebSocket-Version: 13\r\n",
			"forward /chat"},
		{"GET /chat/~a", "Connection: Upgrade\r\nUpgrade: websocket\r\n",
			"attach poll /chat id=a wait=25000"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void a_websocket_that_is_ours_is_a_session(void **state)
{
	static const struct row rows[] = {
		{"GET /chat?a=1", OURS("pollux.v1"), "open socket /chat ?a=1"},
		{"GET /chat?wait=x", OURS("pollux.v1") EVENTS "Prefer: wait=3\r\n",
			"open socket /chat"},
		{"GET /chat", OURS("chat.v2, pollux.v1,other"),
			"open socket /chat protocols=chat.v2, other"},
		{"GET /chat", OURS("pollux.v1") "Sec-WebSocket-Protocol: b\r\n",
			"open socket /chat protocols=b"},
		{"GET /chat", OURS("Pollux.v1"), "tunnel /chat protocols=Pollux.v1"},
		{"GET /chat/", OURS("pollux.v1"), "error /chat/ 404 unknown session"},
		{"GET /chat/~a?after=3", OURS("pollux.v1"), "attach socket /chat id=a after=3"},
		{"GET /chat/~a?after=x", OURS("pollux.v1"), "attach socket /chat id=a after=!"},
		/* what pages send where they cannot name subprotocols */
		{"POST /chat", "Pollux-Protocol: a, pollux.v1 , b\r\n",
			"open created /chat protocols=a, b"},
		{"POST /chat", "Sec-WebSocket-Protocol: pollux.v1\r\n", "open created /chat"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void methods_on_a_session(void **state)
{
	static const struct row rows[] = {
		{"GET /c/~a", "", "attach poll /c id=a wait=25000"},
		{"GET /c/~a?close", "", "attach poll /c id=a ?close wait=25000"},
		{"GET /c/~a", EVENTS, "attach events /c id=a"},
		{"GET /c/~a", LINES, "attach lines /c id=a"},
		{"POST /c/~a", "", "send /c id=a"},
		{"POST /c/~a", EVENTS "Prefer: wait=3\r\n", "send /c id=a"},
		{"POST /c/~a?close", "", "close /c id=a ?close"},
		{"POST /c/~a?close=", "", "close /c id=a ?close="},
		{"POST /c/~a?x&close=1", "", "close /c id=a ?x&close=1"},
		{"POST /c/~a?closed", "", "send /c id=a ?closed"},
		{"POST /c/~a?Close", "", "send /c id=a ?Close"},
		{"POST /c/~a?x=close", "", "send /c id=a ?x=close"},
		{"DELETE /c/~a", "", "close /c id=a"},
		{"DELETE /c/~a?wait=x", "", "close /c id=a"},
		{"OPTIONS /c/~a", "", "preflight /c id=a"},
		{"HEAD /c/~a", "", "error /c id=a 405 method"},
		{"PUT /c/~a", "", "error /c id=a 405 method"},
		{"PATCH /c/~a", "", "error /c id=a 405 method"},
		{"get /c/~a", "", "error /c id=a 405 method"},
		{"FOO /c/~a", EVENTS, "error /c id=a 405 method"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void methods_on_a_path(void **state)
{
	static const struct row rows[] = {
		{"GET /c", "", "forward /c"},
		{"GET /c", "Accept: */*\r\n", "forward /c"},
		{"GET /c", EVENTS, "open events /c"},
		{"GET /c", LINES, "open lines /c"},
		{"GET /c?wait=3", "", "open poll /c wait=3000"},
		{"GET /c", "Prefer: wait=3\r\n", "open poll /c wait=3000 preferred"},
		{"GET /c", "Last-Event-ID: a.1\r\n", "forward /c last=a@1"},
		{"GET /c?after=3", "", "forward /c after=3"},
		{"POST /c", "", "open created /c"},
		{"POST /c?close", "", "open created /c ?close"},
		{"POST /c?wait=x", EVENTS "Prefer: wait=3\r\n", "open created /c"},
		{"OPTIONS /c", "", "preflight /c"},
		{"OPTIONS /c/", EVENTS, "preflight /c/"},
		{"HEAD /c", EVENTS, "forward /c"},
		{"HEAD /c", "Prefer: wait=3\r\n", "forward /c"},
		{"PUT /c?wait=3", "", "forward /c"},
		{"DELETE /c", "", "forward /c"},
		{"post /c", "", "forward /c"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void a_path_that_ends_in_a_slash_opens_nothing(void **state)
{
	static const struct row rows[] = {
		{"GET /c/", "", "forward /c/"},
		{"GET /", "", "forward /"},
		{"HEAD /c/", EVENTS, "forward /c/"},
		{"GET /c/", EVENTS, "error /c/ 404 unknown session"},
		{"GET /", LINES, "error / 404 unknown session"},
		{"GET /c/?wait=3", "", "error /c/ 404 unknown session"},
		{"GET /c/?wait=x", "", "error /c/ 404 unknown session"},
		{"GET /c/", "Prefer: wait=1\r\n", "error /c/ 404 unknown session"},
		{"POST /c/", "", "error /c/ 404 unknown session"},
		{"POST /c/", "Idempotency-Key:\r\n", "error /c/ 404 unknown session"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void accept_names_a_stream_or_does_not(void **state)
{
	static const struct row rows[] = {
		{"GET /c", "Accept: text/*\r\n", "forward /c"},
		{"GET /c", "Accept: application/*, */*\r\n", "forward /c"},
		{"GET /c", "Accept: application/json\r\n", "forward /c"},
		{"GET /c", "Accept: Text/Event-STREAM\r\n", "open events /c"},
		{"GET /c", "Accept: text/event-streams\r\n", "forward /c"},
		{"GET /c", "Accept: text/event-stream;charset=utf-8\r\n", "open events /c"},
		{"GET /c", "Accept: text/event-stream ; q=0.001\r\n", "open events /c"},
		{"GET /c", "Accept: text/event-stream;q=0\r\n", "forward /c"},
		{"GET /c", "Accept: text/event-stream;Q=0.000\r\n", "forward /c"},
		{"GET /c", "Accept: text/event-stream;q=0.\r\n", "forward /c"},
		{"GET /c", "Accept: text/event-stream;x=\"a;q=0\"\r\n", "open events /c"},
		{"GET /c", "Accept: text/event-stream;x=\"a,b\";q=0\r\n", "forward /c"},
		/* no weights at all */
		{"GET /c", "Accept: text/event-stream;q=0.0000\r\n", "open events /c"},
		{"GET /c", "Accept: text/event-stream;q=-0\r\n", "open events /c"},
		{"GET /c", "Accept: text/event-stream;q=.0\r\n", "open events /c"},
		{"GET /c", "Accept: text/event-stream;q=\r\n", "open events /c"},
		{"GET /c", "Accept: a/b, text/event-stream\r\n", "open events /c"},
		{"GET /c", "Accept: a/b\r\nAccept: text/event-stream\r\n", "open events /c"},
		{"GET /c", "Accept: \"text/event-stream\"\r\n", "forward /c"},
		{"GET /c", "Accept: ,,;q=1,\r\n", "forward /c"},
		/* both */
		{"GET /c", EVENTS LINES, "open events /c"},
		{"GET /c", LINES EVENTS, "open lines /c"},
		{"GET /c", "Accept: application/x-ndjson;q=0.5, text/event-stream\r\n",
			"open events /c"},
		{"GET /c", "Accept: text/event-stream;q=0.899, application/x-ndjson;q=0.9\r\n",
			"open lines /c"},
		{"GET /c", "Accept: application/x-ndjson;q=0.70, text/event-stream;q=0.7\r\n",
			"open lines /c"},
		{"GET /c",
			"Accept: application/x-ndjson;q=0, text/event-stream, "
			"application/x-ndjson\r\n",
			"open events /c"},
		/* a stream wins over a wait */
		{"GET /c?wait=3", EVENTS "Prefer: wait=4\r\n", "open events /c"},
		{"GET /c?wait=x", LINES, "open lines /c"},
		{"GET /c/~a?wait=x", EVENTS, "attach events /c id=a"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void accept_prefers_text_to_json_or_does_not(void **state)
{
	static const struct row rows[] = {
		{"POST /c", "Accept: text/plain\r\n", "open created /c text"},
		{"POST /c", "Accept: TEXT/Plain; charset=utf-8\r\n", "open created /c text"},
		{"POST /c", "Accept: text/plain;q=0\r\n", "open created /c"},
		{"POST /c", "Accept: text/*\r\n", "open created /c"},
		{"POST /c", "Accept: */*\r\n", "open created /c"},
		{"POST /c", "Accept: text/plain, */*\r\n", "open created /c text"},
		{"POST /c", "Accept: application/json, text/plain, */*\r\n", "open created /c"},
		{"POST /c", "Accept: text/plain, application/json\r\n", "open created /c text"},
		{"POST /c", "Accept: application/json;q=0.5, text/plain\r\n",
			"open created /c text"},
		{"POST /c", "Accept: text/plain;q=0.5, application/json;q=0.6\r\n",
			"open created /c"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void wait_in_the_query(void **state)
{
	static const struct row rows[] = {
		{"GET /c/~a?wait=0", "", "attach poll /c id=a wait=0"},
		{"GET /c/~a?wait=007", "", "attach poll /c id=a wait=7000"},
		{"GET /c/~a?wait=24", "", "attach poll /c id=a wait=24000"},
		{"GET /c/~a?wait=25", "", "attach poll /c id=a wait=25000"},
		{"GET /c/~a?wait=26", "", "attach poll /c id=a wait=25000"},
		{"GET /c/~a?wait=18446744073709551616", "", "attach poll /c id=a wait=25000"},
		{"GET /c/~a?wait=100000000000000000000000000000000000000000000000000000000", "",
			"attach poll /c id=a wait=25000"},
		{"GET /c/~a?wait=", "", "error /c id=a 400 wait"},
		{"GET /c/~a?wait", "", "error /c id=a 400 wait"},
		{"GET /c/~a?wait=1.5", "", "error /c id=a 400 wait"},
		{"GET /c/~a?wait=-1", "", "error /c id=a 400 wait"},
		{"GET /c/~a?wait=+1", "", "error /c id=a 400 wait"},
		{"GET /c/~a?wait=%31", "", "error /c id=a 400 wait"},
		{"GET /c/~a?wait=1s", "", "error /c id=a 400 wait"},
		{"GET /c/~a?wait=99999999999999999999x", "", "error /c id=a 400 wait"},
		{"GET /c/~a?wait=1&wait=1", "", "error /c id=a 400 wait"},
		{"GET /c?wait=", "", "error /c 400 wait"},
		{"GET /c?wait=x", "Prefer: wait=3\r\n", "error /c 400 wait"},
		{"GET /c?wait=2", "Prefer: wait=3\r\n", "open poll /c wait=2000"},
		{"GET /c?Wait=2", "", "forward /c ?Wait=2"},
		{"GET /c?await=2", "", "forward /c ?await=2"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void wait_in_prefer(void **state)
{
	static const struct row rows[] = {
		{"GET /c", "Prefer: wait=0\r\n", "open poll /c wait=0 preferred"},
		{"GET /c", "Prefer: WAIT = \"5\" ; x=1\r\n", "open poll /c wait=5000 preferred"},
		{"GET /c", "Prefer: wait=\"\\1\\2\"\r\n", "open poll /c wait=12000 preferred"},
		{"GET /c", "Prefer: wait=99\r\n", "open poll /c wait=25000 preferred"},
		{"GET /c", "Prefer: respond-async, wait=5\r\n", "open poll /c wait=5000 preferred"},
		{"GET /c", "Prefer: respond-async;wait=5\r\n", "forward /c"},
		{"GET /c", "Prefer: x=\"a, wait=9\", wait=5\r\n",
			"open poll /c wait=5000 preferred"},
		{"GET /c", "Prefer: x\r\nPrefer: wait=5\r\n", "open poll /c wait=5000 preferred"},
		{"GET /c", "Prefer: wait=5, wait=6\r\n", "open poll /c wait=5000 preferred"},
		{"GET /c", "Prefer: wait=x, wait=6\r\n", "open poll /c wait=6000 preferred"},
		{"GET /c", "Prefer: wait\r\n", "forward /c"},
		{"GET /c", "Prefer: wait=\r\n", "forward /c"},
		{"GET /c", "Prefer: wait=\"\"\r\n", "forward /c"},
		{"GET /c", "Prefer: wait=\"5\r\n", "forward /c"},
		{"GET /c", "Prefer: wait=5\"\r\n", "forward /c"},
		{"GET /c", "Prefer: wait=1.5\r\n", "forward /c"},
		{"GET /c", "Prefer: wait=-1\r\n", "forward /c"},
		{"GET /c", "Prefer: awaits=5\r\n", "forward /c"},
		{"GET /c/~a", "Prefer: wait=x\r\n", "attach poll /c id=a wait=25000"},
		{"GET /c/~a", "Prefer: wait=\"\"\r\n", "attach poll /c id=a wait=25000"},
		{"GET /c/~a", "Prefer: wait=6\r\n", "attach poll /c id=a wait=6000 preferred"},
		{"GET /c/~a", "Prefer: wait=6\r\n" EVENTS, "attach events /c id=a"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void a_limit_need_not_be_a_whole_second(void **state)
{
	static const struct row at_limit = {"GET /c?wait=1", "", "open poll /c wait=1000"};
	static const struct row over = {"GET /c?wait=2", "", "open poll /c wait=1500"};
	static const struct row none = {"GET /c/~a", "", "attach poll /c id=a wait=1500"};
	static const struct row no_wait = {"GET /c?wait=1", "", "open poll /c wait=0"};

	(void)state;
	check_row(&at_limit, 1500);
	check_row(&over, 1500);
	check_row(&none, 1500);
	check_row(&no_wait, 0);
}

static void our_parameters_do_not_go_to_the_backend(void **state)
{
	static const struct row rows[] = {
		{"POST /c", "", "open created /c"},
		{"POST /c?", "", "open created /c ?"},
		{"POST /c?a=1&b=%20+", "", "open created /c ?a=1&b=%20+"},
		{"POST /c?as=json", "", "open created /c json"},
		{"POST /c?wait=1&after=2&as=json", "", "open created /c json after=2"},
		{"POST /c?a=1&wait=1&b=2&after=2&a=3", "", "open created /c ?a=1&b=2&a=3 after=2"},
		{"POST /c?wait=1&&a", "", "open created /c ?&a"},
		{"POST /c?&a&", "", "open created /c ?&a&"},
		{"POST /c?wait=1&", "", "open created /c"},
		{"POST /c?waits=1&xafter=2&asx&=as", "",
			"open created /c ?waits=1&xafter=2&asx&=as"},
		{"POST /c?a=wait=1;wait=2", "", "open created /c ?a=wait=1;wait=2"},
		{"POST /c?%77ait=1", "", "open created /c ?%77ait=1"},
		/* other values of `as` mean nothing */
		{"POST /c?as", "", "open created /c"},
		{"POST /c?as=JSON", "", "open created /c"},
		{"POST /c?as=json1", "", "open created /c"},
		{"POST /c?as=text&as=json", "", "open created /c json"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void numbers(void **state)
{
	static const struct row rows[] = {
		{"POST /c/~a?after=0", "", "send /c id=a after=0"},
		{"POST /c/~a?after=18446744073709551615", "",
			"send /c id=a after=18446744073709551615"},
		{"POST /c/~a?after=18446744073709551616", "", "send /c id=a after=!"},
		{"POST /c/~a?after=", "", "send /c id=a after=!"},
		{"POST /c/~a?after", "", "send /c id=a after=!"},
		{"POST /c/~a?after=-1", "", "send /c id=a after=!"},
		{"POST /c/~a?after=1x", "", "send /c id=a after=!"},
		{"POST /c/~a?after=%31", "", "send /c id=a after=!"},
		{"POST /c/~a?after=1&after=1", "", "send /c id=a after=!"},
		{"POST /c/~a?after=1&after=1&after=1", "", "send /c id=a after=!"},
		{"POST /c/~a", "Pollux-Seq: 1\r\nPollux-Ack: 0\r\n", "send /c id=a seq=1 ack=0"},
		{"POST /c/~a", "pollux-seq: 18446744073709551615\r\n",
			"send /c id=a seq=18446744073709551615"},
		{"POST /c/~a", "Pollux-Seq: 0\r\n", "send /c id=a seq=!"},
		{"POST /c/~a", "Pollux-Seq:\r\nPollux-Ack:\r\n", "send /c id=a seq=! ack=!"},
		{"POST /c/~a", "Pollux-Seq: 1, 2\r\nPollux-Ack: a\r\n", "send /c id=a seq=! ack=!"},
		{"POST /c/~a", "Pollux-Seq: 1\r\nPollux-Seq: 1\r\n", "send /c id=a seq=!"},
		{"POST /c/~a", "Pollux-Ack: 1\r\nPollux-Ack: 1\r\n", "send /c id=a ack=!"},
		{"POST /c", "Pollux-Seq: 1\r\n", "open created /c seq=1"},
		{"GET /c/~a", "Pollux-Ack: 7\r\n", "attach poll /c id=a wait=25000 ack=7"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

static void last_event_ids(void **state)
{
	static const struct row rows[] = {
		{"GET /c", EVENTS "Last-Event-ID: w1.ab.7\r\n", "open events /c last=w1.ab@7"},
		{"GET /c", EVENTS "Last-Event-ID: ab.0\r\n", "open events /c last=ab@0"},
		{"GET /c", EVENTS "Last-Event-ID: w1.ab.x\r\n", "open events /c last=w1.ab@!"},
		{"GET /c", EVENTS "Last-Event-ID: w1.ab.\r\n", "open events /c last=w1.ab@!"},
		{"GET /c", EVENTS "Last-Event-ID: w1.ab.18446744073709551616\r\n",
			"open events /c last=w1.ab@!"},
		{"GET /c", EVENTS "Last-Event-ID: w1.ab\r\n", "open events /c last=w1@!"},
		{"GET /c", EVENTS "Last-Event-ID: 42\r\n", "open events /c last!"},
		{"GET /c", EVENTS "Last-Event-ID:\r\n", "open events /c last!"},
		{"GET /c", EVENTS "Last-Event-ID: .7\r\n", "open events /c last!"},
		{"GET /c", EVENTS "Last-Event-ID: a b.7\r\n", "open events /c last!"},
		{"GET /c", EVENTS "Last-Event-ID: a.7\r\nLast-Event-ID: a.7\r\n",
			"open events /c last!"},
		{"GET /c/~b?after=3", EVENTS "Last-Event-ID: a.7\r\n",
			"attach events /c id=b after=3 last=a@7"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

#define TEXT_51 "123456789012345678901234567890123456789012345678901"
#define TEXT_255 TEXT_51 TEXT_51 TEXT_51 TEXT_51 TEXT_51

static void idempotency_keys(void **state)
{
	static const struct row rows[] = {
		{"POST /c", "Idempotency-Key: k\r\n", "open created /c key=k"},
		{"POST /c", "Idempotency-Key:  \t \"a b\" \r\n", "open created /c key=\"a b\""},
		{"GET /c", EVENTS "Idempotency-Key: k\r\n", "open events /c key=k"},
		{"POST /c", "Idempotency-Key: " TEXT_255 "\r\n", "open created /c key=" TEXT_255},
		{"POST /c", "Idempotency-Key: x" TEXT_255 "\r\n", "error /c 400 idempotency key"},
		{"POST /c", "Idempotency-Key:\r\n", "error /c 400 idempotency key"},
		{"POST /c", "Idempotency-Key: k\r\nIdempotency-Key: k\r\n",
			"error /c 400 idempotency key"},
		{"GET /c?wait=1", "Idempotency-Key:\r\n", "error /c 400 idempotency key"},
		/* of no account where nothing is opened */
		{"GET /c", "Idempotency-Key:\r\n", "forward /c"},
		{"OPTIONS /c", "Idempotency-Key:\r\n", "preflight /c"},
		{"POST /c/~a", "Idempotency-Key:\r\n", "send /c id=a"},
		{"POST /c/~a", "Idempotency-Key: k\r\n", "send /c id=a key=k"},
	};

	(void)state;
	check_rows(rows, ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_last_segment_with_a_tilde_is_a_session),
		cmocka_unit_test(a_websocket_handshake_is_a_tunnel),
		cmocka_unit_test(a_websocket_that_is_ours_is_a_session),
		cmocka_unit_test(methods_on_a_session),
		cmocka_unit_test(methods_on_a_path),
		cmocka_unit_test(a_path_that_ends_in_a_slash_opens_nothing),
		cmocka_unit_test(accept_names_a_stream_or_does_not),
		cmocka_unit_test(accept_prefers_text_to_json_or_does_not),
		cmocka_unit_test(wait_in_the_query),
		cmocka_unit_test(wait_in_prefer),
		cmocka_unit_test(a_limit_need_not_be_a_whole_second),
		cmocka_unit_test(our_parameters_do_not_go_to_the_backend),
		cmocka_unit_test(numbers),
		cmocka_unit_test(last_event_ids),
		cmocka_unit_test(idempotency_keys),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
