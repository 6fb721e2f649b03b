// What a client of HTTP/2 may not do, how long it may take, and how a connection ends.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import http2 from 'node:http2';
import https from 'node:https';
import test from 'node:test';
import { promisify } from 'node:util';

import { H2Client } from './lib/h2_client.mjs';
import { LINKS, certificates, joined, linked } from './lib/h2_stage.mjs';
import { page } from './lib/pages.mjs';
import { connect, get, passedOk, stage } from './lib/stage.mjs';
import { event } from './lib/wait.mjs';

const {
	NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_INTERNAL_ERROR,
} = http2.constants;
const [H2C_TO_H1, H2C_TO_H2C, TLS_TO_H1] = LINKS;
const LAST_OF_ALL = 2 ** 31 - 1;

// Refused with a status; the connection stays.
async function refused(stage, method, path, options, [status, reason]) {
	const { client, pollux, backend } = stage;
	const nBefore = backend.requests.length;
	const response = await client.ask(method, path, options);
	assert.equal(response.status, status);
	const entry = await pollux.accessed({ status, reason });
	assert.match(entry.version, /^2/);
	assert.equal((await client.get('/')).status, 200);
	assert.equal(backend.requests.length, nBefore + 1, 'the backend has heard of one request only');
}

test('what is refused with a status, and the connection stays', async (t) => {
	const stage = await joined(t, H2C_TO_H1, {
		listen: { max_header_size: '8k', max_header_fields: 20, max_uri_size: '1k' },
		route: { max_body_size: '1k' },
	});
	const many = Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`x-${n}`, '1']));

	await t.test('a header list that is too large', () =>
		refused(stage, 'GET', '/', { headers: { 'x-large': 'x'.repeat(9000) } }, [431, 'header-too-large']));
	await t.test('too many fields', () =>
		refused(stage, 'GET', '/', { headers: many }, [431, 'header-too-large']));
	await t.test('a field that costs the wire nothing and memory much', async () => {
		// Indexed by HPACK: each repetition is a byte.
		const headers = { 'x-again': Array.from({ length: 19 }, () => 'y'.repeat(1000)) };
		await refused(stage, 'GET', '/', { headers }, [431, 'header-too-large']);
	});
	await t.test('a target that is too long', () =>
		refused(stage, 'GET', `/${'x'.repeat(1024)}`, {}, [414, 'uri-too-long']));
	await t.test('a body with a length that is too large', () =>
		refused(stage, 'POST', '/', {
			headers: { 'content-length': '2000' }, body: 'x'.repeat(2000),
		}, [413, 'body-too-large']));
	await t.test('TRACE', () => refused(stage, 'TRACE', '/', {}, [405, 'method']));
	await t.test('CONNECT', async () => {
		const stream = stage.client.session.request({ ':method': 'CONNECT', ':authority': 'a:443' },
			{ endStream: false });
		const [{ ':status': status }] = await event(stream, 'response');
		assert.ok(status === 405 || status === 501, `${status}`);
		stream.on('error', () => {}).close();
	});
	await t.test('an expectation that cannot be met', () =>
		refused(stage, 'GET', '/', { headers: { expect: 'wonders' } }, [417, 'expectation']));
});

test('a body that grows too large is refused on its way', async (t) => {
	const { backend, client, pollux } = await joined(t, H2C_TO_H1, {
		route: { max_body_size: '100k' },
		server: { answer: (request, response) => request.resume().on('end', () => response.end()) },
	});
	const exchange = client.start('POST', '/', { isOpen: true });
	exchange.send(Buffer.alloc(50_000));
	await backend.take();
	exchange.send(Buffer.alloc(60_000));
	assert.equal((await exchange.response()).status, 413);
	assert.equal((await pollux.accessed({})).reason, 'body-too-large');
	await exchange.over();
	assert.equal((await client.get('/')).status, 200);
});

test('what is malformed is an error of its stream (RFC 9113 section 8.1.1)', async (t) => {
	const { backend, client, pollux } = await joined(t, H2C_TO_H1);
	const malformed = async (method, options, reason = 'bad-request') => {
		const exchange = client.start(method, '/', options);
		await exchange.expectReset(NGHTTP2_PROTOCOL_ERROR);
		assert.equal((await pollux.accessed({})).reason, reason);
	};

	await t.test('Host is not :authority', () =>
		malformed('GET', { headers: { host: 'other' } }, 'bad-host'));
	await t.test('a scheme that is none', () => malformed('GET', { headers: { ':scheme': 'x y' } }));
	await t.test('a target that does not begin with a slash', () =>
		malformed('GET', { headers: { ':path': 'a' } }));
	await t.test('a target with a space', () =>
		malformed('GET', { headers: { ':path': '/a HTTP/1.1' } }));
	await t.test('two lengths', () =>
		malformed('POST', { headers: { 'content-length': '1, 2' }, body: 'x' }));
	assert.equal((await client.get('/')).status, 200);
	assert.equal(backend.requests.length, 1);
});

for (const [what, length, rest] of [['shorter', '10', ''], ['longer', '5', 'longer']]) {
	test(`a body that is ${what} than its content-length never ends well at the backend`, async (t) => {
		const bodies = [];
		const { backend, client } = await joined(t, H2C_TO_H1, {
			server: {
				answer(request) {
					request.on('end', () => request.complete && bodies.push(request.url)).resume();
				},
			},
		});
		const exchange = client.start('POST', '/', { headers: { 'content-length': length }, isOpen: true });
		exchange.send('four');
		const { request } = await backend.take();
		exchange.end(rest);
		await exchange.expectReset(NGHTTP2_PROTOCOL_ERROR);
		await backend.until(() => request.destroyed || request.aborted, 'the end at the backend');
		assert.deepEqual(bodies, []);
	});
}

test('http2_max_streams: no more at a time reach the backend, all are answered', async (t) => {
	let n = 0;
	let most = 0;
	const { client } = await joined(t, H2C_TO_H1, {
		listen: { http2_max_streams: 5 },
		server: {
			answer(request, response) {
				most = Math.max(most, ++n);
				setTimeout(() => {
					n--;
					response.end('ok');
				}, 5);
			},
		},
	});
	assert.equal(client.settings.maxConcurrentStreams, 5);
	const all = await Promise.all(Array.from({ length: 50 }, () => client.get('/')));
	assert.ok(all.every(({ text }) => text === 'ok'));
	assert.equal(most, 5);
});

test('the windows and the header list that the listener offers', async (t) => {
	const { client } = await joined(t, H2C_TO_H1, {
		listen: { http2_window: '100k', max_header_size: '20k' },
	});
	assert.equal(client.settings.initialWindowSize, 100 * 1024);
	assert.equal(client.settings.maxHeaderListSize, 20 * 1024);
});

test('header_timeout and body_timeout', async (t) => {
	const { backend, client, pollux } = await joined(t, H2C_TO_H1, {
		listen: { body_timeout: '200ms' },
		server: { answer: () => {} },
	});
	const exchange = client.start('POST', '/slow', { isOpen: true });
	exchange.send('a');
	await backend.take();
	assert.equal((await exchange.response()).status, 408);
	assert.equal((await pollux.accessed({ target: '/slow' })).reason, 'body-timeout');
	await exchange.over();
	await client.flushed();
});

test('response_timeout: one stream gets 504, its neighbour goes on', async (t) => {
	const { client, pollux } = await joined(t, H2C_TO_H1, {
		backend: { response_timeout: '200ms', retries: 0 },
		server: {
			answer(request, response) {
				if (request.url === '/stream')
					response.write('first');
			},
		},
	});
	const neighbour = client.start('GET', '/stream');
	await neighbour.hears('first');
	const { status } = await client.get('/mute');
	assert.equal(status, 504);
	assert.equal((await pollux.accessed({ target: '/mute' })).reason, 'response-timeout');
	assert.equal(neighbour.isOver, false);
});

test('write_timeout: a response that is not read is cut, its neighbour goes on', async (t) => {
	const { backend, client, pollux } = await joined(t, H2C_TO_H1, {
		listen: { write_timeout: '300ms' },
		server: {
			answer(request, response) {
				response.write(request.url === '/big' ? Buffer.alloc(5_000_000) : 'begun ');
			},
		},
	});
	const stalled = client.start('GET', '/big', { isStalled: true });
	await stalled.response();
	await backend.take();
	const neighbour = client.start('GET', '/slow');
	const { response } = await backend.take();
	await neighbour.hears('begun');
	const entry = await pollux.accessed({ target: '/big' });
	assert.equal(entry.reason, 'client-stall');
	stalled.read(); // Node keeps the reset behind what it has not told yet
	await stalled.over();
	assert.ok(stalled.wasReset);
	response.end('and done');
	assert.equal((await neighbour.whole()).text, 'begun and done');
});

test('idle_timeout: GOAWAY without an error, then the end', async (t) => {
	const { client } = await joined(t, H2C_TO_H1, { listen: { idle_timeout: '200ms' } });
	await client.get('/');
	assert.equal((await client.goaway()).code, NGHTTP2_NO_ERROR);
	await client.over();
});

test('a connection with an open stream is not idle', async (t) => {
	const { backend, client } = await joined(t, H2C_TO_H1, {
		listen: { idle_timeout: '100ms' },
		server: { answer: (request, response) => response.write('first ') },
	});
	const exchange = client.start('GET', '/');
	await exchange.hears('first');
	await new Promise((done) => setTimeout(done, 400));
	(await backend.take()).response.end('last');
	assert.equal((await exchange.whole()).text, 'first last');
	await client.over();
});

test('keepalive_requests: GOAWAY after so many, each of which is answered', async (t) => {
	const { client, connect: again } = await joined(t, H2C_TO_H1, { listen: { keepalive_requests: 3 } });
	const all = await Promise.all([1, 2, 3].map(() => client.get('/')));
	assert.ok(all.every(({ status }) => status === 200));
	const { code } = await client.goaway();
	assert.equal(code, NGHTTP2_NO_ERROR);
	await client.over();
	assert.equal(client.goaways.at(-1).lastId, 5);
	assert.equal((await (await again()).get('/')).status, 200);
});

for (const link of [H2C_TO_H1, TLS_TO_H1]) {
	test(`a drain: two GOAWAYs, and what is under way is finished (${link.name})`, async (t) => {
		const { backend, client, pollux } = await joined(t, link, {
			program: { drain: '10s' },
			server: { answer: () => {} },
		});
		const down = client.start('GET', '/down');
		const up = client.start('POST', '/up', { isOpen: true });
		const [{ response: first }, { request, response: second }] = [await backend.take(), await backend.take()];
		first.write('begun ');
		await down.hears('begun');

		pollux.signal('SIGTERM');
		assert.deepEqual(await client.goaway(1), { code: NGHTTP2_NO_ERROR, lastId: LAST_OF_ALL });
		assert.deepEqual(await client.goaway(2), { code: NGHTTP2_NO_ERROR, lastId: up.id });
		let got = '';
		request.on('data', (chunk) => (got += chunk));
		up.send('still ');
		up.end('going');
		request.on('end', () => second.end(`got ${got}`));
		assert.equal((await up.whole()).text, 'got still going');
		first.end('and done');
		assert.equal((await down.whole()).text, 'begun and done');
		await client.over();
		assert.deepEqual(await pollux.left(), { code: 0, signal: null });
	});
}

test('a drain that is over cuts what is left', async (t) => {
	const { backend, client, pollux } = await joined(t, H2C_TO_H1, {
		program: { drain: '300ms' },
		server: { answer: (request, response) => response.write('begun') },
	});
	const exchange = client.start('GET', '/endless');
	await exchange.hears('begun');
	await backend.take();
	pollux.signal('SIGTERM');
	await exchange.over();
	assert.equal(exchange.hasEnded, false, 'it does not look complete');
	assert.deepEqual(await pollux.left(), { code: 0, signal: null });
	assert.equal((await pollux.accessed({ target: '/endless' })).reason, 'drain');
});

test('a backend that is cut in its body: RST_STREAM with INTERNAL_ERROR', async (t) => {
	const { backend, client, pollux } = await joined(t, H2C_TO_H1, {
		server: { answer: (request, response) => response.write('begun') },
	});
	const exchange = client.start('GET', '/cut');
	await exchange.hears('begun');
	(await backend.take()).request.socket.resetAndDestroy();
	await exchange.expectReset(NGHTTP2_INTERNAL_ERROR);
	assert.equal((await pollux.accessed({ target: '/cut' })).reason, 'backend-cut');
	await client.flushed();
});

test('the access log in its combined format', async (t) => {
	const { client, pollux } = await joined(t, H2C_TO_H1, { program: { access_log_format: 'combined' } });
	await client.get('/logged?a', { 'user-agent': 'me', referer: 'there' });
	await pollux.accessLog.find((line) =>
		/^127\.0\.0\.1 - - \[.*\] "GET \/logged\?a HTTP\/2(\.0)?" 200 6 "there" "me" /.test(line));
});

// Which version is spoken.

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

test('without h2c the preface of HTTP/2 is a version that is not spoken', async (t) => {
	const { client, backend } = await stage(t, { listen: { h2c: false } });
	client.send(PREFACE);
	await client.expect(page('version', { closes: true }));
	await client.expectEnd();
	assert.equal(backend.conns.length, 0);
});

test('h2c: both versions on one address', async (t) => {
	const { pollux, backend, client } = await stage(t, { listen: { h2c: true } });
	backend.serve();
	client.send(get());
	await client.expect(passedOk());
	// Byte by byte: it takes some to tell.
	const slow = await connect(t, pollux);
	for (const byte of 'POST')
		await slow.sent(byte);
	slow.send(' / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
	await slow.expect(passedOk());
	const h2 = await H2Client.connect(t, pollux.where());
	assert.equal((await h2.get('/')).text, 'ok');
});

test('Upgrade: h2c is not taken', async (t) => {
	const { backend, client } = await stage(t, { listen: { h2c: true } });
	client.send(get('/', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'));
	const conn = await backend.accept();
	const request = await conn.readRequest();
	assert.equal(request.get('Upgrade'), undefined);
	assert.equal(request.get('HTTP2-Settings'), undefined);
	conn.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
	await client.expect(passedOk());
});

test('ALPN without h2: clients of HTTP/2 alone are refused, others speak HTTP/1.1', async (t) => {
	const { where, ca, pollux } = await linked(t, TLS_TO_H1, { listen: { alpn: ['http/1.1'] } });
	await assert.rejects(H2Client.connect(t, where, { ca }));
	const { stdout } = await promisify(execFile)('curl', ['-q', '-sS', '--http2', '--cacert',
		certificates().caFile, '-w', '%{http_version}', '-o', '/dev/null', pollux.url('/', { scheme: 'https' })]);
	assert.equal(stdout, '1.1');
});

test('ALPN with h2 alone: clients of HTTP/1.1 alone are refused', async (t) => {
	const { where, ca } = await linked(t, TLS_TO_H1, { listen: { alpn: ['h2'] } });
	const client = await H2Client.connect(t, where, { ca });
	assert.equal((await client.get('/')).status, 200);
	const request = https.get({ ...where, ca, ALPNProtocols: ['http/1.1'] });
	await assert.rejects(event(request, 'response'), /alert|ALPN|SSL/i);
});
