/*
 * What a SockJS client sends, as a body, a form and a frame. Messages are valid UTF-8 within the
 * limits; written as a frame to a client and read again they are the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/client/sockjs_decode.h"
#include "bridge/client/sockjs_encode.h"
#include "proxy/base/memory.h"
#include "proxy/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sockjs_decode_limits limits = {.max_message = 64, .max_cost = 4096};

static void check_again(struct message_list *list, size_t cost)
{
	struct sockjs_decode_limits wide = {.max_message = 64, .max_cost = 16384};
	struct message_list again = TAILQ_HEAD_INITIALIZER(again);
	struct message *one, *other;
	size_t again_cost = 0, n;
	struct bytes frame;

	bytes_init(&frame);
	sockjs_encode_messages(&frame, TAILQ_FIRST(list), TAILQ_LAST(list, message_list));
	n = bytes_size(&frame) - 1;
	ASSERT(sockjs_decode_array(slice_of(bytes_linearize(&frame, n + 1).p + 1, n), &wide, &again,
		       &again_cost) == SOCKJS_DECODED);
	ASSERT(again_cost == cost);
	for (one = TAILQ_FIRST(list), other = TAILQ_FIRST(&again); one != NULL;
		one = TAILQ_NEXT(one, link), other = TAILQ_NEXT(other, link))
		ASSERT(slice_equals(message_payload(one), message_payload(other)));
	ASSERT(other == NULL);
	message_list_clear(&again);
	bytes_clear(&frame);
}

static void check(enum sockjs_decode verdict, struct message_list *list, size_t cost)
{
	struct message *message;
	size_t sum = 0, n = 0;

	ASSERT(verdict == SOCKJS_DECODED || TAILQ_EMPTY(list));
	TAILQ_FOREACH (message, list, link) {
		ASSERT(message->kind == MESSAGE_TEXT && message->size <= limits.max_message);
		ASSERT(utf8_is_valid(message->payload, message->size));
		sum += message_cost(message);
		n++;
	}
	ASSERT(sum == cost && (n <= 1 || cost <= limits.max_cost));
	if (n > 0)
		check_again(list, cost);
	message_list_clear(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message_list list = TAILQ_HEAD_INITIALIZER(list);
	/* An allocation of its own size, so that a read past the end is seen. */
	char *copy = memory_alloc(size);
	struct slice text = slice_of(copy, size), value;
	enum sockjs_decode verdict;
	struct arena arena;
	size_t cost = 0;

	if (size > 0)
		memcpy(copy, data, size);
	arena_init(&arena);
	verdict = sockjs_decode_array(text, &limits, &list, &cost);
	check(verdict, &list, cost);
	cost = 0;
	verdict = sockjs_decode_frame(text, &limits, &list, &cost);
	check(verdict, &list, cost);
	cost = 0;
	value = sockjs_decode_form(text, &arena);
	ASSERT(value.n <= text.n);
	verdict = sockjs_decode_array(value, &limits, &list, &cost);
	check(verdict, &list, cost);
	arena_clear(&arena);
	free(copy);
	return 0;
}
