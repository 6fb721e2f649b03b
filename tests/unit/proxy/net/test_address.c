/* Addresses as text, and hosts compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "proxy/net/address.h"

static struct sockaddr_storage make(const char *host, uint16_t port)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in *inet = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *inet6 = (struct sockaddr_in6 *)&storage;

	if (inet_pton(AF_INET, host, &inet->sin_addr) == 1) {
		inet->sin_family = AF_INET;
		inet->sin_port = htons(port);
	} else if (inet_pton(AF_INET6, host, &inet6->sin6_addr) == 1) {
		inet6->sin6_family = AF_INET6;
		inet6->sin6_port = htons(port);
	} else {
		storage.ss_family = AF_UNIX;
	}
	return storage;
}

static const struct sockaddr *any(const struct sockaddr_storage *storage)
{
	return (const struct sockaddr *)storage;
}

static void test_text(void **state)
{
	static const struct {
		const char *host, *expected_host, *expected_text;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1", "192.0.2.1:8080"},
		{"2001:db8::1", "2001:db8::1", "[2001:db8::1]:8080"},
		{"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1:8080"},
		{"2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:6666",
			"[2001:db8:1111:2222:3333:4444:5555:6666]:8080"},
		{"unix", "unix:", "unix:"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage storage = make(rows[i].host, 8080);
		char buf[ADDRESS_TEXT_SIZE];

		assert_string_equal(address_to_host(any(&storage), buf), rows[i].expected_host);
		assert_string_equal(address_to_text(any(&storage), buf), rows[i].expected_text);
	}
}

static void test_port(void **state)
{
	struct sockaddr_storage inet = make("192.0.2.1", 1), inet6 = make("::1", 65535),
				un = make("unix", 0);

	(void)state;
	assert_int_equal(address_port(any(&inet)), 1);
	assert_int_equal(address_port(any(&inet6)), 65535);
	assert_int_equal(address_port(any(&un)), 0);
}

static void test_same_host(void **state)
{
	struct sockaddr_storage a = make("192.0.2.1", 1), b = make("::ffff:192.0.2.1", 2),
				c = make("192.0.2.2", 1);
	struct sockaddr_storage v6 = make("::1", 1), un = make("unix", 0), un2 = make("unix", 0);

	(void)state;
	assert_true(address_same_host(any(&a), any(&b)));
	assert_int_equal(address_hash_host(any(&a)), address_hash_host(any(&b)));
	assert_false(address_same_host(any(&a), any(&c)));
	assert_int_not_equal(address_hash_host(any(&a)), address_hash_host(any(&c)));
	assert_false(address_same_host(any(&a), any(&v6)));
	assert_false(address_same_host(any(&a), any(&un)));
	assert_true(address_same_host(any(&un), any(&un2)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_same_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
