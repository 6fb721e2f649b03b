// WebSockets over HTTP/2 where they are more than bytes between two ends: many on one connection,
// backends that cannot carry them, handshakes that are refused, listeners that do not offer them.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import test from 'node:test';

import { echo } from './lib/dual_backend.mjs';
import { H2Client } from './lib/h2_client.mjs';
import { LINKS, certificates, joined, openOverH1, serverTls } from './lib/h2_stage.mjs';
import { paired } from './lib/pairing.mjs';
import { atEnd } from './lib/scope.mjs';
import { stage } from './lib/stage.mjs';
import { eventually, within } from './lib/wait.mjs';
import { Wire } from './lib/wire.mjs';
import { closeFrame, readFrame, switching } from './lib/websocket_bytes.mjs';

const MIB = 1024 * 1024;
const [H2C_TO_H1, H2C_TO_H2C, , TLS_TO_TLS] = LINKS;

// The response to a handshake that is refused, with its body.
async function refusal(client, path, options) {
	const exchange = client.startWebSocket(path, options);
	exchange.read();
	await exchange.response();
	exchange.end();
	return exchange.whole();
}

for (const link of LINKS) {
	test(`many WebSockets and requests on one connection (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link);
		const n = 60;
		const all = await Promise.all(Array.from({ length: n }, () => client.webSocket('/many')));

		for (let round = 0; round < 5; round++) {
			all.forEach((end, i) => end.send(`${round} ${i} ${'x'.repeat(i * 50)}`));
			const plain = await Promise.all(Array.from({ length: 20 }, () => client.get('/')));
			assert.ok(plain.every(({ text }) => text === 'hello\n'));
			for (const [i, end] of all.entries())
				assert.equal(await end.next(), `${round} ${i} ${'x'.repeat(i * 50)}`);
		}
		for (const end of all)
			end.close(1000);
		for (const end of all)
			await end.expectOver();
		if (link.protocol === 'h2')
			assert.equal(backend.sockets.length, 1, 'one connection to the backend');
		assert.equal((await client.get('/')).status, 200);
	});

	// One of them in each direction is not read; its neighbours must not feel it.
	for (const who of ['client', 'backend']) {
		test(`a ${who} that does not read one of its WebSockets (${link.name})`, async (t) => {
			const stage = await paired(t, { ...link, client: 2, isH2Backend: link.protocol === 'h2' }, {
				environment: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
			});
			const order = (ends) => (who === 'client' ? ends : [...ends].reverse());
			const [reader, writer] = order(await stage.open('/stalled'));
			const others = [];
			for (let i = 0; i < 10; i++)
				others.push(await stage.open('/other'));
			const before = stage.pollux.memory();
			const block = randomBytes(MIB);
			reader.stall();
			for (let i = 0; i < 16; i++)
				writer.send(block);

			for (let round = 0; round < 3; round++) {
				for (const [client, backend] of others) {
					const data = randomBytes(200_000);
					client.send(data);
					assert.ok(data.equals(await backend.next()));
					backend.send(data);
					assert.ok(data.equals(await client.next()));
				}
			}
			assert.ok(writer.waiting > 8 * MIB, `${writer.waiting} bytes are held back`);
			assert.ok(stage.pollux.memory() - before < 8 * MIB,
				`${stage.pollux.memory() - before} bytes more in Pollux`);
			reader.goOn();
			assert.ok((await reader.count(16)).every((data) => data.equals(block)));
		});
	}
}

test('a TLS backend with HTTP/2 but without RFC 8441: WebSockets go over HTTP/1.1', async (t) => {
	const { backend, client, pollux, where, ca } = await joined(t, TLS_TO_TLS, {
		server: { protocol: 'auto', connectProtocol: false },
	});

	assert.equal((await client.get('/')).status, 200);
	assert.equal((await backend.take()).version, '2.0');
	for (const open of [() => client.webSocket('/ws'), () => openOverH1(t, where, '/ws', { ca })]) {
		const end = await open();
		const there = await backend.accept();
		assert.equal(there.version, '1.1');
		end.send('hello');
		assert.equal(await end.next(), 'hello');
		end.close(1000);
		await end.expectOver();
		assert.equal((await pollux.accessed({ target: '/ws' })).reason, undefined);
	}
	assert.equal((await client.get('/')).status, 200);
	assert.equal((await backend.take()).version, '2.0');
	assert.equal(backend.sessions.length, 1, 'the requests share one connection');
});

// The first to come is a WebSocket: nothing is known of the backend yet.
test('the same where nothing is known of the backend yet', async (t) => {
	const { backend, client } = await joined(t, TLS_TO_TLS, {
		server: { protocol: 'auto', connectProtocol: false },
	});
	const ends = await Promise.all(Array.from({ length: 5 }, () => client.webSocket('/ws')));

	for (const end of ends) {
		end.send('hello');
		assert.equal(await end.next(), 'hello');
		assert.equal((await backend.accept()).version, '1.1');
	}
});

test('max_connections holds for the connections that WebSockets get', async (t) => {
	const { backend, client, pollux } = await joined(t, TLS_TO_TLS, {
		server: { protocol: 'auto', connectProtocol: false },
		backend: { max_connections: 2, connect_timeout: '300ms' },
	});

	assert.equal((await client.get('/')).status, 200);
	const first = await client.webSocket('/first');
	first.send('hello');
	assert.equal(await first.next(), 'hello');
	// The other of the two carries requests, and is idle: its place can be had.
	const second = await client.webSocket('/second');
	second.send('hello');
	assert.equal(await second.next(), 'hello');
	assert.equal((await refusal(client, '/third')).status, 503);
	assert.equal((await pollux.accessed({ target: '/third' })).reason, 'no-server');
	assert.equal(backend.sessions.filter(({ closed }) => !closed).length, 0);
	second.close(1000);
	await second.expectOver();
	const fourth = await client.webSocket('/fourth');
	fourth.send('hello');
	assert.equal(await fourth.next(), 'hello');
});

for (const link of [H2C_TO_H2C, TLS_TO_TLS]) {
	test(`protocol = h2 and a backend without RFC 8441: 502, and the log says why (${link.name})`, async (t) => {
		const { backend, client, pollux, where, ca } = await joined(t, link, {
			server: { connectProtocol: false },
			backend: { protocol: 'h2' },
		});

		assert.equal((await refusal(client, '/over-h2')).status, 502);
		assert.equal((await pollux.accessed({ target: '/over-h2' })).reason, 'no-websocket');
		await assert.rejects(openOverH1(t, where, '/over-h1', { ca }), /refused with 502/);
		assert.equal((await pollux.accessed({ target: '/over-h1' })).reason, 'no-websocket');
		assert.equal((await client.get('/')).status, 200);
		assert.equal(backend.webSockets.length, 0);
	});
}

for (const link of [H2C_TO_H1, H2C_TO_H2C]) {
	test(`no sec-websocket-version over HTTP/2 means 13 (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link);
		const end = await client.webSocket('/', { headers: { 'sec-websocket-version': undefined } });

		assert.equal((await backend.accept()).headers['sec-websocket-version'], '13');
		end.send('hello');
		assert.equal(await end.next(), 'hello');
	});

	test(`another version is refused with the one that is right (${link.name})`, async (t) => {
		const { backend, client, pollux } = await joined(t, link);
		const { status, headers } = await refusal(client, '/', {
			headers: { 'sec-websocket-version': '8' },
		});

		assert.equal(status, 426);
		assert.equal(headers['sec-websocket-version'], '13');
		for (const name of ['upgrade', 'connection']) // RFC 9113 section 8.2.2
			assert.equal(headers[name], undefined, name);
		assert.equal((await pollux.accessed({})).reason, 'websocket-version');
		assert.equal(backend.webSockets.length, 0);
		assert.equal((await client.get('/')).status, 200);
	});

	test(`a protocol other than websocket gets 501 (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link);
		const { status } = await refusal(client, '/', { headers: { ':protocol': 'connect-udp' } });

		assert.equal(status, 501);
		assert.equal(backend.webSockets.length, 0);
		assert.equal((await client.get('/')).status, 200);
	});

	test(`origins that are not allowed get 403 (${link.name})`, async (t) => {
		const { backend, client, pollux } = await joined(t, link, {
			route: { allowed_origins: ['https://good.example'] },
		});

		const { status } = await refusal(client, '/', { headers: { origin: 'https://evil.example' } });
		assert.equal(status, 403);
		assert.equal((await pollux.accessed({})).reason, 'origin');
		assert.equal(backend.webSockets.length, 0);
		await client.webSocket('/', { headers: { origin: 'https://good.example' } });
		await client.webSocket('/');
	});

	test(`a backend that cannot be reached (${link.name})`, async (t) => {
		const { backend, client, pollux } = await joined(t, link);
		await backend.close();
		assert.equal((await refusal(client, '/')).status, 502);
		assert.equal((await pollux.accessed({})).reason, 'connect');
	});

	test(`a client that leaves before the handshake is answered (${link.name})`, async (t) => {
		const { backend, client, pollux } = await joined(t, link, {
			server: { webSocket: () => false },
			backend: { max_connections: 1 },
		});
		const exchange = client.startWebSocket('/left');

		if (link.protocol === 'h2') {
			const [stream] = await within(new Promise((done) => {
				backend.server.once('stream', (...given) => done(given));
			}), 'the handshake at the backend');
			const closed = within(new Promise((done) => stream.once('close', done)), 'its end');
			exchange.cancel();
			await closed;
			assert.equal(stream.rstCode, http2.constants.NGHTTP2_CANCEL);
		} else {
			await backend.until(() => backend.sockets[0], 'the connection');
			exchange.cancel();
			await backend.until(() => backend.nOpen === 0, 'its end');
		}
		const entry = await pollux.accessed({ target: '/left' });
		assert.equal(entry.reason, 'client-gone');
		assert.equal(entry.status, 499);
		assert.equal((await client.get('/')).status, 200, 'the connection has room again');
	});
}

// Whether the listener offers RFC 8441.
async function offers(t, listen, route) {
	const { client } = await joined(t, H2C_TO_H2C, { listen, route });
	return client.settings.enableConnectProtocol;
}

test('RFC 8441 is offered where WebSockets are carried', async (t) => {
	assert.equal(await offers(t, {}, {}), true);
	assert.equal(await offers(t, { http2_websocket: false }, {}), false);
	assert.equal(await offers(t, {}, { websocket: false }), false);
});

test('a handshake that was not offered is an error of its stream', async (t) => {
	const { backend, client } = await joined(t, H2C_TO_H2C, { listen: { http2_websocket: false } });
	// Node's client does not know that it may not.
	const stream = client.session.request({
		':method': 'CONNECT',
		':protocol': 'websocket',
		':path': '/',
		':scheme': 'http',
		':authority': client.authority,
	}, { endStream: false });
	stream.on('error', () => {});
	await within(new Promise((done) => stream.once('close', done)), 'the end of the stream');
	assert.equal(stream.rstCode, http2.constants.NGHTTP2_PROTOCOL_ERROR);
	assert.equal(backend.webSockets.length, 0);
	assert.equal((await client.get('/')).status, 200);
});

// A backend of HTTP/1.1 whose bytes are the test's.

async function rawTunnel(t, options) {
	const parts = await stage(t, { listen: { h2c: true }, ...options });
	parts.client.close();
	const h2 = await H2Client.connect(t, parts.pollux.where());
	const exchange = h2.startWebSocket('/raw');
	const conn = await parts.backend.accept();
	const request = await conn.readRequest();
	return { ...parts, h2, exchange, conn, request };
}

test('a 101 with another Sec-WebSocket-Accept than the key asks for is no answer', async (t) => {
	const { exchange, conn, pollux } = await rawTunnel(t);
	conn.send(switching());
	exchange.read();
	const { status } = await exchange.response();
	assert.equal(status, 502);
	assert.equal((await pollux.accessed({ target: '/raw' })).reason, 'backend-protocol');
	await conn.expectGone();
});

test('frames in one piece with the 101, and an end right behind them', async (t) => {
	const { exchange, conn, request } = await rawTunnel(t);
	const { acceptOf } = await import('./lib/websocket_bytes.mjs');
	conn.send(switching({ accept: acceptOf(request.get('Sec-WebSocket-Key')) }),
		closeFrame(1000, 'already over')).end();
	exchange.read();
	assert.equal((await exchange.response()).status, 200);
	const body = await within(exchange.until(() => exchange.hasEnded && exchange.soFar, 'its end'), 'it');
	assert.deepEqual(body, closeFrame(1000, 'already over'));
	exchange.end();
	await conn.expectEnd();
});

test('the key is another for each WebSocket', async (t) => {
	const { h2, request, backend } = await rawTunnel(t);
	h2.startWebSocket('/again');
	const other = await (await backend.accept()).readRequest();
	assert.notEqual(request.get('Sec-WebSocket-Key'), other.get('Sec-WebSocket-Key'));
});

test('a connection that is cut takes its WebSockets along, and the backend learns of it', async (t) => {
	const { backend, client, pollux } = await joined(t, H2C_TO_H2C, { server: { onWebSocket: echo } });
	for (let i = 0; i < 10; i++)
		await client.webSocket('/cut');
	await client.destroy();
	for (const end of await backend.until(() => backend.webSockets.length === 10 && backend.webSockets, 'all'))
		await end.expectAborted();
	for (let i = 0; i < 10; i++)
		assert.match((await pollux.accessed({ target: '/cut' })).reason, /^(tunnel-cut|client-gone)$/);
	assert.equal(backend.nOpen, 1, 'the connection to the backend has others to carry');
});

test('a backend connection that is cut takes its WebSockets along, the client stays', async (t) => {
	const { backend, client, pollux } = await joined(t, H2C_TO_H2C);
	const ends = [];
	for (let i = 0; i < 10; i++)
		ends.push(await client.webSocket('/cut'));
	backend.sockets[0].resetAndDestroy();
	for (const end of ends)
		await end.expectAborted();
	for (let i = 0; i < 10; i++)
		assert.equal((await pollux.accessed({ target: '/cut' })).reason, 'tunnel-cut');
	const again = await client.webSocket('/again');
	again.send('hello');
	assert.equal(await again.next(), 'hello');
	assert.equal(backend.sockets.length, 2);
});
