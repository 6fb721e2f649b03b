#include "conf/options.h"

#include <limits.h>
#include <string.h>

#include "conf/canonical.h"
#include "conf/conf.h"
#include "conf/words.h"

#define KILO (INT64_C(1) << 10)
#define MEGA (INT64_C(1) << 20)
#define GIGA (INT64_C(1) << 30)
#define TERA (INT64_C(1) << 40)

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

enum { MANY = 10000000 }; /* more than a machine has of anything that is counted here */

static const char *const access_log_words[] = {"off", "stdout", "stderr", NULL};
static const char *const error_log_words[] = {"stderr", NULL};
static const char *const alpn_words[] = {"h2", "http/1.1", NULL};

/* Secure, and what every client of the last ten years has. */
#define DEFAULT_CIPHERS \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define DEFAULT_CIPHERSUITES \
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

#define ROW(kind, option, c_type, field) \
	.section = CONF_SECTION_##kind, .name = #option, .type = CONF_TYPE_##c_type, \
	.offset = offsetof(FIELDS_##kind, field)
#define FIELDS_GLOBAL struct conf
#define FIELDS_LISTEN struct conf_listen
#define FIELDS_BACKEND struct conf_backend
#define FIELDS_ROUTE struct conf_route
#define FIELDS_POLL struct conf_poll
#define FIELDS_TUNNEL struct conf_tunnel
#define RANGE(least, most) .min = (least), .max = (most)
#define DEFAULT(text) .default_text = (text)
#define REQUIRED .default_text = NULL
#define WORDS(list) .words = (list)
#define CANONICAL(function) .canonical = (function)
#define HELP(text) .help = (text)

/* clang-format off */
const struct conf_option conf_options[] = {
	/* global */
	{ ROW(GLOBAL, access_log, PATH, access_log), DEFAULT("stdout"), WORDS(access_log_words),
	  HELP("where a line per request goes: off, stdout, stderr or a file") },
	{ ROW(GLOBAL, access_log_format, ENUM, access_log_format), DEFAULT("combined"),
	  WORDS(conf_words_access_log_format),
	  HELP("combined (as web servers write it, with timings and reason after it) or json") },
	{ ROW(GLOBAL, error_log, PATH, error_log), DEFAULT("stderr"), WORDS(error_log_words),
	  HELP("where the program's own messages go: stderr or a file") },
	{ ROW(GLOBAL, log_level, ENUM, log_level), DEFAULT("info"), WORDS(conf_words_log_level),
	  HELP("the least important messages that are still written") },
	{ ROW(GLOBAL, user, STRING, user), DEFAULT(""),
	  HELP("the user to run as once listeners are bound and keys are read; empty: stay") },
	{ ROW(GLOBAL, workers, INT, workers), RANGE(0, 256), DEFAULT("0"),
	  HELP("processes that serve, each on one core; 0: one per core") },
	{ ROW(GLOBAL, max_connections, INT, max_connections), RANGE(0, MANY), DEFAULT("0"),
	  HELP("client connections at a time; 0: as many as the descriptor limit allows") },
	{ ROW(GLOBAL, max_connections_per_address, INT, max_connections_per_address),
	  RANGE(0, MANY), DEFAULT("0"),
	  HELP("client connections at a time from one address; 0: no limit") },
	{ ROW(GLOBAL, drain, DURATION, drain_ms), RANGE(0, DAY), DEFAULT("30s"),
	  HELP("how long requests and tunnels may go on after SIGTERM before they are cut") },
	{ ROW(GLOBAL, drain_accept, BOOL, drain_accept), DEFAULT("yes"),
	  HELP("after SIGTERM accept connections while WebSockets and streams wait for their close") },
	{ ROW(GLOBAL, trusted_proxies, LIST, trusted_proxies_text), DEFAULT(""),
	  CANONICAL(conf_canonical_network),
	  HELP("networks whose Forwarded and X-Forwarded fields are believed; unix: peers on unix sockets") },
	{ ROW(GLOBAL, via, STRING, via), DEFAULT("pollux"), CANONICAL(conf_canonical_via),
	  HELP("our name in the Via field") },

	/* listen */
	{ ROW(LISTEN, certificates, PATH_LIST, certificates), DEFAULT(""),
	  HELP("PEM files, each a chain and its key; with any the listener speaks TLS, the first is the default for SNI") },
	{ ROW(LISTEN, certificate_keys, PATH_LIST, certificate_keys), DEFAULT(""),
	  HELP("PEM files of the keys, one per certificate; \"\": in the certificate's file") },
	{ ROW(LISTEN, tls_min_version, ENUM, tls_min_version), DEFAULT("1.2"),
	  WORDS(conf_words_tls_version), HELP("the oldest TLS version accepted") },
	{ ROW(LISTEN, tls_ciphers, STRING, tls_ciphers), DEFAULT(DEFAULT_CIPHERS),
	  HELP("ciphers of TLS 1.2, in OpenSSL's list format") },
	{ ROW(LISTEN, tls_ciphersuites, STRING, tls_ciphersuites), DEFAULT(DEFAULT_CIPHERSUITES),
	  HELP("cipher suites of TLS 1.3, separated by colons") },
	{ ROW(LISTEN, tls_session_tickets, BOOL, tls_session_tickets), DEFAULT("yes"),
	  HELP("let clients resume TLS sessions with tickets") },
	{ ROW(LISTEN, alpn, LIST, alpn), DEFAULT("h2 http/1.1"), WORDS(alpn_words),
	  HELP("protocols of the TLS handshake, best first; http/1.1 stands for http/1.0 too") },
	{ ROW(LISTEN, client_verify, ENUM, client_verify), DEFAULT("off"),
	  WORDS(conf_words_client_verify),
	  HELP("ask for client certificates: off, optional (a bad one is refused, none is not), required") },
	{ ROW(LISTEN, client_ca, PATH, client_ca), DEFAULT(""),
	  HELP("PEM file of the authorities that sign client certificates") },
	{ ROW(LISTEN, handshake_timeout, DURATION, handshake_timeout_ms), RANGE(1, HOUR),
	  DEFAULT("10s"), HELP("for the whole TLS handshake") },
	{ ROW(LISTEN, header_timeout, DURATION, header_timeout_ms), RANGE(1, HOUR),
	  DEFAULT("15s"), HELP("for the whole head of a request, from its first byte; then 408") },
	{ ROW(LISTEN, idle_timeout, DURATION, idle_timeout_ms), RANGE(1, DAY), DEFAULT("75s"),
	  HELP("an open connection without a request is closed after this") },
	{ ROW(LISTEN, body_timeout, DURATION, body_timeout_ms), RANGE(1, DAY), DEFAULT("30s"),
	  HELP("longest pause between bytes of a request body, and the time over which it comes with 32 bytes a second at least; then 408") },
	{ ROW(LISTEN, write_timeout, DURATION, write_timeout_ms), RANGE(1, DAY), DEFAULT("30s"),
	  HELP("a client that takes no byte of a response for this long is cut") },
	{ ROW(LISTEN, max_header_size, SIZE, max_header_size), RANGE(1 * KILO, 1 * MEGA),
	  DEFAULT("32k"), HELP("the whole head of a request; beyond it 431") },
	{ ROW(LISTEN, max_header_fields, INT, max_header_fields), RANGE(1, 10000), DEFAULT("100"),
	  HELP("fields in the head of a request; beyond them 431") },
	{ ROW(LISTEN, max_uri_size, SIZE, max_uri_size), RANGE(64, 1 * MEGA), DEFAULT("8k"),
	  HELP("the request target; beyond it 414") },
	{ ROW(LISTEN, keepalive_requests, INT, keepalive_requests), RANGE(0, INT_MAX),
	  DEFAULT("0"), HELP("requests on one connection before it is closed; 0: no limit") },
	{ ROW(LISTEN, h2c, BOOL, h2c), DEFAULT("yes"),
	  HELP("without TLS: take HTTP/2 from clients that begin with it (by prior knowledge)") },
	{ ROW(LISTEN, http2_max_streams, INT, http2_max_streams), RANGE(1, 10000), DEFAULT("100"),
	  HELP("requests at a time on one HTTP/2 connection; beyond them they are refused for a retry") },
	{ ROW(LISTEN, http2_window, SIZE, http2_window), RANGE(16 * KILO, 16 * MEGA), DEFAULT("64k"),
	  HELP("bytes of one request's body that an HTTP/2 client may send ahead of the backend") },
	{ ROW(LISTEN, http2_queue, SIZE, http2_queue), RANGE(64 * KILO, 1 * GIGA), DEFAULT("1M"),
	  HELP("the same for all requests of one connection together") },
	{ ROW(LISTEN, http2_websocket, BOOL, http2_websocket), DEFAULT("yes"),
	  HELP("offer WebSockets over HTTP/2 (RFC 8441), where each route carries WebSockets") },
	{ ROW(LISTEN, backlog, INT, backlog), RANGE(1, 1000000), DEFAULT("4096"),
	  HELP("connections that the kernel may hold before they are accepted; the kernel has its own cap") },
	{ ROW(LISTEN, unix_mode, MODE, unix_mode), RANGE(0, 0777), DEFAULT("0660"),
	  HELP("permissions of a unix socket, octal") },

	/* backend */
	{ ROW(BACKEND, servers, LIST, servers_text), REQUIRED, CANONICAL(conf_canonical_server),
	  HELP("host:port, [address]:port or unix:/path of each server") },
	{ ROW(BACKEND, balance, ENUM, balance), DEFAULT("round_robin"), WORDS(conf_words_balance),
	  HELP("how a server is chosen: in turn, or the one with the fewest connections in use") },
	{ ROW(BACKEND, max_fails, INT, max_fails), RANGE(0, MANY), DEFAULT("3"),
	  HELP("failures in a row after which a server is left out for fail_timeout; 0: never; the last server left is always tried") },
	{ ROW(BACKEND, fail_timeout, DURATION, fail_timeout_ms), RANGE(1, DAY), DEFAULT("10s"),
	  HELP("how long a failed server is left out") },
	{ ROW(BACKEND, retries, INT, retries), RANGE(0, 10), DEFAULT("1"),
	  HELP("further tries of a request that may be sent twice, or was never seen by a server") },
	{ ROW(BACKEND, connect_timeout, DURATION, connect_timeout_ms), RANGE(1, HOUR),
	  DEFAULT("5s"), HELP("for name, TCP and TLS together; then the next try or 504") },
	{ ROW(BACKEND, response_timeout, DURATION, response_timeout_ms), RANGE(1, DAY),
	  DEFAULT("1m"), HELP("from the end of the request to the head of the response; then 504") },
	{ ROW(BACKEND, read_timeout, DURATION, read_timeout_ms), RANGE(1, DAY), DEFAULT("1m"),
	  HELP("longest pause between bytes of a response body") },
	{ ROW(BACKEND, write_timeout, DURATION, write_timeout_ms), RANGE(1, DAY), DEFAULT("1m"),
	  HELP("a server that takes no byte of a request for this long is given up") },
	{ ROW(BACKEND, keepalive, BOOL, keepalive), DEFAULT("yes"),
	  HELP("keep connections open and use them again") },
	{ ROW(BACKEND, idle_timeout, DURATION, idle_timeout_ms), RANGE(1, DAY), DEFAULT("4s"),
	  HELP("an unused connection is closed after this; keep it below the server's own (Node: 5s)") },
	{ ROW(BACKEND, max_idle_connections, INT, max_idle_connections), RANGE(0, MANY),
	  DEFAULT("1024"), HELP("unused connections kept per server") },
	{ ROW(BACKEND, max_connections, INT, max_connections), RANGE(0, MANY), DEFAULT("0"),
	  HELP("connections per server, tunnels included; beyond them 503; 0: no limit") },
	{ ROW(BACKEND, host_header, STRING, host_header_value), DEFAULT("preserve"),
	  CANONICAL(conf_canonical_host_header),
	  HELP("the Host that servers see: preserve (the client's), server (the server's address), or a name") },
	{ ROW(BACKEND, protocol, ENUM, protocol), DEFAULT("auto"), WORDS(conf_words_protocol),
	  HELP("http/1.1, h2, or auto: what a server chooses over TLS (ALPN), else HTTP/1.1") },
	{ ROW(BACKEND, http2_max_streams, INT, http2_max_streams), RANGE(1, 10000), DEFAULT("100"),
	  HELP("requests at a time on one HTTP/2 connection, if the server allows as many; then another one is opened") },
	{ ROW(BACKEND, http2_window, SIZE, http2_window), RANGE(16 * KILO, 16 * MEGA), DEFAULT("256k"),
	  HELP("bytes of one response's body that an HTTP/2 server may send ahead of the client") },
	{ ROW(BACKEND, http2_ping, DURATION, http2_ping_ms), RANGE(0, DAY), DEFAULT("30s"),
	  HELP("a ping on an HTTP/2 connection in use that was silent this long; silent as long again, it is given up; 0: none") },
	{ ROW(BACKEND, tls, BOOL, tls), DEFAULT("no"), HELP("speak TLS to the servers") },
	{ ROW(BACKEND, tls_verify, BOOL, tls_verify), DEFAULT("yes"),
	  HELP("refuse servers whose certificate is not valid for their name") },
	{ ROW(BACKEND, tls_ca, PATH, tls_ca), DEFAULT(""),
	  HELP("PEM file of the authorities to trust; empty: the system's") },
	{ ROW(BACKEND, tls_server_name, STRING, tls_server_name), DEFAULT(""),
	  HELP("the name sent as SNI and looked for in the certificate; empty: the server's host") },
	{ ROW(BACKEND, tls_certificate, PATH, tls_certificate), DEFAULT(""),
	  HELP("PEM file of our client certificate and its chain; empty: none") },
	{ ROW(BACKEND, tls_certificate_key, PATH, tls_certificate_key), DEFAULT(""),
	  HELP("PEM file of its key; empty: in the same file") },

	/* route */
	{ ROW(ROUTE, backend, STRING, backend_name), REQUIRED, CANONICAL(conf_canonical_backend_name),
	  HELP("the backend that answers") },
	{ ROW(ROUTE, match, ENUM, match), DEFAULT("prefix"), WORDS(conf_words_match),
	  HELP("prefix: the path and everything below it; exact: the path alone; the longest match wins") },
	{ ROW(ROUTE, hosts, LIST, hosts), DEFAULT(""), CANONICAL(conf_canonical_host),
	  HELP("hosts the route is for, *.example.org for every name below; empty: every host that no other route names") },
	{ ROW(ROUTE, max_body_size, SIZE, max_body_size), RANGE(0, 1024 * TERA), DEFAULT("0"),
	  HELP("a larger request body gets 413; 0: no limit, since bodies are passed on and not stored") },
	{ ROW(ROUTE, forwarded, ENUM, forwarded), DEFAULT("x-forwarded"),
	  WORDS(conf_words_forwarded),
	  HELP("fields that tell the backend about the client: x-forwarded, forwarded (RFC 7239), both or off") },
	{ ROW(ROUTE, allowed_origins, LIST, allowed_origins), DEFAULT(""),
	  CANONICAL(conf_canonical_origin),
	  HELP("origins besides our own whose pages may use the bridge, * for all; without a bridge, if set, the only ones for WebSockets") },
	{ ROW(ROUTE, websocket, BOOL, websocket), DEFAULT("yes"),
	  HELP("carry WebSockets; no: handshakes go on as ordinary requests") },
	{ ROW(ROUTE, tunnel_timeout, DURATION, tunnel_timeout_ms), RANGE(0, 365 * DAY),
	  DEFAULT("1h"), HELP("a tunnel without a byte in either direction is closed after this; 0: never") },
	{ ROW(ROUTE, bridge, LIST, bridge), DEFAULT(""), WORDS(conf_words_dialect),
	  HELP("let clients without WebSocket reach the backend's WebSocket: plain, sockjs, engineio (Socket.IO)") },
	{ ROW(ROUTE, poll_wait, DURATION, poll_wait_ms), RANGE(1 * SECOND, 55 * SECOND),
	  DEFAULT("25s"), HELP("how long a poll may wait, in whole seconds; what it waits when it does not say") },
	{ ROW(ROUTE, heartbeat, DURATION, heartbeat_ms), RANGE(100, HOUR), DEFAULT("20s"),
	  HELP("a sign of life on event streams this often") },
	{ ROW(ROUTE, linger, DURATION, linger_ms), RANGE(100, DAY), DEFAULT("30s"),
	  HELP("how long a session waits for an absent client, and is remembered once closed") },
	{ ROW(ROUTE, send_timeout, DURATION, send_timeout_ms), RANGE(1, HOUR), DEFAULT("10s"),
	  HELP("how long a post waits for room in the queue, and a stream for its bytes to be taken") },
	{ ROW(ROUTE, backend_ping, DURATION, backend_ping_ms), RANGE(0, DAY), DEFAULT("30s"),
	  HELP("a ping to a backend that was silent this long; silent as long again, it counts as gone; 0: none") },
	{ ROW(ROUTE, max_message_size, SIZE, max_message_size), RANGE(1, 1 * GIGA),
	  DEFAULT("1M"), HELP("one message, either way; beyond it 413 or close code 1009") },
	{ ROW(ROUTE, batch_messages, INT, batch_messages), RANGE(1, 65536), DEFAULT("256"),
	  HELP("messages in one poll answer") },
	{ ROW(ROUTE, batch_size, SIZE, batch_size), RANGE(1, 1 * GIGA), DEFAULT("1M"),
	  HELP("message bytes in one poll answer; a larger message travels alone") },
	{ ROW(ROUTE, queue, SIZE, queue_size), RANGE(1, 1 * GIGA), DEFAULT("1M"),
	  HELP("bytes that wait in a session, each way, before the sender is held back") },
	{ ROW(ROUTE, replay, SIZE, replay_size), RANGE(0, 1 * GIGA), DEFAULT("1M"),
	  HELP("bytes kept for a stream that comes back, after they were sent") },
	{ ROW(ROUTE, max_sessions, INT, max_sessions), RANGE(1, MANY), DEFAULT("10000"),
	  HELP("open sessions; beyond them 503") },
	{ ROW(ROUTE, max_sessions_per_address, INT, max_sessions_per_address), RANGE(0, MANY),
	  DEFAULT("0"), HELP("open sessions of one client address; 0: no limit") },
	{ ROW(ROUTE, bind_address, BOOL, bind_address), DEFAULT("no"),
	  HELP("a session is only for requests from the address that opened it") },
	{ ROW(ROUTE, bind_cookie, STRING, bind_cookie), DEFAULT(""),
	  CANONICAL(conf_canonical_cookie_name),
	  HELP("name of a cookie; a session is only for requests that have it as its opening had it; empty: none") },
	{ ROW(ROUTE, client_script, STRING, client_script), DEFAULT(""),
	  HELP("path below the route's at which pollux.js, the client for pages, is served; empty: nowhere") },
	{ ROW(ROUTE, engineio_upgrade, BOOL, engineio_upgrade), DEFAULT("yes"),
	  HELP("let Engine.IO clients that poll move to a WebSocket") },
	{ ROW(ROUTE, sockjs_response_limit, SIZE, sockjs_response_limit), RANGE(1, 1 * GIGA),
	  DEFAULT("128k"), HELP("bytes of frames after which a streaming response ends, and the client asks anew") },
	{ ROW(ROUTE, sockjs_heartbeat, DURATION, sockjs_heartbeat_ms), RANGE(100, HOUR),
	  DEFAULT("25s"), HELP("a sign of life where a SockJS client got nothing for this long") },
	{ ROW(ROUTE, sockjs_disconnect_delay, DURATION, sockjs_disconnect_delay_ms), RANGE(100, HOUR),
	  DEFAULT("5s"), HELP("how long a SockJS session waits for its client to ask again") },
	{ ROW(ROUTE, sockjs_cookie, BOOL, sockjs_cookie), DEFAULT("no"),
	  HELP("set JSESSIONID on SockJS sessions, for balancers that keep a client on one server by it") },
	{ ROW(ROUTE, sockjs_websocket, BOOL, sockjs_websocket), DEFAULT("yes"),
	  HELP("offer WebSockets to SockJS clients") },
	{ ROW(ROUTE, sockjs_client_url, STRING, sockjs_client_url), DEFAULT(""),
	  CANONICAL(conf_canonical_script_url),
	  HELP("the client's script, of the version that pages use, for SockJS's iframe page; empty: no such page") },

	/* poll, within a route */
	{ ROW(POLL, path, STRING, path), REQUIRED, CANONICAL(conf_canonical_poll_path),
	  HELP("what is asked for at the backend, with its query if it has one") },
	{ ROW(POLL, interval, DURATION, interval_ms), RANGE(100, DAY), DEFAULT("1s"),
	  HELP("from the start of one request to the start of the next, while anybody listens") },
	{ ROW(POLL, max_interval, DURATION, max_interval_ms), RANGE(100, DAY), DEFAULT("30s"),
	  HELP("the same after failures in a row, each of which doubles it up to here; no less than interval") },
	{ ROW(POLL, timeout, DURATION, timeout_ms), RANGE(1, HOUR), DEFAULT("30s"),
	  HELP("for a whole answer; a later one is a failure") },

	/* tunnel, within a route */
	{ ROW(TUNNEL, ping_client, DURATION, ping_client_ms), RANGE(0, DAY), DEFAULT("0"),
	  HELP("a ping to a client that was silent this long; 0: none") },
	{ ROW(TUNNEL, ping_backend, DURATION, ping_backend_ms), RANGE(0, DAY), DEFAULT("0"),
	  HELP("a ping to a backend that was silent this long; 0: none") },
	{ ROW(TUNNEL, pong_timeout, DURATION, pong_timeout_ms), RANGE(1, HOUR), DEFAULT("10s"),
	  HELP("a side that says nothing for this long after a ping is given up") },
	{ ROW(TUNNEL, max_message_size, SIZE, max_message_size), RANGE(0, 1024 * TERA), DEFAULT("0"),
	  HELP("bytes of one message, either way, as they are on the wire; beyond it close code 1009; 0: no limit") },
	{ ROW(TUNNEL, messages_per_second, INT, messages_per_second), RANGE(0, MANY), DEFAULT("0"),
	  HELP("messages that a client may send; beyond them close code 1008; 0: no limit") },
	{ ROW(TUNNEL, bytes_per_second, SIZE, bytes_per_second), RANGE(0, 1 * TERA), DEFAULT("0"),
	  HELP("bytes that a client may send; beyond them close code 1008; 0: no limit") },
};
/* clang-format on */

const size_t conf_n_options = ARRAY_LEN(conf_options);

const char *conf_section_name(enum conf_section section)
{
	switch (section) {
	case CONF_SECTION_GLOBAL:
		return "";
	case CONF_SECTION_LISTEN:
		return "listen";
	case CONF_SECTION_BACKEND:
		return "backend";
	case CONF_SECTION_ROUTE:
		return "route";
	case CONF_SECTION_POLL:
		return "poll";
	case CONF_SECTION_TUNNEL:
		return "tunnel";
	}
	return "?";
}

enum conf_section conf_section_parent(enum conf_section section)
{
	return section >= CONF_SECTION_POLL ? CONF_SECTION_ROUTE : CONF_SECTION_GLOBAL;
}

const struct conf_option *conf_option_find(enum conf_section section, const char *name)
{
	for (size_t i = 0; i < conf_n_options; i++) {
		if (conf_options[i].section == section && strcmp(conf_options[i].name, name) == 0)
			return &conf_options[i];
	}
	return NULL;
}
