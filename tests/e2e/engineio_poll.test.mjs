// Engine.IO: polls and posts, byte by byte; what ends a session, and how each side hears of it.
import assert from 'node:assert/strict';
import test from 'node:test';

import { flushed, heldBack, requestText } from './lib/bridge.mjs';
import { PATH, TEXT_PLAIN, engineSession, engineStage, isError, isOk, isPayload, payload }
	from './lib/engineio.mjs';
import { pass } from './lib/wait.mjs';

// The backend sees the end of the session.
async function closeAt(backend, socket) {
	return (await backend.closeOf(socket)).code;
}

// Polls.

test('a poll waits, and what is said at once comes in one answer', async (t) => {
	const { session, socket } = await engineSession(t);
	const wire = await session.startPoll();

	isOk(await session.post('4before'));
	await socket.received.next();
	// In one segment.
	socket._socket.cork();
	socket.send('4a');
	socket.send(Buffer.from([0, 1, 255]));
	socket.send('4\u20ac');
	socket._socket.uncork();
	isPayload(await wire.readResponse(), payload('4a', 'bAAH/', '4\u20ac'));
});

test('a poll takes what came before it', async (t) => {
	const { session, socket } = await engineSession(t);

	for (const text of ['4a', '2', '4b'])
		socket.send(text);
	await flushed(socket);
	assert.deepEqual(await session.packets(), ['4a', '2', '4b']);
	socket.send('4c');
	assert.deepEqual(await session.packets(), ['4c']);
});

test('polls and posts on one connection', async (t) => {
	const { session, socket, engine } = await engineSession(t);
	const wire = await engine.connect();

	for (let i = 0; i < 50; i++) {
		isOk(await session.post(`4${i}`, { wire }));
		assert.equal(await socket.received.next(), `4${i}`);
		socket.send(`4${i}`);
		isPayload(await session.poll({ wire }), `4${i}`);
	}
});

test('every packet comes once and in order, whatever the sizes', async (t) => {
	const { session, socket } = await engineSession(t);
	const sent = [];

	for (let i = 0; i < 300; i++) {
		sent.push(i % 3 === 0 ? Buffer.alloc(i * 100, i) : `4${i}${'x'.repeat((i * 977) % 20_000)}`);
		socket.send(sent[i]);
	}
	const got = [];
	while (got.length < sent.length)
		got.push(...await session.packets());
	assert.deepEqual(got, sent.map((one) => (typeof one === 'string' ? one : `b${one.toString('base64')}`)));
});

test('an answer has the limits of the route', async (t) => {
	const { session, socket } = await engineSession(t, {
		route: { batch_messages: 2, batch_size: '1k' },
	});
	const big = `4${'x'.repeat(2000)}`;

	for (const text of ['4a', '4b', '4c', big, '4d'])
		socket.send(text);
	await flushed(socket);
	assert.deepEqual(await session.packets(), ['4a', '4b']);
	assert.deepEqual(await session.packets(), ['4c']);
	assert.deepEqual(await session.packets(), [big]);
	assert.deepEqual(await session.packets(), ['4d']);
});

test('a backend that says more than is asked for is held back', async (t) => {
	const { session, socket } = await engineSession(t, { route: { queue: '64k', max_message_size: '64k' } });
	const text = `4${'x'.repeat(10_000)}`;
	const N = 2000;

	for (let i = 0; i < N; i++)
		socket.send(text);
	await heldBack(socket);
	let n = 0;
	while (n < N) {
		const packets = await session.packets();
		assert.ok(packets.every((packet) => packet === text));
		n += packets.length;
	}
	assert.equal(n, N);
});

test('a poll that is asked again with the same mark has the same answer', async (t) => {
	const { session, socket } = await engineSession(t);

	socket.send('4a');
	await flushed(socket);
	isPayload(await session.poll({ query: '&t=one' }), '4a');
	isPayload(await session.poll({ query: '&t=one' }), '4a');
	socket.send('4b');
	await flushed(socket);
	isPayload(await session.poll({ query: '&t=two' }), '4b');
});

test('a second poll: 1 to the first, an error to the second, and the session is over', async (t) => {
	const { session, socket, backend } = await engineSession(t);
	const first = await session.startPoll();

	isOk(await session.post('4the poll has come, since requests are taken in order'));
	const second = await session.poll();
	isPayload(await first.readResponse(), '1');
	isError(second, 400, 3, 'Bad request');
	assert.equal(await closeAt(backend, socket), 1002);
	await session.isUnknown();
});

test('a poll that is broken off ends the session', async (t) => {
	const { session, socket, backend, pollux } = await engineSession(t);
	const wire = await session.startPoll();

	isOk(await session.post('4a'));
	wire.reset();
	assert.equal(await closeAt(backend, socket), 1001);
	await session.isUnknown();
	assert.equal((await pollux.accessed({ reason: 'client-gone' })).status, 499);
});

test('an answer that the client does not take whole ends the session', async (t) => {
	const { session, socket, backend } = await engineSession(t, {
		route: { batch_size: '64M', queue: '64M', max_message_size: '1M' },
	});

	// More than the buffers of the kernel hold.
	for (let i = 0; i < 60; i++)
		socket.send(`4${'x'.repeat(500_000)}`);
	await flushed(socket);
	const wire = await session.startPoll();
	await wire.readSome();
	wire.reset();
	assert.equal(await closeAt(backend, socket), 1001);
	await session.isUnknown();
});

// Posts.

test('a payload is a frame for each packet', async (t) => {
	const { session, socket } = await engineSession(t);

	isOk(await session.post(payload('4a', 'bAAH/', '4\u20ac', '3', '2', '6')));
	isOk(await session.post('4last'));
	const all = await socket.received.count(6);
	assert.deepEqual(all, ['4a', Buffer.from([0, 1, 255]), '4\u20ac', '3', '2', '4last']);
});

test('no Content-Type and chunks do as well', async (t) => {
	const { session, socket, engine } = await engineSession(t);

	isOk(await session.post('4a', { fields: {} }));
	const wire = await engine.connect();
	wire.send(requestText('POST', `${PATH}?${session.query}`, {
		fields: { 'Transfer-Encoding': 'chunked' },
	}), '2\r\n4b\r\n', '1\r\nc\r\n0\r\n\r\n');
	isOk(await wire.readResponse());
	assert.deepEqual(await socket.received.count(2), ['4a', '4bc']);
});

for (const [what, body] of Object.entries({
	'no type': 'abc', 'an unknown type': '9', nothing: '', 'an empty packet': payload('4a', '', '4b'),
	'bad base64': 'b???', 'bad UTF-8': Buffer.from([0x34, 0xff]),
})) {
	test(`a malformed payload (${what}) ends the session`, async (t) => {
		const { session, socket, backend } = await engineSession(t);
		const poll = await session.startPoll();

		isError(await session.post(body), 400, 3, 'Bad request');
		isPayload(await poll.readResponse(), '1');
		assert.equal(await closeAt(backend, socket), 1002);
		assert.deepEqual(socket.received.all, []);
		await session.isUnknown();
	});
}

test('base64 as the reference reads it: line breaks, the alphabet of URLs, no padding', async (t) => {
	const { session, socket } = await engineSession(t);
	const bytes = Buffer.from(Array.from({ length: 200 }, (_, i) => 255 - i));
	const lines = bytes.toString('base64').replace(/.{76}/g, '$&\n');

	isOk(await session.post(payload(`b${lines}\n`, 'b-_8\r\n', 'b+/8A+w', 'b', '4last')));
	assert.deepEqual(await socket.received.count(5), [bytes, Buffer.from([0xfb, 0xff]),
		Buffer.from([0xfb, 0xff, 0, 0xfb]), Buffer.alloc(0), '4last']);
});

test('a body of bytes is none of this version, and ends the session', async (t) => {
	const { session, socket, backend } = await engineSession(t);

	isError(await session.post('4a', { fields: { 'Content-Type': 'application/octet-stream' } }),
		400, 3, 'Bad request');
	await closeAt(backend, socket);
	await session.isUnknown();
});

test('a payload above maxPayload: 413, and the session goes on', async (t) => {
	const { session, socket } = await engineSession(t, { open: { maxPayload: 100 } });

	for (const fields of [TEXT_PLAIN, { ...TEXT_PLAIN, Expect: '100-continue' }]) {
		const response = await session.post('4'.repeat(101), { fields });
		assert.equal(response.status, 413);
		assert.equal(response.body.length, 0);
	}
	isOk(await session.post('4'.repeat(100)));
	assert.deepEqual(await socket.received.count(1), ['4'.repeat(100)]);
});

test('a second post at a time ends the session', async (t) => {
	const { session, socket, backend, engine } = await engineSession(t);
	const first = await engine.connect();

	first.send(requestText('POST', `${PATH}?${session.query}`, {
		fields: { 'Content-Length': 2, Expect: '100-continue' },
	}));
	await first.expect('HTTP/1.1 100 Continue\r\n\r\n');
	isError(await session.post('4b'), 400, 3, 'Bad request');
	assert.equal(await closeAt(backend, socket), 1002);
	first.send('4a');
	isError(await first.readResponse(), 400, 1, 'Session ID unknown');
	assert.deepEqual(socket.received.all, []);
});

test('a post that is sent again with the same mark is taken once', async (t) => {
	const { session, socket } = await engineSession(t);

	for (const [mark, text] of [['a', '41'], ['a', '41'], ['b', '42'], ['b', '42'], ['c', '43']])
		isOk(await session.post(text, { query: `&t=${mark}` }));
	isOk(await session.post('4last'));
	await socket.received.until(() => socket.received.all.includes('4last'), 'the last one');
	assert.deepEqual(socket.received.all, ['41', '42', '43', '4last']);
});

test('a post that is broken off ends the session', async (t) => {
	const { session, socket, backend, engine } = await engineSession(t);
	const poll = await session.startPoll();
	const wire = await engine.connect();

	wire.send(requestText('POST', `${PATH}?${session.query}`, {
		fields: { 'Content-Length': 20, Expect: '100-continue' },
	}));
	await wire.expect('HTTP/1.1 100 Continue\r\n\r\n');
	wire.send('4abc');
	wire.reset();
	isPayload(await poll.readResponse(), '1');
	assert.equal(await closeAt(backend, socket), 1001);
	assert.deepEqual(socket.received.all, []);
});

test('posts to a backend that takes nothing wait, then fail loudly', async (t) => {
	const { session, socket, pollux } = await engineSession(t, {
		route: { queue: '64k', max_message_size: '64k', send_timeout: '300ms', backend_ping: '0' },
	});
	const poll = await session.startPoll();
	const body = `4${'x'.repeat(60_000)}`;
	let response;
	let n = 0;

	socket.pause();
	// The kernel's buffers come first.
	do {
		response = await session.post(body);
		n++;
	} while (response.status === 200 && n < 2000);
	assert.equal(response.status, 504);
	assert.deepEqual(response.json, { message: 'The server stopped taking the request.' });
	assert.equal((await pollux.accessed({ status: 504 })).reason, 'backend-stall');
	isPayload(await poll.readResponse(), '1');
	await session.isUnknown();
	// What was answered with ok arrives.
	socket.resume();
	assert.deepEqual(await socket.received.count(n - 1), Array(n - 1).fill(body));
});

// Ends.

test('the client closes: ok to the post, exactly 6 to the poll', async (t) => {
	const { session, socket, backend } = await engineSession(t);
	const poll = await session.startPoll();

	isOk(await session.post(payload('4last', '1')));
	isPayload(await poll.readResponse(), '6');
	assert.equal(await closeAt(backend, socket), 1000);
	assert.deepEqual(socket.received.all, ['4last']);
	await session.isUnknown();
});

test('the backend closes: what it said first, then 1 in a later poll', async (t) => {
	const { session, socket } = await engineSession(t);
	const poll = await session.startPoll();

	isOk(await session.post('4a'));
	socket.send('4a');
	socket.send('41');
	socket.close();
	isPayload(await poll.readResponse(), payload('4a', '41'));
	isPayload(await session.poll(), '1');
	await session.isUnknown();
});

test('the backend closes while a poll waits', async (t) => {
	const { session, socket } = await engineSession(t);
	const poll = await session.startPoll();

	isOk(await session.post('4a'));
	socket.close();
	isPayload(await poll.readResponse(), '1');
	await session.isUnknown();
});

test('the backend breaks: what it said comes, then 1', async (t) => {
	const { session, socket } = await engineSession(t);

	socket.send('4a');
	await flushed(socket);
	socket.terminate();
	assert.deepEqual(await session.packets(), ['4a']);
	assert.deepEqual(await session.packets(), ['1']);
	await session.isUnknown();
});

test('a close that nobody asks for is kept for linger', async (t) => {
	const { session, socket, engine, backend } = await engineSession(t, {
		route: { linger: '400ms', max_sessions: 1 },
	});

	socket.close();
	await backend.closeOf(socket);
	// Closed ones do not count against the cap, so that this opens at once.
	const next = await engine.open();
	await pass(600);
	await session.isUnknown();
	isOk(await next.post('4a'));
});

test('what the client posts into a close is in time, and goes nowhere', async (t) => {
	const { session, socket, backend } = await engineSession(t);

	socket.send('41');
	socket.close();
	await backend.closeOf(socket);
	isOk(await session.post('4late'));
	assert.deepEqual(await session.packets(), ['41']);
	assert.deepEqual(await session.packets(), ['1']);
	await session.isUnknown();
});

// The heartbeat.

const QUICK = { pingInterval: 300, pingTimeout: 200 };

test('pings and pongs pass', async (t) => {
	const { session, socket } = await engineSession(t, { open: { pingInterval: 300, pingTimeout: 1000 } });

	// For longer than one of them keeps it alive.
	for (let i = 0; i < 5; i++) {
		await pass(300);
		socket.send('2');
		assert.deepEqual(await session.packets(), ['2']);
		isOk(await session.post('3'));
		assert.equal(await socket.received.next(), '3');
	}
});

test('a client without a pong is no longer known when the backend counts it out', async (t) => {
	const { session, socket, backend } = await engineSession(t, { open: QUICK });

	socket.send('2');
	await pass(500);
	await session.isUnknown();
	// The backend has a second to say so itself.
	assert.equal(socket.closed, undefined);
	assert.equal((await backend.closeOf(socket, 3000)).code, 1001);
});

test('a poll that waits at that time gets 1', async (t) => {
	const { session } = await engineSession(t, { open: QUICK });

	isPayload(await session.poll(), '1');
	await session.isUnknown();
});

// Leaving.

test('Pollux leaves: 1 to polls, 1001 to backends', async (t) => {
	const { engine, pollux, session, socket, backend } = await engineSession(t);
	const poll = await session.startPoll();
	const late = await engine.connect();

	isOk(await session.post('4a', { wire: late }));
	pollux.signal('SIGTERM');
	isPayload(await poll.readResponse(), '1');
	assert.equal(await closeAt(backend, socket), 1001);
	await pollux.left();
});
