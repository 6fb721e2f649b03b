// Slow clients over HTTP/2, and backends that do not read: each wait has its limit, what waits has its
// limit, too, and neither other streams nor other connections suffer.
import assert from 'node:assert/strict';
import test from 'node:test';

import {
	CODE, FLAG, PREFACE, SETTING, TYPE, WINDOW,
	continuation, data, frame, headers, rstStream, settings, windowUpdate,
} from './lib/h2_frames.mjs';
import { block } from './lib/h2_hpack.mjs';
import { answerByPath, h2Arena } from './lib/h2_rows.mjs';
import { MiB } from './lib/h2_siege.mjs';
import { H2Wire, request } from './lib/h2_wire.mjs';
import { Pollux } from './lib/pollux.mjs';
import { RawBackend } from './lib/raw_backend.mjs';
import { eventually, pass } from './lib/wait.mjs';
import { acceptOf, switching } from './lib/websocket_bytes.mjs';

const END = { endStream: true };
const KiB = 1024;
const ENVIRONMENT = { ASAN_OPTIONS: 'quarantine_size_mb=1:thread_local_quarantine_size_kb=64' };

// Heads.

test('a head that does not end within header_timeout', async (t) => {
	const stage = await h2Arena(t, { listen: { header_timeout: '400ms' } });
	const connectServed = async (owner) => { // the wait for the first request is another one
		const client = await stage.connect(owner);
		await client.expectServes();
		return client;
	};
	const content = block(request());
	// Over after header_timeout as a whole, not after each frame.
	const timedOut = async (client, dribble) => {
		const began = Date.now();
		for (let n = 0; n < 7 && client.judge.goaways.length === 0; n++) {
			dribble?.(n);
			await pass(100);
		}
		await client.expectGoaway(CODE.ENHANCE_YOUR_CALM);
		const took = Date.now() - began;
		assert.ok(took >= 390 && took < 3000, `${took} ms`);
		await stage.pollux.logged(/http\/2: a head did not arrive in time/);
	};

	await t.test('HEADERS without END_HEADERS', async (sub) => {
		const client = await connectServed(sub);
		client.send(headers(3, content.subarray(0, 5), { ...END, endHeaders: false }));
		await timedOut(client);
	});
	await t.test('CONTINUATION frames that come one by one', async (sub) => {
		const client = await connectServed(sub);
		client.send(headers(3, content.subarray(0, 5), { ...END, endHeaders: false }));
		await timedOut(client, (n) => client.send(continuation(3, content.subarray(5 + n, 6 + n), { endHeaders: false })));
	});
	await t.test('one HEADERS frame byte by byte', async (sub) => {
		const client = await connectServed(sub);
		const bytes = headers(3, content, END);
		client.send(bytes.subarray(0, 12));
		await timedOut(client, (n) => client.send(bytes.subarray(12 + n, 13 + n)));
	});
	await t.test('while another request of the connection is under way, which ends with it', async (sub) => {
		const client = await connectServed(sub);
		client.get('/wait/other');
		await stage.backend.until(() => stage.backend.heard.includes('/wait/other'), 'the other request');
		client.send(headers(5, content.subarray(0, 5), { ...END, endHeaders: false }));
		await timedOut(client);
		const { reason } = await stage.pollux.accessed({ target: '/wait/other' });
		assert.ok(reason !== undefined);
	});
	await t.test('trailers, too', async (sub) => {
		const client = await connectServed(sub);
		client.send(headers(3, request({ method: 'POST', path: '/wait/trailers' })), data(3, 'x'),
			headers(3, Buffer.from([0]), { ...END, endHeaders: false }));
		await timedOut(client);
	});
	await t.test('the deadline begins anew with each head', async (sub) => {
		const client = await connectServed(sub);
		for (let n = 0; n < 3; n++) {
			const id = client.nextStream();
			client.send(headers(id, content.subarray(0, 5), { ...END, endHeaders: false }));
			await pass(200);
			client.send(continuation(id, content.subarray(5)));
			await client.expectStatus(id, 200);
		}
	});
	for (const [name, ...bytes] of [
		['a connection that says nothing', ''],
		['a preface that stops', PREFACE.slice(0, 20)],
		['a preface without SETTINGS', PREFACE],
		['a preface and SETTINGS without a request', PREFACE, settings()],
		['half the head of a frame', PREFACE, settings(), '\0\0'],
	]) {
		await t.test(`${name} is closed`, async (sub) => {
			const client = await H2Wire.connect(sub, stage.pollux.where());
			client.send(...bytes);
			await client.expectGone(3000);
		});
	}
});

test('a connection on which a head comes in is not idle', async (t) => {
	const { connect } = await h2Arena(t, { listen: { header_timeout: '5s', idle_timeout: '400ms' } });
	const client = await connect(t);
	const content = block(request());

	await client.expectServes();
	const id = client.nextStream();
	await pass(200);
	client.send(headers(id, content.subarray(0, 5), { ...END, endHeaders: false }));
	await pass(400);
	client.send(continuation(id, content.subarray(5)));
	await client.expectStatus(id, 200);
});

// Bodies.

test('a body that never begins is 408 after body_timeout', async (t) => {
	const { pollux, connect } = await h2Arena(t, { listen: { body_timeout: '300ms' } });
	const client = await connect(t);
	const id = client.request({ method: 'POST', path: '/never', open: true });

	await client.expectStatus(id, 408);
	assert.equal((await pollux.accessed({ target: '/never' })).reason, 'body-timeout');
	await client.expectServes();
});

test('a body that stops is 408 after body_timeout, and its neighbours go on', async (t) => {
	const { backend, pollux, connect } = await h2Arena(t, { listen: { body_timeout: '300ms' } });
	const client = await connect(t);
	const stopped = client.request({ method: 'POST', path: '/stopped', open: true, fields: [['content-length', '10']] });
	client.send(data(stopped, 'half'));
	await backend.until(() => backend.heard.endsWith('half'), 'half a body');
	const conn = backend.conns.at(-1);
	const long = client.get('/wait');

	await client.expectStatus(stopped, 408);
	await conn.expectGone();
	assert.equal((await pollux.accessed({ target: '/stopped' })).reason, 'body-timeout');
	await client.expectServes();
	assert.ok(!client.stream(long).isReset);
});

test('a body that trickles is 408 although it never pauses for long', async (t) => {
	const { pollux, connect } = await h2Arena(t, { listen: { body_timeout: '1s' } });
	const client = await connect(t);
	const id = client.request({ method: 'POST', path: '/trickle', open: true });

	for (let n = 0; n < 12 && !client.stream(id).hasEnded; n++) {
		client.send(data(id, 'x'));
		await pass(100);
	}
	await client.expectStatus(id, 408);
	assert.equal((await pollux.accessed({ target: '/trickle' })).reason, 'body-timeout');
	await client.expectServes();
});

test('a body may be slow as long as it goes on', async (t) => {
	const { connect } = await h2Arena(t, { listen: { body_timeout: '300ms' } });
	const client = await connect(t);
	const id = client.request({ method: 'POST', open: true });

	for (let n = 0; n < 5; n++) {
		await pass(100);
		client.send(data(id, 'slow, slow, slow'));
	}
	client.send(data(id, '', END));
	await client.expectStatus(id, 200);
});

test('padding alone does not keep a body alive', async (t) => {
	const { connect } = await h2Arena(t, { listen: { body_timeout: '300ms' } });
	const client = await connect(t);
	const id = client.request({ method: 'POST', open: true });

	for (let n = 0; n < 20 && !client.stream(id).hasEnded; n++) {
		client.send(data(id, '', { padding: 100 }));
		await pass(60);
	}
	await client.expectStatus(id, 408);
	await client.expectServes();
});

// Clients that do not take their responses.

test('a stream whose window stays shut is reset after write_timeout, and its neighbours go on', async (t) => {
	const { pollux, connect } = await h2Arena(t, { listen: { write_timeout: '300ms' } });
	const client = await connect(t, { settings: [[SETTING.INITIAL_WINDOW_SIZE, 1000]] });
	const id = client.get('/bytes/5000');

	await client.expectThat(() => client.stream(id).nBytes === 1000, 'a full window');
	await client.expectServes();
	await client.expectReset(id, [CODE.CANCEL, CODE.ENHANCE_YOUR_CALM, CODE.FLOW_CONTROL_ERROR]);
	assert.ok(!client.stream(id).hasEnded);
	assert.equal((await pollux.accessed({ target: '/bytes/5000' })).reason, 'client-stall');
	await client.expectServes();
});

test('a stream that the window of the connection holds up is reset, too', async (t) => {
	const { pollux, connect } = await h2Arena(t, { listen: { write_timeout: '300ms' } });
	const client = await connect(t, { settings: [[SETTING.INITIAL_WINDOW_SIZE, 10 * MiB]] });
	const id = client.get('/bytes/100000');

	await client.expectThat(() => client.stream(id).nBytes === WINDOW, 'a full window');
	await client.expectReset(id, [CODE.CANCEL, CODE.ENHANCE_YOUR_CALM, CODE.FLOW_CONTROL_ERROR]);
	assert.equal((await pollux.accessed({ target: '/bytes/100000' })).reason, 'client-stall');
	client.send(windowUpdate(0, WINDOW));
	await client.expectServes();
});

test('a client that takes a little now and then is not stalled', async (t) => {
	const { connect } = await h2Arena(t, { listen: { write_timeout: '300ms' } });
	const client = await connect(t, { settings: [[SETTING.INITIAL_WINDOW_SIZE, 100]] });
	const id = client.get('/bytes/1000');

	for (let n = 100; n < 1000; n += 150) {
		await pass(150);
		client.send(windowUpdate(id, 150));
	}
	await client.expectStatus(id, 200);
});

test('a connection that is not read is cut after write_timeout', async (t) => {
	const { backend, pollux, connect } = await h2Arena(t, { listen: { write_timeout: '400ms' } });
	const client = await connect(t, { settings: [[SETTING.INITIAL_WINDOW_SIZE, 100 * MiB]] });

	client.send(windowUpdate(0, 100 * MiB));
	client.stall();
	for (let n = 0; n < 8; n++)
		client.get(`/bytes/${4 * MiB}`);
	await pollux.accessed({ target: `/bytes/${4 * MiB}`, reason: 'client-stall' });
	await eventually(() => backend.conns.every((conn) => conn.isClosed || conn.hasEnded), 'backends let go');
	client.goOn();
	await client.expectGone();
});

test('many streams without a window hold little', async (t) => {
	const { pollux, connect } = await h2Arena(t, {
		listen: { write_timeout: '2s' }, environment: ENVIRONMENT, answer: answerByPath,
	});
	const warm = await connect(t);
	await warm.expectServes();
	const before = pollux.memory();
	const client = await connect(t, { settings: [[SETTING.INITIAL_WINDOW_SIZE, 0]] });
	const ids = Array.from({ length: 100 }, () => client.get(`/bytes/${MiB}`));

	for (const id of ids)
		await client.expectHead(id);
	await client.settle();
	const grown = (pollux.memory() - before) / MiB;
	assert.ok(grown < 24, `${grown.toFixed(1)} MiB for 100 streams`);
	await warm.expectServes();
	for (const id of ids)
		await client.expectReset(id, [CODE.CANCEL, CODE.ENHANCE_YOUR_CALM, CODE.FLOW_CONTROL_ERROR]);
});

// Backends that do not take the requests. One never finishes its TLS handshake: what is sent to it
// stays with Pollux.

async function stuckStage(t, { listen = {} } = {}) {
	const stuck = await RawBackend.start(t);
	const app = (await RawBackend.start(t)).serve(answerByPath);
	const pollux = await Pollux.start(t, {
		backends: {
			app: { servers: [app] },
			stuck: { servers: [stuck], tls: true, tls_verify: false, connect_timeout: '60s' },
		},
		listen: { h2c: true, ...listen },
		route: [{ forwarded: 'off' }, { path: '/stuck', backend: 'stuck' }],
		environment: ENVIRONMENT,
	});
	return { stuck, app, pollux, connect: (owner, given) => H2Wire.open(owner, pollux.where(), given) };
}

const toStuck = (client) => client.request({ method: 'POST', path: '/stuck', open: true });

test('an upload that nobody takes is stopped at the window of its stream', async (t) => {
	const { connect } = await stuckStage(t, { listen: { http2_window: '32k' } });
	const client = await connect(t);
	const id = toStuck(client);

	assert.equal(await client.uploadUntilStall(id), 32 * KiB);
	assert.ok(client.judge.connectionRoom >= 32 * KiB, `${client.judge.connectionRoom} bytes for the others`);
});

test('uploads that nobody takes do not stop others of their connection', async (t) => {
	const { app, connect } = await stuckStage(t, { listen: { http2_window: '64k', http2_queue: '1M' } });
	const client = await connect(t);

	// Less than may wait, but more than half of it.
	for (let n = 0; n < 12; n++)
		assert.equal(await client.uploadUntilStall(toStuck(client), { quiet: 50 }), 64 * KiB);
	const id = client.request({ method: 'POST', path: '/upload', open: true });
	await client.upload(id, 2 * MiB);
	await client.expectStatus(id, 200);
	assert.ok(app.heard.length > 2 * MiB);
	await client.expectServes();
	client.credits = true;
	await client.expectStatus(client.get(`/bytes/${MiB}`), 200);
});

test('the bytes that wait on one connection are limited by http2_queue, and a reset gives them back', async (t) => {
	const { pollux, connect } = await stuckStage(t, { listen: { http2_window: '64k', http2_queue: '256k' } });
	const warm = await connect(t);
	await warm.expectServes();
	const before = pollux.memory();
	const client = await connect(t);
	const ids = [];
	let waiting = 0;

	while (ids.length < 50 && client.judge.connectionRoom > 0) {
		ids.push(toStuck(client));
		waiting += await client.uploadUntilStall(ids.at(-1), { quiet: 50 });
	}
	assert.ok(waiting >= 256 * KiB, `${waiting} bytes until the window of the connection is shut`);
	assert.ok(waiting <= 256 * KiB + 2 * WINDOW + 1, `${waiting} bytes wait`);
	assert.ok(pollux.memory() - before < 8 * MiB);
	await client.expectServes(); // needs no window
	await warm.expectServes();

	client.send(ids.map((id) => rstStream(id)));
	const id = client.request({ method: 'POST', path: '/upload', open: true });
	await client.upload(id, MiB);
	await client.expectStatus(id, 200);
});

test('tunnels whose backend does not read are stopped at their windows, and hold little', async (t) => {
	const backend = await RawBackend.start(t);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend] }, listen: { h2c: true, http2_window: '64k', http2_queue: '1M' },
		route: { forwarded: 'off' }, environment: ENVIRONMENT,
	});
	const client = await H2Wire.open(t, pollux.where());
	const tunnels = [];

	for (let n = 0; n < 4; n++) {
		const id = client.nextStream();
		client.send(headers(id, [[':method', 'CONNECT'], [':protocol', 'websocket'], [':scheme', 'http'], [':path', '/'],
			[':authority', 'a'], ['sec-websocket-version', '13']]));
		const conn = await backend.accept();
		conn.send(switching({ accept: acceptOf((await conn.readRequest()).get('sec-websocket-key')) }));
		await client.expectHead(id);
		tunnels.push({ id, conn });
	}
	const before = pollux.memory();
	const [spare, ...full] = tunnels;
	for (const { id, conn } of full) {
		conn.stall();
		const n = await client.uploadUntilStall(id, { quiet: 150 });
		assert.ok(n >= 64 * KiB);
	}
	assert.ok(pollux.memory() - before < 8 * MiB, `${pollux.memory() - before} bytes more`);
	client.send(data(spare.id, 'through'));
	await spare.conn.expect('through');
	spare.conn.send('back');
	await client.expectThat(() => client.stream(spare.id).body.toString() === 'back', 'the way back');
	for (const { conn } of full)
		conn.goOn();
	await client.expectThat(() => full.every(({ id }) => client.judge.room(id) > 0), 'room again');
});

test('a frame that has begun but does not go on holds up nobody else', async (t) => {
	const { connect } = await h2Arena(t, { listen: { header_timeout: '5s' } });
	const half = await connect(t);
	const other = await connect(t);

	half.send(frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, block(request())).subarray(0, 15));
	for (let n = 0; n < 5; n++)
		await other.expectServes();
	half.send(frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, 1, block(request())).subarray(15));
	half.stream(1);
	await half.expectStatus(1, 200);
});
