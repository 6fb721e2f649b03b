// HTTP/2 flow control, RFC 9113 sections 5.2 and 6.9, both ways. The judge of the raw client counts
// each byte of DATA against the windows; here are the cases in which it has something to count.
// Sections in names are of RFC 9113.
import assert from 'node:assert/strict';
import test from 'node:test';

import {
	CODE, MOST_WINDOW, SETTING, WINDOW, data, headers, rstStream, settings, windowUpdate,
} from './lib/h2_frames.mjs';
import { h2Arena, h2Rows } from './lib/h2_rows.mjs';
import { request } from './lib/h2_wire.mjs';
import { chunked } from './lib/http_text.mjs';

const END = { endStream: true };
const OPEN_POST = (id, path = '/') => headers(id, request({ method: 'POST', path }));
const GET = (id, path = '/') => headers(id, request({ path }), END);
const KiB = 1024;

// So many bytes of a response have come, and no more come although everything sent was processed.
async function expectBytes(client, id, n) {
	await client.expectHead(id);
	await client.expectThat(() => client.stream(id).nBytes >= n, `${n} bytes on stream ${id}`);
	await client.settle();
	assert.equal(client.stream(id).nBytes, n);
}

test('windows that the client gives', async (t) => {
	const initial = (value) => ({ settings: [[SETTING.INITIAL_WINDOW_SIZE, value]] });

	await h2Rows(t, await h2Arena(t), [
		{ name: 'no DATA without a window, but the head (5.2.1, 6.9.1)', open: initial(0), does: async (client, id) => {
			client.send(GET(id, '/bytes/5'));
			await expectBytes(client, id, 0);
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 5]]));
		}, status: 200 },
		{ name: 'a window of one byte (6.9.1)', open: initial(1), does: async (client, id) => {
			client.send(GET(id, '/bytes/4'));
			for (const n of [1, 2, 3]) {
				await expectBytes(client, id, n);
				client.send(windowUpdate(id, 1));
			}
			await client.expectStatus(id, 200);
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 100]]));
		}, ignored: true },
		{ name: 'the whole response in a window that just fits: its end needs no window (6.9.1)',
			open: initial(5), does: (client, id) => client.send(GET(id, '/bytes/5')), status: 200, isLast: true },
		{ name: 'the window of the connection holds for all streams together (6.9.1)', open: initial(MOST_WINDOW),
			does: async (client, id) => {
				client.send(GET(id, '/bytes/50000'), GET(id + 2, '/bytes/50000'));
				await client.expectThat(() => client.stream(id).nBytes + client.stream(id + 2).nBytes === WINDOW, 'a full window');
				await client.settle();
				assert.equal(client.stream(id).nBytes + client.stream(id + 2).nBytes, WINDOW);
				client.send(windowUpdate(0, 50000));
				await client.expectStatus(id + 2, 200);
			}, status: 200 },
		{ name: 'a larger initial window counts for open streams (6.9.2)', open: initial(10), does: async (client, id) => {
			client.send(GET(id, '/bytes/1000'));
			await expectBytes(client, id, 10);
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 30]]));
			await expectBytes(client, id, 30);
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 1000]]));
		}, status: 200 },
		{ name: 'a window below zero has to be filled up first (6.9.2)', open: initial(100), does: async (client, id) => {
			client.send(GET(id, '/bytes/1000'));
			await expectBytes(client, id, 100);
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 20]]), windowUpdate(id, 80));
			await expectBytes(client, id, 100); // now at 0
			client.send(windowUpdate(id, 1));
			await expectBytes(client, id, 101);
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 0]]), windowUpdate(id, 25));
			await expectBytes(client, id, 106);
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 1000]]), windowUpdate(id, 1000));
		}, status: 200 },
		{ name: 'SETTINGS leave the window of the connection alone (6.9.2)', open: initial(1), does: async (client, id) => {
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, MOST_WINDOW]]), GET(id, '/bytes/70000'));
			await expectBytes(client, id, WINDOW);
			client.send(windowUpdate(0, 10000));
		}, status: 200 },
		{ name: 'a window update before the response counts (6.9)', open: initial(0), does: (client, id) => {
			client.send(OPEN_POST(id, '/bytes/7'), windowUpdate(id, 7), data(id, 'x', END));
		}, status: 200, isLast: true },
		{ name: 'frames of up to the frame size that the client allows (4.2)', does: async (client, id) => {
			client.credits = true;
			client.send(settings([[SETTING.MAX_FRAME_SIZE, 20000]]), GET(id, '/bytes/200000'));
		}, status: 200 },
		{ name: 'the largest window there is (6.9.1)', status: 200,
			frames: (id) => [windowUpdate(0, MOST_WINDOW - WINDOW), OPEN_POST(id),
				windowUpdate(id, MOST_WINDOW - WINDOW), data(id, 'x', END)] },
	]);
});

test('window updates that are wrong', async (t) => {
	const FLOW = CODE.FLOW_CONTROL_ERROR;
	const either = (code) => [{ stream: code }, { connection: code }];

	await h2Rows(t, await h2Arena(t), [
		{ name: 'an increment of 0 for a stream (6.9)', oneOf: either(CODE.PROTOCOL_ERROR),
			frames: (id) => [GET(id, '/wait'), windowUpdate(id, 0)] },
		{ name: 'an increment of 0 for the connection (6.9)', connection: CODE.PROTOCOL_ERROR,
			frames: () => [windowUpdate(0, 0)] },
		{ name: 'a window of a stream beyond 2^31 - 1 (6.9.1)', oneOf: either(FLOW),
			frames: (id) => [GET(id, '/wait'), windowUpdate(id, MOST_WINDOW - WINDOW + 1)] },
		{ name: 'the same in two steps (6.9.1)', oneOf: either(FLOW),
			frames: (id) => [GET(id, '/wait'), windowUpdate(id, MOST_WINDOW - WINDOW), windowUpdate(id, 1)] },
		{ name: 'a window of the connection beyond 2^31 - 1 (6.9.1)', connection: FLOW,
			frames: () => [windowUpdate(0, MOST_WINDOW - WINDOW), windowUpdate(0, 1)] },
		{ name: 'an initial window that takes one of a stream beyond 2^31 - 1 (6.9.2)', connection: FLOW,
			frames: (id) => [GET(id, '/wait'), windowUpdate(id, MOST_WINDOW - WINDOW),
				settings([[SETTING.INITIAL_WINDOW_SIZE, WINDOW + 1]])] },
	]);
});

test('windows that Pollux gives', async (t) => {
	const stage = await h2Arena(t, { listen: { http2_window: '32k' } });

	await h2Rows(t, stage, [
		{ name: 'an upload of many windows goes through (5.2.2, 6.9.1)', does: async (client, id, { backend }) => {
			client.send(OPEN_POST(id, '/upload'));
			await client.upload(id, 1024 * KiB);
			await client.expectStatus(id, 200);
			assert.ok(backend.heard.length > 1024 * KiB);
		}, ignored: true },
		{ name: 'padding counts, and is given back (6.1, 6.9.1)', does: async (client, id) => {
			client.send(OPEN_POST(id));
			for (let n = 0; n < 1200; n++) { // 300 KiB, a window of the connection several times over
				await client.expectThat(() => client.judge.room(id) >= 257, `room for frame ${n}`);
				client.send(data(id, 'x', { padding: 255 }));
			}
			client.send(data(id, '', END));
		}, status: 200 },
		{ name: 'DATA that come after our own RST_STREAM count, and are given back (5.1, 6.9)', does: async (client, id) => {
			client.send(OPEN_POST(id, '/wait'), rstStream(id));
			await repeat(client, id);
		}, ignored: true },
		{ name: 'DATA on a stream that the server has reset count and are given back (5.1, 6.9)', does: async (client, id) => {
			client.send(headers(id, request({ method: 'POST', fields: [['content-length', '1']] })), data(id, 'abc'));
			await client.expectReset(id, CODE.PROTOCOL_ERROR);
			await repeat(client, id);
		}, stream: CODE.PROTOCOL_ERROR },
		{ name: 'bytes that wait for a backend and are dropped by a reset are given back (6.9)', does: async (client) => {
			for (let n = 0; n < 12; n++) {
				const id = client.nextStream();
				client.send(OPEN_POST(id, '/wait'));
				await client.expectThat(() => client.judge.room(id) >= 16 * KiB, 'room for a body');
				client.send(data(id, 'x'.repeat(16 * KiB)), rstStream(id));
			}
			const id = client.nextStream();
			client.send(OPEN_POST(id));
			await client.upload(id, 256 * KiB);
			await client.expectStatus(id, 200);
		}, ignored: true },
	]);

	// As much again as the window of the connection, on a stream that is closed.
	async function repeat(client, id) {
		for (let n = 0; n < 40; n++) {
			const ends = await client.expectThat(() => client.judge.connectionRoom >= 8 * KiB || client.judge.goaways.length > 0,
				`room on the connection for frame ${n}`);
			assert.ok(ends);
			client.send(data(id, 'x'.repeat(8 * KiB)));
			client.stream(id).nSent = 0; // only the connection is asked for room
		}
	}
});

test('a client that does not keep to the windows', async (t) => {
	// A request whose body the backend does not read; what the kernel takes of it is soon full.
	const stalled = async ({ backend }, client) => {
		const id = client.nextStream();
		const nConns = backend.conns.length;
		client.send(OPEN_POST(id, '/stalled'));
		await backend.until(() => backend.conns.length > nConns, 'the connection to the backend');
		backend.conns.at(-1).stall();
		await client.uploadUntilStall(id);
		return id;
	};

	await t.test('one byte beyond the window of a stream is FLOW_CONTROL_ERROR (6.9.1)', async (sub) => {
		const stage = await h2Arena(sub, { backend: { keepalive: false } });
		const client = await stage.connect(sub);
		const id = await stalled(stage, client);
		assert.ok(client.judge.connectionRoom > 0);
		client.send(data(id, 'x'));
		await client.expectOutcome(id);
		if (client.stream(id).isReset) {
			await client.expectReset(id, CODE.FLOW_CONTROL_ERROR);
			await client.expectServes();
		} else {
			await client.expectGoaway(CODE.FLOW_CONTROL_ERROR);
		}
	});

	await t.test('one byte beyond the window of the connection is FLOW_CONTROL_ERROR (6.9.1)', async (sub) => {
		const stage = await h2Arena(sub, {
			listen: { http2_queue: '64k', http2_window: '64k' }, backend: { keepalive: false },
		});
		const client = await stage.connect(sub);
		const ids = [];
		while (client.judge.connectionRoom > 0 && ids.length < 10)
			ids.push(await stalled(stage, client));
		assert.equal(client.judge.connectionRoom, 0, `after ${ids.length} streams`);
		const id = client.nextStream();
		client.send(OPEN_POST(id, '/wait'));
		await client.settle();
		client.send(data(id, 'x'));
		await client.expectGoaway(CODE.FLOW_CONTROL_ERROR);
	});
});

test('a response of unknown length ends although no window is left', async (t) => {
	const answer = ({ target }) => (target === '/chunked'
		? `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('hello')}`
		: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n`);
	const { connect } = await h2Arena(t, { answer });
	const client = await connect(t, { settings: [[SETTING.INITIAL_WINDOW_SIZE, 5]] });

	assert.equal((await client.expectStatus(client.get('/chunked'), 200)).body.toString(), 'hello');
	const { trailers } = await client.expectStatus(client.get('/trailers'), 200);
	assert.deepEqual(trailers, [['x-sum', '1']]);
});
