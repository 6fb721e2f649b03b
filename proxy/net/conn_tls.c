/*
 * TLS on a conn. OpenSSL never touches the socket: its BIO reads from a buffer that all conns
 *share, filled by one recv per readiness, and writes to the conn's own queue `wire`, sent by one
 *sendmsg per flush.
 *
 *	socket -> recv -> feed -> SSL_read -> input		output -> SSL_write -> wire ->
 *sendmsg -> socket
 *
 * The whole feed is always decrypted before we return to the loop, so OpenSSL holds at most one
 *unfinished record and no readiness is ever lost in it. Because the wire takes everything, OpenSSL
 *never waits for writability.
 */
#include "proxy/net/conn_ops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "proxy/base/memory.h"
#include "proxy/net/tls_parameters.h"
#include "proxy/net/tls_private.h"

/* Sixteen full records: what a busy upload has waiting. */
#define FEED_SIZE (256 * 1024)
/* Encrypted ahead of the socket. */
#define WIRE_SIZE (64 * 1024)
#define RECORD_SIZE 16384
/* A segment of this size makes a record of its own rather than be copied together with the next. */
#define WHOLE_SEGMENT (8 * 1024)
#define MIN_ROOM 2048
#define SEND_ONCE (512 * 1024)
/* Key updates cost both sides a key derivation and us an answer; honest peers send one in millions
 * of records. */
#define MAX_KEY_UPDATES 32
#define KEY_UPDATE_WINDOW_MS 60000

struct conn_tls {
	struct conn *conn;
	SSL *ssl;
	struct tls_context *context;
	struct bytes wire;
	char *name;	  /* client: for the session; NULL: none */
	const char *text; /* of the loss; static */
	uint64_t window_ms;
	unsigned n_key_updates;
	bool is_established;
	bool is_refused; /* the peer did what we do not take; text says what */
	bool is_wire_closed;
};

/* What came in the latest recv, for the conn that is at work now. */
static char feed_buffer[FEED_SIZE];
static struct slice feed;
static BIO_METHOD *bio_method;

static void clear_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

/* The BIO. */

static int bio_read(BIO *bio, char *p, int n)
{
	size_t part = MIN((size_t)n, feed.n);

	BIO_clear_retry_flags(bio);
	if (part == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(p, feed.p, part);
	feed = slice_from(feed, part);
	return (int)part;
}

static int bio_write(BIO *bio, const char *p, int n)
{
	struct conn_tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (!tls->is_wire_closed)
		bytes_append(&tls->wire, p, (size_t)n);
	return n;
}

static long bio_ctrl(BIO *bio, int command, long n, void *p)
{
	(void)bio;
	(void)n;
	(void)p;
	return command == BIO_CTRL_FLUSH;
}

static BIO *new_bio(struct conn_tls *tls)
{
	BIO *bio;

	if (bio_method == NULL) {
		bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "conn");
		ASSERT(bio_method != NULL);
		(void)BIO_meth_set_read(bio_method, bio_read);
		(void)BIO_meth_set_write(bio_method, bio_write);
		(void)BIO_meth_set_ctrl(bio_method, bio_ctrl);
	}
	bio = BIO_new(bio_method);
	ASSERT(bio != NULL);
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	return bio;
}

/* Called from within OpenSSL: only takes notes. */

static void count_key_update(struct conn_tls *tls)
{
	uint64_t now_ms = loop_now_ms(tls->conn->loop);

	if (now_ms >= tls->window_ms + KEY_UPDATE_WINDOW_MS) {
		tls->window_ms = now_ms;
		tls->n_key_updates = 0;
	}
	if (++tls->n_key_updates <= MAX_KEY_UPDATES)
		return;
	tls->is_refused = true;
	tls->text = "too many TLS key updates";
}

void conn_tls_on_message(
	int is_written, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	struct conn_tls *tls = arg;
	const unsigned char *message = p;

	(void)version;
	if (is_written || tls == NULL || !tls->is_established || n == 0)
		return;
	if (type == SSL3_RT_HANDSHAKE && message[0] == SSL3_MT_KEY_UPDATE) {
		count_key_update(tls);
	} else if (type == SSL3_RT_HEADER && message[0] == SSL3_RT_HANDSHAKE &&
		SSL_version(ssl) < TLS1_3_VERSION) {
		/* In TLS 1.2 only a renegotiation would come now. */
		tls->is_refused = true;
		tls->text = "TLS renegotiation refused";
	}
}

int conn_tls_on_session(SSL *ssl, SSL_SESSION *session)
{
	struct conn_tls *tls = SSL_get_app_data(ssl);

	if (tls == NULL || tls->context->sessions == NULL)
		return 0;
	tls_sessions_put(tls->context->sessions, tls->name != NULL ? tls->name : "", session);
	return 1;
}

/* Endings. */

/* Alerts and close_notify, if the socket takes them now. */
static void send_last_words(struct conn *self)
{
	struct bytes *wire = &self->tls->wire;
	struct iovec iov[4];
	struct msghdr message = {.msg_iov = iov};

	if (self->fd < 0 || bytes_size(wire) == 0)
		return;
	message.msg_iovlen = (size_t)bytes_vectors(wire, iov, ARRAY_LEN(iov), WIRE_SIZE);
	(void)sendmsg(self->fd, &message, MSG_NOSIGNAL);
	bytes_clear(wire);
}

/* After OpenSSL has given up. */
static void fail_tls(struct conn *self)
{
	struct conn_tls *tls = self->tls;
	unsigned long code = ERR_peek_error();

	if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
		ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		tls->text = X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl));
		ERR_clear_error();
	} else {
		tls->text = tls_error_text();
	}
	send_last_words(self);
	conn_fail(self, CONN_LOSS_TLS, 0);
}

/* Input. */

/* False: nothing came, or the conn is lost. */
static bool recv_feed(struct conn *self)
{
	ssize_t n;

	do {
		n = recv(self->fd, feed_buffer, sizeof(feed_buffer), 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		feed = slice_of(feed_buffer, (size_t)n);
		return true;
	}
	feed = slice_of(feed_buffer, 0);
	if (n == 0) {
		self->tls->text = self->state == CONN_HANDSHAKING
			? "the peer ended the connection within the TLS handshake"
			: "the connection ended without close_notify";
		conn_fail(self, CONN_LOSS_CUT, 0);
	} else if (errno != EAGAIN && errno != EWOULDBLOCK) {
		conn_fail(self, CONN_LOSS_RESET, errno);
	}
	return false;
}

/* Decrypts the feed. True if there is news for the owner. */
static bool read_feed(struct conn *self)
{
	struct conn_tls *tls = self->tls;
	bool has_news = false;

	/* Without feed and without a rest of a record there is nothing to ask for. */
	while (!self->is_input_ended && (feed.n > 0 || SSL_pending(tls->ssl) > 0)) {
		size_t room;
		char *p = bytes_reserve(&self->input, MIN_ROOM, &room);
		int n, error;

		clear_errors();
		n = SSL_read(tls->ssl, p, (int)room);
		if (n > 0) {
			bytes_commit(&self->input, (size_t)n);
			self->n_received += (uint64_t)n;
			has_news = true;
		}
		if (tls->is_refused) {
			send_last_words(self);
			conn_fail(self, CONN_LOSS_TLS, 0);
			break;
		}
		if (n > 0)
			continue;
		error = SSL_get_error(tls->ssl, n);
		if (error == SSL_ERROR_ZERO_RETURN) {
			self->is_input_ended = true;
			has_news = true;
		} else if (error != SSL_ERROR_WANT_READ) {
			fail_tls(self);
			break;
		}
	}
	bytes_release_reserve(&self->input);
	feed = slice_of(feed_buffer, 0);
	/* OpenSSL may have answered: key updates, alerts. */
	if (bytes_size(&tls->wire) > 0)
		conn_flush(self);
	return has_news;
}

/* As long as the socket fills the feed, up to what one conn may read in a turn. */
static bool tls_recv(struct conn *self)
{
	bool has_news = false, is_full = true;

	for (size_t total = 0; is_full && total < CONN_READ_ONCE; total += FEED_SIZE) {
		if (!recv_feed(self))
			break;
		is_full = feed.n == FEED_SIZE;
		has_news |= read_feed(self);
		if (self->state != CONN_OPEN || self->is_input_ended)
			break;
	}
	return has_news;
}

/* Output. */

/* One record, or the rest of a queue that fits in one. */
static bool write_record(struct conn *self)
{
	static char joined[RECORD_SIZE];
	struct slice record = bytes_front(&self->output);
	int n;

	if (record.n < bytes_size(&self->output) && record.n < WHOLE_SEGMENT) {
		struct iovec iov[16];
		int n_iov = bytes_vectors(&self->output, iov, ARRAY_LEN(iov), SIZE_MAX);
		size_t size = 0;

		/* Whole segments only, so that a big one behind keeps its alignment and is not
		 * copied. */
		for (int i = 0; i < n_iov && size + iov[i].iov_len <= RECORD_SIZE; i++)
			size += iov[i].iov_len;
		bytes_peek(&self->output, joined, size);
		record = slice_of(joined, size);
	}
	record = slice_first(record, RECORD_SIZE);
	clear_errors();
	n = SSL_write(self->tls->ssl, record.p, (int)record.n);
	if (n <= 0) {
		fail_tls(self);
		return false;
	}
	bytes_drain(&self->output, (size_t)n);
	self->n_sent += (uint64_t)n;
	return true;
}

static enum conn_io tls_send(struct conn *self)
{
	struct bytes *wire = &self->tls->wire;

	for (size_t total = 0; total < SEND_ONCE; total += WIRE_SIZE) {
		enum conn_io io;

		while (bytes_size(&self->output) > 0 && bytes_size(wire) < WIRE_SIZE) {
			if (!write_record(self))
				return CONN_IO_FAILED;
		}
		io = conn_send_bytes(self, wire);
		if (io != CONN_IO_DONE || bytes_size(&self->output) == 0)
			return io;
	}
	return CONN_IO_MORE;
}

static enum conn_io tls_send_end(struct conn *self)
{
	struct conn_tls *tls = self->tls;
	enum conn_io io;

	if (!(SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN)) {
		clear_errors();
		(void)SSL_shutdown(tls->ssl);
	}
	io = conn_send_bytes(self, &tls->wire);
	if (io != CONN_IO_DONE)
		return io;
	/* Nothing may follow close_notify: what OpenSSL would still answer is dropped. */
	tls->is_wire_closed = true;
	(void)shutdown(self->fd, SHUT_WR);
	return CONN_IO_DONE;
}

static size_t tls_unsent(const struct conn *self)
{
	return self->tls != NULL ? bytes_size(&self->tls->wire) : 0;
}

static void tls_close(struct conn *self, bool is_clean)
{
	struct conn_tls *tls = self->tls;

	if (is_clean && !(SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN)) {
		clear_errors();
		(void)SSL_shutdown(tls->ssl);
		send_last_words(self);
	}
	/* Unread bytes would turn the close into a reset, which destroys an alert on its way. */
	if (self->loss == CONN_LOSS_HANDSHAKE || self->loss == CONN_LOSS_TLS)
		(void)recv(self->fd, feed_buffer, sizeof(feed_buffer), MSG_DONTWAIT);
	bytes_clear(&tls->wire);
}

/* Handshake. */

static enum conn_io tls_start(struct conn *self)
{
	struct conn_tls *tls = self->tls;
	enum conn_io io;
	int n;

	/* A client speaks first. */
	feed = slice_of(feed_buffer, 0);
	if ((SSL_is_server(tls->ssl) || !SSL_in_before(tls->ssl)) && !recv_feed(self) &&
		self->state == CONN_LOST)
		return CONN_IO_FAILED;
	clear_errors();
	n = SSL_do_handshake(tls->ssl);
	if (n == 1) {
		tls->is_established = true;
		/* The owner learns of it after the state has changed: both come from the same
		 * packet. */
		(void)read_feed(self);
		return self->state == CONN_LOST ? CONN_IO_FAILED : CONN_IO_DONE;
	}
	if (SSL_get_error(tls->ssl, n) != SSL_ERROR_WANT_READ) {
		fail_tls(self);
		return CONN_IO_FAILED;
	}
	io = conn_send_bytes(self, &tls->wire);
	return io == CONN_IO_DONE ? CONN_IO_WAIT : io;
}

static const struct conn_ops tls_ops = {
	.start = tls_start,
	.recv = tls_recv,
	.send = tls_send,
	.send_end = tls_send_end,
	.unsent = tls_unsent,
	.close = tls_close,
};

static struct conn_tls *become_tls(struct conn *self, struct tls_context *context)
{
	struct conn_tls *tls = memory_alloc_zeroed(sizeof(*tls));
	BIO *bio;

	ASSERT(!self->is_tls && self->n_received == 0 && self->n_sent == 0);
	tls->conn = self;
	tls->context = tls_context_ref(context);
	tls->ssl = SSL_new(context->ctx);
	ASSERT(tls->ssl != NULL);
	bio = new_bio(tls);
	SSL_set_bio(tls->ssl, bio, bio);
	(void)SSL_set_app_data(tls->ssl, tls);
	SSL_set_msg_callback_arg(tls->ssl, tls);
	self->tls = tls;
	return tls;
}

void conn_start_tls_server(struct conn *self, struct tls_context *context)
{
	struct conn_tls *tls = become_tls(self, context);

	SSL_set_accept_state(tls->ssl);
	conn_begin_tls(self, &tls_ops, false);
}

/* SNI names hosts only (RFC 6066 section 3); an address is verified as such. */
static void set_server_name(struct conn_tls *tls, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
	unsigned char address[sizeof(struct in6_addr)];
	bool is_address =
		inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
	int is_set = 1;

	if (is_address) {
		is_set = X509_VERIFY_PARAM_set1_ip_asc(param, name);
	} else {
		X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		is_set = (int)SSL_set_tlsext_host_name(tls->ssl, name) &
			X509_VERIFY_PARAM_set1_host(param, name, 0);
	}
	/* A name that OpenSSL cannot take matches no certificate either: the handshake will say so.
	 */
	if (is_set != 1)
		(void)X509_VERIFY_PARAM_set1_host(param, "invalid.", 0);
}

void conn_start_tls_client(struct conn *self, struct tls_context *context, const char *server_name)
{
	struct conn_tls *tls = become_tls(self, context);
	SSL_SESSION *session;

	SSL_set_connect_state(tls->ssl);
	if (server_name != NULL) {
		tls->name = memory_copy_string(server_name);
		set_server_name(tls, server_name);
	}
	session = tls_sessions_get(context->sessions, server_name != NULL ? server_name : "");
	if (session != NULL)
		(void)SSL_set_session(tls->ssl, session);
	conn_begin_tls(self, &tls_ops, true);
}

void conn_tls_offer_http1(struct conn *self)
{
	struct slice alpn = tls_parameters_alpn(CONF_PROTOCOL_HTTP1);

	ASSERT(SSL_in_before(self->tls->ssl));
	(void)SSL_set_alpn_protos(self->tls->ssl, (const unsigned char *)alpn.p, (unsigned)alpn.n);
}

void conn_tls_free(struct conn *self)
{
	struct conn_tls *tls = self->tls;

	SSL_free(tls->ssl);
	tls_context_unref(tls->context);
	free(tls->name);
	free(tls);
	self->tls = NULL;
}

void conn_tls_rest(struct conn *self)
{
	bytes_compact(&self->tls->wire);
}

/* Facts. */

const char *conn_tls_loss_text(const struct conn *self)
{
	return self->tls->text != NULL ? self->tls->text : "TLS failed";
}

struct slice conn_tls_alpn(const struct conn *self)
{
	const unsigned char *p = NULL;
	unsigned n = 0;

	if (self->is_tls)
		SSL_get0_alpn_selected(self->tls->ssl, &p, &n);
	return slice_of(p != NULL ? (const char *)p : "", n);
}

struct slice conn_tls_server_name(const struct conn *self)
{
	const char *name =
		self->is_tls ? SSL_get_servername(self->tls->ssl, TLSEXT_NAMETYPE_host_name) : NULL;

	return slice_from_string(name != NULL ? name : "");
}

const char *conn_tls_version(const struct conn *self)
{
	return self->is_tls ? SSL_get_version(self->tls->ssl) : "";
}

bool conn_tls_is_strong(const struct conn *self)
{
	const SSL_CIPHER *cipher;
	int exchange;

	if (!self->is_tls || SSL_version(self->tls->ssl) >= TLS1_3_VERSION)
		return self->is_tls;
	cipher = SSL_get_current_cipher(self->tls->ssl);
	exchange = cipher != NULL ? SSL_CIPHER_get_kx_nid(cipher) : NID_undef;
	return (exchange == NID_kx_ecdhe || exchange == NID_kx_dhe) &&
		SSL_CIPHER_is_aead(cipher) == 1;
}

const char *conn_tls_cipher(const struct conn *self)
{
	const char *name = self->is_tls ? SSL_get_cipher_name(self->tls->ssl) : NULL;

	return name != NULL ? name : "";
}

bool conn_tls_is_resumed(const struct conn *self)
{
	return self->is_tls && SSL_session_reused(self->tls->ssl) != 0;
}

bool conn_tls_client_subject(const struct conn *self, char *buf, size_t n)
{
	X509 *x509;
	BIO *text;
	int length = -1;

	if (n > 0)
		buf[0] = '\0';
	if (!self->is_tls || n == 0 || !SSL_is_server(self->tls->ssl))
		return false;
	x509 = SSL_get0_peer_certificate(self->tls->ssl);
	if (x509 == NULL || SSL_get_verify_result(self->tls->ssl) != X509_V_OK)
		return false;
	text = BIO_new(BIO_s_mem());
	ASSERT(text != NULL);
	if (X509_NAME_print_ex(text, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253) >= 0)
		length = BIO_gets(text, buf, (int)n);
	BIO_free(text);
	return length > 0;
}
