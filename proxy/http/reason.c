#include "proxy/http/reason.h"

#include "proxy/base/macros.h"

/* Status 0: nothing can be answered, because the client is gone or a response has begun. */
static const struct {
	const char *name;
	unsigned status;
	const char *text;
} reasons[] = {
	[REASON_NONE] = {"none", 0, ""},
	[REASON_BAD_REQUEST] = {"bad-request", 400, "The request is not valid HTTP."},
	[REASON_BAD_FRAMING] = {"bad-framing", 400, "It is not certain where the request ends."},
	[REASON_BAD_HOST] = {"bad-host", 400, "The request names no host, or not exactly one."},
	[REASON_BAD_BODY] = {"bad-body", 400, "The body of the request is not framed correctly."},
	[REASON_BAD_WEBSOCKET] = {"bad-websocket", 400, "The WebSocket handshake is not valid."},
	[REASON_WEBSOCKET_VERSION] = {"websocket-version", 426,
		"Only version 13 of the WebSocket protocol is supported."},
	[REASON_VERSION] = {"version", 505, "This version of HTTP is not supported."},
	[REASON_METHOD] = {"method", 501, "The request method is not supported."},
	[REASON_TRANSFER_CODING] = {"transfer-coding", 501,
		"The transfer coding is not supported."},
	[REASON_EXPECTATION] = {"expectation", 417, "The expectation cannot be met."},
	[REASON_URI_TOO_LONG] = {"uri-too-long", 414, "The request target is too long."},
	[REASON_HEADER_TOO_LARGE] = {"header-too-large", 431, "The header section is too large."},
	[REASON_BODY_TOO_LARGE] = {"body-too-large", 413, "The body of the request is too large."},
	[REASON_HEADER_TIMEOUT] = {"header-timeout", 408, "The request did not arrive in time."},
	[REASON_BODY_TIMEOUT] = {"body-timeout", 408,
		"The body of the request did not arrive in time."},
	[REASON_MISDIRECTED] = {"misdirected", 421, "The host is not served on this connection."},
	[REASON_NO_ROUTE] = {"no-route", 404, "There is nothing here."},
	[REASON_ORIGIN] = {"origin", 403, "The origin of the request is not allowed."},
	[REASON_FOREIGN_SESSION] = {"foreign-session", 404, "There is no such session."},
	[REASON_HTTP2_PROTOCOL] = {"http2-protocol", 0,
		"The frames of the connection are not valid."},
	[REASON_HTTP2_ABUSE] = {"http2-abuse", 0, "The connection was used to no purpose."},
	[REASON_CLIENT_GONE] = {"client-gone", 0, "The client left before the end."},
	[REASON_CLIENT_STALL] = {"client-stall", 0, "The client stopped taking bytes."},
	[REASON_CONNECT] = {"connect", 502, "The server could not be reached."},
	[REASON_CONNECT_TIMEOUT] = {"connect-timeout", 504,
		"The server could not be reached in time."},
	[REASON_BACKEND_TLS] = {"backend-tls", 502,
		"No secure connection to the server was possible."},
	[REASON_BACKEND_GONE] = {"backend-gone", 502, "The server closed without an answer."},
	[REASON_BACKEND_CUT] = {"backend-cut", 0, "The server closed in the middle of its answer."},
	[REASON_BACKEND_PROTOCOL] = {"backend-protocol", 502,
		"The answer of the server is not valid."},
	[REASON_RESPONSE_TIMEOUT] = {"response-timeout", 504, "The server did not answer in time."},
	[REASON_READ_TIMEOUT] = {"read-timeout", 0,
		"The server stopped in the middle of its answer."},
	[REASON_BACKEND_STALL] = {"backend-stall", 504, "The server stopped taking the request."},
	[REASON_NO_SERVER] = {"no-server", 503, "No server is available at the moment."},
	[REASON_NO_WEBSOCKET] = {"no-websocket", 502,
		"The server takes no WebSockets over HTTP/2."},
	[REASON_TUNNEL_TIMEOUT] = {"tunnel-timeout", 0, "The tunnel was idle for too long."},
	[REASON_TUNNEL_CUT] = {"tunnel-cut", 0, "One side of the tunnel was cut off."},
	[REASON_MESSAGE_TOO_LARGE] = {"message-too-large", 0, "A WebSocket message was too large."},
	[REASON_MESSAGE_RATE] = {"message-rate", 0,
		"The client sent more WebSocket messages than it may."},
	[REASON_BAD_FRAME] = {"bad-frame", 0, "What came was not a WebSocket frame."},
	[REASON_PONG_TIMEOUT] = {"pong-timeout", 0,
		"One side of the WebSocket did not answer a ping."},
	[REASON_OVERLOAD] = {"overload", 503, "There is too much to do at the moment."},
	[REASON_DRAIN] = {"drain", 503, "The service is being stopped."},
};

_Static_assert(ARRAY_LEN(reasons) == N_REASONS, "each reason has its row");

const char *reason_name(enum reason reason)
{
	return reasons[reason].name;
}

const char *reason_text(enum reason reason)
{
	return reasons[reason].text;
}

unsigned reason_status(enum reason reason)
{
	return reasons[reason].status;
}
