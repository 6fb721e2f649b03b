// Long bodies through Pollux, between ends that stall: nothing is lost and little is held.
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import { test } from 'node:test';

import { Authority } from '../e2e/lib/certificates.mjs';
import { Pollux } from '../e2e/lib/pollux.mjs';
import { atEnd } from '../e2e/lib/scope.mjs';
import { event } from '../e2e/lib/wait.mjs';
import { inMiB, isSanitized, memoryOf, MiB, sized } from './lib/scale.mjs';
import { Transfer } from './lib/transfer.mjs';

const SIZE = sized(128 * MiB, 2048 * MiB);
const STALL_MS = sized(0, 5000);
const MOST_MEMORY = 32 * MiB;
const PATIENCE_MS = sized(60_000, 600_000);

function lengthFields(isChunked) {
	return isChunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': SIZE };
}

// Answers with what `down` sends, and lets `up` receive the request's body; either may be missing.
async function startBackend(t, { up, down, isChunked }) {
	const server = http.createServer((request, response) => {
		const received = up?.receive(request);
		// A response that ends before its request ends that, too.
		if (down !== undefined) {
			response.writeHead(200, lengthFields(isChunked));
			server.done = Promise.all([received, down.send(response, received)]);
		} else {
			server.done = received.then(() => response.end('ok'));
		}
		server.done.catch(() => request.destroy());
		server.emit('exchange');
	});
	server.requestTimeout = 0;
	server.listen(0, '127.0.0.1');
	await event(server, 'listening');
	atEnd(t, () => {
		server.close();
		server.closeAllConnections();
	});
	server.where = `127.0.0.1:${server.address().port}`;
	return server;
}

async function ask(pollux, { tls, up, down, isChunked }) {
	const { request: start } = tls === undefined ? http : https;
	const agent = tls === undefined ? undefined : new https.Agent({ ca: tls.ca });
	const request = start({
		...pollux.where(),
		agent,
		method: up === undefined ? 'GET' : 'POST',
		path: '/',
		headers: up === undefined ? {} : lengthFields(isChunked),
	});
	const answered = event(request, 'response', 'a response', PATIENCE_MS).then((response) => {
		assert.equal(response.statusCode, 200);
		if (down !== undefined)
			return down.receive(response);
		response.resume();
		return event(response, 'end', 'the end of a response');
	});
	if (up === undefined)
		request.end();
	await Promise.all([answered, up?.send(request)]);
}

async function passes(t, { isUp, isDown, isChunked, isTls }) {
	const tls = isTls ? new Authority(t) : undefined;
	const given = {
		isChunked,
		up: isUp ? new Transfer(SIZE, STALL_MS) : undefined,
		down: isDown ? new Transfer(SIZE, STALL_MS) : undefined,
		tls: tls && { ca: tls.certificate },
	};
	const backend = await startBackend(t, given);
	const pollux = await Pollux.start(t, {
		backend: { servers: [backend.where] },
		listen: tls ? { certificates: [tls.issue(['127.0.0.1']).pem] } : {},
		route: { max_body_size: 0 },
		program: { access_log: 'off' },
	});
	const exchange = event(backend, 'exchange').then(() => backend.done);
	const start = performance.now();
	await Promise.all([ask(pollux, given), exchange]);
	const seconds = (performance.now() - start) / 1000;
	const most = memoryOf(pollux.pid, 'VmHWM');
	const ahead = Math.max(...[given.up, given.down].map((one) => one?.stalledAhead ?? 0));
	t.diagnostic(`${seconds.toFixed(1)} s; at most ${inMiB(most)} of memory; while the receiver did not `
		+ `read, ${inMiB(ahead)} were under way, most of them in the kernel`);
	assert.ok(ahead < SIZE / 2, 'the sender was not held back');
	if (!isSanitized)
		assert.ok(most < MOST_MEMORY, `${inMiB(most)} of memory`);
}

for (const isTls of [false, true]) {
	for (const isChunked of [false, true]) {
		const how = `${isChunked ? 'chunked' : 'with a length'}, ${isTls ? 'TLS' : 'plain'}`;
		const given = { isChunked, isTls };
		test(`upload of ${inMiB(SIZE)} ${how}`, (t) => passes(t, { ...given, isUp: true }));
		test(`download of ${inMiB(SIZE)} ${how}`, (t) => passes(t, { ...given, isDown: true }));
	}
	test(`${inMiB(SIZE)} both ways at once, ${isTls ? 'TLS' : 'plain'}`,
		(t) => passes(t, { isTls, isChunked: true, isUp: true, isDown: true }));
}
