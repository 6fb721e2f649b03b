// Floods and bombs over HTTP/2, each by its CVE where it has one: the connection that does it is told
// ENHANCE_YOUR_CALM or gets the error that its frames deserve, the log says why, memory stays bounded,
// and a client beside it is served all the time.
import assert from 'node:assert/strict';
import test from 'node:test';

import { OpensslClient } from './lib/openssl.mjs';
import { Authority } from './lib/certificates.mjs';
import {
	CODE, FLAG, MOST_WINDOW, PREFACE, SETTING, TYPE, WINDOW,
	continuation, data, frame, headers, ping, priority, priorityUpdate, rstStream, settings, windowUpdate,
} from './lib/h2_frames.mjs';
import { added, block, huffmanString, indexed, plain } from './lib/h2_hpack.mjs';
import { requestLines } from './lib/h2_rows.mjs';
import { MiB, flood, provokeResets, siege, siegeArena, sieges } from './lib/h2_siege.mjs';
import { request } from './lib/h2_wire.mjs';
import { eventually } from './lib/wait.mjs';

const END = { endStream: true };
const GET = (id, path = '/') => headers(id, request({ path }), END);
const OPEN_POST = (id, path = '/wait', fields = []) => headers(id, request({ method: 'POST', path, fields }));

test('floods of frames that ask for an answer, or for nothing', async (t) => {
	const open = (client) => client.send(OPEN_POST(1)); // frames of a stream need one
	const onStream = (make) => async (client) => {
		open(client);
		await flood(client, make);
	};

	await sieges(t, await siegeArena(t), [
		// Where the answers wait because the client does not take them, those are too many first.
		{ name: 'PING (CVE-2019-9512)', logged: /http\/2: too many (PING frames|frames that want an answer)/,
			attack: (client) => flood(client, () => ping()) },
		{ name: 'SETTINGS (CVE-2019-9515)', logged: /http\/2: too many (SETTINGS frames|frames that want an answer)/,
			attack: (client) => flood(client, (n) => settings([[SETTING.INITIAL_WINDOW_SIZE, n]])) },
		{ name: 'PRIORITY of ever other streams (CVE-2019-9513)', logged: /http\/2: too many PRIORITY frames/,
			attack: (client) => flood(client, (n) => priority(2 * (n % 5000) + 1, {
				dependsOn: 2 * ((n + 7) % 5000) + 1, weight: n % 256,
			})) },
		{ name: 'PRIORITY_UPDATE', logged: /http\/2: too many PRIORITY frames/,
			attack: (client) => flood(client, (n) => priorityUpdate(2 * (n % 50) + 1, `u=${n % 8}`)) },
		{ name: 'WINDOW_UPDATE without need', logged: /http\/2: too many WINDOW_UPDATE frames/,
			attack: (client) => flood(client, () => windowUpdate(0, 1)) },
		{ name: 'WINDOW_UPDATE of a stream without need', logged: /http\/2: too many WINDOW_UPDATE frames/, reason: 'http2-abuse',
			attack: onStream(() => windowUpdate(1, 1)) },
		{ name: 'empty DATA (CVE-2019-9518)', logged: /http\/2: too many empty frames/, reason: 'http2-abuse',
			attack: onStream(() => data(1, '')) },
		{ name: 'frames of unknown types', logged: /http\/2: too many frames/,
			attack: (client) => flood(client, () => frame(0xbe, 0, 0, 'x')) },
		{ name: 'DATA of nothing but padding', logged: /http\/2: too many empty frames/, reason: 'http2-abuse',
			attack: async (client) => {
				client.send(OPEN_POST(1));
				for (let n = 0; n < 20_000 && client.judge.goaways.length === 0 && !client.isOver; n++) {
					if (client.judge.room(1) < 1)
						await client.expectThat(() => client.judge.room(1) >= 1 || client.judge.goaways.length > 0, 'room');
					client.send(data(1, '', { padding: 0 }));
				}
			} },
		{ name: 'a mixture of all, none of which is much', logged: /http\/2: too many/, reason: 'http2-abuse', attack: onStream((n) => [
			ping(), settings(), priority(99), windowUpdate(0, 1), data(1, ''), frame(0xbe, 0, 0),
		][n % 6]) },
		{ name: 'a SETTINGS frame with thousands of values (CVE-2020-11080)', logged: /http\/2: \S/,
			attack: (client) => client.send(settings(Array.from({ length: 2700 }, (_, n) => [n + 10, n]))) },
	]);
});

test('floods of frames that cost no more than their bytes', async (t) => {
	// Whether the server puts up with them or not: nothing grows, and nobody waits.
	const allowed = (name, attack) => ({
		name, goaway: null, mib: 8, attack: async (client) => {
			await attack(client);
			if (client.judge.goaways.length > 0)
				await client.expectGoaway(CODE.ENHANCE_YOUR_CALM);
			else
				await client.expectServes();
		},
	});

	await sieges(t, await siegeArena(t), [
		allowed('windows that open byte by byte (CVE-2019-9511)', async (client) => {
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 0]]));
			const ids = Array.from({ length: 50 }, () => client.get('/bytes/100000'));
			for (const id of ids)
				await client.expectHead(id);
			for (let n = 0; n < 100 && client.judge.goaways.length === 0; n++) {
				client.send(ids.map((id) => windowUpdate(id, 1)));
				await client.expectThat(() => client.judge.goaways.length > 0
					|| ids.every((id) => client.stream(id).nBytes > n), `byte ${n} of each`);
			}
			client.send(settings([[SETTING.INITIAL_WINDOW_SIZE, WINDOW]]), ids.map((id) => rstStream(id)));
		}),
	]);
});

test('answers that nobody reads do not pile up (CVE-2019-9512, 9515, 9517)', async (t) => {
	const stage = await siegeArena(t, { listen: { write_timeout: '700ms' } });
	const unread = (make) => async (client) => {
		client.stall();
		await flood(client, make, 60_000);
		client.goOn();
		await client.expectGone();
	};

	await sieges(t, stage, [
		{ name: 'of PING', goaway: null, attack: unread(() => ping()), logged: /http\/2: too many PING frames/ },
		{ name: 'of SETTINGS', goaway: null, attack: unread(() => settings()), logged: /http\/2: too many SETTINGS frames/ },
		{ name: 'of resets', goaway: null, logged: /http\/2: too many resets/,
			attack: unread((n) => [GET(2 * n + 1, '/wait'), rstStream(2 * n + 1)]) },
		{ name: 'of requests, with windows open and TCP shut (CVE-2019-9517)', goaway: null, mib: 24,
			open: { settings: [[SETTING.INITIAL_WINDOW_SIZE, MOST_WINDOW]] },
			attack: async (client, { pollux }) => {
				client.send(windowUpdate(0, MOST_WINDOW - WINDOW));
				client.stall();
				for (let n = 0; n < 90; n++)
					client.send(GET(2 * n + 1, `/bytes/${MiB}`));
				await pollux.accessed({ target: `/bytes/${MiB}`, reason: 'client-stall' });
				client.goOn();
				await client.expectGone();
			} },
	]);
});

test('resets', async (t) => {
	const stage = await siegeArena(t, { listen: { http2_max_streams: 20 } });
	const { backend } = stage;
	const nOpen = () => backend.conns.filter((conn) => !conn.isClosed && !conn.hasEnded).length;
	const TOO_MANY = { logged: /http\/2: too many resets/ };
	// As many requests as there may be streams, and the neighbour's, may be at the backend.
	const bounded = (run, make) => async (client) => {
		let most = 0;
		await run(client, (given) => {
			most = Math.max(most, nOpen());
			return make(given);
		});
		assert.ok(most <= 20 + 4, `${most} connections to the backend`);
		await eventually(() => nOpen() <= 4, 'work for streams that are gone given up');
	};
	const given = (make) => bounded(flood, (n) => make(2 * n + 1)); // the client resets itself
	const provoked = (make) => bounded(provokeResets, make);

	await sieges(t, stage, [
		{ name: 'rapid reset (CVE-2023-44487)', ...TOO_MANY, attack: given((id) => [GET(id, '/wait'), rstStream(id)]) },
		{ name: 'rapid reset of requests with a body', ...TOO_MANY,
			attack: given((id) => [OPEN_POST(id), data(id, 'x'), rstStream(id)]) },
		{ name: 'rapid reset, each reset in a later segment than its request', ...TOO_MANY, attack: async (client) => {
			let id = 1;
			while (client.judge.goaways.length === 0 && !client.isOver && id < 20_000) {
				client.send(GET(id, '/wait'));
				await new Promise((done) => setImmediate(done));
				client.send(rstStream(id));
				id += 2;
			}
			await eventually(() => nOpen() <= 4, 'work for streams that are gone given up');
		} },
		{ name: 'requests that draw a reset (CVE-2019-9514)', ...TOO_MANY,
			attack: provoked((id) => headers(id, [...request(), ['X', 'y']], END)) },
		// MadeYouReset (CVE-2025-8671): the server resets what has begun at the backend.
		{ name: 'resets provoked by a window beyond its limit (CVE-2025-8671)', ...TOO_MANY,
			attack: provoked((id) => [GET(id, '/wait'), windowUpdate(id, MOST_WINDOW)]) },
		{ name: 'resets provoked by DATA beyond the Content-Length (CVE-2025-8671)', ...TOO_MANY,
			attack: provoked((id) => [OPEN_POST(id, '/wait', [['content-length', '1']]), data(id, 'xx')]) },
		{ name: 'resets provoked by malformed trailers (CVE-2025-8671)', ...TOO_MANY,
			attack: provoked((id) => [OPEN_POST(id), headers(id, [['X', 'y']], END)]) },
		{ name: 'resets provoked by a second head (CVE-2025-8671)', ...TOO_MANY,
			attack: provoked((id) => [OPEN_POST(id), headers(id, request())]) },
		{ name: 'more streams than allowed', goaway: [CODE.ENHANCE_YOUR_CALM, CODE.PROTOCOL_ERROR], logged: /http\/2: \S/,
			attack: given((id) => OPEN_POST(id)) },
	]);

	// These end the connection at once, so that nothing can be provoked twice.
	const once = (name, goaway, ...frames) => ({
		name: `${name} ends the connection, and its work (CVE-2025-8671)`, goaway, logged: /http\/2: \S/,
		reason: 'http2-protocol',
		attack: async (client) => {
			const from = backend.heard.length;
			for (let id = 101; id < 121; id += 2)
				client.send(GET(id, '/wait'));
			const nAsked = () => requestLines(backend, from).filter((line) => line.includes('/wait')).length;
			await backend.until(() => nAsked() === 10, 'the requests');
			client.send(...frames);
			await client.expectGone();
			await eventually(() => nOpen() <= 4, 'work given up');
		},
	});
	await sieges(t, stage, [
		once('a window increment of 0', CODE.PROTOCOL_ERROR, windowUpdate(119, 0)),
		once('DATA after END_STREAM', CODE.STREAM_CLOSED, data(119, 'x')),
		once('HEADERS after END_STREAM', CODE.STREAM_CLOSED, headers(119, [['x', 'y']], END)),
		once('a PRIORITY frame of 4 bytes', CODE.FRAME_SIZE_ERROR, frame(TYPE.PRIORITY, 0, 119, Buffer.alloc(4))),
		once('a stream number that goes down', CODE.PROTOCOL_ERROR, GET(51, '/wait')),
		once('a window of the connection beyond its limit', CODE.FLOW_CONTROL_ERROR, windowUpdate(0, MOST_WINDOW)),
	]);
});

test('heads without end', async (t) => {
	const stage = await siegeArena(t, { listen: { max_header_size: '16k' } });
	const begun = (client, fields = request()) => client.send(headers(1, fields, { ...END, endHeaders: false }));
	const more = (content) => async (client) => {
		begun(client);
		await flood(client, () => continuation(1, content, { endHeaders: false }), 20_000);
	};
	const CALM = { logged: /http\/2: too many CONTINUATION frames/ };

	await sieges(t, stage, [
		{ name: 'empty CONTINUATION frames (CVE-2019-9518)', ...CALM, attack: more(Buffer.alloc(0)) },
		{ name: 'CONTINUATION frames of one byte (CVE-2024-28182)', ...CALM, attack: async (client) => {
			const fields = block(Array.from({ length: 200 }, (_, n) => [`x-${n}`, 'y']));
			begun(client);
			await flood(client, (n) => continuation(1, fields.subarray(n, n + 1), { endHeaders: false }), fields.length);
		} },
		{ name: 'CONTINUATION frames as large as may be (CVE-2024-28182)', logged: /http\/2: \S/,
			attack: more(block(Array.from({ length: 50 }, (_, n) => [`x-${n}`, 'y'.repeat(300)]))) },
		{ name: 'one field over many CONTINUATION frames', logged: /http\/2: \S/,
			goaway: [CODE.ENHANCE_YOUR_CALM, CODE.COMPRESSION_ERROR],
			attack: async (client) => {
			begun(client, Buffer.concat([block(request()), Buffer.from([0, 1, 0x78, 0x7f, 0x81, 0xff, 0x7f])])); // of 2 MiB
			await flood(client, () => continuation(1, Buffer.alloc(16384, 'y'), { endHeaders: false }), 200);
		} },
		{ name: 'empty HEADERS that open streams', logged: /http\/2: too many (empty frames|resets)/,
			attack: (client) => provokeResets(client, (id) => headers(id, Buffer.alloc(0), END)) },
	]);
});

test('bombs of compression', async (t) => {
	const stage = await siegeArena(t);
	const bomb = (name, ...representations) => ({
		name, goaway: null,
		attack: async (client) => {
			// The entry is 4000 bytes, each byte of the block brings it back once more.
			const content = Buffer.concat([block(request()), ...representations]);
			assert.ok(content.length <= 16384);
			for (let n = 0; n < 20; n++) {
				const id = client.nextStream();
				client.send(headers(id, content, END));
				await client.expectOutcome(id);
				if (client.judge.goaways.length > 0)
					break;
				const { response, code } = client.stream(id);
				assert.ok(code === CODE.PROTOCOL_ERROR || response?.status === 431, `${response?.status}, ${code}`);
			}
			if (client.judge.goaways.length > 0)
				await client.expectGoaway(CODE.ENHANCE_YOUR_CALM);
			else
				await client.expectServes();
		},
	});
	const again = Buffer.alloc(10_000, indexed(62));

	await sieges(t, stage, [
		bomb('one large entry, thousands of times (CVE-2016-1544, CVE-2016-6581)', 
			added('x-bomb', 'y'.repeat(4000)), again),
		bomb('a large cookie, thousands of times', added('cookie', 'y'.repeat(4000)), again),
		bomb('small fields without number', added('x', ''), again),
		bomb('empty names, which take nothing but the overhead (CVE-2019-9516)', added('', ''), again),
		bomb('empty names as Huffman codes (CVE-2019-9516)',
			...Array(2000).fill(plain(huffmanString([]), huffmanString([])))),
	]);
});

test('many requests with empty names leak nothing (CVE-2019-9516)', async (t) => {
	const stage = await siegeArena(t);
	await siege(t, stage, {
		goaway: null,
		mib: 4,
		attack: async (client) => {
			for (let n = 0; n < 500; n++) {
				const id = client.nextStream();
				client.send(headers(id, [...request(), ...Array(50).fill(['', ''])], END));
				await client.expectReset(id, CODE.PROTOCOL_ERROR);
			}
			await client.expectServes();
		},
	});
});

test('frames behind an error of the connection do no harm (CVE-2026-27135)', async (t) => {
	const stage = await siegeArena(t);
	const errors = {
		'a frame on the wrong stream': () => [data(0, 'x')],
		'a block that cannot be decoded': () => [headers(1, indexed(0), END)],
		'a reset, and then a frame on the wrong stream': () => [GET(1, '/wait'), rstStream(1), data(0, 'x')],
		'requests, and then a frame on the wrong stream': () => [GET(1, '/wait'), OPEN_POST(3), data(0, 'x')],
		'too many CONTINUATION frames': () => [headers(1, request(), { endHeaders: false }),
			...Array(20).fill(continuation(1, Buffer.alloc(0), { endHeaders: false }))],
		'too many PING frames': () => Array(6000).fill(ping()),
		'a window of the connection beyond its limit': () => [windowUpdate(0, MOST_WINDOW)],
	};
	const behind = [
		frame(TYPE.PING, 0, 0, '1234'), frame(TYPE.SETTINGS, 0, 0, '12345'), frame(TYPE.RST_STREAM, 0, 1, 'x'),
		frame(TYPE.PRIORITY, 0, 1, '1234'), frame(TYPE.WINDOW_UPDATE, 0, 0, '123'), frame(TYPE.GOAWAY, 0, 0, 'x'),
		frame(TYPE.HEADERS, FLAG.PADDED | FLAG.END_HEADERS, 1), frame(TYPE.DATA, 0, 1, Buffer.alloc(16385)),
		frame(TYPE.PRIORITY_UPDATE, 0, 0, 'x'), GET(1), GET(3), frame(TYPE.PING, 0, 0, '1234', { length: 2 ** 24 - 1 }),
	];

	for (const [name, make] of Object.entries(errors)) {
		await t.test(name, (sub) => siege(sub, stage, {
			goaway: [CODE.PROTOCOL_ERROR, CODE.COMPRESSION_ERROR, CODE.ENHANCE_YOUR_CALM, CODE.FLOW_CONTROL_ERROR],
			logged: /http\/2: \S/,
			attack: async (client, { connect }) => {
				for (const given of behind) {
					const one = await connect(sub);
					one.send(Buffer.concat([...make(), given, given])); // in one write
					await one.expectGone();
				}
				client.send(Buffer.concat([...make(), ...behind]));
			},
		}));
	}
});

test('what is announced but never sent costs nothing', async (t) => {
	const stage = await siegeArena(t);
	const announced = (name, ...frames) => ({
		name, goaway: null, mib: 16, attack: async (client, { connect }) => {
			for (let n = 0; n < 100; n++)
				(await connect(t)).send(...frames);
			await client.expectServes();
		},
	});

	await sieges(t, stage, [
		announced('a frame of 16 KiB', frame(TYPE.HEADERS, FLAG.END_HEADERS, 1, 'x', { length: 16384 })),
		announced('a value of 16 KiB', headers(1, Buffer.concat([
			block(request()), plain('x', Buffer.from([0x7f, 0x81, 0x7f])),
		]), { endHeaders: false })),
		announced('a stream of DATA', OPEN_POST(1), frame(TYPE.DATA, 0, 1, 'x', { length: 16384 })),
	]);
});

test('a renegotiation under HTTP/2 is refused (RFC 9113, 9.2.1)', async (t) => {
	const certificate = new Authority(t).issue(['a']);
	const stage = await siegeArena(t, { listen: [{}, { certificates: [certificate.pem] }] });
	const client = OpensslClient.start(t, stage.pollux.where(1), '-tls1_2', '-alpn', 'h2');
	const text = (...frames) => Buffer.concat(frames).toString('latin1');

	await client.shows('Verify return code');
	client.send(PREFACE + text(settings(), settings([], FLAG.ACK), GET(1, '/before')));
	await stage.backend.until(() => stage.backend.heard.includes('GET /before'), 'a request');
	await client.command('R', 'RENEGOTIATING');
	client.send(text(GET(3, '/after')));
	await client.left();
	const other = await stage.connect(t);
	await other.expectServes();
	assert.ok(!stage.backend.heard.includes('/after'));
});
