// What the section `tunnel` of a route asks of WebSockets that go through to the backend: limits on
// both sides of them, pings, and who is told what. Over HTTP/1.1 and HTTP/2, plain and over TLS.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { PerMessageDeflate, WebSocket, extension } from 'ws';

import { WebSocketBackend } from './lib/backends.mjs';
import { bridgeStage, startBackend } from './lib/bridge.mjs';
import { H2Client } from './lib/h2_client.mjs';
import { paired } from './lib/pairing.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { atEnd } from './lib/scope.mjs';
import { OPEN_TO_ALL } from './lib/sockjs.mjs';
import { connect, stage } from './lib/stage.mjs';
import { event, eventually, pass, within } from './lib/wait.mjs';
import { OPCODE, acceptOf, closeFrame, frame, handshake, readFrame, switching }
	from './lib/websocket_bytes.mjs';

const MIB = 1024 * 1024;
const OTHER = { code: 1001, reason: 'the other side was closed' };
const SIDES = [
	{ name: 'HTTP/1.1', client: 1, isTls: false },
	{ name: 'HTTP/1.1 to HTTP/2, over TLS', client: 1, isTls: true, protocol: 'h2' },
	{ name: 'HTTP/2 to HTTP/2', client: 2, isTls: false, protocol: 'h2' },
	{ name: 'HTTP/2 to HTTP/1.1, over TLS', client: 2, isTls: true },
].map((side) => ({ protocol: 'http/1.1', isH2Backend: side.protocol === 'h2', ...side }));

// A stage of `paired` whose route has these rules.
function watched(t, side, tunnel, { route = {}, ...options } = {}) {
	return paired(t, side, { route: { tunnel, ...route }, ...options });
}

// Bytes of a side as they stand; both ends are of WebSocketEnd.
function sendRaw(end, ...frames) {
	end.stream.write(Buffer.concat(frames));
}

const masked = (payload, options = {}) => frame({ payload, mask: true, ...options });

// It has ended for this reason, and both sides know; the offender is told `code`.
async function endsWith(stage, [offender, other], { code, reason, access, target }) {
	assert.deepEqual(await offender.closing(), { code, reason });
	assert.deepEqual(await other.closing(), OTHER);
	const entry = await stage.pollux.accessed({ target });
	assert.equal(entry.reason, access);
	assert.equal(entry.tunnel, true);
	for (const end of [offender, other]) {
		await end.expectGone();
		assert.equal(end.afterClose, 0);
	}
}

const TOO_LARGE = { code: 1009, reason: 'message too large', access: 'message-too-large' };
const TOO_MANY = { code: 1008, reason: 'too many messages', access: 'message-rate' };
const TOO_FAST = { code: 1008, reason: 'too many bytes', access: 'message-rate' };
const NO_FRAME = { code: 1002, reason: 'not a WebSocket frame', access: 'bad-frame' };
const NO_PONG = { code: 1001, reason: 'no answer to a ping', access: 'pong-timeout' };

// permessage-deflate as one end has it after the handshake.
function deflating(isServer) {
	const deflate = new PerMessageDeflate({ threshold: 0, isServer });
	deflate.accept(extension.parse('permessage-deflate')['permessage-deflate']);
	return { 'permessage-deflate': deflate };
}

async function sizes(t, stage) {
	for (const [who, order] of [['client', (ends) => ends], ['backend', ([a, b]) => [b, a]]]) {
		const isClient = who === 'client';

		await t.test(`a message of the ${who} at the limit passes, one byte more does not`, async () => {
			const [from, to] = order(await stage.open(`/size-${who}`));
			from.send('x'.repeat(1000));
			assert.equal(await to.next(), 'x'.repeat(1000));
			from.send('y'.repeat(1001));
			await endsWith(stage, [from, to], { ...TOO_LARGE, target: `/size-${who}` });
			assert.deepEqual(to.received, ['x'.repeat(1000)]);
		});

		await t.test(`fragments of the ${who} count together, control frames do not`, async () => {
			const [from, to] = order(await stage.open(`/fragments-${who}`));
			for (const last of [200, 201]) {
				from.send('a'.repeat(400), { fin: false });
				from.ping('x'.repeat(125));
				from.send('b'.repeat(400), { fin: false });
				from.send('c'.repeat(last));
			}
			assert.equal(await to.next(), 'a'.repeat(400) + 'b'.repeat(400) + 'c'.repeat(200));
			await endsWith(stage, [from, to], { ...TOO_LARGE, target: `/fragments-${who}` });
			assert.equal(to.received.length, 1);
		});

		await t.test(`bytes of the ${who} that are no frame`, async () => {
			const [from, to] = order(await stage.open(`/garbage-${who}`));
			from.send('before');
			assert.equal(await to.next(), 'before');
			// A reserved opcode; a wrong mask.
			sendRaw(from, frame({ payload: 'wrong', mask: !isClient }));
			await endsWith(stage, [from, to], { ...NO_FRAME, target: `/garbage-${who}` });
			assert.deepEqual(to.received, ['before']);
		});

		await t.test(`what the ${who} says before and behind its fault, all at once`, async () => {
			const [from, to] = order(await stage.open(`/at-once-${who}`));
			const of = (options) => frame({ mask: isClient, ...options });
			sendRaw(from, of({ payload: 'within' }), of({ payload: 'z'.repeat(1001) }), of({ payload: 'behind' }),
				closeFrame(1000, '', { mask: isClient }));
			assert.deepEqual(await to.closing(), OTHER);
			assert.deepEqual(to.received, ['within']);
			assert.deepEqual(await from.closing(), { code: TOO_LARGE.code, reason: TOO_LARGE.reason });
			assert.equal((await stage.pollux.accessed({ target: `/at-once-${who}` })).reason, TOO_LARGE.access);
		});
	}

	await t.test('a head of 2^63 - 1 bytes is refused before one byte of it has passed', async () => {
		const [client, backend] = await stage.open('/huge');
		sendRaw(client, masked('', { length: 2n ** 63n - 1n, lengthBits: 64 }));
		await endsWith(stage, [client, backend], { ...TOO_LARGE, target: '/huge' });
	});

	await t.test('what counts is the compressed size', async () => {
		stage.backend.webSocket = () => ({
			fields: { 'sec-websocket-extensions': 'permessage-deflate' },
			extensions: deflating(true),
		});
		const [client, backend] = await stage.open('/deflate', {
			headers: { 'sec-websocket-extensions': 'permessage-deflate' },
			extensions: deflating(false),
		});
		stage.backend.webSocket = () => ({});
		const text = 'compressible '.repeat(10_000);
		for (const [from, to] of [[client, backend], [backend, client]]) {
			from.send(text, { compress: true });
			assert.equal(await to.next(), text);
		}
		client.send(randomBytes(3000), { compress: true });
		await endsWith(stage, [client, backend], { ...TOO_LARGE, target: '/deflate' });
	});
}

async function heldBack(t, side, pings, order) {
	const stage = await watched(t, side, { pong_timeout: '300ms', max_message_size: '64M', ...pings },
		{ environment: { ASAN_OPTIONS: 'quarantine_size_mb=1' } });
	const [writer, reader] = order(await stage.open('/held'));
	const before = stage.pollux.memory();
	const block = randomBytes(MIB);

	reader.stall();
	for (let i = 0; i < 32; i++)
		writer.send(block);
	await pass(1000);
	assert.ok(writer.waiting > 8 * MIB, `${writer.waiting} bytes are held back`);
	assert.ok(stage.pollux.memory() - before < 8 * MIB);
	reader.goOn();
	assert.ok((await reader.count(32)).every((data) => data.equals(block)));
	assert.equal(writer.closed, undefined);
	reader.send('all of it');
	assert.equal(await writer.next(), 'all of it');
}

for (const side of SIDES) {
	test(`sizes (${side.name})`, async (t) => {
		await sizes(t, await watched(t, side, { max_message_size: 1000 }));
	});

	test(`rates (${side.name})`, async (t) => {
		const stage = await watched(t, side, { messages_per_second: 5 });

		await t.test('so many messages at once pass, one more does not', async () => {
			const [client, backend] = await stage.open('/messages');
			// Pings and pongs of the client count, fragments and closes do not.
			sendRaw(client, masked('1'), masked('2a', { fin: false }),
				masked('ping', { opcode: OPCODE.ping }), masked('pong', { opcode: OPCODE.pong }),
				masked('2b', { opcode: OPCODE.continuation, fin: false }),
				masked('2c', { opcode: OPCODE.continuation }), masked('3'), masked('4'));
			await endsWith(stage, [client, backend], { ...TOO_MANY, target: '/messages' });
			assert.deepEqual(backend.received, ['1', '2a2b2c', '3']);
			assert.equal(backend.controls.length, 2);
		});

		await t.test('a close is never one too many', async () => {
			const [client, backend] = await stage.open('/close');
			sendRaw(client, ...'12345'.split('').map((text) => masked(text)));
			client.close(4000, 'done');
			assert.deepEqual(await backend.closing(), { code: 4000, reason: 'done' });
			assert.deepEqual(await client.closing(), { code: 4000, reason: 'done' });
			assert.equal((await stage.pollux.accessed({ target: '/close' })).reason, undefined);
		});

		await t.test('the backend has no limit', async () => {
			const [client, backend] = await stage.open('/free');
			for (let i = 0; i < 100; i++)
				backend.send(`${i}`);
			await client.count(100);
		});
	});

	test(`bytes per second (${side.name})`, async (t) => {
		const stage = await watched(t, side, { bytes_per_second: 5000 });

		await t.test('so many bytes at once pass, one frame more does not', async () => {
			const [client, backend] = await stage.open('/bytes');
			// Heads count: 8 bytes each here.
			sendRaw(client, masked('a'.repeat(2492)), masked('b'.repeat(2492)), masked(''));
			await endsWith(stage, [client, backend], { ...TOO_FAST, target: '/bytes' });
			assert.equal(backend.received.length, 2);
		});
	});

	test(`large messages within the limit, and both ways at once (${side.name})`, async (t) => {
		const stage = await watched(t, side, {
			ping_client: '1s', ping_backend: '1s', max_message_size: '16M', messages_per_second: 1000,
			bytes_per_second: '1G',
		});
		const [client, backend] = await stage.open();
		const data = randomBytes(16 * MIB);
		for (const [from, to] of [[client, backend], [backend, client]]) {
			from.send(data);
			assert.ok(data.equals(await to.next()));
		}
		for (let i = 0; i < 300; i++) {
			client.send(`up ${i} ${'x'.repeat(i * 50)}`);
			backend.send(`down ${i} ${'y'.repeat(i * 70)}`);
		}
		(await backend.count(301)).slice(1).forEach((text, i) => assert.ok(text.startsWith(`up ${i} `)));
		(await client.count(301)).slice(1).forEach((text, i) => assert.ok(text.startsWith(`down ${i} `)));
	});

	// Bytes and pongs of the writer stand in queues behind what the reader does not take.
	test(`who is held back by the other side is not silent (${side.name})`, async (t) => {
		await Promise.all([
			heldBack(t, side, { ping_client: '200ms' }, (ends) => ends),
			heldBack(t, side, { ping_backend: '200ms' }, ([client, backend]) => [backend, client]),
		]);
	});

	test(`silent sides are pinged, and their answers are ours (${side.name})`, async (t) => {
		const stage = await watched(t, side, { ping_client: '100ms', ping_backend: '70ms', pong_timeout: '5s' });
		const [client, backend] = await stage.open();
		const nOf = (end, type) => end.controls.filter((one) => one.type === type).length;

		for (const end of [client, backend])
			await end.until(() => nOf(end, 'ping') >= 4, 'pings');
		client.ping('from the client');
		backend.ping('from the backend');
		await client.until(() => nOf(client, 'pong') > 0, 'a pong');
		await backend.until(() => nOf(backend, 'pong') > 0, 'a pong');
		sendRaw(client, masked('unasked', { opcode: OPCODE.pong }), masked('unasked!', { opcode: OPCODE.pong }));
		sendRaw(backend, frame({ payload: 'unasked too', opcode: OPCODE.pong }));
		await backend.until(() => nOf(backend, 'pong') === 3, 'unasked pongs');
		await client.until(() => nOf(client, 'pong') === 2, 'unasked pongs');
		const foreign = (end) => end.controls.filter(({ data }) => !data.startsWith('pollux'))
			.map(({ type, data }) => `${type} ${data}`);
		assert.deepEqual(foreign(client), ['ping from the backend', 'pong from the client', 'pong unasked too']
			.sort((a, b) => foreign(client).indexOf(a) - foreign(client).indexOf(b)));
		assert.ok(!client.controls.concat(backend.controls)
			.some(({ type, data }) => type === 'pong' && data.startsWith('pollux')));
		client.send('still here');
		assert.equal(await backend.next(), 'still here');
	});
}

test('the seconds bring bytes back', async (t) => {
	const stage = await watched(t, SIDES[0], { bytes_per_second: 5000 });
	const [client, backend] = await stage.open('/slowly');
	for (let i = 0; i < 3; i++) {
		await pass(i * 500);
		client.send('x'.repeat(2900));
		await backend.next();
	}
	client.close(1000);
	await backend.closing();
	assert.equal((await stage.pollux.accessed({ target: '/slowly' })).reason, undefined);
});

// Real clients and servers of ws.

async function realStage(t, tunnel, options = {}) {
	const backend = await WebSocketBackend.start(t, { perMessageDeflate: { threshold: 0 }, ...options });
	const pollux = await Pollux.start(t, { backend, route: { tunnel } });
	const open = async (wsOptions = {}) => {
		const socket = new WebSocket(pollux.url('/', { scheme: 'ws' }), wsOptions);
		socket.closing = new Promise((done) => {
			socket.on('close', (code, reason) => done({ code, reason: reason.toString() }));
		});
		socket.on('error', () => {});
		atEnd(t, () => socket.terminate());
		await event(socket, 'open');
		return [socket, await backend.accept()];
	};
	return { backend, pollux, open };
}

test('clients and servers of ws: pings, compression, limits', async (t) => {
	const { backend, pollux, open } = await realStage(t, {
		ping_client: '50ms', ping_backend: '50ms', pong_timeout: '2s', max_message_size: '64k',
	});
	const [socket, peer] = await open({ perMessageDeflate: { threshold: 0 } });
	const seen = { client: [], backend: [] };
	for (const [name, end] of [['client', socket], ['backend', peer]]) {
		end.pings = 0;
		end.on('ping', () => end.pings++);
		end.on('pong', (data) => seen[name].push(data.toString()));
	}

	await eventually(() => socket.pings >= 3 && peer.pings >= 3, 'pings to both');
	assert.deepEqual(seen, { client: [], backend: [] });
	const text = 'compressible '.repeat(100_000);
	const echo = event(socket, 'message');
	socket.send(text);
	assert.equal((await echo)[0].toString(), text);
	socket.send(randomBytes(70_000));
	assert.deepEqual(await within(socket.closing, 'the close'), { code: 1009, reason: 'message too large' });
	assert.deepEqual(await backend.closeOf(peer), OTHER);
	assert.equal((await pollux.accessed()).reason, 'message-too-large');
});

test('a server of ws that oversteps gets its close, though it goes on sending', async (t) => {
	const { backend, open } = await realStage(t, { max_message_size: 100 }, { onSocket: () => {} });
	const [socket, peer] = await open();
	for (let i = 0; i < 20; i++)
		peer.send(randomBytes(MIB));
	assert.deepEqual(await within(socket.closing, 'the close'), OTHER);
	assert.deepEqual(await backend.closeOf(peer), { code: 1009, reason: 'message too large' });
});

// Raw ends over HTTP/1.1.

async function rawTunnel(t, tunnel, options = {}) {
	const made = await stage(t, { route: { ...(tunnel && { tunnel }) }, ...options });
	return { ...made, ...await openRaw(made) };
}

async function openRaw({ backend, client }, target = '/') {
	client.send(handshake({ target }));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(switching());
	await client.readResponse();
	return { conn };
}

async function expectClose(wire, code, reason) {
	const got = await readFrame(wire);
	assert.deepEqual([got.opcode, got.code, got.reason], [OPCODE.close, code, reason]);
}

test('dead clients, and such as never answer a close: told, and cut after five seconds', async (t) => {
	await Promise.all([
		// What acknowledges and never answers, over HTTP/1.1.
		(async () => {
			const { client, conn, pollux } = await rawTunnel(t, { ping_client: '100ms', pong_timeout: '200ms' });
			conn.send(frame({ payload: 'hello' }));
			await client.expect(frame({ payload: 'hello' }));
			const ping = await readFrame(client);
			assert.equal(ping.opcode, OPCODE.ping);
			const began = Date.now();
			await expectClose(client, NO_PONG.code, NO_PONG.reason);
			const told = Date.now();
			assert.ok(told - began >= 150 && told - began < 2000, `${told - began} ms after the ping`);
			await expectClose(conn, OTHER.code, OTHER.reason);
			await client.expectGone();
			const took = Date.now() - told;
			assert.ok(took > 4500 && took < 8000, `cut after ${took} ms`);
			await conn.expectGone();
			assert.equal((await pollux.accessed()).reason, 'pong-timeout');
		})(),
		// The backend, over HTTP/1.1.
		(async () => {
			const { client, conn, pollux } = await rawTunnel(t, { ping_backend: '100ms', pong_timeout: '200ms' });
			const ping = await readFrame(conn);
			assert.ok(ping.opcode === OPCODE.ping && ping.masked);
			await expectClose(conn, NO_PONG.code, NO_PONG.reason);
			await expectClose(client, OTHER.code, OTHER.reason);
			client.send(closeFrame(1001, '', { mask: true }));
			await client.expectEnd();
			await conn.expectGone();
			assert.equal((await pollux.accessed()).reason, 'pong-timeout');
		})(),
		// Over HTTP/2.
		(async () => {
			const stage = await watched(t, SIDES[2], { ping_client: '100ms', pong_timeout: '200ms' });
			const [client, backend] = await stage.openManual('/dead');
			assert.deepEqual(await client.closing(), { code: NO_PONG.code, reason: NO_PONG.reason });
			const began = Date.now();
			assert.deepEqual(await backend.closing(), OTHER);
			await client.until(() => client.isOver || client.error !== undefined, 'a reset');
			const took = Date.now() - began;
			assert.ok(took > 4500 && took < 8000, `reset after ${took} ms`);
			assert.equal((await stage.pollux.accessed({ target: '/dead' })).reason, 'pong-timeout');
			assert.equal((await stage.session.get('/')).status, 200);
		})(),
		// A limit, and no answer to the close for it.
		(async () => {
			const { client, conn, pollux } = await rawTunnel(t, { max_message_size: 10 });
			client.send(masked('x'.repeat(11)));
			await expectClose(client, TOO_LARGE.code, TOO_LARGE.reason);
			const began = Date.now();
			await expectClose(conn, OTHER.code, OTHER.reason);
			// What it says behind that is dropped, and no answer.
			client.send(masked('more'), masked('and more', { opcode: OPCODE.ping }));
			await client.expectGone();
			const took = Date.now() - began;
			assert.ok(took > 4500 && took < 8000, `cut after ${took} ms`);
			assert.equal((await pollux.accessed()).reason, 'message-too-large');
			assert.equal(conn.size, 0);
		})(),
	]);
});

test('a slow download goes on, however long it takes to get to the ping', async (t) => {
	const { client, conn, pollux } = await rawTunnel(t, { ping_client: '100ms', pong_timeout: '1500ms' });
	const SIZE = 64 * MIB;
	const head = frame({ opcode: OPCODE.binary, length: SIZE, lengthBits: 64 });

	client.stall();
	conn.send(head, Buffer.alloc(SIZE));
	const began = Date.now();
	let n = 0;
	client.goOn();
	// A ping may have been quicker.
	for (let start; !(start = await client.read(2)).equals(head.subarray(0, 2));)
		assert.deepEqual([...start, (await client.read(8)).length], [0x89, 8, 8]);
	await client.expect(head.subarray(2));
	// The window of TCP is some megabytes: what is in it counts as taken.
	while (n < SIZE - 16 * MIB) {
		client.goOn();
		n += (await client.readSome()).length;
		client.stall();
		await pass(n % 8 === 0 ? 2 : 1);
		if (Date.now() - began < 4500)
			await pass(20);
	}
	client.goOn();
	await client.read(SIZE - n);
	assert.ok(Date.now() - began > 4000, 'it was slow');
	conn.send(frame({ payload: 'more' }));
	for (let got; (got = await readFrame(client)).opcode !== OPCODE.text;) {
		assert.equal(got.opcode, OPCODE.ping, `${got.code} ${got.reason}`);
		client.send(frame({ opcode: OPCODE.pong, payload: got.payload, mask: true }));
	}
	assert.ok(!pollux.accessLog.has(/pong-timeout/));
});

test('a backend that resets after our close does not take the close from the client', async (t) => {
	for (let i = 0; i < 10; i++) {
		const { client, conn, pollux } = await rawTunnel(t, { max_message_size: 10 });
		conn.send(frame({ payload: 'first' }), frame({ payload: 'x'.repeat(11) }));
		await expectClose(conn, TOO_LARGE.code, TOO_LARGE.reason);
		conn.reset();
		await client.expect(frame({ payload: 'first' }));
		await expectClose(client, OTHER.code, OTHER.reason);
		await client.expectEnd();
		client.close();
		assert.equal((await pollux.accessed()).reason, 'message-too-large');
		await pollux.stop();
	}
});

test('half-closed tunnels are carried on, and who has ended is not asked for signs of life', async (t) => {
	const tunnel = { ping_client: '50ms', ping_backend: '50ms', pong_timeout: '100ms' };
	const first = await rawTunnel(t, tunnel);
	first.client.end();
	await first.conn.until(() => first.conn.hasEnded, 'the end of the client');
	for (let i = 0; i < 8; i++) {
		await pass(60);
		first.conn.send(frame({ payload: 'still' }));
	}
	first.conn.end();
	const texts = [];
	for (const opcodes = []; texts.length < 8;) {
		const got = await readFrame(first.client);
		opcodes.push(got.opcode);
		assert.ok(got.opcode === OPCODE.text || got.opcode === OPCODE.ping, `${got.code} ${got.reason}`);
		if (got.opcode === OPCODE.text)
			texts.push(got.payload.toString());
	}
	await first.client.expectEnd();
	assert.equal((await first.pollux.accessed()).reason, undefined);

	const second = await rawTunnel(t, { ...tunnel, ping_client: 0 });
	second.conn.end();
	await second.client.until(() => second.client.hasEnded, 'the end of the backend');
	for (let i = 0; i < 8; i++) {
		await pass(60);
		second.client.send(masked('still'));
	}
	second.client.end();
	await second.conn.until(() => second.conn.hasEnded, 'the end of the client');
	assert.equal((await second.pollux.accessed()).reason, undefined);
});

// Over HTTP/2 a client may send before it has an answer, with the head itself.
test('bytes that come with an extended CONNECT are judged as well', async (t) => {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend] },
		listen: { h2c: true },
		route: { tunnel: { max_message_size: 4 } },
	});
	const session = await H2Client.connect(t, pollux.where());
	const exchange = session.startWebSocket('/early');
	exchange.stream.write(Buffer.concat([masked('four'), masked('fives')]));
	const conn = await backend.accept();
	const request = await conn.readRequest();
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }));
	assert.equal((await exchange.response()).status, 200);
	assert.equal((await readFrame(conn)).payload.toString(), 'four');
	await expectClose(conn, OTHER.code, OTHER.reason);
	exchange.read();
	await exchange.hears('message too large');
	exchange.cancel();
	assert.equal((await pollux.accessed({ target: '/early' })).reason, 'message-too-large');
});

test('a wrong Origin gets 403 before the backend hears of it', async (t) => {
	const { backend, pollux, client } = await stage(t, {
		route: { allowed_origins: ['https://good.example'], tunnel: { max_message_size: 10 } },
	});
	client.send(handshake({ fields: { Origin: 'https://evil.example' } }));
	assert.equal((await client.readResponse()).status, 403);
	assert.equal(backend.conns.length, 0);
	const good = await connect(t, pollux);
	good.send(handshake({ fields: { Origin: 'https://good.example' } }));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(switching());
	assert.equal((await good.readResponse()).status, 101);
	good.send(masked('x'.repeat(11)));
	await expectClose(good, TOO_LARGE.code, TOO_LARGE.reason);
	assert.equal(backend.conns.length, 1);
});

test('WebSockets of the bridge are not judged, those beside them are', async (t) => {
	const server = await startBackend(t);
	const { pollux, bridge } = await bridgeStage(t, {
		server,
		route: { bridge: ['plain', 'sockjs'], tunnel: { max_message_size: 10, messages_per_second: 1 }, ...OPEN_TO_ALL },
	});
	const plain = await bridge.webSocket('/chat', ['pollux.v1']);
	await plain.received.next();
	const first = await server.accept();
	const sock = await bridge.webSocket('/chat/000/s1/websocket');
	assert.equal(await sock.received.next(), 'o');
	const second = await server.accept();
	const long = 'x'.repeat(500);
	for (let i = 0; i < 5; i++) {
		plain.send(JSON.stringify({ n: i + 1, text: long }));
		sock.send(JSON.stringify([long]));
	}
	assert.deepEqual(await second.received.count(5), Array(5).fill(long));
	await first.received.count(5);
	second.send(long);
	assert.equal(await sock.received.next(), `a["${long}"]`);

	const through = await bridge.webSocket('/chat');
	const closing = within(new Promise((done) => through.on('close', (code) => done(code))), 'a close');
	through.send(long);
	assert.equal(await closing, 1009);
	assert.equal((await pollux.accessed({ target: '/chat' })).reason, 'message-too-large');
});

for (const [name, tunnel] of [['no section', undefined], ['an empty one', {}], ['only pong_timeout', { pong_timeout: '1ms' }]]) {
	test(`a route with ${name} passes whatever bytes there are`, async (t) => {
		const { client, conn } = await rawTunnel(t, tunnel);
		const up = randomBytes(300_000);
		const down = randomBytes(300_000);
		client.send(up);
		conn.send(down);
		assert.ok(up.equals(await conn.read(up.length)));
		assert.ok(down.equals(await client.read(down.length)));
		client.end();
		await conn.expectEnd();
		conn.end();
		await client.expectEnd();
	});
}
