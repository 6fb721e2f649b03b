// HTTP/2, RFC 9113 sections 3 to 6: the preface, and each frame by itself: its size, its stream, its
// padding, its flags. Sections in names are of RFC 9113.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Authority } from './lib/certificates.mjs';
import {
	CODE, FLAG, LEAST_FRAME_SIZE, PREFACE, SETTING, TYPE,
	continuation, data, frame, goaway, headers, headersInPieces, ping, priority, priorityUpdate,
	pushPromise, rstStream, settings, settingsAck, windowUpdate,
} from './lib/h2_frames.mjs';
import { block, plain } from './lib/h2_hpack.mjs';
import { h2Arena, h2Rows } from './lib/h2_rows.mjs';
import { H2Wire, request } from './lib/h2_wire.mjs';
import { connect } from './lib/stage.mjs';

const END = { endStream: true };
const OPEN_POST = (id, path = '/') => headers(id, request({ method: 'POST', path }));
const GET = (id, path = '/') => headers(id, request({ path }), END);
// A frame is too long or too short: an error of the connection where it could alter its state, and
// otherwise one of the stream, which may be taken for one of the connection (4.2, 5.4.1).
const BAD_SIZE = [{ stream: CODE.FRAME_SIZE_ERROR }, { connection: CODE.FRAME_SIZE_ERROR }];

test('the connection preface', async (t) => {
	const certificate = new Authority(t).issue(['a']);
	const stage = await h2Arena(t, { listen: [{}, { certificates: [certificate.pem] }, { h2c: false }] });
	const { pollux } = stage;

	// The end, with or without GOAWAY; and no answer as if it had been HTTP/2.
	const refused = async (sub, bytes, index = 1) => {
		const client = await H2Wire.connect(sub, pollux.where(index), index === 1 ? { tls: {} } : {});
		client.send(bytes);
		await client.expectGone();
		assert.ok(client.judge.goaways.every(({ code }) => code === CODE.PROTOCOL_ERROR), client.story());
		assert.ok(!client.frames.some(({ type }) => type === TYPE.HEADERS));
	};

	await t.test('both prefaces, then requests (3.4)', async (sub) => {
		const client = await H2Wire.open(sub, pollux.where());
		await client.expectServes();
	});
	await t.test('over TLS, after ALPN has chosen h2 (3.2)', async (sub) => {
		const client = await H2Wire.open(sub, pollux.where(1), { tls: {} });
		assert.equal(client.socket.alpnProtocol, 'h2');
		await client.expectServes();
	});
	await t.test('the server does not wait for anything but the preface (3.4)', async (sub) => {
		const client = await H2Wire.connect(sub, pollux.where());
		client.send(Buffer.concat([Buffer.from(PREFACE), settings(), GET(1), GET(3)]));
		client.judge.stream(1);
		client.judge.stream(3);
		client.judge.sent({ type: TYPE.SETTINGS, payload: Buffer.alloc(0), has: () => false });
		await client.expectStatus(1, 200);
		await client.expectStatus(3, 200);
	});
	await t.test('the preface may come byte by byte (3.4)', async (sub) => {
		const client = await H2Wire.connect(sub, pollux.where());
		for (const byte of PREFACE)
			await client.sent(byte);
		client.send(settings());
		await client.ready();
		await client.expectServes();
	});
	await t.test('SETTINGS of the preface are acknowledged (3.4)', async (sub) => {
		const client = await H2Wire.open(sub, pollux.where(), {
			settings: [[SETTING.INITIAL_WINDOW_SIZE, 1000], [SETTING.ENABLE_PUSH, 0]],
		});
		assert.equal(client.judge.nAcknowledged, 1);
	});
	await t.test('a preface with a wrong byte is a connection error (3.4)', (sub) =>
		refused(sub, [PREFACE.replace('SM', 'SN'), settings()]));
	await t.test('the same without TLS, where HTTP/1.1 might be meant (3.4)', (sub) =>
		refused(sub, [PREFACE.replace('SM', 'SN'), settings()], 0));
	await t.test('HTTP/1.1 where h2 was agreed upon is a connection error (3.4)', (sub) =>
		refused(sub, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
	for (const [name, first] of [
		['PING', ping()], ['HEADERS', GET(1)], ['WINDOW_UPDATE', windowUpdate(0, 1)],
		['an unknown type', frame(0xbe, 0, 0, 'x')],
	]) {
		await t.test(`${name} in the place of the client's SETTINGS is a connection error (3.4)`, (sub) =>
			refused(sub, [PREFACE, first], 0));
	}
	await t.test('where h2c is off the preface is no HTTP/2 (3.3)', async (sub) => {
		const client = await connect(sub, pollux, { index: 2 });
		client.send(PREFACE, settings());
		const { status } = await client.readResponse();
		assert.ok(status === 505 || status === 400, `${status}`);
		await client.expectEnd();
	});
	await t.test('a preface that stops in the middle ends with its connection (3.4)', async (sub) => {
		const client = await H2Wire.connect(sub, pollux.where(1), { tls: {} });
		client.send(PREFACE.slice(0, 20));
		client.end();
		await client.expectGone();
	});
});

test('what a receiver has to ignore', async (t) => {
	const unused = (name, type, flags, frames) => ({ name: `unused flags of ${name} (4.1)`, frames, status: 200 });
	const stage = await h2Arena(t);

	await h2Rows(t, stage, [
		{ name: 'frames of unknown types on the connection (4.1, 5.5)', ignored: true,
			frames: () => [frame(0xbe, 0, 0, 'abc'), frame(0xff, 0xff, 0), frame(0x0b, 1, 0, 'x'.repeat(16384))] },
		{ name: 'frames of unknown types on an idle stream (5.1)', ignored: true,
			frames: () => [frame(0xbe, 0xff, 7, 'abc')] },
		{ name: 'frames of unknown types on an open stream (5.5)', status: 200,
			frames: (id) => [OPEN_POST(id), frame(0xbe, 0xff, id, 'abc'), data(id, 'x', END)] },
		{ name: 'frames of unknown types on a half-closed stream (5.1)', ignored: true,
			frames: (id) => [GET(id, '/wait'), frame(0xbe, 0xff, id, 'abc')] },
		{ name: 'an unknown type has no END_STREAM (4.1)', status: 200,
			frames: (id) => [OPEN_POST(id), frame(0xbe, FLAG.END_STREAM, id), data(id, 'x', END)] },
		unused('HEADERS', 1, 0xd2, (id) => [headers(id, request(), { endStream: true, flags: 0xd2 })]),
		unused('DATA', 0, 0xf6, (id) => [OPEN_POST(id), data(id, 'x', { endStream: true, flags: 0xf6 })]),
		unused('CONTINUATION', 9, 0xfb, (id) => [
			headers(id, Buffer.alloc(0), { endStream: true, endHeaders: false }),
			continuation(id, request(), { flags: 0xfb }),
		]),
		unused('PRIORITY', 2, 0xff, (id) => [priority(id, {}, 0xff), GET(id)]),
		unused('WINDOW_UPDATE', 8, 0xff, (id) => [
			frame(TYPE.WINDOW_UPDATE, 0xff, 0, Buffer.from([0, 0, 0, 1])), GET(id)]),
		{ name: 'unused flags of RST_STREAM (4.1)', ignored: true,
			frames: (id) => [GET(id, '/wait'), frame(TYPE.RST_STREAM, 0xff, id, Buffer.from([0, 0, 0, 8]))] },
		{ name: 'unused flags of SETTINGS (4.1)', ignored: true, frames: () => [settings([], 0xfe)] },
		{ name: 'unused flags of PING (4.1)', does: (client) => {
			client.send(frame(TYPE.PING, 0xfe, 0, 'unusedfl'));
			return client.expectFrame(TYPE.PING, ({ payload }) => payload.equals(Buffer.from('unusedfl')));
		}, ignored: true },
		{ name: 'unused flags of GOAWAY (4.1)', status: 200, isLast: true,
			frames: (id) => [GET(id), frame(TYPE.GOAWAY, 0xff, 0, Buffer.alloc(8))] },
		{ name: 'the reserved bit of a frame head (4.1)', status: 200,
			frames: (id) => [
				frame(TYPE.HEADERS, FLAG.END_HEADERS, id, block(request({ method: 'POST' })), { reserved: true }),
				frame(TYPE.DATA, FLAG.END_STREAM, id, 'x', { reserved: true }),
				frame(TYPE.PING, FLAG.ACK, 0, '87654321', { reserved: true }),
			] },
		{ name: 'the reserved bit of a window increment (6.9)', status: 200,
			frames: (id) => [frame(TYPE.WINDOW_UPDATE, 0, 0, Buffer.from([0x80, 0, 0, 1])), GET(id)] },
		{ name: 'an error code that nobody knows (7)', ignored: true,
			frames: (id) => [GET(id, '/wait'), rstStream(id, 0xabcdef)] },
	]);
});

test('sizes of frames', async (t) => {
	const stage = await h2Arena(t, { listen: { max_header_size: '64k' } });
	const sized = (name, type, stream, sizes, connection = CODE.FRAME_SIZE_ERROR) => sizes.map((size) => ({
		name: `${name} with ${size} bytes (4.2)`,
		frames: () => [frame(type, 0, stream, Buffer.alloc(size))],
		connection,
	}));
	const onOpen = (name, type, sizes, row) => sizes.map((size) => ({
		name: `${name} with ${size} bytes (4.2)`,
		frames: (id) => [OPEN_POST(id, '/wait'), frame(type, 0, id, Buffer.alloc(size))],
		...row,
	}));
	const FRAME_SIZE = { connection: CODE.FRAME_SIZE_ERROR };

	await h2Rows(t, stage, [
		{ name: 'DATA of 2^14 bytes pass (4.2)', status: 200,
			frames: (id) => [OPEN_POST(id), data(id, 'x'.repeat(LEAST_FRAME_SIZE), END)] },
		{ name: 'HEADERS of 2^14 bytes pass (4.2)', status: 200, does: (client, id) => {
			const fields = block(request());
			const filling = plain('x', 'y'.repeat(LEAST_FRAME_SIZE - fields.length - 6));
			const content = Buffer.concat([fields, filling]);
			assert.equal(content.length, LEAST_FRAME_SIZE);
			client.send(headers(id, content, END));
		} },
		{ name: 'DATA of 2^14 + 1 bytes (4.2)', oneOf: BAD_SIZE,
			frames: (id) => [OPEN_POST(id, '/wait'), data(id, 'x'.repeat(LEAST_FRAME_SIZE + 1), END)] },
		{ name: 'HEADERS of 2^14 + 1 bytes (4.2)', ...FRAME_SIZE,
			frames: (id) => [headers(id, Buffer.alloc(LEAST_FRAME_SIZE + 1), END)] },
		{ name: 'CONTINUATION of 2^14 + 1 bytes (4.2)', ...FRAME_SIZE,
			frames: (id) => [headers(id, request(), { endHeaders: false, endStream: true }),
				continuation(id, [['x', 'y'.repeat(LEAST_FRAME_SIZE)]])] },
		{ name: 'SETTINGS of 2^14 + 2 bytes (4.2)', ...FRAME_SIZE,
			frames: () => [frame(TYPE.SETTINGS, 0, 0, Buffer.alloc(16386))] },
		{ name: 'an unknown type of 2^14 + 1 bytes (4.2)', ...FRAME_SIZE,
			frames: () => [frame(0xbe, 0, 0, Buffer.alloc(LEAST_FRAME_SIZE + 1))] },
		...sized('PING', TYPE.PING, 0, [0, 7, 9]),
		...sized('GOAWAY', TYPE.GOAWAY, 0, [0, 7]),
		...sized('WINDOW_UPDATE of the connection', TYPE.WINDOW_UPDATE, 0, [0, 3, 5]),
		...sized('SETTINGS', TYPE.SETTINGS, 0, [1, 5, 7]),
		...onOpen('RST_STREAM', TYPE.RST_STREAM, [0, 3, 5], FRAME_SIZE),
		...onOpen('WINDOW_UPDATE of a stream', TYPE.WINDOW_UPDATE, [0, 3, 5], FRAME_SIZE),
		...onOpen('PRIORITY', TYPE.PRIORITY, [0, 4, 6], { oneOf: BAD_SIZE }),
		{ name: 'PRIORITY of an idle stream with 4 bytes (6.3)', oneOf: BAD_SIZE,
			frames: (id) => [GET(id, '/wait'), frame(TYPE.PRIORITY, 0, id, Buffer.alloc(4))] },
		{ name: 'an acknowledgement of SETTINGS with a payload (6.5)', ...FRAME_SIZE,
			frames: () => [settings([[SETTING.ENABLE_PUSH, 0]], FLAG.ACK)] },
		{ name: 'HEADERS too short for their priority (6.2)',
			connection: [CODE.FRAME_SIZE_ERROR, CODE.PROTOCOL_ERROR],
			frames: (id) => [frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.PRIORITY, id, Buffer.alloc(4))] },
		{ name: 'HEADERS too short for their pad length (6.2)',
			connection: [CODE.FRAME_SIZE_ERROR, CODE.PROTOCOL_ERROR],
			frames: (id) => [frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.PADDED, id)] },
		{ name: 'DATA too short for their pad length (6.1)',
			oneOf: [...BAD_SIZE, { connection: CODE.PROTOCOL_ERROR }],
			frames: (id) => [OPEN_POST(id, '/wait'), frame(TYPE.DATA, FLAG.PADDED, id)] },
	]);
});

test('streams of frames', async (t) => {
	const PROTOCOL = { connection: CODE.PROTOCOL_ERROR };
	const on = (name, section, given) => ({ name: `${name} (${section})`, frames: () => [given], ...PROTOCOL });

	await h2Rows(t, await h2Arena(t), [
		on('DATA on stream 0', '6.1', data(0, 'x')),
		on('HEADERS on stream 0', '6.2', headers(0, request(), END)),
		on('PRIORITY on stream 0', '6.3', priority(0)),
		on('RST_STREAM on stream 0', '6.4', rstStream(0)),
		on('SETTINGS on a stream', '6.5', frame(TYPE.SETTINGS, 0, 1)),
		on('an acknowledgement of SETTINGS on a stream', '6.5', frame(TYPE.SETTINGS, FLAG.ACK, 1)),
		on('PUSH_PROMISE on stream 0', '6.6', pushPromise(0, 2, request())),
		on('PING on a stream', '6.7', frame(TYPE.PING, 0, 1, '12345678')),
		on('an answer to PING on a stream', '6.7', frame(TYPE.PING, FLAG.ACK, 1, '12345678')),
		on('GOAWAY on a stream', '6.8', frame(TYPE.GOAWAY, 0, 1, Buffer.alloc(8))),
		on('CONTINUATION on stream 0', '6.10', continuation(0, request())),
		{ name: 'a client may not push (8.4)', ...PROTOCOL,
			frames: (id) => [GET(id, '/wait'), pushPromise(id, 2, request())] },
		{ name: 'a client may not push on an open stream either (8.4)', ...PROTOCOL,
			frames: (id) => [OPEN_POST(id, '/wait'), pushPromise(id, id + 2, request())] },
	]);
});

test('padding', async (t) => {
	const PROTOCOL = { connection: CODE.PROTOCOL_ERROR };

	await h2Rows(t, await h2Arena(t), [
		{ name: 'DATA of content and padding pass, and the padding is no content (6.1)', does: async (client, id) => {
			client.send(OPEN_POST(id, '/echo'), data(id, 'abc', { padding: 0 }),
				data(id, '', { padding: 255 }), data(id, 'def', { padding: 7, endStream: true }));
			assert.equal((await client.expectResponse(id)).body.toString(), 'abcdef');
		}, status: 200 },
		{ name: 'HEADERS with padding and priority pass (6.2)', status: 200,
			frames: (id) => [headers(id, request(), { ...END, padding: 255, priority: { weight: 3 } })] },
		{ name: 'the padding of HEADERS before CONTINUATION is no part of the block (6.2)', status: 200,
			frames: (id) => [
				headers(id, block(request()).subarray(0, 9), { ...END, padding: 20, endHeaders: false }),
				continuation(id, block(request()).subarray(9)),
			] },
		{ name: 'padding as long as the payload of DATA (6.1)', ...PROTOCOL,
			frames: (id) => [OPEN_POST(id, '/wait'), data(id, 'abc', { padLength: 4 })] },
		{ name: 'padding longer than the payload of DATA (6.1)', ...PROTOCOL,
			frames: (id) => [OPEN_POST(id, '/wait'), data(id, 'abc', { padLength: 255 })] },
		{ name: 'padding as long as the payload of HEADERS (6.2)', ...PROTOCOL, does: (client, id) => {
			const fields = block(request());
			client.send(headers(id, fields, { ...END, padLength: fields.length + 1 }));
		} },
		{ name: 'padding that reaches into the priority of HEADERS (6.2)',
			connection: [CODE.PROTOCOL_ERROR, CODE.FRAME_SIZE_ERROR],
			frames: (id) => [frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.PADDED | FLAG.PRIORITY, id,
				Buffer.from([3, 0, 0, 0, 0, 15, 0]))] },
	]);
});

test('field blocks over several frames', async (t) => {
	const PROTOCOL = { connection: CODE.PROTOCOL_ERROR };
	const begun = (id) => headers(id, block(request()).subarray(0, 9), { ...END, endHeaders: false });
	const rest = (id) => continuation(id, block(request()).subarray(9));
	const within = (name, given) => ({
		name: `${name} within a field block (4.3, 6.2)`,
		frames: (id) => [begun(id), given(id), rest(id)],
		...PROTOCOL,
	});
	const behind = (name, given) => ({
		name: `${name} between two CONTINUATION frames (6.10)`,
		frames: (id) => [begun(id), continuation(id, Buffer.alloc(0), { endHeaders: false }), given(id), rest(id)],
		...PROTOCOL,
	});

	await h2Rows(t, await h2Arena(t), [
		{ name: 'HEADERS and one CONTINUATION (6.10)', status: 200, frames: (id) => [begun(id), rest(id)] },
		{ name: 'END_STREAM stands on HEADERS, whatever follows (6.2)', status: 200,
			frames: (id) => headersInPieces(id, request(), { size: 12, ...END }) },
		{ name: 'empty fragments (6.10)', status: 200, frames: (id) => [
			headers(id, Buffer.alloc(0), { ...END, endHeaders: false }),
			continuation(id, Buffer.alloc(0), { endHeaders: false }),
			continuation(id, request(), { endHeaders: false }),
			continuation(id, Buffer.alloc(0)),
		] },
		{ name: 'a block cut within a string and within an integer (4.3)', status: 200, does: (client, id) => {
			const content = block([...request(), ['x-long', 'y'.repeat(300)]]);
			const at = content.indexOf('x-long') + 7;
			client.send(headers(id, content.subarray(0, at), { ...END, endHeaders: false }),
				continuation(id, content.subarray(at, at + 1), { endHeaders: false }),
				continuation(id, content.subarray(at + 1)));
		} },
		{ name: 'trailers over CONTINUATION frames (8.1)', status: 200, frames: (id) => [
			OPEN_POST(id), data(id, 'x'),
			...headersInPieces(id, [['x-a', 'b'], ['x-c', 'd']], { size: 5, ...END }),
		] },
		within('DATA', (id) => data(id, 'x')),
		within('HEADERS of the same stream', (id) => GET(id)),
		within('HEADERS of another stream', (id) => GET(id + 2)),
		within('PRIORITY', (id) => priority(id)),
		within('RST_STREAM', (id) => rstStream(id)),
		within('SETTINGS', () => settings()),
		within('an acknowledgement of SETTINGS', () => settingsAck()),
		within('PUSH_PROMISE', (id) => pushPromise(id, 2, request())),
		within('PING', () => ping()),
		within('GOAWAY', () => goaway()),
		within('WINDOW_UPDATE', () => windowUpdate(0, 1)),
		within('PRIORITY_UPDATE', (id) => priorityUpdate(id)),
		within('an unknown type', (id) => frame(0xbe, 0, id)),
		within('CONTINUATION of another stream', (id) => continuation(id + 2, request())),
		behind('PING', () => ping()),
		behind('DATA', (id) => data(id, 'x')),
		behind('an unknown type', () => frame(0xbe, 0, 0)),
		behind('CONTINUATION of another stream', (id) => continuation(id + 2, request())),
		{ name: 'CONTINUATION without HEADERS (6.10)', ...PROTOCOL, frames: (id) => [continuation(id, request())] },
		{ name: 'CONTINUATION after a whole block (6.10)', ...PROTOCOL,
			frames: (id) => [OPEN_POST(id, '/wait'), continuation(id, [['x', 'y']])] },
		{ name: 'CONTINUATION after the last CONTINUATION (6.10)', ...PROTOCOL,
			frames: (id) => [begun(id), rest(id), continuation(id, [['x', 'y']])] },
		{ name: 'CONTINUATION after DATA (6.10)', ...PROTOCOL,
			frames: (id) => [OPEN_POST(id, '/wait'), data(id, 'x'), continuation(id, [['x', 'y']])] },
	]);
});

test('PING, GOAWAY, RST_STREAM and PRIORITY', async (t) => {
	await h2Rows(t, await h2Arena(t), [
		{ name: 'each PING is answered with its own bytes (6.7)', does: async (client) => {
			const opaques = ['aaaaaaaa', '\0\0\0\0\0\0\0\0', 'bbbbbbbb', '\xff'.repeat(8)];
			client.send(opaques.map((opaque) => ping(opaque)));
			for (const opaque of opaques) {
				await client.expectFrame(TYPE.PING, (got) =>
					got.has(FLAG.ACK) && got.payload.toString('latin1') === opaque);
			}
		}, ignored: true },
		{ name: 'an answer to PING gets no answer (6.7)', does: async (client) => {
			client.send(ping('unasked!', FLAG.ACK));
			await client.settle();
			assert.ok(!client.frames.some(({ type }) => type === TYPE.PING));
		}, ignored: true },
		{ name: 'PING is answered while a request is open (6.7)', ignored: true,
			does: (client, id) => client.send(OPEN_POST(id, '/wait')).settle() },
		{ name: 'what was begun before GOAWAY of the client is finished (6.8)', status: 200, isLast: true,
			frames: (id) => [OPEN_POST(id), goaway(0), data(id, 'x', END)] },
		{ name: 'GOAWAY with debug data and an unknown code (6.8, 7)', status: 200, isLast: true,
			frames: (id) => [OPEN_POST(id), goaway(0, 0xabcd, 'bye'), data(id, 'x', END)] },
		{ name: 'RST_STREAM is not answered with RST_STREAM (5.4.2)', ignored: true,
			frames: (id) => [GET(id, '/wait'), rstStream(id), rstStream(id)] },
		{ name: 'nothing is sent on a stream after it was reset (6.4)', does: async (client, id, { backend }) => {
			client.send(GET(id, '/wait'));
			await backend.until(() => backend.heard.includes('GET /wait'), 'the request');
			client.send(rstStream(id));
			await client.settle();
			assert.equal(client.stream(id).response, undefined);
		}, ignored: true },
		{ name: 'PRIORITY of an idle stream (6.3)', ignored: true, frames: () => [priority(9, { dependsOn: 7 })] },
		{ name: 'PRIORITY of an idle stream does not use it (5.1.1)', status: 200,
			frames: (id) => [priority(id + 6), GET(id)] },
		{ name: 'PRIORITY of an open stream (6.3)', status: 200,
			frames: (id) => [OPEN_POST(id), priority(id, { weight: 255, exclusive: true }), data(id, 'x', END)] },
		{ name: 'PRIORITY of a closed stream (6.3)', does: async (client, id) => {
			client.send(GET(id));
			await client.expectStatus(id, 200);
			client.send(priority(id, { dependsOn: 99 }));
		}, ignored: true },
		{ name: 'HEADERS with a priority (6.2)', status: 200,
			frames: (id) => [headers(id, request(), { ...END, priority: { dependsOn: 21, exclusive: true } })] },
		{ name: 'a stream that depends on itself (5.3.2): ignored, or the error of RFC 7540',
			oneOf: [{ ignored: true }, { stream: CODE.PROTOCOL_ERROR }, { connection: CODE.PROTOCOL_ERROR }],
			frames: (id) => [GET(id, '/wait'), priority(id, { dependsOn: id })] },
	]);
});
