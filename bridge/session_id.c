#include "bridge/session_id.h"

#include <stdint.h>
#include <string.h>

#include <openssl/rand.h>
#include <stdio.h>

#define N_RANDOM_BYTES 16

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool is_id_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '.' || c == '-';
}

/* 128 bits are 21 characters of six bits and one of two, the low four being zero. */
static void encode(char *out, const uint8_t bits[N_RANDOM_BYTES])
{
	uint32_t window = 0;
	unsigned n_bits = 0;

	for (size_t i = 0; i < N_RANDOM_BYTES; i++) {
		window = (window << 8) | bits[i];
		for (n_bits += 8; n_bits >= 6; n_bits -= 6)
			*out++ = alphabet[(window >> (n_bits - 6)) & 63];
	}
	*out = alphabet[(window << (6 - n_bits)) & 63];
}

int session_id_slot(struct slice id)
{
	size_t dot = slice_find(id, '.');
	uint64_t n;

	if (dot < 2 || dot == id.n || id.p[0] != 'w' || id.p[1] == '0' ||
		!slice_to_u64(slice_of(id.p + 1, dot - 1), &n) || n > INT16_MAX)
		return -1;
	return (int)n - 1;
}

void session_id_write_tag(char out[SESSION_ID_TAG_MAX + 1], size_t slot)
{
	(void)snprintf(out, SESSION_ID_TAG_MAX + 1, "w%zu.", slot + 1);
}

size_t session_id_make(char out[SESSION_ID_MAX + 1], struct slice tag)
{
	uint8_t bits[N_RANDOM_BYTES];
	size_t n = tag.n + SESSION_ID_RANDOM_SIZE;

	ASSERT(tag.n == 0 ||
		(tag.n <= SESSION_ID_TAG_MAX && tag.p[tag.n - 1] == '.' &&
			session_id_has_form(tag)));
	ASSERT(RAND_bytes(bits, sizeof(bits)) == 1);
	if (tag.n > 0)
		memcpy(out, tag.p, tag.n);
	encode(out + tag.n, bits);
	out[n] = '\0';
	return n;
}

bool session_id_has_form(struct slice id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!is_id_character(id.p[i]))
			return false;
	return id.n > 0;
}

struct slice session_id_shown(struct slice id)
{
	const char *dot = id.n > 0 ? memrchr(id.p, '.', id.n) : NULL;
	size_t n_tag = dot != NULL ? (size_t)(dot + 1 - id.p) : 0;

	return slice_first(id, id.n - n_tag < SESSION_ID_SHOWN ? 0 : n_tag + SESSION_ID_SHOWN);
}

struct slice session_id_mask(struct slice id, struct arena *arena)
{
	return arena_printf(arena, "%.*s...", SLICE_ARG(session_id_shown(id)));
}

struct slice session_id_mask_target(struct slice target, struct arena *arena)
{
	struct slice path = slice_first(target, slice_find(target, '?'));
	const char *slash = path.n > 0 ? memrchr(path.p, '/', path.n) : NULL;
	struct slice id, before, after;

	if (slash == NULL)
		return target;
	before = slice_of(path.p, (size_t)(slash - path.p) + 2);
	if (before.n > path.n || slash[1] != '~')
		return target;
	id = slice_from(path, before.n);
	if (!session_id_has_form(id))
		return target;
	after = slice_from(target, path.n);
	return arena_printf(arena, "%.*s%.*s...%.*s", SLICE_ARG(before),
		SLICE_ARG(session_id_shown(id)), SLICE_ARG(after));
}
