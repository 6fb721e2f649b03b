/*
 * Assembles messages. The first byte says which side sends, the second the size of the pieces, the
 * rest is its stream. In one piece and in pieces it must tell the same events with the same bytes,
 * and never hold more than it may.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/macros.h"
#include "proxy/base/memory.h"
#include "proxy/base/utf8.h"
#include "proxy/http/ws_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 3000 };

/* All events of a stream, folded into one number, FNV-1a. */
struct digest {
	uint64_t hash;
	size_t n_events;
};

static void fold(struct digest *self, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		self->hash = (self->hash ^ p[i]) * UINT64_C(0x100000001b3);
}

static void fold_event(struct digest *self, const struct ws_message *messages, enum ws_event event)
{
	unsigned facts[] = {(unsigned)event, (unsigned)messages->payload.n, 0};

	if (event == WS_CLOSE || event == WS_ERROR)
		facts[2] = messages->close_code;
	if (event == WS_CLOSE)
		ASSERT(messages->close_code == WS_CODE_NO_STATUS ||
			ws_close_code_is_valid(messages->close_code));
	if (event == WS_ERROR)
		ASSERT(ws_close_code_is_valid(messages->close_code) && messages->error[0] != '\0');
	if (event == WS_TEXT || event == WS_CLOSE)
		ASSERT(utf8_is_valid(messages->payload.p, messages->payload.n));
	ASSERT(messages->payload.n <= LIMIT);
	fold(self, facts, sizeof(facts));
	fold(self, messages->payload.p, messages->payload.n);
	self->n_events++;
}

static struct digest run(const uint8_t *data, size_t size, bool from_client, size_t piece_size)
{
	struct digest digest = {.hash = UINT64_C(0xcbf29ce484222325)};
	enum ws_event event = WS_MORE;
	struct ws_message messages;

	ws_message_init(&messages, from_client, LIMIT);
	for (size_t at = 0; at < size && event != WS_ERROR;) {
		size_t n = MIN(piece_size, size - at);
		uint8_t *piece = memory_alloc(n);
		const uint8_t *p = piece;

		memcpy(piece, data + at, n);
		at += n;
		while ((event = ws_message_feed(&messages, &p, &n)) != WS_MORE) {
			fold_event(&digest, &messages, event);
			if (event == WS_ERROR)
				break;
		}
		ASSERT(event == WS_ERROR || n == 0);
		ASSERT(messages.capacity <= LIMIT);
		ASSERT(ws_message_is_partial(&messages) || messages.buf == NULL);
		free(piece);
	}
	ws_message_clear(&messages);
	return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct digest whole, split;

	if (size < 3)
		return 0;
	whole = run(data + 2, size - 2, data[0] & 1, size);
	split = run(data + 2, size - 2, data[0] & 1, 1 + data[1] % 64);
	ASSERT(whole.n_events == split.n_events);
	ASSERT(whole.hash == split.hash);
	return 0;
}
