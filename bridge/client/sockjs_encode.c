#include "bridge/client/sockjs_encode.h"

#include <string.h>

#include "proxy/http/ws_frame.h"

/* Browsers that had to see so much before they gave anything out. */
#define XHR_PRELUDE_SIZE 2048
#define HTML_PRELUDE_SIZE 1024

/* What an escaped text may need besides: '<' where the text stands in a script of a page. */
enum escape {
	ESCAPE_JSON,
	ESCAPE_SCRIPT,
};

/* Bytes of the character that starts here; the text is valid UTF-8. */
static size_t read_character(const unsigned char *p, uint32_t *c)
{
	if (p[0] < 0x80) {
		*c = p[0];
		return 1;
	}
	if (p[0] < 0xe0) {
		*c = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
		return 2;
	}
	if (p[0] < 0xf0) {
		*c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
		return 3;
	}
	*c = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
	return 4;
}

static bool needs_number(uint32_t c)
{
	return c < 0x20 || (c >= 0x200c && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
		(c >= 0x2060 && c <= 0x206f) || c >= 0xfff0;
}

static const char *short_escape(uint32_t c)
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\b':
		return "\\b";
	case '\t':
		return "\\t";
	case '\n':
		return "\\n";
	case '\f':
		return "\\f";
	case '\r':
		return "\\r";
	default:
		return NULL;
	}
}

static void encode_number(struct bytes *out, uint32_t c)
{
	if (c > 0xffff) {
		c -= 0x10000;
		bytes_printf(out, "\\u%04x\\u%04x", 0xd800 + (unsigned)(c >> 10),
			0xdc00 + (unsigned)(c & 0x3ff));
	} else {
		bytes_printf(out, "\\u%04x", (unsigned)c);
	}
}

/* What stands between the quotes of a JSON string; runs that are as they are go at once. */
static void encode_characters(struct bytes *out, struct slice text, enum escape escape)
{
	const unsigned char *p = (const unsigned char *)text.p, *end = p + text.n, *run = p;

	while (p < end) {
		uint32_t c;
		size_t n = read_character(p, &c);
		const char *instead = short_escape(c);
		bool is_number = needs_number(c) || (escape == ESCAPE_SCRIPT && c == '<');

		if (instead != NULL || is_number) {
			bytes_append(out, run, (size_t)(p - run));
			if (instead != NULL)
				bytes_append_string(out, instead);
			else
				encode_number(out, c);
			run = p + n;
		}
		p += n;
	}
	bytes_append(out, run, (size_t)(p - run));
}

static void encode_string(struct bytes *out, struct slice text, enum escape escape)
{
	bytes_append_string(out, "\"");
	if (text.n > 0)
		encode_characters(out, text, escape);
	bytes_append_string(out, "\"");
}

/* Frames. */

void sockjs_encode_open(struct bytes *out)
{
	bytes_append_string(out, "o");
}

void sockjs_encode_heartbeat(struct bytes *out)
{
	bytes_append_string(out, "h");
}

void sockjs_encode_messages(
	struct bytes *out, const struct message *first, const struct message *last)
{
	const struct message *item;

	bytes_append_string(out, "a[");
	for (item = first;; item = TAILQ_NEXT(item, link)) {
		if (item != first)
			bytes_append_string(out, ",");
		encode_string(out, message_payload(item), ESCAPE_JSON);
		if (item == last)
			break;
	}
	bytes_append_string(out, "]");
}

void sockjs_encode_close(struct bytes *out, uint16_t code, struct slice reason)
{
	if (code == WS_CODE_NO_STATUS) {
		code = WS_CODE_NORMAL;
		reason = SLICE("Normal closure");
	} else if (code == WS_CODE_ABNORMAL && reason.n == 0) {
		reason = SLICE("Connection lost");
	}
	bytes_printf(out, "c[%u,", (unsigned)code);
	encode_string(out, reason, ESCAPE_JSON);
	bytes_append_string(out, "]");
}

/* Transports. */

/* The client undoes it with decodeURI. */
static void encode_event(struct bytes *out, struct slice frame)
{
	size_t start = 0;

	for (size_t i = 0; i < frame.n; i++) {
		char c = frame.p[i];

		if (c != '%' && c != '\r' && c != '\n' && c != '\0')
			continue;
		bytes_append(out, frame.p + start, i - start);
		bytes_printf(out, "%%%02X", (unsigned)(unsigned char)c);
		start = i + 1;
	}
	bytes_append(out, frame.p + start, frame.n - start);
}

static void wrap(struct bytes *out, enum sockjs_transport transport, struct slice callback,
	struct slice frame)
{
	switch (transport) {
	case SOCKJS_XHR:
	case SOCKJS_XHR_STREAMING:
		bytes_append_slice(out, frame);
		bytes_append_string(out, "\n");
		break;
	case SOCKJS_EVENTSOURCE:
		bytes_append_string(out, "data: ");
		encode_event(out, frame);
		bytes_append_string(out, "\r\n\r\n");
		break;
	case SOCKJS_HTMLFILE:
		bytes_append_string(out, "<script>\np(");
		encode_string(out, frame, ESCAPE_SCRIPT);
		bytes_append_string(out, ");\n</script>\r\n");
		break;
	case SOCKJS_JSONP:
		/* The comment keeps the answer from being anything but a script. */
		bytes_append_string(out, "/**/");
		bytes_append_slice(out, callback);
		bytes_append_string(out, "(");
		encode_string(out, frame, ESCAPE_SCRIPT);
		bytes_append_string(out, ");\r\n");
		break;
	case SOCKJS_TRANSPORT_WEBSOCKET:
		bytes_append_slice(out, frame);
		break;
	case SOCKJS_XHR_SEND:
	case SOCKJS_JSONP_SEND:
	case SOCKJS_NO_TRANSPORT:
		ASSERT(!"a transport that receives nothing");
	}
}

void sockjs_encode_wrap(struct bytes *out, enum sockjs_transport transport, struct slice callback,
	struct bytes *frame)
{
	wrap(out, transport, callback, bytes_linearize(frame, bytes_size(frame)));
	bytes_clear(frame);
}

static void fill(struct bytes *out, char c, size_t n)
{
	char run[128];

	memset(run, c, sizeof(run));
	for (; n > sizeof(run); n -= sizeof(run))
		bytes_append(out, run, sizeof(run));
	bytes_append(out, run, n);
}

/* Defines p, with which the scripts behind it call the page's function. */
static void encode_html_prelude(struct bytes *out, struct slice callback)
{
	static const char before[] =
		"<!doctype html>\n<html><head>\n"
		"  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n"
		"  <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />\n"
		"</head><body><h2>Don't panic!</h2>\n"
		"  <script>\n"
		"    document.domain = document.domain;\n"
		"    var c = parent.";
	static const char after[] = ";\n"
				    "    c.start();\n"
				    "    function p(d) {c.message(d);};\n"
				    "    window.onload = c.stop;\n"
				    "  </script>\n";

	bytes_append_string(out, before);
	bytes_append_slice(out, callback);
	bytes_append_string(out, after);
	fill(out, ' ', HTML_PRELUDE_SIZE);
	bytes_append_string(out, "\r\n\r\n");
}

void sockjs_encode_prelude(
	struct bytes *out, enum sockjs_transport transport, struct slice callback)
{
	switch (transport) {
	case SOCKJS_XHR_STREAMING:
		fill(out, 'h', XHR_PRELUDE_SIZE);
		bytes_append_string(out, "\n");
		break;
	case SOCKJS_EVENTSOURCE:
		bytes_append_string(out, "\r\n");
		break;
	case SOCKJS_HTMLFILE:
		encode_html_prelude(out, callback);
		break;
	case SOCKJS_XHR:
	case SOCKJS_JSONP:
	case SOCKJS_XHR_SEND:
	case SOCKJS_JSONP_SEND:
	case SOCKJS_TRANSPORT_WEBSOCKET:
	case SOCKJS_NO_TRANSPORT:
		break;
	}
}

/* Pages. */

void sockjs_encode_info(struct bytes *out, bool has_websocket, bool needs_cookie, uint32_t entropy)
{
	bytes_printf(out,
		"{\"websocket\":%s,\"origins\":[\"*:*\"],\"cookie_needed\":%s,\"entropy\":%lu}",
		has_websocket ? "true" : "false", needs_cookie ? "true" : "false",
		(unsigned long)entropy);
}

void sockjs_encode_iframe(struct bytes *out, const char *client_url)
{
	static const char before[] =
		"<!DOCTYPE html>\n<html>\n<head>\n"
		"  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n"
		"  <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />\n"
		"  <script src=\"";
	static const char after[] =
		"\"></script>\n"
		"  <script>\n"
		"    document.domain = document.domain;\n"
		"    SockJS.bootstrap_iframe();\n"
		"  </script>\n"
		"</head>\n<body>\n"
		"  <h2>Don't panic!</h2>\n"
		"  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>\n"
		"</body>\n</html>";

	bytes_append_string(out, before);
	bytes_append_string(out, client_url);
	bytes_append_string(out, after);
}
