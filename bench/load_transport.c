#include "bench/load_transport.h"

#include <stdio.h>
#include <string.h>

#include "proxy/base/macros.h"

static const struct load_transport transports[] = {
	{
		.name = "longpoll",
		.carrier = BY_POLL,
		.open = "POST $P",
		.opened = "\"session\":\"",
		.tells_id = true,
		.receive = "GET $P/~$I?wait=55&after=$C",
		.attach = "GET $P/~$I?wait=55&after=$C",
		.cursor = "\"cursor\":",
		.send = "POST $P/~$I",
		.message = "$M",
		.close = "DELETE $P/~$I",
	},
	{
		.name = "sse",
		.carrier = BY_STREAM,
		.open = "GET $P",
		.opened = "\"session\":\"",
		.tells_id = true,
		.attach = "GET $P/~$I?after=0",
		.fields = "Accept: text/event-stream\r\n",
		.send = "POST $P/~$I",
		.message = "$M",
		.close = "DELETE $P/~$I",
	},
	{
		.name = "json-lines",
		.carrier = BY_STREAM,
		.open = "GET $P",
		.opened = "\"session\":\"",
		.tells_id = true,
		.attach = "GET $P/~$I?after=0",
		.fields = "Accept: application/x-ndjson\r\n",
		.send = "POST $P/~$I",
		.message = "$M",
		.close = "DELETE $P/~$I",
	},
	{
		.name = "pollux.v1",
		.carrier = BY_WEBSOCKET,
		.open = "GET $P",
		.opened = "\"session\":\"",
		.tells_id = true,
		.attach = "GET $P/~$I?after=0",
		.fields = "Sec-WebSocket-Protocol: pollux.v1\r\n",
		.message = "{\"n\":$N,\"text\":\"$M\"}",
		.farewell = "{\"close\":{\"code\":1000}}",
	},
	{
		.name = "sockjs-xhr",
		.carrier = BY_POLL,
		.open = "POST $P/000/$I/xhr",
		.opened = "o\n",
		.receive = "POST $P/000/$I/xhr",
		.send = "POST $P/000/$I/xhr_send",
		.message = "[\"$M\"]",
	},
	{
		.name = "sockjs-xhr-streaming",
		.carrier = BY_STREAM,
		.open = "POST $P/000/$I/xhr_streaming",
		.opened = "o\n",
		.receive = "POST $P/000/$I/xhr_streaming",
		.send = "POST $P/000/$I/xhr_send",
		.message = "[\"$M\"]",
	},
	{
		.name = "sockjs-eventsource",
		.carrier = BY_STREAM,
		.open = "GET $P/000/$I/eventsource",
		.opened = "data: o",
		.receive = "GET $P/000/$I/eventsource",
		.send = "POST $P/000/$I/xhr_send",
		.message = "[\"$M\"]",
	},
	{
		.name = "sockjs-websocket",
		.carrier = BY_WEBSOCKET,
		.open = "GET $P/000/$I/websocket",
		.opened = "o",
		.message = "[\"$M\"]",
	},
	{
		.name = "engineio-polling",
		.carrier = BY_POLL,
		.open = "GET $P/?EIO=4&transport=polling",
		.opened = "\"sid\":\"",
		.tells_id = true,
		.receive = "GET $P/?EIO=4&transport=polling&sid=$I",
		.send = "POST $P/?EIO=4&transport=polling&sid=$I",
		.message = "4$M",
		.close = "POST $P/?EIO=4&transport=polling&sid=$I",
		.farewell = "1",
	},
	{
		.name = "engineio-websocket",
		.carrier = BY_WEBSOCKET,
		.open = "GET $P/?EIO=4&transport=polling",
		.opened = "\"sid\":\"",
		.tells_id = true,
		.receive = "GET $P/?EIO=4&transport=websocket&sid=$I",
		.probe = "2probe",
		.probed = "3probe",
		.confirm = "5",
		.message = "4$M",
	},
	/* Subscribers of servers that publish; they have no sessions. */
	{
		.name = "subscriber-poll",
		.carrier = BY_POLL,
		.receive = "GET $P",
		.fields = "If-Modified-Since: $T\r\nIf-None-Match: $E\r\n",
	},
	{
		.name = "subscriber-stream",
		.carrier = BY_STREAM,
		.open = "GET $P",
		.fields = "Accept: text/event-stream\r\n",
	},
	{
		.name = "websocket",
		.carrier = BY_WEBSOCKET,
		.open = "GET $P",
		.message = "$M",
	},
};

const struct load_transport *load_transport_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(transports); i++) {
		if (strcmp(transports[i].name, name) == 0)
			return &transports[i];
	}
	return NULL;
}

const char *load_transport_names(void)
{
	static char names[512];
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		n += (size_t)snprintf(
			names + n, sizeof(names) - n, "%s%s", i > 0 ? " " : "", transports[i].name);
	return names;
}

static void transport_print_number(struct buffer *out, unsigned long long number)
{
	char text[24];
	buffer_append(out, text, (size_t)snprintf(text, sizeof(text), "%llu", number));
}

void load_transport_print(struct buffer *out, const char *template, const struct load_words *words)
{
	for (const char *p = template; *p != '\0';) {
		size_t n = strcspn(p, "$");
		buffer_append(out, p, n);
		p += n;
		if (*p == '\0')
			break;
		switch (p[1]) {
		case 'P':
			buffer_append(out, words->path, strlen(words->path));
			break;
		case 'I':
			buffer_append(out, words->id, strlen(words->id));
			break;
		case 'M':
			buffer_append(out, words->message, words->message_size);
			break;
		case 'E':
			buffer_append(out, words->etag, strlen(words->etag));
			break;
		case 'T':
			buffer_append(out, words->last_modified, strlen(words->last_modified));
			break;
		case 'C':
			transport_print_number(out, words->cursor);
			break;
		case 'N':
			transport_print_number(out, words->n_sent);
			break;
		default:
			ASSERT(!"no such word");
		}
		p += 2;
	}
}
