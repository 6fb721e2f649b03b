#include "proxy/http/ws_handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* The example of RFC 6455 section 1.3. */
static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char accept_value[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static bool is_valid(const char *text)
{
	return ws_key_is_valid(slice_from_string(text));
}

static void a_key_is_16_bytes_of_base64(void **state)
{
	(void)state;
	assert_true(is_valid(key));
	assert_true(is_valid("AAAAAAAAAAAAAAAAAAAAAA=="));
	assert_true(is_valid("+/+/+/+/+/+/+/+/+/+/+w=="));
	assert_false(is_valid(""));
	assert_false(ws_key_is_valid(slice_of(NULL, 0)));
	assert_false(is_valid("dGhlIHNhbXBsZSBub25jZ===")); /* digits short */
	assert_false(is_valid("dGhlIHNhbXBsZSBub25jZQ"));   /* no padding */
	assert_false(is_valid("dGhlIHNhbXBsZSBub25jZQ="));
	assert_false(is_valid("dGhlIHNhbXBsZSBub25jZQ==="));
	assert_false(is_valid("dGhlIHNhbXBsZSBub25jZQQ="));	    /* 17 bytes */
	assert_false(is_valid("dGhlIHNhbXBsZSBub25j"));		    /* 15 bytes */
	assert_false(is_valid("dGhlIHNhbXBsZSBub25jZQ==dGhlIHNo")); /* more behind */
	assert_false(is_valid("dGhlIHNhbXBsZSBub25jZ-=="));	    /* base64url */
	assert_false(is_valid("dGhlIHNhb_BsZSBub25jZQ=="));
	assert_false(is_valid("dGhlIHNhb BsZSBub25jZQ=="));
	assert_false(is_valid("dGhlIHNhb=BsZSBub25jZQ=="));
	assert_false(ws_key_is_valid(slice_of("dGhlIHNhb\0BsZSBub25jZQ==", 24)));
}

/*
 * The 22nd digit carries 2 bits; one that sets the other 4 is a second spelling of the same nonce.
 */
static void a_key_with_unused_bits_set_is_refused(void **state)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		char text[] = "dGhlIHNhbXBsZSBub25jZQ==";

		text[21] = digits[i];
		assert_int_equal(is_valid(text), i % 16 == 0);
	}
}

static void a_written_key_is_valid(void **state)
{
	char out[WS_KEY_SIZE + 1];
	uint8_t nonce[WS_NONCE_SIZE];

	(void)state;
	ws_key_write(out, (const uint8_t *)"the sample nonce");
	assert_string_equal(out, key);
	for (unsigned i = 0; i < 256; i++) {
		memset(nonce, (int)i, sizeof(nonce));
		ws_key_write(out, nonce);
		assert_true(is_valid(out));
	}
}

static void the_accept_of_the_rfc_is_computed(void **state)
{
	char out[WS_ACCEPT_SIZE + 1];

	(void)state;
	ws_accept_write(out, slice_from_string(key));
	assert_string_equal(out, accept_value);
}

static bool is_right(const char *text)
{
	return ws_accept_is_right(slice_from_string(text), slice_from_string(key));
}

static void only_the_exact_accept_is_right(void **state)
{
	(void)state;
	assert_true(is_right(accept_value));
	assert_false(is_right(""));
	assert_false(ws_accept_is_right(slice_of(NULL, 0), slice_from_string(key)));
	assert_false(is_right("s3pPLMBiTxaQ9kYGzzhZRbK+xOo"));
	assert_false(is_right("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=="));
	assert_false(is_right("S3pPLMBiTxaQ9kYGzzhZRbK+xOo=")); /* case counts */
	assert_false(is_right("s3pPLMBiTxaQ9kYGzzhZRbK+xOp=")); /* unused bits set */
	assert_false(is_right(key));
	assert_false(ws_accept_is_right(
		slice_from_string(accept_value), slice_from_string("AAAAAAAAAAAAAAAAAAAAAA==")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_16_bytes_of_base64),
		cmocka_unit_test(a_key_with_unused_bits_set_is_refused),
		cmocka_unit_test(a_written_key_is_valid),
		cmocka_unit_test(the_accept_of_the_rfc_is_computed),
		cmocka_unit_test(only_the_exact_accept_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
