/* Names resolved by a name server of our own on loopback, and dials through them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/event.h>
#include <netinet/in.h>

#include "proxy/base/macros.h"
#include "proxy/net/address.h"
#include "proxy/net/dial.h"
#include "proxy/net/resolve.h"

#define TYPE_A 1
#define RCODE_NXDOMAIN 3

/* Answers every question of type A with its addresses, of another type with none. */
struct name_server {
	struct event *event;
	int fd;
	bool is_silent;
	int rcode;
	uint32_t ttl_s;
	uint8_t addresses[4][4];
	unsigned n_addresses;
	unsigned n_questions; /* of type A */
};

struct fixture {
	struct loop *loop;
	struct resolver *resolver;
	struct name_server server;
	unsigned n_answers;
	size_t n_addresses;
	char addresses[4][ADDRESS_TEXT_SIZE];
	char why[128];
	struct conn *conn;
	unsigned n_failed;
	enum conn_loss loss;
};

static void put16(uint8_t **p, unsigned value)
{
	*(*p)++ = (uint8_t)(value >> 8);
	*(*p)++ = (uint8_t)value;
}

static void on_question(evutil_socket_t fd, short what, void *arg)
{
	struct name_server *self = arg;
	uint8_t message[512], *p;
	struct sockaddr_storage from;
	socklen_t length = sizeof(from);
	ssize_t n = recvfrom(fd, message, sizeof(message) - 128, MSG_DONTWAIT,
		(struct sockaddr *)&from, &length);
	unsigned type, n_answers;

	(void)what;
	if (n < 17)
		return;
	/* Header of 12 bytes, then labels up to an empty one, type, class (RFC 1035 section 4.1).
	 */
	p = message + 12;
	while (*p != 0)
		p += *p + 1;
	type = (unsigned)p[1] << 8 | p[2];
	p += 5;
	self->n_questions += type == TYPE_A;
	if (self->is_silent)
		return;
	n_answers = type == TYPE_A && self->rcode == 0 ? self->n_addresses : 0;
	message[2] = 0x84;
	message[3] = (uint8_t)(0x80 | self->rcode);
	message[7] = (uint8_t)n_answers;
	memset(message + 8, 0, 4);
	for (unsigned i = 0; i < n_answers; i++) {
		put16(&p, 0xc00c); /* the question's name */
		put16(&p, TYPE_A);
		put16(&p, 1);
		put16(&p, self->ttl_s >> 16);
		put16(&p, self->ttl_s & 0xffff);
		put16(&p, 4);
		memcpy(p, self->addresses[i], 4);
		p += 4;
	}
	(void)sendto(fd, message, (size_t)(p - message), 0, (struct sockaddr *)&from, length);
}

static void start_server(struct name_server *self, struct loop *loop, char servers[32])
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);

	self->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(self->fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(self->fd, (struct sockaddr *)&address, &length), 0);
	(void)snprintf(servers, 32, "127.0.0.1:%u", ntohs(address.sin_port));
	self->event = event_new(loop_base(loop), self->fd, EV_READ | EV_PERSIST, on_question, self);
	(void)event_add(self->event, NULL);
}

static void stop_server(struct name_server *self)
{
	if (self->event == NULL)
		return;
	event_free(self->event);
	(void)close(self->fd);
	self->event = NULL;
}

static int setup(void **state)
{
	static struct fixture f;
	char servers[32];

	memset(&f, 0, sizeof(f));
	f.loop = loop_new();
	start_server(&f.server, f.loop, servers);
	f.server.ttl_s = 300;
	f.server.n_addresses = 2;
	memcpy(f.server.addresses[0], "\x7f\x00\x00\x02", 4);
	memcpy(f.server.addresses[1], "\x7f\x00\x00\x03", 4);
	f.resolver = resolver_new(f.loop);
	assert_true(resolver_set_servers(f.resolver, servers));
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->conn != NULL)
		conn_close(f->conn);
	resolver_free(f->resolver);
	stop_server(&f->server);
	loop_free(f->loop);
	assert_int_equal(conn_n_live(), 0);
	return 0;
}

static void on_answer(
	void *arg, const struct sockaddr_storage *addresses, size_t n, const char *why)
{
	struct fixture *f = arg;

	f->n_answers++;
	f->n_addresses = n;
	for (size_t i = 0; i < n && i < 4; i++)
		(void)address_to_text((const struct sockaddr *)&addresses[i], f->addresses[i]);
	(void)snprintf(f->why, sizeof(f->why), "%s", why);
}

/* Runs until the answer is there; the resolver's own timeout bounds it. */
static void resolve(struct fixture *f, const char *host)
{
	unsigned n = f->n_answers;

	(void)resolve_start(f->resolver, host, 80, on_answer, f);
	assert_int_equal(f->n_answers, n);
	while (f->n_answers == n)
		loop_turn(f->loop, true);
	assert_int_equal(f->n_answers, n + 1);
}

static void test_numeric_addresses_are_their_own_answer(void **state)
{
	struct fixture *f = *state;

	resolve(f, "192.0.2.7");
	assert_int_equal(f->n_addresses, 1);
	assert_string_equal(f->addresses[0], "192.0.2.7:80");
	resolve(f, "2001:db8::7");
	assert_string_equal(f->addresses[0], "[2001:db8::7]:80");
	assert_int_equal(f->server.n_questions, 0);
}

static void test_an_answer_is_kept(void **state)
{
	struct fixture *f = *state;

	resolve(f, "app.example");
	assert_int_equal(f->n_addresses, 2);
	assert_int_equal(strncmp(f->addresses[0], "127.0.0.", 8), 0);
	resolve(f, "APP.example");
	assert_int_equal(f->n_addresses, 2);
	assert_int_equal(f->server.n_questions, 1);
}

static void test_questions_at_the_same_time_are_one(void **state)
{
	struct fixture *f = *state;

	(void)resolve_start(f->resolver, "app.example", 1, on_answer, f);
	(void)resolve_start(f->resolver, "app.example", 2, on_answer, f);
	while (f->n_answers < 2)
		loop_turn(f->loop, true);
	assert_int_equal(f->server.n_questions, 1);
}

static void test_the_hosts_file_is_honoured(void **state)
{
	struct fixture *f = *state;

	resolve(f, "localhost");
	assert_true(f->n_addresses >= 1);
	assert_true(strcmp(f->addresses[0], "127.0.0.1:80") == 0 ||
		strcmp(f->addresses[0], "[::1]:80") == 0);
	assert_int_equal(f->server.n_questions, 0);
}

static void test_a_name_that_is_not_there(void **state)
{
	struct fixture *f = *state;

	f->server.rcode = RCODE_NXDOMAIN;
	resolve(f, "none.example");
	assert_int_equal(f->n_addresses, 0);
	assert_string_equal(f->why, "Domain name not found");
}

static void on_timer(void *arg)
{
	*(bool *)arg = true;
}

/* A TTL of 0 is taken for a second: that second has to pass. */
static void pass_a_second(struct fixture *f)
{
	struct timer timer;
	bool is_over = false;

	timer_init(&timer, on_timer, &is_over);
	timer_set_in(f->loop, &timer, 1001);
	while (!is_over)
		loop_turn(f->loop, true);
	timer_close(f->loop, &timer);
}

static void test_an_old_answer_serves_while_the_servers_are_away(void **state)
{
	struct fixture *f = *state;

	f->server.ttl_s = 0;
	resolve(f, "app.example");
	assert_int_equal(f->n_addresses, 2);
	stop_server(&f->server);
	pass_a_second(f);
	resolve(f, "app.example");
	assert_int_equal(f->n_addresses, 2);
	/* A name without an old answer fails. */
	resolve(f, "other.example");
	assert_int_equal(f->n_addresses, 0);
	assert_string_not_equal(f->why, "");
}

static void test_an_expired_answer_is_asked_for_again(void **state)
{
	struct fixture *f = *state;

	f->server.ttl_s = 0;
	resolve(f, "app.example");
	f->server.n_addresses = 1;
	pass_a_second(f);
	resolve(f, "app.example");
	assert_int_equal(f->n_addresses, 1);
	assert_int_equal(f->server.n_questions, 2);
	f->server.rcode = RCODE_NXDOMAIN;
	pass_a_second(f);
	resolve(f, "app.example");
	assert_int_equal(f->n_addresses, 0);
}

static void test_a_cancelled_query_is_not_answered(void **state)
{
	struct fixture *f = *state;
	struct resolve_query *numeric = resolve_start(f->resolver, "192.0.2.1", 80, on_answer, f);
	struct resolve_query *name = resolve_start(f->resolver, "app.example", 80, on_answer, f);

	resolve_cancel(numeric);
	resolve_cancel(name);
	resolve(f, "app.example");
	assert_int_equal(f->n_answers, 1);
	/* What is under way at the end is dropped. */
	(void)resolve_start(f->resolver, "other.example", 80, on_answer, f);
	(void)resolve_start(f->resolver, "192.0.2.1", 80, on_answer, f);
}

static void on_conn(void *arg, struct conn *conn)
{
	((struct fixture *)arg)->conn = conn;
}

static void on_failed(void *arg, enum conn_loss loss, const char *why)
{
	struct fixture *f = arg;

	f->n_failed++;
	f->loss = loss;
	(void)snprintf(f->why, sizeof(f->why), "%s", why);
}

static const struct dial_owner dial_owner = {.on_conn = on_conn, .on_failed = on_failed};

static int listen_on(const char *host, uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static void dial(struct fixture *f, const struct dial_target *target)
{
	f->conn = NULL;
	f->n_failed = 0;
	(void)dial_start(f->loop, f->resolver, target, &dial_owner, f);
	while (f->conn == NULL && f->n_failed == 0)
		loop_turn(f->loop, true);
}

static void test_a_dial_tries_the_next_address(void **state)
{
	struct fixture *f = *state;
	struct conf_address address = {
		.kind = CONF_ADDRESS_NAME, .host = (char[]){"app.example"}, .text = "app.example"};
	struct dial_target target = {.address = &address};
	int listener = listen_on("127.0.0.3", &address.port);
	char text[ADDRESS_TEXT_SIZE];

	/* Whichever address each dial starts with, only 127.0.0.3 answers. */
	for (int i = 0; i < 3; i++) {
		dial(f, &target);
		assert_non_null(f->conn);
		assert_string_equal(address_to_host(conn_peer(f->conn), text), "127.0.0.3");
		conn_close(f->conn);
	}
	(void)close(listener);
	dial(f, &target);
	assert_null(f->conn);
	assert_int_equal(f->n_failed, 1);
	assert_int_equal(f->loss, CONN_LOSS_CONNECT);
	assert_non_null(strstr(f->why, "Connection refused"));
}

static void test_dials_take_turns(void **state)
{
	struct fixture *f = *state;
	struct conf_address address = {
		.kind = CONF_ADDRESS_NAME, .host = (char[]){"app.example"}, .text = "app.example"};
	struct dial_target target = {.address = &address};
	int first = listen_on("127.0.0.2", &address.port),
	    second = listen_on("127.0.0.3", &address.port);
	char texts[2][ADDRESS_TEXT_SIZE];

	for (int i = 0; i < 2; i++) {
		dial(f, &target);
		assert_non_null(f->conn);
		(void)address_to_host(conn_peer(f->conn), texts[i]);
		conn_close(f->conn);
	}
	f->conn = NULL;
	assert_string_not_equal(texts[0], texts[1]);
	(void)close(first);
	(void)close(second);
}

static void test_a_dial_of_a_name_that_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct conf_address address = {.kind = CONF_ADDRESS_NAME,
		.host = (char[]){"none.example"},
		.port = 80,
		.text = "none.example:80"};
	struct dial_target target = {.address = &address};

	f->server.rcode = RCODE_NXDOMAIN;
	dial(f, &target);
	assert_int_equal(f->n_failed, 1);
	assert_string_equal(f->why, "none.example: Domain name not found");
}

static void test_a_cancelled_dial_says_nothing(void **state)
{
	struct fixture *f = *state;
	struct conf_address name = {.kind = CONF_ADDRESS_NAME,
		.host = (char[]){"app.example"},
		.port = 9,
		.text = "app.example:9"};
	struct conf_address inet = {.kind = CONF_ADDRESS_INET,
		.host = (char[]){"127.0.0.1"},
		.port = 9,
		.text = "127.0.0.1:9"};
	struct dial_target to_name = {.address = &name}, to_inet = {.address = &inet};
	struct dial *dials[3];

	f->server.is_silent = true;
	dials[0] = dial_start(f->loop, f->resolver, &to_name, &dial_owner, f);
	dials[1] = dial_start(f->loop, f->resolver, &to_inet, &dial_owner, f);
	dial_cancel(dials[0]);
	dial_cancel(dials[1]);
	dial_cancel(dials[1]);
	loop_turn(f->loop, false);
	dials[2] = dial_start(f->loop, f->resolver, &to_inet, &dial_owner, f);
	loop_turn(f->loop, false);
	dial_cancel(dials[2]);
	for (int i = 0; i < 5; i++)
		loop_turn(f->loop, false);
	assert_int_equal(f->n_failed, 0);
	assert_null(f->conn);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_numeric_addresses_are_their_own_answer),
		TEST(test_an_answer_is_kept),
		TEST(test_questions_at_the_same_time_are_one),
		TEST(test_the_hosts_file_is_honoured),
		TEST(test_a_name_that_is_not_there),
		TEST(test_an_old_answer_serves_while_the_servers_are_away),
		TEST(test_an_expired_answer_is_asked_for_again),
		TEST(test_a_cancelled_query_is_not_answered),
		TEST(test_a_dial_tries_the_next_address),
		TEST(test_dials_take_turns),
		TEST(test_a_dial_of_a_name_that_is_not_there),
		TEST(test_a_cancelled_dial_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
