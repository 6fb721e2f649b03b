/*
 * What both ends of HTTP/2 share (RFC 9113): nghttp2's session on a conn, and the two pipes of a
 * stream as DATA frames.
 *
 *	conn_input -> h2_session_receive -> nghttp2 -> h2_stream_put -> [pipe `in`]
 *	[pipe `out`] -> nghttp2 -> h2_session_send -> conn_output
 *
 * Flow control is the pipes': a peer may send as many bytes as its windows allow, and they are
 * credited, to the stream and to the connection, as the pipe's reader takes them. The windows are
 * of the sizes that the owner has told the peer; the connection's is much larger than a stream's,
 * so that a stream whose pipe nobody reads stops itself and no other.
 *
 * nghttp2 calls back from inside our calls. Its callbacks touch their own codec only, may submit
 * frames, and never tell an owner anything: what there is to tell is noted and told after the call.
 */
#ifndef PROXY_HTTP_H2_STREAM_H
#define PROXY_HTTP_H2_STREAM_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/loop.h"
#include "proxy/base/pipe.h"
#include "proxy/http/fields.h"
#include "proxy/http/reason.h"
#include "proxy/http/ws_tunnel.h"
#include "proxy/net/conn.h"

/* First member of a codec, and the user data of its nghttp2 session. */
struct h2_session {
	struct loop *loop;
	struct conn *conn;
	nghttp2_session *ng;
	struct notice pump;   /* sends what nghttp2 has to send */
	uint32_t window_size; /* of each stream, for what we receive */
	uint64_t n_queued;    /* received and not taken, of all streams */
	uint64_t out_ms;      /* the latest DATA frame of any stream */
};

/*
 * Between workers a reset says why the client's exchange has ended, and whether the client gets the
 * answer for that reason, by a code that nobody else uses; where there is nothing to say, CANCEL.
 * Back: REASON_NONE for any other code.
 */
uint32_t h2_reset_code(enum reason reason, bool is_refused);
enum reason h2_reset_reason(uint32_t error_code, bool *is_refused);

/* Feeds all of conn_input to nghttp2: 0, or its fatal error. */
MUST_USE int h2_session_receive(struct h2_session *self);
/* Writes frames to conn_output while it has room, and flushes: 0, or nghttp2's fatal error. */
MUST_USE int h2_session_send(struct h2_session *self);
/* Asks for a send at the end of this turn. */
void h2_session_post(struct h2_session *self);
/* The last word, without nghttp2, whose session may be beyond use. Whole frames stand before it. */
void h2_session_write_goaway(
	struct h2_session *self, int32_t last_stream_id, uint32_t error_code, const char *what);

/* Adds the callback of nghttp2 that writes DATA frames for streams that are h2_stream_provider's.
 */
void h2_stream_set_callbacks(nghttp2_session_callbacks *callbacks);

/* First member of the codecs' own, and the user data of nghttp2's stream. */
struct h2_stream {
	struct h2_session *session;
	int32_t id;

	/* To the peer. */
	struct pipe *out;
	struct ws_tunnel *ws; /* watches the frames of a WebSocket; NULL: nobody does */
	/* `ws` has been at work, maybe within nghttp2. NULL: nobody asks. */
	void (*on_sifted)(struct h2_stream *self);
	struct bytes staged;   /* what `ws` has let through */
	uint64_t out_left;     /* of a body with a length */
	uint64_t n_out;	       /* in DATA frames so far */
	uint64_t n_out_before; /* the same, up to the latest frame */
	uint64_t out_mark;     /* conn_bytes_sent when the latest frame will have left */
	const struct fields *const *out_trailers; /* NULL, or where they will be */
	bool is_tunnel;	   /* `out` is a WebSocket's too, and not an answer that refuses it */
	struct bytes kept; /* all of n_out, while is_keeping */
	bool is_keeping;
	bool is_out_held; /* nothing is sent before the peer has agreed: see h2_stream_wake */
	bool has_out_length;
	bool is_out_waiting; /* nghttp2 has been told to ask no more until h2_stream_wake */
	bool is_out_broken;  /* a reset stands for the rest */
	bool is_out_orderly; /* `out` has gone after its end: only END_STREAM is left to write */
	bool is_out_ended;   /* END_STREAM has been written */

	/* From the peer. */
	struct pipe *in; /* NULL: what comes is dropped */
	uint64_t n_in;	 /* put into it */
	uint64_t n_credited;
	bool is_in_ended; /* END_STREAM has come */
	bool is_in_fast;  /* its reader keeps up: the window has been widened */

	/* Since when we wait: the last byte, or when the wait began. */
	uint64_t in_ms;
	uint64_t out_ms;
};

void h2_stream_init(struct h2_stream *self, struct h2_session *session, int32_t id);
/* Frees what it holds; the pipes are not its own. */
void h2_stream_close(struct h2_stream *self);

/* The body is what `out` brings, then the trailers. */
nghttp2_data_provider h2_stream_provider(struct h2_stream *self);
/* `out` has news, or the stream is broken. */
void h2_stream_wake(struct h2_stream *self);

/* From now on what is taken of `out` is kept, while it is little, until that is turned off. */
void h2_stream_keep(struct h2_stream *self, bool is_on);
/* Puts what was kept back into the pipe; false: it was too much. */
MUST_USE bool h2_stream_put_back(struct h2_stream *self, struct pipe *to);

/*
 * Takes the writer's end of the pipe: its limit is lowered to what the window needs. Whoever sets
 * another writer's notice calls h2_stream_on_taken from it.
 */
void h2_stream_set_in(struct h2_stream *self, struct pipe *in);
void h2_stream_on_taken(void *arg);
/* Bytes of a DATA frame. */
void h2_stream_put(struct h2_stream *self, const uint8_t *p, size_t n);
/* Credits what the reader has taken since; `in` must be the pipe still. */
void h2_stream_settle(struct h2_stream *self);
/* The pipe is about to go: what is in it counts as taken, what still comes is dropped. */
void h2_stream_leave_in(struct h2_stream *self);

/*
 * Since when bytes of `out` wait for the peer; TIMER_NEVER: none do. Where its windows are open the
 * stream waits for its turn only, and the peer is not to blame while others move.
 */
uint64_t h2_stream_stalled_since_ms(const struct h2_stream *self);
/* Bytes of `out` that the socket has taken for certain. */
uint64_t h2_stream_n_sent(const struct h2_stream *self);

#endif
