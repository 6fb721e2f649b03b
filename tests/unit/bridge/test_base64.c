#include "bridge/client/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bridge/client/plain_encode.h"
#include "proxy/base/memory.h"

/* NULL: refused. */
static void decodes(const char *text, const char *bytes, size_t n)
{
	struct slice from = slice_from_string(text);
	char *out = memory_alloc(BASE64_DECODED_MAX(from.n) + 1);
	size_t n_out = 0;

	out[BASE64_DECODED_MAX(from.n)] = '#';
	assert_int_equal(base64_decode(from, out, &n_out), bytes != NULL);
	if (bytes != NULL) {
		assert_int_equal(n_out, n);
		assert_memory_equal(out, bytes, n);
	}
	assert_int_equal(out[BASE64_DECODED_MAX(from.n)], '#');
	free(out);
}

/* RFC 4648 section 10. */
static void the_vectors_of_the_standard(void **state)
{
	(void)state;
	decodes("", "", 0);
	decodes("Zg==", "f", 1);
	decodes("Zm8=", "fo", 2);
	decodes("Zm9v", "foo", 3);
	decodes("Zm9vYg==", "foob", 4);
	decodes("Zm9vYmE=", "fooba", 5);
	decodes("Zm9vYmFy", "foobar", 6);
	decodes("+/8A", "\xfb\xff\x00", 3);
}

static void what_is_no_base64_is_refused(void **state)
{
	static const char *const texts[] = {
		"Z",
		"Zg",
		"Zg=",
		"Zg===",
		"=",
		"==",
		"===",
		"====",
		"Z===",
		"Zm9v=",
		"Zm9vZ",
		"Zg==Zg==",
		"Zm=v",
		"Zm9v\n",
		"Zm 9",
		" Zg=",
		"Zm9-",
		"Zm9_",
		"Zh==",
		"Zm9=",
		"\xc3\xa9==",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		decodes(texts[i], NULL, 0);
}

static void it_reads_back_what_is_encoded(void **state)
{
	uint8_t data[257];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + 11);
	for (size_t n = 0; n <= sizeof(data); n++) {
		struct bytes text;
		char out[sizeof(data) + 3];
		size_t n_out;

		bytes_init(&text);
		plain_encode_base64(&text, slice_of((const char *)data, n));
		assert_true(base64_decode(bytes_linearize(&text, bytes_size(&text)), out, &n_out));
		assert_int_equal(n_out, n);
		assert_memory_equal(out, data, n);
		bytes_clear(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_the_standard),
		cmocka_unit_test(what_is_no_base64_is_refused),
		cmocka_unit_test(it_reads_back_what_is_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
