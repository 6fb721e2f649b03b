// WebSocket handshakes as a way to smuggle: a tunnel is made for a wholly valid handshake and a
// right answer alone. Anything else is an ordinary response, or a refusal.
import assert from 'node:assert/strict';
import test from 'node:test';

import { arena, attacks, harmless } from './lib/attack.mjs';
import { page } from './lib/pages.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { connect, forwardedGet, get, ok, passedOk } from './lib/stage.mjs';
import { ACCEPT, KEY, acceptOf, frame, handshake, switching } from './lib/websocket_bytes.mjs';

const FORWARDED_HANDSHAKE = `GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: ${KEY}\r\n`
	+ 'Sec-WebSocket-Version: 13\r\nVia: 1.1 pollux\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n';
const SMUGGLED = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';

test('handshakes that are not valid are refused, and the backend hears nothing', async (t) => {
	const refused = (name, options, reason = 'bad-websocket') => ({
		name,
		send: handshake(options),
		reason,
		stays: true,
	});
	const version = (value) => refused(`version ${value}`, { fields: { 'Sec-WebSocket-Version': value } },
		'websocket-version');
	const key = (value) => refused(`key ${JSON.stringify(value)}`, { fields: { 'Sec-WebSocket-Key': value } });
	const whole = handshake().slice(0, -2);

	await attacks(t, await arena(t), [
		...['12', '14', '8', '0', '013', '13, 8', '8, 13', '13.0', '+13', ''].map(version),
		{
			name: 'two versions',
			send: `${whole}Sec-WebSocket-Version: 13\r\n\r\n`,
			reason: 'bad-websocket',
			stays: true,
		},
		refused('no version', { fields: { 'Sec-WebSocket-Version': undefined } }),
		refused('no key', { fields: { 'Sec-WebSocket-Key': undefined } }),
		...['', 'x', 'dGhlIHNhbXBsZSBub25jZQ', 'dGhlIHNhbXBsZSBub25jZQ=', 'dGhlIHNhbXBsZSBub25j',
			'dGhlIHNhbXBsZSBub25jZTEx', 'dGhlIHNhbXBsZSBub25jZ!==', 'dGhlIHNhbXBsZSBub25jZQ== ==',
			`${KEY}, ${KEY}`].map(key),
		{
			name: 'two keys',
			send: `${whole}Sec-WebSocket-Key: ${KEY}\r\n\r\n`,
			reason: 'bad-websocket',
			stays: true,
		},
		...['POST', 'HEAD', 'OPTIONS', 'get', 'PUT'].map((method) => refused(`method ${method}`, { method })),
		refused('a list of protocols to upgrade to', { fields: { Upgrade: 'websocket, h2c' } }),
		refused('another protocol first', { fields: { Upgrade: 'h2c, websocket' } }),
		refused('a version of the protocol', { fields: { Upgrade: 'websocket/13, websocket' } }),
	].map((row) => (row.name === 'method HEAD'
		? { ...row, answer: page('bad-websocket').replace(/\r\n\r\n[^]*/, '\r\n\r\n'), logged: 'bad-websocket' }
		: row)));
});

test('a handshake with a body is refused', async (t) => {
	const row = (name, fields, body) => ({
		name,
		send: [handshake({ fields }), body, SMUGGLED].join(''),
		reason: 'bad-websocket',
	});
	const stage = await arena(t);

	// The bodies are read and dropped as bodies; what comes behind them is the next request.
	for (const { name, send, reason } of [
		row('a length', { 'Content-Length': '5' }, 'abcde'),
		row('frames in a body', { 'Content-Length': '8' }, frame({ payload: 'hi', mask: Buffer.alloc(4) }).toString('latin1')),
		row('chunks', { 'Transfer-Encoding': 'chunked' }, '5\r\nabcde\r\n0\r\n\r\n'),
	]) {
		await t.test(name, async (sub) => {
			const before = stage.backend.heard.length;
			const client = await connect(sub, stage.pollux);
			client.send(send);
			await client.expect(page(reason));
			await client.expect(passedOk());
			assert.equal(stage.backend.heard.slice(before), forwardedGet('/admin'));
		});
	}
	await attacks(t, stage, [
		{
			name: 'chunks that do not end',
			send: handshake({ fields: { 'Transfer-Encoding': 'chunked' } }) + '5\r\n',
			reason: 'bad-websocket',
		},
		{
			name: 'a length and chunks',
			send: handshake({ fields: { 'Transfer-Encoding': 'chunked', 'Content-Length': '5' } }) + SMUGGLED,
			reason: 'bad-framing',
		},
	]);
});

test('what is no handshake is forwarded without Upgrade', async (t) => {
	const fields = `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n`;
	const plain = `GET / HTTP/1.1\r\nHost: a\r\n${fields}Via: 1.1 pollux\r\n\r\n`;
	const close = 'HTTP/1.1 200 OK\r\nVia: 1.1 pollux\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok';

	await attacks(t, await arena(t), [
		harmless('Connection does not name upgrade', handshake({ fields: { Connection: 'keep-alive' } }), plain),
		harmless('no Connection', handshake({ fields: { Connection: undefined } }), plain),
		harmless('no Upgrade', handshake({ fields: { Upgrade: undefined } }), plain),
		harmless('Upgrade to something else', handshake({ fields: { Upgrade: 'websockets' } }), plain),
		{
			name: 'HTTP/1.0',
			send: handshake({ version: 'HTTP/1.0' }),
			answer: close,
			forwarded: plain.replace('Via: 1.1', 'Via: 1.0'),
		},
	]);
});

test('on a route without WebSockets a handshake is an ordinary request', async (t) => {
	await attacks(t, await arena(t, { route: { websocket: false } }), [
		harmless('a valid one', handshake(),
			FORWARDED_HANDSHAKE.replace('Connection: upgrade\r\nUpgrade: websocket\r\n', '')),
		harmless('one of another version', handshake({ fields: { 'Sec-WebSocket-Version': '8' } }),
			FORWARDED_HANDSHAKE.replace('Connection: upgrade\r\nUpgrade: websocket\r\n', '')
				.replace(': 13', ': 8')),
	]);
});

// The backend's side.

async function opened(t) {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, { backend, route: { forwarded: 'off' } });
	return { backend, pollux };
}

test('answers that are no right 101 make no tunnel', async (t) => {
	const { backend, pollux } = await opened(t);
	const rows = [
		['no Sec-WebSocket-Accept', switching({ fields: { 'Sec-WebSocket-Accept': undefined } })],
		['a wrong Sec-WebSocket-Accept', switching({ accept: acceptOf('AAAAAAAAAAAAAAAAAAAAAA==') })],
		['the key itself', switching({ accept: KEY })],
		['Sec-WebSocket-Accept in another case', switching({ accept: ACCEPT.toUpperCase() })],
		['a prefix of it', switching({ accept: ACCEPT.slice(0, -1) })],
		['two of them', switching({ fields: { 'sec-websocket-accept': ACCEPT } })],
		['no Upgrade', switching({ fields: { Upgrade: undefined } })],
		['another Upgrade', switching({ fields: { Upgrade: 'h2c' } })],
		['a list in Upgrade', switching({ fields: { Upgrade: 'websocket, h2c' } })],
		['no Connection', switching({ fields: { Connection: undefined } })],
		['Connection without upgrade', switching({ fields: { Connection: 'keep-alive' } })],
		['HTTP/1.0', switching().replace('HTTP/1.1', 'HTTP/1.0')],
	];

	for (const [name, answer] of rows) {
		await t.test(name, async (sub) => {
			const client = await connect(sub, pollux);
			client.send(handshake());
			const conn = await backend.accept();
			await conn.expect(FORWARDED_HANDSHAKE);
			conn.send(answer, 'raw bytes that would be in a tunnel');
			await client.expect(page('backend-protocol'));
			await conn.expectGone();
			await pollux.accessed({ reason: 'backend-protocol', status: 502 });
			// It is a connection of requests still.
			client.send(get('/next'));
			const next = await backend.accept();
			await next.expect(forwardedGet('/next'));
			next.send(ok('ok', 'Connection: close\r\n'));
			await client.expect(passedOk());
		});
	}
});

test('an ordinary answer is passed on, and what the client sends next is a request', async (t) => {
	const rows = [
		['200', ok('page'), passedOk('page')],
		['401 with its challenge',
			'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 2\r\n\r\nno',
			'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nVia: 1.1 pollux\r\nContent-Length: 2\r\n\r\nno'],
		['302', 'HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n',
			'HTTP/1.1 302 Found\r\nLocation: /x\r\nVia: 1.1 pollux\r\nContent-Length: 0\r\n\r\n'],
		['426', 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n',
			'HTTP/1.1 426 Upgrade Required\r\nVia: 1.1 pollux\r\nContent-Length: 0\r\n\r\n'],
		['a chunked one', 'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n',
			'HTTP/1.1 404 Not Found\r\nVia: 1.1 pollux\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n'],
		['200 that pretends to switch',
			`HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n`
				+ 'Content-Length: 0\r\n\r\n',
			`HTTP/1.1 200 OK\r\nSec-WebSocket-Accept: ${ACCEPT}\r\nVia: 1.1 pollux\r\nContent-Length: 0\r\n\r\n`],
	];

	for (const [name, answer, passed] of rows) {
		await t.test(name, async (sub) => {
			const { backend, pollux } = await opened(sub);
			const client = await connect(sub, pollux);
			// The next request travels right behind, as an attacker would have it.
			client.send(handshake(), SMUGGLED);
			const conn = await backend.accept();
			await conn.expect(FORWARDED_HANDSHAKE);
			conn.send(answer);
			await client.expect(passed);
			await backend.until(() => backend.heard === FORWARDED_HANDSHAKE + forwardedGet('/admin'),
				'the next request');
			backend.conns.at(-1).send(ok());
			await client.expect(passedOk());
			await pollux.accessed({ target: '/admin', status: 200 });
		});
	}
});

test('bytes behind a handshake wait for the 101', async (t) => {
	const { backend, pollux } = await opened(t);
	const client = await connect(t, pollux);
	const first = frame({ payload: 'early', mask: Buffer.from('abcd') });

	client.send(handshake(), first);
	const conn = await backend.accept();
	await conn.expect(FORWARDED_HANDSHAKE);
	assert.equal(conn.size, 0);
	conn.send(switching(), frame({ payload: 'hello' }));
	await client.expect('HTTP/1.1 101 Switching Protocols\r\n',
		`Sec-WebSocket-Accept: ${ACCEPT}\r\nVia: 1.1 pollux\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
		frame({ payload: 'hello' }));
	await conn.expect(first);
});

test('a page of another origin is refused before the backend is dialled', async (t) => {
	const stage = await arena(t, { route: { allowed_origins: ['https://good.example', 'null'] } });
	const from = (origin) => handshake({ fields: { Origin: origin } });
	const evil = (origin) => ({ name: origin, send: from(origin), reason: 'origin', stays: true });

	stage.backend.serve((request) => (request.get('upgrade') ? switching() : ok()));
	await attacks(t, stage, [
		...['https://evil.example', 'http://good.example', 'https://good.example:444', 'https://good.example.evil',
			'https://sub.good.example', 'https://good.example/', 'https://good.example, https://evil.example', '',
			'good.example', 'https://user@good.example'].map(evil),
		{
			name: 'two of them',
			send: `${from('https://good.example').slice(0, -2)}Origin: https://good.example\r\n\r\n`,
			reason: 'origin',
			stays: true,
		},
		harmless('an ordinary request of any origin',
			'GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n',
			'GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\nVia: 1.1 pollux\r\n\r\n'),
	]);
	for (const origin of ['https://good.example', 'HTTPS://GOOD.EXAMPLE', 'null', undefined]) {
		await t.test(`${origin} is allowed`, async (sub) => {
			const client = await connect(sub, stage.pollux);
			client.send(from(origin));
			assert.equal((await client.readResponse()).status, 101);
		});
	}
});
