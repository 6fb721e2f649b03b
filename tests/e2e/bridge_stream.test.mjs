// The plain dialect, streams: the format of events and of JSON lines byte by byte, resuming by
// Last-Event-ID and by cursor, and all reasons of a reset.
import assert from 'node:assert/strict';
import test from 'node:test';

import { ALWAYS, BINARY, EVENTS, LINES, TEXT, bridgeStage, factsOf, flushed, heldBack,
	jsonAnswer, openedSession, requestText } from './lib/bridge.mjs';

async function say(socket, ...messages) {
	for (const message of messages)
		socket.send(message);
	await flushed(socket);
}

// A session that has been opened by a stream.
async function streamStage(t, { fields = EVENTS, query = '', ...options } = {}) {
	const stage = await bridgeStage(t, options);
	const opened = await stage.bridge.openStream(fields, stage.bridge.path + query);
	return { ...stage, ...opened, socket: await stage.backend.accept() };
}

function resume(bridge, id, cursor, fields = EVENTS) {
	return bridge.stream('/chat', { ...fields, 'Last-Event-ID': cursor === undefined ? id : `${id}.${cursor}` });
}

// The format of events.

test('each text is an event with its number as id', async (t) => {
	const { session, stream, socket } = await streamStage(t);

	await say(socket, 'one', 'two: {"x":1}');
	await stream.expect(`id: ${session.id}.1\ndata: one\n\nid: ${session.id}.2\ndata: two: {"x":1}\n\n`);
});

test('CRLF, CR and LF each end a line and come out as LF', async (t) => {
	const { session, stream, socket } = await streamStage(t);
	const texts = [
		['a\nb', 'a', 'b'],
		['a\rb', 'a', 'b'],
		['a\r\nb', 'a', 'b'],
		['a\n\rb', 'a', '', 'b'],
		['a\r\rb', 'a', '', 'b'],
		['a\r\n\r\nb', 'a', '', 'b'],
		['\n', '', ''],
		['\r\n', '', ''],
		['\r', '', ''],
		['\n\n', '', '', ''],
		['a\n', 'a', ''],
		['\ra', '', 'a'],
		[' a\n b', ' a', ' b'],
		['a\u2028b\u0085c\vd\fe', 'a\u2028b\u0085c\vd\fe'],
		['data: x\n\nevent: close\ndata: y', 'data: x', '', 'event: close', 'data: y'],
	];

	for (const [i, [text, ...lines]] of texts.entries()) {
		socket.send(text);
		await stream.expect(`id: ${session.id}.${i + 1}\n${lines.map((l) => `data: ${l}\n`).join('')}\n`);
	}
});

test('an empty text is one empty data line', async (t) => {
	const { session, stream, socket } = await streamStage(t);

	socket.send('');
	await stream.expect(`id: ${session.id}.1\ndata: \n\n`);
});

test('binary is an event of its own name, in base64', async (t) => {
	const { session, stream, socket } = await streamStage(t);

	await say(socket, Buffer.from([0, 1, 255, 254]), Buffer.alloc(0));
	await stream.expect(`event: binary\nid: ${session.id}.1\ndata: AAH//g==\n\n`);
	await stream.expect(`event: binary\nid: ${session.id}.2\ndata: \n\n`);
});

test('?as=json sends every message as a plain event with the object of a poll', async (t) => {
	const { session, stream, socket } = await streamStage(t, { query: '?as=json' });

	await say(socket, 'a\r\n"b"\rc\u2028', '', Buffer.from([1]));
	await stream.expect(`id: ${session.id}.1\ndata: {"seq":1,"text":"a\\r\\n\\"b\\"\\rc\\u2028"}\n\n`);
	await stream.expect(`id: ${session.id}.2\ndata: {"seq":2,"text":""}\n\n`);
	await stream.expect(`id: ${session.id}.3\ndata: {"seq":3,"binary":"AQ=="}\n\n`);
	socket.close(1000);
	await stream.expect(`event: close\nid: ${session.id}.4\ndata: {"code":1000,"reason":""}\n\n`);
	await stream.expectEnd();
});

test('the end is an event with code and reason, then the end of the stream', async (t) => {
	const { session, stream, socket } = await streamStage(t);

	socket.close(4001, 'bye\n"ü"');
	await stream.expect(`event: close\nid: ${session.id}.1\n`
		+ 'data: {"code":4001,"reason":"bye\\n\\"ü\\""}\n\n');
	await stream.expectEnd();
});

test('a reconnect at the id of the close is 204, one from before it is answered in full', async (t) => {
	const { bridge, session, stream, socket } = await streamStage(t);

	socket.send('one');
	socket.close(1000, 'bye');
	await stream.rest();
	const end = `event: close\nid: ${session.id}.2\ndata: {"code":1000,"reason":"bye"}\n\n`;
	for (const target of ['/chat', session.url]) {
		const again = await bridge.stream(target, { ...EVENTS, 'Last-Event-ID': `${session.id}.0` });
		assert.equal(await again.rest(),
			`${session.prelude(0)}id: ${session.id}.1\ndata: one\n\n${end}`);
	}
	const rest = await bridge.stream('/chat', { ...EVENTS, 'Last-Event-ID': `${session.id}.1` });
	assert.equal(await rest.rest(), session.prelude(1) + end);
	for (const target of ['/chat', session.url]) {
		const fields = { ...EVENTS, 'Last-Event-ID': `${session.id}.2` };
		assert.deepEqual(factsOf(await bridge.ask('GET', target, { fields })),
			session.answer(204, undefined, { cursor: 2 }));
	}
	const fields = { ...LINES, 'Last-Event-ID': `${session.id}.2` };
	assert.equal((await bridge.ask('GET', '/chat', { fields })).status, 410);
});

test('a comment shows that the stream lives', async (t) => {
	const { session, stream, socket } = await streamStage(t, { route: { heartbeat: '100ms' } });

	await stream.expect(':\n\n:\n\n');
	socket.send('hi');
	const lines = [];
	while (!lines.includes(`id: ${session.id}.1`))
		lines.push(...await stream.event());
	await stream.expect(':\n\n');
	await stream.expect(':\n\n');
});

test('what comes while nobody listens is first in the next stream', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'one', 'two');
	const stream = await session.stream();
	await stream.expect(`${session.prelude(0)}id: ${session.id}.1\ndata: one\n\n`
		+ `id: ${session.id}.2\ndata: two\n\n`);
});

// JSON lines.

test('JSON lines: the session first, then an object a line, the close last', async (t) => {
	const { stream, socket } = await streamStage(t, { fields: LINES });

	await say(socket, 'a\nb', '', Buffer.from([1]));
	await stream.expect('{"seq":1,"text":"a\\nb"}\n{"seq":2,"text":""}\n{"seq":3,"binary":"AQ=="}\n');
	socket.close(4000, 'bye');
	await stream.expect('{"seq":4,"closed":{"code":4000,"reason":"bye","undelivered":0}}\n');
	await stream.expectEnd();
});

test('JSON lines: an empty line shows that the stream lives', async (t) => {
	const { stream } = await streamStage(t, { fields: LINES, route: { heartbeat: '100ms' } });

	await stream.expect('\n\n\n');
});

test('JSON lines: resumed, and a reset before the session line', async (t) => {
	const { bridge, session, stream, socket } = await streamStage(t, { fields: LINES });

	await say(socket, 'one', 'two');
	await stream.expect('{"seq":1,"text":"one"}\n{"seq":2,"text":"two"}\n');
	const resumed = await session.stream('?after=1', LINES);
	await stream.expectEnd();
	await resumed.expect(`{"session":"${session.id}","cursor":1}\n{"seq":2,"text":"two"}\n`);
	const reset = await resume(bridge, session.id, 9, LINES);
	await reset.expect(`{"reset":{"reason":"cursor"}}\n{"session":"${session.id}","cursor":1}\n`
		+ '{"seq":2,"text":"two"}\n');
	const other = await resume(bridge, 'w1.gone.3', undefined, LINES);
	const id = other.response.get('Pollux-Session');
	assert.notEqual(id, session.id);
	await other.expect(`{"reset":{"reason":"unknown session"}}\n{"session":"${id}","cursor":0}\n`);
});

// Resuming.

test('a stream resumes on the path and on its session, by Last-Event-ID and by after', async (t) => {
	const { bridge, backend, session, stream, socket } = await streamStage(t);

	await say(socket, 'one', 'two', 'three');
	stream.close();
	const first = await resume(bridge, session.id, 1);
	assert.equal(first.response.get('Pollux-Session'), session.id);
	assert.equal(first.response.get('Pollux-Cursor'), '1');
	await first.expect(`${session.prelude(1)}id: ${session.id}.2\ndata: two\n\n`
		+ `id: ${session.id}.3\ndata: three\n\n`);
	first.close();
	const second = await session.stream('', { ...EVENTS, 'Last-Event-ID': `${session.id}.2` });
	await second.expect(`${session.prelude(2)}id: ${session.id}.3\ndata: three\n\n`);
	second.close();
	const third = await session.stream('?after=3');
	await third.expect(session.prelude(3));
	socket.send('four');
	await third.expect(`id: ${session.id}.4\ndata: four\n\n`);
	assert.equal(backend.sockets.length, 1);
});

test('Last-Event-ID wins over after', async (t) => {
	const { session, socket, bridge } = await openedSession(t);

	await say(socket, 'one', 'two', 'three');
	await session.poll({ after: 0 });
	const fields = { ...EVENTS, 'Last-Event-ID': `${session.id}.1` };
	const stream = await session.stream('?after=2', fields);
	await stream.expect(`${session.prelude(1)}id: ${session.id}.2\n`);
	const again = await bridge.stream('/chat?after=0', { ...fields, 'Last-Event-ID': `${session.id}.2` });
	await again.expect(`${session.prelude(2)}id: ${session.id}.3\n`);
});

test('a poll does not look at Last-Event-ID', async (t) => {
	const { session, socket } = await openedSession(t);

	await say(socket, 'one');
	const answer = await session.poll({ after: 0, fields: { 'Last-Event-ID': 'rubbish' } });
	assert.deepEqual(factsOf(answer), session.batch(1, [{ seq: 1, text: 'one' }]));
});

test('a resume acknowledges up to its cursor', async (t) => {
	const { bridge, session, stream, socket } = await streamStage(t);

	await say(socket, 'one', 'two');
	await stream.expect(`id: ${session.id}.1\ndata: one\n\nid: ${session.id}.2\ndata: two\n\n`);
	const resumed = await resume(bridge, session.id, 1);
	await resumed.expect(session.prelude(1));
	assert.deepEqual(factsOf(await session.poll({ after: 0 })),
		session.answer(409, { error: 'cursor', cursor: 1 }, { cursor: 1 }));
	assert.equal((await session.poll({ after: 1 })).status, 200);
});

test('streams acknowledge nothing by themselves', async (t) => {
	const { session, stream, socket } = await streamStage(t);

	await say(socket, 'one', 'two');
	await stream.expect(`id: ${session.id}.1\ndata: one\n\nid: ${session.id}.2\ndata: two\n\n`);
	assert.deepEqual(factsOf(await session.poll()), session.batch(2,
		[{ seq: 1, text: 'one' }, { seq: 2, text: 'two' }]));
});

test('on its session a stream with a bad cursor is 409, of another session too', async (t) => {
	const { bridge, session, socket } = await openedSession(t);
	const other = await bridge.open();

	await say(socket, 'one', 'two');
	await session.poll({ after: 0 });
	await session.poll({ after: 1 });
	const expected = session.answer(409, { error: 'cursor', cursor: 1 }, { cursor: 1 });
	for (const id of [`${session.id}.0`, `${session.id}.3`, `${session.id}.x`, `${session.id}.`,
		session.id, 'rubbish', '', `${other.id}.0`, `${session.id}.1.1`]) {
		const fields = { ...EVENTS, 'Last-Event-ID': id };
		assert.deepEqual(factsOf(await session.ask('GET', '', { fields })), expected, id);
	}
	for (const after of ['0', '3', 'x']) {
		const options = { fields: LINES };
		assert.deepEqual(factsOf(await session.ask('GET', `?after=${after}`, options)), expected);
	}
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat/~w1.gone', { fields: EVENTS })),
		jsonAnswer(404, { error: 'unknown session' }));
});

// Resets.

function resetEvent(data) {
	return `event: reset\ndata: ${JSON.stringify(data)}\n\n`;
}

// After a reset without a session to go on with.
async function expectNewSession(stream, oldId) {
	const id = stream.response.get('Pollux-Session');
	assert.notEqual(id, oldId);
	await stream.expect(`retry: 1000\n\n${resetEvent({ reason: 'unknown session' })}`
		+ `event: session\nid: ${id}.0\ndata: {"session":"${id}","cursor":0}\n\n`);
}

test('reset: a session that is malformed or unknown becomes a new one', async (t) => {
	const { bridge, backend } = await bridgeStage(t);

	for (const id of ['w1.gone.7', 'rubbish', '', '.', '.1', '7', 'a b.3', 'é.1'])
		await expectNewSession(await resume(bridge, id), 'none');
	assert.equal(backend.sockets.length, 8);
});

test('reset: a session of another path becomes a new one', async (t) => {
	const { bridge } = await bridgeStage(t);
	const { id } = await bridge.open({ path: '/chat/room' });

	await expectNewSession(await resume(bridge, id, 0), id);
});

test('reset: an expired session becomes a new one', async (t) => {
	const { bridge, backend, session, stream, socket } = await streamStage(t, {
		route: { linger: '100ms' },
	});

	stream.close();
	assert.deepEqual(await backend.closeOf(socket), { code: 1001, reason: '' });
	await expectNewSession(await resume(bridge, session.id, 0), session.id);
});

test('reset: a cursor above what was sent, or malformed in a live session', async (t) => {
	const { bridge, session, socket } = await openedSession(t);

	await say(socket, 'one', 'two', 'three');
	await session.poll({ after: 0 });
	await session.poll({ after: 1 });
	for (const cursor of ['4', '18446744073709551615', '18446744073709551616', 'x', '', '-1']) {
		const stream = await resume(bridge, session.id, cursor);
		assert.equal(stream.response.get('Pollux-Cursor'), '1');
		await stream.expect(`retry: 1000\n\n${resetEvent({ reason: 'cursor' })}`
			+ session.prelude(1).replace('retry: 1000\n\n', '')
			+ `id: ${session.id}.2\ndata: two\n\nid: ${session.id}.3\ndata: three\n\n`);
		stream.close();
	}
});

test('reset: a cursor below what was acknowledged is a gap, and says what is lost', async (t) => {
	const { bridge, session, socket } = await openedSession(t);

	await say(socket, 'one', 'two', 'three');
	await session.poll({ after: 0 });
	await session.poll({ after: 2 });
	const stream = await resume(bridge, session.id, 0);
	await stream.expect(`retry: 1000\n\n${resetEvent({ reason: 'gap', lost: [1, 2] })}`
		+ session.prelude(2).replace('retry: 1000\n\n', '')
		+ `id: ${session.id}.3\ndata: three\n\n`);
});

test('reset: what passed the replay limit is a gap, oldest first; the rest is kept', async (t) => {
	const { bridge, session, stream, socket } = await streamStage(t, {
		route: { replay: '10k', send_timeout: '100ms' },
	});
	const text = 'x'.repeat(1000);
	const messages = Array.from({ length: 100 }, () => text);

	await say(socket, ...messages);
	for (let n = 1; n <= 100; n++)
		await stream.expect(`id: ${session.id}.${n}\ndata: ${text}\n\n`);
	// What the client's TCP has acknowledged is looked at from time to time.
	let lowest = 0;
	while (lowest === 0)
		lowest = Number((await session.post('x')).get('Pollux-Cursor'));
	while (lowest < 88)
		lowest = Number((await session.post('x')).get('Pollux-Cursor'));
	assert.ok(lowest <= 95, `kept from ${lowest}: about 10k`);
	const resumed = await resume(bridge, session.id, 5);
	await resumed.expect(`retry: 1000\n\n${resetEvent({ reason: 'gap', lost: [6, lowest] })}`
		+ session.prelude(lowest).replace('retry: 1000\n\n', ''));
	for (let n = lowest + 1; n <= 100; n++)
		await resumed.expect(`id: ${session.id}.${n}\ndata: ${text}\n\n`);
});

test('reset: an opening that is repeated tells what its lost stream has taken along', async (t) => {
	const key = { 'Idempotency-Key': 'k1' };
	const { bridge, session, stream, socket } = await streamStage(t, {
		fields: { ...EVENTS, ...key },
		route: { replay: '0', send_timeout: '100ms' },
	});

	await say(socket, 'one', 'two');
	await stream.expect(`id: ${session.id}.1\ndata: one\n\nid: ${session.id}.2\ndata: two\n\n`);
	while ((await session.post('x')).get('Pollux-Cursor') !== '2');
	for (const [fields, reset] of [
		[EVENTS, `retry: 1000\n\n${resetEvent({ reason: 'gap', lost: [1, 2] })}`
			+ session.prelude(2).replace('retry: 1000\n\n', '')],
		[LINES, '{"reset":{"reason":"gap","lost":[1,2]}}\n'
			+ `{"session":"${session.id}","cursor":2}\n`],
	]) {
		const again = await bridge.stream('/chat', { ...fields, ...key });
		assert.equal(again.response.get('Pollux-Cursor'), '2');
		await again.expect(reset);
	}
});

test('reset: a closed session says so behind it', async (t) => {
	const { bridge, session, stream, socket } = await streamStage(t);

	socket.close(1000, 'bye');
	await stream.rest();
	const end = `event: close\nid: ${session.id}.1\ndata: {"code":1000,"reason":"bye"}\n\n`;
	const reset = `retry: 1000\n\n${resetEvent({ reason: 'cursor' })}`;
	const again = await resume(bridge, session.id, 2);
	assert.equal(await again.rest(), reset + session.prelude(0).replace('retry: 1000\n\n', '') + end);
	const fields = { ...EVENTS, 'Last-Event-ID': `${session.id}.1` };
	assert.equal((await bridge.ask('GET', '/chat', { fields })).status, 204);
	const behind = await resume(bridge, session.id, 9);
	assert.equal(await behind.rest(),
		reset + session.prelude(1).replace('retry: 1000\n\n', '') + end);
});

// What a stream has written.

test('what a cut stream had not brought to the client is kept, whatever the replay limit', async (t) => {
	const { session, stream, socket } = await streamStage(t, {
		route: { replay: '0', queue: '64k', max_message_size: '64k' },
	});
	const texts = Array.from({ length: 3000 }, (_, n) => `${n} ${'y'.repeat(20_000)}`);

	stream.wire.stall();
	texts.forEach((text) => socket.send(text));
	await heldBack(socket);
	stream.wire.reset();
	// What TCP had acknowledged is gone.
	const { json } = await session.poll({ after: 0 });
	assert.equal(json.error, 'cursor');
	const again = await session.stream(`?after=${json.cursor}`, LINES);
	assert.equal((await again.object()).cursor, json.cursor);
	for (let n = json.cursor + 1; n <= texts.length; n++)
		assert.deepEqual(await again.object(), { seq: n, text: texts[n - 1] });
});

test('a stream whose bytes stay unacknowledged counts as gone', async (t) => {
	const { session, backend, pollux, stream, socket } = await streamStage(t, {
		route: { send_timeout: '200ms', linger: '100ms' },
	});

	stream.wire.stall();
	for (let n = 0; n < 400; n++)
		socket.send('z'.repeat(20_000));
	await pollux.accessed({ session: /^w/, reason: 'client-stall' });
	assert.equal((await backend.closeOf(socket)).code, 1001);
	assert.equal((await session.poll()).status, 404);
});

// Takes at least so many bytes each time, with a pause before.
function trickle(socket, size, pauseMs) {
	let taken = 0;
	socket.on('data', (chunk) => {
		taken += chunk.length;
		if (taken < size)
			return;
		taken = 0;
		socket.pause();
		setTimeout(() => socket.resume(), pauseMs);
	});
}

test('a slow client that takes bytes now and then is not gone', async (t) => {
	const { session, stream, socket } = await streamStage(t, {
		route: { send_timeout: '700ms', linger: '100ms', queue: '64k', max_message_size: '64k' },
	});
	const text = 'z'.repeat(20_000);

	trickle(stream.wire.socket, 400_000, 50);
	for (let n = 0; n < 600; n++)
		socket.send(text);
	for (let n = 1; n <= 600; n++)
		await stream.expect(`id: ${session.id}.${n}\ndata: ${text}\n\n`);
});

test('posts go on beside a stream', async (t) => {
	const { session, stream, socket } = await streamStage(t);

	socket.on('message', (data, binary) => socket.send(data, { binary }));
	assert.equal((await session.post('echo', TEXT)).status, 204);
	await stream.expect(`id: ${session.id}.1\ndata: echo\n\n`);
	assert.equal((await session.post('\u0001', BINARY)).status, 204);
	await stream.expect(`event: binary\nid: ${session.id}.2\ndata: AQ==\n\n`);
});

test('an HTTP/1.0 client gets a stream that ends with its connection', async (t) => {
	const { bridge, backend } = await bridgeStage(t);
	const wire = await bridge.connect();

	wire.send(requestText('GET', '/chat', { fields: EVENTS }).replace('HTTP/1.1', 'HTTP/1.0'));
	const socket = await backend.accept();
	const head = await wire.readHead();
	assert.equal(head.get('Transfer-Encoding'), undefined);
	assert.equal(head.get('Cache-Control'), ALWAYS['Cache-Control']);
	const id = head.get('Pollux-Session');
	socket.send('one');
	await wire.expect(`retry: 1000\n\nevent: session\nid: ${id}.0\ndata: {"session":"${id}","cursor":0}\n\n`
		+ `id: ${id}.1\ndata: one\n\n`);
	socket.close(1000);
	await wire.expect(`event: close\nid: ${id}.2\ndata: {"code":1000,"reason":""}\n\n`);
	await wire.expectEnd();
});

test('the log knows at the end of a stream who had asked for what', async (t) => {
	const { stream, session, socket, pollux } = await streamStage(t, {
		program: { trusted_proxies: ['127.0.0.1'] },
		query: '?room=1',
		fields: {
			...EVENTS,
			'User-Agent': 'Reader/1.0',
			Referer: 'http://site.example/page',
			'X-Forwarded-For': '192.0.2.7',
		},
	});

	await say(socket, 'one');
	await stream.expect(`id: ${session.id}.1\ndata: one\n\n`);
	stream.wire.end();
	const { client, method, target, host, referer, user_agent, status } = await pollux.accessed();
	assert.deepEqual({ client, method, target, host, referer, user_agent, status }, {
		client: '192.0.2.7',
		method: 'GET',
		target: '/chat?room=1',
		host: 'a',
		referer: 'http://site.example/page',
		user_agent: 'Reader/1.0',
		status: 200,
	});
});
