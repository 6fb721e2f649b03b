/*
 * Why an exchange ended other than by success. Set once, nearest to the cause; ends in the access
 * log. Each has a short name for the log, and the status that a client gets when no response has
 * begun.
 */
#ifndef PROXY_HTTP_REASON_H
#define PROXY_HTTP_REASON_H

enum reason {
	REASON_NONE,
	/* The client's request. */
	REASON_BAD_REQUEST,	  /* 400: syntax */
	REASON_BAD_FRAMING,	  /* 400: doubt about where the message ends */
	REASON_BAD_HOST,	  /* 400 */
	REASON_BAD_BODY,	  /* 400: chunked coding broken */
	REASON_BAD_WEBSOCKET,	  /* 400: handshake not valid */
	REASON_WEBSOCKET_VERSION, /* 426 */
	REASON_VERSION,		  /* 505 */
	REASON_METHOD,		  /* 501: CONNECT, unknown transfer coding is its own */
	REASON_TRANSFER_CODING,	  /* 501 */
	REASON_EXPECTATION,	  /* 417 */
	REASON_URI_TOO_LONG,	  /* 414 */
	REASON_HEADER_TOO_LARGE,  /* 431 */
	REASON_BODY_TOO_LARGE,	  /* 413 */
	REASON_HEADER_TIMEOUT,	  /* 408 */
	REASON_BODY_TIMEOUT,	  /* 408 */
	REASON_MISDIRECTED,	  /* 421: authority does not fit the TLS server name */
	REASON_NO_ROUTE,	  /* 404 */
	REASON_ORIGIN,		  /* 403 */
	REASON_FOREIGN_SESSION,	  /* as the dialect answers for a session that is not known */
	REASON_HTTP2_PROTOCOL,	  /* the connection's frames are not valid */
	REASON_HTTP2_ABUSE,	  /* too much of what is valid, but of no use */
	/* The client went. */
	REASON_CLIENT_GONE,  /* 499 in the log: closed or reset before the response was complete */
	REASON_CLIENT_STALL, /* took no bytes for write_timeout */
	/* The backend. */
	REASON_CONNECT,		 /* 502 */
	REASON_CONNECT_TIMEOUT,	 /* 504 */
	REASON_BACKEND_TLS,	 /* 502 */
	REASON_BACKEND_GONE,	 /* 502: closed before a head */
	REASON_BACKEND_CUT,	 /* closed in the middle of a body */
	REASON_BACKEND_PROTOCOL, /* 502: response not valid HTTP */
	REASON_RESPONSE_TIMEOUT, /* 504: no head in time */
	REASON_READ_TIMEOUT,	 /* stalled in a body */
	REASON_BACKEND_STALL,	 /* 504: took no bytes of the request */
	REASON_NO_SERVER,	 /* 503: all servers down or full */
	REASON_NO_WEBSOCKET,	 /* 502: HTTP/2 without RFC 8441 */
	/* Tunnels. */
	REASON_TUNNEL_TIMEOUT,
	REASON_TUNNEL_CUT,	  /* one side reset */
	REASON_MESSAGE_TOO_LARGE, /* close code 1009 to the side that sent it */
	REASON_MESSAGE_RATE,	  /* 1008 to the client */
	REASON_BAD_FRAME,	  /* 1002 to the side that sent it */
	REASON_PONG_TIMEOUT,
	/* Ourselves. */
	REASON_OVERLOAD, /* 503: a cap was reached */
	REASON_DRAIN,	 /* 503, or cut at the end of the drain */
	N_REASONS
};

/* "bad-request", …: one word for the log. */
const char *reason_name(enum reason reason);
/* A short sentence for the body of an error page. */
const char *reason_text(enum reason reason);
/* 0 where no response can be given. */
unsigned reason_status(enum reason reason);

#endif
