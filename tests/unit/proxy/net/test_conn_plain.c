/* Plain conns on real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "proxy/net/conn.h"

struct fixture {
	struct loop *loop;
	struct conn *conn;
	int peer;
	unsigned n_input;
	unsigned n_output;
	unsigned n_lost;
	enum conn_loss loss;
	char text[64];
	bool stops_reading;
};

static void on_open(void *arg)
{
	(void)arg;
	fail_msg("an accepted conn is open from the start");
}

static void on_input(void *arg)
{
	struct fixture *f = arg;

	f->n_input++;
	if (f->stops_reading)
		conn_set_reading(f->conn, false);
}

static void on_output(void *arg)
{
	((struct fixture *)arg)->n_output++;
}

static void on_lost(void *arg, enum conn_loss loss)
{
	struct fixture *f = arg;

	f->n_lost++;
	f->loss = loss;
	(void)strncpy(f->text, conn_loss_text(f->conn), sizeof(f->text) - 1);
}

static const struct conn_owner owner = {
	.on_open = on_open,
	.on_input = on_input,
	.on_output = on_output,
	.on_lost = on_lost,
};

/* Over TCP, so that resets are those of the network. */
static void connect_pair(int fds[2])
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[1], (struct sockaddr *)&address, length), 0);
	fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fds[0] >= 0);
	(void)close(listener);
}

static int setup(void **state)
{
	static struct fixture f;
	struct sockaddr_in peer;
	socklen_t length = sizeof(peer);
	int fds[2];

	memset(&f, 0, sizeof(f));
	connect_pair(fds);
	f.loop = loop_new();
	f.peer = fds[1];
	assert_int_equal(getpeername(fds[0], (struct sockaddr *)&peer, &length), 0);
	f.conn = conn_new_accepted(f.loop, fds[0], (struct sockaddr *)&peer, length);
	conn_set_owner(f.conn, &owner, &f);
	*state = &f;
	return 0;
}

static void close_peer(struct fixture *f, bool resets)
{
	struct linger linger = {.l_onoff = resets, .l_linger = 0};

	if (f->peer < 0)
		return;
	(void)setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(f->peer);
	f->peer = -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->conn != NULL)
		conn_close(f->conn);
	conn_close_lingering(f->loop);
	close_peer(f, false);
	loop_free(f->loop);
	assert_int_equal(conn_n_live(), 0);
	assert_int_equal(bytes_live_segments(), 0);
	bytes_release_cache();
	return 0;
}

static void turns(struct fixture *f, int n)
{
	while (n-- > 0)
		loop_turn(f->loop, false);
}

static void peer_writes(struct fixture *f, const char *text)
{
	assert_int_equal(send(f->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void assert_input(struct fixture *f, const char *expected)
{
	struct bytes *input = conn_input(f->conn);
	struct slice all = bytes_linearize(input, bytes_size(input));

	assert_int_equal(all.n, strlen(expected));
	assert_memory_equal(all.p, expected, all.n);
}

static void assert_peer_reads(struct fixture *f, const char *expected)
{
	char buf[256];

	assert_int_equal(recv(f->peer, buf, sizeof(buf), MSG_DONTWAIT), strlen(expected));
	assert_memory_equal(buf, expected, strlen(expected));
}

static void test_bytes_both_ways_and_facts(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(conn_peer(f->conn)->sa_family, AF_INET);
	assert_false(conn_is_tls(f->conn));
	assert_true(slice_is_empty(conn_tls_alpn(f->conn)));
	conn_set_reading(f->conn, true);
	peer_writes(f, "ping");
	bytes_append_string(conn_output(f->conn), "pong");
	conn_flush(f->conn);
	turns(f, 2);
	assert_input(f, "ping");
	assert_peer_reads(f, "pong");
	assert_int_equal(f->n_input, 1);
	assert_int_equal(conn_bytes_received(f->conn), 4);
	assert_int_equal(conn_bytes_sent(f->conn), 4);
}

static void test_an_idle_conn_holds_no_bytes(void **state)
{
	struct fixture *f = *state;

	conn_set_reading(f->conn, true);
	turns(f, 2);
	assert_int_equal(bytes_live_segments(), 0);
	peer_writes(f, "x");
	turns(f, 2);
	bytes_drain(conn_input(f->conn), 1);
	turns(f, 2);
	assert_int_equal(bytes_live_segments(), 0);
	peer_writes(f, "rest");
	turns(f, 2);
	conn_rest(f->conn);
	assert_true(bytes_footprint(conn_input(f->conn)) < 100);
}

static void test_nothing_is_read_while_reading_is_off(void **state)
{
	struct fixture *f = *state;

	peer_writes(f, "one");
	turns(f, 3);
	assert_int_equal(f->n_input, 0);
	f->stops_reading = true;
	conn_set_reading(f->conn, true);
	turns(f, 2);
	assert_int_equal(f->n_input, 1);
	peer_writes(f, " two");
	turns(f, 3);
	assert_input(f, "one");
	conn_set_reading(f->conn, true);
	turns(f, 2);
	assert_input(f, "one two");
}

static void test_half_close_both_ways(void **state)
{
	struct fixture *f = *state;

	conn_set_reading(f->conn, true);
	(void)shutdown(f->peer, SHUT_WR);
	turns(f, 3);
	assert_true(conn_has_input_ended(f->conn));
	assert_int_equal(f->n_input, 1);
	assert_int_equal(f->n_lost, 0);
	bytes_append_string(conn_output(f->conn), "late");
	conn_end_output(f->conn);
	assert_false(conn_has_output_ended(f->conn));
	turns(f, 2);
	assert_true(conn_has_output_ended(f->conn));
	assert_int_equal(f->n_output, 1);
	assert_peer_reads(f, "late");
	assert_peer_reads(f, "");
}

static void test_reset_keeps_what_came_before(void **state)
{
	struct fixture *f = *state;

	conn_set_reading(f->conn, true);
	peer_writes(f, "413 too much");
	turns(f, 2);
	close_peer(f, true);
	turns(f, 3);
	assert_int_equal(f->n_lost, 1);
	assert_int_equal(f->loss, CONN_LOSS_RESET);
	assert_string_equal(f->text, "Connection reset by peer");
	assert_input(f, "413 too much");
}

static void test_an_answer_before_a_write_error_is_read(void **state)
{
	struct fixture *f = *state;

	/* The peer answers and breaks off; we were writing and not reading. */
	peer_writes(f, "413 too much");
	close_peer(f, true);
	bytes_append_string(conn_output(f->conn), "more body");
	conn_flush(f->conn);
	turns(f, 3);
	assert_int_equal(f->n_lost, 1);
	assert_int_equal(f->loss, CONN_LOSS_RESET);
	assert_input(f, "413 too much");
}

static void test_much_both_ways_with_a_slow_peer(void **state)
{
	static char block[CONN_OUTPUT_LIMIT], buf[CONN_OUTPUT_LIMIT];
	struct fixture *f = *state;
	size_t n_written = 0, n_read = 0;

	while (conn_output_room(f->conn) > 0) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (char)((n_written + i) % 251);
		bytes_append(conn_output(f->conn), block, sizeof(block));
		n_written += sizeof(block);
		conn_flush(f->conn);
		turns(f, 3);
	}
	assert_int_not_equal(conn_stalled_since_ms(f->conn), 0);
	assert_true(conn_unacknowledged(f->conn) > 0);
	assert_int_equal(f->n_output, 0);
	while (n_read < n_written) {
		ssize_t n = recv(f->peer, buf, sizeof(buf), MSG_DONTWAIT);

		for (ssize_t i = 0; i < n; i++)
			assert_int_equal((unsigned char)buf[i], (n_read + (size_t)i) % 251);
		n_read += n > 0 ? (size_t)n : 0;
		turns(f, 1);
	}
	turns(f, 1);
	assert_true(f->n_output >= 1);
	assert_int_equal(conn_stalled_since_ms(f->conn), 0);
	assert_int_equal(bytes_live_segments(), 0);
}

static void test_much_input_is_read_in_portions(void **state)
{
	static char block[1024 * 1024];
	struct fixture *f = *state;
	int size = sizeof(block);
	ssize_t n;
	size_t before = 0;

	(void)setsockopt(f->peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	n = send(f->peer, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
	assert_true(n > 300 * 1024);
	conn_set_reading(f->conn, true);
	while (conn_bytes_received(f->conn) < (uint64_t)n) {
		loop_turn(f->loop, true);
		assert_true(conn_bytes_received(f->conn) - before <= 256 * 1024);
		before = conn_bytes_received(f->conn);
	}
	assert_int_equal(bytes_size(conn_input(f->conn)), n);
}

static void test_abort_resets(void **state)
{
	struct fixture *f = *state;
	char c;

	conn_abort(f->conn);
	turns(f, 1);
	f->conn = NULL;
	assert_int_equal(recv(f->peer, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void test_a_graceful_close_spares_the_answer(void **state)
{
	struct fixture *f = *state;

	peer_writes(f, "much that nobody reads");
	bytes_append_string(conn_output(f->conn), "431");
	conn_close_gracefully(f->conn, 60000);
	f->conn = NULL;
	turns(f, 3);
	peer_writes(f, "and more");
	turns(f, 3);
	assert_peer_reads(f, "431");
	assert_peer_reads(f, "");
	assert_int_equal(conn_n_live(), 1);
	(void)shutdown(f->peer, SHUT_WR);
	turns(f, 3);
	assert_int_equal(conn_n_live(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_bytes_both_ways_and_facts),
		TEST(test_an_idle_conn_holds_no_bytes),
		TEST(test_nothing_is_read_while_reading_is_off),
		TEST(test_half_close_both_ways),
		TEST(test_reset_keeps_what_came_before),
		TEST(test_an_answer_before_a_write_error_is_read),
		TEST(test_much_both_ways_with_a_slow_peer),
		TEST(test_much_input_is_read_in_portions),
		TEST(test_abort_resets),
		TEST(test_a_graceful_close_spares_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
