// The plain dialect, ending and limits: DELETE, absent clients, what is remembered, caps, leaving,
// and a backend that says more than anybody reads.
import assert from 'node:assert/strict';
import test from 'node:test';

import { EVENTS, LINES, TEXT, bridgeStage, factsOf, flushed, heldBack, jsonAnswer, openedSession }
	from './lib/bridge.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { eventually } from './lib/wait.mjs';
import { acceptOf, readFrame, switching } from './lib/websocket_bytes.mjs';

const MIB = 1024 * 1024;
const UNKNOWN = jsonAnswer(404, { error: 'unknown session' });
const NORMAL = { code: 1000, reason: '', undelivered: 0 };

// DELETE.

test('DELETE closes: 204, 1000 to the backend and to the transport', async (t) => {
	const { session, socket, backend } = await openedSession(t);

	const stream = await session.stream();
	await stream.expect(session.prelude(0));
	assert.deepEqual(factsOf(await session.delete()), session.answer(204));
	await stream.expect(`event: close\nid: ${session.id}.1\ndata: {"code":1000,"reason":""}\n\n`);
	await stream.expectEnd();
	assert.deepEqual(await backend.closeOf(socket), { code: 1000, reason: '' });
	const gone = session.answer(410, { error: 'closed', closed: NORMAL }, { cursor: 0 });
	assert.deepEqual(factsOf(await session.delete()), gone);
});

test('POST with ?close closes, whatever it carries', async (t) => {
	const { bridge, backend } = await bridgeStage(t);

	for (const [query, fields, body] of [
		['?close', {}, undefined],
		['?close=1', TEXT, 'not sent'],
		['?x=y&close', { 'Content-Type': 'text/plain;charset=UTF-8' }, ''],
		['?close', { 'Content-Type': 'image/png' }, 'not sent'],
	]) {
		const session = await bridge.open();
		const socket = await backend.accept();
		const response = await session.ask('POST', query, { fields, body });
		assert.deepEqual(factsOf(response), session.answer(204, undefined, { seq: 0 }));
		assert.equal((await backend.closeOf(socket)).code, 1000);
		assert.deepEqual(socket.received.all, []);
	}
});

test('a held poll gets the close of DELETE', async (t) => {
	const { session } = await openedSession(t);

	const held = await session.startPoll({ wait: 20 });
	await session.post('the poll has come');
	await session.delete();
	assert.deepEqual(factsOf(await held.readResponse()), session.batch(1, [], { closed: NORMAL }));
});

test('what was accepted before DELETE is sent first', async (t) => {
	const server = await RawBackend.start(t);
	const { bridge } = await bridgeStage(t, {
		server,
		program: { drain: '50ms' },
		route: { send_timeout: '300ms' },
	});
	const opening = bridge.open();
	const conn = await server.accept();
	const request = await conn.readRequest();
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }));
	const session = await opening;

	conn.stall();
	let n = 0;
	while ((await session.post('d'.repeat(MIB / 2))).status === 204)
		n++;
	assert.equal((await session.delete()).status, 204);
	assert.equal((await session.post('too late')).status, 410);
	conn.goOn();
	for (; n > 0; n--)
		assert.equal((await readFrame(conn)).payload.length, MIB / 2);
	const close = await readFrame(conn);
	assert.equal(close.opcode, 8);
	assert.equal(close.code, 1000);
	assert.deepEqual((await session.poll()).json.closed, NORMAL);
});

test('what the backend had said before DELETE is still to be had', async (t) => {
	const { session, socket } = await openedSession(t);

	socket.send('last words');
	await flushed(socket);
	await session.delete();
	let answer = await session.poll({ after: 0 });
	assert.deepEqual(answer.json.messages, [{ seq: 1, text: 'last words' }]);
	if (answer.json.closed === undefined)
		answer = await session.poll({ after: 1 });
	assert.equal(answer.json.cursor, 2);
	assert.deepEqual(answer.json.closed, NORMAL);
});

test('a session is closed although the backend does not answer the close', async (t) => {
	const server = await RawBackend.start(t);
	const { bridge } = await bridgeStage(t, { server, program: { drain: '50ms' } });
	const opening = bridge.open();
	const conn = await server.accept();
	const request = await conn.readRequest();
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }));
	const session = await opening;

	await session.delete();
	assert.equal((await readFrame(conn)).code, 1000);
	assert.deepEqual((await session.poll()).json.closed, NORMAL);
});

// Absence.

test('nobody there for linger: 1001 to the backend, and the session is unknown', async (t) => {
	const { bridge, backend } = await bridgeStage(t, { route: { linger: '150ms' } });

	const start = performance.now();
	const session = await bridge.open();
	const socket = await backend.accept();
	assert.deepEqual(await backend.closeOf(socket), { code: 1001, reason: '' });
	assert.ok(performance.now() - start >= 145);
	assert.deepEqual(factsOf(await session.poll()), UNKNOWN);
	const posted = factsOf(await session.post('x'));
	assert.equal(posted.status, 404);
	assert.equal(posted.body, UNKNOWN.body);
	assert.deepEqual(factsOf(await session.delete()), UNKNOWN);
	assert.deepEqual(factsOf(await session.ask('GET', '', { fields: EVENTS })), UNKNOWN);
});

test('a transport keeps the session, and its end starts the time', async (t) => {
	const { bridge, backend } = await bridgeStage(t, {
		route: { linger: '100ms', poll_wait: '1s' },
	});

	const { session, stream } = await bridge.openStream();
	const socket = await backend.accept();
	const start = performance.now();
	const held = session.startPoll({ wait: 1 }); // longer than linger
	await stream.expectEnd();
	assert.equal((await (await held).readResponse()).status, 200);
	assert.equal((await backend.closeOf(socket)).code, 1001);
	assert.ok(performance.now() - start >= 1090);
});

test('every request of the session starts the time anew', async (t) => {
	const { session, socket, backend } = await openedSession(t, { route: { linger: '800ms' } });

	const end = performance.now() + 1600;
	while (performance.now() < end) {
		assert.equal((await session.post('I am here')).status, 204);
		await new Promise((done) => setTimeout(done, 50));
	}
	assert.equal(socket.closed, undefined);
	assert.equal((await backend.closeOf(socket)).code, 1001);
});

test('a closed session is remembered for linger after the close', async (t) => {
	const { session, socket, backend } = await openedSession(t, { route: { linger: '300ms' } });

	socket.close(1000, 'bye');
	await backend.closeOf(socket);
	assert.equal((await session.post('x')).status, 410);
	assert.equal((await session.poll({ after: 0 })).json.closed.reason, 'bye');
	assert.equal((await session.poll({ after: 1 })).status, 410);
	// Asking does not keep it: it ends some time after the close.
	await eventually(async () => (await session.poll({ after: 1 })).status === 404,
		'a session that is forgotten');
	assert.equal((await session.post('x')).status, 404);
	assert.deepEqual(factsOf(await session.ask('GET', '', { fields: EVENTS })), UNKNOWN);
});

test('a client that leaves while a poll is held does not take the session along', async (t) => {
	const { session, socket } = await openedSession(t);

	const held = await session.startPoll({ wait: 20 });
	await session.post('the poll has come');
	held.reset();
	socket.send('still there');
	await flushed(socket);
	assert.deepEqual(factsOf(await session.poll({ after: 0 })),
		session.batch(1, [{ seq: 1, text: 'still there' }]));
});

// Caps.

test('over the session cap: 503 with Retry-After; closed sessions do not count', async (t) => {
	const { bridge, backend } = await bridgeStage(t, { route: { max_sessions: 2 } });
	const full = jsonAnswer(503, { error: 'too many sessions' }, { 'Retry-After': '1' });

	const first = await bridge.open();
	const { session: second, stream } = await bridge.openStream();
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat', { fields: EVENTS })), full);
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat', { fields: LINES })), full);
	assert.deepEqual(factsOf(await bridge.ask('GET', '/chat?wait=1')), full);
	const posted = factsOf(await bridge.ask('POST', '/chat', { fields: TEXT, body: 'x' }));
	assert.equal(posted.status, 503);
	assert.equal(posted.fields['Retry-After'], '1');
	const reconnect = { ...EVENTS, 'Last-Event-ID': 'w1.gone.1' };
	const later = await bridge.ask('GET', '/chat', { fields: reconnect });
	assert.equal(later.status, 200);
	assert.equal(later.body.toString(), 'retry: 5000\n\n');
	const lines = { ...LINES, 'Last-Event-ID': 'w1.gone.1' };
	assert.equal((await bridge.ask('GET', '/chat', { fields: lines })).status, 503);
	assert.equal(backend.sockets.length, 2);

	await first.delete();
	assert.ok((await first.poll()).json.closed);
	const third = await bridge.open();
	assert.equal((await first.poll({ after: 1 })).status, 410, 'remembered, but not counted');
	assert.equal((await bridge.ask('POST')).status, 503);
	await third.delete();
	await second.delete();
	await stream.rest();
});

test('over the cap of an address: 503, and tunnels do not count', async (t) => {
	const { bridge } = await bridgeStage(t, { route: { max_sessions_per_address: 1 } });

	const session = await bridge.open();
	assert.equal((await bridge.ask('POST')).status, 503);
	const tunnel = await bridge.webSocket();
	assert.equal((await session.poll({ wait: 0 })).status, 200);
	tunnel.terminate();
	await session.delete();
	await session.poll();
	await bridge.open();
});

test('the cap of an address holds per address', async (t) => {
	const { bridge } = await bridgeStage(t, {
		program: { trusted_proxies: ['127.0.0.1'] },
		route: { max_sessions_per_address: 1, forwarded: 'x-forwarded' },
	});

	for (const address of ['192.0.2.1', '192.0.2.2', '2001:db8::1']) {
		const fields = { 'X-Forwarded-For': address };
		assert.equal((await bridge.ask('POST', '/chat', { fields })).status, 201);
		assert.equal((await bridge.ask('POST', '/chat', { fields })).status, 503);
	}
});

// Leaving.

test('a drain ends streams without a close event, polls with what they have', async (t) => {
	const { bridge, backend, pollux } = await bridgeStage(t, { program: { drain: '5s' } });
	const events = await bridge.openStream(EVENTS);
	const lines = await bridge.openStream(LINES);
	const polling = await bridge.open();
	const sockets = [await backend.accept(), await backend.accept(), await backend.accept()];

	const held = await polling.startPoll({ wait: 20 });
	await polling.post('the poll has come');
	for (const socket of sockets.slice(0, 2))
		socket.send('hi');
	await events.stream.expect(`id: ${events.session.id}.1\ndata: hi\n\n`);
	await lines.stream.expect('{"seq":1,"text":"hi"}\n');
	pollux.signal('SIGTERM');
	await events.stream.expectEnd();
	await lines.stream.expectEnd();
	const answer = await held.readResponse();
	for (const wire of [events.stream, lines.stream, held])
		wire.close();
	assert.equal(answer.status, 200);
	assert.deepEqual(JSON.parse(answer.body), {
		session: polling.id,
		next: `${polling.url}?after=0`,
		cursor: 0,
		messages: [],
	});
	for (const socket of sockets)
		assert.equal((await backend.closeOf(socket)).code, 1001);
	assert.equal((await pollux.left()).code, 0);
});

test('a drain brings what was accepted to the backend before it goes', async (t) => {
	const { session, socket, backend, pollux } = await openedSession(t);

	const posts = Array.from({ length: 20 }, (_, n) => session.post(`${n}`));
	for (const post of posts)
		assert.equal((await post).status, 204);
	pollux.signal('SIGTERM');
	assert.equal((await backend.closeOf(socket)).code, 1001);
	assert.equal(socket.received.all.length, 20);
	assert.equal((await pollux.left()).code, 0);
});

test('an opening that a drain overtakes is refused', async (t) => {
	const server = await RawBackend.start(t);
	const { bridge, pollux } = await bridgeStage(t, { server });

	const opening = bridge.ask('POST');
	await (await server.accept()).readRequest();
	pollux.signal('SIGTERM');
	const response = await opening;
	assert.equal(response.status, 503);
	assert.equal(response.get('Retry-After'), '1');
});

// A backend that says more than anybody reads.

const SMALL = { queue: '256k', max_message_size: '256k' };

test('the backend is held back while the queue is full; memory stays bounded; nothing is lost', async (t) => {
	const { session, socket, pollux } = await openedSession(t, { route: SMALL });
	const N = 400;

	const before = pollux.memory();
	for (let n = 0; n < N; n++)
		socket.send(`${n} ${'m'.repeat(100_000)}`);
	await heldBack(socket);
	const grown = pollux.memory() - before;
	assert.ok(grown < 24 * MIB, `${grown} bytes, sanitizer and kernel habits included`);
	for (let after = 0; after < N;) {
		const { json } = await session.poll({ after });
		for (const { seq, text } of json.messages)
			assert.equal(text.split(' ')[0], String(seq - 1));
		assert.equal(json.messages[0].seq, after + 1);
		assert.ok(json.messages.length < 20, 'not more than the queue held');
		after = json.cursor;
	}
});

test('a slow stream holds the backend back, too', async (t) => {
	const { bridge, backend, pollux } = await bridgeStage(t, { route: SMALL });
	const { session, stream } = await bridge.openStream();
	const socket = await backend.accept();
	const N = 400;

	stream.wire.stall();
	const before = pollux.memory();
	for (let n = 0; n < N; n++)
		socket.send('m'.repeat(100_000));
	await heldBack(socket);
	assert.ok(pollux.memory() - before < 32 * MIB);
	stream.wire.goOn();
	for (let n = 1; n <= N; n++)
		await stream.expect(`id: ${session.id}.${n}\ndata: ${'m'.repeat(100_000)}\n\n`);
});

test('held back, a session still takes posts, and closes', async (t) => {
	const { session, socket, backend } = await openedSession(t, { route: SMALL });

	for (let n = 0; n < 200; n++)
		socket.send('m'.repeat(100_000));
	await heldBack(socket);
	assert.equal((await session.post('up')).status, 204);
	assert.equal(await socket.received.next(), 'up');
	assert.equal((await session.delete()).status, 204);
	assert.equal((await backend.closeOf(socket)).code, 1000);
	let answer;
	for (let after = 0; !answer?.closed; after = answer.cursor)
		answer = (await session.poll({ after })).json;
	assert.deepEqual(answer.closed, NORMAL);
});

test('many sessions at once, each its own sequence', async (t) => {
	const { bridge, backend } = await bridgeStage(t, {
		ws: { onSocket: (socket) => socket.on('message', (data) => socket.send(`echo ${data}`)) },
	});
	const N = 50;

	const sessions = await Promise.all(Array.from({ length: N }, () => bridge.open()));
	await Promise.all(sessions.map(async (session, i) => {
		for (let n = 1; n <= 5; n++) {
			await session.post(`${i}.${n}`);
			const { json } = await session.poll({ after: n - 1 });
			assert.deepEqual(json.messages, [{ seq: n, text: `echo ${i}.${n}` }]);
		}
		await session.delete();
	}));
	assert.equal(backend.sockets.length, N);
});
