// Clients as people use them, against backends as people write them, plain and over TLS.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import test from 'node:test';
import EventSource from 'eventsource';
import express from 'express';
import * as undici from 'undici';
import { WebSocket } from 'ws';

import { ExpressBackend, WebSocketBackend } from './lib/backends.mjs';
import { Authority } from './lib/certificates.mjs';
import { Pollux } from './lib/pollux.mjs';
import { atEnd, temporaryFolder } from './lib/scope.mjs';
import { event, eventually, within } from './lib/wait.mjs';

// An app as it might be: JSON, forms, cookies, redirects, files, a stream of events.
function app(backend) {
	return (routes) => {
		routes.use(express.json());
		routes.use(express.urlencoded({ extended: false }));
		routes.get('/hello', (request, response) => response.type('text').send('Hello'));
		routes.post('/json', (request, response) => response.json({ got: request.body }));
		routes.post('/form', (request, response) => response.json(request.body));
		routes.get('/cookie', (request, response) => {
			response.cookie('session', 'abc', { httpOnly: true }).json({ cookie: request.headers.cookie });
		});
		routes.get('/old', (request, response) => response.redirect(301, '/hello'));
		routes.get('/who', (request, response) => response.json({
			host: request.headers.host,
			protocol: request.headers['x-forwarded-proto'],
			client: request.headers['x-forwarded-for'],
		}));
		routes.put('/upload', (request, response) => {
			const hash = createHash('sha256');
			request.on('data', (chunk) => hash.update(chunk));
			request.on('end', () => response.send(hash.digest('hex')));
		});
		routes.get('/file', (request, response) => response.sendFile(backend.file));
		routes.get('/events', (request, response) => {
			response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
			const from = Number(request.headers['last-event-id'] ?? 0);
			response.write(`retry: 20\nid: ${from + 1}\ndata: number ${from + 1}\n\n`);
			response.write(`event: named\nid: ${from + 2}\ndata: two\ndata: lines\n\n`);
			backend.streams.push(response);
			backend.changed();
		});
		routes.all('/status/:code', (request, response) => response.status(Number(request.params.code)).end());
	};
}

async function start(t, scheme) {
	const isTls = scheme === 'https';
	const authority = isTls ? new Authority(t) : undefined;
	const inner = authority?.issue(['127.0.0.1']);
	const tls = inner && { cert: inner.certText, key: inner.keyText };
	const backend = { streams: [], changed: () => {} };
	const folder = temporaryFolder(t);
	const file = join(folder, 'file.bin');
	const bytes = randomBytes(300_000);

	writeFileSync(file, bytes);
	const origin = await ExpressBackend.start(t, (routes) => app(backend)(routes), { tls });
	Object.assign(backend, { file, changed: () => origin.changed() });
	const sockets = await WebSocketBackend.start(t, { tls });
	const common = isTls ? { tls: true, tls_ca: authority.file } : {};
	const pollux = await Pollux.start(t, {
		backends: {
			app: { servers: [origin], ...common },
			sockets: { servers: [sockets], ...common },
		},
		route: [{ path: '/', backend: 'app' }, { path: '/socket', backend: 'sockets' }],
		listen: isTls
			? { certificates: [authority.issue(['localhost', '127.0.0.1']).pem], alpn: ['http/1.1'] }
			: {},
	});
	return {
		backend,
		origin,
		sockets,
		pollux,
		bytes,
		authority,
		ca: authority?.certificate,
		url: (path) => pollux.url(path, { scheme, host: 'localhost' }),
	};
}

function curl(...args) {
	const child = spawn('curl', ['-s', '-S', '--max-time', '20', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
	const out = [];
	const errors = [];
	child.stdout.on('data', (chunk) => out.push(chunk));
	child.stderr.on('data', (chunk) => errors.push(chunk));
	return within(new Promise((done, fail) => {
		child.on('close', (code) => {
			if (code === 0)
				done(Buffer.concat(out));
			else
				fail(new Error(`curl ${args.join(' ')}: ${code}: ${Buffer.concat(errors)}`));
		});
	}), 'curl');
}

// One request of Node's own http or https: { status, headers, body }.
async function nodeRequest(url, { agent, ca, method = 'GET', headers, body } = {}) {
	const request = (url.startsWith('https') ? https : http).request(url, { agent, ca, method, headers });

	request.end(body);
	const response = await event(request, 'response');
	const chunks = [];
	for await (const chunk of response)
		chunks.push(chunk);
	return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks), request };
}

for (const scheme of ['http', 'https']) {
	test(`curl, ${scheme}`, async (t) => {
		const { url, authority, bytes, pollux } = await start(t, scheme);
		const ca = authority ? ['--cacert', authority.file] : [];
		const text = async (...args) => (await curl(...ca, ...args)).toString();

		assert.equal(await text(url('/hello')), 'Hello');
		assert.equal(await text('-L', url('/old')), 'Hello');
		assert.deepEqual(JSON.parse(await text('-d', 'a=1&b=2', url('/form'))), { a: '1', b: '2' });
		assert.deepEqual(JSON.parse(await text('-H', 'Content-Type: application/json', '-d', '{"x":[1]}', url('/json'))),
			{ got: { x: [1] } });
		assert.deepEqual(await curl(...ca, url('/file')), bytes);
		assert.deepEqual(await curl(...ca, '-r', '1000-1999', url('/file')), bytes.subarray(1000, 2000));
		assert.match(await text('-I', url('/file')), /^HTTP\/1\.1 200 OK\r\n[^]*\r\nContent-Length: 300000\r\n/);
		// Without --no-alpn this curl offers a protocol that is not on our list.
		assert.equal(await text('-0', '--no-alpn', url('/hello')), 'Hello');
		assert.equal(await text('-o', '/dev/null', '-w', '%{http_code}', '-X', 'DELETE', url('/status/204')), '204');
		assert.deepEqual(JSON.parse(await text(url('/who'))), {
			host: `localhost:${pollux.port}`,
			protocol: scheme,
			client: '127.0.0.1',
		});
	});

	test(`curl uploads, with and without a length, ${scheme}`, async (t) => {
		const { url, authority, backend, bytes } = await start(t, scheme);
		const ca = authority ? ['--cacert', authority.file] : [];
		const hash = createHash('sha256').update(bytes).digest('hex');

		assert.equal((await curl(...ca, '-T', backend.file, url('/upload'))).toString(), hash);
		assert.equal((await curl(...ca, '-H', 'Transfer-Encoding: chunked', '-T', backend.file, url('/upload'))).toString(), hash);
		assert.equal((await curl(...ca, '-H', 'Expect: 100-continue', '-T', backend.file, url('/upload'))).toString(), hash);
	});

	test(`curl uses one connection for many requests, ${scheme}`, async (t) => {
		const { url, authority, pollux, origin } = await start(t, scheme);
		const ca = authority ? ['--cacert', authority.file] : [];
		const n = 20;

		const shown = await curl(...ca, ...Array.from({ length: n }, () => ['-o', '/dev/null', url('/hello')]).flat(),
			'-w', '%{num_connects} ');
		assert.equal(shown.toString().trim(), `1${' 0'.repeat(n - 1)}`);
		assert.equal(origin.requests.length, n);
		assert.equal(origin.sockets.size, 1);
		await eventually(() => pollux.accessLog.lines.length === n, 'a line for each request');
	});

	test(`Node's own client with an agent that keeps connections, ${scheme}`, async (t) => {
		const { url, ca, origin } = await start(t, scheme);
		const agent = new (scheme === 'https' ? https : http).Agent({ keepAlive: true, maxSockets: 2 });

		atEnd(t, () => agent.destroy());
		const first = await nodeRequest(url('/hello'), { agent, ca });
		assert.equal(first.body.toString(), 'Hello');
		const again = await nodeRequest(url('/hello'), { agent, ca });
		assert.ok(again.request.reusedSocket);
		const all = await Promise.all(Array.from({ length: 50 }, (_, n) => nodeRequest(url('/json'), {
			agent,
			ca,
			method: 'POST',
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify({ n }),
		})));
		all.forEach(({ body }, n) => assert.deepEqual(JSON.parse(body), { got: { n } }));
		assert.ok(origin.sockets.size <= 2);
		const { headers } = await nodeRequest(url('/cookie'), { agent, ca, headers: { cookie: 'x=y' } });
		assert.deepEqual(headers['set-cookie'], ['session=abc; Path=/; HttpOnly']);
	});

	test(`undici: fetch, request, pipelining, ${scheme}`, async (t) => {
		const { url, ca, bytes } = await start(t, scheme);
		const agent = new undici.Agent({ connect: { ca } });
		const pipeliner = new undici.Pool(url('/').slice(0, -1), { connections: 1, pipelining: 10, connect: { ca } });

		atEnd(t, () => Promise.all([agent.destroy(), pipeliner.destroy()]));
		const hello = await undici.fetch(url('/hello'), { dispatcher: agent });
		assert.equal(await hello.text(), 'Hello');
		assert.equal(hello.headers.get('via'), '1.1 pollux');
		const moved = await undici.fetch(url('/old'), { dispatcher: agent });
		assert.ok(moved.redirected);
		const put = await undici.request(url('/upload'), { dispatcher: agent, method: 'PUT', body: bytes });
		assert.equal(await put.body.text(), createHash('sha256').update(bytes).digest('hex'));
		async function* parts() {
			for (let at = 0; at < bytes.length; at += 1000)
				yield bytes.subarray(at, at + 1000);
		}
		const streamed = await undici.request(url('/upload'), { dispatcher: agent, method: 'PUT', body: parts() });
		assert.equal(await streamed.body.text(), createHash('sha256').update(bytes).digest('hex'));
		const statuses = await Promise.all(Array.from({ length: 100 }, async (_, n) => {
			const { statusCode, body } = await pipeliner.request({ method: 'GET', path: `/status/${200 + n}` });
			await body.dump();
			return statusCode;
		}));
		assert.deepEqual(statuses, Array.from({ length: 100 }, (_, n) => 200 + n));
	});

	test(`undici leaves in the middle, and the backend learns of it, ${scheme}`, async (t) => {
		const { url, ca, origin, backend, pollux } = await start(t, scheme);
		const agent = new undici.Agent({ connect: { ca } });
		const control = new AbortController();

		atEnd(t, () => agent.destroy());
		const response = await undici.fetch(url('/events'), { dispatcher: agent, signal: control.signal });
		assert.equal(response.status, 200);
		const stream = await origin.until(() => backend.streams[0], 'the stream');
		const closed = event(stream, 'close');
		control.abort();
		await closed;
		const entry = await pollux.accessed({ target: '/events' });
		assert.equal(entry.reason, 'client-gone');
	});

	test(`EventSource gets events as they come, and comes back for more, ${scheme}`, async (t) => {
		const { url, ca, origin, backend } = await start(t, scheme);
		const source = new EventSource(url('/events'), { https: { ca } });
		const seen = [];
		const note = (e) => {
			seen.push(`${e.lastEventId} ${e.type} ${e.data}`);
			origin.changed();
		};

		atEnd(t, () => source.close());
		source.addEventListener('message', note);
		source.addEventListener('named', note);
		const count = (n) => origin.until(() => seen.length >= n, `${n} events`);
		await count(2);
		for (let n = 3; n <= 10; n++) {
			backend.streams[0].write(`id: ${n}\ndata: number ${n}\n\n`);
			await count(n); // each comes by itself
		}
		backend.streams[0].end();
		await count(12);
		assert.deepEqual(seen.slice(0, 3), ['1 message number 1', '2 named two\nlines', '3 message number 3']);
		assert.deepEqual(seen.slice(-2), ['11 message number 11', '12 named two\nlines']);
		const [first, second] = origin.requests;
		assert.equal(first.headers['last-event-id'], undefined);
		assert.equal(second.headers['last-event-id'], '10');
	});

	test(`ws beside HTTP on one address, ${scheme}`, async (t) => {
		const { url, ca, pollux, sockets } = await start(t, scheme);
		const open = async () => {
			const socket = new WebSocket(url('/socket/room').replace('http', 'ws'), { ca });
			atEnd(t, () => socket.terminate());
			await event(socket, 'open');
			return socket;
		};

		const all = await Promise.all(Array.from({ length: 20 }, open));
		await Promise.all(all.map(async (socket, n) => {
			for (let i = 0; i < 20; i++) {
				const echo = event(socket, 'message');
				socket.send(`${n} ${i}`);
				assert.equal((await echo)[0].toString(), `${n} ${i}`);
			}
		}));
		assert.equal((await nodeRequest(url('/hello'), { ca })).body.toString(), 'Hello');
		const ends = all.map((socket) => event(socket, 'close'));
		all.forEach((socket) => socket.close(1000));
		for (const [code] of await Promise.all(ends))
			assert.equal(code, 1000);
		await sockets.until(() => sockets.sockets.every((socket) => socket.closed), 'all closed');
		for (let n = 0; n < 20; n++)
			assert.equal((await pollux.accessed({ target: '/socket/room' })).reason, undefined);
	});
}
