// What HTTP means does not depend on the version that carries it: a client of HTTP/2, and backends of
// both versions.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import test from 'node:test';

import { hashOf, patterned } from './lib/app.mjs';
import { answer } from './lib/dual_app.mjs';
import { ordinary } from './lib/dual_backend.mjs';
import { LINKS, joined } from './lib/h2_stage.mjs';

const MIB = 1024 * 1024;

// The request as the backend had it.
async function asked(stage, method, path, options) {
	const nBefore = stage.backend.requests.length;
	const response = await stage.client.ask(method, path, options);
	return { response, request: stage.backend.requests[nBefore] };
}

async function heads(t, stage, link) {
	const isH1 = link.protocol === 'http/1.1';

	await t.test('the request line and fields are translated, nothing is added but Via', async () => {
		const { request } = await asked(stage, 'GET', '/hello?q=%20a&b', {
			headers: { 'x-own': '1', 'user-agent': 'test', priority: 'u=1, i', accept: '*/*' },
		});
		const fields = {
			'x-own': '1', 'user-agent': 'test', priority: 'u=1, i', accept: '*/*', via: '2.0 pollux',
		};
		const authority = stage.client.authority;
		assert.equal(request.method, 'GET');
		assert.equal(request.target, '/hello?q=%20a&b');
		assert.equal(request.version, isH1 ? '1.1' : '2.0');
		if (isH1) {
			const { connection, ...rest } = request.headers;
			assert.match(connection ?? 'keep-alive', /^keep-alive$/i);
			assert.deepEqual(rest, { ...fields, host: authority });
		} else {
			assert.equal(request.headers[':authority'], authority);
			assert.equal(request.headers[':scheme'], link.isTls ? 'https' : 'http');
			assert.deepEqual(ordinary(request.headers), fields);
		}
		const entry = await stage.pollux.accessed({ target: '/hello?q=%20a&b' });
		assert.match(entry.version, /^2(\.0)?$/);
		assert.equal(entry.host, authority);
		assert.equal(entry.status, 200);
	});

	await t.test('fields of the response pass as they are', async () => {
		const { headers, text } = await stage.client.get('/fields');
		assert.equal(headers.date, 'Mon, 01 Jan 2024 00:00:00 GMT');
		assert.equal(headers['alt-svc'], 'h3=":443"; ma=60');
		assert.deepEqual(headers['set-cookie'], ['a=1; Path=/', 'b=2']);
		assert.equal(headers['content-length'], '2');
		assert.equal(headers['x-odd'], '"~\\,;=');
		assert.equal(headers.via, isH1 ? '1.1 pollux' : '2.0 pollux');
		for (const name of ['connection', 'keep-alive', 'transfer-encoding'])
			assert.equal(headers[name], undefined, name);
		assert.equal(text, 'ok');
	});

	await t.test('crumbs of Cookie are one field for HTTP/1.1', async () => {
		const { request } = await asked(stage, 'GET', '/hello', {
			headers: { cookie: ['a=1', 'b=2', 'c="3; 4"'] },
		});
		assert.equal(request.headers.cookie, 'a=1; b=2; c="3; 4"');
		if (isH1) {
			const raw = request.request.rawHeaders;
			assert.equal(raw.filter((name, i) => i % 2 === 0 && /^cookie$/i.test(name)).length, 1);
		}
	});

	await t.test('HEAD, 204 and 304 have no body, and keep their fields', async () => {
		const head = await stage.client.ask('HEAD', '/sized');
		assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, '5', '']);
		const get = await stage.client.get('/sized');
		assert.deepEqual([get.headers['content-length'], get.text], ['5', 'sized']);
		const empty = await stage.client.get('/empty');
		assert.deepEqual([empty.headers['content-length'], empty.text], ['0', '']);
		const none = await stage.client.ask('DELETE', '/204');
		assert.deepEqual([none.status, none.headers['content-length'], none.text], [204, undefined, '']);
		const same = await stage.client.get('/304');
		assert.deepEqual([same.status, same.headers.etag, same.text], [304, '"x"', '']);
	});

	await t.test('a body with a length, without one, and none', async () => {
		for (const [options, length] of [
			[{ body: 'abc', headers: { 'content-length': '3' } }, '3'],
			[{ body: 'abc' }, undefined],
			[{ body: '', headers: { 'content-length': '0' } }, '0'],
		]) {
			const { request, response } = await asked(stage, 'POST', '/hash', options);
			assert.equal(request.headers['content-length'], length);
			assert.equal(request.headers['transfer-encoding'],
				isH1 && length === undefined ? 'chunked' : undefined);
			assert.equal(response.text, createHash('sha256').update(options.body).digest('hex'));
		}
		const { request } = await asked(stage, 'GET', '/hello');
		assert.equal(request.headers['content-length'], undefined);
		assert.equal(request.headers['transfer-encoding'], undefined);
	});
}

async function interim(t, stage, link) {
	await t.test('103, twice, then the response', async () => {
		const { interim: hints, status, text } = await stage.client.get('/hints');
		assert.deepEqual(hints.map(({ status: code, headers }) => [code, headers.link]), [
			[103, '</a.css>; rel=preload'],
			[103, '</b.css>; rel=preload'],
		]);
		assert.equal(hints[0].headers['x-n'], '1');
		assert.deepEqual([status, text], [200, 'after the hints']);
	});

	await t.test('Expect: 100-continue, and the body after it', async () => {
		const exchange = stage.client.start('POST', '/expects', {
			headers: { expect: '100-continue' },
			isOpen: true,
		});
		await exchange.until(() => exchange.interim.some(({ status }) => status === 100), 'a 100');
		exchange.end('the body');
		const { status, text } = await exchange.whole();
		assert.deepEqual([status, text], [200, 'the body']);
	});

	await t.test('Expect: 100-continue, and a refusal at once', async () => {
		const exchange = stage.client.start('POST', '/expects-not', {
			headers: { expect: '100-continue' },
			isOpen: true,
		});
		const { status, text, interim: before } = await exchange.whole();
		assert.deepEqual([status, text, before], [403, 'not you', []]);
		exchange.end();
		await exchange.over();
	});

	await t.test('trailers of the request and of the response', async () => {
		const { request, response } = await asked(stage, 'POST', '/trailers', {
			headers: { te: 'trailers' },
			body: 'some',
			trailers: { 'x-checksum': '42', 'x-signed': 'yes' },
		});
		if (link.protocol === 'h2')
			assert.equal(request.headers.te, 'trailers');
		assert.deepEqual(ordinary(request.request.trailers), { 'x-checksum': '42', 'x-signed': 'yes' });
		assert.match(response.text, /^with trailers /);
		assert.deepEqual(ordinary(response.trailers), { 'x-sum': 'abc', 'x-more': '1' });
	});
}

async function bodies(t, stage, link) {
	await t.test('20 MiB each way', async () => {
		const down = await stage.client.get('/bytes');
		const wanted = await hashOf(patterned(20 * MIB));
		assert.equal(createHash('sha256').update(down.body).digest('hex'), wanted);
		const up = await stage.client.ask('PUT', '/hash', { body: Buffer.concat([...patterned(20 * MIB)]) });
		assert.equal(up.text, wanted);
	});

	await t.test('both ways at once: each part is answered before the next is sent', async () => {
		const exchange = stage.client.start('POST', '/converse', { isOpen: true });
		let heard = '';
		for (const word of ['one ', 'two ', 'three ']) {
			exchange.send(word);
			heard += word.toUpperCase();
			await exchange.hears(heard);
		}
		exchange.end();
		assert.equal((await exchange.whole()).text, `${heard}.`);
	});

	await t.test('a response that ends before the request: whole, then RST_STREAM with NO_ERROR', async () => {
		const exchange = stage.client.start('POST', '/too-much', { isOpen: true });
		exchange.send(randomBytes(1000));
		const { status, text } = await exchange.whole();
		assert.deepEqual([status, text], [413, 'too much']);
		await exchange.expectReset(http2.constants.NGHTTP2_NO_ERROR);
		assert.equal((await stage.client.get('/hello')).text, 'hello\n');
	});

	await t.test('a hundred requests at once', async () => {
		const all = await Promise.all(Array.from({ length: 100 }, (_, n) =>
			stage.client.ask('POST', '/hash', { body: `body ${n}` })));
		all.forEach(({ text }, n) => {
			assert.equal(text, createHash('sha256').update(`body ${n}`).digest('hex'));
		});
		if (link.protocol === 'h2')
			assert.equal(stage.backend.sockets.length, 1, 'all on one connection');
	});

	await t.test('a request that is given up is given up at the backend', async () => {
		const nBefore = stage.backend.requests.length;
		const exchange = stage.client.start('GET', '/never');
		const { request, response } = await stage.backend.until(() => stage.backend.requests[nBefore],
			'the request');
		exchange.cancel();
		await stage.backend.until(() => response.destroyed || request.aborted || response.closed
			|| request.stream?.closed, 'its end at the backend');
		if (link.protocol === 'h2')
			assert.equal(request.stream.rstCode, http2.constants.NGHTTP2_CANCEL);
		const entry = await stage.pollux.accessed({ target: '/never' });
		assert.deepEqual([entry.status, entry.reason], [499, 'client-gone']);
	});
}

for (const link of LINKS) {
	test(`HTTP, ${link.name}`, async (t) => {
		const stage = await joined(t, link, { server: { answer } });
		await heads(t, stage, link);
		await interim(t, stage, link);
		await bodies(t, stage, link);
	});
}

for (const link of LINKS.slice(0, 2)) {
	test(`a response that is not read holds its backend back, and no other (${link.name})`, async (t) => {
		const stage = await joined(t, link, {
			server: { answer },
			environment: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
		});
		const { client, pollux } = stage;
		const before = pollux.memory();
		const stalled = Array.from({ length: 2 }, () => client.start('GET', '/bytes', { isStalled: true }));
		for (const exchange of stalled)
			await exchange.response();
		assert.equal((await client.get('/bytes')).body.length, 20 * MIB);
		assert.ok(pollux.memory() - before < 8 * MIB, `${pollux.memory() - before} bytes more`);
		const wanted = await hashOf(patterned(20 * MIB));
		for (const exchange of stalled) {
			exchange.read();
			const { body } = await exchange.whole();
			assert.equal(createHash('sha256').update(body).digest('hex'), wanted);
		}
	});

	test(`the backend is told of the client (${link.name})`, async (t) => {
		const { backend, client } = await joined(t, link, { route: { forwarded: 'both' } });
		await client.get('/', { 'x-forwarded-for': '1.2.3.4', forwarded: 'for=evil' });
		const { headers } = await backend.take();
		assert.equal(headers['x-forwarded-for'], '127.0.0.1');
		assert.equal(headers['x-forwarded-proto'], 'http');
		assert.equal(headers['x-forwarded-host'], client.authority);
		assert.match(headers.forwarded, /^for=127\.0\.0\.1;/);
		assert.match(headers.forwarded, /proto=http/);
	});
}
