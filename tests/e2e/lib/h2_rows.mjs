// Runs tables of HTTP/2 rows against one Pollux. Each row has a connection of its own: frames in, and
// the error that has to come, at its level. Wherever the connection has to live on, another request
// on it is served afterwards.
import assert from 'node:assert/strict';

import { CODE, codeName, headers } from './h2_frames.mjs';
import { H2Wire } from './h2_wire.mjs';
import { Pollux } from './pollux.mjs';
import { RawBackend } from './raw_backend.mjs';
import { ok } from './stage.mjs';

const FENCE = '/fence';

// What the backend of an arena answers, by path: /wait never, /bytes/N with N bytes, /echo with the
// body it got, everything else with ok.
export function answerByPath({ target, body }) {
	const [, count] = /^\/bytes\/(\d+)/.exec(target) ?? [];
	if (count !== undefined)
		return ok('x'.repeat(Number(count)));
	if (target.startsWith('/wait'))
		return undefined;
	return target.startsWith('/echo') ? ok(body.toString('latin1')) : ok();
}

// A Pollux that speaks HTTP/2 without TLS, and a backend, for many rows.
export async function h2Arena(t, {
	listen = {}, backend: options = {}, route = {}, answer = answerByPath, ...rest
} = {}) {
	const backend = (await RawBackend.start(t)).serve(answer);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend], ...options },
		listen: Array.isArray(listen) ? listen : { h2c: true, ...listen },
		route: Array.isArray(route) ? route : { forwarded: 'off', ...route },
		...rest,
	});
	const connect = (owner, given = {}) => H2Wire.open(owner, pollux.where(), given);
	return { backend, pollux, connect };
}

// The request lines that the backend has got since `from`.
export function requestLines(backend, from = 0) {
	return backend.heard.slice(from).match(/^[A-Z]+ \S+ HTTP\/1\.1(?=\r$)/gm) ?? [];
}

// Neither an answer nor an error: the server has read it all, and goes on.
async function expectNothing(client, id) {
	await client.settle();
	const stream = client.stream(id);
	assert.equal(stream.code, undefined, `no RST_STREAM ${client.story()}`);
	assert.equal(client.judge.goaways.length, 0, `no GOAWAY: ${client.story()}`);
}

// RST_STREAM PROTOCOL_ERROR, perhaps behind a response that says 4xx (RFC 9113, section 8.1.1).
async function expectMalformed(client, id) {
	await client.expectReset(id, CODE.PROTOCOL_ERROR);
	const { response } = client.stream(id);
	assert.ok(response === undefined || (response.status >= 400 && response.status < 500),
		`a malformed request was answered with ${response?.status}`);
}

// The first of several things that are all right; `outcomes` are rows without frames.
async function expectOneOf(client, id, outcomes) {
	const stream = client.stream(id);
	if (outcomes.some(({ ignored }) => ignored))
		await client.settle().catch(() => {});
	const connectionError = () => client.judge.goaways.find(({ code }) => code !== CODE.NO_ERROR);
	await client.expectThat(() => connectionError() || stream.isReset || stream.hasEnded
		|| outcomes.some(({ ignored }) => ignored), 'an outcome');
	const allows = (name, value) => outcomes.some((row) => row[name] !== undefined && [row[name]].flat().includes(value));
	if (connectionError() !== undefined) {
		const { code } = connectionError();
		assert.ok(allows('connection', code), `GOAWAY ${codeName(code)} is none of what may come`);
		await client.expectGone();
		return { isOver: true };
	}
	if (stream.hasEnded && !(stream.code > CODE.NO_ERROR)) // RST_STREAM NO_ERROR may follow (8.1)
		assert.ok(allows('status', stream.response.status) || outcomes.some(({ ignored }) => ignored),
			`status ${stream.response.status} is none of what may come`);
	else if (stream.isReset)
		assert.ok(allows('stream', stream.code), `RST_STREAM ${codeName(stream.code)} is none of what may come`);
	return { isOver: false };
}

/*
 * One row:
 *	name        a sentence with its section; of RFC 9113 where no other is named
 *	frames      (id) => frames, the first stream being id; or
 *	fields      those of one request on that stream, without a body; or
 *	does        async (client, id, stage) => what it takes
 *	open        options of H2Wire.open
 * and what has to come, one of
 *	connection  GOAWAY with this code (or one of them), and the end
 *	stream      RST_STREAM of stream id with this code (or one of them)
 *	malformed   true: that request is refused as malformed, the backend hears nothing of it, and the
 *	            access log says `reason` (bad-request)
 *	status      the response to that stream has this status
 *	ignored     true: nothing comes of it
 *	oneOf       several of these
 * `isLast`: the connection may end after it, and no other request is sent.
 */
export async function h2Row(t, stage, row) {
	const { backend, pollux } = stage;
	const before = backend.heard.length;
	const client = await stage.connect(t, row.open);
	const id = client.nextStream();

	if (row.fields !== undefined)
		client.send(headers(id, row.fields, { endStream: true }));
	else if (row.frames !== undefined)
		client.send(...row.frames(id));
	else
		await row.does(client, id, stage);

	if (row.connection !== undefined) {
		await client.expectGoaway(row.connection);
		return;
	}
	if (row.oneOf !== undefined) {
		if ((await expectOneOf(client, id, row.oneOf)).isOver)
			return;
	} else if (row.stream !== undefined) {
		await client.expectReset(id, row.stream);
	} else if (row.malformed) {
		await expectMalformed(client, id);
		await pollux.accessed({ reason: row.reason ?? 'bad-request' });
	} else if (row.status !== undefined) {
		await client.expectStatus(id, row.status);
	} else {
		assert.ok(row.ignored, 'a row says what has to come');
		await expectNothing(client, id);
	}
	if (row.isLast)
		return;
	await client.expectServes(FENCE);
	if (row.malformed)
		assert.deepEqual(requestLines(backend, before), [`GET ${FENCE} HTTP/1.1`], 'what was forwarded');
}

export async function h2Rows(t, stage, rows) {
	for (const row of rows)
		await t.test(row.name, (sub) => h2Row(sub, stage, row));
}
