/*
 * The configuration: text in, immutable structs out. Nothing is opened, bound or resolved here.
 *
 * A configuration is reference-counted: whoever keeps a pointer into one beyond the current call
 * holds a reference to the whole, so that a tunnel or a session lives with the generation it was
 * born with while newer exchanges use the next. The count is not atomic: one thread.
 *
 * Shapes: strings are NUL-terminated and never NULL unless the comment says so ("" where an option
 * is not set); fields ending in _ms are milliseconds, fields ending in _size are bytes, and 0 means
 * "no limit" or "off" only where the comment says so. Every field is one row of conf/options.c,
 * which also holds type, range, default and help, and is what the documentation is checked against.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/address.h"
#include "conf/errors.h"
#include "proxy/base/log.h"

/* A list of strings in the order written. */
struct conf_strings {
	char **items;
	size_t n_items;
};

enum conf_access_log_format {
	CONF_ACCESS_LOG_COMBINED,
	CONF_ACCESS_LOG_JSON,
};

enum conf_tls_version {
	CONF_TLS_1_2,
	CONF_TLS_1_3,
};

enum conf_client_verify {
	CONF_CLIENT_VERIFY_OFF,
	CONF_CLIENT_VERIFY_OPTIONAL, /* asked for; refused only if sent and not valid */
	CONF_CLIENT_VERIFY_REQUIRED,
};

enum conf_balance {
	CONF_BALANCE_ROUND_ROBIN,
	CONF_BALANCE_LEAST_CONN,
};

/* What is spoken to servers. */
enum conf_protocol {
	CONF_PROTOCOL_AUTO, /* over TLS what ALPN says, else HTTP/1.1 */
	CONF_PROTOCOL_HTTP1,
	CONF_PROTOCOL_H2,
};

enum conf_host_header {
	CONF_HOST_PRESERVE, /* the client's Host goes on as it came */
	CONF_HOST_SERVER,   /* the chosen server's host and port */
	CONF_HOST_LITERAL,  /* conf_backend.host_header_value */
};

enum conf_match {
	CONF_MATCH_PREFIX, /* whole segments: "/a" matches /a and /a/b, not /ab */
	CONF_MATCH_EXACT,
};

/* Which fields tell the backend about the client. */
enum conf_forwarded {
	CONF_FORWARDED_OFF,
	CONF_FORWARDED_X,	 /* X-Forwarded-For, -Proto, -Host, -Port */
	CONF_FORWARDED_STANDARD, /* Forwarded, RFC 7239 */
	CONF_FORWARDED_BOTH,
};

/* What bridge sessions may be spoken as to the client; a set of bits in conf_route.dialects. */
enum conf_dialect {
	CONF_DIALECT_PLAIN = 1u << 0,
	CONF_DIALECT_SOCKJS = 1u << 1,
	CONF_DIALECT_ENGINEIO = 1u << 2,
};

struct conf;

/*
 * A listener. Each of its addresses is one listening socket; IPv6 sockets are to be IPv6 only.
 * "*:80" has two addresses, and `is_any` says that [::] may fail where the machine has no IPv6.
 */
struct conf_listen {
	const struct conf *conf;
	size_t index;			/* in conf->listens */
	int line;			/* in conf->source; 0 from the command line */
	char *name;			/* the title as written */
	struct conf_address *addresses; /* 1 or 2 */
	size_t n_addresses;
	bool is_any;
	bool is_between_workers; /* of no file: its peer passes on what its clients do */
	int backlog;
	int unix_mode; /* permission bits of a unix socket */

	/* TLS; is_tls = there are certificates */
	bool is_tls;
	struct conf_strings certificates; /* PEM files; the first is the default for SNI */
	struct conf_strings
		certificate_keys; /* empty, or one per certificate; "" = in the same file */
	enum conf_tls_version tls_min_version;
	char *tls_ciphers;	/* TLS 1.2, OpenSSL's list syntax */
	char *tls_ciphersuites; /* TLS 1.3 */
	bool tls_session_tickets;
	struct conf_strings alpn; /* in order of preference */
	enum conf_client_verify client_verify;
	char *client_ca; /* PEM file, "" if none */
	int64_t handshake_timeout_ms;

	/* HTTP */
	int64_t header_timeout_ms; /* total, first byte to end of head */
	int64_t idle_timeout_ms;   /* between requests */
	int64_t body_timeout_ms;   /* stall while reading a body */
	int64_t write_timeout_ms;  /* stall while writing */
	uint64_t max_header_size;  /* the whole head, request line included */
	int max_header_fields;
	uint64_t max_uri_size;
	int keepalive_requests; /* 0 = no limit */

	/* HTTP/2 */
	bool h2c; /* by prior knowledge, without TLS */
	int http2_max_streams;
	uint64_t http2_window; /* of a stream */
	uint64_t http2_queue;  /* received and not yet passed on, of all streams of a connection */
	bool http2_websocket;  /* RFC 8441 is offered: asked for, and each route has websocket */
};

struct conf_server {
	struct conf_address address; /* address.text is its name in logs */
};

struct conf_backend {
	const struct conf *conf;
	size_t index; /* in conf->backends */
	int line;
	char *name;
	struct conf_server *servers; /* at least one */
	size_t n_servers;
	struct conf_strings servers_text;
	enum conf_balance balance;
	int max_fails;		 /* failures in a row that take a server out; 0 = never */
	int64_t fail_timeout_ms; /* how long it stays out */
	int retries;		 /* further tries of a request that may be retried */

	int64_t connect_timeout_ms;  /* TCP and TLS together */
	int64_t response_timeout_ms; /* request sent to response head */
	int64_t read_timeout_ms;     /* stall while reading a body */
	int64_t write_timeout_ms;    /* stall while writing */

	bool keepalive;		  /* false: a connection per request */
	int64_t idle_timeout_ms;  /* an unused connection is closed after this */
	int max_idle_connections; /* per server */
	int max_connections;	  /* per server; 0 = no limit */

	enum conf_protocol protocol;
	int http2_max_streams;
	uint64_t http2_window; /* of a stream */
	int64_t http2_ping_ms; /* 0 = none */

	enum conf_host_header host_header;
	char *host_header_value; /* as written; the Host to send if CONF_HOST_LITERAL */

	bool tls;
	bool tls_verify;
	char *tls_ca;		   /* PEM file; "" = the system's store */
	char *tls_server_name;	   /* SNI and the name verified; "" = the server's host */
	char *tls_certificate;	   /* client certificate, PEM; "" if none */
	char *tls_certificate_key; /* "" = in the same file */
};

/* The section `poll` of a route. */
struct conf_poll {
	bool is_set; /* it was written */
	int line;
	char *path; /* with its query */
	int64_t interval_ms;
	int64_t max_interval_ms; /* after failures; one below interval_ms means that */
	int64_t timeout_ms;	 /* of one poll */
};

/* The section `tunnel` of a route: what is watched in WebSockets that are carried end to end. */
struct conf_tunnel {
	bool is_set; /* it was written */
	int line;
	int64_t ping_client_ms;	 /* silence before a ping; 0 = none */
	int64_t ping_backend_ms; /* the same */
	int64_t pong_timeout_ms;
	uint64_t max_message_size; /* either way; 0 = no limit, here and below */
	int messages_per_second;   /* from the client */
	uint64_t bytes_per_second; /* the same */
};

struct conf_route {
	const struct conf *conf;
	size_t index; /* in conf->routes */
	int line;
	char *path; /* starts with "/" */
	enum conf_match match;
	struct conf_strings hosts; /* lower case, "a.example" or "*.a.example"; none = every host */
	const struct conf_backend *backend;
	char *backend_name;
	uint64_t max_body_size; /* of requests; 0 = no limit */
	enum conf_forwarded forwarded;
	struct conf_strings allowed_origins; /* canonical: "https://a.example", "null", "*" */

	bool websocket;		   /* false: handshakes are ordinary requests */
	int64_t tunnel_timeout_ms; /* nothing in either direction; 0 = no limit */

	/* the bridge; dialects is 0 on a route without one */
	unsigned dialects;	      /* bits of enum conf_dialect */
	struct conf_strings bridge;   /* the same, as written */
	int64_t poll_wait_ms;	      /* default and cap of a poll's wait; whole seconds */
	int64_t heartbeat_ms;	      /* streams */
	int64_t linger_ms;	      /* absent client; closed sessions remembered */
	int64_t send_timeout_ms;      /* full queue to the backend; unacknowledged stream */
	int64_t backend_ping_ms;      /* WebSocket ping to the backend; 0 = none */
	uint64_t max_message_size;    /* per WebSocket message, both ways */
	int batch_messages;	      /* in one poll answer */
	uint64_t batch_size;	      /* the same in bytes of messages */
	uint64_t queue_size;	      /* per session and direction */
	uint64_t replay_size;	      /* sent, not acknowledged */
	int max_sessions;	      /* of this route */
	int max_sessions_per_address; /* 0 = no limit */
	bool bind_address;	      /* a session's requests come from its opener's address */
	char *bind_cookie;	      /* they have the opener's cookie of this name; "" = any */
	char *client_script;	      /* path of pollux.js; "" = not served */
	bool engineio_upgrade;	      /* clients that poll may move to a WebSocket */

	/* its SockJS */
	uint64_t sockjs_response_limit; /* of a streaming response, in bytes of frames */
	int64_t sockjs_heartbeat_ms;
	int64_t sockjs_disconnect_delay_ms; /* absent client */
	bool sockjs_cookie;		    /* JSESSIONID for balancers */
	bool sockjs_websocket;
	char *sockjs_client_url; /* for the iframe page; "" = there is none */

	struct conf_poll poll; /* where messages come from, instead of a WebSocket */
	struct conf_tunnel tunnel;
};

struct conf {
	char *source; /* file name for messages */

	/* global options */
	char *access_log; /* "off", "stdout", "stderr" or a path */
	enum conf_access_log_format access_log_format;
	char *error_log; /* "stderr" or a path */
	enum log_level log_level;
	char *user;			 /* run as, once sockets are bound; "" = stay */
	int workers;			 /* processes; 0 = one per core */
	int max_connections;		 /* client connections; 0 = from the descriptor limit */
	int max_connections_per_address; /* 0 = no limit */
	int64_t drain_ms;		 /* from SIGTERM to the cut */
	bool drain_accept;		 /* while those who stay on wait for their turn */
	struct conf_network *trusted_proxies; /* peers whose (X-)Forwarded fields are believed */
	size_t n_trusted_proxies;
	struct conf_strings trusted_proxies_text;
	char *via; /* our name in Via */

	/* sections, in the order written */
	struct conf_listen *listens;
	size_t n_listens;
	struct conf_backend *backends;
	size_t n_backends;
	struct conf_route *routes;
	size_t n_routes;

	unsigned n_references; /* conf.c's own */
};

/*
 * Both return NULL after adding at least one error; all errors that can be found are added, not
 * the first only. The result has one reference, the caller's.
 *
 * Relative file names in the configuration are relative to the directory of the configuration
 * file; conf_load makes them absolute, conf_parse leaves them as written.
 */
struct conf *conf_load(const char *path, struct conf_errors *errors);
struct conf *conf_parse(const char *text, const char *name, struct conf_errors *errors);

/* What `pollux --listen … --backend … --bridge …` means without a file. Counts may not be 0
 * except that of bridges. One backend with all the servers, one route "/". */
struct conf_quick {
	const char *const *listens;
	size_t n_listens;
	const char *const *servers;
	size_t n_servers;
	const char *const *bridges;
	size_t n_bridges;
};

struct conf *conf_from_command_line(const struct conf_quick *quick, struct conf_errors *errors);

const struct conf *conf_ref(const struct conf *conf);
void conf_unref(const struct conf *conf); /* NULL is allowed */

/* Writes every option with its effective value, as a file that loads back to the same. */
void conf_dump(const struct conf *conf, FILE *out);

/* Whether anything is asked for. */
bool conf_watches_tunnels(const struct conf_tunnel *tunnel);

/* NULL if there is none of this name. */
const struct conf_backend *conf_find_backend(const struct conf *conf, const char *name);

/* Whether (X-)Forwarded fields from this peer are believed. */
bool conf_is_trusted_proxy(const struct conf *conf, const struct sockaddr *peer);

/* The words used in the file for each value. */
const char *conf_access_log_format_name(enum conf_access_log_format format);
const char *conf_tls_version_name(enum conf_tls_version version);
const char *conf_client_verify_name(enum conf_client_verify verify);
const char *conf_balance_name(enum conf_balance balance);
const char *conf_protocol_name(enum conf_protocol protocol);
const char *conf_host_header_name(enum conf_host_header host_header);
const char *conf_match_name(enum conf_match match);
const char *conf_forwarded_name(enum conf_forwarded forwarded);
const char *conf_dialect_name(enum conf_dialect dialect);

#endif
