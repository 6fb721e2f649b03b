// The plain dialect of the bridge over HTTP/2: its transports with clients of HTTP/2, and its
// WebSocket with backends of HTTP/2 (RFC 8441).
import assert from 'node:assert/strict';
import test from 'node:test';

import { BINARY, EVENTS, LINES, NDJSON, TEXT } from './lib/bridge.mjs';
import { H2Client } from './lib/h2_client.mjs';
import { LINKS, joined, linked } from './lib/h2_stage.mjs';
import { Tap } from './lib/tap.mjs';
import { event, pass } from './lib/wait.mjs';

const [, H2C_TO_H2C, , TLS_TO_TLS] = LINKS;
const MIB = 1024 * 1024;

// A session, by the exchange or response that has opened it.
class Session {
	constructor(stage, { headers }, path = '/chat') {
		this.stage = stage;
		this.id = headers['pollux-session'];
		this.url = `${path}/~${this.id}`;
	}

	async poll(query, headers = {}) {
		const response = await this.stage.client.ask('GET', `${this.url}?${query}`, { headers });
		return { ...response, json: JSON.parse(response.text) };
	}

	post(body, headers = TEXT) {
		return this.stage.client.ask('POST', this.url, { body, headers });
	}
}

async function start(t, link, { route = {}, server = {}, ...options } = {}) {
	const stage = await joined(t, link, {
		server: { onWebSocket: () => {}, ...server },
		route: { path: '/chat', bridge: ['plain'], ...route },
		...options,
	});
	// By a POST: its session and the WebSocket at the backend.
	stage.open = async (options = {}) => {
		const response = await stage.client.ask('POST', '/chat', options);
		assert.equal(response.status, 201, response.text);
		return [new Session(stage, response), await stage.backend.accept()];
	};
	// By a stream.
	stage.listen = async (headers = EVENTS, path = '/chat') => {
		const exchange = stage.client.start('GET', path, { headers });
		const response = await exchange.response();
		assert.equal(response.status, 200);
		return [exchange, new Session(stage, response)];
	};
	return stage;
}

for (const link of LINKS) {
	const test_ = (what, run) => test(`bridge, ${link.name}: ${what}`, run);

	test_('an event stream, posts, and the close', async (t) => {
		const stage = await start(t, link);
		const [exchange, session] = await stage.listen();
		const socket = await stage.backend.accept();
		const { headers } = exchange.head;
		assert.equal(headers['content-type'], 'text/event-stream');
		assert.equal(headers['cache-control'], 'no-store');
		for (const name of ['transfer-encoding', 'connection', 'content-length'])
			assert.equal(headers[name], undefined, name);
		assert.equal(socket.version, link.protocol === 'h2' ? '2.0' : '1.1');

		socket.send('one\ntwo');
		socket.send(Buffer.from([1, 2, 3]));
		await exchange.hears(`id: ${session.id}.1\ndata: one\ndata: two\n\n`);
		await exchange.hears(`event: binary\nid: ${session.id}.2\ndata: AQID\n\n`);
		for (const [body, type, wanted] of [['text', TEXT, 'text'], ['bytes', BINARY, Buffer.from('bytes')]]) {
			assert.equal((await session.post(body, type)).status, 204);
			assert.deepEqual(await socket.next(), wanted);
		}
		await session.post('a\nb\n', NDJSON);
		assert.deepEqual([await socket.next(), await socket.next()], ['a', 'b']);
		socket.close(4001, 'enough');
		await exchange.hears(`event: close\nid: ${session.id}.3\ndata: {"code":4001,"reason":"enough"}\n\n`);
		assert.equal((await exchange.whole()).status, 200);
		assert.equal((await session.post('late')).status, 410);
	});

	test_('a stream that is reset goes on where it was', async (t) => {
		const stage = await start(t, link);
		const [first, session] = await stage.listen();
		const socket = await stage.backend.accept();
		socket.send('one');
		await first.hears('data: one');
		first.cancel();
		await first.over();
		socket.send('two');
		const [second] = await stage.listen({ ...EVENTS, 'last-event-id': `${session.id}.1` });
		await second.hears('data: two');
		assert.ok(!second.soFar.includes('data: one'));
		// Superseded by the next, which is of another kind.
		const [third] = await stage.listen(LINES, `${session.url}?after=2`);
		await second.whole();
		socket.send('three');
		await third.hears('{"seq":3,"text":"three"}\n');
		assert.equal(stage.backend.webSockets.length, 1);
	});

	test_('the log knows at the end of a stream who had asked for what', async (t) => {
		const stage = await start(t, link);
		const [exchange] = await stage.listen(
			{ ...EVENTS, 'user-agent': 'Reader/1.0', referer: 'http://site.example/page' }, '/chat?room=1');
		const socket = await stage.backend.accept();
		socket.send('one');
		await exchange.hears('data: one');
		exchange.cancel();
		const { method, target, version, referer, user_agent } = await stage.pollux.accessed();
		assert.deepEqual({ method, target, version, referer, user_agent }, {
			method: 'GET',
			target: '/chat?room=1',
			version: '2.0',
			referer: 'http://site.example/page',
			user_agent: 'Reader/1.0',
		});
	});

	test_('long-polls', async (t) => {
		const stage = await start(t, link);
		const [session, socket] = await stage.open({ body: 'first', headers: TEXT });
		assert.equal(await socket.next(), 'first');

		const waiting = session.poll('after=0&wait=10');
		await stage.client.flushed();
		socket.send('hi');
		const { status, json, headers } = await waiting;
		assert.equal(status, 200);
		assert.deepEqual(json.messages, [{ seq: 1, text: 'hi' }]);
		assert.equal(headers.link, `<${session.url}?after=1>; rel="next"`);
		// Repeated, then superseded, then empty.
		assert.deepEqual((await session.poll('after=0')).json.messages, [{ seq: 1, text: 'hi' }]);
		const held = session.poll('after=1&wait=10');
		await stage.client.flushed();
		const next = session.poll('after=1&wait=0');
		assert.equal((await held).json.superseded, true);
		assert.deepEqual((await next).json.messages, []);
		assert.equal((await session.poll('after=9')).status, 409);
	});

	test_('numbered posts, sent all at once, arrive once and in order', async (t) => {
		const stage = await start(t, link);
		const [session, socket] = await stage.open();
		const n = 60;
		// On one connection they are read in the order they were sent.
		const all = await Promise.all(Array.from({ length: n }, (_, i) => Promise.all([
			session.post(`post ${i + 1}`, { ...TEXT, 'pollux-seq': String(i + 1) }),
			session.post(`post ${i + 1}`, { ...TEXT, 'pollux-seq': String(i + 1) }),
		])));
		for (const { status } of all.flat())
			assert.equal(status, 204);
		assert.deepEqual(await socket.count(n), Array.from({ length: n }, (_, i) => `post ${i + 1}`));
		assert.equal((await session.post('gap', { ...TEXT, 'pollux-seq': '99' })).status, 409);
		assert.equal((await session.post('x'.repeat(2 * MIB))).status, 413);
		assert.equal((await session.post('still here')).status, 204);
		assert.equal((await socket.count(n + 1)).at(-1), 'still here');
	});

	test_('DELETE, and a client that stays away', async (t) => {
		const stage = await start(t, link, { route: { linger: '200ms' } });
		const [session, socket] = await stage.open();
		assert.equal((await stage.client.ask('DELETE', session.url)).status, 204);
		assert.equal((await socket.closing()).code, 1000);
		await socket.expectOver();
		const [exchange] = await stage.listen();
		const other = await stage.backend.accept();
		exchange.cancel();
		assert.equal((await other.closing()).code, 1001);
	});

	test_('a refusal of the backend arrives', async (t) => {
		const stage = await start(t, link, {
			server: {
				webSocket: () => ({
					status: 401,
					headers: { 'www-authenticate': 'Basic realm="x"', 'content-type': 'text/plain' },
					body: 'who are you?',
				}),
			},
		});
		const { status, headers, text } = await stage.client.ask('GET', '/chat', { headers: EVENTS });
		assert.deepEqual([status, text], [401, 'who are you?']);
		assert.equal(headers['www-authenticate'], 'Basic realm="x"');
		const response = await stage.client.ask('POST', '/chat', { headers: TEXT, body: 'x' });
		assert.deepEqual([response.status, response.text], [401, 'who are you?']);
	});

	test_('a hundred sessions on one connection, each with its own messages', async (t) => {
		const stage = await start(t, link, {
			server: { onWebSocket: (end) => (end.onMessage = (text) => end.send(`${end.target}: ${text}`)) },
			listen: { http2_max_streams: 300 },
		});
		const n = 100;
		const all = await Promise.all(Array.from({ length: n }, (_, i) =>
			stage.listen(i % 2 === 0 ? EVENTS : LINES, `/chat?n=${i}`)));
		await Promise.all(all.map(([, session], i) => session.post(`from ${i}`)));
		for (const [i, [exchange]] of all.entries())
			await exchange.hears(`/chat?n=${i}: from ${i}`);
		if (link.protocol === 'h2' && !link.isTls)
			assert.equal(stage.backend.sockets.length, 1, 'one connection to the backend carries all');
		stage.client.close();
	});

	test_('a stream that is not read holds back its WebSocket alone', async (t) => {
		const stage = await start(t, link, {
			environment: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
			route: { send_timeout: '10s' },
		});
		const exchange = stage.client.start('GET', '/chat', { headers: LINES, isStalled: true });
		await exchange.response();
		const socket = await stage.backend.accept();
		const before = stage.pollux.memory();
		const n = 400;
		for (let i = 0; i < n; i++)
			socket.send(`${i} ${'x'.repeat(50_000)}`);
		const [other, there] = await stage.listen();
		const neighbour = await stage.backend.accept();
		for (let i = 0; i < 20; i++) {
			neighbour.send(`neighbour ${i} ${'y'.repeat(10_000)}`);
			await other.hears(`neighbour ${i} `);
			assert.equal((await there.post('x')).status, 204);
		}
		assert.ok(socket.waiting > 5 * MIB, `${socket.waiting} held back`);
		assert.ok(stage.pollux.memory() - before < 10 * MIB, `${stage.pollux.memory() - before} bytes more`);
		exchange.read();
		await exchange.gets(n * 50_000);
		await exchange.hears(`{"seq":${n},"text":"${n - 1} `);
		const seen = [...exchange.soFar.toString().matchAll(/"seq":(\d+),"text":"(\d+) /g)]
			.map(([, seq, i]) => [Number(seq), Number(i)]);
		assert.deepEqual(seen, Array.from({ length: n }, (_, i) => [i + 1, i]));
	});

	test_('a drain: streams end, polls are answered, the backend gets 1001', async (t) => {
		const stage = await start(t, link, { program: { drain: '10s' } });
		const [exchange] = await stage.listen();
		const one = await stage.backend.accept();
		const [session, two] = await stage.open();
		const poll = session.poll('after=0&wait=20');
		await stage.client.flushed();
		stage.pollux.signal('SIGTERM');
		await exchange.whole();
		assert.equal((await poll).status, 200);
		assert.equal((await one.closing()).code, 1001);
		assert.equal((await two.closing()).code, 1001);
		await stage.client.over();
		assert.deepEqual(await stage.pollux.left(), { code: 0, signal: null });
	});

	test_('a backend that answers pings is alive, one that does not is gone', async (t) => {
		const stage = await start(t, link, { route: { backend_ping: '100ms' } });
		const [, alive] = await stage.open();
		assert.equal((await alive.control()).type, 'ping');
		assert.equal((await alive.control()).type, 'ping');
		stage.backend.webSocket = () => ({ isManual: true });
		const [session, mute] = await stage.open();
		const { json } = await session.poll('after=0&wait=10');
		assert.equal(json.closed.code, 1006);
		await mute.expectGone();
		assert.equal(alive.closed, undefined);
	});

	test_('a WebSocket beside sessions on the same route', async (t) => {
		const stage = await start(t, link);
		const [, socket] = await stage.open();
		const own = await stage.client.webSocket('/chat');
		const there = await stage.backend.accept();
		own.send('tunnel');
		assert.equal(await there.next(), 'tunnel');
		assert.equal(socket.received.length, 0);
	});

	test_('origins: same origin by :authority and :scheme', async (t) => {
		const stage = await start(t, link);
		const origin = `${link.isTls ? 'https' : 'http'}://${stage.client.authority}`;
		const opened = await stage.client.ask('POST', '/chat', { headers: { ...TEXT, origin }, body: '' });
		assert.equal(opened.status, 201);
		const other = await stage.client.ask('POST', '/chat', {
			headers: { ...TEXT, origin: 'https://evil.example' }, body: '',
		});
		assert.equal(other.status, 403);
	});
}

// The backend's side alone.

test('bridge: a TLS backend with HTTP/2 but without RFC 8441 is reached over HTTP/1.1', async (t) => {
	const stage = await start(t, TLS_TO_TLS, { server: { protocol: 'auto', connectProtocol: false } });
	const [session, socket] = await stage.open();
	assert.equal(socket.version, '1.1');
	await session.post('hello');
	assert.equal(await socket.next(), 'hello');
});

test('bridge: protocol = h2 and a backend without RFC 8441: 502, and the log says why', async (t) => {
	const stage = await start(t, H2C_TO_H2C, { server: { connectProtocol: false } });
	const { status } = await stage.client.ask('POST', '/chat', { headers: TEXT, body: 'x' });
	assert.equal(status, 502);
	assert.equal((await stage.pollux.accessed({ target: '/chat' })).reason, 'no-websocket');
});

for (const link of [H2C_TO_H2C, TLS_TO_TLS]) {
	test(`bridge: a connection to the backend that is cut ends its sessions with 1006 (${link.name})`, async (t) => {
		const stage = await start(t, link);
		const [session, socket] = await stage.open();
		socket.send('before');
		await session.poll('after=0');
		for (const one of stage.backend.sockets)
			one.destroy();
		const { json } = await session.poll('after=1&wait=10');
		assert.equal(json.closed.code, 1006);
		const [again, there] = await stage.open();
		there.send('anew');
		assert.equal((await again.poll('after=0')).json.messages[0].text, 'anew');
	});

	test(`bridge: GOAWAY of the backend leaves sessions alone (${link.name})`, async (t) => {
		const stage = await start(t, link);
		const [session, socket] = await stage.open();
		stage.backend.sayGoaway(stage.backend.sessions[0]);
		socket.send('still here');
		assert.equal((await session.poll('after=0&wait=10')).json.messages[0].text, 'still here');
		assert.equal((await session.post('and here')).status, 204);
		assert.equal(await socket.next(), 'and here');
		assert.equal((await stage.open()).length, 2, 'new ones go elsewhere');
		assert.equal(stage.backend.sessions.length, 2);
	});
}

// A download by the same connection, through a way that takes it in bits: something is unacknowledged
// all the time.
test('bridge, a connection that is busy with another stream: who takes that one has not gone', async (t) => {
	const stage = await linked(t, H2C_TO_H2C, {
		server: {
			onWebSocket: () => {},
			answer(request, response) {
				response.writeHead(200);
				response.end(Buffer.alloc(64 * MIB));
			},
		},
		route: [{ path: '/' }, { path: '/chat', bridge: ['plain'], send_timeout: '1500ms' }],
	});
	const tap = await Tap.start(t, stage.where);
	const client = await H2Client.connect(t, tap.where, { settings: { initialWindowSize: 64 * MIB } });
	client.session.setLocalWindowSize(128 * MIB);
	const end = await client.webSocket('/chat', { protocols: ['pollux.v1'] });
	const stream = client.start('GET', '/chat', { headers: EVENTS });
	await stream.response();
	const backends = [await stage.backend.accept(), await stage.backend.accept()];
	await end.next();

	const [conn] = tap.conns;
	conn.server.pause();
	client.start('GET', '/download', { isStalled: true });
	// What waits for more than 200 ms waits on Pollux's side of the way.
	await pass(200);
	for (const backend of backends)
		backend.send('one');
	for (let n = 0; n < 40; n++) {
		await pass(100);
		conn.server.resume();
		await event(conn.server, 'data');
		conn.server.pause();
	}
	assert.equal(end.closed, undefined);
	conn.server.resume();
	assert.deepEqual(JSON.parse(await end.next()), { seq: 1, text: 'one' });
	await stream.hears('data: one');
	for (const backend of backends)
		backend.send('two');
	assert.deepEqual(JSON.parse(await end.next()), { seq: 2, text: 'two' });
	await stream.hears('data: two');
});
