/*
 * For tests: the other end of an HTTP/2 connection in memory, client or server. What it sends is an
 * nghttp2 session's, which also answers SETTINGS and pings and credits windows, or raw bytes, where
 * the test wants what that session would not say. What it receives is read by a parser of its own,
 * so that it is seen in both cases.
 *
 *	test -> h2_peer_* -> nghttp2 -> conn_fake -> code under test -> conn_fake -> test
 *
 * Field lines are text: "name=value\n" each, the name up to the first "=" behind its first byte.
 */
#ifndef TESTS_UNIT_PROXY_HTTP_H2_PEER_H
#define TESTS_UNIT_PROXY_HTTP_H2_PEER_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/bytes.h"
#include "proxy/net/conn_fake.h"

struct h2_peer;

/* What has come of a stream. */
struct h2_peer_stream {
	int32_t id;
	char head[1024];    /* lines of the request, or of the final response */
	char interim[1024]; /* lines of all interim heads */
	char trailers[256];
	struct bytes body;
	unsigned status; /* of the final head */
	uint32_t error;	 /* of RST_STREAM */
	bool has_end;	 /* END_STREAM */
	bool is_reset;
	/* What goes out, by nghttp2. */
	struct h2_peer *peer;
	struct bytes out;
	const char *out_trailers;
	bool has_out_end;
};

struct h2_peer_options {
	uint32_t window;      /* of each stream; 0: the default */
	uint32_t max_streams; /* told by a server; 0: nothing is told */
	bool has_connect;     /* a server offers RFC 8441 */
	bool is_slow;	      /* credits windows by h2_peer_credit only */
	bool is_silent;	      /* says nothing of its own: neither SETTINGS nor answers */
};

struct h2_peer {
	struct loop *loop;
	struct conn_fake *fake;
	nghttp2_session *ng;
	nghttp2_hd_inflater *inflater;
	bool is_server;
	bool is_silent;
	bool is_deaf; /* nghttp2 hears nothing: streams are open of which it does not know */
	struct h2_peer_stream **streams;
	size_t n_streams;
	struct bytes input; /* of which no whole frame has come */
	struct bytes block; /* of a header section under way */
	/* Frames in order, without SETTINGS, WINDOW_UPDATE and acknowledgements. */
	char frames[2048];
	unsigned n_settings, n_settings_acks, n_pings, n_ping_acks, n_window_updates;
	uint32_t settings[16]; /* by identifier: the latest value */
	int64_t credit;	       /* of the connection, received */
};

struct h2_peer *h2_peer_new(struct loop *loop, struct conn_fake *fake, bool is_server,
	const struct h2_peer_options *options);
void h2_peer_free(struct h2_peer *self);

/* Moves what there is to move, without a turn of the loop; false: nothing. */
bool h2_peer_step(struct h2_peer *self);
/* Steps and turns until nothing moves. */
void h2_peer_turn(struct h2_peer *self);

struct h2_peer_stream *h2_peer_stream(struct h2_peer *self, int32_t id);
/* The frames since the last call: "HEADERS(1) DATA(1)+END RST_STREAM(3,CANCEL)". */
const char *h2_peer_frames(struct h2_peer *self);
/* The body so far. */
const char *h2_peer_body(struct h2_peer *self, int32_t id);

/* By nghttp2, which sends in the next step. */
/* A client's request; without is_ended, its body is what is put. */
int32_t h2_peer_request(struct h2_peer *self, const char *lines, bool is_ended);
/* A server's answer. */
void h2_peer_respond(struct h2_peer *self, int32_t id, const char *lines, bool is_ended);
void h2_peer_interim(struct h2_peer *self, int32_t id, const char *lines);
void h2_peer_put(struct h2_peer *self, int32_t id, const void *p, size_t n);
void h2_peer_put_text(struct h2_peer *self, int32_t id, const char *text);
/* END_STREAM, or the trailers if there are any (a string that stays). */
void h2_peer_put_end(struct h2_peer *self, int32_t id, const char *trailers);
void h2_peer_reset(struct h2_peer *self, int32_t id, uint32_t error);
void h2_peer_goaway(struct h2_peer *self, int32_t last_id, uint32_t error);
void h2_peer_ping(struct h2_peer *self);
void h2_peer_set(struct h2_peer *self, int32_t id, uint32_t value);
/* id 0: the connection. */
void h2_peer_credit(struct h2_peer *self, int32_t id, uint32_t n);

/* Raw bytes, at once. */
void h2_peer_raw(struct h2_peer *self, const void *p, size_t n);
void h2_peer_raw_frame(struct h2_peer *self, uint8_t type, uint8_t flags, int32_t id,
	const void *payload, size_t n);
/* The client's magic and SETTINGS without content. */
void h2_peer_raw_preface(struct h2_peer *self);
/* Its lines in the one form that leaves no trace in the dynamic table. From now on nghttp2 is deaf.
 */
void h2_peer_raw_headers(struct h2_peer *self, uint8_t flags, int32_t id, const char *lines);
/* The same as the payload alone, for CONTINUATION; returns its size. */
size_t h2_peer_encode(const char *lines, uint8_t *out, size_t size);
/* A payload of four bytes. */
void h2_peer_raw_u32(struct h2_peer *self, uint8_t type, uint8_t flags, int32_t id, uint32_t value);

#endif
