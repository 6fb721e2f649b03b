/*
 * A conn: one socket with its byte queues, plain or TLS, and nothing of HTTP.
 *
 * Input: the conn reads the socket while its owner wants to read, appends to conn_input and tells
 * the owner (on_input). The owner takes what it understands and may leave the rest; it stops
 * reading by conn_set_reading(false). Output: the owner appends to conn_output; the conn writes
 * once at the end of the loop turn, so that what is appended in one turn leaves in one system call,
 * and waits for the socket only when that would block.
 *
 * An idle conn holds no bytes and no timer. EOF of the peer and our own end are independent
 * (half-close): TCP FIN, or close_notify with TLS. EOF without close_notify is a cut
 * (CONN_LOSS_CUT), never a clean end.
 *
 * Callbacks come from the loop only, never from inside a call that the owner made. After conn_close
 * no callback runs.
 */
#ifndef PROXY_NET_CONN_H
#define PROXY_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/base/bytes.h"
#include "proxy/base/loop.h"

struct conn;
struct tls_context; /* net/tls_context.h */

/* Why a conn was lost. The errno or the TLS error text is in conn_loss_text. */
enum conn_loss {
	CONN_LOSS_NONE,
	CONN_LOSS_NO_SOCKET, /* nobody was asked: no descriptor or memory for a socket */
	CONN_LOSS_CONNECT,   /* could not connect */
	CONN_LOSS_HANDSHAKE, /* TLS handshake failed, or the certificate was refused */
	CONN_LOSS_RESET,     /* ECONNRESET, EPIPE and other socket errors */
	CONN_LOSS_CUT,	     /* TLS: EOF without close_notify */
	CONN_LOSS_TLS,	     /* TLS protocol error after the handshake */
};

const char *conn_loss_name(enum conn_loss loss);

struct conn_owner {
	/* Connected, and with TLS the handshake is done. Not called for accepted plain conns: they
	 * are open from the start. */
	void (*on_open)(void *arg);
	/* New bytes in conn_input, or the peer's clean end (conn_has_input_ended). */
	void (*on_input)(void *arg);
	/* conn_output_room came back after it had been 0, or all output has left (told once after
	 * each conn_flush that did not finish), or our end has left. */
	void (*on_output)(void *arg);
	/* Broken: nothing more comes or goes. Input received before stays readable. The owner still
	 * has to close. */
	void (*on_lost)(void *arg, enum conn_loss loss);
};

/* Takes the descriptor (non-blocking, close-on-exec). The peer address is copied. */
struct conn *conn_new_accepted(
	struct loop *loop, int fd, const struct sockaddr *peer, socklen_t peer_len);
/* A socket on which connect() is under way (or already done). */
struct conn *conn_new_connecting(struct loop *loop, int fd);
/* Makes it TLS, before anything was read or written. A client takes the name for SNI and
 * verification (NULL: neither). */
void conn_start_tls_server(struct conn *self, struct tls_context *context);
void conn_start_tls_client(struct conn *self, struct tls_context *context, const char *server_name);

/* After that, in the same turn: offers HTTP/1.1 alone, whatever the context says. */
void conn_tls_offer_http1(struct conn *self);

/* The owner may change (a pool hands a conn over). Pending input is told to the new owner by a
 * deferred on_input. */
void conn_set_owner(struct conn *self, const struct conn_owner *owner, void *arg);

/* Idempotent. The socket is closed at once (TLS: close_notify is sent if the socket takes it);
 * memory dies at the end of the turn. */
void conn_close(struct conn *self);
/* Closes so that the peer sees a break and never a clean end: TCP reset, no close_notify. */
void conn_abort(struct conn *self);
/*
 * Leaves the owner: writes what is queued, ends the output, discards input for at most linger_ms
 * and 256 KiB, then closes. This way an error answer is not destroyed by a reset for unread input.
 * No callback runs after the call, and the pointer is no longer the caller's.
 */
void conn_close_gracefully(struct conn *self, uint64_t linger_ms);
/* Closes at once the conns of this loop that are still closing gracefully. */
void conn_close_lingering(struct loop *loop);
/* How many are closing gracefully now. */
size_t conn_n_lingering(void);
/* Beyond this number (1000 by default) the longest closing ones are cut. */
void conn_set_max_lingering(size_t n);

/* Input. */
struct bytes *conn_input(struct conn *self);
/* Reading is off at first. With TLS, bytes that OpenSSL still holds are delivered when reading is
 * turned on again. */
void conn_set_reading(struct conn *self, bool is_on);
bool conn_is_reading(const struct conn *self);
/* The peer has ended its side cleanly and all its bytes are in conn_input. */
bool conn_has_input_ended(const struct conn *self);

/* Output. */
struct bytes *conn_output(struct conn *self);
/* How much more the owner should queue now (soft limit CONN_OUTPUT_LIMIT); 0: wait for on_output.
 */
size_t conn_output_room(struct conn *self);
/* Asks for a write at the end of this turn. */
void conn_flush(struct conn *self);
/* Ends our side once the output has left: shutdown(SHUT_WR), with TLS after close_notify. on_output
 * tells when the end is with the socket. Nothing may be appended afterwards. */
void conn_end_output(struct conn *self);
/* The end is with the socket. */
bool conn_has_output_ended(const struct conn *self);
/* When output is waiting for the peer: the time of the last byte that left, or of when it began to
 * wait; 0 when nothing waits. */
uint64_t conn_stalled_since_ms(const struct conn *self);
/* Bytes written to the socket that the peer's TCP has not acknowledged yet (SIOCOUTQ), as they are
 * on the wire; 0 if unknown. What still waits to be written is not counted. */
size_t conn_unacknowledged(const struct conn *self);

/* Gives back what an idle conn does not need (compacts input, TLS buffers). */
void conn_rest(struct conn *self);

/* Facts. */
#define CONN_OUTPUT_LIMIT (64 * 1024)

struct loop *conn_loop(const struct conn *self);
int conn_fd(const struct conn *self);
bool conn_is_open(const struct conn *self);
enum conn_loss conn_loss(const struct conn *self);
/* A few words for the log ("connection refused"); "" when there was no loss. */
const char *conn_loss_text(const struct conn *self);
/* The peer's address; family AF_UNIX for unix sockets. Never NULL. */
const struct sockaddr *conn_peer(const struct conn *self);
/* Total bytes moved over the socket's plaintext side. */
uint64_t conn_bytes_received(const struct conn *self);
uint64_t conn_bytes_sent(const struct conn *self);

/* TLS facts; false/"" on a plain conn. Slices live as long as the conn. */
bool conn_is_tls(const struct conn *self);
struct slice conn_tls_alpn(const struct conn *self);
struct slice conn_tls_server_name(const struct conn *self);
const char *conn_tls_version(const struct conn *self);
const char *conn_tls_cipher(const struct conn *self);
/* TLS 1.3, or a cipher of 1.2 with ephemeral keys and AEAD: what HTTP/2 may be spoken over (RFC
 * 9113 section 9.2.2). */
bool conn_tls_is_strong(const struct conn *self);
/* The handshake was shortened by a ticket. */
bool conn_tls_is_resumed(const struct conn *self);
/* Subject of the verified client certificate, "" if none. Caller frees nothing: buffer of the given
 * size. */
bool conn_tls_client_subject(const struct conn *self, char *buf, size_t n);

/* Live conns, for leak checks and caps. */
size_t conn_n_live(void);

#endif
