// Frames of a backend that a session must not take, byte by byte, and the signs of life on its
// connection.
import assert from 'node:assert/strict';
import test from 'node:test';

import { bridgeStage } from './lib/bridge.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { OPCODE, acceptOf, closeFrame, frame, readFrame, switching }
	from './lib/websocket_bytes.mjs';

async function rawSession(t, { route = {}, ...options } = {}) {
	const server = await RawBackend.start(t);
	const stage = await bridgeStage(t, { server, program: { drain: '50ms' }, route, ...options });
	const opening = stage.bridge.open();
	const conn = await server.accept();
	const request = await conn.readRequest();
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }));
	return { ...stage, conn, session: await opening };
}

function frames(...given) {
	return Buffer.concat(given.map((one) => (Buffer.isBuffer(one) ? one : frame(one))));
}

const { continuation, text, binary, close, ping, pong } = OPCODE;
const A = Buffer.from('a');

// What is refused: the bytes after a good message; the close that the backend gets.

for (const [what, code, bytes] of [
	['a masked frame', 1002, frames({ payload: 'x', mask: true })],
	['a masked ping', 1002, frames({ opcode: ping, mask: true })],
	['RSV1 without an extension', 1002, frames({ payload: 'x', rsv: 4 })],
	['RSV2', 1002, frames({ payload: 'x', rsv: 2 })],
	['RSV3 in a ping', 1002, frames({ opcode: ping, rsv: 1 })],
	['opcode 3', 1002, frames({ opcode: 3, payload: 'x' })],
	['opcode 11', 1002, frames({ opcode: 11 })],
	['a ping of 126 bytes', 1002, frames({ opcode: ping, payload: Buffer.alloc(126) })],
	['a pong that says 65536 bytes', 1002, frames({ opcode: pong, length: 65536 })],
	['a ping in the long form of its length', 1002, frames({ opcode: ping, payload: 'x', lengthBits: 16 })],
	['a fragmented ping', 1002, frames({ opcode: ping, fin: false, payload: 'x' })],
	['a fragmented close', 1002, frames({ opcode: close, fin: false })],
	['a length in a longer form than needed (16)', 1002, frames({ payload: 'x', lengthBits: 16 })],
	['a length in a longer form than needed (64)', 1002, frames({ payload: Buffer.alloc(200, A), lengthBits: 64 })],
	['a length with the top bit set', 1002, frames({ length: 2n ** 63n, lengthBits: 64 })],
	['a continuation of nothing', 1002, frames({ opcode: continuation, payload: 'x' })],
	['a text within a fragmented text', 1002, frames({ fin: false, payload: 'x' }, { payload: 'y' })],
	['a binary within a fragmented text', 1002, frames({ fin: false, payload: 'x' }, { opcode: binary })],
	['a text that is no UTF-8', 1007, frames({ payload: Buffer.from([0x61, 0xff]) })],
	['a text that ends within a character', 1007, frames({ payload: Buffer.from([0xe2, 0x82]) })],
	['an overlong character', 1007, frames({ payload: Buffer.from([0xc0, 0xaf]) })],
	['a surrogate', 1007, frames({ payload: Buffer.from([0xed, 0xa0, 0x80]) })],
	['no UTF-8 over fragments', 1007, frames({ fin: false, payload: Buffer.from([0xe2]) },
		{ opcode: continuation, payload: Buffer.from([0x28]) })],
	['a text over the limit', 1009, frames({ payload: Buffer.alloc(1025, A) })],
	['a binary that says it is over the limit', 1009, frames({ opcode: binary, length: 2 ** 40, lengthBits: 64 })],
	['fragments over the limit', 1009, frames({ fin: false, payload: Buffer.alloc(1000, A) },
		{ opcode: continuation, payload: Buffer.alloc(25, A) })],
	['a close of one byte', 1002, frames({ opcode: close, payload: 'x' })],
	['a close with code 0', 1002, closeFrame(0)],
	['a close with code 999', 1002, closeFrame(999)],
	['a close with code 1004', 1002, closeFrame(1004)],
	['a close with code 1005', 1002, closeFrame(1005)],
	['a close with code 1006', 1002, closeFrame(1006)],
	['a close with code 1015', 1002, closeFrame(1015)],
	['a close with code 2999', 1002, closeFrame(2999)],
	['a close with code 5000', 1002, closeFrame(5000)],
	['a close of 126 bytes', 1002, frames({ opcode: close, payload: Buffer.alloc(126) })],
	['a close whose reason is no UTF-8', 1007, closeFrame(1000, Buffer.from([0xff]))],
]) {
	test(`${what}: ${code}`, async (t) => {
		const { conn, session, pollux } = await rawSession(t, { route: { max_message_size: '1k' } });

		conn.send(frame({ payload: 'good' }), bytes, frame({ payload: 'too late' }));
		const answer = await readFrame(conn);
		assert.equal(answer.opcode, close);
		assert.equal(answer.masked, true);
		assert.equal(answer.fin, true);
		assert.equal(answer.code, code);
		await conn.expectEnd();
		conn.end();
		const { json } = await session.poll({ after: 0 });
		const all = json.closed ? json : (await session.poll({ after: 1 })).json;
		assert.deepEqual(json.messages, [{ seq: 1, text: 'good' }]);
		assert.equal(all.cursor, 2);
		assert.equal(all.closed.code, code);
		assert.equal(all.closed.undelivered, 0);
		assert.match(await pollux.logged(/websocket: /), /warn/);
	});
}

// What is taken.

for (const [what, bytes, messages] of [
	['a text at the limit', frames({ payload: Buffer.alloc(1024, A) }), [{ text: 'a'.repeat(1024) }]],
	['fragments at the limit', frames({ fin: false, payload: Buffer.alloc(1000, A) },
		{ opcode: continuation, payload: Buffer.alloc(24, A) }), [{ text: 'a'.repeat(1024) }]],
	['empty fragments', frames({ fin: false }, { opcode: continuation, fin: false },
		{ opcode: continuation, payload: 'x' }), [{ text: 'x' }]],
	['a character over fragments', frames({ fin: false, payload: Buffer.from([0xe2, 0x82]) },
		{ opcode: continuation, payload: Buffer.from([0xac]) }), [{ text: '€' }]],
	['a binary of any bytes', frames({ opcode: binary, payload: Buffer.from([255, 0]) }), [{ binary: '/wA=' }]],
	['pongs that nobody asked for', frames({ opcode: pong, payload: 'x' }, { payload: 'y' }), [{ text: 'y' }]],
	['a noncharacter', frames({ payload: '\uffff' }), [{ text: '\uffff' }]],
]) {
	test(`${what} is taken, in one piece and byte by byte`, async (t) => {
		const { conn, session } = await rawSession(t, { route: { max_message_size: '1k' } });

		conn.send(bytes);
		for (const byte of bytes)
			conn.send([Buffer.from([byte])]);
		conn.send(frame({ opcode: ping, payload: 'end' }));
		assert.equal((await readFrame(conn)).payload.toString(), 'end');
		const { json } = await session.poll({ after: 0 });
		assert.deepEqual(json.messages, [...messages, ...messages]
			.map((message, i) => ({ seq: i + 1, ...message })));
	});
}

test('frames that come together with the 101 are taken', async (t) => {
	const server = await RawBackend.start(t);
	const { bridge } = await bridgeStage(t, { server, program: { drain: '50ms' } });

	const answer = bridge.ask('GET', '/chat?wait=20');
	const conn = await server.accept();
	const request = await conn.readRequest();
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }),
		frame({ payload: 'one' }), closeFrame(1000, 'bye'));
	const { json } = await answer;
	assert.deepEqual(json.messages, [{ seq: 1, text: 'one' }]);
	assert.deepEqual(json.closed, { code: 1000, reason: 'bye', undelivered: 0 });
});

test('frames to the backend are masked, each with another key, and no longer than needed', async (t) => {
	const { conn, session } = await rawSession(t);
	const sizes = [0, 1, 125, 126, 127, 65535, 65536];

	for (const size of sizes)
		await session.post('x'.repeat(size));
	const keys = new Set();
	for (const size of sizes) {
		const head = await conn.read(2);
		assert.equal(head[0], 0x81);
		const n = size < 126 ? size : size < 65536 ? 126 : 127;
		assert.equal(head[1], 0x80 | n);
		if (n === 126)
			assert.equal((await conn.read(2)).readUInt16BE(0), size);
		if (n === 127)
			assert.equal(Number((await conn.read(8)).readBigUInt64BE(0)), size);
		const key = Buffer.from(await conn.read(4));
		keys.add(key.toString('hex'));
		const payload = Buffer.from(await conn.read(size));
		assert.ok(payload.every((byte, i) => (byte ^ key[i % 4]) === 0x78));
	}
	assert.equal(keys.size, sizes.length);
});

// The closing handshake.

for (const [what, bytes, code, reason] of [
	['a code and a reason', closeFrame(4999, 'bye'), 4999, 'bye'],
	['1012', closeFrame(1012), 1012, ''],
	['no code', frame({ opcode: close }), undefined, ''],
	['the longest reason', closeFrame(1000, 'r'.repeat(123)), 1000, 'r'.repeat(123)],
]) {
	test(`a close with ${what} is answered with its code, then the connection is ended`, async (t) => {
		const { conn, session } = await rawSession(t);

		conn.send(bytes);
		const answer = await readFrame(conn);
		assert.equal(answer.opcode, close);
		assert.equal(answer.code, code);
		await conn.expectEnd();
		conn.end();
		assert.deepEqual((await session.poll()).json.closed,
			{ code: code ?? 1005, reason, undelivered: 0 });
	});
}

test('after our close the connection ends when the backend has answered it', async (t) => {
	const { conn, session } = await rawSession(t);

	await session.delete();
	const got = await readFrame(conn);
	assert.equal(got.code, 1000);
	conn.send(frame({ payload: 'crossed' }), closeFrame(1000));
	await conn.expectEnd();
	conn.end();
});

// Signs of life.

test('a ping is answered by a pong with its payload, between messages and within them', async (t) => {
	const { conn, session } = await rawSession(t);

	conn.send(frame({ opcode: ping, payload: 'first' }));
	const first = await readFrame(conn);
	assert.equal(first.opcode, pong);
	assert.equal(first.masked, true);
	assert.equal(first.payload.toString(), 'first');
	conn.send(frames({ fin: false, payload: 'a' }, { opcode: ping, payload: Buffer.alloc(125, A) },
		{ opcode: continuation, payload: 'b' }));
	assert.equal((await readFrame(conn)).payload.length, 125);
	assert.deepEqual((await session.poll()).json.messages, [{ seq: 1, text: 'ab' }]);
});

test('a backend that is silent is pinged, and one that answers stays', async (t) => {
	const { conn, session } = await rawSession(t, { route: { backend_ping: '300ms' } });

	for (let n = 0; n < 4; n++) {
		const got = await readFrame(conn);
		assert.equal(got.opcode, ping);
		assert.equal(got.masked, true);
		conn.send(frame({ opcode: pong, payload: got.payload }));
	}
	conn.send(frame({ payload: 'here' }));
	assert.deepEqual((await session.poll()).json.messages, [{ seq: 1, text: 'here' }]);
});

test('a backend that does not answer a ping is gone', async (t) => {
	const { conn, session, pollux } = await rawSession(t, { route: { backend_ping: '100ms' } });

	assert.equal((await readFrame(conn)).opcode, ping);
	await conn.expectGone();
	assert.deepEqual((await session.poll()).json.closed, { code: 1006, reason: '', undelivered: 0 });
	await pollux.logged(/no answer to a ping/);
});

test('any frame is an answer to a ping', async (t) => {
	const { conn, session } = await rawSession(t, { route: { backend_ping: '300ms' } });

	for (let n = 0; n < 4; n++) {
		assert.equal((await readFrame(conn)).opcode, ping);
		conn.send(frame({ payload: `${n}` }));
	}
	const { json } = await session.poll({ after: 0 });
	assert.ok(json.messages.length >= 3);
	assert.equal(json.closed, undefined);
});

test('a backend that floods with pings costs no memory and gets only pongs', async (t) => {
	const { conn, session, pollux } = await rawSession(t);
	const flood = Buffer.concat(Array(10_000).fill(frame({ opcode: ping, payload: Buffer.alloc(125, A) })));

	conn.stall();
	const before = pollux.memory();
	for (let n = 0; n < 10; n++)
		await conn.sent(flood);
	await conn.sent(frame({ payload: 'end' }));
	assert.deepEqual((await session.poll()).json.messages, [{ seq: 1, text: 'end' }]);
	assert.ok(pollux.memory() - before < 24 * 1024 * 1024);
	conn.goOn();
	const first = await readFrame(conn);
	assert.equal(first.opcode, pong);
	assert.equal(first.payload.length, 125);
});
