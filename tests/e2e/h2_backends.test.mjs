// Backends of HTTP/2: connections that carry many requests, how they end, and what becomes of the
// requests then.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import test from 'node:test';

import { DualBackend } from './lib/dual_backend.mjs';
import { H2Client } from './lib/h2_client.mjs';
import { PREFACE, goaway, headers, settings } from './lib/h2_frames.mjs';
import { LINKS, certificates, joined, linked, serverTls } from './lib/h2_stage.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { connect, get } from './lib/stage.mjs';
import { Tap } from './lib/tap.mjs';
import { eventually, pass } from './lib/wait.mjs';
import { resetStream } from './lib/websocket_end.mjs';

const {
	NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR,
	NGHTTP2_REFUSED_STREAM,
} = http2.constants;
const [, H2C_TO_H2C, , TLS_TO_TLS] = LINKS;
const H2_LINKS = [H2C_TO_H2C, TLS_TO_TLS];

// A backend that leaves answers to the test.
const SILENT = { answer: () => {} };

// How many streams each connection of the backend has carried.
function perConnection(backend) {
	const counts = new Map(backend.sessions.map((session) => [session, 0]));
	for (const { session } of backend.requests)
		counts.set(session, counts.get(session) + 1);
	return [...counts.values()].sort((a, b) => b - a);
}

// The requests, once all of them are there.
function allOf(backend, n) {
	return backend.until(() => backend.requests.length >= n && backend.requests, `${n} requests`);
}

// What a backend has certainly not acted on is sent again, whatever its method, on a connection that is
// new or has served before.
const RETRIED = ['GET', 'POST'].flatMap((method) => [
	{ method, when: 'on a new connection', start() {} },
	{
		method,
		when: 'on a connection in use',
		async start(backend, client) {
			const first = client.get('/');
			(await backend.take()).response.end('ok');
			await first;
		},
	},
]);

for (const link of H2_LINKS) {
	test(`many requests, one connection (${link.name})`, async (t) => {
		const { backend, client, connect: again } = await joined(t, link);
		await client.get('/');
		for (let round = 0; round < 3; round++) {
			const all = await Promise.all(Array.from({ length: 80 }, () => client.get('/')));
			assert.ok(all.every(({ text }) => text === 'hello\n'));
		}
		const other = await again();
		assert.equal((await other.get('/')).text, 'hello\n');
		assert.equal(backend.sockets.length, 1, 'clients share it');
		const [session] = backend.sessions;
		assert.equal(session.remoteSettings.enablePush, false, 'nobody could take a push');
	});

	test(`http2_max_streams: more than these go on another connection (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link, {
			backend: { http2_max_streams: 10 },
			server: SILENT,
		});
		const first = client.get('/');
		(await backend.take()).response.end('first');
		await first;
		const all = Array.from({ length: 25 }, () => client.get('/'));
		await allOf(backend, 26);
		assert.equal(backend.sockets.length, 3);
		assert.deepEqual(perConnection(backend), [11, 10, 5]);
		for (const { response } of backend.requests.slice(1))
			response.end('ok');
		assert.ok((await Promise.all(all)).every(({ text }) => text === 'ok'));
	});

	for (const isCold of [false, true]) {
		const when = isCold ? 'before its settings are known' : 'as they say';
		test(`MAX_CONCURRENT_STREAMS of the backend is kept ${when} (${link.name})`, async (t) => {
			let n = 0;
			let most = 0;
			const { backend, client } = await joined(t, link, {
				server: {
					settings: { maxConcurrentStreams: 4 },
					answer({ stream: { session } }, response) {
						session.n = (session.n ?? 0) + 1;
						most = Math.max(most, session.n);
						n++;
						setTimeout(() => {
							session.n--;
							response.end('ok');
						}, 20);
					},
				},
			});
			if (!isCold)
				await client.get('/');
			const all = await Promise.all(Array.from({ length: 40 }, () => client.get('/')));
			assert.deepEqual(all.filter(({ text }) => text !== 'ok').map(({ status }) => status), []);
			assert.equal(n, isCold ? 40 : 41, 'none was sent twice');
			assert.ok(most <= 4, `${most} at a time`);
			assert.ok(backend.sockets.length >= 2, 'it takes more connections');
		});
	}

	test(`an unused connection is closed after idle_timeout (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link, { backend: { idle_timeout: '200ms' } });
		await client.get('/');
		await backend.until(() => backend.nOpen === 0, 'the close');
		assert.equal((await client.get('/')).status, 200);
		assert.equal(backend.sockets.length, 2);
	});

	// GOAWAY.

	for (const { method, when, start } of RETRIED) {
		test(`REFUSED_STREAM for a ${method} ${when}: it is sent again (${link.name})`, async (t) => {
			const { backend, client, pollux } = await joined(t, link, { server: SILENT });
			await start(backend, client);
			const exchange = client.start(method, '/again');
			resetStream((await backend.take()).request.stream, NGHTTP2_REFUSED_STREAM);
			(await backend.take()).response.end('the second');
			assert.equal((await exchange.whole()).text, 'the second');
			assert.equal((await pollux.accessed({ target: '/again' })).reason, undefined);
		});
	}

	for (const method of ['GET', 'POST']) {
		test(`GOAWAY with a last stream below a ${method}: it is sent again (${link.name})`, async (t) => {
			const { backend, client, pollux } = await joined(t, link, { server: SILENT });
			const before = client.start('GET', '/before');
			const { session, response: late } = await backend.take();
			const exchange = client.start(method, '/again');
			const { request: { stream } } = await backend.take();
			backend.sayGoaway(session, stream.id - 2);
			const again = await backend.take();
			assert.notEqual(again.session, session);
			again.response.end('the second');
			assert.equal((await exchange.whole()).text, 'the second');
			assert.equal((await pollux.accessed({ target: '/again' })).reason, undefined);
			late.end('as it was');
			assert.equal((await before.whole()).text, 'as it was');
		});
	}

	test(`a server that refuses streams, or goes away in order, has not failed (${link.name})`, async (t) => {
		const { backend, client, pollux } = await joined(t, link, {
			backend: { max_fails: 1, fail_timeout: '1m' },
			server: {
				answer({ stream }, response) {
					const n = backend.requests.length;
					if (n % 4 === 1) {
						resetStream(stream, NGHTTP2_REFUSED_STREAM);
					} else {
						response.end('ok');
						if (n % 4 === 0)
							backend.sayGoaway(stream.session);
					}
				},
			},
		});
		for (let n = 0; n < 9; n++)
			assert.equal((await client.get('/')).text, 'ok');
		assert.ok(!pollux.log.has(/is down/), pollux.log.text());
	});

	test(`GOAWAY above what is under way: that is finished, what is new goes elsewhere (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link, { server: SILENT });
		const old = client.start('GET', '/old');
		const first = await backend.take();
		first.response.write('begun ');
		await old.hears('begun');
		backend.sayGoaway(first.session, first.request.stream.id);
		await eventually(async () => {
			const exchange = client.start('GET', '/new');
			const { session, response } = await backend.take();
			response.end('new');
			await exchange.whole();
			return session !== first.session;
		}, 'a request on another connection');
		first.response.end('and done');
		assert.equal((await old.whole()).text, 'begun and done');
	});

	test(`session.close() of a server, as at a restart, loses no request (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link, {
			server: {
				answer(request, response) {
					setTimeout(() => response.end('ok'), 10);
					if (request.url === '/restart')
						request.stream.session?.close();
				},
			},
		});
		const all = Array.from({ length: 60 }, (_, n) => client.get(n % 10 === 5 ? '/restart' : '/'));
		for (const { status, text } of await Promise.all(all))
			assert.deepEqual([status, text], [200, 'ok']);
		assert.equal(backend.requests.length, 60);
	});

	// RST_STREAM.

	test(`REFUSED_STREAM for ever: a few tries, then 502 (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link, {
			server: { answer: ({ stream }) => resetStream(stream, NGHTTP2_REFUSED_STREAM) },
		});
		const { status } = await client.get('/');
		assert.ok(status === 502 || status === 503, `${status}`);
		assert.equal(backend.requests.length, 2, 'retries = 1');
	});

	test(`REFUSED_STREAM for a request with a body: all of it is sent again, or 502 (${link.name})`, async (t) => {
		let n = 0;
		const { client } = await joined(t, link, {
			server: {
				answer(request, response) {
					if (n++ === 0)
						resetStream(request.stream, NGHTTP2_REFUSED_STREAM);
					else
						request.pipe(response);
				},
			},
		});
		const body = 'x'.repeat(100_000);
		const { status, text } = await client.ask('POST', '/', { body });
		if (status === 200)
			assert.equal(text, body);
		else
			assert.equal(status, 502);
	});

	test(`RST_STREAM before the head of a response (${link.name})`, async (t) => {
		const { backend, client, pollux } = await joined(t, link, { server: SILENT });
		// Not idempotent, and perhaps done: RFC 9110 section 9.2.2.
		const post = client.start('POST', '/post');
		resetStream((await backend.take()).request.stream, NGHTTP2_INTERNAL_ERROR);
		assert.equal((await post.whole()).status, 502);
		assert.equal((await pollux.accessed({ target: '/post' })).reason, 'backend-gone');
		assert.equal(backend.requests.length, 1);
		const next = client.start('GET', '/');
		(await backend.take()).response.end('ok');
		assert.equal((await next.whole()).text, 'ok');
		assert.equal(backend.sockets.length, 1, 'the connection is not to blame');
	});

	test(`RST_STREAM in the middle of a body: the client sees a cut (${link.name})`, async (t) => {
		const { backend, client, pollux, where, ca } = await joined(t, link, {
			server: { answer: (request, response) => response.write('begun') },
		});
		for (const code of [NGHTTP2_INTERNAL_ERROR, NGHTTP2_CANCEL]) {
			const exchange = client.start('GET', '/cut');
			await exchange.hears('begun');
			resetStream((await backend.take()).request.stream, code);
			await exchange.expectReset(NGHTTP2_INTERNAL_ERROR);
			assert.equal((await pollux.accessed({ target: '/cut' })).reason, 'backend-cut');
		}
		// The same to a client of HTTP/1.1: a chunked body without its last chunk.
		const wire = await connect(t, pollux, ca === undefined ? where : { tls: { ca } });
		wire.send(get('/cut'));
		await wire.readUntil('begun\r\n');
		resetStream((await backend.take()).request.stream, NGHTTP2_CANCEL);
		await wire.expectGone();
		assert.equal(wire.peek().toString('latin1'), '');
		assert.equal(backend.sockets.length, 1);
	});

	test(`a response that ends, and then NO_ERROR for an upload that goes on (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link, {
			server: {
				answer({ stream }) {
					stream.respond({ ':status': 413 });
					stream.end('too much');
				},
			},
		});
		const exchange = client.start('POST', '/', { isOpen: true });
		exchange.send('x'.repeat(100));
		const { status, text } = await exchange.whole();
		assert.deepEqual([status, text], [413, 'too much']);
		await exchange.expectReset(NGHTTP2_NO_ERROR);
		assert.equal((await client.ask('POST', '/', { body: 'y' })).status, 413);
		assert.equal(backend.sockets.length, 1);
	});

	for (const [what, body] of [['shorter', 'short'], ['longer', 'much longer than said']]) {
		test(`a response that is ${what} than its content-length is not whole (${link.name})`, async (t) => {
			const { client, pollux } = await joined(t, link, {
				server: {
					answer({ stream }) {
						stream.respond({ ':status': 200, 'content-length': '10' });
						stream.end(body);
					},
				},
			});
			const exchange = client.start('GET', '/');
			await exchange.over();
			const { status } = exchange.head ?? {};
			assert.ok(status === 502 || !exchange.hasEnded, `${status}, ${exchange.received} bytes, an end`);
			assert.match((await pollux.accessed({})).reason, /^backend-(cut|protocol)$/);
		});
	}

	test(`response_timeout resets the stream, and no other (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link, {
			backend: { response_timeout: '200ms', retries: 0 },
			server: {
				answer(request, response) {
					if (request.url === '/stream')
						response.write('begun');
				},
			},
		});
		const neighbour = client.start('GET', '/stream');
		await neighbour.hears('begun');
		const { response } = await backend.take();
		assert.equal((await client.get('/mute')).status, 504);
		const { request: { stream } } = await backend.take();
		await backend.until(() => stream.closed, 'the reset');
		assert.equal(stream.rstCode, NGHTTP2_CANCEL);
		response.end(' and done');
		assert.equal((await neighbour.whole()).text, 'begun and done');
		assert.equal(backend.sockets.length, 1);
	});

	// The connection.

	test(`a connection that is cut under requests: 502, or again where that is safe (${link.name})`, async (t) => {
		const { backend, client, pollux } = await joined(t, link, { server: SILENT });
		const first = client.get('/');
		(await backend.take()).response.end('ok');
		await first;
		const post = client.start('POST', '/post', { body: 'x' });
		const safe = client.start('GET', '/get');
		const half = client.start('GET', '/half');
		const all = await allOf(backend, 4);
		all.find(({ target }) => target === '/half').response.write('begun');
		await half.hears('begun');
		backend.sockets[0].destroy();
		assert.equal((await post.whole()).status, 502);
		assert.equal((await pollux.accessed({ target: '/post' })).reason, 'backend-gone');
		await half.expectReset(NGHTTP2_INTERNAL_ERROR);
		assert.equal((await pollux.accessed({ target: '/half' })).reason, 'backend-cut');
		const again = (await allOf(backend, 5))[4];
		assert.equal(again.target, '/get');
		again.response.end('again');
		assert.equal((await safe.whole()).text, 'again');
	});

	test(`a backend that goes away, and comes back (${link.name})`, async (t) => {
		const { backend, client, pollux } = await joined(t, link, { backend: { max_fails: 0 } });
		await client.get('/');
		const { port } = backend;
		await backend.close();
		assert.equal((await client.get('/gone')).status, 502);
		assert.equal((await pollux.accessed({ target: '/gone' })).reason, 'connect');
		const next = http2[link.isTls ? 'createSecureServer' : 'createServer'](
			link.isTls ? serverTls() : {}, (request, response) => response.end('back'));
		await new Promise((done) => next.listen(port, '127.0.0.1', done));
		t.after(() => next.close());
		assert.equal((await client.get('/')).text, 'back');
	});

	test(`GOAWAY with an error, and the end (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link, { server: SILENT });
		const post = client.start('POST', '/post', { body: 'x' });
		const { session } = await backend.take();
		session.destroy(undefined, NGHTTP2_ENHANCE_YOUR_CALM);
		assert.equal((await post.whole()).status, 502);
		const next = client.start('GET', '/');
		(await backend.take()).response.end('ok');
		assert.equal((await next.whole()).text, 'ok');
	});

	test(`an upload that its backend does not read is held back, its neighbours are not (${link.name})`, async (t) => {
		const MIB = 1024 * 1024;
		const { backend, client, pollux } = await joined(t, link, {
			environment: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
			server: {
				answer(request, response) {
					if (request.url === '/stalled')
						request.pause();
					else
						request.pipe(response);
				},
			},
		});
		const before = pollux.memory();
		const body = Buffer.alloc(24 * MIB, 'x');
		const stalled = client.start('PUT', '/stalled', { isOpen: true });
		stalled.end(body);
		const { request, response } = await backend.take();
		for (let n = 0; n < 10; n++) {
			const { text } = await client.ask('POST', '/echo', { body: 'y'.repeat(300_000) });
			assert.equal(text.length, 300_000);
		}
		assert.ok(stalled.stream.writableLength > 12 * MIB, `${stalled.stream.writableLength} held back`);
		assert.ok(pollux.memory() - before < 6 * MIB, `${pollux.memory() - before} bytes more`);
		let size = 0;
		request.on('data', (chunk) => (size += chunk.length));
		request.on('end', () => response.end('all')).resume();
		assert.equal((await stalled.whole()).text, 'all');
		assert.equal(size, body.length);
	});
}

test('http2_queue: when many uploads wait, their connection waits, and no other', async (t) => {
	const { backend, client, pollux, connect: another } = await joined(t, H2C_TO_H2C, {
		listen: { http2_queue: '256k', body_timeout: '1m' },
		environment: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
		server: {
			answer(request, response) {
				if (request.url === '/stalled')
					request.pause();
				else
					request.pipe(response);
			},
		},
	});
	const before = pollux.memory();
	const size = 1024 * 1024;
	const stalled = Array.from({ length: 20 }, () =>
		client.start('PUT', '/stalled', { body: Buffer.alloc(size, 'x') }));
	await allOf(backend, 20);
	const waiting = client.start('POST', '/echo', { body: 'y'.repeat(300_000) });
	// What has no body needs no window.
	for (let n = 0; n < 5; n++)
		assert.equal((await client.get('/')).status, 200);
	const other = await another();
	assert.equal((await other.ask('POST', '/echo', { body: 'y'.repeat(300_000) })).text.length, 300_000);
	assert.ok(pollux.memory() - before < 6 * size, `${pollux.memory() - before} bytes more`);
	for (const { target, request, response } of backend.requests) {
		let n = 0;
		if (target === '/stalled')
			request.on('data', (chunk) => (n += chunk.length)).on('end', () => response.end(`${n}`)).resume();
	}
	for (const exchange of stalled)
		assert.equal((await exchange.whole()).text, String(size));
	assert.equal((await waiting.whole()).text.length, 300_000);
});

test('two servers: each has its share, and what one refuses the other answers', async (t) => {
	const servers = [await DualBackend.start(t), await DualBackend.start(t)];
	const pollux = await Pollux.start(t, {
		backend: { servers, protocol: 'h2' },
		listen: { h2c: true },
	});
	const client = await H2Client.connect(t, pollux.where());
	for (let n = 0; n < 20; n++)
		assert.equal((await client.get('/')).status, 200);
	for (const { requests, sockets } of servers)
		assert.deepEqual([requests.length, sockets.length], [10, 1]);
	servers[0].answer = ({ stream }) => resetStream(stream, NGHTTP2_REFUSED_STREAM);
	for (let n = 0; n < 20; n++)
		assert.equal((await client.ask('POST', '/')).text, 'hello\n');
});

test('WebSockets and requests share the streams of a connection', async (t) => {
	const { backend, client } = await joined(t, H2C_TO_H2C, { backend: { http2_max_streams: 10 } });
	const ends = [];
	for (let n = 0; n < 15; n++)
		ends.push(await client.webSocket('/ws'));
	assert.equal(backend.sockets.length, 2);
	assert.equal((await Promise.all(Array.from({ length: 5 }, () => client.get('/')))).length, 5);
	assert.equal(backend.sockets.length, 2);
	for (const end of ends) {
		end.send('x');
		assert.equal(await end.next(), 'x');
		end.close(1000);
		await end.expectOver();
	}
});

// Before any request was taken, as from a server that is about to leave.
for (const method of ['GET', 'POST']) {
	test(`GOAWAY with no last stream for a ${method} on a new connection: it is sent again`, async (t) => {
		const backend = await RawBackend.start(t);
		const pollux = await Pollux.start(t, {
			backend: { servers: [backend], protocol: 'h2' },
			listen: { h2c: true },
		});
		const client = await H2Client.connect(t, pollux.where());
		const exchange = client.start(method, '/again');
		// What a connection begins with, and the request's HEADERS on stream 1.
		const begun = async () => {
			const conn = await backend.accept();
			await conn.readUntil(PREFACE);
			conn.send(settings());
			await conn.readUntil(Buffer.from([0, 0, 0, 1]));
			return conn;
		};
		(await begun()).send(goaway(0));
		const second = await begun();
		second.send(headers(1, [[':status', '200'], ['x-try', '2']], { endStream: true }));
		const { status, headers: fields } = await exchange.whole();
		assert.deepEqual([status, fields['x-try']], [200, '2']);
		assert.equal((await pollux.accessed({ target: '/again' })).reason, undefined);
	});
}

// PING.

// A connection to the backend through a tap, which may fall silent.
async function tapped(t, options) {
	const backend = await DualBackend.start(t, SILENT);
	const tap = await Tap.start(t, { host: '127.0.0.1', port: backend.port });
	const pollux = await Pollux.start(t, {
		backend: { servers: [tap], protocol: 'h2', http2_ping: '200ms', ...options },
		listen: { h2c: true },
	});
	const client = await H2Client.connect(t, pollux.where());
	return { backend, tap, pollux, client };
}

test('http2_ping: a connection that is dead is found out, and not used again', async (t) => {
	const { backend, tap, client, pollux } = await tapped(t);
	const posts = ['/a', '/b'].map((path) => client.start('POST', path, { body: 'x' }));
	await allOf(backend, 2);
	const began = Date.now();
	const conn = await tap.accept();
	conn.client.pause();
	conn.server.pause();
	for (const post of posts) {
		const { status } = await post.whole();
		assert.ok(status === 502 || status === 504, `${status}`);
	}
	assert.ok(Date.now() - began >= 200 && Date.now() - began < 5000, `${Date.now() - began} ms`);
	for (let n = 0; n < 2; n++)
		assert.notEqual((await pollux.accessed({ method: 'POST' })).reason, undefined);
	const next = client.start('GET', '/next');
	(await allOf(backend, 3))[2].response.end('alive');
	assert.equal((await next.whole()).text, 'alive');
	assert.equal(tap.conns.length, 2);
});

test('http2_ping: a backend that takes its time answers pings, and is left alone', async (t) => {
	const { backend, tap, client } = await tapped(t);
	const exchange = client.start('GET', '/slow');
	const { session, response } = await backend.take();
	let nPings = 0;
	session.on('ping', () => nPings++);
	await pass(1200);
	response.end('at last');
	assert.equal((await exchange.whole()).text, 'at last');
	assert.ok(nPings >= 2, `${nPings} pings`);
	assert.equal(tap.conns.length, 1);
});

// Which version is spoken.

async function version(t, server, backendOptions) {
	const tls = server.tls ? serverTls() : undefined;
	const backend = await DualBackend.start(t, { ...server, tls });
	const pollux = await Pollux.start(t, {
		backend: {
			servers: [backend],
			...(tls === undefined ? {} : { tls: true, tls_ca: certificates().caFile }),
			...backendOptions,
		},
		listen: { h2c: true },
	});
	const client = await H2Client.connect(t, pollux.where());
	const { status } = await client.get('/');
	const entry = await pollux.accessed({});
	return status === 200 ? backend.requests[0].version : entry.reason;
}

test('the version that a backend is spoken to in', async (t) => {
	for (const [name, server, options, wanted] of [
		['auto in the clear', { protocol: 'http/1.1' }, {}, '1.1'],
		['auto over TLS, both', { protocol: 'auto', tls: true }, {}, '2.0'],
		['auto over TLS, HTTP/1.1 alone', { protocol: 'http/1.1', tls: true }, {}, '1.1'],
		['auto over TLS, HTTP/2 alone', { protocol: 'h2', tls: true }, {}, '2.0'],
		['http/1.1 over TLS, both', { protocol: 'auto', tls: true }, { protocol: 'http/1.1' }, '1.1'],
		['h2 over TLS, both', { protocol: 'auto', tls: true }, { protocol: 'h2' }, '2.0'],
		['h2 in the clear', { protocol: 'h2' }, { protocol: 'h2' }, '2.0'],
	])
		await t.test(name, async (t) => assert.equal(await version(t, server, options), wanted));

	await t.test('h2 over TLS, HTTP/1.1 alone: an error', async (t) =>
		assert.match(await version(t, { protocol: 'http/1.1', tls: true }, { protocol: 'h2' }),
			/^backend-(tls|protocol)$/));
	await t.test('h2 in the clear, HTTP/1.1 alone: an error', async (t) =>
		assert.match(await version(t, { protocol: 'http/1.1' }, { protocol: 'h2' }),
			/^backend-(protocol|gone)$/));
});

test('max_connections: when all connections are full, 503', async (t) => {
	const { backend, client, pollux } = await joined(t, H2C_TO_H2C, {
		backend: { max_connections: 1, http2_max_streams: 5, connect_timeout: '200ms' },
		server: SILENT,
	});
	const held = Array.from({ length: 5 }, () => client.start('GET', '/held'));
	await allOf(backend, 5);
	assert.equal((await client.get('/more')).status, 503);
	assert.equal((await pollux.accessed({ target: '/more' })).reason, 'no-server');
	for (const { response } of backend.requests)
		response.end('ok');
	for (const exchange of held)
		assert.equal((await exchange.whole()).text, 'ok');
	const next = client.start('GET', '/');
	(await allOf(backend, 6))[5].response.end('ok');
	assert.equal((await next.whole()).status, 200);
});

// Clients of HTTP/1.1 before a backend of HTTP/2.

test('HTTP/1.1 to HTTP/2: heads and bodies', async (t) => {
	const { backend, pollux } = await linked(t, H2C_TO_H2C, {
		server: {
			answer(request, response) {
				if (request.url === '/sized')
					response.setHeader('content-length', '2');
				if (request.url === '/trailers')
					response.addTrailers({ 'x-sum': '1' });
				request.on('data', () => {}).on('end', () => response.end('ok'));
			},
		},
	});
	const wire = await connect(t, pollux);
	wire.send('POST /a?b HTTP/1.1\r\nHost: Example.org\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Own: Ab\r\n'
		+ 'Cookie: a=1; b=2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n');
	const first = await wire.readResponse();
	const { headers, request } = await backend.take();
	assert.equal(headers[':authority'], 'Example.org');
	assert.equal(headers[':path'], '/a?b');
	assert.equal(headers[':scheme'], 'http');
	assert.equal(headers['x-own'], 'Ab');
	assert.equal(headers['x-hop'], undefined);
	assert.equal(headers.host, undefined);
	assert.equal(headers.cookie, 'a=1; b=2');
	assert.equal(headers.via, '1.1 pollux');
	assert.equal(request.trailers['x-t'], '1');
	assert.equal(first.get('Transfer-Encoding'), 'chunked');
	assert.equal(first.body.toString(), 'ok');
	assert.equal(first.get('Via'), '2.0 pollux');

	wire.send(get('/sized'));
	assert.equal((await wire.readResponse()).get('Content-Length'), '2');
	wire.send('HEAD /sized HTTP/1.1\r\nHost: a\r\n\r\n');
	assert.equal((await wire.readResponse({ method: 'HEAD' })).get('Content-Length'), '2');
	wire.send(get('/trailers', 'TE: trailers\r\nConnection: TE\r\n'));
	assert.deepEqual((await wire.readResponse()).trailers.map((line) => line.toLowerCase()), ['x-sum: 1']);
	wire.send('GET /old HTTP/1.0\r\n\r\n');
	const old = await wire.readAll();
	assert.match(old.toString(), /^HTTP\/1\.1 200 OK\r\n(?!.*Transfer-Encoding)[^]*\r\n\r\nok$/i);
	assert.equal(backend.sockets.length, 1);
});

test('HTTP/1.1 to HTTP/2: interim responses and Expect', async (t) => {
	const { pollux } = await linked(t, H2C_TO_H2C, {
		server: {
			answer(request, response) {
				response.writeEarlyHints({ link: '</a.css>' });
				if (request.expectsContinue)
					response.writeContinue();
				request.pipe(response);
			},
		},
	});
	const wire = await connect(t, pollux);
	wire.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
	assert.match((await wire.readHead()).line, /^HTTP\/1\.1 103 /);
	assert.match((await wire.readHead()).line, /^HTTP\/1\.1 100 /);
	wire.send('body');
	assert.equal((await wire.readResponse()).body.toString(), 'body');
});
