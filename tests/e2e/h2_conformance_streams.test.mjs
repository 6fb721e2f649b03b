// HTTP/2, RFC 9113 section 5 and 6.5: states and numbers of streams, how many there may be, and
// SETTINGS. Sections in names are of RFC 9113 where no other is named.
import assert from 'node:assert/strict';
import test from 'node:test';

import {
	CODE, FLAG, MOST_STREAM, SETTING, TYPE,
	continuation, data, headers, priority, priorityUpdate, rstStream, settings, frame, windowUpdate,
} from './lib/h2_frames.mjs';
import { added, block, indexed } from './lib/h2_hpack.mjs';
import { h2Arena, h2Rows, requestLines } from './lib/h2_rows.mjs';
import { request } from './lib/h2_wire.mjs';

const END = { endStream: true };
const OPEN_POST = (id, path = '/') => headers(id, request({ method: 'POST', path }));
const GET = (id, path = '/') => headers(id, request({ path }), END);
const PROTOCOL = { connection: CODE.PROTOCOL_ERROR };

// An error of a stream may be taken for one of the connection (5.4.1).
const either = (...codes) => ({ oneOf: [{ stream: codes }, { connection: codes }] });

test('idle streams', async (t) => {
	await h2Rows(t, await h2Arena(t), [
		{ name: 'DATA (5.1)', ...PROTOCOL, frames: (id) => [data(id, 'x')] },
		{ name: 'DATA on a stream above the last one (5.1)', ...PROTOCOL,
			frames: (id) => [GET(id, '/wait'), data(id + 2, 'x')] },
		{ name: 'RST_STREAM (5.1, 6.4)', ...PROTOCOL, frames: (id) => [rstStream(id)] },
		{ name: 'WINDOW_UPDATE (5.1)', ...PROTOCOL, frames: (id) => [windowUpdate(id, 1)] },
		{ name: 'CONTINUATION (5.1)', ...PROTOCOL, frames: (id) => [continuation(id, request())] },
		{ name: 'WINDOW_UPDATE on a stream of the server (5.1)', ...PROTOCOL, frames: () => [windowUpdate(2, 1)] },
		{ name: 'RST_STREAM on a stream of the server (5.1)', ...PROTOCOL, frames: () => [rstStream(2)] },
		{ name: 'PRIORITY and unknown frames are allowed (5.1, 6.3)', ignored: true,
			frames: (id) => [priority(id), frame(0xbe, 0, id)] },
	]);
});

test('streams whose request has ended', async (t) => {
	const closedError = either(CODE.STREAM_CLOSED);

	await h2Rows(t, await h2Arena(t), [
		{ name: 'DATA on a half-closed stream (5.1, 6.1)', ...closedError,
			frames: (id) => [GET(id, '/wait'), data(id, 'x')] },
		{ name: 'empty DATA with END_STREAM on a half-closed stream (5.1)', ...closedError,
			frames: (id) => [GET(id, '/wait'), data(id, '', END)] },
		{ name: 'DATA after DATA with END_STREAM (5.1)', ...closedError,
			frames: (id) => [OPEN_POST(id, '/wait'), data(id, 'x', END), data(id, 'y')] },
		{ name: 'DATA after trailers (5.1, 8.1)', ...closedError,
			frames: (id) => [OPEN_POST(id, '/wait'), headers(id, [['x', 'y']], END), data(id, 'y')] },
		{ name: 'HEADERS on a half-closed stream (5.1)', ...closedError,
			frames: (id) => [GET(id, '/wait'), GET(id, '/wait')] },
		{ name: 'trailers after the end (5.1)', ...closedError,
			frames: (id) => [GET(id, '/wait'), headers(id, [['x', 'y']], END)] },
		{ name: 'CONTINUATION on a half-closed stream (5.1, 6.10)', ...PROTOCOL,
			frames: (id) => [GET(id, '/wait'), continuation(id, [['x', 'y']])] },
		{ name: 'WINDOW_UPDATE, PRIORITY and unknown frames on a half-closed stream are allowed (5.1)', ignored: true,
			frames: (id) => [GET(id, '/wait'), windowUpdate(id, 10), priority(id), frame(0xbe, 0, id)] },
		{ name: 'RST_STREAM on a half-closed stream is allowed (5.1)', ignored: true,
			frames: (id) => [GET(id, '/wait'), rstStream(id)] },
	]);
});

test('closed streams', async (t) => {
	const answered = (...given) => async (client, id) => {
		client.send(GET(id));
		await client.expectStatus(id, 200);
		client.send(...given.map((make) => make(id)));
	};
	const reset = (...given) => (client, id) => {
		client.send(OPEN_POST(id, '/wait'), rstStream(id), ...given.map((make) => make(id)));
	};
	// Discarded with the least of processing, or an error of either level.
	const discarded = (...codes) => ({
		oneOf: [
			{ ignored: true }, { stream: [CODE.STREAM_CLOSED, ...codes] }, { connection: [CODE.STREAM_CLOSED, ...codes] },
		],
	});

	await h2Rows(t, await h2Arena(t), [
		{ name: 'WINDOW_UPDATE after the response is no error (6.9)', ignored: true,
			does: answered((id) => windowUpdate(id, 1)) },
		{ name: 'RST_STREAM after the response is no error (5.1)', ignored: true, does: answered((id) => rstStream(id)) },
		{ name: 'PRIORITY after the response is no error (5.1)', ignored: true, does: answered((id) => priority(id)) },
		{ name: 'RST_STREAM and WINDOW_UPDATE after RST_STREAM are no error (5.1)', ignored: true,
			does: reset((id) => rstStream(id), (id) => windowUpdate(id, 1)) },
		{ name: 'DATA after the response (5.1)', ...discarded(), does: answered((id) => data(id, 'x')) },
		{ name: 'DATA after RST_STREAM (5.1)', ...discarded(), does: reset((id) => data(id, 'x')) },
		// HEADERS may be understood as a new stream with an old number, too (5.1.1).
		{ name: 'HEADERS after the response (5.1)', ...discarded(CODE.PROTOCOL_ERROR), does: answered((id) => GET(id)) },
		{ name: 'HEADERS after RST_STREAM (5.1)', ...discarded(CODE.PROTOCOL_ERROR), does: reset((id) => GET(id)) },
		{ name: 'CONTINUATION after the response (6.10)', ...PROTOCOL,
			does: answered((id) => continuation(id, [['x', 'y']])) },
		{ name: 'what was under way when the server reset a stream is discarded (5.1, 5.4.2)', does: async (client, id) => {
			client.send(headers(id, request({ method: 'POST', fields: [['content-length', '2']] })),
				data(id, 'abc'), data(id, 'def'), headers(id, [['x', 'y']], END), rstStream(id));
		}, stream: CODE.PROTOCOL_ERROR },
	]);

	await t.test('blocks on a stream that the server has reset still count for compression (4.3, 5.1)', async (sub) => {
		const { backend, connect } = await h2Arena(sub);
		const client = await connect(sub);
		const id = client.nextStream();
		client.send(headers(id, request({ method: 'POST', fields: [['content-length', '2']] })), data(id, 'abc'),
			headers(id, Buffer.concat([added('x-kept', 'yes')]), END));
		await client.expectReset(id, CODE.PROTOCOL_ERROR);
		client.send(headers(id + 2, Buffer.concat([block(request()), indexed(62)]), END));
		await client.expectStatus(id + 2, 200);
		assert.match(backend.heard, /x-kept: yes\r\n/i);
	});
});

test('numbers of streams', async (t) => {
	const stage = await h2Arena(t);

	await h2Rows(t, stage, [
		{ name: 'an even number (5.1.1)', ...PROTOCOL, frames: () => [GET(2)] },
		{ name: 'a number below the last one (5.1.1)', frames: () => [GET(5, '/wait'), GET(3)],
			connection: [CODE.PROTOCOL_ERROR, CODE.STREAM_CLOSED] },
		{ name: 'a skipped number is closed (5.1.1)', frames: () => [GET(5, '/wait'), data(3, 'x')],
			oneOf: [{ ignored: true }, { connection: [CODE.STREAM_CLOSED, CODE.PROTOCOL_ERROR] }] },
		{ name: 'numbers may be skipped (5.1.1)', status: 200, frames: (id) => [GET(id), GET(1001)] },
	]);

	await t.test('the last number there is can be used (5.1.1)', async (sub) => {
		const client = await stage.connect(sub);
		client.send(GET(MOST_STREAM));
		await client.expectStatus(MOST_STREAM, 200);
		await client.settle().catch((error) => {
			if (client.judge.goaways.length === 0)
				throw error; // leaving the connection is all that remains to be done with it
		});
	});

	await t.test('GOAWAY of an error names the last stream that was taken (5.4.1, 6.8)', async (sub) => {
		const client = await stage.connect(sub);
		client.send(GET(1));
		await client.expectStatus(1, 200);
		client.send(GET(7, '/wait'));
		await client.settle();
		client.send(data(0, 'x'));
		const { last } = await client.expectGoaway(CODE.PROTOCOL_ERROR);
		assert.equal(last, 7);
	});
});

test('how many streams at a time', async (t) => {
	const stage = await h2Arena(t, { listen: { http2_max_streams: 3 } });

	await t.test('as many as SETTINGS say are served together (5.1.2)', async (sub) => {
		const { backend, connect } = stage;
		const client = await connect(sub);
		assert.equal(client.judge.settings.get(SETTING.MAX_CONCURRENT_STREAMS), 3);
		const from = backend.heard.length;
		const ids = [client.get('/wait'), client.get('/wait'), client.get('/wait')];
		await backend.until(() => requestLines(backend, from).length === 3, 'three requests');
		client.send(rstStream(ids[1]));
		await client.settle();
		await client.expectServes();
		assert.ok(ids.every((id) => !client.stream(id).isReset));
	});

	await t.test('one more than may be, open or half-closed, is refused, and nothing else suffers (5.1.2)', async (sub) => {
		const { backend, connect } = stage;
		const client = await connect(sub);
		client.send(GET(1, '/wait'), GET(3, '/wait'), OPEN_POST(5, '/wait'));
		client.send(headers(7, Buffer.concat([block(request({ path: '/too-many' })), added('x-kept', 'yes')]), END));
		await client.expectOutcome(7);
		if (client.judge.goaways.length > 0) { // an error of the connection is allowed, too (5.4.1)
			await client.expectGoaway(CODE.PROTOCOL_ERROR);
		} else {
			await client.expectReset(7, [CODE.REFUSED_STREAM, CODE.PROTOCOL_ERROR]);
			client.send(rstStream(1));
			await client.settle();
			// Its block counts for compression, though (4.3).
			client.send(headers(9, Buffer.concat([block(request()), indexed(62)]), END));
			await client.expectStatus(9, 200);
			assert.match(backend.heard, /x-kept: yes\r\n/i);
			assert.ok(!client.stream(3).isReset && !client.stream(5).isReset);
		}
		assert.ok(!backend.heard.includes('/too-many'), 'what was refused never reached the backend (8.7)');
	});
});

test('SETTINGS', async (t) => {
	const bad = (name, id, value, code = CODE.PROTOCOL_ERROR) => ({
		name, frames: () => [settings([[id, value]])], connection: code,
	});
	const fine = (name, ...pairs) => ({ name, frames: () => [settings(pairs)], ignored: true });

	await h2Rows(t, await h2Arena(t), [
		{ name: 'each SETTINGS frame is acknowledged, one by one (6.5.3)', does: async (client) => {
			client.send(settings(), settings([[SETTING.ENABLE_PUSH, 0]]), settings([[SETTING.INITIAL_WINDOW_SIZE, 7]]));
			await client.expectThat(() => client.judge.nAcknowledged === 4, 'four acknowledgements');
		}, ignored: true },
		{ name: 'SETTINGS are acknowledged before what comes behind them is answered (6.5.3)', does: async (client) => {
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 100]]));
			await client.settle();
			assert.equal(client.judge.nAcknowledged, 2);
		}, ignored: true },
		fine('unknown settings are ignored (6.5.2)', [0x0a0a, 1], [0xffff, 0xffffffff], [0, 0]),
		fine('no limit to streams that the server opens (6.5.2)', [SETTING.MAX_CONCURRENT_STREAMS, 0]),
		fine('the largest values (6.5.2)', [SETTING.HEADER_TABLE_SIZE, 0xffffffff],
			[SETTING.MAX_CONCURRENT_STREAMS, 0xffffffff], [SETTING.MAX_FRAME_SIZE, 2 ** 24 - 1],
			[SETTING.MAX_HEADER_LIST_SIZE, 0xffffffff], [SETTING.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]),
		fine('the least frame size (6.5.2)', [SETTING.MAX_FRAME_SIZE, 16384]),
		fine('both values of ENABLE_PUSH (6.5.2)', [SETTING.ENABLE_PUSH, 1], [SETTING.ENABLE_PUSH, 0]),
		fine('a small MAX_HEADER_LIST_SIZE is advice (6.5.2)', [SETTING.MAX_HEADER_LIST_SIZE, 1]),
		bad('ENABLE_PUSH of 2 (6.5.2)', SETTING.ENABLE_PUSH, 2),
		bad('an initial window of 2^31 (6.5.2)', SETTING.INITIAL_WINDOW_SIZE, 2 ** 31, CODE.FLOW_CONTROL_ERROR),
		bad('an initial window of 2^32 - 1 (6.5.2)', SETTING.INITIAL_WINDOW_SIZE, 2 ** 32 - 1, CODE.FLOW_CONTROL_ERROR),
		bad('a frame size of 2^14 - 1 (6.5.2)', SETTING.MAX_FRAME_SIZE, 16383),
		bad('a frame size of 0 (6.5.2)', SETTING.MAX_FRAME_SIZE, 0),
		bad('a frame size of 2^24 (6.5.2)', SETTING.MAX_FRAME_SIZE, 2 ** 24),
		bad('NO_RFC7540_PRIORITIES of 2 (RFC 9218, 2.1)', SETTING.NO_RFC7540_PRIORITIES, 2),
		{ name: 'a bad value behind good ones (6.5.3)', ...PROTOCOL,
			frames: () => [settings([[SETTING.INITIAL_WINDOW_SIZE, 1], [SETTING.ENABLE_PUSH, 2]])] },
		{ name: 'ENABLE_CONNECT_PROTOCOL of a client means nothing (RFC 8441, 3)', ignored: true,
			frames: () => [settings([[SETTING.ENABLE_CONNECT_PROTOCOL, 1]])] },
		{ name: 'NO_RFC7540_PRIORITIES that changes: ignored or an error (RFC 9218, 2.1)',
			frames: () => [settings([[SETTING.NO_RFC7540_PRIORITIES, 1]])],
			oneOf: [{ ignored: true }, { connection: CODE.PROTOCOL_ERROR }] },
		{ name: 'the last of two values counts (6.5.3)', does: async (client, id) => {
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 10], [SETTING.INITIAL_WINDOW_SIZE, 3]]));
			client.send(GET(id, '/bytes/20'));
			await client.expectThat(() => client.stream(id).nBytes === 3, 'three bytes');
			await client.settle();
			assert.equal(client.stream(id).nBytes, 3);
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 100]]));
			await client.expectStatus(id, 200);
		}, ignored: true },
		{ name: 'an acknowledgement that nothing was sent for is no reason to fail badly (6.5.3)',
			frames: () => [settings([], FLAG.ACK)],
			oneOf: [{ ignored: true }, { connection: CODE.PROTOCOL_ERROR }] },
	]);
});

test('the settings of Pollux are those of its configuration', async (t) => {
	const { connect } = await h2Arena(t, {
		listen: { http2_max_streams: 7, http2_window: '32k', max_header_size: '16k' },
	});
	const { judge } = await connect(t);

	assert.equal(judge.settings.get(SETTING.MAX_CONCURRENT_STREAMS), 7);
	assert.equal(judge.settings.get(SETTING.INITIAL_WINDOW_SIZE), 32 * 1024);
	assert.equal(judge.settings.get(SETTING.MAX_HEADER_LIST_SIZE), 16 * 1024);
	assert.equal(judge.settings.get(SETTING.NO_RFC7540_PRIORITIES), 1);
	assert.equal(judge.settings.get(SETTING.MAX_FRAME_SIZE) ?? 16384, 16384);
});

test('priorities of RFC 9218', async (t) => {
	// Who does not know PRIORITY_UPDATE ignores it whatever it says (RFC 9113, 5.5).
	const wrong = (name, code, ...frames) => ({
		name, frames: () => frames, oneOf: [{ ignored: true }, { connection: code }],
	});

	await h2Rows(t, await h2Arena(t), [
		{ name: 'PRIORITY_UPDATE before and during a request (7.1)', status: 200, frames: (id) => [
			priorityUpdate(id, 'u=1'), OPEN_POST(id), priorityUpdate(id, 'u=7, i'), data(id, 'x', END),
		] },
		{ name: 'PRIORITY_UPDATE of a closed stream (7.1)', does: async (client, id) => {
			client.send(GET(id));
			await client.expectStatus(id, 200);
			client.send(priorityUpdate(id, 'u=0'));
		}, ignored: true },
		{ name: 'a value that nobody understands is ignored (4, 7)', ignored: true,
			frames: (id) => [GET(id, '/wait'), priorityUpdate(id, '\xff\0;;='), priorityUpdate(id, '')] },
		{ name: 'a priority field that nobody understands is ignored (4)', status: 200,
			frames: (id) => [headers(id, request({ fields: [['priority', 'u=99, ;;']] }), END)] },
		wrong('PRIORITY_UPDATE on a stream (7.1)', CODE.PROTOCOL_ERROR,
			frame(TYPE.PRIORITY_UPDATE, 0, 1, Buffer.from([0, 0, 0, 1, 0x75]))),
		wrong('PRIORITY_UPDATE of stream 0 (7.1)', CODE.PROTOCOL_ERROR, priorityUpdate(0)),
		wrong('PRIORITY_UPDATE without a whole stream number (7.1)', [CODE.FRAME_SIZE_ERROR, CODE.PROTOCOL_ERROR],
			frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.from([0, 0, 1]))),
		wrong('PRIORITY_UPDATE of a push that was never promised (7.1)', CODE.PROTOCOL_ERROR, priorityUpdate(2)),
	]);
});
