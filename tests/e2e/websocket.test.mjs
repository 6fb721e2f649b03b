// WebSockets end to end: the tunnel carries what is not Pollux's own, exactly.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import test from 'node:test';
import { WebSocket } from 'ws';

import { WebSocketBackend } from './lib/backends.mjs';
import { Authority } from './lib/certificates.mjs';
import { page } from './lib/pages.mjs';
import { Pollux } from './lib/pollux.mjs';
import { connect, get, ok, stage } from './lib/stage.mjs';
import { event, pass, within } from './lib/wait.mjs';
import { ACCEPT, OPCODE, closeFrame, frame, handshake, readFrame, switching } from './lib/websocket_bytes.mjs';
import { atEnd } from './lib/scope.mjs';

async function start(t, { isTls = false, backend: backendOptions, route, ...options } = {}) {
	const authority = isTls && new Authority(t);
	const inner = isTls && authority.issue(['127.0.0.1']);
	const outer = isTls && authority.issue(['localhost', '127.0.0.1']);
	const backend = await WebSocketBackend.start(t, {
		...backendOptions,
		tls: isTls ? { cert: inner.certText, key: inner.keyText } : undefined,
	});
	const pollux = await Pollux.start(t, {
		backend: isTls
			? { servers: [backend], tls: true, tls_ca: authority.file }
			: backend,
		listen: isTls ? { certificates: [outer.pem] } : {},
		route,
		...options,
	});
	const open = async (path = '/', protocols = [], wsOptions = {}) => {
		const socket = new WebSocket(pollux.url(path, { scheme: isTls ? 'wss' : 'ws' }), protocols, {
			ca: authority ? authority.certificate : undefined,
			...wsOptions,
		});
		socket.messages = [];
		socket.on('message', (data, isBinary) => socket.messages.push(isBinary ? data : data.toString()));
		socket.on('error', () => {});
		atEnd(t, () => socket.terminate());
		await event(socket, 'open');
		return socket;
	};
	return { backend, pollux, open };
}

function nextMessage(socket, ms) {
	return event(socket, 'message', 'a message', ms);
}

function closeOf(socket) {
	return within(new Promise((done) => {
		socket.once('close', (code, reason) => done({ code, reason: reason.toString() }));
	}), 'the close of a WebSocket');
}

for (const [name, isTls] of [['plain', false], ['TLS', true]]) {
	test(`messages of all sizes come back as they went (${name})`, async (t) => {
		const { pollux, open } = await start(t, { isTls });
		const socket = await open('/echo', [], { perMessageDeflate: false });

		for (const size of [0, 1, 125, 126, 127, 65535, 65536, 1024 * 1024, 16 * 1024 * 1024]) {
			const data = randomBytes(size);
			socket.send(data);
			const [echo, isBinary] = await nextMessage(socket);
			assert.ok(isBinary && data.equals(echo), `${size} bytes`);
		}
		socket.send('Grüße, 世界 🌍');
		const [text, isBinary] = await nextMessage(socket);
		assert.ok(!isBinary);
		assert.equal(text.toString(), 'Grüße, 世界 🌍');
		socket.close(4001, 'enough');
		assert.deepEqual(await closeOf(socket), { code: 4001, reason: 'enough' });
		const entry = await pollux.accessed({ target: '/echo' });
		assert.equal(entry.status, 101);
		assert.equal(entry.tunnel, true);
		assert.equal(entry.reason, undefined);
		assert.ok(entry.response_bytes > 17 * 1024 * 1024 && entry.request_bytes > 17 * 1024 * 1024);
	});

	test(`thousands of messages keep their order, both ways at once (${name})`, async (t) => {
		const { backend, open } = await start(t, { isTls, backend: { onSocket: () => {} } });
		const socket = await open();
		const other = await backend.accept();
		const n = 5000;
		const got = [];

		other.on('message', (data) => got.push(data.toString()));
		const all = Promise.all([
			within(new Promise((done) => other.on('message', () => got.length === n && done())), 'all at the backend'),
			within(new Promise((done) => socket.on('message', () => socket.messages.length === n && done())), 'all at the client'),
		]);
		for (let i = 0; i < n; i++) {
			socket.send(`up ${i} ${'x'.repeat(i % 300)}`);
			other.send(`down ${i} ${'y'.repeat(i % 700)}`);
		}
		await all;
		got.forEach((text, i) => assert.ok(text.startsWith(`up ${i} `)));
		socket.messages.forEach((text, i) => assert.ok(text.startsWith(`down ${i} `)));
	});

	test(`compression is the ends' own matter (${name})`, async (t) => {
		const { backend, open } = await start(t, { isTls, backend: { perMessageDeflate: { threshold: 0 } } });
		const socket = await open('/', [], { perMessageDeflate: { threshold: 0 } });
		const text = 'compressible '.repeat(10_000);

		assert.match(socket.extensions, /permessage-deflate/);
		socket.send(text);
		const [echo] = await nextMessage(socket);
		assert.equal(echo.toString(), text);
		assert.match((await backend.accept()).extensions, /permessage-deflate/);
	});

	test(`a backend that does not read holds its client back, and nothing is lost (${name})`, async (t) => {
		const { backend, pollux, open } = await start(t, {
			isTls,
			backend: { onSocket: () => {} },
			environment: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
		});
		const socket = await open('/', [], { perMessageDeflate: false });
		const other = await backend.accept();
		const before = pollux.memory();
		const sent = createHash('sha256');
		const got = createHash('sha256');
		const block = randomBytes(1024 * 1024);
		let size = 0;

		other.pause();
		for (let n = 0; n < 64; n++) {
			socket.send(block);
			sent.update(block);
		}
		const last = await open(); // Pollux has seen what there was to see
		last.send('x');
		await backend.accept();
		assert.ok(socket.bufferedAmount > 32 * 1024 * 1024, `${socket.bufferedAmount} held back`);
		assert.ok(pollux.memory() - before < 6 * 1024 * 1024, `${pollux.memory() - before} bytes more`);
		const all = within(new Promise((done) => other.on('message', (data) => {
			got.update(data);
			if ((size += data.length) === 64 * block.length)
				done();
		})), 'all of it');
		other.resume();
		await all;
		assert.equal(got.digest('hex'), sent.digest('hex'));
	});
}

test('subprotocols, cookies and own fields pass both ways', async (t) => {
	const { backend, open } = await start(t, {
		backend: { handleProtocols: (protocols) => [...protocols].at(-1) },
	});
	const socket = await open('/chat?room=1', ['one', 'two'], { headers: { Cookie: 'a=b', 'X-Own': '1' } });
	await backend.accept();

	assert.equal(socket.protocol, 'two');
	const [request] = backend.requests;
	assert.equal(request.url, '/chat?room=1');
	assert.equal(request.headers['sec-websocket-protocol'], 'one,two');
	assert.equal(request.headers.cookie, 'a=b');
	assert.equal(request.headers['x-own'], '1');
	assert.equal(request.headers['x-forwarded-for'], '127.0.0.1');
	assert.equal(request.headers.via, '1.1 pollux');
});

test('fields of the 101 pass, as far as they are not of the hop', async (t) => {
	const { backend, client } = await stage(t);

	client.send(handshake());
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(switching({ fields: { 'Set-Cookie': 'a=b', 'Sec-WebSocket-Protocol': 'chat', 'Keep-Alive': '1' } }));
	await client.expect('HTTP/1.1 101 Switching Protocols\r\n', `Sec-WebSocket-Accept: ${ACCEPT}\r\n`,
		'Set-Cookie: a=b\r\nSec-WebSocket-Protocol: chat\r\nVia: 1.1 pollux\r\n',
		'Connection: upgrade\r\nUpgrade: websocket\r\n\r\n');
});

test('ping, pong and close pass untouched', async (t) => {
	const { backend, open } = await start(t);
	const socket = await open();
	const other = await backend.accept();

	other.ping('are you there');
	assert.equal((await event(socket, 'ping')).toString(), 'are you there');
	assert.equal((await event(other, 'pong')).toString(), 'are you there');
	const closed = closeOf(socket);
	other.close(3999, 'bye');
	assert.deepEqual(await closed, { code: 3999, reason: 'bye' });
	assert.deepEqual(await backend.closeOf(other), { code: 3999, reason: 'bye' });
});

test('a refusal of the backend reaches the client', async (t) => {
	const { open } = await start(t, { backend: { verifyClient: (_, done) => done(false, 401, 'Who are you?') } });

	await assert.rejects(open(), /Unexpected server response: 401/);
});

test('an ordinary request on the path of a WebSocket', async (t) => {
	const { pollux } = await start(t);
	const client = await connect(t, pollux);

	client.send(get());
	const response = await client.readResponse();
	assert.equal(response.status, 426);
	assert.equal(response.body.toString(), 'a WebSocket, please\n');
});

test('other versions than 13 are refused by Pollux with the version that is right', async (t) => {
	const { backend, client } = await stage(t);

	client.send(handshake({ fields: { 'Sec-WebSocket-Version': '8' } }));
	await client.expect(page('websocket-version'));
	client.send(handshake());
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(switching());
	assert.equal((await client.readResponse()).status, 101);
});

// A raw tunnel: both ends are wires.

async function tunnel(t, options) {
	const parts = await stage(t, options);
	parts.client.send(handshake());
	parts.conn = await parts.backend.accept();
	await parts.conn.readRequest();
	parts.conn.send(switching());
	await parts.client.readResponse();
	return parts;
}

test('bytes pass as they are, frames or not', async (t) => {
	const { conn, client } = await tunnel(t);
	const junk = randomBytes(100_000);

	client.send(junk);
	assert.deepEqual(await conn.read(junk.length), junk);
	conn.send(junk);
	assert.deepEqual(await client.read(junk.length), junk);
	for (const byte of 'one by one') {
		client.send(byte);
		await conn.expect(byte);
	}
});

test('when one side ends the other may go on', async (t) => {
	const { pollux, conn, client } = await tunnel(t);

	client.send('last words').end();
	await conn.expect('last words');
	await conn.expectEnd();
	for (let n = 0; n < 3; n++) {
		conn.send(`still here ${n}`);
		await client.expect(`still here ${n}`);
	}
	conn.end();
	await client.expectEnd();
	const entry = await pollux.accessed({ tunnel: true });
	assert.equal(entry.reason, undefined);
});

test('the log shows the client of a tunnel behind a trusted proxy', async (t) => {
	const { pollux, open } = await start(t, { program: { trusted_proxies: ['127.0.0.1'] } });
	const socket = await open('/', [], { headers: { 'X-Forwarded-For': '192.0.2.7' } });

	socket.close();
	assert.equal((await pollux.accessed({ tunnel: true })).client, '192.0.2.7');
});

test('when the backend ends first the client may go on', async (t) => {
	const { conn, client } = await tunnel(t);

	conn.send('last words').end();
	await client.expect('last words');
	await client.expectEnd();
	client.send('still here').end();
	await conn.expect('still here');
	await conn.expectEnd();
});

for (const [who, other] of [['client', 'conn'], ['conn', 'client']]) {
	test(`when the ${who === 'conn' ? 'backend' : who} is cut off the other side is, too`, async (t) => {
		const parts = await tunnel(t);

		parts[who].send('words');
		await parts[other].expect('words');
		parts[who].reset();
		await parts[other].expectGone();
		assert.equal((await parts.pollux.accessed({ tunnel: true })).reason, 'tunnel-cut');
	});
}

test('tunnel_timeout: nothing in either direction ends it, a byte in any prolongs it', async (t) => {
	const { pollux, conn, client } = await tunnel(t, { route: { tunnel_timeout: '300ms' } });
	const began = Date.now();

	for (let n = 0; n < 4; n++) {
		await pass(150);
		(n % 2 ? client : conn).send('x');
		await (n % 2 ? conn : client).expect('x');
	}
	await client.expectGone();
	await conn.expectGone();
	assert.ok(Date.now() - began >= 800, `${Date.now() - began} ms`);
	assert.equal((await pollux.accessed({ tunnel: true })).reason, 'tunnel-timeout');
});

test('tunnels outlive the timeouts of requests', async (t) => {
	const { conn, client } = await tunnel(t, {
		listen: { header_timeout: '50ms', idle_timeout: '50ms', body_timeout: '50ms', write_timeout: '50ms' },
		backend: { response_timeout: '50ms', read_timeout: '50ms', write_timeout: '50ms', idle_timeout: '50ms' },
	});

	await pass(400);
	client.send('still');
	await conn.expect('still');
	conn.send('here');
	await client.expect('here');
});

test('Origin: only those of the list, and clients without one', async (t) => {
	const { backend, open } = await start(t, { route: { allowed_origins: ['https://good.example'] } });

	await assert.rejects(open('/', [], { origin: 'https://evil.example' }), /Unexpected server response: 403/);
	assert.equal(backend.sockets.length, 0);
	await open('/', [], { origin: 'https://good.example' });
	await open();
});

// SIGTERM.

test('on SIGTERM both sides get a Close 1001 between frames', async (t) => {
	const { backend, pollux, open } = await start(t, { program: { drain: '10s' } });
	const socket = await open();
	const other = await backend.accept();

	socket.send('hello');
	await nextMessage(socket);
	const closed = closeOf(socket);
	pollux.signal('SIGTERM');
	assert.equal((await closed).code, 1001);
	assert.equal((await backend.closeOf(other)).code, 1001);
	assert.deepEqual(await pollux.left(), { code: 0, signal: null });
});

test('on SIGTERM a frame on its way is completed before the Close', async (t) => {
	const { pollux, conn, client } = await tunnel(t, { program: { drain: '10s' } });
	const down = frame({ payload: 'x'.repeat(1000) });
	const up = frame({ payload: 'y'.repeat(1000), mask: Buffer.from('abcd') });

	conn.send(down.subarray(0, 500));
	client.send(up.subarray(0, 500));
	await client.expect(down.subarray(0, 500));
	await conn.expect(up.subarray(0, 500));
	await pollux.drain();
	conn.send(down.subarray(500), frame({ payload: 'too late' }));
	client.send(up.subarray(500));
	await client.expect(down.subarray(500));
	await conn.expect(up.subarray(500));
	for (const wire of [client, conn]) {
		const close = await readFrame(wire);
		assert.equal(close.opcode, OPCODE.close);
		assert.equal(close.code, 1001);
		assert.equal(close.masked, wire === conn);
	}
	client.send(closeFrame(1001, '', { mask: true })).end();
	conn.send(closeFrame(1001)).end();
	assert.deepEqual(await pollux.left(), { code: 0, signal: null });
	assert.equal(conn.peek().toString('latin1'), '');
});

test('on SIGTERM each side gets one Close, also where the other had sent its own', async (t) => {
	const { pollux, conn, client } = await tunnel(t, { program: { drain: '10s' } });

	conn.send(closeFrame(4000, 'mine'));
	assert.equal((await readFrame(client)).code, 4000);
	await pollux.drain();
	client.send(closeFrame(4000, '', { mask: true })).end();
	assert.equal((await readFrame(conn)).opcode, OPCODE.close);
	conn.end();
	await client.expectEnd();
	await conn.expectEnd();
	assert.deepEqual(await pollux.left(), { code: 0, signal: null });
});

test('a tunnel that does not answer the Close is cut when the drain is over', async (t) => {
	const { pollux, conn, client } = await tunnel(t, { program: { drain: '300ms' } });
	const began = Date.now();

	pollux.signal('SIGTERM');
	assert.equal((await readFrame(client)).code, 1001);
	assert.equal((await readFrame(conn)).code, 1001);
	assert.deepEqual(await pollux.left(), { code: 0, signal: null });
	assert.ok(Date.now() - began >= 290);
	await client.expectGone();
	await conn.expectGone();
});

test('a handshake during the drain gets 503 and when to come again', async (t) => {
	const { backend, pollux, client } = await stage(t, { program: { drain: '10s' } });
	const slow = await connect(t, pollux);

	slow.send(get('/slow'));
	const conn = await backend.accept();
	await conn.readRequest();
	client.send('GET / HTTP/1.1\r\n'); // the head has begun: the connection stays for it
	await connect(t, pollux); // by now Pollux has read it
	await pollux.drain();
	client.send(handshake().replace('GET / HTTP/1.1\r\n', ''));
	await client.expect(page('drain', { closes: true }));
	await client.expectEnd();
	conn.send(ok());
	const { status } = await slow.readResponse();
	assert.equal(status, 200);
	assert.deepEqual(await pollux.left(), { code: 0, signal: null });
	assert.equal(backend.conns.length, 1);
});
