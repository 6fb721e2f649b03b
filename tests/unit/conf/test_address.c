#include "conf/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static void test_right_addresses(void **state)
{
	static const struct {
		const char *text;
		enum conf_address_kind kind;
		const char *host;
		uint16_t port;
		const char *canonical;
	} cases[] = {
		{"10.0.0.5:3000", CONF_ADDRESS_INET, "10.0.0.5", 3000, "10.0.0.5:3000"},
		{"0.0.0.0:65535", CONF_ADDRESS_INET, "0.0.0.0", 65535, "0.0.0.0:65535"},
		{"[::1]:80", CONF_ADDRESS_INET6, "::1", 80, "[::1]:80"},
		{"[2001:DB8:0:0::5]:1", CONF_ADDRESS_INET6, "2001:db8::5", 1, "[2001:db8::5]:1"},
		{"localhost:3000", CONF_ADDRESS_NAME, "localhost", 3000, "localhost:3000"},
		{"App.Example.:3000", CONF_ADDRESS_NAME, "app.example", 3000, "app.example:3000"},
		{"my_app-1:80", CONF_ADDRESS_NAME, "my_app-1", 80, "my_app-1:80"},
		{"10.0.0.5x:80", CONF_ADDRESS_NAME, "10.0.0.5x", 80, "10.0.0.5x:80"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_address address;
		const char *why;

		assert_true(conf_address_parse(&address, cases[i].text, &why));
		assert_string_equal(conf_address_kind_name(address.kind),
			conf_address_kind_name(cases[i].kind));
		assert_string_equal(address.host, cases[i].host);
		assert_int_equal(address.port, cases[i].port);
		assert_string_equal(address.text, cases[i].canonical);
		assert_null(address.path);
		conf_address_clear(&address);
	}
}

static void test_wrong_addresses(void **state)
{
	static const char *const cases[] = {"", "host", "3000", ":3000", "host:", "host:0",
		"host:65536", "host:-1", "host:80x", "10.0.0.300:80", "10.0.0:80", "1.2.3.4.5:80",
		"a..b:80", ".a:80", "a b:80", "a/b:80", "http://a:80", "http://a", "::1:80",
		"[::1]", "[::1]80", "[::1]:", "[::1]:0", "[::g]:80", "[]:80", "[::1",
		"[10.0.0.1]:80", "*:80", "unix:", "unix:x.sock", "unix:@x", "\xc3\xa4:80"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_address address;
		const char *why = NULL;

		if (conf_address_parse(&address, cases[i], &why))
			fail_msg("\"%s\" was accepted", cases[i]);
		assert_non_null(why);
	}
}

static void test_unix(void **state)
{
	struct conf_address address;
	struct sockaddr_storage storage;
	const struct sockaddr_un *local = (const struct sockaddr_un *)&storage;
	char longest[5 + sizeof(local->sun_path) + 1] = "unix:";
	const char *why;
	socklen_t length;

	(void)state;
	assert_true(conf_address_parse(&address, "unix:/run/app.sock", &why));
	assert_int_equal(address.kind, CONF_ADDRESS_UNIX);
	assert_string_equal(address.path, "/run/app.sock");
	assert_string_equal(address.text, "unix:/run/app.sock");
	assert_null(address.host);
	assert_true(conf_address_to_sockaddr(&address, &storage, &length));
	assert_int_equal(local->sun_family, AF_UNIX);
	assert_string_equal(local->sun_path, "/run/app.sock");
	conf_address_clear(&address);

	memset(longest + 5, '/', sizeof(local->sun_path));
	assert_false(conf_address_parse(&address, longest, &why));
	longest[5 + sizeof(local->sun_path) - 1] = '\0';
	assert_true(conf_address_parse(&address, longest, &why));
	assert_true(conf_address_to_sockaddr(&address, &storage, &length));
	conf_address_clear(&address);
}

static void test_listen_addresses(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} cases[] = {
		{"8080", 2},
		{"*:8080", 2},
		{"127.0.0.1:8080", 1},
		{"[::]:8080", 1},
		{"unix:/run/x.sock", 1},
		{"localhost:8080", 0},
		{"0", 0},
		{"65536", 0},
		{"*:", 0},
		{"*", 0},
		{"", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_address addresses[2];
		const char *why = NULL;
		size_t n = conf_address_parse_listen(addresses, cases[i].text, &why);

		assert_int_equal(n, cases[i].n);
		if (n == 0)
			assert_non_null(why);
		if (n == 2) {
			assert_string_equal(addresses[0].text, "0.0.0.0:8080");
			assert_string_equal(addresses[1].text, "[::]:8080");
		}
		for (size_t j = 0; j < n; j++)
			conf_address_clear(&addresses[j]);
	}
}

static void test_sockaddr(void **state)
{
	struct conf_address address;
	struct sockaddr_storage storage;
	const char *why;
	socklen_t length;

	(void)state;
	assert_true(conf_address_parse(&address, "10.0.0.5:3000", &why));
	assert_true(conf_address_to_sockaddr(&address, &storage, &length));
	assert_int_equal(length, sizeof(struct sockaddr_in));
	assert_int_equal(((struct sockaddr_in *)&storage)->sin_port, htons(3000));
	assert_int_equal(((struct sockaddr_in *)&storage)->sin_addr.s_addr, htonl(0x0a000005));
	conf_address_clear(&address);

	assert_true(conf_address_parse(&address, "[::1]:3000", &why));
	assert_true(conf_address_to_sockaddr(&address, &storage, &length));
	assert_int_equal(length, sizeof(struct sockaddr_in6));
	assert_true(IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&storage)->sin6_addr));
	conf_address_clear(&address);

	assert_true(conf_address_parse(&address, "app:3000", &why));
	assert_false(conf_address_to_sockaddr(&address, &storage, &length));
	conf_address_clear(&address);
}

/* Whether the network holds the peer, given as a server address without a port of interest. */
static bool contains(const char *network_text, const char *peer_text)
{
	struct conf_network network;
	struct conf_address address;
	struct sockaddr_storage storage;
	const char *why;
	socklen_t length;

	assert_true(conf_network_parse(&network, network_text, &why));
	assert_true(conf_address_parse(&address, peer_text, &why));
	assert_true(conf_address_to_sockaddr(&address, &storage, &length));
	conf_address_clear(&address);
	return conf_network_contains(&network, (struct sockaddr *)&storage);
}

static void test_networks(void **state)
{
	(void)state;
	assert_true(contains("10.0.0.0/8", "10.255.0.1:1"));
	assert_false(contains("10.0.0.0/8", "11.0.0.1:1"));
	assert_true(contains("10.0.0.5", "10.0.0.5:1"));
	assert_false(contains("10.0.0.5", "10.0.0.4:1"));
	assert_true(contains("192.168.4.0/22", "192.168.7.255:1"));
	assert_false(contains("192.168.4.0/22", "192.168.8.0:1"));
	assert_true(contains("0.0.0.0/0", "1.2.3.4:1"));
	assert_false(contains("0.0.0.0/0", "[::1]:1"));
	assert_true(contains("10.0.0.0/8", "[::ffff:10.1.1.1]:1"));
	assert_false(contains("10.0.0.0/8", "[::ffff:11.1.1.1]:1"));
	assert_true(contains("2001:db8::/33", "[2001:db8:7fff::1]:1"));
	assert_false(contains("2001:db8::/33", "[2001:db8:8000::1]:1"));
	assert_true(contains("::/0", "[::1]:1"));
	assert_true(contains("::1", "[::1]:1"));
	assert_true(contains("unix", "unix:/run/x"));
	assert_false(contains("unix", "10.0.0.1:1"));
	assert_false(contains("0.0.0.0/0", "unix:/run/x"));
}

static void test_wrong_networks(void **state)
{
	static const char *const cases[] = {"", "/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1",
		"10.0.0.0/8/8", "10.0.0.1/8", "10.0.0/8", "host", "::/129", "2001:db8::1/32",
		"[::1]", "Unix", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_network network;
		const char *why = NULL;

		if (conf_network_parse(&network, cases[i], &why))
			fail_msg("\"%s\" was accepted", cases[i]);
		assert_non_null(why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_addresses),
		cmocka_unit_test(test_wrong_addresses),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_listen_addresses),
		cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_wrong_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
