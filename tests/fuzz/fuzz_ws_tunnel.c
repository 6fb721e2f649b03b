/*
 * Both sides of a watched tunnel. The first bytes are rules and the size of pieces; the rest are
 * steps: bytes of a side as they stand, a frame of a side, its end, time that passes, the order to
 * leave. In one piece and in pieces the same must come out. What comes out of a direction are whole
 * frames of those that went in, in their order, with nothing between them but our pings, without
 * answers to those, and at the end at most one close of ours; no message is larger than the rules
 * allow.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/macros.h"
#include "proxy/base/memory.h"
#include "proxy/http/ws_tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ALL = 1 << 20, N_RULES = 7, MAX_SIZE = 8192 };

/* What went in and what came out of one direction. */
struct side {
	struct bytes in;
	struct bytes out;
};

struct world {
	struct conf_tunnel rules;
	struct ws_tunnel *ws;
	struct pipe from_backend;
	struct pipe to_backend;
	struct side to_client;
	struct side to_backend_side;
	size_t piece;
	uint64_t now_ms;
	bool has_client_ended;
	bool is_cut;
};

static struct loop *loop;

static void read_rules(struct conf_tunnel *rules, const uint8_t *p)
{
	*rules = (struct conf_tunnel){
		.ping_client_ms = (p[0] & 15) * 50,
		.ping_backend_ms = (p[0] >> 4) * 50,
		.pong_timeout_ms = 1 + p[1] * 4,
		.max_message_size = p[2],
		.messages_per_second = p[3] & 63,
		.bytes_per_second = (uint64_t)p[4] * 8,
	};
}

static void open_world(struct world *world, const uint8_t *rules, size_t piece)
{
	*world = (struct world){.piece = piece, .now_ms = 1000};
	read_rules(&world->rules, rules);
	pipe_init(&world->from_backend, loop, PIPE_LIMIT_DEFAULT);
	pipe_init(&world->to_backend, loop, PIPE_LIMIT_DEFAULT);
	bytes_init(&world->to_client.in);
	bytes_init(&world->to_client.out);
	bytes_init(&world->to_backend_side.in);
	bytes_init(&world->to_backend_side.out);
	world->ws = ws_tunnel_new();
	ws_tunnel_watch(world->ws, &world->rules, world->now_ms);
}

static void close_world(struct world *world)
{
	ws_tunnel_free(world->ws);
	pipe_close(&world->from_backend);
	pipe_close(&world->to_backend);
	bytes_clear(&world->to_client.in);
	bytes_clear(&world->to_client.out);
	bytes_clear(&world->to_backend_side.in);
	bytes_clear(&world->to_backend_side.out);
}

/* Both movers. */
static void move(struct world *world, const uint8_t *p, size_t n)
{
	size_t waiting = pipe_size(&world->from_backend);
	struct bytes in;

	bytes_init(&in);
	bytes_append(&in, p, n);
	ASSERT(ws_tunnel_to_backend(world->ws, &in, &world->to_backend, world->now_ms) == n);
	ASSERT(bytes_size(&in) == 0);
	ASSERT(ws_tunnel_to_client(world->ws, &world->from_backend, &world->to_client.out, ALL,
		       world->now_ms) == waiting);
	ASSERT(pipe_size(&world->from_backend) == 0);
	(void)pipe_take(&world->to_backend, &world->to_backend_side.out, ALL);
}

static void put(struct world *world, bool from_client, const uint8_t *p, size_t n)
{
	struct side *side = from_client ? &world->to_backend_side : &world->to_client;

	if (from_client ? world->has_client_ended : world->from_backend.has_end)
		return;
	bytes_append(&side->in, p, n);
	while (n > 0) {
		size_t part = MIN(n, world->piece);

		if (!from_client)
			pipe_put_copy(&world->from_backend, p, part);
		move(world, from_client ? p : NULL, from_client ? part : 0);
		p += part;
		n -= part;
	}
	move(world, NULL, 0);
}

/* A frame that is right, with a payload that may be that of our pings. */
static void put_frame(struct world *world, bool from_client, const uint8_t *p)
{
	static const uint8_t opcodes[] = {0, 1, 2, 8, 9, 10, 10, 10};
	static const uint8_t mask[4] = {7, 0, 200, 9};
	uint8_t frame[WS_FRAME_HEAD_MAX + UINT8_MAX], payload[UINT8_MAX];
	enum ws_opcode opcode = (enum ws_opcode)opcodes[p[0] & 7];
	bool is_control = ws_opcode_is_control(opcode);
	size_t n = is_control ? p[1] & 63 : p[1], at;

	memset(payload, 'x', sizeof(payload));
	if ((p[0] & 7) >= 6) {
		n = 8;
		memcpy(payload, "pollux\0", 7);
		payload[7] = p[1];
	}
	at = ws_frame_write_head(
		frame, is_control || (p[0] & 8) != 0, opcode, n, from_client ? mask : NULL);
	memcpy(frame + at, payload, n);
	if (from_client)
		ws_frame_mask(frame + at, frame + at, n, mask, 0);
	put(world, from_client, frame, at + n);
}

static void pass(struct world *world, uint64_t ms, bool is_busy)
{
	struct ws_guard_links links = {.n_unacknowledged = is_busy,
		.progress = world->now_ms,
		.n_for_backend = is_busy ? (size_t)(world->now_ms & 1023) : 0};
	uint64_t end = world->now_ms + ms, at;

	while (!world->is_cut && (at = ws_tunnel_deadline(world->ws)) <= end) {
		world->now_ms = MAX(world->now_ms, at);
		world->is_cut = !ws_tunnel_tick(world->ws, &links, world->now_ms);
		move(world, NULL, 0);
		/* What was due is done. */
		ASSERT(world->is_cut || ws_tunnel_deadline(world->ws) > world->now_ms);
	}
	world->now_ms = end;
}

/* One side ends, or we do. */
static void end(struct world *world, unsigned who)
{
	if (who == 1) {
		world->has_client_ended = true;
		ws_tunnel_end_client(world->ws);
	} else if (who == 2) {
		pipe_put_end(&world->from_backend);
	} else {
		ws_tunnel_leave(world->ws);
	}
	move(world, NULL, 0);
}

static void play(struct world *world, const uint8_t *p, size_t left)
{
	while (left >= 3 && !world->is_cut) {
		size_t n = p[1];

		switch (p[0] >> 4) {
		case 0:
		case 1:
			n = MIN(n, left - 2);
			put(world, p[0] >> 4 == 0, p + 2, n);
			p += n;
			left -= n;
			break;
		case 2:
			pass(world, n * 8, (p[0] & 1) != 0);
			break;
		case 3:
			end(world, p[0] & 15);
			break;
		case 4:
		case 5:
		case 6:
			put_frame(world, true, p);
			break;
		default:
			put_frame(world, false, p);
			break;
		}
		p += 2;
		left -= 2;
	}
}

/* The judge. */

/* One frame within bytes. */
struct seen {
	const uint8_t *p; /* NULL: there is no whole head any more */
	size_t size;	  /* of all of it, as far as it is there */
	bool is_whole;
	struct ws_frame frame;
	uint8_t payload[WS_CONTROL_MAX]; /* plain; of a control frame that is whole */
};

static struct seen look(const uint8_t *p, size_t left, bool masked)
{
	struct ws_frame_parser parser;
	const uint8_t *start = p;
	struct seen seen = {0};
	size_t n;

	ws_frame_parser_init(&parser, masked, 7);
	if (ws_frame_parse(&parser, &p, &left, &seen.frame) != WS_FRAME_HEAD)
		return seen;
	n = (size_t)MIN((uint64_t)left, seen.frame.length);
	seen.p = start;
	seen.size = (size_t)(p - start) + n;
	seen.is_whole = n == seen.frame.length;
	if (!ws_opcode_is_control(seen.frame.opcode) || !seen.is_whole)
		return seen;
	if (masked)
		ws_frame_mask(seen.payload, p, n, seen.frame.mask, 0);
	else
		memcpy(seen.payload, p, n);
	return seen;
}

static bool is_same(const struct seen *in, const struct seen *out)
{
	return in->p != NULL && in->size == out->size && in->is_whole == out->is_whole &&
		memcmp(in->p, out->p, in->size) == 0;
}

static bool is_marked(const struct seen *seen, enum ws_opcode opcode)
{
	return seen->p != NULL && seen->frame.opcode == opcode &&
		seen->frame.length == WS_GUARD_PING_SIZE &&
		(!seen->is_whole || memcmp(seen->payload, "pollux", 6) == 0);
}

static bool is_our_close(const struct seen *seen)
{
	unsigned code = (unsigned)(seen->payload[0] << 8 | seen->payload[1]);

	return seen->frame.opcode == WS_OP_CLOSE && seen->is_whole && seen->frame.length > 2 &&
		(code == WS_CODE_GOING_AWAY || code == WS_CODE_PROTOCOL_ERROR ||
			code == WS_CODE_POLICY_VIOLATION || code == WS_CODE_TOO_BIG);
}

static void judge_size(const struct world *world, const struct seen *out, uint64_t *message)
{
	if (ws_opcode_is_control(out->frame.opcode))
		return;
	*message += out->frame.length;
	ASSERT(world->rules.max_message_size == 0 || *message <= world->rules.max_message_size);
	if (out->frame.fin)
		*message = 0;
}

/* What has not come out though nothing was told: our pongs, and what is no whole head. */
static void judge_rest(
	const struct world *world, const uint8_t *from, const uint8_t *end, bool masked)
{
	const struct ws_tunnel *ws = world->ws;
	struct seen rest;

	if (masked ? ws->to_backend.is_told : ws->to_client.is_told)
		return;
	while ((rest = look(from, (size_t)(end - from), masked)).p != NULL) {
		ASSERT(is_marked(&rest, WS_OP_PONG));
		from += rest.size;
	}
}

/* Pings that could be taken for ours: nobody can tell them apart. */
static bool has_doubtful(const uint8_t *from, const uint8_t *end, bool masked)
{
	struct seen seen;

	while ((seen = look(from, (size_t)(end - from), masked)).p != NULL) {
		if (is_marked(&seen, WS_OP_PING))
			return true;
		from += seen.size;
	}
	return false;
}

static void judge(const struct world *world, struct side *side, bool masked)
{
	struct slice in = bytes_linearize(&side->in, bytes_size(&side->in));
	struct slice out = bytes_linearize(&side->out, bytes_size(&side->out));
	const uint8_t *from = (const uint8_t *)in.p, *to = (const uint8_t *)out.p;
	const uint8_t *from_end = from + in.n, *to_end = to + out.n;
	uint64_t message = 0;

	if (has_doubtful(from, from_end, masked))
		return;
	while (to < to_end) {
		struct seen got = look(to, (size_t)(to_end - to), masked);
		struct seen given = look(from, (size_t)(from_end - from), masked);

		ASSERT(got.p != NULL);
		if (is_same(&given, &got)) {
			judge_size(world, &got, &message);
			from += given.size;
			to += got.size;
		} else if (is_our_close(&got)) {
			ASSERT(to + got.size == to_end);
			ASSERT(masked ? world->ws->to_backend.is_told
				      : world->ws->to_client.is_told);
			return;
		} else if (got.is_whole && is_marked(&got, WS_OP_PING)) {
			to += got.size;
		} else {
			ASSERT(given.is_whole && is_marked(&given, WS_OP_PONG));
			from += given.size;
		}
	}
	judge_rest(world, from, from_end, masked);
}

static void play_in(struct world *world, const uint8_t *data, size_t size, size_t piece)
{
	open_world(world, data, piece);
	play(world, data + N_RULES, size - N_RULES);
	judge(world, &world->to_client, false);
	judge(world, &world->to_backend_side, true);
}

static void compare(struct bytes *a, struct bytes *b)
{
	struct slice whole = bytes_linearize(a, bytes_size(a));
	struct slice split = bytes_linearize(b, bytes_size(b));

	ASSERT(slice_equals(whole, split));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world whole, split;

	if (size < N_RULES || size > MAX_SIZE)
		return 0;
	if (loop == NULL)
		loop = loop_new_fake(0);
	play_in(&whole, data, size, ALL);
	play_in(&split, data, size, 1 + data[5] % 32);
	compare(&whole.to_client.out, &split.to_client.out);
	compare(&whole.to_backend_side.out, &split.to_backend_side.out);
	ASSERT(whole.is_cut == split.is_cut);
	ASSERT(ws_tunnel_fault(whole.ws) == ws_tunnel_fault(split.ws));
	ASSERT(ws_tunnel_has_left(whole.ws) == ws_tunnel_has_left(split.ws));
	close_world(&whole);
	close_world(&split);
	return 0;
}
