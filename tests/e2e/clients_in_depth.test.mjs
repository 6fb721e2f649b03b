// What clients.test.mjs shows in outline, in depth: what Node's http and https, undici, EventSource,
// ws and curl can ask of an express app, plain and with TLS on both sides, over IPv6 and over unix
// sockets.
import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import test from 'node:test';
import { gunzipSync } from 'node:zlib';

import EventSource from 'eventsource';
import { Agent, Pool, WebSocket as BrowserWebSocket, fetch, request as undiciRequest }
	from 'undici';
import { WebSocket } from 'ws';

import { App, GZIPPED, HELLO, N_EVENTS, hashOf, patterned } from './lib/app.mjs';
import { Authority } from './lib/certificates.mjs';
import { curl } from './lib/curl.mjs';
import { Pollux } from './lib/pollux.mjs';
import { atEnd, temporaryFolder } from './lib/scope.mjs';
import { event, eventually, within } from './lib/wait.mjs';

const MiB = 1024 * 1024;
const SIZE = 5 * MiB + 321;
const wantedHash = await hashOf(patterned(SIZE));
const SIDES = [['plain', false], ['TLS', true]];

// The app, Pollux in front of it, and what clients need to know: where to go, and whom to trust.
async function start(t, { isTls = false, place = {}, listen = {}, ...options } = {}) {
	const authority = isTls ? new Authority(t) : undefined;
	const inner = authority?.issue(['127.0.0.1']);
	const outer = authority?.issue(['localhost', '127.0.0.1']);
	const app = await App.start(t, {
		...place,
		tls: isTls ? { cert: inner.certText, key: inner.keyText } : undefined,
	});
	const pollux = await Pollux.start(t, {
		backend: isTls ? { servers: [app], tls: true, tls_ca: authority.file } : app,
		listen: isTls ? { certificates: [outer.pem], alpn: ['http/1.1'], ...listen } : listen,
		...options,
	});
	return {
		app,
		pollux,
		ca: authority?.certificate,
		curlTrust: isTls ? ['--cacert', authority.file] : [],
		url: (path) => pollux.url(path, { scheme: isTls ? 'https' : 'http' }),
		wsUrl: (path) => pollux.url(path, { scheme: isTls ? 'wss' : 'ws' }),
	};
}

// Node's own client.

function agentOf(t, { ca }, options = {}) {
	const agent = ca === undefined
		? new http.Agent({ keepAlive: true, ...options })
		: new https.Agent({ keepAlive: true, ca, ...options });
	atEnd(t, () => agent.destroy());
	return agent;
}

// A request whose body is the test's to write: { sent, response }.
function begin(stage, agent, path, options = {}) {
	const { request } = stage.ca === undefined ? http : https;
	const sent = request(stage.url(path), { agent, ...options });
	return { sent, response: event(sent, 'response', `the response to ${path}`) };
}

async function ask(stage, agent, path, { body, ...options } = {}) {
	const { sent, response } = begin(stage, agent, path, options);
	if (body?.pipe !== undefined)
		pipeline(body, sent).catch(() => {});
	else
		sent.end(body);
	const got = await response;
	const chunks = [];
	for await (const chunk of got)
		chunks.push(chunk);
	return {
		status: got.statusCode,
		headers: got.headers,
		body: Buffer.concat(chunks),
		isReused: sent.reusedSocket,
	};
}

async function nodeClient(t, stage) {
	const agent = agentOf(t, stage, { maxSockets: 1 });

	const first = await ask(stage, agent, '/hello');
	assert.equal(first.status, 200);
	assert.equal(first.body.toString(), HELLO);
	assert.equal(first.headers.via, '1.1 pollux');
	assert.equal(first.isReused, false);

	const head = await ask(stage, agent, '/hello', { method: 'HEAD' });
	assert.equal(head.body.length, 0);
	assert.equal(head.headers['content-length'], String(HELLO.length));
	assert.equal(head.headers.etag, first.headers.etag);

	const same = await ask(stage, agent, '/hello', {
		headers: { 'If-None-Match': first.headers.etag },
	});
	assert.equal(same.status, 304);
	assert.equal(same.headers.etag, first.headers.etag);
	assert.equal(same.headers['content-length'], undefined);
	assert.equal(same.body.length, 0);

	const posted = await ask(stage, agent, '/json', {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify({ text: 'käse', list: [1, 2] }),
	});
	assert.deepEqual(JSON.parse(posted.body), { text: 'käse', list: [1, 2] });

	const moved = await ask(stage, agent, '/moved');
	assert.equal(moved.status, 302);
	assert.equal(moved.headers.location, '/hello');

	const cookies = (await ask(stage, agent, '/login')).headers['set-cookie'];
	assert.deepEqual(cookies, ['user=Jo%20Doe; Path=/', 'theme=dark; Path=/; HttpOnly']);

	const packed = await ask(stage, agent, '/gzip', { headers: { 'Accept-Encoding': 'gzip' } });
	assert.equal(packed.headers['content-encoding'], 'gzip');
	assert.deepEqual(packed.body, GZIPPED);

	const missing = await ask(stage, agent, '/missing?a=%20b');
	assert.equal(missing.status, 404);
	assert.ok(missing.isReused, 'one connection for all of this');
}

async function nodeBodies(t, stage) {
	const agent = agentOf(t, stage);

	for (const kind of ['bytes', 'chunked']) {
		const got = await ask(stage, agent, `/${kind}/${SIZE}`);
		assert.equal(got.body.length, SIZE);
		assert.equal(await hashOf([got.body]), wantedHash);
		assert.equal(got.headers['content-length'], kind === 'bytes' ? String(SIZE) : undefined);
	}
	for (const headers of [{ 'Content-Length': SIZE }, { 'Transfer-Encoding': 'chunked' }]) {
		const got = await ask(stage, agent, '/hash', {
			method: 'PUT', headers, body: Readable.from(patterned(SIZE)),
		});
		assert.equal(got.body.toString(), wantedHash);
	}
	const chunks = await Promise.all(Array.from({ length: 8 }, async () => {
		const got = await ask(stage, agent, '/hash', {
			method: 'POST', body: Readable.from(patterned(MiB)),
		});
		return got.body.toString();
	}));
	assert.deepEqual(new Set(chunks), new Set([await hashOf(patterned(MiB))]));
}

// Both ways at once within one request: each word is answered before the next is said.
async function nodeConversation(t, stage) {
	const { sent, response } = begin(stage, agentOf(t, stage), '/converse', { method: 'POST' });

	sent.flushHeaders();
	const got = await response;
	got.setEncoding('latin1');
	for (const word of ['one', 'two', 'three']) {
		const answer = event(got, 'data', `the answer to ${word}`);
		sent.write(word);
		assert.equal(await answer, word.toUpperCase());
	}
	sent.end();
	got.resume();
	await event(got, 'end');
	assert.ok(got.complete);
}

// Each part of a response arrives before the app says the next.
async function nodeStream(t, stage) {
	const { sent, response } = begin(stage, agentOf(t, stage), '/held');

	sent.end();
	const held = await stage.app.hold();
	held.flushHeaders();
	const got = await response;
	got.setEncoding('latin1');
	for (const part of ['a', 'bb', 'ccc']) {
		const arrived = event(got, 'data', `the part ${part}`);
		held.write(part);
		assert.equal(await arrived, part);
	}
	held.destroy();
	await assert.rejects(event(got, 'end'), { code: 'ECONNRESET' });
	assert.equal(got.complete, false, 'a cut response does not look whole');
}

async function nodeAbandons(t, stage) {
	const { sent, response } = begin(stage, agentOf(t, stage), '/held');

	sent.end();
	const held = await stage.app.hold();
	const gone = event(held, 'close', 'the end of the request at the app');
	sent.destroy();
	await assert.rejects(response, { code: 'ECONNRESET' });
	await gone;
	assert.equal(held.writableFinished, false);
}

// undici.

async function undiciPool(t, stage) {
	const pool = new Pool(stage.url('').replace(/\/$/, ''), {
		connections: 6, pipelining: 8, connect: { ca: stage.ca },
	});
	atEnd(t, () => pool.destroy());
	const N = 600;
	const before = stage.app.requests.length;

	await within(Promise.all(Array.from({ length: N }, async (_, n) => {
		if (n % 20 === 0) {
			const body = Readable.from(patterned(10_000 + n));
			const { statusCode, body: answer } = await pool.request({
				path: '/hash', method: 'POST', body,
			});
			assert.equal(statusCode, 200);
			assert.equal(await answer.text(), await hashOf(patterned(10_000 + n)));
		} else if (n % 7 === 0) {
			const { body } = await pool.request({ path: `/bytes/${n * 100}`, method: 'GET' });
			assert.equal(await hashOf(body), await hashOf(patterned(n * 100)));
		} else {
			const { body } = await pool.request({ path: `/echo/number-${n}`, method: 'GET' });
			assert.deepEqual(await body.json(), { text: `number-${n}` });
		}
	})), `${N} requests`, 30_000);
	assert.equal(stage.app.requests.length - before, N, 'each was asked once');
}

async function undiciFetch(t, stage) {
	const dispatcher = new Agent({ connect: { ca: stage.ca } });
	atEnd(t, () => dispatcher.destroy());
	const get = (path, options) => fetch(stage.url(path), { dispatcher, ...options });

	const moved = await get('/moved');
	assert.ok(moved.redirected);
	assert.equal(moved.url, stage.url('/hello'));
	assert.equal(await moved.text(), HELLO);

	const put = await get('/moved', { method: 'PUT', body: 'again' });
	assert.equal(await put.text(), await hashOf(['again']));

	const packed = await get('/gzip');
	assert.equal(packed.headers.get('content-encoding'), 'gzip');
	assert.equal(await packed.text(), gunzipSync(GZIPPED).toString());

	const body = new URLSearchParams({ a: 'ä b', c: '' });
	const form = await get('/form', { method: 'POST', body });
	assert.deepEqual(await form.json(), { a: 'ä b', c: '' });

	const upload = await get('/hash', {
		method: 'POST', duplex: 'half', body: Readable.from(patterned(SIZE)),
	});
	assert.equal(await upload.text(), wantedHash);

	const abandoned = new AbortController();
	const held = get('/held', { signal: abandoned.signal });
	const response = await stage.app.hold();
	const gone = event(response, 'close', 'the end of the request at the app');
	abandoned.abort();
	await assert.rejects(held, { name: 'AbortError' });
	await gone;

	const head = await undiciRequest(stage.url('/hello'), { dispatcher, method: 'HEAD' });
	assert.equal(head.statusCode, 200);
	assert.equal(await head.body.text(), '');
}

// Event streams of the app's own.

async function eventSource(t, stage) {
	const source = new EventSource(stage.url('/events'), {
		headers: { Connection: 'keep-alive' }, // as browsers do, and Node only since version 20
		https: { ca: stage.ca },
	});
	atEnd(t, () => source.close());
	const got = [];

	const before = stage.app.requests.length;
	await within(new Promise((done) => {
		source.addEventListener('number', ({ lastEventId, data }) => {
			got.push({ lastEventId, data });
			if (got.length === N_EVENTS)
				done();
		});
	}), 'all events');
	assert.deepEqual(got, Array.from({ length: N_EVENTS }, (_, n) => ({
		lastEventId: String(n + 1),
		data: `line one of ${n + 1}\nzweite Zeile: ä€`,
	})));
	const n = stage.app.requests.length - before;
	assert.equal(n, Math.ceil(N_EVENTS / 3), 'it came back each time');
	source.close();
	await stage.app.until(() => stage.app.nGone > 0, 'the app hears that the client has left');
	stage.app.nGone = 0;
}

// WebSockets.

function openWebSocket(t, stage, protocols = [], options = {}) {
	const socket = new WebSocket(stage.wsUrl('/ws'), protocols, { ca: stage.ca, ...options });
	atEnd(t, () => socket.terminate());
	return socket;
}

// The message and its kind.
async function echoOf(socket, data) {
	const came = event(socket, 'message', 'an echo');
	socket.send(data);
	const [message, isBinary] = await came;
	return isBinary ? message : message.toString();
}

async function webSocketMessages(t, stage) {
	const large = Buffer.concat([...patterned(MiB)]);

	for (const perMessageDeflate of [false, true]) {
		const socket = openWebSocket(t, stage, ['chat.v1', 'chat.v2'], { perMessageDeflate });
		await event(socket, 'open');
		const peer = await stage.app.accept();
		assert.equal(socket.protocol, 'chat.v2');
		assert.equal(socket.extensions, perMessageDeflate ? 'permessage-deflate' : '');
		for (const text of ['', 'hello', 'ä€😀', 'x'.repeat(125), 'y'.repeat(126), 'z'.repeat(70_000)])
			assert.equal(await echoOf(socket, text), text);
		assert.equal(await echoOf(socket, 'm'.repeat(MiB)), 'm'.repeat(MiB));
		assert.deepEqual(await echoOf(socket, Buffer.from([0, 255, 128])), Buffer.from([0, 255, 128]));
		assert.ok(large.equals(await echoOf(socket, large)));

		for (const [one, other] of [[socket, peer], [peer, socket]]) {
			const ping = event(other, 'ping');
			const pong = event(one, 'pong');
			one.ping('are you there?');
			assert.equal((await ping).toString(), 'are you there?');
			assert.equal((await pong).toString(), 'are you there?');
		}
		const closed = event(socket, 'close');
		socket.close(4001, 'enough ä');
		assert.deepEqual(await stage.app.closeOf(peer), { code: 4001, reason: 'enough ä' });
		assert.equal((await closed)[0], 4001);
	}
}

async function webSocketEnds(t, stage) {
	for (const [code, reason] of [[1000, ''], [1011, 'no more'], [3000, 'r'.repeat(123)]]) {
		const socket = openWebSocket(t, stage);
		await event(socket, 'open');
		const closed = event(socket, 'close');
		(await stage.app.accept()).close(code, reason);
		const [gotCode, gotReason] = await closed;
		assert.equal(gotCode, code);
		assert.equal(gotReason.toString(), reason);
	}
	const silent = openWebSocket(t, stage);
	await event(silent, 'open');
	const closed = event(silent, 'close');
	silent.close();
	assert.deepEqual(await stage.app.closeOf(await stage.app.accept()), { code: 1005, reason: '' });
	await closed;

	const left = openWebSocket(t, stage);
	await event(left, 'open');
	left.terminate();
	assert.equal((await stage.app.closeOf(await stage.app.accept())).code, 1006);

	const cut = openWebSocket(t, stage);
	await event(cut, 'open');
	const cutCode = event(cut, 'close');
	(await stage.app.accept()).terminate();
	assert.equal((await cutCode)[0], 1006);
}

async function webSocketsAtOnce(t, stage) {
	await within(Promise.all(Array.from({ length: 40 }, async (_, n) => {
		const socket = openWebSocket(t, stage, [], { perMessageDeflate: n % 2 === 0 });
		await event(socket, 'open');
		for (let i = 0; i < 10; i++)
			assert.equal(await echoOf(socket, `${n}.${i}`), `${n}.${i}`);
		const closed = event(socket, 'close');
		socket.close(1000);
		assert.equal((await closed)[0], 1000);
	})), '40 WebSockets', 30_000);
	for (let n = 0; n < 40; n++)
		await stage.app.accept();
}

// The WebSocket of undici is that of browsers.
async function browserWebSocket(t, stage) {
	const dispatcher = new Agent({ connect: { ca: stage.ca } });
	atEnd(t, () => dispatcher.destroy());
	const socket = new BrowserWebSocket(stage.wsUrl('/ws'), { protocols: ['chat.v2'], dispatcher });
	const next = (name) => within(new Promise((done) => {
		socket.addEventListener(name, done, { once: true });
	}), `event '${name}'`);

	await next('open');
	assert.equal(socket.protocol, 'chat.v2');
	const echoed = next('message');
	socket.send('from a page');
	assert.equal((await echoed).data, 'from a page');
	const peer = await stage.app.accept();
	const closed = next('close');
	peer.close(4321, 'bye');
	const { code, reason, wasClean } = await closed;
	assert.deepEqual({ code, reason, wasClean }, { code: 4321, reason: 'bye', wasClean: true });
}

// curl.

async function curlBasics(t, stage) {
	const run = (...args) => curl(t, [...stage.curlTrust, ...args]);

	const both = await run(stage.url('/hello'), stage.url('/echo/again'));
	assert.equal(both.errors, '');
	assert.equal(both.code, 0);
	assert.equal(both.body.toString(), `${HELLO}{"text":"again"}`);
	assert.deepEqual(both.facts.map((fact) => fact.num_connects), [1, 0], 'one connection');
	const etag = both.heads[0].get('ETag');

	const same = await run('-H', `If-None-Match: ${etag}`, stage.url('/hello'));
	assert.equal(same.heads[0].line, 'HTTP/1.1 304 Not Modified');
	assert.equal(same.body.length, 0);

	const head = await run('-I', stage.url('/hello'), stage.url('/chunked/1000'), stage.url('/hello'));
	assert.deepEqual(head.facts.map((fact) => fact.http_code), [200, 200, 200]);
	assert.deepEqual(head.facts.map((fact) => fact.num_connects), [1, 0, 0]);
	assert.equal(head.heads[0].get('Content-Length'), String(HELLO.length));

	const moved = await run('-L', stage.url('/moved'));
	assert.equal(moved.facts[0].num_redirects, 1);
	assert.equal(moved.body.toString(), HELLO);

	const packed = await run('--compressed', stage.url('/gzip'));
	assert.deepEqual(packed.body, gunzipSync(GZIPPED));
	assert.deepEqual((await run(stage.url('/gzip'))).body, GZIPPED, 'nobody unpacks it on the way');

	const jar = join(temporaryFolder(t), 'cookies');
	await run('-c', jar, stage.url('/login'));
	const cookies = await run('-b', jar, stage.url('/cookies'));
	assert.deepEqual(cookies.body.toString().split('; ').sort(), ['theme=dark', 'user=Jo%20Doe']);

	const form = await run('--data-urlencode', 'a=ä & b', '-d', 'c=', stage.url('/form'));
	assert.deepEqual(JSON.parse(form.body), { a: 'ä & b', c: '' });

	const none = await run('-X', 'POST', '-d', '', stage.url('/hash'));
	assert.equal(none.body.toString(), await hashOf([]));
}

async function curlBodies(t, stage) {
	const run = (args, options) => curl(t, [...stage.curlTrust, ...args], options);
	const input = Buffer.concat([...patterned(SIZE)]);
	const file = join(temporaryFolder(t), 'upload');
	writeFileSync(file, input);

	const length = await run(['-T', file, stage.url('/hash')]);
	assert.equal(length.body.toString(), wantedHash);
	assert.equal(length.facts[0].size_upload, SIZE);
	const chunked = await run(['-T', '-', stage.url('/hash')], { input });
	assert.equal(chunked.body.toString(), wantedHash);
	for (const kind of ['bytes', 'chunked']) {
		const got = await run([stage.url(`/${kind}/${SIZE}`)]);
		assert.equal(await hashOf([got.body]), wantedHash);
	}
}

async function curlExpects(t, stage) {
	const expect = [...stage.curlTrust, '-H', 'Expect: 100-continue', '--expect100-timeout', '60',
		'--data-binary', '@-', '-H', 'Content-Type: application/octet-stream'];
	const input = Buffer.concat([...patterned(100_000)]);

	const went = await curl(t, [...expect, stage.url('/hash')], { input });
	assert.equal(went.body.toString(), await hashOf([input]));
	assert.deepEqual(went.heads.map(({ line }) => line), ['HTTP/1.1 100 Continue', 'HTTP/1.1 200 OK']);

	const chunked = await curl(t, [...expect, '-H', 'Transfer-Encoding: chunked', stage.url('/hash')],
		{ input });
	assert.equal(chunked.body.toString(), await hashOf([input]));
}

// Over TLS curl offers "http/1.0" and nothing else.
async function curlOld(t, stage) {
	const run = (args, options) => {
		return curl(t, [...stage.curlTrust, '-0', ...args], options);
	};

	for (const kind of ['bytes', 'chunked']) {
		const got = await run([stage.url(`/${kind}/200000`)]);
		assert.equal(got.code, 0, got.errors);
		assert.equal(await hashOf([got.body]), await hashOf(patterned(200_000)));
		assert.equal(got.heads[0].get('Transfer-Encoding'), undefined);
		assert.equal(got.heads[0].get('Connection'), 'close');
	}
	const posted = await run(['--data-binary', '@-', stage.url('/hash')], { input: 'old times' });
	assert.equal(posted.body.toString(), await hashOf(['old times']));
	const kept = await run(['-H', 'Connection: keep-alive', stage.url('/hello'), stage.url('/facts')]);
	assert.deepEqual(kept.facts.map((fact) => fact.num_connects), [1, 0]);
	const [, json] = kept.body.toString().split(HELLO);
	assert.equal(JSON.parse(json).httpVersion, '1.1', 'Pollux speaks its own version');
}

async function curlParallel(t, stage) {
	const urls = Array.from({ length: 60 }, (_, n) => stage.url(`/echo/p${n}`));
	const got = await curl(t, [...stage.curlTrust, '-Z', '--parallel-max', '20', ...urls]);

	assert.equal(got.code, 0, got.errors);
	const texts = [...got.body.toString().matchAll(/\{"text":"(p\d+)"\}/g)].map(([, text]) => text);
	assert.equal(texts.length, 60);
	assert.equal(new Set(texts).size, 60);
}

const CLIENTS = {
	'a keep-alive agent of Node': nodeClient,
	'uploads and downloads of Node': nodeBodies,
	'a conversation within one request': nodeConversation,
	'a stream arrives as it is made, and its cut shows': nodeStream,
	'a client that leaves is missed by the app': nodeAbandons,
	'a pool of undici, with pipelining': undiciPool,
	'fetch of undici': undiciFetch,
	EventSource: eventSource,
	'messages of WebSockets': webSocketMessages,
	'ends of WebSockets': webSocketEnds,
	'many WebSockets at once': webSocketsAtOnce,
	'the WebSocket of browsers': browserWebSocket,
	curl: curlBasics,
	'uploads and downloads of curl': curlBodies,
	'curl waits for 100 Continue': curlExpects,
	'curl with HTTP/1.0': curlOld,
	'curl, sixty at a time': curlParallel,
};

for (const [side, isTls] of SIDES) {
	test(`clients over ${side}`, async (t) => {
		const stage = await start(t, { isTls });
		for (const [name, run] of Object.entries(CLIENTS))
			await t.test(`${name} (${side})`, (sub) => run(sub, stage));
	});
}

test('ranges and dates of files', async (t) => {
	const file = join(temporaryFolder(t), 'file.bin');
	const content = Buffer.concat([...patterned(100_000)]);
	writeFileSync(file, content);
	const stage = await start(t, { place: { file } });
	const agent = agentOf(t, stage);

	const whole = await ask(stage, agent, '/file');
	assert.ok(whole.body.equals(content));
	assert.equal(whole.headers['last-modified'], new Date(statSync(file).mtime).toUTCString());
	const part = await ask(stage, agent, '/file', { headers: { Range: 'bytes=1000-1999' } });
	assert.equal(part.status, 206);
	assert.equal(part.headers['content-range'], 'bytes 1000-1999/100000');
	assert.ok(part.body.equals(content.subarray(1000, 2000)));
	const beyond = await ask(stage, agent, '/file', { headers: { Range: 'bytes=100000-' } });
	assert.equal(beyond.status, 416);
	const since = { 'If-Modified-Since': whole.headers['last-modified'] };
	assert.equal((await ask(stage, agent, '/file', { headers: since })).status, 304);

	const tail = await curl(t, ['-r', '-500', stage.url('/file')]);
	assert.ok(tail.body.equals(content.subarray(-500)));
	const half = join(temporaryFolder(t), 'half');
	writeFileSync(half, content.subarray(0, 50_000));
	const resumed = await curl(t, ['-C', '-', '-o', half, stage.url('/file')]);
	assert.equal(resumed.facts[0].http_code, 206);
	assert.equal(statSync(half).size, 100_000);
	assert.equal((await curl(t, ['-z', file, stage.url('/file')])).facts[0].http_code, 304);
});

test('an app that refuses before the body comes', async (t) => {
	const refuses = (request, response) => {
		response.writeHead(413, { 'Content-Type': 'text/plain' }).end('no, thank you\n');
	};
	const stage = await start(t, { place: { refuses } });
	const got = await curl(t, ['-H', 'Expect: 100-continue', '--expect100-timeout', '60',
		'--data-binary', '@-', stage.url('/hash')], { input: 'x'.repeat(10 * MiB) });

	assert.equal(got.facts[0].http_code, 413);
	assert.equal(got.facts[0].size_upload, 0);
	assert.equal(got.body.toString(), 'no, thank you\n');
	assert.deepEqual(got.heads.map(({ line }) => line), ['HTTP/1.1 413 Payload Too Large']);
});

test('an app on a unix socket', async (t) => {
	const stage = await start(t, { place: { path: 'app.sock' } });
	const agent = agentOf(t, stage);

	assert.equal((await ask(stage, agent, '/hello')).body.toString(), HELLO);
	const put = await ask(stage, agent, '/hash', {
		method: 'PUT', body: Readable.from(patterned(SIZE)),
	});
	assert.equal(put.body.toString(), wantedHash);
	const socket = openWebSocket(t, stage);
	await event(socket, 'open');
	assert.equal(await echoOf(socket, 'u'.repeat(MiB)), 'u'.repeat(MiB));
	assert.equal((await stage.pollux.accessed({ target: '/hello' })).server, stage.app.address);
});

test('clients on a unix socket', async (t) => {
	const stage = await start(t, { listen: { path: 'front.sock' } });
	const { path: socketPath } = stage.pollux.where();

	const got = await curl(t, ['--unix-socket', socketPath, 'http://app.example/facts']);
	assert.equal(JSON.parse(got.body).headers.host, 'app.example');
	const socket = new WebSocket(`ws+unix:${socketPath}:/ws`);
	atEnd(t, () => socket.terminate());
	await event(socket, 'open');
	assert.equal(await echoOf(socket, 'over a file'), 'over a file');
});

test('IPv6 on both sides', async (t) => {
	const stage = await start(t, { place: { host: '::1' }, listen: { host: '::1' } });
	const url = `http://[::1]:${stage.pollux.port}`;

	const got = await curl(t, ['-g', '-6', `${url}/facts`]);
	assert.equal(got.code, 0, got.errors);
	const { headers } = JSON.parse(got.body);
	assert.equal(headers.host, `[::1]:${stage.pollux.port}`);
	assert.equal(headers['x-forwarded-for'], '::1');
	const { body } = await undiciRequest(`${url}/bytes/100000`);
	assert.equal(await hashOf(body), await hashOf(patterned(100_000)));
	const socket = new WebSocket(`ws://[::1]:${stage.pollux.port}/ws`);
	atEnd(t, () => socket.terminate());
	await event(socket, 'open');
	assert.equal(await echoOf(socket, 'six'), 'six');
	const entry = await stage.pollux.accessed({ target: '/facts' });
	assert.equal(entry.client, '::1');
	assert.equal(entry.server, stage.app.address);
});

test('the app learns about its client, and nothing that the client made up', async (t) => {
	for (const isTls of [false, true]) {
		const stage = await start(t, { isTls });
		const got = await curl(t, [...stage.curlTrust, '-H', 'X-Forwarded-For: 6.6.6.6',
			'-H', 'X-Forwarded-Proto: gopher', '-H', 'TE: trailers', '-A', 'agent/1',
			stage.url('/facts')]);
		const { headers } = JSON.parse(got.body);
		assert.equal(headers['x-forwarded-for'], '127.0.0.1');
		assert.equal(headers['x-forwarded-proto'], isTls ? 'https' : 'http');
		assert.equal(headers.host, `127.0.0.1:${stage.pollux.port}`);
		assert.equal(headers['user-agent'], 'agent/1');
		assert.equal(headers.via, '1.1 pollux');
		assert.equal(headers.te, undefined);
	}
});

test('clients refuse a certificate of another authority, or for another name', async (t) => {
	const stage = await start(t, { isTls: true });
	const other = new Authority(t);

	const foreign = await curl(t, ['--cacert', other.file, stage.url('/hello')]);
	assert.equal(foreign.code, 60);
	const name = ['--connect-to', `other.example:443:127.0.0.1:${stage.pollux.port}`];
	const misnamed = await curl(t, [...stage.curlTrust, ...name, 'https://other.example/hello']);
	assert.equal(misnamed.code, 60);
	for (const version of ['1.2', '1.3']) {
		const got = await curl(t, [...stage.curlTrust, `--tlsv${version}`, '--tls-max', version,
			stage.url('/hello')]);
		assert.equal(got.body.toString(), HELLO);
		await stage.pollux.accessed({ tls: `TLSv${version}` });
	}
	await assert.rejects(ask({ ...stage, ca: other.certificate },
		agentOf(t, { ca: other.certificate }), '/hello'));
	assert.deepEqual(stage.app.requests.map((line) => line.split(' ')[1]), ['/hello', '/hello']);
});

test('clients that come and go leave no descriptor behind', async (t) => {
	const stage = await start(t);
	const before = stage.pollux.descriptors();

	for (let round = 0; round < 3; round++) {
		await Promise.all(Array.from({ length: 20 }, async () => {
			const agent = agentOf(t, stage);
			await ask(stage, agent, '/hello', { headers: { Connection: 'close' } });
			const socket = openWebSocket(t, stage);
			await event(socket, 'open');
			socket.terminate();
		}));
	}
	// Idle connections to the app may stay: not more than were needed at once.
	await eventually(() => stage.pollux.descriptors() <= before + 20, 'descriptors are closed');
});
