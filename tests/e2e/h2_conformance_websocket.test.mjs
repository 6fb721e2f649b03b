// WebSockets over HTTP/2: extended CONNECT (RFC 8441) as a tunnel to a backend that speaks HTTP/1.1.
// Sections in names are of RFC 8441 where no other is named.
import assert from 'node:assert/strict';
import test from 'node:test';

import { CODE, SETTING, WINDOW, data, headers, rstStream, windowUpdate } from './lib/h2_frames.mjs';
import { h2Arena, h2Rows } from './lib/h2_rows.mjs';
import { H2Wire } from './lib/h2_wire.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { ok } from './lib/stage.mjs';
import { eventually } from './lib/wait.mjs';
import { closeFrame, frame, readFrame, switching, acceptOf } from './lib/websocket_bytes.mjs';

const END = { endStream: true };

// The fields of an extended CONNECT; null leaves one out.
function connect({
	protocol = 'websocket', method = 'CONNECT', path = '/', scheme = 'http', authority = 'a',
	fields = [['sec-websocket-version', '13']],
} = {}) {
	const pseudo = [[':method', method], [':protocol', protocol], [':scheme', scheme], [':path', path],
		[':authority', authority]].filter(([, value]) => value !== null);
	return [...pseudo, ...fields];
}

async function stage(t, { listen = {}, route = {}, ...options } = {}) {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend], keepalive: false },
		listen: { h2c: true, ...listen },
		route: { forwarded: 'off', ...route },
		...options,
	});
	return { backend, pollux, client: await H2Wire.open(t, pollux.where()) };
}

// Sends the CONNECT and lets the backend accept it: { id, conn, handshake }.
async function tunnel({ backend, client }, given = {}) {
	const id = client.nextStream();
	client.send(headers(id, connect(given)));
	const conn = await backend.accept();
	const handshake = await conn.readRequest();
	conn.send(switching({ accept: acceptOf(handshake.get('sec-websocket-key')), fields: given.answer }));
	await client.expectHead(id);
	return { id, conn, handshake };
}

async function expectServes({ backend, client }) {
	const next = client.get('/next');
	const conn = await backend.accept();
	await conn.readHead();
	conn.send(ok());
	await client.expectStatus(next, 200);
}

test('the setting says whether extended CONNECT may be used (3)', async (t) => {
	const offered = async (sub, options) => {
		const { client } = await stage(sub, options);
		return client.judge.settings.get(SETTING.ENABLE_CONNECT_PROTOCOL) ?? 0;
	};

	await t.test('it may', async (sub) => assert.equal(await offered(sub, {}), 1));
	await t.test('not with http2_websocket = no', async (sub) =>
		assert.equal(await offered(sub, { listen: { http2_websocket: false } }), 0));
	await t.test('not if a route does not carry WebSockets', async (sub) =>
		assert.equal(await offered(sub, { route: { websocket: false } }), 0));
});

test('an extended CONNECT becomes the handshake of HTTP/1.1 (4, 5)', async (t) => {
	const here = await stage(t);
	const { id, handshake } = await tunnel(here, {
		path: '/chat?x', answer: { 'Sec-WebSocket-Protocol': 'b' },
		fields: [['sec-websocket-version', '13'], ['sec-websocket-protocol', 'a, b'], ['origin', 'http://a'], ['x', 'y']],
	});

	assert.equal(handshake.line, 'GET /chat?x HTTP/1.1');
	assert.equal(handshake.get('host'), 'a');
	assert.equal(handshake.get('upgrade'), 'websocket');
	assert.match(handshake.get('connection'), /^upgrade$/i);
	assert.match(handshake.get('sec-websocket-key'), /^[A-Za-z0-9+/]{22}==$/);
	assert.equal(handshake.get('sec-websocket-version'), '13');
	assert.equal(handshake.get('sec-websocket-protocol'), 'a, b');
	assert.equal(handshake.get('origin'), 'http://a');
	assert.equal(handshake.get('x'), 'y');
	assert.deepEqual(handshake.getAll('content-length').concat(handshake.getAll('transfer-encoding')), []);

	const { response } = here.client.stream(id);
	assert.equal(response.status, 200);
	assert.equal(response.get('sec-websocket-protocol'), 'b');
	assert.equal(response.get('sec-websocket-accept'), undefined);
	assert.equal(response.get('content-length'), undefined);
	assert.ok(!here.client.stream(id).hasEnded);
});

test('bytes go both ways as they are (5)', async (t) => {
	const here = await stage(t);
	const { client } = here;
	const { id, conn } = await tunnel(here);

	client.send(data(id, frame({ payload: 'hello', mask: true })));
	assert.equal((await readFrame(conn)).payload.toString(), 'hello');
	client.send(data(id, '\x81'), data(id, '', { padding: 5 }), data(id, '\x80abcd', { padding: 1 }));
	await conn.expect('\x81\x80abcd');
	conn.send(frame({ payload: 'world' }));
	await client.expectThat(() => client.stream(id).body.toString('latin1') === '\x81\x05world', 'a message');
	await expectServes(here);
});

test('END_STREAM is the end of that side, orderly (5)', async (t) => {
	await t.test('of the client, first', async (sub) => {
		const here = await stage(sub);
		const { client } = here;
		const { id, conn } = await tunnel(here);
		client.send(data(id, closeFrame(1000, '', { mask: true })), data(id, '', END));
		assert.equal((await readFrame(conn)).code, 1000);
		await conn.expectEnd();
		conn.send(closeFrame(1000)).end();
		await client.expectThat(() => client.stream(id).hasEnded, 'END_STREAM');
		assert.equal(client.stream(id).body.toString('latin1'), '\x88\x02\x03\xe8');
		assert.ok([undefined, CODE.NO_ERROR].includes(client.stream(id).code));
		const { tunnel: isTunnel, reason, status } = await here.pollux.accessed({ target: '/' });
		assert.deepEqual({ isTunnel, reason, status }, { isTunnel: true, reason: undefined, status: 200 });
		await expectServes(here);
	});
	await t.test('of the backend, first', async (sub) => {
		const here = await stage(sub);
		const { client } = here;
		const { id, conn } = await tunnel(here);
		conn.send(frame({ payload: 'bye' })).end();
		await client.expectThat(() => client.stream(id).hasEnded, 'END_STREAM');
		assert.equal(client.stream(id).body.toString('latin1'), '\x81\x03bye');
		client.send(data(id, 'last', END));
		await conn.expect('last');
		await conn.expectEnd();
		await expectServes(here);
	});
	await t.test('on the CONNECT itself', async (sub) => {
		const here = await stage(sub);
		const { client, backend } = here;
		const id = client.nextStream();
		client.send(headers(id, connect(), END));
		await eventually(() => client.stream(id).isReset || client.stream(id).response !== undefined
			|| backend.conns.length > 0, 'an outcome');
		if (backend.conns.length > 0) { // a tunnel whose client has nothing to say
			const conn = await backend.accept();
			assert.equal((await conn.readRequest()).get('upgrade'), 'websocket');
			client.send(rstStream(id));
			await conn.expectGone();
		} else if (client.stream(id).isReset) {
			assert.equal(client.stream(id).code, CODE.PROTOCOL_ERROR);
		} else {
			assert.equal(client.stream(id).response.status, 400);
		}
		await expectServes(here);
	});
});

test('RST_STREAM is the cut of a tunnel (5)', async (t) => {
	await t.test('CANCEL of the client cuts the backend', async (sub) => {
		const here = await stage(sub);
		const { client } = here;
		const { id, conn } = await tunnel(here);
		client.send(rstStream(id, CODE.CANCEL));
		await conn.expectGone();
		assert.equal((await here.pollux.accessed({ target: '/' })).reason, 'tunnel-cut');
		await expectServes(here);
	});
	await t.test('a reset of the backend is CANCEL', async (sub) => {
		const here = await stage(sub);
		const { client } = here;
		const { id, conn } = await tunnel(here);
		conn.reset();
		await client.expectReset(id, CODE.CANCEL);
		assert.ok(!client.stream(id).hasEnded);
		assert.equal((await here.pollux.accessed({ target: '/' })).reason, 'tunnel-cut');
		await expectServes(here);
	});
	await t.test('the end of the connection cuts its tunnels', async (sub) => {
		const here = await stage(sub);
		const first = await tunnel(here);
		const second = await tunnel(here);
		here.client.reset();
		await first.conn.expectGone();
		await second.conn.expectGone();
	});
});

test('a refusal of the backend is a response, with its body (5)', async (t) => {
	const here = await stage(t);
	const { client, backend } = here;
	const id = client.nextStream();

	client.send(headers(id, connect()));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send('HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 4\r\n\r\nno!\n');
	const response = await client.expectStatus(id, 403);
	assert.equal(response.get('x-why'), 'no');
	assert.equal(response.body.toString(), 'no!\n');
	await expectServes(here);
});

test('a backend that accepts wrongly is 502', async (t) => {
	for (const [name, answer] of [
		['with a wrong Sec-WebSocket-Accept', () => switching({ accept: 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=' })],
		['without Upgrade', (accept) => switching({ accept, fields: { Upgrade: undefined } })],
	]) {
		await t.test(name, async (sub) => {
			const here = await stage(sub);
			const { client, backend } = here;
			const id = client.nextStream();
			client.send(headers(id, connect()));
			const conn = await backend.accept();
			const handshake = await conn.readRequest();
			conn.send(answer(acceptOf(handshake.get('sec-websocket-key'))));
			await client.expectStatus(id, 502);
			assert.equal((await here.pollux.accessed({ status: 502 })).reason, 'backend-protocol');
		});
	}
});

test('a 200 to the handshake is no tunnel', async (t) => {
	const here = await stage(t);
	const { client, backend } = here;
	const id = client.nextStream();

	client.send(headers(id, connect()));
	const conn = await backend.accept();
	await conn.readRequest();
	conn.send(ok('not a websocket'));
	await client.expectThat(() => client.stream(id).isReset || client.stream(id).response !== undefined, 'an outcome');
	// For the client 2xx means that the tunnel stands.
	const { response } = client.stream(id);
	assert.ok(response === undefined || response.status >= 300, `${response?.status}`);
});

test('extended CONNECT that is wrong', async (t) => {
	const malformed = (name, fields) => ({ name, malformed: true, fields });
	const refused = (name, fields, ...statuses) => ({
		name,
		frames: (id) => [headers(id, fields)],
		oneOf: [{ stream: CODE.PROTOCOL_ERROR }, { status: statuses.length === 0 ? 400 : statuses }],
	});
	const here = await h2Arena(t);

	await h2Rows(t, here, [
		malformed(':protocol without CONNECT (4)', connect({ method: 'GET' })),
		malformed('without :path (4)', connect({ path: null })),
		malformed('without :scheme (4)', connect({ scheme: null })),
		malformed(':protocol twice (RFC 9113, 8.3)', [[':protocol', 'websocket'], ...connect()]),
		malformed(':protocol behind a field (RFC 9113, 8.3)',
			[...connect({ protocol: null, path: null, scheme: null }), [':protocol', 'websocket']]),
		refused('an empty :protocol (4)', connect({ protocol: '' }), 400, 501),
		refused('another protocol (4)', connect({ protocol: 'connect-udp' }), 501),
		refused('without an authority (5)', connect({ authority: null })),
		refused('another version of WebSocket (5)', connect({ fields: [['sec-websocket-version', '12']] }), 400, 426),
		malformed('with Upgrade (RFC 9113, 8.2.2)', [...connect(), ['upgrade', 'websocket']]),
		malformed('with Connection (RFC 9113, 8.2.2)', [...connect(), ['connection', 'upgrade']]),
	]);
	await t.test('none of them reached the backend', () => {
		assert.ok(!/upgrade|connect/i.test(here.backend.heard), here.backend.heard);
	});

	await t.test('extended CONNECT that was not offered (3)', async (sub) => {
		const there = await h2Arena(sub, { listen: { http2_websocket: false } });
		await h2Rows(sub, there, [malformed('is malformed', connect())]);
	});
});

test('a Content-Length means nothing in a tunnel, and does not get through (RFC 9110, 9.3.6)', async (t) => {
	const here = await stage(t);
	const { client, backend } = here;
	const id = client.nextStream();

	client.send(headers(id, [...connect(), ['content-length', '5']]));
	await eventually(() => client.stream(id).isReset || client.stream(id).hasEnded || backend.conns.length > 0, 'an outcome');
	if (backend.conns.length > 0) {
		const handshake = await (await backend.accept()).readRequest();
		assert.equal(handshake.get('content-length'), undefined);
	} else if (client.stream(id).hasEnded) {
		assert.equal(client.stream(id).response.status, 400);
	} else {
		assert.equal(client.stream(id).code, CODE.PROTOCOL_ERROR);
	}
});

test('frames that have no place in a tunnel (RFC 9113, 8.5)', async (t) => {
	const here = await stage(t);
	const { client } = here;
	const { id, conn } = await tunnel(here);

	client.send(headers(id, [['x', 'y']], END));
	await client.expectOutcome(id);
	if (client.stream(id).isReset)
		await client.expectReset(id, CODE.PROTOCOL_ERROR);
	else
		await client.expectGoaway(CODE.PROTOCOL_ERROR);
	await conn.expectGone();
	assert.ok(!conn.received.includes('x: y'));
});

test('a tunnel keeps to the windows of its client (RFC 9113, 6.9.1)', async (t) => {
	const here = await stage(t);
	const { client } = here;
	const { id, conn } = await tunnel(here);
	const total = 4 * WINDOW;

	conn.send(Buffer.alloc(total));
	await client.expectThat(() => client.stream(id).nBytes === WINDOW, 'a full window');
	await client.settle();
	assert.equal(client.stream(id).nBytes, WINDOW);
	client.send(windowUpdate(0, total), windowUpdate(id, total));
	await client.expectThat(() => client.stream(id).nBytes === total, 'the rest');
	await expectServes(here);
});

test('tunnels of one connection do not disturb each other', async (t) => {
	const here = await stage(t);
	const { client } = here;
	client.credits = true;
	const tunnels = [];
	for (let n = 0; n < 20; n++)
		tunnels.push(await tunnel(here, { path: `/${n}` }));
	for (const [n, { id }] of tunnels.entries())
		client.send(data(id, `to ${n};`));
	for (const [n, { conn }] of tunnels.entries()) {
		await conn.expect(`to ${n};`);
		conn.send(`from ${n};`);
	}
	for (const [n, { id }] of tunnels.entries())
		await client.expectThat(() => client.stream(id).body.toString() === `from ${n};`, `tunnel ${n}`);
	client.send(rstStream(tunnels[7].id));
	await tunnels[7].conn.expectGone();
	client.send(data(tunnels[8].id, 'still'));
	await tunnels[8].conn.expect('still');
});
