// Engine.IO: from polls to a WebSocket, byte by byte. The backend has one WebSocket all the time.
import assert from 'node:assert/strict';
import test from 'node:test';

import { flushed, heldBack, requestText } from './lib/bridge.mjs';
import { PATH, engineSession, isError, isOk, isPayload } from './lib/engineio.mjs';
import { OPCODE, closeFrame, frame, handshake } from './lib/websocket_bytes.mjs';
import { pass } from './lib/wait.mjs';

const POLICY = 1008;

async function closeAt(backend, socket) {
	return (await backend.closeOf(socket)).code;
}

test('probe, noop to the poll, upgrade, and the packets of both ways go on', async (t) => {
	const { session, socket, backend } = await engineSession(t);
	const poll = await session.startPoll();

	isOk(await session.post('4one'));
	const candidate = await session.candidate();
	candidate.send('2probe');
	await candidate.expect('3probe');
	isPayload(await poll.readResponse(), '6');
	// Until the upgrade the polls are what counts.
	socket.send('4a');
	assert.deepEqual(await session.packets(), ['4a']);
	isOk(await session.post('4two'));
	socket.send('4b');
	await flushed(socket);
	candidate.send('5');
	await candidate.expect('4b');
	socket.send(Buffer.from([0, 255]));
	await candidate.expectBinary([0, 255]);
	candidate.send('4three');
	candidate.sendBinary(Buffer.from([1, 2]));
	candidate.send('3');
	assert.deepEqual(await socket.received.count(5),
		['4one', '4two', '4three', Buffer.from([1, 2]), '3']);
	assert.equal(backend.sockets.length, 1);
});

test('a poll that passes the answer to the probe is let go as well', async (t) => {
	const { session } = await engineSession(t);
	const candidate = await session.candidate();

	candidate.send('2probe');
	await candidate.expect('3probe');
	const start = performance.now();
	isPayload(await session.poll(), '6');
	assert.ok(performance.now() - start < 5000);
	isPayload(await session.poll(), '6');
	await session.move(candidate);
	isError(await session.poll(), 400, 3, 'Bad request');
});

test('the upgrade request in the segment of the handshake, fragments, and pings between', async (t) => {
	const { session, socket } = await engineSession(t);
	const candidate = await session.candidate();

	candidate.wire.send(
		frame({ payload: '2pr', fin: false, mask: true }),
		frame({ opcode: OPCODE.ping, payload: 'p', mask: true }),
		frame({ opcode: OPCODE.continuation, payload: 'obe', mask: true }),
		frame({ payload: '5', mask: true }),
		frame({ payload: '4early', mask: true }),
	);
	const pong = await candidate.next();
	assert.deepEqual([pong.opcode, pong.payload.toString()], [OPCODE.pong, 'p']);
	await candidate.expect('3probe');
	assert.equal(await socket.received.next(), '4early');
});

test('the first subprotocol that a candidate offers is chosen, as the reference does', async (t) => {
	const { session, engine } = await engineSession(t);
	const wire = await engine.connect();

	wire.send(handshake({ target: `${PATH}?EIO=4&transport=websocket&sid=${session.sid}`,
		fields: { 'Sec-WebSocket-Protocol': 'chat, other' } }));
	const head = await wire.readHead();
	assert.match(head.line, / 101 /);
	assert.equal(head.get('Sec-WebSocket-Protocol'), 'chat');
});

test('a candidate that takes no bytes (b64) gets them as text', async (t) => {
	const { session, socket, engine } = await engineSession(t);
	const candidate = await engine.upgrade(`EIO=4&transport=websocket&b64=1&sid=${session.sid}`);

	candidate.send('2probe');
	await candidate.expect('3probe');
	candidate.send('5');
	socket.send(Buffer.from([0, 255]));
	await candidate.expect('bAP8=');
	socket.send('4a');
	await candidate.expect('4a');
});

test('HTTP with the id is refused after the upgrade, and harms nobody', async (t) => {
	const { session, socket } = await engineSession(t);
	const upgraded = await session.upgraded();

	isError(await session.poll(), 400, 3, 'Bad request');
	isError(await session.post('4a'), 400, 3, 'Bad request');
	upgraded.send('4b');
	assert.deepEqual(await socket.received.count(1), ['4b']);
	socket.send('4c');
	await upgraded.expect('4c');
});

test('a post that is under way at the upgrade is refused', async (t) => {
	const { session, socket, engine } = await engineSession(t);
	const wire = await engine.connect();

	wire.send(requestText('POST', `${PATH}?${session.query}`, {
		fields: { 'Content-Length': 2, Expect: '100-continue' },
	}));
	await wire.expect('HTTP/1.1 100 Continue\r\n\r\n');
	const upgraded = await session.upgraded();
	upgraded.send('4b');
	assert.equal(await socket.received.next(), '4b');
	wire.send('4a');
	isError(await wire.readResponse(), 400, 3, 'Bad request');
	assert.deepEqual(socket.received.all, ['4b']);
});

test('a second candidate is closed, before the upgrade and after it', async (t) => {
	const { session, socket } = await engineSession(t);
	const first = await session.candidate();

	await (await session.candidate()).expectClose(POLICY);
	first.send('2probe');
	await first.expect('3probe');
	await (await session.candidate()).expectClose(POLICY);
	first.send('5');
	await (await session.candidate()).expectClose(POLICY);
	socket.send('4a');
	await first.expect('4a');
});

for (const [what, options] of Object.entries({
	'a message': { payload: '4a' },
	'a ping without the probe': { payload: '2' },
	'an upgrade without a probe': { payload: '5' },
	'bytes': { payload: '2probe', opcode: OPCODE.binary },
	nothing: { payload: '' },
})) {
	test(`a candidate that says ${what} is closed, and polling goes on`, async (t) => {
		const { session, socket } = await engineSession(t);
		const candidate = await session.candidate();

		candidate.send(options.payload, options);
		await candidate.expectClose(POLICY);
		socket.send('4a');
		assert.deepEqual(await session.packets(), ['4a']);
		isOk(await session.post('4b'));
		assert.deepEqual(await socket.received.count(1), ['4b']);
	});
}

for (const [what, leave] of Object.entries({
	closes: (candidate) => candidate.close(),
	ends: (candidate) => candidate.wire.end(),
	'is reset': (candidate) => candidate.wire.reset(),
	'breaks the rules': (candidate) => candidate.wire.send(frame({ payload: '5' })),
})) {
	test(`a candidate that ${what} after its probe does no harm`, async (t) => {
		const { session, socket, backend } = await engineSession(t);
		const candidate = await session.candidate();

		candidate.send('2probe');
		await candidate.expect('3probe');
		leave(candidate);
		socket.send('4a');
		assert.deepEqual(await session.packets(), ['4a']);
		// The next one has its turn as soon as the first is gone.
		let upgraded;
		for (let i = 0; i < 200 && upgraded === undefined; i++) {
			const next = await session.candidate();
			next.send('2probe');
			const got = await next.next();
			if (got.opcode === OPCODE.text)
				upgraded = next;
			else
				next.wire.close();
		}
		upgraded.send('5');
		socket.send('4b');
		await upgraded.expect('4b');
		assert.equal(backend.sockets.length, 1);
	});
}

test('a candidate has ten seconds', async (t) => {
	const { session, socket } = await engineSession(t);
	const candidate = await session.candidate();
	const start = performance.now();

	await candidate.expectClose(POLICY);
	const ms = performance.now() - start;
	assert.ok(ms > 9900 && ms < 14_000, `${ms} ms`);
	socket.send('4a');
	assert.deepEqual(await session.packets(), ['4a']);
});

// Ends.

test('the backend closes: its packets, then its close', async (t) => {
	const { session, socket } = await engineSession(t);
	const upgraded = await session.upgraded();

	socket.send('41');
	socket.close(4000, 'enough');
	await upgraded.expect('41');
	await upgraded.expectClose(4000);
	await session.isUnknown();
});

test('the backend breaks: its packets, then 1011', async (t) => {
	const { session, socket } = await engineSession(t);
	const upgraded = await session.upgraded();

	socket.send('4a');
	await flushed(socket);
	socket.terminate();
	await upgraded.expect('4a');
	await upgraded.expectClose(1011);
	await session.isUnknown();
});

test('the client closes: its packets, then 1000', async (t) => {
	const { session, socket, backend } = await engineSession(t);
	const upgraded = await session.upgraded();

	upgraded.send('41');
	upgraded.wire.send(closeFrame(1000, '', { mask: true }));
	assert.equal(await closeAt(backend, socket), 1000);
	assert.deepEqual(socket.received.all, ['41']);
	await session.isUnknown();
});

test('a close packet of the client ends it at once', async (t) => {
	const { session, socket, backend } = await engineSession(t);
	const upgraded = await session.upgraded();

	upgraded.send('4a');
	upgraded.send('1');
	await upgraded.expectClose(1000);
	assert.equal(await closeAt(backend, socket), 1000);
	assert.deepEqual(socket.received.all, ['4a']);
	await session.isUnknown();
});

test('a client that is cut', async (t) => {
	const { session, socket, backend } = await engineSession(t);
	const upgraded = await session.upgraded();

	upgraded.send('4a');
	assert.equal(await socket.received.next(), '4a');
	upgraded.wire.reset();
	assert.equal(await closeAt(backend, socket), 1001);
	await session.isUnknown();
});

test('a message above maxPayload', async (t) => {
	const { session, socket, backend } = await engineSession(t, { open: { maxPayload: 1000 } });
	const upgraded = await session.upgraded();

	upgraded.send('4'.repeat(1000));
	upgraded.send('4'.repeat(1001));
	await upgraded.expectClose(1009);
	await backend.closeOf(socket);
	assert.deepEqual(socket.received.all, ['4'.repeat(1000)]);
});

test('a client without a pong is closed; one with pongs is not', async (t) => {
	const { session, socket, backend } = await engineSession(t, {
		open: { pingInterval: 300, pingTimeout: 200 },
	});
	const upgraded = await session.upgraded();

	for (let i = 0; i < 3; i++) {
		await pass(300);
		upgraded.send('3');
		assert.equal(await socket.received.next(), '3');
	}
	await upgraded.expectClose(1001);
	assert.equal((await backend.closeOf(socket)).code, 1001);
});

test('Pollux leaves: 1001 to both ends, to candidates as well', async (t) => {
	const { session, socket, backend, engine, pollux } = await engineSession(t);
	const upgraded = await session.upgraded();
	const candidate = await (await engine.open()).candidate();

	pollux.signal('SIGTERM');
	await upgraded.expectClose(1001);
	await candidate.expectClose(1001);
	assert.equal(await closeAt(backend, socket), 1001);
	await pollux.left();
});

// Back-pressure, in a process whose kernel buffers are large.

test('a client that takes nothing holds back the backend', async (t) => {
	const { session, socket } = await engineSession(t, {
		route: { queue: '64k', max_message_size: '64k', backend_ping: '0' },
	});
	const upgraded = await session.upgraded();
	const text = `4${'x'.repeat(10_000)}`;
	const N = 6000;

	upgraded.wire.stall();
	for (let i = 0; i < N; i++)
		socket.send(text);
	await heldBack(socket);
	upgraded.wire.goOn();
	for (let i = 0; i < N; i++)
		await upgraded.expect(text);
});

test('a backend that takes nothing holds back the client, then the session ends', async (t) => {
	const { session, socket } = await engineSession(t, {
		route: { queue: '64k', max_message_size: '64k', send_timeout: '3s', backend_ping: '0' },
	});
	const upgraded = await session.upgraded();
	const body = frame({ payload: `4${'x'.repeat(60_000)}`, mask: true });
	const N = 1000;

	socket.pause();
	for (let i = 0; i < N; i++)
		upgraded.wire.send(body);
	await heldBack({
		get bufferedAmount() {
			return upgraded.wire.socket.writableLength;
		},
	});
	await upgraded.wire.expectGone();
	await session.isUnknown();
});

test('what goes up and down at the moment of the upgrade is neither lost nor twice', async (t) => {
	const { session, socket } = await engineSession(t);
	const N = 400;
	let n = 0;
	const timer = setInterval(() => {
		for (let i = 0; i < 5 && n < N; i++)
			socket.send(`4${n++}`);
	}, 1);
	t.after(() => clearInterval(timer));
	const got = [];
	const candidate = await session.candidate();

	candidate.send('2probe');
	await candidate.expect('3probe');
	while (got.length < N / 3)
		got.push(...await session.packets());
	for (let i = 0; i < 50; i++)
		isOk(await session.post(`4${i}`));
	candidate.send('5');
	for (let i = 50; i < 100; i++)
		candidate.send(`4${i}`);
	while (got.filter((packet) => packet !== '6').length < N)
		got.push((await candidate.next()).payload.toString());
	assert.deepEqual(got.filter((packet) => packet !== '6'), Array.from({ length: N }, (_, i) => `4${i}`));
	assert.deepEqual(await socket.received.count(100), Array.from({ length: 100 }, (_, i) => `4${i}`));
});
