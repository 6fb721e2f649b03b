#include "tests/unit/bridge/stage_engineio.h"

static const char *id;

void engineio_stage(const char *route)
{
	stage_open_dialect("engineio", route);
}

struct client *engineio_ask(const char *fields)
{
	return client_request("GET", "/chat/?EIO=4&transport=polling&t=0", fields, NULL);
}

void engineio_greet(struct peer *peer)
{
	peer_text(peer,
		stage_text("0{\"sid\":\"backends\",\"upgrades\":[],\"pingInterval\":%d,"
			   "\"pingTimeout\":%d,\"maxPayload\":%d}",
			ENGINEIO_PING_INTERVAL_MS, ENGINEIO_PING_TIMEOUT_MS, ENGINEIO_MAX_PAYLOAD));
}

void engineio_take_id(struct client *client)
{
	const char *text = client_body(client);
	const char *start = strstr(text, "\"sid\":\"");

	assert_int_equal(client_status(client), 200);
	assert_non_null(start);
	start += strlen("\"sid\":\"");
	id = stage_text("%.*s", (int)strcspn(start, "\""), start);
}

struct peer *engineio_open(const char *route)
{
	struct client *client;
	struct peer *peer;

	engineio_stage(route);
	client = engineio_ask("");
	peer = peer_open();
	engineio_greet(peer);
	engineio_take_id(client);
	return peer;
}

const char *engineio_id(void)
{
	return id;
}

const char *engineio_target(const char *more)
{
	return stage_text("/chat/?EIO=4&transport=polling&sid=%s%s", id, more);
}

struct client *engineio_poll(void)
{
	return client_request("GET", engineio_target(""), "", NULL);
}

struct client *engineio_post(const char *body)
{
	return client_request(
		"POST", engineio_target(""), "Content-Type: text/plain;charset=UTF-8\r\n", body);
}

struct web_socket *engineio_candidate(void)
{
	return web_socket_open(stage_text("/chat/?EIO=4&transport=websocket&sid=%s", id), "");
}

struct web_socket *engineio_upgraded(void)
{
	struct web_socket *socket = engineio_candidate();

	web_socket_text(socket, "2probe");
	assert_string_equal(web_socket_received(socket), "text 3probe\n");
	web_socket_text(socket, "5");
	assert_string_equal(web_socket_received(socket), "");
	return socket;
}

void engineio_has(struct client *client, const char *payload)
{
	assert_int_equal(client_status(client), 200);
	assert_string_equal(client_body(client), payload);
	assert_string_equal(client_field(client, "Content-Type"), "text/plain; charset=UTF-8");
	assert_string_equal(client_field(client, "Cache-Control"), "no-store");
	assert_string_equal(
		client_field(client, "Content-Length"), stage_text("%zu", strlen(payload)));
}

void engineio_has_ok(struct client *client)
{
	assert_int_equal(client_status(client), 200);
	assert_string_equal(client_body(client), "ok");
	assert_string_equal(client_field(client, "Content-Type"), "text/html");
}

void engineio_has_error(struct client *client, unsigned status, int code, const char *message)
{
	assert_int_equal(client_status(client), status);
	assert_string_equal(client_field(client, "Content-Type"), "application/json");
	assert_string_equal(
		client_body(client), stage_text("{\"code\":%d,\"message\":\"%s\"}", code, message));
}

void engineio_waits(struct client *client)
{
	assert_int_equal(client_status(client), 0);
	assert_false(client_is_closed(client));
}

void engineio_is_unknown(void)
{
	engineio_has_error(engineio_poll(), 400, 1, "Session ID unknown");
}
