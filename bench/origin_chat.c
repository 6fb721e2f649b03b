#include "bench/origin_chat.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/origin_ws.h"
#include "bench/sock.h"
#include "proxy/base/memory.h"

enum {
	NAME_SIZE = 49,
	TEXT_LIMIT = 4096,
	REMEMBERED = 20,
	MEMBER_BACKLOG_LIMIT = 1024 * 1024, /* a member that reads this late is dropped */
};

struct member {
	char name[NAME_SIZE];
	struct conn *conn;
	TAILQ_ENTRY(member) link;
};

TAILQ_HEAD(member_list, member);

static struct room {
	struct member_list members;
	size_t n_members;
	unsigned int n_guests;	    /* ever named */
	json_t *recent[REMEMBERED]; /* a ring */
	size_t n_recent;	    /* ever remembered */
} room = {.members = TAILQ_HEAD_INITIALIZER(room.members)};

static void chat_send(struct member *to, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	ASSERT(text);
	ws_send(to->conn, WIRE_TEXT, text, strlen(text));
	free(text);
}

/* Says it to all; takes the reference. */
static void chat_say(json_t *object)
{
	struct member *member;
	char *text = json_dumps(object, JSON_COMPACT);
	ASSERT(text);
	size_t n = strlen(text);
	TAILQ_FOREACH (member, &room.members, link) {
		if (conn_backlog(member->conn) > MEMBER_BACKLOG_LIMIT)
			conn_finish(member->conn);
		else
			ws_send(member->conn, WIRE_TEXT, text, n);
	}
	free(text);
	json_decref(object);
}

static void chat_remember(json_t *message)
{
	json_t **slot = &room.recent[room.n_recent++ % REMEMBERED];
	json_decref(*slot);
	*slot = json_copy(message);
	json_object_set_new(*slot, "old", json_true());
}

static void chat_on_message(
	struct conn *c, void *app_state, enum wire_opcode opcode, char *data, size_t n)
{
	struct member *member = app_state;
	(void)c;
	json_t *text =
		opcode == WIRE_TEXT && n > 0 && n <= TEXT_LIMIT ? json_stringn(data, n) : NULL;
	if (!text) {
		json_t *error = json_pack("{s:s, s:s}", "kind", "error", "text",
			"a message is 1 to 4096 bytes of UTF-8 text");
		chat_send(member, error);
		json_decref(error);
		return;
	}
	json_t *message = json_pack("{s:s, s:s, s:o, s:I}", "kind", "message", "name", member->name,
		"text", text, "at", (json_int_t)(sock_wall_us() / 1000));
	chat_remember(message);
	chat_say(message);
}

static json_t *chat_notice(const char *kind, const struct member *member)
{
	return json_pack(
		"{s:s, s:s, s:i}", "kind", kind, "name", member->name, "here", (int)room.n_members);
}

static void chat_on_gone(struct conn *c, void *app_state)
{
	struct member *member = app_state;
	(void)c;
	TAILQ_REMOVE(&room.members, member, link);
	room.n_members--;
	chat_say(chat_notice("leave", member));
	free(member);
}

static const struct ws_app chat_app = {.on_message = chat_on_message, .on_gone = chat_on_gone};

static void chat_set_name(struct member *member, struct slice query)
{
	http_query_text(query, "name", member->name, sizeof(member->name));
	json_t *probe = json_string(member->name);
	if (!probe || member->name[0] == '\0')
		snprintf(member->name, sizeof(member->name), "guest-%u", ++room.n_guests);
	json_decref(probe);
}

void chat_open(struct conn *c, const struct http_request *request)
{
	struct member *member = memory_alloc_zeroed(sizeof(*member));
	member->conn = c;
	chat_set_name(member, request->query);
	if (!ws_open(c, request, &chat_app, member)) {
		free(member);
		return;
	}
	room.n_members++;
	json_t *welcome = chat_notice("welcome", member);
	chat_send(member, welcome);
	json_decref(welcome);
	size_t first = room.n_recent > REMEMBERED ? room.n_recent - REMEMBERED : 0;
	for (size_t i = first; i < room.n_recent; i++)
		chat_send(member, room.recent[i % REMEMBERED]);
	chat_say(chat_notice("join", member));
	TAILQ_INSERT_TAIL(&room.members, member, link);
}

void chat_free(void)
{
	for (size_t i = 0; i < REMEMBERED; i++) {
		json_decref(room.recent[i]);
		room.recent[i] = NULL;
	}
}
