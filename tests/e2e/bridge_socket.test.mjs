// pollux.v1: sessions over a WebSocket that ends in Pollux, byte by byte.
import assert from 'node:assert/strict';
import test from 'node:test';

import { bridgeStage, flushed } from './lib/bridge.mjs';
import { Authority } from './lib/certificates.mjs';
import { LINKS, joined } from './lib/h2_stage.mjs';
import { event, eventually } from './lib/wait.mjs';
import { ACCEPT, OPCODE, closeFrame, frame, handshake, readFrame } from './lib/websocket_bytes.mjs';
import { Wire } from './lib/wire.mjs';

const OURS = { 'Sec-WebSocket-Protocol': 'pollux.v1' };

// A WebSocket of pollux.v1 on a wire of its own.
class Socket {
	constructor(wire, response) {
		this.wire = wire;
		this.response = response;
		this.id = response.get('Pollux-Session');
	}

	say(object) {
		this.wire.send(frame({ payload: JSON.stringify(object), mask: true }));
	}

	async hear() {
		const { opcode, payload } = await readFrame(this.wire);
		assert.equal(opcode, OPCODE.text, payload.toString());
		return JSON.parse(payload.toString());
	}

	async expect(...objects) {
		for (const object of objects)
			assert.deepEqual(await this.hear(), object);
	}

	async expectClose(code, reason) {
		const got = await readFrame(this.wire);
		assert.equal(got.opcode, OPCODE.close, got.payload.toString());
		assert.deepEqual([got.code, got.reason], [code, reason]);
		this.wire.send(closeFrame(code, '', { mask: true }));
		await this.wire.expectEnd();
		this.wire.close();
	}
}

async function start(t, options = {}) {
	const stage = await bridgeStage(t, options);
	stage.ask = async (target = '/chat', fields = {}) => {
		const wire = await Wire.connect(t, stage.pollux.where());
		wire.send(handshake({ target, fields: { ...OURS, ...fields } }));
		return wire;
	};
	// The handshake is refused: the answer.
	stage.refused = async (target, fields) => (await stage.ask(target, fields)).readResponse();
	stage.connect = async (target, fields) => {
		const wire = await stage.ask(target, fields);
		const head = await wire.readHead();
		assert.match(head.line, /^HTTP\/1.1 101 /, head.text);
		return new Socket(wire, head);
	};
	stage.open = async (...given) => {
		const socket = await stage.connect(...given);
		await socket.expect({ session: socket.id, cursor: 0 });
		return [socket, await stage.backend.accept()];
	};
	stage.resume = async (id, cursor) => {
		const socket = await stage.connect(`/chat/~${id}?after=${cursor}`);
		await socket.expect({ session: id, cursor });
		return socket;
	};
	return stage;
}

test('the handshake, whole', async (t) => {
	const stage = await start(t);
	const { response } = await stage.connect();
	const fields = Object.fromEntries(response.fields.filter(([name]) => name !== 'Date'));
	assert.deepEqual(fields, {
		'Sec-WebSocket-Protocol': 'pollux.v1',
		'Cache-Control': 'no-store',
		'Referrer-Policy': 'no-referrer',
		'Pollux-Session': response.get('Pollux-Session'),
		'Pollux-Cursor': '0',
		'Sec-WebSocket-Accept': ACCEPT,
		Connection: 'upgrade',
		Upgrade: 'websocket',
	});
});

test('the name is not offered to the backend, and others are its own', async (t) => {
	const stage = await start(t, { ws: { handleProtocols: (offered) => [...offered].at(-1) } });
	await stage.connect();
	await stage.backend.accept();
	assert.equal(stage.backend.requests[0].headers['sec-websocket-protocol'], undefined);

	const socket = await stage.connect('/chat', { 'Sec-WebSocket-Protocol': 'a, pollux.v1, b' });
	await stage.backend.accept();
	assert.equal(stage.backend.requests[1].headers['sec-websocket-protocol'], 'a, b');
	assert.equal(socket.response.get('Sec-WebSocket-Protocol'), 'pollux.v1');
	await socket.expect({ session: socket.id, cursor: 0, protocol: 'b' });
});

test('other WebSockets are tunnels as before', async (t) => {
	const stage = await start(t);
	const wire = await stage.ask('/chat', { 'Sec-WebSocket-Protocol': undefined });
	const head = await wire.readHead();
	assert.equal(head.get('Pollux-Session'), undefined);
	const socket = await stage.backend.accept();
	socket.send('bare');
	assert.equal((await readFrame(wire)).payload.toString(), 'bare');
});

test('messages both ways, numbers, repeats and holes', async (t) => {
	const stage = await start(t);
	const [client, backend] = await stage.open();
	backend.send('a\n€');
	backend.send(Buffer.from([0, 1, 2]));
	await client.expect({ seq: 1, text: 'a\n€' }, { seq: 2, binary: 'AAEC' });
	client.say({ n: 1, text: 'one' });
	client.say({ n: 2, binary: 'AAEC' });
	await client.expect({ sent: 1 }, { sent: 2 });
	client.say({ n: 2, binary: 'AAEC' });
	client.say({ n: 4, text: 'four' });
	client.say({ n: 3, text: 'three' });
	await client.expect({ sent: 2 }, { error: 'gap', expected: 3 }, { sent: 3 });
	assert.deepEqual(await backend.received.count(3), ['one', Buffer.from([0, 1, 2]), 'three']);
});

test('a session survives its connection', async (t) => {
	const stage = await start(t);
	const [client, backend] = await stage.open();
	backend.send('one');
	backend.send('two');
	await client.expect({ seq: 1, text: 'one' }, { seq: 2, text: 'two' });
	client.say({ n: 1, text: 'up' });
	await client.expect({ sent: 1 });
	client.wire.reset();
	backend.send('three');
	await flushed(backend);

	const again = await stage.resume(client.id, 1);
	await again.expect({ seq: 2, text: 'two' }, { seq: 3, text: 'three' });
	again.say({ n: 1, text: 'up' });
	await again.expect({ sent: 1 });
	assert.deepEqual(backend.received.all, ['up']);
	again.wire.send(closeFrame(1000, '', { mask: true }));
	again.wire.end();
	const entry = await stage.pollux.accessed({ status: 101, target: /\?after=1$/ });
	assert.equal(entry.target, `/chat/~${client.id.slice(0, 3)}***?after=1`);
	assert.equal(entry.session, `${client.id.slice(0, 7)}...`);
});

test('acknowledgements: what is freed is not repeated, what is too high is an error', async (t) => {
	const stage = await start(t);
	const [client, backend] = await stage.open();
	backend.send('one');
	backend.send('two');
	await client.expect({ seq: 1, text: 'one' }, { seq: 2, text: 'two' });
	client.say({ ack: 1 });
	client.say({ ack: 3 });
	await client.expect({ error: 'cursor', cursor: 1 });
	const response = await stage.refused(`/chat/~${client.id}?after=0`);
	assert.equal(response.status, 409);
	assert.equal(response.body.toString(), '{"error":"cursor","cursor":1}\n');
});

test('on a session: unknown, a bad cursor, another subprotocol, a foreign page', async (t) => {
	const stage = await start(t);
	const [client] = await stage.open();
	const url = `/chat/~${client.id}`;
	assert.equal((await stage.refused('/chat/~w1.aaaaaaaaaaaaaaaaaaaaaa?after=0')).status, 404);
	assert.equal((await stage.refused(`/other/~${client.id}?after=0`)).status, 404);
	assert.equal((await stage.refused(`${url}?after=1`)).status, 409);
	assert.equal((await stage.refused(`${url}?after=x`)).status, 409);
	const other = await stage.refused(`${url}?after=0`, { 'Sec-WebSocket-Protocol': 'pollux.v2' });
	assert.equal(other.status, 400);
	assert.equal((await stage.refused(`${url}?after=0`, { Origin: 'http://evil.example' })).status, 403);
	assert.equal((await stage.refused('/chat', { Origin: 'http://evil.example' })).status, 403);
	// None of it has disturbed the session.
	client.say({ n: 1, text: 'still there' });
	await client.expect({ sent: 1 });
});

test('the newest transport wins: 4000', async (t) => {
	const stage = await start(t);
	const [client, backend] = await stage.open();
	const second = await stage.resume(client.id, 0);
	await client.expectClose(4000, 'superseded');
	const stream = await stage.bridge.stream(`/chat/~${client.id}`, { Accept: 'application/x-ndjson' });
	await second.expectClose(4000, 'superseded');
	const third = await stage.resume(client.id, 0);
	await stream.line();
	await stream.expectEnd();
	backend.send('to the third');
	await third.expect({ seq: 1, text: 'to the third' });
});

test('the backend closes: the item, then 1000; asked again; then 410', async (t) => {
	const stage = await start(t);
	const [client, backend] = await stage.open();
	const closed = { code: 4001, reason: 'why', undelivered: 0 };
	backend.send('last');
	backend.close(4001, 'why');
	await client.expect({ seq: 1, text: 'last' }, { seq: 2, closed });
	await client.expectClose(1000, '');
	const again = await stage.resume(client.id, 1);
	await again.expect({ seq: 2, closed });
	await again.expectClose(1000, '');
	const response = await stage.refused(`/chat/~${client.id}?after=2`);
	assert.equal(response.status, 410);
	assert.deepEqual(JSON.parse(response.body), { error: 'closed', closed });
});

test('the client closes the session: its code reaches the backend', async (t) => {
	const stage = await start(t);
	const [client, backend] = await stage.open();
	const closed = event(backend, 'close');
	client.say({ n: 1, text: 'last' });
	client.say({ close: { code: 4002, reason: 'bye' } });
	await client.expect({ sent: 1 },
		{ seq: 1, closed: { code: 4002, reason: 'bye', undelivered: 0 } });
	await client.expectClose(1000, '');
	const [code, reason] = await closed;
	assert.deepEqual([code, reason.toString()], [4002, 'bye']);
	assert.deepEqual(backend.received.all, ['last']);
});

test('a plain Close only detaches', async (t) => {
	const stage = await start(t);
	const [client, backend] = await stage.open();
	client.wire.send(closeFrame(1000, '', { mask: true }));
	assert.deepEqual((await readFrame(client.wire)).code, 1000);
	await client.wire.expectEnd();
	client.wire.close();
	backend.send('later');
	const again = await stage.resume(client.id, 0);
	await again.expect({ seq: 1, text: 'later' });
});

for (const [what, bytes] of [
	['no JSON', frame({ payload: 'hello', mask: true })],
	['another object', frame({ payload: '{"n":1}', mask: true })],
	['a binary frame', frame({ payload: '{"ack":0}', opcode: OPCODE.binary, mask: true })],
]) {
	test(`${what}: 1008, and the session lives`, async (t) => {
		const stage = await start(t);
		const [client] = await stage.open();
		client.wire.send(bytes);
		await client.expectClose(1008, 'malformed frame');
		await stage.resume(client.id, 0);
	});
}

for (const [what, bytes, code] of [
	['an unmasked frame', frame({ payload: '{"ack":0}' }), 1002],
	['a reserved bit', frame({ payload: '{"ack":0}', rsv: 4, mask: true }), 1002],
	['text that is not UTF-8', frame({ payload: Buffer.from([0x22, 0xff]), mask: true }), 1007],
	['a frame over all limits', frame({ length: 7 * 1024 * 1024, mask: true }), 1009],
]) {
	test(`${what}: ${code}, and the session lives`, async (t) => {
		const stage = await start(t);
		const [client] = await stage.open();
		client.wire.send(bytes);
		const got = await readFrame(client.wire);
		assert.equal(got.code, code);
		await client.wire.expectEnd();
		client.wire.close();
		await stage.pollux.accessed({ status: 101, reason: 'bad-websocket' });
		await stage.resume(client.id, 0);
	});
}

test('a message over the limit is an error and ends nothing', async (t) => {
	const stage = await start(t, { route: { max_message_size: 10 } });
	const [client, backend] = await stage.open();
	client.say({ n: 1, text: 'x'.repeat(11) });
	client.say({ n: 1, text: '\u0001'.repeat(10) });
	await client.expect({ error: 'too big', expected: 1 }, { sent: 1 });
	assert.deepEqual(await backend.received.count(1), ['\u0001'.repeat(10)]);
});

test('fragments, and a ping between them', async (t) => {
	const stage = await start(t);
	const [client] = await stage.open();
	client.wire.send(frame({ payload: '{"n":1,', fin: false, mask: true }),
		frame({ payload: 'alive?', opcode: OPCODE.ping, mask: true }));
	const pong = await readFrame(client.wire);
	assert.deepEqual([pong.opcode, pong.payload.toString()], [OPCODE.pong, 'alive?']);
	client.wire.send(frame({ payload: '"text":"x"}', opcode: OPCODE.continuation, mask: true }));
	await client.expect({ sent: 1 });
});

test('the heartbeat is a ping; who does not answer is absent', async (t) => {
	const stage = await start(t, {
		route: { heartbeat: '200ms', send_timeout: '300ms', linger: '300ms' },
	});
	const [client, backend] = await stage.open();
	const closed = event(backend, 'close');
	assert.equal((await readFrame(client.wire)).opcode, OPCODE.ping);
	client.wire.send(frame({ opcode: OPCODE.pong, mask: true }));
	assert.equal((await readFrame(client.wire)).opcode, OPCODE.ping);
	await client.wire.expectGone();
	await stage.pollux.accessed({ status: 101, reason: 'tunnel-timeout' });
	assert.equal((await closed)[0], 1001);
});

test('a backend that refuses: its own answer', async (t) => {
	const stage = await start(t, { ws: { verifyClient: (_, done) => done(false, 401, 'who?') } });
	const response = await stage.refused('/chat');
	assert.equal(response.status, 401);
	assert.match(response.body.toString(), /who\?/);
});

test('a drain: 1012, and not 1001', async (t) => {
	const stage = await start(t);
	const [client, backend] = await stage.open();
	const closed = event(backend, 'close');
	backend.send('before');
	await client.expect({ seq: 1, text: 'before' });
	stage.pollux.signal('SIGTERM');
	await client.expectClose(1012, 'leaving');
	assert.equal((await closed)[0], 1001);
	await stage.pollux.left();
});

test('a drain does not wait for a client that says nothing', async (t) => {
	const stage = await start(t, { program: { drain: '500ms' } });
	const [client] = await stage.open();
	stage.pollux.signal('SIGTERM');
	assert.equal((await readFrame(client.wire)).code, 1012);
	await stage.pollux.left();
});

test('a client that does not read holds the backend back, and gets everything', async (t) => {
	const stage = await start(t, {
		route: { queue: '100k', max_message_size: '100k', send_timeout: '30s' },
	});
	const [client, backend] = await stage.open();
	client.wire.stall();
	const text = 'x'.repeat(50_000);
	const N = 400;
	for (let n = 0; n < N; n++)
		backend.send(text);
	await eventually(() => backend.bufferedAmount > 1_000_000, 'back-pressure');
	client.wire.goOn();
	for (let n = 1; n <= N; n++)
		await client.expect({ seq: n, text });
});

test('a client that takes nothing is given up, and may come back for all', async (t) => {
	const stage = await start(t, {
		route: { send_timeout: '500ms', replay: 0, queue: '20M', max_message_size: '1M' },
	});
	const [client, backend] = await stage.open();
	client.wire.stall();
	const text = 'x'.repeat(500_000);
	for (let n = 0; n < 30; n++)
		backend.send(text);
	await stage.pollux.accessed({ status: 101, reason: 'client-stall' });
	const again = await stage.resume(client.id, 0);
	for (let n = 1; n <= 30; n++)
		await again.expect({ seq: n, text });
});

test('over TLS', async (t) => {
	const stage = await start(t, {
		listen: { certificates: [new Authority(t).issue(['127.0.0.1']).pem] },
	});
	const wire = await Wire.connect(t, stage.pollux.where(), { tls: {} });
	wire.send(handshake({ target: '/chat', fields: OURS }));
	const client = new Socket(wire, await wire.readHead());
	await client.expect({ session: client.id, cursor: 0 });
	const backend = await stage.backend.accept();
	backend.send('hello');
	await client.expect({ seq: 1, text: 'hello' });
	backend.close(1000);
	await client.hear();
	await client.expectClose(1000, '');
});

test('a route without WebSockets has no sessions over them', async (t) => {
	const stage = await start(t, { route: { websocket: 'no' } });
	const response = await stage.refused('/chat/~w1.aaaaaaaaaaaaaaaaaaaaaa?after=0');
	assert.equal(response.status, 400);
});

for (const link of LINKS) {
	test(`over HTTP/2, ${link.name}: a session, a resume, a drain`, async (t) => {
		const stage = await joined(t, link, {
			server: { onWebSocket: () => {} },
			route: { path: '/chat', bridge: ['plain'] },
		});
		const open = (path) => stage.client.webSocket(path, { protocols: ['pollux.v1'] });
		const hear = async (end) => JSON.parse(await end.next());
		const first = await open('/chat');
		const { session } = await hear(first);
		const backend = await stage.backend.accept();
		backend.send('one');
		assert.deepEqual(await hear(first), { seq: 1, text: 'one' });
		first.send('{"n":1,"text":"up"}');
		assert.deepEqual(await hear(first), { sent: 1 });
		assert.equal(await backend.next(), 'up');
		first.abort();

		const again = await open(`/chat/~${session}?after=0`);
		assert.deepEqual(await hear(again), { session, cursor: 0 });
		assert.deepEqual(await hear(again), { seq: 1, text: 'one' });
		stage.pollux.signal('SIGTERM');
		assert.deepEqual(await again.closing(), { code: 1012, reason: 'leaving' });
		await again.expectOver();
		await stage.pollux.left();
	});
}

test('several workers: a session is found from each, and says its own farewell', async (t) => {
	const stage = await start(t, { program: { workers: 3 } });
	const resumed = [];
	for (let n = 0; n < 12; n++) {
		const [client, backend] = await stage.open();
		backend.send(`message of ${n}`);
		await client.expect({ seq: 1, text: `message of ${n}` });
		client.wire.reset();
		const again = await stage.resume(client.id, 0);
		await again.expect({ seq: 1, text: `message of ${n}` });
		again.say({ n: 1, text: `answer of ${n}` });
		await again.expect({ sent: 1 });
		assert.equal(await backend.received.next(), `answer of ${n}`);
		resumed.push(again);
	}
	stage.pollux.signal('SIGTERM');
	await Promise.all(resumed.map((client) => client.expectClose(1012, 'leaving')));
	await stage.pollux.left();
});
