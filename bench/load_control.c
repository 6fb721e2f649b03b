#include "bench/load_control.h"

#include <string.h>

#include "bench/load.h"
#include "bench/load_answer.h"
#include "bench/load_session.h"
#include "bench/load_transport.h"
#include "bench/load_websocket.h"

enum { COMMAND_MAX = 4096 };

static struct {
	const struct load_control_app *app;
	struct load_client client;
	struct sock_address address;
	bool is_ready;
	bool is_leaving; /* the answer said that the connection ends with it */
	struct load_answer answer;
	struct buffer out;
} control;

bool load_control_open(const struct load_control_app *app)
{
	const char *address = load_bridge.control;
	if (!address || !sock_parse_address(address, &control.address))
		return false;
	control.app = app;
	control.client.address = &control.address;
	load_client_open(&control.client);
	return true;
}

bool load_control_is_ready(void)
{
	return control.is_ready;
}

bool load_control_posts(void)
{
	return load_bridge.post_path != NULL;
}

bool load_control_owns(const struct load_client *c)
{
	return c == &control.client;
}

static void control_send(void)
{
	load_client_send(&control.client, buffer_bytes(&control.out), buffer_length(&control.out));
}

void load_control_on_connected(struct load_client *c)
{
	(void)c;
	if (load_bridge.post_path && !control.is_ready) {
		control.is_ready = true;
		control.app->on_ready();
		return;
	}
	if (control.is_ready) {
		control_send();
		return;
	}
	buffer_print(&control.out,
		"GET /push/control HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: cG9sbHV4LWJlbmNoLWtleQ==\r\n\r\n",
		load.host);
	control_send();
}

static void control_print_post(const char *text, size_t n)
{
	static struct buffer body;
	struct load_words words = {.message = text, .message_size = n};
	buffer_take(&body, buffer_length(&body));
	load_transport_print(&body, load_bridge.post_body ? load_bridge.post_body : "$M", &words);
	buffer_print(&control.out,
		"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\n"
		"Content-Length: %zu\r\n\r\n",
		load_bridge.post_path, load.host, buffer_length(&body));
	buffer_append(&control.out, buffer_bytes(&body), buffer_length(&body));
}

void load_control_say(const char *command, const char *text, size_t n)
{
	char payload[COMMAND_MAX], frame[WIRE_HEADER_MAX + COMMAND_MAX];
	size_t command_size = strlen(command);
	buffer_take(&control.out, buffer_length(&control.out));
	if (load_bridge.post_path) {
		control_print_post(text, n);
	} else if (command_size + n <= COMMAND_MAX) {
		memcpy(payload, command, command_size);
		memcpy(payload + command_size, text, n);
		buffer_append(&control.out, frame,
			websocket_write_frame(frame, WIRE_TEXT, payload, command_size + n));
	}
	if (control.client.state == LOAD_CLOSED)
		load_client_open(&control.client);
	else
		control_send();
}

static size_t control_take_answer(struct load_client *c, char *data, size_t n)
{
	enum answer_event event;
	struct slice value;
	size_t size = answer_take(&control.answer, data, n, &event);
	if (event == ANSWER_HEAD)
		control.is_leaving =
			answer_find_field(slice_of(data, size - 2), SLICE("connection"), &value) &&
			slice_list_has(value, SLICE("close"));
	if (event == ANSWER_WRONG || (event == ANSWER_HEAD && control.answer.status > 299))
		load_client_fail(c, "the control was refused");
	else if (control.answer.status == 101) {
		c->upgraded = control.is_ready = true;
		control.app->on_ready();
	} else if (event == ANSWER_END) {
		buffer_take(&control.answer.body, buffer_length(&control.answer.body));
		if (control.is_leaving)
			load_client_close(c);
		control.app->on_answer();
	}
	return size;
}

size_t load_control_on_bytes(struct load_client *c, char *data, size_t n)
{
	struct wire_frame frame;
	const char *wrong;
	if (!c->upgraded)
		return control_take_answer(c, data, n);
	size_t size = websocket_take_frame(data, n, &frame, &wrong);
	if (size > 0 && wrong)
		load_client_fail(c, wrong);
	else if (size > 0 && frame.opcode == WIRE_TEXT)
		control.app->on_answer();
	return size;
}

void load_control_on_closed(struct load_client *c)
{
	(void)c;
	answer_reset(&control.answer);
	if (control.is_leaving) {
		control.is_leaving = false;
		return;
	}
	if (control.is_ready && load.errors == 0)
		load_count_error("the control connection was closed");
	load_give_up();
}
