/* Messages that share their payload. */
#include "bridge/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 5000

static size_t n_encoded;

static void encode_twice(struct bytes *out, struct slice payload)
{
	n_encoded++;
	bytes_append_slice(out, payload);
	bytes_append_slice(out, payload);
}

static void encode_nothing(struct bytes *out, struct slice payload)
{
	(void)out;
	(void)payload;
	n_encoded++;
}

static struct shared_payload *make(size_t n)
{
	static char text[SIZE];

	memset(text, 'x', sizeof(text));
	return shared_payload_new(slice_of(text, n));
}

static void a_small_one_is_copied(void **state)
{
	struct shared_payload *payload = make(MESSAGE_SHARED_MIN - 1);
	struct message *message = message_new_shared(MESSAGE_TEXT, payload);

	(void)state;
	assert_int_equal(payload->n_references, 1);
	assert_ptr_not_equal(message_payload(message).p, payload->bytes);
	assert_true(slice_equals(message_payload(message), shared_payload_bytes(payload)));
	shared_payload_unref(payload);
	assert_int_equal(message_payload(message).n, MESSAGE_SHARED_MIN - 1);
	message_free(message);
}

static void a_large_one_is_shared(void **state)
{
	struct shared_payload *payload = make(MESSAGE_SHARED_MIN);
	struct message *one = message_new_shared(MESSAGE_TEXT, payload);
	struct message *two = message_new_shared(MESSAGE_BINARY, payload);

	(void)state;
	assert_int_equal(payload->n_references, 3);
	shared_payload_unref(payload);
	assert_ptr_equal(message_payload(one).p, payload->bytes);
	assert_ptr_equal(message_payload(two).p, payload->bytes);
	assert_int_equal(message_cost(one), sizeof(struct message) + MESSAGE_SHARED_MIN);
	message_free(one);
	assert_int_equal(payload->n_references, 1);
	assert_int_equal(message_payload(two).n, MESSAGE_SHARED_MIN);
	message_free(two);
}

static void it_is_encoded_once_in_each_form(void **state)
{
	struct shared_payload *payload = make(SIZE);
	struct message *messages[3];
	struct bytes out;

	(void)state;
	n_encoded = 0;
	bytes_init(&out);
	for (size_t i = 0; i < 3; i++) {
		messages[i] = message_new_shared(MESSAGE_TEXT, payload);
		message_encode_payload(messages[i], &out, encode_twice);
		message_encode_payload(messages[i], &out, encode_nothing);
		assert_int_equal(bytes_size(&out), (i + 1) * 2 * SIZE);
	}
	assert_int_equal(n_encoded, 2);
	bytes_clear(&out);
	shared_payload_unref(payload);
	for (size_t i = 0; i < 3; i++)
		message_free(messages[i]);
	assert_int_equal(bytes_live_segments(), 0);
}

static void one_of_its_own_is_encoded_each_time(void **state)
{
	struct message *message = message_new(MESSAGE_TEXT, SLICE("ab"));
	struct bytes out;

	(void)state;
	n_encoded = 0;
	bytes_init(&out);
	message_encode_payload(message, &out, encode_twice);
	message_encode_payload(message, &out, encode_twice);
	assert_true(slice_equals(bytes_linearize(&out, 8), SLICE("abababab")));
	assert_int_equal(n_encoded, 2);
	bytes_clear(&out);
	message_free(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_one_is_copied),
		cmocka_unit_test(a_large_one_is_shared),
		cmocka_unit_test(it_is_encoded_once_in_each_form),
		cmocka_unit_test(one_of_its_own_is_encoded_each_time),
	};
	int n_failed = cmocka_run_group_tests(tests, NULL, NULL);

	bytes_release_cache();
	return n_failed;
}
