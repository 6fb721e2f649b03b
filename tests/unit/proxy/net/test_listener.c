/* Listeners and dials on loopback and unix sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "proxy/base/log.h"
#include "proxy/base/macros.h"
#include "proxy/net/address.h"
#include "proxy/net/dial.h"
#include "proxy/net/listener.h"

struct fixture {
	struct loop *loop;
	struct listener *listener;
	struct conf_address address;
	struct listener_options options;
	struct conn *accepted[8];
	unsigned n_accepted;
	struct conn *dialled;
	unsigned n_failed;
	char why[256];
	char directory[32];
	char path[64];
	char text[80];
	bool closes_listener;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.loop = loop_new();
	f.options = (struct listener_options){.backlog = 16, .unix_mode = 0660};
	(void)snprintf(f.directory, sizeof(f.directory), "/tmp/pollux-test-XXXXXX");
	assert_non_null(mkdtemp(f.directory));
	(void)snprintf(f.path, sizeof(f.path), "%s/socket", f.directory);
	(void)snprintf(f.text, sizeof(f.text), "unix:%s", f.path);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->listener != NULL)
		listener_close(f->listener);
	for (unsigned i = 0; i < f->n_accepted; i++)
		conn_close(f->accepted[i]);
	if (f->dialled != NULL)
		conn_close(f->dialled);
	loop_free(f->loop);
	(void)unlink(f->path);
	assert_int_equal(rmdir(f->directory), 0);
	assert_int_equal(conn_n_live(), 0);
	return 0;
}

static void use_inet(struct fixture *f, uint16_t port)
{
	static char host[] = "127.0.0.1", text[] = "127.0.0.1:0";

	f->address = (struct conf_address){
		.kind = CONF_ADDRESS_INET,
		.host = host,
		.port = port,
		.text = text,
	};
}

static void use_unix(struct fixture *f)
{
	f->address =
		(struct conf_address){.kind = CONF_ADDRESS_UNIX, .path = f->path, .text = f->text};
}

static void on_accept(void *arg, struct conn *conn)
{
	struct fixture *f = arg;

	assert_true(f->n_accepted < ARRAY_LEN(f->accepted));
	f->accepted[f->n_accepted++] = conn;
	if (f->closes_listener) {
		listener_close(f->listener);
		f->listener = NULL;
	}
}

static int bind_now(struct fixture *f)
{
	f->why[0] = '\0';
	return listener_bind(&f->address, &f->options, f->why, sizeof(f->why));
}

static void open_listener(struct fixture *f)
{
	int fd = bind_now(f);

	if (fd < 0)
		fail_msg("%s", f->why);
	f->listener = listener_new(f->loop, fd, on_accept, f);
	/* The port that the system chose. */
	if (f->address.kind != CONF_ADDRESS_UNIX)
		f->address.port =
			(uint16_t)strtoul(strrchr(listener_name(f->listener), ':') + 1, NULL, 10);
}

static void on_conn(void *arg, struct conn *conn)
{
	((struct fixture *)arg)->dialled = conn;
}

static void on_failed(void *arg, enum conn_loss loss, const char *why)
{
	struct fixture *f = arg;

	assert_int_equal(loss, CONN_LOSS_CONNECT);
	f->n_failed++;
	(void)snprintf(f->why, sizeof(f->why), "%s", why);
}

static const struct dial_owner dial_owner = {.on_conn = on_conn, .on_failed = on_failed};

static void dial(struct fixture *f)
{
	struct dial_target target = {.address = &f->address};

	if (f->dialled != NULL)
		conn_close(f->dialled);
	f->dialled = NULL;
	f->n_failed = 0;
	(void)dial_start(f->loop, NULL, &target, &dial_owner, f);
	assert_null(f->dialled);
	while (f->dialled == NULL && f->n_failed == 0)
		loop_turn(f->loop, true);
}

static void test_accepts_over_inet(void **state)
{
	struct fixture *f = *state;
	char text[ADDRESS_TEXT_SIZE];

	use_inet(f, 0);
	open_listener(f);
	listener_resume(f->listener);
	dial(f);
	assert_non_null(f->dialled);
	assert_true(conn_is_open(f->dialled));
	while (f->n_accepted == 0)
		loop_turn(f->loop, true);
	assert_true(conn_is_open(f->accepted[0]));
	assert_string_equal(address_to_host(conn_peer(f->accepted[0]), text), "127.0.0.1");
	assert_string_equal(
		address_to_text(conn_peer(f->dialled), text), listener_name(f->listener));
}

static void test_accepts_over_unix_and_tidies_up(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	use_unix(f);
	open_listener(f);
	assert_string_equal(listener_name(f->listener), f->text);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	listener_resume(f->listener);
	dial(f);
	while (f->n_accepted == 0)
		loop_turn(f->loop, true);
	assert_int_equal(conn_peer(f->accepted[0])->sa_family, AF_UNIX);
	listener_close(f->listener);
	listener_close(f->listener);
	f->listener = NULL;
	assert_int_not_equal(stat(f->path, &st), 0);
	dial(f);
	assert_int_equal(f->n_failed, 1);
	assert_non_null(strstr(f->why, ": No such file or directory"));
}

static void test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	struct fixture *f = *state;
	char stale[80];
	int fd;

	use_unix(f);
	open_listener(f);
	assert_int_equal(bind_now(f), -1);
	assert_non_null(strstr(f->why, "another process listens on it"));
	/* What a killed process leaves behind. */
	(void)snprintf(stale, sizeof(stale), "%s.old", f->path);
	assert_int_equal(rename(f->path, stale), 0);
	listener_close(f->listener);
	assert_int_equal(rename(stale, f->path), 0);
	open_listener(f);
	/* The new file of another process stays when the old listener goes. */
	assert_int_equal(unlink(f->path), 0);
	fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	listener_close(f->listener);
	f->listener = NULL;
	assert_int_equal(close(fd), 0);
	assert_int_equal(access(f->path, F_OK), 0);
	/* A file that is no socket is not ours to remove. */
	assert_int_equal(bind_now(f), -1);
	assert_non_null(strstr(f->why, "not a socket"));
}

static void test_bind_failures_are_explained(void **state)
{
	struct fixture *f = *state;

	use_inet(f, 0);
	open_listener(f);
	assert_int_equal(bind_now(f), -1);
	assert_non_null(strstr(f->why, "another process listens on it"));
	f->address.host = (char[]){"192.0.2.1"};
	assert_int_equal(bind_now(f), -1);
	assert_non_null(strstr(f->why, "this machine does not have the address"));
	f->address.kind = CONF_ADDRESS_NAME;
	f->address.host = (char[]){"a.example"};
	assert_int_equal(bind_now(f), -1);
	assert_non_null(strstr(f->why, "a listener needs a numeric address"));
}

static void test_reuse_port_lets_several_bind(void **state)
{
	struct fixture *f = *state;
	int second;

	f->options.reuse_port = true;
	use_inet(f, 0);
	open_listener(f);
	second = bind_now(f);
	assert_true(second >= 0);
	(void)close(second);
}

static void test_a_paused_listener_keeps_clients_waiting(void **state)
{
	struct fixture *f = *state;

	use_inet(f, 0);
	open_listener(f);
	dial(f);
	assert_non_null(f->dialled);
	for (int i = 0; i < 5; i++)
		loop_turn(f->loop, false);
	assert_int_equal(f->n_accepted, 0);
	listener_resume(f->listener);
	while (f->n_accepted == 0)
		loop_turn(f->loop, true);
	listener_pause(f->listener);
	dial(f);
	for (int i = 0; i < 5; i++)
		loop_turn(f->loop, false);
	assert_int_equal(f->n_accepted, 1);
}

static void test_may_be_closed_while_it_accepts(void **state)
{
	struct fixture *f = *state;

	use_inet(f, 0);
	open_listener(f);
	listener_resume(f->listener);
	f->closes_listener = true;
	dial(f);
	while (f->n_accepted == 0)
		loop_turn(f->loop, true);
	assert_null(f->listener);
}

static void test_without_descriptors_it_pauses_and_goes_on(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, none;
	int lowest;

	use_inet(f, 0);
	open_listener(f);
	dial(f);
	assert_non_null(f->dialled);
	/* No descriptor beyond those that are open. */
	lowest = dup(0);
	(void)close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	log_set_level(LOG_LEVEL_ERROR);
	listener_resume(f->listener);
	while (listener_n_descriptor_failures(f->listener) == 0)
		loop_turn(f->loop, true);
	assert_int_equal(f->n_accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	/* A second client: the first may be gone where the limit is only emulated. */
	dial(f);
	while (f->n_accepted == 0)
		loop_turn(f->loop, true);
}

static void test_a_refused_dial_says_why(void **state)
{
	struct fixture *f = *state;

	use_inet(f, 0);
	open_listener(f);
	listener_close(f->listener);
	f->listener = NULL;
	dial(f);
	assert_int_equal(f->n_failed, 1);
	assert_non_null(strstr(f->why, ": Connection refused"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_accepts_over_inet),
		TEST(test_accepts_over_unix_and_tidies_up),
		TEST(test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not),
		TEST(test_bind_failures_are_explained),
		TEST(test_reuse_port_lets_several_bind),
		TEST(test_a_paused_listener_keeps_clients_waiting),
		TEST(test_may_be_closed_while_it_accepts),
		TEST(test_without_descriptors_it_pauses_and_goes_on),
		TEST(test_a_refused_dial_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
