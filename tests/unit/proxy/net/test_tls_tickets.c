/* Rotation of the ticket keys on a clock given by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/net/tls_tickets.h"

static void test_a_key_lives_an_hour_and_opens_for_three(void **state)
{
	struct tls_ticket_keys keys = {0};
	struct tls_ticket_key first = *tls_ticket_keys_newest(&keys, 1000);
	const struct tls_ticket_key *key;

	(void)state;
	key = tls_ticket_keys_newest(&keys, 1000 + TLS_TICKET_ROTATE_S - 1);
	assert_memory_equal(key->name, first.name, sizeof(first.name));
	key = tls_ticket_keys_newest(&keys, 1000 + TLS_TICKET_ROTATE_S);
	assert_memory_not_equal(key->name, first.name, sizeof(first.name));
	assert_memory_not_equal(key->cipher, first.cipher, sizeof(first.cipher));
	assert_memory_not_equal(key->mac, first.mac, sizeof(first.mac));

	key = tls_ticket_keys_find(&keys, first.name, 1000 + TLS_TICKET_KEEP_S - 1);
	assert_non_null(key);
	assert_memory_equal(key->cipher, first.cipher, sizeof(first.cipher));
	assert_null(tls_ticket_keys_find(&keys, first.name, 1000 + TLS_TICKET_KEEP_S));
}

static void test_what_opens_nothing_is_wiped(void **state)
{
	struct tls_ticket_keys keys = {0}, empty = {0};
	struct tls_ticket_key key = *tls_ticket_keys_newest(&keys, 0);

	(void)state;
	assert_null(tls_ticket_keys_find(&keys, key.name, 10 * TLS_TICKET_KEEP_S));
	assert_memory_equal(keys.keys, empty.keys, sizeof(empty.keys));
}

static void test_every_key_still_wanted_is_kept(void **state)
{
	struct tls_ticket_keys keys = {0};
	struct tls_ticket_key made[50];

	(void)state;
	for (unsigned hour = 0; hour < 50; hour++) {
		uint64_t now_s = (uint64_t)hour * TLS_TICKET_ROTATE_S;

		made[hour] = *tls_ticket_keys_newest(&keys, now_s);
		for (unsigned old = 0; old <= hour; old++) {
			bool is_kept = now_s < made[old].made_s + TLS_TICKET_KEEP_S;

			assert_int_equal(tls_ticket_keys_find(&keys, made[old].name, now_s) != NULL,
				is_kept);
		}
	}
}

static void test_nothing_is_found_before_the_first_key(void **state)
{
	static const unsigned char name[16];
	struct tls_ticket_keys keys = {0};

	(void)state;
	assert_null(tls_ticket_keys_find(&keys, name, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_key_lives_an_hour_and_opens_for_three),
		cmocka_unit_test(test_what_opens_nothing_is_wiped),
		cmocka_unit_test(test_every_key_still_wanted_is_kept),
		cmocka_unit_test(test_nothing_is_found_before_the_first_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
