/*
 * What clients post, and the open packet of a backend. A payload that is read and written again is
 * the same but for what no backend wants; an open packet that is rewritten says the same again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/client/base64.h"
#include "bridge/client/engineio_packet.h"
#include "proxy/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SID SLICE("w1.abc")
#define MAX_PAYLOAD 1000

static void check_again(const struct engineio_payload *first, struct bytes *text)
{
	struct engineio_payload second;
	const struct message *a, *b;

	ASSERT(engineio_payload_read(&second, bytes_linearize(text, bytes_size(text))) ==
		ENGINEIO_PAYLOAD_OK);
	ASSERT(second.cost == first->cost && second.has_pong == first->has_pong);
	ASSERT(!second.has_close);
	b = TAILQ_FIRST(&second.frames);
	TAILQ_FOREACH (a, &first->frames, link) {
		ASSERT(b != NULL && a->kind == b->kind);
		ASSERT(slice_equals(message_payload(a), message_payload(b)));
		b = TAILQ_NEXT(b, link);
	}
	ASSERT(b == NULL);
	engineio_payload_clear(&second);
}

static void check_payload(struct slice body)
{
	struct engineio_payload payload;
	const struct message *frame;
	struct bytes text;
	size_t cost = 0, n = 0;

	if (engineio_payload_read(&payload, body) != ENGINEIO_PAYLOAD_OK) {
		ASSERT(TAILQ_EMPTY(&payload.frames));
		return;
	}
	bytes_init(&text);
	TAILQ_FOREACH (frame, &payload.frames, link) {
		ASSERT(!engineio_is_close(frame));
		cost += message_cost(frame);
		n++;
		engineio_payload_add(&text, frame, frame == TAILQ_FIRST(&payload.frames));
	}
	ASSERT(cost == payload.cost);
	/* Base64 may have come without its padding. */
	ASSERT(bytes_size(&text) <= body.n + 3 * n);
	if (!TAILQ_EMPTY(&payload.frames))
		check_again(&payload, &text);
	bytes_clear(&text);
	engineio_payload_clear(&payload);
}

static void check_open(struct slice packet)
{
	struct engineio_open first = {0}, second = {0};
	struct bytes once, twice;
	struct slice text;

	bytes_init(&once);
	bytes_init(&twice);
	if (engineio_open_rewrite(packet, SID, true, MAX_PAYLOAD, &first, &once)) {
		text = bytes_linearize(&once, bytes_size(&once));
		ASSERT(memmem(text.p, text.n, "\"sid\":\"w1.abc\"", 14) != NULL);
		ASSERT(memmem(text.p, text.n, "\"upgrades\":[\"websocket\"]", 24) != NULL);
		/* Escapes may have made it longer than what is taken. */
		if (text.n <= ENGINEIO_MAX_OPEN_SIZE) {
			ASSERT(engineio_open_rewrite(
				text, SID, true, MAX_PAYLOAD, &second, &twice));
			ASSERT(slice_equals(text, bytes_linearize(&twice, bytes_size(&twice))));
			ASSERT(first.ping_interval_ms == second.ping_interval_ms);
			ASSERT(first.ping_timeout_ms == second.ping_timeout_ms);
			ASSERT(first.max_payload == second.max_payload);
		}
		ASSERT(first.max_payload <= MAX_PAYLOAD && first.max_payload > 0);
		ASSERT(first.ping_interval_ms > 0 && first.ping_timeout_ms > 0);
	} else {
		ASSERT(bytes_size(&once) == 0);
	}
	bytes_clear(&once);
	bytes_clear(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of its own size, so that a read past the end is seen. */
	char *copy = memory_alloc(size);
	struct slice input = {copy, size};

	if (size > 0)
		memcpy(copy, data, size);
	check_payload(input);
	check_open(input);
	free(copy);
	return 0;
}
