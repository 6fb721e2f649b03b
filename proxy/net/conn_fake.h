/*
 * For tests: a conn whose socket is in memory, so that codecs can be fed bytes, read, blocked,
 *ended and lost, on a fake loop. Everything the test does arrives at the conn's owner by notice, as
 *if it came from a socket: run a turn of the loop to see it.
 *
 *	test -> feed -> [inbox] -> conn_input -> owner -> conn_output -> [outbox] -> sent -> test
 *
 * The fake outlives its conn, so that a test can look at what was written before the close.
 */
#ifndef PROXY_NET_CONN_FAKE_H
#define PROXY_NET_CONN_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/net/conn.h"

struct conn_fake;

struct conn_fake *conn_fake_new(struct loop *loop);
/* Closes the conn too if nobody has; run a turn before the loop is freed. */
void conn_fake_free(struct conn_fake *self);
/* The conn, open and unowned, for the code under test. NULL once it is closed. */
struct conn *conn_fake_conn(struct conn_fake *self);
/* Before the code under test sees the conn; an AF_UNIX address otherwise. */
void conn_fake_set_peer(struct conn_fake *self, const struct sockaddr *peer, socklen_t peer_len);

/* The peer's side. What is fed waits until the conn reads. */
void conn_fake_feed(struct conn_fake *self, const void *p, size_t n);
void conn_fake_feed_string(struct conn_fake *self, const char *s);
/* After what was fed: the clean end. */
void conn_fake_feed_end(struct conn_fake *self);
/* Bytes that were fed and not yet read. */
size_t conn_fake_n_unread(const struct conn_fake *self);
/* At once: what was fed and not read is gone, as after a reset. */
void conn_fake_lose(struct conn_fake *self, enum conn_loss loss);

/* What the conn has written; the test drains it as it likes. */
struct bytes *conn_fake_sent(struct conn_fake *self);
/* How many more bytes the peer takes before the conn has to wait; no limit at first. */
void conn_fake_set_room(struct conn_fake *self, size_t room);
/* The conn has ended its output. */
bool conn_fake_has_ended(const struct conn_fake *self);
bool conn_fake_is_closed(const struct conn_fake *self);
/* Closed with everything written, so that the peer saw no break. */
bool conn_fake_is_closed_cleanly(const struct conn_fake *self);

#endif
