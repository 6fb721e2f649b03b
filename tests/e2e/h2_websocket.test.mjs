// WebSockets between clients and backends of HTTP/1.1 and HTTP/2 (RFC 8441) in every pairing: what
// the two ends say to each other is not Pollux's own, and how one leaves is how the other sees it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { PerMessageDeflate, extension } from 'ws';

import { echo, ordinary } from './lib/dual_backend.mjs';
import { PAIRINGS, paired } from './lib/pairing.mjs';
import { pass } from './lib/wait.mjs';

const MIB = 1024 * 1024;

// permessage-deflate as one end has it after the handshake.
function deflating(isServer) {
	const deflate = new PerMessageDeflate({ threshold: 0, isServer });
	deflate.accept(extension.parse('permessage-deflate')['permessage-deflate']);
	return { 'permessage-deflate': deflate };
}

// The two ends with the one that acts first in front.
const SIDES = [
	['client', ([client, backend]) => [client, backend]],
	['backend', ([client, backend]) => [backend, client]],
];

async function messages(t, stage) {
	await t.test('messages of all sizes, as text and as bytes', async () => {
		const [client, backend] = await stage.open();
		for (const size of [0, 1, 125, 126, 65535, 65536, MIB, 16 * MIB]) {
			const data = randomBytes(size);
			client.send(data);
			const there = await backend.next();
			assert.ok(data.equals(there), `${size} bytes to the backend`);
			backend.send(there);
			assert.ok(data.equals(await client.next()), `${size} bytes to the client`);
		}
		for (const text of ['', 'x', 'Grüße, 世界 🌍'.repeat(MIB / 16)]) {
			client.send(text);
			assert.equal(await backend.next(), text);
			backend.send(text);
			assert.equal(await client.next(), text);
		}
	});

	await t.test('thousands of messages keep their order, both ways at once', async () => {
		const [client, backend] = await stage.open();
		const n = 2000;
		for (let i = 0; i < n; i++) {
			client.send(`up ${i} ${'x'.repeat(i % 300)}`);
			backend.send(`down ${i} ${'y'.repeat(i % 700)}`);
		}
		(await backend.count(n)).forEach((text, i) => assert.ok(text.startsWith(`up ${i} `)));
		(await client.count(n)).forEach((text, i) => assert.ok(text.startsWith(`down ${i} `)));
	});

	await t.test('fragments with a ping between them', async () => {
		const [client, backend] = await stage.open();
		for (const [from, to] of [[client, backend], [backend, client]]) {
			from.send('one ', { fin: false });
			from.ping('between');
			from.send('two ', { fin: false });
			assert.deepEqual(await to.control(), { type: 'ping', data: 'between' });
			assert.deepEqual(await from.control(), { type: 'pong', data: 'between' });
			assert.deepEqual(to.received, []);
			from.send('three');
			assert.equal(await to.next(), 'one two three');
		}
	});

	await t.test('compression is the ends\' own matter', async () => {
		const given = 'permessage-deflate; server_no_context_takeover';
		stage.backend.webSocket = () => ({
			fields: { 'sec-websocket-extensions': given },
			extensions: deflating(true),
		});
		const offered = 'permessage-deflate; client_max_window_bits, x-own; a=1';
		const [client, backend] = await stage.open('/', {
			headers: { 'sec-websocket-extensions': offered },
			extensions: deflating(false),
		});
		stage.backend.webSocket = () => ({});
		assert.equal(backend.headers['sec-websocket-extensions'], offered);
		assert.equal(client.response.headers['sec-websocket-extensions'], given);
		const text = 'compressible '.repeat(10_000);
		client.send(text, { compress: true });
		assert.equal(await backend.next(), text);
		backend.send(text, { compress: true });
		assert.equal(await client.next(), text);
	});
}

async function handshakes(t, stage, pairing) {
	await t.test('the handshake is translated, and the rest of its fields pass', async () => {
		stage.backend.webSocket = () => ({
			fields: { 'sec-websocket-protocol': 'chat.v2', 'set-cookie': 'c=d', 'x-back': '2' },
		});
		const [client, { headers, target, version }] = await stage.open('/room?a=1&b=%20', {
			protocols: ['chat.v2', 'chat.v1'],
			headers: { cookie: 'a=b', origin: 'https://app.example', 'x-own': '1' },
		});
		stage.backend.webSocket = () => ({});

		assert.equal(target, '/room?a=1&b=%20');
		assert.equal(version, pairing.isH2Backend ? '2.0' : '1.1');
		const authority = `127.0.0.1:${stage.where.port}`;
		const { 'sec-websocket-key': key, ...fields } = ordinary(headers);
		const common = {
			'sec-websocket-protocol': 'chat.v2, chat.v1',
			'sec-websocket-version': '13',
			cookie: 'a=b',
			origin: 'https://app.example',
			'x-own': '1',
			via: pairing.client === 2 ? '2.0 pollux' : '1.1 pollux',
		};
		if (pairing.isH2Backend) {
			assert.equal(key, undefined, 'no key over HTTP/2');
			assert.equal(headers[':method'], 'CONNECT');
			assert.equal(headers[':protocol'], 'websocket');
			assert.equal(headers[':authority'], authority);
			assert.equal(headers[':scheme'], pairing.isTls ? 'https' : 'http');
			assert.deepEqual(fields, common);
		} else {
			assert.equal(Buffer.from(key, 'base64').length, 16);
			assert.deepEqual({ ...fields, connection: fields.connection.toLowerCase() },
				{ ...common, host: authority, upgrade: 'websocket', connection: 'upgrade' });
		}
		assert.equal(client.subprotocol, 'chat.v2');
		assert.deepEqual(client.response.headers['set-cookie'], ['c=d']);
		assert.equal(client.response.headers['x-back'], '2');
		assert.equal(client.response.headers.via, pairing.isH2Backend ? '2.0 pollux' : '1.1 pollux');
		if (pairing.client === 2) {
			for (const name of ['upgrade', 'connection', 'sec-websocket-accept', 'transfer-encoding'])
				assert.equal(client.response.headers[name], undefined, name);
		}
	});

	await t.test('a refusal of the backend arrives: status, fields and body', async () => {
		stage.backend.webSocket = () => ({
			status: 401,
			headers: { 'www-authenticate': 'Basic realm="x"', 'content-type': 'text/plain' },
			body: 'who are you?',
		});
		const error = await stage.openClient().then(() => assert.fail('it was accepted'), (e) => e);
		stage.backend.webSocket = () => ({});
		assert.ok(error.response, error.stack);
		const { status, headers } = error.response;
		assert.equal(status, 401);
		assert.equal(headers['www-authenticate'], 'Basic realm="x"');
		assert.equal(headers['content-type'], 'text/plain');
		let { text } = error.response;
		if (error.exchange !== undefined) {
			error.exchange.read();
			error.exchange.end();
			({ text } = await error.exchange.whole());
		}
		assert.equal(text, 'who are you?');
	});
}

async function endings(t, stage, pairing) {
	for (const [who, order] of SIDES) {
		await t.test(`the ${who} closes with a code`, async () => {
			const [near, far] = order(await stage.open('/closed'));
			near.close(4001, 'enough');
			assert.deepEqual(await far.closing(), { code: 4001, reason: 'enough' });
			assert.deepEqual(await near.closing(), { code: 4001, reason: 'enough' });
			await near.expectOver();
			await far.expectOver();
			const entry = await stage.pollux.accessed({ target: '/closed' });
			assert.equal(entry.tunnel, true);
			assert.equal(entry.status, pairing.client === 2 ? 200 : 101);
			assert.equal(entry.reason, undefined);
		});

		await t.test(`the ${who} ends its side, and the other goes on`, async () => {
			const [near, far] = order(await stage.openManual('/half'));
			near.send('last words');
			near.end();
			assert.equal(await far.next(), 'last words');
			await far.expectEnd();
			for (let n = 0; n < 3; n++) {
				far.send(`still here ${n}`);
				assert.equal(await near.next(), `still here ${n}`);
			}
			far.end();
			await near.expectOver();
			await far.expectOver();
			assert.equal((await stage.pollux.accessed({ target: '/half' })).reason, undefined);
		});

		await t.test(`the ${who} aborts`, async () => {
			const [near, far] = order(await stage.openManual('/aborted'));
			near.send('words');
			assert.equal(await far.next(), 'words');
			near.abort();
			await far.expectAborted();
			assert.equal((await stage.pollux.accessed({ target: '/aborted' })).reason, 'tunnel-cut');
		});
	}
}

for (const pairing of PAIRINGS) {
	test(`WebSocket ${pairing.name}`, async (t) => {
		const stage = await paired(t, pairing);

		await messages(t, stage);
		await handshakes(t, stage, pairing);
		await endings(t, stage, pairing);
		await t.test('all of it on one connection where that is HTTP/2', () => {
			if (pairing.isH2Backend)
				assert.equal(stage.backend.sockets.length, 1);
		});
	});

	test(`WebSocket ${pairing.name}: a backend that does not read holds its client back`, async (t) => {
		const stage = await paired(t, pairing, {
			environment: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
		});
		for (const [who, order] of SIDES) {
			const [near, far] = order(await stage.open());
			const block = randomBytes(MIB);
			far.stall();
			const before = stage.pollux.memory();
			for (let n = 0; n < 24; n++)
				near.send(block);
			// Another one is served: Pollux has seen what there was to see.
			const [client, backend] = await stage.open();
			client.send('x');
			assert.equal(await backend.next(), 'x');
			assert.ok(near.waiting > 12 * MIB, `${who}: ${near.waiting} bytes are held back`);
			assert.ok(stage.pollux.memory() - before < 6 * MIB,
				`${stage.pollux.memory() - before} bytes more in Pollux`);
			far.goOn();
			const all = await far.count(24);
			assert.ok(all.every((data) => data.equals(block)));
		}
	});

	test(`WebSocket ${pairing.name}: both sides get a Close 1001 when Pollux leaves`, async (t) => {
		const stage = await paired(t, pairing, {
			program: { drain: '10s' },
			server: { onWebSocket: echo },
		});
		const [client, backend] = await stage.open();
		client.send('hello');
		assert.equal(await client.next(), 'hello');
		const began = Date.now();
		stage.pollux.signal('SIGTERM');
		assert.equal((await client.closing()).code, 1001);
		assert.equal((await backend.closing()).code, 1001);
		assert.deepEqual(await stage.pollux.left(), { code: 0, signal: null });
		assert.ok(Date.now() - began < 9000, 'before the drain is over');
		await client.expectGone();
		await backend.expectGone();
	});

	if (pairing.isTls)
		continue; // what follows waits

	test(`WebSocket ${pairing.name}: tunnel_timeout`, async (t) => {
		const stage = await paired(t, pairing, { route: { tunnel_timeout: '300ms' } });
		const [client, backend] = await stage.openManual('/quiet');
		const began = Date.now();
		for (let n = 0; n < 4; n++) {
			await pass(150);
			const [from, to] = n % 2 === 0 ? [client, backend] : [backend, client];
			from.send('x');
			await to.next();
		}
		await client.expectGone();
		await backend.expectGone();
		assert.ok(Date.now() - began >= 800, `${Date.now() - began} ms`);
		assert.equal((await stage.pollux.accessed({ target: '/quiet' })).reason, 'tunnel-timeout');
	});
}
