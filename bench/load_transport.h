/*
 * How clients of each transport open a session, receive, send and close: a table of templates.
 *
 * In a template $P is the URL's path, $I the session's id, $C the cursor, $N the number of messages
 * sent so far, this one included, $M the message, $E and $T the ETag and Last-Modified of the last
 * answer. A request's template is its method and target.
 */
#ifndef BENCH_LOAD_TRANSPORT_H
#define BENCH_LOAD_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/buffer.h"

enum load_carrier { BY_POLL, BY_STREAM, BY_WEBSOCKET };

struct load_transport {
	const char *name;
	enum load_carrier carrier;
	const char *open;   /* a request, or for a WebSocket its handshake; NULL: the first poll */
	const char *opened; /* what the answer has when the session stands; NULL: any answer */
	bool tells_id;	    /* the id follows upon that, up to a quote; else the client chooses */
	/* The next poll; the rest of a stream that came to its end (NULL: it has none); the
	 * WebSocket's handshake where `open` is a request before it. */
	const char *receive;
	/* The stream or WebSocket of a session that was opened by POST $P. NULL: there is none. */
	const char *attach;
	const char *fields;   /* of open, receive and attach, each with its CRLF */
	const char *probe;    /* a WebSocket's first message, and how the answer */
	const char *probed;   /* begins; NULL: none */
	const char *confirm;  /* the message after that */
	const char *cursor;   /* a number behind this text is the cursor; NULL: there is none */
	const char *send;     /* a request; NULL: the WebSocket */
	const char *message;  /* its body, or the message's text */
	const char *close;    /* NULL: the WebSocket, or else the end of the connection */
	const char *farewell; /* its body or text; NULL: none, or a Close frame */
};

/* NULL if there is none of that name. */
const struct load_transport *load_transport_named(const char *name);
/* The names, separated by blanks. */
const char *load_transport_names(void);

struct load_words {
	const char *path, *id, *message, *etag, *last_modified;
	size_t message_size;
	unsigned long long cursor, n_sent;
};

void load_transport_print(struct buffer *out, const char *template, const struct load_words *words);

#endif
